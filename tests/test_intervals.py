"""Intervals: the arithmetic, what holds for any data, and whether 95% means 95%."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.intervals import counting_sd, interval, quantile_ranks, samples_wanted, student

rates = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=8)

# ---------------------------------------------------------------- one model alone


def test_the_interval_of_one_model_is_students_on_the_logarithms():
    values = [100.0, 130, 90, 110]
    found = interval(values)
    expected = stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.value == pytest.approx(stats.gmean(values))
    assert found.replicates == values


def test_one_value_has_no_interval_and_none_is_refused():
    found = interval([100.0])
    assert (found.value, found.low, found.high) == (100.0, None, None)
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_values_without_a_logarithm_have_a_mean_and_no_interval():
    found = interval([0.0, 4.0])
    assert (found.value, found.low) == (2.0, None)


def test_equal_values_have_the_interval_that_the_resolution_leaves():
    found = interval([500.0] * 12, resolution=0.01)
    assert found.high == pytest.approx(500 * math.exp(student(11) * 0.01 / math.sqrt(12)))
    assert found.low == pytest.approx(500**2 / found.high)


@given(rates, st.floats(1e-3, 1e3))
def test_intervals_hold_their_value_and_scale_with_the_unit(values, factor):
    one, other = interval(values), interval([value * factor for value in values])
    assert other.value == pytest.approx(one.value * factor)
    if one.low is not None:
        assert one.low <= one.value * (1 + 1e-12)
        assert one.value <= one.high * (1 + 1e-12)
        assert other.high == pytest.approx(one.high * factor, rel=1e-6)


def test_a_95_percent_interval_covers_95_percent():
    """Simulated: 3 replicates, 3% noise that is not even normal; a bootstrap of three values would cover 74%."""
    rng = np.random.default_rng(20)
    seen = [interval(np.exp(rng.standard_t(6, 3) * 0.03).tolist()) for _ in range(3000)]
    assert 0.93 <= np.mean([found.low <= 1 <= found.high for found in seen]) <= 0.97


def test_student_is_the_two_sided_point_of_the_textbook():
    assert student(4) == pytest.approx(2.776, abs=5e-4)
    assert student(28) == pytest.approx(2.048, abs=5e-4)
    assert student(10, 0.05) == pytest.approx(1.812, abs=5e-4)


def test_counting_whole_requests_is_noise_too():
    """Requests of 1 unit at a steady pace, windows of 20.5 units begun anywhere: 20 or 21 are counted."""
    rng = np.random.default_rng(6)
    begins, lasts = rng.uniform(0, 1, 20_000), rng.uniform(20, 21, 20_000)
    counted = np.floor(begins + lasts)
    assert np.std(counted - lasts) / 20.5 == pytest.approx(counting_sd(20), rel=0.05)
    assert counting_sd(100) == pytest.approx(0.0041, abs=1e-4)


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


def test_quantile_ranks_cover_95_percent_of_the_time():
    rng = np.random.default_rng(21)
    count, q = 1000, 0.99
    truth = stats.lognorm(0.5).ppf(q)
    low, high = quantile_ranks(count, q)
    samples = np.sort(stats.lognorm(0.5).rvs((2000, count), random_state=rng), axis=1)
    covered = np.mean((samples[:, low - 1] <= truth) & (truth <= samples[:, high - 1]))
    assert 0.94 <= covered <= 0.985  # ranks are whole numbers: they cover a little more
