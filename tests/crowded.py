"""A large run without a server: seventeen models and variants in two dozen scenarios, most of them with measures of their own.

Its scenarios are those of `factories` under many names: some rank by a response time at a common rate, of one label among
several; some hold idle connections, some are overloaded, one recovers. The imagined machine serves them all as it serves hello.
"""

import functools
from dataclasses import replace

import factories

from benchmarks.analyse import summarise
from benchmarks.nouns import ClassResult, LoadResult, Measurement, ReplicateRecord, RunFacts, Trial
from benchmarks.questions import Background, Level, Measure, Metric, Prediction, Request
from benchmarks.summaries import RunSummary

KINDS = {  # of model names: which imagined model serves
    "asyncio_protocol": "asyncio_protocol",
    "asyncio_streams": "asyncio_streams",
    "asyncio_threads": "asyncio_streams",
    "asyncio_uvloop": "asyncio_protocol",
    "epoll_loop": "epoll_loop",
    "epoll_loop~python3.13": "epoll_loop",
    "gevent_greenlets": "gevent_greenlets",
    "gevent_prefork": "gevent_greenlets",
    "poll_loop": "select_loop",
    "prefork": "prefork",
    "prefork_epoll": "prefork",
    "prefork_threads": "thread_pool",
    "prefork~32 workers": "prefork",
    "select_loop": "select_loop",
    "thread_per_connection": "thread_per_connection",
    "thread_pool": "thread_pool",
    "trio_nursery": "asyncio_streams",
}
PLAIN = (
    "hello",
    "churn",
    "idle",
    "cpu",
    "cpu-20ms",
    "cpu-fine",
    "wait",
    "wait-100ms",
    "wait-lognormal",
    "download-1MiB",
    "rest",
)
MIXED = (
    "mixed",
    "mixed-blocking",
    "slow_clients",
    "upload",
    "proxy",
    "websocket",
    "templates",
    "json",
    "static-small",
    "chunked",
)
RATE = 20_000.0
IDLE = Background("idle", 100)
COMMON, CROWDED = Level("open", 64, rate_per_s=RATE), Level("open", 64, rate_per_s=RATE, background=IDLE)
OVER = Level("open", 64, share=1.5)
FALLING = Level("open", 64, share=1.5, then_share=0.3)
REPLICATES = 3

SMALL = Measure("p90 of hello among work", Metric("p90", COMMON.label, "hello"), "less")
HELD = Measure("memory of an idle connection", Metric("held memory", CROWDED.label), "less", "idle memory")
BESIDE = Measure("p50 beside idle connections", Metric("p50", CROWDED.label), "less", "p50 beside idle")
RECOVERY = Measure("time to recover", Metric("recovery", FALLING.label), "less")
PEAK = Measure("goodput", Metric("rate"))
FIRST = Prediction(
    "readiness loops", ("epoll_loop", "select_loop", "absent"), "they answer at once", "DESIGN", SMALL.metric, most=1e6
)
SECOND = Prediction("processes", ("prefork",), "more than epoll", "a guess", PEAK.metric, least=1.5, of="epoll_loop")
SCENARIOS = {
    **{name: replace(factories.SCENARIOS["hello"], question=f"How well does it do {name}?") for name in PLAIN},
    **{
        name: replace(
            factories.SCENARIOS["hello"],
            mix=(Request("/hello", label="hello"), Request("/cpu/20", label="work")),
            measures=(SMALL, PEAK),
            predictions=(FIRST, SECOND),
        )
        for name in MIXED
    },
    "crowd": replace(factories.SCENARIOS["hello"], background=(IDLE,), measures=(BESIDE, HELD)),
    "overload": replace(
        factories.SCENARIOS["hello"],
        measures=(Measure("goodput at 150%", Metric("rate", OVER.label, by=Metric("rate"))),),
    ),
    "recovery": replace(
        factories.SCENARIOS["hello"], recovery=(1.5, 0.3), measures=(RECOVERY,)
    ),
}  # fmt: skip


def levels(scenario: str) -> list[Level]:
    """The levels of a scenario: few, so that the run is made quickly."""
    plain = [Level("closed", 16), Level("closed", 64), Level("open", 64, share=0.5), COMMON]
    return plain + {"crowd": [CROWDED], "overload": [OVER], "recovery": [FALLING]}.get(scenario, [])


def measurement(model: str, scenario: str, level: Level, replicate: int) -> Measurement:
    """One level of one trial, with classes, background connections and slow steps where the scenario has them."""
    kind = KINDS[model]
    plain = replace(level, background=None, then_share=None)
    made = factories.alone(factories.measurement(f"{model} {scenario}", "hello", plain, replicate, kind=kind))
    load = made.load
    if SCENARIOS[scenario].mix:
        load = replace(load, classes=classes(load))
    server = replace(made.server, socket_bytes=1_000_000, collections=(20, 2, 0), pause_ns=2_000_000, longest_pause_ns=900_000)
    if level.background:
        held = min(factories.MODELS[kind].limit, IDLE.count)
        load = replace(load, background={"open": held, "refused": IDLE.count - held, "lost": 0, "served": held})
        each = 3_000 * (1 + sum(model.encode()) % 5) + 50 * replicate
        server = replace(server, socket_bytes=1_000_000 + 9_000 * held, uss_bytes=(server.uss_bytes or 0) + each * held)
    if level.then_share:
        load = recovering(load, sum(model.encode()) % 7)
        made = replace(made, rounds=replace(made.rounds, seconds=[load.seconds]), long_s=load.seconds)
    made = replace(made, level=level, load=load, server=server, interleaved=not level.beyond)
    return replace(made, long_completed=sum(load.series.completed))


def classes(load: LoadResult) -> dict[str, ClassResult]:
    """Two labels: half of the requests each, the histograms of all."""
    half = load.completed // 2
    first = ClassResult(load.intended // 2, half, 0, load.response, load.service, load.censored)
    second = replace(first, intended=load.intended - load.intended // 2, completed=load.completed - half)
    return {"hello": first, "work": second}


def recovering(load: LoadResult, steps: int) -> LoadResult:
    """Two seconds in steps of 100 ms, the first `steps` after the middle slow."""
    each = [load.completed // 20] * 19
    completed = [*each, load.completed - sum(each)]
    slow = [0] * 5 + [count // 2 for count in completed[5 : 10 + steps]] + [0] * (10 - steps)
    series = replace(load.series, completed=completed, errors=[0] * 20, worst_ns=[1_000_000] * 20, slow=slow)
    return replace(load, seconds=2.0, series=series)


def trial(model: str, scenario: str, replicate: int) -> Trial:
    """One server in one scenario of one replicate; of one model that of one scenario failed."""
    if (model, scenario) == ("trio_nursery", "rest"):
        return factories.failed_trial(model)
    measurements = [measurement(model, scenario, level, replicate) for level in levels(scenario)]
    return replace(factories.trial(KINDS[model], "hello", replicate, measurements), model=model)


def record(scenario: str, replicate: int = 0, models: tuple[str, ...] = tuple(KINDS)) -> ReplicateRecord:
    """One scenario of one replicate."""
    return factories.record(scenario, replicate, [trial(model, scenario, replicate) for model in models])


def run(scenarios: tuple[str, ...] = tuple(SCENARIOS), models: tuple[str, ...] = tuple(KINDS), **changes: object) -> RunFacts:
    """run.json of that run."""
    made = factories.run(models=models, scenarios=scenarios, replicates=REPLICATES, **changes)
    captions = {model: factories.MODELS[kind].caption for model, kind in KINDS.items()} | {
        name: f"{name}." for name in SCENARIOS
    }
    return replace(made, scenarios={name: SCENARIOS[name] for name in scenarios}, captions=captions)


@functools.cache
def records(scenarios: tuple[str, ...], models: tuple[str, ...]) -> tuple[ReplicateRecord, ...]:
    """All records."""
    return tuple(record(scenario, replicate, models) for replicate in range(REPLICATES) for scenario in scenarios)


@functools.cache
def summary(scenarios: tuple[str, ...] = tuple(SCENARIOS), models: tuple[str, ...] = tuple(KINDS)) -> RunSummary:
    """The whole run, or part of it."""
    return summarise(run(scenarios, models), records(scenarios, models), {"cpu_model": "Imagined CPU at 3 GHz"})


FEW = ("epoll_loop", "prefork", "prefork~32 workers", "thread_pool", "select_loop")
