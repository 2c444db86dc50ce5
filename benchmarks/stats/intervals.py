"""95% intervals that need no comparison: of one model alone over replicates, of percentiles, of counts.

**Means.** Replicates are few, so the interval is Student's t on the logarithms: speeds vary by factors, and an interval of a
ratio is then as natural as one of a rate (Box, Hunter & Hunter, "Statistics for Experimenters", 2nd ed., ch. 4).

**Percentiles.** Between the l-th and the u-th smallest of n values lies the quantile q with a probability that only the
binomial distribution of (n, q) decides, whatever the values' own distribution (David & Nagaraja, "Order Statistics", 3rd
ed., §7.1). This holds for independent requests of one kind; between replicates percentiles scatter more.
"""

import math
from collections.abc import Sequence

from scipy.special import bdtr, bdtrik, stdtrit

from benchmarks.summaries import Estimate

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2  # on either side


def student(freedom: float, tail: float = TAIL) -> float:
    """How many standard errors an interval reaches that leaves out this tail on either side; by default a 95% interval."""
    return float(stdtrit(freedom, 1 - tail))


def interval(values: Sequence[float], resolution: float = 0.0) -> Estimate:
    """The geometric mean of one model's replicates with its 95% interval.

    `resolution` is the standard deviation of a logarithm that the measurement itself brings: the interval is no narrower than
    that makes it. One value has no interval. Values that may be 0, such as the CPU time of a short window in user mode, have no
    logarithm: they get their arithmetic mean and no interval. Raises ValueError without any value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    count = len(values)
    if min(values) <= 0:
        return Estimate(math.fsum(values) / count, None, None, list(values))
    logs = [math.log(value) for value in values]
    middle = math.fsum(logs) / count
    if count == 1:
        return Estimate(values[0], None, None, list(values))
    sd = math.sqrt(math.fsum((log - middle) ** 2 for log in logs) / (count - 1))
    reach = student(count - 1) * max(sd, resolution) / math.sqrt(count)
    return Estimate(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), list(values))


def counting_sd(count: int) -> float:
    """The standard deviation of log(count) that comes from counting whole requests between two moments: 0.41 of a request.

    Each edge of the window cuts a request at any point alike; the difference of two uniform cuts has a variance of 1/6.
    """
    return math.sqrt(1 / 6) / max(count, 1)


def samples_wanted(q: float) -> int:
    """The fewest samples that bound the quantile q on both sides: 6 for the median, 367 for p99, 3,687 for p99.9.

    All n values lie on one side of it with probability max(q, 1-q) ** n; where that exceeds the 2.5% of a tail, not even the
    largest of them is an upper bound. So n >= ln 0.025 / ln max(q, 1-q); a tenth of a sample is forgiven, for 367.04 is 367.
    """
    return math.ceil(math.log(TAIL) / math.log(max(q, 1 - q)) - 0.1)


def quantile_ranks(count: int, q: float) -> tuple[int | None, int | None]:
    """The ranks, from 1, of the order statistics that enclose the quantile q of `count` values; None where there is none."""
    if count < 1:
        return None, None
    low = _binomial_point(TAIL, count, q)
    high = _binomial_point(1 - TAIL, count, q) + 1
    # By the tenth of a sample that was forgiven, p99's upper rank of 367 would be 368.
    if high > count and count >= samples_wanted(q):
        high = count
    return (low if low >= 1 else None), (high if high <= count else None)


def _binomial_point(probability: float, count: int, q: float) -> int:
    """The smallest k for which Binomial(count, q) is at most k with this probability."""
    k = max(math.ceil(float(bdtrik(probability, count, q))), 0)
    # The inverse is continuous and its last digit inexact: one step back where that suffices.
    return k - 1 if k and float(bdtr(k - 1, count, q)) >= probability else k
