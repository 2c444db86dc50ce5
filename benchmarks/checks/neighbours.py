"""The other servers of the replicate, which are to be idle while one is measured."""

from benchmarks.amounts import percent
from benchmarks.checks.facts import Facts
from benchmarks.merging import NEIGHBOURS_DROPPED
from benchmarks.nouns import Measurement
from benchmarks.summaries import Finding

BUSY = 0.005  # of the time of the server's cores
DROPPED = 0.5  # of the windows


def neighbours(facts: Facts) -> Finding | None:
    """Other servers that were not idle: they took the CPU time of the one that was measured."""
    share = neighbours_share(facts.measurement) / facts.server_cores
    if share <= BUSY:
        return None
    return Finding(
        "neighbours",
        "invalid",
        f"the other servers of the replicate used {percent(share)} of the server's CPU time",
        "they were to be idle: what they used, and what they displaced from the caches, is missing from this model",
        "measure the model that is busy while idle in a run of its own (--models); the remarks on the run name it",
    )


def neighbours_share(measurement: Measurement) -> float:
    """The CPU seconds that other servers used in each second of it of its windows."""
    seconds = sum(measurement.rounds.seconds)
    return sum(measurement.rounds.neighbours_ns) / 1e9 / seconds if seconds else 0.0


def too_few_windows(facts: Facts) -> Finding | None:
    """More windows dropped than kept: the others are a selection of quiet moments."""
    dropped = len(set(facts.rounds.dropped))
    if dropped <= DROPPED * (dropped + facts.windows):
        return None
    return Finding(
        "too few windows",
        "invalid",
        f"{dropped:,} of {dropped + facts.windows:,} windows were dropped",
        f"other servers used more than {percent(NEIGHBOURS_DROPPED)} of the time in them, or they could not be measured",
        "end what keeps the machine busy, or measure the model that is busy while idle in a run of its own",
    )
