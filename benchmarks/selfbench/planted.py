"""Is a small difference found that was put there? A copy of a model with 3% more CPU time a request, and a plain copy.

The servers are copied to a temporary folder. In one of the copies some turns of an empty loop precede each send; how many is
calibrated so that a request takes 3% more CPU time. So small a share is measured best ten times as large: a copy with ten such
loops is measured against the plain one, and a tenth of what it takes more is the truth. Then come the runs, of the pair alone
and each as long as a gate takes by default: the copy with one loop should be called slower in nine of ten of them, its
difference told within 1.5 points, and a plain copy the same within 3% in eight of ten.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import arms, catalogue, conduct
from benchmarks.comparison import Name, Row, Told, column, paired_row
from benchmarks.gating import asked
from benchmarks.launch import compile_servers
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import Variant, variant_of
from benchmarks.questions import SAME
from benchmarks.stats.difference import FALSE_CALL

MODEL, SCENARIO, LEVEL = "epoll_loop", "hello", "closed 16"
PLANTED, NEAR = 0.03, 0.003  # of the CPU time of a request, and how near the truth must be to that
TENFOLD = 10
TURNS = 12  # to begin with
CALIBRATIONS = 6
FILE, BEFORE = "_readiness.py", "    try:\n        return client.send(data)\n"  # where a model of a loop sends
RUNS, SECONDS = 10, 80.0
LEVEL_S, FEWEST = 1.5, 5  # 30 windows in each of five replicates and more,
LONG_S = 40.0  # in runs that are no shorter than this
FOUND, TOLD, SAME_IN = 0.9, 0.015, 0.8  # of the runs; in points of the ratio; of the runs

Cpus = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The rate and the CPU time of a request of a copy by those of the plain one."""

    rate: Row
    cpu: Row

    @property
    def slower(self) -> bool:
        """Whether its rate is significantly lower, this one comparison by itself."""
        step = self.rate.difference
        return step is not None and step.p_value() < FALSE_CALL and step.log_ratio < 0

    @property
    def same(self) -> bool:
        """Whether its rate is the same within 3%."""
        return self.rate.difference is not None and self.rate.difference.same_p_value(SAME) < FALSE_CALL

    @property
    def more(self) -> float:
        """By how large a share a request takes longer, by the rates."""
        return 1 / self.rate.ratio.value - 1 if self.rate.ratio else 0.0

    @property
    def more_cpu(self) -> float:
        """By how large a share it takes more CPU time."""
        return self.cpu.ratio.value - 1 if self.cpu.ratio else 0.0


class Unplanted(RuntimeError):
    """The copy could not be made as it should be; the message says why."""


def measure(console: Console, server_cpu: int, driver_cpu: int, runs: int = RUNS, seconds: float = SECONDS) -> bool:
    """Print what is found of what was planted, in `runs` runs of either pair, of so many seconds each."""
    console.print(f"[bold]planted[/]  copies of {MODEL}, {SCENARIO} at {LEVEL}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="servebench-planted-") as room, arms.engine((driver_cpu,)) as load:
        bench = _Bench(Path(room), ((server_cpu,), (driver_cpu,)), load)
        try:
            turns, truth = _calibrated(console, bench, seconds)
            planted, copies = _runs(console, bench, turns, runs, seconds)
        except Unplanted as error:
            console.print(f"  [red]{error}[/]", highlight=False)
            return False
    found = sum(one.slower for one in planted)
    near = sum(abs(one.more - truth) <= TOLD for one in planted)
    same = sum(one.same for one in copies)
    good = _held(console, "called slower", found, runs, FOUND)
    good &= _held(console, f"estimated within {100 * TOLD:g} points of {truth:.2%}", near, runs, FOUND)
    return good & _held(console, "a plain copy called the same within 3%", same, runs, SAME_IN)


def _runs(console: Console, bench: "_Bench", turns: int, runs: int, seconds: float) -> tuple[list[Pair], list[Pair]]:
    """The runs of the pair with the planted copy and of that with a plain one, in turn."""
    planted, copies = [], []
    for number in range(runs):
        planted.append(bench.pair(turns, 1, seconds))
        copies.append(bench.pair(0, 0, seconds))
        console.print(f"  run {number + 1}: {_words(planted[-1])}; the plain copy {_words(copies[-1])}", highlight=False)
    return planted, copies


def _words(pair: Pair) -> str:
    low, high = (pair.rate.ratio.low, pair.rate.ratio.high) if pair.rate.ratio else (None, None)
    between = f" ({low:.3f}–{high:.3f})" if low and high else ""
    value = f"{pair.rate.ratio.value:.3f}" if pair.rate.ratio else pair.rate.why
    call = "slower" if pair.slower else "same" if pair.same else "open"
    return f"{value}{between} {call}, CPU {1 + pair.more_cpu:.3f}"


def _held(console: Console, what: str, count: int, runs: int, share: float) -> bool:
    good = count >= share * runs - 1e-9
    told = "reached" if good else "[red]missed[/]"
    console.print(f"  {what} in {count} of {runs} runs ({share:.0%} wanted: {told})", highlight=False)
    return good


# ---------------------------------------------------------------- how much is planted


def _calibrated(console: Console, bench: "_Bench", seconds: float) -> tuple[int, float]:
    """So many turns that a request takes 3% more CPU time, and the truth from a long run. Raises Unplanted."""
    turns, known = TURNS, dict[int, float]()
    for _ in range(CALIBRATIONS):
        known[turns] = _more(console, bench, turns, seconds / 4)
        if abs(known[turns] - PLANTED) <= NEAR:
            known[turns] = _more(console, bench, turns, seconds)
            if abs(known[turns] - PLANTED) <= NEAR:
                return turns, known[turns]
        turns = next_turns(known)
    told = ", ".join(f"{turns} take {more:.2%}" for turns, more in known.items())
    raise Unplanted(f"no number of turns took {PLANTED:.0%} ± {100 * NEAR:g} points of a request: {told}")


def _more(console: Console, bench: "_Bench", turns: int, seconds: float) -> float:
    """How large a share of CPU time so many turns add to a request: a tenth of what ten times as many do."""
    pair = bench.pair(turns, TENFOLD, seconds)
    more = pair.more_cpu / TENFOLD
    console.print(
        f"  {turns} turns before each send: {more:.2%} more CPU time a request, {pair.more / TENFOLD:.2%} more time"
        f" (by ten times as many, {seconds:.0f} s)",
        highlight=False,
    )
    return more


def next_turns(known: Mapping[int, float]) -> int:
    """The number to try next: as many as would do if the nearest one's took their share in proportion."""
    nearest = min(known, key=lambda turns: abs(known[turns] - PLANTED))
    if known[nearest] <= 0:
        return 2 * max(known)
    wanted = max(round(nearest * PLANTED / known[nearest]), 1)
    return wanted if wanted not in known else wanted + (1 if known[wanted] < PLANTED else -1)


# ---------------------------------------------------------------- copies, and pairs of them


class _Bench:
    """Makes copies of the servers and measures pairs of them."""

    def __init__(self, room: Path, cpus: Cpus, load: RemoteEngine) -> None:
        self.room, self.cpus, self.load = room, cpus, load

    def pair(self, turns: int, loops: int, seconds: float) -> Pair:
        """A copy with so many loops of so many turns, by a plain one, measured for so long. Raises Unplanted."""
        names = variant_of(MODEL, "plain"), variant_of(MODEL, "copy")
        with copied(self.room / "base") as base, copied(self.room / "head", turns, loops) as head:
            sides: dict[str, Variant | None] = {
                name: Variant(folder=str(folder)) for name, folder in zip(names, (base, head), strict=True)
            }
            wanted = asked(SCENARIO, catalogue.scenario(SCENARIO), PLANTED, ())
            seed = random.SystemRandom().randrange(1, 10**6)
            chosen = arms.options("planted", sides, (SCENARIO,), self.cpus, FEWEST, LEVEL_S, seed)
            facts = conduct.facts(chosen, ["selfbench", "planted"], {SCENARIO: wanted.scenario})
            told = Told(facts, SCENARIO, arms.made(facts, self.load, seconds, FEWEST if seconds >= LONG_S else 2))
        return Pair(_row(told, "rate", names), _row(told, "cpu", names))


def _row(told: Told, name: Name, names: tuple[str, str]) -> Row:
    """Raises Unplanted where there is nothing to compare."""
    row = paired_row(told, column(name, LEVEL), *names, ("plain", "copy"), MODEL)
    if row.ratio is None:
        raise Unplanted(f"{name} at {LEVEL}: {row.why}")
    return row


@contextmanager
def copied(folder: Path, turns: int = 0, loops: int = 0) -> Iterator[Path]:
    """A copy of the servers, compiled, for as long as it takes; `loops` loops of `turns` turns precede each send.

    Raises Unplanted where nobody knows any more what sends.
    """
    shutil.copytree(catalogue.ROOT / "servers", folder / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    try:
        path = folder / "servers" / FILE
        text = path.read_text(encoding="utf-8")
        if text.count(BEFORE) != 1:
            raise Unplanted(f"servers/{FILE} does not send as it did: {BEFORE!r} is not in it once")
        loop = f"    for _ in range({turns}):\n        pass\n"
        path.write_text(text.replace(BEFORE, loop * loops + BEFORE), encoding="utf-8")
        compile_servers([sys.executable], folder)
        yield folder
    finally:
        shutil.rmtree(folder)
