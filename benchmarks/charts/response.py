"""Response time against offered load, median and tail: at shares of each model's own peak and at rates common to all."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._labels import EndLabel
from benchmarks.charts._page import SMALL, Box, Page, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUESTION = "When does it break?"
PERCENTILES = (0.99, 0.5)
KEEPING_UP = 0.99  # of what was offered; below it the queue grows without end


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A column for each scenario, the 99th percentile above the median; hollow: less was served than offered, or doubtful."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    remarks = [_remarks(summary, scenario) for scenario in summary.scenarios]
    boxes = page.body.columns(max(len(remarks), 1), 30.0)
    most = panels.most_rows(remarks, boxes)
    for scenario, said, box in zip(summary.scenarios, remarks, boxes, strict=False):
        _scenario(page, summary, scenario, box, said, most)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who answers first at the highest rate that was the same for all, and who fell behind what was offered."""
    return cells.by_scenario(summary, lambda scenario: _say(summary, scenario))


def _say(summary: RunSummary, scenario: ScenarioSummary) -> str:
    opened = [cell for model in cells.models(summary) for cell in cells.opened(summary, scenario.scenario, model)]
    usable = [cell for cell in opened if cells.believable(cell)]
    clauses = []
    ranked = [cell for cell in usable if cell.level.rate_per_s is not None and cell.rank == 1]
    if ranked:
        top = max(cell.level.rate_per_s or 0.0 for cell in ranked)
        first = [cell for cell in ranked if cell.level.rate_per_s == top]
        verb = "answers" if len(first) == 1 else "answer"
        clauses.append(f"at {words.asked(top)} {cells.tie_words([c.model for c in first])} {verb} soonest{_quickest(first)}")
    behind = [m for m in cells.models(summary) if any(c.model == m and falls_behind(c) for c in usable)]
    if behind:
        clauses.append(f"{words.listing([words.clipped(m) for m in behind], 2)} cannot keep up with every load")
    elif usable:
        clauses.append("all keep up with what was offered")
    return "; ".join(clauses) or "no open-loop level has a number"


def _quickest(cells_of_first: list[CellSummary]) -> str:
    """By what they were ranked, and how low it is among the first."""
    q = 0.99 if cells_of_first[0].ranked_by == "p99" else 0.5
    values = [x.value_ns for cell in cells_of_first if (x := cells.quantile(cell.response, q)) and x.value_ns]
    return f" (p{words.percentile(q)} {amounts.duration(min(values))})" if values else ""


def falls_behind(cell: CellSummary) -> bool:
    """Whether the interval of what was served lies wholly below 99% of what was offered."""
    offered = cells.offered(cell)
    return cell.rate_per_s is not None and offered is not None and cells.interval(cell.rate_per_s)[1] < KEEPING_UP * offered


def _lines(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, list[CellSummary]]:
    """Each model's open cells, least offered first."""
    return {m: found for m in cells.models(summary) if (found := cells.opened(summary, scenario.scenario, m))}


def _remarks(summary: RunSummary, scenario: ScenarioSummary) -> list[str]:
    shown = [cell for found in _lines(summary, scenario).values() for cell in found]
    absent = [remark for q in PERCENTILES for remark in cells.absent_quantile(shown, q)]
    return [*cells.failures(scenario), *cells.doubts(shown), *absent]


def _scenario(page: Page, summary: RunSummary, scenario: ScenarioSummary, box: Box, remarks: list[str], most: int) -> None:
    """The two panels of a scenario; `most` is how many lines the fullest one's remarks take, so that all floors are level."""
    lines = _lines(summary, scenario)
    drawn = [m for m, found in lines.items() if any(_points(found, q) for q in PERCENTILES)]
    whole = panels.panel(box, drawn, most, left=58.0, head=82.0)
    panels.heading(page, box, scenario.scenario, "response time from the intended start; hollow: fell behind, or see below")
    if not drawn:
        panels.empty(page, whole, "no open-loop level has percentiles")
    else:
        upper, lower = whole.plot.rows(2, 58.0)
        for q, plot in zip(PERCENTILES, (upper, lower), strict=True):
            _panel(page, lines, q, plot, whole)
        panels.x_name(page, lower, "requests offered per second")
    if remarks:
        page.remarks(whole.remarks, remarks)


def _panel(page: Page, lines: dict[str, list[CellSummary]], q: float, plot: Box, whole: panels.Panel) -> None:
    """One percentile of all models against what was offered."""
    shown = [cell for found in lines.values() for cell in found]
    points = {model: _points(found, q) for model, found in lines.items()}
    axes = page.axes(plot)
    scales.logarithmic(page, axes, "x", [cells.offered(cell) or math.nan for cell in shown], words.short, grid=False)
    everything = [x for found in points.values() for _, x, _ in found]
    page.text(plot.left - 52, plot.top - 9, f"p{words.percentile(q)}", SMALL, weight="bold")
    names = Box(whole.names.left, plot.top - 8, whole.names.width, plot.height + 16)
    if not everything:
        page.hatch(plot, edge=True)
        reason = f"no level has enough samples for p{words.percentile(q)}"
        page.text(plot.left + 14, plot.top + plot.height / 2, reason, SMALL, vertical="center", boxed=True)
        return
    scales.logarithmic(page, axes, "y", everything, words.time)
    _common_rates(page, axes, plot, shown)
    labels = [_line(page, axes, model, q, found) for model, found in points.items() if found]
    panels.finish(page, axes, panels.Panel(plot, plot, names, plot), labels, [])


Point = tuple[float, float, CellSummary]  # offered per second, ns, whose


def _points(found: list[CellSummary], q: float) -> list[Point]:
    """What of a model's line can be drawn at a percentile, least offered first."""
    points = []
    for cell in found:
        x, offered = cells.quantile(cell.response, q), cells.offered(cell)
        if x is not None and x.value_ns and offered:
            points.append((offered, x.value_ns, cell))
    return points


def _line(page: Page, axes: Axes, model: str, q: float, points: list[Point]) -> EndLabel:
    """One model: the line, whiskers, hollow where it fell behind, an arrow where the value is only a lower bound."""
    style = look(model, page.theme)
    for offered, value, cell in points:
        x = cells.quantile(cell.response, q)
        if x and x.low_ns and x.high_ns:
            axes.plot([offered] * 2, [x.low_ns, x.high_ns], color=style.colour, linewidth=1.2, alpha=0.6)
        if x and x.status == "at least":
            axes.plot(offered, value * 1.25, marker="$\u2191$", color=style.colour, markersize=9, clip_on=False)
    doubtful = [i for i, (_, _, cell) in enumerate(points) if falls_behind(cell) or cells.doubted(cell)]
    panels.line(axes, style, [x for x, _, _ in points], [y for _, y, _ in points], hollow=doubtful)
    return panels.end_label(page, model, points[-1][0], points[-1][1])


def _common_rates(page: Page, axes: Axes, plot: Box, shown: list[CellSummary]) -> None:
    """A hair line at each rate that was the same for all models, named where there is room."""
    edge = plot.left - 10.0
    for rate in sorted({cell.level.rate_per_s for cell in shown if cell.level.rate_per_s is not None}):
        axes.axvline(rate, color=page.theme.hatch, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        x, _ = page.pixel(axes, rate, axes.get_ylim()[1])
        name = words.asked(rate) + " for all"
        half = width_px(name, SMALL) / 2
        x = min(max(x, plot.left + half), plot.right - half)
        if x - half >= edge:
            page.text(x, plot.top - 9, name, SMALL, colour=page.theme.muted, align="center")
            edge = x + half + 8
