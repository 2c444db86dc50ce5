"""Response time by percentile at half the peak, with what the machine's own pauses would have cost."""

import math
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._labels import EndLabel
from benchmarks.charts._page import Box, Page
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUESTION = "How bad is the tail?"
SHOWN = (0.999, 0.99, 0.9, 0.5)  # the percentile an answer is about: the furthest that the data reach
LEAST_NS = 1_000.0  # below this the clock, not the server, is what is seen


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A curve per model on the percentile axis of HdrHistogram, cut where samples end; the machine's line grey and dashed."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    curves = [_curves(summary, scenario) for scenario in summary.scenarios]
    remarks = [_remarks(summary, scenario) for scenario in summary.scenarios]
    boxes = panels.grid(page, len(remarks))
    most = panels.most_rows(remarks, boxes)
    for scenario, found, said, box in zip(summary.scenarios, curves, remarks, boxes, strict=False):
        _panel(page, scenario, found, box, said, most)
    return page.figure


def answer(summary: RunSummary) -> str:
    """At the furthest percentile most models reach: who is lowest, who is highest."""

    def say(scenario: ScenarioSummary) -> str:
        found = [cell for cell in _curves(summary, scenario).values() if cells.believable(cell)]
        for q in SHOWN:
            values = [
                (cell.model, x.value_ns, x.low_ns or 0.0, x.high_ns or math.inf)  # None: the samples do not bound it
                for cell in found
                if (x := cells.quantile(cell.response, q)) and x.value_ns is not None
            ]
            if values and len(values) * 2 > len(found):
                names, lowest = cells.lowest(values)
                worst = max(values, key=lambda v: v[1])
                contrast = f"; {words.clipped(worst[0])} {amounts.duration(worst[1])}" if worst[0] not in names else ""
                return f"p{words.percentile(q)} is lowest for {cells.tie_words(names)}, {amounts.duration(lowest)}{contrast}"
        return "no percentile can be told"

    return cells.by_scenario(summary, say)


def _curves(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, CellSummary]:
    """Each model's cell at half its own peak, if it has a curve."""
    return {cell.model: cell for cell in _half(summary, scenario) if _points(cell)}


def _half(summary: RunSummary, scenario: ScenarioSummary) -> list[CellSummary]:
    found = (cells.at_half_peak(summary, scenario.scenario, model) for model in cells.models(summary))
    return [cell for cell in found if cell]


def _points(cell: CellSummary) -> list[tuple[float, float]]:
    """The curve from the median on, the percentiles that have an interval in their places on it."""
    curve = {q: ns for q, ns in cell.response_curve if q >= 0.5 and ns > 0}
    reached = max(curve, default=0.0)
    for q in SHOWN:
        x = cells.quantile(cell.response, q)
        if x is not None and x.value_ns and q <= reached:
            curve[q] = x.value_ns
    return sorted(curve.items())


def _remarks(summary: RunSummary, scenario: ScenarioSummary) -> list[str]:
    found = _half(summary, scenario)
    absent = [remark for q in SHOWN[:2] for remark in cells.absent_quantile(found, q)]
    return [*cells.failures(scenario), *cells.doubts(found, name_levels=False), *absent]


def _panel(
    page: Page, scenario: ScenarioSummary, curves: dict[str, CellSummary], box: Box, remarks: list[str], most: int
) -> None:
    """One scenario; `most` is how many lines the fullest panel's remarks take, so that all stand on the same floor."""
    found = list(curves.values())
    end = scales.percentile_at_or_after(max((q for cell in found for q, _ in _points(cell)), default=0.9))
    machine = [point for point in _machine(found) if point[0] <= end + 1e-9]
    parts = panels.panel(box, [*curves, f"{MACHINE}: 99.9 µs"], most, left=58.0)
    panels.heading(page, box, scenario.scenario, "response time at half of each model's own peak")
    if not curves:
        panels.empty(page, parts, "no open-loop level at half the peak has percentiles")
        panels.finish(page, page.axes(parts.plot), parts, [], remarks)
        return
    axes = page.axes(parts.plot)
    points = [point for cell in found for point in _points(cell)]
    scales.percentile_axis(page, axes, end)
    times_ns = [ns for _, ns in points]
    near = [ns for _, _, ns, _ in machine if ns >= min(times_ns) / FAR_BELOW]
    scales.logarithmic(page, axes, "y", times_ns + near, words.time)
    panels.x_name(page, parts.plot, "percentile of requests")
    labels = [_curve(page, axes, model, cell) for model, cell in curves.items()]
    labels += _machine_line(page, axes, machine)
    panels.finish(page, axes, parts, labels, remarks)


def _curve(page: Page, axes: Axes, model: str, cell: CellSummary) -> EndLabel:
    """One model: the curve, and markers with whiskers at the percentiles that have an interval."""
    style = look(model, page.theme)
    points = _points(cell)
    xs, ys = [scales.nines(q) for q, _ in points], [ns for _, ns in points]
    axes.plot(xs, ys, color=style.colour, linestyle=style.dash, linewidth=2.0, zorder=3)
    doubtful = cells.doubted(cell)
    for q in SHOWN:
        x = cells.quantile(cell.response, q)
        if x is None or x.value_ns is None or q > points[-1][0] + 1e-9:
            continue
        face = "none" if doubtful else style.colour
        axes.plot(scales.nines(q), x.value_ns, style.marker, markersize=6, color=style.colour, markerfacecolor=face, zorder=4)
        if x.low_ns and x.high_ns:
            axes.plot([scales.nines(q)] * 2, [x.low_ns, x.high_ns], color=style.colour, linewidth=1.2, alpha=0.7)
    return panels.end_label(page, model, xs[-1], ys[-1])


# ---------------------------------------------------------------- the machine's own line

MACHINE = "machine alone"
FAR_BELOW = 3.0  # a machine's line further below all curves than this is named at the floor instead of squeezing them


def _machine(found: list[CellSummary]) -> list[tuple[float, float, float, float]]:
    """(q, lowest, median, highest) over the cells of what their windows' pauses alone would have cost."""
    by_q: dict[float, list[float]] = {}
    for cell in found:
        for x in cell.hiccup:
            if x.value_ns is not None and x.value_ns >= LEAST_NS:
                by_q.setdefault(x.q, []).append(x.value_ns)
    # A pause that fewer than half of the windows saw is not the machine's habit at that percentile.
    return [(q, min(v), median(v), max(v)) for q, v in sorted(by_q.items()) if len(v) * 2 >= len(found)]


def _machine_line(page: Page, axes: Axes, machine: list[tuple[float, float, float, float]]) -> list[EndLabel]:
    if not machine:
        return []
    grey = page.theme.muted
    xs = [scales.nines(q) for q, *_ in machine]
    lowest, highest = [low for _, low, _, _ in machine], [high for *_, high in machine]
    axes.fill_between(xs, lowest, highest, color=grey, alpha=0.12, linewidth=0)
    axes.plot(xs, [middle for _, _, middle, _ in machine], color=grey, linestyle=(0, (5, 2)), linewidth=1.8, marker="_")
    last, floor = machine[-1][2], axes.get_ylim()[0]
    if last < floor:
        return [EndLabel(f"{MACHINE}: {words.time(last)}", grey, grey, "v", xs[-1], floor)]
    return [EndLabel(MACHINE, grey, grey, "_", xs[-1], last)]
