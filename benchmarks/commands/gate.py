"""`servebench gate`: is HEAD as fast as BASE? Both are measured interleaved in one run, until the intervals suffice."""

import argparse
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import catalogue, gate_report, gates, plan, record
from benchmarks.checkouts import NoVersion, Version, unpacked, version
from benchmarks.commands._run_options import choose_cpus, duration, numbers
from benchmarks.commands._shared import BadUse, add_results, trouble
from benchmarks.gates import STATUS, Gate, GateError, Judged
from benchmarks.gating import Asked, Unasked, asked, fitted, judged, remarks, too_wide
from benchmarks.journal import Journal
from benchmarks.nouns import Planned, ReplicateRecord, RunFacts, Variant, variant_of
from benchmarks.progress import Progress

if TYPE_CHECKING:
    from benchmarks.load.remote import RemoteEngine

THRESHOLD = "-3%"
SCENARIO = "hello"
BUDGET_S = 90.0
REPLICATES = 4  # at least: with fewer an interval is wider than any bound
ROOM = 1.2  # times what the replicates take by the plan
MOST_REPLICATES = 40
SECONDS, FEWEST_SECONDS = 1.5, 0.4  # of a level in each replicate, as the budget allows
BASE, HEAD = "base", "head"  # behind a model's name: which version of it
_SHARE = re.compile(r"([+-]?)(\d+(?:\.\d+)?)%")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench gate`."""
    # argparse takes "-3%" for an option unless it looks like a number to it.
    parser._negative_number_matcher = re.compile(r"^-\d+(\.\d+)?%?$")
    parser.add_argument("base", metavar="BASE", help="what is compared with: a folder, a git revision, or a model")
    parser.add_argument("head", metavar="HEAD", help="what must not be worse: likewise")
    parser.add_argument("--models", default="", metavar="A,B", help="of two versions: these (all that both have)")
    parser.add_argument("--scenarios", default=SCENARIO, metavar="A,B", help=f"which ({SCENARIO})")
    parser.add_argument(
        "--threshold",
        metavar="-3%",
        help=f"so much worse may a scenario's first measure be ({THRESHOLD} without --fail-if)".replace("%", "%%"),
    )
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="BOUND",
        help="another bound, such as 'rate<-3%%', 'cpu>+5%%' or 'p99>+10%%'; repeatable",
    )
    parser.add_argument(
        "--budget",
        type=duration,
        metavar="90s",
        help="time for all of it (90s; more for many models): replicates are added in it",
    )
    parser.add_argument("--replicates", type=int, default=REPLICATES, metavar="N", help=f"at least so many ({REPLICATES})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"of each level in a replicate ({SECONDS:g}, or as fits)")
    parser.add_argument("--json", action="store_true", help="the verdict and all cells as JSON on stdout")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write them as JUnit XML, a test case for each cell")
    parser.add_argument("--server-cpus", type=numbers, default=(), metavar="LIST", help="the first CPU")
    parser.add_argument("--driver-cpus", type=numbers, default=(), metavar="LIST", help="the last CPU")
    parser.add_argument("--seed", type=int, metavar="N", help="of order and arrivals (random, and recorded)")
    parser.add_argument("--name", default="", metavar="NAME", help="of the run's folder (gate, date and time)")
    add_results(parser)
    parser.epilog = "Exit status: 0 every bound is kept, 1 one is broken, 3 undecided, 2 bad use."


def command(options: argparse.Namespace) -> int:
    """Measure both, judge, tell; the status says kept, broken or undecided."""
    bounds = _bounds(options)
    if not 1 < options.replicates <= 1000 or not 0 < (options.seconds or SECONDS) <= 3600:
        raise BadUse("--replicates takes 2 to 1,000, --seconds above 0 and up to 3,600")
    names = catalogue.choose(_words(options.scenarios) or (SCENARIO,), catalogue.scenarios(), "scenario")
    try:
        versions = version(options.base), version(options.head)
        with unpacked(*versions) as (base, head):
            arms = _arms(options, base, head)
            return _measured(options, (base, head), arms, [_asked(name, bounds) for name in names])
    except NoVersion as error:
        raise BadUse(str(error)) from None


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What was asked for: by how large a share first measures may be worse, None for not at all, and other bounds."""

    worse: float | None
    gates: tuple[Gate, ...]


def _bounds(options: argparse.Namespace) -> _Bounds:
    try:
        found = tuple(gates.parse(text) for text in options.fail_if)
    except GateError as error:
        raise BadUse(f"--fail-if {error}") from None
    text = options.threshold or ("" if found else THRESHOLD)
    if not text:
        return _Bounds(None, found)
    share = _SHARE.fullmatch(text.strip())
    if share is None or not 0 < float(share[2]) < 100:
        raise BadUse(f"--threshold {text!r} is no change such as {THRESHOLD}")
    return _Bounds(float(share[2]) / 100, found)


def _asked(name: str, bounds: _Bounds) -> Asked:
    try:
        return asked(name, catalogue.scenario(name), bounds.worse, bounds.gates)
    except Unasked as error:
        raise BadUse(f"--fail-if: {error}") from None


@dataclass(frozen=True, slots=True)
class Arms:
    """Both sides of each model: what the rows are called, and the names of base and head in the run."""

    pairs: dict[str, tuple[str, str]]
    variants: dict[str, Variant | None]
    folders: tuple[Path, ...]


def _arms(options: argparse.Namespace, base: Version, head: Version) -> Arms:
    """Two models as they are; of two versions each model twice. Raises BadUse and NotInCatalogue."""
    if (base.kind == "model") != (head.kind == "model"):
        raise BadUse(f"{base.name} is a {base.kind} and {head.name} a {head.kind}: name two versions, or two models")
    if base.kind == "model":
        if options.models:
            raise BadUse("--models goes with two versions; BASE and HEAD are models already")
        if base.name != head.name:
            return Arms({head.name: (base.name, head.name)}, {base.name: None, head.name: None}, ())
        models: Sequence[str] = (base.name,)
        both = (Variant(), Variant())
    else:
        common = [name for name in base.models if name in head.models]
        if strange := [name for name in _words(options.models) if name not in common]:
            raise BadUse(f"--models {strange[0]}: both have {', '.join(common) or 'no model in common'}")
        models = _words(options.models) or common
        if not models:
            raise BadUse(f"{base.told} and {head.told} have no model in common")
        both = (Variant(folder=str(base.folder)), Variant(folder=str(head.folder)))
    pairs = {model: (variant_of(model, BASE), variant_of(model, HEAD)) for model in models}
    sides = {name: side for pair in pairs.values() for name, side in zip(pair, both, strict=True)}
    return Arms(pairs, dict(sides), () if base.kind == "model" else (base.folder, head.folder))


# ---------------------------------------------------------------- measure


def _measured(options: argparse.Namespace, versions: tuple[Version, Version], arms: Arms, scenarios: Sequence[Asked]) -> int:
    """Make the run and tell what it says."""
    # Imported here: a wrong option should not wait for numba.
    from benchmarks import arms as making
    from benchmarks import conduct
    from benchmarks.environment import environment
    from benchmarks.load.remote import EngineDied

    begins = time.monotonic()
    cpus = choose_cpus(options.server_cpus, options.driver_cpus)
    seed = random.SystemRandom().randrange(1, 10**6) if options.seed is None else options.seed
    asked_for = {one.name: one.scenario for one in scenarios}
    chosen = making.options(
        _name(options), arms.variants, tuple(asked_for), cpus, options.replicates, options.seconds or SECONDS, seed
    )
    fewest_s = chosen.level_s if options.seconds else FEWEST_SECONDS
    chosen = fitted(chosen, asked_for, options.budget or BUDGET_S, fewest_s)
    budget_s = options.budget or max(BUDGET_S, ROOM * chosen.replicates * plan.replicate_s(chosen, asked_for))
    facts = conduct.facts(chosen, options.arguments, asked_for)
    folder: Path = options.results / chosen.name
    console = Console(stderr=True)
    console.print(
        f"{versions[1].told} against {versions[0].told}: {len(arms.pairs)} model{'s' * (len(arms.pairs) != 1)} in "
        f"{', '.join(asked_for)}, {budget_s / 60:.1f} min at most",
        highlight=False,
        markup=False,
    )
    folder.mkdir(parents=True)
    with record.held(folder):
        conduct.begin(facts, folder, environment(*cpus))
        made = _Making(facts, folder, scenarios, arms, begins + budget_s)
        try:
            made.make(console)
        except BrokenPipeError:
            raise
        except (EngineDied, OSError) as error:  # nothing is broken by that
            why = trouble(error) if isinstance(error, OSError) else str(error)
            print(f"servebench: {why}. What is finished is kept in {folder}", file=sys.stderr)
            return STATUS["undecided"]
    report = gate_report.Report(
        versions[0].told, versions[1].told, made.judged, made.replicates, time.monotonic() - begins,
        remarks(made.records, arms.pairs),
    )  # fmt: skip
    return _tell(options, report, console, folder)


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or time.strftime("gate-%Y%m%d-%H%M%S")
    if "/" in name or name.startswith(".") or name == "latest" or len(name.encode()) > 255:
        raise BadUse(f"--name {name[:40]!r} can't be a folder of {options.results}; use letters, digits and dashes")
    if (options.results / name).exists():
        raise BadUse(f"{options.results / name} exists already. Choose another --name")
    return name


class _Making:
    """The run in the making: replicates until every interval is narrow enough for its bound, or the time is spent."""

    def __init__(self, facts: RunFacts, folder: Path, scenarios: Sequence[Asked], arms: Arms, ends_s: float) -> None:
        self.facts, self.folder, self.scenarios, self.arms, self.ends_s = facts, folder, scenarios, arms, ends_s
        self.records: list[ReplicateRecord] = []
        self.judged: list[Judged] = []
        self.replicates = 0

    def make(self, console: Console) -> None:
        """Raises EngineDied."""
        from benchmarks import arms as making

        journal = Journal().begun()
        options = self.facts.options
        with (
            Progress(options, console) as progress,
            making.engine(options.driver_cpus, self.arms.folders) as load,
        ):
            longest_s = 0.0
            while self.replicates < options.replicates or self._goes_on(longest_s):
                planned = plan.planned(options, [self.replicates])
                if self.replicates >= options.replicates:
                    journal = journal.with_more(planned)
                record.write(self.folder / "journal.json", journal)
                begins = time.monotonic()
                progress.expect(planned, 0.0)
                self._replicate(load, progress)
                longest_s = max(longest_s, time.monotonic() - begins)
        record.write(self.folder / "journal.json", journal.ended())

    def _replicate(self, load: "RemoteEngine", progress: Progress) -> None:
        """One more replicate of all that is asked."""
        from benchmarks import arms as making

        def tell(scenario: str, what: str) -> None:
            progress.doing(Planned(scenario, self.replicates), what, max(self.ends_s - time.monotonic(), 0.0))

        for made in making.replicate(self.facts, self.replicates, load, tell):
            record.write(record.record_path(self.folder, made), made)
            self.records.append(made)
            progress.done(made)
        self.replicates += 1
        if self.replicates >= self.facts.options.replicates:
            self.judged = judged(self.facts, self.records, self.scenarios, self.arms.pairs)

    def _goes_on(self, longest_s: float) -> bool:
        """Whether another replicate is wanted and fits."""
        fits = time.monotonic() + longest_s < self.ends_s and self.replicates < MOST_REPLICATES
        return fits and too_wide(self.judged)


def _tell(options: argparse.Namespace, report: gate_report.Report, console: Console, folder: Path) -> int:
    """Print the report in the form asked for; the exit status."""
    if options.junit:
        options.junit.parent.mkdir(parents=True, exist_ok=True)
        options.junit.write_bytes(gate_report.as_junit(report))
    if options.json:
        print(gate_report.as_json(report))
    else:
        gate_report.show(report, Console())
    console.print(f"measured in {folder}", style="dim", highlight=False)
    return STATUS[report.verdict]
