"""What does the engine spend on a request? Beside wrk, and beside a bare send and recv; same nginx, taken in turns."""

from statistics import median

from rich.console import Console

from benchmarks.load.engine import Session
from benchmarks.load.targets import Drive, Target, request_bytes
from benchmarks.selfbench import bare, peers, tools
from benchmarks.selfbench.peers import Spent

CONNECTIONS = 64
ROUNDS = 7
SECONDS = 2
AT_MOST_OF_WRK = 0.90
AT_MOST_OF_BARE = 1.15


def engine(port: int, connections: int = CONNECTIONS, seconds: float = SECONDS) -> Spent:
    """One run of the engine, closed loop, keep-alive, sleeping when it has nothing to do, as wrk does."""
    target = Target("127.0.0.1", port, request_bytes(f"127.0.0.1:{port}", "/hello"), body=b"Hello, World!")
    with Session(target, connections) as session:
        session.open()
        load = session.run(Drive(seconds=seconds, ramp_s=0.05, poll="sleep"))
    if load.errors:
        raise RuntimeError(f"errors against nginx: {load.errors}")
    return Spent(load.completed, (load.cost.cpu_user_ns + load.cost.cpu_system_ns) / 1e9, load.seconds)


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print the comparison; whether the engine is as cheap as it should be. Raises Missing."""
    peers.program("wrk")
    bare.compile_all()
    rounds: list[dict[str, Spent]] = []
    with peers.nginx(server_cpu) as port:
        engine(port, seconds=0.2)
        for _ in range(ROUNDS):
            made = {"wrk": tools.run(tools.WRK, port, driver_cpu, CONNECTIONS, SECONDS)[0], "engine": engine(port)}
            made["bare"] = bare.drive(port, request_bytes(f"127.0.0.1:{port}", "/hello"), CONNECTIONS, SECONDS)
            rounds.append(made)
    console.print(
        f"[bold]cost[/]  CPU per request against nginx, {CONNECTIONS} connections, keep-alive, {ROUNDS} rounds in turn"
    )
    for name in ("engine", "wrk", "bare"):
        costs = [made[name].us_per_request for made in rounds]
        rates = [made[name].requests / made[name].seconds for made in rounds]
        console.print(
            f"  {name:7} {median(costs):6.2f} µs ({min(costs):.2f} to {max(costs):.2f}), "
            f"at {median(rates) / 1000:.0f}k requests/s",
            highlight=False,
        )
    good = True
    for name, most in (("wrk", AT_MOST_OF_WRK), ("bare", AT_MOST_OF_BARE)):
        ratios = [made["engine"].us_per_request / made[name].us_per_request for made in rounds]
        reached = median(ratios) <= most
        good &= reached
        console.print(
            f"  engine / {name}: median {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
            f"at most {most:.2f} wanted: {'reached' if reached else '[red]missed[/]'}",
            highlight=False,
        )
    return good
