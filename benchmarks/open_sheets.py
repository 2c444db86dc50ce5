"""The open loop in numbers: model by level, what was offered and served, and how long it took, for the page of a run.

Response time is what a client would have waited from the moment its request was due; service time leaves out what passed before
it was sent, send lag is that part alone. Beside them stands what the machine's own pauses would have cost at p99: a tail near
that is the machine's.
"""

from benchmarks.amounts import duration, latency, percentile, rate
from benchmarks.sheets import NOTHING, Column, Row, Sheet, at_quantile, shared_rank
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary

QUANTILES = (0.5, 0.9, 0.99, 0.999)
TAIL = 0.99


def open_sheet(summary: RunSummary, scenario: ScenarioSummary) -> Sheet:
    """The table of a scenario's open loop: models in the order of their standings, least offered first; no rows without one."""
    cells = [cell for cell in summary.cells if cell.scenario == scenario.scenario and cell.level.loop == "open"]
    order = {standing.model: place for place, standing in enumerate(scenario.standings)}
    knees = {standing.model: standing.knee.level for standing in scenario.standings if standing.knee}
    told = [cell for cell in cells if cell.model in order and cell.rate_per_s is not None]
    told.sort(key=lambda cell: (order[cell.model], cell.offered_per_s or 0.0))
    ranked = any(cell.rank is not None for cell in told)
    columns = (
        Column("model", right=False),
        Column("level", right=False),
        Column("offered"),
        Column("served", claim=True),
        *(Column(f"response {percentile(q)}", claim=True) for q in QUANTILES),
        *(Column(f"{kind} {percentile(TAIL)}", claim=True) for kind in ("service", "send lag")),
        Column(f"machine alone {percentile(TAIL)}"),
        *([Column("rank", claim=True)] if ranked else []),
    )
    rows = [_row(cell, told, knees.get(cell.model) == cell.level.label, ranked) for cell in told]
    return Sheet(f"{scenario.scenario}, open loop", "", columns, tuple(rows), key=2)


def _row(cell: CellSummary, cells: list[CellSummary], at_knee: bool, ranked: bool) -> Row:
    level = cell.level.label.removeprefix("open ")
    hiccup = at_quantile(cell.hiccup, TAIL)
    words = [
        cell.model,
        f"{level}, knee" if at_knee else level,
        rate(cell.offered_per_s) if cell.offered_per_s else NOTHING,
        rate(cell.rate_per_s.value) if cell.rate_per_s else NOTHING,
        *(latency(at_quantile(cell.response, q)) for q in QUANTILES),
        latency(at_quantile(cell.service, TAIL)),
        latency(at_quantile(cell.send_lag, TAIL)),
        duration(hiccup.value_ns) if hiccup and hiccup.value_ns is not None else NOTHING,
    ]
    if ranked:
        alike = [other.rank for other in cells if other.level.label == cell.level.label]
        words.append(f"{shared_rank(cell.rank, alike)} by {cell.ranked_by}" if cell.rank is not None else NOTHING)
    return Row(tuple(words), invalid=cell.invalid)
