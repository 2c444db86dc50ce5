"""What a gate asks of a scenario, and what the records of base and head, interleaved, say of it.

A gate wants one number for each bound, so of a scenario only the levels on which these numbers stand are measured: the time
goes into what is judged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from benchmarks import plan
from benchmarks.amounts import half_width
from benchmarks.comparison import Column, Name, Row, Told, called, column, paired_row
from benchmarks.gates import Gate, Judged, held
from benchmarks.metrics import PEAK, levels_of
from benchmarks.nouns import ReplicateRecord, RunFacts, RunOptions
from benchmarks.questions import Level, Measure, Scenario

ENOUGH = 0.5  # of the way from 1 to the bound: with intervals that reach so far an equal is kept in 19 of 20 cases
HALF = 0.5  # of its own peak: where the response times of a scenario without common rates are asked
CLOSED, OPEN = ("rate", "cpu", "memory"), ("cpu", "p50", "p90", "p99")

Pairs = Mapping[str, tuple[str, str]]  # what the rows are called, and the names of base and head in the run


class Unasked(ValueError):
    """A bound about what the scenario does not measure; the message says what it does."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A scenario cut down to the levels that are judged, and each bound with the quantity that it is about."""

    name: str
    scenario: Scenario
    bounds: tuple[tuple[Gate, Column], ...]


def asked(name: str, scenario: Scenario, worse: float | None, gates: Iterable[Gate]) -> Asked:
    """`worse` is by how large a share the scenario's first measure may be worse, None for no bound on it. Raises Unasked."""
    found = [] if worse is None else [_first(scenario, worse)]
    found += [(gate, _column(name, scenario, gate.metric)) for gate in gates]
    wanted = {label for _, one in found for label in levels_of(one.metric, "")}
    measures = tuple(
        Measure(f"{one.name} at {one.metric.level or 'the peak'}", one.metric, "more" if one.more_is_better else "less")
        for _, one in found
    )
    return Asked(name, replace(_cut(scenario, wanted), measures=measures, predictions=()), tuple(found))


def _first(scenario: Scenario, worse: float) -> tuple[Gate, Column]:
    """The bound on what the scenario ranks by, in the form of the others."""
    measure = scenario.measures[0] if scenario.measures else PEAK
    more, quantity = measure.better == "more", measure.metric.quantity
    text = f"{quantity}{'<-' if more else '>+'}{100 * worse:g}%"
    bound = Gate(text, quantity, more, 1 - worse if more else 1 + worse)
    return bound, Column(quantity, measure.metric, measure.margin, more)


def _column(name: str, scenario: Scenario, metric: str) -> Column:
    """The quantity that a bound is about, at the level where the scenario measures it, or where it would."""
    quantity = next(one for one in get_args(Name) if one == metric)
    for measure in scenario.measures:
        own = measure.metric
        if own.quantity == quantity and own.level and not own.label and own.by is None:
            return column(quantity, own.level)
    labels = [level.label for level in _levels(scenario) if _tells(level, quantity)]
    if not labels:
        raise Unasked(f"{name} has no level that tells {metric}; compare it in another scenario")
    ranked = [label for measure in scenario.measures for label in levels_of(measure.metric, "") if label in labels]
    return column(quantity, [*ranked, *labels][0])


def _levels(scenario: Scenario) -> list[Level]:
    """Its plain levels, the preferred ones first: common rates, half of the peak, then closed ones from the middle on."""
    opened = [Level("open", scenario.open_connections, rate_per_s=rate) for rate in scenario.open_rates_per_s]
    shares = sorted((share for share in scenario.open_shares if share < 1), key=lambda share: abs(share - HALF))
    opened += [Level("open", scenario.open_connections, share=share) for share in shares]
    middle = scenario.quick_closed or scenario.closed[len(scenario.closed) // 2 :] or scenario.closed
    return [*opened, *(Level("closed", connections) for connections in middle)]


def _tells(level: Level, quantity: str) -> bool:
    """Whether a level tells a quantity of two versions. At a share of its own peak each version has another rate."""
    if level.loop == "closed":
        return quantity in CLOSED
    return quantity in OPEN and not (quantity == "cpu" and level.share is not None)


def _cut(scenario: Scenario, wanted: set[str]) -> Scenario:
    """Without the levels that nothing is wanted of; a scenario whose levels need one another is left as it is."""
    whole = replace(scenario, quick=False, quick_closed=(), quick_shares=(), quick_rates_per_s=())
    if scenario.churn or scenario.background or scenario.burst_rates_per_s or scenario.cohorts or scenario.recovery:
        return whole
    connections = scenario.open_connections
    shares = [one for one in scenario.open_shares if Level("open", connections, share=one).label in wanted]
    rates = [one for one in scenario.open_rates_per_s if Level("open", connections, rate_per_s=one).label in wanted]
    closed = [one for one in scenario.closed if Level("closed", one).label in wanted]
    if "" in wanted or (shares and not closed):  # the peak, and what shares are of
        closed = list(scenario.closed)
    return replace(whole, closed=tuple(closed), open_shares=tuple(shares), open_rates_per_s=tuple(rates))


# ---------------------------------------------------------------- how long it takes


def fitted(options: RunOptions, scenarios: Mapping[str, Scenario], budget_s: float, fewest_s: float) -> RunOptions:
    """The options with levels as long as they are, or as short as lets the replicates fit into the budget."""

    def takes_s(level_s: float) -> float:
        return options.replicates * plan.replicate_s(replace(options, level_s=level_s), scenarios)

    level_s = options.level_s
    while level_s > fewest_s and takes_s(level_s) > budget_s:
        level_s = max(level_s * 0.9, fewest_s)
    return replace(options, level_s=level_s)


# ---------------------------------------------------------------- what the records say


def judged(run: RunFacts, records: Sequence[ReplicateRecord], scenarios: Iterable[Asked], pairs: Pairs) -> list[Judged]:
    """Each bound held against each model, in the order of models."""
    rows: list[tuple[Gate, Row]] = []
    for one in scenarios:
        told = Told(run, one.name, records)
        for gate, about in one.bounds:
            for model, (base, head) in pairs.items():
                rows.append((gate, paired_row(told, about, base, head, ("base", "head"), model)))
    # A bound was asked for, so nothing is excused from having a number.
    known = called([replace(row, excused=False) for _, row in rows])
    order = list(pairs)
    found = held([(gate, row) for (gate, _), row in zip(rows, known, strict=True)])
    return sorted(found, key=lambda one: order.index(one.row.model) if one.row else len(order))


def too_wide(found: Iterable[Judged]) -> bool:
    """Whether an interval reaches too far for its bound. Only the width is asked, never on which side the interval lies: who
    stops at the first significant difference finds some that are not there (see `adaptive`)."""
    return any(_width(one) > ENOUGH * abs(one.gate.bound - 1) for one in found if one.row and one.row.ratio)


def _width(one: Judged) -> float:
    width = half_width(one.row.ratio) if one.row and one.row.ratio else None
    return math.inf if width is None else width


def remarks(records: Iterable[ReplicateRecord], pairs: Pairs) -> list[str]:
    """What is worth a word: versions that answer other bytes."""
    other: dict[tuple[str, str], None] = {}
    for record in records:
        digests = {trial.model: trial.digest for trial in record.trials if trial.digest}
        for model, (base, head) in pairs.items():
            if digests.get(base, "") != digests.get(head, "") and base in digests and head in digests:
                other[model, record.scenario] = None
    return [f"{model} answers other bytes in {scenario}: head is not the same application" for model, scenario in other]
