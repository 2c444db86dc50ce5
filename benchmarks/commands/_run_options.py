"""What `servebench run` may be asked for, and how that becomes RunOptions with every default filled in."""

import argparse
import math
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import adaptive, catalogue, interpreters, objective, passwords, plan, variants
from benchmarks.commands._shared import BadUse, add_results
from benchmarks.load.command import SEED_MOST
from benchmarks.nouns import RunOptions, Variant

# What may be said with --resume: the run itself has decided all else.
_WITH_RESUME = {"resume", "anyway", "replicates", "json", "full", "charts", "results", "database"}
_PROFILE = "quick"
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_S = 7 * 24 * 3600.0
_MOST = 3600  # replicates, or seconds of a level
_FEWEST_FOR_AA = 4  # models: with fewer, a second copy of one would be a large part of the run
_AA = "epoll_loop"  # the model that is in a run twice, if it is there; else the first
_LONGEST_NAME = 255  # bytes in the name of a file, on Linux (NAME_MAX)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench run`."""
    parser.add_argument("--models", type=_words, default=(), metavar="A,B", help="all")
    parser.add_argument("--scenarios", type=_words, default=(), metavar="A,B", help="all; smoke and quick: the quick ones")
    parser.add_argument("--profile", choices=tuple(plan.PROFILES), help=f"how long ({_PROFILE}: under 5 minutes)")
    parser.add_argument(
        "--connections", type=numbers, default=(), metavar="N,M", help="closed levels, instead of the scenarios' own"
    )
    parser.add_argument(
        "--replicates",
        type=int,
        metavar="N",
        help="times that all models are started afresh, instead of the profile's; with --resume: more",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="measured at each level, for each model and replicate",
    )
    parser.add_argument(
        "--precision",
        type=share,
        metavar="5%",
        help="add replicates until every ratio is known so well (5%% with --budget)",
    )
    parser.add_argument("--budget", type=duration, metavar="3m", help="time for added replicates (10m with --precision)")
    parser.add_argument(
        "--same",
        type=share,
        metavar="3%",
        help="who differs by less is the same (3%% for rates and costs, 10%% for times)",
    )
    parser.add_argument("--visits", help=argparse.SUPPRESS)
    parser.add_argument("--slo", default="", metavar="'p99<=20ms'", help="search the highest rate that meets this objective")
    parser.add_argument(
        "--aa",
        default=None,
        metavar="MODEL",
        help=f"the model that is measured twice ({_AA}, from {_FEWEST_FOR_AA} models on; none: no model)",
    )
    parser.add_argument(
        "--unchecked", action="store_true", help="measure models that fail `servebench check --fast`, too; they are not ranked"
    )
    parser.add_argument(
        "--python",
        type=_words,
        default=(),
        metavar="A,B",
        help="each model under these interpreters as well, python3.13 or a path: model~python3.13 beside the plain model, which"
        " stays under servebench's own. What servers need is installed once in .venv-pythons/. Adds --control",
    )
    parser.add_argument(
        "--control",
        action="store_true",
        help="in hello, loops without the steps, too: what do the steps cost?",
    )
    parser.add_argument(
        "--tuned", action="store_true", help="models with workers or threads also with 2, 4 and 16 for each CPU of the server"
    )
    parser.add_argument(
        "--database", default="", metavar="URL", help="of scenarios that keep items: postgresql://… (a file of SQLite's)"
    )
    parser.add_argument("--server-cpus", type=numbers, default=(), metavar="LIST", help="the first CPU")
    parser.add_argument("--driver-cpus", type=numbers, default=(), metavar="LIST", help="the last CPU")
    parser.add_argument("--seed", type=int, metavar="N", help="of order and arrivals (random, and recorded)")
    parser.add_argument("--name", metavar="NAME", help="of the run's folder (date and time)")
    parser.add_argument("--resume", default="", metavar="RUN", help="go on with a run that was interrupted, or repair it")
    parser.add_argument("--anyway", action="store_true", help="with --resume: although the machine differs")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be made and how long it takes, and measure nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    parser.add_argument("--full", action="store_true", help="print the whole report, not one screen of it")
    parser.add_argument(
        "--no-charts", dest="charts", action="store_false", help="tables only; servebench plot draws them later"
    )
    add_results(parser)


def only_resume(options: argparse.Namespace) -> None:
    """Make sure that nothing is asked of a resumed run that it has decided already. Raises BadUse."""
    usual = argparse.ArgumentParser()
    add_arguments(usual)
    _removed(options)
    if options.replicates is not None and not 0 < options.replicates <= _MOST:
        raise BadUse(f"--replicates {options.replicates} is not above 0 and at most {_MOST}")
    for name, value in vars(usual.parse_args([])).items():
        if name not in _WITH_RESUME and getattr(options, name) != value:
            raise BadUse(
                f"--{name.replace('_', '-')} can't be changed by --resume: it goes on with the run's own options. Leave it out,"
                " or make a new run"
            )


def _removed(options: argparse.Namespace) -> None:
    """Name the successor of an option that is gone. Raises BadUse."""
    if options.visits is not None:
        raise BadUse(f"--visits is gone: models are compared by replicates of short rounds. Use --replicates {options.visits}")


def run_options(options: argparse.Namespace) -> RunOptions:
    """Every default filled in, and environments made for other interpreters. Raises BadUse and NotInCatalogue."""
    _removed(options)
    if options.anyway:
        raise BadUse("--anyway goes with --resume only")
    profile = plan.PROFILES[options.profile or _PROFILE]
    scenarios = _scenarios(options.scenarios, profile)
    server_cpus, driver_cpus = choose_cpus(options.server_cpus, options.driver_cpus)
    for name in ("replicates", "seconds"):
        value = getattr(options, name)
        if value is not None and not 0 < value <= _MOST:
            raise BadUse(f"--{name} {value:g} is not above 0 and at most {_MOST}")
    if any(not 0 < n <= 1_000_000 for n in options.connections):
        raise BadUse("--connections takes numbers from 1 to 1,000,000")
    name = options.name or time.strftime("%Y%m%d-%H%M%S")
    if "/" in name or name.startswith(".") or name == "latest":
        raise BadUse(f"--name {name!r} can't be a folder of {options.results}; use letters, digits and dashes")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise BadUse(f"--name {name[:20]}… is {len(os.fsencode(name))} bytes long; a folder's name has {_LONGEST_NAME} at most")
    if any("\udc80" <= letter <= "\udcff" for letter in name):
        raise BadUse(f"--name {name!a} is no UTF-8, which a folder's name must be here; use letters, digits and dashes")
    if options.seed is not None and not 0 <= options.seed <= SEED_MOST:
        raise BadUse(f"--seed {options.seed} is not from 0 to {SEED_MOST:,}")
    precision, budget_s = _adding(options.precision, options.budget)
    models = _models(options.models, options.aa or "")
    varied = _variants(options, models, scenarios, len(server_cpus))
    return RunOptions(
        name=name,
        profile=options.profile or _PROFILE,
        models=variants.listed(models, varied),
        scenarios=scenarios,
        replicates=options.replicates or profile.replicates,
        level_s=options.seconds or profile.level_s,
        long_s=min(profile.long_s, options.seconds or profile.long_s),
        connections=tuple(options.connections),
        server_cpus=server_cpus,
        driver_cpus=driver_cpus,
        seed=random.SystemRandom().randrange(1, 10**6) if options.seed is None else options.seed,
        aa=_aa(options.aa, models),
        precision=precision,
        budget_s=budget_s,
        objective=_objective(options.slo),
        unchecked=options.unchecked,
        variants=varied,
        quick=profile.quick,
        database=passwords.kept(options.database),
        same=options.same,
    )


def more_replicates(before: RunOptions, asked: int, complete: bool) -> RunOptions:
    """The options of a run that shall have so many replicates, and no fewer than it was to have.

    One that is not `complete` may have them already, from the same command before it was interrupted. Raises BadUse.
    """
    if before.precision is not None:
        raise BadUse(f"{before.name} adds replicates until its intervals are narrow (--precision): leave --replicates out")
    if asked <= before.replicates and complete:
        raise BadUse(f"--replicates {asked}: {before.name} has {before.replicates} already. Ask for more, or leave it out")
    return replace(before, replicates=max(before.replicates, asked))


def _aa(asked: str | None, models: Sequence[str]) -> str:
    """The model that is measured twice: the one asked for, else one of several."""
    if asked == "none" or (not asked and len(models) < _FEWEST_FOR_AA):
        return ""
    return asked or (_AA if _AA in models else models[0])


def _scenarios(asked: Sequence[str], profile: plan.Profile) -> tuple[str, ...]:
    """The scenarios asked for; else all, of a quick profile those that are marked so."""
    chosen = catalogue.choose(asked, catalogue.scenarios(), "scenario")
    if asked or not profile.quick:
        return chosen
    return tuple(name for name in chosen if catalogue.scenario(name).quick) or chosen


def _variants(options: argparse.Namespace, models: Sequence[str], scenarios: Sequence[str], cores: int) -> dict[str, Variant]:
    """What is measured besides the plain models; the environments of other interpreters are made for it. Raises BadUse."""
    able = [model for model in models if model in variants.BASELINES]
    if options.control and not (able and variants.BASELINE_SCENARIO in scenarios):
        raise BadUse(
            f"--control: only {', '.join(variants.BASELINES)} have one, in {variants.BASELINE_SCENARIO}; add them with --models"
            " and --scenarios, or leave it out"
        )
    try:
        made = interpreters.prepared(options.python, lambda words: print(f"servebench: {words}", file=sys.stderr, flush=True))
    except interpreters.Unusable as error:
        raise BadUse(str(error)) from None
    pythons = {label: one.python for label, one in interpreters.labels(made).items()}
    control = bool(options.control or pythons) and variants.BASELINE_SCENARIO in scenarios
    return variants.variants(models, pythons, cores, control, options.tuned)


def _models(asked: Sequence[str], aa: str) -> tuple[str, ...]:
    """The models to measure: with an A/A arm asked for and no list, that one alone."""
    known = catalogue.models()
    aa = "" if aa == "none" else aa
    if aa:
        catalogue.choose([aa], known, "model")
    models = catalogue.choose(asked or ([aa] if aa else []), known, "model")
    if aa and aa not in models:
        raise BadUse(f"--aa {aa}: it is not among --models {','.join(models)}; add it there")
    return models


def _adding(precision: float | None, budget_s: float | None) -> tuple[float | None, float]:
    """Precision and budget, each with its default beside the other; neither where neither was asked for."""
    if precision is None and budget_s is None:
        return None, 0.0
    return precision or adaptive.PRECISION, adaptive.BUDGET_S if budget_s is None else budget_s


def _objective(text: str) -> str:
    """An objective as it is written everywhere, "" for none. Raises BadUse."""
    if not text:
        return ""
    try:
        return objective.parse(text).text
    except ValueError as error:
        raise BadUse(f"--slo: {error}") from None


def choose_cpus(server: tuple[int, ...], driver: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """One CPU for the server and another for the load, unless told otherwise. Raises BadUse for CPUs that can't be used."""
    usable = sorted(os.sched_getaffinity(0))
    for name, cpus in (("server", server), ("driver", driver)):
        if strange := set(cpus) - set(usable):
            raise BadUse(f"--{name}-cpus: CPU {min(strange)} is not one that this process may use ({listed(usable)})")
    server = server or (next((cpu for cpu in usable if cpu not in driver), usable[0]),)
    driver = driver or (next((cpu for cpu in reversed(usable) if cpu not in server), usable[-1]),)
    return server, driver


def check_cpus(options: RunOptions) -> None:
    """Whether this process may still use the CPUs of a recorded run. Raises BadUse."""
    choose_cpus(options.server_cpus, options.driver_cpus)


def listed(cpus: Sequence[int]) -> str:
    """CPU numbers for people."""
    return ", ".join(map(str, cpus))


# ---------------------------------------------------------------- single values


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between. Raises ArgumentTypeError."""
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,16,64") from None


def share(text: str) -> float:
    """5% or 0.05. A bare 5 is neither: nobody knows which was meant."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else math.nan
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 5% or 0.05")
    return share


def duration(text: str) -> float:
    """90s, 3m or 1h, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 3m or 1h (at most a week)")
    return seconds
