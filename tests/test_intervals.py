"""Intervals: the arithmetic, what holds for any data, and whether 95% means 95%."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.intervals import (
    ENOUGH_ALONE,
    TAIL,
    Spread,
    bca,
    counting_sd,
    mean_estimate,
    pooled_spread,
    quantile_ranks,
    samples_wanted,
    student,
    widened,
)

rates = st.floats(0.1, 1e6)
cells = st.lists(st.lists(rates, min_size=1, max_size=6), min_size=1, max_size=8)


def test_pooled_spread_is_that_of_deviations_from_each_cells_own_mean():
    e = math.e
    found = pooled_spread([[e**1, e**3], [e**10, e**10, e**10], [5.0]])
    assert found is not None
    assert found.freedom == 3  # 1 + 2 + 0
    assert found.sd == pytest.approx(math.sqrt(2 / 3))


def test_one_visit_each_shows_no_noise_and_gets_no_interval():
    assert pooled_spread([[1.0], [2.0], []]) is None
    found = mean_estimate([100.0], None)
    assert found is not None
    assert found.value == pytest.approx(100)
    assert (found.low, found.high) == (None, None)


def test_a_single_visit_borrows_the_noise_of_the_other_cells():
    found = mean_estimate([100.0], Spread(0.02, 10))
    assert found is not None
    assert found.low is not None
    assert found.low == pytest.approx(100 * math.exp(-student(10) * 0.02))


def test_counting_whole_requests_is_noise_too():
    """Requests of 1 unit at a steady pace, windows of 20.5 units begun anywhere: 20 or 21 are counted."""
    rng = np.random.default_rng(6)
    begins, lasts = rng.uniform(0, 1, 20_000), rng.uniform(20, 21, 20_000)
    counted = np.floor(begins + lasts)
    assert np.std(counted - lasts) / 20.5 == pytest.approx(counting_sd(20), rel=0.05)
    assert Spread(0.0, 4).at_least(counting_sd(100)).sd == pytest.approx(0.0041, abs=1e-4)
    assert Spread(0.02, 4).at_least(0.004) == Spread(0.02, 4)


def test_student_is_the_two_sided_point_of_the_textbook():
    assert student(4) == pytest.approx(2.776, abs=5e-4)
    assert student(28) == pytest.approx(2.048, abs=5e-4)


def test_values_without_a_logarithm_have_a_mean_and_no_interval():
    found = mean_estimate([0.0, 4.0], Spread(0.02, 10))
    assert found is not None
    assert (found.value, found.low) == (2.0, None)
    assert mean_estimate([], Spread(0.02, 10)) is None


@given(cells, st.floats(1e-3, 1e3))
def test_intervals_scale_with_the_unit(values, factor):
    """A rate per minute has the same relative interval as one per second."""
    spread, scaled = pooled_spread(values), pooled_spread([[v * factor for v in cell] for cell in values])
    if spread is None or scaled is None:
        assert spread is scaled
        return
    assert scaled.sd == pytest.approx(spread.sd, rel=1e-6, abs=1e-9)
    one = mean_estimate(values[0], spread)
    other = mean_estimate([v * factor for v in values[0]], scaled)
    assert one is not None
    assert other is not None
    assert other.high == pytest.approx(one.high * factor, rel=1e-6)


@given(cells)
def test_an_interval_holds_its_value_and_is_no_narrower_for_fewer_visits(values):
    spread = pooled_spread(values)
    for cell in values:
        found = mean_estimate(cell, spread)
        assert found is not None
        if spread is None:
            continue
        assert found.low <= found.value <= found.high
        fewer = mean_estimate([found.value], spread)
        assert fewer is not None
        assert fewer.high >= found.high * (1 - 1e-12)


# ---------------------------------------------------------------- the bootstrap


@pytest.mark.parametrize("count", [10, 13, 30])
@pytest.mark.parametrize("tail", [TAIL, 0.01])
def test_the_bootstrap_agrees_with_scipys(count, tail):
    """Skewed values, so that bias and acceleration matter: plain percentiles would be off by several times the tolerance."""
    values = stats.lognorm(0.6).ppf((np.arange(count) + 0.5) / count)
    theirs = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=40_000, confidence_level=1 - 2 * tail, rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = bca(values.tolist(), tail)
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.03 * width)
    assert high == pytest.approx(theirs.high, abs=0.03 * width)
    assert high - values.mean() > 1.1 * (values.mean() - low)


def test_the_bootstrap_is_always_the_same():
    values = np.random.default_rng(2).normal(0, 1, 12).tolist()
    assert bca(values) == bca(values)


@pytest.mark.parametrize("count", [10, 20, 200])
def test_the_widened_bootstrap_of_a_symmetric_sample_is_its_t_interval(count):
    values = stats.norm.ppf((np.arange(count) + 0.5) / count)
    low, high = bca(values.tolist(), widened(count))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert low == pytest.approx(expected.low, rel=0.06)
    assert high == pytest.approx(expected.high, rel=0.06)


def test_from_ten_visits_on_a_cell_is_judged_by_its_own_noise():
    rng = np.random.default_rng(5)
    wild = (1000 * np.exp(rng.normal(0, 0.1, ENOUGH_ALONE))).tolist()
    pooled = Spread(0.01, 80)  # the others are quiet
    few, enough = mean_estimate(wild[:-1], pooled), mean_estimate(wild, pooled)
    assert few.high / few.value < 1.01
    assert enough.high / enough.value > 1.04
    assert enough.low < enough.value < enough.high


def test_equal_visits_have_the_interval_that_counting_leaves():
    found = mean_estimate([500.0] * 12, Spread(0.0, 30), resolution=0.01)
    assert found.high == pytest.approx(500 * math.exp(student(11) * 0.01 / math.sqrt(12)))
    assert found.low == pytest.approx(500**2 / found.high)


@pytest.mark.parametrize(
    ("name", "draw", "truth"),
    [
        ("normal", lambda rng: rng.normal(0, 0.03, ENOUGH_ALONE), 0.0),
        ("long tails", lambda rng: rng.standard_t(6, ENOUGH_ALONE) * 0.03, 0.0),
        ("skewed", lambda rng: -rng.exponential(0.03, ENOUGH_ALONE), -0.03),  # a few visits are slow
    ],
)
def test_ten_visits_cover_what_they_promise(name, draw, truth):
    """Simulated, seeded. Unwidened, the bootstrap would cover 91% of the normal ones; t would cover 89% of the skewed."""
    rng = np.random.default_rng(22)
    covered = 0
    for _ in range(1000):
        found = mean_estimate(np.exp(draw(rng)).tolist(), None)
        covered += found.low <= math.exp(truth) <= found.high
    assert (0.935 if name == "normal" else 0.91) <= covered / 1000 <= 0.97


# ---------------------------------------------------------------- percentiles


@pytest.mark.parametrize(("q", "wanted"), [(0.5, 6), (0.9, 35), (0.99, 367), (0.999, 3687), (0.01, 367)])
def test_samples_wanted(q, wanted):
    assert samples_wanted(q) == wanted
    # The probability that all samples fall on one side: 2.5% at most, and more with one sample fewer.
    assert max(q, 1 - q) ** wanted < 0.02505
    assert max(q, 1 - q) ** (wanted - 1) > 0.025


@given(st.integers(1, 5_000), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_quantile_ranks_cover_by_the_binomial(count, q):
    """The probability that the interval misses on a side, computed afresh, is at most 2.5%."""
    low, high = quantile_ranks(count, q)
    distribution = stats.binom(count, q)
    if low is not None:
        assert 1 <= low <= count
        assert distribution.cdf(low - 1) <= 0.025 + 1e-9
        assert low == count or distribution.cdf(low) > 0.025  # and no wider than it must be
    if high is not None:
        assert (low or 1) <= high <= count
        assert 1 - distribution.cdf(high - 1) <= 0.02505  # 0.025, but for the tenth of a sample
    else:
        assert count < samples_wanted(q)


@pytest.mark.parametrize(("count", "bounded"), [(366, False), (367, True)])
def test_p99_is_bounded_above_from_367_samples_on(count, bounded):
    assert (quantile_ranks(count, 0.99)[1] is not None) == bounded


def test_nothing_encloses_a_quantile_of_nothing():
    assert quantile_ranks(0, 0.5) == (None, None)


def test_a_95_percent_interval_covers_95_percent():
    """Simulated: 8 models, 3 visits each, 3% noise that is not even normal; how often does the interval hold the truth?

    Seeded, so that the answer is always the same; a bootstrap of three visits would cover 74%.
    """
    rng = np.random.default_rng(20)
    covered = asked = 0
    for _ in range(500):
        noise = rng.standard_t(6, (8, 3)) * 0.03 * math.sqrt(4 / 6)
        visits = 1000 * np.exp(noise)
        spread = pooled_spread(visits.tolist())
        for cell in visits.tolist():
            found = mean_estimate(cell, spread)
            covered += found.low <= 1000 <= found.high
            asked += 1
    assert 0.93 <= covered / asked <= 0.97


def test_quantile_ranks_cover_95_percent_of_the_time():
    rng = np.random.default_rng(21)
    count, q = 1000, 0.99
    truth = stats.lognorm(0.5).ppf(q)
    low, high = quantile_ranks(count, q)
    samples = np.sort(stats.lognorm(0.5).rvs((2000, count), random_state=rng), axis=1)
    covered = np.mean((samples[:, low - 1] <= truth) & (truth <= samples[:, high - 1]))
    assert 0.94 <= covered <= 0.985  # ranks are whole numbers: they cover a little more
