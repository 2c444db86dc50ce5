"""Does comparing a model with itself show a difference? An A/A run, or the visits of any run, relabelled at random."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import catalogue, record
from benchmarks.nouns import RunFacts, VisitRecord
from benchmarks.sameness import PERMUTATIONS, VISITS_WANTED, Calls, halved, swapped, twins

MODEL = "epoll_loop"
VISITS = 12
SECONDS = 0.2
CALLED_AT_MOST = 3 / 20  # of the A/A comparisons at 95%
RATE = (0.03, 0.07)  # of calls over relabelled visits


def measure(console: Console, server_cpu: int, driver_cpu: int, run: str = "") -> bool:
    """Print how often equals are called different; whether that is as seldom as promised.

    `run` is a run's folder or its name in results/; without it a small A/A run is made.
    """
    try:
        if run:
            return _tell(console, *_recorded(run))
        with tempfile.TemporaryDirectory(prefix="servebench-aa-") as results:
            return _tell(console, *_made(Path(results), server_cpu, driver_cpu))
    except record.RecordError as error:
        console.print(f"[bold]aa[/]  [red]{error}[/]", highlight=False)
        return False


def _recorded(run: str) -> tuple[RunFacts, list[VisitRecord]]:
    folder = next((path for path in (Path(run), Path("results") / run) if (path / "run.json").is_file()), None)
    if folder is None:
        raise record.RecordError(f"there is no run {run!r}; name a folder, or one in results/")
    facts, records, _ = record.read_run(folder)
    fewest = min(facts.options.visits.values(), default=0)
    if fewest < VISITS_WANTED:
        raise record.RecordError(f"{run} has {fewest} visits of each model; make one with --visits {VISITS_WANTED} or more")
    return facts, records


def _made(results: Path, server_cpu: int, driver_cpu: int) -> tuple[RunFacts, list[VisitRecord]]:
    """A small A/A run of many short visits, in a process of its own. Raises RecordError with what it said if it fails."""
    command = [
        sys.executable, "-m", "benchmarks", "run", "--aa", MODEL, "--models", MODEL, "--scenarios", "hello,wait",
        "--visits", str(VISITS), "--seconds", str(SECONDS), "--server-cpus", str(server_cpu), "--driver-cpus", str(driver_cpu),
        "--name", "aa", "--results", str(results),
    ]  # fmt: skip
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {server_cpu, driver_cpu})  # selfbench pins itself, and the run would inherit that
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=catalogue.ROOT, check=False)
    finally:
        os.sched_setaffinity(0, own)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise record.RecordError(f"the A/A run failed: {said[-1]}")
    facts, records, _ = record.read_run(results / "aa")
    return facts, records


def _tell(console: Console, run: RunFacts, records: list[VisitRecord]) -> bool:
    """Print the figures and hold them against what was wanted."""
    good, options = True, run.options
    visits = ", ".join(f"{count} visits in {scenario}" for scenario, count in options.visits.items())
    if options.twin:
        console.print(f"[bold]aa[/]  {options.twin} and its twin, {visits}", highlight=False)
        made = twins(run, records)
        few = made.asked > 0 and made.share <= CALLED_AT_MOST
        good &= _held(console, "compared as they were", made, few, "at most 3 of 20")
        again, how = swapped(run, records), "the two swapped at random in each block"
    else:
        console.print(f"[bold]aa[/]  {len(options.models)} models of {options.name}, {visits}", highlight=False)
        again, how = halved(run, records), "each model's visits in random halves"
    wanted = f"{RATE[0]:.0%} to {RATE[1]:.0%}"
    reached = RATE[0] <= again.share <= RATE[1]
    return good & _held(console, f"{how}, {PERMUTATIONS} times", again, reached, wanted)


def _held(console: Console, how: str, calls: Calls, reached: bool, wanted: str) -> bool:
    console.print(
        f"  {how}: {calls.called:,} of {calls.asked:,} called different at 95%, {calls.share:.1%} "
        f"({wanted} wanted: {'reached' if reached else '[red]missed[/]'})",
        highlight=False,
    )
    return reached
