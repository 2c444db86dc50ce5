"""Who stands where: cells of one level against each other, and models by their peaks.

Closed levels are ranked by goodput. Response time is ranked only where all models were offered the same rate and carried
it: in a closed loop at saturation it is connections / throughput and says nothing new, and at a share of one's own peak
everyone is asked something else.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import histogram
from benchmarks.cells import Cell, Measured
from benchmarks.intervals import samples_wanted
from benchmarks.knees import knee
from benchmarks.nouns import Level, VisitRecord, served_by, twin_of
from benchmarks.ranking import Paired, Place, fit, place, ratio, resolved
from benchmarks.summaries import CellSummary, Estimate, Finding, Quantile, RankedBy, Severity, Standing

SHARE_OF_STANDING = 0.5  # of a model's own peak: where its table shows the p99
TAIL = 0.99
BUCKET_SD = 1 / histogram.HALF / math.sqrt(12)  # of the logarithm of a time that is known to a bucket


def ranked(level: Level, cells: Sequence[Cell]) -> list[CellSummary]:
    """The cells of one level with their ranks; those struck, failed or overloaded have none, and no twin has."""
    if level.share is not None:
        return [cell.summary for cell in cells]
    able = [cell for cell in cells if _competes(cell.summary)]
    by, places = _by_goodput(able) if level.loop == "closed" else _by_response(able)
    return [_placed(cell.summary, by, places.get(cell.summary.model)) for cell in cells]


def _competes(summary: CellSummary) -> bool:
    believed = summary.rate_per_s is not None and not summary.struck and not is_overloaded(summary)
    return believed and summary.model == served_by(summary.model)


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


def is_overloaded(summary: CellSummary) -> bool:
    """Whether it was offered more than it served, so that its response times are those of a growing queue."""
    return any(finding.check == "overloaded" for finding in summary.findings)


# ---------------------------------------------------------------- a model's place in a scenario


@dataclass(frozen=True, slots=True)
class Stood:
    """One scenario's standings, best first, and how sure they are; see `summaries.ScenarioSummary`."""

    standings: list[Standing]
    spread: float | None
    resolution: float | None
    twin: Estimate | None


def standings(
    models: Sequence[str],
    levels: Mapping[str, Sequence[Cell]],
    failed: Mapping[str, Sequence[VisitRecord]],
    visits: int,
    twinned: str = "",
) -> Stood:
    """Everybody's standing in one scenario.

    `levels` has the cells of each level by its label; `failed` the failed visits by model; `visits` how many each had. The twin
    of `twinned` is compared with its model alone, in the same way as the others are with each other.
    """
    cells = [cell for of_level in levels.values() for cell in of_level]
    everybody = [*models, *([twin_of(twinned)] if twinned else [])]
    own = {model: [cell for cell in cells if cell.summary.model == model] for model in everybody}
    peaks = {model: peak for model in everybody if (peak := peak_cell(own[model])) is not None}
    with_twin = [peak for peak in peaks.values() if not peak.summary.struck]
    believed = [peak for peak in with_twin if peak.summary.model in models]
    paired, resolution = _goodputs(believed), rate_resolution(believed)
    places = place(paired, resolution=resolution)
    spread = fit(paired, resolution).spread if places else None
    found = [
        _standing(model, peaks.get(model), places.get(model), own[model], _failures(failed.get(model, ()), visits))
        for model in models
    ]
    return Stood(
        standings=sorted(found, key=_best_first),
        spread=spread.sd if spread else None,
        resolution=resolved(paired, resolution),
        twin=ratio(_goodputs(with_twin), twin_of(twinned), twinned, rate_resolution(with_twin)) if twinned else None,
    )


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
    half = [cell.summary for cell in own if cell.summary.level.share == SHARE_OF_STANDING]
    return Standing(
        model=model,
        rank=found.rank if found else None,
        peak_per_s=peak.summary.rate_per_s,
        peak_level=peak.summary.level.label,
        relative=found.relative if found else None,
        p99=quantile_of(half[0].response, TAIL) if half else None,
        marks=marks + cell_marks([cell.summary for cell in own]),
        failed="",
        struck="; ".join(f"{finding.check}: {finding.seen}" for finding in strikes),
        knee=knee(own),
    )


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
    closed = [cell.level for cell in cells if cell.level.loop == "closed"]
    if found == closed[-len(found) :]:
        return f" from {found[0].connections}"
    return " at " + ", ".join(level.label for level in found) if len(found) <= 2 else f" at {len(found)} of {len(cells)} levels"


def _best_first(standing: Standing) -> tuple[bool, float, float, float]:
    """Numbers before failures, ranked before unranked, compared before struck; within a rank by ratio to the best."""
    rate = standing.peak_per_s.value if standing.peak_per_s else 0.0
    ratio = standing.relative.value if standing.relative else 0.0
    return standing.peak_per_s is None, standing.rank or math.inf, -ratio, -rate
