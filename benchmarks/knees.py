"""Where a model's knee is: the load at which it gives most throughput for the time that it takes.

The **power** of a queue is its throughput by its mean response time, and its knee the load of the highest power: below it more
load costs next to no time, above it more load buys next to no throughput (L. Kleinrock, "Power and deterministic rules of thumb
for probabilistic problems in computer communications", ICC 1979; for M/M/1 that is half the capacity, for a server whose
service hardly varies it lies higher).

Only levels that were measured are asked, so the knee is known to the step between them. The mean is that of the fastest nine
tenths of the requests: one pause of the machine, on the server's core too where nobody sees it, multiplies the plain mean of a
measurement and would move the knee, while a queue lengthens everybody's time (for M/M/1, whose response times are exponential,
the knee stays where it is). The powers of the replicates are put together by their median. What is known from one side only
cannot be a knee: a level that fell behind, where the queue grows for as long as one looks, or one whose unanswered requests
leave the mean unknown. Nor can a measurement that the load engine's own pauses have taken a good part of: that is the machine's
power.
"""

import statistics
from collections.abc import Sequence

from benchmarks import histogram
from benchmarks.cells import Cell
from benchmarks.checks.service import is_overloaded
from benchmarks.merging import histograms
from benchmarks.metrics import is_plain
from benchmarks.objective import falls_behind
from benchmarks.observed import Measured
from benchmarks.summaries import Knee
from benchmarks.tails import STALL_SHARE, pauses

FASTEST = 0.9  # of the requests, whose mean is taken
UNANSWERED = 0.01  # of the requests; with more the mean response time is anybody's guess


def knee(cells: Sequence[Cell]) -> Knee | None:
    """The knee of one model in one scenario. None when fewer than two levels can be believed, since one is no maximum."""
    opened = [c for c in cells if c.summary.level.loop == "open" and is_plain(c.summary.level) and _rate(c) > 0]
    known = {cell.summary.level.label: power for cell in opened if (power := _power(cell)) is not None}
    if len(known) < 2:
        return None
    measured = sorted((cell for cell in opened if cell.summary.level.label in known), key=_rate)
    best = max(measured, key=lambda cell: known[cell.summary.level.label])
    return Knee(best.summary.level.label, _rate(best), best is min(opened, key=_rate))


def _power(cell: Cell) -> float | None:
    """Requests per second per second of response time, the median over replicates; None for a level that is no candidate."""
    loads = [one.load for one in cell.measured]
    if cell.summary.invalid or is_overloaded(cell.summary) or falls_behind([one.measurement for one in cell.measured]):
        return None
    if sum(load.unfinished for load in loads) > UNANSWERED * sum(load.intended for load in loads):
        return None
    powers = [power for one in cell.measured if (power := _power_of(one)) is not None]
    return statistics.median(powers) if powers else None


def _power_of(one: Measured) -> float | None:
    mean_ns = histogram.mean_of_fastest_ns(histograms([one.response.finished, one.response.censored]), FASTEST)
    if not mean_ns or pauses([one.load]).stalled_share >= (1 - FASTEST) * STALL_SHARE:
        return None
    return one.load.completed / one.load.seconds / mean_ns * 1e9


def _rate(cell: Cell) -> float:
    """What was served there."""
    return cell.summary.rate_per_s.value if cell.summary.rate_per_s else 0.0
