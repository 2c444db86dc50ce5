"""What the table of a scenario says, before anybody decides how it looks: columns, rows of words, notes beneath.

The terminal and the markdown page are made from the same sheet, so they cannot disagree.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.amounts import digits, duration, latency, margin, percent, rate, size
from benchmarks.checks.service import is_overloaded
from benchmarks.metrics import is_plain, shown
from benchmarks.objective import CANNOT
from benchmarks.summaries import (
    CellSummary,
    Estimate,
    Finding,
    MeasureSummary,
    Quantile,
    Reason,
    RunSummary,
    ScenarioSummary,
    Standing,
)
from benchmarks.tails import name

NOTHING = "–"
FURTHER = 8  # how gladly columns of further measures are left out of a narrow terminal
NAMED_AT_MOST = 3  # models in one note
FOLDED = 14  # characters of a title in one line
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title in one line or two, how gladly it is left out of a narrow terminal (0: never), and whether it is
    what a struck row claims."""

    heading: str
    spare: int = 0
    right: bool = True
    claim: bool = False
    main: bool = False  # what the table ranks by

    @property
    def title(self) -> str:
        """The title in one line."""
        return self.heading.replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Row:
    """A model's row. `share` of the best is for a bar, None when there is nothing to compare."""

    words: tuple[str, ...]
    share: float | None
    first: bool  # cannot be told apart from the best
    struck: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Note:
    """What a raised number in the table stands for, and why it matters: the same for all tables, so worth reading once."""

    said: str
    explained: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The table of one scenario."""

    scenario: str
    question: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
    verdict: str


def sheet(summary: RunSummary, scenario: ScenarioSummary) -> Sheet:
    """The table of one scenario, best first, each mark explained in a note."""
    cells = [cell for cell in summary.cells if cell.scenario == scenario.scenario]
    common = _common_rate(cells)
    columns = [
        Column("#", right=False),
        Column("model", right=False),
        *_main_columns(scenario.measures),
        Column("connections", spare=5),
        Column(f"capacity at\n{summary.objective}", claim=True) if summary.objective else Column("p99 at\nhalf peak", spare=1),
        Column("CPU per\nrequest", spare=2),
        Column("memory", spare=6),
    ]
    if _knees(scenario.standings):
        columns.append(Column("knee", spare=7))
    columns += [Column(_folded(measure.title), spare=FURTHER, claim=True) for measure in scenario.measures[1:]]
    if _collected(cells):
        columns += [Column("collections\nper 1,000", spare=9), Column("time in\ncollections", spare=9)]
    at_common = 6 + bool(scenario.measures)
    if common:
        columns.insert(at_common, Column(f"{_ranking_quantile(common)} at\n{rate(common[0].level.rate_per_s or 0.0)}", spare=3))
    raised, notes = _marks(scenario.standings, cells)
    rows = [_row(standing, scenario, cells, common, raised, bool(summary.objective)) for standing in scenario.standings]
    return Sheet(
        scenario=scenario.scenario,
        question=scenario.question,
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(*notes, *_capacity_notes(scenario.standings), *_insufficient(scenario.standings, common), *_untold(scenario)),
        verdict=scenario.verdict,
    )


def _main_columns(measures: Sequence[MeasureSummary]) -> list[Column]:
    """What the table ranks by, and how far each is from the best; where that is not the peak, the peak too."""
    of_the_best = Column("of the best", right=False, claim=True)
    if not measures:
        return [Column("peak", claim=True, main=True), of_the_best]
    return [Column(_folded(measures[0].title), claim=True, main=True), of_the_best, Column("peak", spare=3, claim=True)]


def _folded(title: str) -> str:
    """A title in two lines as equally long as can be, if it is long."""
    words = title.split()
    if len(title) <= FOLDED or len(words) == 1:
        return title
    halves = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return "\n".join(min(halves, key=lambda half: max(map(len, half))))


def _collected(cells: Iterable[CellSummary]) -> bool:
    """Whether anybody counted garbage collections."""
    return any(cell.collections_per_1000 is not None for cell in cells)


def _row(
    standing: Standing,
    scenario: ScenarioSummary,
    cells: Sequence[CellSummary],
    common: Sequence[CellSummary],
    raised: dict[str, str],
    searched: bool,
) -> Row:
    standings, measures = scenario.standings, scenario.measures
    own = [cell for cell in cells if cell.model == standing.model]
    peak = next((cell for cell in own if cell.level.label == standing.peak_level), None)
    words = [
        shared_rank(standing.rank, [other.rank for other in standings]),
        standing.model + _signs(standing, raised),
        *([_result(standing, 0, scenario)] if measures else [_peak(standing)]),
        _of_the_best(standing.relative, standing.rank),
        *([_peak(standing)] if measures else []),
        str(peak.level.connections) if peak else NOTHING,
        _capacity(standing) if searched else latency(standing.p99),
        _cpu(peak),
        size(peak.uss_bytes) if peak and peak.uss_bytes else NOTHING,
    ]
    if _knees(standings):
        words.append(_knee(standing))
    words += [_result(standing, at, scenario) for at in range(1, len(measures))]
    if _collected(cells):
        words += _collections(peak)
    if common:
        words.insert(
            6 + bool(measures), _at_common_rate(next((cell for cell in common if cell.model == standing.model), None), common)
        )
    return Row(
        words=tuple(words),
        share=standing.relative.value if standing.relative else None,
        first=standing.rank == 1,
        struck=bool(standing.struck),
        failed=bool(standing.failed),
    )


def shared_rank(rank: int | None, ranks: Iterable[int | None]) -> str:
    """ "3", or "3=" when it is shared, as in sports; a dash for none."""
    if rank is None:
        return NOTHING
    return f"{rank}=" if sum(other == rank for other in ranks) > 1 else str(rank)


def _result(standing: Standing, at: int, scenario: ScenarioSummary) -> str:
    """What a measure says of a model, with its interval; in few words why it says nothing."""
    if standing.failed or at >= len(standing.results):
        return "failed"
    result = standing.results[at]
    if result.reason in _IN_A_WORD:
        return _IN_A_WORD[result.reason]
    if result.value is None:
        return NOTHING
    said = f"{shown(result.value.value, scenario.measures[at].unit)} {margin(result.value)}".rstrip()
    if at == 0 or result.rank is None:
        return said
    ranks = [other.results[at].rank for other in scenario.standings if at < len(other.results)]
    return f"{said} ({shared_rank(result.rank, ranks)})"


_IN_A_WORD: dict[Reason, str] = {"failed": "failed", "overloaded": "overloaded", "cannot": "cannot", "unknown": "can't tell"}


def _collections(peak: CellSummary | None) -> list[str]:
    if peak is None or peak.collections_per_1000 is None or peak.pause_share is None:
        return [NOTHING, NOTHING]
    return [digits(peak.collections_per_1000, 2), percent(peak.pause_share) if peak.pause_share else "0"]


def _peak(standing: Standing) -> str:
    if standing.peak_per_s is None:
        return "failed" if standing.failed else NOTHING
    return f"{rate(standing.peak_per_s.value)} {margin(standing.peak_per_s)}".rstrip()


def _of_the_best(relative: Estimate | None, rank: int | None) -> str:
    if relative is None:
        return NOTHING
    if relative.low == relative.high == 1:
        return "best" if rank else "highest"
    between = f" ({_ratio(relative.low)}–{_ratio(relative.high)})" if relative.low and relative.high else ""
    return f"{_ratio(relative.value)}{between}"


def _ratio(ratio: float) -> str:
    """Two decimals, so that they stand below each other; small ones keep two digits."""
    return f"{ratio:.2f}" if ratio >= 0.1 else digits(ratio, 2)


def _cpu(cell: CellSummary | None) -> str:
    """CPU time per request, user and system together."""
    if cell is None or cell.cpu_user_us is None or cell.cpu_system_us is None:
        return NOTHING
    return duration((cell.cpu_user_us.value + cell.cpu_system_us.value) * 1e3)


# ---------------------------------------------------------------- knee and capacity


def _knees(standings: Iterable[Standing]) -> bool:
    """Whether anybody has a knee to show."""
    return any(standing.knee for standing in standings)


def _knee(standing: Standing) -> str:
    """The rate at the knee, and which level that was: "47.8k/s, 50%"."""
    if standing.knee is None:
        return NOTHING
    level = standing.knee.level.removeprefix("open ")
    return f"{'≤ ' * standing.knee.lowest}{rate(standing.knee.rate_per_s)}, {level}"


def _capacity(standing: Standing) -> str:
    found = standing.capacity
    if found is None:
        return NOTHING
    if found.rate_per_s is not None:
        return f"{rate(found.rate_per_s.value)} {margin(found.rate_per_s)}".rstrip()
    if found.met_per_s is not None:
        return f"≥ {rate(found.met_per_s)}"
    return CANNOT if found.why.startswith(CANNOT) else "can't tell"


def _capacity_notes(standings: Iterable[Standing]) -> list[Note]:
    """Why a capacity is missing, only a lower bound, or not from all visits."""
    told = [(standing.model, standing.capacity) for standing in standings if standing.capacity]
    return [Note(f"Capacity of {model} at {found.objective}: {found.why}.") for model, found in told if found.why]


# ---------------------------------------------------------------- the level at which all are asked the same


def _common_rate(cells: Iterable[CellSummary]) -> list[CellSummary]:
    """The cells of the lowest rate that was offered to all alike: the one that most can carry."""
    offered = [
        cell for cell in cells if cell.level.rate_per_s is not None and cell.level.share is None and is_plain(cell.level)
    ]
    lowest = min((cell.level.rate_per_s or 0.0 for cell in offered), default=None)
    return [cell for cell in offered if cell.level.rate_per_s == lowest]


def _ranking_quantile(common: Iterable[CellSummary]) -> str:
    """The percentile by which the level was ranked; the median where nobody was."""
    return next((cell.ranked_by for cell in common if cell.ranked_by), "p50")


def _at_common_rate(cell: CellSummary | None, common: Sequence[CellSummary]) -> str:
    if cell is None or cell.rate_per_s is None:
        return NOTHING
    if is_overloaded(cell):
        return "overloaded"
    place = shared_rank(cell.rank, [other.rank for other in common])
    said = latency(_asked(cell.response, _ranking_quantile(common)))
    return said if cell.rank is None else f"{said} ({place})"


def _asked(quantiles: Iterable[Quantile], wanted: str) -> Quantile | None:
    return next((quantile for quantile in quantiles if name(quantile.q) == wanted), None)


# ---------------------------------------------------------------- notes


def _signs(standing: Standing, raised: dict[str, str]) -> str:
    """The raised numbers of a model's notes."""
    return "".join(f" {raised[said]}" for said in _said_of(standing))


def _said_of(standing: Standing) -> list[str]:
    """What needs a note: why there is no number, why it is not believed, what qualifies it."""
    if standing.failed:
        return [f"failed: {standing.failed}"]
    return ([f"struck: {standing.struck}"] if standing.struck else []) + list(standing.marks)


def _marks(standings: Sequence[Standing], cells: Sequence[CellSummary]) -> tuple[dict[str, str], list[Note]]:
    """The raised number of each mark, and a note for each."""
    said_of: dict[str, list[Standing]] = {}
    for standing in standings:
        for said in _said_of(standing):
            said_of.setdefault(said, []).append(standing)
    raised = {said: str(number).translate(_RAISED) for number, said in enumerate(said_of, start=1)}
    return raised, [_note(raised[said], said, of, cells) for said, of in said_of.items()]


def _note(sign: str, said: str, of: Sequence[Standing], cells: Sequence[CellSummary]) -> Note:
    """A mark with what was seen of each of its models; why it matters and what to do."""
    found = {standing.model: finding for standing in of if (finding := _finding(said, standing.model, cells))}
    if not found:
        rest = "" if said.startswith(("failed", "struck")) else ": the others count; the record has the server's last words"
        return Note(f"{sign} {_sentence(said + rest)}")
    first = next(iter(found.values()))
    seen = _seen(found) if len(found) > 1 else first.seen
    opening = said if said.startswith("struck") else f"{said}: {seen}"
    return Note(f"{sign} {_sentence(opening)}", f"{_sentence(first.why)} {_sentence(first.remedy)}")


def _seen(found: Mapping[str, Finding]) -> str:
    """What was seen of each model; of many, the first ones."""
    said = [f"{finding.seen} ({model})" for model, finding in found.items()]
    more = len(said) - NAMED_AT_MOST
    return "; ".join(said[:NAMED_AT_MOST] + ([f"and {more} more models"] if more > 0 else []))


def _finding(said: str, model: str, cells: Sequence[CellSummary]) -> Finding | None:
    """The finding behind a mark: a mark begins with the name of its check."""
    check = said.removeprefix("struck: ")
    own = (finding for cell in cells if cell.model == model for finding in cell.findings)
    return next((finding for finding in own if check.startswith(finding.check)), None)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")


def _insufficient(standings: Sequence[Standing], common: Sequence[CellSummary]) -> list[Note]:
    """Why percentiles are missing, those together whose reasons differ in numbers only."""
    asked = [(standing.model, standing.p99) for standing in standings]
    asked += [(cell.model, _asked(cell.response, _ranking_quantile(common))) for cell in common if cell.rate_per_s]
    missing = [(model, q.why) for model, q in asked if q is not None and q.status == "insufficient" and q.why]
    kinds: dict[str, list[tuple[str, str]]] = {}
    for model, why in missing:
        kinds.setdefault(re.sub(r"[\d.,]+", "#", why), []).append((model, why))
    return [Note(f"Insufficient: {same[0][1]} ({_models(same)}).") for same in kinds.values()]


def _untold(scenario: ScenarioSummary) -> list[Note]:
    """Why measures say nothing of models that did not fail; those together whose reasons differ in numbers only."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for at, measure in enumerate(scenario.measures):
        for standing in scenario.standings:
            result = standing.results[at] if at < len(standing.results) and not standing.failed else None
            if result and result.reason and result.reason != "struck":
                key = measure.title, re.sub(r"[\d.,]+\S*", "#", f"{result.reason} {result.why}")
                kinds.setdefault(key, []).append((standing.model, f"{_IN_A_WORD[result.reason]}: {result.why}"))
    return [Note(f"No {title}: {same[0][1]} ({_models(same)}).") for (title, _), same in kinds.items()]


def _models(same: Sequence[tuple[str, str]]) -> str:
    models = list(dict.fromkeys(model for model, _ in same))
    others = len(models) - 1
    return f"{models[0]}; {others} more {'is' if others == 1 else 'are'} like it" if others else models[0]
