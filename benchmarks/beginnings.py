"""How servers and runs begin: cold starts and first visits, shown for themselves and averaged into nothing.

**Cold start.** The first clients of a fresh server may be served at another pace than all later ones: caches are empty, threads
and processes are still being made. The first round of warm-up knows; as a share of the steady pace it is a figure of its
own, and no other figure contains it.

**First visit.** The first block of a run may be unlike the others: files come from disk, the processor is cool. Whoever is
compared was in the same block, so ratios do not contain it; rates do, and one must know. The block is the unit: all its visits
share the minute in which they were made, and taken one by one (paired over models) they would make a first-visit effect of
any minute's weather. In the first reference run that test told a third block of `wait` from the two before it (p = 0.013);
by blocks none differed (p > 0.22).
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import stdtr

from benchmarks.amounts import digits, percent
from benchmarks.intervals import counting_sd, mean_estimate, pooled_spread
from benchmarks.load.steadiness import ROUNDS
from benchmarks.nouns import Warmup
from benchmarks.ranking import holm
from benchmarks.selection import UNSTEADY, Visit, prevailing_weather
from benchmarks.summaries import Estimate, Finding, ScenarioSummary, Standing
from benchmarks.verdict import listed

COLD = 0.1  # less is what warm-up itself calls the same pace (plan.STEADY_WITHIN)
FEWEST_ANSWERS = 50  # in a round at the steady pace: of fewer, one at an edge or a pause decides
FALSE_ALARM = 0.05  # chance of calling the first block of any scenario different when none is
FEWEST_BLOCKS = 3
FEWEST_MODELS = 2  # of one alone, a block's weather and the visit's own noise are the same

# Each model's peak rate by the block in which it was measured.
Blocks = Mapping[str, Mapping[int, float]]


def begun(peaks: Mapping[str, Blocks], scenarios: Sequence[ScenarioSummary]) -> list[Finding]:
    """What is to be said of a run's beginnings: first visits by the peaks of each scenario, cold starts by its standings."""
    return [found for found in (first_visit_finding(peaks), cold_finding(scenarios)) if found is not None]


# ---------------------------------------------------------------- cold starts


def cold_share(warmup: Warmup | None) -> float | None:
    """The first round's rate as a share of the steady one's: of the last three rounds, itself left out.

    None where no pace was reached, nobody was served at first, or a round at that pace has too few answers to tell.
    """
    if warmup is None or not warmup.steady or len(warmup.rates_per_s) < ROUNDS:
        return None
    first, pace = warmup.rates_per_s[0], statistics.fmean(warmup.rates_per_s[1:][-ROUNDS:])
    return first / pace if first > 0 and pace * _round_s(warmup) >= FEWEST_ANSWERS else None


def _round_s(warmup: Warmup) -> float:
    """The length of a round; of a record that does not say, its part of the time, which is more."""
    return warmup.round_s or warmup.seconds / len(warmup.rates_per_s)


def cold_starts(by_model: Mapping[str, Sequence[Visit]]) -> dict[str, Estimate]:
    """Each model's cold start in one scenario, over its visits, with the noise of all models pooled."""
    shares = {model: [share for visit in of_model if (share := cold_share(visit.record.warmup)) is not None]
              for model, of_model in by_model.items()}  # fmt: skip
    spread = pooled_spread(shares.values())
    warmups = [visit.record.warmup for of_model in by_model.values() for visit in of_model]
    resolution = max((_counting(one) for one in warmups if cold_share(one) is not None), default=0.0)
    estimates = {model: mean_estimate(values, spread, resolution) for model, values in shares.items()}
    return {model: estimate for model, estimate in estimates.items() if estimate is not None}


def _counting(warmup: Warmup | None) -> float:
    """What counting whole requests leaves open in a first round."""
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
        "note",
        f"as a share of the steady pace, the first clients got {', '.join(told)}",
        "a server that has just started is not yet what it will be; no other figure contains that, for warm-up comes before",
        "count with it where servers are started often",
    )


def _share(standing: Standing) -> str:
    assert standing.cold is not None
    low, high = (digits(end or 0.0, 2) for end in (standing.cold.low, standing.cold.high))
    return f"{digits(standing.cold.value, 2)} from {standing.model} ({low}–{high})"


# ---------------------------------------------------------------- first visits


@dataclass(frozen=True, slots=True)
class FirstBlock:
    """How the first block of a scenario differs from the others, and how likely chance alone makes it differ so much."""

    ratio: float  # of its rates to the others'
    blocks: int
    p: float


def first_block(rates_per_s: Blocks) -> FirstBlock | None:
    """Compare block 0 with the others, by models that all of these blocks visited; None with too few of either.

    The difference of the first block's mean logarithm from the others' mean is judged by how much the others differ among
    themselves (a t test for one value against a sample), and by no less than the noise of single visits makes them.
    """
    blocks, logs = _whole_table(rates_per_s)
    if not blocks:
        return None
    means = [statistics.fmean(of_model[block] for of_model in logs) for block in blocks]
    rest = means[1:]
    noise = max(statistics.stdev(rest), _single(logs, blocks, means) / math.sqrt(len(logs)))
    difference = means[0] - statistics.fmean(rest)
    if not noise:
        return FirstBlock(math.exp(difference), len(blocks), 0.0 if difference else 1.0)
    t = difference / (noise * math.sqrt(1 + 1 / len(rest)))
    return FirstBlock(math.exp(difference), len(blocks), 2 * float(stdtr(len(rest) - 1, -abs(t))))


def _whole_table(rates_per_s: Blocks) -> tuple[Sequence[int], Sequence[Mapping[int, float]]]:
    """The blocks from 0 on, and the logarithms in them of the models that all of them visited; empty with too few of either.

    Blocks that were added to a run hold only some of its models, and a failure leaves a gap. Of the tables without a gap that
    are made of the blocks with at least so many models, it is the largest: who was visited chooses, never what was measured.
    """
    logs = [{block: math.log(rate) for block, rate in of_model.items() if rate > 0} for of_model in rates_per_s.values()]
    visits = Counter(block for of_model in logs for block in of_model)
    tables: list[tuple[Sequence[int], Sequence[Mapping[int, float]]]] = []
    for fewest in sorted({visits[block] for block in visits if visits[block] <= visits[0]}):
        blocks = sorted(block for block in visits if visits[block] >= fewest)
        whole = [{block: of_model[block] for block in blocks} for of_model in logs if set(blocks) <= set(of_model)]
        if len(blocks) >= FEWEST_BLOCKS and len(whole) >= FEWEST_MODELS:
            tables.append((blocks, whole))
    return max(tables, key=lambda table: len(table[0]) * len(table[1]), default=((), ()))


def _single(logs: Sequence[Mapping[int, float]], blocks: Sequence[int], means: Sequence[float]) -> float:
    """The standard deviation of a single visit's logarithm, models and blocks taken out."""
    whole = statistics.fmean(means)
    squares = 0.0
    for of_model in logs:
        own = statistics.fmean(of_model.values())
        squares += sum((of_model[block] - own - mean + whole) ** 2 for block, mean in zip(blocks, means, strict=True))
    return math.sqrt(squares / ((len(logs) - 1) * (len(blocks) - 1)))


def first_visit_finding(by_scenario: Mapping[str, Blocks]) -> Finding | None:
    """The scenarios whose first block differs beyond chance (Holm-corrected), in one finding."""
    found = {name: made for name, blocks in by_scenario.items() if (made := first_block(blocks)) is not None}
    corrected = dict(zip(found, holm([made.p for made in found.values()]), strict=True))
    differ = [name for name, p in corrected.items() if p < FALSE_ALARM]
    if not differ:
        return None
    said = ", ".join(
        f"{percent(abs(found[name].ratio - 1))} {'slower' if found[name].ratio < 1 else 'faster'} in {name} "
        f"than the {found[name].blocks - 1} others"
        for name in differ
    )
    return Finding(
        "first visits",
        "mark",
        f"the first block was {said}",
        "the machine was not yet as it was later; ratios of models do not contain that, their rates do",
        "run again on a machine that has been busy for a minute, or with more visits",
    )


def peaks_by_block(by_model: Mapping[str, Sequence[Visit]]) -> Blocks:
    """Each model's best closed rate in each visit, of the weather that the first block saw: another weather is no beginning."""
    everybody = [visit for of_model in by_model.values() for visit in of_model]
    weather = prevailing_weather(visit for visit in everybody if visit.record.plan.block == 0 and visit.weather != UNSTEADY)
    return {
        model: {v.record.plan.block: rate for v in of_model if v.weather == weather and (rate := _peak_per_s(v))}
        for model, of_model in by_model.items()
    }


def _peak_per_s(visit: Visit) -> float:
    windows = [window.load for window in visit.record.windows if window.level.loop == "closed"]
    return max((load.completed / load.seconds for load in windows), default=0.0)
