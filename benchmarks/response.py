"""Between which bounds the response time of a workload lies, translated from cells that were measured at something like it.

A response is the asked wait, the asked computing, and queueing. Only the queueing is taken from a cell: its percentile, less
the wait and the CPU time of its own requests. It grows with utilisation, so the cell next above the asked one bounds it from
above and the cell next below from below; and with the length of the work (twice as long at the same utilisation waits twice as
long), so it is stretched by the ratio of the two for the upper bound where the asked work is longer, and shrunk for the lower
one where it is shorter. Where no cell has both the wait and the work, the lateness of many waits is added from a cell that has
those: the sum of two percentiles is more than the percentile of the sum tends to be.

Beyond a factor of 3 in wait, in CPU time or in requests under way nothing is translated: there the evidence does not reach.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.checks.service import is_overloaded
from benchmarks.evidence import Evidence, Shape, apart, cpu_us, named
from benchmarks.summaries import CellSummary, Quantile
from benchmarks.workload import Demand, Workload

NEAR = 3.0  # a factor up to which one load says something of another


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a percentile, in ns, from these cells. `high_ns` is infinite, and `why` says why, where nothing bounds it."""

    low_ns: float
    high_ns: float
    cells: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A workload on a model: what a request costs it, and which share of the core that takes."""

    workload: Workload
    demand: Demand
    quick_us: float  # CPU of a request without work
    q: float

    @property
    def request_us(self) -> float:
        """CPU of a request in the mean."""
        return self.quick_us + self.workload.mean_cpu_s * 1e6

    @property
    def busy(self) -> float:
        """Utilisation of one core."""
        return self.demand.rate_per_s * self.request_us / 1e6

    @property
    def own_ns(self) -> float:
        """What the request at the percentile takes if nobody is in its way: of a mix, the quick ones are the fastest."""
        computes = self.workload.mixed is None or 1 - self.q < self.workload.mixed
        return (self.workload.wait_s + self.workload.cpu_s * computes) * 1e9 + self.quick_us * 1e3


def near(one: float, other: float) -> bool:
    """Whether two amounts are within the factor of each other."""
    return apart(one, other) <= math.log(NEAR)


def bounds(evidence: Evidence, model: str, asked: Asked) -> Bounds:
    """The bounds of the asked percentile on a model."""
    if asked.busy >= 1:
        return Bounds(
            asked.own_ns,
            math.inf,
            (),
            f"at {asked.request_us:.3g} µs of CPU a request the core is full, and nothing tells how long the queue is",
        )
    scenario = _resembling(evidence, model, asked)
    if scenario is None:
        return Bounds(asked.own_ns, math.inf, (), _unlike(asked))
    core = _mixed(evidence, model, asked, scenario) if asked.workload.mixed else _queueing(evidence, model, asked, scenario)
    if not asked.workload.wait_s or near(evidence.shapes[scenario].wait_s, asked.workload.wait_s):
        return core
    late = _lateness(evidence, model, asked)
    return Bounds(
        core.low_ns, core.high_ns + late.high_ns, core.cells + late.cells, "; ".join(filter(None, (core.why, late.why)))
    )


def relevant(evidence: Evidence, model: str, asked: Asked) -> tuple[str, ...]:
    """The scenarios from which that would be translated."""
    found = _resembling(evidence, model, asked)
    waiting = [name for name, shape in evidence.shapes.items() if shape.wait_s and near(shape.wait_s, asked.workload.wait_s)]
    return tuple(dict.fromkeys(([found] if found else []) + (waiting if asked.workload.wait_s else [])))


def _unlike(asked: Asked) -> str:
    if asked.workload.mixed:
        return "no scenario of the run has a mix near this one"
    return f"no scenario of the run has requests of about {asked.request_us / 1e3:.2g} ms of CPU"


def _resembling(evidence: Evidence, model: str, asked: Asked) -> str | None:
    """The scenario whose requests cost this model most nearly as much; one that waits as long, too, is preferred."""
    wait_s, mixed = asked.workload.wait_s, asked.workload.mixed
    found: list[tuple[bool, float, str]] = []
    for name, shape in evidence.shapes.items():
        alike = near(shape.wait_s, wait_s) if wait_s else not shape.wait_s
        fits = 0 < shape.share < 1 and near(shape.share, mixed) if mixed else shape.share in (0, 1)
        if not fits or not (alike or not shape.wait_s):
            continue
        wanted_us = asked.workload.cpu_s * 1e6 if mixed else asked.request_us
        costs_us = [cost for cell in evidence.believed(model, name) if (cost := cpu_us(cell))]
        works_us = [_work_us(cost, shape, asked.quick_us) for cost in costs_us] if mixed else costs_us
        # A server that has time to sleep pays for waking up as well, so a scenario's requests have several costs.
        nearest = min((apart(work, wanted_us) for work in works_us), default=math.inf)
        if nearest <= math.log(NEAR):
            found.append((not alike, nearest, name))
    return min(found)[2] if found else None


def _work_us(cost_us: float, shape: Shape, quick_us: float) -> float:
    """How long those that compute do, from what all requests cost in the mean."""
    return max((cost_us - quick_us) / shape.share, 1e-3)


def _open(evidence: Evidence, model: str, scenario: str) -> list[CellSummary]:
    """Open cells that the model carried, by utilisation of one core."""
    cells = [c for c in evidence.believed(model, scenario) if c.level.loop == "open" and not is_overloaded(c)]
    return sorted(cells, key=lambda cell: _busy(evidence, cell))


def _busy(evidence: Evidence, cell: CellSummary) -> float:
    return (cell.server_busy or 0.0) * evidence.cores


def _next_to(
    evidence: Evidence, cells: Sequence[CellSummary], asked: Asked
) -> tuple[CellSummary | None, CellSummary | None, str]:
    """The cells next below the asked utilisation and next above that know the percentile, and why there is none above."""
    below = next((cell for cell in reversed(cells) if _busy(evidence, cell) <= asked.busy and _low(_read(cell, asked.q))), None)
    beyond = [cell for cell in cells if _busy(evidence, cell) >= asked.busy]
    above = next((cell for cell in beyond if not math.isinf(_high(_read(cell, asked.q), asked.q, cell)[0])), None)
    if above:
        return below, above, ""
    if beyond:
        return below, None, _high(_read(beyond[0], asked.q), asked.q, beyond[0])[1]
    most = max((_busy(evidence, cell) for cell in cells), default=None)
    if most is None:
        return below, None, "no open level near it was carried, or none was measured"
    return below, None, f"no level above {asked.busy:.0%} of a core was carried; {most:.0%} was the highest"


def _read(cell: CellSummary, q: float) -> Quantile | None:
    return next((quantile for quantile in cell.response if quantile.q == q), None)


def _low(quantile: Quantile | None) -> float:
    """The least that a percentile can be."""
    if quantile is None or quantile.value_ns is None:
        return 0.0
    return quantile.value_ns if quantile.low_ns is None else quantile.low_ns


def _high(quantile: Quantile | None, q: float, cell: CellSummary) -> tuple[float, str]:
    """The most that it can be; without a bound, and why."""
    if quantile is None or quantile.status != "ok" or quantile.value_ns is None:
        why = "not measured" if quantile is None else quantile.why or quantile.status
        return math.inf, f"p{100 * q:g} of ({named(cell)}) is {'insufficient: ' if quantile and quantile.why else ''}{why}"
    return (quantile.value_ns if quantile.high_ns is None else quantile.high_ns), ""


def _queueing(evidence: Evidence, model: str, asked: Asked, scenario: str) -> Bounds:
    shape = evidence.shapes[scenario]
    cells = _open(evidence, model, scenario)
    if shape.wait_s:  # there, so many under way are part of what is measured
        cells = [cell for cell in cells if _under_way(cell, shape) * NEAR >= asked.demand.at_once]
    below, above, why = _next_to(evidence, cells, asked)
    low_ns, high_ns = 0.0, math.inf
    if below:
        queued = max(_low(_read(below, asked.q)) - _itself_ns(below, shape), 0.0)
        low_ns = queued * min(asked.request_us / (cpu_us(below) or math.inf), 1.0)
    if above:
        worst_ns, _ = _high(_read(above, asked.q), asked.q, above)
        high_ns = max(worst_ns - _itself_ns(above, shape), 0.0) * max(asked.request_us / (cpu_us(above) or 1.0), 1.0)
    return Bounds(asked.own_ns + low_ns, asked.own_ns + high_ns, _quoted(above, below), why)


def _mixed(evidence: Evidence, model: str, asked: Asked, scenario: str) -> Bounds:
    """Of a mix the whole response time is stretched, as nobody knows of which kind the request at the percentile was."""
    shape = evidence.shapes[scenario]
    below, above, why = _next_to(evidence, _open(evidence, model, scenario), asked)
    wanted_us, wait_ns = asked.workload.cpu_s * 1e6, asked.workload.wait_s * 1e9
    low_ns, high_ns = asked.own_ns, math.inf
    if below:
        work_us = _work_us(cpu_us(below) or 0.0, shape, asked.quick_us)
        low_ns = max(low_ns, wait_ns + _low(_read(below, asked.q)) * min(wanted_us / work_us, 1.0))
    if above:
        worst_ns, _ = _high(_read(above, asked.q), asked.q, above)
        work_us = _work_us(cpu_us(above) or 0.0, shape, asked.quick_us)
        high_ns = max(wait_ns + worst_ns * max(wanted_us / work_us, 1.0), asked.own_ns)
    return Bounds(low_ns, high_ns, _quoted(above, below), why)


def _lateness(evidence: Evidence, model: str, asked: Asked) -> Bounds:
    """By how much longer than they asked for requests wait when so many are under way: its upper bound."""
    wait_s = asked.workload.wait_s
    waiting = [
        name for name, shape in evidence.shapes.items() if shape.wait_s and not shape.share and near(shape.wait_s, wait_s)
    ]
    if not waiting:
        return Bounds(0.0, math.inf, (), f"no scenario of the run waits about {wait_s * 1e3:g} ms")
    found: list[tuple[float, CellSummary, Shape]] = []
    for name in waiting:
        shape = evidence.shapes[name]
        found += [(_under_way(cell, shape), cell, shape) for cell in _open(evidence, model, name)]
    found.sort(key=lambda each: each[0])
    enough = [each for each in found if each[0] >= asked.demand.at_once]
    nearly = [each for each in found if each[0] * NEAR >= asked.demand.at_once]
    if not nearly:
        most = max((each[0] for each in found), default=0.0)
        return Bounds(0.0, math.inf, (), f"at most {most:,.0f} were under way at once in {', '.join(waiting)}")
    _, cell, shape = enough[0] if enough else nearly[-1]
    worst_ns, why = _high(_read(cell, asked.q), asked.q, cell)
    return Bounds(0.0, max(worst_ns - _itself_ns(cell, shape), 0.0), (named(cell),), why)


def _under_way(cell: CellSummary, shape: Shape) -> float:
    return cell.rate_per_s.value * shape.wait_s if cell.rate_per_s else 0.0


def _itself_ns(cell: CellSummary, shape: Shape) -> float:
    """What a request of the cell takes without queueing."""
    return shape.wait_s * 1e9 + (cpu_us(cell) or 0.0) * 1e3


def _quoted(*cells: CellSummary | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(named(cell) for cell in cells if cell))
