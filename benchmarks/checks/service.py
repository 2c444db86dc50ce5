"""What the server did with its clients: served them, kept up with them, served them alike, at an even pace.

Most of these are results and no faults: they say how a number is to be read.
"""

import math

import numpy as np
from scipy.special import stdtr

from benchmarks import histogram
from benchmarks.amounts import digits, duration, percent, rate
from benchmarks.checks.engine import engine_saturated
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram, Series
from benchmarks.summaries import CellSummary, Finding

OVERLOADED, OVERLOADED_AT_TIMES = "overloaded", "overloaded at times"  # in half of the visits or more, in fewer
UNFINISHED = 0.01  # of the requests: then the p99 is only known from below
LATE_ROUNDS = 2  # of a closed loop, in each of which everybody is served once
WAITED = 0.01  # of the arrivals: then the p99 contains their wait
ROUNDS_PASSED_OVER = 10  # in which everybody else was served and one was not: ten times the median response time,
STARVED_S = 0.02  # if they took so long: less is a few time slices (4 ms each) of a thread that was not at fault
EXPECTED_EACH = 20  # completions of each connection, below which chance alone is unfair
FAIR = 0.9  # Jain's index: served alike it was above 0.95 in 170 windows of eight models, unfairly below 0.88 in the others
COLLECTING = 0.01  # of the time
STEPS = 8  # of the series, below which a rank correlation says little
STEP_COMPLETED = 20  # completions in each
STEP_TIMES = 4  # a step is so many service times at least: requests that go round together come in waves
DRIFTED = 0.10  # from one third of the window to another, of the logarithm
CHANCE = 1e-5  # of a steady window's being called drifting: 1 in 100,000, as a run has a thousand windows


def nothing_served(facts: Facts) -> Finding | None:
    """A window without a single completed request has no rate, only silence. Where others took all slots, that is the truth."""
    if facts.load.completed:
        return None
    filled = f", with all {facts.slots:,} slots taken by connections beside the load" if facts.filled_by_companions else ""
    return Finding(
        "nothing served",
        "mark" if filled else "strike",
        f"no request completed in {digits(facts.load.seconds)} s{filled}",
        "a rate of nothing compares with nothing",
        "look at the errors of the visit, or give the level a longer window (--seconds)",
    )


def overloaded(facts: Facts) -> Finding | None:
    """More offered than served, and the engine had time: the server is the limit. A result, not a fault.

    Where the rate falls halfway, what came before need not have been served by the end.
    """
    if not facts.short_by or facts.window.level.then_share is not None or engine_saturated(facts):
        return None
    served = facts.load.completed / facts.load.seconds
    return Finding(
        OVERLOADED,
        "note",
        f"{rate(served)} served of {rate(facts.load.intended / facts.load.seconds)} that came",
        "its queue grows for as long as one looks, so its response time is that of the window's length: not ranked",
        "compare at a rate that it can carry",
    )


def is_overloaded(summary: CellSummary) -> bool:
    """Whether it was offered more than it served, so that its response times are those of a growing queue."""
    return any(finding.check == OVERLOADED for finding in summary.findings)


def no_free_connection(facts: Facts) -> Finding | None:
    """Requests that were due while every connection was busy: send lag that is the server's doing. Said where it kept up."""
    load = facts.load
    if not facts.is_open or load.waited <= WAITED * load.intended or facts.short_by:
        return None
    return Finding(
        "no free connection",
        "note",
        f"{percent(load.waited / load.intended)} of the requests were due while all {load.connections:,} connections were busy",
        "they waited for the server in the load engine: their response time has it, their service time does not",
        "read response times, or give the level more connections",
    )


def more_connections_than_slots(facts: Facts) -> Finding | None:
    """A model with slots serves so many connections at once and lets the others wait to be accepted."""
    if not facts.crowded:
        return None
    return Finding(
        "more connections than slots",
        "mark",
        f"{facts.window.level.connections:,} connections, {facts.slots:,} slots",
        "connections beyond the slots wait to be accepted, so fewer are served at once than the level says",
        "give the model more slots (--workers, --threads), or read its levels within them",
    )


def unfinished_requests(facts: Facts) -> Finding | None:
    """Requests that never ended are in no mean, only in percentiles, with their age. Of an overloaded server it is no news, nor
    where more is asked for than can be served.

    Nor is it of a closed loop whose round is longer than the drain: each connection has a request under way at the end. There
    only those are counted that were passed over, which are older than two rounds.
    """
    load = facts.load
    if facts.short_by or facts.crowded or facts.beyond:
        return None
    asked = histogram.total(load.response) + load.unfinished
    unfinished = load.unfinished if facts.is_open else _older(load.censored, LATE_ROUNDS * facts.round_ns)
    if not asked or unfinished <= UNFINISHED * asked:
        return None
    return Finding(
        "unfinished requests",
        "mark",
        f"{percent(unfinished / asked)} of the requests had no answer when the drain ended",
        "their response times are known from below only",
        "read its high percentiles as lower bounds",
    )


def _older(ages: Histogram, than_ns: float) -> int:
    """How many of these ages are greater."""
    return sum(n for i, n in zip(ages.index, ages.count, strict=True) if histogram.bounds_ns(i)[0] > than_ns)


def starving(facts: Facts) -> Finding | None:
    """Connections that others were served before again and again: a result. The rate is right, the latency is of the lucky.

    In a closed loop where everybody is served in turn nobody is passed over more often than there are connections. Fairness
    over the window is Jain's index (R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984).
    """
    load = facts.load
    served = load.per_connection
    # More connections than slots is one cause with one finding of its own.
    if facts.is_open or facts.crowded or len(served) < 2 or not any(served):
        return None
    most = max(load.passed_over, default=0)
    rounds = max(ROUNDS_PASSED_OVER * len(served), STARVED_S * load.completed / load.seconds)
    index = jain(served)
    if most >= rounds:
        starved = sum(passed >= rounds for passed in load.passed_over)
        seen = f"{starved:,} of {len(served):,} connections were passed over, one of them {most:,} times between two answers"
    elif load.completed >= EXPECTED_EACH * len(served) and index < FAIR:
        seen = f"the connections were served {min(served):,} to {max(served):,} times, Jain's index {index:.2f}"
    else:
        return None
    return Finding(
        "starving",
        "mark",
        seen,
        "the rate is right, but those who wait longest answer seldom and so hardly count in the response times",
        "read the rate, not the latency; measure latency in the open loop",
    )


def jain(completions: list[int]) -> float:
    """Jain's index of fairness: 1 when all connections were served alike, 1/n when one of n got everything.

    Raises ZeroDivisionError when nobody was served.
    """
    return sum(completions) ** 2 / (len(completions) * sum(count * count for count in completions))


def pause_share(facts: Facts) -> float | None:
    """The share of the window in which the server stood still to collect garbage; None where nobody counted.

    Pauses are counted from before the ramp to after the drain, so they are taken by the request. Of several processes that
    is their pauses' sum: more than all of the time is possible.
    """
    server, load = facts.server, facts.load
    if not server.collections or not server.counted_requests:
        return None
    return server.pause_ns / server.counted_requests * load.completed / load.seconds / 1e9


def collecting(facts: Facts) -> Finding | None:
    """Garbage collections that took more than a hundredth of the time. A result: they are the model's own."""
    share = pause_share(facts)
    if share is None or share <= COLLECTING:
        return None
    longest = f", the longest {duration(facts.server.longest_pause_ns)}" if facts.server.longest_pause_ns else ""
    return Finding(
        "garbage collection",
        "note",
        f"{sum(facts.server.collections):,} collections took {percent(share)} of the time{longest}",
        "nobody is served while a collection runs: its length is in the response times of all who wait",
        "compare with gc.freeze() after start, or with a higher threshold",
    )


# ---------------------------------------------------------------- over the window


def drift(facts: Facts) -> Finding | None:
    """A pace that was not the same all through the window: a trend, or slow ups and downs. Then the mean depends on its length.

    Spearman's rank correlation of the pace with time, and of each step with the next (Wald & Wolfowitz's serial correlation,
    Ann. Math. Stat. 14, 1943, by ranks), and a difference that matters between two thirds of the window. Bursts, a rate that
    falls and the first round of a cold server are no steady load, and are not asked.
    """
    level = facts.window.level
    if level.arrivals == "onoff" or level.then_share is not None or level.round == 1:
        return None
    paces = _paces(facts)
    went = course(paces)
    if not went:
        return None
    return Finding(
        "drift",
        "note",
        f"the pace {went} within the window: {', '.join(rate(third) for third in _thirds(paces))} in its thirds",
        "the mean rate depends on when one looks, and on the window's length",
        "see the time line; look for what grows or fills up, or measure longer (--seconds)",
    )


def course(paces: list[float]) -> str:
    """Where a pace went: "rose", "fell", "wandered", or "" if it was steady as far as chance lets one tell."""
    if len(paces) < STEPS or min(thirds := _thirds(paces)) <= 0:
        return ""
    trend = spearman(list(range(len(paces))), paces)
    if abs(math.log(thirds[2] / thirds[0])) >= DRIFTED and _unlikely(abs(trend), len(paces), tails=2):
        return "rose" if trend > 0 else "fell"
    # To follow its neighbour is what a slow movement does; to oppose it, as waves of requests do, is none.
    wanders = _unlikely(spearman(paces[:-1], paces[1:]), len(paces) - 1, tails=1)
    return "wandered" if wanders and math.log(max(thirds) / min(thirds)) >= DRIFTED else ""


def _thirds(paces: list[float]) -> list[float]:
    """The mean pace of the window's three parts."""
    return [float(part.mean()) for part in np.array_split(np.array(paces), 3)]


def _paces(facts: Facts) -> list[float]:
    """Completions per second of steps that are long enough to have a pace; the window's last, short step is left out."""
    load, series = facts.load, facts.load.series
    whole = int(load.seconds * 1e9) // series.step_ns if series.step_ns else 0
    if not load.completed or whole < STEPS:
        return []
    each = load.completed / whole
    turn_ns = max(histogram.mean_ns(load.service), 0.0 if facts.is_open else facts.round_ns)
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
