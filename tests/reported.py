"""Summaries of sixteen models by hand, for whoever looks at reports: the quick run, its worst case, and thirty questions."""

from dataclasses import replace

import factories

from benchmarks.nouns import SCHEMA
from benchmarks.questions import Level, Metric
from benchmarks.summaries import (
    Estimate,
    Finding,
    MeasureSummary,
    Pair,
    PairCounts,
    Result,
    RunSummary,
    ScenarioSummary,
    Standing,
)

MODELS = (
    "asyncio_uvloop", "epoll_loop", "poll_loop", "select_loop", "prefork_epoll", "asyncio_protocol", "gevent_prefork",
    "gevent_greenlets", "thread_pool", "thread_per_connection", "asyncio_streams", "prefork_threads", "trio_nursery",
    "prefork", "fork_per_connection", "asyncio_threads",
)  # fmt: skip
CONDITIONS = (
    "AMD EPYC 9V74 · Python 3.12.3 · 1 core for the server, 1 for the load · 4 replicates of 12 rounds · windows of 50 ms"
    " · 2026-11-29 · servebench run --profile quick"
)
RATE = MeasureSummary("peak", "", "more", "rate", Metric("rate"), 0.03)
P90 = MeasureSummary("p90 of hello beside work", "hello beside work", "less", "time", Metric("p90", "open 50%", "hello"), 0.10)
ENGINE = Finding(
    "engine saturated", "invalid", "the load engine was busy 97% of the window", "the number may be the engine's own limit",
    "give the engine another core (--driver-cpus)",
)  # fmt: skip
LIMIT = Finding(
    "above the concurrency limit", "warning", "64 connections, a limit of 16", "connections above the limit wait",
    "give the model more workers (--workers)",
)  # fmt: skip


def question(name: str, asked: str, measure: MeasureSummary, ratios: list[float], best: float, width: float) -> ScenarioSummary:
    """A scenario in which the models, in their order, have these ratios to the best, each known to ± width."""
    values = [best * ratio for ratio in ratios]
    calls = {}
    for at, ratio in enumerate(ratios):
        for other in range(at):
            apart = max(ratio / ratios[other], ratios[other] / ratio) - 1
            calls[other, at] = "same" if apart < 0.6 * measure.margin else "different" if apart > 1.4 * width else "open"
    standings = []
    for at, (model, ratio, value) in enumerate(zip(MODELS, ratios, values, strict=False)):
        rank = 1 + sum(calls[other, at] == "different" for other in range(at))
        known = Estimate(1.0, 1.0, 1.0) if not at else Estimate(ratio, ratio / (1 + width), ratio * (1 + width))
        absolute = Estimate(value, value * 0.98, value * 1.03)
        made = factories.standing(model, rank, results=[Result(absolute, rank, known)], peak_per_s=absolute)
        standings.append(replace(made, ratio=known, cpu_us=Estimate(10.2 * (at + 10) / 10, None, None)))
    kinds = list(calls.values())
    return ScenarioSummary(
        scenario=name,
        caption=asked,
        question=asked,
        standings=standings,
        pairs=PairCounts(len(kinds), *(kinds.count(kind) for kind in ("different", "same", "open"))),
        verdict=f"{MODELS[0]} is best: 1.05× {MODELS[1]} (1.03–1.07). Differences under 2% may not show.",
        pair_list=[Pair(MODELS[one], MODELS[other], Estimate(1.0, 0.9, 1.1), call) for (one, other), call in calls.items()],
        replicate_sd=0.013,
        window_sd=0.05,
        resolution=0.02,
        aa=Estimate(1.01, 0.99, 1.03),
        measures=[measure],
    )


def falling(step: float, count: int = 16) -> list[float]:
    """Ratios each of which is so much lower than the one before."""
    return [(1 - step) ** at for at in range(count)]


def quick(worst: bool = False) -> RunSummary:
    """hello, wait and mixed as they may come out, or with every model apart from every other and all kinds of trouble."""
    hello = [1, 0.95, 0.94, 0.93, 0.86, 0.85, 0.78, 0.71, 0.70, 0.69, 0.62, 0.55, 0.45, 0.40, 0.38, 0.21]
    wait = [1, 0.99, 0.99, 0.985, 0.98, 0.98, 0.97, 0.82, 0.60, 0.58, 0.50, 0.11, 0.11, 0.105, 0.06, 0.06]
    mixed = [1, 1.04, 1.09, 1.5, 1.9, 2.6, 6.3, *[9.4 + 0.1 * at for at in range(9)]]
    less = [1.35**at for at in range(16)]
    scenarios = [
        question("hello", "What does one request cost?", RATE, falling(0.08) if worst else hello, 98_412.0, 0.017),
        question("wait", "Who can hold many waiting requests at once?", RATE, falling(0.09) if worst else wait, 25_311.0, 0.02),
        question("mixed", "Who lets a computing request hold up the others?", P90, less if worst else mixed, 1.2e6, 0.09),
    ]
    made = run(scenarios)
    return troubled(made) if worst else made


def troubled(made: RunSummary) -> RunSummary:
    """The same with a failed, an invalid and two warned models in each question, and more remarks than there is room for."""
    scenarios = [replace(one, standings=[_troubled(standing) for standing in one.standings]) for one in made.scenarios]
    cells = [
        replace(factories.cell(model, scenario.scenario, Level("closed", 64)), findings=[found])
        for scenario in scenarios
        for model, found in (("prefork", ENGINE), ("thread_pool", LIMIT), ("prefork_threads", LIMIT))
    ]
    of_run = [
        Finding(f"unstable machine {at}", "warning", f"the speed changed in {at} of 12 rounds by 1,234.5 ms", "why", "remedy")
        for at in range(7)
    ]
    return replace(made, scenarios=scenarios, cells=cells, findings=of_run, trials_failed=12)


def _troubled(standing: Standing) -> Standing:
    if standing.model == "trio_nursery":
        why = "no ready line within 10 s"
        lost = Result(None, None, None, "failed", why)
        return replace(standing, rank=None, ratio=None, peak_per_s=None, failed=why, results=[lost])
    if standing.model == "prefork":
        why = "engine saturated: the load engine was busy 97% of the window"
        invalid = replace(standing.results[0], rank=None, ratio=None, reason="invalid", why=why)
        return replace(standing, rank=None, ratio=None, invalid=why, results=[invalid])
    if standing.model in ("thread_pool", "prefork_threads"):
        return replace(standing, warnings=["above the concurrency limit from 64"])
    return standing


def run(scenarios: list[ScenarioSummary]) -> RunSummary:
    """A run of these scenarios."""
    return replace(
        factories.run_summary(scenarios), schema=SCHEMA, name="2026-11-29-quick", conditions=CONDITIONS, trials_made=192
    )


def many(count: int = 30) -> RunSummary:
    """So many questions, with some trouble."""
    scenarios = []
    for at in range(count):
        measure = P90 if at % 3 else RATE
        ratios = [1 + 0.4 * n / (1 + at % 7) for n in range(16)] if at % 3 else falling(0.01 * (at % 9))
        scenarios.append(question(f"question-{at}-of-{count}", f"Who is number {at}?", measure, ratios, 1e5, 0.02))
    return troubled(run(scenarios))
