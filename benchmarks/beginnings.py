"""How servers begin: cold starts, shown for themselves and averaged into nothing.

The first clients of a fresh server may be served at another pace than all later ones: caches are empty, threads and processes
are still being made. The first load of the warm-up knows; as a share of the steady pace it is a figure of its own, and no other
figure contains it.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.absolutes import intervals
from benchmarks.amounts import digits
from benchmarks.load.steadiness import ROUNDS
from benchmarks.nouns import Warmup
from benchmarks.observed import Observed
from benchmarks.stats.intervals import counting_sd
from benchmarks.summaries import Estimate, Finding, ScenarioSummary, Standing
from benchmarks.verdict import listed

COLD = 0.1  # less is what warm-up itself calls the same pace (plan.STEADY_WITHIN)
FEWEST_ANSWERS = 50  # in a load at the steady pace: of fewer, one at an edge or a pause decides


def cold_share(warmup: Warmup | None) -> float | None:
    """The first load's rate as a share of the steady one's: of the last three loads, itself left out.

    None where no pace was reached, nobody was served at first, or a load at that pace has too few answers to tell.
    """
    if warmup is None or not warmup.steady or len(warmup.rates_per_s) < ROUNDS:
        return None
    first, pace = warmup.rates_per_s[0], statistics.fmean(warmup.rates_per_s[1:][-ROUNDS:])
    return first / pace if first > 0 and pace * _round_s(warmup) >= FEWEST_ANSWERS else None


def _round_s(warmup: Warmup) -> float:
    """The length of a load; of a record that does not say, its part of the time, which is more."""
    return warmup.round_s or warmup.seconds / len(warmup.rates_per_s)


def cold_starts(observed: Observed) -> dict[str, Estimate]:
    """Each model's cold start in one scenario, over its replicates, with the noise of all models moderated."""
    shares: dict[str, list[float]] = {model: [] for model in observed.models}
    resolution = 0.0
    for replicate in observed.replicates:
        for model, trial in replicate.trials.items():
            if (share := cold_share(trial.warmup)) is not None:
                shares[model].append(share)
                resolution = max(resolution, _counting(trial.warmup))
    return intervals(shares, resolution)


def _counting(warmup: Warmup | None) -> float:
    """What counting whole requests leaves open in a first load."""
    if warmup is None or not warmup.rates_per_s:
        return 0.0
    return counting_sd(round(warmup.rates_per_s[0] * _round_s(warmup)))


def with_cold(summary: ScenarioSummary, found: Mapping[str, Estimate]) -> ScenarioSummary:
    """The same scenario with the cold starts in its standings."""
    return replace(summary, standings=[replace(one, cold=found.get(one.model)) for one in summary.standings])


def is_cold(share: Estimate) -> bool:
    """Whether the first clients were served otherwise than the later ones, beyond the noise."""
    if share.low is None or share.high is None:
        return False
    return (share.high < 1 and share.value < 1 - COLD) or (share.low > 1 and share.value > 1 + COLD)


def cold_finding(scenarios: Sequence[ScenarioSummary]) -> Finding | None:
    """Whose first clients got another pace, all scenarios in one."""
    told = []
    for scenario in scenarios:
        cold = [one for one in scenario.standings if one.cold is not None and is_cold(one.cold)]
        if cold:
            told.append(f"{listed([_share(one) for one in cold])} in {scenario.scenario}")
    if not told:
        return None
    return Finding(
        "cold start",
        "info",
        f"as a share of the steady pace, the first clients got {', '.join(told)}",
        "a server that has just started is not yet what it will be; no other figure contains that, for warm-up comes before",
        "count with it where servers are started often",
    )


def _share(standing: Standing) -> str:
    assert standing.cold is not None
    low, high = (digits(end or 0.0, 2) for end in (standing.cold.low, standing.cold.high))
    return f"{digits(standing.cold.value, 2)} from {standing.model} ({low}–{high})"
