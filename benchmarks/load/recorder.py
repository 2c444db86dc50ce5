"""Recording latencies from compiled code: the hot half of `benchmarks.histogram`, with its buckets."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import histogram
from benchmarks.load.libc import compiled, leading_zeros
from benchmarks.nouns import Histogram

# The rows of an engine thread's histograms. PROMPT holds requests sent at the very moment they were intended, whose response
# and service times are one number: it is recorded once and belongs to both. It and those that follow are kept for each class of
# requests, `PER_CLASS` rows further for each; a whole is the sum of its classes.
SEND_LAG, OWN_LAG, CONNECT, PROMPT, RESPONSE, SERVICE, CENSORED = range(7)
PER_CLASS = 4

_SUM, _MIN, _MAX = 0, 1, 2
_BITS, _HALF, _HIGHEST = histogram.SUB_BUCKET_BITS, histogram.HALF, histogram.HIGHEST_NS


@compiled
def index_of(value_ns: int) -> int:
    """The bucket of a value from 0 to 60 s."""
    shift = 64 - leading_zeros(value_ns) - _BITS
    if shift < 0:
        shift = 0
    return shift * _HALF + (value_ns >> shift)  # type: ignore[no-any-return]


@compiled
def record(counts: Any, moments: Any, row: int, value_ns: int) -> None:
    """Count one value. `counts` is int64 (rows, BUCKETS), `moments` int64 (rows, 3): sum, minimum, maximum."""
    if value_ns < 0:
        value_ns = 0
    elif value_ns > _HIGHEST:
        value_ns = _HIGHEST
    counts[row, index_of(value_ns)] += 1
    moments[row, _SUM] += value_ns
    if value_ns < moments[row, _MIN]:
        moments[row, _MIN] = value_ns
    if value_ns > moments[row, _MAX]:
        moments[row, _MAX] = value_ns


class Recorder:
    """The histograms of one engine thread, for so many classes of requests."""

    def __init__(self, classes: int = 1) -> None:
        rows = PROMPT + PER_CLASS * classes
        self.classes = classes
        self.counts = np.zeros((rows, histogram.BUCKETS), np.int64)
        self.moments = np.zeros((rows, 3), np.int64)
        self.moments[:, _MIN] = np.iinfo(np.int64).max

    def clear(self) -> None:
        """Forget all values. Only the buckets between a row's extremes are touched: a window of 50 ms fills few of them."""
        for row in range(len(self.counts)):
            self.filled(row)[:] = 0
        self.moments[:] = 0, np.iinfo(np.int64).max, 0

    def low(self, row: int) -> int:
        """The first bucket of a row that isn't empty."""
        return histogram.index_of(int(self.moments[row, _MIN]))

    def filled(self, row: int) -> histogram.Counts:
        """The buckets of a row from its first to its last that isn't empty; none if all are."""
        if self.moments[row, _MIN] > self.moments[row, _MAX]:
            return self.counts[row, :0]
        found: histogram.Counts = self.counts[row, self.low(row) : histogram.index_of(int(self.moments[row, _MAX])) + 1]
        return found

    def row(self, row: int) -> Histogram:
        """One row as a record; see `together`."""
        return together([self], row)


def together(recorders: Sequence[Recorder], row: int, number: int | None = None) -> Histogram:
    """A row of several engine threads as one record, the prompt requests included where they belong.

    It is of the class of that `number`, or of all classes.
    """
    classes = range(recorders[0].classes) if number is None else (number,)
    kinds = (row, PROMPT) if row in (RESPONSE, SERVICE) else (row,)
    rows = [kind + PER_CLASS * of for kind in kinds for of in classes] if row >= PROMPT else [row]
    found = _pack([(one, at) for one in recorders for at in rows])
    if row != SEND_LAG:
        return found
    prompt = sum(int(one.filled(PROMPT + PER_CLASS * of).sum()) for one in recorders for of in classes)
    if not prompt:
        return found
    at_once = Histogram([0], [prompt])
    return histogram.merge([found, at_once]) if found.index else at_once


def _pack(parts: Sequence[tuple[Recorder, int]]) -> Histogram:
    """Rows of recorders as one record: from the buckets between their extremes, not from all that there are."""
    parts = [(one, row) for one, row in parts if one.filled(row).size]
    if not parts:
        return Histogram()
    if len(parts) == 1:
        one, row = parts[0]
        low, counts = one.low(row), one.filled(row)
    else:
        low = min(one.low(row) for one, row in parts)
        counts = np.zeros(max(one.low(row) + one.filled(row).size for one, row in parts) - low, np.int64)
        for one, row in parts:
            counts[one.low(row) - low :][: one.filled(row).size] += one.filled(row)
    filled = np.flatnonzero(counts)
    moments = np.array([one.moments[row] for one, row in parts])
    return Histogram(
        (filled + low).tolist(),
        counts[filled].tolist(),
        int(moments[:, _SUM].sum()),
        int(moments[:, _MIN].min()),
        int(moments[:, _MAX].max()),
    )
