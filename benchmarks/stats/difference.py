"""One difference of logarithms with its error, and what many of them say together: "different", "same" or "open".

*Different* is a two-sided t test. *Same* within a margin is two one-sided t tests, of being above the lower and below the upper
end of the margin (TOST: Schuirmann, J. Pharmacokin. Biopharm. 15, 1987). Both are corrected for the number of comparisons by
Holm's method (Scand. J. Statist. 6, 1979): the chance of even one false "different" among all of them is at most 5%, and so is
that of one false "same".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr

from benchmarks.stats.intervals import student
from benchmarks.summaries import Call, Estimate

FALSE_CALL = 0.05  # the chance of one or more false calls of a kind among all comparisons
LEAST_ERROR = 1e-9  # no rate is known to a billionth
WIDEST = 100.0  # no interval reaches further, in logarithms


@dataclass(frozen=True, slots=True)
class Difference:
    """The logarithm of a ratio, its standard error and the degrees of freedom of that.

    `error` is None where nothing shows the noise, from one replicate each: then no test finds anything.
    """

    log_ratio: float
    error: float | None
    freedom: float

    @property
    def ratio(self) -> float:
        """The ratio itself."""
        return math.exp(self.log_ratio)

    def estimate(self, replicates: Sequence[float] = ()) -> Estimate:
        """The ratio with its own 95% interval; `replicates` are the ratios that it was made of."""
        if self.error is None:
            return Estimate(self.ratio, None, None, list(replicates))
        reach = min(student(self.freedom) * self.error, WIDEST)
        return Estimate(self.ratio, math.exp(self.log_ratio - reach), math.exp(self.log_ratio + reach), list(replicates))

    def p_value(self, ratio: float = 1.0) -> float:
        """The two-sided p-value against this ratio being the true one."""
        if self.error is None:
            return 1.0
        return 2 * float(stdtr(self.freedom, -abs(self.log_ratio - math.log(ratio)) / self.error))

    def same_p_value(self, margin: float) -> float:
        """The p-value against the true ratio being outside 1 / (1 + margin) to 1 + margin: the larger of two one-sided ones."""
        if self.error is None:
            return 1.0
        return float(stdtr(self.freedom, (abs(self.log_ratio) - math.log1p(margin)) / self.error))

    def inverse(self) -> "Difference":
        """The difference the other way round."""
        return Difference(-self.log_ratio, self.error, self.freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in the same order (Holm's step-down method)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for done, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[at]))
        corrected[at] = largest
    return corrected


def significant(differences: Sequence[Difference]) -> list[bool]:
    """Which differences are significant, corrected for their number."""
    return [p < FALSE_CALL for p in holm([difference.p_value() for difference in differences])]


def calls(differences: Sequence[Difference], margin: float) -> list[Call]:
    """What each is called, corrected for their number: the same within the margin, else different if significant, else open."""
    same = [p < FALSE_CALL for p in holm([difference.same_p_value(margin) for difference in differences])]
    different = significant(differences)
    return ["same" if s else "different" if d else "open" for s, d in zip(same, different, strict=True)]
