"""Percentiles that may be believed: from merged histograms, with what never finished counted in, or refused with a reason.

Three things make a percentile a fiction, and each is asked first:

- **too few requests**: fewer than `samples_wanted(q)` and not even the slowest one bounds it;
- **the engine's own pauses**: while the load engine is not running it sends late and sees answers late, which ends up in the
  tail as if the server had done it. Where pauses over 200 µs hold a third of the tail's share of time, the tail is theirs;
- **requests that never finished**: all that is known of them is their age. While they are no more than the tail holds, their
  place is above the percentile; beyond, the answer is "at least" (censoring: Klein & Moeschberger, "Survival Analysis", §3.2).

Percentiles of replicates are never averaged: histograms are merged, and the percentile is taken from all requests together. Its
interval is at least as wide as the replicates' own percentiles differ, for requests of one replicate resemble each other.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import histogram
from benchmarks.nouns import Histogram, LoadResult
from benchmarks.stats.intervals import quantile_ranks, samples_wanted, student
from benchmarks.stats.moderation import moderate
from benchmarks.summaries import Quantile

Whole = npt.NDArray[np.int64]

QUANTILES = (0.5, 0.9, 0.99, 0.999)
STALL_NS = 200_000  # a pause of the engine that a tail would notice
STALL_SHARE = 1 / 3  # of the tail's share of the time, at which it is drowned

_ranks = functools.lru_cache(maxsize=4096)(quantile_ranks)  # several kinds of times have the same number of requests

# From the first fifth to where 10,000 requests have one left: ten points to each factor of ten, as HDR charts draw it.
CURVE = tuple(1 - 10 ** (-step / 10) for step in range(1, 41))


@dataclass(frozen=True, slots=True)
class Sample:
    """What one replicate says of one kind of time: those measured, and the ages of those that never finished."""

    finished: Histogram
    censored: Histogram


@dataclass(frozen=True, slots=True)
class Pauses:
    """The engine's own gaps over some windows: their lengths and the windows' length, ns."""

    lengths_ns: tuple[int, ...]
    window_ns: float

    @property
    def stalled_share(self) -> float:
        """The share of time in pauses long enough to spoil a tail."""
        return sum(length for length in self.lengths_ns if length > STALL_NS) / self.window_ns if self.window_ns else 0.0


def pauses(loads: Sequence[LoadResult]) -> Pauses:
    """The engine's pauses in these windows together."""
    return Pauses(tuple(length for load in loads for _, length in load.gaps), sum(load.seconds for load in loads) * 1e9)


def name(q: float) -> str:
    """A quantile as people call it: p50, p99, p99.9."""
    return f"p{100 * q:g}"


def too_few(q: float, samples: int) -> str:
    """Why so few samples cannot tell the quantile q; empty when they can."""
    wanted = samples_wanted(q)
    return f"{samples:,} samples, {name(q)} wants {wanted:,}" if samples < wanted else ""


def drowned(q: float, paused: Pauses) -> str:
    """Why the engine's own pauses keep the quantile q from being told; empty when they do not."""
    bearable = (1 - q) * STALL_SHARE
    if paused.stalled_share < bearable:
        return ""
    return f"the engine itself stood still for {paused.stalled_share:.2%} of the time, {name(q)} bears {bearable:.2%}"


class Ordered:
    """The values of some histograms together, in order, to be asked many times: cumulative counts, found by bisection."""

    def __init__(self, those: Sequence[Histogram] | Sequence["Ordered"]) -> None:
        filled = [one for one in those if len(one.index)]
        index: list[Whole] = [np.asarray(one.index, np.int64) for one in filled] or [np.zeros(0, np.int64)]
        count: list[Whole] = [np.asarray(one.count, np.int64) for one in filled] or [np.zeros(0, np.int64)]
        self.index: Whole
        self.count: Whole
        self.index, self.count = _merged(index, count)
        self.max_ns: int = max((one.max_ns for one in filled), default=0)
        self.reached = np.cumsum(self.count)
        self.total = int(self.reached[-1]) if len(self.reached) else 0

    def value_at_rank(self, rank: int) -> int:
        """The rank-th smallest value, 1 <= rank <= total, as `histogram.value_at_rank` has it."""
        bucket = int(self.index[self.reached.searchsorted(rank)])
        return min(histogram.bounds_ns(bucket)[1], self.max_ns)

    def quantile_ns(self, q: float) -> int:
        """The smallest value that a share q of all do not exceed."""
        return self.value_at_rank(max(math.ceil(q * self.total - 1e-9), 1))

    def quantiles_ns(self, qs: Sequence[float]) -> list[float]:
        """The same for many."""
        ranks = np.maximum(np.ceil(np.array(qs) * self.total - 1e-9), 1)
        buckets = self.index[np.searchsorted(self.reached, ranks)] if len(qs) else self.index[:0]
        return [float(value) for value in np.minimum(histogram.bounds_of(buckets)[1], self.max_ns)]


def _merged(index: Sequence[Whole], count: Sequence[Whole]) -> tuple[Whole, Whole]:
    """The buckets that are filled in any of several histograms, in order, with their counts together."""
    if len(index) == 1:
        return index[0], count[0]
    counts = np.zeros(max(int(one[-1]) for one in index) + 1, np.int64)
    for buckets, counted in zip(index, count, strict=True):
        counts[buckets] += counted  # no bucket twice in one histogram
    filled = np.flatnonzero(counts)
    return filled, counts[filled]


@dataclass(frozen=True, slots=True)
class Scatter:
    """How the replicates' own quantiles differ: the standard deviation of their logarithms, and what freedom it stands on."""

    sd: float
    freedom: float


class Tail:
    """The requests of one cell, all replicates together, to be asked for several quantiles."""

    def __init__(self, samples: Sequence[Sample], paused: Pauses) -> None:
        self.replicates = [Ordered([one.finished, one.censored]) for one in samples]
        self.all = Ordered(self.replicates)
        self.finished = sum(histogram.total(one.finished) for one in samples)
        self.paused = paused

    @property
    def unfinished_share(self) -> float:
        """The share of requests of which only the age is known."""
        return 1 - self.finished / self.all.total if self.all.total else 0.0

    def quantile(self, q: float, scatter: Scatter | None = None) -> Quantile:
        """The quantile q with its 95% interval, "at least" so much, or why not.

        The interval is what the requests alone would allow, or what the replicates' own quantiles do, if that is wider.
        """
        why = self._refusal(q)
        if why:
            return Quantile(q, "insufficient", None, None, None, why)
        value = self.all.quantile_ns(q)
        reach = math.exp(student(scatter.freedom) * scatter.sd / math.sqrt(len(self.replicates))) if scatter else 1.0
        low, high = _ranks(self.all.total, q)
        low_ns = min(self.all.value_at_rank(low), value / reach) if low else None
        if self._censored(q):
            why = f"{self.unfinished_share:.1%} of the requests never finished"
            return Quantile(q, "at least", value, low_ns, None, why)
        # Those that never finished may have taken for ever: no upper bound may rest on their age.
        bounded = high is not None and high <= self.finished
        return Quantile(q, "ok", value, low_ns, max(self.all.value_at_rank(high or 1), value * reach) if bounded else None)

    def of_replicates(self, q: float) -> list[float]:
        """The quantile q of each replicate that has the requests to know its own: what shows how far they differ."""
        wanted = samples_wanted(q)
        told = (one.quantile_ns(q) for one in self.replicates if one.total >= wanted)
        return [float(value) for value in told if value > 0]

    def _refusal(self, q: float) -> str:
        return too_few(q, self.all.total) or drowned(q, self.paused)

    def curve(self) -> list[tuple[float, float]]:
        """(q, ns) up to the last quantile that can be told, for the chart of response time by percentile."""
        told = list(itertools.takewhile(lambda q: not self._refusal(q) and not self._censored(q), CURVE))
        return list(zip(told, self.all.quantiles_ns(told), strict=True))

    def _censored(self, q: float) -> bool:
        """Whether the quantile lies among those that never finished. The slack is for 1 - 0.9, which is not 0.1."""
        return self.unfinished_share > 1 - q + 1e-12


def scatters(tails: Sequence[Tail], q: float) -> list[Scatter | None]:
    """How each cell's replicates differ in their quantile q, moderated over the cells; None without two replicates anywhere."""
    logs = [np.log(tail.of_replicates(q)) for tail in tails]
    variances = [float(np.var(own, ddof=1)) if len(own) > 1 else 0.0 for own in logs]
    found = moderate(variances, [max(len(own) - 1, 0) for own in logs])
    if found is None:
        return [None] * len(tails)
    return [Scatter(math.sqrt(v), freedom) for v, freedom in zip(found.variances, found.freedoms, strict=True)]


def hiccup_ns(q: float, paused: Pauses) -> float:
    """What the engine's pauses alone would cost: the quantile q of the delay of requests that arrive at any moment alike.

    A request that arrives inside a pause of length g waits for its end, anything from 0 to g; outside it waits nothing. So a
    share sum(max(g - x, 0)) / window of all requests waits longer than x, and the quantile is the x where that share is 1-q
    (after Gil Tene's jHiccup, which measures the same with a sleeping thread).
    """
    allowed_ns = (1 - q) * paused.window_ns
    longest_first = sorted(paused.lengths_ns, reverse=True)
    reached_ns = 0
    for count, length in enumerate(longest_first, start=1):
        reached_ns += length
        delay = (reached_ns - allowed_ns) / count  # if exactly these pauses are longer than the delay
        following = longest_first[count] if count < len(longest_first) else 0
        if delay >= following:
            return max(delay, 0.0)
    return 0.0
