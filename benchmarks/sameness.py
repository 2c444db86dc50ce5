"""Does comparing equals show a difference? The noise of comparing, asked of visits that were really made.

Two models that are the same should be told apart at 95% once in twenty times. If the visits of a run are alike but for chance,
so they are under any labels: swapping model and twin at random within each block, or parting one model's visits of a weather
into random halves, makes as many comparisons of equals as one wants (a permutation test turned on the test itself; Good,
"Permutation, Parametric and Bootstrap Tests of Hypotheses", 3rd ed., ch. 3). A share of calls far from 5% says that intervals
are too narrow or too wide for the noise. Visits are relabelled whole, since the levels of one visit share their server.
"""

import random
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from benchmarks.comparison import Side, by_weather, cells_at, compare, doubt_of, levels_of, metrics_of, resolution, values_of
from benchmarks.differences import apart, pooled
from benchmarks.intervals import CONFIDENCE
from benchmarks.nouns import RunFacts, VisitRecord, twin_of
from benchmarks.ranking import fit
from benchmarks.selection import usable

PERMUTATIONS = 200
VISITS_WANTED = 8  # of each model: fewer have too few labellings

Values = Mapping[Hashable, float]
Groups = Mapping[Hashable, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Calls:
    """How many comparisons of equals there were, and how many of them were called a difference at 95%."""

    asked: int
    called: int

    @property
    def share(self) -> float:
        """Called by asked; 0 when nothing was asked."""
        return self.called / self.asked if self.asked else 0.0


def twins(run: RunFacts, records: Sequence[VisitRecord]) -> Calls:
    """The A/A comparisons of a run as `servebench compare MODEL MODEL~twin` makes them."""
    one, other = (Side(model, run, records, model) for model in (run.options.twin, twin_of(run.options.twin)))
    judged = [row for row in compare(one, other).rows if row.difference]
    return Calls(len(judged), sum(row.call != "no difference seen" for row in judged))


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric at one level of a scenario: each model's values by block and weather, and what the measure resolves."""

    scenario: str
    values: Mapping[str, Values]
    resolution: float


def swapped(run: RunFacts, records: Sequence[VisitRecord], seed: int = 1) -> Calls:
    """Comparisons of a model and its twin, with the two swapped in a random half of the blocks each time."""
    visits = usable(records)
    tables = [
        Paired(scenario, *values_of(cells, metric))
        for scenario in run.options.scenarios
        for level in levels_of(records, scenario)
        for cells in [cells_at(run, scenario, level, visits)]
        for metric in metrics_of(level)
    ]
    return calls_when_swapped(tables, run.options.twin, twin_of(run.options.twin), seed)


def calls_when_swapped(tables: Iterable[Paired], model: str, twin: str, seed: int, permutations: int = PERMUTATIONS) -> Calls:
    """The same of any values. All levels and metrics of a visit go together."""
    sound = [table for table in tables if table.values.get(model) and table.values.get(twin)]
    visits = sorted({(table.scenario, _block(key)) for table in sound for name in (model, twin) for key in table.values[name]})
    draw = random.Random(seed)
    asked = called = 0
    for _ in range(permutations):
        moved = {visit for visit in visits if draw.random() < 0.5}
        for table in sound:
            blocks = {block for scenario, block in moved if scenario == table.scenario}
            one, other = _relabelled(table.values[model], table.values[twin], blocks)
            fitted = fit({**table.values, model: one, twin: other}, table.resolution)
            at, twin_at = (fitted.models.index(name) for name in (model, twin))
            difference = fitted.difference(at, twin_at)
            if difference and fitted.linked[at] == fitted.linked[twin_at]:
                asked += 1
                called += difference.p_value() < 1 - CONFIDENCE
    return Calls(asked, called)


def _relabelled(one: Values, other: Values, swapped_blocks: Set[int]) -> tuple[dict[Hashable, float], dict[Hashable, float]]:
    """The values of both with some blocks' swapped. A block's visits may have seen two weathers: then their keys go along."""
    first: dict[Hashable, float] = {}
    second: dict[Hashable, float] = {}
    for key in dict.fromkeys([*one, *other]):
        to_first, to_second = (second, first) if _block(key) in swapped_blocks else (first, second)
        if key in one:
            to_first[key] = one[key]
        if key in other:
            to_second[key] = other[key]
    return first, second


def _block(key: Hashable) -> int:
    assert isinstance(key, tuple)  # see `selection.Visit.pairing`
    return int(key[0])


# ---------------------------------------------------------------- without a twin


@dataclass(frozen=True, slots=True)
class Grouped:
    """One metric of one cell: its values by weather, and what the measure resolves."""

    model: str
    values: Groups
    resolution: float


def halved(run: RunFacts, records: Sequence[VisitRecord], seed: int = 1) -> Calls:
    """Comparisons of two halves of each model's visits, drawn at random within each weather, as of two runs."""
    visits = usable(records)
    tables = [
        [
            Grouped(f"{scenario} {cell.summary.model}", by_weather(cell, metric), resolution(metric, cell.measured))
            for cell in cells
            if not doubt_of(cell, metric)
        ]
        for scenario in run.options.scenarios
        for level in levels_of(records, scenario)
        for cells in [cells_at(run, scenario, level, visits)]
        for metric in metrics_of(level)
    ]
    return calls_when_halved(tables, seed)


def calls_when_halved(tables: Sequence[Sequence[Grouped]], seed: int, permutations: int = PERMUTATIONS) -> Calls:
    """The same of any values; the cells of one table share their noise."""
    draw = random.Random(seed)
    asked = called = 0
    for _ in range(permutations):
        chosen: dict[tuple[str, Hashable, int], set[int]] = {}
        for table in tables:
            steps = [(apart(*_halves(cell.model, cell.values, chosen, draw)), cell.resolution) for cell in table]
            noise = pooled(step for step, _ in steps if step)
            for step, resolved in steps:
                if step and (difference := step.judged(noise, resolved)):
                    asked += 1
                    called += difference.p_value() < 1 - CONFIDENCE
    return Calls(asked, called)


def _halves(
    model: str, groups: Groups, chosen: dict[tuple[str, Hashable, int], set[int]], draw: random.Random
) -> tuple[dict[Hashable, list[float]], dict[Hashable, list[float]]]:
    """One half of each weather's visits and the other; the same visits at every level that has as many."""
    one: dict[Hashable, list[float]] = {}
    other: dict[Hashable, list[float]] = {}
    for weather, values in groups.items():
        key = (model, weather, len(values))
        if key not in chosen:
            chosen[key] = set(draw.sample(range(len(values)), len(values) // 2))
        one[weather] = [value for at, value in enumerate(values) if at in chosen[key]]
        other[weather] = [value for at, value in enumerate(values) if at not in chosen[key]]
    return one, other
