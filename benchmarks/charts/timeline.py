"""One visit of each model in time: throughput, the worst response times, the levels and the server's CPU."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import fmean, median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _words as words
from benchmarks.charts._page import ANSWER, HEAD, LABEL, SMALL, Box, Page, clip_to, fit_name, width_px
from benchmarks.charts._style import Theme, family_rank, look
from benchmarks.summaries import WARM_UP, RunSummary, ScenarioSummary, Timeline, TimelinePoint

QUESTION = "Was it steady? What happened then?"
HEAD_PX = 92.0
NAMES_PX = 210.0
KEY = (
    "filled: requests per second",
    "line: CPU, 100% at the top",
    "below: worst response time",
    "pale: rounds of warm-up",
)
BREAK = (math.nan, math.nan)
STEADY = 0.02  # steps that stray less from their level's mean are called steady


@dataclass(frozen=True, slots=True)
class Span:
    """One level of a visit: its points and when it began and ended."""

    level: str
    points: list[TimelinePoint]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Ruler:
    """The scales that all rows of a scenario share."""

    begins_s: float  # the longest warm-up's beginning: levels stand one below the other
    seconds: float
    rate_per_s: float
    low_ms: float
    high_ms: float


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A row for each model, a column for each scenario: throughput above, the worst response time in each step below."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    chosen = {s.scenario: typical(summary.timelines, s.scenario) for s in summary.scenarios}
    order = sorted({*cells.models(summary), *(model for visits in chosen.values() for model in visits)}, key=family_rank)
    if not order:
        page.text(page.body.left, page.body.top + 40, "No visit left a series to draw.", ANSWER)
        return page.figure
    table = page.body.inset(left=NAMES_PX, bottom=8)
    row_px = min((table.height - HEAD_PX) / len(order), 200.0)
    rows = Box(page.body.left, table.top + HEAD_PX, page.body.width, row_px * len(order)).rows(len(order))
    y = table.top + 6
    for line in KEY:
        y = page.paragraph(page.body.left, y, line, SMALL - 1, NAMES_PX - 14, colour=theme.muted)
    for model, row in zip(order, rows, strict=True):
        name = fit_name(model, LABEL, NAMES_PX - 14)
        page.text(row.left, row.top + row.height * 0.45, name, LABEL, colour=look(model, theme).text, vertical="center")
    for scenario, column in zip(summary.scenarios, table.columns(len(summary.scenarios), 34.0), strict=True):
        _column(page, summary, scenario, column, chosen[scenario.scenario], order, rows)
    return page.figure


def typical(timelines: Iterable[Timeline], scenario: str) -> dict[str, Timeline]:
    """Of each model the visit whose mean throughput is the median of its visits: neither its best nor its worst."""
    visits: dict[str, list[Timeline]] = {}
    for timeline in timelines:
        if timeline.scenario == scenario and measured(timeline):
            visits.setdefault(timeline.model, []).append(timeline)
    chosen = {}
    for model, found in visits.items():
        found.sort(key=lambda t: (fmean(p.rate_per_s for p in measured(t)), t.number))
        chosen[model] = found[(len(found) - 1) // 2]
    return chosen


def measured(timeline: Timeline) -> list[TimelinePoint]:
    """The points of its levels, warm-up left out."""
    return [point for point in timeline.points if point.level != WARM_UP]


def spans(timeline: Timeline) -> list[Span]:
    """The levels of a visit in order. A step's point stands at its start, so a level ends one step after its last."""
    gaps = [b.at_s - a.at_s for a, b in pairwise(measured(timeline)) if b.level == a.level]
    step = median(gaps) if gaps else 0.1
    levels = [(level, list(points)) for level, points in groupby(timeline.points, key=lambda p: p.level)]
    nexts = [*(points[0].at_s for _, points in levels[1:]), math.inf]
    return [
        # The last step of a level may be short: the next level's start ends it.
        Span(level, points, points[0].at_s, min(points[-1].at_s + step, following))
        for (level, points), following in zip(levels, nexts, strict=True)
    ]


# ---------------------------------------------------------------- the answer


def answer(summary: RunSummary) -> str:
    """Whose steps stay nearest to their level's mean, whose stray furthest, and the worst response of all."""

    def say(scenario: ScenarioSummary) -> str:
        visits = typical(summary.timelines, scenario.scenario)
        if not visits:
            return "no series"
        strays = sorted((stray, model) for model, t in visits.items() if (stray := unsteadiness(t)) is not None)
        worst, model, level = max((p.worst_ms, model, p.level) for model, t in visits.items() for p in measured(t))
        clauses = []
        if strays and strays[-1][0] <= STEADY:
            clauses.append(f"all steady within ±{amounts.percent(STEADY)}" if len(strays) > 1 else "steady")
        elif strays:
            clauses.append(f"{words.clipped(strays[0][1])} is steadiest (±{amounts.percent(strays[0][0])})")
        if len(strays) > 1 and strays[-1][0] > STEADY:
            clauses.append(f"{words.clipped(strays[-1][1])} least (±{amounts.percent(strays[-1][0])})")
        clauses.append(f"worst response {amounts.duration(worst * 1e6)}, {words.clipped(model)} at {_level_words(level)}")
        return ", ".join(clauses)

    return cells.by_scenario(summary, say)


def unsteadiness(timeline: Timeline) -> float | None:
    """How far a step typically strays from the mean of its level, as a share of it: the median level's mean deviation."""
    strays = []
    for span in spans(replace(timeline, points=measured(timeline))):
        rates = [p.rate_per_s for p in span.points]
        mean = fmean(rates)
        if len(rates) >= 3 and mean > 0:
            strays.append(fmean(abs(rate - mean) for rate in rates) / mean)
    return median(strays) if strays else None


def _level_words(label: str) -> str:
    """A level's label without what its place already says: "closed 64" is "64 connections"."""
    kind, _, amount = label.partition(" ")
    return f"{amount} connections" if kind == "closed" else f"{_offered(amount)} offered"


def _offered(amount: str) -> str:
    """The amount of an open level: "80%" as it is, "20000/s" as "20k/s"."""
    number = amount.removesuffix("/s")
    return words.asked(float(number)) if amount.endswith("/s") and number.replace(".", "", 1).isdigit() else amount


# ---------------------------------------------------------------- the picture


def _column(
    page: Page,
    summary: RunSummary,
    scenario: ScenarioSummary,
    column: Box,
    visits: dict[str, Timeline],
    order: list[str],
    rows: list[Box],
) -> None:
    """One scenario: all its rows on the same scales, drawn in one axes whose data coordinates are the page's pixels."""
    page.text(column.left, column.top + 16, clip_to(scenario.scenario, HEAD, column.width, "bold"), HEAD, weight="bold")
    for model, row in zip(order, rows, strict=True):
        if model not in visits:
            reason = next((x.failed for x in scenario.standings if x.model == model and x.failed), "no visit left a series")
            _no_series(page, Box(column.left, row.top, column.width, row.height), reason)
    if not visits:
        return
    ruler = _ruler(visits.values())
    area = Box(column.left, column.top + HEAD_PX - 8, column.width, rows[-1].bottom - column.top - HEAD_PX + 12)
    axes = page.axes(area)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-0.01 * ruler.seconds, ruler.seconds)
    axes.set_ylim(area.bottom, area.top)
    low, high = words.time(ruler.low_ms * 1e6), words.time(ruler.high_ms * 1e6)
    scale = f"heights: {amounts.rate(ruler.rate_per_s)} above, {low} to {high} below"
    page.text(column.left, column.top + 38, clip_to(scale, SMALL, column.width), SMALL, colour=page.theme.muted)
    for model, row in zip(order, rows, strict=True):
        if model in visits:
            busy = {c.level.label: c.server_busy for c in summary.cells if (c.scenario, c.model) == (scenario.scenario, model)}
            _row(axes, page.theme, visits[model], busy, row, ruler)
    _name_levels(page, axes, visits[next(model for model in order if model in visits)], ruler, column.top + HEAD_PX - 16)


def _no_series(page: Page, cell: Box, reason: str) -> None:
    """A hatched row with the reason for being empty."""
    page.hatch(cell.inset(top=cell.height * 0.3, bottom=cell.height * 0.3))
    text = clip_to(reason, SMALL, cell.width - 28)
    page.text(cell.left + 14, cell.top + cell.height / 2, text, SMALL, vertical="center", boxed=True)


def _ruler(visits: Iterable[Timeline]) -> Ruler:
    found = list(visits)
    points = [point for timeline in found for point in timeline.points]
    worst = [p.worst_ms for p in points if p.worst_ms > 0] or [1.0]
    low, high = 10.0 ** math.floor(math.log10(min(worst))), 10.0 ** math.ceil(math.log10(max(worst)))
    begins_s = min(t.points[0].at_s for t in found)
    return Ruler(
        begins_s=begins_s,
        seconds=max(spans(t)[-1].end_s for t in found) - begins_s,
        rate_per_s=max(p.rate_per_s for p in points) or 1.0,
        low_ms=low,
        high_ms=high if high > low else low * 10,
    )


def _row(axes: Axes, theme: Theme, timeline: Timeline, busy: dict[str, float | None], row: Box, ruler: Ruler) -> None:
    """One visit: throughput and CPU in the upper part of the row, the worst response times in the lower.

    Levels are kept apart by a NaN, at which matplotlib breaks a line: one artist for a row instead of one for each level.
    """
    style = look(timeline.model, theme)
    floor, tall = row.top + row.height * 0.58, row.height * 0.54
    foot, low_tall = row.top + row.height * 0.92, row.height * 0.26
    began, decades = ruler.begins_s, math.log10(ruler.high_ms / ruler.low_ms)
    steps: list[tuple[float, float]] = []
    warming: list[tuple[float, float]] = []
    used: list[tuple[float, float]] = []
    worst: list[tuple[float, float]] = []
    for span in spans(timeline):
        edges = [*(p.at_s - began for p in span.points), span.end_s - began]
        for point, (left, right) in zip(span.points, pairwise(edges), strict=True):
            height = floor - point.rate_per_s / ruler.rate_per_s * tall
            (warming if span.level == WARM_UP else steps).extend([(left, height), (right, height)])
            if point.worst_ms > 0:
                part = max(math.log10(point.worst_ms / ruler.low_ms), 0.0) / decades
                worst.append(((left + right) / 2, foot - part * low_tall))
        share = busy.get(span.level)
        if share is not None:
            height = floor - min(share, 1.0) * tall
            used += [(edges[0], height), (edges[-1], height), BREAK]
        steps.append(BREAK)
        worst.append(BREAK)
    starts = [span.start_s - began for span in spans(timeline)]
    axes.hlines([floor, foot], 0, ruler.seconds, color=theme.grid, linewidth=1.0, zorder=1)
    axes.vlines(starts, floor - tall, foot, color=theme.hatch, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for heights, alpha in ((warming, 0.25), (steps, 0.55)):
        xs, ys = [x for x, _ in heights], [y for _, y in heights]
        axes.fill_between(xs, floor, ys, color=style.colour, alpha=alpha, linewidth=0, zorder=2)
    axes.plot([x for x, _ in used], [y for _, y in used], color=theme.ink, linewidth=1.1, zorder=3)
    xs, ys = [x for x, _ in worst], [y for _, y in worst]
    axes.plot(xs, ys, color=style.colour, linewidth=1.2, marker=".", markersize=4.5, zorder=3)


def _name_levels(page: Page, axes: Axes, timeline: Timeline, ruler: Ruler, y: float) -> None:
    """The levels above the first row, each where it begins; a name that would touch the one before is left out."""
    edge = -1.0
    for span in spans(timeline):
        x, _ = page.pixel(axes, span.start_s - ruler.begins_s, y)
        kind, _, amount = span.level.partition(" ")
        name = amount if kind == "closed" else _offered(amount)
        if x >= edge and span.level != WARM_UP:  # too short for its name, which the key tells
            page.text(x, y, name, SMALL, weight="bold")
            edge = x + width_px(name, SMALL, "bold") + 8
