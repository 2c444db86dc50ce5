"""Finding in a summary what a chart draws, and saying of what it cannot draw why."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmarks import amounts
from benchmarks.charts import _words as words
from benchmarks.charts._style import family_rank
from benchmarks.metrics import is_plain
from benchmarks.summaries import CellSummary, Estimate, Finding, Quantile, RunSummary, ScenarioSummary, Standing
from benchmarks.verdict import number_of

HALF = 0.5  # of a model's own peak: the load at which tails are compared


def models(summary: RunSummary) -> list[str]:
    """Every model the run knows of, family by family."""
    known = {s.model for scenario in summary.scenarios for s in scenario.standings} | {cell.model for cell in summary.cells}
    return sorted(known, key=family_rank)


def only(summary: RunSummary, scenarios: Sequence[ScenarioSummary]) -> RunSummary:
    """The same run with these scenarios alone: one page of a chart that shows a few of them at a time."""
    names = {scenario.scenario for scenario in scenarios}
    return replace(
        summary,
        scenarios=list(scenarios),
        cells=[cell for cell in summary.cells if cell.scenario in names],
        timelines=[timeline for timeline in summary.timelines if timeline.scenario in names],
    )


def closed(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    """A model's closed-loop cells in a scenario, fewest connections first: kept ones, and of several rounds the last."""
    last: dict[int, CellSummary] = {}
    for cell in _closed_of_all_sorts(summary, scenario, model):
        known = last.get(cell.level.connections)
        if is_plain(cell.level) and (known is None or known.level.round < cell.level.round):
            last[cell.level.connections] = cell
    return [last[connections] for connections in sorted(last)]


def _closed_of_all_sorts(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    return [c for c in summary.cells if c.scenario == scenario and c.model == model and c.level.loop == "closed"]


def opened(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    """A model's open-loop cells in a scenario, least offered first; without those that never ran, bursts and companions."""
    own = (c for c in summary.cells if c.scenario == scenario and c.model == model and c.level.loop == "open")
    cells = (cell for cell in own if is_plain(cell.level))
    return sorted((c for c in cells if offered(c) is not None), key=lambda cell: offered(cell) or 0.0)


def offered(cell: CellSummary) -> float | None:
    """The rate offered to an open cell, as driven where that is known, else as asked."""
    return cell.offered_per_s if cell.offered_per_s is not None else cell.level.rate_per_s


def at_half_peak(summary: RunSummary, scenario: str, model: str) -> CellSummary | None:
    """The open cell nearest to half the model's own peak, if there is one within a tenth of it."""
    cells = [c for c in opened(summary, scenario, model) if c.level.share is not None]
    near = [c for c in cells if abs((c.level.share or 0.0) - HALF) <= 0.1]
    return min(near, key=lambda cell: abs((cell.level.share or 0.0) - HALF), default=None)


def at_peak(summary: RunSummary, scenario: str, standing: Standing) -> CellSummary | None:
    """The closed cell at which a model reached its peak; where that is not in the summary, the best that is."""
    found = [cell for cell in _closed_of_all_sorts(summary, scenario, standing.model) if cell.rate_per_s]
    exact = next((cell for cell in found if cell.level.label == standing.peak_level), None)
    return exact or max(found, key=lambda cell: cell.rate_per_s.value if cell.rate_per_s else 0.0, default=None)


def quantile(quantiles: Iterable[Quantile], q: float) -> Quantile | None:
    """The quantile `q` of a cell, if it has one that can be shown: "ok" or "at least", with a value."""
    return next((x for x in quantiles if math.isclose(x.q, q) and x.value_ns is not None and x.status != "insufficient"), None)


def strike(cell: CellSummary) -> Finding | None:
    """Why a cell is struck, if it is."""
    return next((finding for finding in cell.findings if finding.severity == "strike"), None)


def mark(cell: CellSummary) -> Finding | None:
    """What qualifies a cell, if something does and it is not struck."""
    return None if strike(cell) else next((finding for finding in cell.findings if finding.severity == "mark"), None)


def doubted(cell: CellSummary) -> bool:
    """Whether a cell is struck or marked: drawn hollow or hatched, with a remark."""
    return any(finding.severity != "note" for finding in cell.findings)


def believable(cell: CellSummary) -> bool:
    """Whether a cell has a number that may be compared."""
    return cell.rate_per_s is not None and not cell.struck


def winners(scenario: ScenarioSummary) -> list[Standing]:
    """Those who share the first rank, best first: one model, or several that the noise cannot tell apart."""
    first = [s for s in scenario.standings if s.rank == 1 and number_of(s) is not None]
    return sorted(first, key=_worth, reverse=True)


def runners_up(scenario: ScenarioSummary) -> list[Standing]:
    """The ranked others, best first."""
    rest = [s for s in scenario.standings if s.rank is not None and s.rank > 1 and number_of(s) is not None]
    return sorted(rest, key=_worth, reverse=True)


def _worth(standing: Standing) -> float:
    """What to sort by: the peak, or the ratio to the best where something else ranks."""
    return (standing.relative.value if standing.relative else 0.0) if standing.results else _peak(standing)


def by_peak(scenario: ScenarioSummary) -> ScenarioSummary:
    """The same scenario as if it ranked by peak: where it does not, those within the best one's interval share the place."""
    if not scenario.measures:
        return scenario
    peaks = [s for s in scenario.standings if s.peak_per_s is not None]
    most = max(peaks, key=_peak, default=None)
    least = interval(most.peak_per_s)[0] if most and most.peak_per_s else 0.0
    standings = [
        replace(s, results=[], relative=None, rank=(1 if interval(s.peak_per_s)[1] >= least else 2) if s.peak_per_s else None)
        for s in scenario.standings
    ]
    return replace(scenario, measures=[], standings=standings)


def share_of_best(scenario: ScenarioSummary, standing: Standing) -> Estimate | None:
    """A model's number as a share of the best, with its interval; of the best itself it is 1. None without a number.

    The number is the peak, or what the scenario ranks by instead.
    """
    if standing.relative is not None:
        return standing.relative
    if standing.results or standing.peak_per_s is None:
        return None
    ranked = winners(scenario)
    best = ranked[0] if ranked else max((s for s in scenario.standings if s.peak_per_s), key=_peak)
    peak = standing.peak_per_s
    scale = 1 / _peak(best) if _peak(best) else 0.0
    low, high = interval(peak)
    return Estimate(peak.value * scale, low * scale, high * scale, [v * scale for v in peak.visits])


def interval(estimate: Estimate) -> tuple[float, float]:
    """The ends of an estimate's interval; the value itself where too few visits show the noise, so that nothing is drawn."""
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return low, high


def _peak(standing: Standing) -> float:
    return standing.peak_per_s.value if standing.peak_per_s else 0.0


# ---------------------------------------------------------------- remarks


def failures(scenario: ScenarioSummary) -> list[str]:
    """A remark for each reason why models have no number at all."""
    reasons: dict[str, list[str]] = {}
    for standing in scenario.standings:
        if standing.failed:
            reasons.setdefault(standing.failed, []).append(words.clipped(standing.model))
    return [f"{words.listing(names, 2)}: {reason}" for reason, names in reasons.items()]


def doubts(cells: Iterable[CellSummary], *, name_levels: bool = True) -> list[str]:
    """A remark for each struck or marked sort of cell, models and levels with the same reason in one line."""
    sorts: dict[tuple[str, str, str], list[CellSummary]] = {}
    for cell in cells:
        for verdict, finding in (("not ranked", strike(cell)), ("marked", mark(cell))):
            if finding:
                sorts.setdefault((cell.model, verdict, finding.check), []).append(cell)
    remarks = []
    # Strikes first: where there is no room for all, a mark is what is left out.
    for (model, verdict, _), found in sorted(sorts.items(), key=lambda item: item[0][1] == "marked"):
        reason = (strike(found[0]) or mark(found[0]) or found[0].findings[0]).seen
        levels = " at " + ", ".join(level_words(cell) for cell in found) if name_levels else ""
        remarks.append(f"{words.clipped(model)}{levels}, {verdict}: {reason}")
    return remarks


def absent_quantile(cells: Iterable[CellSummary], q: float) -> list[str]:
    """A remark, if a percentile is not shown: for whom, at which levels, and one of the reasons."""
    absent = [
        (cell, x.why or "insufficient")
        for cell in cells
        for x in cell.response
        if math.isclose(x.q, q) and x.status == "insufficient" and cell.rate_per_s is not None
    ]
    if not absent:
        return []
    names = list(dict.fromkeys(words.clipped(cell.model) for cell, _ in absent))
    levels = list(dict.fromkeys(level_words(cell) for cell, _ in absent))
    who = " and ".join(names) if len(names) <= 2 else f"{len(names)} models"
    example = "" if len({why for _, why in absent}) == 1 else "e.g. "
    return [f"no p{words.percentile(q)} for {who} at {', '.join(levels)}: {example}{absent[0][1]}"]


def level_words(cell: CellSummary) -> str:
    """A level in as few words as will do: "64", "50%", "5k/s"."""
    level = cell.level
    if level.loop == "closed":
        return words.digits(level.connections)
    if level.share is not None:
        return amounts.percent(level.share)
    return words.asked(level.rate_per_s or 0.0)


# ---------------------------------------------------------------- sentences


def by_scenario(summary: RunSummary, say: Callable[[ScenarioSummary], str]) -> str:
    """One clause for each scenario, named when there are several; the warning first when the run proves nothing."""
    clauses = {scenario.scenario: say(scenario) for scenario in summary.scenarios}
    if len(set(clauses.values())) <= 1:  # a single scenario, or the same of all
        return caution(summary, next(iter(clauses.values()), "nothing was measured"))
    return caution(summary, " · ".join(f"{name}: {clause}" for name, clause in clauses.items()))


def caution(summary: RunSummary, answer: str) -> str:
    """The answer as a sentence, after a warning when server and driver shared a core."""
    if answer.split(" ")[0] in ("no", "nothing", "of", "at", "all"):  # a name keeps its case
        answer = answer[0].upper() + answer[1:]
    answer = answer if answer.endswith(".") else answer + "."
    return answer if summary.comparable else f"Not comparable: server and driver shared a core. {answer}"


def lowest(values: Sequence[tuple[str, float, float, float]]) -> tuple[list[str], float]:
    """The models whose interval overlaps that of the lowest value, and that value; each is (model, value, low, high)."""
    if not values:
        return [], math.nan
    best = min(values, key=lambda v: v[1])
    tied = [v for v in sorted(values, key=lambda v: v[1]) if v[2] <= best[3]]
    return [v[0] for v in tied], best[1]


def tie_words(names: Sequence[str]) -> str:
    """One name, or those that cannot be told apart."""
    clipped = [words.clipped(name) for name in names]
    return clipped[0] if len(clipped) == 1 else f"{words.listing(clipped)} (tied)"
