"""The buckets of every latency histogram: log-linear, exact to three significant digits from 1 µs to 60 s.

The layout is HdrHistogram's with a unit of 1 ns and three digits (Gil Tene, "How NOT to Measure Latency"; hdrhistogram.org):
values below 2048 ns have a bucket each, and every doubling above is cut into 1024 equal buckets, so that a bucket is never
wider than a thousandth of its values. Here are the pure parts: where a bucket lies, merging, percentiles. The engine records
with `benchmarks.load.recorder`, which shares these constants; the tests hold both against the `hdrhistogram` package.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from benchmarks.nouns import Histogram

SUB_BUCKET_BITS = 11  # 2048 sub-buckets: the power of two that resolves three decimal digits
SUB_BUCKETS = 1 << SUB_BUCKET_BITS
HALF = SUB_BUCKETS >> 1
HIGHEST_NS = 60_000_000_000  # larger values are counted as this one
BUCKETS = (HIGHEST_NS.bit_length() - SUB_BUCKET_BITS + 2) * HALF

Counts = npt.NDArray[np.int64]


def index_of(value_ns: int) -> int:
    """The bucket of a value. Values outside 0 … 60 s go to the nearest bucket."""
    value_ns = min(max(value_ns, 0), HIGHEST_NS)
    shift = max(value_ns.bit_length() - SUB_BUCKET_BITS, 0)
    return shift * HALF + (value_ns >> shift)


def bounds_ns(index: int) -> tuple[int, int]:
    """The lowest and the highest value that share a bucket."""
    shift = max(index // HALF - 1, 0)
    low = (index - shift * HALF) << shift
    return low, low + (1 << shift) - 1


def indices_of(values_ns: Counts) -> Counts:
    """The buckets of many values at once; see `index_of`."""
    values_ns = np.clip(values_ns, 0, HIGHEST_NS)
    shift = np.maximum(np.frexp(values_ns)[1].astype(np.int64) - SUB_BUCKET_BITS, 0)  # its exponent is the bit length
    indices: Counts = shift * HALF + (values_ns >> shift)
    return indices


def bounds_of(indices: Counts) -> tuple[Counts, Counts]:
    """The lowest and the highest values of many buckets at once; see `bounds_ns`."""
    shift = np.maximum(indices // HALF - 1, 0)
    low = (indices - shift * HALF) << shift
    return low, low + (np.int64(1) << shift) - 1


def pack(counts: Counts, sum_ns: int, min_ns: int, max_ns: int) -> Histogram:
    """A histogram record from a full array of counts."""
    filled = np.flatnonzero(counts)
    if not filled.size:
        return Histogram()
    return Histogram(filled.tolist(), counts[filled].tolist(), int(sum_ns), int(min_ns), int(max_ns))


def total(histogram: Histogram) -> int:
    """How many values it holds."""
    return sum(histogram.count)


def mean_ns(histogram: Histogram) -> float:
    """The exact mean of the values, not of their buckets; 0.0 when there are none."""
    count = total(histogram)
    return histogram.sum_ns / count if count else 0.0


def mean_of_fastest_ns(histogram: Histogram, share: float) -> float:
    """The mean of the smallest values, a `share` of all, each as the middle of its bucket; 0.0 when there are none."""
    wanted = share * total(histogram)
    if not wanted:
        return 0.0
    counts = np.array(histogram.count, np.float64)
    taken = np.clip(wanted - (np.cumsum(counts) - counts), 0.0, counts)  # of each bucket, from the smallest on
    low, high = bounds_of(np.array(histogram.index, np.int64))
    return float(taken @ (low + high)) / 2 / wanted


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """The histogram of all values together. Percentiles are taken from merged histograms and never averaged."""
    counts = np.zeros(BUCKETS, np.int64)
    sum_ns, lowest, highest = 0, [], []
    for histogram in histograms:
        if not histogram.index:
            continue
        np.add.at(counts, histogram.index, histogram.count)
        sum_ns += histogram.sum_ns
        lowest.append(histogram.min_ns)
        highest.append(histogram.max_ns)
    return pack(counts, sum_ns, min(lowest, default=0), max(highest, default=0))


def value_at_rank(histogram: Histogram, rank: int) -> int:
    """The rank-th smallest value, from 1, to the precision of its bucket: the bucket's highest value, at most the maximum.

    Raises IndexError when the histogram holds fewer values.
    """
    if rank < 1:
        raise IndexError(f"ranks start at 1, not {rank}")
    reached = np.cumsum(histogram.count, dtype=np.int64)
    at = int(np.searchsorted(reached, rank))
    if at == len(reached):
        raise IndexError(f"rank {rank} of a histogram of {total(histogram)} values")
    return min(bounds_ns(histogram.index[at])[1], histogram.max_ns)


def quantile_ns(histogram: Histogram, q: float) -> int:
    """The smallest value that a share `q` of all values do not exceed; 0 when there are none."""
    count = total(histogram)
    return value_at_rank(histogram, max(int(np.ceil(q * count - 1e-9)), 1)) if count else 0


def from_values(values_ns: Iterable[int]) -> Histogram:
    """A histogram of the given values: for tests and for what is counted outside the engine."""
    values = [min(max(int(v), 0), HIGHEST_NS) for v in values_ns]
    counts = np.zeros(BUCKETS, np.int64)
    np.add.at(counts, [index_of(v) for v in values], 1)
    return pack(counts, sum(values), min(values, default=0), max(values, default=0))
