"""Two separate runs: they share no replicate, so each quantity is compared as two groups of values.

The difference of the means of logarithms is judged by the two-sample t test. Its variance is pooled over both groups, and
moderated over all cells that are compared (`moderation`), one for each model say. These are not independent: what moved the
machine from one replicate to the next moved all cells. So the freedom of all cells together is estimated from how much they
move together; where they move as one, it is that of one cell.

What else differs between two runs, such as the hour, is in the ratio and in no interval.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.stats.difference import LEAST_ERROR, Difference, calls, holm, significant
from benchmarks.stats.moderation import moderate
from benchmarks.stats.scoreboard import Block

__all__ = ["Difference", "Group", "calls", "differences", "holm", "significant"]

Floats = npt.NDArray[np.float64]

Group = Mapping[Block, float]  # a run's positive values of one cell by the replicate
Cell = TypeVar("Cell", bound=Hashable)


def differences(base: Mapping[Cell, Group], other: Mapping[Cell, Group], resolution: float = 0.0) -> dict[Cell, Difference]:
    """How far `other` is from `base`, log(other / base), in each cell that has values in both, in the order of `base`.

    The cells are those of one quantity at one level, by model say, so that similar noise can be expected of them. `resolution`
    is the standard deviation of a logarithm that the measurement itself brings. Where nothing shows the noise, as with one
    replicate of each, differences have no error. Raises ValueError for a value that is not positive.
    """
    cells = [cell for cell in base if base[cell] and other.get(cell)]
    if not cells:
        return {}
    pairs = [_Pair(_logs(base[cell]), _logs(other[cell])) for cell in cells]
    steps = [pair.step for pair in pairs]
    freedoms = [pair.freedom for pair in pairs]
    joint = _joint_freedom(pairs)
    correlation = (sum(freedoms) / joint - 1) / (len(pairs) - 1) if joint and len(pairs) > 1 else 0.0  # of two variances
    noise = moderate([pair.variance for pair in pairs], freedoms, joint, correlation, resolution**2)
    if noise is None:
        return {cell: Difference(step, None, 0.0) for cell, step in zip(cells, steps, strict=True)}
    errors = [math.sqrt(float(v) * pair.factor) for v, pair in zip(noise.variances, pairs, strict=True)]
    return {
        cell: Difference(step, max(error, LEAST_ERROR), float(freedom))
        for cell, step, error, freedom in zip(cells, steps, errors, noise.freedoms, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Pair:
    """One cell: the logarithms of both runs by replicate."""

    base: Mapping[Block, float]
    other: Mapping[Block, float]

    @property
    def step(self) -> float:
        """From the mean of the base to that of the other."""
        return _mean(list(self.other.values())) - _mean(list(self.base.values()))

    @property
    def freedom(self) -> int:
        """The degrees of freedom of the variance within the two."""
        return len(self.base) + len(self.other) - 2

    @property
    def variance(self) -> float:
        """The variance of a single value, pooled over the two; 0 without freedom."""
        squares = math.fsum(r * r for r in self.residuals().values())
        return squares / self.freedom if self.freedom else 0.0

    @property
    def factor(self) -> float:
        """The variance of the step in units of that of a single value."""
        return 1 / len(self.base) + 1 / len(self.other)

    def residuals(self) -> dict[tuple[int, Block], float]:
        """What is left of each value after the mean of its run, by run (0, 1) and replicate."""
        return {
            (run, replicate): log - mean
            for run, group in enumerate((self.base, self.other))
            for mean in [_mean(list(group.values()))]
            for replicate, log in group.items()
        }


def _logs(group: Group) -> dict[Block, float]:
    for value in group.values():
        if not value > 0:
            raise ValueError(f"{value} has no logarithm, values must be positive")
    return {replicate: math.log(value) for replicate, value in group.items()}


def _mean(logs: Sequence[float]) -> float:
    return math.fsum(logs) / len(logs)


def _joint_freedom(pairs: Sequence[_Pair]) -> float:
    """The degrees of freedom of the variance pooled over all cells, which move together within a replicate.

    With the residuals of a replicate as one vector with covariance S over the cells, the sum of all squares has the freedom
    d tr(S)² / tr(S²) (Satterthwaite), d being that of one cell. The trace of the sample's S² is too large by the noise of the
    sample itself; Bai & Saranadasa (Statist. Sinica 6, 1996) give the unbiased estimate. As few replicates cannot prove that
    cells are independent, one part in d + 1 is taken as if they moved as one.
    """
    most = max(pair.freedom for pair in pairs)
    total = float(sum(pair.freedom for pair in pairs))
    if most < 2 or len(pairs) == 1:
        return float(most)
    residuals = [pair.residuals() for pair in pairs]
    keys = sorted({key for of_pair in residuals for key in of_pair})
    table = np.array([[of_pair.get(key, 0.0) for key in keys] for of_pair in residuals])
    table /= np.maximum(np.sqrt(np.sum(table**2, axis=1, keepdims=True)), 1e-12)  # no noisy cell outweighs the others
    covariance = table @ table.T / most
    trace, squared = float(covariance.trace()), float(np.sum(covariance**2))
    unbiased = most**2 / ((most - 1) * (most + 2)) * (squared - trace**2 / most)
    found = min(max(most * trace**2 / unbiased, float(most)), total) if unbiased > 0 else total
    return (most + 1) / (most / found + 1 / most)
