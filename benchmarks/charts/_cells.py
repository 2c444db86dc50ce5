"""Finding in a summary what a chart draws, and saying of what it cannot draw why."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from benchmarks import amounts
from benchmarks.charts import _words as words
from benchmarks.charts._style import family_rank
from benchmarks.matrix import with_variants
from benchmarks.metrics import is_plain
from benchmarks.questions import Level
from benchmarks.summaries import CellSummary, Estimate, Finding, Quantile, RunSummary, ScenarioSummary, Standing, Unit
from benchmarks.verdict import number_of

HALF = 0.5  # of a model's own peak: the load at which tails are compared
LEAST_SHARE = 0.1  # of the best: no model's place in the order falls further for one scenario
ORDER = "models: best on average first, in all charts alike"


# ---------------------------------------------------------------- who is shown, and in which order


def models(summary: RunSummary) -> list[str]:
    """Everybody with a standing, in the order of all charts of the run: best on average first, variants below their model.

    The average is the geometric mean of the shares of the best in all scenarios. A model that failed in one, could not carry
    its load or is invalid counts there as `LEAST_SHARE`; where nothing can be told of it, it is left out of the average.
    """
    shares: dict[str, list[float]] = {}
    for scenario in summary.scenarios:
        for standing in scenario.standings:
            own = shares.setdefault(standing.model, [])
            share = closeness(scenario, standing)
            if share is not None and standing.rank is not None:
                own.append(math.log(min(max(share.value, LEAST_SHARE), 1.0)))
            elif standing.failed or standing.invalid or (standing.results and standing.results[0].reason != "unknown"):
                own.append(math.log(LEAST_SHARE))
    merit = {model: sum(own) / len(own) if own else math.log(LEAST_SHARE) for model, own in shares.items()}
    ordered = sorted(merit, key=lambda model: (-merit[model], family_rank(model)))
    return with_variants(ordered)


def standing_of(scenario: ScenarioSummary, model: str) -> Standing | None:
    """A model's standing in a scenario, if it has one."""
    return next((standing for standing in scenario.standings if standing.model == model), None)


# ---------------------------------------------------------------- cells


def closed(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    """A model's closed-loop cells in a scenario, fewest connections first: kept ones, and of several cohorts the last."""
    last: dict[int, CellSummary] = {}
    for cell in of_model(summary, scenario, model):
        known = last.get(cell.level.connections)
        if cell.level.loop == "closed" and is_plain(cell.level) and (known is None or known.level.cohort < cell.level.cohort):
            last[cell.level.connections] = cell
    return [last[connections] for connections in sorted(last)]


def of_model(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    """All cells of a model in a scenario."""
    return [cell for cell in summary.cells if cell.scenario == scenario and cell.model == model]


def opened(summary: RunSummary, scenario: str, model: str) -> list[CellSummary]:
    """A model's plain open-loop cells in a scenario, least offered first; without those that never ran."""
    own = (cell for cell in of_model(summary, scenario, model) if cell.level.loop == "open" and is_plain(cell.level))
    return sorted((cell for cell in own if offered(cell) is not None), key=lambda cell: offered(cell) or 0.0)


def offered(cell: CellSummary) -> float | None:
    """The rate offered to an open cell, as driven where that is known, else as asked."""
    return cell.offered_per_s if cell.offered_per_s is not None else cell.level.rate_per_s


def at_half_peak(summary: RunSummary, scenario: str, model: str) -> CellSummary | None:
    """The open cell nearest to half the model's own peak, if there is one within a tenth of it."""
    cells = [cell for cell in opened(summary, scenario, model) if cell.level.share is not None]
    near = [cell for cell in cells if abs((cell.level.share or 0.0) - HALF) <= 0.1]
    return min(near, key=lambda cell: abs((cell.level.share or 0.0) - HALF), default=None)


def at_ranked_level(summary: RunSummary, scenario: ScenarioSummary, standing: Standing) -> CellSummary | None:
    """The cell that ranks a model: at the level of the first measure, or else at the model's own peak."""
    own = of_model(summary, scenario.scenario, standing.model)
    label = (scenario.measures[0].metric.level if scenario.measures else "") or standing.peak_level
    exact = next((cell for cell in own if cell.level.label == label), None)
    served = [cell for cell in own if cell.level.loop == "closed" and cell.rate_per_s]
    return exact or max(served, key=lambda cell: cell.rate_per_s.value if cell.rate_per_s else 0.0, default=None)


def quantile(quantiles: Iterable[Quantile], q: float) -> Quantile | None:
    """The quantile `q` of a cell, if it has one that can be shown: "ok" or "at least", with a value."""
    return next((x for x in quantiles if math.isclose(x.q, q) and x.value_ns is not None and x.status != "insufficient"), None)


def finding(cell: CellSummary, severity: Literal["invalid", "warning"]) -> Finding | None:
    """The first finding of that severity."""
    return next((found for found in cell.findings if found.severity == severity), None)


def doubted(cell: CellSummary) -> bool:
    """Whether a cell is invalid or has a warning: drawn hollow or hatched, with a remark."""
    return any(found.severity != "info" for found in cell.findings)


def believable(cell: CellSummary) -> bool:
    """Whether a cell has a number that may be compared."""
    return cell.rate_per_s is not None and not cell.invalid


# ---------------------------------------------------------------- what ranks


def is_less(scenario: ScenarioSummary) -> bool:
    """Whether less of what ranks is better."""
    return bool(scenario.measures) and scenario.measures[0].better == "less"


def amount(scenario: ScenarioSummary, value: float) -> str:
    """A number that ranks, with its unit."""
    unit: Unit = scenario.measures[0].unit if scenario.measures else "rate"
    return amounts.shown(value, unit)


def what_ranks(scenario: ScenarioSummary) -> str:
    """The name of what a scenario ranks by."""
    return scenario.measures[0].title if scenario.measures else "requests per second at the best number of connections"


def margin(scenario: ScenarioSummary) -> str:
    """Within which share two models are the same: "3%"."""
    return f"{100 * scenario.measures[0].margin:g}%" if scenario.measures else "0%"


def closeness(scenario: ScenarioSummary, standing: Standing) -> Estimate | None:
    """How near a model comes to the best: 1 for the best and less for all others, whichever way is better."""
    if standing.ratio is None or not standing.ratio.value:
        return None
    return standing.ratio.inverse if is_less(scenario) else standing.ratio


def winners(scenario: ScenarioSummary) -> list[Standing]:
    """Those who share the first rank, best first: one model, or several without a significant difference."""
    first = [s for s in scenario.standings if s.rank == 1 and number_of(s) is not None]
    return sorted(first, key=lambda standing: _worth(scenario, standing), reverse=True)


def runners_up(scenario: ScenarioSummary) -> list[Standing]:
    """The ranked others, best first."""
    rest = [s for s in scenario.standings if s.rank is not None and s.rank > 1 and number_of(s) is not None]
    return sorted(rest, key=lambda standing: _worth(scenario, standing), reverse=True)


def _worth(scenario: ScenarioSummary, standing: Standing) -> float:
    share, number = closeness(scenario, standing), number_of(standing)
    return share.value if share else 1e-9 * (number.value if number and not is_less(scenario) else 0.0)


def ends(estimate: Estimate) -> tuple[float, float]:
    """The ends of an estimate's interval or range; the value itself where there are too few replicates to know them."""
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return low, high


# ---------------------------------------------------------------- remarks


def failures(scenario: ScenarioSummary) -> list[str]:
    """A remark for each reason why models have no number at all."""
    reasons: dict[str, list[str]] = {}
    for standing in scenario.standings:
        if standing.failed:
            reasons.setdefault(standing.failed, []).append(words.clipped(standing.model))
    return [f"{words.listing(names, 2)}: {reason}" for reason, names in reasons.items()]


def doubts(cells: Iterable[CellSummary], *, name_levels: bool = True) -> list[str]:
    """A remark for each check that doubts cells: whom, at which levels, and what was observed; invalid ones first."""
    sorts: dict[tuple[bool, str], list[tuple[CellSummary, Finding]]] = {}
    for cell in cells:
        invalid, warning = finding(cell, "invalid"), finding(cell, "warning")
        if found := invalid or warning:
            sorts.setdefault((invalid is None, found.check), []).append((cell, found))
    remarks = []
    for (_, check), found_there in sorted(sorts.items(), key=lambda item: item[0][0]):
        names = list(dict.fromkeys(words.clipped(cell.model) for cell, _ in found_there))
        levels = list(dict.fromkeys(level_words(cell.level) for cell, _ in found_there))
        at = f" at {words.listing(levels)}" if name_levels else ""
        example = "" if len(found_there) == 1 else "e.g. "
        verdict = "not ranked: " if found_there[0][1].severity == "invalid" else ""
        remarks.append(f"{words.listing(names)}{at}, {verdict}{check}: {example}{found_there[0][1].observed}")
    return remarks


def level_words(level: Level) -> str:
    """A level in as few words as will do: "64", "50%", "5k/s", "50% in bursts", "1k/s + 100 idle", "16 new connections"."""
    if level.loop == "closed":
        name = words.digits(level.connections)
    elif level.share is not None:
        name = amounts.percent(level.share)
    else:
        name = words.asked(level.rate_per_s or 0.0)
    if level.then_share is not None:
        name += f" then {amounts.percent(level.then_share)}"
    name += "" if level.keepalive else " new connections"
    name += " in bursts" if level.arrivals == "onoff" else ""
    name += f" + {words.short(level.background.count)} {level.background.kind}" if level.background else ""
    return name + (f" cohort {level.cohort}" if level.cohort else "")


# ---------------------------------------------------------------- sentences


def by_scenario(summary: RunSummary, shown: Sequence[ScenarioSummary], say: Callable[[ScenarioSummary], str]) -> str:
    """One clause for each scenario, named when there are several; the warning first when the run proves nothing."""
    clauses = {scenario.scenario: say(scenario) for scenario in shown}
    if len(set(clauses.values())) <= 1:  # a single scenario, or the same of all
        return caution(summary, next(iter(clauses.values()), "nothing was measured"))
    return caution(summary, " · ".join(f"{name}: {clause}" for name, clause in clauses.items()))


def caution(summary: RunSummary, answer: str) -> str:
    """The answer as a sentence, after a warning when server and driver shared a core."""
    if answer.split(" ")[0] in ("no", "nothing", "of", "at", "all", "among"):  # a name keeps its case
        answer = answer[0].upper() + answer[1:]
    answer = answer if answer.endswith(".") else answer + "."
    return answer if summary.comparable else f"Not comparable: server and driver shared a core. {answer}"


def tie_words(names: Sequence[str]) -> str:
    """One name, or those without a significant difference."""
    clipped = [words.clipped(name) for name in names]
    return clipped[0] if len(clipped) == 1 else f"{words.listing(clipped)} (tied)"
