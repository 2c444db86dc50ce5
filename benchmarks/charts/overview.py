"""Every model in every scenario as a bar beside the best, with its interval and its visits."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _words as words
from benchmarks.charts._page import ANSWER, HEAD, LABEL, SMALL, Box, Page, clip_to, fit_name, width_px, wrapped
from benchmarks.charts._style import Theme, look
from benchmarks.metrics import shown
from benchmarks.summaries import Estimate, RunSummary, ScenarioSummary, Standing
from benchmarks.verdict import number_of

QUESTION = "How far behind the best is each?"
HEAD_PX = 84.0  # the scenario's name and question above its bars
KEY = (
    "bar: the number that ranks, as a share of the best",
    "solid: the best, and who cannot be told from it",
    "hatched: read with care, or no number",
    "p99: response time at half of its own peak",
)
ROOMY_PX = 340.0  # a column this wide has room for rates and latencies beside the share


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """Rows are models, best on average on top; columns are scenarios; a bar is a peak relative to the column's best."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    order = _by_merit(summary)
    if not summary.scenarios or not order:
        page.text(page.body.left, page.body.top + 40, "No scenario was measured.", ANSWER)
        return page.figure
    names_px = 360.0 if len(summary.scenarios) <= 3 else 320.0
    grid = page.body.inset(left=names_px)
    row_px = min((grid.height - HEAD_PX) / len(order), 130.0)
    rows = Box(page.body.left, grid.top + HEAD_PX, page.body.width, row_px * len(order)).rows(len(order))
    y = grid.top + 6
    for line in KEY:
        y = page.paragraph(page.body.left, y, line, SMALL - 1, names_px - 20, colour=theme.muted)
    for model, row in zip(order, rows, strict=True):
        _name(page, summary, model, row, names_px)
    for scenario, column in zip(summary.scenarios, grid.columns(len(summary.scenarios), 26.0), strict=True):
        _head(page, scenario, column)
        _column(page, scenario, column, order, rows)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who is best where, and by how much; of many scenarios, who is best or tied most often."""
    if len(summary.scenarios) <= 4:
        return cells.by_scenario(summary, _leader)
    wins: dict[str, int] = {}
    for scenario in summary.scenarios:
        for standing in cells.winners(scenario):
            wins[standing.model] = wins.get(standing.model, 0) + 1
    ranking = sorted(wins, key=lambda model: -wins[model])
    clauses = [f"{words.clipped(model)} in {wins[model]}" for model in ranking[:4]]
    total = f"of {len(summary.scenarios)} scenarios, best or tied for best: "
    return cells.caution(summary, total + ", ".join(clauses) if clauses else "no model could be ranked")


def _leader(scenario: ScenarioSummary) -> str:
    first, rest = cells.winners(scenario), cells.runners_up(scenario)
    if not first:
        return "no model could be ranked"
    if len(first) > 1:
        others = " all tie" if not rest and len(first) > 2 else " tie"
        return words.listing([words.clipped(s.model) for s in first]) + others
    best = first[0]
    if not rest:
        return f"{words.clipped(best.model)} alone was ranked"
    share = cells.share_of_best(scenario, rest[0])
    lead = f", {amounts.times(1 / share.value)} {words.clipped(rest[0].model)}" if share and share.value else ""
    return f"{words.clipped(best.model)} is best{lead}"


def _by_merit(summary: RunSummary) -> list[str]:
    """Models by the geometric mean of their shares of the best; a scenario without a number counts as a thousandth."""

    def merit(model: str) -> float:
        logs = []
        for scenario in summary.scenarios:
            mine = next((s for s in scenario.standings if s.model == model), None)
            share = cells.share_of_best(scenario, mine) if mine and not mine.failed else None
            logs.append(math.log(max(share.value if share else 0.0, 0.001)))
        return sum(logs)

    return sorted(cells.models(summary), key=merit, reverse=True)


def _name(page: Page, summary: RunSummary, model: str, row: Box, width: float) -> None:
    """The model's name in its colour, and how it waits: the first clause of its caption."""
    style = look(model, page.theme)
    caption = summary.captions.get(model, "").split(":")[0].split(";")[0].rstrip(".")
    has_room = row.height >= 52 and bool(caption)
    baseline = _middle(row) + 5
    page.text(row.left, baseline, fit_name(model, HEAD, width - 24, "bold"), HEAD, colour=style.text, weight="bold")
    if has_room:
        page.text(row.left, baseline + 22, clip_to(caption, SMALL, width - 24), SMALL, colour=page.theme.muted)


def _head(page: Page, scenario: ScenarioSummary, column: Box) -> None:
    """The scenario's name over its question, and what its longest bar stands for."""
    first = cells.winners(scenario)
    best = number_of(first[0]) if first else None
    points = ANSWER if column.width >= 150 else SMALL + 0.5
    name = clip_to(scenario.scenario, points, column.width, "bold")
    page.text(column.left, column.top + 22, name, points, weight="bold")
    size = f"100% = {_amount(scenario, best)}" if best else ""
    if width_px(size, SMALL) + width_px(name, ANSWER, "bold") + 16 <= column.width:
        page.text(column.right, column.top + 22, size, SMALL, colour=page.theme.muted, align="right")
    question = scenario.question or scenario.caption
    page.paragraph(column.left, column.top + 46, question, SMALL, column.width, colour=page.theme.muted)


def _column(page: Page, scenario: ScenarioSummary, column: Box, order: list[str], rows: list[Box]) -> None:
    """One scenario's bars: solid for the best and those tied with it, pale for the others, hatched where in doubt."""
    shares = {s.model: share for s in scenario.standings if not s.failed and (share := cells.share_of_best(scenario, s))}
    text_px = 156.0 if column.width >= ROOMY_PX else 92.0 if column.width >= 150 else 48.0
    bars = Box(column.left, rows[0].top, column.width - text_px, rows[-1].bottom - rows[0].top)
    axes = page.axes(bars)
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, max([1.0, *(min(cells.interval(share)[1], 1.3) for share in shares.values())]))
    axes.set_ylim(bars.bottom, bars.top)  # data y is the page's y, so that bars and words share one ruler
    page.ticks(axes, "x", [1.0], [""])
    standings = {s.model: s for s in scenario.standings}
    for model, row in zip(order, rows, strict=True):
        standing = standings.get(model)
        cell = Box(column.left, row.top, column.width, row.height)
        if standing is None:
            _no_number(page, cell, "not part of this scenario")
        elif model not in shares:
            result = standing.results[0] if standing.results and not standing.failed else None
            reason = standing.failed or (result.why if result else "") or "no visit was usable"
            _no_number(page, cell, reason if column.width >= 150 else (result.reason if result else "") or "failed")
        else:
            _bar(page, axes, standing, shares[model], cell)
            _figures(page, axes, scenario, standing, shares[model], cell)


def _no_number(page: Page, cell: Box, reason: str) -> None:
    """A hatched cell with the reason for having no number."""
    page.hatch(cell.inset(top=cell.height * 0.2, bottom=cell.height * 0.2), edge=True)
    text = clip_to(reason, SMALL, cell.width - 28)
    page.text(cell.left + 12, cell.top + cell.height / 2, text, SMALL, vertical="center", boxed=True)


def _bar(page: Page, axes: Axes, standing: Standing, share: Estimate, cell: Box) -> None:
    """A bar, its 95% interval as a whisker, and its visits as dots below."""
    style, paper = look(standing.model, page.theme), page.theme.paper
    middle, thick = _middle(cell), _thick(cell)
    ranked = standing.rank is not None
    axes.barh(
        middle,
        share.value,
        thick,
        color=(style.colour if standing.rank == 1 else style.soft) if ranked else paper,
        edgecolor=paper if ranked else style.soft,
        linewidth=0.0 if ranked else 1.2,
        hatch="////" if standing.marks or not ranked else None,
    )
    limit = axes.get_xlim()[1]
    whisker = [min(edge, limit) for edge in cells.interval(share)]
    axes.plot(whisker, [middle, middle], color=page.theme.ink, linewidth=1.5, solid_capstyle="butt", clip_on=False)
    visits = [visit for visit in share.visits if visit <= limit]
    panels.dots(axes, style, visits, [middle + thick / 2 + 5] * len(visits))


def _figures(page: Page, axes: Axes, scenario: ScenarioSummary, standing: Standing, share: Estimate, cell: Box) -> None:
    """The words of a cell: share and rate after the bar; below it the tail at half load, and what qualifies the number."""
    end = min(max(share.value, cells.interval(share)[1]), axes.get_xlim()[1])
    x = page.pixel(axes, end, 0.0)[0] + 8
    middle = _middle(cell)
    bold = amounts.percent(share.value)
    page.text(x, middle, bold, LABEL, weight="bold", vertical="center")
    x += width_px(bold, LABEL, "bold") + 8
    tie = standing.rank == 1 and len(cells.winners(scenario)) > 1
    number = number_of(standing)
    details = [_amount(scenario, number)] if cell.width >= ROOMY_PX and number else []
    doubt = [f"not ranked: {standing.struck}"] if standing.struck else [] if standing.rank else ["not ranked"]
    remarks = doubt + standing.marks
    below = [*_tail(standing), *remarks] if cell.width >= ROOMY_PX else remarks
    after = " ".join([*details, *(["tie"] if tie else [])])
    page.text(x, middle, clip_to(after, SMALL, cell.right - x), SMALL, colour=page.theme.muted, vertical="center")
    room = int((cell.bottom - middle - _thick(cell) / 2 - 2) // 17)
    if room and below:
        y = middle + _thick(cell) / 2 + 18
        for i, line in enumerate(wrapped(" · ".join(below), SMALL, cell.width, most_lines=min(room, 2))):
            page.text(cell.left, y + 17 * i, line, SMALL, colour=page.theme.muted, vertical="center", boxed=True)


def _amount(scenario: ScenarioSummary, number: Estimate) -> str:
    """What a bar stands for: a rate, or whatever the scenario ranks by."""
    return shown(number.value, scenario.measures[0].unit) if scenario.measures else amounts.rate(number.value)


def _tail(standing: Standing) -> list[str]:
    """The 99th percentile at half the model's own peak, or that it cannot be told."""
    p99 = standing.p99
    if p99 is None:
        return []
    if p99.status == "insufficient" or p99.value_ns is None:
        return ["p99 insufficient"]
    return [f"p99 {'≥ ' if p99.status == 'at least' else ''}{amounts.duration(p99.value_ns)}"]


def _middle(cell: Box) -> float:
    """Where the bar lies: above the middle when there is room for words below it."""
    return cell.top + cell.height / 2 - (14 if cell.height >= 72 else 9 if cell.height >= 50 else 0)


def _thick(cell: Box) -> float:
    return min(cell.height * 0.36, 40.0)
