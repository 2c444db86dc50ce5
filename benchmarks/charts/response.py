"""Response time against offered load up to the knee and beyond: the hockey stick, a panel for each model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._labels import push_apart
from benchmarks.charts._page import LABEL, REMARK_PX, SMALL, Box, Page, clip_to, fit_name, remark_rows, width_px, wrapped
from benchmarks.charts._style import Look, Theme, look
from benchmarks.charts.tail import FAR_BELOW, LEAST_NS, MACHINE
from benchmarks.summaries import CellSummary, Knee, Quantile, RunSummary, ScenarioSummary, Standing

QUESTION = "When does it break?"
TAILS, MIDDLE = (0.99, 0.9), 0.5  # the further tail, if most cells of a scenario can tell it
KEEPING_UP = 0.99  # of what was offered; below it the queue grows without end
MOST_SHARE = 1.25  # of a model's peak: a common rate further beyond has no place on the axis
KEY = (
    "thick: p99 (p90 where requests are few), thin: p50, from the intended start",
    "ring: the knee, most throughput for its response time",
    "diamond: a rate that was the same for all",
    "grey: the others",
    "hollow: fell behind, or see below",
)
LEFT_PX, RIGHT_PX, NAMES_PX, HEAD_PX, FOOT_PX = 62.0, 96.0, 20.0, 44.0, 24.0


@dataclass(frozen=True, slots=True)
class Point:
    """Where a line passes: a load as a share of the peak, and a percentile of the response times there."""

    share: float
    ns: float
    quantile: Quantile
    cell: CellSummary


@dataclass(frozen=True, slots=True)
class Stick:
    """One model's lines: its open cells with their loads as shares of its own peak, least first, and which tail to show."""

    standing: Standing
    loads: tuple[tuple[float, CellSummary], ...]
    tail: float

    def points(self, q: float) -> list["Point"]:
        """What of the line can be drawn at a percentile."""
        found = ((share, cells.quantile(cell.response, q), cell) for share, cell in self.loads)
        return [Point(share, x.value_ns, x, cell) for share, x, cell in found if x is not None and x.value_ns]

    @property
    def knee(self) -> tuple[float, CellSummary, Knee] | None:
        """The load of the knee, its cell and the knee."""
        knee = self.standing.knee
        found = ((share, cell) for share, cell in self.loads if knee and cell.level.label == knee.level)
        at = next(found, None)
        return (*at, knee) if at and knee else None


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """A row of panels for each scenario, p99 and median against the share of a model's own peak, the knee ringed."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    key = clip_to(" · ".join(KEY), SMALL, page.body.width)
    page.text(page.body.left, page.body.top + 6, key, SMALL, colour=theme.muted)
    body = page.body.inset(top=20.0)
    # A twin has no peak of its own to take shares of.
    stand = {standing.model for scenario in summary.scenarios for standing in scenario.standings}
    models = [model for model in cells.models(summary) if model in stand]
    if not summary.scenarios or not models:
        page.text(body.left, body.top + 40, "No scenario was measured.", LABEL)
        return page.figure
    for scenario, box in zip(summary.scenarios, body.rows(len(summary.scenarios), 14.0), strict=True):
        _scenario(page, summary, scenario, models, box)
    return page.figure


# ---------------------------------------------------------------- the answer


def answer(summary: RunSummary) -> str:
    """Who carries most before its knee and who least, and who cannot carry what all were offered."""
    return cells.by_scenario(summary, lambda scenario: _say(summary, scenario))


def _say(summary: RunSummary, scenario: ScenarioSummary) -> str:
    found = [stick for stick in sticks(summary, scenario).values() if stick.knee]
    clauses = []
    if found:
        most, least = max(found, key=_carried), min(found, key=_carried)
        tied = [stick for stick in found if _reach(stick)[1] >= _reach(most)[0]]
        names = cells.tie_words([stick.standing.model for stick in sorted(tied, key=_carried, reverse=True)])
        clauses.append(f"{names} carr{'ies' if len(tied) == 1 else 'y'} most before the knee, {_where(most)}")
        if least not in tied:
            clauses[0] += f"; {words.clipped(least.standing.model)} least, {_where(least)}"
    usable = [cell for cell in summary.cells if cell.scenario == scenario.scenario and cells.believable(cell)]
    common = [cell for cell in usable if cell.level.rate_per_s is not None]
    if common:
        behind = [words.clipped(cell.model) for cell in common if falls_behind(cell)]
        rate = words.asked(min(cell.level.rate_per_s or 0.0 for cell in common))
        clauses += [f"{words.listing(behind, 2)} cannot keep up with {rate}"] if behind else []
    return "; ".join(clauses) or "no knee can be told"


def _where(stick: Stick) -> str:
    """A knee's rate, and which share of the peak that is."""
    if stick.knee is None:
        return ""
    share, _, knee = stick.knee
    return f"{'at most ' if knee.lowest else ''}{amounts.rate(knee.rate_per_s)} ({amounts.percent(share)} of its peak)"


def _carried(stick: Stick) -> float:
    return stick.knee[2].rate_per_s if stick.knee else 0.0


def _reach(stick: Stick) -> tuple[float, float]:
    """The interval of what was served at the knee."""
    estimate = stick.knee[1].rate_per_s if stick.knee else None
    return cells.interval(estimate) if estimate else (0.0, 0.0)


def falls_behind(cell: CellSummary) -> bool:
    """Whether the interval of what was served lies wholly below 99% of what was offered."""
    offered = cells.offered(cell)
    return cell.rate_per_s is not None and offered is not None and cells.interval(cell.rate_per_s)[1] < KEEPING_UP * offered


def sticks(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, Stick]:
    """Each model's line in a scenario; models without a peak have no share to be put at."""
    loads = {}
    for standing in scenario.standings:
        own = cells.opened(summary, scenario.scenario, standing.model)
        shares = [(share, cell) for cell in own if (share := _share(cell, standing)) is not None and share <= MOST_SHARE]
        if shares:
            loads[standing.model] = sorted(shares, key=lambda load: load[0])
    tail = _tail([cell for own in loads.values() for _, cell in own])
    return {s.model: Stick(s, tuple(loads[s.model]), tail) for s in scenario.standings if s.model in loads}


def _tail(shown: Sequence[CellSummary]) -> float:
    """The furthest percentile that at least half of the cells can tell; the nearest if none is."""
    told = (q for q in TAILS if 2 * sum(cells.quantile(cell.response, q) is not None for cell in shown) >= len(shown))
    return next(told, TAILS[-1])


def _share(cell: CellSummary, standing: Standing) -> float | None:
    """The load as a share of the model's own peak: as asked, or a common rate by the peak."""
    if cell.level.share is not None:
        return cell.level.share
    peak = standing.peak_per_s.value if standing.peak_per_s else 0.0
    offered = cells.offered(cell)
    return offered / peak if offered and peak else None


# ---------------------------------------------------------------- the picture


def _scenario(page: Page, summary: RunSummary, scenario: ScenarioSummary, models: list[str], box: Box) -> None:
    """One scenario: heads, panels in one row or two, remarks beneath."""
    found = sticks(summary, scenario)
    remarks = _remarks(summary, scenario, found)
    most_remarks = 2 if box.height < 330 else 4
    kept = min(remark_rows(remarks, box.width), most_remarks)
    title = clip_to(scenario.scenario, LABEL + 1, box.width / 3, "bold")
    page.text(box.left, box.top + 16, title, LABEL + 1, weight="bold")
    unit = "response time against the rate offered, as a share of the model's own peak" + _unseen(list(found.values()))
    page.text(box.left + width_px(title, LABEL + 1, "bold") + 14, box.top + 16, unit, SMALL, colour=page.theme.muted)
    inner = box.inset(top=24.0, bottom=REMARK_PX * kept + (4 if kept else 0))
    if not any(stick.points(q) for stick in found.values() for q in (stick.tail, MIDDLE)):
        names = Box(inner.right, inner.top, 0.0, inner.height)
        panels.empty(page, panels.Panel(inner, inner, names, inner), "no open-loop level has percentiles")
    else:
        _rows(page, found, models, scenario, inner)
    if remarks:
        page.remarks(Box(box.left, inner.bottom + 4, box.width, REMARK_PX * kept), remarks)


def _rows(page: Page, found: dict[str, Stick], models: list[str], scenario: ScenarioSummary, inner: Box) -> None:
    """The models' panels: side by side, or in two rows where there is the height for it."""
    count = 2 if inner.height > 400 and len(models) > 4 else 1
    across = -(-len(models) // count)
    machine = machine_ns(list(found.values()))
    values = list(_values(found)) + ([machine] if machine else [])
    for number, row in enumerate(inner.rows(count, 8.0)):
        places = row.inset(left=LEFT_PX, right=RIGHT_PX if machine else 0.0).columns(across, 14.0)
        shown = models[number * across : (number + 1) * across]
        drawn = None
        for model, place in zip(shown, places, strict=False):
            plot = place.inset(top=HEAD_PX, bottom=FOOT_PX)
            axes = _panel(page, found, model, scenario, plot, values, machine, first=place is places[0])
            if axes and not drawn:
                _name_lines(page, axes, found[model], plot)
            drawn = axes or drawn
        if drawn and machine:
            _name_machine(page, drawn, places[len(shown) - 1].inset(top=HEAD_PX, bottom=FOOT_PX), machine)


def _values(found: dict[str, Stick]) -> Iterator[float]:
    """All times that are drawn: what the rows' common axis must hold."""
    for stick in found.values():
        for q in (stick.tail, MIDDLE):
            yield from (point.ns for point in stick.points(q))


def machine_ns(found: Sequence[Stick]) -> float | None:
    """What the engine's own pauses would have cost at that tail: the median over the windows shown, None where most saw none.

    Much below all lines it is put at the floor, as in the chart of tails, and not allowed to squeeze them.
    """
    hiccups = [x.value_ns or 0.0 for stick in found for _, cell in stick.loads for x in cell.hiccup if x.q == stick.tail]
    middle = median(hiccups) if hiccups else 0.0
    lowest = min((point.ns for stick in found for point in stick.points(MIDDLE)), default=math.inf)
    return max(middle, lowest / FAR_BELOW) if middle >= LEAST_NS else None


def _unseen(found: Sequence[Stick]) -> str:
    """What is said of the machine's line where it lies so low that it is not drawn."""
    known = any(x.q == stick.tail for stick in found for _, cell in stick.loads for x in cell.hiccup)
    if not known or machine_ns(found) is not None:
        return ""
    return f" · {MACHINE}: under {words.time(LEAST_NS)} at p{words.percentile(found[0].tail)}"


def _panel(
    page: Page,
    found: dict[str, Stick],
    model: str,
    scenario: ScenarioSummary,
    plot: Box,
    values: list[float],
    machine: float | None,
    *,
    first: bool,
) -> Axes | None:
    """One model in colour before the others in grey. None when there is nothing to draw of it."""
    style = look(model, page.theme)
    name = fit_name(model, LABEL, plot.width, "bold")
    page.text(plot.left, plot.top - 26, name, LABEL, colour=style.text, weight="bold")
    stick = found.get(model)
    if stick is None or not stick.points(MIDDLE) + stick.points(stick.tail):
        _absent(page, scenario, model, plot)
        return None
    axes = page.axes(plot)
    axes.set_xlim(0, MOST_SHARE)
    page.ticks(axes, "x", [0.25, 0.5, 0.75, 1.0], ["25", "50", "75", "100%"], grid=False)
    scales.logarithmic(page, axes, "y", values, words.time if first else _unnamed)
    axes.axvline(1.0, color=page.theme.hatch, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    for other, drawn in found.items():
        if other != model:
            shares, times = _line(drawn.points(drawn.tail))
            axes.plot(shares, times, color=page.theme.hatch, linewidth=0.8, alpha=0.7, zorder=1)
    if machine:
        axes.axhline(machine, color=page.theme.muted, linestyle=(0, (5, 2)), linewidth=1.3, zorder=2)
    _lines(axes, stick, style)
    _knee(page, axes, stick, style, plot)
    return axes


def _unnamed(_: float) -> str:
    """No words at ticks: the first panel of the row has them."""
    return ""


def _absent(page: Page, scenario: ScenarioSummary, model: str, plot: Box) -> None:
    """A hatched panel that says, in a few words, why it is empty; the remarks say more."""
    page.hatch(plot, edge=True)
    failed = next((s.failed for s in scenario.standings if s.model == model), "")
    lines = wrapped("failed" if failed else "no percentile", SMALL, plot.width - 20, most_lines=2)
    for i, line in enumerate(lines):
        y = plot.top + plot.height / 2 + 17 * (i - (len(lines) - 1) / 2)
        page.text(plot.left + plot.width / 2, y, line, SMALL, align="center", vertical="center", boxed=True)


def _lines(axes: Axes, stick: Stick, style: Look) -> None:
    """The median thin and the p99 thick, whiskers for its interval, an arrow where it is only a lower bound."""
    middle, tail = stick.points(MIDDLE), stick.points(stick.tail)
    axes.plot(*_line(middle), color=style.colour, linewidth=1.2, zorder=3)
    axes.plot(*_line([point for point in middle if _common(point)]), "D", markersize=3.5, color=style.colour, zorder=5)
    axes.plot(*_line(tail), color=style.colour, linewidth=2.2, zorder=4)
    for point in tail:
        hollow = falls_behind(point.cell) or cells.doubted(point.cell)
        face, edge = ("none", 1.2) if hollow else (style.colour, 0.0)
        marker, size = ("D", 5.5) if _common(point) else ("o", 5.0)
        axes.plot(
            point.share, point.ns, marker, markersize=size, color=style.colour, markerfacecolor=face, markeredgewidth=edge,
            zorder=5,
        )  # fmt: skip
        x = point.quantile
        if x.low_ns and x.high_ns:
            axes.plot([point.share] * 2, [x.low_ns, x.high_ns], color=style.colour, linewidth=1.2, alpha=0.6, zorder=3)
        if x.status == "at least":
            axes.plot(point.share, point.ns * 1.3, marker="$\u2191$", color=style.colour, markersize=8, clip_on=False)


def _line(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point.share for point in points], [point.ns for point in points]


def _common(point: Point) -> bool:
    """Whether the rate was the same for all models."""
    return point.cell.level.share is None


def _knee(page: Page, axes: Axes, stick: Stick, style: Look, plot: Box) -> None:
    """A ring where the knee is, and its rate in words above the panel."""
    if stick.knee is None:
        page.text(plot.left, plot.top - 9, clip_to("no knee seen", SMALL, plot.width), SMALL, colour=page.theme.muted)
        return
    share, cell, knee = stick.knee
    short = f"{'≤ ' if knee.lowest else ''}{amounts.rate(knee.rate_per_s)}, {amounts.percent(share)}"
    peak = stick.standing.peak_per_s
    whole = f"knee {short} of the peak, {amounts.rate(peak.value)}" if peak else short
    said = next((words for words in (whole, f"knee {short}") if width_px(words, SMALL) <= plot.width), short)
    page.text(plot.left, plot.top - 9, clip_to(said, SMALL, plot.width), SMALL, colour=page.theme.muted)
    at = cells.quantile(cell.response, stick.tail) or cells.quantile(cell.response, MIDDLE)
    if at is None or not at.value_ns:
        return
    axes.plot([share] * 2, [axes.get_ylim()[0], at.value_ns], color=style.colour, linewidth=1.0, alpha=0.8, zorder=2)
    axes.plot(
        share, at.value_ns, "o", markersize=13, color=page.theme.ink, markerfacecolor="none", markeredgewidth=1.6, zorder=6,
        clip_on=False,
    )  # fmt: skip


def _name_lines(page: Page, axes: Axes, stick: Stick, plot: Box) -> None:
    """What the two lines are, at the ends of those of a row's first panel."""
    ends = [(q, points[-1]) for q in (stick.tail, MIDDLE) if (points := stick.points(q))]
    places = [page.pixel(axes, point.share, point.ns) for _, point in ends]
    heights = push_apart([y for _, y in places], 15.0, plot.top + 6, plot.bottom - 6)
    for (q, _), (x, _), y in zip(ends, places, heights, strict=True):
        page.text(x + 9, y, f"p{words.percentile(q)}", SMALL, colour=page.theme.ink, vertical="center")


def _name_machine(page: Page, axes: Axes, plot: Box, machine: float) -> None:
    """The dashed line's name at its end, beside the row's last panel."""
    _, y = page.pixel(axes, MOST_SHARE, machine)
    y = min(max(y, plot.top + 8), plot.bottom - 8)
    for line, word in enumerate((*MACHINE.split(), words.time(machine))):
        page.text(plot.right + 10, y + 15 * (line - 1), word, SMALL, colour=page.theme.muted, vertical="center")


def _remarks(summary: RunSummary, scenario: ScenarioSummary, found: dict[str, Stick]) -> list[str]:
    """What is missing or doubtful, and which common rates lie beyond the axis."""
    shown = [cell for stick in found.values() for _, cell in stick.loads]
    # That something is not answered beyond the peak is what the picture shows, hollow, and needs no words.
    doubtful = [cell for cell in shown if cell.struck or not (falls_behind(cell) or (cell.level.share or 0.0) >= 1.0)]
    absent = [remark for q in (TAILS[0], MIDDLE) for remark in cells.absent_quantile(shown, q)]
    beyond: dict[str, list[str]] = {}
    for standing in scenario.standings:
        for cell in cells.opened(summary, scenario.scenario, standing.model):
            share = _share(cell, standing)
            if share is not None and share > MOST_SHARE:
                beyond.setdefault(cells.level_words(cell), []).append(words.clipped(standing.model))
    over = [f"{rate} is beyond the axis for {words.listing(names, 2)}" for rate, names in beyond.items()]
    return [*cells.failures(scenario), *over, *absent, *cells.doubts(doubtful)]
