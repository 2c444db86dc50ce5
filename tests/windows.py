"""Windows for the checks: a healthy one of the imagined machine, and healthy ones with a single fault put in."""

from dataclasses import replace

import factories

from benchmarks import histogram
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram, Series
from benchmarks.questions import Level
from benchmarks.validity import check_window

CLOSED = Level("closed", 64)
OPEN = Level("open", 64, rate_per_s=20_000.0)


def facts(model: str, scenario: str, level: Level, seed: int = 0, **changes: object) -> Facts:
    """What the checks look at in a healthy window. The changes are those of the engine's side of it."""
    made = factories.window(model, scenario, level, seed)
    changed = replace(made, load=replace(made.load, **changes))  # type: ignore[arg-type]
    return Facts.gathered(changed, factories.server_facts(model), 1, factories.SCENARIOS[scenario].wait_s)


def healthy(level: Level = CLOSED, scenario: str = "hello", **load: object) -> Facts:
    """A healthy window of epoll_loop, with some facts of the engine's changed."""
    return facts("epoll_loop", scenario, level, **load)


def served(facts: Facts, **server: object) -> Facts:
    """The same with some facts of the server's side changed."""
    return replace(facts, window=replace(facts.window, server=replace(facts.server, **server)))  # type: ignore[arg-type]


def found(facts: Facts) -> list[tuple[str, str]]:
    return [(finding.check, finding.severity) for finding in check_window(facts)]


def unbalanced(off: float = 0.01) -> Facts:
    facts = healthy()
    whole_ns = facts.load.connections * facts.load.seconds * 1e9
    ledger = replace(facts.load.ledger, completed_ns=facts.load.ledger.completed_ns + round(off * whole_ns))
    return healthy(ledger=ledger)


def miscounted(off: float = 0.03, level: Level = OPEN) -> Facts:
    facts = healthy(level)
    crossing = replace(facts.load.crossing, in_flight_ns=round(facts.load.crossing.in_flight_ns * (1 + off)))
    return healthy(level, crossing=crossing)


def overworked(too_much: float = 1.05) -> Facts:
    facts = healthy()
    return served(facts, cpu_user_ns=round(facts.load.seconds * too_much * 1e9), cpu_system_ns=0)


def lost_values() -> Facts:
    service = healthy().load.service
    return healthy(service=replace(service, count=[*service.count[:-1], service.count[-1] + 1]))


def too_many() -> Facts:
    """Twice as many answers as fit into the waits, and the books of twice as many."""
    facts = healthy(Level("closed", 16), "wait")
    load = facts.load
    many = {
        name: Histogram(h.index, [2 * n for n in h.count], 2 * h.sum_ns, h.min_ns, h.max_ns)
        for name, h in (("response", load.response), ("service", load.service), ("send_lag", load.send_lag))
    }
    return healthy(
        Level("closed", 16), "wait", completed=2 * load.completed, intended=2 * load.completed, **many,
        per_connection=[2 * n for n in load.per_connection], passed_over=[2 * n for n in load.passed_over],
        series=replace(load.series, completed=[2 * n for n in load.series.completed]),
        crossing=replace(load.crossing, in_flight_ns=2 * load.crossing.in_flight_ns),
    )  # fmt: skip


def prompt(count: int) -> Histogram:
    """The send lags of so many requests that were sent at once."""
    return Histogram([0], [count]) if count else Histogram()


def timed(times_ns: list[int], level: Level = CLOSED, scenario: str = "hello", **load: object) -> Facts:
    """A window of exactly these service times, sent at once: everything that follows from them agrees."""
    values, count = histogram.from_values(times_ns), len(times_ns)
    each = [count // level.connections + (k < count % level.connections) for k in range(level.connections)]
    facts = healthy(level, scenario)
    told = {
        "response": values, "service": values, "send_lag": prompt(count), "completed": count, "intended": count,
        "per_connection": each, "series": Series(100_000_000, [count], [0], [0]), "drained": 0,
        "crossing": replace(facts.load.crossing, in_flight_ns=values.sum_ns), "all_requests": count, "own_lag": Histogram(),
    }  # fmt: skip
    return healthy(level, scenario, **(told | load))


def early() -> Facts:
    return timed([9_800_000] + [10_200_000] * 1000, scenario="wait")


def stalled(acks: int | None = 500, stalled_ns: int = 41_000_000, count: int = 100, beside: int = 0) -> Facts:
    """1,000 requests, a tenth of which took 41 ms, each with a delayed acknowledgement."""
    facts = timed([100_000] * (1000 - count - beside) + [stalled_ns] * count + [50_000_000] * beside)
    return served(replace(facts, window=replace(facts.window, delayed_acks=acks)), counted_requests=1000)


def overloaded(facts: Facts) -> Facts:
    """The same, with twice as many due as were answered."""
    load = replace(facts.load, intended=2 * facts.load.completed, offered_per_s=20_000.0)
    return replace(facts, window=replace(facts.window, level=OPEN, load=load))


def behind(unsent: int = 300, free: int = 40, gaps: tuple[tuple[int, int], ...] = (), waited: int = 0) -> Facts:
    return healthy(OPEN, unsent=unsent, free_at_end=free, gaps=list(gaps), waited=waited)


def short(**load: object) -> Facts:
    """9,000 due, 8,000 served in the window, the others in the drain."""
    late = {
        "completed": 8_000,
        "drained": 1_000,
        "per_connection": [125] * 64,
        "series": Series(100_000_000, [8_000], [0], [0]),
    }
    return healthy(OPEN, **(late | load))


def late(own_ns: int) -> Facts:
    """Every fiftieth request sent so late by the engine's fault; the p99 of the response time is about 200 µs."""
    count = histogram.total(healthy(OPEN).load.response)
    lags = Histogram([histogram.index_of(1_000), histogram.index_of(own_ns)], [count - count // 50, count // 50])
    return healthy(
        OPEN, own_lag=replace(lags, sum_ns=1_000 * (count - count // 50) + own_ns * (count // 50), min_ns=1_000, max_ns=own_ns)
    )


def starved(times: int, scenario: str = "wait") -> Facts:
    """One connection that others were served before so often between two answers of its own."""
    return healthy(CLOSED, scenario, passed_over=[*healthy().load.passed_over[1:], times])


def unfair(share: float) -> Facts:
    """A closed loop in which half of the connections got this share of the answers."""
    completed = healthy().load.completed
    few = round(completed * share) // 32
    return healthy(
        per_connection=[few] * 32
        + [(completed - 32 * few) // 32] * 31
        + [completed - 32 * few - (completed - 32 * few) // 32 * 31]
    )


def paced(paces: list[int], level: Level = CLOSED) -> Facts:
    """Completions in steps of 10 ms."""
    facts, count = healthy(level), sum(paces)
    times = factories.times(400_000, count)
    made = timed([], level, completed=count, intended=count, response=times, service=times, send_lag=prompt(count),
        per_connection=[count // 64 + (k < count % 64) for k in range(64)], seconds=len(paces) / 100, all_requests=count,
        series=Series(10_000_000, paces, [0] * len(paces), [0] * len(paces)),
        ledger=replace(facts.load.ledger, completed_ns=64 * len(paces) * 10_000_000, residual_ns=0, connecting_ns=0),
        crossing=replace(facts.load.crossing, in_flight_ns=times.sum_ns))  # fmt: skip
    return served(made, cpu_user_ns=20_000_000, cpu_system_ns=0)
