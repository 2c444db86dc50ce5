"""What a request costs the server: CPU time in user and system mode, switches and page faults."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _words as words
from benchmarks.charts._page import LABEL, REMARK_PX, SMALL, Box, Page, fit_name, remark_rows, width_px
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import CellSummary, Estimate, RunSummary, ScenarioSummary

QUESTION = "Why is it faster?"
COUNTS_PX = 66.0  # the width of a column of switches or faults


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request costs one model at its peak, µs and events."""

    cell: CellSummary
    user: Estimate
    system: Estimate

    @property
    def total_us(self) -> float:
        """User and system time together."""
        return self.user.value + self.system.value

    @property
    def end_us(self) -> float:
        """Where the bar and its whisker end."""
        return self.user.value + cells.interval(self.system)[1]


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A column for each scenario, cheapest on top: CPU as bars, dark user and pale system; switches and faults as numbers."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    for scenario, box in zip(summary.scenarios, page.body.columns(max(len(summary.scenarios), 1), 44.0), strict=False):
        _scenario(page, summary, scenario, box)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who pays least CPU for a request, who most, and where the difference lies."""

    def say(scenario: ScenarioSummary) -> str:
        bills = [bill for bill in _bills(summary, scenario) if cells.believable(bill.cell)]
        if not bills:
            return "no CPU time was recorded"
        least, most = bills[0], bills[-1]
        cost = f"{words.clipped(least.cell.model)} pays least, {amounts.digits(least.total_us)} µs a request"
        if least is most:
            return cost
        more = amounts.times(most.total_us / least.total_us)
        return f"{cost}; {words.clipped(most.cell.model)} {more} that{_where(least, most)}"

    return cells.by_scenario(summary, say)


def _where(least: Bill, most: Bill) -> str:
    """The part of the bill that makes up most of the difference, when one part does."""
    difference = most.total_us - least.total_us
    in_system = most.system.value - least.system.value
    if difference <= 0 or least.total_us <= 0 or difference / least.total_us < 0.1:
        return ""
    share = in_system / difference
    return ", mostly in the kernel" if share > 0.6 else ", mostly in its own code" if share < 0.4 else ""


def _bills(summary: RunSummary, scenario: ScenarioSummary) -> list[Bill]:
    """Every model's bill at its own peak, cheapest first."""
    bills = []
    for standing in scenario.standings:
        cell = cells.at_peak(summary, scenario.scenario, standing)
        if cell and cell.cpu_user_us and cell.cpu_system_us:
            bills.append(Bill(cell, cell.cpu_user_us, cell.cpu_system_us))
    return sorted(bills, key=lambda bill: bill.total_us)


def _scenario(page: Page, summary: RunSummary, scenario: ScenarioSummary, box: Box) -> None:
    bills = _bills(summary, scenario)
    remarks = [*cells.failures(scenario), *cells.doubts(bill.cell for bill in bills)]
    foot = 8 + REMARK_PX * remark_rows(remarks, box.width)
    panels.heading(page, box, scenario.scenario, "a request's CPU µs, switches and faults, at each model's own peak")
    table = box.inset(top=92, bottom=foot)
    if bills:
        row_px = min(table.height / len(bills), 64.0)
        rows = Box(table.left, table.top, table.width, row_px * len(bills)).rows(len(bills))
        names_px = min(max(width_px(words.clipped(b.cell.model), LABEL) for b in bills) + 14, box.width * 0.4)
        bars = Box(box.left + names_px, table.top, box.width - names_px - 2 * COUNTS_PX, row_px * len(bills))
        _bars(page, bills, rows, bars)
        _counts(page, bills, rows, box)
        foot_top = rows[-1].bottom + 8
    else:
        plot = table.inset(right=10)
        panels.empty(page, panels.Panel(box, plot, Box(plot.right, plot.top, 0, 0), box), "no CPU time was recorded")
        foot_top = table.bottom + 8
    if remarks:
        page.remarks(Box(box.left, foot_top, box.width, box.bottom - foot_top), remarks)


def _bars(page: Page, bills: list[Bill], rows: list[Box], box: Box) -> None:
    """CPU per request: the dark part ran in user mode, the pale part in the kernel; whiskers are 95% intervals."""
    head = box.top - 12
    page.text(box.left, head, "CPU µs", SMALL, weight="bold")
    axes = page.axes(box)
    axes.spines["bottom"].set_visible(False)
    room = 56.0 / box.width  # for the total behind the longest bar
    longest = max(bill.end_us for bill in bills)
    axes.set_xlim(0, (longest or 1.0) / max(1 - room, 0.2))
    axes.set_ylim(box.bottom, box.top)
    for i, (bill, row) in enumerate(zip(bills, rows, strict=True)):
        middle = row.top + row.height / 2
        style = look(bill.cell.model, page.theme)
        name = fit_name(bill.cell.model, LABEL, box.left - row.left - 10)
        page.text(row.left, middle, name, LABEL, colour=style.text, vertical="center")
        _bar(page, axes, bill, middle, min(row.height * 0.5, 26.0))
        if i == 0 and row.height >= 44:
            _name_parts(page, axes, bill, middle - min(row.height * 0.5, 26.0) / 2 - 9)


def _bar(page: Page, axes: Axes, bill: Bill, middle: float, thick: float) -> None:
    style, theme = look(bill.cell.model, page.theme), page.theme
    hatch = "////" if cells.doubted(bill.cell) else None
    user, system = bill.user, bill.system
    axes.barh(middle, user.value, thick, color=style.colour, edgecolor=theme.paper, linewidth=0, hatch=hatch)
    axes.barh(middle, system.value, thick, left=user.value, color=style.soft, edgecolor=theme.paper, linewidth=0, hatch=hatch)
    for start, part, at in ((0.0, user, middle - 3), (user.value, system, middle + 3)):
        low, high = cells.interval(part)
        axes.plot([start + low, start + high], [at, at], color=theme.ink, linewidth=1.2, solid_capstyle="butt")
    totals = [u + s for u, s in zip(user.visits, system.visits, strict=False)]
    panels.dots(axes, style, totals, [middle + thick / 2 + 5] * len(totals))
    x, _ = page.pixel(axes, bill.end_us, middle)
    page.text(x + 7, middle, amounts.digits(bill.total_us), LABEL, weight="bold", vertical="center")


def _name_parts(page: Page, axes: Axes, bill: Bill, y: float) -> None:
    """Which part is which, said over the first bar."""
    left, _ = page.pixel(axes, 0.0, y)
    change, _ = page.pixel(axes, bill.user.value, y)
    page.text(left, y, "user", SMALL, colour=page.theme.muted, vertical="center")
    page.text(max(change, left + width_px("user", SMALL) + 10), y, "system", SMALL, colour=page.theme.muted, vertical="center")


def _counts(page: Page, bills: list[Bill], rows: list[Box], box: Box) -> None:
    """Two columns of numbers at the right: context switches and minor page faults per request."""
    columns = (
        ("switches", [bill.cell.switches_per_request for bill in bills]),
        ("faults", [bill.cell.faults_per_request for bill in bills]),
    )
    for place, (name, values) in enumerate(columns):
        right = box.right - COUNTS_PX * (1 - place)
        page.text(right, box.top + 80, name, SMALL, weight="bold", align="right")
        for row, value in zip(rows, values, strict=True):
            word = "–" if value is None else f"{value:.2f}" if value < 99.5 else words.short(value)
            heavy = value is not None and value >= 0.5
            page.text(
                right,
                row.top + row.height / 2,
                word,
                LABEL,
                weight="bold" if heavy else "normal",
                colour=page.theme.ink if heavy else page.theme.muted,
                align="right",
                vertical="center",
            )
