"""The fit within a replicate: exact without noise, unmoved by stalls, and nearly as good as least squares without them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.stats.effects import round_values, window_sd


def windows(logs):
    """Values by model and round from logarithms, models × rounds; NaN is a missing window."""
    return {f"m{m}": {k: math.exp(log) for k, log in enumerate(row) if not math.isnan(log)} for m, row in enumerate(logs)}


def drawn(rng, models, rounds, sds=0.05):
    """Models 5% apart, rounds that differ by 10%, windows by these standard deviations."""
    noise = rng.normal(0, 1, (models, rounds)) * np.broadcast_to(sds, models)[:, None]
    return 7 - 0.05 * np.arange(models)[:, None] + rng.normal(0, 0.1, rounds) + noise


def logs_of(values):
    return np.log(list(values.values()))


def test_without_noise_it_is_exact():
    logs = np.array([1.0, 2.0, 4.0])[:, None] + np.array([0.0, 0.5, -0.2, 0.1, 0.1])
    assert logs_of(round_values(windows(logs))) == pytest.approx(logs.mean(axis=1))
    assert window_sd(windows(logs)) == pytest.approx(0, abs=1e-6)


def test_a_missing_window_is_made_up_for_by_what_others_show_of_the_round():
    logs = np.array([1.0, 2.0, 4.0])[:, None] + np.array([0.0, 5.0, -0.2, 0.1, 0.1])
    expected = logs.mean(axis=1)
    logs[0, 1] = logs[2, 3] = math.nan
    assert logs_of(round_values(windows(logs))) == pytest.approx(expected)


@pytest.mark.parametrize(("models", "rounds", "stalls"), [(2, 20, 1), (2, 20, 4), (3, 10, 2), (16, 12, 3), (16, 30, 8)])
def test_stalled_windows_move_nothing(models, rounds, stalls):
    """Ten times too slow: the model is then as if these windows were missing, and the others are as they were."""
    rng = np.random.default_rng(rounds + stalls)
    logs = drawn(rng, models, rounds)
    stalled, missing = logs.copy(), logs.copy()
    at = rng.choice(rounds, stalls, replace=False)
    stalled[0, at] -= math.log(10)
    missing[0, at] = math.nan
    found, without, before = (logs_of(round_values(windows(table))) for table in (stalled, missing, logs))
    assert found == pytest.approx(without, abs=0.01)
    assert found[1:] == pytest.approx(before[1:], abs=0.005 if models > 3 else 0.05)
    assert window_sd(windows(stalled)) == pytest.approx(window_sd(windows(logs)), rel=0.7)


def test_rounds_in_which_the_whole_machine_stalls_cost_no_model_anything():
    logs = drawn(np.random.default_rng(1), 6, 20)
    slow = logs.copy()
    slow[:, :4] -= 2
    before, after = (logs_of(round_values(windows(table))) for table in (logs, slow))
    assert after - after[0] == pytest.approx(before - before[0], abs=1e-3)


def test_without_stalls_it_is_nearly_as_good_as_least_squares():
    """And a model four times as noisy as the others blurs none of them."""
    rng = np.random.default_rng(2)
    for sds in (np.full(8, 0.05), np.array([0.2] + [0.05] * 7)):
        robust, least_squares = [], []
        for _ in range(60):
            logs = drawn(rng, 8, 12, sds)
            found, mean = logs_of(round_values(windows(logs))), logs.mean(axis=1)
            truth = -0.05 * np.arange(8)
            robust.append(found - found[-1] - truth + truth[-1])
            least_squares.append(mean - mean[-1] - truth + truth[-1])
        assert np.std(robust, axis=0)[:-1] == pytest.approx(np.std(least_squares, axis=0)[:-1], rel=0.15)


@pytest.mark.parametrize(("models", "rounds"), [(1, 20), (2, 20), (3, 5), (4, 3), (16, 12)])
def test_the_noise_between_windows_is_found(models, rounds):
    rng = np.random.default_rng(models)
    found = [
        window_sd(windows(drawn(rng, models, rounds) if models > 1 else rng.normal(0, 0.05, (1, rounds)))) for _ in range(60)
    ]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.05, rel=0.2)


def test_a_model_that_was_not_interleaved_has_its_own_robust_mean():
    rng = np.random.default_rng(3)
    values = windows(drawn(rng, 3, 12))
    alone = rng.normal(5, 0.05, 12)
    slow = [*alone, 2.0]
    found = round_values({**values, "alone": {100 + k: math.exp(log) for k, log in enumerate(slow)}})
    assert math.log(found["alone"]) == pytest.approx(alone.mean(), abs=0.02)
    assert [found[model] for model in values] == pytest.approx(list(round_values(values).values()))


def test_rounds_after_the_others_have_died_compare_nothing():
    values = windows(drawn(np.random.default_rng(4), 2, 10))
    longer = {"m0": {**values["m0"], **dict.fromkeys(range(10, 30), 1e-3)}, "m1": values["m1"]}
    assert round_values(longer) == pytest.approx(round_values(values))


def test_little_is_enough_and_nothing_is_nothing():
    assert round_values({"a": {0: 5.0}, "b": {0: 10.0}, "c": {}}) == pytest.approx({"a": 5.0, "b": 10.0})
    assert round_values({"a": {3: 7.0}}) == pytest.approx({"a": 7.0})
    assert round_values({}) == {}
    assert window_sd({"a": {0: 5.0}, "b": {0: 10.0}}) is None
    assert window_sd({}) is None
    with pytest.raises(ValueError, match="a: 0"):
        round_values({"a": {0: 0.0}})


tables = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.integers(0, 6), st.floats(1e-3, 1e6), max_size=7), max_size=4
)


@settings(deadline=None)
@given(tables)
def test_any_pattern_of_windows_has_values(values):
    found = round_values(values)
    assert list(found) == [model for model in values if values[model]]
    assert all(0 < value < math.inf for value in found.values())
    noise = window_sd(values)
    assert noise is None or noise >= 0


@pytest.mark.parametrize("models", [1, 2, 5])
def test_values_scale_with_the_unit(models):
    logs = drawn(np.random.default_rng(models), models, 8)
    logs[0, 2] -= 2
    before, after = round_values(windows(logs)), round_values(windows(logs + math.log(1000)))
    assert after == pytest.approx({model: value * 1000 for model, value in before.items()})
    assert window_sd(windows(logs + 3)) == pytest.approx(window_sd(windows(logs)))
