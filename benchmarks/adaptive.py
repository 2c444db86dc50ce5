"""Which block to add next, where intervals are still too wide: adaptive runs. Pure: the same records give the same block.

After the profile's blocks a run may go on until every interval is within the precision asked for, or the budget of time is
spent, or a scenario has had its most blocks. **It never stops, and never turns elsewhere, because a difference has become
significant.** Who looks at the data again and again and stops at the first p < 0.05 finds differences that are not there: in
14% of the cases with 5 looks, in 19% with 10, surely in the end (Armitage, McPherson & Rowe, "Repeated Significance Tests on
Accumulating Data", J. R. Statist. Soc. A 132, 1969, table 2). The width of an interval is a safe reason to stop, as under
normal noise it says nothing about the means (Chow & Robbins, Ann. Math. Statist. 36, 1965; Anscombe, Proc. Camb. Phil. Soc. 48,
1952).

The time goes first where ranks are undecided. Those ties are looked at **once**, at the end of the profile's blocks: were they
judged anew after each block, a false difference would end its own inspection, which is stopping when significant by another
name. And a tie only weighs its intervals as if they were wider; it does not shut the others out.
"""

import math
import random
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import plan
from benchmarks.amounts import half_width, percent
from benchmarks.analyse import summarise
from benchmarks.nouns import RunFacts, RunOptions, VisitPlan, VisitRecord, is_twin, served_by, twin_of
from benchmarks.summaries import Estimate, RunSummary, Standing

PRECISION = 0.05  # where only a budget is given: intervals of ±5%
BUDGET_S = 600.0  # where only a precision is given
MOST_BLOCKS = 30  # of a scenario: at a CV of 8.5%, among the worst seen, 14 visits give ±5%
TIED = math.sqrt(2)  # weight of an interval in a tie: widths go with 1/sqrt(visits), so ties get up to twice the visits
NEARLY_WORST = 0.8  # intervals at least this wide, by the widest of their scenario, share its next block

Cell = tuple[str, str]  # model and scenario
Needs = Mapping[str, float]  # of each model: its widest interval by the precision; what is above 1 is too wide


@dataclass(frozen=True, slots=True)
class Addition:
    """The next block, its visits in the order they are to be made, and why."""

    visits: list[VisitPlan]
    why: str


@dataclass(frozen=True, slots=True)
class Enough:
    """No block is to be added, and why."""

    why: str


def next_block(
    run: RunFacts,
    records: Sequence[VisitRecord],
    planned: Sequence[VisitPlan],
    spent_s: float,
    tied: Mapping[str, Sequence[Sequence[str]]],
    left_out: Collection[Cell] = (),
) -> Addition | Enough:
    """The block to add to those `planned` so far, or why none is.

    `spent_s` is the time that added blocks have taken, `tied` the first ties; `left_out` are models that failed too often in a
    scenario.
    """
    precision = run.options.precision
    if precision is None:
        return Enough("no precision was asked for")
    needs = widths(summarise(run, [_closed(record) for record in records], {}), precision, run.options.twin, left_out)
    wide = {scenario: most for scenario, of_model in needs.items() if (most := max(of_model.values(), default=0.0)) > 1}
    if not wide:
        return Enough(f"every interval is within ±{percent(precision)}")
    widest = max(wide, key=wide.__getitem__)
    state = f"the widest interval is {_width(wide[widest] * precision)}, in {widest}"
    numbers = {scenario: 1 + max((v.block for v in planned if v.scenario == scenario), default=-1) for scenario in wide}
    possible = [scenario for scenario in wide if numbers[scenario] < MOST_BLOCKS]
    if not possible:
        return Enough(f"{state}; a scenario has {MOST_BLOCKS} blocks at most")
    weighed = {scenario: weigh(needs[scenario], tied.get(scenario, [])) for scenario in possible}
    for scenario in sorted(possible, key=lambda name: -max(weighed[name].values())):
        models = choose(weighed[scenario], tied.get(scenario, []))
        if spent_s + _block_s(scenario, len(models), records) <= run.options.budget_s:
            return Addition(_visits(run.options, scenario, models, numbers[scenario], planned), state)
    return Enough(f"the budget is spent; {state}")


def _closed(record: VisitRecord) -> VisitRecord:
    """The part of a record that is looked at: nothing else is worth the time to analyse between two blocks."""
    return replace(record, windows=[window for window in record.windows if window.level.loop == "closed"], probes=[])


def _width(share: float) -> str:
    return f"±{percent(share)}" if math.isfinite(share) else "not known yet"


def _block_s(scenario: str, models: int, records: Sequence[VisitRecord]) -> float:
    """How long a block takes, about, judged by the visits made."""
    seconds = [record.seconds for record in records if record.plan.scenario == scenario and record.failure is None]
    return plan.BLOCK_S + models * (statistics.fmean(seconds) if seconds else 0.0)


# ---------------------------------------------------------------- what is too wide


def widths(summary: RunSummary, precision: float, twin: str, left_out: Collection[Cell] = ()) -> dict[str, dict[str, float]]:
    """For each scenario and model its widest interval by the precision.

    Counted are its rates in the closed levels, its peak's ratio to the best, and the ratio of an A/A pair; not struck cells, as
    more visits do not mend them.
    """
    needs: dict[str, dict[str, float]] = {scenario.scenario: {} for scenario in summary.scenarios}

    def note(model: str, scenario: str, estimate: Estimate) -> None:
        if (model, scenario) not in left_out:
            width = half_width(estimate)
            needs[scenario][model] = max(needs[scenario].get(model, 0.0), math.inf if width is None else width / precision)

    for cell in summary.cells:
        if cell.level.loop == "closed" and cell.rate_per_s is not None and not cell.struck:
            note(cell.model, cell.scenario, cell.rate_per_s)
    for scenario in summary.scenarios:
        several = len(scenario.standings) > 1
        for standing in scenario.standings:
            if several and standing.relative is not None and not standing.struck:
                note(standing.model, scenario.scenario, standing.relative)
        if scenario.twin is not None:
            note(twin, scenario.scenario, scenario.twin)
        if twin in needs[scenario.scenario] and (twin_of(twin), scenario.scenario) not in left_out:
            needs[scenario.scenario][twin_of(twin)] = needs[scenario.scenario][twin]  # of use only beside its model
    return needs


def first_ties(run: RunFacts, records: Iterable[VisitRecord]) -> dict[str, list[list[str]]]:
    """In each scenario the chains of neighbours that the profile's own blocks cannot tell apart. Later visits do not count."""
    first = [_closed(one) for one in records if one.plan.block < run.options.visits.get(one.plan.scenario, 0)]
    return {found.scenario: ties(found.standings) for found in summarise(run, first, {}).scenarios}


def ties(standings: Sequence[Standing]) -> list[list[str]]:
    """Chains of neighbours of whom each is not beyond doubt worse than all above it; those of one alone left out.

    A rank is one more than the number of those better beyond doubt: whoever has a rank below its place is tied with someone
    above. Where no noise is known yet nobody has a rank, and all are tied.
    """
    chains: list[list[str]] = []
    able = [standing for standing in standings if standing.peak_per_s is not None and not standing.struck]
    for place, standing in enumerate(able):
        if place and (standing.rank is None or standing.rank <= place):
            chains[-1].append(standing.model)
        else:
            chains.append([standing.model])
    return [chain for chain in chains if len(chain) > 1]


# ---------------------------------------------------------------- who is in the next block


def weigh(needs: Needs, tied: Sequence[Sequence[str]]) -> dict[str, float]:
    """The needs, those of models in a tie counted as wider than they are."""
    inside = {model for chain in tied for model in chain}
    return {model: need * (TIED if model in inside else 1.0) for model, need in needs.items()}


def choose(weighed: Needs, tied: Sequence[Sequence[str]]) -> list[str]:
    """The models of a block: those in nearly the greatest need, with all of their ties and twins, and never one alone."""
    by_need = sorted(weighed, key=lambda model: -weighed[model])
    bound = NEARLY_WORST * weighed[by_need[0]]
    wanted = {model for model in by_need if weighed[model] >= bound}
    wanted |= set(by_need[:2])
    wanted |= {model for chain in tied if wanted & set(chain) for model in chain if model in weighed}
    return [model for model in by_need if model in wanted or _related(model, wanted)]


def _related(model: str, wanted: Collection[str]) -> bool:
    return (is_twin(model) and served_by(model) in wanted) or twin_of(model) in wanted


def _visits(
    options: RunOptions, scenario: str, models: Sequence[str], block: int, planned: Sequence[VisitPlan]
) -> list[VisitPlan]:
    """The block's visits, in an order that the seed decides, whatever was made before."""
    order = sorted(models)
    random.Random(f"{options.seed} {scenario} {block}").shuffle(order)
    return [VisitPlan(model, scenario, block, _free_number(model, scenario, planned)) for model in order]


def _free_number(model: str, scenario: str, planned: Sequence[VisitPlan]) -> int:
    return 1 + max((visit.number for visit in planned if (visit.model, visit.scenario) == (model, scenario)), default=-1)
