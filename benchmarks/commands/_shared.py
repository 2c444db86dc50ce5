"""What the commands share: finding a run's folder, making its summary, showing it."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import journal, record
from benchmarks.summaries import RunSummary

RESULTS = Path("results")
INTERRUPTED, BAD_USE, FAILED = 130, 2, 1  # exit statuses


class BadUse(ValueError):
    """An option that can't be used; the message says what to do."""


def trouble(error: OSError) -> str:
    """Which file could not be used, and why; of two the second, as that is the one to be made."""
    named = error.filename2 or error.filename
    return f"{named}: {error.strerror}" if named else error.strerror or str(error)


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where runs are kept (results)")


def summarise(folder: Path, write: bool = True) -> RunSummary:
    """Analyse the records of a run. Raises RecordError."""
    from benchmarks.analyse import summarise as analyse
    from benchmarks.report import as_markdown

    files = record.read(folder)
    for one in files.damaged:
        print(f"servebench: {one.why}. Left out; measure it again with: servebench run --resume {folder}", file=sys.stderr)
    summary = analyse(files.facts, record.some_of(files, folder), files.environment)
    history = journal.findings(files.journal, [one.path.name for one in files.damaged])
    summary = replace(summary, findings=[*summary.findings, *history])
    if write:
        record.write(folder / "summary.json", summary, sealed=False)
        record.write_bytes(folder / "summary.md", as_markdown(summary).encode())
    return summary


def show(summary: RunSummary, folder: Path, console: Console, as_json: bool, charts: bool = True, full: bool = False) -> None:
    """Print the report, one screen of it or all, and draw the charts."""
    from benchmarks import plot as stage
    from benchmarks import report as words

    if as_json:
        print(words.as_json(summary))
    else:
        words.show(summary, console, full)
    drawn = ""
    if charts:
        stage.draw(summary, folder / "charts")
        drawn = f"charts: {folder}/charts;  "
    console.print(f"{drawn}numbers: {folder}/summary.json, summary.md", markup=False, highlight=False, soft_wrap=True)


def folder_of(name: str, results: Path) -> Path:
    """A run's folder, given as a path or as a name in results/. Raises BadUse."""
    for folder in (Path(name), results / name):
        if (folder / "run.json").is_file():
            return folder
    runs = sorted(path.parent.name for path in results.glob("*/run.json"))
    raise BadUse(
        f"there is no run {name!r}; there {'are: ' + ', '.join(runs) if runs else 'is none yet. Make one with: servebench run'}"
    )
