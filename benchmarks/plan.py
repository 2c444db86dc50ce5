"""From options to what is measured: replicates of scenarios, the levels of each, and the rounds and windows of a level.

A level's time in each replicate is a number of the profile; how it is cut into windows follows from what its requests take.
Short windows pair the models closely, so they are as short as an edge of them does not matter: a closed window holds 30 waits,
and work many times over. A level that asks for as much as can be served or more is measured in one long window of each
replicate, after all others, since what it leaves undone would be its neighbours' to bear.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import objective
from benchmarks.nouns import Planned, RunOptions, measured, served_by
from benchmarks.questions import Level, Metric, Scenario


@dataclass(frozen=True, slots=True)
class Profile:
    """How much time a run takes. A quick one has the scenarios that are marked so, at fewer levels."""

    replicates: int
    level_s: float
    long_s: float
    quick: bool = False


PROFILES: Mapping[str, Profile] = {
    "smoke": Profile(replicates=2, level_s=0.2, long_s=0.0, quick=True),
    "quick": Profile(replicates=4, level_s=0.3, long_s=0.4, quick=True),
    "standard": Profile(replicates=4, level_s=0.4, long_s=0.5),
    "full": Profile(replicates=10, level_s=2.0, long_s=2.0),
}

WINDOW_S = 0.05  # the shortest
WAITS = 30  # that follow one another in a closed window,
WAITS_LIMIT_S = 1.0  # which is no longer than that for them
WORKS = 20  # of the longest request's lengths in a window
APART_S = 2.0  # the window of a level that is not measured in rounds, at least
FEWEST_ROUNDS, SHORT_S = (
    2,
    0.8,
)  # of windows shorter than this where models are ranked in pairs; else one round is enough
OTHERS = 0.15  # of the time of the level that ranks, for each of the others
PEAK_S = 0.2  # in the closed levels of a scenario that asks for shares of their best rate
RAMP_S = 0.01  # before each window, uncounted,
RAMPS = 3.5  # of its length in an open window, whose queue takes so long to build
RAMP_LIMIT_S = 1.0  # and longer for a queue to build; a level that needs more is not measured in rounds
RAMP_PER_PROCESS_S = 0.004  # that was just forked for a connection: it copies the pages that its first requests write to
BUILDING = 3.0  # times S / (1 - sqrt(rho))^2, the relaxation time of a queue (M/D/1; Cohen, "The Single Server Queue", III.7.3)
USUAL_LOAD = 0.5  # of a server whose load nobody knows
OWN_LOAD = 0.05  # of a server that also does as much work as is known
FILLING_S = 1.0  # with slow clients: until the kernel's buffers between them and the server are full
DRAIN_S = 0.3  # after each window, at most
WARM_LOAD_S = 0.04
WARM_LIMIT_S = 0.3
WARM_FEWEST = 3  # loads
STEADY_WITHIN = 0.08

START_S = 0.22  # of a server: until it is ready; what follows was measured on two cores
STOP_S = 0.1
VERIFY_S = 0.02
OVERHEAD_S = 0.006  # of a window
LEVEL_S = 0.08  # of a level, for each model: connections, rest, counters
WARM_CONNECTION_S = 0.0005  # of each connection of a warm-up: opened, answered once, closed by both
OPENED_S = 0.00012  # to open a connection and to close it
BACKGROUND_S = 0.0004  # to open a background connection, have it served once, and close it
EXAMINE_S = 0.8  # of a model, once: it is held to the rules before anything is measured
ALONE_S = 0.2  # of a model that is measured alone: it stops before the next one starts
SCENARIO_S = 0.3  # of a scenario in each replicate: two probes of the machine, the record


def levels(scenario: Scenario, options: RunOptions) -> list[Level]:
    """The levels of a trial in the order they are measured: closed ones ascending, then open ones, those beyond the peak last.

    With an objective there are no open levels: the search for the rate that meets it takes their place.
    """
    closed = _closed(scenario, options)
    if options.objective:
        return closed
    quick = options.quick and scenario.quick
    chosen = scenario.quick_shares if quick else scenario.open_shares
    common = scenario.quick_rates_per_s if quick else scenario.open_rates_per_s
    shared = [Level("open", scenario.open_connections, share=share) for share in sorted(chosen)]
    rates = [Level("open", scenario.open_connections, rate_per_s=rate) for rate in sorted(common)]
    crowds = [Level("open", scenario.open_connections, rate_per_s=rate) for rate in scenario.burst_rates_per_s]
    bursts = [replace(level, arrivals="onoff") for level in crowds]
    if scenario.churn:
        rates = [level for one in rates for level in (one, replace(one, keepalive=False))]
    loaded = [replace(level, background=background) for background in scenario.background for level in rates]
    falling = []
    if scenario.recovery is not None:
        high, low = scenario.recovery
        falling.append(Level("open", scenario.open_connections, share=high, then_share=low))
    opened = [*shared, *rates, *loaded, *bursts, *falling]
    return [*closed, *(one for one in opened if not one.beyond), *(one for one in opened if one.beyond)]


def _closed(scenario: Scenario, options: RunOptions) -> list[Level]:
    """The closed levels: those asked for, else the scenario's; with churn each twice, in cohorts each several times."""
    usual = scenario.quick_closed if options.quick and scenario.quick else scenario.closed
    kept = [Level("closed", n) for n in sorted(set(options.connections or usual))]
    if scenario.churn:
        kept = [level for one in kept for level in (one, replace(one, keepalive=False))]
    if scenario.cohorts:
        kept = [replace(level, cohort=number + 1) for number in range(scenario.cohorts) for level in kept]
    return kept


@dataclass(frozen=True, slots=True)
class Pace:
    """How a level is measured: so many rounds of windows of a length, each after a ramp; `apart`: one window, not in rounds.

    `long_s` is the length of the first window in the first replicate; `filling_s` is added to the ramp after connections were
    opened.
    """

    rounds: int
    window_s: float
    ramp_s: float
    apart: bool = False
    long_s: float = 0.0
    filling_s: float = 0.0


def pace(scenario: Scenario, level: Level, options: RunOptions, load: float = USUAL_LOAD) -> Pace:
    """How a level is measured. `load` is the server's utilisation at an open level, as far as it is known."""
    ranked = _is_ranked(scenario, level)
    whole_s = options.level_s * scenario.longer * (1.0 if ranked else OTHERS)
    if scenario.cohorts:  # a cohort comes once
        return Pace(1, scenario.window_s, 0.0, apart=True)
    filling_s = FILLING_S if level.background is not None and level.background.kind != "idle" else 0.0
    ramp_s = _ramp_s(scenario, level, load)
    if level.beyond or ramp_s > RAMP_LIMIT_S:
        return Pace(1, max(APART_S, whole_s, scenario.window_s), min(ramp_s, APART_S), apart=True)
    window_s = max(_window_s(scenario, level), RAMPS * ramp_s if level.loop == "open" and not scenario.window_s else 0.0)
    fewest = FEWEST_ROUNDS if ranked and window_s < SHORT_S and not scenario.alone else 1
    if level.loop == "closed" and (scenario.open_shares or options.objective):
        fewest = max(fewest, math.ceil(PEAK_S / window_s))  # what shares are of must be known
    rounds = max(round(whole_s / window_s), fewest)
    return Pace(rounds, window_s, ramp_s, False, max(window_s, options.long_s if ranked else 0.0), filling_s)


def _is_ranked(scenario: Scenario, level: Level) -> bool:
    """Whether the scenario ranks its models by this level; without measures it is by any closed one."""
    if not scenario.measures:
        return level.loop == "closed"
    metric: Metric | None = scenario.measures[0].metric
    while metric is not None:
        if metric.level == level.label or (not metric.level and level.loop == "closed"):
            return True
        metric = metric.by
    return False


def _window_s(scenario: Scenario, level: Level) -> float:
    works_s = WORKS * max(request.work_s for request in scenario.asked)
    waits_s = min(WAITS * max(scenario.waits_s), WAITS_LIMIT_S)
    least_s = WINDOW_S if level.loop == "closed" else 4 * WINDOW_S
    return scenario.window_s or max(least_s, waits_s, works_s)


def _ramp_s(scenario: Scenario, level: Level, load: float) -> float:
    if level.loop == "closed":
        return RAMP_S + scenario.longest_s
    if level.beyond:
        return RAMP_S
    work_s = max(request.work_s for request in scenario.asked)
    room = (1 - math.sqrt(min(max(load, 0.0), 0.99))) ** 2
    return RAMP_S + max(scenario.waits_s) + BUILDING * work_s / room


def load_of(scenario: Scenario, level: Level, peak_per_s: float) -> float:
    """A server's utilisation at an open level: by its own peak, or by how long its requests compute; else USUAL_LOAD."""
    if level.share is not None:
        return level.share
    rate_per_s = level.rate_per_s or 0.0
    if peak_per_s:
        return min(rate_per_s / peak_per_s, 0.9)
    weights = sum(request.weight for request in scenario.asked)
    work_s = sum(request.weight * request.work_s for request in scenario.asked) / weights
    return min(rate_per_s * work_s + OWN_LOAD, 0.9) if work_s and rate_per_s else USUAL_LOAD


def is_alone(scenario: Scenario, options: RunOptions) -> str:
    """Why the scenario's models are measured one at a time, no other server alive; empty where they are measured together."""
    if scenario.alone:
        return scenario.alone
    if options.database and keeps_items(scenario):
        return "all models share one table and one server's connections"
    return ""


def keeps_items(scenario: Scenario) -> bool:
    """Whether it asks for what a server keeps in a database."""
    return any(asked.path.startswith("/items") for asked in (scenario.request, *scenario.mix, *scenario.prepare))


def planned(options: RunOptions, replicates: Sequence[int] | None = None) -> list[Planned]:
    """Everything that is to be measured, replicate after replicate."""
    numbers = range(options.replicates) if replicates is None else replicates
    return [Planned(scenario, number) for number in numbers for scenario in options.scenarios]


# ---------------------------------------------------------------- how long it takes


def scenario_s(name: str, scenario: Scenario, options: RunOptions, replicate: int = 1) -> float:
    """How long a scenario takes in one replicate, about, the start of its servers included where they are its own."""
    count = len(measured(options, name))
    alone = bool(is_alone(scenario, options))
    own = alone or bool(scenario.settings or scenario.environment)
    loads = 0 if scenario.cohorts else WARM_FEWEST if own else 1  # and as many once for those that share servers
    warm_s = loads * (max(WARM_LOAD_S, 4 * scenario.wait_s) + WARM_CONNECTION_S * _most_connections(scenario, options) + 0.02)
    each_s = VERIFY_S + warm_s + sum(level_s(scenario, level, options, replicate) for level in levels(scenario, options))
    each_s += (START_S + STOP_S) * own * (1 + bool(scenario.cohorts)) + (ALONE_S if alone else 0.0)
    if options.objective:
        each_s += _search_s(scenario, options)
    return SCENARIO_S + count * each_s


def _most_connections(scenario: Scenario, options: RunOptions) -> int:
    return max((level.connections for level in levels(scenario, options)), default=1)


def level_s(scenario: Scenario, level: Level, options: RunOptions, replicate: int = 1) -> float:
    """How long a level takes for one model, about; the first replicate has a long window in it."""
    paced = pace(scenario, level, options, load_of(scenario, level, 0.0))
    longer_s = max(paced.long_s - paced.window_s, 0.0) if replicate == 0 else 0.0
    longer_s += paced.filling_s
    spent = paced.rounds * (paced.window_s + paced.ramp_s + OVERHEAD_S) + longer_s + LEVEL_S
    spent += OPENED_S * level.connections + (DRAIN_S if paced.apart and not scenario.cohorts else 0.0)
    return spent + (BACKGROUND_S * level.background.count if level.background else 0.0)


def replicate_s(options: RunOptions, scenarios: Mapping[str, Scenario], replicate: int = 1) -> float:
    """How long one replicate takes, about."""
    together = any(not _own_servers(scenario, options) for scenario in scenarios.values())
    started_s = len(measured(options)) * (START_S + STOP_S + WARM_FEWEST * WARM_LOAD_S) if together else 0.0
    return started_s + sum(scenario_s(name, scenario, options, replicate) for name, scenario in scenarios.items())


def _own_servers(scenario: Scenario, options: RunOptions) -> bool:
    return bool(scenario.settings or scenario.environment or is_alone(scenario, options))


def run_s(options: RunOptions, scenarios: Mapping[str, Scenario]) -> float:
    """How long the run takes, about, added replicates apart."""
    examined_s = EXAMINE_S * len({served_by(name) for name in options.models})
    return examined_s + sum(replicate_s(options, scenarios, number) for number in range(options.replicates))


def _search_s(scenario: Scenario, options: RunOptions) -> float:
    """How long the search for a rate takes, about, if the model's is near the lowest that all models are offered."""
    wanted = objective.parse(options.objective)
    rate = min(scenario.open_rates_per_s, default=objective.PROBE_RATE_PER_S)
    probe_s = objective.probe_s(wanted, rate, APART_S / 4) + _ramp_s(scenario, Level("open", 1), USUAL_LOAD) + LEVEL_S
    return min(objective.PROBES_USUAL * probe_s, objective.SEARCH_LIMIT_S)
