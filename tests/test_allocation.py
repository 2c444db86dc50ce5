"""Rounds and replicates: the optimum against a search, the precision against a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stats.allocation import (
    FEWEST_ROUNDS,
    MOST_REPLICATES,
    MOST_ROUNDS,
    Costs,
    Noise,
    allocate,
    half_width,
    replicates_wanted,
    rounds_wanted,
    separated,
)
from benchmarks.stats.scoreboard import compare

sds = st.floats(0.001, 0.2)


@given(sds, sds, st.floats(0.02, 1), st.floats(1, 60), st.integers(2, 16))
def test_no_other_number_of_rounds_gives_more_precision_for_the_time(window_sd, replicate_sd, window_s, replicate_s, models):
    noise, costs = Noise(window_sd, replicate_sd), Costs(window_s, replicate_s, models)

    def cost_of_precision(rounds):
        """Seconds × variance: what a given variance of the mean over replicates costs."""
        return costs.of_replicate(rounds) * noise.of_replicate(rounds) ** 2

    best = min(range(FEWEST_ROUNDS, MOST_ROUNDS + 1), key=cost_of_precision)
    assert abs(rounds_wanted(noise, costs) - best) <= 1


def test_the_extremes_have_an_answer():
    costs = Costs(0.05, 10, 12)
    assert rounds_wanted(Noise(0.05, 0.0), costs) == MOST_ROUNDS
    assert rounds_wanted(Noise(0.0, 0.01), costs) == FEWEST_ROUNDS
    assert half_width(Noise(0.05, 0.01), 20, 1, 12) == math.inf
    assert replicates_wanted(Noise(0.05, 10.0), 20, 2, 0.001) == MOST_REPLICATES
    for arguments in ((20, 1, 0.02), (20, 2, 0.0)):
        with pytest.raises(ValueError, match="two models"):
            replicates_wanted(Noise(0.05, 0.01), *arguments)
    with pytest.raises(ValueError, match="at least one"):
        half_width(Noise(0.05, 0.01), 0, 3, 2)


@given(sds, sds, st.integers(2, 16), st.floats(0.005, 0.2))
def test_replicates_are_just_enough(window_sd, replicate_sd, models, wanted):
    noise = Noise(window_sd, replicate_sd)
    found = replicates_wanted(noise, 20, models, wanted)
    assert half_width(noise, 20, found, models) <= wanted or found == MOST_REPLICATES
    assert found == 2 or half_width(noise, 20, found - 1, models) > wanted


def test_the_noise_of_windows_is_taken_out_of_that_of_replicates():
    noise = separated(0.1, math.hypot(0.007, 0.1 / math.sqrt(20)), 20)
    assert noise.replicate_sd == pytest.approx(0.007)
    assert noise.of_replicate(20) == pytest.approx(math.hypot(0.007, 0.1 / math.sqrt(20)))
    assert separated(0.1, 0.01, 20).replicate_sd == 0


def test_an_allocation_gives_the_half_width_that_it_promises():
    """Simulated: the pooled t intervals of a run measured as allocated are as wide as announced."""
    noise, costs = Noise(0.08, 0.01), Costs(0.06, 15, 8)
    planned = allocate(noise, costs, 0.02)
    assert planned.half_width <= 0.02
    assert planned.seconds == pytest.approx(planned.replicates * (15 + planned.rounds * 8 * 0.06))
    rng = np.random.default_rng(1)
    widths = []
    for _ in range(60):
        effects = rng.normal(0, noise.of_replicate(planned.rounds), (8, planned.replicates))
        board = compare({f"m{m}": dict(enumerate(np.exp(row).tolist())) for m, row in enumerate(effects)}, 0.03, True)
        widths += [math.sqrt(pair.ratio.high / pair.ratio.low) - 1 for pair in board.pairs]
    assert np.median(widths) == pytest.approx(planned.half_width, rel=0.12)
