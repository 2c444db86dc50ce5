"""The decision matrix: every model in every scenario as its ratio to the best, or a letter for why there is none.

A column is what a scenario ranks by; a further measure has one of its own if it has a short name. The ratio is 1 for the best
and the smaller the worse, whichever way is better, so that all columns are read alike. Who does not differ significantly from
the best is tied with it, whatever the ratio's digits.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.nouns import is_baseline, served_by
from benchmarks.summaries import Estimate, Reason, RunSummary, ScenarioSummary, Standing

Code = str
CODES: dict[Reason, tuple[Code, str]] = {
    "failed": ("F", "failed: no trial was usable"),
    "invalid": ("I", "invalid: a check found that its numbers are not what they claim to be"),
    "overloaded": ("O", "overloaded: it could not carry that load, so it has no response time"),
    "cannot": ("C", "cannot: it holds too few connections"),
    "unknown": ("?", "can't be told: too few requests, too many unanswered, or the engine stood still"),
}
MARKED = "with a warning: true, but to be read with its remarks"
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Place:
    """A model in a column: its ratio to the best, or why there is none."""

    ratio: float | None
    best: bool  # it is the best, or does not differ significantly from it
    alone: bool  # and nobody else is
    code: Code  # empty where there is a ratio that counts
    why: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatrixColumn:
    """A column: its scenario, the short name of its measure if that has one, and who is in it."""

    scenario: str
    short: str
    places: dict[str, Place]

    @property
    def title(self) -> str:
        """What stands above it: the measure's short name, or the scenario's where that has none."""
        return self.short or self.scenario

    @property
    def winners(self) -> list[str]:
        """Who is best, or tied."""
        return [model for model, place in self.places.items() if place.best]


def columns(summary: RunSummary) -> list[MatrixColumn]:
    """The columns of a run, scenario by scenario."""
    return [column for scenario in summary.scenarios for column in _columns(scenario)]


def models(summary: RunSummary) -> list[str]:
    """Everybody with a standing anywhere, as they come."""
    return list(dict.fromkeys(standing.model for scenario in summary.scenarios for standing in _models_of(scenario)))


def with_variants(ordered: Sequence[str]) -> list[str]:
    """The same models, variants right below the model that they vary."""
    first = {model: at for at, model in reversed(list(enumerate(ordered)))}
    heads = [first.get(served_by(model), at) for at, model in enumerate(ordered)]
    order = sorted(range(len(ordered)), key=lambda at: (heads[at], ordered[at] != served_by(ordered[at]), at))
    return [ordered[at] for at in order]


def _columns(scenario: ScenarioSummary) -> Iterable[MatrixColumn]:
    for at, measure in enumerate(scenario.measures):
        if at == 0 or measure.short:
            worths = {s.model: _by_result(s, at, measure.better == "more") for s in _models_of(scenario)}
            yield MatrixColumn(scenario.scenario, measure.short, _placed(worths))


def _models_of(scenario: ScenarioSummary) -> list[Standing]:
    """The standings of models: a baseline is none."""
    return [standing for standing in scenario.standings if not is_baseline(standing.model)]


# What a model is worth in a column, before it is known whether others share the first place.
_Worth = tuple[int | None, Estimate | None, Reason, str, tuple[str, ...]]


def _by_result(standing: Standing, at: int, more: bool) -> _Worth:
    if standing.failed or at >= len(standing.results):
        return None, None, "failed", standing.failed or "no trial was usable", ()
    result = standing.results[at]
    ratio = result.ratio if more or result.ratio is None else result.ratio.inverse
    return result.rank, ratio, result.reason, result.why, tuple(result.warnings)


def _placed(worths: dict[str, _Worth]) -> dict[str, Place]:
    first = [model for model, worth in worths.items() if worth[0] == 1]
    return {model: _place(worth, model in first, len(first) == 1) for model, worth in worths.items()}


def _place(worth: _Worth, best: bool, alone: bool) -> Place:
    rank, ratio, reason, why, warnings = worth
    if reason or ratio is None:
        return Place(None, False, False, CODES[reason or "unknown"][0], why or "nothing links it to the others", warnings)
    return Place(ratio.value, best, best and alone, "", "" if rank else "too few replicates to rank anybody", warnings)


def ratio_in_words(value: float) -> str:
    """Four characters at most: "1.00", "0.97", ".024" where two decimals would say nothing."""
    if value >= 0.0995:
        return f"{value:.2f}" if value < 9.995 else f"{value:.0f}"
    return f"{value:.2g}".lstrip("0") if value >= 0.00095 else "<.001"


def words(place: Place | None) -> str:
    """A place in a table: the ratio, "=" before it where several share the best place, "*" after it where it has a warning."""
    if place is None:
        return ABSENT
    if place.ratio is None:
        return place.code
    tie = "=" if place.best and not place.alone else ""
    return f"{tie}{ratio_in_words(place.ratio)}{'*' if place.warnings else ''}"


def explained(shown: Sequence[MatrixColumn]) -> list[tuple[Code, str]]:
    """The letters that occur in these columns, and what they stand for."""
    used = {place.code for column in shown for place in column.places.values()}
    return [(code, said) for code, said in CODES.values() if code in used]


def reasons(shown: Sequence[MatrixColumn]) -> list[str]:
    """Why there is no ratio, those together whose reasons differ in numbers only: "F a and b in cpu: launch: no ready line"."""
    alike: dict[tuple[Code, str], list[tuple[str, str, str]]] = {}
    for column in shown:
        for model, place in column.places.items():
            if place.code:
                alike.setdefault((place.code, re.sub(r"[\d.,]+", "#", place.why)), []).append((model, column.title, place.why))
    said = []
    for (code, _), same in alike.items():
        who, where = (_some(list(dict.fromkeys(one[at] for one in same))) for at in (0, 1))
        said.append(f"{code} {who} in {where}: {same[0][2]}")
    return said


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"


def answer(shown: Sequence[MatrixColumn]) -> str:
    """Who is best alone, or tied, in how many columns; where there are few, in which."""
    wins: dict[str, list[str]] = {}
    alone: dict[str, int] = {}
    for column in shown:
        for model in column.winners:
            wins.setdefault(model, []).append(column.title)
            alone[model] = alone.get(model, 0) + (len(column.winners) == 1)
    if not wins:
        return "no model could be ranked"
    best = sorted(wins, key=lambda model: (-len(wins[model]), -alone[model]))
    few = len(shown) <= 4
    clauses = [
        f"{model} in {_listed(wins[model])}" if few else f"{model} in {len(wins[model])} ({alone[model]} alone)"
        for model in best[:4]
    ]
    more = f", and {len(best) - 4} more in some" if len(best) > 4 else ""
    never = len({model for column in shown for model in column.places} - set(wins))
    nowhere = f"; {never} in none" if never and not few else ""
    return f"of {len(shown)} column{'s' * (len(shown) != 1)}, best or tied for best: {'; '.join(clauses)}{more}{nowhere}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
