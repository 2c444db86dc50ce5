"""What checks found in a run, each check once: where it was seen, why it matters, what to do."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.nouns import is_aa_arm
from benchmarks.summaries import Finding, RunSummary, Severity

NAMED_AT_MOST = 3  # models or scenarios in a short remark
PLACES_AT_MOST, INFOS_AT_MOST = 12, 4  # cells in a long one
_ORDER: tuple[Severity, ...] = ("invalid", "warning", "info")


@dataclass(frozen=True, slots=True)
class Place:
    """One cell in which a check found something."""

    model: str
    scenario: str
    level: str
    observed: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A check's findings of one severity. Without places it is of the run as a whole, and `observed` says what."""

    check: str
    severity: Severity
    why: str
    remedy: str
    observed: str = ""
    places: tuple[Place, ...] = ()

    @property
    def short(self) -> str:
        """In a line: what, how often, of whom and where."""
        if not self.places:
            return f"{self.check}: {self.observed}"
        invalid = " (invalid)" * (self.severity == "invalid")
        models, scenarios = (
            _distinct(names) for names in zip(*((one.model, one.scenario) for one in self.places), strict=True)
        )
        where = f"{some(models)} in {some(scenarios)}"
        if len(self.places) == 1:
            observed = self.places[0].observed
            return f"{self.check}{invalid}: {where}" + (f": {observed}" if observed != self.check else "")
        return f"{self.check}{invalid}: {len(self.places)} cells of {where}"


def remarks(summary: RunSummary, least: Severity = "warning") -> list[Remark]:
    """All that was found, of this severity or graver: first of the run, then of cells, the gravest first."""
    graver = _ORDER[: _ORDER.index(least) + 1]
    of_run = [Remark(one.check, one.severity, one.why, one.remedy, one.observed) for one in summary.findings]
    of_cells = [remark for severity in graver for remark in _of_cells(summary, severity)]
    return [*sorted(of_run, key=lambda remark: _ORDER.index(remark.severity)), *of_cells, *_of_standings(summary)]


def _of_cells(summary: RunSummary, severity: Severity) -> Iterator[Remark]:
    found: dict[str, list[tuple[Place, Finding]]] = {}
    for cell in summary.cells:
        for one in cell.findings:
            if one.severity == severity and not is_aa_arm(cell.model):
                place = Place(cell.model, cell.scenario, cell.level.label, one.observed)
                found.setdefault(one.check, []).append((place, one))
    for check, seen in sorted(found.items(), key=lambda item: -len(item[1])):
        first = seen[0][1]
        yield Remark(check, severity, first.why, first.remedy, places=tuple(place for place, _ in seen))


def _of_standings(summary: RunSummary) -> Iterator[Remark]:
    """Warnings of models that no finding of a cell stands behind; those together that differ in numbers only."""
    known = {(cell.model, cell.scenario, one.check) for cell in summary.cells for one in cell.findings}
    kinds: dict[str, list[Place]] = {}
    for scenario in summary.scenarios:
        for standing in scenario.standings:
            for said in standing.warnings if not standing.failed else ():
                behind = (check for model, name, check in known if (model, name) == (standing.model, scenario.scenario))
                if not any(said.startswith(check) for check in behind):
                    kinds.setdefault(alike(said), []).append(Place(standing.model, scenario.scenario, "", said))
    for places in kinds.values():
        yield Remark(places[0].observed, "warning", "", "", places=tuple(places))


def alike(words: str) -> str:
    """The words without their numbers: what differs in numbers only is told together."""
    return re.sub(r"\d[\d.,]*", "#", words)


def some(names: Sequence[str]) -> str:
    """The first of many names: "a, b, c and 4 more"."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:NAMED_AT_MOST])} and {more} more"


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def in_full(remark: Remark) -> str:
    """What was found, why it matters, what to do, and in which cells; of many the first."""
    most = INFOS_AT_MOST if remark.severity == "info" else PLACES_AT_MOST
    advice = " ".join(sentence(one) for one in (remark.observed, remark.why, remark.remedy) if one)
    told: dict[str, list[str]] = {}
    for place in remark.places[:most]:
        cell = f"{place.model} at {place.level} ({place.observed})" if place.level else place.model
        told.setdefault(place.scenario, []).append(cell)
    more = len(remark.places) - most
    where = [f"{scenario}: {', '.join(cells)}" for scenario, cells in told.items()] + [f"{more} more"] * (more > 0)
    return f"{advice} {'; '.join(where)}".strip()


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")
