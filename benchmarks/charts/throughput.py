"""Throughput against connections: a strip for each scenario, a panel for each family."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _families as families
from benchmarks.charts import _panels as panels
from benchmarks.charts import _scales as scales
from benchmarks.charts import _words as words
from benchmarks.charts._page import Page
from benchmarks.charts._style import Theme
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUESTION = "How far does it scale?"
LEAST = 3  # numbers of connections, or there is no curve
KEY = (
    "requests per second against open connections",
    "whisker: lowest and highest replicate",
    "hollow: read with care",
    "grey: the other families",
    cells.ORDER,
)


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether a scenario was measured with enough numbers of connections."""
    return len({x for found in _lines(summary, scenario).values() for x in _connections(found)}) >= LEAST


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """Lines of goodput over connections, with the range of the replicates."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    strips = [_strip(scenario, _lines(summary, scenario)) for scenario in shown]
    found = [cell for scenario in shown for own in _lines(summary, scenario).values() for cell in own]
    remarks = [remark for scenario in shown for remark in cells.failures(scenario)] + cells.doubts(found)
    families.draw(page, panels.framed(page, KEY, remarks), strips, cells.models(summary))
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who serves most in each scenario, how much, and with how many connections."""

    def say(scenario: ScenarioSummary) -> str:
        lines = _lines(summary, scenario)
        best = {m: max(own, key=_rate) for m, own in lines.items() if any(map(cells.believable, own))}
        if not best:
            return "no model has a number"
        top = max(best, key=lambda model: _rate(best[model]))
        cell, first = best[top], lines[top][0]
        rise = f", {amounts.times(_rate(cell) / _rate(first))} what one gets" if first.level.connections == 1 else ""
        return f"{words.clipped(top)} serves most, {amounts.rate(_rate(cell))} with {_many(cell)}{rise}"

    return cells.by_scenario(summary, shown, say)


def _many(cell: CellSummary) -> str:
    count = cell.level.connections
    return f"{words.digits(count)} connection{'s' * (count != 1)}"


def _rate(cell: CellSummary) -> float:
    return cell.rate_per_s.value if cell.rate_per_s and not cell.invalid else 0.0


def _lines(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, list[CellSummary]]:
    everyone = {model: cells.closed(summary, scenario.scenario, model) for model in cells.models(summary)}
    return {model: usable for model, found in everyone.items() if (usable := [c for c in found if c.rate_per_s])}


def _connections(found: Sequence[CellSummary]) -> list[float]:
    return [float(cell.level.connections) for cell in found]


def _strip(scenario: ScenarioSummary, lines: dict[str, list[CellSummary]]) -> families.Strip:
    curves = {
        model: families.Curve(
            _connections(found),
            [cell.rate_per_s.value for cell in found if cell.rate_per_s],
            [cells.ends(cell.rate_per_s) for cell in found if cell.rate_per_s],
            frozenset(at for at, cell in enumerate(found) if cells.doubted(cell)),
        )
        for model, found in lines.items()
    }
    connections = sorted({x for curve in curves.values() for x in curve.xs})
    highest = max((y for curve in curves.values() for y in curve.ys), default=1.0)

    def scale(page: Page, axes: Axes, named: bool) -> None:
        scales.logarithmic(page, axes, "x", connections, words.digits, at=connections, grid=False)
        scales.from_zero(page, axes, highest, words.short if named else scales.unnamed)

    return families.Strip(scenario.scenario, scenario.question or scenario.caption, curves, scale, amounts.rate)
