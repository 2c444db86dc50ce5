"""Does the engine hold 10,000 connections in little memory? In a process of its own, against epoll_loop."""

from rich.console import Console

from benchmarks import histogram
from benchmarks.amounts import duration, size
from benchmarks.launch import Server
from benchmarks.load.remote import RemoteEngine
from benchmarks.load.targets import Drive, Target, request_bytes

CONNECTIONS = 10_000
RATE_PER_S = 10_000.0
SECONDS = 3.0
AT_MOST_BYTES = 300 * 2**20


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print what 10,000 keep-alive connections cost the engine; whether it stays within its bounds."""
    with RemoteEngine((driver_cpu,)) as engine, Server("epoll_loop", [server_cpu]) as server:
        engine.compile()
        port = server.facts.port
        target = Target("127.0.0.1", port, request_bytes(f"127.0.0.1:{port}", "/hello"), body=b"Hello, World!")
        errors = engine.open("crowd", target, CONNECTIONS)
        load = engine.run("crowd", Drive(seconds=SECONDS, rate_per_s=RATE_PER_S, ramp_s=0.2))
        engine.close_sessions()
    errors = {**errors, **load.errors}
    used = sum(1 for count in load.per_connection if count)
    good = not errors and load.cost.rss_bytes <= AT_MOST_BYTES and load.connections_opened == CONNECTIONS
    console.print(
        f"[bold]crowd[/]  {load.connections_opened:,} keep-alive connections to epoll_loop, {used:,} of them used "
        f"in {SECONDS:.0f} s at {RATE_PER_S:,.0f} requests/s: errors {errors or 'none'}, "
        f"engine RSS {size(load.cost.rss_bytes)} (at most {size(AT_MOST_BYTES)} wanted), "
        f"p50 {duration(histogram.quantile_ns(load.response, 0.5))}, "
        f"p99 {duration(histogram.quantile_ns(load.response, 0.99))}: {'reached' if good else '[red]missed[/]'}",
        highlight=False,
    )
    return good
