"""The end of a run: a table for each scenario, its verdict, and what to know before believing either.

The same sheets become a terminal page (rich; plain where there is no terminal, as in a file or a pipe), `summary.md` and the
answer to `--json`. Nothing is computed here.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.amounts import percent
from benchmarks.open_sheets import open_sheet
from benchmarks.overview_sheets import (
    MATRIX_QUESTION,
    PREDICTIONS_QUESTION,
    matrix_sheets,
    prediction_lines,
    prediction_sheet,
)
from benchmarks.sheets import FURTHER, Column, Note, Row, Sheet, sheet
from benchmarks.summaries import Finding, RunSummary

BAR_WIDTH = 12
_EIGHTHS = " ▏▎▍▌▋▊▉"
BAR_SPARE = 4  # how gladly the bars are left out of a narrow terminal, among the sheet's columns
WIDEST = 160
_BETWEEN = 3  # from one column to the next


def show(summary: RunSummary, console: Console | None = None) -> None:
    """Print the whole report to a terminal, or to whatever stands in its place."""
    console = console or Console()
    console.print(page(summary, min(console.width, WIDEST)), highlight=False)


def page(summary: RunSummary, width: int) -> RenderableType:
    """The report for a terminal of this width."""
    parts: list[RenderableType] = []
    sheets = [sheet(summary, scenario) for scenario in summary.scenarios]
    # Tables with further measures are each as wide as they are: they must not cost the others their columns.
    usual = [made.columns for made in sheets if not any(column.spare == FURTHER for column in made.columns)]
    shown = fitting([made for made in sheets if made.columns in usual], width)
    explained: set[str] = set()
    if len(sheets) > 1:
        parts += _matrix(summary, width)
    for made in sheets:
        parts += _scenario(made, shown if made.columns in usual else fitting([made], width))
        parts += [Padding(Text(line, style="dim"), (0, 0, 0, 1)) for line in _notes(made.notes, explained)]
    parts += _predictions(summary)
    parts += [Text(line, style="yellow") for line in (_finding(finding) for finding in summary.findings)]
    parts += [Text(line, style="dim") for line in small_print(summary)]
    return Group(*parts)


def _scenario(made: Sheet, shown: Set[int]) -> Iterable[RenderableType]:
    yield Text.assemble("\n", (made.scenario, "bold"), "  ", (made.question, "italic"))
    yield _table(made, shown)
    yield Padding(Text.assemble(("→ ", "bold green"), (made.verdict, "bold")), (0, 0, 0, 1))


def _notes(notes: Iterable[Note], explained: set[str]) -> Iterable[str]:
    """Notes as lines; what was explained beneath an earlier table is not explained again."""
    for note in notes:
        yield note.said if not note.explained or note.explained in explained else f"{note.said} {note.explained}"
        explained.add(note.explained)


def _matrix(summary: RunSummary, width: int) -> Iterable[RenderableType]:
    """All scenarios at a glance, in as many tables side by side as the width demands."""
    for number, made in enumerate(matrix_sheets(summary, width)):
        if not number:
            yield Text.assemble("\n", ("Decision matrix", "bold"), "  ", (MATRIX_QUESTION, "italic"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
        for column in made.columns:
            table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=True)
        for row in made.rows:
            table.add_row(*(Text(words, style=_best_style(words)) for words in row.words))
        yield table
        yield from (Padding(Text(note.said, style="dim"), (0, 0, 0, 1)) for note in made.notes)
        if made.verdict:
            yield Padding(Text.assemble(("→ ", "bold green"), (made.verdict, "bold")), (0, 0, 0, 1))


def _best_style(words: str) -> str:
    return "bold green" if words.startswith(("=", "1.00")) else ""


def _predictions(summary: RunSummary) -> Iterable[RenderableType]:
    """How many predictions agree, scenario by scenario, and in full each that does not."""
    lines = prediction_lines(summary)
    if lines:
        yield Text.assemble("\n", ("Predictions", "bold"), "  ", (PREDICTIONS_QUESTION, "italic"))
    for line, disagrees in lines:
        yield Padding(Text(line, style="red" if disagrees else ""), (0, 0, 0, 1))


def _table(made: Sheet, shown: Set[int]) -> Table:
    kept = [at for at, column in enumerate(made.columns) if column.spare in shown]
    bars = BAR_SPARE in shown
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for at in kept:
        column = made.columns[at]
        table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=True)
        if bars and column.main:
            table.add_column("")
    for row in made.rows:
        table.add_row(*_cells(made, row, kept, bars), style=_style(row))
    return table


def _cells(made: Sheet, row: Row, kept: Sequence[int], bars: bool) -> Iterable[Text]:
    for at in kept:
        words = row.words[at]
        yield Text(words, style="strike" if row.struck and made.columns[at].claim else "")
        if bars and made.columns[at].main:
            yield Text(bar(row.share or 0.0), style="green" if row.first else "blue")


def _style(row: Row) -> str:
    if row.failed:
        return "red"
    if row.struck:
        return "dim"
    return "bold" if row.first else ""


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of so many eighths of a character: 1.0 fills the width, what is not nothing shows."""
    eighths = min(round(share * width * 8), width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def fitting(sheets: Sequence[Sheet], width: int) -> Set[int]:
    """Which columns every table of the report has room for, by how gladly they are spared; the same ones in all tables."""
    shown = {0}
    for spare in sorted({column.spare for made in sheets for column in made.columns} | {BAR_SPARE}):
        if all(_width(made, shown | {spare}) <= width for made in sheets):
            shown.add(spare)
    return shown


def _width(made: Sheet, shown: Set[int]) -> int:
    """How wide the table is with these columns."""
    widest = [
        max(len(words) for words in (*column.heading.splitlines(), *(row.words[at] for row in made.rows)))
        for at, column in enumerate(made.columns)
        if column.spare in shown
    ]
    bar_width = [BAR_WIDTH] if BAR_SPARE in shown else []
    return sum(wide + _BETWEEN for wide in widest + bar_width)


# ---------------------------------------------------------------- what holds for all


def small_print(summary: RunSummary) -> list[str]:
    """How much was done, how sure it is, and under what conditions."""
    spreads = [
        f"{percent(scenario.spread)} in {scenario.scenario}" for scenario in summary.scenarios if scenario.spread is not None
    ]
    visits = f"{summary.visits_made} visits, {summary.visits_failed} failed, {summary.visits_requeued} made again"
    lines = [f"{visits}." + (f" Noise from visit to visit: {', '.join(spreads)}." if spreads else "")]
    if spreads:
        lines.append(
            "± and ranges are 95% intervals. A rank counts the models that are better beyond doubt, so those that cannot be"
            " told apart share it (2=); behind a percentile it stands in brackets. The chance of a false difference anywhere"
            " in a table is at most 5%."
        )
    given = "; ".join(f"{model} {_numbers(numbers)}" for model, numbers in summary.given.items())
    return ["", *lines, *([f"Given: {given}."] if given else []), summary.conditions]


def _numbers(given: Mapping[str, int]) -> str:
    """ "16 workers", "4 workers × 8 threads"."""
    return " × ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in given.items())


def _finding(finding: Finding) -> str:
    return f"\n! {finding.check}: {finding.seen}; {finding.why}. To do: {finding.remedy}."


# ---------------------------------------------------------------- for files and machines


def as_text(summary: RunSummary, width: int = 100) -> str:
    """The report as plain text of this width."""
    console = Console(width=width, no_color=True, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(page(summary, width))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def as_json(summary: RunSummary) -> str:
    """The summary as indented JSON; it comes back through `msgspec.json.decode(text, type=RunSummary)`."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode() + "\n"


def as_markdown(summary: RunSummary) -> str:
    """summary.md: the same tables for a page, with every column, and those of the open loop."""
    blocks = [f"# {summary.name}"]
    explained: set[str] = set()
    blocks += [f"> **{finding.check}**: {finding.seen}; {finding.why}. {finding.remedy}." for finding in summary.findings]
    if len(summary.scenarios) > 1:
        blocks.append(f"## Decision matrix: {MATRIX_QUESTION}")
        for made in matrix_sheets(summary):
            blocks += [f"**{_escaped(made.verdict)}**"] if made.verdict else []
            blocks.append(_markdown_table(made.columns, made.rows))
            blocks += _markdown_list(note.said for note in made.notes)
    for scenario in summary.scenarios:
        made = sheet(summary, scenario)
        blocks += [
            f"## {made.scenario}: {made.question}",
            f"**{_escaped(made.verdict)}**",
            _markdown_table(made.columns, made.rows),
        ]
        blocks += _markdown_list(_notes(made.notes, explained))
        opened = open_sheet(summary, scenario)
        if opened.rows:
            blocks += [f"### {made.scenario}, open loop", _markdown_table(opened.columns, opened.rows)]
            blocks += _markdown_list(_notes(opened.notes, explained))
    foretold = prediction_sheet(summary)
    if foretold.rows:
        blocks += [f"## Predictions: {PREDICTIONS_QUESTION}", _markdown_table(foretold.columns, foretold.rows)]
        blocks += _markdown_list(note.said for note in foretold.notes)
    blocks += [_escaped(line) for line in small_print(summary) if line]
    return "\n\n".join(blocks) + "\n"


def _markdown_list(lines: Iterable[str]) -> list[str]:
    """One block of bullets; none when there is nothing to list."""
    bullets = [f"- {_escaped(line)}" for line in lines]
    return ["\n".join(bullets)] if bullets else []


def _markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    lines = [[column.title for column in columns], ["--:" if column.right else ":--" for column in columns]]
    lines += [[_markdown_cell(*cell, row) for cell in zip(columns, row.words, strict=True)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(column: Column, words: str, row: Row) -> str:
    escaped = _escaped(words)
    if row.struck and column.claim:
        return f"~~{escaped}~~"
    return f"**{escaped}**" if row.first and (column.main or column.title == "model") else escaped


def _escaped(words: str) -> str:
    """Words that markdown would take for a command: names have underscores, messages may have anything."""
    for special in ("\\", "|", "*", "_", "`", "<"):
        words = words.replace(special, f"\\{special}")
    return " ".join(words.split())
