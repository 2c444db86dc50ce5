"""What a scenario's measures say of its models: values, ratios and ranks, or why there are none.

A measure stands on certain levels. A replicate in which a check finds one of these measurements invalid is left out; a model
for which most are is shown and not ranked. Nor is who was offered more than it served, by a response time: that of a growing
queue is the window's length. Goodput under overload is another matter. Who held fewer than half of the background connections
that it was asked to hold was not under the load of the others, and cannot be compared at all.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.absolutes import typical
from benchmarks.checks.background import TOO_FEW
from benchmarks.checks.service import OVERLOADED
from benchmarks.metrics import PEAK, is_of_response, levels_of, plain_label, unit_of
from benchmarks.nouns import is_aa_arm
from benchmarks.observed import Observed
from benchmarks.questions import Measure, Metric
from benchmarks.stats.scoreboard import Block, Place, Scoreboard, compare, ratio
from benchmarks.summaries import CellSummary, Estimate, MeasureSummary, Reason, Result

Cells = Mapping[str, Mapping[str, CellSummary]]  # of one scenario, by label and model


@dataclass(frozen=True, slots=True)
class Values:
    """A metric of one model: its value by replicate, or what forbids to compare it."""

    by_replicate: dict[Block, float]
    reason: Reason
    why: str
    warnings: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether it may be ranked."""
        return not self.reason

    @property
    def positive(self) -> dict[Block, float]:
        """The values that have logarithms."""
        return {replicate: value for replicate, value in self.by_replicate.items() if value > 0}


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure with everybody's values and results, and the scoreboard of those who are ranked."""

    measure: Measure
    values: dict[str, Values]
    board: Scoreboard
    results: dict[str, Result]
    resolution: float


def measures_of(observed: Observed) -> list[Measure]:
    """The scenario's measures whose levels the run took; by the peak where there are none."""
    measures = observed.asked.measures if observed.asked else ()
    taken = {level.label for level in observed.levels}
    found = [measure for measure in measures if all(label in taken for label in levels_of(measure.metric, "") if label)]
    return found or [PEAK]


def values_of(metric: Metric, observed: Observed, cells: Cells) -> dict[str, Values]:
    """The metric of every model, A/A arms and baselines too."""
    found = observed.values(metric)
    return {model: _values(metric, model, found[model], observed, cells) for model in observed.models}


def _values(metric: Metric, model: str, by_replicate: dict[Block, float], observed: Observed, cells: Cells) -> Values:
    """Of one model, with what forbids to compare it."""
    wanted = list(levels_of(metric, observed.peak_levels.get(model, "")))
    if metric.quantity == "held memory":
        wanted += [plain_label(level) for level in observed.levels if level.label in wanted]
    of_model = [found for label in dict.fromkeys(wanted) if (found := cells.get(label, {}).get(model)) is not None]
    reason, why = _forbidden(metric, of_model)
    if not by_replicate and not reason:
        reasons = observed.reasons(metric, model)
        reason, why = ("unknown", statistics.mode(reasons)) if reasons else ("failed", _failure(observed, model))
    warnings = dict.fromkeys(f.check for cell in of_model for f in cell.findings if f.severity == "warning")
    return Values(by_replicate, reason, why, tuple(warnings))


def _failure(observed: Observed, model: str) -> str:
    failures = observed.failures(model)
    return f"{failures[0].stage}: {failures[0].message}" if failures else "it was not measured"


def _forbidden(metric: Metric, cells: Sequence[CellSummary]) -> tuple[Reason, str]:
    """What forbids to compare these cells, the gravest first."""
    findings = [finding for cell in cells for finding in cell.findings]
    if few := next((finding for finding in findings if finding.check == TOO_FEW), None):
        return "cannot", few.observed
    if invalid := next((finding for finding in findings if finding.severity == "invalid"), None):
        return "invalid", f"{invalid.check}: {invalid.observed}"
    over = next((finding for finding in findings if finding.check == OVERLOADED), None)
    if over and is_of_response(metric):
        return "overloaded", over.observed
    return "", ""


def compared(measure: Measure, observed: Observed, cells: Cells) -> Compared:
    """Everybody by one measure. Those without a value that may be compared take part in pairs without a ratio."""
    values = values_of(measure.metric, observed, cells)
    able = {model: values[model].positive for model in observed.ranked if values[model].comparable and values[model].positive}
    absent = [model for model in observed.ranked if model not in able]
    more = measure.better == "more"
    resolution = observed.resolution(measure.metric, able)
    arms = {model: one.positive for model, one in values.items() if is_aa_arm(model) and one.comparable and one.positive}
    unable = [model for model in absent if values[model].reason == "cannot"]
    board = compare({**able, **arms}, margin_of(measure, observed), more, resolution, absent, list(arms), unable)
    found = {model: _result(one, board.places.get(model)) for model, one in values.items()}
    for model in observed.shown:
        if model not in observed.ranked and values[model].comparable:
            found[model] = replace(found[model], ratio=_beside(model, values[model], able, board, resolution))
    return Compared(measure, values, board, found, resolution)


def _beside(
    model: str, own: Values, able: Mapping[str, Mapping[Block, float]], board: Scoreboard, resolution: float
) -> Estimate | None:
    """The ratio to the best of a baseline, which changes nobody's place."""
    best = next((name for name, place in board.places.items() if place.ratio and place.ratio.value == 1.0), None)
    return ratio({**able, model: own.positive}, model, best, resolution) if best else None


def margin_of(measure: Measure, observed: Observed) -> float:
    """Within which share two models are the same: what the run was asked for, or the measure's own."""
    return observed.run.options.same or measure.margin


def _result(values: Values, place: Place | None) -> Result:
    if place is None:
        reason, why = values.reason, values.why
        if not reason and values.by_replicate and not values.positive:
            reason, why = "unknown", "a value that is not above zero has no ratio to others"
        return Result(typical(list(values.by_replicate.values())), None, None, reason, why, list(values.warnings))
    value = place.value if len(place.value.replicates) > 1 else replace(place.value, low=None, high=None)
    return Result(value, place.rank, place.ratio, warnings=list(values.warnings))


def described(measure: Measure, margin: float) -> MeasureSummary:
    """The measure as the summary has it."""
    return MeasureSummary(measure.title, measure.short, measure.better, unit_of(measure.metric), measure.metric, margin)
