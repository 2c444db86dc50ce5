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

from benchmarks.comparison import Side, by_weather, cells_at, compare, levels_of, metrics_of, resolution, values_of
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


def swapped(run: RunFacts, records: Sequence[VisitRecord], seed: int = 1, permutations: int = PERMUTATIONS) -> Calls:
    """Comparisons of a model and its twin, with the two swapped in a random half of the blocks each time."""
    names = run.options.twin, twin_of(run.options.twin)
    tables = [
        (scenario, values, coarsest)
        for scenario, values, coarsest in _tables(run, records)
        if all(values.get(name) for name in names)
    ]
    visited = sorted({(scenario, _block(key)) for scenario, values, _ in tables for name in names for key in values[name]})
    draw = random.Random(seed)
    asked = called = 0
    for _ in range(permutations):
        moved = {visit for visit in visited if draw.random() < 0.5}
        for scenario, values, coarsest in tables:
            blocks = {block for where, block in moved if where == scenario}
            one, other = _relabelled(values[names[0]], values[names[1]], blocks)
            fitted = fit({**values, names[0]: one, names[1]: other}, coarsest)
            at = [fitted.models.index(name) for name in names]
            difference = fitted.difference(at[0], at[1])
            if difference and fitted.linked[at[0]] == fitted.linked[at[1]]:
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


def _tables(run: RunFacts, records: Sequence[VisitRecord]) -> Iterable[tuple[str, dict[str, dict[Hashable, float]], float]]:
    """What every metric at every level of every scenario has for values."""
    visits = usable(records)
    for scenario in run.options.scenarios:
        for level in levels_of(records, scenario):
            cells = cells_at(run, scenario, level, visits)
            for metric in metrics_of(level):
                values, coarsest = values_of(cells, metric)
                yield scenario, values, coarsest


# ---------------------------------------------------------------- without a twin


def halved(run: RunFacts, records: Sequence[VisitRecord], seed: int = 1, permutations: int = PERMUTATIONS) -> Calls:
    """Comparisons of two halves of each model's visits, drawn at random within each weather, as of two runs."""
    visits = usable(records)
    tables = [
        [(cell.summary.model, by_weather(cell, metric), resolution(metric, cell.measured)) for cell in sound]
        for scenario in run.options.scenarios
        for level in levels_of(records, scenario)
        for cells in [cells_at(run, scenario, level, visits)]
        for metric in metrics_of(level)
        if (sound := [cell for cell in cells if cell.summary.model in values_of([cell], metric)[0]])
    ]
    draw = random.Random(seed)
    asked = called = 0
    for _ in range(permutations):
        chosen: dict[tuple[str, Hashable, int], set[int]] = {}
        for table in tables:
            steps = [(apart(*_halves(model, groups, chosen, draw)), coarsest) for model, groups, coarsest in table]
            noise = pooled(step for step, _ in steps if step)
            for step, coarsest in steps:
                if step and (difference := step.judged(noise, coarsest)):
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
