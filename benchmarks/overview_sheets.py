"""The tables of all scenarios together: the decision matrix, and what was predicted beside what was measured."""

from collections.abc import Sequence

from benchmarks.amounts import margin, shown
from benchmarks.charts._style import family_rank
from benchmarks.matrix import MatrixColumn, answer, columns, explained, models, reasons, with_variants, words
from benchmarks.pair_words import ranking_measure, ranking_result
from benchmarks.remarks import sentence
from benchmarks.sheets import NOTHING, Column, Row, Sheet
from benchmarks.summaries import Judged, RunSummary

MATRIX_QUESTION = "Which model for which workload?"
PREDICTIONS_QUESTION = "Was it as theory says?"
KEY = (
    "As a ratio to the best of the column, which is 1.00: smaller is worse everywhere. =: no significant difference to the"
    " best. The last row is what the best got."
)


# ---------------------------------------------------------------- the matrix


def matrix_sheet(summary: RunSummary) -> Sheet:
    """The matrix: a row for each model, and one with the best's value of each column."""
    found = columns(summary)
    order = models_by_family(summary)
    rows = [
        Row(
            words=(model, *(words(column.places.get(model)) for column in found)),
            failed=all(column.places.get(model) is None or column.places[model].code == "F" for column in found),
        )
        for model in order
    ]
    rows.append(Row(("best", *(best_of(summary, column) for column in found))))
    notes = [KEY, *(f"{code}: {said}." for code, said in explained(found)), *(f"{reason}." for reason in reasons(found))]
    if any(place.warnings and place.ratio is not None for column in found for place in column.places.values()):
        notes.append("*: there is a warning; it is among the findings.")
    titles = (Column("model", right=False), *(Column(column.title) for column in found))
    return Sheet(MATRIX_QUESTION, sentence(answer(found)), titles, tuple(rows), tuple(notes))


def models_by_family(summary: RunSummary) -> list[str]:
    """Everybody with a standing anywhere, families together, variants below the model that they vary."""
    return with_variants(sorted(models(summary), key=family_rank))


def best_of(summary: RunSummary, column: MatrixColumn) -> str:
    """The value of the best of a column of the matrix."""
    scenario = next(one for one in summary.scenarios if one.scenario == column.scenario)
    at = next((at for at, one in enumerate(scenario.measures) if column.short and one.short == column.short), 0)
    unit = scenario.measures[at].unit if scenario.measures else ranking_measure(scenario).unit
    for standing in scenario.standings:
        results = standing.results or [ranking_result(standing)]
        if at < len(results) and results[at].rank == 1 and (value := results[at].value):
            return shown(value.value, unit)
    return NOTHING


# ---------------------------------------------------------------- predictions


def prediction_sheet(summary: RunSummary) -> Sheet:
    """Every prediction with its bounds, what was measured, and whether that agrees."""
    rows = [
        Row((scenario.scenario, one.family, one.model, one.says, one.measured, bounds(one), measured(one), _agreement(one),
             one.source))
        for scenario in summary.scenarios for one in scenario.predictions
    ]  # fmt: skip
    titles = ("scenario", "family", "model", "prediction", "metric", "bounds", "measured", "judgement", "source")
    everything = [one for scenario in summary.scenarios for one in scenario.predictions]
    families = dict.fromkeys(one.family for one in everything)
    notes = [f"{family}: {counted([one for one in everything if one.family == family])}." for family in families]
    notes.append("Open: the interval reaches across a bound, or there is no number that may be compared.")
    shown_columns = tuple(Column(title, right=title in ("bounds", "measured")) for title in titles)
    verdict = sentence(counted(everything)) if everything else ""
    return Sheet(PREDICTIONS_QUESTION, verdict, shown_columns, tuple(rows), tuple(notes), key=3)


def counted(predictions: Sequence[Judged]) -> str:
    """ "12 predictions: 7 agree, 2 disagree, 3 open"."""
    counts = {kind: sum(one.agreement == kind for one in predictions) for kind in ("agrees", "disagrees", "open")}
    agree, disagree = (f"{counts[kind]} {kind[: -1 * (counts[kind] != 1) or None]}" for kind in ("agrees", "disagrees"))
    said = f"{agree}, {disagree}, {counts['open']} open"
    return f"{len(predictions)} prediction{'s' * (len(predictions) != 1)}: {said}"


def _agreement(one: Judged) -> str:
    return f"open: {one.why}".removesuffix(": ") if one.agreement == "open" else one.agreement


def bounds(one: Judged) -> str:
    """The bounds as people read them: "at most 5.00 ms", "1.00× to 1.20×"."""
    if one.least is None and one.most is None:
        return NOTHING
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
