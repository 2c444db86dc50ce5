"""Differences of two runs: against scipy's tests, with weathers that both, one or neither saw, and whether 95% means 95%."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.differences import Difference, apart, pooled
from benchmarks.intervals import ENOUGH_ALONE, Spread


def test_in_one_weather_it_is_the_two_sample_t_test():
    a, b = [100.0, 104, 97, 101], [91.0, 95, 93]
    found = apart({0: a}, {0: b}).judged(None)
    theirs = stats.ttest_ind(np.log(b), np.log(a))
    assert found.freedom == 5
    assert found.p_value() == pytest.approx(theirs.pvalue)
    estimate, interval = found.estimate(), theirs.confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_with_one_visit_of_each_in_each_weather_it_is_the_paired_t_test():
    a, b = [100.0, 180, 60, 75], [95.0, 177, 55, 73]
    found = apart({w: [v] for w, v in enumerate(a)}, {w: [v] for w, v in enumerate(b)}).judged(None)
    theirs = stats.ttest_rel(np.log(b), np.log(a))
    assert found.freedom == 3
    assert found.p_value() == pytest.approx(theirs.pvalue)


def test_a_weather_that_only_one_run_saw_tells_nothing():
    """The second run had mostly storm: against all visits it would seem half as fast."""
    base, other = {"calm": [100.0, 101, 99]}, {"calm": [100.0, 102], "storm": [50.0, 51, 49, 50]}
    found = apart(base, other)
    assert found.log_ratio == pytest.approx(math.log(math.sqrt(100 * 102)) - math.log(100 * 101 * 99) / 3)
    assert found.fewest == 2
    assert apart(base, {"storm": [50.0]}) is None


def test_few_visits_take_the_pooled_noise_and_many_their_own():
    rng = np.random.default_rng(1)
    wild = np.exp(rng.normal(0, 0.1, (2, ENOUGH_ALONE)))
    quiet = Spread(0.01, 100)
    few = apart({0: wild[0, 1:].tolist()}, {0: wild[1].tolist()}).judged(quiet)
    many = apart({0: wild[0].tolist()}, {0: wild[1].tolist()}).judged(quiet)
    assert few.freedom == 100
    assert many.freedom == 18
    assert many.error > 4 * few.error


def test_one_visit_each_shows_a_ratio_and_no_noise():
    found = apart({0: [100.0]}, {0: [90.0]})
    assert found.log_ratio == pytest.approx(math.log(0.9))
    assert found.judged(None) is None
    assert pooled([found]) is None
    assert found.judged(Spread(0.02, 12)).freedom == 12


def test_pooling_adds_squares_and_freedom():
    pairs = [apart({0: [100.0, 110]}, {0: [90.0, 95]}), apart({0: [10.0, 12]}, {0: [20.0, 21, 25]})]
    together = pooled(pairs)
    assert together.freedom == 2 + 3
    assert together.sd**2 * 5 == pytest.approx(pairs[0].squares + pairs[1].squares)


def test_a_measures_own_resolution_is_the_least_noise():
    same = apart({0: [100.0] * 3}, {0: [100.5] * 3})
    assert same.judged(None).p_value() < 1e-6
    assert same.judged(None, resolution=0.005).p_value() > 0.05


def test_a_ratio_is_asked_for_with_its_own_p_value():
    found = Difference(math.log(0.9), 0.02, 30)
    assert found.p_value() < 1e-4
    assert found.p_value(0.9) == pytest.approx(1.0)
    low, high = found.estimate().low, found.estimate().high
    assert found.p_value(low) == pytest.approx(0.05, abs=1e-6)
    assert found.p_value(high) == pytest.approx(0.05, abs=1e-6)


groups = st.dictionaries(st.integers(0, 3), st.lists(st.floats(1, 1e5), max_size=4), max_size=4)


@given(groups, groups)
def test_swapping_the_runs_inverts_the_ratio_and_leaves_the_doubt(base, other):
    one, back = apart(base, other), apart(other, base)
    if one is None or back is None:
        assert one is back
        return
    assert back.log_ratio == pytest.approx(-one.log_ratio, abs=1e-9)
    assert back.squares == pytest.approx(one.squares, abs=1e-9)
    assert (back.freedom, back.factor, back.fewest) == (one.freedom, pytest.approx(one.factor), one.fewest)


@pytest.mark.parametrize("visits", [3, 12])
def test_intervals_cover_and_equal_runs_are_seldom_told_apart(visits):
    """Simulated: 6 models, two weathers in each run, noise of 3%; the weather slows each model by another factor."""
    rng = np.random.default_rng(visits)
    called = asked = 0
    for _ in range(300):
        pairs = []
        for _ in range(6):
            slower = rng.uniform(0.7, 0.9)
            runs = []
            for _ in range(2):
                seen: dict[int, list[float]] = {0: [], 1: []}
                for weather in rng.integers(0, 2, visits):
                    seen[int(weather)].append((slower if weather else 1.0) * math.exp(rng.normal(0, 0.03)))
                runs.append(seen)
            pairs.append(apart(*runs))
        noise = pooled(pair for pair in pairs if pair)
        for pair in pairs:
            difference = pair.judged(noise) if pair else None
            if difference:
                asked += 1
                called += difference.p_value() < 0.05
    assert asked > 1200
    assert 0.03 <= called / asked <= 0.07
