"""Every chart draws for every sort of run, says its question and its answer, and nothing written on it overlaps."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import crowded
import factories
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from benchmarks import plot
from benchmarks.charts import _cells, tail, timeline
from benchmarks.charts._style import DARK, LIGHT
from benchmarks.summaries import Capacity, CellSummary, Estimate, Finding, Quantile, RunSummary, ScenarioSummary, Standing

# ---------------------------------------------------------------- the odd runs


@cache
def whole() -> RunSummary:
    """The imagined run with what a search might have found, of every kind."""
    made = factories.summary()
    scenarios = [
        replace(s, standings=[replace(x, capacity=imagined_capacity(x, at)) for at, x in enumerate(s.standings)])
        for s in made.scenarios
    ]
    return replace(made, scenarios=scenarios, objective="p99<=20ms")


def imagined_capacity(standing: Standing, at: int) -> Capacity | None:
    if standing.peak_per_s is None:
        return None
    peak = standing.peak_per_s.value
    kinds = {
        2: Capacity("p99<=20ms", None, None, peak / 64, "cannot meet it (p99 was 31.0 ms at 1.20k/s)"),
        3: Capacity("p99<=20ms", None, peak * 1.2, None, f"met at {peak * 1.2:.0f}/s, the highest that was tried"),
        4: Capacity("p99<=20ms", None, None, None, "can't tell at 900/s: engine saturated: busy 93% of the window"),
    }
    visits = [peak * share for share in (0.8, 0.82, 0.84)]
    told = Capacity("p99<=20ms", Estimate(visits[1], visits[1] * 0.96, visits[1] * 1.04, visits), visits[0], visits[2])
    return kinds.get(at, told)


def with_models(summary: RunSummary, names: dict[str, str]) -> RunSummary:
    """The run as if only these models had been in it, under these names."""
    return replace(
        summary,
        cells=[replace(c, model=names[c.model]) for c in summary.cells if c.model in names],
        scenarios=[
            replace(s, standings=[replace(x, model=names[x.model]) for x in s.standings if x.model in names])
            for s in summary.scenarios
        ],
        timelines=[replace(t, model=names[t.model]) for t in summary.timelines if t.model in names],
    )


def joined(first: RunSummary, second: RunSummary) -> RunSummary:
    """Both runs' models in one run."""
    pairs = zip(first.scenarios, second.scenarios, strict=True)
    return replace(
        first,
        cells=first.cells + second.cells,
        scenarios=[replace(a, standings=a.standings + b.standings) for a, b in pairs],
        timelines=first.timelines + second.timelines,
    )


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def eleven() -> RunSummary:
    more = {"epoll_loop": "poll_loop", "prefork": "prefork_epoll", "asyncio_streams": "my_own_model"}
    return joined(whole(), with_models(whole(), more))


def long_names() -> RunSummary:
    return with_models(whole(), {name: f"{name}_with_an_experimental_and_rather_long_name" for name in factories.MODELS})


def failed_cell(cell: CellSummary) -> CellSummary:
    return replace(
        cell, rate_per_s=None, response=[], response_curve=[], cpu_user_us=None, cpu_system_us=None, uss_bytes=None,
        rss_bytes=None, threads=None, server_busy=None, rank=None, relative=None, findings=[],
    )  # fmt: skip


def all_failed() -> RunSummary:
    why = "launch: the server ended with status 2 before its ready line: address already in use"
    return replace(
        whole(),
        cells=[failed_cell(c) for c in whole().cells],
        scenarios=[
            replace(s, standings=[Standing(x.model, None, None, "", None, None, ["failed"], why, "") for x in s.standings])
            for s in whole().scenarios
        ],
        timelines=[],
    )


def one_level() -> RunSummary:
    cells = [c for c in whole().cells if c.level.label == "closed 16"]
    return replace(whole(), cells=cells)


def no_open_loop() -> RunSummary:
    return replace(whole(), cells=[c for c in whole().cells if c.level.loop == "closed"])


def unsure(estimate: Estimate | None) -> Estimate | None:
    return estimate and replace(estimate, low=None, high=None, visits=estimate.visits[:1])


def one_visit() -> RunSummary:
    """A single visit shows no noise: no intervals anywhere."""
    cells = [
        replace(c, rate_per_s=unsure(c.rate_per_s), cpu_user_us=unsure(c.cpu_user_us), cpu_system_us=unsure(c.cpu_system_us))
        for c in whole().cells
    ]
    scenarios = [
        replace(s, standings=[replace(x, peak_per_s=unsure(x.peak_per_s), relative=unsure(x.relative)) for x in s.standings])
        for s in whole().scenarios
    ]
    return replace(whole(), cells=cells, scenarios=scenarios)


def struck() -> RunSummary:
    """The best of hello is not believed."""
    first, *rest = whole().scenarios
    standings = [
        replace(x, rank=None, struck="the load engine was busy 93% of the window", relative=Estimate(1.7, 1.6, 1.9, [1.7]))
        if x.model == "epoll_loop"
        else x
        for x in first.standings
    ]
    return replace(whole(), scenarios=[replace(first, standings=standings), *rest])


def scenarios(count: int) -> RunSummary:
    made: list[ScenarioSummary] = []
    cells: list[CellSummary] = []
    timelines = []
    for i in range(count):
        source = whole().scenarios[i % 3].scenario
        made.append(replace(whole().scenarios[i % 3], scenario=f"scenario_{i}"))
        cells += [replace(c, scenario=f"scenario_{i}") for c in whole().cells if c.scenario == source]
        timelines += [replace(t, scenario=f"scenario_{i}") for t in whole().timelines if t.scenario == source]
    return replace(whole(), scenarios=made, cells=cells, timelines=timelines)


def insufficient() -> RunSummary:
    """No percentile has enough samples."""
    why = "3 samples; p50 wants 5"
    cells = [
        replace(c, response=[Quantile(q.q, "insufficient", None, None, None, why) for q in c.response], response_curve=[])
        for c in whole().cells
    ]
    return replace(whole(), cells=cells)


def measured() -> RunSummary:
    """Scenarios that rank by other things than the peak, models that cannot hold what was asked, variants."""
    return crowded.summary(("mixed", "crowd", "overload", "recovery"), crowded.FEW)


def crowd() -> RunSummary:
    """Many scenarios and models: those of a smaller run under many names."""
    made = measured()
    scenarios, cells = [], []
    for at in range(24):
        source = made.scenarios[at % 4]
        name = f"{source.scenario}-scenario-{at}"
        copies = [replace(s, model=f"{s.model}_{copy}") for copy in range(4) for s in source.standings]
        scenarios.append(replace(source, scenario=name, standings=copies))
        own = [cell for cell in made.cells if cell.scenario == source.scenario]
        cells += [replace(cell, scenario=name, model=f"{cell.model}_{copy}") for copy in range(4) for cell in own]
    return replace(made, scenarios=scenarios, cells=cells, timelines=[])


RUNS: dict[str, Callable[[], RunSummary]] = {
    "measured": measured,
    "crowd": crowd,
    "whole": whole,
    "one model": lambda: with_models(whole(), same("epoll_loop")),
    "two models": lambda: with_models(whole(), same("epoll_loop", "prefork")),
    "eleven models": eleven,
    "long names": long_names,
    "one scenario": lambda: _cells.only(whole(), whole().scenarios[:1]),
    "four scenarios": lambda: scenarios(4),
    "ten scenarios": lambda: scenarios(10),
    "all failed": all_failed,
    "one level": one_level,
    "no open loop": no_open_loop,
    "one visit": one_visit,
    "struck": struck,
    "insufficient": insufficient,
    "not comparable": lambda: replace(whole(), comparable=False),
    "nothing": lambda: replace(whole(), scenarios=[], cells=[], timelines=[]),
    "dollars": lambda: with_models(whole(), {"epoll_loop": "a$b_{c}$", "prefork": "50% <&> $"}),
}


# ---------------------------------------------------------------- what must hold for every chart of every run


def written(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible() and text.get_text().strip()]


def said(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """What is written and where, as the renderer will have it."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in written(figure)]


def touching(found: list[tuple[str, Bbox]]) -> list[tuple[str, str]]:
    """The pairs of texts that overlap. A line's box is as high as letters could be; two pixels of that are never ink."""
    return [
        (text, other_text)
        for (text, box), (other_text, other) in combinations(found, 2)
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 2
    ]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_draws_within_the_page_and_without_overlapping_text(chart: plot.Chart, run: str) -> None:
    pages = list(plot.pages(chart, RUNS[run]()))
    for _, page in pages[:1] if run in ("crowd", "four scenarios", "ten scenarios") else pages:  # all of their pages are alike
        figure = chart.draw(page, LIGHT)
        assert figure.texts[0].get_text() == chart.question
        found = boxes(figure)
        for text, box in found:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= 1600, text
            assert box.y1 <= 900, text
        assert touching(found) == []


def test_the_check_above_would_see_an_overlap() -> None:
    figure = plot.CHARTS[0].draw(whole(), LIGHT)
    figure.text(0.05, 0.925, "written across the title")
    assert (plot.CHARTS[0].question, "written across the title") in touching(boxes(figure))


@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_dark_pages_say_the_same(chart: plot.Chart) -> None:
    assert said(chart.draw(whole(), DARK)) == said(chart.draw(whole(), LIGHT))


@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_nothing_is_rotated_or_in_scientific_notation(chart: plot.Chart) -> None:
    for text in written(chart.draw(whole(), LIGHT)):
        assert text.get_rotation() == 0
        assert "e+" not in text.get_text()
        assert "e5" not in text.get_text()


@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_conditions_are_the_small_print(chart: plot.Chart) -> None:
    assert "Imagined CPU" in said(chart.draw(whole(), LIGHT))
    assert "Not comparable" in said(chart.draw(replace(whole(), comparable=False), LIGHT))


def test_failures_marks_and_strikes_are_named_not_left_out() -> None:
    for chart in plot.CHARTS:
        text = said(chart.draw(whole(), LIGHT))
        if chart.name != "memory":  # which shows hello alone, where nothing failed
            assert "no ready line within 10 s" in text, chart.name
    overview, throughput = plot.CHARTS[1], plot.CHARTS[2]
    assert "more connections than slots" in said(overview.draw(whole(), LIGHT))
    assert "not ranked" in said(throughput.draw(whole(), LIGHT))
    assert "not ranked: the load engine was busy" in said(overview.draw(struck(), LIGHT))
    assert "the server ended with status 2" in said(overview.draw(all_failed(), LIGHT))


# ---------------------------------------------------------------- the answers are computed


def answer(name: str, summary: RunSummary) -> str:
    """The subtitle of a chart: the lines between its title and its picture, in the order in which they were written."""
    chart = next(chart for chart in plot.CHARTS if chart.name == name)
    figure = chart.draw(summary, LIGHT)
    lines = [text.get_text() for text in figure.texts[1:] if text.get_fontsize() == 14.0 and text.get_weight() == "normal"]
    return " ".join(lines)


def renamed() -> RunSummary:
    return with_models(whole(), {name: f"other_{i}" for i, name in enumerate(factories.MODELS)})


@pytest.mark.parametrize("name", [chart.name for chart in plot.CHARTS])
def test_answers_change_with_the_data(name: str) -> None:
    before, after = answer(name, whole()), answer(name, renamed())
    assert before != after
    assert not any(model in after for model in factories.MODELS)


@pytest.mark.parametrize("name", ["overview", "throughput"])
def test_subtitles_name_the_best_of_each_scenario(name: str) -> None:
    for scenario in whole().scenarios:
        alone = _cells.only(whole(), [scenario])
        best = max((s for s in scenario.standings if s.rank == 1 and s.peak_per_s), key=lambda s: s.peak_per_s.value)
        assert best.model in answer(name, alone)


def test_the_lead_is_the_ratio_to_the_next() -> None:
    hello = whole().scenarios[0]
    winner, second = _cells.winners(hello)[0], _cells.runners_up(hello)[0]
    twice = replace(second, relative=Estimate(0.5, 0.49, 0.51, [0.5]))
    standings = [twice if s is second else s for s in hello.standings]
    text = answer("overview", _cells.only(replace(whole(), scenarios=[replace(hello, standings=standings)]), [hello]))
    assert winner.model in text
    changed = replace(whole(), scenarios=[replace(hello, standings=standings)])
    assert f"2.00× {second.model}" in answer("overview", _cells.only(changed, changed.scenarios))


def test_ties_are_called_ties() -> None:
    hello = whole().scenarios[0]
    tied = replace(hello, standings=[replace(s, rank=1) if s.rank else s for s in hello.standings])
    run = replace(whole(), scenarios=[tied])
    assert "tie" in answer("overview", run)
    assert "cannot be told apart" in answer("throughput", run)


def test_insufficient_percentiles_are_absent_with_a_remark() -> None:
    chart = next(chart for chart in plot.CHARTS if chart.name == "response")
    assert "wants" in said(chart.draw(insufficient(), LIGHT))
    chart = next(chart for chart in plot.CHARTS if chart.name == "tail")
    figure = chart.draw(insufficient(), LIGHT)
    assert "no open-loop level at half the peak has percentiles" in said(figure)
    assert not any(line.get_xdata().size > 1 for axes in figure.axes for line in axes.lines)


def test_the_tail_carries_the_machines_own_line() -> None:
    assert tail.MACHINE in said(tail.draw(whole(), LIGHT))
    calm = replace(whole(), cells=[replace(c, hiccup=[]) for c in whole().cells])
    assert tail.MACHINE not in said(tail.draw(calm, LIGHT))


def chart(name: str) -> plot.Chart:
    return next(chart for chart in plot.CHARTS if chart.name == name)


def test_the_time_line_shows_the_median_visit_and_finds_the_unsteady_one() -> None:
    source = next(t for t in whole().timelines if t.scenario == "hello")
    visits = [
        replace(source, number=n, points=[replace(p, rate_per_s=p.rate_per_s * factor) for p in source.points])
        for n, factor in enumerate((1.0, 3.0, 0.5))
    ]
    assert timeline.typical(visits, "hello")[source.model].number == 0
    steady = replace(source, points=[replace(p, rate_per_s=1000.0) for p in source.points])
    jumpy = [replace(p, rate_per_s=1000.0 + 500 * (-1) ** i) for i, p in enumerate(source.points)]
    assert timeline.unsteadiness(steady) == pytest.approx(0.0)
    assert timeline.unsteadiness(replace(source, points=jumpy)) == pytest.approx(0.5)


def test_memory_that_is_doubtful_is_not_called_missing() -> None:
    doubt = Finding("weather changed", "mark", "a loop's turn took twice as long", "another machine, for a while", "run again")
    doubtful = replace(whole(), cells=[replace(cell, findings=[doubt]) for cell in whole().cells])
    assert "read with care" in answer("memory", doubtful)
    assert "o memory was recorded" in answer("memory", replace(whole(), cells=[]))


# ---------------------------------------------------------------- files


def test_draw_writes_every_chart_twice_light_and_dark(tmp_path: Path) -> None:
    paths = plot.draw(_cells.only(whole(), whole().scenarios[:1]), tmp_path / "charts")
    names = {path.name for path in paths}
    for chart in plot.CHARTS:
        for dark in ("", "-dark"):
            assert {f"{chart.name}{dark}.svg", f"{chart.name}{dark}.png"} <= names
    assert sorted(paths) == sorted((tmp_path / "charts").iterdir())
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.size == (1600, 900), path.name


def test_svg_holds_its_text_as_text_and_is_the_same_each_time(tmp_path: Path) -> None:
    overview = plot.CHARTS[0]
    first, _ = plot.save(overview.draw(whole(), LIGHT), tmp_path / "a")
    second, _ = plot.save(overview.draw(whole(), LIGHT), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    texts = [element.text for element in ElementTree.parse(first).iter("{http://www.w3.org/2000/svg}text")]
    assert overview.question in texts
    assert "epoll_loop" in texts


def test_dark_paper_is_dark(tmp_path: Path) -> None:
    _, light = plot.save(plot.CHARTS[0].draw(whole(), LIGHT), tmp_path / "a")
    _, dark = plot.save(plot.CHARTS[0].draw(whole(), DARK), tmp_path / "b")
    with Image.open(light) as a, Image.open(dark) as b:
        assert min(a.convert("RGB").getpixel((3, 3))) > 240
        assert max(b.convert("RGB").getpixel((3, 3))) < 40


def test_many_scenarios_take_several_pages_and_lose_none() -> None:
    run = scenarios(10)
    for chart in plot.CHARTS:
        pages = list(plot.pages(chart, run))
        assert len({name for name, _ in pages}) == len(pages)
        assert [s for _, page in pages for s in page.scenarios] == run.scenarios
