"""Advice for a terminal (rich; plain where there is none), and for machines. Nothing is computed here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

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
from benchmarks.workload import Workload

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
        _show_answer(answer, console, advice.workload)
    if advice.would_tell:
        console.print(Text.assemble("\nWhat would tell more: ", (advice.would_tell, "bold")), soft_wrap=True)
    for doubt in advice.doubts:
        console.print(Text(f"\n! {doubt}", style="yellow"))
    console.print(Text(f"\n{advice.run}: {advice.conditions}", style="dim"))


def _show_answer(answer: Answer, console: Console, workload: Workload | None) -> None:
    described = workload is not None
    console.print()
    if not described:
        name, _, question = answer.question.partition(": ")
        console.print(Text.assemble((name, "bold"), "  ", (question, "italic")))
    console.print(Text.assemble(("→ ", "bold green"), (answer.verdict, "bold")))
    fits = [candidate for candidate in answer.candidates if candidate.stands == "fits"]
    if fits:
        console.print()
        console.print(_table(fits, list(_columns(fits, workload)), console.width))
    if described and fits:
        _list(f"Why {fits[0].model}", [((held.rule,), (held,)) for held in fits[0].rules], console)
        tight = {c.model: tuple(held for held in c.rules if held.outcome == "tight") for c in fits[1:]}
        _list("Tight", _alike({model: held for model, held in tight.items() if held}), console)
    for title, stands in (("The evidence does not reach", "unknown"), ("Not these", "fails")):
        _list(title, _alike({c.model: c.against for c in answer.candidates if c.stands == stands}), console)


Lines = list[tuple[tuple[str, ...], tuple[Held, ...]]]  # what is said of whom


def _alike(said: Mapping[str, tuple[Held, ...]]) -> Lines:
    """What is said of models, each thing once."""
    by_words: dict[tuple[str, ...], list[str]] = {}
    for model, held in said.items():
        by_words.setdefault(tuple(map(quoted, held)), []).append(model)
    return [(tuple(models), said[models[0]]) for models in by_words.values()]


def _list(title: str, lines: Lines, console: Console) -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for names, held in lines:
        table.add_row("\n".join(names), Text("\n".join(map(quoted, held))))
    console.print(Padding(table, (0, 0, 0, 2)))


# ---------------------------------------------------------------- the table of those that fit

Column = tuple[int, str, Callable[[Candidate], str]]  # how gladly it is spared, its heading, its cells


def _table(fits: Sequence[Candidate], all_columns: Sequence[Column], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    columns = _fitting(fits, all_columns, width)
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


def _columns(fits: Sequence[Candidate], workload: Workload | None) -> Iterable[Column]:
    ranks = [candidate.rank for candidate in fits]
    yield 0, "", lambda c: f"{c.rank}{'=' * (ranks.count(c.rank) > 1)}" if c.rank else _NONE
    yield 0, "model", lambda c: c.model
    if workload:
        yield 0, "core", lambda c: percent(c.busy or 0.0)
    yield 1, "CPU a request", lambda c: duration((c.request_us or 0.0) * 1e3)
    if workload and workload.objective:
        yield 0, workload.objective.text.partition("<")[0], _response
    yield 0, "memory", lambda c: size(c.memory_bytes) if c.memory_bytes is not None else _NONE
    yield 4, "a connection", _of_mechanism(lambda m: size(m.each_bytes) if m.each_bytes is not None else _NONE)
    yield 2, "user", _of_mechanism(lambda m: duration(m.user_us * 1e3))
    yield 2, "kernel", _of_mechanism(lambda m: duration(m.system_us * 1e3))
    yield 3, "switches", _of_mechanism(lambda m: _number(m.switches))
    yield 6, "faults", _of_mechanism(lambda m: _number(m.faults))
    yield 5, "threads", _of_mechanism(lambda m: _number(m.threads))
    if not workload:
        yield 7, "at", _of_mechanism(lambda m: m.cell.partition(", ")[2])


def _response(candidate: Candidate) -> str:
    if candidate.response is None:
        return _NONE
    low, high = candidate.response
    return between(Bounds(low, math.inf if high is None else high))


def _of_mechanism(words: Callable[[Mechanism], str]) -> Callable[[Candidate], str]:
    return lambda candidate: words(candidate.mechanism) if candidate.mechanism else _NONE


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,}" if isinstance(value, int) else digits(value, 2) if value >= 0.01 else "0.00"
