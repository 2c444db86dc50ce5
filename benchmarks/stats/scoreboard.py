"""Models against each other over the replicates of a run: ranks, ratios, and which pairs differ, are the same, or stay open.

All models of a replicate ran on the same machine at the same time, so what slowed the machine slowed all of them. The
least-squares fit of log(value) = model + replicate removes it (a randomized block design: Box, Hunter & Hunter, "Statistics for
Experimenters", 2nd ed., §4.2): with every model in every replicate, the difference of two model effects is the mean of their
paired log-ratios; where values are missing, the other models tell how fast that replicate was.

**States.** Some machines change between two states, for seconds or minutes at a time, and the ratio of two models may differ
between them by half. Where that is known (`Block`), the fit is log(value) = model in state + replicate in state, and a model's
effect is its mean over the states, all alike, so that two runs of which one saw more of a state tell of the same thing. The
residuals are those within a state: what the states do to the models is in the ratio, and not in its interval.

Some models are several times as noisy as others. So each model has a residual variance of its own, moderated by those of the
others (`moderation`). With eight models or more the fit is made twice: the second time they weigh as much as their variances
say, so that what a noisy one did in a replicate is not taken for the machine's doing, and for noise of the quiet ones. The
variance of a difference is the sum of what its two models contribute, and Satterthwaite's formula (Biometrics Bull. 2, 1946)
gives its degrees of freedom. Of two models alone this is the paired t test.

A model's **rank** is one more than the number of models that are significantly better (Holm over all pairs). Models without a
significant difference share a rank.
"""

import itertools
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.stats.difference import FALSE_CALL, LEAST_ERROR, WIDEST, Difference, calls, holm, significant
from benchmarks.stats.intervals import student
from benchmarks.stats.moderation import Moderated, moderate
from benchmarks.summaries import Call, Estimate, Pair, PairCounts

__all__ = ["Fit", "Pair", "PairCounts", "Place", "Scoreboard", "Values", "compare", "difference", "fit", "holm", "ratio"]

Floats = npt.NDArray[np.float64]

FEWEST_WEIGHED = 8  # models: the variances of fewer are not known well enough to weigh by

Block = int | tuple[int, int]  # a replicate; or a replicate and the state in which the machine was then
Values = Mapping[str, Mapping[Block, float]]  # a model's positive values by the block in which each was measured


@dataclass(frozen=True, slots=True)
class Place:
    """A model among the others.

    `rank` is None where nothing shows the noise (one replicate), or no replicate links the model to the others. `ratio` is
    value / best value, with its own 95% interval: exactly 1 for the best, below 1 for worse where higher is better, above 1
    where lower is. `value` is the typical absolute value, from the lowest to the highest replicate; divided by the best model's
    it is the ratio.
    """

    rank: int | None
    ratio: Estimate | None
    value: Estimate


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """All models and all pairs of one quantity.

    `resolution` is the smallest detectable difference of a typical pair at Holm's first step, as a share; `replicate_sd` the
    pooled standard deviation of a logarithm between replicates. Both are None where nothing shows the noise.
    """

    places: dict[str, Place]
    pairs: list[Pair]
    counts: PairCounts
    resolution: float | None
    replicate_sd: float | None


def compare(
    values: Values,
    margin: float,
    higher_is_better: bool,
    resolution: float = 0.0,
    absent: Sequence[str] = (),
    unranked: Collection[str] = (),
    unable: Collection[str] = (),
) -> Scoreboard:
    """Everybody's place, and what is known of every pair.

    Two models are the same within the `margin`, a share. `resolution` is the standard deviation of a logarithm that the
    measurement itself brings. `absent` are models that count without a value, as those do whose values are empty: they have no
    place, and their pairs are open. `unable` are those of them that cannot do what is asked, as they say themselves: each
    differs from all that can. `unranked` models contribute to the noise alone, as the A/A arm does. Raises ValueError for a
    value that is not positive.
    """
    fitted = fit(values, resolution)
    steps = _steps(fitted, unranked) if fitted else {}
    pairs = _pairs(fitted, steps, values, margin) if fitted else {}
    names = [name for name in dict.fromkeys([*values, *absent]) if name not in unranked]
    everyone = [
        pairs.get((one, other)) or Pair(one, other, None, _without_values(one, other, values, unable))
        for one, other in itertools.combinations(names, 2)
    ]
    called = [pair.call for pair in everyone]
    counts = PairCounts(len(called), called.count("different"), called.count("same"), called.count("open"))
    if fitted is None:
        return Scoreboard({}, everyone, counts, None, None)
    sd = math.sqrt(fitted.noise.pooled) if fitted.noise else None
    detectable = _detectable(list(steps.values())) if fitted.noise else None
    return Scoreboard(_places(fitted, steps, values, higher_is_better, unranked), everyone, counts, detectable, sd)


def ratio(values: Values, one: str, other: str, resolution: float = 0.0) -> Estimate | None:
    """The ratio of one model's values to another's with its own 95% interval; None where no replicate links them.

    All models of `values` contribute to the noise.
    """
    found = difference(values, one, other, resolution)
    return found.estimate(_paired(values, one, other)) if found else None


def difference(values: Values, one: str, other: str, resolution: float = 0.0) -> Difference | None:
    """The same as a difference of logarithms, to be tested; without an error where nothing shows the noise."""
    if not values.get(one) or not values.get(other):
        return None
    fitted = fit(values, resolution)
    if fitted is None:
        return None
    at, beside = fitted.models.index(one), fitted.models.index(other)
    return fitted.difference(at, beside) if fitted.linked[at] == fitted.linked[beside] else None


# ---------------------------------------------------------------- the fit


@dataclass(frozen=True, slots=True)
class Fit:
    """Model effects, as logarithms of typical values, and the errors of their differences.

    Effects of two models may be compared when they are `linked`: by a replicate that has both, or by a chain of such.
    """

    models: tuple[str, ...]
    effects: Floats
    linked: tuple[int, ...]  # models with the same number are
    errors: Floats  # of each difference of two effects; NaN where nothing shows the noise
    freedoms: Floats
    noise: Moderated | None  # of a single value of each model

    def difference(self, one: int, other: int) -> Difference:
        """That of two linked models. Of a model and itself it is 0, without error."""
        step = float(self.effects[one] - self.effects[other])
        if self.noise is None:
            return Difference(step, None, 0.0)
        return Difference(step, max(float(self.errors[one, other]), LEAST_ERROR), float(self.freedoms[one, other]))


def fit(values: Values, resolution: float = 0.0) -> Fit | None:
    """The least-squares fit of log(value) = model in state + block; None without any value.

    Raises ValueError for a value that is not positive.
    """
    models = tuple(model for model in values if values[model])
    if not models:
        return None
    blocks = _comparable({model: values[model] for model in models})
    states = sorted({_state(block) for block in blocks})
    width = len(models) * len(states)
    cells = [
        (m * len(states) + states.index(_state(block)), width + at, model, block)
        for m, model in enumerate(models)
        for at, block in enumerate(blocks)
        if block in values[model]
    ]
    logs = np.array([_log(model, values[model][block]) for _, _, model, block in cells])
    design = np.zeros((len(cells), width + len(blocks)))
    for at, (of_model, of_block, _, _) in enumerate(cells):
        design[at, [of_model, of_block]] = 1
    linked = _linked([(of_model, of_block) for of_model, of_block, _, _ in cells], design.shape[1])
    members = np.array([[float(name == model) for _, _, name, _ in cells] for model in models])
    shares = np.full(len(states), 1 / len(states))
    over_states = np.kron(np.eye(len(models)), shares)  # models × models in states
    freedom = len(cells) - design.shape[1] + len(set(linked))
    noise: Moderated | None = None
    for _ in range(2 if len(models) >= FEWEST_WEIGHED else 1):
        variances = noise.variances if noise else np.ones(len(models))
        solve = _solving(design, members.T @ (1 / variances))
        found, left = solve @ logs, np.eye(len(cells)) - design @ solve
        effects = over_states @ (found[:width] + _levels(found, linked, width))
        noise = _noise(left, left @ logs, members, variances, freedom, resolution, effects)
    errors, freedoms = _errors(over_states @ solve[:width], members, noise)
    own = linked[: width : len(states)]  # blocks are such that models are linked in all states or, with one state, as they are
    return Fit(models, effects, own, errors, freedoms, noise)


def _solving(design: Floats, weights: Floats) -> Floats:
    """What maps logarithms to weighted least-squares effects (effects × cells).

    The design lacks full rank: what is added to all models may be taken from all blocks of a state. The pseudo-inverse settles
    that somehow; differences of linked models do not depend on how.
    """
    weighted = design.T * (weights / weights.max())
    return np.asarray(np.linalg.pinv(weighted @ design) @ weighted, np.float64)


def _state(block: Block) -> int:
    return block[1] if isinstance(block, tuple) else 0


def _comparable(values: Values) -> list[Block]:
    """The blocks to be fitted, in order. A state in which a model has no value at all is left out, as the model's mean over the
    states would not be that of the others; if that leaves none, all are in one fit."""
    blocks = sorted({block for of_model in values.values() for block in of_model})
    seen = [{_state(block) for block in of_model} for of_model in values.values()]
    common = set.intersection(*seen)
    return [block for block in blocks if _state(block) in common or not common]


def _log(model: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{model}: {value} has no logarithm, values must be positive")
    return math.log(value)


def _noise(
    left: Floats,
    residuals: Floats,
    of_model: Floats,
    before: Floats,
    freedom: int,
    resolution: float,
    effects: Floats,
) -> Moderated | None:
    """The variance of a single value of each model.

    `left` (cells × cells) maps logarithms to residuals, `before` are the models' variances, up to a factor. A model's sum of
    squares is a quadratic form of the noise: its expectation and its degrees of freedom (Satterthwaite) come from the traces of
    its covariance. A variance is the one before, times the sum of squares by its expectation.
    """
    if freedom <= 0:
        return None
    of_cells = of_model.T @ before
    covariances = [(left[inside] * of_cells) @ left[inside].T for inside in (of_model > 0)]
    expected = np.array([float(one.trace()) for one in covariances])
    squared = np.array([float(np.sum(one**2)) for one in covariances])
    known = expected > 1e-9 * before
    freedoms = np.where(known, expected**2 / np.where(known, squared, 1.0), 0.0)
    variances = np.where(known, before * (of_model @ residuals**2) / np.where(known, expected, 1.0), 0.0)
    # In a complete design the residuals of two models correlate by -1 / (models - 1), their squares by the square of that.
    correlation = 1 / max(len(covariances) - 1, 1) ** 2
    return moderate(variances, freedoms, float(freedom), correlation, resolution**2, effects)


def _errors(solve: Floats, of_model: Floats, noise: Moderated | None) -> tuple[Floats, Floats]:
    """The standard errors of all differences of two effects (models × models), and their degrees of freedom."""
    size = len(of_model)
    if noise is None:
        return np.full((size, size), np.nan), np.zeros((size, size))
    # What each model's noise contributes to the variance of each difference: models × models × models.
    shares = np.empty((size, size, size))
    for m, inside in enumerate(of_model > 0):
        product = solve[:, inside] @ solve[:, inside].T
        shares[m] = np.add.outer(product.diagonal(), product.diagonal()) - 2 * product
    parts = np.maximum(shares, 0) * noise.variances[:, None, None]
    variances = parts.sum(axis=0)
    own = np.maximum(noise.freedoms, 1e-6)[:, None, None]
    freedoms = np.maximum(variances**2 / np.maximum(np.sum(parts**2 / own, axis=0), 1e-300), 1.0)
    # Two moderated variances share one prior: its freedom counts once, in the larger of the two.
    shared = np.maximum.outer(noise.freedoms, noise.freedoms) + noise.pooled_freedom / max(size - 1, 1)
    return np.sqrt(variances), np.minimum(np.minimum(freedoms, shared), noise.pooled_freedom)


def _linked(edges: Sequence[tuple[int, int]], nodes: int) -> tuple[int, ...]:
    """For each node the smallest node that a chain of edges leads to."""
    least = list(range(nodes))
    changed = True
    while changed:
        changed = False
        for one, other in edges:
            if least[one] != least[other]:
                least[one] = least[other] = min(least[one], least[other])
                changed = True
    return tuple(least)


def _levels(found: Floats, linked: Sequence[int], size: int) -> Floats:
    """For each model the mean effect of all replicates that are linked to it."""
    links = np.array(linked)
    return np.array([float(found[size:][links[size:] == link].mean()) for link in links[:size]])


# ---------------------------------------------------------------- places and pairs


def _without_values(one: str, other: str, values: Values, unable: Collection[str]) -> Call:
    """What is known of a pair that has no ratio: that one can do what is asked and the other cannot, or nothing."""
    apart = (one in unable and bool(values.get(other))) or (other in unable and bool(values.get(one)))
    return "different" if apart else "open"


Steps = Mapping[tuple[int, int], Difference]  # of pairs of linked models, by their numbers in the fit


def _steps(fitted: Fit, unranked: Collection[str]) -> Steps:
    """The differences of all pairs of linked models that are ranked, in the order of the fit."""
    inside = [m for m, model in enumerate(fitted.models) if model not in unranked]
    pairs = [pair for pair in itertools.combinations(inside, 2) if fitted.linked[pair[0]] == fitted.linked[pair[1]]]
    return {pair: fitted.difference(*pair) for pair in pairs}


def _places(fitted: Fit, steps: Steps, values: Values, higher_is_better: bool, unranked: Collection[str]) -> dict[str, Place]:
    """The places of all models that have a value. The largest group of linked models is ranked."""
    asked = [m for m, model in enumerate(fitted.models) if model not in unranked]
    if not asked:
        return {}
    links = [fitted.linked[m] for m in asked]
    main = max(links, key=links.count)
    sign = 1 if higher_is_better else -1
    best = max((m for m in asked if fitted.linked[m] == main), key=lambda m: sign * float(fitted.effects[m]))
    worse = _worse(steps, sign)
    places = {}
    for m in asked:
        value = _typical(float(fitted.effects[m]), list(values[fitted.models[m]].values()))
        if fitted.linked[m] != main:
            places[fitted.models[m]] = Place(None, None, value)
            continue
        rank = 1 + worse.count(m) if fitted.noise else None
        places[fitted.models[m]] = Place(rank, _ratio_to_best(fitted, values, m, best), value)
    return places


def _worse(steps: Steps, sign: int) -> list[int]:
    """The significantly worse model of each pair that has one."""
    return [
        other if sign * step.log_ratio > 0 else one
        for ((one, other), step), sure in zip(steps.items(), significant(list(steps.values())), strict=True)
        if sure
    ]


def _ratio_to_best(fitted: Fit, values: Values, m: int, best: int) -> Estimate:
    ratios = _paired(values, fitted.models[m], fitted.models[best])
    if m == best:
        end = 1.0 if fitted.noise else None
        return Estimate(1.0, end, end, ratios)
    return fitted.difference(m, best).estimate(ratios)


def _typical(effect: float, replicates: list[float]) -> Estimate:
    """The typical value with the range of its replicates, which includes it even where replicates are missing."""
    value = math.exp(effect)
    return Estimate(value, min(value, *replicates), max(value, *replicates), replicates)


def _pairs(fitted: Fit, steps: Steps, values: Values, margin: float) -> dict[tuple[str, str], Pair]:
    """All pairs of linked models by their names."""
    named = [(fitted.models[one], fitted.models[other]) for one, other in steps]
    return {
        (one, other): Pair(one, other, step.estimate(_paired(values, one, other)), call)
        for (one, other), step, call in zip(named, steps.values(), calls(list(steps.values()), margin), strict=True)
    }


def _paired(values: Values, one: str, other: str) -> list[float]:
    """The ratios of two models in the replicates that have both."""
    return [value / values[other][replicate] for replicate, value in values[one].items() if replicate in values[other]]


def _detectable(steps: Sequence[Difference]) -> float | None:
    """By how large a share the two models of a typical pair must differ to be called different at Holm's first step."""
    errors = [(step.freedom, step.error) for step in steps if step.error is not None]
    if not errors:
        return None
    tail = FALSE_CALL / 2 / len(errors)
    reach = statistics.median(student(freedom, tail) * error for freedom, error in errors)
    return math.expm1(min(reach, WIDEST))
