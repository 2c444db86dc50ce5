"""Response time against offered load up to the knee and beyond: the hockey stick, a panel for each family."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
from benchmarks.charts.tail import FAR_BELOW, LEAST_NS, MACHINE
from benchmarks.metrics import is_plain
from benchmarks.summaries import CellSummary, Knee, RunSummary, ScenarioSummary, Standing

QUESTION = "When does it break?"
TAILS = (0.99, 0.9, 0.5)  # the furthest that most loads of a scenario can tell
KEEPING_UP = 0.99  # of what was offered; below it the queue grows without end
MOST_SHARE = 1.25  # of a model's peak: a common rate further beyond has no place on the axis
LEAST = 3  # loads of a model, or it has no curve


@dataclass(frozen=True, slots=True)
class Stick:
    """One model's open cells with their loads as shares of its own peak, least first, and the percentile that is drawn."""

    standing: Standing
    loads: tuple[tuple[float, CellSummary], ...]
    q: float

    @property
    def knee(self) -> tuple[float, CellSummary, Knee] | None:
        """The load of the knee, its cell and the knee."""
        knee = self.standing.knee
        at = next(((share, cell) for share, cell in self.loads if knee and cell.level.label == knee.level), None)
        return (*at, knee) if at and knee else None


def has(summary: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether any model was measured under enough loads."""
    return bool(sticks(summary, scenario))


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A strip of panels for each scenario: a percentile of the response time against the load, the knee ringed."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    found = {scenario.scenario: sticks(summary, scenario) for scenario in shown}
    strips = [_strip(scenario, found[scenario.scenario], theme) for scenario in shown]
    remarks = [remark for scenario in shown for remark in _remarks(summary, scenario, found[scenario.scenario])]
    machine = any(machine_ns(list(own.values())) for own in found.values())
    families.draw(page, panels.framed(page, _key(machine), remarks), strips, cells.models(summary))
    return page.figure


def _key(machine: bool) -> list[str]:
    return [
        "from the intended start of a request",
        "ring: the knee, most throughput for its response time",
        "hollow: fell behind, or read with care",
        "grey: the other families",
        *([f"dashed: the {MACHINE}"] if machine else []),
        cells.ORDER,
    ]


# ---------------------------------------------------------------- the answer


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """Who carries most before its knee and who least, and who cannot carry what all were offered."""
    return cells.by_scenario(summary, shown, lambda scenario: _say(summary, scenario))


def _say(summary: RunSummary, scenario: ScenarioSummary) -> str:
    found = [stick for stick in sticks(summary, scenario).values() if stick.knee]
    clauses = []
    if found:
        most, least = max(found, key=_carried), min(found, key=_carried)
        clauses.append(f"{words.clipped(most.standing.model)} carries most before its knee, {_where(most)}")
        if least is not most:
            clauses[0] += f"; {words.clipped(least.standing.model)} least, {_where(least)}"
    common = [c for c in summary.cells if c.scenario == scenario.scenario and c.level.rate_per_s is not None]
    common = [cell for cell in common if cells.believable(cell) and is_plain(cell.level)]
    behind = [words.clipped(cell.model) for cell in common if falls_behind(cell)]
    if behind:
        rate = words.asked(min(cell.level.rate_per_s or 0.0 for cell in common))
        clauses.append(f"{words.listing(behind, 2)} cannot keep up with {rate}")
    return "; ".join(clauses) or "no knee was seen"


def _where(stick: Stick) -> str:
    """A knee's rate, and which share of the peak that is."""
    if stick.knee is None:
        return ""
    share, _, knee = stick.knee
    return f"{'at most ' if knee.lowest else ''}{amounts.rate(knee.rate_per_s)} ({amounts.percent(share)} of its peak)"


def _carried(stick: Stick) -> float:
    return stick.knee[2].rate_per_s if stick.knee else 0.0


def falls_behind(cell: CellSummary) -> bool:
    """Whether all of the range of what was served lies below 99% of what was offered."""
    offered = cells.offered(cell)
    return cell.rate_per_s is not None and offered is not None and cells.ends(cell.rate_per_s)[1] < KEEPING_UP * offered


def sticks(summary: RunSummary, scenario: ScenarioSummary) -> dict[str, Stick]:
    """Each model's line in a scenario, in the order of the run, if enough of its loads tell the percentile."""
    loads: dict[str, list[tuple[float, CellSummary]]] = {}
    for standing in scenario.standings:
        own = cells.opened(summary, scenario.scenario, standing.model)
        shares = [(share, cell) for cell in own if (share := _share(cell, standing)) is not None and share <= MOST_SHARE]
        loads[standing.model] = sorted(shares, key=lambda load: load[0])
    everything = [cell for own in loads.values() for _, cell in own]
    told = (q for q in TAILS if 2 * sum(cells.quantile(c.response, q) is not None for c in everything) >= len(everything))
    q = next(told, TAILS[-1])
    found = {}
    for model in cells.models(summary):
        own_standing = cells.standing_of(scenario, model)
        drawn = tuple(load for load in loads.get(model, []) if cells.quantile(load[1].response, q))
        if own_standing and len(drawn) >= LEAST:
            found[model] = Stick(own_standing, drawn, q)
    return found


def _share(cell: CellSummary, standing: Standing) -> float | None:
    """The load as a share of the model's own peak: as asked, or a common rate by the peak."""
    if cell.level.share is not None:
        return cell.level.share
    peak = standing.peak_per_s.value if standing.peak_per_s else 0.0
    offered = cells.offered(cell)
    return offered / peak if offered and peak else None


# ---------------------------------------------------------------- the picture


def _strip(scenario: ScenarioSummary, found: dict[str, Stick], theme: Theme) -> families.Strip:
    curves = {model: _curve(stick) for model, stick in found.items()}
    machine = machine_ns(list(found.values()))
    lowest = min((y for curve in curves.values() for y in curve.ys), default=1.0)
    limits = [lowest, families.robust_top(curves), *([machine] if machine else [])]

    def scale(page: Page, axes: Axes, named: bool) -> None:
        axes.set_xlim(0, MOST_SHARE)
        page.ticks(axes, "x", [0.25, 0.5, 0.75, 1.0], ["25", "50", "75", "100%"], grid=False)
        scales.logarithmic(page, axes, "y", limits, words.time if named else scales.unnamed)

    def below(axes: Axes) -> None:
        axes.axvline(1.0, color=theme.hatch, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
        if machine:
            axes.axhline(machine, color=theme.muted, linestyle=(0, (5, 2)), linewidth=1.3, zorder=2)

    q = next((stick.q for stick in found.values()), TAILS[0])
    unit = f"p{words.percentile(q)} of the response time against the load, as a share of the model's own peak"
    return families.Strip(scenario.scenario, unit, curves, scale, amounts.duration, below)


def _curve(stick: Stick) -> families.Curve:
    told = [(share, x, cell) for share, cell in stick.loads if (x := cells.quantile(cell.response, stick.q)) and x.value_ns]
    hollow = [at for at, (_, _, cell) in enumerate(told) if falls_behind(cell) or cells.doubted(cell)]
    ring = next(((share, x.value_ns or 0.0) for share, x, cell in told if stick.knee and cell is stick.knee[1]), None)
    return families.Curve(
        [share for share, _, _ in told],
        [x.value_ns or 0.0 for _, x, _ in told],
        [(x.low_ns, x.high_ns) if x.low_ns and x.high_ns else None for _, x, _ in told],
        frozenset(hollow),
        frozenset(at for at, (_, x, _) in enumerate(told) if x.status == "at least"),
        ring=ring,
        note=f"knee {amounts.rate(stick.knee[2].rate_per_s)}" if stick.knee else "",
    )


def machine_ns(found: Sequence[Stick]) -> float | None:
    """What the engine's own pauses would have cost at that percentile: the median over the loads, None where most saw none.

    Much below all lines it is put at the floor, as in the chart of tails, and not allowed to squeeze them.
    """
    hiccups = [x.value_ns or 0.0 for stick in found for _, cell in stick.loads for x in cell.hiccup if x.q == stick.q]
    middle = median(hiccups) if hiccups else 0.0
    lowest = min((y for stick in found for y in _curve(stick).ys), default=math.inf)
    return middle if middle >= max(LEAST_NS, lowest / FAR_BELOW) else None


def _remarks(summary: RunSummary, scenario: ScenarioSummary, found: dict[str, Stick]) -> list[str]:
    """What is missing or doubtful."""
    shown = [cell for stick in found.values() for _, cell in stick.loads]
    # That something is not answered beyond the peak is what the picture shows, hollow, and needs no words.
    doubtful = [cell for cell in shown if cell.invalid or not (falls_behind(cell) or (cell.level.share or 0.0) >= 1.0)]
    failed = {standing.model for standing in scenario.standings if standing.failed}
    absent = [model for model in cells.models(summary) if cells.standing_of(scenario, model) and model not in found]
    few = [words.clipped(model) for model in absent if model not in failed]
    missing = [f"{words.listing(few)}: fewer than {LEAST} loads tell the percentile"] if few else []
    return [*cells.failures(scenario), *missing, *cells.doubts(doubtful)]
