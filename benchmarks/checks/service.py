"""How the server treated its clients: whether it served them, kept up with them, served them alike, at an even pace.

Most of these are results and no faults: they say how a number is to be read.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

from benchmarks import histogram
from benchmarks.amounts import digits, duration, percent, rate
from benchmarks.checks.engine import engine_saturated
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram, Series
from benchmarks.summaries import CellSummary, Finding

OVERLOADED, OVERLOADED_AT_TIMES = "overloaded", "overloaded at times"  # in half of the replicates or more, in fewer
ABOVE_LIMIT = "above the concurrency limit"
UNFINISHED = 0.01  # of the requests: then the p99 is only known from below
LATE_TURNS = 2  # of a closed loop: in a turn each connection is served once
WAITED = 0.01  # of the arrivals: then the p99 contains their wait
TURNS_PASSED_OVER = 10  # in which all others were served and one was not: ten times the median response time,
STARVED_S = 0.02  # if they took so long: less is a few time slices of a thread that was not at fault
SLICE_S = 0.004  # of the kernel scheduler, about: threads and processes that share a core each have one in turn
EXPECTED_EACH = 20  # completions of each connection, below which chance alone is unfair
FAIR = 0.9  # Jain's index: served alike it was above 0.95 in 170 windows of eight models, unfairly below 0.88 in the others
COLLECTING = 0.01  # of the time
STEPS = 8  # of the series, below which a rank correlation says little
STEP_COMPLETED = 20  # completions in each
STEP_TIMES = 4  # a step is so many service times at least: requests that go round together come in waves
DRIFTED = 0.10  # from one third of the window to another, of the logarithm
CHANCE = 1e-5  # of calling a steady window drifting: 1 in 100,000, as a run has a thousand of them


def nothing_served(facts: Facts) -> Finding | None:
    """Without a single completed request there is no rate. Where background connections use up the concurrency limit, that is
    how the model behaves.
    """
    if facts.load.completed:
        return None
    filled = f"; background connections use up its limit of {facts.limit:,}" if facts.filled_by_background else ""
    return Finding(
        "nothing served",
        "warning" if filled else "invalid",
        f"no request completed in {digits(facts.load.seconds)} s{filled}",
        "a rate of zero can't be compared",
        "look at the errors in the record, or measure for longer (--seconds)",
    )


def overloaded(facts: Facts) -> Finding | None:
    """More offered than served, and the engine had time: the server is the limit. A result, not a fault.

    Where the rate falls halfway, what came before need not have been served by the end.
    """
    if not facts.short_by or facts.measurement.level.then_share is not None or engine_saturated(facts):
        return None
    served = facts.load.completed / facts.load.seconds
    return Finding(
        OVERLOADED,
        "info",
        f"{rate(served)} served of {rate(facts.load.intended / facts.load.seconds)} that came",
        "its queue grows all the time, so its response time depends on the length of a window: not ranked",
        "compare at a rate that it can serve",
    )


def is_overloaded(summary: CellSummary) -> bool:
    """Whether it was offered more than it served, so that its response times are those of a growing queue."""
    return any(finding.check == OVERLOADED for finding in summary.findings)


def no_free_connection(facts: Facts) -> Finding | None:
    """Requests that were due while every connection was busy: send lag that the server causes. Reported where it kept up."""
    load = facts.load
    if not facts.is_open or load.waited <= WAITED * load.intended or facts.short_by:
        return None
    return Finding(
        "no free connection",
        "info",
        f"{percent(load.waited / load.intended)} of the requests were due while all {load.connections:,} connections were busy",
        "they waited in the load engine for a connection: that is in their response time, not in their service time",
        "read response times, or give the level more connections",
    )


def above_limit(facts: Facts) -> Finding | None:
    """A model with a concurrency limit serves so many connections at once and lets the others wait to be accepted."""
    if not facts.above_limit:
        return None
    return Finding(
        ABOVE_LIMIT,
        "info",
        f"{facts.measurement.level.connections:,} connections, a concurrency limit of {facts.limit:,}",
        "connections above the limit wait to be accepted, so fewer are served at once than the level says",
        "raise the limit (--workers, --threads), or read the model's levels within it",
    )


def unfinished_requests(facts: Facts) -> Finding | None:
    """Requests that never ended are in no mean, only in percentiles, with their age. An overloaded server has them, as has one
    that is asked for more than can be served.

    A closed loop whose turn is longer than the drain has them too: each connection has a request under way at the end. There
    only those are counted that were passed over, which are older than two turns.
    """
    load = facts.load
    if facts.short_by or facts.above_limit or facts.beyond:
        return None
    asked = histogram.total(load.response) + load.unfinished
    unfinished = load.unfinished if facts.is_open else _older(load.censored, LATE_TURNS * facts.turn_ns)
    if not asked or unfinished <= UNFINISHED * asked:
        return None
    return Finding(
        "unfinished requests",
        "warning",
        f"{percent(unfinished / asked)} of the requests had no answer when the drain ended",
        "their response times are known from below only",
        "read its high percentiles as lower bounds",
    )


def _older(ages: Histogram, than_ns: float) -> int:
    """How many of these ages are greater."""
    return sum(n for i, n in zip(ages.index, ages.count, strict=True) if histogram.bounds_ns(i)[0] > than_ns)


def starving(facts: Facts) -> Finding | None:
    """Connections that were passed over again and again: a result. The rate is right, the latency is that of the others.

    In a closed loop that is served in turn no connection is passed over more often than there are connections. Where threads
    or processes share a core, those that have work are given it in slices, in turn as well: two rounds of slices are fair.
    Fairness over the longest window is Jain's index (R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness",
    DEC-TR-301, 1984).
    """
    load = facts.load
    served = load.per_connection
    # More connections than the limit is a cause with a finding of its own.
    if facts.is_open or facts.above_limit or len(served) < 2 or not any(served):
        return None
    most = max(load.passed_over, default=0)
    slices_s = 2 * SLICE_S * len(served) if facts.server.threads > 1 or facts.server.processes > 1 else 0.0
    most_fair = max(TURNS_PASSED_OVER * len(served), max(STARVED_S, slices_s) * facts.long_completed / facts.long_s)
    index = jain(served)
    if most >= most_fair:
        starved = sum(passed >= most_fair for passed in load.passed_over)
        observed = (
            f"{starved:,} of {len(served):,} connections were passed over, one of them {most:,} times between two answers"
        )
    elif facts.long_completed >= EXPECTED_EACH * len(served) and facts.long_s >= 2 * slices_s and index < FAIR:
        observed = f"the connections were served {min(served):,} to {max(served):,} times, Jain's index {index:.2f}"
    else:
        return None
    return Finding(
        "starving",
        "warning",
        observed,
        "the rate is right, but connections that wait longest have few answers and so hardly count in the response times",
        "read the rate, not the latency; measure latency in the open loop",
    )


def jain(completions: list[int]) -> float:
    """Jain's index of fairness: 1 when all connections were served alike, 1/n when one of n got everything.

    Raises ZeroDivisionError when none was served.
    """
    return sum(completions) ** 2 / (len(completions) * sum(count * count for count in completions))


def pause_share(facts: Facts) -> float | None:
    """The share of the time in which the server stood still to collect garbage; None where it was not counted.

    Pauses are counted from before the first ramp to after the last drain, so they are taken by the request. Of several
    processes it is the sum: more than all of the time is possible.
    """
    server, load = facts.server, facts.load
    if not server.collections or not server.counted_requests:
        return None
    return server.pause_ns / server.counted_requests * load.completed / load.seconds / 1e9


def collecting(facts: Facts) -> Finding | None:
    """Garbage collections that took more than a hundredth of the time. A result: they belong to the model."""
    share = pause_share(facts)
    if share is None or share <= COLLECTING:
        return None
    longest = f", the longest {duration(facts.server.longest_pause_ns)}" if facts.server.longest_pause_ns else ""
    return Finding(
        "garbage collection",
        "info",
        f"{sum(facts.server.collections):,} collections took {percent(share)} of the time{longest}",
        "nothing is served while a collection runs: its length is in the response times of all that wait",
        "compare with gc.freeze() after start, or with a higher threshold",
    )


# ---------------------------------------------------------------- over time


def drift(facts: Facts) -> Finding | None:
    """A pace that changed within the longest window: a trend, or slow ups and downs. Then the mean depends on its length.

    Spearman's rank correlation of the pace with time, and of each step with the next (Wald & Wolfowitz's serial correlation,
    Ann. Math. Stat. 14, 1943, by ranks), and a difference that matters between two thirds of the window. Bursts, a rate that
    falls and the first cohort of a cold server are no steady load, and are left out.
    """
    level = facts.measurement.level
    if level.arrivals == "onoff" or level.then_share is not None or level.cohort == 1:
        return None
    paces = _paces(facts)
    went = course(paces)
    if not went:
        return None
    return Finding(
        "drift",
        "info",
        f"the pace {went} within the longest window: {', '.join(rate(third) for third in _thirds(paces))} in its thirds",
        "the mean rate depends on when it is measured, and for how long",
        "see the time line; look for what grows or fills up, or measure for longer (--seconds)",
    )


def course(paces: list[float]) -> str:
    """Where a pace went: "rose", "fell", "wandered", or "" if no change is significant."""
    if len(paces) < STEPS or min(thirds := _thirds(paces)) <= 0:
        return ""
    trend = spearman(list(range(len(paces))), paces)
    if abs(math.log(thirds[2] / thirds[0])) >= DRIFTED and _unlikely(abs(trend), len(paces), tails=2):
        return "rose" if trend > 0 else "fell"
    # To follow its neighbour is what a slow movement does; to oppose it, as waves of requests do, is none.
    wanders = _unlikely(spearman(paces[:-1], paces[1:]), len(paces) - 1, tails=1)
    return "wandered" if wanders and math.log(max(thirds) / min(thirds)) >= DRIFTED else ""


def drift_over_rounds(values: Sequence[float]) -> str:
    """How a model's value changed over the rounds of a replicate: "rose", "fell", "wandered", "" if no change is significant.

    `values` are positive, in the order of the rounds, with what they have in common with the other models' taken out: changes
    of the machine's speed are then in none of them. The tests are those of `drift`.
    """
    return course(list(values))


def _thirds(paces: list[float]) -> list[float]:
    """The mean pace of three parts of the time."""
    return [float(part.mean()) for part in np.array_split(np.array(paces), 3)]


def _paces(facts: Facts) -> list[float]:
    """Completions per second in steps of the longest window that are long enough to have a pace; the last, short step is left
    out.
    """
    load, series = facts.load, facts.load.series
    whole = int(facts.long_s * 1e9) // series.step_ns if series.step_ns else 0
    if not facts.long_completed or whole < STEPS:
        return []
    each = facts.long_completed / whole
    turn_ns = max(histogram.mean_ns(load.service), 0.0 if facts.is_open else facts.turn_ns)
    merged = max(math.ceil(STEP_COMPLETED / each), math.ceil(STEP_TIMES * turn_ns / series.step_ns), 1)
    return _merged(series, merged, whole)


def _merged(series: Series, merged: int, whole: int) -> list[float]:
    step_s = merged * series.step_ns / 1e9
    return [sum(series.completed[at : at + merged]) / step_s for at in range(0, whole - merged + 1, merged)]


def spearman(first: list[float] | list[int], second: list[float] | list[int]) -> float:
    """Spearman's rank correlation, ties with their mean rank; 0 where one side is all ties."""
    ranked = [_ranks(values) for values in (first, second)]
    centred = [ranks - ranks.mean() for ranks in ranked]
    scale = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / scale if scale else 0.0


def _ranks(values: list[float] | list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ordered = np.sort(np.array(values, float))
    below, through = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((below + through + 1) / 2, np.float64)


def _unlikely(correlation: float, pairs: int, tails: int) -> bool:
    """Whether chance gives so high a rank correlation more rarely than CHANCE (Student's t, Kendall & Gibbons §4.14)."""
    freedom = pairs - 2
    if freedom < 1 or correlation >= 1:
        return correlation >= 1 and freedom >= STEPS - 3
    if correlation <= 0:
        return False
    t = correlation * math.sqrt(freedom / (1 - correlation * correlation))
    return bool(tails * stdtr(freedom, -t) < CHANCE)
