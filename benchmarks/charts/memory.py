"""What an open connection costs: resident and unshared memory, and threads."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._page import Box, Page, remark_rows
from benchmarks.charts._style import Theme, look
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUESTION = "What does a connection cost?"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Measure:
    """One panel: what is read from a cell, and how it is named."""

    title: str
    unit: str
    read: Callable[[CellSummary], float | None]
    counted: bool  # on a logarithmic axis with plain numbers


MEASURES = (
    Measure("unshared memory", "MiB that only this server's processes use (USS)", lambda c: _mib(c.uss_bytes), False),
    Measure("resident memory", "MiB in RAM, shared pages included (RSS)", lambda c: _mib(c.rss_bytes), False),
    Measure("threads", "threads of all the server's processes", lambda c: c.threads, True),
)


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """Three panels against open connections, from the scenario that holds most of them."""
    page = Page(theme, QUESTION, answer(summary), summary.conditions)
    scenario = fullest(summary)
    if scenario is None:
        parts = panels.panel(page.body, [], 0)
        panels.empty(page, parts, "no scenario was measured")
        return page.figure
    lines = {m: cells.closed(summary, scenario.scenario, m) for m in cells.models(summary)}
    remarks = [*cells.failures(scenario), *cells.doubts(c for found in lines.values() for c in found)]
    rows = remark_rows(remarks, page.body.width)
    boxes = page.body.columns(len(MEASURES), 30.0)
    for measure, box in zip(MEASURES, boxes, strict=True):
        _panel(page, scenario, measure, lines, box, rows)
    if remarks:
        below = panels.panel(boxes[0], [], rows).remarks
        page.remarks(Box(below.left, below.top, page.body.width, below.height), remarks)
    return page.figure


def answer(summary: RunSummary) -> str:
    """Who holds the most connections in the least unshared memory, who needs most, and whose bill grows most with each."""
    scenario = fullest(summary)
    held = _held(summary, scenario) if scenario else []
    if not scenario or not held:
        doubtful = any(map(_measured, summary.cells))
        return cells.caution(
            summary, "every figure is to be read with care: see below" if doubtful else "no memory was recorded"
        )
    connections, least = held[0][1].level.connections, held[0][1].uss_bytes or 0
    leanest = [words.clipped(model) for model, cell in held if (cell.uss_bytes or 0) <= 1.03 * least]
    verb = "holds" if len(leanest) == 1 else "hold"
    text = f"{words.listing(leanest)} {verb} {words.digits(connections)} connections in {amounts.size(least)}"
    if len(leanest) < len(held):
        text += f", {words.clipped(held[-1][0])} in {amounts.size(held[-1][1].uss_bytes or 0)}"
    growth = _growth(summary, scenario)
    if growth and growth[0][1] >= 512:
        model, bytes_each, threads_each = growth[0]
        thread = " and a thread" if threads_each > 0.9 else ""
        text += f"; each costs {words.clipped(model)} most, {amounts.size(bytes_each)}{thread}"
    return cells.caution(summary, f"{text} (in {scenario.scenario})")


def _held(summary: RunSummary, scenario: ScenarioSummary) -> list[tuple[str, CellSummary]]:
    """Each model's cell at the most connections that any holds without a doubt, leanest first."""
    sound = [c for c in summary.cells if c.scenario == scenario.scenario and c.level.loop == "closed"]
    sound = [c for c in sound if c.uss_bytes is not None and not cells.doubted(c)]
    most = max((c.level.connections for c in sound), default=0)
    return sorted(((c.model, c) for c in sound if c.level.connections == most), key=lambda held: held[1].uss_bytes or 0)


def fullest(summary: RunSummary) -> ScenarioSummary | None:
    """The scenario whose closed levels hold most connections in cells with a memory figure; the first of equals."""

    def most(scenario: ScenarioSummary) -> int:
        return max(
            (c.level.connections for c in summary.cells if c.scenario == scenario.scenario and _measured(c)),
            default=0,
        )

    return max(summary.scenarios, key=most, default=None)


def _measured(cell: CellSummary) -> bool:
    return cell.level.loop == "closed" and (cell.uss_bytes is not None or cell.rss_bytes is not None)


def _growth(summary: RunSummary, scenario: ScenarioSummary) -> list[tuple[str, float, float]]:
    """(model, bytes per connection, threads per connection) between a model's first and last sound level, dearest first."""
    growth = []
    for model in cells.models(summary):
        found = [c for c in cells.closed(summary, scenario.scenario, model) if c.uss_bytes is not None and not cells.doubted(c)]
        more = found[-1].level.connections - found[0].level.connections if found else 0
        if more > 0:
            bytes_each = ((found[-1].uss_bytes or 0) - (found[0].uss_bytes or 0)) / more
            threads_each = ((found[-1].threads or 0) - (found[0].threads or 0)) / more
            growth.append((model, bytes_each, threads_each))
    return sorted(growth, key=lambda each: -each[1])


def _mib(number_of_bytes: int | None) -> float | None:
    return None if number_of_bytes is None else number_of_bytes / MIB


def _panel(
    page: Page, scenario: ScenarioSummary, measure: Measure, lines: dict[str, list[CellSummary]], box: Box, remarks: int
) -> None:
    points = {
        model: [(float(c.level.connections), value, c) for c in found if (value := measure.read(c)) is not None]
        for model, found in lines.items()
    }
    points = {model: found for model, found in points.items() if found}
    parts = panels.panel(box, points, remarks)
    panels.heading(page, box, measure.title, measure.unit)
    if not points:
        panels.empty(page, parts, "not recorded")
    else:
        axes = page.axes(parts.plot)
        connections = sorted({x for found in points.values() for x, _, _ in found})
        values = [y for found in points.values() for _, y, _ in found]
        scales.logarithmic(page, axes, "x", connections, words.digits, at=connections, grid=False)
        if measure.counted:
            scales.logarithmic(page, axes, "y", values, words.digits)
        else:
            scales.from_zero(page, axes, max(values), words.digits)
        panels.x_name(page, parts.plot, f"open connections ({scenario.scenario})")
        labels = []
        for model, found in points.items():
            hollow = [i for i, (_, _, c) in enumerate(found) if cells.doubted(c)]
            panels.line(axes, look(model, page.theme), [x for x, _, _ in found], [y for _, y, _ in found], hollow=hollow)
            labels.append(panels.end_label(page, model, found[-1][0], found[-1][1]))
        panels.finish(page, axes, parts, labels, [])
