"""The advice for a terminal of 80 columns, and for machines. Nothing is computed here but words."""

import json
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.advise import words
from benchmarks.advise.verdict import Advice, Candidate, name
from benchmarks.advise.workload import told
from benchmarks.amounts import digits, duration, size
from benchmarks.stats.intervals import samples_wanted

WIDEST = 100
_NONE = "–"
NOTES = "CPU: of a request. memory: resident set with all connections open, of all processes; what they share counts for each."

Column = tuple[str, Callable[[Candidate], str]]  # its heading, its cells


def as_json(advice: Advice) -> str:
    """The contract: names that qualify, cheapest first, and of all others why not."""
    found = {
        "qualify": [one.model for one in advice.qualify],
        "fail": {one.model: one.why for one in advice.fail},
        "unknown": {one.model: one.why for one in advice.unknown},
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def show(advice: Advice, console: Console) -> None:
    """Print it."""
    console.width = min(console.width, WIDEST)
    objective = f"; {advice.workload.objective.text}" if advice.workload.objective else ""
    console.print(Text(f"{told(advice.workload)}{objective}", style="italic"))
    console.print(Text(" ".join(words.headline(advice)), style="bold"))
    if advice.qualify:
        console.print()
        console.print(_table(advice.qualify, _columns(advice)))
        if advice.workload.rate_per_s is not None:
            console.print(Text(NOTES, style="dim"))
    _list("Fail", advice.fail, console)
    _list("Unknown", advice.unknown, console)
    _said("Why", words.reasons(advice), console)
    _said("What would change the answer", words.changes(advice), console)
    for doubt in _doubts(advice):
        console.print(Text(f"\n! {doubt}", style="yellow"))


def _doubts(advice: Advice) -> list[str]:
    found = []
    objective = advice.workload.objective
    if (q := advice.judged_q) is not None and objective is not None:
        found.append(
            f"{name(objective.q)} takes {samples_wanted(objective.q):,} requests, and not every model had them: judged by the"
            f" highest percentile that its requests resolve, {name(q)} at the lowest. A longer --budget resolves more."
        )
    if not advice.comparable:
        found.append("Server and load engine shared a core: response times are of both together.")
    return [*found, *(f"{doubt[0].upper()}{doubt[1:]}." for doubt in advice.doubts)]


def _said(title: str, sentences: Sequence[str], console: Console) -> None:
    if not sentences:
        return
    console.print(Text(f"\n{title}", style="bold"))
    for sentence in sentences:
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))


def _list(title: str, candidates: Sequence[Candidate], console: Console) -> None:
    if not candidates:
        return
    by_words: dict[str, list[str]] = {}
    for one in candidates:
        by_words.setdefault(one.why, []).append(one.model)
    console.print(Text(f"\n{title}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for why, models in by_words.items():
        table.add_row("\n".join(models), Text(why))
    console.print(Padding(table, (0, 0, 0, 2)))


# ---------------------------------------------------------------- the table of those that qualify


def _table(qualify: Sequence[Candidate], columns: Sequence[Column]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading, _ in columns:
        table.add_column(heading, justify="left" if heading in ("qualifies", "note") else "right", no_wrap=True)
    for candidate in qualify:
        table.add_row(*(Text(cell(candidate)) for _, cell in columns))
    return table


def _columns(advice: Advice) -> list[Column]:
    found: list[Column] = [("qualifies", lambda one: one.model)]
    if advice.workload.rate_per_s is None:
        return [*found, ("rate", words.carried), ("note", lambda one: one.why)]
    least_ns = advice.qualify[0].measured.cpu_ns or 1.0
    return [
        *found,
        ("CPU", lambda one: duration(one.measured.cpu_ns) if one.measured.cpu_ns else _NONE),
        ("ratio", lambda one: f"{digits((one.measured.cpu_ns or 0.0) / least_ns)}"),
        (_tail_heading(advice), lambda one: _tail(advice, one)),
        ("memory", lambda one: size(one.measured.rss_bytes) if one.measured.rss_bytes else _NONE),
        ("threads", lambda one: f"{one.measured.threads:,}" if one.measured.threads else _NONE),
    ]


def _tail_heading(advice: Advice) -> str:
    qs = {one.reached.q for one in advice.qualify if one.reached}
    return f"{name(qs.pop())} to at most" if len(qs) == 1 else "tail to at most"


def _tail(advice: Advice, one: Candidate) -> str:
    """ "52.1 to 55.0 ms": the percentile and the upper end of its range, and which one where models differ in it."""
    if one.reached is None:
        return _NONE
    which = "" if "tail" not in _tail_heading(advice) else f"{name(one.reached.q)} "
    value, high = duration(one.reached.value_ns), duration(one.reached.high_ns) if one.reached.high_ns is not None else "?"
    number, _, unit = value.partition(" ")
    return f"{which}{number if high.endswith(f' {unit}') else value} to {high}"
