"""The highest rate at which each model meets the run's objective, beside its peak in the closed loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, fit_name, width_px, wrapped
from benchmarks.charts._style import Theme, look
from benchmarks.objective import CANNOT
from benchmarks.summaries import RunSummary, ScenarioSummary, Standing

QUESTION = "How much can it carry and still answer in time?"
KEY = (
    "requests offered per second",
    "bar: the highest rate that meets it",
    "line: 95% interval, dot: a visit",
    "outline: the closed loop's peak",
)
ROW_PX, FOOT_PX, HEAD_PX = 84.0, 30.0, 56.0
MOST_ROWS = 12  # of a scenario, below each other


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's row: how far it reaches (0.0 when nothing can be told), whether only "at least", and what is said of it."""

    standing: Standing
    per_s: float
    bounded: bool
    said: str


def wanted(summary: RunSummary) -> bool:
    """Whether the run had an objective to meet."""
    return bool(summary.objective)


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A column for each scenario, a row for each model, most on top; hatched with the reason where there is no number."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    if not summary.scenarios:
        page.text(page.body.left, page.body.top + 40, "No scenario was measured.", LABEL)
        return page.figure
    key = clip_to(" · ".join(KEY), SMALL, page.body.width)
    page.text(page.body.left, page.body.top + 6, key, SMALL, colour=theme.muted)
    for scenario, box in zip(summary.scenarios, page.body.inset(top=16.0).columns(len(summary.scenarios), 34.0), strict=True):
        _scenario(page, scenario, box)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who carries most within the objective, and who cannot meet it at all."""
    if not summary.objective:
        return cells.caution(summary, "the run had no objective to meet (--slo)")
    return f"Within {_spelled(summary.objective)}: {cells.by_scenario(summary, _say)}"


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
    cannot = [words.clipped(s.model) for s in scenario.standings if s.capacity and s.capacity.why.startswith(CANNOT)]
    return "; ".join(clauses + ([f"{words.listing(cannot, 2)} cannot meet it"] if cannot else []))


def _ends(bar: Bar) -> tuple[float, float]:
    """The interval of a bar's value: open above, where no end was found."""
    capacity = bar.standing.capacity
    if capacity is None or capacity.rate_per_s is None:
        return bar.per_s, bar.per_s if bar.bounded else math.inf
    return cells.interval(capacity.rate_per_s)


def bars(scenario: ScenarioSummary) -> list[Bar]:
    """The rows of a scenario, most carried on top, those without a number last."""
    return sorted((_bar(standing) for standing in scenario.standings), key=lambda bar: -bar.per_s)


def _bar(standing: Standing) -> Bar:
    capacity = standing.capacity
    if capacity is None:
        return Bar(standing, 0.0, True, standing.failed or "no search was made")
    if capacity.rate_per_s is not None:
        value = capacity.rate_per_s.value
        peak = standing.peak_per_s.value if standing.peak_per_s else 0.0
        share = f" · {amounts.percent(value / peak)} of the peak" if peak else ""
        return Bar(standing, value, True, f"{amounts.margin(capacity.rate_per_s)}{share}".removeprefix(" · "))
    if capacity.met_per_s is not None:
        return Bar(standing, capacity.met_per_s, False, capacity.why)
    return Bar(standing, 0.0, True, capacity.why)


# ---------------------------------------------------------------- the picture


def _scenario(page: Page, scenario: ScenarioSummary, box: Box) -> None:
    page.text(box.left, box.top + 20, clip_to(scenario.scenario, HEAD, box.width, "bold"), HEAD, weight="bold")
    question = clip_to(scenario.question or scenario.caption, SMALL, box.width)
    page.text(box.left, box.top + 40, question, SMALL, colour=page.theme.muted)
    found = bars(scenario)
    inner = box.inset(top=HEAD_PX, bottom=FOOT_PX)
    if not found:
        return
    highest = max([bar.per_s for bar in found] + [s.peak_per_s.value for s in scenario.standings if s.peak_per_s] + [0.0])
    beside = 2 if len(found) > MOST_ROWS and inner.width > page.body.width / 2 else 1
    each = -(-len(found) // beside)
    for number, place in enumerate(inner.columns(beside, 40.0)):
        _bars(page, found[number * each : (number + 1) * each], place, highest)


def _bars(page: Page, found: Sequence[Bar], inner: Box, highest: float) -> None:
    """Rows below each other on a common scale."""
    rows = Box(inner.left, inner.top, inner.width, min(ROW_PX * len(found), inner.height)).rows(len(found))
    plot = Box(inner.left, inner.top, inner.width - 12, rows[-1].bottom - inner.top)
    axes = page.axes(plot)
    axes.set_xlim(0, (highest or 1.0) * 1.05)
    axes.set_ylim(plot.bottom, plot.top)  # data y is the page's y, so that bars and words share one ruler
    ticks = scales.zero_ticks(highest or 1.0)
    page.ticks(axes, "x", ticks, [words.short(t) for t in ticks])
    for bar, row in zip(found, rows, strict=True):
        _row(page, axes, bar, row)


def _row(page: Page, axes: Axes, bar: Bar, row: Box) -> None:
    """A line of words over a bar: the name, the rate and how sure it is; or why there is none."""
    style = look(bar.standing.model, page.theme)
    thick = min(row.height * 0.34, 26.0)
    baseline, middle = row.top + row.height * 0.34, row.top + row.height * 0.46 + thick / 2
    name = fit_name(bar.standing.model, LABEL, row.width * 0.5, "bold")
    page.text(row.left, baseline, name, LABEL, colour=style.text, weight="bold")
    at = row.left + width_px(name, LABEL, "bold") + 12
    if not bar.per_s:
        strip = Box(row.left, middle - thick / 2, row.width - 12, thick)
        page.hatch(strip, edge=True)
        said = wrapped(bar.said, SMALL, strip.width - 24, most_lines=1)
        page.text(strip.left + 10, middle, said[0], SMALL, vertical="center", boxed=True)
        return
    value = f"{'' if bar.bounded else '≥ '}{amounts.rate(bar.per_s)}"
    page.text(at, baseline, value, LABEL, weight="bold")
    at += width_px(value, LABEL, "bold") + 8
    page.text(at, baseline, clip_to(bar.said, SMALL, row.right - at), SMALL, colour=page.theme.muted)
    peak = bar.standing.peak_per_s
    if peak:
        axes.barh(middle, peak.value, thick, color="none", edgecolor=style.soft, linewidth=1.2)
    axes.barh(middle, bar.per_s, thick, color=style.colour if bar.bounded else style.soft, linewidth=0.0)
    if not bar.bounded:
        axes.plot(bar.per_s, middle, marker="$\u2192$", color=style.colour, markersize=12, clip_on=False)
    capacity = bar.standing.capacity
    if capacity and capacity.rate_per_s:
        limit = axes.get_xlim()[1]
        ends = [min(end, limit) for end in cells.interval(capacity.rate_per_s)]
        axes.plot(ends, [middle] * 2, color=page.theme.ink, linewidth=1.6, solid_capstyle="butt", clip_on=False)
        visits = [visit for visit in capacity.rate_per_s.visits if visit <= limit]
        panels.dots(axes, style, visits, [middle + thick / 2 + 5] * len(visits))
