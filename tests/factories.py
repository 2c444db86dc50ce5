"""Believable data without a server: visit records of an imagined machine, and the summary of a whole run of it.

The machine serves `hello` at its CPU's pace, `wait` at its slots' pace and `cpu` at 1 / 2 ms; every model has a capacity, a
number of slots and a spread from visit to visit. Everything is seeded: two calls give the same data.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.nouns import (
    SCHEMA,
    CellSummary,
    Estimate,
    Finding,
    Level,
    Quantile,
    Request,
    RunFacts,
    RunOptions,
    RunSummary,
    Scenario,
    ScenarioSummary,
    Standing,
    Timeline,
    TimelinePoint,
    Weather,
)

QUANTILES = (0.5, 0.9, 0.99, 0.999)
Z = (0.0, 1.2816, 2.3263, 3.0902)  # of the normal distribution, for log-normal response times
SERVER_CORES = 1


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
SCENARIOS = {
    "hello": Scenario(Request("/hello"), (1, 16, 64, 256), (0.5, 0.8), (20_000.0,), question="What does a request cost?"),
    "wait": Scenario(
        Request("/wait/10"), (16, 64, 256), (0.5, 0.8), (2_000.0,), wait_s=0.01, question="Who can hold many at once?"
    ),
    "cpu": Scenario(Request("/cpu/20"), (1, 16, 64), (0.5, 0.8), (200.0,), question="Who keeps the core busy?"),
}
VISITS = {"hello": 5, "wait": 3, "cpu": 3}
FAILS = ("gevent_greenlets", "cpu")  # (model, scenario) whose every visit fails
FAILURE = "launch: no ready line within 10 s"


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
        started_at="2026-01-02T03:04:05+00:00",
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


# ---------------------------------------------------------------- the summary of a whole run


def estimate(value: float, cv: float, visits: int, rng: np.random.Generator) -> Estimate:
    """A value seen in so many visits, with a half-width of about 2 standard errors."""
    seen = [float(v) for v in value * np.exp(rng.normal(0, cv, visits))]
    middle = math.exp(sum(map(math.log, seen)) / visits)
    width = 2.05 * cv / math.sqrt(visits)
    return Estimate(middle, middle * math.exp(-width), middle * math.exp(width), seen)


def quantiles(middle_ns: float, samples: float, at_least: bool = False, sigma: float = 0.35) -> list[Quantile]:
    """Log-normal percentiles of so many samples, the scarce ones insufficient."""
    made = []
    for q, z in zip(QUANTILES, Z, strict=True):
        wanted = math.log(0.025) / math.log(q)
        value = middle_ns * math.exp(sigma * z)
        if samples < wanted:
            why = f"{samples:.0f} samples; p{100 * q:g} wants {wanted:.0f}"
            made.append(Quantile(q, "insufficient", None, None, None, why))
        elif at_least:
            made.append(Quantile(q, "at least", value, value * 0.97, None, "12% of the requests never finished"))
        else:
            made.append(Quantile(q, "ok", value, value * 0.97, value * 1.04))
    return made


def _findings(model: str, scenario: str, level: Level) -> list[Finding]:
    slots = MODELS[model].slots
    found = []
    if level.loop == "closed" and level.connections > slots:
        found.append(
            Finding(
                "more connections than slots",
                "mark",
                f"{level.connections} connections for {slots} slots",
                "the rest wait to be accepted: the closed loop is smaller than it says",
                f"give the model more slots, or read its levels up to {slots}",
            )
        )
    if overloaded(model, scenario, level):
        found.append(
            Finding(
                "overloaded",
                "note",
                f"{served_per_s(model, scenario, level):.0f}/s served of {offered_per_s(model, scenario, level):.0f}/s offered",
                "the queue grows for as long as one measures: its latency has no value of its own",
                "compare at a rate that it can carry",
            )
        )
    if (model, scenario, level.label) == ("select_loop", "hello", "closed 256"):
        found.append(
            Finding(
                "engine saturated",
                "strike",
                "the load engine was busy 91% of the window in 4 of 5 visits",
                "above 85% the number is about the engine",
                "give the engine another core (--driver-cpus)",
            )
        )
    return found


def cell(model: str, scenario: str, level: Level, rng: np.random.Generator) -> CellSummary:
    """One cell of the imagined run, unranked."""
    facts, visits = MODELS[model], VISITS[scenario]
    failed = (model, scenario) == FAILS
    rate = served_per_s(model, scenario, level)
    seconds = 0.4 if level.loop == "closed" else 0.45
    over = overloaded(model, scenario, level)
    middle = median_ns(model, scenario, level)
    samples = 0 if failed else rate * seconds * visits
    cpu_us = 1e6 / capacity_per_s(model, "hello") + (2040.0 if scenario == "cpu" else 1.5 if scenario == "wait" else 0.0)
    threads = 1 + (min(level.connections, facts.slots) if facts.threads_at else 0)
    response = quantiles(middle, samples, over)
    return CellSummary(
        model=model,
        scenario=scenario,
        level=level,
        rate_per_s=None if failed else estimate(rate, facts.cv if level.loop == "closed" else 0.001, visits, rng),
        offered_per_s=offered_per_s(model, scenario, level),
        errors={"reset": 14} if (model, level.label) == ("thread_pool", "closed 256") else {},
        error_share=0.0004 if (model, level.label) == ("thread_pool", "closed 256") else 0.0,
        response=response,
        service=quantiles(middle * 0.93, samples),
        hiccup=[Quantile(q, "ok", ns, None, None) for q, ns in zip(QUANTILES, (0.0, 0.0, 9e4, 9e5), strict=True)],
        response_curve=[] if failed else [(q, middle * math.exp(0.35 * z)) for q, z in _curve() if samples * (1 - q) > 3.7],
        cpu_user_us=None if failed else estimate(cpu_us * 0.62, facts.cv, visits, rng),
        cpu_system_us=None if failed else estimate(cpu_us * 0.38, facts.cv, visits, rng),
        switches_per_request=None if failed else (0.9 if facts.threads_at else 0.02),
        faults_per_request=None if failed else (0.05 if model.startswith("asyncio") else 0.001),
        server_busy=None if failed else min(rate * cpu_us / 1e6, 1.0),
        engine_busy=None if failed else min(rate * 6.3e-6, 0.95),
        engine_cpu_us=None if failed else 6.3,
        rss_bytes=None if failed else (30_000_000 + threads * 90_000) * (16 if model == "prefork" else 1),
        uss_bytes=None if failed else (16_000_000 + threads * 60_000) * (8 if model == "prefork" else 1),
        threads=None if failed else threads,
        processes=None if failed else (17 if model == "prefork" else 1),
        descriptors=None if failed else 8 + min(level.connections, facts.slots),
        fairness=None if failed or level.loop == "open" else (0.25 if level.connections > facts.slots else 0.997),
        findings=_findings(model, scenario, level),
        rank=None,
        ranked_by="",
        relative=None,
    )


def _curve() -> list[tuple[float, float]]:
    """(q, z) along the percentile axis; z by the logistic approximation of the normal quantile, good to 0.02."""
    qs = [1 - 10 ** (-k / 10) for k in range(1, 40)]
    return [(q, 4.91 * (q**0.14 - (1 - q) ** 0.14)) for q in qs]


def _ranked(cells: list[CellSummary], by: str) -> list[CellSummary]:
    """The cells of one level with ranks; within 3% is a tie."""

    def value(c: CellSummary) -> float:
        estimated = c.rate_per_s.value if c.rate_per_s else 0.0
        return estimated if by == "goodput" else 1 / (c.response[0].value_ns or 1e12)

    able = [c for c in cells if c.rate_per_s and not c.struck and all(f.check != "overloaded" for f in c.findings)]
    best = max(map(value, able))
    ranked = []
    for c in cells:
        if c not in able:
            ranked.append(c)
            continue
        ratio = value(c) / best if by == "goodput" else best / value(c)
        rank = 1 + sum(value(other) > 1.03 * value(c) for other in able)
        relative = Estimate(ratio, ratio * 0.98, ratio * 1.02, [ratio] * 3)
        ranked.append(replace(c, rank=rank, ranked_by="goodput" if by == "goodput" else "p50", relative=relative))
    return ranked


def _standing(model: str, cells: list[CellSummary]) -> Standing:
    if cells[0].rate_per_s is None:
        return Standing(model, None, None, "", None, None, ["failed"], FAILURE, "")
    peak = max((c for c in cells if c.level.loop == "closed"), key=lambda c: c.rate_per_s.value if c.rate_per_s else 0.0)
    half = next(c for c in cells if c.level.share == 0.5)
    marked = [c.level.connections for c in cells if any(f.check == "more connections than slots" for f in c.findings)]
    marks = [f"more connections than slots from {marked[0]}"] if marked else []
    return Standing(model, None, peak.rate_per_s, peak.level.label, None, half.response[2], marks, "", "")


def _scenario(name: str, cells: list[CellSummary]) -> ScenarioSummary:
    standings = [_standing(model, [c for c in cells if c.model == model]) for model in MODELS]
    standings.sort(key=lambda s: -s.peak_per_s.value if s.peak_per_s else 0.0)
    best = standings[0].peak_per_s
    assert best is not None
    placed = []
    for s in standings:
        if s.peak_per_s is None:
            placed.append(s)
            continue
        ratio = s.peak_per_s.value / best.value
        above = sum(o.peak_per_s is not None and o.peak_per_s.value > 1.03 * s.peak_per_s.value for o in standings)
        placed.append(replace(s, rank=1 + above, relative=Estimate(ratio, ratio * 0.98, min(ratio * 1.02, 1.0), [ratio] * 3)))
    winners = [s.model for s in placed if s.rank == 1]
    told = f"; {', '.join(winners[1:])} cannot be told apart from it" if winners[1:] else ""
    verdict = f"{winners[0]} serves most: {best.value:,.0f}/s{told}."
    return ScenarioSummary(name, "", SCENARIOS[name].question, placed, 0.019, verdict)


def _timeline(model: str, scenario: str, rng: np.random.Generator) -> Timeline:
    points: list[TimelinePoint] = []
    for level in levels(scenario):
        for _ in range(4):
            rate = served_per_s(model, scenario, level) * float(rng.normal(1, 0.03))
            worst_ms = median_ns(model, scenario, level) / 1e6 * float(rng.lognormal(1.2, 0.4))
            points.append(TimelinePoint(round(0.1 * len(points), 1), level.label, rate, worst_ms))
    return Timeline(model, scenario, 0, points)


def summary() -> RunSummary:
    """A whole run: 8 models × 3 scenarios, with ties, a failed model, marks, overload and scarce percentiles."""
    rng = np.random.default_rng(7)
    cells: list[CellSummary] = []
    for scenario in SCENARIOS:
        for level in levels(scenario):
            made = [cell(model, scenario, level, rng) for model in MODELS]
            if level.share is None:
                made = _ranked(made, "goodput" if level.loop == "closed" else "p50")
            cells += made
    return RunSummary(
        schema=SCHEMA,
        name="imagined",
        conditions="Imagined CPU, 2 cores (1 for the server), 3–5 visits of 0.4 s a level, 2026-01-02, servebench run",
        comparable=True,
        captions=run().captions,
        scenarios=[_scenario(name, [c for c in cells if c.scenario == name]) for name in SCENARIOS],
        cells=cells,
        timelines=[_timeline(m, s, rng) for s in SCENARIOS for m in MODELS if (m, s) != FAILS],
        visits_made=93,
        visits_failed=3,
        visits_requeued=2,
        weather=[(2.5 * i, Weather(float(rng.normal(345 if 30 < i < 45 else 60, 2)), 41.0)) for i in range(90)],
        findings=[],
    )
