"""Recording latencies from compiled code: the hot half of `benchmarks.histogram`, with its buckets."""

from typing import Any

import numpy as np

from benchmarks import histogram
from benchmarks.load.libc import compiled, leading_zeros
from benchmarks.nouns import Histogram

# The rows of an engine thread's histograms. PROMPT holds requests sent at the very moment they were intended, whose response
# and service times are one number: it is recorded once and belongs to both.
PROMPT, RESPONSE, SERVICE, SEND_LAG, OWN_LAG, CONNECT, CENSORED = range(7)
ROWS = 7

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
    """Count one value. `counts` is int64 (ROWS, BUCKETS), `moments` int64 (ROWS, 3): sum, minimum, maximum."""
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
    """The histograms of one engine thread."""

    def __init__(self) -> None:
        self.counts = np.zeros((ROWS, histogram.BUCKETS), np.int64)
        self.moments = np.zeros((ROWS, 3), np.int64)
        self.moments[:, _MIN] = np.iinfo(np.int64).max

    def row(self, row: int) -> Histogram:
        """One row as a record, the prompt requests included where they belong."""
        packed = self._pack(row)
        if row in (RESPONSE, SERVICE):
            return histogram.merge([packed, self._pack(PROMPT)])
        if row == SEND_LAG:
            prompt = int(self.counts[PROMPT].sum())
            return histogram.merge([packed, Histogram([0], [prompt]) if prompt else Histogram()])
        return packed

    def _pack(self, row: int) -> Histogram:
        return histogram.pack(self.counts[row], *(int(m) for m in self.moments[row]))
