"""From a workload to what is measured: a scenario, pools of a size that serves it, and options of a run that fit a budget.

The objective is about the whole of the connections, so all of them are open at each model, and requests come on whichever has
been silent for the longest time. Pools are measured as they come and, where that is too small, with as many threads or workers
as requests are in service at once: enough for the requests, though not for connections that hold a thread while silent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks import plan
from benchmarks.advise.workload import Workload, told
from benchmarks.nouns import RunOptions, Variant, variant_of
from benchmarks.questions import Level, Measure, Metric, Request, Scenario

SCENARIO = "workload"  # its name in the run
WINDOW_S, WINDOW_MOST_S, WINDOW_MOST_SHARE = 0.2, 1.0, 1 / 120  # the last: of the budget
WAITS, WORKS, REQUESTS = 6, 20, 10  # in a window, at least
FEW_CONNECTIONS = 128  # so many threads or workers are worth a try, one for each connection
SATURATING = 2.0  # times the requests in service at the highest rate: what the search for it begins with
OWN_CPU_S = 5e-5  # of a model for a request, about: the least
FEWEST_REPLICATES = 2
REPLICATES = ((400.0, 5), (200.0, 3), (0.0, FEWEST_REPLICATES))  # from this budget on, so many
SPARE_DESCRIPTORS, DESCRIPTORS = 500, 1.13  # of the load engine, and for a connection
LEVEL_MOST_S = 20.0
SPENT = 0.93  # of the budget, by the estimate
TRIES = 24


@dataclass(frozen=True, slots=True)
class Pool:
    """What a model said of itself when it was started: how many connections it serves at once, and its numbers."""

    limit: int
    given: Mapping[str, int]

    @property
    def is_bound(self) -> bool:
        """Whether each connection holds one of its threads or workers while it is open."""
        return bool(self.given) and self.limit == math.prod(self.given.values())


def path(workload: Workload) -> str:
    """The route of the application that does what a request of the workload does."""
    mean = "mean_" if workload.exponential else ""
    asked = {"wait_us": round(workload.wait_s * 1e6), "cpu_us": round(workload.cpu_s * 1e6)}
    return "/work?" + "&".join(f"{mean}{name}={number}" for name, number in asked.items() if number)


def scenario(workload: Workload, budget_s: float) -> Scenario:
    """The workload as a scenario. Models are ranked by CPU of a request at the rate; without one they are not."""
    made = Scenario(
        request=Request(path(workload)),
        closed=(),
        open_connections=workload.connections,
        all_open=True,
        wait_s=workload.wait_s,
        question=told(workload),
        window_s=window_s(workload, budget_s),
    )
    if workload.rate_per_s is None:
        return replace(made, closed=(saturating(workload),))
    label = level(workload).label
    measures = (
        Measure("CPU of a request", Metric("cpu", label), "less", short="CPU"),
        Measure("p90", Metric("p90", label), "less", short="p90"),
    )
    return replace(made, open_rates_per_s=(workload.rate_per_s,), measures=measures)


def level(workload: Workload) -> Level:
    """The level at which it is judged."""
    return Level("open", workload.connections, rate_per_s=workload.rate_per_s)


def saturating(workload: Workload) -> int:
    """Connections of a closed loop that keep the server's cores busy."""
    each_s = workload.cpu_s + OWN_CPU_S
    return min(workload.connections, math.ceil(16 + SATURATING * workload.cores * (workload.wait_s + each_s) / each_s))


def window_s(workload: Workload, budget_s: float) -> float:
    """The length of a window: some waits, work and requests, and as long as its queue takes to build, if the budget allows."""
    requests_s = REQUESTS / (workload.rate_per_s or math.inf)
    wanted_s = max(WAITS * workload.wait_s, WORKS * workload.cpu_s, requests_s, building_s(workload.cpu_s, workload.load))
    return min(max(WINDOW_S, wanted_s), max(WINDOW_MOST_S, WINDOW_MOST_SHARE * budget_s))


def building_s(cpu_s: float, load: float) -> float:
    """How long a queue takes to come to its usual length at this utilisation; see `plan.BUILDING`."""
    return plan.BUILDING * cpu_s / (1 - math.sqrt(min(load, 0.99))) ** 2


# ---------------------------------------------------------------- pools


def sized(workload: Workload, pools: Mapping[str, Pool]) -> dict[str, Variant]:
    """Pools that are too small as they come, with numbers that serve the workload, by the variant's name."""
    found: dict[str, Variant] = {}
    for model, pool in pools.items():
        if not pool.is_bound or pool.limit >= workload.connections:
            continue
        sizes = [workload.pool_size] if pool.limit < workload.pool_size < workload.connections else []
        sizes += [workload.connections] if workload.connections <= FEW_CONNECTIONS else []
        for size in sizes:
            option, number = holding(pool.given, size)
            found[variant_of(model, f"{number} {option}")] = Variant(settings=(f"--{option}", str(number)))
    return found


def holding(given: Mapping[str, int], size: int) -> tuple[str, int]:
    """The option, and its number, with which a pool serves `size` connections at once; its other numbers stay."""
    option = "threads" if "threads" in given else next(iter(given))
    others = math.prod(number for name, number in given.items() if name != option)
    return option, math.ceil(size / others)


# ---------------------------------------------------------------- a run that fits


def fitted(options: RunOptions, asked: Mapping[str, Scenario], budget_s: float, descriptors: int) -> RunOptions:
    """The options with as many replicates and as long levels as fit the budget, by the plan's own estimate.

    `descriptors` is how many the load engine may have: where they are too few for all models at once there are groups.
    """
    fewest = 1 if options.objective else FEWEST_REPLICATES  # a search has a range of its own
    low_s = 2 * max(one.window_s for one in asked.values())
    high_s = max(LEVEL_MOST_S, low_s)

    def takes_s(replicates: int, level_s: float) -> float:
        return plan.run_s(_with_anchors(replace(options, replicates=replicates, level_s=level_s), asked, descriptors), asked)

    most = next(number for least_s, number in REPLICATES if budget_s >= least_s)
    fits = (number for number in range(most, fewest, -1) if takes_s(number, low_s) <= SPENT * budget_s)
    replicates = next(fits, fewest)
    for _ in range(TRIES):
        middle_s = (low_s + high_s) / 2
        if takes_s(replicates, middle_s) <= SPENT * budget_s:
            low_s = middle_s
        else:
            high_s = middle_s
    return replace(options, replicates=replicates, level_s=low_s)


def _with_anchors(options: RunOptions, asked: Mapping[str, Scenario], descriptors: int) -> RunOptions:
    """The options with a name for each further time that a group's anchor is measured; see `benchmarks.rounds`."""
    connections = max(one.open_connections for one in asked.values())
    size = max(int((descriptors - SPARE_DESCRIPTORS) // (DESCRIPTORS * connections)), 2)
    models = options.models
    again = 0 if len(models) <= size else math.ceil((len(models) - 1) / (size - 1)) - 1
    return replace(options, models=(*models, *(variant_of(models[0], f"anchor {number}") for number in range(again))))
