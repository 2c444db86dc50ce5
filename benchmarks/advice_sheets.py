"""Advice for a terminal (rich; plain where there is none), and for machines. Nothing is computed here."""

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.advice import Advice
from benchmarks.amounts import digits, duration, percent, size
from benchmarks.candidates import Answer, Candidate, Mechanism
from benchmarks.requirements import Held, between, quoted
from benchmarks.response import Bounds

WIDEST = 160
_NONE = "–"
_BETWEEN = 3  # from one column to the next


def as_json(advice: Advice) -> str:
    """All of it as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(advice), indent=2).decode()


def show(advice: Advice, console: Console) -> None:
    """Print it."""
    console.width = min(console.width, WIDEST)
    if advice.workload is not None and advice.demand is not None:
        console.print(Text(f"{advice.answers[0].question}.", style="italic"))
        console.print(Text(f"{advice.demand.said}.", style="dim"))
    for answer in advice.answers:
        _show_answer(answer, console, advice.workload is not None)
    if advice.would_tell:
        console.print(Text.assemble("\nWhat would tell more: ", (advice.would_tell, "bold")), soft_wrap=True)
    for doubt in advice.doubts:
        console.print(Text(f"\n! {doubt}", style="yellow"))
    console.print(Text(f"\n{advice.run}: {advice.conditions}", style="dim"))


def _show_answer(answer: Answer, console: Console, described: bool) -> None:
    console.print()
    if not described:
        name, _, question = answer.question.partition(": ")
        console.print(Text.assemble((name, "bold"), "  ", (question, "italic")))
    console.print(Text.assemble(("→ ", "bold green"), (answer.verdict, "bold")))
    fits = [candidate for candidate in answer.candidates if candidate.stands == "fits"]
    if fits:
        console.print()
        console.print(_table(fits, described, console.width))
    if described and fits:
        _list(f"Why {fits[0].model}", [(held.rule, held) for held in fits[0].rules], console)
        for candidate in fits[1:]:
            tight = [(candidate.model, held) for held in candidate.rules if held.outcome == "tight"]
            _list("Tight", tight, console)
    for title, stands in (("The evidence does not reach", "unknown"), ("Not these", "fails")):
        _list(title, [(c.model, held) for c in answer.candidates if c.stands == stands for held in c.against], console)


def _list(title: str, lines: Sequence[tuple[str, Held]], console: Console) -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    before = ""
    for name, held in lines:
        table.add_row(name if name != before else "", Text(quoted(held)))
        before = name
    console.print(Padding(table, (0, 0, 0, 2)))


# ---------------------------------------------------------------- the table of those that fit

Column = tuple[int, str, Callable[[Candidate], str]]  # how gladly it is spared, its heading, its cells


def _table(fits: Sequence[Candidate], described: bool, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    columns = _fitting(fits, list(_columns(fits, described)), width)
    for _, heading, _ in columns:
        table.add_column(heading, justify="left" if heading in ("model", "at") else "right", no_wrap=True)
    for candidate in fits:
        table.add_row(*(Text(cell(candidate)) for _, _, cell in columns), style="bold" if candidate.rank == 1 else "")
    return table


def _fitting(fits: Sequence[Candidate], columns: Sequence[Column], width: int) -> list[Column]:
    """The columns for which there is room, those gladly spared left out first."""
    kept = list(columns)
    while sum(max(len(words) for words in (heading, *map(cell, fits))) + _BETWEEN for _, heading, cell in kept) > width:
        if (spared := max(kept, key=lambda column: column[0]))[0] == 0:
            break
        kept.remove(spared)
    return kept


def _columns(fits: Sequence[Candidate], described: bool) -> Iterable[Column]:
    ranks = [candidate.rank for candidate in fits]
    yield 0, "", lambda c: f"{c.rank}{'=' * (ranks.count(c.rank) > 1)}" if c.rank else _NONE
    yield 0, "model", lambda c: c.model
    if described:
        yield 0, "core", lambda c: percent(c.busy or 0.0)
    yield 1, "CPU a request", lambda c: duration((c.request_us or 0.0) * 1e3)
    if any(candidate.response for candidate in fits):
        yield 0, "response", lambda c: between(Bounds(c.response[0], c.response[1] or math.inf)) if c.response else _NONE
    yield 0, "memory", lambda c: size(c.memory_bytes) if c.memory_bytes is not None else _NONE
    yield 4, "a connection", _of_mechanism(lambda m: size(m.each_bytes) if m.each_bytes is not None else _NONE)
    yield 2, "user", _of_mechanism(lambda m: duration(m.user_us * 1e3))
    yield 2, "kernel", _of_mechanism(lambda m: duration(m.system_us * 1e3))
    yield 3, "switches", _of_mechanism(lambda m: _number(m.switches))
    yield 6, "faults", _of_mechanism(lambda m: _number(m.faults))
    yield 5, "threads", _of_mechanism(lambda m: _number(m.threads))
    if not described:
        yield 7, "at", _of_mechanism(lambda m: m.cell.partition(", ")[2])


def _of_mechanism(words: Callable[[Mechanism], str]) -> Callable[[Candidate], str]:
    return lambda candidate: words(candidate.mechanism) if candidate.mechanism else _NONE


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,}" if isinstance(value, int) else digits(value, 2) if value >= 0.01 else "0.00"
