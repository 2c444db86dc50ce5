"""From options to visits: which levels a scenario is taken through, and who is visited when.

A block holds every model once that can serve its scenario, and the twin of one if the run has one, in an order shuffled by the
seed. The blocks of different scenarios are interleaved, so that each scenario's visits are spread over the whole run and over
its weathers.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks import objective
from benchmarks.nouns import RunOptions, VisitPlan, served_by, visited
from benchmarks.questions import Beside, Level, Scenario


@dataclass(frozen=True, slots=True)
class Profile:
    """How much time a run takes. A brief one visits the scenarios that are marked so, at fewer levels."""

    visits: int
    extra: bool  # whether scenarios get their extra visits
    closed_s: float
    open_s: float
    requeue_budget_s: float
    brief: bool = False


PROFILES: Mapping[str, Profile] = {
    "smoke": Profile(visits=1, extra=False, closed_s=0.15, open_s=0.2, requeue_budget_s=0.0, brief=True),
    "quick": Profile(visits=2, extra=False, closed_s=0.2, open_s=0.2, requeue_budget_s=8.0, brief=True),
    "standard": Profile(visits=3, extra=True, closed_s=0.2, open_s=0.25, requeue_budget_s=300.0),
    "full": Profile(visits=10, extra=True, closed_s=1.0, open_s=1.5, requeue_budget_s=1200.0),
}

RAMP_S = 0.04  # of each level, uncounted,
RAMP_PER_CONNECTION_S = 0.00015  # and longer for many connections: a thread for each takes so long to start
DRAIN_S = 0.15  # after each level, at most
WARM_ROUND_S = 0.04
WARM_LIMIT_S = 0.6
STEADY_WITHIN = 0.08
FIXED_S = 0.4  # of a visit: launch, two probes, verification, warm-up, stop; measured
CHANGE_S = 0.035  # between levels: connections, two looks until the server is at rest, counters, memory
SETTLE_S = 0.01  # more where connections were closed: until what they had queued has been dealt with
BLOCK_S = 0.9  # of a block: a fresh engine
FILLING_S = 1.0  # more beside slow clients: until the kernel's buffers between them and the server are full
WAITS = 30  # the fewest that follow one another in a closed window
BESIDE_S = 0.0003  # to open a connection beside the load, have it served once, and close it
EXAMINE_S = 0.8  # of a model, once: it is held to the rules before anything is measured


def levels(scenario: Scenario, options: RunOptions) -> list[Level]:
    """The levels of a visit in the order they are taken: closed ones ascending, then open ones, those that overload last.

    What overload leaves behind (a queue, memory, connections that were given up) would be the next level's to pay. With an
    objective there are no open levels: the search for the rate that meets it takes their place.
    """
    closed = _closed(scenario, options)
    if options.objective:
        return closed
    chosen = scenario.brief_shares if options.brief and scenario.brief_shares else scenario.open_shares
    opened = [Level("open", scenario.open_connections, share=share) for share in sorted(chosen)]
    bursts = [Level("open", scenario.open_connections, share=share, arrivals="onoff") for share in scenario.burst_shares]
    rates = [Level("open", scenario.open_connections, rate_per_s=rate) for rate in sorted(scenario.open_rates_per_s)]
    besides = [replace(level, beside=beside) for beside in scenario.beside for level in rates]
    shared = sorted([*opened, *bursts], key=lambda level: level.share or 0.0)
    within = [level for level in shared if (level.share or 0.0) < 1.0]
    falling = []
    if scenario.recovery is not None:
        high, low = scenario.recovery
        falling.append(Level("open", scenario.open_connections, share=high, then_share=low))
    return [*closed, *within, *rates, *besides, *(level for level in shared if level not in within), *falling]


def _closed(scenario: Scenario, options: RunOptions) -> list[Level]:
    """The closed levels: those asked for, else the scenario's; with churn each twice, in rounds each several times."""
    usual = scenario.brief_closed if options.brief and scenario.brief_closed else scenario.closed
    kept = [Level("closed", n) for n in sorted(set(options.connections or usual))]
    if scenario.churn:
        kept = [level for one in kept for level in (one, replace(one, keepalive=False))]
    if scenario.rounds:
        kept = [replace(level, round=number + 1) for number in range(scenario.rounds) for level in kept]
    return kept


def window_s(scenario: Scenario, level: Level, options: RunOptions) -> float:
    """The length of a level's window; of a closed one at least WAITS waits, or its edges would be much of it."""
    if level.loop == "closed":
        return max(scenario.longer * options.closed_s, WAITS * scenario.wait_s, scenario.least_s)
    return max(scenario.longer * options.open_s, scenario.least_s)


def ramp_s(scenario: Scenario, new_connections: int, beside: Beside | None = None) -> float:
    """The time before a level's window, in which its connections come to their pace; those of the level before are there."""
    filling_s = FILLING_S if beside is not None and beside.kind != "idle" else 0.0
    return RAMP_S + scenario.wait_s + RAMP_PER_CONNECTION_S * new_connections + filling_s


def visits(options: RunOptions) -> list[VisitPlan]:
    """Every visit of the run, block after block. The same options give the same plan."""
    shuffle = random.Random(options.seed)
    blocks: list[tuple[float, str, int]] = []
    for scenario in options.scenarios:
        count = options.visits[scenario]
        blocks += [((number + 0.5) / count, scenario, number) for number in range(count)]
    plan = []
    for _, scenario, number in sorted(blocks, key=lambda block: block[0]):
        models = list(visited(options, scenario))
        shuffle.shuffle(models)
        plan += [VisitPlan(model, scenario, number, number) for model in models]
    return plan


def repeat(visit: VisitPlan, taken: int) -> VisitPlan:
    """The visit again, in the same block. `taken` is how many records its model and scenario have already."""
    return replace(visit, number=taken, attempt=visit.attempt + 1)


def visit_s(scenario: Scenario, options: RunOptions) -> float:
    """How long a visit takes, about."""
    chosen = levels(scenario, options)
    closed = [level for level in chosen if level.loop == "closed"]
    opened = [level for level in chosen if level.loop == "open"]
    spent = sum(ramp_s(scenario, level.connections) + CHANGE_S + SETTLE_S for level in closed)
    spent += sum(ramp_s(scenario, 0, level.beside) + CHANGE_S for level in opened)
    spent += sum(window_s(scenario, level, options) for level in chosen)
    # Overload is drained in vain, and then the connections are closed and opened anew, as they are for the first open level.
    overloads = sum((level.share or 0.0) >= 1.0 for level in opened)
    fresh = RAMP_PER_CONNECTION_S * scenario.open_connections
    spent += overloads * (DRAIN_S + SETTLE_S) + (1 + max(overloads - 1, 0)) * fresh * bool(opened)
    spent += sum(BESIDE_S * level.beside.count for level in opened if level.beside)
    return FIXED_S + spent + (_search_s(scenario, options) if options.objective else 0.0)


def _search_s(scenario: Scenario, options: RunOptions) -> float:
    """How long the search for a rate takes, about, if the model's is near the lowest that all models are offered."""
    wanted = objective.parse(options.objective)
    rate = min(scenario.open_rates_per_s, default=objective.PROBE_RATE_PER_S)
    probe = objective.probe_s(wanted, rate, options.open_s) + ramp_s(scenario, 0) + CHANGE_S
    overloads = objective.PROBES_USUAL / 3 * (DRAIN_S + SETTLE_S + RAMP_PER_CONNECTION_S * scenario.open_connections)
    return min(objective.PROBES_USUAL * probe + overloads, objective.SEARCH_LIMIT_S)


def run_s(options: RunOptions, scenarios: Mapping[str, Scenario]) -> float:
    """How long the run takes, about, requeued visits apart."""
    return EXAMINE_S * len({served_by(name) for name in options.models}) + sum(
        options.visits[name] * (len(visited(options, name)) * visit_s(scenario, options) + BLOCK_S)
        for name, scenario in scenarios.items()
    )
