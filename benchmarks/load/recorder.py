"""Recording latencies from compiled code: the hot half of `benchmarks.histogram`, with its buckets."""

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
        self.classes = range(classes)
        self.counts = np.zeros((rows, histogram.BUCKETS), np.int64)
        self.moments = np.zeros((rows, 3), np.int64)
        self.moments[:, _MIN] = np.iinfo(np.int64).max

    def row(self, row: int) -> Histogram:
        """One row as a record, all classes together, the prompt requests included where they belong."""
        if row >= PROMPT:
            return histogram.merge(self.of_class(row, number) for number in self.classes)
        packed = self._pack(row)
        if row == SEND_LAG:
            prompt = sum(int(self.counts[PROMPT + PER_CLASS * number].sum()) for number in self.classes)
            return histogram.merge([packed, Histogram([0], [prompt]) if prompt else Histogram()])
        return packed

    def of_class(self, row: int, number: int) -> Histogram:
        """The row of one class, the prompt requests included where they belong."""
        packed = self._pack(row + PER_CLASS * number)
        if row in (RESPONSE, SERVICE):
            return histogram.merge([packed, self._pack(PROMPT + PER_CLASS * number)])
        return packed

    def _pack(self, row: int) -> Histogram:
        return histogram.pack(self.counts[row], *(int(m) for m in self.moments[row]))
