"""What does each model reach of nginx? The same hello on one core, nginx and every model in turns, one run."""

from collections import defaultdict
from statistics import median

from rich.console import Console

from benchmarks import catalogue, sample
from benchmarks.launch import Server
from benchmarks.load.engine import Session
from benchmarks.load.targets import Drive, Target, request_bytes
from benchmarks.nouns import LoadResult
from benchmarks.selfbench import peers

CONNECTIONS = 64
ROUNDS = 5
SECONDS = 0.5
# Of nginx's `return 200`; for the other models there is nothing to hold them against yet.
FLOORS = {
    "epoll_loop": 0.70,
    "thread_per_connection": 0.55,
    "asyncio_protocol": 0.60,
    "asyncio_streams": 0.35,
    "gevent_greenlets": 0.37,
}


def hello(port: int, pid: int = 0) -> LoadResult:
    """Closed-loop hello after warm-up with connections turned over. Raises RuntimeError on errors.

    `pid`: the server whose CPU is counted, with the processes that it has by then; 0: nobody's.
    """
    target = Target("127.0.0.1", port, request_bytes(f"127.0.0.1:{port}", "/hello"), body=b"Hello, World!")
    for _ in range(3):
        with Session(target, 16) as session:
            session.open()
            session.run(Drive(seconds=0.05))
    with Session(target, CONNECTIONS) as session:
        session.open()
        load = session.run(Drive(seconds=SECONDS, ramp_s=0.05, watch=sample.tree(pid) if pid else ()))
    if load.errors:
        raise RuntimeError(f"errors: {load.errors}")
    return load


def rate_per_s(port: int) -> float:
    """Its throughput."""
    load = hello(port)
    return load.completed / load.seconds


def measure(console: Console, server_cpu: int, _driver_cpu: int) -> bool:
    """Print every model's throughput as a share of nginx's; whether the floors are reached. Raises Missing."""
    rates: dict[str, list[float]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    with peers.nginx(server_cpu) as port:
        for _ in range(ROUNDS):
            for model in catalogue.models():
                beside = rate_per_s(port)
                with Server(model.name, [server_cpu]) as server:
                    rates[model.name].append(rate_per_s(server.facts.port))
                rates["nginx"].append(beside)
                shares[model.name].append(rates[model.name][-1] / beside)
    console.print(
        f"[bold]floors[/]  hello on one core, {CONNECTIONS} connections, each model right after nginx, {ROUNDS} rounds; "
        f"nginx {median(rates['nginx']) / 1000:.0f}k/s"
    )
    good = True
    for name in sorted(shares, key=lambda model: -median(shares[model])):
        share, floor = median(shares[name]), FLOORS.get(name)
        verdict = ""
        if floor is not None:
            good &= share >= floor
            verdict = f"at least {floor:.2f} wanted: {'reached' if share >= floor else '[red]missed[/]'}"
        console.print(
            f"  {name:22} {median(rates[name]) / 1000:6.1f}k/s  {share:.2f} of nginx "
            f"({min(shares[name]):.2f} to {max(shares[name]):.2f}) {verdict}",
            highlight=False,
        )
    return good
