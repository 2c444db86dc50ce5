"""Throughput against connections, a panel for each scenario."""

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

QUESTION = "How far does it scale?"


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """Lines of throughput with their 95% bands; visits as dots; hollow markers are struck or marked."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    remarks = [_remarks(summary, scenario) for scenario in summary.scenarios]
    boxes = panels.grid(page, len(remarks))
    most = panels.most_rows(remarks, boxes)
    for scenario, said, box in zip(summary.scenarios, remarks, boxes, strict=False):
        _panel(page, summary, scenario, box, said, most)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who serves most in each scenario, how much, and with how many connections."""
    return cells.by_scenario(summary, _most)


def _most(scenario: ScenarioSummary) -> str:
    scenario = cells.by_peak(scenario)
    first, rest = cells.winners(scenario), cells.runners_up(scenario)
    if not first or first[0].peak_per_s is None:
        return "no model could be ranked"
    top = first[0]
    amount = amounts.rate(first[0].peak_per_s.value)
    if len(first) > 1:
        return f"{words.listing([words.clipped(s.model) for s in first])} cannot be told apart, about {amount}"
    at = top.peak_level.removeprefix("closed ")
    where = f" at {at} connection{'' if at == '1' else 's'}" if at else ""
    share = cells.share_of_best(scenario, rest[0]) if rest else None
    lead = f", {amounts.times(1 / share.value)} {words.clipped(rest[0].model)}" if share and share.value else ""
    return f"{words.clipped(top.model)} serves {'most, ' if rest else ''}{amount}{where}{lead}"


def _lines(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, list[CellSummary]]:
    """Each model's closed cells that have a number."""
    everyone = {model: cells.closed(summary, scenario.scenario, model) for model in cells.models(summary)}
    return {model: usable for model, found in everyone.items() if (usable := [c for c in found if c.rate_per_s])}


def _remarks(summary: RunSummary, scenario: ScenarioSummary) -> list[str]:
    shown = [cell for found in _lines(summary, scenario).values() for cell in found]
    return [*cells.failures(scenario), *cells.doubts(shown)]


def _panel(page: Page, summary: RunSummary, scenario: ScenarioSummary, box: Box, remarks: list[str], most: int) -> None:
    """One scenario; `most` is how many lines the fullest panel's remarks take, so that all stand on the same floor."""
    lines = _lines(summary, scenario)
    shown = [cell for found in lines.values() for cell in found]
    parts = panels.panel(box, lines, most)
    panels.heading(page, box, scenario.scenario, "requests per second; band: 95% interval, dot: a visit, hollow: see below")
    if not shown:
        panels.empty(page, parts, "no closed-loop level has a number")
        panels.finish(page, page.axes(parts.plot), parts, [], remarks)
        return
    axes = page.axes(parts.plot)
    connections = sorted({cell.level.connections for cell in shown})
    scales.logarithmic(page, axes, "x", connections, words.digits, at=connections, grid=False)
    scales.from_zero(page, axes, max(cells.interval(c.rate_per_s)[1] for c in shown if c.rate_per_s), words.short)
    panels.x_name(page, parts.plot, "open connections")
    labels = [label for model, found in lines.items() if (label := _line(page, axes, model, found))]
    panels.finish(page, axes, parts, labels, remarks)


def _line(page: Page, axes: Axes, model: str, found: list[CellSummary]) -> EndLabel | None:
    """One model's line, band and dots."""
    points = [(cell.level.connections, cell.rate_per_s) for cell in found if cell.rate_per_s]
    if not points:
        return None
    style = look(model, page.theme)
    xs, ys = [float(x) for x, _ in points], [e.value for _, e in points]
    low, high = zip(*(cells.interval(e) for _, e in points), strict=True)
    axes.fill_between(xs, low, high, color=style.colour, alpha=0.16, linewidth=0)
    panels.dots(axes, style, [float(x) for x, e in points for _ in e.visits], [v for _, e in points for v in e.visits])
    panels.line(axes, style, xs, ys, hollow=[i for i, cell in enumerate(found) if cells.doubted(cell)])
    return panels.end_label(page, model, xs[-1], ys[-1])
