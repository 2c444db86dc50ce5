"""Who stands where in a scenario: everybody by its first measure, with what the other measures and the cells say beside it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.absolutes import typical
from benchmarks.cells import Cell, quantile_of
from benchmarks.knees import knee
from benchmarks.metrics import BY_ROUNDS, PEAK, is_plain
from benchmarks.nouns import aa_arm
from benchmarks.observed import Observed
from benchmarks.questions import Metric
from benchmarks.results import Compared, compared, described, margin_of, measures_of
from benchmarks.stats.effects import window_sd
from benchmarks.stats.scoreboard import Scoreboard, ratio
from benchmarks.summaries import CellSummary, Estimate, Finding, MeasureSummary, Quantile, Result, Severity, Standing

SHARE_OF_STANDING = 0.5  # of a model's own peak: where its table shows the p99
TAIL = 0.99

Levels = Mapping[str, Sequence[Cell]]  # the cells of each level by its label


@dataclass(frozen=True, slots=True)
class Stood:
    """One scenario's standings, best first, what is known of all pairs, and how large the noise was."""

    standings: list[Standing]
    board: Scoreboard
    window_sd: float | None
    aa: Estimate | None
    measures: list[MeasureSummary]


def standings(observed: Observed, levels: Levels) -> Stood:
    """Everybody's standing in one scenario, from the cells of each level by its label.

    The A/A arm is compared with its model alone, in the same way as the others are with each other. Measures of levels that the
    run left out, as short ones do, are left out with them.
    """
    cells = {label: {cell.summary.model: cell.summary for cell in of_level} for label, of_level in levels.items()}
    told = [compared(measure, observed, cells) for measure in measures_of(observed)]
    cpu = _cpu_us(observed, told[0])
    made = [
        _standing(observed, model, _own(levels, model), [one.results[model] for one in told], cpu.get(model))
        for model in observed.shown
    ]
    more = told[0].measure.better == "more"
    return Stood(
        standings=sorted(made, key=lambda standing: _best_first(standing, more)),
        board=told[0].board,
        window_sd=_window_sd(observed, told[0].measure.metric),
        aa=_against_itself(observed, told[0]),
        measures=[described(one.measure, margin_of(one.measure, observed)) for one in told],
    )


def _own(levels: Levels, model: str) -> list[Cell]:
    """The cells of a model, in the order of the levels."""
    return [cell for of_level in levels.values() for cell in of_level if cell.summary.model == model]


def _standing(observed: Observed, model: str, own: Sequence[Cell], results: list[Result], cpu_us: Estimate | None) -> Standing:
    """The standing by the first of a model's results."""
    failures, trials = observed.failures(model), len(observed.records)
    warnings = [f"{len(failures)} of {max(trials, len(failures))} trials failed"] if failures else []
    peak = next((c.summary for c in own if c.summary.level.label == observed.peak_levels.get(model)), None)
    first = results[0]
    nothing = peak is None and not any(result.value for result in results) and first.reason in ("failed", "unknown")
    failed = f"{failures[0].stage}: {failures[0].message}" if failures else first.why
    return Standing(
        model=model,
        rank=first.rank,
        ratio=first.ratio,
        peak_per_s=_peak_per_s(observed, peak, results),
        peak_level=peak.level.label if peak else "",
        p99=_p99_at_half(own),
        cpu_us=cpu_us,
        warnings=["failed"] if nothing else warnings + cell_warnings([cell.summary for cell in own]),
        failed=failed if nothing else "",
        invalid=first.why if first.reason == "invalid" else "",
        knee=knee(own),
        results=results,
    )


def _peak_per_s(observed: Observed, peak: CellSummary | None, results: Sequence[Result]) -> Estimate | None:
    """The rate at the peak: where a measure ranks by it, that measure's, so that no two numbers of one thing differ."""
    for measure, result in zip(measures_of(observed), results, strict=True):
        if measure.metric == PEAK.metric and result.value is not None:
            return result.value
    return peak.rate_per_s if peak else None


def _cpu_us(observed: Observed, first: Compared) -> dict[str, Estimate]:
    """The CPU time of a request of each model, at the level that is ranked."""
    found = observed.values(Metric("cpu", first.measure.metric.level))
    values = {model: typical([ns / 1e3 for ns in by_replicate.values()]) for model, by_replicate in found.items()}
    return {model: value for model, value in values.items() if value is not None}


def _against_itself(observed: Observed, first: Compared) -> Estimate | None:
    """The ratio of the A/A arm to its model by the first measure: truly 1."""
    model = observed.run.options.aa
    arm = aa_arm(model)
    if not model or any(name not in first.values or not first.values[name].comparable for name in (model, arm)):
        return None
    able = {name: first.values[name].positive for name in (*observed.ranked, arm) if first.values[name].comparable}
    return ratio(able, arm, model, first.resolution)


def _window_sd(observed: Observed, metric: Metric) -> float | None:
    """The noise between the windows of a replicate, where the measure has a value of each window; all replicates together."""
    if metric.quantity not in BY_ROUNDS or not (metric.level or observed.peak_levels):
        return None
    label = metric.level or Counter(observed.peak_levels.values()).most_common(1)[0][0]
    windows = [replicate.window_values(metric.quantity, label) for replicate in observed.replicates]
    found = [sd for one in windows if one and (sd := window_sd(one)) is not None]
    return math.sqrt(sum(sd * sd for sd in found) / len(found)) if found else None


def _p99_at_half(own: Sequence[Cell]) -> Quantile | None:
    half = [c.summary for c in own if c.summary.level.share == SHARE_OF_STANDING and is_plain(c.summary.level)]
    return quantile_of(half[0].response, TAIL) if half else None


# ---------------------------------------------------------------- what qualifies a model


def cell_warnings(cells: Sequence[CellSummary]) -> list[str]:
    """A model's findings over the levels of a scenario, each with where it was found: "errors from 256, invalid"."""
    found = dict.fromkeys((f.check, f.severity) for cell in cells for f in cell.findings if _qualifies(cell, f))
    return [f"{check}{_where(check, severity, cells)}{', invalid' * (severity == 'invalid')}" for check, severity in found]


def _qualifies(cell: CellSummary, finding: Finding) -> bool:
    """Whether a finding qualifies its model: not that what is offered beyond the peak goes unanswered, which is no news."""
    beyond = (cell.level.share or 0.0) >= 1.0
    return finding.severity != "info" and not (beyond and finding.check == "unfinished requests")


def _where(check: str, severity: Severity, cells: Sequence[CellSummary]) -> str:
    """The levels at which a check found something: none named when it was all, "from 64" when it was 64 and all above."""
    found = [cell.level for cell in cells if any((f.check, f.severity) == (check, severity) for f in cell.findings)]
    if len(found) == len(cells):
        return ""
    closed = [cell.level for cell in cells if cell.level.loop == "closed" and cell.level.keepalive and not cell.level.cohort]
    if found == closed[-len(found) :]:
        return f" from {found[0].connections}"
    return " at " + ", ".join(level.label for level in found) if len(found) <= 2 else f" at {len(found)} of {len(cells)} levels"


def _best_first(standing: Standing, more: bool) -> tuple[bool, float, bool, float]:
    """Numbers before failures, ranked before unranked, valid before invalid; within a rank by value."""
    value = standing.results[0].value
    of_value = value.value if value else 0.0
    return value is None, standing.rank or math.inf, bool(standing.results[0].reason), -of_value if more else of_value
