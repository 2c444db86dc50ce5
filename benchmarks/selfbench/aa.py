"""Does comparing a model with itself show a difference? Pairs of copies in fresh runs, or the A/A arm of a run there is.

At 95% one comparison of equals in twenty is called different by chance alone. Each small run starts ten copies of one model
afresh in every replicate and makes five disjoint pairs of them, each compared at several levels, which have windows of their
own: few calls say that intervals are too wide for the noise, many that they are too narrow.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from scipy.special import bdtr, bdtrc

from benchmarks import arms, conduct, record
from benchmarks.comparison import Row, Side, Told, column, compare, paired_row
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import Variant, aa_arm, variant_of
from benchmarks.questions import Request, Scenario
from benchmarks.stats.difference import FALSE_CALL

MODEL = "epoll_loop"
COPIES = 10  # two of each pair
CONNECTIONS = (8, 16, 32, 64)
RUNS, REPLICATES = 10, 3
SECONDS = 0.2  # of a level in a replicate,
WINDOW_S = 0.03  # in windows of this
PAIRS = Scenario(Request("/hello", expect_body=b"Hello, World!"), CONNECTIONS, window_s=WINDOW_S, question="Are equals equal?")
# From 3 to 18 of 200 lie 99% of the cases: so much is left out below, and so much above.
BELOW, ABOVE = 0.003, 0.008
CALLED_AT_MOST = 3 / 20  # of the comparisons in one run, whose levels and metrics are no separate evidence


@dataclass(frozen=True, slots=True)
class Calls:
    """How many comparisons of equals there were, and how many of them were called different at 95%."""

    asked: int
    called: int

    @property
    def share(self) -> float:
        """Called by asked; 0 when nothing was asked."""
        return self.called / self.asked if self.asked else 0.0


def counted(rows: Sequence[Row]) -> Calls:
    """The unadjusted calls of these rows."""
    steps = [row.difference for row in rows if row.judged and row.difference is not None]
    return Calls(len(steps), sum(step.p_value() < FALSE_CALL for step in steps))


def expected(asked: int, share: float = FALSE_CALL) -> tuple[int, int]:
    """From how many to how many of these comparisons chance calls different, in 99% of the cases: 3 to 18 of 200."""
    low = next(count for count in range(asked + 1) if bdtr(count, asked, share) >= BELOW)
    high = next(count for count in range(asked + 1) if count == asked or bdtrc(count, asked, share) <= ABOVE)
    return low, high


def measure(
    console: Console, server_cpu: int, driver_cpu: int, run: str = "", runs: int = RUNS, seconds: float = SECONDS
) -> bool:
    """Print how often equals are called different; whether that is as seldom as promised.

    `run` is a run's folder or its name in results/, whose A/A arm is asked instead; `runs` how many fresh ones are made, and
    `seconds` how long each level of theirs takes.
    """
    if run:
        try:
            return _told(console, *_recorded(run))
        except record.RecordError as error:
            console.print(f"[bold]aa[/]  [red]{error}[/]", highlight=False)
            return False
    console.print(
        f"[bold]aa[/]  {COPIES // 2} pairs of copies of {MODEL} in {runs} fresh runs of {REPLICATES} replicates",
        highlight=False,
    )
    rows: list[Row] = []
    with arms.engine((driver_cpu,)) as load:
        for number in range(runs):
            found = _pairs(arms_of(), number, ((server_cpu,), (driver_cpu,)), seconds, load)
            rows += found
            calls = counted(found)
            console.print(f"  run {number + 1}: {calls.called} of {calls.asked} called different at 95%", highlight=False)
    calls = counted(rows)
    low, high = expected(calls.asked)
    held = calls.asked == runs * COPIES // 2 * len(CONNECTIONS) and low <= calls.called <= high
    _held(console, "together", calls, held, f"{low} to {high} of {calls.asked}")
    return held


def arms_of() -> dict[str, Variant | None]:
    """The copies, each a server of its own in each replicate."""
    return {variant_of(MODEL, f"copy {number}"): Variant() for number in range(COPIES)}


def _pairs(
    copies: dict[str, Variant | None],
    number: int,
    cpus: tuple[tuple[int, ...], tuple[int, ...]],
    seconds: float,
    load: RemoteEngine,
) -> list[Row]:
    """The comparisons of one fresh run: each pair at each level."""
    seed = random.SystemRandom().randrange(1, 10**6)
    chosen = arms.options(f"aa {number}", copies, ("pairs",), cpus, REPLICATES, seconds, seed)
    facts = conduct.facts(chosen, ["selfbench", "aa"], {"pairs": PAIRS})
    records = [made for replicate in range(REPLICATES) for made in arms.replicate(facts, replicate, load)]
    return compared(Told(facts, "pairs", records), list(copies))


def compared(told: Told, copies: Sequence[str]) -> list[Row]:
    """Disjoint pairs, one after the other, at each level by its rate."""
    labels = [level.label for level in told.observed.levels]
    pairs = list(zip(copies[::2], copies[1::2], strict=True))
    return [paired_row(told, column("rate", label), *pair, pair, pair[0]) for label in labels for pair in pairs]


# ---------------------------------------------------------------- a run there is


def _recorded(run: str) -> tuple[str, Calls]:
    """What is asked, and the comparisons of the A/A arm with its model in all of a run. Raises RecordError."""
    folder = next((path for path in (Path(run), Path("results") / run) if (path / "run.json").is_file()), None)
    if folder is None:
        raise record.RecordError(f"there is no run {run!r}; name a folder, or one in results/")
    facts, records, _ = record.read_run(folder)
    model = facts.options.aa
    if not model:
        raise record.RecordError(f"{run} has no A/A arm; make a run with --aa MODEL")
    one, other = (Side(name, facts, records, name) for name in (model, aa_arm(model)))
    return f"{model} and its A/A arm in {facts.options.name}", counted(compare(one, other).rows)


def _told(console: Console, what: str, calls: Calls) -> bool:
    """Print the figures and hold them against what was wanted."""
    console.print(f"[bold]aa[/]  {what}", highlight=False)
    held = calls.asked > 0 and calls.share <= CALLED_AT_MOST
    _held(console, "as they were", calls, held, "at most 3 of 20")
    return held


def _held(console: Console, how: str, calls: Calls, held: bool, wanted: str) -> None:
    console.print(
        f"  {how}: {calls.called:,} of {calls.asked:,} called different at 95%, {calls.share:.1%} "
        f"({wanted} wanted: {'reached' if held else '[red]missed[/]'})",
        highlight=False,
    )
