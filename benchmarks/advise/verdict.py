"""Who meets the objective, who is cheapest, why, and what would change the answer: a pure function of workload and measurement.

A model **qualifies** if its percentile of response time lies within the objective, the upper end of its range included, all
connections are held, no request failed and the rate was served. It **fails** if one of these was measured not to be so.
It is **unknown** where it was not measured, where what was measured is not to be believed, or where the range straddles the
objective. The range goes from the lowest to the highest of the replicates' percentiles and of the 95% interval of all
requests together (David & Nagaraja, "Order Statistics", 3rd ed., section 7.1).

Where requests are too few for the objective's percentile, the highest one that they resolve is judged instead, and that is
said. Short windows cannot show a queue that grows slowly: a server whose queue takes longer than that is unknown.
"""

import math
from dataclasses import dataclass
from typing import Literal

from benchmarks import histogram
from benchmarks.advise.design import Pool, building_s, holding
from benchmarks.advise.measured import Field, Measured
from benchmarks.advise.workload import Workload, amount, plural
from benchmarks.amounts import digits, duration, percent, rate
from benchmarks.stats.intervals import quantile_ranks, samples_wanted
from benchmarks.summaries import Capacity, Pair
from benchmarks.tails import STALL_NS, STALL_SHARE

Stands = Literal["qualifies", "fails", "unknown"]
PERCENTILES = (0.5, 0.75, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
WOULD_DO = "would do"  # how the reason of a pool ends that is too small
USUAL_Q = 0.99  # shown where no objective is given
SHORT_OF_OFFERED = 0.01
SIGMAS = 3.0
NOTICED, NOTICED_MOST_NS = 0.1, 1e7  # a pause of the load engine that matters: of the objective's limit; at most
NEARLY_FULL = 0.95  # of the server's cores
MORE_THAN_SERVED = 2.0  # times as many requests in a window as a pool serves connections: else it may have been spared
WINDOWS_TO_BUILD = 2.5  # a ramp comes before each window


@dataclass(frozen=True, slots=True)
class Reached:
    """A percentile of response time with its range, ns. `high_ns` None: those unanswered leave it open."""

    q: float
    value_ns: float
    low_ns: float
    high_ns: float | None
    requests: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model and how it stands. `why` is one short line with its number; of one that qualifies it may be empty."""

    measured: Measured
    stands: Stands
    why: str
    reached: Reached | None = None

    @property
    def model(self) -> str:
        """Its name."""
        return self.measured.model


@dataclass(frozen=True, slots=True)
class Advice:
    """The answer: those that qualify, cheapest in CPU first; those that fail; those of which the run does not tell."""

    workload: Workload
    qualify: tuple[Candidate, ...]
    fail: tuple[Candidate, ...]
    unknown: tuple[Candidate, ...]
    pairs: tuple[Pair, ...] = ()
    comparable: bool = True
    doubts: tuple[str, ...] = ()

    @property
    def least_memory(self) -> Candidate | None:
        """Of those that qualify, the one that takes the least memory."""
        known = [one for one in self.qualify if one.measured.rss_bytes is not None]
        return min(known, key=lambda one: one.measured.rss_bytes or 0, default=None)

    @property
    def judged_q(self) -> float | None:
        """The percentile by which they were judged where requests were too few for the objective's; None: by its own."""
        wanted = self.workload.objective.q if self.workload.objective else USUAL_Q
        everybody = [*self.qualify, *self.fail, *self.unknown]
        lowest = min((one.reached.q for one in everybody if one.reached), default=wanted)
        return lowest if lowest < wanted else None


def judge(workload: Workload, field: Field) -> Advice:
    """The advice on a workload from what was measured under it."""
    found = [of_capacity(workload, one) if workload.rate_per_s is None else of_model(workload, one) for one in field.models]
    qualify, fail, unknown = ([one for one in found if one.stands == s] for s in ("qualifies", "fails", "unknown"))
    qualify.sort(key=_cost)
    return Advice(workload, tuple(qualify), tuple(fail), tuple(unknown), field.pairs, field.comparable, field.doubts)


def _cost(candidate: Candidate) -> float:
    """What orders those that qualify: CPU of a request, or the rate that they carry, the highest first."""
    capacity = candidate.measured.capacity
    if capacity is not None:
        return -carried_per_s(capacity)
    return candidate.measured.cpu_ns or math.inf


# ---------------------------------------------------------------- at a rate


def of_model(workload: Workload, one: Measured) -> Candidate:
    """How a model stands at the workload's rate."""
    if not one.windows or not one.intended:
        if 0 < one.limit < workload.connections:
            return Candidate(one, "fails", _starved(workload, one))
        return Candidate(one, "unknown", one.failure or "it was not measured")
    found = reached(one, workload.objective.q if workload.objective else USUAL_Q)
    if why := _fails(workload, one, found):
        return Candidate(one, "fails", why, found)
    if why := _unknown(workload, one, found):
        return Candidate(one, "unknown", why, found)
    return Candidate(one, "qualifies", "", found)


def _fails(workload: Workload, one: Measured, found: Reached | None) -> str:
    """Why it fails; empty where it does not, or where nobody can tell whether it does."""
    busy, too_late = utilisation(workload, one), late(workload, found)
    short = bool(short_by(one))
    starves = 0 < one.limit < workload.connections
    if starves and (too_late or one.errors or short or one.connections < workload.connections or _overrun(workload, one)):
        return _starved(workload, one)
    if one.connections < workload.connections:
        return f"{one.connections:,} of {plural(workload.connections, 'connection')} were held"
    if one.errors:
        kind, number = max(one.errors.items(), key=lambda item: item[1])
        return f"{number:,} of {one.intended:,} requests failed ({kind})"
    if one.invalid or _disturbed(workload, one, found):
        return ""
    if not one.completed:
        return f"none of {plural(one.intended, 'request')} was answered"
    if short:
        full = f", its CPU {busy:.0%} busy" if busy >= NEARLY_FULL else ""
        return f"{percent(one.served)} of {amount(workload)} were served{full}"
    return too_late


def _disturbed(workload: Workload, one: Measured, found: Reached | None) -> str:
    """That the load engine itself stood still for longer than the percentile bears, so that delays need not be the server's."""
    limit_ns = workload.objective.limit_ns if workload.objective else math.inf
    share = one.paused(max(STALL_NS, min(NOTICED * limit_ns, NOTICED_MOST_NS)))
    bearable = (1 - (found.q if found else USUAL_Q)) * STALL_SHARE
    return f"the load engine itself stood still for {percent(share)} of the time" if share > bearable else ""


def _overrun(workload: Workload, one: Measured) -> bool:
    """Whether more connections want to be served at once than the server can, by what it declared.

    A connection is held while its request is in service, and then until the next one comes or the server closes it as idle.
    Windows may be too short to show that: they ask those first that were accepted first. By Little's law again.
    """
    rate_per_s = workload.rate_per_s or 0.0
    silent_s = min(one.idle_s or math.inf, workload.connections / rate_per_s - workload.takes_s) if rate_per_s else 0.0
    return rate_per_s * (workload.takes_s + max(silent_s, 0.0)) > one.limit


def late(workload: Workload, found: Reached | None) -> str:
    """In words, that the whole range of the percentile lies beyond the objective; empty where it does not."""
    if workload.objective is None or found is None or found.low_ns <= workload.objective.limit_ns:
        return ""
    return f"{name(found.q)} was {duration(found.value_ns)}"


def _unknown(workload: Workload, one: Measured, found: Reached | None) -> str:
    """Why nobody can tell; empty where it can be told."""
    if one.invalid:
        return one.invalid
    if one.failure:
        return one.failure
    if (disturbed := _disturbed(workload, one, found)) and (short_by(one) or late(workload, found)):
        return disturbed
    if 0 < one.limit < workload.connections and one.intended < MORE_THAN_SERVED * one.limit * one.windows:
        each = digits(one.intended / one.windows)
        return f"it serves {one.limit:,} connections at once; windows of {each} requests do not show whether the others starve"
    busy, window_s = utilisation(workload, one), one.seconds / one.windows
    if busy >= NEARLY_FULL or building_s((one.cpu_ns or 0.0) / 1e9, busy) > WINDOWS_TO_BUILD * window_s:
        return f"its CPU was {busy:.0%} busy: its queue grows for longer than the windows of {duration(window_s * 1e9)}"
    if found is None:
        return f"{plural(one.intended, 'request')} are too few for any percentile"
    if workload.objective is None:
        return ""
    if found.high_ns is None:
        return f"{plural(one.unanswered, 'request')} were not answered in time to bound {name(found.q)}"
    if found.high_ns > workload.objective.limit_ns:
        return f"{name(found.q)} was {duration(found.low_ns)} to {duration(found.high_ns)}"
    return ""


def reached(one: Measured, wanted_q: float) -> Reached | None:
    """The percentile, or the highest below it that the requests resolve, with its range. None with too few for a median."""
    merged = histogram.merge(one.responses)
    total = histogram.total(merged)
    resolved = [q for q in (*PERCENTILES, wanted_q) if q <= wanted_q and samples_wanted(q) <= total]
    if not resolved:
        return None
    q = max(resolved)
    low, high = quantile_ranks(total, q)
    each = [histogram.quantile_ns(own, q) for own in one.responses if histogram.total(own) * (1 - q) >= 1]
    value_ns = histogram.quantile_ns(merged, q)
    low_ns = min([value_ns, *each, *([histogram.value_at_rank(merged, low)] if low else [])])
    # Of those unanswered only the age is known: no upper bound may rest on it.
    open_ended = high is None or high > total - one.unanswered
    high_ns = None if open_ended else max(value_ns, *each, histogram.value_at_rank(merged, high or total))
    return Reached(q, value_ns, low_ns, high_ns, total)


def short_by(one: Measured) -> float:
    """By how many requests less than 99% of those due were served, beyond what the edges of the windows explain; else 0.0.

    Served and due differ by what is under way at a window's edges: N on average, by Little's law the rate times the mean
    response time; the difference of two such numbers, each about Poisson, has a standard deviation of √(2N).
    """
    merged = histogram.merge(one.responses)
    window_s = one.seconds / one.windows
    mean_s = min(histogram.mean_ns(merged) / 1e9, window_s)
    edges = SIGMAS * math.sqrt(2 * one.intended / one.seconds * mean_s * one.windows)
    return max((1 - SHORT_OF_OFFERED) * one.intended - one.completed - edges, 0.0)


def utilisation(workload: Workload, one: Measured) -> float:
    """The share of the server's cores that the CPU time of its requests takes at the workload's rate."""
    return (workload.rate_per_s or 0.0) * (one.cpu_ns or 0.0) / 1e9 / workload.cores


def _starved(workload: Workload, one: Measured) -> str:
    """That it does not serve all connections, and which size would."""
    if one.given and Pool(one.limit, one.given).is_bound:
        option, number = holding(one.given, workload.connections)
        cure = f"--{option} {number}"
    else:
        cure = f"{math.ceil(workload.connections / one.limit)} such servers"
    served = f", {percent(one.served)} of the requests were answered" if one.windows and short_by(one) else ""
    return f"it serves {one.limit:,} of {plural(workload.connections, 'open connection')} at once{served}; {cure} {WOULD_DO}"


# ---------------------------------------------------------------- the highest rate


def of_capacity(workload: Workload, one: Measured) -> Candidate:
    """How a model stands where the highest rate within the objective was searched."""
    capacity = one.capacity
    starves = 0 < one.limit < workload.connections
    if starves and (capacity is None or (capacity.rate_per_s is None and capacity.met_per_s is None)):
        return Candidate(one, "fails", _starved(workload, one))
    if capacity is None:
        return Candidate(one, "unknown", one.failure or "it was not measured")
    if capacity.rate_per_s is not None:
        return Candidate(one, "qualifies", "")
    if capacity.met_per_s is not None:
        return Candidate(one, "qualifies", f"at least: {capacity.why}")
    if capacity.missed_per_s is not None:
        return Candidate(one, "fails", capacity.why or f"missed at {rate(capacity.missed_per_s)}, the lowest that was tried")
    return Candidate(one, "unknown", capacity.why or "the search told nothing")


def carried_per_s(capacity: Capacity) -> float:
    """The rate that it carries: the estimate, or the highest that met the objective."""
    return capacity.rate_per_s.value if capacity.rate_per_s else capacity.met_per_s or 0.0


def name(q: float) -> str:
    """A quantile as people call it: p50, p99, p99.9."""
    return f"p{100 * q:g}"
