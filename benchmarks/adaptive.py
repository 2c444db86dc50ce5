"""Whether to add a replicate, where intervals are still too wide. Pure: the same records give the same answer.

After the profile's replicates a run may go on until the ratio of every model to the best is known to the precision asked for,
or the budget of time is spent. **It never stops because a difference has become significant.** Who looks at the data again and
again and stops at the first p < 0.05 finds differences that are not there: in 14% of the cases with 5 looks, in 19% with 10,
surely in the end (Armitage, McPherson & Rowe, "Repeated Significance Tests on Accumulating Data", J. R. Statist. Soc. A 132,
1969, table 2). The width of an interval is a safe reason to stop, as under normal noise it says nothing about the means (Chow &
Robbins, Ann. Math. Statist. 36, 1965; Anscombe, Proc. Camb. Phil. Soc. 48, 1952).

What is added is a whole replicate of the scenarios whose intervals are too wide: all models, every level.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmarks.amounts import half_width, percent
from benchmarks.nouns import Planned
from benchmarks.summaries import RunSummary

PRECISION = 0.05  # where only a budget is given: ratios known to ±5%
BUDGET_S = 600.0  # where only a precision is given
MOST_REPLICATES = 40


@dataclass(frozen=True, slots=True)
class Addition:
    """What to add, and why."""

    planned: list[Planned]
    why: str


@dataclass(frozen=True, slots=True)
class Enough:
    """Nothing is to be added, and why."""

    why: str


def widest(summary: RunSummary) -> dict[str, float]:
    """The widest half-width of a ratio in each scenario, as a share; infinite where it is not known yet, 0 where nothing is
    compared. Models that failed or are invalid do not count, as more replicates do not mend them; the A/A arm counts where
    there is no other pair."""
    found = {}
    for scenario in summary.scenarios:
        ratios = [one.ratio for one in scenario.standings if one.ratio is not None and not one.invalid]
        if len(ratios) == 1 and scenario.aa is not None:
            ratios.append(scenario.aa)
        widths = [math.inf if (width := half_width(ratio)) is None else width for ratio in ratios]
        found[scenario.scenario] = max(widths, default=0.0)
    return found


def addition(
    summary: RunSummary,
    precision: float,
    left_s: float,
    costs_s: dict[str, float],
    planned: Sequence[Planned],
    given_up: Collection[str] = (),
) -> Addition | Enough:
    """The replicate to add, or why none is. `left_s` is what remains of the budget, `costs_s` how long one replicate of each
    scenario takes."""
    widths = widest(summary)
    wide = [name for name, width in widths.items() if width > precision and name not in given_up]
    if not wide:
        return Enough(f"every ratio is known to ±{percent(precision)}")
    most = max(wide, key=widths.__getitem__)
    state = f"the widest interval is {_width(widths[most])}, in {most}"
    numbers = {name: 1 + max((one.replicate for one in planned if one.scenario == name), default=-1) for name in wide}
    chosen = [name for name in sorted(wide, key=lambda name: -widths[name]) if numbers[name] < MOST_REPLICATES]
    while chosen and sum(costs_s[name] for name in chosen) > left_s:
        chosen.pop()
    if not chosen:
        return Enough(f"the budget is spent; {state}")
    return Addition([Planned(name, numbers[name]) for name in chosen], state)


def _width(share: float) -> str:
    return f"±{percent(share)}" if math.isfinite(share) else "not known yet"
