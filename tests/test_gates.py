"""Gates: how a bound is read, what breaks it, what keeps it, and that what can't be seen does not pass."""

import math

import pytest
from scipy.special import stdtrit

from benchmarks.comparison import Comparison, Row
from benchmarks.gates import STATUS, GateError, judge, parse, verdict
from benchmarks.ratios import gate_lines
from benchmarks.stats.difference import Difference


def row(ratio: float, error: float | None = 0.005, metric: str = "rate", level: str = "closed 64") -> Row:
    difference = Difference(math.log(ratio), error, 30)
    why = "" if error else "one replicate shows no noise"
    return Row("hello", level, "epoll_loop", metric, metric == "rate", 1.0, ratio, difference.estimate(), difference, why=why)


def unseen(why: str, metric: str = "rate", **changes: bool) -> Row:
    return Row("hello", "closed 64", "epoll_loop", metric, metric == "rate", None, None, None, None, why=why, **changes)


def outcomes(bound: str, *rows: Row, missing: tuple[str, ...] = ()) -> list[str]:
    return [one.outcome for one in judge([parse(bound)], Comparison("before", "after", False, list(rows), list(missing)))]


@pytest.mark.parametrize(
    ("text", "metric", "below", "bound"),
    [
        ("rate<-5%", "rate", True, 0.95),
        ("throughput<-5%", "rate", True, 0.95),
        (" p99 > +10 % ", "p99", False, 1.1),
        ("rate<-\t5%", "rate", True, 0.95),
        ("rate <\t-\u00a05%\n", "rate", True, 0.95),
        ("cpu>+2.5%", "cpu", False, 1.025),
        ("memory>+100%", "memory", False, 2.0),
        ("p50<-30%", "p50", True, 0.7),
        ("rate<+10%", "rate", True, 1.1),
    ],
)
def test_bounds_are_read(text, metric, below, bound):
    gate = parse(text)
    assert (gate.metric, gate.below, gate.bound) == (metric, below, pytest.approx(bound))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no bound"),
        ("rate", "is no bound"),
        ("rate<5%", "with the sign of the change"),
        ("rate<=-5%", "is no bound"),
        ("rate<-5", "is no bound"),
        ("p95>+5%", "one of rate, p50"),
        ("rate<-100%", "nothing falls by 100%"),
        ("rate<-5% or p99>+5%", "is no bound"),
    ],
)
def test_what_is_no_bound_is_told_how_to_be_one(text, told):
    with pytest.raises(GateError, match=told):
        parse(text)


@pytest.mark.parametrize(
    ("ratio", "error", "outcome"),
    [
        (0.90, 0.005, "broken"),
        (0.90, 0.05, "undecided"),  # beyond the bound, but so might be the noise
        (0.96, 0.02, "undecided"),  # within, but its interval is not
        (0.99, 0.005, "kept"),
        (1.20, 0.005, "kept"),
        (0.90, None, "undecided"),
    ],
)
@pytest.mark.parametrize("metric", ["rate", "p50", "p99", "cpu", "memory"])
def test_a_change_breaks_keeps_or_leaves_open_whatever_the_metric(metric, ratio, error, outcome):
    if metric == "rate":
        assert outcomes("rate<-5%", row(ratio, error)) == [outcome]
    else:
        assert outcomes(f"{metric}>+5%", row(1 / ratio, error, metric)) == [outcome]


def test_only_its_own_metric_is_gated():
    judged = judge([parse("p99>+10%")], Comparison("a", "b", False, [row(0.5), row(1.0, metric="p99")]))
    assert [one.row.metric for one in judged] == ["p99"]
    assert verdict(judged) == "kept"


def test_all_gated_cells_are_corrected_together():
    """A ratio that breaks alone, at 1.5%, is one of twenty here."""
    error = (math.log(0.95) - math.log(0.93)) / float(stdtrit(30, 1 - 0.0075))
    assert outcomes("rate<-5%", row(0.93, error)) == ["broken"]
    among = [row(0.93, error), *(row(1.0, level=f"closed {n}") for n in range(19))]
    assert outcomes("rate<-5%", *among) == ["undecided"] + ["kept"] * 19


@pytest.mark.parametrize("why", ["after: invalid (engine saturated)", "after: not measured"])
@pytest.mark.parametrize("bound", ["rate<-5%", "p99>+5%", "memory>+5%"])
def test_what_cannot_be_seen_does_not_pass(bound, why):
    metric = parse(bound).metric
    judged = judge([parse(bound)], Comparison("before", "after", False, [row(1.0, metric=metric), unseen(why, metric)]))
    assert [one.outcome for one in judged] == ["kept", "undecided"]
    assert verdict(judged) == "undecided"
    assert any(why in line for line in gate_lines(judged))


def test_what_fails_where_the_other_did_not_breaks_every_gate():
    assert outcomes("rate<-5%", row(1.0), unseen("after: failed (launch: no ready line)", worse=True)) == ["kept", "broken"]


def test_what_is_missing_altogether_does_not_pass():
    assert outcomes("rate<-5%", row(1.0), missing=("model epoll_loop",)) == ["kept", "undecided"]
    assert outcomes("p99>+5%", row(1.0)) == ["undecided"]
    assert outcomes("p99>+5%") == ["undecided"]


def test_where_neither_side_could_carry_the_load_nothing_is_lost():
    assert outcomes("rate<-5%", row(1.0), unseen("both overloaded", excused=True)) == ["kept"]


def test_the_verdict_is_the_worst_and_has_a_status():
    broken, left, kept = row(0.5), row(0.96, 0.02), row(1.0)
    for rows, worst, status in (([kept], "kept", 0), ([kept, left], "undecided", 3), ([left, broken, kept], "broken", 1)):
        judged = judge([parse("rate<-5%")], Comparison("a", "b", False, rows))
        assert verdict(judged) == worst
        assert STATUS[worst] == status


def test_no_gates_pass():
    assert verdict(judge([], Comparison("before", "after", False, [unseen("invalid")]))) == "kept"


def test_long_lists_are_cut_and_counted():
    judged = judge([parse("rate<-5%")], Comparison("a", "b", False, [row(0.5, level=f"closed {n}") for n in range(9)]))
    lines = list(gate_lines(judged))
    assert lines[0].strip() == "broken in 9 cells"
    assert lines[-1].strip() == "and 4 more"
    assert len(lines) == 7
