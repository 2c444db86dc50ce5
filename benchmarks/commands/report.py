"""`servebench report` and `servebench plot`: a finished run, reported and drawn again from its records."""

import argparse

from rich.console import Console

from benchmarks.commands._shared import add_results, folder_of, show, summarise


def add_arguments(parser: argparse.ArgumentParser, markdown: bool) -> None:
    """The options of both; `markdown` for the one that can print it."""
    parser.add_argument("run", nargs="?", default="latest", metavar="RUN", help="its name or folder (results/latest)")
    parser.add_argument("--json", action="store_true", help="print summary.json's content")
    parser.add_argument("--full", action="store_true", help="print everything, not one screen of it")
    if markdown:
        parser.add_argument("--markdown", action="store_true", help="print summary.md's content")
    add_results(parser)


def plot(options: argparse.Namespace) -> int:
    """Make summary and charts anew from a run's records, and print the report."""
    folder = folder_of(options.run, options.results)
    show(summarise(folder), folder, Console(stderr=options.json), options.json, full=options.full)
    return 0


def report(options: argparse.Namespace) -> int:
    """Print a run's report."""
    from benchmarks import report as stage

    summary = summarise(folder_of(options.run, options.results), write=False)
    if options.json:
        print(stage.as_json(summary))
    elif options.markdown:
        print(stage.as_markdown(summary))
    else:
        stage.show(summary, full=options.full)
    return 0
