"""What a scenario's measures say of its models: estimates, ranks, or why there are none.

A measure stands on the windows of certain levels. A visit in which a check strikes one of these is left out; a model for which
most visits do is shown and not ranked. Nor is who was offered more than it served, by a response time: that of a growing queue
is the window's length. Goodput under overload is another matter. Who held fewer than half of the silent connections that it was
asked to hold was not under the load of the others, and cannot be compared at all.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cells import Cell, Measured
from benchmarks.checks.companions import TOO_FEW
from benchmarks.checks.service import OVERLOADED
from benchmarks.intervals import inverse, mean_estimate, pooled_spread
from benchmarks.metrics import is_of_response, levels_of, plain_label, resolution, told, unit_of
from benchmarks.questions import Measure, Metric
from benchmarks.ranking import Paired, Place, place
from benchmarks.selection import Visit, of_one_weather, prevailing_weather
from benchmarks.summaries import CellSummary, Estimate, MeasureSummary, Reason, Result

Levels = Mapping[str, Sequence[Cell]]  # the cells of each level by its label


@dataclass(frozen=True, slots=True)
class Values:
    """A metric of one model: its value in each visit that knows it, whatever the weather, or what forbids to compare it."""

    visits: tuple[tuple[Visit, float], ...]
    resolution: float  # the coarsest of the visits'
    reason: Reason
    why: str
    marks: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether it may be ranked."""
        return not self.reason


def values_of(metric: Metric, levels: Levels, peak_levels: Mapping[str, str]) -> dict[str, Values]:
    """The metric of each model that has a cell at any level; `peak_levels` has the label of each one's best closed level."""
    models = dict.fromkeys(cell.summary.model for of_level in levels.values() for cell in of_level)
    return {model: _values(metric, _cells(metric, model, levels, peak_levels), peak_levels.get(model, "")) for model in models}


def was_measured(metric: Metric, levels: Levels) -> bool:
    """Whether the run took anybody through the levels on which the metric stands."""
    return all(label in levels for label in levels_of(metric, "") if label)


def _cells(metric: Metric, model: str, levels: Levels, peak_levels: Mapping[str, str]) -> list[Cell]:
    """The cells of a model on which the metric stands; of a model that was not taken there, those that there are."""
    wanted = list(levels_of(metric, peak_levels.get(model, "")))
    if metric.quantity == "held memory":
        wanted += [plain_label(of_level[0].summary.level) for label in wanted if (of_level := levels.get(label))]
    return [cell for label in dict.fromkeys(wanted) for cell in levels.get(label, ()) if cell.summary.model == model]


def _values(metric: Metric, cells: Sequence[Cell], level_of_peak: str) -> Values:
    """Of the visits whose windows at all of these levels count."""
    by_level = [{id(one.visit.record): one for one in cell.measured} for cell in cells]
    first, *others = by_level or [{}]
    common: list[Measured] = [one for at, one in first.items() if all(at in other for other in others)]
    found = [(one.visit, *told(metric, one.visit.record, level_of_peak)) for one in common]
    visits = tuple((visit, value) for visit, value, _ in found if value is not None)
    summaries = [cell.summary for cell in cells]
    reason, why = _forbidden(metric, summaries)
    if not visits and not reason:
        reasons = [why for _, _, why in found if why]
        reason, why = ("unknown", statistics.mode(reasons)) if reasons else ("failed", "no visit was usable")
        if not cells:
            reason, why = "unknown", "no level of the run shows it"
    return Values(
        visits=visits,
        resolution=max((resolution(metric, visit.record, level_of_peak) for visit, _ in visits), default=0.0),
        reason=reason,
        why=why,
        marks=tuple(dict.fromkeys(f.check for s in summaries for f in s.findings if f.severity == "mark")),
    )


def _forbidden(metric: Metric, cells: Sequence[CellSummary]) -> tuple[Reason, str]:
    """What forbids to compare these cells, the gravest first."""
    findings = [finding for cell in cells for finding in cell.findings]
    if few := next((finding for finding in findings if finding.check == TOO_FEW), None):
        return "cannot", few.seen
    if strike := next((finding for finding in findings if finding.severity == "strike"), None):
        return "struck", f"{strike.check}: {strike.seen}"
    over = next((finding for finding in findings if finding.check == OVERLOADED), None)
    if over and is_of_response(metric):
        return "overloaded", over.seen
    return "", ""


# ---------------------------------------------------------------- all models together


def paired(found: Mapping[str, Values]) -> Paired:
    """The positive values of those that may be compared, by the block and weather of the visit."""
    return {
        model: {visit.pairing: value for visit, value in values.visits if value > 0}
        for model, values in found.items()
        if values.comparable
    }


def coarsest(found: Mapping[str, Values]) -> float:
    """The coarsest resolution of those that may be compared."""
    return max((values.resolution for values in found.values() if values.comparable), default=0.0)


def estimates(found: Mapping[str, Values]) -> dict[str, Estimate | None]:
    """The mean of each model over its visits of one weather, with the noise of all models pooled.

    What can't be compared neither lends its noise nor borrows that of others: memory of each connection, where a model held 16
    of 5,000, is another quantity.
    """
    everybody = [visit for values in found.values() for visit, _ in values.visits]
    prevailing = prevailing_weather(everybody)
    inside = {model: _of_one_weather(values, prevailing) for model, values in found.items()}
    positive = [model for model, values in inside.items() if values and min(values) > 0]
    lending = [
        model
        for model in positive
        if found[model].comparable and any(visit.weather == prevailing for visit, _ in found[model].visits)
    ]
    everyone = pooled_spread(inside[model] for model in lending)
    own = {model: pooled_spread([inside[model]]) for model in positive if not found[model].comparable}
    return {model: mean_estimate(values, own.get(model, everyone), found[model].resolution) for model, values in inside.items()}


def _of_one_weather(values: Values, prevailing: int | None) -> list[float]:
    inside = {id(visit) for visit in of_one_weather([visit for visit, _ in values.visits], prevailing)}
    return [value for visit, value in values.visits if id(visit) in inside]


def results(measure: Measure, found: Mapping[str, Values], ranked: Sequence[str]) -> dict[str, Result]:
    """Everybody's result by one measure; only those in `ranked` have a place, as no twin has."""
    able = {model: values for model, values in found.items() if model in ranked}
    more = measure.better == "more"
    places = place(paired(able), higher_is_better=more, resolution=coarsest(able))
    means = estimates(found)
    return {model: _result(values, means[model], places.get(model), more) for model, values in found.items()}


def _result(values: Values, value: Estimate | None, found: Place | None, more: bool) -> Result:
    rank = found.rank if found else None
    reason, why = values.reason, values.why
    if value is not None and found is None and not reason:
        reason, why = "unknown", "a value that is not above zero has no ratio to others"
    relative = found.relative if found else None
    return Result(value, rank, relative if more or relative is None else inverse(relative), reason, why, list(values.marks))


def described(measure: Measure) -> MeasureSummary:
    """The measure as the summary has it."""
    return MeasureSummary(measure.title, measure.short, measure.better, unit_of(measure.metric), measure.metric)
