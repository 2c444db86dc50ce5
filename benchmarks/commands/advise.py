"""`servebench advise`: which execution model for this workload, by the evidence of a run."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import record
from benchmarks.commands._shared import BadUse, add_results, folder_of
from benchmarks.workload import Workload, demand, seconds, share

WORKLOAD = ("wait", "cpu", "connections", "rate", "slo", "mixed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench advise`."""
    parser.add_argument(
        "run", nargs="?", default="", metavar="RUN", help="whose evidence (results/latest, or the reference without one)"
    )
    parser.add_argument("--wait", default="", metavar="TIME", help="what a request waits for I/O: 50ms")
    parser.add_argument("--cpu", default="", metavar="TIME", help="what a request computes in Python: 1ms")
    parser.add_argument("--connections", default="", metavar="N", help="open at once")
    parser.add_argument(
        "--rate", default="", metavar="N", help="requests a second (without: as many as the connections can ask)"
    )
    parser.add_argument("--slo", default="", metavar="BOUND", help="what is promised of response times: 'p99<=200ms'")
    parser.add_argument("--mixed", default="", metavar="SHARE", help="only this share of the requests computes: 5%%")
    parser.add_argument("--json", action="store_true", help="for machines")
    add_results(parser)


def command(options: argparse.Namespace) -> int:
    """Read the run, hold it against the workload, print the advice."""
    workload = _workload(options)
    folder = _folder(options.run, options.results)

    from benchmarks import advice_sheets as sheets
    from benchmarks import catalogue
    from benchmarks.advice import advise
    from benchmarks.analyse import summarise
    from benchmarks.evidence import shape

    files = record.read(folder)
    for one in files.damaged:
        print(f"servebench: {one.why}. Left out; make it again with: servebench run --resume {folder}", file=sys.stderr)
    records = record.some_of(files, folder)
    summary = summarise(files.facts, records, files.environment)
    scenarios = {entry.name: catalogue.scenario(entry.name) for entry in catalogue.scenarios()}
    even = {name: found for name, found in scenarios.items() if found.open_shares and not found.burst_shares}
    known = {name: its for name, scenario in even.items() if (its := shape(scenario))}
    found = advise(files.facts, records, summary, workload, known)
    if options.json:
        print(sheets.as_json(found))
    else:
        sheets.show(found, Console())
    return 0


def _folder(run: str, results: Path) -> Path:
    """The folder of the run that is asked for: the latest, or the reference where nobody has made one. Raises BadUse."""
    if run:
        return folder_of(run, results)
    reference = results / "reference"
    if not (results / "latest" / "run.json").is_file() and (reference / "run.json").is_file():
        return reference
    return folder_of("latest", results)


def _workload(options: argparse.Namespace) -> Workload | None:
    """The workload as it was described; None where it was not. Raises BadUse."""
    from benchmarks.objective import parse

    if not any(getattr(options, name) for name in WORKLOAD):
        return None
    named = ""
    try:
        named = "--wait"
        wait_s = seconds(options.wait) if options.wait else 0.0
        named = "--cpu"
        cpu_s = seconds(options.cpu) if options.cpu else 0.0
        named = "--slo"
        objective = parse(options.slo) if options.slo else None
        named = "--mixed"
        mixed = share(options.mixed) if options.mixed else None
    except ValueError as error:
        raise BadUse(f"{named} {error}") from None
    made = Workload(wait_s, cpu_s, _connections(options.connections), _rate(options.rate), objective, mixed)
    try:
        demand(made)
    except ValueError as error:
        raise BadUse(str(error)) from None
    return made


def _connections(text: str) -> int | None:
    try:
        return int(text.replace(",", "")) if text else None
    except ValueError:
        raise BadUse(f"--connections {text!r} is no whole number") from None


def _rate(text: str) -> float | None:
    try:
        return float(text.replace(",", "").removesuffix("/s")) if text else None
    except ValueError:
        raise BadUse(f"--rate {text!r} is no number of requests a second, such as 500") from None
