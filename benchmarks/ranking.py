"""Who is better than whom, and what the noise cannot tell apart.

Models are compared by the ratio of their values **within a block**: whatever slowed the machine for a minute slowed all
models of that block, and a ratio of two visits of one block and one weather has lost it. All such ratios together are the
least-squares fit of log(value) = model + block (the analysis of a randomized block design: Box, Hunter & Hunter, "Statistics
for Experimenters", 2nd ed., §4.2): with whole blocks the difference of two models' effects is exactly the mean of their paired
log-ratios, with visits missing it uses what the other models say about the blocks, and its residuals are the noise. That is
pooled over the models while blocks are few; from 10 pairs on two models are judged by the noise of their own ratios, for some
models are three times as noisy as others, and by the noise of all they would be told apart too easily.

Every pair is tested with Student's t, and the p-values are corrected for there being many pairs (Holm, Scand. J. Statist. 6,
1979): the chance that the ranks contain even one false difference is at most 5%. A model's **rank** is one more than the number
of models that are better beyond doubt; those that cannot be told apart from the best share rank 1.
"""

import itertools
import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from benchmarks.differences import LEAST_ERROR, Difference
from benchmarks.intervals import ENOUGH_ALONE, Spread
from benchmarks.summaries import Estimate

FALSE_DIFFERENCE = 0.05  # chance of one or more among all pairs of a ranking

Floats = npt.NDArray[np.float64]

# A model's values by the block and the weather in which each was measured.
Paired = Mapping[str, Mapping[Hashable, float]]


@dataclass(frozen=True, slots=True)
class Place:
    """A model among the others: its rank and its ratio to the best, own / best, with an interval for that one ratio."""

    rank: int | None  # None: no noise is known to judge by, or nothing links it to the best
    relative: Estimate | None  # its `visits` are the ratios in the blocks that both were visited in


@dataclass(frozen=True, slots=True)
class Fit:
    """Models' effects (logarithms, on a common but arbitrary zero), their covariance in units of the noise, and the noise.

    Effects of two models may be compared when they are `linked`: by a block of one weather that both were visited in, or by
    a chain of such.
    """

    models: tuple[str, ...]
    effects: Floats
    covariance: Floats
    linked: tuple[int, ...]  # models of one number are
    spread: Spread | None  # of a single value; None when no freedom is left to judge it
    logs: tuple[Mapping[Hashable, float], ...]  # of each model's values
    resolution: float

    def log_ratio(self, one: int, other: int) -> float:
        """The logarithm of the ratio of one model's values to another's."""
        return float(self.effects[one] - self.effects[other])

    def difference(self, one: int, other: int) -> Difference | None:
        """That with its noise; None where there is none to judge by."""
        spread = self._noise(one, other)
        if spread is None:
            return None
        covariance = self.covariance
        factor = float(covariance[one, one] + covariance[other, other] - 2 * covariance[one, other])
        return Difference(self.log_ratio(one, other), max(spread.sd * math.sqrt(max(factor, 0.0)), LEAST_ERROR), spread.freedom)

    def _noise(self, one: int, other: int) -> Spread | None:
        """The noise of a single value: of the two models alone where they have been paired often enough."""
        own, others = self.logs[one], self.logs[other]
        ratios = [own[key] - others[key] for key in own if key in others]
        if len(ratios) < ENOUGH_ALONE:
            return self.spread
        return Spread(statistics.stdev(ratios) / math.sqrt(2), len(ratios) - 1).at_least(self.resolution)


def fit(values: Paired, resolution: float = 0.0) -> Fit:
    """The least-squares fit of log(value) = model + block and weather; the noise is at least the measure's `resolution`.

    Raises ValueError when there is no value at all, or one that is not positive.
    """
    models = tuple(model for model in values if values[model])
    keys = list(dict.fromkeys(key for model in models for key in values[model]))
    rows = [(m, len(models) + keys.index(key)) for m, model in enumerate(models) for key in values[model]]
    design = np.zeros((len(rows), len(models) + len(keys)))
    for at, columns in enumerate(rows):
        design[at, columns] = 1
    by_model = tuple({key: math.log(value) for key, value in values[model].items()} for model in models)
    logs = np.array([log for of_model in by_model for log in of_model.values()])
    # The design has no full rank, as one may add to all models what one takes from all blocks: the pseudo-inverse settles that
    # somehow, and differences of linked models do not depend on how.
    covariance: Floats = np.asarray(np.linalg.pinv(design.T @ design), np.float64)
    effects = covariance @ design.T @ logs
    linked = _linked(rows, design.shape[1])
    freedom = len(rows) - design.shape[1] + len(set(linked))
    noise = math.sqrt(float(np.sum((logs - design @ effects) ** 2)) / freedom) if freedom else 0.0
    size = len(models)
    spread = Spread(noise, freedom).at_least(resolution) if freedom else None
    return Fit(models, effects[:size], covariance[:size, :size], linked[:size], spread, by_model, resolution)


def _linked(edges: Sequence[tuple[int, int]], nodes: int) -> tuple[int, ...]:
    """For each node the smallest node that a chain of edges leads to."""
    least = list(range(nodes))
    for _ in range(nodes):
        for one, other in edges:
            least[one] = least[other] = min(least[one], least[other])
    return tuple(least)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in the same order (Holm's step-down method)."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for done, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[at]))
        corrected[at] = largest
    return corrected


def place(values: Paired, higher_is_better: bool = True, resolution: float = 0.0) -> dict[str, Place]:
    """Everybody's place. Models without a value are left out; those that nothing links to most of the others have no rank.

    `resolution` is the standard deviation of a logarithm that the measure itself brings: rates are counts, latencies buckets.
    Without enough pairs to see the noise (one visit each), nobody has a rank, and ratios have no interval.
    Raises ValueError for a value that is not positive.
    """
    if not any(values.values()):
        return {}
    fitted = fit(values, resolution)
    sign = 1 if higher_is_better else -1
    inside = _together(fitted)
    best = max(inside, key=lambda m: sign * fitted.effects[m])
    better = _better_beyond_doubt(fitted, inside, sign)
    places = dict.fromkeys(fitted.models, Place(None, None))
    for m in inside:
        rank = 1 + sum((other, m) in better for other in inside) if fitted.spread else None
        places[fitted.models[m]] = Place(rank, _relative(fitted, values, m, best))
    return places


def _together(fitted: Fit) -> list[int]:
    """The largest group of models that may be compared with each other."""
    main = max(fitted.linked, key=fitted.linked.count)
    return [m for m, link in enumerate(fitted.linked) if link == main]


def _better_beyond_doubt(fitted: Fit, inside: Sequence[int], sign: int) -> set[tuple[int, int]]:
    """The pairs (better, worse) that remain different after Holm's correction."""
    pairs, p_values = [], []
    for one, other in itertools.combinations(inside, 2):
        difference = fitted.difference(one, other)
        if difference is not None:
            pairs.append((one, other) if sign * difference.log_ratio > 0 else (other, one))
            p_values.append(difference.p_value())
    return {pair for pair, p in zip(pairs, holm(p_values), strict=True) if p < FALSE_DIFFERENCE}


def resolved(values: Paired, resolution: float = 0.0) -> float | None:
    """By how large a share two of these models must differ before they are told apart, all else being equal.

    Of the typical pair, at Holm's first step: where others are far apart already, a somewhat smaller one may do. None without
    two models to compare or noise to judge them by.
    """
    if not any(values.values()):
        return None
    fitted = fit(values, resolution)
    found = [fitted.difference(one, other) for one, other in itertools.combinations(_together(fitted), 2)]
    told = [difference for difference in found if difference is not None]
    if not told:
        return None
    share = FALSE_DIFFERENCE / 2 / len(told)
    return math.expm1(statistics.median(float(stdtrit(one.freedom, 1 - share)) * one.error for one in told))


def ratio(values: Paired, one: str, other: str, resolution: float = 0.0) -> Estimate | None:
    """The ratio of one model to another, with its own 95% interval; None where nothing links them."""
    if not values.get(one) or not values.get(other):
        return None
    fitted = fit(values, resolution)
    own, base = fitted.models.index(one), fitted.models.index(other)
    return _relative(fitted, values, own, base) if fitted.linked[own] == fitted.linked[base] else None


def _relative(fitted: Fit, values: Paired, model: int, best: int) -> Estimate:
    """A model's ratio to the best; to itself a model is 1 without noise."""
    own, other = values[fitted.models[model]], values[fitted.models[best]]
    ratios = [own[key] / other[key] for key in own if key in other]
    if model == best:
        return Estimate(1.0, 1.0, 1.0, ratios)
    difference = fitted.difference(model, best)
    if difference is None:
        return Estimate(math.exp(fitted.log_ratio(model, best)), None, None, ratios)
    return difference.estimate(ratios)
