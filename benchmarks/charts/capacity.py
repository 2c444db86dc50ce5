"""The highest rate at which each model meets the run's objective, beside its peak in the closed loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _rows as rows
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import RunSummary, ScenarioSummary, Standing

QUESTION = "How much can it carry and still answer in time?"
KEY = (
    "requests offered per second",
    "bar: the highest rate that meets it",
    "line: lowest and highest replicate",
    "outline: the closed loop's peak",
    cells.ORDER,
)
HEAD_PX = 56.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's row: how far it reaches (0.0 when nothing can be told), whether only "at least", and what is said of it."""

    standing: Standing
    per_s: float
    bounded: bool
    said: str


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether the run had an objective to meet, and searched for it there."""
    return bool(summary.objective) and any(standing.capacity for standing in scenario.standings)


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A column for each scenario, a row for each model; hatched with the reason where there is no number."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    order = [model for model in cells.models(summary) if any(cells.standing_of(scenario, model) for scenario in shown)]
    table = rows.table(page, panels.framed(page, KEY, []), order, len(shown), HEAD_PX)
    for scenario, column in zip(shown, table.columns, strict=True):
        _scenario(page, scenario, table, column)
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who carries most within the objective, and who cannot meet it at all."""
    return f"Within {_spelled(summary.objective)}: {cells.by_scenario(summary, shown, _say)}"


def _spelled(objective: str) -> str:
    """ "p99<=20ms" as a sentence has it: "p99 ≤ 20 ms"."""
    percentile, limit = objective.split("<=")
    return f"{percentile} ≤ {limit.rstrip('smu')} {limit.lstrip('0123456789.')}"


def _say(scenario: ScenarioSummary) -> str:
    found = [bar for bar in bars(scenario) if bar.per_s]
    if not found:
        return "no model's capacity can be told"
    best = found[0]
    tied = [bar.standing.model for bar in found if _ends(bar)[1] >= _ends(best)[0]]
    verb = "carries" if len(tied) == 1 else "carry"
    clauses = [f"{cells.tie_words(tied)} {verb} most, {'' if best.bounded else 'at least '}{amounts.rate(best.per_s)}"]
    cannot = [words.clipped(s.model) for s in scenario.standings if _cannot(s)]
    return "; ".join(clauses + ([f"{words.listing(cannot, 2)} cannot meet it"] if cannot else []))


def _cannot(standing: Standing) -> bool:
    """Whether it missed the objective at every rate that was probed."""
    capacity = standing.capacity
    return capacity is not None and capacity.met_per_s is None and capacity.missed_per_s is not None


def _ends(bar: Bar) -> tuple[float, float]:
    """The range of a bar's value: open above, where no end was found."""
    capacity = bar.standing.capacity
    if capacity is None or capacity.rate_per_s is None:
        return bar.per_s, bar.per_s if bar.bounded else math.inf
    return cells.ends(capacity.rate_per_s)


def bars(scenario: ScenarioSummary) -> list[Bar]:
    """What is known of each model, most carried first, those without a number last."""
    return sorted((_bar(standing) for standing in scenario.standings), key=lambda bar: -bar.per_s)


def _bar(standing: Standing) -> Bar:
    capacity = standing.capacity
    if capacity is None:
        return Bar(standing, 0.0, True, standing.failed or "no search was made")
    if capacity.rate_per_s is not None:
        value = capacity.rate_per_s.value
        peak = standing.peak_per_s.value if standing.peak_per_s else 0.0
        return Bar(standing, value, True, f"{amounts.percent(value / peak)} of the peak" if peak else "")
    if capacity.met_per_s is not None:
        return Bar(standing, capacity.met_per_s, False, capacity.why)
    return Bar(standing, 0.0, True, capacity.why)


# ---------------------------------------------------------------- the picture


def _scenario(page: Page, scenario: ScenarioSummary, table: rows.Table, column: Box) -> None:
    page.text(column.left, column.top + 18, clip_to(scenario.scenario, HEAD, column.width, "bold"), HEAD, weight="bold")
    question = clip_to(scenario.question or scenario.caption, SMALL, column.width)
    page.text(column.left, column.top + 38, question, SMALL, colour=page.theme.muted)
    found = {bar.standing.model: bar for bar in bars(scenario)}
    said_px = min(230.0, column.width * 0.45)
    peaks = [s.peak_per_s.value for s in scenario.standings if s.peak_per_s]
    highest = max([bar.per_s for bar in found.values()] + peaks + [0.0]) or 1.0
    plot = Box(column.left, table.top, column.width - said_px, table.bottom - table.top)
    axes = page.axes(plot)
    axes.set_xlim(0, highest * 1.02)
    axes.set_ylim(plot.bottom, plot.top)  # data y is the page's y, so that bars and words share one ruler
    ticks = scales.zero_ticks(highest)
    page.ticks(axes, "x", ticks, [words.short(t) for t in ticks])
    for model, row in table.rows.items():
        cell = Box(column.left, row.top, column.width, row.height)
        bar = found.get(model)
        if bar is None or not bar.per_s:
            rows.absent(page, cell, bar.said if bar else "not part of this scenario")
        else:
            _row(page, axes, bar, cell)


def _row(page: Page, axes: Axes, bar: Bar, cell: Box) -> None:
    """A bar, the outline of the closed loop's peak, the range of the replicates; the rate and how sure it is behind it."""
    style, peak = look(bar.standing.model, page.theme), bar.standing.peak_per_s
    middle, thick = cell.top + cell.height / 2, min(cell.height * 0.5, 26.0)
    limit = axes.get_xlim()[1]
    if peak:
        axes.barh(middle, peak.value, thick, color="none", edgecolor=style.soft, linewidth=1.2)
    axes.barh(middle, bar.per_s, thick, color=style.colour if bar.bounded else style.soft, linewidth=0.0)
    end = max(bar.per_s, peak.value if peak else 0.0)
    capacity = bar.standing.capacity
    if capacity and capacity.rate_per_s:
        ends = [min(end, limit) for end in cells.ends(capacity.rate_per_s)]
        axes.plot(ends, [middle] * 2, color=page.theme.ink, linewidth=1.6, solid_capstyle="butt")
        end = max(end, ends[1])
    x = page.pixel(axes, min(end, limit), middle)[0] + 8
    value = f"{'' if bar.bounded else '≥ '}{amounts.rate(bar.per_s)}"
    page.text(x, middle, value, LABEL, weight="bold", vertical="center")
    x += width_px(value, LABEL, "bold") + 8
    page.text(x, middle, clip_to(bar.said, SMALL, cell.right - x), SMALL, colour=page.theme.muted, vertical="center")
