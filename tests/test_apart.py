"""Differences of two runs: against scipy's tests, with values missing, and whether 95% means 95%."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.apart import calls, differences, significant


def numbered(values):
    return dict(enumerate(values))


def test_one_cell_is_compared_by_the_two_sample_t_test():
    a, b = [100.0, 104, 97, 101], [91.0, 95, 93]
    found = differences({"m": numbered(a)}, {"m": numbered(b)})["m"]
    theirs = stats.ttest_ind(np.log(b), np.log(a))
    assert found.freedom == 5
    assert found.p_value() == pytest.approx(theirs.pvalue)
    estimate, interval = found.estimate(), theirs.confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_only_cells_with_values_in_both_runs_are_compared():
    found = differences({"a": {0: 1.0}, "b": {0: 1.0}, "c": {}}, {"b": {3: 2.0}, "c": {0: 1.0}, "d": {0: 1.0}})
    assert list(found) == ["b"]
    assert differences({"a": {0: 1.0}}, {}) == {}


def test_one_replicate_each_shows_a_ratio_and_no_noise():
    found = differences({"m": {0: 100.0}}, {"m": {0: 90.0}})["m"]
    assert found.ratio == pytest.approx(0.9)
    assert found.estimate().low is None
    assert (found.p_value(), found.same_p_value(0.03)) == (1.0, 1.0)
    assert calls([found], 0.03) == ["open"]


def test_a_cell_with_one_replicate_takes_the_noise_of_the_others():
    base = {"a": {0: 100.0}, "b": numbered([50.0, 51, 49]), "c": numbered([70.0, 72, 71])}
    other = {"a": {0: 80.0}, "b": numbered([50.5, 51, 50]), "c": numbered([70.0, 71, 69])}
    found = differences(base, other)
    assert found["a"].error == pytest.approx(found["b"].error * math.sqrt(3), rel=0.2)
    assert significant(list(found.values())) == [True, False, False]


def test_the_measurements_own_resolution_is_the_least_noise():
    base, other = {"m": numbered([100.0] * 3)}, {"m": numbered([100.5] * 3)}
    assert differences(base, other)["m"].p_value() < 1e-6
    assert differences(base, other, resolution=0.005)["m"].p_value() > 0.05


def test_a_value_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="positive"):
        differences({"m": {0: 0.0}}, {"m": {0: 1.0}})


groups = st.dictionaries(st.sampled_from("abcd"), st.dictionaries(st.integers(0, 3), st.floats(1, 1e5), max_size=4), max_size=4)


@settings(deadline=None)
@given(groups, groups)
def test_swapping_the_runs_inverts_the_ratio_and_leaves_the_error(base, other):
    there, back = differences(base, other), differences(other, base)
    assert set(there) == set(back)
    for cell, found in there.items():
        assert back[cell].log_ratio == pytest.approx(-found.log_ratio, abs=1e-9)
        assert back[cell].error == (None if found.error is None else pytest.approx(found.error, rel=1e-6))


@pytest.mark.parametrize("common", [0.0, 0.1])
@pytest.mark.parametrize(("models", "replicates"), [(1, 5), (8, 3), (16, 5)])
def test_equal_runs_differ_in_5_percent_of_the_cells(models, replicates, common):
    """Noise of 3% in each cell, and as much or more that moves all cells of a replicate together."""
    rng = np.random.default_rng(models)
    called = asked = 0
    for _ in range(250 if models > 1 else 1000):
        runs = []
        for _ in range(2):
            logs = rng.normal(0, common, replicates) + rng.normal(0, 0.03, (models, replicates))
            runs.append({m: numbered(np.exp(row).tolist()) for m, row in enumerate(logs)})
        found = differences(*runs).values()
        asked += len(found)
        called += sum(difference.p_value() < 0.05 for difference in found)
    assert 0.03 <= called / asked <= 0.08
