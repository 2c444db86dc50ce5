"""The charts of the open loop: the hockey stick with its knees, and capacity under an objective."""

from dataclasses import replace

import factories
import pytest
from test_plot import answer, drawn, said, whole

from benchmarks import amounts
from benchmarks.charts import response
from benchmarks.nouns import aa_arm
from benchmarks.summaries import Capacity, Estimate, Knee, Quantile, RunSummary


def hello() -> RunSummary:
    return replace(whole(), scenarios=whole().scenarios[:1])


def test_the_hockey_stick_rings_each_knee_and_names_it() -> None:
    found = response.sticks(hello(), hello().scenarios[0])
    text = said(drawn("response", hello()))
    assert found
    for stick in found.values():
        if stick.knee:
            assert f"knee {amounts.rate(stick.knee[2].rate_per_s)}" in text
    rings = [line for axes in drawn("response", hello()).axes for line in axes.lines if line.get_markersize() == 12]
    assert len(rings) == sum(stick.knee is not None for stick in found.values())
    assert all(ring.get_markerfacecolor() == "none" for ring in rings)


def test_a_ring_lies_on_the_line_that_is_drawn() -> None:
    for stick in response.sticks(hello(), hello().scenarios[0]).values():
        if stick.knee:
            _, cell, _ = stick.knee
            assert any(x.q == stick.q and x.value_ns for x in cell.response)


def test_without_knees_the_answer_says_so() -> None:
    without = replace(hello().scenarios[0], standings=[replace(x, knee=None) for x in hello().scenarios[0].standings])
    assert answer("response", replace(hello(), scenarios=[without])).startswith("No knee was seen")


def test_a_model_with_fewer_loads_than_three_has_no_curve_but_a_remark() -> None:
    few = [
        c for c in hello().cells if c.model != "prefork" or c.level.loop == "closed" or (c.level.share or 0.0) in (0.25, 0.5)
    ]
    run = replace(hello(), cells=few)
    assert "prefork" not in response.sticks(run, run.scenarios[0])
    assert "prefork: fewer than 3 loads tell the percentile" in said(drawn("response", run))


def test_the_hockey_stick_carries_the_machines_own_line() -> None:
    hiccup = [Quantile(0.99, "ok", 55_000.0, None, None)]
    noisy = replace(hello(), cells=[replace(cell, hiccup=hiccup) for cell in hello().cells])
    assert "machine alone" in said(drawn("response", noisy))
    calm = replace(hello(), cells=[replace(cell, hiccup=[]) for cell in hello().cells])
    assert "machine" not in said(drawn("response", calm))


def test_the_answer_names_who_carries_most_before_the_knee_and_who_least() -> None:
    knees = {"epoll_loop": 70_000.0, "asyncio_streams": 9_000.0}
    standings = [
        replace(x, knee=Knee("open 75%" if x.model == "epoll_loop" else "open 50%", knees.get(x.model, 30_000.0), False))
        for x in hello().scenarios[0].standings
    ]
    run = replace(hello(), scenarios=[replace(hello().scenarios[0], standings=standings)])
    text = answer("response", run)
    assert text.startswith("epoll_loop carries most before its knee, 70.0k/s (75% of its peak); asyncio_streams least, 9.00k/s")


def test_where_requests_are_few_the_hockey_stick_shows_the_p90_and_calls_it_so() -> None:
    refused = [
        replace(c, response=[replace(x, status="insufficient", value_ns=None) if x.q == 0.99 else x for x in c.response])
        for c in hello().cells
    ]
    assert "p90 of the response time" in said(drawn("response", replace(hello(), cells=refused)))
    assert "p99 of the response time" in said(drawn("response", hello()))


def test_one_wild_interval_does_not_set_the_scale() -> None:
    wild = [
        replace(c, response=[replace(x, low_ns=1.0, high_ns=1e13) if x.value_ns else x for x in c.response])
        for c in hello().cells
    ]
    usual, stretched = (drawn("response", run).axes[0].get_ylim() for run in (hello(), replace(hello(), cells=wild)))
    assert stretched == pytest.approx(usual)


def test_the_aa_arm_gets_no_panel() -> None:
    arm = [replace(cell, model=aa_arm(cell.model)) for cell in whole().cells if cell.model == "epoll_loop"]
    assert "~aa" not in said(drawn("response", replace(hello(), cells=[*whole().cells, *arm])))


def test_capacities_stay_inside_their_column() -> None:
    wild = Capacity("p99<=20ms", Estimate(5e4, 5e2, 5e6, [5e2, 5e6]), 4e4, 6e4)
    one = replace(hello().scenarios[0], standings=[replace(x, capacity=wild) for x in hello().scenarios[0].standings])
    (axes,) = drawn("capacity", replace(whole(), scenarios=[one])).axes
    assert max(x for line in axes.lines for x in line.get_xdata()) <= axes.get_xlim()[1]


def test_capacities_are_said_with_what_bounds_them() -> None:
    text = said(drawn("capacity", whole()))
    for words in ("p99 ≤ 20 ms", "cannot meet it (p99 was 31.0 ms", "can't tell at 900/s", "≥", "no ready line within 10 s"):
        assert words in text
    assert factories.summary().objective == ""
