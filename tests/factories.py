"""Believable data without a server: visit records of an imagined machine, and the summary of a whole run of it.

The machine serves `hello` at its CPU's pace, `wait` at its slots' pace and `cpu` at 1 / 2 ms; every model has a capacity, a
number of slots and a spread from visit to visit. Everything is seeded: two calls give the same data.
"""

import datetime
import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from benchmarks import histogram
from benchmarks.analyse import summarise
from benchmarks.nouns import (
    SCHEMA,
    Crossing,
    EngineCost,
    Failure,
    Histogram,
    Ledger,
    LoadResult,
    Outside,
    RunFacts,
    RunOptions,
    Series,
    ServerCost,
    ServerFacts,
    VisitPlan,
    VisitRecord,
    Warmup,
    Weather,
    Window,
)
from benchmarks.questions import Level, Request, Scenario
from benchmarks.summaries import RunSummary

STARTED_AT = "2026-01-02T03:04:05+00:00"
CALM, STORM = Weather(60.0, 41.0), Weather(345.0, 41.5)


@dataclass(frozen=True)
class Model:
    """One imagined model: hello requests per second on a core, connections it can hold, spread between visits."""

    caption: str
    capacity_per_s: float
    slots: int
    cv: float = 0.015
    threads_at: bool = False  # a thread per connection


MODELS = {
    "asyncio_protocol": Model("asyncio, callbacks: the loop calls the protocol.", 88_000, 10_000),
    "asyncio_streams": Model("asyncio, streams: a task per connection awaits.", 55_000, 10_000, cv=0.03),
    "epoll_loop": Model("select.epoll by hand: one thread asks the kernel who is ready.", 98_000, 10_000),
    "gevent_greenlets": Model("A greenlet per connection: blocking style on a hidden loop.", 60_000, 10_000),
    "prefork": Model("A process per connection, forked beforehand, sharing the listener.", 78_000, 16, cv=0.02),
    "select_loop": Model("select.select by hand: the whole list at every turn.", 87_000, 1_000),
    "thread_per_connection": Model("A thread per connection: the kernel chooses who runs.", 75_000, 10_000, 0.03, True),
    "thread_pool": Model("A bounded pool of threads with a queue in front.", 74_500, 32, 0.03, True),
}
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1)
SCENARIOS = {
    "hello": Scenario(Request("/hello"), (1, 16, 64, 256), SHARES, (20_000.0,), question="What does a request cost?"),
    "wait": Scenario(
        Request("/wait/10"),
        (16, 64, 256),
        SHARES,
        (2_000.0,),
        wait_s=0.01,
        open_connections=1000,
        question="Who can hold many at once?",
    ),
    "cpu": Scenario(Request("/cpu/20"), (1, 16, 64), SHARES, (200.0,), question="Who keeps the core busy?"),
}
VISITS = {"hello": 5, "wait": 3, "cpu": 3}
FAILS = ("gevent_greenlets", "cpu")  # (model, scenario) whose every visit fails
FAILS_ONCE = ("thread_pool", "wait", 1)  # and a block
CHANGED_ONCE = ("asyncio_streams", "hello", 1)  # weather changed, made again
CHANGED_ALWAYS = ("select_loop", "wait", 2)  # weather changed, and no time to make it again
STRUCK = ("select_loop", "hello", "closed 256")  # the engine was the limit


def options(**changes: object) -> RunOptions:
    """The options of the imagined run."""
    return replace(
        RunOptions(
            name="imagined",
            profile="quick",
            models=tuple(MODELS),
            scenarios=tuple(SCENARIOS),
            visits=dict(VISITS),
            closed_s=0.4,
            open_s=0.45,
            connections=(),
            server_cpus=(0,),
            driver_cpus=(1,),
            seed=1,
            requeue_budget_s=30.0,
        ),
        **changes,  # type: ignore[arg-type]
    )


def run(**changes: object) -> RunFacts:
    """run.json of the imagined run; the changes are those of its options."""
    captions = {name: model.caption for name, model in MODELS.items()}
    captions |= {"hello": "The cheapest answer.", "wait": "10 ms of waiting.", "cpu": "2 ms of Python work."}
    return RunFacts(
        schema=SCHEMA,
        options=options(**changes),
        command="servebench run --profile quick",
        started_at=STARTED_AT,
        versions={"servebench": "0.1.0", "python": "3.12.3"},
        scenarios=SCENARIOS,
        captions=captions,
    )


def levels(scenario: str) -> list[Level]:
    """The levels of a scenario, in the order in which a visit takes them."""
    asked = SCENARIOS[scenario]
    return [
        *(Level("closed", n) for n in asked.closed),
        *(Level("open", asked.open_connections, share=share) for share in asked.open_shares),
        *(Level("open", asked.open_connections, rate_per_s=rate) for rate in asked.open_rates_per_s),
    ]


# ---------------------------------------------------------------- the imagined machine


def capacity_per_s(model: str, scenario: str) -> float:
    """What the model could serve with no end of connections."""
    if scenario == "cpu":
        return 480.0 * (1 + MODELS[model].capacity_per_s / 5e7)
    if scenario == "wait":
        return min(0.7 * MODELS[model].capacity_per_s, MODELS[model].slots / 0.0102)
    return MODELS[model].capacity_per_s


def closed_per_s(model: str, scenario: str, connections: int) -> float:
    """Its throughput with so many connections, each asking again at once."""
    most = capacity_per_s(model, scenario)
    alone_s = {"hello": 25e-6, "wait": 10.1e-3, "cpu": 0.1e-3}[scenario] + (0 if scenario == "wait" else 1 / most)
    served = min(connections, MODELS[model].slots)
    return min(served / (alone_s + (served - 1) / most / 20), most * (1 - 0.02 * math.log10(max(connections, 1))))


def peak_per_s(model: str, scenario: str) -> float:
    """The best of its closed levels."""
    return max(closed_per_s(model, scenario, n) for n in SCENARIOS[scenario].closed)


def offered_per_s(model: str, scenario: str, level: Level) -> float | None:
    """The rate of an open level, None for a closed one."""
    return level.share * peak_per_s(model, scenario) if level.share is not None else level.rate_per_s


def served_per_s(model: str, scenario: str, level: Level) -> float:
    """Goodput at a level."""
    offered = offered_per_s(model, scenario, level)
    if offered is None:
        return closed_per_s(model, scenario, level.connections)
    return min(offered, peak_per_s(model, scenario))


def overloaded(model: str, scenario: str, level: Level) -> bool:
    """Whether an open level offers more than the model can serve."""
    return (offered_per_s(model, scenario, level) or 0.0) > peak_per_s(model, scenario)


def median_ns(model: str, scenario: str, level: Level) -> float:
    """The median response time: connections over throughput in a closed loop, a queue's growth in an open one."""
    rate = served_per_s(model, scenario, level)
    if level.loop == "closed":
        return level.connections / rate * 1e9
    if overloaded(model, scenario, level):
        return 0.2e9
    busy = min(rate / capacity_per_s(model, scenario), 0.97)
    service_ns = {"hello": 1e9 / capacity_per_s(model, scenario) + 20e3, "wait": 10.15e6, "cpu": 2.1e6}[scenario]
    return service_ns * (1 + (0.2 if scenario == "wait" else 1.0) * busy / (1 - busy) / 2)


# ---------------------------------------------------------------- its visits


Whole = np.ndarray[tuple[int], np.dtype[np.int64]]
Values = tuple[Whole, Whole]  # times in ns, and how often each


def drawn(middle_ns: float, count: int, floor_ns: float = 0.0, sigma: float = 0.35) -> Values:
    """So many times around a median, log-normal above a floor, as exact quantiles rather than drawn: smooth and quick."""
    # Few requests one by one; of many, those of the tail one by one and the rest in bundles.
    ranks = sorted({*range(1, min(count, 100) + 1), *range(max(count - 100, 1), count + 1), *range(1, count, count // 400 + 1)})
    values = floor_ns + (middle_ns - floor_ns) * np.exp(sigma * ndtri((np.array(ranks) - 0.5) / max(count, 1)))
    return values.astype(np.int64), np.diff([0, *ranks])


def packed(values: Values) -> Histogram:
    """The histogram of such times."""
    if not len(values[0]):
        return Histogram()
    counts = np.zeros(histogram.BUCKETS, np.int64)
    np.add.at(counts, histogram.indices_of(values[0]), values[1])
    return histogram.pack(counts, int(values[0] @ values[1]), int(values[0].min()), int(values[0].max()))


def times(middle_ns: float, count: int, floor_ns: float = 0.0, sigma: float = 0.35) -> Histogram:
    """The histogram of so many times around a median."""
    return packed(drawn(middle_ns, count, floor_ns, sigma))


def timed(response: Values, is_open: bool, over: bool, floor_ns: float) -> tuple[Histogram, Histogram, Histogram]:
    """Response times with the service times and send lags they are made of: a closed loop sends at once, a full server late."""
    values, weights = response
    lag = (values - round(floor_ns)) * (8 if over else 1) // (10 if over else 14) if is_open else np.zeros_like(values)
    return packed(response), packed((values - lag, weights)), packed((lag, weights))


def load(model: str, scenario: str, level: Level, rng: np.random.Generator, pace: float = 1.0) -> LoadResult:
    """One window as the engine would see it on a machine that runs at `pace` times its usual speed."""
    facts, seconds = MODELS[model], 0.4 if level.loop == "closed" else 0.45
    offered, over = offered_per_s(model, scenario, level), overloaded(model, scenario, level)
    if offered is not None and not over:
        rate = offered * math.exp(rng.normal(0, 0.0005))
    else:
        rate = served_per_s(model, scenario, level) * pace * math.exp(rng.normal(0, facts.cv))
    connections = min(level.connections, facts.slots) if offered is not None else level.connections
    served = min(connections, facts.slots)
    completed = round(min(rate * seconds, served * seconds / 0.01 if scenario == "wait" else math.inf))
    intended = round(offered * seconds) if offered is not None else completed
    unfinished = max(intended - completed - round(0.06 * rate), 0) if over else 0  # the others in the drain
    middle = median_ns(model, scenario, level) / pace * math.exp(rng.normal(0, facts.cv))
    floor = 9.9e6 if scenario == "wait" else 0.0
    cpu_ns = min(completed * cpu_us(model, scenario) * 1e3 * math.exp(rng.normal(0, facts.cv / 2)), 0.995e9 * seconds)
    drawn_times = drawn(max(middle, 1.01 * floor), intended - unfinished, floor)
    response, service, send_lag = timed(drawn_times, offered is not None, over, floor)
    own = rng.multinomial(completed, [1 / served] * served).tolist()
    steps = math.ceil(seconds * 10 - 1e-9)
    whole_ns = round(connections * seconds * 1e9)
    return LoadResult(
        seconds=seconds,
        connections=connections,
        offered_per_s=offered,
        intended=intended,
        completed=completed,
        in_flight=connections if over or offered is None else 1,
        drained=intended - unfinished - completed,
        unfinished=unfinished,
        errors={"reset": 14} if (model, scenario, level.label) == ("thread_pool", "hello", "closed 256") else {},
        connections_opened=connections + (completed // 100 if model == "prefork" else 0),
        waited=intended * 9 // 10 if over else 0,
        unsent=unfinished,
        free_at_end=0 if over or offered is None else connections,
        fallbacks=0,
        busy_fraction=0.91 if (model, scenario, level.label) == STRUCK else min(rate * 6.3e-6, 0.8),
        response=response,
        service=service,
        send_lag=send_lag,
        own_lag=times(1_500, intended - unfinished) if offered is not None else Histogram(),
        connect=times(40_000, connections),
        censored=times(0.3e9, unfinished),
        series=Series(100_000_000, _by_step(completed, seconds), [0] * steps, [int(middle * rng.uniform(2, 5))] * steps),
        gaps=[(int(at * 1e8), int(rng.uniform(45e3, 280e3))) for at in range(4)],
        gaps_lost=0,
        per_connection=[*own, *[0] * (connections - served)],
        ledger=Ledger(whole_ns * 9 // 10, 0, whole_ns // 20, 0, whole_ns - whole_ns * 9 // 10 - whole_ns // 20),
        passed_over=[min(2 * served, completed) if count else completed for count in [*own, *[0] * (connections - served)]],
        crossing=Crossing(service.sum_ns, 0, 0, 0, 0),
        cost=EngineCost(int(completed * 2.3e3), int(completed * 4e3), 3, 5, 12, 180_000_000),
        server_cpu_ns=int(cpu_ns),
        server_user_ns=int(cpu_ns * rng.uniform(0.60, 0.64)),
        all_requests=round(completed * 1.2),
    )


def _by_step(completed: int, seconds: float) -> list[int]:
    """Completions of each 100 ms at an even pace; the last step may be short."""
    edges = [*np.arange(0, seconds - 1e-9, 0.1), seconds]
    return [round(completed * end / seconds) - round(completed * start / seconds) for start, end in itertools.pairwise(edges)]


def cpu_us(model: str, scenario: str) -> float:
    """CPU time of a request."""
    return 0.97e6 / capacity_per_s(model, "hello") + {"hello": 0.0, "wait": 1.5, "cpu": 2040.0}[scenario]


def server_cost(model: str, level: Level, seen: LoadResult) -> ServerCost:
    """The server's bill for a window."""
    facts = MODELS[model]
    held = min(level.connections, facts.slots)
    threads = 1 + (held if facts.threads_at else 0)
    processes = 17 if model == "prefork" else 1
    counted = seen.all_requests
    return ServerCost(
        cpu_user_ns=seen.server_user_ns,
        cpu_system_ns=seen.server_cpu_ns - seen.server_user_ns,
        voluntary_switches=int(counted * (0.9 if facts.threads_at else 0.02)),
        involuntary_switches=counted // 1000,
        minor_faults=counted // 20 if model.startswith("asyncio") else 3,
        counted_requests=counted,
        rss_bytes=30_000_000 * processes + threads * 90_000,
        uss_bytes=16_000_000 + 8_000_000 * (processes - 1) + threads * 60_000,
        threads=threads * processes,
        processes=processes,
        descriptors=8 + held,
    )


def window(model: str, scenario: str, level: Level, seed: int = 0, pace: float = 1.0) -> Window:
    """One level of one visit."""
    seen = load(model, scenario, level, np.random.default_rng([seed, *f"{model} {scenario} {level.label}".encode()]), pace)
    return Window(level, seen, server_cost(model, level, seen), delayed_acks=2)


def server_facts(model: str) -> ServerFacts:
    """What the model's server declared, and how it came and went."""
    keepalive = (100, 1.0) if model == "prefork" else (0, 15.0)
    return ServerFacts(4242, 40000, MODELS[model].slots, ["python", "-m", "servers", model], 0.2, 0.05, 0, *keepalive)


def record(model: str, scenario: str, block: int = 0, windows: list[Window] | None = None, **changes: object) -> VisitRecord:
    """One visit in calm weather: every level of the scenario. The changes are those of the record."""
    if windows is None:
        windows = [window(model, scenario, level, block) for level in levels(scenario)]
    made = VisitRecord(
        schema=SCHEMA,
        plan=VisitPlan(model, scenario, block, block),
        started_at=_time(block * 60.0),
        seconds=4.5,
        server=server_facts(model),
        digest="cafe",
        warmup=Warmup(0.6, [9e4, 9.1e4], True),
        before=CALM,
        after=CALM,
        weather_changed=False,
        outside=Outside(4.0, 2, 5_010_000_000, 5_000_000_000),
        windows=windows,
        probes=[],
        failure=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def failed_record(model: str, scenario: str, block: int = 0) -> VisitRecord:
    """A visit whose server never came up."""
    failure = Failure("launch", "no ready line within 10 s", "Traceback: imagined\n")
    return record(model, scenario, block, server=None, digest="", warmup=None, after=None, windows=[], failure=failure)


def slow_record(model: str, scenario: str, block: int) -> VisitRecord:
    """A visit of the other weather: everything 15% slower."""
    windows = [window(model, scenario, level, block, pace=0.85) for level in levels(scenario)]
    return record(model, scenario, block, before=STORM, after=STORM, windows=windows)


def changed_record(model: str, scenario: str, block: int) -> VisitRecord:
    """A visit on whose way the weather changed."""
    windows = [window(model, scenario, level, block, pace=0.93) for level in levels(scenario)]
    return record(model, scenario, block, after=STORM, weather_changed=True, windows=windows)


def _time(after_s: float) -> str:
    start = datetime.datetime.fromisoformat(STARTED_AT)
    return (start + datetime.timedelta(seconds=after_s)).isoformat()


@functools.cache
def records() -> tuple[VisitRecord, ...]:
    """All visits of a run, in order: the last block of hello in other weather, three visits disturbed, some failed."""
    made: list[VisitRecord] = []
    for scenario, visits in VISITS.items():
        for block in range(visits):
            for model in MODELS:
                made += _attempts(model, scenario, block)
    return tuple(replace(one, started_at=_time(5.0 * at)) for at, one in enumerate(made))


def _attempts(model: str, scenario: str, block: int) -> list[VisitRecord]:
    if (model, scenario) == FAILS or (model, scenario, block) == FAILS_ONCE:
        return [failed_record(model, scenario, block)]
    if (model, scenario, block) == CHANGED_ONCE:
        again = record(model, scenario, block)
        return [changed_record(model, scenario, block), replace(again, plan=replace(again.plan, attempt=1))]
    if (model, scenario, block) == CHANGED_ALWAYS:
        return [changed_record(model, scenario, block)]
    if scenario == "hello" and block == VISITS["hello"] - 1:
        return [slow_record(model, scenario, block)]
    return [record(model, scenario, block)]


@functools.cache
def summary() -> RunSummary:
    """A whole run: 8 models × 3 scenarios, with ties, a failed model, marks, overload, strikes and scarce percentiles."""
    return summarise(run(), records(), {"cpu_model": "Imagined CPU at 3 GHz"})
