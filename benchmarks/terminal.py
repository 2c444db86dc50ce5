"""The end of a run in a terminal: who is best in each question, by how much, at which cost, in one screen of 60 lines.

Few questions get a table each. Where tables do not fit, models that are the same share a line, then those that are far from
the best stand two in a line, with their ratio alone. Many questions get one matrix and a line each. All else is in summary.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from benchmarks.amounts import ranged, span, within
from benchmarks.lines import GAP, aligned, wrapped
from benchmarks.matrix import MatrixColumn, Place, columns, explained
from benchmarks.overview_sheets import MATRIX_QUESTION, models_by_family
from benchmarks.pair_words import (
    Calls,
    counted,
    ranking_measure,
    ranking_result,
    runs_of_equals,
    within_margin,
    without_place,
)
from benchmarks.remarks import alike, remarks
from benchmarks.sheets import NOTHING, REMARKED, capacity, is_best, shared_rank
from benchmarks.summaries import MeasureSummary, RunSummary, ScenarioSummary, Standing

HEIGHT = 60  # lines of a screen,
RESERVED = 2  # of which those say where charts and numbers are
SHORTEST = 5  # lines of a question with its table
LEAST_IN_FULL = 2  # rows of a table with all that is known of a model
FEET = ((6, 4), (6, 2), (3, 2), (3, 1), (1, 1))  # lines of remarks and of small print, the fewer the less room there is
SAME = "≈"
INDENT = " " * 6  # of names, behind rank and sign
ARROW = "→ "

Lines = list[Text]


def brief(summary: RunSummary, width: int) -> Lines:
    """The report in 58 lines of this width."""
    room = HEIGHT - RESERVED
    feet = [_foot(summary, width, _legend(summary), *most) for most in FEET]
    if len(summary.scenarios) * SHORTEST > room:
        return _overview(summary, width, room)
    blocks = [*(_alternatives(summary, scenario, width) for scenario in summary.scenarios), feet]
    return fit(blocks, room) or _overview(summary, width, room)


def fit(blocks: Sequence[Sequence[Lines]], room: int) -> Lines | None:
    """Of each block the first of its alternatives with which all fit in the room; None if not even the shortest do."""
    chosen = [0] * len(blocks)
    while sum(len(block[at]) for block, at in zip(blocks, chosen, strict=True)) > room:
        more = [number for number, block in enumerate(blocks) if chosen[number] + 1 < len(block)]
        if not more:
            return None
        longest = max(more, key=lambda number: len(blocks[number][chosen[number]]))
        chosen[longest] += 1
    return [line for block, at in zip(blocks, chosen, strict=True) for line in block[at]]


# ---------------------------------------------------------------- one question


@dataclass(frozen=True, slots=True)
class _Row:
    """A model, or several that are the same, with its place and its numbers."""

    place: str  # rank and sign, so many characters as INDENT has
    names: str
    words: tuple[str, ...]
    best: bool


@dataclass(frozen=True, slots=True)
class _Question:
    """A scenario, for lines of this width, with what stands before the name of each model."""

    scenario: ScenarioSummary
    width: int
    searched: bool  # whether the run looked for the models' capacities
    places: dict[str, str]

    @property
    def measure(self) -> MeasureSummary:
        """What ranks."""
        return ranking_measure(self.scenario)


def _alternatives(summary: RunSummary, scenario: ScenarioSummary, width: int) -> list[Lines]:
    """A question's lines, from the longest to the shortest form."""
    calls = Calls.of(scenario)
    asked = _Question(scenario, width, bool(summary.objective), _places(scenario, calls))
    placed = [standing for standing in scenario.standings if not without_place(standing)]
    runs = runs_of_equals(placed, calls)
    tables = [_table(asked, [[standing] for standing in placed]), _table(asked, runs)]
    for full in range(len(runs) - 1, LEAST_IN_FULL - 1, -1):
        others = [standing for run in runs[full:] for standing in run]
        tables.append([*_table(asked, runs[:full]), *_side_by_side(asked, others)])
    shorter = [table for at, table in enumerate(tables) if not at or len(table) < min(map(len, tables[:at]))]
    head, tail = _title(scenario, width), [*_absent(scenario, width), *_answer(scenario, width)]
    return [[*head, *table, *tail] for table in shorter]


def _places(scenario: ScenarioSummary, calls: Calls) -> dict[str, str]:
    """Of each model the rank, and a sign if it is the same as the one before it."""
    ranks = [standing.rank for standing in scenario.standings]
    before: str | None = None
    places = {}
    for standing in scenario.standings:
        same = before is not None and calls.are("same", before, standing.model)
        places[standing.model] = f"{shared_rank(standing.rank, ranks):>3} {SAME if same else ' '} "
        before = standing.model
    return places


def _title(scenario: ScenarioSummary, width: int) -> Lines:
    question = wrapped(scenario.question, width - len(scenario.scenario) - len(GAP), 1)
    return [Text(), Text.assemble((scenario.scenario, "bold"), GAP, ("".join(question), "italic"))]


def _table(asked: _Question, runs: Sequence[Sequence[Standing]]) -> Lines:
    """The rows of these models with all their numbers, below a line that says what ranks."""
    if not runs:
        return []
    heads = ["value", "ratio", *(["capacity"] if asked.searched else []), "CPU/request"]
    rows = [_row(asked, run) for run in runs]
    numbers = aligned([heads, *(row.words for row in rows)], [True, False, *[True] * (len(heads) - 2)])
    room = asked.width - max(map(len, numbers)) - len(GAP) - len(INDENT)
    names = [wrapped(row.names, room) for row in rows]
    title = "".join(wrapped(f"by {asked.measure.title}", room, 1))
    longest = max(len(title), *(len(line) for lines in names for line in lines))
    made = [Text(f"{INDENT}{title:<{longest}}{GAP}{numbers[0]}", style="dim")]
    for row, lines, said in zip(rows, names, numbers[1:], strict=True):
        style = "bold green" if row.best else ""
        made.append(Text(f"{row.place}{lines[0]:<{longest}}{GAP}{said}", style=style))
        made += [Text(INDENT + line, style=style) for line in lines[1:]]
    return made


def _row(asked: _Question, run: Sequence[Standing]) -> _Row:
    """One row. Of several models the numbers are the first one's; of their CPU time the range, too."""
    first = run[0]
    value = ranking_result(first).value
    words = [ranged(value, asked.measure.unit) if value else NOTHING, _ratio(first)]
    if asked.searched:
        words.append(capacity(first))
    costs = [standing.cpu_us.value * 1e3 for standing in run if standing.cpu_us]
    words.append(span(min(costs), max(costs), "time") if costs else NOTHING)
    names = f" {SAME} ".join(_named(standing) for standing in run)
    return _Row(asked.places[first.model], names, tuple(words), first.rank == 1)


def _named(standing: Standing) -> str:
    return standing.model + REMARKED * bool(standing.warnings)


def _ratio(standing: Standing) -> str:
    if standing.ratio is None:
        return NOTHING
    return "best" if is_best(standing.ratio) else within(standing.ratio)


def _side_by_side(asked: _Question, standings: Sequence[Standing]) -> Lines:
    """Models with their ratio alone, as many in a line as fit; they go down the columns."""
    cells = [[asked.places[one.model] + _named(one), _ratio(one)] for one in standings]
    for across in range(len(cells), 0, -1):
        down = -(-len(cells) // across)
        rows = [[cell for at in range(row, len(cells), down) for cell in cells[at]] for row in range(down)]
        longest = max(map(len, rows))
        lines = aligned([row + [""] * (longest - len(row)) for row in rows], [False] * longest)
        if max(map(len, lines)) <= asked.width:
            break
    return [Text(line) for line in lines]


def _absent(scenario: ScenarioSummary, width: int) -> Lines:
    """Models without a number that counts, and why; those together whose reasons differ in numbers only."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for standing in scenario.standings:
        if why := without_place(standing):
            kinds.setdefault(alike(why), []).append((standing.model, why))
    lines: list[str] = []
    for same in kinds.values():
        names, room = ", ".join(model for model, _ in same), width - len(INDENT)
        said = wrapped(f"{names}: {same[0][1]}", room, len(wrapped(names, room)))
        lines += [f"{NOTHING:>3}   {said[0]}", *(INDENT + line for line in said[1:])]
    return [Text(line, style="red") for line in lines]


def _answer(scenario: ScenarioSummary, width: int) -> Lines:
    """The verdict's first sentence and the count of pairs."""
    first = scenario.verdict.partition(". ")[0].removesuffix(".")
    room = width - len(ARROW)
    shortened = " ".join(wrapped(f"{first}.", room, 2))
    pairs = scenario.pairs
    count = f" {counted(pairs, ranking_measure(scenario).margin)}." if pairs.total and " pairs " not in shortened else ""
    lines = wrapped(shortened + count, room)
    return [Text((ARROW if not at else " " * len(ARROW)) + line, style="bold") for at, line in enumerate(lines)]


# ---------------------------------------------------------------- many questions


def _overview(summary: RunSummary, width: int, room: int) -> Lines:
    """All questions at a glance: a matrix of ratios, and a line for each question."""
    firsts, order = _first_columns(summary), models_by_family(summary)
    names = max(map(len, order), default=0) + len(GAP)
    wide = next((wide for wide in (4, 3) if names + wide * len(firsts) <= width), 1)
    matrix, digits = _matrix(firsts, order, names, wide), min(wide, 2)
    lines = [Text(), Text(MATRIX_QUESTION, style="bold"), *matrix, *_questions(summary, width)]
    feet = [_foot(summary, width, _matrix_legend(firsts, digits), *most) for most in FEET]
    foot = next((one for one in feet if len(lines) + len(one) <= room), feet[-1])
    over = len(lines) + len(foot) - room
    if over > 0:
        lines = [*lines[: -over - 1], Text(f"{over + 1} more questions in summary.md", style="dim")]
    return [*lines, *foot]


def _matrix(firsts: Sequence[MatrixColumn], order: Sequence[str], names: int, wide: int) -> Lines:
    """A row for each model and a column for each question, by its number; one so wide has two digits of the ratio, or one."""
    numbers = [str(at) for at in range(1, len(firsts) + 1)]
    if wide > 1:
        heads = ["".join(f"{number:>{wide}}" for number in numbers)]
    else:
        tens = "".join(number[:-1] if number.endswith("0") else " " for number in numbers)
        heads = [tens, "".join(number[-1] for number in numbers)]
    made = [Text((" " * names + head).rstrip(), style="dim") for head in heads]
    for model in order:
        line = Text(model.ljust(names))
        for column in firsts:
            place = column.places.get(model)
            line.append(f"{_digits(place, min(wide, 2)):>{wide}}", style=_colour(place))
        made.append(line)
    return made


def _first_columns(summary: RunSummary) -> list[MatrixColumn]:
    """The column of each scenario's first measure."""
    return list({column.scenario: column for column in reversed(columns(summary))}.values())[::-1]


def _digits(place: Place | None, digits: int) -> str:
    """A ratio's first digits behind the point, cut off: 0.83 is "83" or "8"; "=" for the best and its equals."""
    if place is None:
        return NOTHING
    if place.ratio is None:
        return place.code
    return "=" if place.best else f"{min(int(place.ratio * 10**digits), 10**digits - 1):0{digits}}"


def _colour(place: Place | None) -> str:
    if place is None or place.ratio is None:
        return "dim"
    if place.best:
        return "bold green"
    return "green" if place.ratio >= 0.8 else "yellow" if place.ratio >= 0.4 else "red"


def _questions(summary: RunSummary, width: int) -> Lines:
    """A line for each question: who is best, what it got, how far the next one is, how many pairs are decided."""
    rows = [["", "question", "best", "value", "next", "decided"]]
    for number, scenario in enumerate(summary.scenarios, 1):
        rows.append([str(number), *_winner(scenario)])
    right = [True, False, False, True, False, True]
    columns_left = [0, 1, 2, 3, 4, 5]
    for spare in (3, 5):  # what is left out of a narrow terminal first
        if (
            max(map(len, aligned([[row[at] for at in columns_left] for row in rows], [right[at] for at in columns_left])))
            > width
        ):
            columns_left.remove(spare)
    lines = aligned([[row[at] for at in columns_left] for row in rows], [right[at] for at in columns_left])
    return [Text(line, style="dim" if not at else "") for at, line in enumerate(lines)]


def _winner(scenario: ScenarioSummary) -> list[str]:
    pairs = scenario.pairs
    decided = f"{pairs.different + pairs.same}/{pairs.total}" if pairs.total else NOTHING
    firsts = [standing for standing in scenario.standings if standing.rank == 1]
    if not firsts:
        return [scenario.scenario, NOTHING, NOTHING, NOTHING, decided]
    value = ranking_result(firsts[0]).value
    following = next((one for one in scenario.standings if one.rank and one.rank > 1), None)
    return [
        scenario.scenario,
        firsts[0].model + f" +{len(firsts) - 1}" * (len(firsts) > 1),
        ranged(value, ranking_measure(scenario).unit).partition(" (")[0] if value else NOTHING,
        _ratio(following) if following else "no difference",
        decided,
    ]


# ---------------------------------------------------------------- what holds for all


def _foot(summary: RunSummary, width: int, legend: str, remark_lines: int, print_lines: int) -> Lines:
    """What the signs mean, what to know before believing a number, how much was measured."""
    made = f"{summary.trials_made:,} trials, {summary.trials_failed} failed. {summary.conditions}"
    return [
        *([Text()] if print_lines > 1 else []),
        *(Text(line, style="dim") for line in wrapped(legend, width, 3)),
        *_remarks(summary, width, remark_lines),
        *(Text(line, style="dim") for line in wrapped(made, width, print_lines)),
    ]


def _legend(summary: RunSummary) -> str:
    margins = sorted({within_margin(ranking_measure(one).margin) for one in summary.scenarios}, key=lambda one: (len(one), one))
    said = ["ratio: to the best, ± its 95% interval", "2=: no significant difference at that rank"]
    said.append(f"{SAME}: the same within {' or '.join(margins)} as the model before")
    if any(standing.warnings for scenario in summary.scenarios for standing in scenario.standings):
        said.append(f"{REMARKED}: see below")
    return "; ".join(said) + "."


def _matrix_legend(firsts: Sequence[MatrixColumn], digits: int) -> str:
    said = ["9 is 0.9 of the best and more" if digits == 1 else "95 is 0.95 of the best", "smaller is worse everywhere"]
    said += [
        "=: no significant difference to the best",
        *(f"{code}: {why.partition(':')[0]}" for code, why in explained(firsts)),
    ]
    said += ["next: its ratio to the best, ± its 95% interval", "decided: pairs that differ or are the same"]
    return "; ".join(said) + "."


def _remarks(summary: RunSummary, width: int, most: int) -> Lines:
    """So many lines at most, and one that says how many remarks are left."""
    found = [wrapped(f"! {one.short}", width, 2, indent="  ") for one in remarks(summary)]
    if sum(map(len, found)) > most:
        found = [wrapped(f"! {one.short}", width, 1) for one in remarks(summary)]
    left = len(found) - most
    more = [f"! {left} more in summary.md"] if left > 0 else []
    return [Text(line, style="yellow") for line in [*(line for lines in found[:most] for line in lines), *more]]
