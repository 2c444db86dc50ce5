"""Ranks and pairs: against textbook arithmetic, with values missing, and how often they are right when the truth is known."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import polygamma

from benchmarks.stats.difference import Difference, calls
from benchmarks.stats.intervals import counting_sd
from benchmarks.stats.moderation import moderate, trigamma_inverse
from benchmarks.stats.scoreboard import compare, difference, fit, holm, ratio

MARGIN = 0.03


def whole(models):
    """Values of models that are in every replicate."""
    return {model: dict(enumerate(values)) for model, values in models.items()}


def drawn(logs):
    """The same from an array of logarithms, models × replicates."""
    return whole({f"m{m}": np.exp(row).tolist() for m, row in enumerate(logs)})


def ranks(values, higher_is_better=True, **options):
    return {model: place.rank for model, place in compare(values, MARGIN, higher_is_better, **options).places.items()}


# ---------------------------------------------------------------- arithmetic


def test_in_whole_replicates_a_ratio_is_the_geometric_mean_of_paired_ratios():
    place = compare(whole({"a": [100, 120, 80], "b": [50, 66, 38]}), MARGIN, True).places["b"]
    assert place.ratio.value == pytest.approx(math.exp(np.mean(np.log([50 / 100, 66 / 120, 38 / 80]))))
    assert place.ratio.replicates == pytest.approx([0.5, 0.55, 0.475])


@pytest.mark.parametrize("replicates", [2, 3, 4, 5, 12])
def test_two_models_alone_are_compared_by_the_paired_t_test(replicates):
    logs = np.random.default_rng(replicates).normal(3, 0.05, (2, replicates))
    values = drawn(logs)
    theirs = stats.ttest_rel(*logs)
    expected = theirs.confidence_interval(0.95)
    found = ratio(values, "m0", "m1")
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert difference(values, "m0", "m1").p_value() == pytest.approx(theirs.pvalue)


def test_the_noise_is_the_residual_mean_square_of_a_randomized_block_design():
    logs = np.log([[10.0, 12, 11], [20, 21, 25], [33, 30, 36], [5, 5.5, 5.2]])
    residuals = logs - logs.mean(1, keepdims=True) - logs.mean(0) + logs.mean()
    expected = math.sqrt((residuals**2).sum() / 6)  # (4 - 1) * (3 - 1)
    board = compare(drawn(logs), MARGIN, True)
    assert board.replicate_sd == pytest.approx(expected)
    found = difference(drawn(logs), "m0", "m1")  # so alike that all variances are pooled
    assert found.freedom == pytest.approx(6)
    assert found.error == pytest.approx(expected * math.sqrt(2 / 3))


def test_what_slows_a_whole_replicate_is_no_noise():
    """Replicates differ threefold, models by 3%: significant all the same."""
    slow = np.log([1.0, 3.0, 0.5, 2.0, 1.0])
    noise = np.random.default_rng(3).normal(0, 0.002, (2, 5))
    assert ranks(drawn(np.log([[103], [100]]) + slow + noise)) == {"m0": 1, "m1": 2}


def test_models_without_a_significant_difference_share_a_rank_and_the_next_counts_them():
    models = {"a": [100, 103, 98], "b": [101, 99, 102], "c": [50, 51, 49], "d": [50.5, 49, 51], "e": [25, 26, 24.5]}
    assert ranks(whole(models)) == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}


def test_a_ratio_is_value_by_best_value_in_both_directions():
    values = whole({"many": [10.0, 11, 10.5, 10.2], "few": [1.0, 1.1, 1.02, 1.03]})
    for higher_is_better, best, worse in ((True, "many", "few"), (False, "few", "many")):
        places = compare(values, MARGIN, higher_is_better).places
        assert (places[best].rank, places[worse].rank) == (1, 2)
        assert (places[best].ratio.low, places[best].ratio.value, places[best].ratio.high) == (1.0, 1.0, 1.0)
        assert places[worse].ratio.value == pytest.approx(places[worse].value.value / places[best].value.value)
        assert (places[worse].ratio.value > 1) is not higher_is_better


def test_an_absolute_value_has_the_range_of_its_replicates():
    place = compare(whole({"a": [100, 120, 80], "b": [50, 66, 38]}), MARGIN, True).places["a"]
    assert place.value.value == pytest.approx((100 * 120 * 80) ** (1 / 3))
    assert (place.value.low, place.value.high, place.value.replicates) == (80, 120, [100, 120, 80])


def test_one_replicate_ranks_nobody_but_gives_ratios():
    board = compare(whole({"a": [100], "b": [50]}), MARGIN, True)
    assert board.places["b"].rank is None
    assert (board.places["b"].ratio.value, board.places["b"].ratio.low) == (pytest.approx(0.5), None)
    assert board.places["a"].ratio.low is None
    assert (board.counts.total, board.counts.open) == (1, 1)
    assert (board.resolution, board.replicate_sd) == (None, None)


def test_one_model_alone_is_the_best_of_itself():
    board = compare(whole({"a": [100, 110, 90]}), MARGIN, True)
    assert board.places["a"].ratio.value == 1.0
    assert (board.pairs, board.counts.total, board.resolution) == ([], 0, None)


def test_equal_counts_are_no_proof_of_no_noise():
    """100 and 101 requests in both windows: half a request is not known, so neither is better."""
    values = whole({"a": [100, 100], "b": [101, 101], "c": [150, 150]})
    assert ranks(values) == {"a": 3, "b": 2, "c": 1}
    assert ranks(values, resolution=counting_sd(100)) == {"a": 2, "b": 2, "c": 1}


def test_a_value_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="a: 0"):
        compare(whole({"a": [0.0, 1.0]}), MARGIN, True)


# ---------------------------------------------------------------- values that are missing


def test_a_missing_value_is_made_up_for_by_what_others_show_of_the_replicate():
    """b missed the quick replicate 2: its mean alone would look worse than it is."""
    values = {"a": {0: 100.0, 1: 101.0, 2: 200.0}, "b": {0: 90.0, 1: 91.0}, "c": {0: 80.0, 1: 81.0, 2: 160.0}}
    board = compare(values, MARGIN, True)
    place = board.places["b"]
    assert place.ratio.value == pytest.approx(0.9, abs=0.005)
    assert place.value.value == pytest.approx(place.ratio.value * board.places["a"].value.value)
    assert place.value.low <= place.value.value <= place.value.high


def test_models_that_no_replicate_links_are_not_compared():
    values = {"a": {0: 100.0, 1: 101.0}, "b": {0: 90.0, 1: 92.0}, "elsewhere": {7: 500.0, 8: 510.0}}
    board = compare(values, MARGIN, True)
    assert (board.places["elsewhere"].rank, board.places["elsewhere"].ratio) == (None, None)
    assert board.places["elsewhere"].value.value == pytest.approx(math.sqrt(500 * 510))
    assert board.places["a"].rank == 1
    assert [pair.ratio is None for pair in board.pairs] == [False, True, True]
    assert ratio(values, "a", "elsewhere") is None


def test_absent_models_leave_their_pairs_open():
    board = compare(whole({"a": [100, 101, 100], "b": [50, 51, 50], "failed": []}), MARGIN, True, absent=["refused"])
    assert set(board.places) == {"a", "b"}
    assert (board.counts.total, board.counts.different, board.counts.open) == (6, 1, 5)
    assert [(pair.one, pair.other) for pair in board.pairs] == list(itertools.combinations(["a", "b", "failed", "refused"], 2))
    assert compare({}, MARGIN, True, absent=["x", "y"]).counts.open == 1
    assert compare({"a": {}}, MARGIN, True).places == {}
    assert ratio({"a": {}}, "a", "b") is None


def test_who_cannot_do_what_is_asked_differs_from_all_that_can():
    values = whole({"a": [100, 101, 100], "b": [50, 51, 50], "failed": []})
    board = compare(values, MARGIN, True, absent=["pool", "fork"], unable=["pool", "fork"])
    calls_of = {(pair.one, pair.other): pair.call for pair in board.pairs}
    for able in ("a", "b"):
        assert {calls_of[able, unable] for unable in ("pool", "fork")} == {"different"}
        assert calls_of[able, "failed"] == "open"
    assert calls_of["pool", "fork"] == calls_of["failed", "pool"] == "open"
    assert board.counts.different == 5
    assert set(board.places) == {"a", "b"}


def test_unranked_models_contribute_to_the_noise_alone():
    """The A/A arm of a run of two models doubles the freedom; it has no place and no pair, even where it is the best."""
    logs = np.random.default_rng(6).normal(0, 0.02, (3, 5)) + np.array([[0.0], [0.1], [0.5]])
    board = compare(drawn(logs), MARGIN, True, unranked=["m2"])
    assert (set(board.places), board.counts.total) == ({"m0", "m1"}, 1)
    assert board.places["m1"].ratio.value == 1.0
    assert board.pairs[0].ratio == ratio(drawn(logs), "m0", "m1")
    assert compare(drawn(logs), MARGIN, True, unranked=["m0", "m1", "m2"]).places == {}


replicates = st.dictionaries(st.integers(0, 4), st.floats(1, 1e5), max_size=5)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), replicates, max_size=6), st.booleans())
def test_a_scoreboard_is_sound_for_any_pattern_of_missing_values(values, higher_is_better):
    board = compare(values, MARGIN, higher_is_better)
    assert set(board.places) == {model for model in values if values[model]}
    counts = board.counts
    assert counts.total == len(board.pairs) == math.comb(len(values), 2) == counts.different + counts.same + counts.open
    ranked = [place for place in board.places.values() if place.rank is not None]
    assert not ranked or min(place.rank for place in ranked) == 1
    for place in board.places.values():
        assert place.value.low <= place.value.value <= place.value.high
        if place.ratio:
            assert place.ratio.value <= 1 + 1e-9 if higher_is_better else place.ratio.value >= 1 - 1e-9
            assert place.ratio.low is None or place.ratio.low <= place.ratio.value <= place.ratio.high
    for pair in board.pairs:
        assert pair.call == "open" or pair.ratio is not None


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), replicates, min_size=1, max_size=3), st.floats(0.1, 10))
def test_the_unit_changes_no_ratio(values, factor):
    scaled = {model: {key: value * factor for key, value in of.items()} for model, of in values.items()}
    before, after = compare(values, MARGIN, True), compare(scaled, MARGIN, True)
    for one, other in zip(before.pairs, after.pairs, strict=True):
        assert (one.ratio is None) == (other.ratio is None)
        assert one.ratio is None or other.ratio.value == pytest.approx(one.ratio.value, rel=1e-6)


# ---------------------------------------------------------------- calls


def test_holm_against_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_difference_surer_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    assert [c for _, c in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)
    assert not p_values or min(corrected) == pytest.approx(min(1.0, min(p_values) * len(p_values)))  # as Bonferroni


def test_a_p_value_agrees_with_the_interval():
    found = Difference(math.log(0.9), 0.02, 30)
    assert found.p_value(0.9) == pytest.approx(1.0)
    for end in (found.estimate().low, found.estimate().high):
        assert found.p_value(end) == pytest.approx(0.05, abs=1e-6)
    assert found.inverse().estimate().low == pytest.approx(1 / found.estimate().high)


def test_the_same_means_that_the_90_percent_interval_lies_within_the_margin():
    """Two one-sided tests at 5% (Schuirmann): as for a single pair, without correction."""
    reach = stats.t.ppf(0.95, 10) * 0.01
    edge = math.log1p(MARGIN) - reach
    for log_ratio, call in ((edge - 1e-6, "same"), (1e-6 - edge, "same"), (edge + 1e-6, "open"), (0.05, "different")):
        assert calls([Difference(log_ratio, 0.01, 10)], MARGIN) == [call]
    # Significantly different, but by less than the margin: that is the same.
    assert calls([Difference(0.01, 0.002, 10)], MARGIN) == ["same"]
    assert calls([Difference(0.5, None, 0)], MARGIN) == ["open"]


def test_a_difference_of_the_smallest_detectable_size_is_just_called():
    """Six models without any difference; one is then moved by a little less, and by a little more than that."""
    noise = np.random.default_rng(8).normal(0, 0.02, (6, 5))
    noise -= noise.mean(1, keepdims=True)
    noise /= noise.std(1, keepdims=True) / 0.02  # all equally noisy
    detectable = compare(drawn(noise), MARGIN, True).resolution
    for factor, expected in ((0.98, {1}), (1.02, {1, 2})):
        moved = noise.copy()
        moved[2] += math.log1p(detectable * factor)
        assert set(ranks(drawn(moved)).values()) == expected


# ---------------------------------------------------------------- how often it is right


def test_trigamma_inverse():
    for x in (1e-8, 1e-3, 0.1, 1.0, 7.0, 1e3, 1e9):
        assert polygamma(1, trigamma_inverse(x)) == pytest.approx(x, rel=1e-5)


def test_alike_variances_are_pooled_and_unlike_ones_are_not():
    alike = moderate([1.0, 1.1, 0.9, 1.0], [4, 4, 4, 4])
    assert alike.variances == pytest.approx([1.0] * 4)
    assert alike.freedoms == pytest.approx([16] * 4)
    unlike = moderate([1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 25.0], [4] * 7)
    assert unlike.variances[-1] > 20
    assert unlike.variances[0] < 1.5
    assert unlike.freedoms[-1] < 5
    assert moderate([0.0, 0.0], [0, 0]) is None
    assert moderate([1.0, 0.0], [4, 0]).variances[1] == pytest.approx(1.0)  # from a single value: the prior's


def coverage(models, replicates, sds, simulations, seed, truth=0.0):
    """Shares of the 95% intervals of all pairs that hold the truth: all pairs, and those of the first model."""
    rng = np.random.default_rng(seed)
    one, other = np.triu_indices(models, 1)
    covered = []
    for _ in range(simulations):
        logs = rng.normal(0, 0.1, replicates) + rng.normal(0, 1, (models, replicates)) * np.array(sds)[:, None]
        true = np.zeros(models) + truth
        fitted = fit(drawn(logs + true[:, None]))
        reach = stats.t.ppf(0.975, fitted.freedoms[one, other]) * fitted.errors[one, other]
        covered.append(np.abs(fitted.effects[one] - fitted.effects[other] - true[one] + true[other]) <= reach)
    return np.mean(covered), np.mean(np.array(covered)[:, one == 0])


@pytest.mark.parametrize("replicates", [3, 4, 5])
@pytest.mark.parametrize(("models", "simulations"), [(4, 350), (12, 80), (16, 60)])
def test_intervals_of_models_with_equal_noise_cover_95_percent(models, replicates, simulations):
    """Two models alone have the exact interval of the paired t test, see above."""
    found, _ = coverage(models, replicates, [0.01] * models, simulations, seed=1)
    assert 0.935 <= found <= 0.965


@pytest.mark.parametrize("replicates", [3, 4, 5])
def test_one_model_four_times_as_noisy_spoils_no_intervals(replicates):
    """With variances simply pooled, the intervals of its own pairs would cover 67%."""
    found, noisy = coverage(12, replicates, [0.04] + [0.01] * 11, 100, seed=1)
    assert found >= 0.92
    assert noisy >= 0.86


SIZES = np.linspace(0, 2.4, 16)  # logarithms


def by_size(slope):
    """Standard deviations that go with the size: 16% of the smallest, with a slope of -1.4 a fifth of that of the largest."""
    return 0.16 * np.exp(slope / 2 * SIZES)


@pytest.mark.parametrize(("replicates", "least"), [(3, 0.90), (4, 0.925), (5, 0.925)])
@pytest.mark.parametrize("slope", [-1.4, 0.0, 1.4])
def test_intervals_cover_the_truth_where_noise_goes_with_the_size(replicates, least, slope):
    """Three replicates show the slope badly: 91 to 93% are covered, and 93 to 95% with more."""
    found, first = coverage(16, replicates, by_size(slope), 60, seed=2, truth=SIZES)
    assert found >= least
    assert first >= 0.85


def test_the_smallest_are_as_noisy_as_their_like_and_the_largest_as_quiet():
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(20):
        logs = SIZES[:, None] + rng.normal(0, 1, (16, 4)) * by_size(-1.4)[:, None]
        variances = fit(drawn(logs)).noise.variances
        ratios.append(math.sqrt(variances[:4].mean() / variances[-4:].mean()))
    assert np.median(ratios) == pytest.approx(by_size(-1.4)[1] / by_size(-1.4)[-2], rel=0.35)


def test_what_noisy_models_do_is_no_noise_of_the_quiet_ones():
    """Three of sixteen with thirty times the noise: unweighted, their mean would move every replicate by 3% and more."""
    rng = np.random.default_rng(5)
    sds = []
    for _ in range(20):
        logs = rng.normal(0, 0.1, 4) + rng.normal(0, 1, (16, 4)) * np.array([0.3] * 3 + [0.01] * 13)[:, None]
        sds.append(math.sqrt(np.median(fit(drawn(logs)).noise.variances[3:])))
    assert np.median(sds) == pytest.approx(0.01, rel=0.2)


def test_false_calls_are_rare_and_real_differences_found():
    """8 models of which 4 are equal, 5 replicates, noise of 2%: Holm keeps any false difference below 5% of the runs."""
    rng = np.random.default_rng(4)
    truth = np.log([100, 100, 100, 100, 90, 80, 70, 60])
    false = found = 0
    for _ in range(100):
        board = ranks(drawn(truth[:, None] + rng.normal(0, 0.1, 5) + rng.normal(0, 0.02, (8, 5))))
        false += any(board[f"m{m}"] != 1 for m in range(4))
        found += board["m4"] == 5
    assert false / 100 <= 0.08
    assert found / 100 >= 0.9


def test_models_that_differ_by_the_margin_are_seldom_called_the_same():
    """6 models, neighbours differ by exactly the margin: any false "same" in at most 5% of the runs. Equal ones mostly are."""
    rng = np.random.default_rng(5)
    false = same = 0
    for _ in range(100):
        noise = rng.normal(0, 0.01, (6, 5))
        false += compare(drawn(noise + math.log1p(MARGIN) * np.arange(6)[:, None]), MARGIN, True).counts.same > 0
        same += compare(drawn(noise / 2), MARGIN, True).counts.same
    assert false / 100 <= 0.08
    assert same / (100 * 15) >= 0.9


def test_sixteen_models_take_milliseconds():
    values = drawn(np.random.default_rng(1).normal(0, 0.02, (16, 5)))
    compare(values, MARGIN, True)
    began = time.process_time()
    for _ in range(10):
        compare(values, MARGIN, True)
    assert (time.process_time() - began) / 10 < 0.02


def in_states(rng, blocks, sd=0.01):
    """Models of which some are twice as fast in the machine's state 0 as in 1, and others equally fast, in these blocks."""
    speeds = {
        "loop": (1.0, 0.92),
        "twin": (1.0, 0.92),
        "threads": (0.97, 0.68),
        "greenlets": (0.95, 0.55),
        "streams": (0.52, 0.5),
    }
    return {
        model: {(replicate, state): own[state] * math.exp(rng.normal(0, sd) + 0.2 * replicate) for replicate, state in blocks}
        for model, own in speeds.items()
    }


def test_what_the_machines_states_do_to_the_models_is_in_the_ratio_and_not_in_its_interval():
    rng = np.random.default_rng(5)
    blocks = [(0, 0), (0, 1), (1, 0), (2, 1)]
    board = compare(in_states(rng, blocks), 0.03, True)
    ratio = board.places["threads"].ratio
    assert ratio.value == pytest.approx(math.sqrt(0.97 * 0.68 / 0.92), rel=0.02)  # half of the blocks in each state
    assert ratio.high / ratio.low < 1.06
    assert board.counts.different == 9  # all but the twin
    together = {
        model: {replicate: of[replicate, state] for replicate, state in blocks[1:]}
        for model, of in in_states(rng, blocks).items()
    }
    assert compare(together, 0.03, True).counts.different < 9  # as one kind of replicate they are noise


def test_the_states_count_alike_however_often_each_was_seen():
    """Two runs of one machine tell of the same ratio, though it was in one state most of the time in the first."""
    rng = np.random.default_rng(8)
    often, seldom = ([(0, 0), (1, 0), (2, 0), (3, 1)], [(0, 0), (1, 1), (2, 1), (3, 1)])
    one, other = (compare(in_states(rng, blocks), 0.03, True).places["threads"].ratio for blocks in (often, seldom))
    assert one.value == pytest.approx(other.value, rel=0.03)
    assert one.value == pytest.approx(math.sqrt(0.97 * 0.68 / 0.92), rel=0.03)


def test_intervals_within_states_cover_the_truth():
    rng, covered, asked = np.random.default_rng(6), 0, 400
    for _ in range(asked):
        found = compare(in_states(rng, [(0, 0), (1, 0), (1, 1), (2, 1)]), 0.03, True).places["streams"].ratio
        covered += found.low <= math.sqrt(0.52 * 0.5 / 0.92) <= found.high
    assert 0.92 < covered / asked < 0.98


def test_a_state_in_which_a_model_was_not_measured_is_left_out():
    values = in_states(np.random.default_rng(7), [(0, 0), (1, 0), (2, 1)])
    del values["streams"][2, 1]
    assert compare(values, 0.03, True).places["threads"].ratio.value == pytest.approx(0.97, rel=0.02)
