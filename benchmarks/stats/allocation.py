"""How many rounds a replicate should have, and how many replicates a run, for a precision at the least cost.

Two sources of noise add up in what a replicate says of a model: its own, from one start of the servers to the next, and that of
its windows, which more rounds average away. A replicate has a fixed cost (start, verify, warm up), a round the cost of its
windows. The variance for a given time is least with

    rounds = sqrt(fixed cost / cost of a round × window variance / replicate variance)

in each replicate (Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM 2013), whatever precision is
wanted; the number of replicates then follows from the precision.
"""

import math
from dataclasses import dataclass

from benchmarks.stats.intervals import student

FEWEST_ROUNDS, MOST_ROUNDS = 5, 60  # a robust fit needs some windows; beyond 60 little is gained
FEWEST_REPLICATES, MOST_REPLICATES = 2, 1000  # one replicate shows no noise


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of logarithms of one model: between windows of a replicate, and between replicates without that."""

    window_sd: float
    replicate_sd: float

    def of_replicate(self, rounds: int) -> float:
        """The standard deviation of what a replicate of so many rounds says of a model."""
        return math.hypot(self.replicate_sd, self.window_sd / math.sqrt(rounds))


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds: of one window with its ramp, and of a replicate apart from its windows. A round has one window of each model."""

    window_s: float
    replicate_s: float
    models: int

    def of_replicate(self, rounds: int) -> float:
        """The seconds that a replicate of so many rounds takes."""
        return self.replicate_s + rounds * self.models * self.window_s


@dataclass(frozen=True, slots=True)
class Allocation:
    """What to measure, the half-width that it will give a ratio's own 95% interval (a share), and the seconds it takes."""

    rounds: int
    replicates: int
    half_width: float
    seconds: float


def separated(window_sd: float, observed_sd: float, rounds: int) -> Noise:
    """The noise of replicates without that of their windows, from what was observed between replicates of so many rounds.

    Where the windows alone explain what was observed, the replicates' own noise is 0.
    """
    return Noise(window_sd, math.sqrt(max(observed_sd**2 - window_sd**2 / rounds, 0.0)))


def rounds_wanted(noise: Noise, costs: Costs) -> int:
    """The number of rounds of a replicate that gives the most precision for the time."""
    if noise.window_sd == 0:
        return FEWEST_ROUNDS
    if noise.replicate_sd == 0:
        return MOST_ROUNDS
    best = math.sqrt(costs.replicate_s / (costs.models * costs.window_s)) * noise.window_sd / noise.replicate_sd
    return min(max(round(best), FEWEST_ROUNDS), MOST_ROUNDS)


def half_width(noise: Noise, rounds: int, replicates: int, models: int) -> float:
    """The half-width of a ratio's own 95% interval, as a share: 0.02 for ±2%. Infinite for one replicate or one model.

    Raises ValueError for less than one of either.
    """
    if min(rounds, replicates, models) < 1:
        raise ValueError("there must be at least one round, replicate and model")
    freedom = (replicates - 1) * (models - 1)
    if freedom == 0:
        return math.inf
    return math.expm1(student(freedom) * noise.of_replicate(rounds) * math.sqrt(2 / replicates))


def replicates_wanted(noise: Noise, rounds: int, models: int, wanted: float) -> int:
    """The fewest replicates with which a ratio's half-width is at most `wanted`, a share; 1000 where even they do not suffice.

    Raises ValueError for a single model, which has no ratio, and for a precision that is not positive.
    """
    if models < 2 or wanted <= 0:
        raise ValueError("a ratio needs two models and a positive half-width")
    low, high = FEWEST_REPLICATES, MOST_REPLICATES
    while low < high:
        middle = (low + high) // 2
        if half_width(noise, rounds, middle, models) <= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def allocate(noise: Noise, costs: Costs, wanted: float) -> Allocation:
    """The cheapest run that gives ratios this half-width (a share). Raises ValueError as `replicates_wanted` does."""
    rounds = rounds_wanted(noise, costs)
    replicates = replicates_wanted(noise, rounds, costs.models, wanted)
    reached = half_width(noise, rounds, replicates, costs.models)
    return Allocation(rounds, replicates, reached, replicates * costs.of_replicate(rounds))
