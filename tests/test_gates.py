"""Gates: how a bound is read, what breaks it, what keeps it, and that what can't be seen does not pass."""

import math

import pytest
from scipy.special import stdtrit

from benchmarks.comparison import Comparison, Row
from benchmarks.differences import Difference
from benchmarks.gates import GateError, judge, parse, passes
from benchmarks.ratios import gate_lines


def row(ratio: float, error: float = 0.005, metric: str = "throughput", level: str = "closed 64") -> Row:
    difference = Difference(math.log(ratio), error, 30)
    return Row("hello", level, "epoll_loop", metric, 1.0, ratio, difference.estimate(), difference, "", False)


def unseen(why: str, seen: bool = False) -> Row:
    return Row("hello", "closed 64", "epoll_loop", "throughput", None, None, None, None, "", False, why, seen)


def outcomes(bound: str, *rows: Row, missing: tuple[str, ...] = ()) -> list[str]:
    return [one.outcome for one in judge([parse(bound)], Comparison("before", "after", False, list(rows), list(missing)))]


@pytest.mark.parametrize(
    ("text", "metric", "below", "bound"),
    [
        ("throughput<-5%", "throughput", True, 0.95),
        (" p99 > +10 % ", "p99", False, 1.1),
        ("throughput<-\t5%", "throughput", True, 0.95),
        ("throughput <\t-\u00a05%\n", "throughput", True, 0.95),
        ("cpu>+2.5%", "cpu", False, 1.025),
        ("memory>+100%", "memory", False, 2.0),
        ("p50<-30%", "p50", True, 0.7),
        ("throughput<+10%", "throughput", True, 1.1),
    ],
)
def test_bounds_are_read(text, metric, below, bound):
    gate = parse(text)
    assert (gate.metric, gate.below, gate.bound) == (metric, below, pytest.approx(bound))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no bound"),
        ("throughput", "is no bound"),
        ("throughput<5%", "with the sign of the change"),
        ("throughput<=-5%", "is no bound"),
        ("throughput<-5", "is no bound"),
        ("p95>+5%", "one of throughput, p50"),
        ("throughput<-100%", "nothing falls by 100%"),
        ("throughput<-5% or p99>+5%", "is no bound"),
    ],
)
def test_what_is_no_bound_is_told_how_to_be_one(text, told):
    with pytest.raises(GateError, match=told):
        parse(text)


@pytest.mark.parametrize(
    ("ratio", "error", "outcome"),
    [
        (0.90, 0.005, "broken"),
        (0.90, 0.05, "not sure"),  # beyond the bound, but so might be the noise
        (0.96, 0.02, "not sure"),  # within, but not beyond doubt
        (0.99, 0.005, "kept"),
        (1.20, 0.005, "kept"),
    ],
)
def test_a_change_breaks_keeps_or_leaves_open(ratio, error, outcome):
    assert outcomes("throughput<-5%", row(ratio, error)) == [outcome]
    assert outcomes("p99>+5%", row(1 / ratio, error, "p99")) == [outcome]


def test_only_its_own_metric_is_gated():
    judged = judge([parse("p99>+10%")], Comparison("a", "b", False, [row(0.5), row(1.0, metric="p99")]))
    assert [one.row.metric for one in judged] == ["p99"]
    assert passes(judged)


def test_all_gated_cells_are_corrected_together():
    """A ratio that breaks alone, at 1.5%, is one of twenty here."""
    error = (math.log(0.95) - math.log(0.93)) / float(stdtrit(30, 1 - 0.0075))
    assert outcomes("throughput<-5%", row(0.93, error)) == ["broken"]
    among = [row(0.93, error), *(row(1.0, level=f"closed {n}") for n in range(19))]
    assert outcomes("throughput<-5%", *among) == ["not sure"] + ["kept"] * 19


@pytest.mark.parametrize("why", ["after struck: engine saturated", "one visit shows no noise", "after not measured"])
def test_what_cannot_be_seen_does_not_pass(why):
    judged = judge([parse("throughput<-5%")], Comparison("before", "after", False, [row(1.0), unseen(why)]))
    assert [one.outcome for one in judged] == ["kept", "unseen"]
    assert not passes(judged)
    assert any(why in line for line in gate_lines(judged))


def test_what_is_missing_altogether_does_not_pass():
    assert outcomes("throughput<-5%", row(1.0), missing=("model epoll_loop",)) == ["kept", "unseen"]
    assert outcomes("p99>+5%", row(1.0)) == ["unseen"]
    assert outcomes("p99>+5%") == ["unseen"]


def test_where_neither_side_could_carry_the_load_nothing_is_lost():
    assert outcomes("throughput<-5%", row(1.0), unseen("both overloaded", seen=True)) == ["kept"]


def test_no_gates_pass():
    assert passes(judge([], Comparison("before", "after", False, [unseen("struck")])))


def test_long_lists_are_cut_and_counted():
    judged = judge([parse("throughput<-5%")], Comparison("a", "b", False, [row(0.5, level=f"closed {n}") for n in range(9)]))
    lines = list(gate_lines(judged))
    assert lines[0].strip() == "broken in 9 cells"
    assert lines[-1].strip() == "and 4 more"
    assert len(lines) == 7
