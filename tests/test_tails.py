"""Percentiles: right where they are given, refused where they would be somebody else's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import histogram
from benchmarks.nouns import Histogram
from benchmarks.tails import Ordered, Pauses, Sample, Tail, drowned, hiccup_ns, scatters, too_few

CALM = Pauses((), 1e9)
NONE = Histogram()


def sample(values, censored=()):
    return Sample(histogram.from_values(values), histogram.from_values(censored))


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200), st.floats(0, 1))
def test_ordered_agrees_with_the_histogram_it_was_made_of(values, q):
    made = histogram.from_values(values)
    assert Ordered([made]).quantile_ns(q) == histogram.quantile_ns(made, q)
    halves = [histogram.from_values(values[::2]), histogram.from_values(values[1::2])]
    assert Ordered([Ordered([one]) for one in halves]).quantiles_ns([q]) == [histogram.quantile_ns(made, q)]


def test_percentiles_are_of_all_requests_and_not_means_of_replicates():
    """A quick replicate with many requests and a slow one with few: the mean of two medians would be 500 µs."""
    tail = Tail([sample([1_000] * 900), sample([1_000_000] * 100)], CALM)
    assert tail.quantile(0.5).value_ns == pytest.approx(1_000, rel=2e-3)
    assert tail.quantile(0.99).value_ns == pytest.approx(1_000_000, rel=2e-3)


@pytest.mark.parametrize(("count", "status"), [(366, "insufficient"), (367, "ok")])
def test_p99_wants_367_requests(count, status):
    found = Tail([sample(range(1_000, 1_000 + count))], CALM).quantile(0.99)
    assert found.status == status
    assert (found.value_ns is None) == (status == "insufficient")
    assert ("366 samples, p99 wants 367" in found.why) == (status == "insufficient")


@pytest.mark.parametrize(("paused_ns", "too_long"), [(3_300_000, False), (3_400_000, True)])
def test_p99_is_drowned_when_the_engine_stood_still_for_a_third_of_its_share(paused_ns, too_long):
    paused = Pauses((paused_ns // 2, paused_ns // 2), 1e9)
    assert ("the engine itself stood still" in drowned(0.99, paused)) == too_long
    assert not drowned(0.5, paused)


def test_short_pauses_spoil_nothing():
    assert not drowned(0.999, Pauses((190_000,) * 1_000, 1e9))
    assert not too_few(0.99, 367)


def test_unfinished_requests_count_with_their_age():
    """One in ten never ended: p50 is known, of p99 only that it is at least their age."""
    tail = Tail([sample([1_000_000] * 900, [50_000_000] * 100)], CALM)
    assert tail.quantile(0.5).status == "ok"
    assert tail.quantile(0.5).value_ns == pytest.approx(1e6, rel=2e-3)
    p99 = tail.quantile(0.99)
    assert p99.status == "at least"
    assert p99.value_ns == pytest.approx(50e6, rel=2e-3)
    assert p99.high_ns is None
    assert "10.0% of the requests never finished" in p99.why


def test_exactly_the_tail_may_be_unfinished():
    assert Tail([sample([1_000] * 990, [9_000] * 10)], CALM).quantile(0.99).status == "ok"
    assert Tail([sample([1_000] * 989, [9_000] * 11)], CALM).quantile(0.99).status == "at least"


def test_no_upper_bound_rests_on_the_age_of_an_unfinished_request():
    tail = Tail([sample(range(10_000, 19_910, 10), [20_000] * 9)], CALM)
    found = tail.quantile(0.99)
    assert (found.status, found.high_ns) == ("ok", None)


def test_replicates_that_differ_widen_the_interval_of_requests_that_do_not():
    replicates = [sample(range(at, at + 1_000)) for at in (100_000, 104_000, 96_000)]
    tail = Tail(replicates, CALM)
    alone, widened = tail.quantile(0.5), tail.quantile(0.5, scatters([tail], 0.5)[0])
    assert widened.low_ns < alone.low_ns
    assert widened.high_ns > alone.high_ns
    assert widened.low_ns < 96_500
    assert widened.high_ns > 104_500


def test_what_replicates_scatter_by_is_moderated_over_the_cells():
    calm = [Tail([sample(range(at, at + 1_000)) for at in (100_000, 100_500, 99_500)], CALM) for _ in range(5)]
    wild = Tail([sample(range(at, at + 1_000)) for at in (100_000, 130_000, 80_000)], CALM)
    found = scatters([*calm, wild], 0.5)
    assert found[0].sd < 0.02
    assert found[0].freedom > 2  # more than its own
    assert found[-1].sd > 0.1  # and not the others'


def test_a_scatter_is_taken_only_from_replicates_that_know_the_percentile():
    few, many = sample(range(10_000, 10_100)), sample(range(10_000, 10_400))
    assert scatters([Tail([few, few], CALM)], 0.99) == [None]
    assert scatters([Tail([many, many], CALM)], 0.99)[0].sd < 1e-6


def test_the_curve_ends_where_the_tail_cannot_be_told():
    tail = Tail([sample(range(100_000, 101_000))], CALM)
    curve = tail.curve()
    assert 0.99 < curve[-1][0] < 0.999
    assert [ns for _, ns in curve] == sorted(ns for _, ns in curve)
    assert Tail([], CALM).curve() == []


def test_nothing_measured_is_insufficient():
    assert Tail([], Pauses((), 0.0)).quantile(0.5).status == "insufficient"
    assert Tail([Sample(NONE, NONE)], CALM).quantile(0.5).why == "0 samples, p50 wants 6"


def test_one_pause_delays_those_inside_it_by_a_uniform_time():
    """1% of the time in one pause of 10 ms: p99.5 arrives in its middle and waits 5 ms; p99 just escapes."""
    paused = Pauses((10_000_000,), 1e9)
    assert hiccup_ns(0.995, paused) == pytest.approx(5e6)
    assert hiccup_ns(0.99, paused) == pytest.approx(0, abs=1)
    assert hiccup_ns(0.5, Pauses((), 0.0)) == 0.0


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=20), st.floats(0.5, 0.9999))
def test_hiccups_agree_with_arrivals_counted_one_by_one(lengths, q):
    window = 4.0 * sum(lengths)
    delay = hiccup_ns(q, Pauses(tuple(lengths), window))
    longer = sum(max(length - delay, 0) for length in lengths) / window
    if delay > 0:
        assert longer == pytest.approx(1 - q, rel=1e-6, abs=1e-12)
    else:
        assert longer <= 1 - q + 1e-9


def test_hiccups_agree_with_a_simulation():
    rng = np.random.default_rng(5)
    lengths = rng.integers(50_000, 5_000_000, 40)
    window = int(lengths.sum() * 3)
    within = rng.integers(0, window, 400_000)
    ends = np.cumsum(lengths)
    inside = within < ends[-1]
    delays = np.zeros(within.size)
    delays[inside] = ends[np.searchsorted(ends, within[inside], side="right")] - within[inside]
    for q in (0.9, 0.99):
        assert hiccup_ns(q, Pauses(tuple(map(int, lengths)), float(window))) == pytest.approx(np.quantile(delays, q), rel=0.02)
