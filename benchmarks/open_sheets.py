"""The open loop in numbers: model by level, what was offered and served, and how long it took, for the page of a run.

Response time is what a client would have waited from the moment its request was due; service time leaves out what passed before
it was sent, send lag is that part alone. Beside them stands what the machine's own pauses would have cost at p99: a tail near
that is the machine's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.amounts import duration, latency, rate
from benchmarks.sheets import NOTHING, Column, Note, Row
from benchmarks.summaries import CellSummary, Finding, Quantile, RunSummary, ScenarioSummary
from benchmarks.tails import QUANTILES, name

TAIL = 0.99
NAMED_AT_MOST = 4  # cells in one note


@dataclass(frozen=True, slots=True)
class OpenSheet:
    """The open cells of one scenario; the notes are of what is worth knowing of them and not marked elsewhere."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]


def open_sheet(summary: RunSummary, scenario: ScenarioSummary) -> OpenSheet:
    """The table of a scenario's open loop: models in the order of their standings, least offered first; no rows without one."""
    cells = [cell for cell in summary.cells if cell.scenario == scenario.scenario and cell.level.loop == "open"]
    order = {standing.model: place for place, standing in enumerate(scenario.standings)}
    knees = {standing.model: standing.knee.level for standing in scenario.standings if standing.knee}
    shown = [cell for cell in cells if cell.model in order and cell.rate_per_s is not None]
    shown.sort(key=lambda cell: (order[cell.model], cell.offered_per_s or 0.0))
    columns = (
        Column("model", right=False),
        Column("level", right=False),
        Column("offered"),
        Column("served", claim=True),
        *(Column(f"response {name(q)}", claim=True) for q in QUANTILES),
        *(Column(f"{kind} {name(TAIL)}", claim=True) for kind in ("service", "send lag")),
        Column(f"machine alone {name(TAIL)}"),
    )
    rows = tuple(_row(cell, knees.get(cell.model) == cell.level.label) for cell in shown)
    return OpenSheet(columns, rows, tuple(_notes(shown)))


def _row(cell: CellSummary, at_knee: bool) -> Row:
    level = cell.level.label.removeprefix("open ")
    hiccup = _at(cell.hiccup, TAIL)
    words = (
        cell.model,
        f"{level}, knee" if at_knee else level,
        rate(cell.offered_per_s) if cell.offered_per_s else NOTHING,
        rate(cell.rate_per_s.value) if cell.rate_per_s else NOTHING,
        *(latency(_at(cell.response, q)) for q in QUANTILES),
        latency(_at(cell.service, TAIL)),
        latency(_at(cell.send_lag, TAIL)),
        duration(hiccup.value_ns) if hiccup and hiccup.value_ns is not None else NOTHING,
    )
    return Row(words, share=None, first=False, struck=cell.struck, failed=False)


def _at(quantiles: Iterable[Quantile], q: float) -> Quantile | None:
    return next((quantile for quantile in quantiles if quantile.q == q), None)


def _notes(cells: Sequence[CellSummary]) -> Iterable[Note]:
    """What checks found worth knowing, and why cells are struck: each check once, with where it was seen."""
    found: dict[str, list[tuple[CellSummary, Finding]]] = {}
    for cell in cells:
        for finding in cell.findings:
            if finding.severity != "mark":  # the marks are notes of the table above
                found.setdefault(finding.check, []).append((cell, finding))
    for check, seen in found.items():
        places = [f"{finding.seen} ({cell.model} at {cell.level.label.removeprefix('open ')})" for cell, finding in seen]
        more = len(places) - NAMED_AT_MOST
        places = [*places[:NAMED_AT_MOST], *([f"and {more} more"] if more > 0 else [])]
        first = seen[0][1]
        struck = "struck, " if first.severity == "strike" else ""
        said = f"{struck}{check}: {'; '.join(places)}."
        yield Note(said[:1].upper() + said[1:], f"{_sentence(first.why)} {_sentence(first.remedy)}")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
