"""What do other load generators achieve and tell, of the same servers, in turn? One core and one thread for each.

rate    hello from nginx in a closed loop: how many requests, and what CPU each.
tail    a closed loop at a server that holds its answers, a few of them for long. It writes down for how long each was with it
        (`left − arrived`); beside that stands what the tool tells. The way there and back is not in the server's number.
open    requests that come at their own times to the same server. For the engine every request's truth is known, from when it
        was due (`left − due`); when wrk2's were due nobody knows but wrk2, so there the truth is from when they arrived.

Only the engine is judged, request by request as in `fidelity`. The others' figures stand beside it, and what they cannot do.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import histogram
from benchmarks.amounts import duration, rate
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive
from benchmarks.questions import Arrivals
from benchmarks.selfbench import cost, fidelity, peers, tools
from benchmarks.selfbench.fidelity import Nearness
from benchmarks.selfbench.peers import Spent
from benchmarks.selfbench.tools import QUANTILES, TOOLS, Tool
from benchmarks.selfbench.truth import HEAVY, Truth, described, truth

CONNECTIONS = 64
ROUNDS = 3
SECONDS = 1
TAIL_CONNECTIONS = 32
TAIL_ROUNDS = 2
TAIL_SECONDS = 2
OPEN_PER_S = 20_000.0
OPEN_SECONDS = 3
ARRIVALS: tuple[Arrivals, ...] = ("constant", "poisson")
_MORE_THAN_IT_CAN = 1.5  # of the engine's rate: what wrk2 is asked for where the most it can do is wanted
_TRACED = 250_000
_ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Tale:
    """What one run told, by percentile in ns, and what the server knows of the same requests."""

    spent: Spent
    told: dict[float, float]
    true: dict[float, float]
    nearness: Nearness | None = None  # the engine's


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print the three comparisons; whether the engine's percentiles are as near the truth as they should be."""
    compile_all()
    console.print("[bold]field[/]  the engine and the others, the same server, in turn, one core and one thread each")
    present = []
    for tool in TOOLS:
        if absent := tools.missing(tool):
            console.print(f"  {tool.name} is left out: {absent}", highlight=False)
        else:
            present.append(tool)
            console.print(f"  {tool.name}: {tool.limits}", highlight=False)
    try:
        _rates(console, present, server_cpu, driver_cpu)
    except peers.Missing as missing:
        console.print(f"  rate is left out: {missing}", highlight=False)
    with truth(server_cpu, HEAVY) as server:
        return all([_tails(console, present, server, driver_cpu), _opens(console, present, server, driver_cpu)])


def _in_turn(console: Console, rounds: int, runs: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Each run once in every round. One that fails is said, and left out of what follows."""
    made: dict[str, list[Any]] = defaultdict(list)
    failed: set[str] = set()
    for _ in range(rounds):
        for name, run in runs.items():
            if name in failed:
                continue
            try:
                made[name].append(run())
            except RuntimeError as failure:
                if name.startswith(_ENGINE):
                    raise
                failed.add(name)
                made.pop(name, None)
                console.print(f"  {name} is left out: {failure}", highlight=False)
    return made


def _rates(console: Console, present: list[Tool], server_cpu: int, driver_cpu: int) -> None:
    """Hello from nginx: the engine sleeps when it has nothing to do, as the others do, so that CPU compares."""
    with peers.nginx(server_cpu) as port:
        cost.engine(port, seconds=0.2)

        most_per_s = 0.0

        def engine() -> Spent:
            nonlocal most_per_s
            made = cost.engine(port, seconds=SECONDS)
            most_per_s = max(most_per_s, made.requests / made.seconds)
            return made

        def run_of(tool: Tool) -> Callable[[], Spent]:
            seconds = max(SECONDS, tool.shortest_s)
            return lambda: tools.run(tool, port, driver_cpu, CONNECTIONS, seconds, most_per_s * _MORE_THAN_IT_CAN)[0]

        runs: dict[str, Callable[[], Spent]] = {_ENGINE: engine}
        made = _in_turn(console, ROUNDS, runs | {tool.name: run_of(tool) for tool in present})
    console.print(f"  rate  hello from nginx, closed loop, {CONNECTIONS} connections, {ROUNDS} rounds")
    for name, rounds in made.items():
        rates, costs = [each.requests / each.seconds for each in rounds], [each.us_per_request for each in rounds]
        console.print(
            f"    {name:20} {rate(median(rates)):>8} ({rate(min(rates))} to {rate(max(rates))}), "
            f"{median(costs):6.2f} µs CPU a request ({min(costs):.2f} to {max(costs):.2f})",
            highlight=False,
        )


def _known(times_ns: Any) -> dict[float, float]:
    return {q: float(np.quantile(times_ns, q)) for q in QUANTILES}


def _tool_tale(tool: Tool, server: Truth, driver_cpu: int, connections: int, seconds: int, rate_per_s: float = 0.0) -> Tale:
    server.forget()
    seconds += tool.warmup_s
    spent, told = tools.run(tool, server.port, driver_cpu, connections, seconds, rate_per_s, log=True)
    rows = server.rows()
    return Tale(spent, told, _known(rows[:, 2] - rows[:, 1]))


def _engine_tale(server: Truth, driver_cpu: int, connections: int, drive: Drive, rows: int) -> tuple[Tale, Any, Any]:
    """A run of the engine, with every request's times, its own and the server's: (requests, 4) and (requests, 3)."""
    server.forget()
    with Session(fidelity.target_of(server), connections, cpus=(driver_cpu,), trace=rows) as session:
        session.open()
        load = session.run(drive)
        traced, begins_ns = session.traced(), session.begins_ns()
    if load.errors or load.unfinished:
        raise RuntimeError(f"engine: {load.unfinished} requests were not answered; errors: {load.errors or 'none'}")
    log = server.rows()
    known = fidelity.matched(traced, log)
    true_ns = known[:, 2] - (traced[:, 1] if drive.rate_per_s else known[:, 1])
    spent = Spent(load.completed, (load.cost.cpu_user_ns + load.cost.cpu_system_ns) / 1e9, load.seconds)
    told = {q: float(histogram.quantile_ns(load.response, q)) for q in QUANTILES}
    return Tale(spent, told, _known(true_ns), fidelity.nearness(traced, log, load, begins_ns)), traced, known


def _tails(console: Console, present: list[Tool], server: Truth, driver_cpu: int) -> bool:
    """A closed loop at the server with holds; the engine as it is by default, busy polling."""
    wires: list[float] = []

    def engine() -> Tale:
        tale, traced, known = _engine_tale(server, driver_cpu, TAIL_CONNECTIONS, Drive(seconds=TAIL_SECONDS), _TRACED)
        wires.append(float(np.median(traced[:, 3] - traced[:, 2] - (known[:, 2] - known[:, 1]))))
        return tale

    def run_of(tool: Tool) -> Callable[[], Tale]:
        return lambda: _tool_tale(tool, server, driver_cpu, TAIL_CONNECTIONS, TAIL_SECONDS)

    runs: dict[str, Callable[[], Tale]] = {_ENGINE: engine}
    made = _in_turn(console, TAIL_ROUNDS, runs | {tool.name: run_of(tool) for tool in present if not tool.opens})
    console.print(
        f"  tail  closed loop, {TAIL_CONNECTIONS} connections, {TAIL_ROUNDS} rounds; each answer held: {described(HEAVY)}",
        highlight=False,
    )
    console.print(
        f"    told / as long as the server had it; the way there and back is another {duration(median(wires))} as the engine "
        "sees it",
        highlight=False,
    )
    return _table(console, made)


def _opens(console: Console, present: list[Tool], server: Truth, driver_cpu: int) -> bool:
    """Open loop at the server with holds, at a rate that all can keep."""

    def run_as(arrivals: Arrivals) -> Callable[[], Tale]:
        plan = Drive(seconds=OPEN_SECONDS, ramp_s=0.1, rate_per_s=OPEN_PER_S, arrivals=arrivals, drain_s=10.0)
        return lambda: _engine_tale(server, driver_cpu, CONNECTIONS, plan, _TRACED)[0]

    def run_of(tool: Tool) -> Callable[[], Tale]:
        return lambda: _tool_tale(tool, server, driver_cpu, CONNECTIONS, OPEN_SECONDS, OPEN_PER_S)

    runs = {f"{_ENGINE}, {arrivals}": run_as(arrivals) for arrivals in ARRIVALS}
    made = _in_turn(console, 1, runs | {tool.name: run_of(tool) for tool in present if tool.opens})
    console.print(f"  open  {rate(OPEN_PER_S)} on {CONNECTIONS} connections, the same holds; told / true", highlight=False)
    return _table(console, made)


def _table(console: Console, made: dict[str, list[Tale]]) -> bool:
    """A row for each tool, medians over its rounds, and how near the engine's are; whether that is near enough."""
    console.print(" " * 22 + f"{'rate':>9}" + "".join(f"{f'p{q * 100:g}':>22}" for q in QUANTILES), highlight=False)
    good = True
    for name, tales in made.items():
        cells = ""
        for q in QUANTILES:
            told = [tale.told[q] for tale in tales if q in tale.told]
            true = median(tale.true[q] for tale in tales)
            cells += f"{duration(median(told)) if told else '–':>11} / {duration(true):>8}"
        rates = [tale.spent.requests / tale.spent.seconds for tale in tales]
        console.print(f"    {name:18}{rate(median(rates)):>9}{cells}", highlight=False)
    for name, tales in made.items():
        for found in (tale.nearness for tale in tales if tale.nearness):
            good &= found.good
            console.print(f"    {name}: {_nearness(found)}", highlight=False)
    return good


def _nearness(found: Nearness) -> str:
    """How far the engine's percentiles are from the truth, in a sentence."""
    if not found.quiet:
        return f"[red]machine too noisy[/]: {found.masked:.0%} of the requests overlap a pause of the engine"
    apart = ", ".join(f"p{q * 100:g} {told - true:.1f}" for q, (told, true) in found.clear_us.items())
    limits = ", ".join(f"{limit:.0f}" for limit in fidelity.LIMITS_US.values())
    return f"apart by {apart} µs but for pauses (at most {limits}: {'reached' if found.good else '[red]missed[/]'})"
