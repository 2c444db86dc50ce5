"""`servebench list`: the models and scenarios there are."""

import argparse

import msgspec
from rich.console import Console

from benchmarks import catalogue
from benchmarks.nouns import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench list`."""
    parser.add_argument("--json", action="store_true", help="for machines")


def command(options: argparse.Namespace) -> int:
    """Print the models and scenarios there are."""
    found = {"models": catalogue.models(), "scenarios": catalogue.scenarios()}
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return 0
    console = Console()
    for kind, entries in found.items():
        console.print(f"[bold]{kind}[/]")
        _print_entries(console, entries)
    return 0


def _print_entries(console: Console, entries: list[Entry]) -> None:
    from rich.padding import Padding
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for entry in entries:
        table.add_row(entry.name, entry.caption)
    console.print(Padding(table, (0, 0, 1, 2)), highlight=False)
