"""`servebench advise`: which execution model for this workload? It is measured, on this machine, in a few minutes."""

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks import catalogue, record
from benchmarks.advise import design, workload
from benchmarks.advise.workload import Workload
from benchmarks.commands._run_options import choose_cpus, numbers
from benchmarks.commands._shared import FAILED, INTERRUPTED, BadUse, add_results, folder_of, trouble
from benchmarks.nouns import RunFacts, RunOptions
from benchmarks.questions import Scenario

BUDGET = "2m"
Parsed = TypeVar("Parsed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench advise`."""
    parser.add_argument("--wait", default="", metavar="TIME", help="that a request waits, as for a database: 50ms")
    parser.add_argument("--cpu", default="", metavar="TIME", help="that it computes in Python: 1ms")
    parser.add_argument("--exponential", action="store_true", help="both are drawn at random, with these means")
    parser.add_argument("--connections", default="", metavar="N", help="open at once (twice the requests in service)")
    parser.add_argument("--rate", default="", metavar="N", help="requests a second (without: the highest is searched)")
    parser.add_argument("--slo", default="", metavar="BOUND", help="what is promised of response times: 'p99<=200ms'")
    parser.add_argument("--models", default="", metavar="A,B", help="all")
    parser.add_argument("--budget", default=BUDGET, metavar="TIME", help=f"for all of it ({BUDGET})")
    parser.add_argument("--server-cpus", type=numbers, default=(), metavar="LIST", help="the first CPU")
    parser.add_argument("--driver-cpus", type=numbers, default=(), metavar="LIST", help="the last CPU")
    parser.add_argument("--seed", type=int, metavar="N", help="of order and arrivals (random, and recorded)")
    parser.add_argument("--name", default="", metavar="NAME", help="of the run's folder (advise, date and time)")
    parser.add_argument("--from", dest="run", default="", metavar="RUN", help="answer from a run that measured this workload")
    parser.add_argument("--json", action="store_true", help="qualify, fail and unknown as JSON on stdout")
    add_results(parser)


def command(options: argparse.Namespace) -> int:
    """Measure the workload, or read a run that did, and print the advice."""
    server_cpus, driver_cpus = choose_cpus(options.server_cpus, options.driver_cpus)
    asked = _workload(options, len(server_cpus))
    if options.run:
        return _answer(options, asked, _measured_in(options, asked))
    budget_s = _parsed("--budget", workload.budget_s, options.budget) or 0.0
    chosen = RunOptions(
        name=_name(options),
        profile="advise",
        models=catalogue.choose(options.models.replace(",", " ").split(), catalogue.models(), "model"),
        scenarios=(design.SCENARIO,),
        replicates=2,
        level_s=0.0,
        long_s=0.0,
        connections=(),
        server_cpus=server_cpus,
        driver_cpus=driver_cpus,
        seed=random.SystemRandom().randrange(1, 10**6) if options.seed is None else options.seed,
        objective=asked.objective.text if asked.objective and asked.rate_per_s is None else "",
    )
    return _measure(options, asked, chosen, budget_s)


# ---------------------------------------------------------------- what is asked


def _workload(options: argparse.Namespace, cores: int) -> Workload:
    """The workload as it was described. Raises BadUse."""
    from benchmarks.objective import parse

    if not any((options.wait, options.cpu, options.connections, options.rate, options.slo)):
        raise BadUse(
            "which workload? For example:"
            " servebench advise --wait 50ms --cpu 1ms --connections 2000 --rate 500 --slo 'p99<=200ms'"
        )
    wait_s = _parsed("--wait", workload.seconds, options.wait) or 0.0
    cpu_s = _parsed("--cpu", workload.seconds, options.cpu) or 0.0
    connections = _parsed("--connections", workload.connections, options.connections) or 0
    rate_per_s = _parsed("--rate", workload.rate, options.rate)
    objective = _parsed("--slo", parse, options.slo)
    try:
        return workload.checked(
            Workload(wait_s, cpu_s, connections, rate_per_s, objective, options.exponential, cores),
        )
    except ValueError as error:
        raise BadUse(str(error)) from None


def _parsed(option: str, parse: Callable[[str], Parsed], text: str) -> Parsed | None:
    """The value of an option, None without one. Raises BadUse that names the option."""
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise BadUse(f"{option} {error}") from None


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or time.strftime("advise-%Y%m%d-%H%M%S")
    if "/" in name or name.startswith(".") or name == "latest" or len(name.encode()) > 255:
        raise BadUse(f"--name {name[:40]!r} can't be a folder of {options.results}; use letters, digits and dashes")
    if (options.results / name).exists():
        raise BadUse(f"{options.results / name} exists already. Choose another --name, or answer from it with --from {name}")
    return name


# ---------------------------------------------------------------- measure


def _measure(options: argparse.Namespace, asked: Workload, chosen: RunOptions, budget_s: float) -> int:
    """Prepare the run, make it, answer."""
    # Imported here: a wrong option should not wait for numba.
    from benchmarks import conduct, plan
    from benchmarks.environment import environment

    console = Console(stderr=True)
    chosen, scenario = _prepared(asked, chosen, budget_s)
    scenarios = {design.SCENARIO: scenario}
    chosen = design.fitted(chosen, scenarios, budget_s, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    facts = conduct.facts(chosen, options.arguments, scenarios)
    folder: Path = options.results / chosen.name
    takes_s = plan.run_s(chosen, scenarios)
    over = f", more than --budget {options.budget} as no less would tell" if takes_s > budget_s else ""
    replicates = workload.plural(chosen.replicates, "replicate")
    console.print(
        f"{workload.told(asked)}: {len(chosen.models)} models, {replicates}, about {takes_s / 60:.1f} min{over}",
        highlight=False,
    )
    folder.mkdir(parents=True)
    with record.held(folder):
        conduct.begin(facts, folder, environment(chosen.server_cpus, chosen.driver_cpus))
        status = _make(facts, folder, console)
    return status or _answer(options, asked, folder)


def _prepared(asked: Workload, chosen: RunOptions, budget_s: float) -> tuple[RunOptions, Scenario]:
    """The options with pools sized, and the scenario."""
    from benchmarks.advise.pools import pools
    from benchmarks.variants import listed

    varied = {}
    if asked.rate_per_s is not None:
        varied = design.sized(asked, pools(chosen.models, chosen.server_cpus))
    return replace(chosen, models=listed(chosen.models, varied), variants=varied), design.scenario(asked, budget_s)


def _make(facts: RunFacts, folder: Path, console: Console) -> int:
    """Make the run; 0, or the exit status of one that was stopped. What is finished is kept."""
    from benchmarks import conduct
    from benchmarks.load.remote import EngineDied
    from benchmarks.progress import Progress

    files = record.read(folder)
    with Progress(facts.options, console, files.records) as progress:
        try:
            conduct.Run(files, folder, progress).make()
        except KeyboardInterrupt:
            progress.close()
            print(f"interrupted; what is finished is kept in {folder}", file=sys.stderr)
            return INTERRUPTED
        except (EngineDied, OSError) as error:
            progress.close()
            why = trouble(error) if isinstance(error, OSError) else str(error)
            print(f"servebench: {why}. What is finished is kept in {folder}", file=sys.stderr)
            return FAILED
    return 0


# ---------------------------------------------------------------- answer


def _measured_in(options: argparse.Namespace, asked: Workload) -> Path:
    """The folder of the run that measured this workload. Raises BadUse where it measured another."""
    folder = folder_of(options.run, options.results)
    facts = record.read(folder).facts
    found = facts.scenarios.get(design.SCENARIO)
    searched = asked.objective.text if asked.objective and asked.rate_per_s is None else ""
    if found is None or found.question != workload.told(asked) or facts.options.objective != searched:
        instead = f"; it measured: {found.question}" if found else ""
        raise BadUse(f"{folder} did not measure this workload{instead}. Measure it: {workload.command(asked)}")
    return folder


def _answer(options: argparse.Namespace, asked: Workload, folder: Path) -> int:
    """Judge what the run measured and print it. Nobody is judged by anything else."""
    from benchmarks.advise import sheets
    from benchmarks.advise.measured import gathered
    from benchmarks.advise.verdict import judge
    from benchmarks.analyse import summarise

    files = record.read(folder)
    for one in files.damaged:
        print(f"servebench: {one.why}. Left out", file=sys.stderr)
    records = record.some_of(files, folder)
    summary = summarise(files.facts, records, files.environment)
    label = design.level(asked).label if asked.rate_per_s is not None else ""
    advice = judge(asked, gathered(files.facts, records, summary, design.SCENARIO, label))
    if options.json:
        print(sheets.as_json(advice))
    else:
        sheets.show(advice, Console())
        print(f"\nmeasured in {folder}; the same answer again: {workload.command(asked)} --from {folder.name}")
    return 0
