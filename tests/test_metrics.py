"""The number of each metric in one visit, against what its window was made of, and why there is none."""

from dataclasses import replace

import crowded
import factories
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import histogram
from benchmarks.metrics import RECOVERY_STEP_NS, UNITS, is_plain, measure, shown, told
from benchmarks.nouns import Histogram, Series, VisitRecord
from benchmarks.questions import Level, Metric, Quantity

PEAK = "closed 64"
COMMON = crowded.COMMON.label


def visit(scenario: str = "mixed", model: str = "epoll_loop") -> VisitRecord:
    return crowded.record(model, scenario, 0)


def changed(record: VisitRecord, level: str, **load: object) -> VisitRecord:
    """The visit with another window at a level."""
    windows = [
        replace(w, load=replace(w.load, **load)) if w.level.label == level else w  # type: ignore[arg-type]
        for w in record.windows
    ]
    return replace(record, windows=windows)


QUANTITIES: tuple[Quantity, ...] = tuple(UNITS)


@pytest.mark.parametrize("quantity", [q for q in QUANTITIES if q not in ("held memory", "recovery", "faults")])
def test_every_quantity_has_a_number_at_the_peak(quantity):
    value = measure(Metric(quantity), visit(), PEAK)
    assert value is not None
    assert value > 0


def test_numbers_are_those_of_the_window():
    made = visit()
    window = next(w for w in made.windows if w.level.label == PEAK)
    assert measure(Metric("rate"), made, PEAK) == window.load.completed / window.load.seconds
    assert measure(Metric("memory"), made, PEAK) == window.server.uss_bytes
    cpu_ns = window.server.cpu_user_ns + window.server.cpu_system_ns
    assert measure(Metric("cpu"), made, PEAK) == cpu_ns / window.load.completed
    assert measure(Metric("p90"), made, PEAK) == histogram.quantile_ns(window.load.response, 0.9)
    assert measure(Metric("rate", COMMON), made, PEAK) != measure(Metric("rate"), made, PEAK)


def test_the_share_answered_is_of_what_was_due_and_never_nothing():
    made = visit()
    load = next(w for w in made.windows if w.level.label == COMMON).load
    share = measure(Metric("answered", COMMON), made, PEAK)
    assert share == histogram.total(load.response) / load.intended
    half = measure(Metric("answered", COMMON), changed(made, COMMON, intended=2 * load.intended), PEAK)
    assert half == pytest.approx(share / 2)
    none = changed(made, COMMON, response=Histogram(), intended=200)
    assert measure(Metric("answered", COMMON), none, PEAK) == 0.5 / 200


def test_a_label_has_requests_of_its_own():
    whole, half = (measure(Metric("rate", label=label), visit(), PEAK) for label in ("", "hello"))
    assert whole is not None
    assert half == pytest.approx(whole / 2, rel=1e-3)
    assert "no request is called tea" in told(Metric("rate", label="tea"), visit(), PEAK)[1]
    assert measure(Metric("rate", label="hello"), visit("hello"), PEAK) == measure(Metric("rate"), visit("hello"), PEAK)


def test_by_divides_by_the_other_metric_of_the_same_visit():
    ratio = measure(Metric("rate", COMMON, by=Metric("rate")), visit(), PEAK)
    assert ratio == measure(Metric("rate", COMMON), visit(), PEAK) / measure(Metric("rate"), visit(), PEAK)


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (Metric("rate", "closed 7"), "no level closed 7"),
        (Metric("held memory", COMMON), "nobody is beside"),
        (Metric("recovery", COMMON), "slow requests were not counted"),
    ],
)
def test_what_cannot_be_told_says_why(metric, why):
    value, said = told(metric, visit(), PEAK)
    assert value is None
    assert why in said


def test_without_a_peak_or_an_answer_there_is_no_number():
    assert measure(Metric("rate"), visit(), "") is None
    assert measure(Metric("rate"), changed(visit(), PEAK, completed=0, classes={}), PEAK) is None


def test_a_percentile_counts_those_never_answered_and_is_not_told_from_among_them():
    few, many = factories.times(2e9, 50), factories.times(2e9, 40_000)
    plain = measure(Metric("p90", COMMON), visit("hello"), PEAK)
    later = measure(Metric("p90", COMMON), changed(visit("hello"), COMMON, censored=few), PEAK)
    assert plain is not None
    assert later is not None
    assert later >= plain
    assert "never finished" in told(Metric("p90", COMMON), changed(visit("hello"), COMMON, censored=many), PEAK)[1]


def test_a_percentile_wants_samples_and_an_engine_that_ran():
    made = visit("hello")
    few = changed(made, COMMON, response=factories.times(1e6, 300))
    assert "p99 wants 367" in told(Metric("p99", COMMON), few, PEAK)[1]
    stood = {"gaps": [(0, 30_000_000)]}
    assert "stood still" in told(Metric("p90", COMMON), changed(made, COMMON, **stood), PEAK)[1]
    slow = changed(made, COMMON, **stood, response=factories.times(1e9, 5_000))
    assert measure(Metric("p90", COMMON), slow, PEAK) is not None  # ten times as long as the pause


def test_held_memory_is_the_growth_by_each_companion():
    made = visit("crowd")
    beside, plain = (next(w for w in made.windows if w.level.label == label) for label in (crowded.CROWDED.label, COMMON))
    assert beside.server.socket_bytes is not None
    assert plain.server.socket_bytes is not None
    grown = beside.server.uss_bytes + beside.server.socket_bytes - plain.server.uss_bytes - plain.server.socket_bytes
    assert measure(Metric("held memory", crowded.CROWDED.label), made, PEAK) == grown / 100
    assert (
        measure(Metric("held memory", crowded.CROWDED.label), changed(made, crowded.CROWDED.label, companions={}), PEAK) is None
    )


@given(st.lists(st.booleans(), min_size=10, max_size=10))
def test_recovery_ends_after_the_last_slow_step(slow):
    steps = Series(100_000_000, [100] * 20, [0] * 20, [1] * 20, [50] * 10 + [2 if is_slow else 1 for is_slow in slow])
    made = changed(visit("recovery"), crowded.FALLING.label, series=steps, seconds=2.0)
    value = measure(Metric("recovery", crowded.FALLING.label), made, PEAK)
    last = max((at for at, is_slow in enumerate(slow) if is_slow), default=0)
    assert value == (last + 1) * RECOVERY_STEP_NS


def test_a_level_is_plain_without_anything_special():
    assert all(map(is_plain, (Level("closed", 64), crowded.COMMON)))
    assert not any(map(is_plain, (crowded.CROWDED, crowded.FALLING, Level("closed", 64, keepalive=False))))


def test_values_are_shown_in_their_units():
    assert [shown(1_500.0, unit) for unit in ("rate", "time", "bytes", "ratio", "count")] == [
        "1.50k/s", "1.50 µs", "1.46 KiB", "1500×", "1,500",
    ]  # fmt: skip
