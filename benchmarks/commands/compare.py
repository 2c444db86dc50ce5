"""`servebench compare`: two runs, or two models of one, cell by cell; a gate for CI."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks import ratios, record
from benchmarks.commands._shared import BadUse, add_results, folder_of
from benchmarks.comparison import Comparison, Side, compare
from benchmarks.environment import differences
from benchmarks.gates import STATUS, GateError, Judged, judge, parse, verdict
from benchmarks.nouns import ReplicateRecord, RunFacts, measured

WIDEST = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench compare`."""
    parser.add_argument("base", metavar="A", help="what is compared with: a run, RUN:MODEL, or a model of the latest run")
    parser.add_argument("other", metavar="B", help="what is compared: likewise")
    parser.add_argument("--scenarios", default="", metavar="A,B", help="only these")
    parser.add_argument("--all", action="store_true", help="show every row, those without a difference too")
    parser.add_argument("--anyway", action="store_true", help="compare though the two were made in different environments")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="BOUND",
        help="exit with 1 if a change is significantly beyond this, with 3 if nobody can tell: 'rate<-5%%' or 'p99>+10%%';"
        " repeatable",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    add_results(parser)


def command(options: argparse.Namespace) -> int:
    """Compare, print, and judge the gates."""
    try:
        bounds = [parse(text) for text in options.fail_if]
    except GateError as error:
        raise BadUse(f"--fail-if {error}") from None
    base, other, different = _sides(options)
    comparison = _only(options.scenarios, compare(base, other))
    judged = judge(bounds, comparison)
    if options.json:
        print(_as_json(comparison, different, judged))
    else:
        console = Console()
        console.width = min(console.width, WIDEST)
        if different:
            console.print("Made in different environments, and compared anyway:", style="bold red")
            for line in different:
                console.print(f"  {line}", highlight=False, markup=False)
        ratios.show(comparison, console, options.all)
        ratios.show_gates(judged, console)
    return STATUS[verdict(judged)]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A run's files."""

    folder: Path
    facts: RunFacts
    records: list[ReplicateRecord]
    environment: dict[str, Any]


def _sides(options: argparse.Namespace) -> tuple[Side, Side, list[str]]:
    """Both sides and what differs between their environments. Raises BadUse and RecordError."""
    (run, model), (other, other_model) = (_named(name, options.results) for name in (options.base, options.other))
    if bool(model) != bool(other_model):
        raise BadUse(
            f"{options.base!r} and {options.other!r}: only one of them names a model. Name two runs, or a model on both sides: "
            "RUN:MODEL"
        )
    same = run.folder.resolve() == other.folder.resolve()
    if same and model == other_model:
        raise BadUse(f"{options.base!r} and {options.other!r} are the same. Name two runs, or two models of one")
    different = [] if same else differences(run.environment, other.environment, run.facts, other.facts)
    if different and not options.anyway:
        raise BadUse(
            f"{options.base} and {options.other} were made in different environments: {'; '.join(different)}. "
            "Make both alike, or compare them all the same with --anyway"
        )
    base_name, other_name = (model, other_model) if same else (options.base, options.other)
    return Side(base_name, run.facts, run.records, model), Side(other_name, other.facts, other.records, other_model), different


def _named(name: str, results: Path) -> tuple[_Loaded, str]:
    """The run and the model that RUN, RUN:MODEL or a model of the latest run stand for. Raises BadUse and RecordError."""
    if _is_run(Path(name)) or _is_run(results / name):
        return _load(folder_of(name, results)), ""
    before, _, model = name.rpartition(":")
    if before:
        loaded = _load(folder_of(before, results))
        if model not in measured(loaded.facts.options):
            raise BadUse(f"{before} has no model {model!r}; it has: {', '.join(measured(loaded.facts.options))}")
        return loaded, model
    told = ""
    if _is_run(results / "latest"):
        loaded = _load(results / "latest")
        if name in measured(loaded.facts.options):
            return loaded, name
        told = f"; models of the latest run: {', '.join(measured(loaded.facts.options))}"
    runs = ", ".join(sorted(path.parent.name for path in results.glob("*/run.json"))) or "none yet"
    raise BadUse(f"{name!r} is neither a run nor a model of the latest one; runs: {runs}{told}")


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _load(folder: Path) -> _Loaded:
    return _Loaded(folder, *record.read_run(folder))


def _only(text: str, comparison: Comparison) -> Comparison:
    """The comparison of the scenarios that were asked for; their calls are corrected for these alone. Raises BadUse."""
    wanted = [word for word in text.replace(",", " ").split() if word]
    there = list(dict.fromkeys(row.scenario for row in comparison.rows))
    if strange := [word for word in wanted if word not in there]:
        raise BadUse(f"there is no scenario {strange[0]!r} in both; there are: {', '.join(there) or 'none'}")
    return comparison.only(wanted) if wanted else comparison


def _as_json(comparison: Comparison, different: list[str], judged: list[Judged]) -> str:
    told = {"environments": different, "comparison": comparison, "gates": judged, "verdict": verdict(judged),
            "passed": verdict(judged) == "kept"}  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
