"""The command line, and the stages in their order: plan, launch, verify, load and sample, record, analyse, plot, report."""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console

from benchmarks import catalogue, plan, record
from benchmarks.load import command as load_command
from benchmarks.nouns import Entry, RunOptions, RunSummary

RESULTS = Path("results")
_INTERRUPTED, _BAD_USE, _FAILED = 130, 2, 1


class BadUse(ValueError):
    """An option that can't be used; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 failed, 2 badly used, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["serve"]:  # its options are the server's own
        os.execv(sys.executable, [sys.executable, "-m", "servers", *arguments[1:]])
    options = _parser().parse_args(arguments)
    options.arguments = arguments
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(options.command(options))
    except (BadUse, catalogue.NotInCatalogue, load_command.Refused, record.RecordError) as error:
        print(f"servebench: {error}", file=sys.stderr)
        return _BAD_USE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# ---------------------------------------------------------------- run


def run(options: argparse.Namespace) -> int:
    """Make a run and report it."""
    chosen = _run_options(options)
    # Imported here: a wrong option should not wait for numba.
    from benchmarks import conduct
    from benchmarks.progress import Progress

    folder = options.results / chosen.name
    if folder.exists():
        raise BadUse(f"{folder} exists already. Choose another --name, or delete it")
    facts = conduct.facts(chosen, options.arguments)
    console = Console(stderr=options.json)
    expected_s = plan.run_s(chosen, facts.scenarios)
    visits = sum(chosen.visits.values()) * len(chosen.models)
    console.print(
        f"{len(chosen.models)} models × {', '.join(chosen.scenarios)}: {visits} visits, about {expected_s / 60:.1f} min; "
        f"server on CPU {_list(chosen.server_cpus)}, load from CPU {_list(chosen.driver_cpus)}; seed {chosen.seed}",
        highlight=False,
    )
    if set(chosen.server_cpus) & set(chosen.driver_cpus):
        console.print(
            "Server and load share a CPU: the results are not comparable. They measure the scheduler too.", style="bold red"
        )
    begins = time.monotonic()
    try:
        with Progress(chosen, console) as progress:
            conduct.Run(facts, folder, progress).make()
    except KeyboardInterrupt:
        kept = len(list((folder / "visits").glob("*.json")))
        console.print(
            f"\ninterrupted: {kept} finished visits are kept in {folder}, and nothing is left running.", highlight=False
        )
        if kept:
            console.print(f"See what they say with: servebench plot {folder}", highlight=False)
        return _INTERRUPTED
    record.point_latest(options.results, folder)
    summary = _summarise(folder)
    _report(summary, folder, console, options.json)
    console.print(
        f"made in {(time.monotonic() - begins) / 60:.1f} min; seed {chosen.seed}, command: {facts.command}",
        style="dim",
        highlight=False,
    )
    return 0 if any(cell.rate_per_s is not None for cell in summary.cells) else _FAILED


def _run_options(options: argparse.Namespace) -> RunOptions:
    """Every default filled in. Raises BadUse and NotInCatalogue."""
    profile = plan.PROFILES[options.profile]
    models = catalogue.choose(options.models, catalogue.models(), "model")
    scenarios = catalogue.choose(options.scenarios, catalogue.scenarios(), "scenario")
    server_cpus, driver_cpus = _cpus(options.server_cpus, options.driver_cpus)
    for name in ("visits", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value <= 3600:
            raise BadUse(f"--{name} {value:g} is not above 0 and at most 3600")
    if any(not 0 < n <= 1_000_000 for n in options.connections):
        raise BadUse("--connections takes numbers from 1 to 1,000,000")
    name = options.name or time.strftime("%Y%m%d-%H%M%S")
    if "/" in name or name.startswith(".") or name == "latest":
        raise BadUse(f"--name {name!r} can't be a folder of {options.results}; use letters, digits and dashes")
    visits = {
        scenario: options.visits or profile.visits + (catalogue.scenario(scenario).extra_visits if profile.extra else 0)
        for scenario in scenarios
    }
    return RunOptions(
        name=name,
        profile=options.profile,
        models=models,
        scenarios=scenarios,
        visits=visits,
        closed_s=options.seconds or profile.closed_s,
        open_s=options.seconds or profile.open_s,
        connections=tuple(options.connections),
        server_cpus=server_cpus,
        driver_cpus=driver_cpus,
        seed=random.SystemRandom().randrange(1, 10**6) if options.seed is None else options.seed,
        requeue_budget_s=profile.requeue_budget_s,
    )


def _cpus(server: tuple[int, ...], driver: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """One CPU for the server and another for the load, unless told otherwise. Raises BadUse for CPUs that can't be used."""
    usable = sorted(os.sched_getaffinity(0))
    for name, cpus in (("server", server), ("driver", driver)):
        if strange := set(cpus) - set(usable):
            raise BadUse(f"--{name}-cpus: CPU {min(strange)} is not one that this process may use ({_list(usable)})")
    server = server or (next((cpu for cpu in usable if cpu not in driver), usable[0]),)
    driver = driver or (next((cpu for cpu in reversed(usable) if cpu not in server), usable[-1]),)
    return server, driver


# ---------------------------------------------------------------- plot, report, list, load


def plot(options: argparse.Namespace) -> int:
    """Make summary and charts anew from a run's records, and print the report."""
    folder = _folder(options.run, options.results)
    _report(_summarise(folder), folder, Console(stderr=options.json), options.json)
    return 0


def report(options: argparse.Namespace) -> int:
    """Print a run's report."""
    from benchmarks import report as stage

    summary = _summarise(_folder(options.run, options.results), write=False)
    if options.json:
        print(stage.as_json(summary))
    elif options.markdown:
        print(stage.as_markdown(summary))
    else:
        stage.show(summary)
    return 0


def list_catalogue(options: argparse.Namespace) -> int:
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


def _summarise(folder: Path, write: bool = True) -> RunSummary:
    """Analyse the records of a run. Raises RecordError."""
    from benchmarks.analyse import summarise
    from benchmarks.report import as_markdown

    summary = summarise(*record.read_run(folder))
    if write:
        record.write(folder / "summary.json", summary)
        record.write_bytes(folder / "summary.md", as_markdown(summary).encode())
    return summary


def _report(summary: RunSummary, folder: Path, console: Console, as_json: bool) -> None:
    """Draw the charts and print the report."""
    from benchmarks import plot as stage
    from benchmarks import report as words

    if as_json:
        print(words.as_json(summary))
    else:
        words.show(summary, console)
    stage.draw(summary, folder / "charts")
    console.print(
        f"charts: {folder}/charts  (start with overview.png);  numbers: {folder}/summary.json, summary.md", highlight=False
    )


def _folder(name: str, results: Path) -> Path:
    """A run's folder, given as a path or as a name in results/. Raises BadUse."""
    for folder in (Path(name), results / name):
        if (folder / "run.json").is_file():
            return folder
    runs = sorted(path.parent.name for path in results.glob("*/run.json"))
    raise BadUse(
        f"there is no run {name!r}; there {'are: ' + ', '.join(runs) if runs else 'is none yet. Make one with: servebench run'}"
    )


# ---------------------------------------------------------------- options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="servebench",
        description="The same application on every execution model, under the same load, measured honestly.",
        epilog="servebench COMMAND --help tells the options of a command.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _run_parser(commands.add_parser("run", help="compare execution models: make a run, print its verdict, draw its charts"))
    for name, function, told in (
        ("plot", plot, "make summary and charts of a run anew from its records"),
        ("report", report, "print the report of a run"),
    ):
        again = commands.add_parser(name, help=told, description=told)
        again.add_argument("run", nargs="?", default="latest", metavar="RUN", help="its name or folder (results/latest)")
        again.add_argument("--json", action="store_true", help="print summary.json's content")
        if name == "report":
            again.add_argument("--markdown", action="store_true", help="print summary.md's content")
        _add_results(again)
        again.set_defaults(command=function)
    listing = commands.add_parser("list", help="list the models and scenarios", description="List the models and scenarios.")
    listing.add_argument("--json", action="store_true", help="for machines")
    listing.set_defaults(command=list_catalogue)
    load = commands.add_parser("load", help="drive load at a URL", description="Drive load at an HTTP server of yours.")
    load_command.add_arguments(load)
    load.set_defaults(command=load_command.command)
    commands.add_parser("serve", help="run one model as a server", add_help=False)
    return parser


def _run_parser(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compare execution models: make a run, print its verdict, draw its charts."
    parser.add_argument("--models", type=_words, default=(), metavar="A,B", help="all")
    parser.add_argument("--scenarios", type=_words, default=(), metavar="A,B", help="all")
    parser.add_argument("--profile", choices=tuple(plan.PROFILES), default="quick", help="how long (quick: under 5 minutes)")
    parser.add_argument(
        "--connections", type=_numbers, default=(), metavar="N,M", help="closed levels, instead of the scenarios' own"
    )
    parser.add_argument("--visits", type=int, metavar="N", help="visits of each model and scenario, instead of the profile's")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each window, instead of the profile's")
    parser.add_argument("--server-cpus", type=_numbers, default=(), metavar="LIST", help="the first CPU")
    parser.add_argument("--driver-cpus", type=_numbers, default=(), metavar="LIST", help="the last CPU")
    parser.add_argument("--seed", type=int, metavar="N", help="of order and arrivals (random, and recorded)")
    parser.add_argument("--name", metavar="NAME", help="of the run's folder (date and time)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    _add_results(parser)
    parser.set_defaults(command=run)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where runs are kept (results)")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,16,64") from None


def _list(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


if __name__ == "__main__":
    sys.exit(main())
