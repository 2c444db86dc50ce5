"""Two runs, or two models of one run: what is different, by how much, and how sure that is.

A cell is compared by what its level can tell: throughput, CPU time per request and memory in the closed loop, percentiles of
response time and CPU time in the open one (DESIGN, section 4: in a closed loop latency says nothing new). **One run** pairs its
visits by block and weather, as its ranks do. **Two runs** share no block, so their visits are compared within each weather that
both saw, the weathers of both labelled together; see `benchmarks.differences`.

Each ratio has its own 95% interval, and its call is made by that. Of many calls one in twenty is false, so each is also asked
whether it stands after Holm's correction over the whole table: then it is beyond doubt. What can't be compared stays in the
table and says why: struck, overloaded, too few requests, not there.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks import histogram
from benchmarks.cells import Cell, Measured, cells_of_level
from benchmarks.checks.service import is_overloaded
from benchmarks.differences import Apart, Difference, apart, pooled
from benchmarks.intervals import CONFIDENCE, counting_sd, samples_wanted
from benchmarks.metrics import BUCKET_SD
from benchmarks.nouns import RunFacts, VisitRecord, is_twin, visited
from benchmarks.questions import Level
from benchmarks.ranking import FALSE_DIFFERENCE, fit, holm
from benchmarks.selection import UNSTEADY, Visit, failures, usable
from benchmarks.standings import quantile_of_visit, tells
from benchmarks.summaries import Estimate

Metric = Literal["throughput", "p50", "p90", "p99", "cpu", "memory"]
Call = Literal["faster", "slower", "less", "more", "no difference seen", ""]

QUANTILES: Mapping[Metric, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
FEW = "too few requests"
UNITS: Mapping[Metric, str] = {"throughput": "/s", "p50": "ns", "p90": "ns", "p99": "ns", "cpu": "ns", "memory": "bytes"}
PAGE_BYTES = 4096  # memory is counted in pages
PAGE_SD = PAGE_BYTES / math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a run, and the model of it that is meant, or "" for all. `name` is what the user calls it."""

    name: str
    run: RunFacts
    records: Sequence[VisitRecord]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one cell, on both sides; `ratio` is the second's to the first's.

    `why_not` says why there is no ratio or no call, and then `seen` whether that leaves something unknown that should be known.
    """

    scenario: str
    level: str
    model: str  # "" where two models are compared
    metric: Metric
    base: float | None  # geometric means over the visits that were compared
    other: float | None
    ratio: Estimate | None
    difference: Difference | None
    call: Call
    beyond_doubt: bool
    why_not: str = ""
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, in the order of scenarios, models and levels, and how they were made."""

    base: str
    other: str
    paired: bool
    rows: list[Row]
    missing: list[str] = field(default_factory=list)  # what only the first has
    added: list[str] = field(default_factory=list)  # what only the second has

    def only(self, scenarios: Sequence[str]) -> "Comparison":
        """These scenarios alone, their calls corrected for one another."""
        kept = [row for row in self.rows if row.scenario in scenarios]
        missing = [told for told in self.missing if not told.startswith("scenario ")]
        return replace(self, rows=_doubted(kept), missing=missing)


@dataclass(frozen=True, slots=True)
class _Pair:
    """A model's cells at one level on both sides; None where there is none."""

    scenario: str
    level: Level
    model: str
    base: Cell | None
    other: Cell | None


def compare(base: Side, other: Side) -> Comparison:
    """Compare two sides. Two models of one run are paired; a run and a copy of it are two runs."""
    of_one_run = base.run.options.name == other.run.options.name and base.run.started_at == other.run.started_at
    paired = of_one_run and bool(base.model and other.model) and base.model != other.model
    rows = _within_a_run(base, other) if paired else _across_runs(base, other)
    one_sided = ([], []) if paired else (_only(base, other), _only(other, base))
    return Comparison(base.name, other.name, paired, _doubted(rows), *one_sided)


def metrics_of(level: Level) -> tuple[Metric, ...]:
    """What a level can tell. At its own peak and beyond a server is overloaded by intention, and nothing is."""
    if level.loop == "closed":
        return "throughput", "cpu", "memory"
    if level.share is not None:
        return ("p50", "p90", "p99") if level.share < 1 else ()
    return "p50", "p90", "p99", "cpu"


# ---------------------------------------------------------------- one run


def _within_a_run(base: Side, other: Side) -> list[Row]:
    visits = usable(base.records)
    rows = []
    for scenario in base.run.options.scenarios:
        for level in levels_of(base.records, scenario):
            cells = {cell.summary.model: cell for cell in cells_at(base.run, scenario, level, visits)}
            pair = _Pair(scenario, level, "", cells.get(base.model), cells.get(other.model))
            rows += [_paired_row(pair, list(cells.values()), metric, (base, other)) for metric in metrics_of(level)]
    return rows


def _paired_row(pair: _Pair, beside: Sequence[Cell], metric: Metric, sides: tuple[Side, Side]) -> Row:
    """By the fit of all models of the level, as the ranks are; what can't be believed of the others is left out of it."""
    refused = _refused(pair, metric, sides)
    if refused or pair.base is None or pair.other is None:
        return refused or _unknown(pair, metric, "not measured")
    values, coarsest = values_of(beside, metric)
    one, two = (values[cell.summary.model] for cell in (pair.base, pair.other))
    shared = [key for key in one if key in two]
    if not shared:
        return _unknown(pair, metric, "no block of one weather in common")
    fitted = fit(values, coarsest)
    at = [fitted.models.index(cell.summary.model) for cell in (pair.other, pair.base)]
    means = _mean([one[key] for key in shared]), _mean([two[key] for key in shared])
    difference = fitted.difference(at[0], at[1])
    return _row(pair, metric, means, fitted.log_ratio(at[0], at[1]), difference)


def values_of(cells: Sequence[Cell], metric: Metric) -> tuple[dict[str, dict[Hashable, float]], float]:
    """Each believable cell's positive values by block and weather, and the coarsest resolution among them."""
    sound = [cell for cell in cells if not doubt_of(cell, metric)]
    values: dict[str, dict[Hashable, float]] = {
        cell.summary.model: {m.visit.pairing: positive for m in cell.measured if (positive := value(metric, m)) > 0}
        for cell in sound
    }
    return values, max((resolution(metric, cell.measured) for cell in sound), default=0.0)


# ---------------------------------------------------------------- two runs


def _across_runs(base: Side, other: Side) -> list[Row]:
    base_visits, other_visits = _labelled_together(base.records, other.records)
    rows = []
    for scenario in (name for name in base.run.options.scenarios if name in other.run.options.scenarios):
        for level in levels_of([*base.records, *other.records], scenario):
            first = {cell.summary.model: cell for cell in cells_at(base.run, scenario, level, base_visits)}
            second = {cell.summary.model: cell for cell in cells_at(other.run, scenario, level, other_visits)}
            pairs = [_Pair(scenario, level, model, first.get(model), second.get(model)) for model in first if model in second]
            asked = [pair for pair in pairs if not is_twin(pair.model)]
            if base.model:
                name = base.model if base.model == other.model else ""
                asked = [_Pair(scenario, level, name, first.get(base.model), second.get(other.model))]
            rows += [row for metric in metrics_of(level) for row in _unpaired_rows(asked, pairs, metric, (base, other))]
    return rows


def _unpaired_rows(asked: Sequence[_Pair], beside: Sequence[_Pair], metric: Metric, sides: tuple[Side, Side]) -> Iterable[Row]:
    """The rows of one level. Their noise is that of all models that were measured in both runs."""
    found = {id(pair): _apart(pair, metric) for pair in (*asked, *beside) if not _refused(pair, metric, sides)}
    noise = pooled(_once(asked, beside, found))
    for pair in asked:
        refused = _refused(pair, metric, sides)
        step = found.get(id(pair))
        if refused or step is None or pair.base is None or pair.other is None:
            yield refused or _unknown(pair, metric, "the two runs have no weather in common")
            continue
        measured = [*pair.base.measured, *pair.other.measured]
        grouped = [by_weather(cell, metric) for cell in (pair.base, pair.other)]
        shared = set(grouped[0]) & set(grouped[1])
        means = [_mean([v for weather in shared for v in group[weather]]) for group in grouped]
        difference = step.judged(noise, resolution(metric, measured))
        yield _row(pair, metric, (means[0], means[1]), step.log_ratio, difference)


def _once(asked: Sequence[_Pair], beside: Sequence[_Pair], found: Mapping[int, Apart | None]) -> list[Apart]:
    """Every cell's noise once: that of the pairs that were asked for, then of models that are in none of them."""
    taken = {(side, cell.summary.model) for pair in asked for side, cell in enumerate((pair.base, pair.other)) if cell}
    others = [pair for pair in beside if not {(0, pair.model), (1, pair.model)} & taken]
    return [step for pair in (*asked, *others) if (step := found.get(id(pair)))]


def _apart(pair: _Pair, metric: Metric) -> Apart | None:
    if pair.base is None or pair.other is None:
        return None
    return apart(by_weather(pair.base, metric), by_weather(pair.other, metric))


def by_weather(cell: Cell, metric: Metric) -> dict[Hashable, list[float]]:
    """A cell's positive values by weather. Visits on whose way it changed have no partner in another run but their like."""
    groups: dict[Hashable, list[float]] = {}
    for measured in cell.measured:
        if (found := value(metric, measured)) > 0:
            groups.setdefault(measured.visit.weather, []).append(found)
    if len(groups) > 1:
        groups.pop(UNSTEADY, None)
    return groups


def _labelled_together(base: Sequence[VisitRecord], other: Sequence[VisitRecord]) -> tuple[list[Visit], list[Visit]]:
    """The visits of two runs that count, with labels of weather that mean the same in both."""
    after = 1 + max((record.plan.block for record in base), default=0)
    moved = [replace(record, plan=replace(record.plan, block=record.plan.block + after)) for record in other]
    together = usable([*base, *moved], share_blocks=False)
    parted = [visit.record.plan.block >= after for visit in together]
    return (
        [visit for visit, is_other in zip(together, parted, strict=True) if not is_other],
        [visit for visit, is_other in zip(together, parted, strict=True) if is_other],
    )


def _only(side: Side, beside: Side) -> list[str]:
    """What only one of two runs was asked for, in words; of models when all are compared."""
    one, two = side.run.options, beside.run.options
    kinds = [("scenario", one.scenarios, two.scenarios)] + ([] if side.model else [("model", one.models, two.models)])
    return [f"{kind} {name}" for kind, names, others in kinds for name in names if name not in others]


# ---------------------------------------------------------------- what both have in common


def value(metric: Metric, measured: Measured) -> float:
    """One visit's value; 0 when it has none. Times in ns, memory in bytes."""
    server = measured.window.server
    if metric == "throughput":
        return measured.rate_per_s
    if metric == "cpu":
        return (server.cpu_user_ns + server.cpu_system_ns) / max(measured.window.load.completed, 1)
    if metric == "memory":
        return float(server.uss_bytes or server.rss_bytes)
    return quantile_of_visit(measured, QUANTILES[metric])


def resolution(metric: Metric, measured: Iterable[Measured]) -> float:
    """The standard deviation of the logarithm that the measure itself brings, at the coarsest of these visits."""
    if metric in QUANTILES:
        return BUCKET_SD
    if metric == "memory":
        return max((PAGE_SD / size for one in measured if (size := value(metric, one)) > 0), default=0.0)
    return max((counting_sd(one.window.load.completed) for one in measured), default=0.0)


def levels_of(records: Iterable[VisitRecord], scenario: str) -> list[Level]:
    """The levels at which a scenario was measured: closed ones, shares of each model's peak, common rates."""
    taken = {w.level.label: w.level for record in records if record.plan.scenario == scenario for w in record.windows}
    return sorted(taken.values(), key=_in_order)


def _in_order(level: Level) -> tuple[str, float, float, int]:
    return level.loop, level.rate_per_s or 0.0, level.share or 0.0, level.connections


def cells_at(run: RunFacts, scenario: str, level: Level, visits: Iterable[Visit]) -> list[Cell]:
    """The cells of everybody who was visited, at one level of a scenario."""
    of_scenario = [visit for visit in visits if visit.record.plan.scenario == scenario]
    by_model = {model: [visit for visit in of_scenario if visit.record.plan.model == model] for model in visited(run.options)}
    return cells_of_level(run, scenario, level, by_model)


def doubt_of(cell: Cell, metric: Metric) -> str:
    """Why a cell has no believable value of a metric; empty when it has."""
    summary = cell.summary
    if not cell.measured:
        return "no visit counts"
    if summary.struck:
        return "struck: " + ", ".join(dict.fromkeys(f.check for f in summary.findings if f.severity == "strike"))
    if metric in QUANTILES:
        if is_overloaded(summary):
            return "overloaded"
        if not tells(cell, QUANTILES[metric]):
            return _untold(cell, QUANTILES[metric])
    if not any(value(metric, measured) > 0 for measured in cell.measured):
        return "too little to measure"
    return ""


def _untold(cell: Cell, q: float) -> str:
    """Why the quantile q can't be told, briefly; the report has the figures."""
    fewest = min(histogram.total(measured.response.finished) for measured in cell.measured)
    return FEW if fewest < samples_wanted(q) else "the engine's own pauses"


def _refused(pair: _Pair, metric: Metric, sides: tuple[Side, Side]) -> Row | None:
    """The row of a pair that can't be compared, None for one that can."""
    doubts = []
    for cell, side in zip((pair.base, pair.other), sides, strict=True):
        doubt = doubt_of(cell, metric) if cell else "not measured"
        if doubt == "no visit counts":
            doubt = _failure(side, pair, cell) or "not measured"
        doubts.append(doubt)
    if not any(doubts):
        return None
    if doubts == ["overloaded", "overloaded"]:  # nothing is lost: neither can carry it
        return _unknown(pair, metric, "both overloaded", seen=True)
    if doubts[0] == "overloaded" and not doubts[1]:
        return _unknown(pair, metric, f"{sides[0].name} overloaded, {sides[1].name} not", seen=True)
    if doubts[0] == doubts[1]:  # few requests are a matter of the rate that was asked for, and nobody's failure
        return _unknown(pair, metric, doubts[0], seen=doubts[0] == FEW)
    if doubts == ["not measured", ""]:  # a level that only the new run has
        return _unknown(pair, metric, f"{sides[0].name}: not measured", seen=True)
    return _unknown(
        pair, metric, "; ".join(f"{side.name}: {doubt}" for side, doubt in zip(sides, doubts, strict=True) if doubt)
    )


def _failure(side: Side, pair: _Pair, cell: Cell | None) -> str:
    """What the first failed visit of a cell without any other said."""
    model = cell.summary.model if cell else pair.model
    failed = failures(side.records).get((model, pair.scenario), [])
    return f"failed ({failed[0].failure.stage}: {failed[0].failure.message})" if failed and failed[0].failure else ""


def _unknown(pair: _Pair, metric: Metric, why: str, seen: bool = False) -> Row:
    return Row(pair.scenario, pair.level.label, pair.model, metric, None, None, None, None, "", False, why, seen)


def _row(pair: _Pair, metric: Metric, means: tuple[float, float], log_ratio: float, difference: Difference | None) -> Row:
    where = (pair.scenario, pair.level.label, pair.model, metric, *means)
    if difference is None:
        alone = Estimate(math.exp(log_ratio), None, None, [])
        return Row(*where, alone, None, "", False, "one visit shows no noise", seen=False)
    return Row(*where, difference.estimate(), difference, _call(metric, difference), False)


def _call(metric: Metric, difference: Difference) -> Call:
    """The call that a 95% interval makes."""
    if difference.p_value() >= 1 - CONFIDENCE:
        return "no difference seen"
    higher = difference.log_ratio > 0
    if metric in ("cpu", "memory"):
        return "more" if higher else "less"
    return "faster" if higher == (metric == "throughput") else "slower"


def _doubted(rows: Sequence[Row]) -> list[Row]:
    """The rows with Holm's correction over all of them."""
    judged = [row for row in rows if row.difference]
    corrected = holm([row.difference.p_value() for row in judged if row.difference])
    sure = {id(row) for row, p in zip(judged, corrected, strict=True) if p < FALSE_DIFFERENCE}
    return [replace(row, beyond_doubt=id(row) in sure) for row in rows]


def _mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))
