"""Every model in every scenario as a bar beside the best, with the interval of its ratio and its replicates."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _rows as rows
from benchmarks.charts import _words as words
from benchmarks.charts._page import ANSWER, LABEL, SMALL, Box, Page, clip_to, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import Estimate, RunSummary, ScenarioSummary, Standing
from benchmarks.verdict import number_of

QUESTION = "How far behind the best is each?"
HEAD_PX = 82.0  # the scenario's name, what ranks and its question above the bars
ROOMY_PX, NARROW_PX = 330.0, 190.0  # a column this wide has room for the value beside the ratio; a narrower one for little
KEY = (
    "bar: the longer, the nearer to the best",
    "solid: not significantly worse than the best",
    "line: 95% interval of the ratio, dot: a replicate",
    "hatched: read with care, or no number",
    cells.ORDER,
)


def has(_: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether anybody stands in it."""
    return bool(scenario.standings)


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """Rows are models; columns are scenarios; a bar is as long as a model comes near to the column's best."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    box = panels.framed(page, KEY, [])
    order = [model for model in cells.models(summary) if any(cells.standing_of(scenario, model) for scenario in shown)]
    table = rows.table(page, box, order, len(shown), HEAD_PX, tallest_px=96.0)
    for scenario, column in zip(shown, table.columns, strict=True):
        _head(page, scenario, column)
        _column(page, scenario, table, column)
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who is best where, and by how much; of many scenarios, who is best or tied most often."""
    if len(shown) <= 4:
        return cells.by_scenario(summary, shown, _leader)
    wins: dict[str, int] = {}
    for scenario in shown:
        for standing in cells.winners(scenario):
            wins[standing.model] = wins.get(standing.model, 0) + 1
    ranking = sorted(wins, key=lambda model: -wins[model])
    clauses = [f"{words.clipped(model)} in {wins[model]}" for model in ranking[:4]]
    total = f"of {len(shown)} scenarios, best or tied for best: "
    return cells.caution(summary, total + ", ".join(clauses) if clauses else "no model could be ranked")


def _leader(scenario: ScenarioSummary) -> str:
    first, rest = cells.winners(scenario), cells.runners_up(scenario)
    best = number_of(first[0]) if first else None
    if best is None:
        return "no model could be ranked"
    said = f" ({cells.amount(scenario, best.value)})"
    if len(first) > 1:
        everybody = "all " if not rest and len(first) > 2 else ""
        return f"{words.listing([words.clipped(s.model) for s in first])} {everybody}tie for the best{said}"
    if not rest:
        return f"{words.clipped(first[0].model)} alone was ranked{said}"
    share, other = cells.closeness(scenario, rest[0]), words.clipped(rest[0].model)
    if not share or not share.value:
        return f"{words.clipped(first[0].model)} is best{said}"
    lead = amounts.times(1 / share.value)
    ahead = f"{other} takes {lead} that" if cells.is_less(scenario) else f"{lead} {other}"
    return f"{words.clipped(first[0].model)} is best{said}, {ahead}"


# ---------------------------------------------------------------- the picture


def _head(page: Page, scenario: ScenarioSummary, column: Box) -> None:
    """The scenario's name, what it ranks by and its question."""
    points = ANSWER if column.width >= NARROW_PX else LABEL
    name = clip_to(scenario.scenario, points, column.width, "bold")
    page.text(column.left, column.top + 20, name, points, weight="bold")
    first = cells.winners(scenario)
    best = number_of(first[0]) if first else None
    said = f"best {cells.amount(scenario, best.value)}" if best else ""
    if width_px(name, points, "bold") + width_px(said, SMALL) + 16 <= column.width:
        page.text(column.right, column.top + 20, said, SMALL, colour=page.theme.muted, align="right")
    question = scenario.question or scenario.caption
    page.paragraph(column.left, column.top + 40, question, SMALL, column.width, colour=page.theme.muted, most_lines=1)
    less = ", less is better" if cells.is_less(scenario) else ""
    ranks = f"{cells.what_ranks(scenario)}{less}"
    page.paragraph(column.left, column.top + 58, ranks, SMALL, column.width, most_lines=1)


def _column(page: Page, scenario: ScenarioSummary, table: rows.Table, column: Box) -> None:
    """One scenario's bars: solid for the best and those tied with it, pale for the others, hatched where in doubt."""
    shares = {s.model: share for s in scenario.standings if not s.failed and (share := cells.closeness(scenario, s))}
    text_px = 178.0 if column.width >= ROOMY_PX else 66.0 if column.width >= NARROW_PX else 48.0
    bars = Box(column.left, table.top, column.width - text_px, table.bottom - table.top)
    axes = page.axes(bars, floor=False)
    axes.set_xlim(0, max([1.0, *(min(cells.ends(share)[1], 1.15) for share in shares.values())]))
    axes.set_ylim(bars.bottom, bars.top)  # data y is the page's y, so that bars and words share one ruler
    page.ticks(axes, "x", [1.0], [""])
    for model, row in table.rows.items():
        standing = cells.standing_of(scenario, model)
        cell = Box(column.left, row.top, column.width, row.height)
        if standing is None:
            rows.absent(page, cell, "not part of this scenario")
        elif model not in shares:
            rows.absent(page, cell, _reason(standing, column.width))
        else:
            _bar(page, axes, standing, shares[model], cell)
            _figures(page, axes, scenario, standing, shares[model], cell)


def _reason(standing: Standing, width: float) -> str:
    """Why there is no number, in as many words as there is room for."""
    result = standing.results[0] if standing.results and not standing.failed else None
    why = standing.failed or standing.invalid or (result.why if result else "") or "no trial was usable"
    short = "failed" if standing.failed else "invalid" if standing.invalid else (result.reason if result else "") or "failed"
    whole = f"{short}: {why}" if short in ("overloaded", "invalid") else why
    fitting = (said for said in (whole, whole.partition(" (")[0], why) if width_px(said, SMALL) <= width - 28)
    return next(fitting, whole if width >= NARROW_PX else short)


def _bar(page: Page, axes: Axes, standing: Standing, share: Estimate, cell: Box) -> None:
    """A bar, the interval of the ratio as a whisker, and the replicates as dots below."""
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
        hatch="////" if standing.warnings or not ranked else None,
    )
    limit = axes.get_xlim()[1]
    low, high = (min(edge, limit) for edge in cells.ends(share))
    if high > low:
        axes.plot([low, high], [middle, middle], color=page.theme.ink, linewidth=1.5, solid_capstyle="butt", clip_on=False)
        dots = [one for one in share.replicates if one <= limit]
        axes.plot(dots, [middle + thick / 2 + 4] * len(dots), ".", color=style.colour, markersize=3.5, markeredgewidth=0)


def _figures(page: Page, axes: Axes, scenario: ScenarioSummary, standing: Standing, share: Estimate, cell: Box) -> None:
    """The words of a cell: the value and its ratio after the bar; below it what qualifies the number."""
    end = min(max(share.value, cells.ends(share)[1]), axes.get_xlim()[1])
    x = page.pixel(axes, end, 0.0)[0] + 8
    middle, number, roomy = _middle(cell), number_of(standing), cell.width >= ROOMY_PX
    ratio = f"{amounts.ratio(standing.ratio.value)}×" if standing.ratio else ""
    bold = cells.amount(scenario, number.value) if roomy and number else ratio
    page.text(x, middle, bold, LABEL, weight="bold", vertical="center")
    x += width_px(bold, LABEL, "bold") + 8
    margin = amounts.margin(standing.ratio) if standing.ratio and standing.ratio.value != 1 else ""
    after = "best" if standing.ratio and standing.ratio.value == 1 and standing.rank == 1 else f"{ratio} {margin}"
    if roomy:
        page.text(x, middle, clip_to(after, SMALL, cell.right - x), SMALL, colour=page.theme.muted, vertical="center")
    remarks = [*([] if standing.rank else [f"not ranked: {standing.invalid}" if standing.invalid else "not ranked"])]
    remarks += standing.warnings
    y = middle + _thick(cell) / 2 + 15
    if remarks and y + 8 <= cell.bottom:
        said = clip_to(" · ".join(remarks), SMALL, cell.width)
        page.text(cell.left, y, said, SMALL, colour=page.theme.muted, vertical="center", boxed=True)


def _middle(cell: Box) -> float:
    """Where the bar lies: above the middle when there is room for words below it."""
    return cell.top + cell.height / 2 - (9 if cell.height >= 50 else 0)


def _thick(cell: Box) -> float:
    return min(cell.height * 0.46, 36.0)
