"""Measurements for the checks: a healthy one of the imagined machine, and healthy ones with a single fault put in."""

from dataclasses import replace

import factories

from benchmarks import histogram, packing
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram, LoadResult, Rounds, Series
from benchmarks.questions import Level
from benchmarks.validity import check_measurement

CLOSED = Level("closed", 64)
OPEN = Level("open", 64, rate_per_s=20_000.0)


def facts(model: str, scenario: str, level: Level, seed: int = 0, **changes: object) -> Facts:
    """What the checks look at in a healthy measurement. The changes are those of the engine's side of it."""
    made = factories.measurement(model, scenario, level, seed)
    changed = replace(made.load, kept=(made.windows - 1) * made.load.connections, **changes)  # type: ignore[arg-type]
    made = replace(made, load=changed, rounds=summing_up_to(changed, made.rounds))
    return Facts.gathered(made, factories.server_facts(model), 1, factories.SCENARIOS[scenario].wait_s)


def summing_up_to(load: LoadResult, rounds: Rounds) -> Rounds:
    """Rounds that have as much as the load: what its changes add is in the last one."""
    sums = {
        "completed": load.completed,
        "answered": histogram.total(load.service),
        "answered_ns": load.service.sum_ns,
        "cpu_ns": load.server_cpu_ns,
        "seconds": load.seconds,
    }
    lists = {name: list(getattr(rounds, name)) for name in sums}
    for name, whole in sums.items():
        lists[name][-1] += whole - sum(lists[name])
    return replace(rounds, **lists)


def healthy(level: Level = CLOSED, scenario: str = "hello", **load: object) -> Facts:
    """A healthy measurement of epoll_loop, with some facts of the engine's changed."""
    return facts("epoll_loop", scenario, level, **load)


def loaded(facts: Facts, **load: object) -> Facts:
    """The same with some facts of the engine's side changed, and nothing that has to go with them."""
    return changed(facts, load=replace(facts.load, **load))  # type: ignore[arg-type]


def served(facts: Facts, **server: object) -> Facts:
    """The same with some facts of the server's side changed."""
    return changed(facts, server=replace(facts.server, **server))  # type: ignore[arg-type]


def changed(facts: Facts, **measurement: object) -> Facts:
    """The same with some facts of the measurement changed."""
    return replace(facts, measurement=replace(facts.measurement, **measurement))  # type: ignore[arg-type]


def alone(facts: Facts) -> Facts:
    """The same as one window: all that it has is in its longest."""
    load, rounds = facts.load, facts.rounds
    one = Rounds([0], [0.0], [load.seconds], *([sum(getattr(rounds, name))] for name in (
        "completed", "answered_ns", "answered", "occupied_ns", "cpu_ns"
    )), [0])  # fmt: skip
    return changed(
        facts, rounds=summing_up_to(load, one), windows=1, long_s=load.seconds, long_completed=load.completed,
        load=replace(load, kept=0),
    )  # fmt: skip


def found(facts: Facts) -> list[tuple[str, str]]:
    return [(finding.check, finding.severity) for finding in check_measurement(facts)]


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
    """Twice as many answers as fit into the waits, and the accounts of twice as many."""
    facts = healthy(Level("closed", 16), "wait")
    load = facts.load
    many = {
        name: Histogram(h.index, [2 * n for n in h.count], 2 * h.sum_ns, h.min_ns, h.max_ns)
        for name, h in (("response", load.response), ("service", load.service), ("send_lag", load.send_lag))
    }
    return healthy(
        Level("closed", 16), "wait", completed=2 * load.completed, intended=2 * load.completed, **many,
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
    agreeing = {
        "response": values, "service": values, "send_lag": prompt(count), "completed": count, "intended": count,
        "per_connection": each, "series": Series(100_000_000, [count], [0], [0]), "drained": 0,
        "crossing": replace(facts.load.crossing, in_flight_ns=values.sum_ns), "all_requests": count, "own_lag": Histogram(),
    }  # fmt: skip
    return alone(healthy(level, scenario, **(agreeing | load)))


def early() -> Facts:
    return timed([9_800_000] + [10_200_000] * 1000, scenario="wait")


def stalled(acks: int | None = 500, stalled_ns: int = 41_000_000, count: int = 100, around: int = 0) -> Facts:
    """1,000 requests, a tenth of which took 41 ms, each with a delayed acknowledgement."""
    facts = timed([100_000] * (1000 - count - around) + [stalled_ns] * count + [50_000_000] * around)
    return served(changed(facts, delayed_acks=acks), counted_requests=1000)


def overloaded(facts: Facts) -> Facts:
    """The same, with twice as many due as were answered."""
    load = replace(facts.load, intended=2 * facts.load.completed, offered_per_s=20_000.0)
    return changed(facts, level=OPEN, load=load)


def behind(unsent: int = 300, free: int = 40, gaps: tuple[tuple[int, int], ...] = (), waited: int = 0) -> Facts:
    return healthy(OPEN, unsent=unsent, free_at_end=free, gaps=list(gaps), waited=waited)


def short(share: float = 0.9, **load: object) -> Facts:
    """Of what is due this share is served in the windows, the rest in the drains."""
    due = healthy(OPEN).load.intended
    late = round(due * (1 - share))
    return healthy(OPEN, **({"completed": due - late, "drained": late} | load))


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
    """A closed loop in which half of the connections got this share of the answers of the longest window."""
    completed = healthy().long_completed
    few = round(completed * share) // 32
    many = (completed - 32 * few) // 32
    return healthy(per_connection=[few] * 32 + [many] * 31 + [completed - 32 * few - many * 31])


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


def beside(share: float) -> Facts:
    """Other servers used so much of the time."""
    facts = healthy()
    used = [round(share * seconds * 1e9) for seconds in facts.rounds.seconds]
    return changed(facts, rounds=replace(facts.rounds, neighbours_ns=used))


def dropped(count: int) -> Facts:
    """So many windows were dropped."""
    facts = healthy()
    return changed(facts, rounds=replace(facts.rounds, dropped=list(range(100, 100 + count))))


def packed(facts: Facts) -> Facts:
    """The same as a packed record has it."""
    trial = factories.trial("epoll_loop", "hello", measurements=[facts.measurement])
    (trial,) = packing.packed(factories.record("hello", 0, [trial]), factories.run()).trials
    return replace(facts, measurement=trial.measurements[0])
