"""What an open connection costs: memory and threads against open connections, a panel for each family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from benchmarks.metrics import is_plain
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUESTION = "What does a connection cost?"
LEAST = 3  # numbers of connections, or there is no curve
SAME = 1.03  # times the least: no difference to a user


@dataclass(frozen=True, slots=True)
class Measure:
    """One strip: what is read from a cell, and how it is named."""

    title: str
    unit: str
    read: Callable[[CellSummary], float | None]
    name: Callable[[float], str]
    tick: Callable[[float], str]


UNSHARED = Measure("unshared memory", "of all its processes (USS)", lambda cell: cell.uss_bytes, amounts.size, words.size)
RESIDENT = Measure("memory", "shared pages in each process (RSS)", lambda cell: cell.rss_bytes, amounts.size, words.size)
THREADS = Measure("threads", "of all its processes", lambda cell: cell.threads, words.short, words.short)
KEY = (
    "logarithmic, against open connections",
    "hollow: read with care",
    "grey: the other families",
    cells.ORDER,
)


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether it is the scenario that holds most connections, at enough levels; unshared memory counts more than shared."""
    held: dict[str, set[int]] = {}
    unshared: dict[str, int] = {}
    for cell in summary.cells:
        if cell.level.loop == "closed" and is_plain(cell.level) and (cell.uss_bytes or cell.rss_bytes):
            held.setdefault(cell.scenario, set()).add(cell.level.connections)
            unshared[cell.scenario] = unshared.get(cell.scenario, 0) + (cell.uss_bytes is not None)
    enough = [one.scenario for one in summary.scenarios if len(held.get(one.scenario, ())) >= LEAST]
    return scenario.scenario == max(enough, key=lambda name: (max(held[name]), unshared[name]), default="")


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A strip for memory and one for threads, from the scenario that holds most connections."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    found = [cell for scenario in shown for own in _lines(summary, scenario).values() for cell in own]
    strips = [
        _strip(scenario, measure, _lines(summary, scenario)) for scenario in shown for measure in (_memory(found), THREADS)
    ]
    remarks = [remark for scenario in shown for remark in cells.failures(scenario)] + cells.doubts(found)
    families.draw(page, panels.framed(page, KEY, remarks), strips, cells.models(summary))
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who holds the most connections in the least memory, who needs most, and whose bill grows most with each."""
    return cells.by_scenario(summary, shown, lambda scenario: _say(summary, scenario))


def _say(summary: RunSummary, scenario: ScenarioSummary) -> str:
    lines = _lines(summary, scenario)
    read = _memory([cell for found in lines.values() for cell in found]).read
    sound = {model: [c for c in found if read(c) is not None and not cells.doubted(c)] for model, found in lines.items()}
    connections = max((cell.level.connections for found in sound.values() for cell in found), default=0)
    held = {
        model: read(found[-1]) or 0.0 for model, found in sound.items() if found and found[-1].level.connections == connections
    }
    if not held:
        return "every figure of memory is to be read with care"
    least, most = min(held.values()), max(held, key=held.__getitem__)
    leanest = [words.clipped(model) for model in sorted(held, key=held.__getitem__) if held[model] <= SAME * least]
    text = f"{words.listing(leanest)} hold{'s' * (len(leanest) == 1)} {words.digits(connections)} connections in "
    text += amounts.size(least)
    if held[most] > SAME * least:
        text += f", {words.clipped(most)} needs {amounts.size(held[most])}"
    return text + _growth(sound, read)


def _growth(sound: dict[str, list[CellSummary]], read: Callable[[CellSummary], float | None]) -> str:
    """Whose memory grows most with each connection."""
    grown = {}
    for model, found in sound.items():
        more = found[-1].level.connections - found[0].level.connections if found else 0
        if more > 0:
            grown[model] = ((read(found[-1]) or 0.0) - (read(found[0]) or 0.0)) / more
    dearest = max(grown, key=grown.__getitem__, default="")
    return f"; {words.clipped(dearest)} grows most, {amounts.size(grown[dearest])} a connection" if dearest else ""


def _memory(found: Sequence[CellSummary]) -> Measure:
    """Unshared memory where it is known of most cells, as it is of servers measured alone; else what is in RAM."""
    return UNSHARED if 2 * sum(cell.uss_bytes is not None for cell in found) > len(found) else RESIDENT


def _lines(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, list[CellSummary]]:
    found = {model: cells.closed(summary, scenario.scenario, model) for model in cells.models(summary)}
    return {model: own for model, own in found.items() if own}


def _strip(scenario: ScenarioSummary, measure: Measure, lines: dict[str, list[CellSummary]]) -> families.Strip:
    curves = {}
    for model, found in lines.items():
        points = [(float(c.level.connections), value, c) for c in found if (value := measure.read(c))]
        hollow = frozenset(at for at, (_, _, cell) in enumerate(points) if cells.doubted(cell))
        if points:
            curves[model] = families.Curve([x for x, _, _ in points], [y for _, y, _ in points], hollow=hollow)
    connections = sorted({x for curve in curves.values() for x in curve.xs})
    values = [y for curve in curves.values() for y in curve.ys]

    def scale(page: Page, axes: Axes, named: bool) -> None:
        scales.logarithmic(page, axes, "x", connections, words.digits, at=connections, grid=False)
        at = scales.binary_ticks(values) if measure.name is amounts.size else ()
        scales.logarithmic(page, axes, "y", values, measure.tick if named else scales.unnamed, at=at)

    return families.Strip(f"{measure.title} in {scenario.scenario}", measure.unit, curves, scale, measure.name)
