"""How far a mean over a few visits, or a percentile of many requests, can be trusted: 95% intervals.

**Means.** Visits are few (3 to 5), and an interval from one cell's visits alone would be four times as wide as needed, or,
by bootstrap, cover 74% instead of 95%. But cells measured side by side share their noise: so the spread of the logarithms is
pooled over the cells of one weather, and Student's t takes the degrees of freedom of all of them. Logarithms, since speeds
vary by factors: an interval of a ratio is then as natural as one of a rate (Box, Hunter & Hunter, "Statistics for
Experimenters", 2nd ed., ch. 4; coverage 94-95% in the simulation of tests/test_intervals.py).

From 10 visits on a cell speaks for itself, whatever the shape of its noise: the BCa bootstrap (Efron, J. Amer. Statist. Assoc.
82, 1987; DiCiccio & Efron, Statist. Sci. 11, 1996) corrects for bias and skew. A bootstrap of n values is narrower than they
warrant, as its resamples know the spread with n in the divisor and Student's tails not at all; its tails are therefore taken
where a normal sample would have its t interval (Hesterberg, The American Statistician 69, 2015). With 10 normal values
that covers 95% instead of 91%, with skewed ones 92% instead of 87%.

**Percentiles.** Between the l-th and the u-th smallest of n values lies the quantile q with a probability that only the
binomial distribution of (n, q) decides, whatever the values' own distribution (David & Nagaraja, "Order Statistics", 3rd
ed., §7.1). That holds for requests of one kind; but those of one visit resemble each other more than those of the next, so
`benchmarks.tails` widens the interval to what the visits' own percentiles leave open, by the rule for means.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, bdtrik, ndtr, ndtri, stdtrit

from benchmarks.summaries import Estimate

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2  # on either side
ENOUGH_ALONE = 10  # visits from which a cell's own suffice to judge its noise

RESAMPLES = 9_999  # the limits then move by a hundredth of the interval's width if the seed is another
_SEED = 1987


@dataclass(frozen=True, slots=True)
class Spread:
    """A standard deviation of logarithms and the degrees of freedom it stands on. Below 0.3, `sd` is nearly the CV."""

    sd: float
    freedom: int

    def at_least(self, sd: float) -> "Spread":
        """The spread, or what the measure itself cannot resolve if that is more: equal counts are no proof of no noise."""
        return Spread(max(self.sd, sd), self.freedom)


def counting_sd(count: int) -> float:
    """The spread of log(count) that comes from counting whole requests between two moments: 0.41 of a request.

    Each edge of the window cuts a request at any point alike; the difference of two uniform cuts has a variance of 1/6.
    """
    return math.sqrt(1 / 6) / max(count, 1)


def pooled_spread(cells: Iterable[Sequence[float]]) -> Spread | None:
    """The common spread within cells: of the logarithms about each cell's own mean. None when no cell has two values.

    Raises ValueError (math domain) for a value that is not positive.
    """
    squares, freedom = 0.0, 0
    for values in cells:
        if len(values) < 2:
            continue
        logs = [math.log(value) for value in values]
        middle = math.fsum(logs) / len(logs)
        squares += math.fsum((log - middle) ** 2 for log in logs)
        freedom += len(logs) - 1
    return Spread(math.sqrt(squares / freedom), freedom) if freedom else None


def student(freedom: float) -> float:
    """How many standard errors the interval reaches to either side, with so many degrees of freedom."""
    return float(stdtrit(freedom, 1 - TAIL))


def mean_estimate(values: Sequence[float], spread: Spread | None, resolution: float = 0.0) -> Estimate | None:
    """The geometric mean of a cell's visits with its interval: under a pooled spread, from 10 visits on under their own.

    None without values. Without a spread (one visit each) there is no interval. `resolution` is the standard deviation of a
    logarithm that the measure itself brings: no interval is narrower than that makes it. Values that may be 0, such as the CPU
    time of a short window in user mode, have no logarithm: they get their arithmetic mean and no interval.
    """
    if not values:
        return None
    if min(values) <= 0:
        return Estimate(math.fsum(values) / len(values), None, None, list(values))
    logs = [math.log(value) for value in values]
    middle = math.fsum(logs) / len(logs)
    count = len(values)
    if count >= ENOUGH_ALONE:
        low, high = bca(logs, widened(count))
        reach = student(count - 1) * resolution / math.sqrt(count)
        low, high = min(low, middle - reach), max(high, middle + reach)
    elif spread is None:
        return Estimate(math.exp(middle), None, None, list(values))
    else:
        reach = student(spread.freedom) * max(spread.sd, resolution) / math.sqrt(count)
        low, high = middle - reach, middle + reach
    return Estimate(math.exp(middle), math.exp(low), math.exp(high), list(values))


def inverse(ratio: Estimate) -> Estimate:
    """The ratio the other way round."""
    return Estimate(
        1 / ratio.value,
        1 / ratio.high if ratio.high else None,
        1 / ratio.low if ratio.low else None,
        [1 / visit for visit in ratio.visits],
    )


def bca(values: Sequence[float], tail: float = TAIL) -> tuple[float, float]:
    """The mean's bias-corrected and accelerated bootstrap interval, leaving out this tail on either side.

    Seeded: the same values always give the same interval. Equal values give one of no width.
    """
    data = np.array(values, np.float64)
    mean = data.mean()
    away = data - mean
    squares = float(np.sum(away**2))
    if squares <= (1e-12 * max(abs(float(mean)), 1.0)) ** 2:  # nothing but rounding
        return float(mean), float(mean)
    means = _weights(len(data)) @ data
    # How far the resamples' middle is from the values', ties counted half; then how the noise grows with the mean, from
    # leaving out one value after the other, which for a mean is a multiple of the values' own skewness.
    below = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / 2 / len(means)
    bias = ndtri(below)
    acceleration = float(np.sum(away**3)) / (6 * squares**1.5)
    shares = []
    for z in (ndtri(tail), -ndtri(tail)):
        shifted = bias + z
        shares.append(float(ndtr(bias + shifted / (1 - acceleration * shifted))))
    low, high = np.quantile(means, shares)
    return float(low), float(high)


def widened(count: int) -> float:
    """The tail at which a bootstrap of so many normal values ends where their 95% t interval does."""
    return float(ndtr(-math.sqrt(count / (count - 1)) * student(count - 1)))


@cache
def _weights(count: int) -> npt.NDArray[np.float64]:
    """The share that each of `count` values has in each resample; the same for all cells of so many visits."""
    rng = np.random.default_rng([_SEED, count])
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count


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
    # The inverse is continuous and its last digit unsure: one step back where that suffices.
    return k - 1 if k and float(bdtr(k - 1, count, q)) >= probability else k
