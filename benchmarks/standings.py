"""Who stands where: cells of one level against each other, and models by what their scenario ranks by.

A scenario with measures (`benchmarks.results`) ranks by the first of them, one without by the peak over the closed levels.

Closed levels are ranked by goodput. Response time is ranked only where all models were offered the same rate and carried
it: in a closed loop at saturation it is connections / throughput and says nothing new, and at a share of one's own peak
everyone is asked something else.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks import histogram
from benchmarks.cells import Cell, Measured
from benchmarks.checks.companions import TOO_FEW
from benchmarks.checks.service import is_overloaded
from benchmarks.intervals import samples_wanted
from benchmarks.knees import knee
from benchmarks.metrics import BUCKET_SD, is_plain
from benchmarks.nouns import VisitRecord, is_control, is_twin, twin_of
from benchmarks.questions import Level, Measure
from benchmarks.ranking import Paired, Place, fit, place, ratio, resolved
from benchmarks.results import coarsest, described, paired, results, values_of, was_measured
from benchmarks.summaries import (
    CellSummary,
    Estimate,
    Finding,
    MeasureSummary,
    Quantile,
    RankedBy,
    Result,
    Severity,
    Standing,
)

SHARE_OF_STANDING = 0.5  # of a model's own peak: where its table shows the p99
TAIL = 0.99


def ranked(level: Level, cells: Sequence[Cell]) -> list[CellSummary]:
    """The cells of one level with their ranks; those struck, failed or overloaded have none, and no twin or control has."""
    if level.share is not None:
        return [cell.summary for cell in cells]
    able = [cell for cell in cells if _competes(cell.summary)]
    by, places = _by_goodput(able) if level.loop == "closed" else _by_response(able)
    return [_placed(cell.summary, by, places.get(cell.summary.model)) for cell in cells]


def _competes(summary: CellSummary) -> bool:
    believed = summary.rate_per_s is not None and not summary.struck and not is_overloaded(summary)
    too_few = any(finding.check == TOO_FEW for finding in summary.findings)
    return believed and not too_few and not is_twin(summary.model) and not is_control(summary.model)


def _placed(summary: CellSummary, by: RankedBy, found: Place | None) -> CellSummary:
    if found is None:
        return summary
    return replace(summary, rank=found.rank, ranked_by=by if found.rank else "", relative=found.relative)


def _by_goodput(able: Sequence[Cell]) -> tuple[RankedBy, dict[str, Place]]:
    return "goodput", place(_goodputs(able), resolution=rate_resolution(able))


def _by_response(able: Sequence[Cell]) -> tuple[RankedBy, dict[str, Place]]:
    """By p99 where each visit of each model has one of its own, else by the median."""
    by: RankedBy = "p99" if all(tells(cell, TAIL) for cell in able) else "p50"
    q = TAIL if by == "p99" else 0.5
    values = paired_values([cell for cell in able if tells(cell, q)], lambda measured: quantile_of_visit(measured, q))
    return by, place(values, higher_is_better=False, resolution=BUCKET_SD)


def rate_resolution(cells: Sequence[Cell]) -> float:
    """The coarsest of the rates' resolutions."""
    return max((measured.resolution for cell in cells for measured in cell.measured), default=0.0)


def tells(cell: Cell, q: float) -> bool:
    """Whether the cell knows its quantile q, and each of its visits has the requests to know its own."""
    enough = all(histogram.total(m.response.finished) >= samples_wanted(q) for m in cell.measured)
    return enough and quantile_of(cell.summary.response, q).status == "ok"


def quantile_of(quantiles: Sequence[Quantile], q: float) -> Quantile:
    """The quantile q of a cell's list. Raises StopIteration when the list lacks it."""
    return next(quantile for quantile in quantiles if quantile.q == q)


def quantile_of_visit(measured: Measured, q: float) -> float:
    """A visit's own quantile of response time, the unfinished at their age; ns."""
    both = histogram.merge([measured.response.finished, measured.response.censored])
    return float(histogram.quantile_ns(both, q))


def paired_values(cells: Sequence[Cell], value: Callable[[Measured], float]) -> Paired:
    """Each model's positive values by the block and weather of the visit."""
    return {
        cell.summary.model: {m.visit.pairing: positive for m in cell.measured if (positive := value(m)) > 0} for cell in cells
    }


# ---------------------------------------------------------------- a model's place in a scenario


@dataclass(frozen=True, slots=True)
class Stood:
    """One scenario's standings, best first, and how sure they are; see `summaries.ScenarioSummary`."""

    standings: list[Standing]
    spread: float | None
    resolution: float | None
    twin: Estimate | None
    measures: list[MeasureSummary] = field(default_factory=list)


def standings(
    models: Sequence[str],
    levels: Mapping[str, Sequence[Cell]],
    failed: Mapping[str, Sequence[VisitRecord]],
    visits: int,
    twinned: str = "",
    measures: Sequence[Measure] = (),
) -> Stood:
    """Everybody's standing in one scenario.

    `levels` has the cells of each level by its label; `failed` the failed visits by model; `visits` how many each had. The twin
    of `twinned` is compared with its model alone, in the same way as the others are with each other. Measures of levels that
    the run left out, as short ones do, are left out with them.
    """
    measures = [measure for measure in measures if was_measured(measure.metric, levels)]
    own = by_model(levels)
    peaks = peak_cells(levels)
    peak_levels = {model: peak.summary.level.label for model, peak in peaks.items()}
    found = [values_of(measure.metric, levels, peak_levels) for measure in measures]
    told = [results(measure, values, models) for measure, values in zip(measures, found, strict=True)]
    everyone, resolution = (paired(found[0]), coarsest(found[0])) if found else _peaks_compared(list(peaks.values()))
    values = {model: of_model for model, of_model in everyone.items() if model in models and not is_control(model)}
    places = place(values, resolution=resolution) if not found else {}
    spread = fit(values, resolution).spread if any(values.values()) else None
    made = []
    for model in models:
        failures = _failures(failed.get(model, ()), visits)
        of_model = [of_measure[model] for of_measure in told if model in of_measure]
        if of_model:
            made.append(_measured(model, peaks.get(model), of_model, own[model], failures))
        else:
            made.append(_standing(model, peaks.get(model), places.get(model), own.get(model, []), failures))
    return Stood(
        standings=sorted(made, key=_best_first),
        spread=spread.sd if spread else None,
        resolution=resolved(values, resolution),
        twin=ratio(everyone, twin_of(twinned), twinned, resolution) if twinned else None,
        measures=[described(measure) for measure in measures],
    )


def by_model(levels: Mapping[str, Sequence[Cell]]) -> dict[str, list[Cell]]:
    """The cells of each model, the twin too, in the order of the levels."""
    own: dict[str, list[Cell]] = {}
    for of_level in levels.values():
        for cell in of_level:
            own.setdefault(cell.summary.model, []).append(cell)
    return own


def peak_cells(levels: Mapping[str, Sequence[Cell]]) -> dict[str, Cell]:
    """The peak of each model, the twin too, that served anything in a closed loop."""
    return {model: peak for model, own in by_model(levels).items() if (peak := peak_cell(own)) is not None}


def _peaks_compared(peaks: Sequence[Cell]) -> tuple[Paired, float]:
    """The goodput of all who are believed at their peak, and its resolution among the models, the twin left out."""
    believed = [peak for peak in peaks if not peak.summary.struck]
    return _goodputs(believed), rate_resolution(believed)


def _goodputs(cells: Sequence[Cell]) -> Paired:
    return paired_values(cells, lambda measured: measured.rate_per_s)


def peak_cell(cells: Sequence[Cell]) -> Cell | None:
    """The closed level of the highest mean goodput, None when nothing was served at any.

    The highest of several noisy means is a little too high on average, by less than their noise, and for all models alike.
    """
    closed = [cell for cell in cells if cell.summary.level.loop == "closed" and _rate(cell.summary) > 0]
    return max(closed, key=lambda cell: _rate(cell.summary), default=None)


def _rate(summary: CellSummary) -> float:
    return summary.rate_per_s.value if summary.rate_per_s else 0.0


def _standing(
    model: str, peak: Cell | None, found: Place | None, own: Sequence[Cell], failures: tuple[str, list[str]]
) -> Standing:
    failed, marks = failures
    if peak is None:
        return Standing(model, None, None, "", None, None, ["failed"], failed or "nothing was served at any level", "")
    strikes = [finding for finding in peak.summary.findings if finding.severity == "strike"]
    return Standing(
        model=model,
        rank=found.rank if found else None,
        peak_per_s=peak.summary.rate_per_s,
        peak_level=peak.summary.level.label,
        relative=found.relative if found else None,
        p99=_p99_at_half(own),
        marks=marks + cell_marks([cell.summary for cell in own]),
        failed="",
        struck="; ".join(f"{finding.check}: {finding.seen}" for finding in strikes),
        knee=knee(own),
    )


def _measured(
    model: str, peak: Cell | None, told: Sequence[Result], own: Sequence[Cell], failures: tuple[str, list[str]]
) -> Standing:
    """The standing by the first of a model's results."""
    failed, marks = failures
    first = told[0]
    nothing = peak is None and not any(result.value for result in told) and first.reason in ("failed", "unknown")
    return Standing(
        model=model,
        rank=first.rank,
        peak_per_s=peak.summary.rate_per_s if peak else None,
        peak_level=peak.summary.level.label if peak else "",
        relative=first.relative,
        p99=_p99_at_half(own),
        marks=["failed"] if nothing else marks + cell_marks([cell.summary for cell in own]),
        failed=(failed or first.why) if nothing else "",
        struck=first.why if first.reason == "struck" else "",
        knee=knee(own),
        results=list(told),
    )


def _p99_at_half(own: Sequence[Cell]) -> Quantile | None:
    half = [c.summary for c in own if c.summary.level.share == SHARE_OF_STANDING and is_plain(c.summary.level)]
    return quantile_of(half[0].response, TAIL) if half else None


def _failures(failed: Sequence[VisitRecord], visits: int) -> tuple[str, list[str]]:
    """Why a model without a number has none, and the mark of one that has one in spite of failed visits."""
    if not failed or failed[0].failure is None:
        return "", []
    first = failed[0].failure
    return f"{first.stage}: {first.message}", [f"{len(failed)} of {max(visits, len(failed))} visits failed"]


def cell_marks(cells: Sequence[CellSummary]) -> list[str]:
    """A model's marks and strikes over the levels of a scenario, each with where it was found: "errors from 256, struck"."""
    found = dict.fromkeys((f.check, f.severity) for cell in cells for f in cell.findings if _marks(cell, f))
    return [f"{check}{_where(check, severity, cells)}{', struck' * (severity == 'strike')}" for check, severity in found]


def _marks(cell: CellSummary, finding: Finding) -> bool:
    """Whether a finding qualifies its model: not that what is offered beyond the peak goes unanswered, which is no news."""
    beyond = (cell.level.share or 0.0) >= 1.0
    return finding.severity != "note" and not (beyond and finding.check == "unfinished requests")


def _where(check: str, severity: Severity, cells: Sequence[CellSummary]) -> str:
    """The levels at which a check found something: none named when it was all, "from 64" when it was 64 and all above."""
    found = [cell.level for cell in cells if any((f.check, f.severity) == (check, severity) for f in cell.findings)]
    if len(found) == len(cells):
        return ""
    closed = [cell.level for cell in cells if cell.level.loop == "closed" and cell.level.keepalive and not cell.level.round]
    if found == closed[-len(found) :]:
        return f" from {found[0].connections}"
    return " at " + ", ".join(level.label for level in found) if len(found) <= 2 else f" at {len(found)} of {len(cells)} levels"


def _best_first(standing: Standing) -> tuple[bool, float, float, float]:
    """Numbers before failures, ranked before unranked, compared before struck; within a rank by ratio to the best."""
    rate = standing.peak_per_s.value if standing.peak_per_s else 0.0
    ratio = standing.relative.value if standing.relative else 0.0
    value = standing.results[0].value if standing.results else standing.peak_per_s
    return value is None, standing.rank or math.inf, -ratio, -rate
