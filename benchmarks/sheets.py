"""What the table of a scenario says, before anybody decides how it looks: columns, rows of words, notes beneath.

The page and the full report in a terminal are made from the same sheets, so they cannot disagree.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.amounts import between, digits, duration, latency, percent, ranged, rate, size
from benchmarks.objective import CANNOT
from benchmarks.pair_words import IN_A_WORD, PEAK, Calls, counted, ranking_measure, ranking_result, within_margin
from benchmarks.remarks import alike, sentence
from benchmarks.summaries import CellSummary, Estimate, Quantile, Result, RunSummary, ScenarioSummary, Standing, Unit

NOTHING = "–"
REMARKED = "*"  # behind a model's name: there is a warning of it


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, on which side its words stand, and whether it is what an invalid row claims."""

    title: str
    right: bool = True
    claim: bool = False
    main: bool = False  # what the table ranks by


@dataclass(frozen=True, slots=True)
class Row:
    """A model's row: a word for each column. `first`: no model is significantly better."""

    words: tuple[str, ...]
    first: bool = False
    invalid: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with its title, its answer and the notes beneath. The first `key` columns say what a row is of."""

    title: str
    verdict: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    key: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """A column and what it says of a model; `needed`: it is left out where it says nothing of anybody."""

    column: Column
    say: Callable[[Standing, CellSummary | None], str]
    needed: bool = True


def sheet(summary: RunSummary, scenario: ScenarioSummary) -> Sheet:
    """The table of one scenario with all of its measures, best first."""
    cells = [cell for cell in summary.cells if cell.scenario == scenario.scenario]
    peaks = {(cell.model, cell.level.label): cell for cell in cells}
    own = [(standing, peaks.get((standing.model, standing.peak_level))) for standing in scenario.standings]
    parts = _parts(summary, scenario)
    said = [[part.say(standing, peak) for standing, peak in own] for part in parts]
    kept = [at for at, part in enumerate(parts) if part.needed or any(word != NOTHING for word in said[at])]
    rows = [
        Row(
            words=tuple(said[at][number] for at in kept),
            first=standing.rank == 1,
            invalid=bool(standing.invalid),
            failed=bool(standing.failed),
        )
        for number, (standing, _) in enumerate(own)
    ]
    columns = tuple(parts[at].column for at in kept)
    return Sheet(title(scenario), scenario.verdict, columns, tuple(rows), tuple(_notes(scenario)), key=2)


def title(scenario: ScenarioSummary) -> str:
    """The scenario and its question."""
    return f"{scenario.scenario}: {scenario.question}"


def _parts(summary: RunSummary, scenario: ScenarioSummary) -> list[_Part]:
    ranks = [standing.rank for standing in scenario.standings]
    first = ranking_measure(scenario)
    parts = [
        _Part(Column("#", right=False), lambda s, _: shared_rank(s.rank, ranks)),
        _Part(Column("model", right=False), lambda s, _: s.model + f" {REMARKED}" * bool(s.warnings)),
        _Part(Column(first.title, claim=True, main=True), lambda s, _: _value(ranking_result(s), first.unit)),
        _Part(Column("ratio to the best", right=False, claim=True), lambda s, _: to_the_best(s.ratio, s.rank)),
        _Part(Column("CPU per request"), lambda s, _: cpu(s)),
    ]
    if not ranks_by_peak(scenario):
        parts.append(_Part(Column("peak", claim=True), lambda s, _: _absolute(s.peak_per_s, "rate")))
    parts.append(_Part(Column("connections"), lambda _, peak: str(peak.level.connections) if peak else NOTHING, needed=False))
    if summary.objective:
        parts.append(_Part(Column(f"capacity at {summary.objective}", claim=True), lambda s, _: capacity(s)))
    for at, measure in enumerate(scenario.measures):
        if at:
            parts.append(_Part(Column(measure.title, claim=True), _further(scenario, at)))
    return [
        *parts,
        _Part(Column("p99 at half peak"), lambda s, _: latency(s.p99), needed=False),
        _Part(Column("memory"), lambda _, peak: size(peak.uss_bytes) if peak and peak.uss_bytes else NOTHING, needed=False),
        _Part(Column("knee"), lambda s, _: _knee(s), needed=False),
        _Part(Column("first clients' rate"), lambda s, _: percent(s.cold.value) if s.cold else NOTHING, needed=False),
        _Part(Column("collections per 1,000"), lambda _, peak: _collections(peak), needed=False),
        _Part(Column("time in collections"), lambda _, peak: _pauses(peak), needed=False),
    ]


def ranks_by_peak(scenario: ScenarioSummary) -> bool:
    """Whether the first measure is the highest closed rate itself."""
    return ranking_measure(scenario).metric == PEAK.metric


def _further(scenario: ScenarioSummary, at: int) -> Callable[[Standing, CellSummary | None], str]:
    """What a further measure says of a model, and its rank by that."""
    ranks = [standing.results[at].rank for standing in scenario.standings if at < len(standing.results)]

    def say(standing: Standing, _: CellSummary | None) -> str:
        if at >= len(standing.results):
            return IN_A_WORD["failed"]
        result = standing.results[at]
        said = _value(result, scenario.measures[at].unit)
        return said if result.rank is None else f"{said}, {shared_rank(result.rank, ranks)}"

    return say


def shared_rank(rank: int | None, ranks: Iterable[int | None]) -> str:
    """ "3", or "3=" when it is shared, as in sports; a dash for none."""
    if rank is None:
        return NOTHING
    return f"{rank}=" if sum(other == rank for other in ranks) > 1 else str(rank)


def _value(result: Result, unit: Unit) -> str:
    """What a measure says of a model, or in a word why it says nothing; an invalid number is shown, to be struck out."""
    if result.reason and (result.reason != "invalid" or result.value is None):
        return IN_A_WORD[result.reason]
    return _absolute(result.value, unit)


def _absolute(estimate: Estimate | None, unit: Unit) -> str:
    return NOTHING if estimate is None else ranged(estimate, unit)


def to_the_best(ratio: Estimate | None, rank: int | None) -> str:
    """The ratio to the best with its interval; the best itself has none."""
    if ratio is None:
        return NOTHING
    if is_best(ratio):
        return "best" if rank else "first"
    return between(ratio)


def is_best(ratio: Estimate) -> bool:
    """Whether it is the ratio of the best to itself."""
    return ratio.value == 1 and ratio.low in (None, 1) and ratio.high in (None, 1)


def cpu(standing: Standing) -> str:
    """The server's CPU time of a request, user and system together."""
    return duration(standing.cpu_us.value * 1e3) if standing.cpu_us else NOTHING


def _knee(standing: Standing) -> str:
    """The rate at the knee, and which level that was: "47.8k/s, 50%"."""
    if standing.knee is None:
        return NOTHING
    level = standing.knee.level.removeprefix("open ")
    return f"{'≤ ' * standing.knee.lowest}{rate(standing.knee.rate_per_s)}, {level}"


def capacity(standing: Standing) -> str:
    """The highest rate that meets the run's objective, or in a word why there is none."""
    found = standing.capacity
    if found is None:
        return NOTHING
    if found.rate_per_s is not None:
        return ranged(found.rate_per_s, "rate")
    if found.met_per_s is not None:
        return f"≥ {rate(found.met_per_s)}"
    return CANNOT if found.why.startswith(CANNOT) else "can't tell"


def _collections(peak: CellSummary | None) -> str:
    return NOTHING if peak is None or peak.collections_per_1000 is None else digits(peak.collections_per_1000, 2)


def _pauses(peak: CellSummary | None) -> str:
    if peak is None or peak.pause_share is None:
        return NOTHING
    return percent(peak.pause_share) if peak.pause_share else "0"


# ---------------------------------------------------------------- notes


def _notes(scenario: ScenarioSummary) -> Iterable[str]:
    """What is known of the pairs, how sure all is, and why numbers are missing or need care."""
    yield from _pairs(scenario)
    yield from _precision(scenario)
    if scenario.method:
        yield sentence(f"not measured in rounds: {scenario.method}")
    warned: dict[str, list[str]] = {}
    for standing in scenario.standings:
        for said in standing.warnings:
            warned.setdefault(said, []).append(standing.model)
    yield from (f"{REMARKED} {', '.join(models)}: {said}." for said, models in warned.items())
    yield from _missing(scenario)


def _pairs(scenario: ScenarioSummary) -> Iterable[str]:
    """The count, then the pairs that are the same or open, by groups in which that is so of any two models."""
    if not scenario.pairs.total:
        return
    measure, calls = ranking_measure(scenario), Calls.of(scenario)
    counting = [standing.model for standing in scenario.standings if ranking_result(standing).rank is not None]
    count = counted(scenario.pairs, measure.margin)
    if count not in scenario.verdict:
        yield f"By {measure.title}, {count}."
    if same := calls.groups("same", counting):
        yield f"The same within {within_margin(measure.margin)}: {'; '.join(' = '.join(group) for group in same)}."
    left = [", ".join(group) for group in calls.groups("open", counting)]
    unranked = [standing.model for standing in scenario.standings if standing.model not in counting]
    left += [f"all pairs of {model}" for model in unranked if counting and calls.are("open", model, counting[0])]
    if left:
        yield f"Open, each with each: {'; '.join(left)}."


def _precision(scenario: ScenarioSummary) -> Iterable[str]:
    """How far replicates and windows differ, what difference would not show, and what the A/A arm says of it."""
    said = []
    if scenario.replicate_sd is not None:
        said.append(f"between replicates a model moves by {percent(scenario.replicate_sd)} (standard deviation)")
    if scenario.window_sd is not None:
        said.append(f"between the windows of a replicate by {percent(scenario.window_sd)}")
    if scenario.resolution is not None:
        said.append(f"differences under {percent(scenario.resolution)} may not show")
    if scenario.aa is not None:
        said.append(f"the A/A arm's ratio is {between(scenario.aa)}, in truth 1")
    if said:
        yield sentence("; ".join(said))


def _missing(scenario: ScenarioSummary) -> Iterable[str]:
    """Why there is no number, those together whose reasons differ in numbers only."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for standing in scenario.standings:
        for what, why in _reasons(scenario, standing):
            kinds.setdefault((what, alike(why)), []).append((standing.model, why))
    for (what, _), same in kinds.items():
        yield sentence(f"{what}, {', '.join(model for model, _ in same)}: {same[0][1]}")


def _reasons(scenario: ScenarioSummary, standing: Standing) -> Iterable[tuple[str, str]]:
    """What has no number that counts, and why."""
    if standing.failed:
        yield "failed", standing.failed
        return
    if standing.invalid:
        yield "invalid", standing.invalid
    measures = scenario.measures or [ranking_measure(scenario)]
    for measure, result in zip(measures, standing.results, strict=False):
        if result.reason and not (result.reason == "invalid" and standing.invalid):
            yield f"no {measure.title} ({IN_A_WORD[result.reason]})", result.why
    if standing.capacity and standing.capacity.why:
        yield f"capacity at {standing.capacity.objective}", standing.capacity.why
    if standing.p99 and standing.p99.status == "insufficient" and standing.p99.why:
        yield "no p99 at half peak", standing.p99.why


def at_quantile(quantiles: Iterable[Quantile], q: float) -> Quantile | None:
    """The one of these at q."""
    return next((quantile for quantile in quantiles if quantile.q == q), None)
