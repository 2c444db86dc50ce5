"""The charts of the open loop: the hockey stick with its knees, and capacity under an objective."""

from dataclasses import replace

import factories
import pytest
from test_plot import answer, chart, said, whole

from benchmarks import amounts
from benchmarks.charts import _cells
from benchmarks.charts._style import LIGHT
from benchmarks.nouns import twin_of
from benchmarks.summaries import Capacity, Estimate, Knee, Quantile


def test_the_hockey_stick_rings_each_knee_and_names_it() -> None:
    hello = _cells.only(whole(), whole().scenarios[:1])
    text = said(chart("response").draw(hello, LIGHT))
    for standing in hello.scenarios[0].standings:
        assert standing.knee is not None
        assert f"knee {amounts.rate(standing.knee.rate_per_s)}, 50% of the peak" in text
    rings = [line for axes in chart("response").draw(hello, LIGHT).axes for line in axes.lines if line.get_markersize() == 13]
    assert len(rings) == len(factories.MODELS)
    assert all(ring.get_xdata()[0] == pytest.approx(0.5) for ring in rings)


def test_a_model_without_a_knee_says_so() -> None:
    hello = whole().scenarios[0]
    without = replace(hello, standings=[replace(x, knee=None) for x in hello.standings])
    run = _cells.only(replace(whole(), scenarios=[without]), [without])
    assert said(chart("response").draw(run, LIGHT)).count("no knee seen") == len(factories.MODELS)
    assert "No knee can be told" in answer("response", run)


def test_the_hockey_stick_carries_the_machines_own_line() -> None:
    hello = _cells.only(whole(), whole().scenarios[:1])
    hiccup = [Quantile(0.99, "ok", 55_000.0, None, None)]
    noisy = replace(hello, cells=[replace(cell, hiccup=hiccup) for cell in hello.cells])
    assert "55 µs" in said(chart("response").draw(noisy, LIGHT))
    calm = replace(hello, cells=[replace(cell, hiccup=[]) for cell in hello.cells])
    assert "machine" not in said(chart("response").draw(calm, LIGHT))
    still = [Quantile(0.99, "ok", 0.0, None, None)]
    unseen = replace(hello, cells=[replace(cell, hiccup=still) for cell in hello.cells])
    assert "machine alone: under 1 µs at p99" in said(chart("response").draw(unseen, LIGHT))


def test_the_answer_names_who_carries_most_before_the_knee_and_who_least() -> None:
    hello = whole().scenarios[0]
    knees = {"epoll_loop": 70_000.0, "asyncio_streams": 9_000.0}
    standings = [
        replace(x, knee=Knee("open 75%" if x.model == "epoll_loop" else "open 50%", knees.get(x.model, 30_000.0), False))
        for x in hello.standings
    ]
    run = replace(hello, standings=standings)
    text = answer("response", _cells.only(replace(whole(), scenarios=[run]), [run]))
    assert text.startswith("epoll_loop carries most before the knee, 70.0k/s (75% of its peak); asyncio_streams least, 9.00k/s")


def test_capacities_are_drawn_with_an_objective_only_and_stay_inside_their_column() -> None:
    assert not chart("capacity").wanted(factories.summary())
    wild = Capacity("p99<=20ms", Estimate(5e4, 5e2, 5e6, [5e2, 5e6]), 4e4, 6e4)
    hello = whole().scenarios[0]
    scenarios = [replace(hello, standings=[replace(x, capacity=wild) for x in hello.standings])]
    figure = chart("capacity").draw(replace(whole(), scenarios=scenarios), LIGHT)
    (axes,) = figure.axes
    assert max(x for line in axes.lines for x in line.get_xdata()) <= axes.get_xlim()[1]
    text = said(chart("capacity").draw(whole(), LIGHT))
    for words in ("p99 ≤ 20 ms", "cannot meet it (p99 was 31.0 ms", "can't tell at 900/s", "≥", "no ready line within 10 s"):
        assert words in text


def test_where_requests_are_few_the_hockey_stick_shows_the_p90_and_calls_it_so() -> None:
    hello = _cells.only(whole(), whole().scenarios[:1])
    refused = [replace(c, response=[replace(x, status="insufficient", value_ns=None) if x.q == 0.99 else x for x in c.response])
               for c in hello.cells]  # fmt: skip
    labels = [text.get_text() for text in chart("response").draw(replace(hello, cells=refused), LIGHT).texts]
    assert "p90" in labels
    assert "p99" not in labels
    assert "p99" in [text.get_text() for text in chart("response").draw(hello, LIGHT).texts]


def test_a_twin_gets_no_empty_panel() -> None:
    twin = [replace(cell, model=twin_of(cell.model)) for cell in whole().cells if cell.model == "epoll_loop"]
    assert "twin" not in said(chart("response").draw(replace(whole(), cells=whole().cells + twin), LIGHT))
