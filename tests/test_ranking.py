"""Ranks: against textbook arithmetic, with holes in the blocks, and how often they see what is not there."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.intervals import counting_sd
from benchmarks.ranking import fit, holm, place, ratio, resolved


def whole(models: dict[str, list[float]]) -> dict[str, dict[int, float]]:
    return {model: dict(enumerate(values)) for model, values in models.items()}


def test_with_whole_blocks_the_ratio_is_the_geometric_mean_of_paired_ratios():
    places = place(whole({"a": [100, 120, 80], "b": [50, 66, 38]}))
    expected = math.exp(np.mean([math.log(50 / 100), math.log(66 / 120), math.log(38 / 80)]))
    relative = places["b"].relative
    assert relative is not None
    assert relative.value == pytest.approx(expected)
    assert relative.visits == pytest.approx([0.5, 0.55, 0.475])


def test_the_interval_of_two_models_is_that_of_the_paired_t_test():
    a, b = [100, 121, 79, 90], [97, 113, 77, 89]
    logs = np.log(b) - np.log(a)
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    relative = place(whole({"a": a, "b": b}))["b"].relative
    assert relative is not None
    assert relative.low == pytest.approx(math.exp(expected.low))
    assert relative.high == pytest.approx(math.exp(expected.high))


def test_what_slows_a_whole_block_is_no_noise():
    """Blocks differ threefold, models by 3%: seen all the same."""
    rng = np.random.default_rng(3)
    slow = np.array([1.0, 3.0, 0.5, 2.0, 1.0])
    models = {name: (value * slow * np.exp(rng.normal(0, 0.002, 5))).tolist() for name, value in (("a", 103), ("b", 100))}
    places = place(whole(models))
    assert (places["a"].rank, places["b"].rank) == (1, 2)


def test_what_cannot_be_told_apart_shares_a_rank_and_the_next_counts_them():
    models = {"a": [100, 103, 98], "b": [101, 99, 102], "c": [50, 51, 49], "d": [50.5, 49, 51], "e": [25, 26, 24.5]}
    assert {model: found.rank for model, found in place(whole(models)).items()} == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}


def test_lower_can_be_better():
    models = {"slow": [10.0, 11, 10.5], "quick": [1.0, 1.1, 1.02]}
    places = place(whole(models), higher_is_better=False)
    assert (places["quick"].rank, places["slow"].rank) == (1, 2)
    assert places["slow"].relative is not None
    assert places["slow"].relative.value > 9


def test_one_visit_each_ranks_nobody_but_gives_ratios():
    places = place(whole({"a": [100], "b": [50]}))
    assert places["b"].rank is None
    assert places["b"].relative is not None
    assert places["b"].relative.value == pytest.approx(0.5)
    assert places["b"].relative.low is None


def test_missing_visits_are_made_up_for_by_what_others_say_of_the_block():
    """b missed the quick block 2: its mean alone would look worse than it is."""
    values = {"a": {0: 100.0, 1: 101.0, 2: 200.0}, "b": {0: 90.0, 1: 91.0}, "c": {0: 80.0, 1: 81.0, 2: 160.0}}
    relative = place(values)["b"].relative
    assert relative is not None
    assert relative.value == pytest.approx(0.9, abs=0.005)


def test_models_that_no_block_links_are_not_ranked_against_each_other():
    values = {"a": {0: 100.0, 1: 101.0}, "b": {0: 90.0, 1: 92.0}, "elsewhere": {(0, "storm"): 500.0, (1, "storm"): 510.0}}
    places = place(values)
    assert places["elsewhere"].rank is None
    assert places["elsewhere"].relative is None
    assert places["a"].rank == 1


def test_models_without_values_are_left_out():
    assert place({}) == {}
    assert place({"a": {}}) == {}
    assert set(place({"a": {}, "b": {0: 1.0, 1: 1.0}})) == {"b"}


def test_equal_counts_are_no_proof_of_no_noise():
    """100 and 101 requests in both windows: half a request is not known, so neither is the better one."""
    values = whole({"a": [100, 100], "b": [101, 101], "c": [150, 150]})
    assert {m: p.rank for m, p in place(values).items()} == {"a": 3, "b": 2, "c": 1}
    assert {m: p.rank for m, p in place(values, resolution=counting_sd(100)).items()} == {"a": 2, "b": 2, "c": 1}


def test_the_noise_is_the_residual_mean_square_of_a_randomized_block_design():
    values = np.array([[10.0, 12, 11], [20, 21, 25], [33, 30, 36], [5, 5.5, 5.2]])
    logs = np.log(values)
    residuals = logs - logs.mean(1, keepdims=True) - logs.mean(0, keepdims=True) + logs.mean()
    spread = fit(whole({str(m): row.tolist() for m, row in enumerate(values)})).spread
    assert spread is not None
    assert spread.freedom == 6  # (4 - 1) * (3 - 1)
    assert spread.sd == pytest.approx(math.sqrt((residuals**2).sum() / 6))


def test_holm_against_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_difference_surer_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    assert [c for _, c in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)
    assert not p_values or min(corrected) == pytest.approx(min(1.0, min(p_values) * len(p_values)))  # as Bonferroni


blocks = st.dictionaries(st.integers(0, 4), st.floats(1, 1e5), max_size=5)


@given(st.dictionaries(st.sampled_from("abcdef"), blocks, max_size=6))
def test_places_are_sound_for_any_pattern_of_missing_visits(values):
    places = place(values)
    assert set(places) == {model for model in values if values[model]}
    ranks = [found.rank for found in places.values() if found.rank is not None]
    assert not ranks or min(ranks) == 1
    assert all(rank <= len(ranks) for rank in ranks)
    assert not places or any(found.relative and found.relative.value == 1 for found in places.values())
    for found in places.values():
        if found.relative:
            assert found.relative.value <= 1 + 1e-9  # nobody is above the best
            assert found.relative.low is None or found.relative.low <= found.relative.value


@given(st.dictionaries(st.sampled_from("abc"), blocks, min_size=1, max_size=3), st.floats(0.1, 10))
def test_the_unit_changes_no_rank(values, factor):
    scaled = {model: {key: value * factor for key, value in of.items()} for model, of in values.items()}
    before, after = place(values), place(scaled)
    for model, found in before.items():
        if found.relative and after[model].relative and found.relative.low and after[model].relative.low:
            assert after[model].relative.value == pytest.approx(found.relative.value, rel=1e-6)


def test_equal_models_are_seldom_told_apart_and_different_ones_mostly():
    """Simulated: 8 models of which 4 are equal, 5 blocks, 2% noise. Holm keeps any false difference below 5% of the runs."""
    rng = np.random.default_rng(4)
    false, found = 0, 0
    for _ in range(400):
        truth = np.array([100, 100, 100, 100, 90, 80, 70, 60])
        seen = truth[:, None] * np.exp(rng.normal(0, 0.1, 5)[None, :] + rng.normal(0, 0.02, (8, 5)))
        places = place(whole({f"m{m}": row.tolist() for m, row in enumerate(seen)}))
        false += any(places[f"m{m}"].rank != 1 for m in range(4))
        found += places["m4"].rank == 5
    assert false / 400 <= 0.075
    assert found / 400 >= 0.9


def test_from_ten_blocks_on_two_models_are_judged_by_the_noise_of_their_own_ratios():
    """Two models of 4% noise among quiet ones: by the noise of all they would be told apart five times as often as promised."""
    rng = np.random.default_rng(4)
    noise = np.array([0.01, 0.01, 0.01, 0.015, 0.015, 0.02, 0.04, 0.04])
    any_false = noisy_false = 0
    for _ in range(200):
        seen = np.exp(rng.normal(0, 0.1, 10)[None, :] + rng.normal(0, 1, (8, 10)) * noise[:, None])
        values = whole({f"m{m}": row.tolist() for m, row in enumerate(seen)})
        any_false += any(found.rank != 1 for found in place(values).values())
        fitted = fit(values)
        noisy_false += fitted.difference(6, 7).p_value() < 0.05
    assert any_false / 200 <= 0.08
    assert noisy_false / 200 <= 0.09


def test_what_is_resolved_is_just_what_would_be_told_apart():
    """Six models that only noise sets apart; then one of them is moved by a little less, and by a little more than that."""
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.02, (6, 5))
    noise -= noise.mean(1, keepdims=True)  # truly no difference: every other p-value is 1
    values = np.exp(noise)
    told = resolved(whole({f"m{m}": row.tolist() for m, row in enumerate(values)}))
    assert told is not None
    for factor, ranks in ((0.999, {1}), (1.001, {1, 2})):
        moved = values.copy()
        moved[2] *= 1 + told * factor
        places = place(whole({f"m{m}": row.tolist() for m, row in enumerate(moved)}))
        assert {found.rank for found in places.values()} == ranks
    assert resolved(whole({"a": [1.0, 1.1]})) is None
    assert resolved(whole({"a": [1.0], "b": [1.1]})) is None
    assert resolved({}) is None


def test_a_ratio_of_two_takes_the_noise_of_all():
    values = whole({"a": [100, 110, 90], "b": [50, 56, 44], "noisy": [80, 60, 120]})
    found = ratio(values, "a", "b")
    assert found.value == pytest.approx(2 * math.exp(np.mean(np.log([1, 55 / 56, 45 / 44]))))
    alone = ratio({model: values[model] for model in ("a", "b")}, "a", "b")
    assert found.high / found.low > alone.high / alone.low
    assert ratio(values, "a", "nobody") is None
    assert ratio({"a": {0: 1.0}, "b": {1: 1.0}}, "a", "b") is None  # no block in common
