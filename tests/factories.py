"""Believable data without a server: the records of an imagined machine, and the summary of a whole run of it.

The machine serves `hello` at its CPU's pace, `wait` at the pace of the connections that a model serves at once and `cpu` at
1 / 2 ms; every model has a capacity, a concurrency limit and a spread from replicate to replicate. All models are measured in
rounds: in each the machine has a pace of its own, the same for all. Everything is seeded: two calls give the same data.
"""

import datetime
import functools
import itertools
import math
from collections.abc import Sequence
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
    MachineState,
    Measurement,
    Outside,
    ReplicateRecord,
    Rounds,
    RunFacts,
    RunOptions,
    Series,
    ServerCost,
    ServerFacts,
    Trial,
    Warmup,
    measured,
    served_by,
)
from benchmarks.questions import Level, Metric, Request, Scenario
from benchmarks.summaries import (
    CellSummary,
    Estimate,
    MeasureSummary,
    PairCounts,
    Quantile,
    Result,
    RunSummary,
    ScenarioSummary,
    Standing,
)

STARTED_AT = "2026-01-02T03:04:05+00:00"
CALM, STORM = MachineState(60.0, 41.0), MachineState(345.0, 41.5)


@dataclass(frozen=True)
class Model:
    """One imagined model: hello requests per second on a core, connections it can serve at once, spread between replicates."""

    caption: str
    capacity_per_s: float
    limit: int
    cv: float = 0.007
    threads_at: bool = False  # a thread per connection


MODELS = {
    "asyncio_protocol": Model("asyncio, callbacks: the loop calls the protocol.", 88_000, 10_000),
    "asyncio_streams": Model("asyncio, streams: a task per connection awaits.", 55_000, 10_000, cv=0.015),
    "epoll_loop": Model("select.epoll by hand: one thread asks the kernel who is ready.", 98_000, 10_000),
    "gevent_greenlets": Model("A greenlet per connection: blocking style on a hidden loop.", 60_000, 10_000),
    "prefork": Model("A process per connection, forked beforehand, sharing the listener.", 78_000, 16, cv=0.01),
    "select_loop": Model("select.select by hand: the whole list at every turn.", 87_500, 1_000),
    "thread_per_connection": Model("A thread per connection: the kernel chooses who runs.", 75_000, 10_000, 0.02, True),
    "thread_pool": Model("A bounded pool of threads with a queue in front.", 74_500, 32, 0.02, True),
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
REPLICATES = 4
ROUNDS = 10  # of short windows, and one of a long window after them; a level that is not interleaved has a window of its own
WINDOW_S, LONG_S = 0.05, 0.5
LEVEL_S = ROUNDS * WINDOW_S + LONG_S
ROUND_CV, WINDOW_CV = 0.08, 0.02  # of the machine's pace from round to round, and of a model's from window to window
FAILS = ("gevent_greenlets", "cpu")  # (model, scenario) whose every trial fails
FAILS_ONCE = ("thread_pool", "wait", 1)  # and a replicate
SLOW = ("hello", REPLICATES - 1)  # the replicate of a scenario in which the machine was slower, for all alike
INVALID = ("select_loop", "hello", "closed 256")  # the engine was the limit


def options(**changes: object) -> RunOptions:
    """The options of the imagined run."""
    return replace(
        RunOptions(
            name="imagined",
            profile="quick",
            models=tuple(MODELS),
            scenarios=tuple(SCENARIOS),
            replicates=REPLICATES,
            level_s=LEVEL_S,
            long_s=LONG_S,
            connections=(),
            server_cpus=(0,),
            driver_cpus=(1,),
            seed=1,
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
    """The levels of a scenario, in the order in which a replicate takes them."""
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
        return min(0.7 * MODELS[model].capacity_per_s, MODELS[model].limit / 0.0102)
    return MODELS[model].capacity_per_s


def closed_per_s(model: str, scenario: str, connections: int) -> float:
    """Its throughput with so many connections, each asking again at once."""
    most = capacity_per_s(model, scenario)
    alone_s = {"hello": 25e-6, "wait": 10.1e-3, "cpu": 0.1e-3}[scenario] + (0 if scenario == "wait" else 1 / most)
    served = min(connections, MODELS[model].limit)
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


# ---------------------------------------------------------------- its measurements


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


# Of the short windows and the long one of a level: where each began after the level did, and how long it was.
Plan = list[tuple[float, float]]


def plan(level: Level) -> Plan:
    """The windows of a level: in rounds, or one alone for a level that leaves work undone."""
    if level.beyond:
        return [(0.0, LEVEL_S)]
    seconds = [WINDOW_S] * ROUNDS + [LONG_S]
    return [(0.7 * at, window_s) for at, window_s in enumerate(seconds)]


def load(model: str, scenario: str, level: Level, rng: np.random.Generator, pace: float = 1.0) -> LoadResult:
    """All windows of a level merged, as the engine would see them on a machine that runs at `pace` times its usual speed."""
    facts, seconds = MODELS[model], LEVEL_S
    long_s = max(window_s for _, window_s in plan(level))
    offered, over = offered_per_s(model, scenario, level), overloaded(model, scenario, level)
    if offered is not None and not over:
        rate = offered * math.exp(rng.normal(0, 0.0005))
    else:
        rate = served_per_s(model, scenario, level) * pace * math.exp(rng.normal(0, facts.cv))
    connections = min(level.connections, facts.limit) if offered is not None else level.connections
    served = min(connections, facts.limit)
    completed = round(min(rate * seconds, served * seconds / 0.01 if scenario == "wait" else math.inf))
    intended = round(offered * seconds) if offered is not None else completed
    unfinished = max(intended - completed - round(0.06 * rate), 0) if over else 0  # the others in the drain
    middle = median_ns(model, scenario, level) / pace * math.exp(rng.normal(0, facts.cv))
    floor = 9.9e6 if scenario == "wait" else 0.0
    cpu_ns = min(completed * cpu_us(model, scenario) * 1e3 * math.exp(rng.normal(0, facts.cv / 2)), 0.995e9 * seconds)
    drawn_times = drawn(max(middle, 1.01 * floor), intended - unfinished, floor)
    response, service, send_lag = timed(drawn_times, offered is not None, over, floor)
    in_long = round(completed * long_s / seconds)
    own = rng.multinomial(in_long, [1 / served] * served).tolist()
    steps = math.ceil(long_s * 10 - 1e-9)
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
        busy_fraction=0.91 if (model, scenario, level.label) == INVALID else min(rate * 6.3e-6, 0.8),
        response=response,
        service=service,
        send_lag=send_lag,
        own_lag=times(1_500, intended - unfinished) if offered is not None else Histogram(),
        connect=times(40_000, connections),
        censored=times(0.3e9, unfinished),
        series=Series(100_000_000, _by_step(in_long, long_s), [0] * steps, [int(middle * rng.uniform(2, 5))] * steps),
        gaps=[(int(at * 1e8), int(rng.uniform(45e3, 280e3))) for at in range(4)],
        gaps_lost=0,
        per_connection=[*own, *[0] * (connections - served)],
        ledger=Ledger(whole_ns * 9 // 10, 0, whole_ns // 20, 0, whole_ns - whole_ns * 9 // 10 - whole_ns // 20),
        passed_over=[min(2 * served, in_long) if count else in_long for count in [*own, *[0] * (connections - served)]],
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
    """The server's bill for a level. Other servers are alive, so nobody knows what memory is its own alone."""
    facts = MODELS[model]
    held = min(level.connections, facts.limit)
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
        uss_bytes=None,
        threads=threads * processes,
        processes=processes,
        descriptors=8 + held,
    )


def alone(made: Measurement) -> Measurement:
    """The same of a server that no other was alive beside, whose own memory is known."""
    server = made.server
    uss_bytes = 16_000_000 + 8_000_000 * (server.processes - 1) + server.threads // server.processes * 60_000
    return replace(made, server=replace(server, uss_bytes=uss_bytes), interleaved=False)


def rounds(level: Level, seen: LoadResult, replicate: int, rng: np.random.Generator, spread: float = 1.0) -> Rounds:
    """The windows of a level one by one. What a round brings is the same for all models; its sums are the level's."""
    windows = plan(level)
    common = np.random.default_rng([replicate, *level.label.encode()]).normal(0, ROUND_CV * spread, len(windows))
    own = rng.normal(0, WINDOW_CV * spread, len(windows))
    held_up = seen.offered_per_s is None  # a closed loop has the machine's pace, an open one the pace of its arrivals
    weights = np.array([seconds for _, seconds in windows]) * (np.exp(common + own) if held_up else np.exp(0.05 * own))
    completed = _shared(seen.completed, weights)
    answered = _shared(histogram.total(seen.service), weights)
    occupied = _shared(round(seen.connections * seen.seconds * 0.95e9), np.array([seconds for _, seconds in windows]))
    return Rounds(
        number=list(range(len(windows))),
        at_s=[at_s for at_s, _ in windows],
        seconds=[seconds for _, seconds in windows],
        completed=completed,
        answered_ns=_shared(seen.service.sum_ns, np.array(answered) / (np.exp(common + own) if held_up else 1.0)),
        answered=answered,
        occupied_ns=occupied,
        cpu_ns=_shared(seen.server_cpu_ns, np.array(completed) / np.exp(common + 0.5 * own)),
        neighbours_ns=[round(0.001e9 * seconds) for _, seconds in windows],
    )


def _shared(total: int, weights: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    """Whole parts of a total by these weights, which add up to it."""
    reached = np.round(np.cumsum(weights) / max(float(np.sum(weights)), 1e-300) * total).astype(np.int64)
    return [int(part) for part in np.diff([0, *reached])]


def measurement(model: str, scenario: str, level: Level, seed: int = 0, pace: float = 1.0, kind: str = "") -> Measurement:
    """One level of one trial; `seed` is its replicate. `kind` is the imagined model behind another name.

    An A/A arm's and a variant's is the model before the "~".
    """
    kind = kind or served_by(model)
    rng = np.random.default_rng([seed, *f"{model} {scenario} {level.label}".encode()])
    seen = load(kind, scenario, level, rng, pace)
    windows = plan(level)
    return Measurement(
        level=level,
        load=seen,
        server=server_cost(kind, level, seen),
        rounds=rounds(level, seen, seed, rng),
        windows=len(windows),
        long_s=max(seconds for _, seconds in windows),
        long_completed=sum(seen.series.completed),
        delayed_acks=2,
        interleaved=not level.beyond,
    )


def server_facts(model: str) -> ServerFacts:
    """What the model's server declared, and how it came and went."""
    kind = served_by(model)
    keepalive = (100, 1.0) if kind == "prefork" else (0, 15.0)
    return ServerFacts(4242, 40000, MODELS[kind].limit, ["python", "-m", "servers", kind], 0.2, 0.05, 0, *keepalive)


def trial(
    model: str,
    scenario: str,
    replicate: int = 0,
    measurements: list[Measurement] | None = None,
    pace: float = 1.0,
    **changes: object,
) -> Trial:
    """One server in one scenario of one replicate: every level. The changes are those of the trial."""
    if measurements is None:
        measurements = [measurement(model, scenario, level, replicate, pace) for level in levels(scenario)]
    made = Trial(
        model=model,
        server=server_facts(model),
        digest="cafe",
        warmup=Warmup(0.6, [9e4, 9.1e4], True),
        peak_per_s=peak_per_s(served_by(model), scenario),
        measurements=measurements,
        probes=[],
        failure=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def failed_trial(model: str, **changes: object) -> Trial:
    """A trial whose server never came up."""
    failure = Failure("launch", "no ready line within 10 s", "Traceback: imagined\n")
    made = Trial(model, None, "", None, 0.0, [], [], failure)
    return replace(made, **changes)  # type: ignore[arg-type]


def record(scenario: str, replicate: int = 0, trials: list[Trial] | None = None, **changes: object) -> ReplicateRecord:
    """One scenario of one replicate on a calm machine: the trials of all models, or these. The changes are its own."""
    if trials is None:
        trials = [trial(model, scenario, replicate) for model in MODELS]
    made = ReplicateRecord(
        schema=SCHEMA,
        scenario=scenario,
        replicate=replicate,
        started_at=time(60.0 * replicate),
        seconds=45.0,
        before=CALM,
        after=CALM,
        outside=Outside(40.0, 2, 50_010_000_000, 50_000_000_000),
        trials=trials,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def time(after_s: float) -> str:
    """So long after the run began, as records have it."""
    start = datetime.datetime.fromisoformat(STARTED_AT)
    return (start + datetime.timedelta(seconds=after_s)).isoformat()


def records_of(facts: RunFacts) -> tuple[ReplicateRecord, ...]:
    """All records of a run of the imagined models and scenarios, in the order in which they were made."""
    made: list[ReplicateRecord] = []
    for replicate in range(facts.options.replicates):
        for scenario in facts.options.scenarios:
            slow = (scenario, replicate) == SLOW
            trials = [
                _attempt(model, scenario, replicate, 0.85 if slow else 1.0) for model in measured(facts.options, scenario)
            ]
            state = STORM if slow else CALM
            made.append(record(scenario, replicate, trials, before=state, after=state, started_at=time(50.0 * len(made))))
    return tuple(made)


def _attempt(model: str, scenario: str, replicate: int, pace: float) -> Trial:
    if (model, scenario) == FAILS or (model, scenario, replicate) == FAILS_ONCE:
        return failed_trial(model)
    return trial(model, scenario, replicate, pace=pace)


@functools.cache
def records(aa: str = "") -> tuple[ReplicateRecord, ...]:
    """All records of the imagined run: the last replicate of hello on a slower machine, two kinds of failure."""
    return records_of(run(aa=aa))


@functools.cache
def summary(aa: str = "") -> RunSummary:
    """A whole run: 8 models × 3 scenarios, with failures, warnings, overload, an invalid cell and scarce percentiles."""
    return summarise(run(aa=aa), records(aa), {"cpu_model": "Imagined CPU at 3 GHz"})


# ---------------------------------------------------------------- summaries by hand


def estimate(value: float, width: float = 0.02, replicates: int = REPLICATES) -> Estimate:
    """A value with an interval of so much to either side."""
    return Estimate(value, value / (1 + width), value * (1 + width), [value] * replicates)


def quantile(q: float, value_ns: float, width: float = 0.05) -> Quantile:
    """A percentile that is known."""
    return Quantile(q, "ok", value_ns, value_ns / (1 + width), value_ns * (1 + width))


def cell(
    model: str, scenario: str = "hello", level: Level | None = None, rate_per_s: float = 50_000.0, **changes: object
) -> CellSummary:
    """One cell of a healthy model. The changes are those of the cell."""
    level = level or Level("closed", 64)
    percentiles = [quantile(q, ns) for q, ns in ((0.5, 0.6e6), (0.9, 0.9e6), (0.99, 1.4e6), (0.999, 2.0e6))]
    made = CellSummary(
        model=model,
        scenario=scenario,
        level=level,
        rate_per_s=estimate(rate_per_s),
        offered_per_s=level.rate_per_s,
        errors={},
        error_share=0.0,
        response=percentiles,
        service=percentiles,
        send_lag=[] if level.loop == "closed" else percentiles,
        mean_response_ns=0.65e6,
        hiccup=[quantile(one.q, 0.0) for one in percentiles],
        response_curve=[(one.q, one.value_ns or 0.0) for one in percentiles],
        cpu_user_us=estimate(0.6e6 / rate_per_s),
        cpu_system_us=estimate(0.4e6 / rate_per_s),
        switches_per_request=0.02,
        faults_per_request=0.0,
        server_busy=1.0,
        engine_busy=0.5,
        engine_cpu_us=6.3,
        rss_bytes=30_000_000,
        uss_bytes=None,
        threads=1,
        processes=1,
        descriptors=72,
        fairness=1.0 if level.loop == "closed" else None,
        findings=[],
        rank=None,
        ranked_by="",
        ratio=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def standing(model: str, rank: int | None = 1, rate_per_s: float = 50_000.0, ratio: float = 1.0, **changes: object) -> Standing:
    """A healthy model's standing by its rate. The changes are those of the standing."""
    value, to_best = estimate(rate_per_s), estimate(ratio) if rank else None
    made = Standing(
        model=model,
        rank=rank,
        ratio=to_best,
        peak_per_s=value,
        peak_level="closed 64",
        p99=quantile(0.99, 1.4e6),
        cpu_us=estimate(1e6 / rate_per_s),
        warnings=[],
        failed="",
        invalid="",
        results=[Result(value, rank, to_best)],
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def scenario_summary(scenario: str, standings: list[Standing], **changes: object) -> ScenarioSummary:
    """A scenario of these standings, every pair of which differs. The changes are those of the summary."""
    pairs = len(standings) * (len(standings) - 1) // 2
    made = ScenarioSummary(
        scenario=scenario,
        caption="The cheapest answer.",
        question="What does a request cost?",
        standings=standings,
        pairs=PairCounts(pairs, pairs, 0, 0),
        verdict=f"{standings[0].model} serves most." if standings else "",
        measures=[MeasureSummary("requests a second", "", "more", "rate", Metric("rate"), 0.03)],
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def run_summary(scenarios: list[ScenarioSummary], cells: Sequence[CellSummary] = (), **changes: object) -> RunSummary:
    """A run of these scenarios and cells. The changes are those of the summary."""
    made = RunSummary(
        schema=SCHEMA,
        name="imagined",
        conditions="Imagined CPU at 3 GHz",
        comparable=True,
        captions={name: model.caption for name, model in MODELS.items()},
        scenarios=scenarios,
        cells=list(cells),
        timelines=[],
        trials_made=len(scenarios) * REPLICATES * max((len(one.standings) for one in scenarios), default=0),
        trials_failed=0,
        replicates=REPLICATES,
        machine=[(0.0, CALM)],
        findings=[],
    )
    return replace(made, **changes)  # type: ignore[arg-type]
