"""Within one replicate: what each model's windows say together, whatever the machine did from round to round.

The windows of one round lie next to each other, so what slows the machine for a while slows all models of a round:
log(value) = model + round. The fit is robust, since a window may stall through no fault of its server, and has three steps:

1. **median polish** (Tukey, "Exploratory Data Analysis", 1977, ch. 11), which up to half of the windows cannot mislead;
2. **Huber's M-estimate** by iteratively reweighted least squares from there, and the scale of its residuals;
3. **Tukey's biweight** at this scale from there (MM-estimation: Yohai, Ann. Statist. 15, 1987), with 95% of the efficiency of
   least squares under normal noise. A window more than 4.7 standard deviations away has no weight at all; with Huber's weights
   three stalled windows of twenty would still move a model by more than 1%.

The scale is 1.4826 times the median absolute residual, of all windows, or of a model's own where those scatter more: a model
that is noisier than the others loses no windows by that, and has less weight in the effects of rounds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Windows = Mapping[str, Mapping[int, float]]  # a model's positive values by the number of the round

NORMAL_MAD = 1.4826  # the standard deviation of normal values by their median absolute deviation
HUBER = 1.345  # standard deviations; 95% efficiency under normal noise
BIWEIGHT = 4.685  # the same
LEAST_SCALE = 1e-4  # no window measures more exactly
SWEEPS = 4  # of median polish: it only starts the fit
STEPS = 50  # of reweighting, at most
WEIGHTLESS = 1e-6  # the least weight, so that a fit never falls apart
LEAST_PRECISION = 1e-4  # of a noisy model's windows, by those of the quietest
EXACT = 1e-5  # the fit ends where its effects move by less


def round_values(values: Windows, resolution: float = 0.0) -> dict[str, float]:
    """Each model's typical value in the replicate: exp(mean round effect + model effect).

    `resolution` is the standard deviation of a logarithm that the measurement of one window brings: the scale is no smaller.
    Models without a window are left out. A model that shares no round with another has the robust mean of its own windows.
    Raises ValueError for a value that is not positive.
    """
    found: dict[str, float] = {}
    for group in _groups(values):
        effects, _ = _fit(group, resolution)
        found.update(zip(group.models, np.exp(effects).tolist(), strict=True))
    return {model: found[model] for model in values if model in found}


def window_sd(values: Windows) -> float | None:
    """The standard deviation of a logarithm between windows of one model, rounds accounted for; robust, pooled over the models.

    None where no freedom is left to estimate it. Raises ValueError for a value that is not positive.
    """
    squares, weight = 0.0, 0
    for group in _groups(values):
        if group.freedom > 0:
            _, residuals = _fit(group, 0.0)
            squares += group.freedom * _scale(residuals, group.freedom) ** 2
            weight += group.freedom
    return math.sqrt(squares / weight) if weight else None


@dataclass(frozen=True, slots=True)
class _Group:
    """Models that rounds link with each other: logarithms (models × rounds), NaN where a window is missing."""

    models: tuple[str, ...]
    logs: Floats

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Where there is a window."""
        return ~np.isnan(self.logs)

    @property
    def freedom(self) -> int:
        """The degrees of freedom of its residuals."""
        models, rounds = len(self.logs), len(self.logs[0])
        return int(np.count_nonzero(self.measured)) - models - (rounds - 1 if models > 1 else 0)


@dataclass(frozen=True, slots=True)
class _State:
    """Effects of models and of rounds, and what they leave of the logarithms (models × rounds, 0 where a window is missing)."""

    of_models: Floats
    of_rounds: Floats
    residuals: Floats


def _groups(values: Windows) -> list[_Group]:
    """The models in groups that rounds link. A round of one model alone compares nothing: it is left out of a larger group."""
    models = [model for model in values if values[model]]
    for model in models:
        if not min(values[model].values()) > 0:
            raise ValueError(f"{model}: {min(values[model].values())} has no logarithm, values must be positive")
    groups = []
    while models:
        inside, rounds = [models[0]], set(values[models[0]])
        while more := [model for model in models if model not in inside and not rounds.isdisjoint(values[model])]:
            inside += more
            rounds.update(*(values[model] for model in more))
        models = [model for model in models if model not in inside]
        logs = np.array([[math.log(values[model].get(number, math.nan)) for number in sorted(rounds)] for model in inside])
        if len(inside) > 1:
            logs = logs[:, np.count_nonzero(~np.isnan(logs), axis=0) > 1]
        groups.append(_Group(tuple(inside), logs))
    return groups


def _fit(group: _Group, resolution: float) -> tuple[Floats, Floats]:
    """The models' effects with the mean of the rounds' added, and the residuals of all windows."""
    measured, freedom = group.measured, group.freedom
    state = _polished(group)
    if freedom > 0:
        # A polish fits as many windows exactly as there are effects: only the others show the scale.
        others = np.sort(np.abs(state.residuals[measured]))[-freedom:]
        least = max(NORMAL_MAD * float(np.median(others)), resolution, LEAST_SCALE)
        state, _ = _reweighted(group, state, _scales(group, state, least), _huber)
        least = max(_scale(state.residuals[measured], freedom), resolution, LEAST_SCALE)
        state, weights = _reweighted(group, state, _scales(group, state, least), _biweight)
        # A round in which no window has any weight, as with two models of which one stalled, says nothing of the machine.
        trust = np.maximum(weights.max(axis=0), WEIGHTLESS)
    else:
        trust = np.ones(len(state.of_rounds))
    return state.of_models + float(np.average(state.of_rounds, weights=trust)), state.residuals[measured]


def _scale(residuals: Floats, freedom: int) -> float:
    """The standard deviation of normal windows that would leave such residuals."""
    return NORMAL_MAD * float(np.median(np.abs(residuals))) * math.sqrt(len(residuals) / freedom)


def _scales(group: _Group, state: _State, least: float) -> Floats:
    """The scale of each model's residuals (models × 1): that of all, or its own where it is larger."""
    widen = NORMAL_MAD * math.sqrt(float(group.measured.sum()) / group.freedom)
    own = widen * _medians(np.where(group.measured, np.abs(state.residuals), np.nan))
    return np.maximum(own, least)[:, None]


def _polished(group: _Group) -> _State:
    """Median polish: by turns the medians over rounds go to the models, and those over models to the rounds."""
    models, rounds = group.logs.shape
    of_models, of_rounds = _medians(group.logs), np.zeros(rounds)
    for _ in range(SWEEPS if models > 1 else 0):
        of_rounds = _medians((group.logs - of_models[:, None]).T)
        moved = _medians(group.logs - of_rounds)
        done = float(np.abs(moved - of_models).max()) < EXACT
        of_models = moved
        if done:
            break
    return _state(group, of_models, of_rounds)


def _medians(rows: Floats) -> Floats:
    """The median of each row, NaN left out. Each row has a number."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.count_nonzero(~np.isnan(rows), axis=1)
    at = np.arange(len(rows))
    return np.asarray((ordered[at, (count - 1) // 2] + ordered[at, count // 2]) / 2, np.float64)


def _state(group: _Group, of_models: Floats, of_rounds: Floats) -> _State:
    residuals = np.where(group.measured, group.logs - of_models[:, None] - of_rounds, 0.0)
    return _State(of_models, of_rounds, residuals)


def _reweighted(group: _Group, state: _State, scales: Floats, weigh: Callable[[Floats], Floats]) -> tuple[_State, Floats]:
    """Least squares with weights from the residuals, again and again until nothing moves; and the last weights."""
    measured = group.measured
    precision = np.maximum((scales.min() / scales) ** 2, LEAST_PRECISION)
    logs = np.where(measured, group.logs, 0.0)
    for _ in range(STEPS):
        weights = weigh(np.abs(state.residuals) / scales)
        solved = _solved(logs, np.where(measured, np.maximum(weights, WEIGHTLESS) * precision, 0.0))
        moved = _state(group, *solved)
        done = float(np.abs(moved.residuals - state.residuals).max()) < EXACT
        state = moved
        if done:
            break
    return state, np.where(measured, weights, 0.0)


def _solved(logs: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The weighted least-squares effects of models, which sum to 0, and of rounds; of one model alone, its mean."""
    if len(logs) == 1:
        return np.array([float((weights * logs).sum() / weights.sum())]), np.zeros(logs.shape[1])
    by_round = weights / weights.sum(axis=0)  # each round's effect is the mean of its windows less their models' effects
    weighted = weights * logs
    normal = np.diag(weights.sum(axis=1)) - weights @ by_round.T
    right = weighted.sum(axis=1) - by_round @ weighted.sum(axis=0)
    # One may add to all models what one takes from all rounds: their sum is fixed at 0.
    of_models = np.linalg.solve(normal + weights.sum() / weights.size, right)
    return of_models, np.asarray((by_round * (logs - of_models[:, None])).sum(axis=0), np.float64)


def _huber(distance: Floats) -> Floats:
    """Weights by the distance in standard deviations: a far window counts as if it lay at the threshold."""
    return np.asarray(HUBER / np.maximum(distance, HUBER), np.float64)


def _biweight(distance: Floats) -> Floats:
    """Weights by the distance in standard deviations: a far window counts nothing."""
    return np.asarray(np.maximum(1 - (distance / BIWEIGHT) ** 2, 0.0) ** 2, np.float64)
