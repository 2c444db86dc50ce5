"""Response time by percentile at half the peak, a panel for each family, with what the machine's own pauses would have cost."""

from collections.abc import Sequence
from statistics import median

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

QUESTION = "How bad is the tail?"
SHOWN = (0.999, 0.99, 0.9, 0.5)  # the percentile an answer is about: the furthest that the data reach
LEAST_NS = 1_000.0  # below this the clock, not the server, is what is seen
MACHINE = "machine alone"
FAR_BELOW = 3.0  # a machine's line further below all curves than this does not squeeze them
KEY = (
    "response time by percentile, at half of each model's own peak",
    "an end: its samples end",
    "hollow: read with care",
    "grey: the other families",
    cells.ORDER,
)


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether any model has a curve at half of its peak."""
    return bool(_curves(summary, scenario))


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A curve per model on the percentile axis of HdrHistogram, cut where samples end; the machine's line grey and dashed."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    found = {scenario.scenario: _curves(summary, scenario) for scenario in shown}
    reached = [q for own in found.values() for cell in own.values() for q, _ in _points(cell)]
    end = scales.percentile_at_or_after(max(reached, default=0.9))
    strips = [_strip(scenario, found[scenario.scenario], end, theme) for scenario in shown]
    drawn = [cell for own in found.values() for cell in own.values()]
    remarks = [remark for scenario in shown for remark in cells.failures(scenario)]
    remarks += cells.doubts(drawn, name_levels=False)
    machine = any(_machine(list(own.values())) for own in found.values())
    key = (*KEY[:-1], *([f"dashed: the {MACHINE}"] if machine else []), KEY[-1])
    families.draw(page, panels.framed(page, key, remarks), strips, cells.models(summary))
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """At the furthest percentile most models reach: who is lowest, who is highest."""

    def say(scenario: ScenarioSummary) -> str:
        found = [cell for cell in _curves(summary, scenario).values() if cells.believable(cell)]
        for q in SHOWN:
            values = {cell.model: (x.value_ns or 0.0) for cell in found if (x := cells.quantile(cell.response, q))}
            if values and len(values) * 2 > len(found):
                least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
                said = [f"{words.clipped(model)}, {amounts.duration(values[model])}" for model in dict.fromkeys((least, most))]
                return f"p{words.percentile(q)} is lowest for {', highest for '.join(said)}"
        return "no percentile can be told"

    return cells.by_scenario(summary, shown, say)


def _curves(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, CellSummary]:
    """Each model's cell at half its own peak, if it has a curve."""
    return {cell.model: cell for cell in _half(summary, scenario) if len(_points(cell)) > 1}


def _half(summary: RunSummary, scenario: ScenarioSummary) -> list[CellSummary]:
    found = (cells.at_half_peak(summary, scenario.scenario, model) for model in cells.models(summary))
    return [cell for cell in found if cell]


def _points(cell: CellSummary) -> list[tuple[float, float]]:
    """The curve from the median on, the percentiles that have an interval in their places on it."""
    curve = {q: ns for q, ns in cell.response_curve if q >= 0.5 and ns > 0}
    reached = max(curve, default=0.0)
    for q in SHOWN:
        x = cells.quantile(cell.response, q)
        if x is not None and x.value_ns and q <= reached:
            curve[q] = x.value_ns
    return sorted(curve.items())


def _strip(scenario: ScenarioSummary, found: dict[str, CellSummary], end: float, theme: Theme) -> families.Strip:
    curves = {model: _curve(cell) for model, cell in found.items()}
    lowest = min((ns for cell in found.values() for _, ns in _points(cell)), default=1.0)
    machine = [(q, ns) for q, ns in _machine(list(found.values())) if q <= end + 1e-9]
    limits = [lowest, families.robust_top(curves), *(ns for _, ns in machine)]

    def scale(page: Page, axes: Axes, named: bool) -> None:
        scales.percentile_axis(page, axes, end)
        scales.logarithmic(page, axes, "y", limits, words.time if named else scales.unnamed)

    def below(axes: Axes) -> None:
        xs = [scales.nines(q) for q, _ in machine]
        axes.plot(xs, [ns for _, ns in machine], color=theme.muted, linestyle=(0, (5, 2)), linewidth=1.5, zorder=2)

    return families.Strip(scenario.scenario, scenario.question or scenario.caption, curves, scale, amounts.duration, below)


def _curve(cell: CellSummary) -> families.Curve:
    """One model's curve; whiskers where a percentile has an interval."""
    points = _points(cell)
    told = {q: x for q in SHOWN if (x := cells.quantile(cell.response, q)) and x.low_ns and x.high_ns}
    bounds = [(told[q].low_ns or 0.0, told[q].high_ns or 0.0) if q in told else None for q, _ in points]
    marked = frozenset(at for at, (q, _) in enumerate(points) if q in SHOWN or at == len(points) - 1)
    xs, ys = [scales.nines(q) for q, _ in points], [ns for _, ns in points]
    return families.Curve(xs, ys, bounds, marked if cells.doubted(cell) else frozenset(), marked=marked)


def _machine(found: Sequence[CellSummary]) -> list[tuple[float, float]]:
    """(q, ns): what the windows' own pauses would have cost, the median over the cells.

    A pause that fewer than half of the windows saw is not the machine's habit at that percentile, and one far below all curves
    is left out, so that it does not squeeze them.
    """
    lowest = min((ns for cell in found for _, ns in _points(cell)), default=0.0)
    by_q: dict[float, list[float]] = {}
    for cell in found:
        for x in cell.hiccup:
            if x.value_ns is not None and x.value_ns >= max(LEAST_NS, lowest / FAR_BELOW):
                by_q.setdefault(x.q, []).append(x.value_ns)
    line = [(q, median(values)) for q, values in sorted(by_q.items()) if len(values) * 2 >= len(found)]
    return line if len(line) > 1 else []
