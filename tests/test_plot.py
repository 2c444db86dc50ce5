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
from benchmarks.charts import _cells, cpu, matrix, tail
from benchmarks.charts._style import DARK, LIGHT
from benchmarks.summaries import (
    Capacity,
    CellSummary,
    Estimate,
    Finding,
    Pair,
    PairCounts,
    Quantile,
    RunSummary,
    ScenarioSummary,
    Standing,
)

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
    found = [peak * share for share in (0.8, 0.82, 0.84)]
    told = Capacity("p99<=20ms", Estimate(found[1], found[1] * 0.96, found[1] * 1.04, found), found[0], found[2])
    return kinds.get(at, told)


def with_models(summary: RunSummary, names: dict[str, str]) -> RunSummary:
    """The run as if only these models had been in it, under these names."""
    return replace(
        summary,
        cells=[replace(c, model=names[c.model]) for c in summary.cells if c.model in names],
        scenarios=[
            replace(
                s,
                standings=[replace(x, model=names[x.model]) for x in s.standings if x.model in names],
                pair_list=[
                    replace(p, one=names[p.one], other=names[p.other]) for p in s.pair_list if {p.one, p.other} <= set(names)
                ],
            )
            for s in summary.scenarios
        ],
        timelines=[replace(t, model=names[t.model]) for t in summary.timelines if t.model in names],
    )


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def long_names() -> RunSummary:
    return with_models(whole(), {name: f"{name}_with_an_experimental_and_rather_long_name" for name in factories.MODELS})


def failed_cell(cell: CellSummary) -> CellSummary:
    return replace(
        cell, rate_per_s=None, response=[], response_curve=[], cpu_user_us=None, cpu_system_us=None, uss_bytes=None,
        rss_bytes=None, threads=None, server_busy=None, rank=None, ratio=None, findings=[],
    )  # fmt: skip


def all_failed() -> RunSummary:
    why = "launch: the server ended with status 2 before its ready line: address already in use"
    return replace(
        whole(),
        cells=[failed_cell(c) for c in whole().cells],
        scenarios=[
            replace(
                s,
                standings=[Standing(x.model, None, None, None, "", None, None, ["failed"], why, "") for x in s.standings],
                pair_list=[replace(p, ratio=None, call="open") for p in s.pair_list],
                pairs=PairCounts(s.pairs.total, 0, 0, s.pairs.total),
            )
            for s in whole().scenarios
        ],
        timelines=[],
    )


def one_level() -> RunSummary:
    cells = [c for c in whole().cells if c.level.label == "closed 16"]
    return replace(whole(), cells=cells)


def unsure(estimate: Estimate | None) -> Estimate | None:
    return estimate and replace(estimate, low=None, high=None, replicates=estimate.replicates[:1])


def one_replicate() -> RunSummary:
    """A single replicate shows no noise: no intervals and no ranges anywhere."""
    cells = [
        replace(c, rate_per_s=unsure(c.rate_per_s), cpu_user_us=unsure(c.cpu_user_us), cpu_system_us=unsure(c.cpu_system_us))
        for c in whole().cells
    ]
    scenarios = [
        replace(s, standings=[replace(x, peak_per_s=unsure(x.peak_per_s), ratio=unsure(x.ratio)) for x in s.standings])
        for s in whole().scenarios
    ]
    return replace(whole(), cells=cells, scenarios=scenarios)


def scenarios(count: int) -> RunSummary:
    made: list[ScenarioSummary] = []
    cells: list[CellSummary] = []
    timelines = []
    for i in range(count):
        source = whole().scenarios[i % 3].scenario
        made.append(replace(whole().scenarios[i % 3], scenario=f"topic{i // 4}-{i}"))
        cells += [replace(c, scenario=f"topic{i // 4}-{i}") for c in whole().cells if c.scenario == source]
        timelines += [replace(t, scenario=f"topic{i // 4}-{i}") for t in whole().timelines if t.scenario == source]
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
    """Scenarios that rank by other things than the rate, models that cannot hold what was asked, variants."""
    return crowded.summary(("mixed", "crowd", "overload", "recovery"), crowded.FEW)


def crowd() -> RunSummary:
    """Many scenarios and models: those of a smaller run under many names."""
    made = measured()
    scenarios, cells = [], []
    for at in range(24):
        source = made.scenarios[at % 4]
        name = f"{source.scenario}-scenario-{at}"
        copies = [replace(s, model=f"{s.model}_{copy}") for copy in range(4) for s in source.standings]
        pairs = [Pair(one.model, other.model, None, "open") for one, other in combinations(copies, 2)]
        counts = PairCounts(len(pairs), 0, 0, len(pairs))
        scenarios.append(replace(source, scenario=name, standings=copies, pair_list=pairs, pairs=counts))
        own = [cell for cell in made.cells if cell.scenario == source.scenario]
        cells += [replace(cell, scenario=name, model=f"{cell.model}_{copy}") for copy in range(4) for cell in own]
    return replace(made, scenarios=scenarios, cells=cells, timelines=[])


RUNS: dict[str, Callable[[], RunSummary]] = {
    "measured": measured,
    "crowd": crowd,
    "whole": whole,
    "one model": lambda: with_models(whole(), same("epoll_loop")),
    "long names": long_names,
    "all failed": all_failed,
    "one level": one_level,
    "one replicate": one_replicate,
    "insufficient": insufficient,
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


def chart(name: str) -> plot.Chart:
    return next(chart for chart in plot.CHARTS if chart.name == name)


def drawn(name: str, summary: RunSummary) -> Figure:
    """The first page of a chart."""
    _, shown = next(plot.pages(chart(name), summary))
    return chart(name).draw(summary, shown, LIGHT)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_draws_within_the_page_and_without_overlapping_text(chart: plot.Chart, run: str) -> None:
    summary = RUNS[run]()
    pages = list(plot.pages(chart, summary))
    for _, shown in pages[:1] if run == "crowd" else pages:  # all of their pages are alike
        figure = chart.draw(summary, shown, LIGHT)
        assert figure.texts[0].get_text() == chart.question
        found = boxes(figure)
        for text, box in found:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= 1600, text
            assert box.y1 <= 900, text
        assert touching(found) == []


def test_the_check_above_would_see_an_overlap() -> None:
    figure = drawn("matrix", whole())
    figure.text(0.05, 0.925, "written across the title")
    assert (matrix.QUESTION, "written across the title") in touching(boxes(figure))


@pytest.mark.parametrize("name", [chart.name for chart in plot.CHARTS])
def test_dark_pages_say_the_same(name: str) -> None:
    _, shown = next(plot.pages(chart(name), whole()))
    assert said(chart(name).draw(whole(), shown, DARK)) == said(chart(name).draw(whole(), shown, LIGHT))


@pytest.mark.parametrize("name", [chart.name for chart in plot.CHARTS])
def test_nothing_is_rotated_or_in_scientific_notation_and_conditions_are_the_small_print(name: str) -> None:
    figure = drawn(name, replace(whole(), comparable=False))
    for text in written(figure):
        assert text.get_rotation() == 0
        assert "e+" not in text.get_text()
        assert "e5" not in text.get_text()
    assert "Imagined CPU" in said(figure)
    assert "Not comparable" in said(figure)


@pytest.mark.parametrize("name", ["overview", "throughput", "tail", "cpu", "capacity", "timeline", "matrix"])
def test_failures_are_named_not_left_out(name: str) -> None:
    assert "no ready line within 10 s" in said(drawn(name, whole()))


def test_invalid_models_and_warnings_are_named() -> None:
    assert "engine saturated" in said(drawn("overview", whole()))
    assert "not ranked: engine saturated" in said(drawn("throughput", whole()))
    assert "the server ended with status 2" in said(drawn("overview", all_failed()))
    assert "I invalid" in said(drawn("matrix", whole()))


def test_nothing_is_drawn_of_nothing() -> None:
    def charts(summary: RunSummary) -> set[str]:
        return {chart.name for chart in plot.CHARTS if list(plot.pages(chart, summary))}

    assert charts(RUNS["nothing"]()) == set()
    assert charts(all_failed()) == {"matrix", "overview", "pairs"}
    assert not charts(one_level()) & {"throughput", "response", "tail", "memory"}
    assert not charts(insufficient()) & {"response", "tail"}
    assert charts(factories.summary()) == {chart.name for chart in plot.CHARTS} - {"capacity"}


# ---------------------------------------------------------------- one order of models


def order_of_names(name: str, summary: RunSummary) -> list[str]:
    """The models as a chart has them from top to bottom, or from left to right and top to bottom in panels of families."""
    names = [text for text in drawn(name, summary).texts if text.get_text() in factories.MODELS]
    return [text.get_text() for text in names]


@pytest.mark.parametrize("name", ["matrix", "overview", "cpu", "capacity", "timeline"])
def test_rows_have_the_same_order_in_all_charts_and_that_is_said(name: str) -> None:
    assert order_of_names(name, whole()) == _cells.models(whole())
    assert _cells.ORDER in said(drawn(name, whole()))


def test_the_best_on_average_comes_first_whichever_way_is_better() -> None:
    more = factories.scenario_summary("rates", [factories.standing("a", 1), factories.standing("b", 2, ratio=0.5)])
    measures = [replace(more.measures[0], better="less", unit="time")]
    less = factories.scenario_summary(
        "times", [factories.standing("b", 1), factories.standing("a", 2, ratio=4.0)], measures=measures
    )
    assert _cells.models(factories.run_summary([more])) == ["a", "b"]
    assert _cells.models(factories.run_summary([more, less])) == ["b", "a"]


def test_variants_stand_below_their_model() -> None:
    order = _cells.models(measured())
    assert order.index("prefork~32 workers") == order.index("prefork") + 1


# ---------------------------------------------------------------- the answers are computed


def answer(name: str, summary: RunSummary) -> str:
    """The subtitle of a chart: the lines between its title and its picture, in the order in which they were written."""
    figure = drawn(name, summary)
    lines = [text.get_text() for text in figure.texts[1:] if text.get_fontsize() == 14.0 and text.get_weight() == "normal"]
    return " ".join(lines)


@pytest.mark.parametrize("name", [chart.name for chart in plot.CHARTS if chart.name != "pairs"])
def test_answers_change_with_the_data(name: str) -> None:
    renamed = with_models(whole(), {name: f"other_{i}" for i, name in enumerate(factories.MODELS)})
    before, after = answer(name, whole()), answer(name, renamed)
    assert before != after
    assert not any(model in after for model in factories.MODELS)


@pytest.mark.parametrize("name", ["overview", "throughput", "matrix"])
def test_subtitles_name_the_best_of_a_scenario(name: str) -> None:
    assert "epoll_loop" in answer(name, replace(whole(), scenarios=whole().scenarios[:1]))


def two(ratio: float, rank: int, better: str = "more") -> RunSummary:
    first, second = factories.standing("first"), factories.standing("second", rank, ratio=ratio)
    made = factories.scenario_summary("hello", [first, second])
    measures = [replace(made.measures[0], better=better, unit="rate" if better == "more" else "time")]
    calls = {1: "same", 2: "different"}
    pair = Pair("first", "second", factories.estimate(1 / ratio), calls[rank])
    return factories.run_summary([replace(made, measures=measures, pair_list=[pair])])


def test_the_lead_is_the_ratio_to_the_next_whichever_way_is_better() -> None:
    assert "first is best (50.0k/s), 2.00× second" in answer("overview", two(0.5, 2))
    assert "second takes 2.00× that" in answer("overview", two(2.0, 2, "less"))


def test_ties_are_called_ties() -> None:
    assert "first and second tie for the best" in answer("overview", two(0.99, 1))


def test_pairs_are_counted() -> None:
    run = two(0.99, 1)
    counted = replace(run.scenarios[0], pairs=PairCounts(120, 103, 12, 5))
    text = answer("pairs", replace(run, scenarios=[counted]))
    assert text == "103 of 120 pairs differ, 12 are the same within 3%, 5 are open."
    many = replace(run, scenarios=[replace(counted, scenario=f"s{i}") for i in range(8)])
    assert "Of 960 pairs in 8 scenarios 86% differ, 10% are the same and 4.2% are open" in answer("pairs", many)


# ---------------------------------------------------------------- the matrix


def test_cells_are_coloured_by_value_and_outlined_by_call() -> None:
    shades = [matrix.shade(closeness, LIGHT) for closeness in (1.0, 0.97, 0.7, 0.3, 0.1)]
    assert len(set(shades)) == 5
    for call, outline in (("same", "same"), ("open", "tied")):
        run = two(0.97, 1)
        called = replace(run.scenarios[0], pair_list=[replace(run.scenarios[0].pair_list[0], call=call)])
        (column,) = matrix.columns_of(run, called)
        assert (column.outline("first"), column.outline("second")) == ("same", outline)
    (column,) = matrix.columns_of(two(0.5, 2), two(0.5, 2).scenarios[0])
    assert column.outline("second") == ""


def test_the_best_value_stands_below_its_column_and_footnotes_are_whole() -> None:
    text = said(drawn("matrix", whole()))
    best = max(x.peak_per_s.value for x in whole().scenarios[0].standings if x.rank == 1 and x.peak_per_s)
    assert f"{best / 1000:.1f}k/s" in text
    for run in (whole(), crowd()):
        columns = [column for scenario in run.scenarios for column in matrix.columns_of(run, scenario)]
        assert matrix.footnotes_of(columns)
        for note in matrix.footnotes_of(columns):
            assert note in said(drawn("matrix", run))


# ---------------------------------------------------------------- what the bars of cpu are


def test_one_long_bar_does_not_make_the_others_vanish() -> None:
    bill = cpu.Bill(whole().cells[0], factories.estimate(5.0), factories.estimate(5.0))
    dear = replace(bill, user=factories.estimate(4_000.0, width=30.0))
    assert cpu.limit_us([bill] * 5) == 10.0
    assert cpu.limit_us([*[bill] * 5, dear]) == 40.0


def test_cpu_names_user_and_kernel_and_has_readable_units() -> None:
    cells = [
        replace(c, cpu_user_us=c.cpu_user_us and factories.estimate(1_040.0)) for c in whole().cells if c.scenario == "hello"
    ]
    text = said(drawn("cpu", replace(whole(), cells=cells)))
    assert "own code" in text
    assert "kernel" in text
    assert "1.04 ms" in text
    assert "1,04" not in text


# ---------------------------------------------------------------- lines


def test_the_tail_carries_the_machines_own_line_where_it_can_be_seen() -> None:
    hiccup = [factories.quantile(0.9, 40_000.0), factories.quantile(0.99, 60_000.0)]
    noisy = replace(whole(), cells=[replace(c, hiccup=hiccup) for c in whole().cells])
    assert tail.MACHINE in said(drawn("tail", noisy))
    calm = replace(whole(), cells=[replace(c, hiccup=[]) for c in whole().cells])
    assert tail.MACHINE not in said(drawn("tail", calm))


def test_memory_that_is_doubtful_is_not_called_missing() -> None:
    doubt = Finding("machine state changed", "warning", "a loop's turn took twice as long", "another machine", "run again")
    doubtful = replace(whole(), cells=[replace(cell, findings=[doubt]) for cell in whole().cells])
    assert "read with care" in answer("memory", doubtful)


def test_memory_is_unshared_where_that_is_known_and_on_a_logarithmic_axis() -> None:
    for uss_bytes, title in ((None, "memory in"), (20_000_000, "unshared memory in")):
        run = replace(whole(), cells=[replace(cell, uss_bytes=uss_bytes) for cell in whole().cells])
        figure = drawn("memory", run)
        assert any(text.get_text().startswith(title) for text in figure.texts)
        assert all(axes.get_yscale() == "log" for axes in figure.axes)


# ---------------------------------------------------------------- files


def test_draw_writes_every_chart_on_light_and_on_dark_paper(tmp_path: Path) -> None:
    summary = factories.run_summary(two(0.5, 2).scenarios, [factories.cell("first"), factories.cell("second")])
    paths = plot.draw(summary, tmp_path / "charts")
    names = {path.name for path in paths}
    for name in ("matrix", "overview", "pairs", "cpu"):
        assert {f"{name}.svg", f"{name}.png", f"{name}-dark.svg"} <= names
    assert sorted(paths) == sorted((tmp_path / "charts").iterdir())
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.size == (1600, 900), path.name


def test_svg_holds_its_text_as_text_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, _ = plot.save(drawn("overview", two(0.5, 2)), tmp_path / "a")
    second, _ = plot.save(drawn("overview", two(0.5, 2)), tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    texts = [element.text for element in ElementTree.parse(first).iter("{http://www.w3.org/2000/svg}text")]
    assert chart("overview").question in texts
    assert "second" in texts


def test_dark_paper_is_dark(tmp_path: Path) -> None:
    run = two(0.5, 2)
    light, dark = (matrix.draw(run, run.scenarios, theme) for theme in (LIGHT, DARK))
    with Image.open(plot.save(light, tmp_path / "a")[1]) as a, Image.open(plot.save(dark, tmp_path / "b")[1]) as b:
        assert min(a.convert("RGB").getpixel((3, 3))) > 240
        assert max(b.convert("RGB").getpixel((3, 3))) < 40


@pytest.mark.parametrize("chart", plot.CHARTS, ids=lambda chart: chart.name)
def test_many_scenarios_take_pages_by_topic_and_lose_none(chart: plot.Chart) -> None:
    run = scenarios(10)
    pages = list(plot.pages(chart, run))
    assert len({name for name, _ in pages}) == len(pages)
    shown = [scenario.scenario for _, page in pages for scenario in page]
    assert shown == [scenario.scenario for scenario in run.scenarios if chart.has(run, scenario)]
    for name, page in pages:
        assert name == chart.name or name.removeprefix(f"{chart.name}-") in (page[0].scenario, page[0].scenario.split("-")[0])


def test_a_page_is_called_by_its_topic_or_by_its_scenario() -> None:
    assert [name for name, _ in plot.pages(chart("tail"), whole())] == ["tail"]
    names = [name for name, _ in plot.pages(chart("tail"), scenarios(5))]
    assert names == ["tail-topic0", "tail-topic0-2", "tail-topic1"]
    assert "response-hello" in [name for name, _ in plot.pages(chart("response"), whole())]
