"""The difference of two: how large it is, how sure, and what two separate runs say of it.

A difference is one of logarithms, so a ratio of values; its noise is Student's. Two models of one run are paired by block and
weather (`benchmarks.ranking`). **Two runs share no block**: what is left in common is the weather, so their visits are compared
within each weather that both saw, as two groups (a stratified two-sample t test, the least-squares fit of log(value) = run +
weather). What else differs between two runs, such as the hour, is in the ratio and in no interval.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtr

from benchmarks.intervals import ENOUGH_ALONE, Spread, student
from benchmarks.summaries import Estimate

LEAST_ERROR = 1e-9  # no rate is known to a billionth

Groups = Mapping[Hashable, Sequence[float]]  # the values of one run by the weather in which each was measured


@dataclass(frozen=True, slots=True)
class Difference:
    """The logarithm of a ratio, its standard error and the degrees of freedom of that."""

    log_ratio: float
    error: float
    freedom: int

    def estimate(self, visits: Sequence[float] = ()) -> Estimate:
        """The ratio with its 95% interval."""
        reach = student(self.freedom) * self.error
        low, middle, high = (math.exp(self.log_ratio + by) for by in (-reach, 0.0, reach))
        return Estimate(middle, low, high, list(visits))

    def p_value(self, ratio: float = 1.0) -> float:
        """How probable so large a distance from this ratio would be, to either side, if it were the truth."""
        return 2 * float(stdtr(self.freedom, -abs(self.log_ratio - math.log(ratio)) / self.error))


@dataclass(frozen=True, slots=True)
class Apart:
    """Two groups as they stand: how far apart, the standard error of that in units of the noise, and the noise they show."""

    log_ratio: float
    factor: float
    squares: float  # of the residuals
    freedom: int
    fewest: int  # visits of the smaller group

    def judged(self, pooled: Spread | None, resolution: float = 0.0) -> Difference | None:
        """The difference by the groups' own noise if they are large enough, else by that of all together."""
        own = Spread(math.sqrt(self.squares / self.freedom), self.freedom) if self.freedom else None
        spread = own if self.fewest >= ENOUGH_ALONE else pooled or own
        if spread is None:
            return None
        return Difference(self.log_ratio, max(spread.at_least(resolution).sd * self.factor, LEAST_ERROR), spread.freedom)


def apart(base: Groups, other: Groups) -> Apart | None:
    """How far `other` is from `base` within the weathers that both saw; None when there is no such weather.

    Raises ValueError (math domain) for a value that is not positive.
    """
    shared = [weather for weather in base if base[weather] and other.get(weather)]
    if not shared:
        return None
    strata = [([math.log(v) for v in base[w]], [math.log(v) for v in other[w]]) for w in shared]
    # A weather counts by how well its own difference is known: variances of means add up, 1/n + 1/m.
    weights = [len(a) * len(b) / (len(a) + len(b)) for a, b in strata]
    steps = [_mean(b) - _mean(a) for a, b in strata]
    log_ratio = math.fsum(w * step for w, step in zip(weights, steps, strict=True)) / sum(weights)
    inside = math.fsum(_squares(group) for pair in strata for group in pair)
    between = math.fsum(w * (step - log_ratio) ** 2 for w, step in zip(weights, steps, strict=True))
    return Apart(
        log_ratio=log_ratio,
        factor=1 / math.sqrt(sum(weights)),
        squares=inside + between,
        freedom=sum(len(a) + len(b) - 1 for a, b in strata) - 1,
        fewest=min(sum(len(pair[side]) for pair in strata) for side in (0, 1)),
    )


def pooled(pairs: Iterable[Apart]) -> Spread | None:
    """The noise that they all show together; None when no freedom is left to judge it."""
    found = list(pairs)
    freedom = sum(pair.freedom for pair in found)
    return Spread(math.sqrt(math.fsum(pair.squares for pair in found) / freedom), freedom) if freedom else None


def _mean(logs: Sequence[float]) -> float:
    return math.fsum(logs) / len(logs)


def _squares(logs: Sequence[float]) -> float:
    middle = _mean(logs)
    return math.fsum((log - middle) ** 2 for log in logs)
