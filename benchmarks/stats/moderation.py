"""Variances from few values, moderated: each is drawn towards the value that all of them have in common.

With three replicates a variance has two degrees of freedom: alone it is hardly known, and pooled with the others it hides that
one model is noisier than the rest. Empirical Bayes lies between (Smyth, "Linear models and empirical Bayes methods for
assessing differential expression in microarray experiments", Stat. Appl. Genet. Mol. Biol. 3(1), 2004): the true variances are
taken to scatter about a prior s0² as a scaled inverse chi-squared distribution with d0 degrees of freedom does; s0² and d0 are
estimated from the mean and the variance of the logarithms of the observed variances (section 6.2 there). The more alike these
are, the larger is d0, up to infinity, where all are pooled.

Where variances go with the size of what varies, the prior follows: logarithms of variances are fitted as a straight line over
logarithms of sizes, if its slope is significant, and what is moderated is the variance by that line (the mean-variance trend of
limma: Sartor et al., BMC Bioinformatics 7, 2006; Phipson et al.). Response times of a few tens of microseconds scatter
more than those of ten milliseconds, and each is to be moderated by its like.

Two moments do not show one very noisy model among quiet ones, since chance alone scatters the logarithms widely. Therefore each
variance is also tested against all others: the less probable so large a value would be, the less of the prior's freedom it gets
(as Phipson, Lee, Majewski, Alexander & Smyth, Ann. Appl. Statist. 10, 2016, do with hypervariable genes). The simulations of
tests/test_scoreboard.py give the coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, polygamma, psi

from benchmarks.stats.intervals import student

Floats = npt.NDArray[np.float64]

LEAST_VARIANCE = 1e-18  # of logarithms: no rate is known to a billionth
LEAST_SHARE = 1e-4  # of the pooled variance; a smaller variance comes from values that happen to be equal
LEAST_FREEDOM = 0.5  # fewer degrees are as good as none; where values are missing, they are fractions
ALL = math.inf  # degrees of freedom of a prior that all variances share
DOUBTFUL = 0.3  # a variance with a smaller p-value gets less of the prior, in proportion
FEWEST_ON_A_LINE, LEAST_RANGE = 8, 0.3  # variances, and of the logarithms of their sizes, that can show a trend,
TREND = 0.01  # whose p-value must be smaller
ALIEN = 0.01  # one with a smaller p-value has no part in estimating the prior


@dataclass(frozen=True, slots=True)
class Moderated:
    """Moderated variances and the degrees of freedom of each; the prior; all pooled."""

    variances: Floats
    freedoms: Floats
    prior: float
    prior_freedom: float
    pooled: float
    pooled_freedom: float


def moderate(
    variances: Sequence[float] | Floats,
    freedoms: Sequence[float] | Floats,
    pooled_freedom: float | None = None,
    correlation: float = 0.0,
    least: float = 0.0,
    sizes: Sequence[float] | Floats | None = None,
) -> Moderated | None:
    """Moderate variances that have these degrees of freedom; None when there is no freedom at all.

    `pooled_freedom` is that of all variances together, by default the sum; no moderated variance gets more. `correlation` is
    that between any two of them, since residuals of one fit are not independent. `least` is the smallest variance that the
    measurement resolves, `sizes` the logarithms of what varies. A variance without freedom of its own, as from a single value,
    becomes the prior.
    """
    given = np.asarray(freedoms, np.float64)
    total = float(given.sum()) if pooled_freedom is None else pooled_freedom
    if total <= 0 or not given.max() > 0:
        return None
    found = given >= min(LEAST_FREEDOM, float(given.max()))
    own = np.where(found, given, 0.0)
    d = own[found]
    raw = np.asarray(variances, np.float64)[found]
    pooled = float(raw @ d) / float(d.sum())
    line = np.ones(len(own)) if sizes is None else _line(raw, d, np.asarray(sizes, np.float64), found, LEAST_SHARE * pooled)
    s2 = np.maximum(raw, max(least, LEAST_SHARE * pooled, LEAST_VARIANCE)) / line[found]
    usual, p_values = _usual(s2, d, total)
    d0, prior = _prior(s2[usual], d[usual], correlation)
    share = np.full(len(own), d0)
    share[found] = np.where(p_values < DOUBTFUL, min(d0, total) * p_values / DOUBTFUL, d0)
    # The prior's weight is share / (share + own), which is 1 where the share is infinite.
    weight = 1 / (1 + own / np.maximum(share, 1e-12))
    values = np.full(len(own), prior)
    values[found] = s2
    return Moderated(
        variances=np.maximum(line * (weight * prior + (1 - weight) * values), max(least, LEAST_VARIANCE)),
        freedoms=np.minimum(share + own, total),
        prior=prior,
        prior_freedom=d0,
        pooled=pooled,
        pooled_freedom=total,
    )


def _line(raw: Floats, d: Floats, sizes: Floats, found: npt.NDArray[np.bool_], floor: float) -> Floats:
    """By what factor each variance is expected to differ from a typical one, by its size; 1 where no trend is significant."""
    x, flat = sizes[found], np.ones(len(sizes))
    if len(x) < FEWEST_ON_A_LINE or float(np.ptp(x)) < LEAST_RANGE:
        return flat
    y = np.log(np.maximum(raw, max(floor, LEAST_VARIANCE))) - psi(d / 2) + np.log(d / 2)
    weights = 1 / polygamma(1, d / 2)
    middle = float(np.average(x, weights=weights))
    spread = float(weights @ (x - middle) ** 2)
    slope = float(weights @ ((x - middle) * y)) / spread
    left = y - np.average(y, weights=weights) - slope * (x - middle)
    error = math.sqrt(max(float(weights @ left**2) / (len(x) - 2), 1.0) / spread)
    if abs(slope) < student(len(x) - 2.0, TREND / 2) * error:
        return flat
    return np.exp(slope * (np.clip(sizes, x.min(), x.max()) - middle))


def _usual(s2: Floats, d: Floats, total: float) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which variances have a part in the prior: all but those that are far larger than the others, of which the largest is left
    out first, so that it hides no other. And for each the p-value of being so much larger than the usual others."""
    usual = np.ones(len(s2), np.bool_)
    while True:
        p_values = _too_large(s2, d, usual, total / float(d.sum()))
        worst = int(np.argmin(np.where(usual, p_values, 2.0)))
        if p_values[worst] > ALIEN or np.count_nonzero(usual) <= (len(s2) + 1) // 2:
            return usual, p_values
        usual[worst] = False


def _too_large(s2: Floats, d: Floats, usual: npt.NDArray[np.bool_], share: float) -> Floats:
    """For each variance the p-value of being so much larger than all usual others pooled (F test). `share` is by how much less
    freedom the residuals of one fit have than the sum."""
    others = float(d[usual].sum()) - d * usual
    pooled = (float(s2[usual] @ d[usual]) - s2 * d * usual) / np.where(others > 0, others, 1.0)
    p_values = fdtrc(d, np.maximum(others * share, 1e-6), s2 / np.maximum(pooled, LEAST_VARIANCE))
    return np.asarray(np.where(others > 0, p_values, 1.0), np.float64)


def _prior(s2: Floats, d: Floats, correlation: float) -> tuple[float, float]:
    """The prior's degrees of freedom and its variance, by the moments of log s²."""
    pooled = float(s2 @ d) / float(d.sum())
    if len(s2) < 2:
        return ALL, pooled
    logs = np.log(s2) - psi(d / 2) + np.log(d / 2)
    excess = float(logs.var(ddof=1)) - float(polygamma(1, d / 2).mean()) * (1 - correlation)
    if excess <= 1e-6:
        return ALL, pooled
    d0 = 2 * trigamma_inverse(excess)
    return d0, math.exp(float(logs.mean()) + float(psi(d0 / 2)) - math.log(d0 / 2))


def trigamma_inverse(x: float) -> float:
    """The y > 0 with trigamma(y) = x, by Newton's method on 1 / trigamma, which is convex (Smyth 2004, appendix)."""
    if x > 1e7:
        return 1 / math.sqrt(x)
    if x < 1e-6:
        return 1 / x
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
