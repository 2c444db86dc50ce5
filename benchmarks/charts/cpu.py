"""What a request costs the server: CPU time in user and system mode, switches and page faults."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _rows as rows
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import CellSummary, Estimate, RunSummary, ScenarioSummary

QUESTION = "Why is it faster?"
HEAD_PX = 78.0
COUNTS_PX, TOTAL_PX = 58.0, 66.0  # the width of a column of switches or faults, and of a total after its bar
LONGEST = 4.0  # times the median total: a longer bar is cut
KEY = (
    "CPU time, context switches and page faults of a request",
    "line: lowest and highest replicate",
    "hatched: read with care",
    "cut: longer than the axis",
    cells.ORDER,
)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request costs one model, µs and events."""

    cell: CellSummary
    user: Estimate
    system: Estimate

    @property
    def total_us(self) -> float:
        """User and system time together."""
        return self.user.value + self.system.value

    @property
    def range_us(self) -> tuple[float, float]:
        """The lowest and the highest total of a replicate."""
        totals = [user + system for user, system in zip(self.user.replicates, self.system.replicates, strict=False)]
        return (min(totals), max(totals)) if len(totals) > 1 else (self.total_us, self.total_us)


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether CPU time was recorded of anybody."""
    return bool(bills(summary, scenario))


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """Rows are models, a column for each scenario: CPU as bars, dark user and pale system; switches and faults as numbers."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    found = {scenario.scenario: bills(summary, scenario) for scenario in shown}
    remarks = [remark for scenario in shown for remark in cells.failures(scenario)]
    remarks += cells.doubts(bill.cell for own in found.values() for bill in own.values())
    box = panels.framed(page, KEY, remarks)
    order = [model for model in cells.models(summary) if any(cells.standing_of(scenario, model) for scenario in shown)]
    table = rows.table(page, box, order, len(shown), HEAD_PX)
    for scenario, column in zip(shown, table.columns, strict=True):
        _head(page, summary, scenario, Box(column.left, column.top, column.width, HEAD_PX))
        _column(page, scenario, found[scenario.scenario], table, column)
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who pays least CPU for a request, who most, and where the difference lies."""

    def say(scenario: ScenarioSummary) -> str:
        paid = [bill for bill in bills(summary, scenario).values() if cells.believable(bill.cell)]
        if not paid:
            return "no CPU time was recorded"
        least, most = min(paid, key=lambda bill: bill.total_us), max(paid, key=lambda bill: bill.total_us)
        cost = f"{words.clipped(least.cell.model)} pays least, {amounts.duration(1e3 * least.total_us)} a request"
        if least is most:
            return cost
        more = amounts.times(most.total_us / least.total_us)
        return f"{cost}; {words.clipped(most.cell.model)} {more} that{_where(least, most)}"

    return cells.by_scenario(summary, shown, say)


def _where(least: Bill, most: Bill) -> str:
    """The part of the bill that makes up most of the difference, when one part does."""
    difference = most.total_us - least.total_us
    if difference <= 0 or least.total_us <= 0 or difference / least.total_us < 0.1:
        return ""
    share = (most.system.value - least.system.value) / difference
    return ", mostly in the kernel" if share > 0.6 else ", mostly in its own code" if share < 0.4 else ""


def bills(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, Bill]:
    """Every model's bill at the level that ranks it, or at its peak where that was not recorded there."""
    found = {}
    for standing in scenario.standings:
        cell = cells.at_ranked_level(summary, scenario, standing)
        if cell and cell.cpu_user_us and cell.cpu_system_us:
            found[standing.model] = Bill(cell, cell.cpu_user_us, cell.cpu_system_us)
    return found


# ---------------------------------------------------------------- the picture


def _head(page: Page, summary: RunSummary, scenario: ScenarioSummary, box: Box) -> None:
    """The scenario's name, where its figures come from, the legend of the bars and the heads of the numbers."""
    page.text(box.left, box.top + 18, clip_to(scenario.scenario, HEAD, box.width, "bold"), HEAD, weight="bold")
    levels = {cells.level_words(bill.cell.level) for bill in bills(summary, scenario).values()}
    ranked = scenario.measures[0].metric.level if scenario.measures else ""
    where = f"at {ranked}" if ranked and len(levels) == 1 else "at each model's own peak"
    page.text(box.left, box.top + 38, clip_to(where, SMALL, box.width), SMALL, colour=page.theme.muted)
    x, y = box.left, box.top + 62
    for name, colour in (("own code", page.theme.ink), ("kernel", page.theme.hatch)):
        page.fill(Box(x, y - 6, 14, 12), colour)
        page.text(x + 20, y, name, SMALL, vertical="center")
        x += 20 + width_px(name, SMALL) + 14
    for number, name in enumerate(("faults", "switches")):
        page.text(box.right - COUNTS_PX * number, y, name, SMALL, weight="bold", align="right", vertical="center")


def _column(page: Page, scenario: ScenarioSummary, found: dict[str, Bill], table: rows.Table, column: Box) -> None:
    bars = Box(column.left, table.top, column.width - 2 * COUNTS_PX - TOTAL_PX - 8, table.bottom - table.top)
    longest = limit_us(list(found.values()))
    axes = page.axes(bars, floor=False)
    axes.set_xlim(0, longest)
    axes.set_ylim(bars.bottom, bars.top)
    for model, row in table.rows.items():
        bill = found.get(model)
        cell = Box(column.left, row.top, column.width, row.height)
        if bill is None:
            standing = cells.standing_of(scenario, model)
            rows.absent(page, cell, (standing.failed if standing else "not part of it") or "no CPU time was recorded")
            continue
        _bar(page, axes, bill, cell, longest)
        _counts(page, bill, cell)


def limit_us(found: Sequence[Bill]) -> float:
    """Where the axis ends: at the longest bar, but one beside which all others would vanish."""
    totals = [bill.total_us for bill in found] or [1.0]
    return min(max(totals), LONGEST * median(totals)) or 1.0


def _bar(page: Page, axes: Axes, bill: Bill, cell: Box, longest: float) -> None:
    """The dark part ran in user mode, the pale part in the kernel; the line is the range of the replicates."""
    style, theme = look(bill.cell.model, page.theme), page.theme
    middle, thick = cell.top + cell.height / 2, min(cell.height * 0.62, 26.0)
    hatch = "////" if cells.doubted(bill.cell) else None
    user = min(bill.user.value, longest)
    system = min(bill.system.value, longest - user)
    axes.barh(middle, user, thick, color=style.colour, edgecolor=theme.paper, linewidth=0, hatch=hatch)
    axes.barh(middle, system, thick, left=user, color=style.soft, edgecolor=theme.paper, linewidth=0, hatch=hatch)
    ends = [min(end, longest) for end in bill.range_us]
    if ends[1] > ends[0]:
        axes.plot(ends, [middle] * 2, color=theme.ink, linewidth=1.3, solid_capstyle="butt")
    if bill.total_us > longest:
        x, _ = page.pixel(axes, longest, middle)
        for off in (10, 16):
            page.fill(Box(x - off, middle - thick / 2 - 2, 3, thick + 4), theme.paper)
    x, _ = page.pixel(axes, min(max(bill.total_us, bill.range_us[1]), longest), middle)
    total = amounts.duration(1e3 * bill.total_us)
    page.text(x + 7, middle, total, LABEL, weight="bold", vertical="center")


def _counts(page: Page, bill: Bill, cell: Box) -> None:
    """Context switches and minor page faults of a request."""
    for number, value in enumerate((bill.cell.faults_per_request, bill.cell.switches_per_request)):
        word = "–" if value is None else _count(value)
        heavy = value is not None and value >= 0.5
        page.text(
            cell.right - COUNTS_PX * number,
            cell.top + cell.height / 2,
            word,
            LABEL,
            weight="bold" if heavy else "normal",
            colour=page.theme.ink if heavy else page.theme.muted,
            align="right",
            vertical="center",
        )


def _count(value: float) -> str:
    """Two decimals, as long as there is room for them."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else words.short(value)
