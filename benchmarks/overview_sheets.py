"""The tables of all scenarios together: the decision matrix, and what was predicted beside what was measured."""

from collections.abc import Iterator, Sequence

from benchmarks.amounts import margin
from benchmarks.charts._style import family_rank
from benchmarks.matrix import ABSENT, MARKED, MatrixColumn, answer, columns, explained, models, reasons, with_variants, words
from benchmarks.metrics import shown
from benchmarks.sheets import NOTHING, Column, Note, Row, Sheet
from benchmarks.summaries import Judged, RunSummary

MATRIX_QUESTION = "Which model for which workload?"
PREDICTIONS_QUESTION = "Was it as theory says?"
BETWEEN = 3  # from one column of a terminal's table to the next
KEY = "As a ratio to the best of the column, which is 1.00: smaller is worse everywhere. =: cannot be told apart from the best."


# ---------------------------------------------------------------- the matrix


def matrix_sheets(summary: RunSummary, width: int | None = None) -> list[Sheet]:
    """The matrix in one table, or in as many as a terminal of this width needs; key and answer are with the last of them."""
    shown_columns = columns(summary)
    order = with_variants(sorted(models(summary), key=family_rank))
    parts = list(_parts(shown_columns, order, width))
    notes = [Note(KEY), *(Note(f"{code}: {said}.") for code, said in explained(shown_columns))]
    notes += [Note(f"{reason}.") for reason in reasons(shown_columns)]
    if any(place.marks and place.ratio is not None for column in shown_columns for place in column.places.values()):
        notes.append(Note(f"*: {MARKED}."))
    said = answer(shown_columns)
    verdict = said[:1].upper() + said[1:] + "." if said.startswith(("of ", "best ", "no ")) else said + "."
    sheets = [_matrix_sheet(part, order) for part in parts]
    return [*sheets[:-1], *(_with(made, notes, verdict) for made in sheets[-1:])]


def _with(made: Sheet, notes: Sequence[Note], verdict: str) -> Sheet:
    return Sheet(made.scenario, made.question, made.columns, made.rows, tuple(notes), verdict)


def _parts(shown_columns: Sequence[MatrixColumn], order: Sequence[str], width: int | None) -> Iterator[list[MatrixColumn]]:
    """As many columns side by side as fit."""
    names = max((len(model) for model in order), default=0)
    part: list[MatrixColumn] = []
    used = names
    for column in shown_columns:
        wide = BETWEEN + max(len(text) for text in (*_heading(column).split("\n"), *map(words, column.places.values())))
        if part and width is not None and used + wide > width:
            yield part
            part, used = [], names
        part.append(column)
        used += wide
    if part:
        yield part


def _heading(column: MatrixColumn) -> str:
    """The title in short lines: broken at spaces, and after hyphens and underscores."""
    pieces = column.title.replace("-", "- ").replace("_", "_ ").split()
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) < 7:
            lines[-1] += piece if lines[-1].endswith(("-", "_")) else f" {piece}"
        else:
            lines.append(piece)
    return "\n".join(lines)


def _matrix_sheet(part: Sequence[MatrixColumn], order: Sequence[str]) -> Sheet:
    rows = [
        Row(
            words=(model, *(words(column.places.get(model)) for column in part)),
            share=None,
            first=False,
            struck=False,
            failed=all(column.places.get(model) is None or column.places[model].code == "F" for column in part),
        )
        for model in order
        if any(model in column.places for column in part)
    ]
    titles = tuple(Column(_heading(column)) for column in part)
    return Sheet("", MATRIX_QUESTION, (Column("model", right=False), *titles), tuple(rows), (), "")


# ---------------------------------------------------------------- predictions


def prediction_sheet(summary: RunSummary) -> Sheet:
    """Every prediction with its bounds, what was measured, and whether that agrees."""
    rows = [
        Row(
            (name, one.family, one.model, one.says, one.measured, bounds(one), measured(one), _agreement(one), one.source),
            share=None,
            first=False,
            struck=False,
            failed=False,
        )
        for name, one in _all(summary)
    ]
    titles = ("scenario", "family", "model", "prediction", "metric", "bounds", "measured", "", "source")
    everything = [one for _, one in _all(summary)]
    families = dict.fromkeys(one.family for one in everything)
    counts = [f"{family}: {_counted([one for one in everything if one.family == family])}." for family in families]
    key = "Open: the interval reaches across a bound, or there is no number that may be compared."
    return Sheet(
        "", PREDICTIONS_QUESTION, tuple(Column(t, right=t in ("bounds", "measured")) for t in titles), tuple(rows),
        tuple(map(Note, [*counts, key])), "",
    )  # fmt: skip


def prediction_lines(summary: RunSummary) -> list[tuple[str, bool]]:
    """For a terminal: a line for each scenario with counts, then each disagreement in full, which is what the flag says."""
    lines = []
    for scenario in summary.scenarios:
        if scenario.predictions:
            lines.append((f"{scenario.scenario}: {_counted(scenario.predictions)}", False))
        for one in scenario.predictions:
            if one.agreement == "disagrees":
                said = (
                    f"  {one.model} disagrees: {one.says} ({one.source}). {one.measured}: {measured(one)}, not {bounds(one)}."
                )
                lines.append((said, True))
    return lines


def _all(summary: RunSummary) -> list[tuple[str, Judged]]:
    return [(scenario.scenario, one) for scenario in summary.scenarios for one in scenario.predictions]


def _counted(predictions: Sequence[Judged]) -> str:
    counts = {kind: sum(one.agreement == kind for one in predictions) for kind in ("agrees", "disagrees", "open")}
    agree, disagree = (f"{counts[kind]} {kind[: -1 * (counts[kind] != 1) or None]}" for kind in ("agrees", "disagrees"))
    said = f"{agree}, {disagree}, {counts['open']} open"
    return f"{len(predictions)} prediction{'s' * (len(predictions) != 1)}: {said}"


def _agreement(one: Judged) -> str:
    return f"open: {one.why}" if one.agreement == "open" else one.agreement


def bounds(one: Judged) -> str:
    """The bounds as people read them: "at most 5.00 ms", "1.00× to 1.20×"."""
    if one.least is None and one.most is None:
        return ABSENT
    if one.least is None:
        return f"at most {shown(one.most or 0.0, one.unit)}"
    if one.most is None:
        return f"at least {shown(one.least, one.unit)}"
    return f"{shown(one.least, one.unit)} to {shown(one.most, one.unit)}"


def measured(one: Judged) -> str:
    """The estimate with its interval."""
    if one.estimate is None:
        return NOTHING
    return f"{shown(one.estimate.value, one.unit)} {margin(one.estimate)}".rstrip()
