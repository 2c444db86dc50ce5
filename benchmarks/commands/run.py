"""`servebench run`: plan, launch, verify, load and sample, record, analyse, plot, report."""

import argparse
import os
import random
import time
from collections.abc import Sequence

from rich.console import Console

from benchmarks import catalogue, plan, record
from benchmarks.commands._shared import FAILED, INTERRUPTED, BadUse, add_results, show, summarise
from benchmarks.nouns import RunOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench run`."""
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
    add_results(parser)


def command(options: argparse.Namespace) -> int:
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
        return INTERRUPTED
    record.point_latest(options.results, folder)
    summary = summarise(folder)
    show(summary, folder, console, options.json)
    console.print(
        f"made in {(time.monotonic() - begins) / 60:.1f} min; seed {chosen.seed}, command: {facts.command}",
        style="dim",
        highlight=False,
    )
    return 0 if any(cell.rate_per_s is not None for cell in summary.cells) else FAILED


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


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,16,64") from None


def _list(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))
