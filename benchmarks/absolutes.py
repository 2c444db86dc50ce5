"""Values of one model over the replicates, by themselves: their middle with the range, or with an interval.

A machine moves by more than models differ, so who is better is never told from these: that is `stats.scoreboard`, by ratios.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.stats.intervals import student
from benchmarks.stats.moderation import moderate
from benchmarks.summaries import Estimate

ENOUGH_RANGE = 3  # replicates, whose range stands for an interval where values of 0 have no logarithms


def typical(values: Sequence[float]) -> Estimate | None:
    """The geometric mean with the range of the replicates; None without values.

    Where some are not above 0 it is the arithmetic mean. A single value has no range.
    """
    if not values:
        return None
    low, high = (min(values), max(values)) if len(values) > 1 else (None, None)
    return Estimate(_middle(values), low, high, list(values))


def intervals(values: Mapping[str, Sequence[float]], resolution: float = 0.0) -> dict[str, Estimate]:
    """The mean of each model's replicates with its 95% interval: Student's t on logarithms, variances moderated over all.

    `resolution` is the standard deviation of a logarithm that the measurement itself brings. Models without values are left
    out. Where some values are not above 0 the interval is the range of three replicates or more.
    """
    positive = [model for model, own in values.items() if own and min(own) > 0]
    logs = {model: np.log(np.asarray(values[model], np.float64)) for model in positive}
    variances = [float(np.var(logs[model], ddof=1)) if len(logs[model]) > 1 else 0.0 for model in positive]
    found = moderate(variances, [len(logs[model]) - 1 for model in positive], least=resolution**2)
    reaches: dict[str, float] = {}
    if found is not None:
        for model, variance, freedom in zip(positive, found.variances, found.freedoms, strict=True):
            reaches[model] = student(float(freedom)) * math.sqrt(float(variance) / len(logs[model]))
    return {model: _with_interval(own, reaches.get(model)) for model, own in values.items() if own}


def _with_interval(values: Sequence[float], reach: float | None) -> Estimate:
    middle = _middle(values)
    if reach is not None:
        return Estimate(middle, middle * math.exp(-reach), middle * math.exp(reach), list(values))
    if min(values) <= 0 and len(values) >= ENOUGH_RANGE:
        return Estimate(middle, min(values), max(values), list(values))
    return Estimate(middle, None, None, list(values))


def _middle(values: Sequence[float]) -> float:
    if min(values) <= 0 or len(values) == 1:
        return math.fsum(values) / len(values)
    return math.exp(math.fsum(map(math.log, values)) / len(values))
