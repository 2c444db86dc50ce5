"""One trial of each model in time: throughput beside its mean, and the worst response times, level after level."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import fmean, median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _rows as rows
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import WARM_UP, RunSummary, ScenarioSummary, Timeline, TimelinePoint

QUESTION = "Was it steady? What happened then?"
HEAD_PX, STRAY_PX = 84.0, 60.0
KEY = (
    "longest window of each level in steps of 100 ms, median trial",
    "filled: throughput, line: its mean",
    "dots: worst response",
    "pale: warm-up",
    "±: of a typical step to the mean",
    cells.ORDER,
)
BREAK = (math.nan, math.nan)
STEADY = 0.05  # steps that stray less from their level's mean are called steady
HIGHEST = 1.6  # of a level's mean, at the top of a row
WARMING = 0.15  # of the time of all levels: the most of the warm-up that is drawn


@dataclass(frozen=True, slots=True)
class Span:
    """One level of a trial: its points, when it began and when it ended."""

    level: str
    points: list[TimelinePoint]
    start_s: float
    end_s: float

    @property
    def mean_per_s(self) -> float:
        """The mean of its steps."""
        return fmean(point.rate_per_s for point in self.points)


@dataclass(frozen=True, slots=True)
class Ruler:
    """The scales that all rows of a scenario share: where each level begins, as windows lie apart in time, and times in ms."""

    starts_s: Mapping[str, float]
    begin_s: float  # of the warm-up, before 0
    end_s: float
    low_ms: float
    high_ms: float


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether any trial left a series."""
    return bool(typical(summary.timelines, scenario.scenario))


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A row for each model, a column for each scenario: throughput above, the worst response time in each step below."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    box = panels.framed(page, KEY, [])
    order = [model for model in cells.models(summary) if any(cells.standing_of(scenario, model) for scenario in shown)]
    table = rows.table(page, box, order, len(shown), HEAD_PX)
    for scenario, column in zip(shown, table.columns, strict=True):
        _column(page, summary, scenario, table, column)
    return page.figure


def typical(timelines: Iterable[Timeline], scenario: str) -> dict[str, Timeline]:
    """Of each model the trial whose mean throughput is the median of its trials: neither its best nor its worst."""
    trials: dict[str, list[Timeline]] = {}
    for timeline in timelines:
        if timeline.scenario == scenario and measured(timeline):
            trials.setdefault(timeline.model, []).append(timeline)
    chosen = {}
    for model, found in trials.items():
        found.sort(key=lambda t: (fmean(p.rate_per_s for p in measured(t)), t.replicate))
        chosen[model] = found[(len(found) - 1) // 2]
    return chosen


def measured(timeline: Timeline) -> list[TimelinePoint]:
    """The points of its levels, warm-up left out."""
    return [point for point in timeline.points if point.level != WARM_UP]


def spans(timeline: Timeline) -> list[Span]:
    """The levels of a trial in order. A step's point stands at its start, so a level ends one step after its last."""
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


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Whose steps stay nearest to their level's mean, whose stray furthest, and the worst response of all."""

    def say(scenario: ScenarioSummary) -> str:
        trials = typical(summary.timelines, scenario.scenario)
        trials = {model: t for model, t in trials.items() if cells.standing_of(scenario, model)}
        if not trials:
            return "no series"
        strays = sorted((stray, model) for model, t in trials.items() if (stray := unsteadiness(t)) is not None)
        clauses = []
        if strays and strays[-1][0] <= STEADY:
            clauses.append(f"all steady within ±{STEADY:.0%}" if len(strays) > 1 else "steady")
        elif len(strays) > 2 and strays[0][0] > STEADY:
            clauses.append(f"all stray, by ±{amounts.percent(strays[0][0])} to ±{amounts.percent(strays[-1][0])}")
        elif strays:
            unsteady = [model for stray, model in strays[::-1] if stray > STEADY]
            names = words.listing([words.clipped(model) for model in unsteady], 2)
            clauses.append(f"{names} stray{'s' * (len(unsteady) == 1)} up to ±{amounts.percent(strays[-1][0])}")
        worst, model, level = max((p.worst_ms, model, p.level) for model, t in trials.items() for p in measured(t))
        levels = _names(summary, scenario)
        clauses.append(f"worst response {amounts.duration(worst * 1e6)}, {words.clipped(model)} at {levels.get(level, level)}")
        return ", ".join(clauses)

    return cells.by_scenario(summary, shown, say)


def unsteadiness(timeline: Timeline) -> float | None:
    """How far a step typically strays from the mean of its level, as a share of it: the median over the levels.

    Arrivals of an open level are random: what their number alone would stray, 0.8 by the root of a step's count, is taken off.
    """
    strays = []
    for span in spans(replace(timeline, points=measured(timeline))):
        if len(span.points) < 3 or not span.mean_per_s:
            continue
        stray = fmean(abs(point.rate_per_s - span.mean_per_s) for point in span.points) / span.mean_per_s
        each = span.mean_per_s * (span.end_s - span.start_s) / len(span.points)
        chance = 0.8 / math.sqrt(each) if span.level.startswith("open") else 0.0
        strays.append(math.sqrt(max(stray**2 - chance**2, 0.0)))
    return median(strays) if strays else None


def _names(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, str]:
    """The levels of a scenario in few words, by their labels."""
    own = [cell.level for cell in summary.cells if cell.scenario == scenario.scenario]
    return {level.label: cells.level_words(level) for level in own}


# ---------------------------------------------------------------- the picture


def _column(page: Page, summary: RunSummary, scenario: ScenarioSummary, table: rows.Table, column: Box) -> None:
    """One scenario: all its rows on the same scales, drawn in one axes whose data coordinates are the page's pixels."""
    page.text(column.left, column.top + 18, clip_to(scenario.scenario, HEAD, column.width, "bold"), HEAD, weight="bold")
    trials = typical(summary.timelines, scenario.scenario)
    for model, row in table.rows.items():
        if model not in trials:
            standing = cells.standing_of(scenario, model)
            reason = (standing.failed if standing else "not part of this scenario") or "no trial left a series"
            rows.absent(page, Box(column.left, row.top, column.width, row.height), reason)
    shown = {model: trials[model] for model in table.rows if model in trials}
    if not shown:
        return
    ruler = _ruler(list(shown.values()))
    area = Box(column.left, table.top - 8, column.width - STRAY_PX, table.bottom - table.top + 8)
    axes = page.axes(area, floor=False)
    axes.set_xlim(ruler.begin_s, ruler.end_s)
    axes.set_ylim(area.bottom, area.top)
    scale = f"dots: {words.time(ruler.low_ms * 1e6)} to {words.time(ruler.high_ms * 1e6)}"
    page.text(column.left, column.top + 38, clip_to(scale, SMALL, column.width), SMALL, colour=page.theme.muted)
    _floors(axes, page.theme, [table.rows[model] for model in shown], ruler)
    for model, timeline in shown.items():
        row = table.rows[model]
        _row(axes, page.theme, timeline, row, ruler)
        stray = unsteadiness(timeline)
        if stray is not None:
            said, loud = f"±{max(stray, 0.001):.1%}" if stray < 0.0995 else f"±{stray:.0%}", stray > STEADY
            ink = page.theme.ink if loud else page.theme.muted
            page.text(column.right, row.top + row.height * 0.5, said, LABEL if loud else SMALL, colour=ink, align="right",
                      vertical="center", weight="bold" if loud else "normal")  # fmt: skip
    _name_levels(page, axes, _names(summary, scenario), ruler, area)


def _ruler(trials: Sequence[Timeline]) -> Ruler:
    """Levels in the order of whoever has most of them, each as long as the longest."""
    lengths: dict[str, float] = {}
    warming = 0.0
    for timeline in sorted(trials, key=lambda t: -len({point.level for point in t.points})):
        for span in spans(timeline):
            if span.level == WARM_UP:
                warming = max(warming, span.end_s - span.start_s)
            else:
                lengths[span.level] = max(lengths.get(span.level, 0.0), span.end_s - span.start_s)
    total = sum(lengths.values())
    starts = {level: sum(list(lengths.values())[:at]) for at, level in enumerate(lengths)}
    worst = [point.worst_ms for timeline in trials for point in measured(timeline) if point.worst_ms > 0] or [1.0]
    low, high = 10.0 ** math.floor(math.log10(min(worst))), 10.0 ** math.ceil(math.log10(max(worst)))
    return Ruler(starts, -min(warming, WARMING * total), total, low, high if high > low else low * 10)


def _row(axes: Axes, theme: Theme, timeline: Timeline, row: Box, ruler: Ruler) -> None:
    """One trial: throughput as a share of its level's mean in the upper part of the row, the worst times in the lower.

    Levels are kept apart by a NaN, at which matplotlib breaks a line: one artist for a row instead of one for each level.
    """
    style = look(timeline.model, theme)
    floor, tall, foot, low_tall = _heights(row)
    decades = math.log10(ruler.high_ms / ruler.low_ms)
    steps: list[tuple[float, float]] = []
    worst: list[tuple[float, float]] = []
    found = [span for span in spans(timeline) if span.level != WARM_UP and span.mean_per_s > 0]
    for span in found:
        off = ruler.starts_s[span.level] - span.start_s
        steps += _steps(span, off, span.mean_per_s, floor, tall)
        for left, right, point in _edges(span, off):
            if point.worst_ms > 0:
                part = max(math.log10(point.worst_ms / ruler.low_ms), 0.0) / decades
                worst.append(((left + right) / 2, foot - part * low_tall))
        steps.append(BREAK)
        worst.append(BREAK)
    for heights, alpha in ((_warming(timeline, found, ruler, floor, tall), 0.25), (steps, 0.55)):
        axes.fill_between([x for x, _ in heights], floor, [y for _, y in heights], color=style.colour, alpha=alpha, linewidth=0)
    axes.plot(*zip(*worst or [BREAK], strict=True), color=style.colour, linewidth=0.9, marker=".", markersize=3.5, zorder=3)


def _heights(row: Box) -> tuple[float, float, float, float]:
    """Where throughput stands and how high it may rise, and the same of the worst times."""
    return row.top + row.height * 0.60, row.height * 0.54, row.top + row.height * 0.92, row.height * 0.24


def _floors(axes: Axes, theme: Theme, rows_: Sequence[Box], ruler: Ruler) -> None:
    """What all rows stand on, the lines of their means, and where levels begin."""
    heights = [_heights(row) for row in rows_]
    axes.hlines([floor - tall / HIGHEST for floor, tall, _, _ in heights], 0, ruler.end_s, color=theme.ink, linewidth=0.6,
                alpha=0.6, zorder=3)  # fmt: skip
    ground = [y for floor, _, foot, _ in heights for y in (floor, foot)]
    axes.hlines(ground, ruler.begin_s, ruler.end_s, color=theme.grid, linewidth=1.0, zorder=1)
    tops = [(start, floor - tall, foot) for floor, tall, foot, _ in heights for start in ruler.starts_s.values()]
    starts, upper, lower = zip(*tops, strict=True)
    axes.vlines(starts, upper, lower, color=theme.hatch, linewidth=0.8, zorder=1)


def _edges(span: Span, off: float) -> list[tuple[float, float, TimelinePoint]]:
    """Where each step begins and ends, and its point."""
    edges = [*(point.at_s + off for point in span.points), span.end_s + off]
    return [(left, right, point) for (left, right), point in zip(pairwise(edges), span.points, strict=True)]


def _steps(span: Span, off: float, mean_per_s: float, floor: float, tall: float) -> list[tuple[float, float]]:
    """The outline of the steps, cut at the top of the row."""
    outline = []
    for left, right, point in _edges(span, off):
        height = floor - min(point.rate_per_s / mean_per_s, HIGHEST) / HIGHEST * tall
        outline += [(left, height), (right, height)]
    return outline


def _warming(timeline: Timeline, found: Sequence[Span], ruler: Ruler, floor: float, tall: float) -> list[tuple[float, float]]:
    """The end of the warm-up, before 0, beside the fastest level's mean: it is most like that level."""
    warm = [span for span in spans(timeline) if span.level == WARM_UP]
    fastest = max((span.mean_per_s for span in found), default=0.0)
    if not warm or not fastest:
        return []
    outline = _steps(warm[0], -warm[0].end_s, fastest, floor, tall)
    return [(max(x, ruler.begin_s), y) for x, y in outline]


def _name_levels(page: Page, axes: Axes, names: Mapping[str, str], ruler: Ruler, area: Box) -> None:
    """The levels above the first row, each where it begins, on two lines if need be; a name without room is left out."""
    edges = [-1.0, -1.0]
    for level, start in ruler.starts_s.items():
        x, _ = page.pixel(axes, start, area.top)
        name = clip_to(names.get(level, level), SMALL, area.right + STRAY_PX - x, "bold")
        storey = next((at for at, edge in enumerate(edges) if x >= edge), None)
        if storey is not None and name:
            page.text(x, area.top - 6 - 17 * storey, name, SMALL, weight="bold")
            edges[storey] = x + width_px(name, SMALL, "bold") + 8
