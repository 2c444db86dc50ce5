"""The end of a run in words: for a terminal, as `summary.md`, as JSON.

In a terminal it is one screen (`terminal`), or everything on request: then the same sheets as in the page. Nothing is computed
here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from benchmarks.lines import table, wrapped
from benchmarks.open_sheets import open_sheet
from benchmarks.overview_sheets import matrix_sheet, prediction_sheet
from benchmarks.remarks import Remark, in_full, remarks
from benchmarks.sheets import Column, Row, Sheet, sheet
from benchmarks.summaries import RunSummary
from benchmarks.terminal import brief

NARROWEST, WIDEST = 60, 160


def show(summary: RunSummary, console: Console | None = None, full: bool = False) -> None:
    """Print the report to a terminal, or to whatever stands in its place: one screen of it, or everything."""
    console = console or Console()
    for line in page(summary, console.width, full):
        console.print(line, highlight=False, no_wrap=True, overflow="ignore", crop=False)


def page(summary: RunSummary, width: int, full: bool = False) -> list[Text]:
    """The report in lines for a terminal of this width."""
    width = min(max(width, NARROWEST), WIDEST)
    return list(_everything(summary, width)) if full else brief(summary, width)


def as_text(summary: RunSummary, width: int = 80, full: bool = False) -> str:
    """The report as plain text of this width."""
    return "\n".join(line.plain.rstrip() for line in page(summary, width, full)) + "\n"


def as_json(summary: RunSummary) -> str:
    """The summary as indented JSON; it comes back through `msgspec.json.decode(text, type=RunSummary)`."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode() + "\n"


# ---------------------------------------------------------------- everything


def _sheets(summary: RunSummary) -> Iterator[Sheet]:
    """All tables of a run, those without rows left out."""
    if len(summary.scenarios) > 1:
        yield matrix_sheet(summary)
    for scenario in summary.scenarios:
        yield sheet(summary, scenario)
        yield from (made for made in [open_sheet(summary, scenario)] if made.rows)
    yield from (made for made in [prediction_sheet(summary)] if made.rows)


def _everything(summary: RunSummary, width: int) -> Iterator[Text]:
    for made in _sheets(summary):
        yield Text(f"\n{made.title}", style="bold")
        yield from table(made, width)
        yield from (Text(line, style="bold") for line in wrapped(made.verdict, width))
        for note in made.notes:
            yield from (Text(line, style="dim") for line in wrapped(f"- {note}", width, indent="  "))
    for remark in remarks(summary, "info"):
        yield from (Text(line, style="yellow") for line in wrapped(f"! {_remark(remark)}", width, indent="  "))
    for said in small_print(summary):
        yield from (Text(line, style="dim") for line in wrapped(said, width))


def _remark(remark: Remark) -> str:
    kind = "" if remark.severity == "warning" else f" ({remark.severity})"
    return f"{remark.check}{kind}: {in_full(remark)}"


def small_print(summary: RunSummary) -> list[str]:
    """How much was done, how sure it is, and under what conditions."""
    given = "; ".join(f"{model} {_numbers(numbers)}" for model, numbers in summary.given.items())
    return [
        f"{summary.replicates} replicates; {summary.trials_made:,} trials, {summary.trials_failed} failed.",
        "Behind a value stands the range in which this machine moved, if that is more than 5%; behind a ratio its 95% interval."
        " A rank counts the models that are significantly better, so those without a significant difference share it (2=). The"
        " chance of a false difference anywhere in a table is at most 5%.",
        *([f"Given: {given}."] if given else []),
        summary.conditions,
    ]


def _numbers(given: Mapping[str, int]) -> str:
    """ "16 workers", "4 workers × 8 threads"."""
    return " × ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in given.items())


# ---------------------------------------------------------------- the page


def as_markdown(summary: RunSummary) -> str:
    """summary.md: every table with every column, what is known of each pair, and what checks found."""
    blocks = [f"# {summary.name}"]
    for made in _sheets(summary):
        blocks.append(f"## {_escaped(made.title)}")
        blocks += [f"**{_escaped(made.verdict)}**"] if made.verdict else []
        blocks.append(_markdown_table(made.columns, made.rows))
        blocks += _markdown_list(made.notes)
    if found := remarks(summary, "info"):
        blocks += ["## Findings", *_markdown_list(map(_remark, found))]
    blocks += [_escaped(line) for line in small_print(summary)]
    return "\n\n".join(blocks) + "\n"


def _markdown_list(lines: Iterable[str]) -> list[str]:
    """One block of bullets; none when there is nothing to list."""
    bullets = [f"- {_escaped(line)}" for line in lines]
    return ["\n".join(bullets)] if bullets else []


def _markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    lines = [[_escaped(column.title) for column in columns], ["--:" if column.right else ":--" for column in columns]]
    lines += [[_markdown_cell(*cell, row) for cell in zip(columns, row.words, strict=True)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(column: Column, words: str, row: Row) -> str:
    escaped = _escaped(words)
    if row.invalid and column.claim:
        return f"~~{escaped}~~"
    return f"**{escaped}**" if row.first and (column.main or column.title == "model") else escaped


def _escaped(words: str) -> str:
    """Words that markdown would take for a command: names have underscores, messages may have anything."""
    for special in ("\\", "|", "*", "_", "`", "<"):
        words = words.replace(special, f"\\{special}")
    return " ".join(words.split())
