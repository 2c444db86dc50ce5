"""The histogram, in its pure and its compiled half, against the hdrhistogram package."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import histogram
from benchmarks.load import recorder

values_ns = st.lists(st.integers(1, histogram.HIGHEST_NS), min_size=1, max_size=200)
QUANTILES = (0.01, 0.5, 0.9, 0.99, 0.999, 1.0)


def oracle(values: list[int]) -> HdrHistogram:
    hdr = HdrHistogram(1, histogram.HIGHEST_NS, 3)
    for value in values:
        hdr.record_value(value)
    return hdr


@given(values_ns)
@settings(deadline=None)
def test_percentiles_are_those_of_hdrhistogram(values):
    ours, theirs = histogram.from_values(values), oracle(values)
    assert histogram.total(ours) == theirs.get_total_count()
    for q in QUANTILES:
        rank = max(int(q * len(values) + 0.5), 1)  # hdrhistogram rounds the rank; `quantile_ns` takes its ceiling
        # It answers with its bucket's upper edge even beyond the largest value recorded.
        assert histogram.value_at_rank(ours, rank) == min(theirs.get_value_at_percentile(q * 100), max(values))


@given(values_ns, st.sampled_from(QUANTILES))
def test_a_quantile_is_the_smallest_value_that_a_share_does_not_exceed(values, q):
    found = histogram.quantile_ns(histogram.from_values(values), q)
    assert sum(value <= found for value in values) >= q * len(values) - 1e-9
    lower = [value for value in values if value < histogram.bounds_ns(histogram.index_of(found))[0]]
    assert len(lower) < q * len(values)


@given(values_ns)
@settings(deadline=None)
def test_compiled_recording_fills_the_same_buckets(values):
    compiled = recorder.Recorder()
    for value in values:
        recorder.record(compiled.counts, compiled.moments, recorder.CONNECT, value)
    assert compiled.row(recorder.CONNECT) == histogram.from_values(values)


@given(st.integers(1_000, histogram.HIGHEST_NS))
def test_a_bucket_is_never_wider_than_a_thousandth_of_its_values(value):
    low, high = histogram.bounds_ns(histogram.index_of(value))
    assert low <= value <= high
    assert (high - low) * 1000 <= value


@given(values_ns, values_ns)
def test_merging_is_recording_together(some, others):
    merged = histogram.merge([histogram.from_values(some), histogram.from_values(others)])
    assert merged == histogram.from_values([*some, *others])


def test_mean_is_exact_and_extremes_are_kept():
    found = histogram.from_values([1_000, 1_000_001, 59_999_999_999])
    assert histogram.mean_ns(found) == pytest.approx((1_000 + 1_000_001 + 59_999_999_999) / 3)
    assert (found.min_ns, found.max_ns) == (1_000, 59_999_999_999)


def test_values_out_of_range_go_to_the_nearest_bucket():
    compiled = recorder.Recorder()
    for value in (-5, 10**12):
        recorder.record(compiled.counts, compiled.moments, recorder.CONNECT, value)
    assert compiled.row(recorder.CONNECT) == histogram.from_values([0, histogram.HIGHEST_NS])


@given(values_ns, values_ns)
@settings(deadline=None)
def test_threads_together_and_what_is_cleared(some, others):
    both = recorder.Recorder(2), recorder.Recorder(2)
    for one, values in zip(both, (some, others), strict=True):
        for value in values:
            recorder.record(one.counts, one.moments, recorder.CENSORED, value)
            recorder.record(one.counts, one.moments, recorder.SERVICE + recorder.PER_CLASS, value)
    assert recorder.together(both, recorder.CENSORED) == histogram.from_values([*some, *others])
    assert recorder.together(both, recorder.SERVICE) == histogram.from_values([*some, *others])
    assert recorder.together(both[1:], recorder.SERVICE, 1) == histogram.from_values(others)
    assert recorder.together(both, recorder.SERVICE, 0) == histogram.from_values([])
    for one in both:
        one.clear()
        assert not one.counts.any()
        assert recorder.together(both, recorder.CENSORED) == histogram.merge(
            [] if one is both[1] else [histogram.from_values(others)]
        )


def test_an_empty_histogram_answers_nothing():
    empty = histogram.from_values([])
    assert histogram.quantile_ns(empty, 0.99) == 0
    assert histogram.merge([empty, empty]) == empty
    with pytest.raises(IndexError):
        histogram.value_at_rank(empty, 1)


def test_prompt_requests_belong_to_response_and_service_and_have_no_send_lag():
    compiled = recorder.Recorder()
    recorder.record(compiled.counts, compiled.moments, recorder.PROMPT, 5_000)
    assert compiled.row(recorder.SEND_LAG) == histogram.from_values([0])
    recorder.record(compiled.counts, compiled.moments, recorder.RESPONSE, 9_000)
    recorder.record(compiled.counts, compiled.moments, recorder.SERVICE, 7_000)
    recorder.record(compiled.counts, compiled.moments, recorder.SEND_LAG, 2_000)
    assert compiled.row(recorder.RESPONSE) == histogram.from_values([5_000, 9_000])
    assert compiled.row(recorder.SERVICE) == histogram.from_values([5_000, 7_000])
    assert compiled.row(recorder.SEND_LAG) == histogram.from_values([0, 2_000])


@given(st.lists(st.integers(-5, 2 * histogram.HIGHEST_NS), min_size=1, max_size=50))
def test_many_values_at_once_are_where_each_is_alone(values):
    indices = histogram.indices_of(np.array(values, np.int64))
    assert indices.tolist() == [histogram.index_of(value) for value in values]
    low, high = histogram.bounds_of(indices)
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [histogram.bounds_ns(index) for index in indices.tolist()]
