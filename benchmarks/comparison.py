"""Two runs, or two models of one run: what is different, by how much, and how sure that is.

A cell is compared by what its level can tell: throughput, CPU time per request and memory in the closed loop, percentiles of
response time and CPU time in the open one (DESIGN, section 4: in a closed loop latency says nothing new). **One run** pairs its
models by replicate, as its ranks do (`stats.scoreboard`). **Two runs** share no replicate, so they are compared as two groups
(`stats.apart`); what else changed between them is in the ratio and in no interval.

Each ratio has its own 95% interval. What it is called is corrected for the number of rows, as the pairs of a run are
(`stats.difference`): the same within a margin, else different if significant, else open. What can't be compared stays in the
table and says why: invalid, overloaded, too few requests, not there.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks.cells import cells_of_level
from benchmarks.metrics import levels_of
from benchmarks.nouns import ReplicateRecord, RunFacts, is_aa_arm
from benchmarks.observed import Observed
from benchmarks.questions import SAME, SAME_TIME, TIMES, Level, Metric
from benchmarks.results import Values, values_of
from benchmarks.stats import apart
from benchmarks.stats.difference import FALSE_CALL, Difference, holm, significant
from benchmarks.stats.scoreboard import difference
from benchmarks.summaries import CellSummary, Estimate

Name = Literal["rate", "p50", "p90", "p99", "cpu", "memory"]
Call = Literal["faster", "slower", "less", "more", "same", "open", ""]

NAMES: tuple[Name, ...] = ("rate", "p50", "p90", "p99", "cpu", "memory")
COSTS = ("cpu", "memory", "held memory", "switches", "faults", "threads", "descriptors")  # "less" and "more", not fast or slow
FEW = "too few requests"
OVERLOADED = "overloaded"
_FEW = " wants "  # as `tails.too_few` says it
PAGE_BYTES = 4096  # memory is counted in pages
PAGE_SD = PAGE_BYTES / math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a run, and the model of it that is meant, or "" for all. `name` is what the user calls it."""

    name: str
    run: RunFacts
    records: Sequence[ReplicateRecord]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A quantity that is compared: what the user calls it, where it is from, and within which share two are the same."""

    name: str
    metric: Metric
    margin: float
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one cell, on both sides; `ratio` is the second's to the first's.

    `why` says why there is no ratio or no call; `excused` that then nothing is unknown that should be known. `worse` and
    `better` say that only one side has a number, since the other failed or was overloaded: which is worse.
    """

    scenario: str
    level: str
    model: str  # "" where two models are compared
    metric: str
    more_is_better: bool
    base: float | None  # geometric means over the replicates that were compared; times in ns, memory in bytes
    other: float | None
    ratio: Estimate | None
    difference: Difference | None
    call: Call = ""
    why: str = ""
    excused: bool = False
    worse: bool = False
    better: bool = False
    margin: float = SAME

    @property
    def judged(self) -> bool:
        """Whether the noise of its ratio is known."""
        return self.difference is not None and self.difference.error is not None


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
        return replace(self, rows=called(kept), missing=missing)


def compare(base: Side, other: Side) -> Comparison:
    """Compare two sides. Two models of one run are paired; a run and a copy of it are two runs."""
    of_one_run = base.run.options.name == other.run.options.name and base.run.started_at == other.run.started_at
    paired = of_one_run and bool(base.model and other.model) and base.model != other.model
    rows = _within_a_run(base, other) if paired else _across_runs(base, other)
    one_sided = ([], []) if paired else (_only(base, other), _only(other, base))
    return Comparison(base.name, other.name, paired, called(rows), *one_sided)


def columns(level: Level, same: float | None = None) -> list[Column]:
    """What a level can tell. At its own peak and beyond a server is overloaded by intention, and nothing is."""
    names: tuple[Name, ...] = ("p50", "p90", "p99", "cpu")
    if level.loop == "closed":
        names = ("rate", "cpu", "memory")
    elif level.share is not None:
        names = ("p50", "p90", "p99") if level.share < 1 else ()
    return [column(name, level.label, same) for name in names]


def column(name: Name, label: str, same: float | None = None) -> Column:
    """The quantity of that name at a level."""
    return Column(name, Metric(name, label), same or (SAME_TIME if name in TIMES else SAME), name == "rate")


# ---------------------------------------------------------------- one run


def _within_a_run(base: Side, other: Side) -> list[Row]:
    rows = []
    for scenario in base.run.options.scenarios:
        told = Told(base.run, scenario, base.records)
        for level in told.observed.levels:
            asked = columns(level, base.run.options.same)
            rows += [paired_row(told, one, base.model, other.model, (base.name, other.name), "") for one in asked]
    return rows


class Told:
    """One scenario of a run, to be asked for the values of many quantities."""

    def __init__(self, run: RunFacts, scenario: str, records: Iterable[ReplicateRecord]) -> None:
        self.observed = Observed(run, scenario, records)
        self._levels = {level.label: level for level in self.observed.levels}
        self._cells: dict[str, dict[str, CellSummary]] = {}

    def values(self, metric: Metric) -> dict[str, Values]:
        """The metric of every model, with what forbids to compare it."""
        for model in self.observed.models:
            for label in levels_of(metric, self.observed.peak_levels.get(model, "")):
                if label in self._levels and label not in self._cells:
                    cells = cells_of_level(self.observed, self._levels[label])
                    self._cells[label] = {cell.summary.model: cell.summary for cell in cells}
        found = values_of(metric, self.observed, self._cells)
        if metric.quantity == "memory" and metric.by is None:
            return {model: self._resident(metric.level, model, values) for model, values in found.items()}
        return found

    def _resident(self, label: str, model: str, values: Values) -> Values:
        """Where other servers were alive a model's own memory is not known: its resident memory, shared pages and all."""
        measured = self.observed.counting(model, label)
        if values.by_replicate or not measured or values.reason != "unknown":
            return values
        return replace(values, by_replicate={one.replicate: float(one.measurement.server.rss_bytes) for one in measured},
                       reason="", why="")  # fmt: skip

    def resolution(self, metric: Metric, values: Mapping[str, Values]) -> float:
        """The standard deviation of the logarithm that the measurement itself brings, at the coarsest of these values."""
        able = [model for model, of_model in values.items() if of_model.comparable and of_model.positive]
        if metric.quantity == "memory":
            return max((PAGE_SD / min(values[model].positive.values()) for model in able), default=0.0)
        return self.observed.resolution(metric, able)


def paired_row(told: Told, asked: Column, base: str, other: str, names: tuple[str, str], model: str) -> Row:
    """Two models of one run, paired by replicate. The others of the level tell how large the noise is.

    `names` are what base and other are called in words, `model` what the row is about.
    """
    values = told.values(asked.metric)
    empty = _empty(told.observed.scenario, asked, model)
    refused = _refused(empty, (values.get(base), values.get(other)), names)
    if refused is not None:
        return refused
    able = {name: one.positive for name, one in values.items() if one.comparable and one.positive}
    step = difference(able, other, base, told.resolution(asked.metric, values))
    shared = sorted(able[base].keys() & able[other].keys())
    if step is None or not shared:
        return replace(empty, why="no replicate in common")
    ratios = [able[other][number] / able[base][number] for number in shared]
    return _row(empty, step, ([able[base][number] for number in shared], [able[other][number] for number in shared]), ratios)


# ---------------------------------------------------------------- two runs


def _across_runs(base: Side, other: Side) -> list[Row]:
    rows: list[Row] = []
    for scenario in (name for name in base.run.options.scenarios if name in other.run.options.scenarios):
        sides = Told(base.run, scenario, base.records), Told(other.run, scenario, other.records)
        both = [model for model in sides[0].observed.models if model in sides[1].observed.models and not is_aa_arm(model)]
        asked = [(model, model) for model in both]
        if base.model:
            asked = [(base.model, other.model)]
        levels = {level.label: level for side in sides for level in side.observed.levels}
        for level in sorted(levels.values(), key=_in_order):
            for one in columns(level, base.run.options.same):
                rows += _unpaired_rows(sides, one, asked, both, (base.name, other.name))
    return rows


def _in_order(level: Level) -> tuple[str, bool, float, float, int]:
    return level.loop, level.share is None, level.rate_per_s or 0.0, level.share or 0.0, level.connections


def _unpaired_rows(
    sides: tuple[Told, Told],
    asked: Column,
    pairs: Sequence[tuple[str, str]],
    both: Sequence[str],
    names: tuple[str, str],
) -> Iterable[Row]:
    """The rows of one quantity at one level. All models that were measured in both runs tell how large the noise is."""
    values = tuple(side.values(asked.metric) for side in sides)
    noisy = dict.fromkeys([*pairs, *((model, model) for model in both)])
    able = [
        pair
        for pair in noisy
        if all(of_side[name].comparable and of_side[name].positive for of_side, name in zip(values, pair, strict=True))
    ]
    found = apart.differences(
        {pair: values[0][pair[0]].positive for pair in able},
        {pair: values[1][pair[1]].positive for pair in able},
        max(side.resolution(asked.metric, of_side) for side, of_side in zip(sides, values, strict=True)),
    )
    for pair in pairs:
        empty = _empty(sides[0].observed.scenario, asked, pair[0] if pair[0] == pair[1] else "")
        given = values[0].get(pair[0]), values[1].get(pair[1])
        refused = _refused(empty, given, names)
        if refused is not None or pair not in found:
            yield refused or replace(empty, why="nothing in common")
            continue
        one, two = (list(of_side[name].positive.values()) for of_side, name in zip(values, pair, strict=True))
        yield _row(empty, found[pair], (one, two), [])


def _only(side: Side, beside: Side) -> list[str]:
    """What only one of two runs was asked for, in words; of models when all are compared."""
    one, two = side.run.options, beside.run.options
    kinds = [("scenario", one.scenarios, two.scenarios)] + ([] if side.model else [("model", one.models, two.models)])
    return [f"{kind} {name}" for kind, names, others in kinds for name in names if name not in others]


# ---------------------------------------------------------------- what can't be compared


def _empty(scenario: str, asked: Column, model: str) -> Row:
    label = asked.metric.level or "peak"
    return Row(scenario, label, model, asked.name, asked.more_is_better, None, None, None, None, margin=asked.margin)


def _refused(empty: Row, sides: tuple[Values | None, Values | None], names: tuple[str, str]) -> Row | None:
    """The row of a pair that can't be compared, None for one that can."""
    doubts = [_doubt(values) for values in sides]
    if not any(doubts):
        return None
    if doubts == [OVERLOADED, OVERLOADED]:  # nothing is lost: neither can carry it
        return replace(empty, why=f"both {OVERLOADED}", excused=True)
    if doubts[0] == OVERLOADED and not doubts[1]:
        return replace(empty, why=f"{names[0]} {OVERLOADED}, {names[1]} not", excused=True, better=True)
    if doubts[0] == doubts[1]:  # few requests are a matter of the rate that was asked for, and nobody's failure
        return replace(empty, why=doubts[0], excused=doubts[0] == FEW)
    if doubts == ["not measured", ""]:  # a level that only the new run has
        return replace(empty, why=f"{names[0]}: not measured", excused=True)
    # A share of the model's own peak is another load for each, and who carries it one time may not the next.
    common = "%" not in empty.level
    worse = not doubts[0] and (doubts[1].startswith("failed") or (doubts[1] == OVERLOADED and common))
    why = "; ".join(f"{name}: {doubt}" for name, doubt in zip(names, doubts, strict=True) if doubt)
    return replace(empty, why=why, worse=worse)


def _doubt(values: Values | None) -> str:
    """Why a model has no value that may be compared; empty when it has."""
    if values is None or "was not measured" in values.why:
        return "not measured"
    if values.reason == "failed":
        return "not measured" if values.why == "it was not measured" else f"failed ({values.why})"
    if values.reason == "overloaded":
        return OVERLOADED
    if values.reason == "unknown":
        return FEW if _FEW in values.why else values.why
    if values.reason:
        return f"{values.reason} ({values.why.partition(':')[0]})" if values.reason == "invalid" else values.why
    return "" if values.positive else "too little to measure"


# ---------------------------------------------------------------- what both have in common


def _row(empty: Row, step: Difference, values: tuple[Sequence[float], Sequence[float]], ratios: Sequence[float]) -> Row:
    base, other = (statistics.geometric_mean(of_side) for of_side in values)
    why = "one replicate shows no noise" if step.error is None else ""
    return replace(empty, base=base, other=other, ratio=step.estimate(ratios), difference=step, why=why)


def called(rows: Sequence[Row]) -> list[Row]:
    """The rows with what each is called, corrected for their number (Holm)."""
    known = [(row, row.difference) for row in rows if row.judged and row.difference is not None]
    differ = significant([step for _, step in known])
    same = [p < FALSE_CALL for p in holm([step.same_p_value(row.margin) for row, step in known])]
    calls = {
        id(row): "same" if is_same else _direction(row, step) if is_other else "open"
        for (row, step), is_same, is_other in zip(known, same, differ, strict=True)
    }
    return [replace(row, call=calls.get(id(row), "")) for row in rows]


def _direction(row: Row, step: Difference) -> Call:
    higher = step.log_ratio > 0
    if row.metric in COSTS:
        return "more" if higher else "less"
    return "faster" if higher == row.more_is_better else "slower"
