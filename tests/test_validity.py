"""Each check finds its fault and nothing else does; a healthy window is left alone."""

from dataclasses import replace

import factories
import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import histogram
from benchmarks.checks.books import malformed
from benchmarks.checks.engine import stalls
from benchmarks.checks.facts import Facts
from benchmarks.checks.service import course, jain, spearman
from benchmarks.nouns import Histogram, Level, Outside, Series, Warmup
from benchmarks.selection import UNSTEADY, usable
from benchmarks.tails import Pauses
from benchmarks.validity import CHECKS, check_run, check_visit, check_window, disturbed, over_visits

CLOSED = Level("closed", 64)
OPEN = Level("open", 64, rate_per_s=20_000.0)


def healthy(level: Level = CLOSED, scenario: str = "hello", **load: object) -> Facts:
    """A healthy window of epoll_loop, with some facts of the engine's changed."""
    return factories.facts("epoll_loop", scenario, level, **load)


def served(facts: Facts, **server: object) -> Facts:
    """The same with some facts of the server's side changed."""
    return replace(facts, window=replace(facts.window, server=replace(facts.server, **server)))  # type: ignore[arg-type]


def found(facts: Facts) -> list[tuple[str, str]]:
    return [(finding.check, finding.severity) for finding in check_window(facts)]


def carries(model: str, scenario: str, level: Level) -> bool:
    """Whether the imagined machine is neither overloaded at this level nor short of slots, and was not struck on purpose."""
    return (
        (model, scenario, level.label) != factories.STRUCK
        and not factories.overloaded(model, scenario, level)
        and (level.loop == "open" or level.connections <= factories.MODELS[model].slots)
    )


@pytest.mark.parametrize("model", [model for model in factories.MODELS if model != "prefork"])  # it reconnects
@pytest.mark.parametrize("scenario", factories.SCENARIOS)
def test_a_healthy_window_raises_nothing(model, scenario):
    for level in factories.levels(scenario):
        if carries(model, scenario, level):
            assert check_window(factories.facts(model, scenario, level, seed=3)) == []


# ---------------------------------------------------------------- faults, each for one check


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


MANY = Level("open", 1000, rate_per_s=20_000.0)


def behind(unsent: int = 900, free: int = 300, gaps: tuple[tuple[int, int], ...] = ()) -> Facts:
    return healthy(MANY, unsent=unsent, free_at_end=free, gaps=list(gaps))


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


FAULTS = {
    "no request completed": ("nothing served", "strike", timed([])),
    "time is missing": ("bookkeeping", "strike", unbalanced(-0.01)),
    "requests in flight that have no time": ("Little's law", "strike", miscounted()),
    "one in the closed loop": ("Little's law", "strike", miscounted(-0.03, CLOSED)),
    "a histogram that lacks one": ("histograms", "strike", lost_values()),
    "more answers than fit into the waits": ("wait ceiling", "strike", too_many()),
    "an answer before its time": ("wait ceiling", "strike", early()),
    "more CPU than there was": ("work ceiling", "strike", overworked()),
    "a busy engine": ("engine saturated", "strike", healthy(busy_fraction=0.86)),
    "unsent with connections free": ("engine saturated", "strike", behind()),
    "a late engine": ("engine saturated", "strike", late(60_000)),
    "Nagle's algorithm": ("40 ms stall", "strike", stalled()),
    "no keep-alive": ("reuse", "strike", healthy(connections_opened=64 + 30_000)),
    "a few reconnects": ("reuse", "strike", healthy(connections_opened=64 + 10)),
    "declared reconnects": ("reconnects", "mark", replace(healthy(connections_opened=64 + 400), keepalive_requests=100)),
    "failed requests": ("errors", "mark", healthy(errors={"reset": 3, "wrong_body": 1})),
    "overload": ("overloaded", "note", short()),
    "every connection busy": ("no free connection", "note", healthy(OPEN, waited=400)),
    "too few slots": ("more connections than slots", "mark", replace(healthy(), slots=63)),
    "never answered": ("unfinished requests", "mark", healthy(OPEN, unfinished=100)),
    "one starved": ("starving", "mark", starved(640)),
    "half of them starved": ("starving", "mark", unfair(0.2)),
    "gaps lost": ("pauses not recorded", "mark", healthy(gaps_lost=7)),
    "a few very slow ones": ("few dominate", "note", timed([100_000] * 999 + [900_000_000])),
    "slower and slower": ("drift", "note", paced([500 - 5 * step for step in range(40)])),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_check_alone(fault):
    check, severity, faulty = FAULTS[fault]
    assert found(faulty) == [(check, severity)]


def test_every_check_has_a_fault_here():
    assert len(CHECKS) == len({check for check, _, _ in FAULTS.values()})


def test_findings_say_what_was_seen_why_it_matters_and_what_to_do():
    for _, _, faulty in FAULTS.values():
        for finding in check_window(faulty):
            assert finding.seen
            assert finding.why
            assert finding.remedy
            assert not finding.seen.endswith(".")


# ---------------------------------------------------------------- where a fault begins


@pytest.mark.parametrize(("off", "struck"), [(0.004, False), (0.006, True), (-0.006, True)])
def test_the_books_may_be_off_by_half_a_percent(off, struck):
    assert bool(found(unbalanced(off))) == struck


@pytest.mark.parametrize(("off", "struck"), [(0.01, False), (-0.01, False), (0.03, True), (-0.03, True)])
@pytest.mark.parametrize("level", [CLOSED, OPEN])
def test_littles_law_may_be_off_by_two_percent(off, struck, level):
    assert bool(found(miscounted(off, level))) == struck


GOOD = histogram.from_values([1_000, 5_000, 5_001, 2_000_000])
BAD_HISTOGRAMS = {
    "order": replace(GOOD, index=GOOD.index[::-1]),
    "buckets and": replace(GOOD, count=GOOD.count[1:]),
    "empty": replace(GOOD, count=[0, *GOOD.count[1:]]),
    "extremes": replace(GOOD, min_ns=900),
    "outer buckets": replace(GOOD, max_ns=3_000_000),
    "sum": replace(GOOD, sum_ns=GOOD.sum_ns + 10_000),
    "no values": Histogram(sum_ns=5),
}


@pytest.mark.parametrize("told", BAD_HISTOGRAMS)
def test_a_histogram_that_no_values_could_have_made_is_malformed(told):
    assert malformed(GOOD) == malformed(Histogram()) == ""
    assert told in malformed(BAD_HISTOGRAMS[told])
    assert found(healthy(connect=BAD_HISTOGRAMS[told])) == [("histograms", "strike")]


@pytest.mark.parametrize(
    "changes",
    [
        {"completed": 30_000},
        {"per_connection": [1] * 64},
        {"series": Series(100_000_000, [1], [0], [0])},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_counts_of_the_same_requests_must_agree(changes):
    assert ("histograms", "strike") in found(healthy(**changes))


def test_requests_that_were_due_and_are_in_no_histogram_are_missed():
    due = healthy(OPEN).load.intended
    assert found(healthy(OPEN, intended=due + 60)) == []  # at the edges, one for each connection
    assert found(healthy(OPEN, intended=due + 70)) == [("histograms", "strike")]
    assert found(healthy(OPEN, intended=due + 70, errors={"reset": 70})) == [("errors", "mark")]


def test_response_times_are_service_times_and_send_lags():
    lag = healthy(OPEN).load.send_lag
    shifted = replace(lag, sum_ns=lag.sum_ns + 20 * histogram.total(lag))
    assert found(healthy(OPEN, send_lag=shifted)) == [("histograms", "strike")]


def test_a_timer_tick_at_the_edge_of_a_short_window_is_no_impossible_cpu_time():
    assert found(overworked(1 + 0.006 / healthy().load.seconds)) == []


def test_what_was_unsent_when_the_engine_paused_at_the_very_end_is_no_saturation():
    window_ns = round(healthy(OPEN).load.seconds * 1e9)
    assert found(behind(gaps=((window_ns - 2_000_000, 2_000_000),))) == [("engine saturated", "strike")]  # 40 were due then
    assert found(behind(gaps=((window_ns - 8_000_000, 8_000_000),))) == []  # 160, and chance
    assert found(behind(gaps=((1_000_000, 8_000_000),))) == [("engine saturated", "strike")]
    assert found(behind(free=0)) == []


@pytest.mark.parametrize(("own_ns", "struck"), [(15_000, False), (60_000, True)])
def test_the_engine_may_be_late_by_a_few_turns_of_its_loop(own_ns, struck):
    assert bool(found(late(own_ns))) == struck


def test_an_engine_too_busy_to_keep_up_is_saturated_and_the_server_not_overloaded():
    made = check_window(short(busy_fraction=0.9))
    assert [finding.check for finding in made] == ["engine saturated"]
    assert "short of the offered load" in made[0].seen


@pytest.mark.parametrize(
    "innocent",
    [
        stalled(acks=5),  # as many as any run has
        stalled(acks=None),  # nobody counts
        stalled(stalled_ns=30_000_000),
        stalled(count=4),  # under half a percent
        stalled(beside=30),  # a broad distribution that covers the band
        served(stalled(), cpu_user_ns=625_000 * 1000, cpu_system_ns=0),  # 64 connections in turn take 40 ms each round
    ],
)
def test_delayed_acknowledgements_or_40_ms_alone_are_no_stall(innocent):
    assert ("40 ms stall", "strike") not in found(innocent)


def test_a_reconnect_after_each_error_is_no_broken_keep_alive():
    assert found(healthy(errors={"reset": 600}, connections_opened=64 + 600)) == [("errors", "mark")]


def test_reconnects_beyond_the_declared_bound_are_struck():
    opened = healthy().load.all_requests // 100
    assert found(replace(healthy(connections_opened=64 + 2 * opened), keepalive_requests=100)) == [("reuse", "strike")]


@pytest.mark.parametrize(("idle_s", "allowed"), [(0.5, True), (15.0, False)])
def test_silent_connections_may_end_when_they_were_declared_to(idle_s, allowed):
    rare = timed([100_000] * 20, Level("open", 64, rate_per_s=50.0), connections_opened=64 + 64)
    assert (("reuse", "strike") in found(replace(rare, keepalive_idle_s=idle_s))) != allowed


def test_busy_connections_are_never_silent_for_so_long():
    assert found(replace(healthy(connections_opened=64 + 64), keepalive_idle_s=0.5)) == [("reuse", "strike")]


def test_prefork_may_close_after_a_hundred_requests_with_a_mark():
    assert found(factories.facts("prefork", "hello", Level("closed", 16))) == [("reconnects", "mark")]


def test_chance_is_no_overload():
    """90 arrivals of a Poisson process, 12 fewer answers in the window: within two standard deviations."""
    level = Level("open", 64, rate_per_s=200.0)
    assert "overloaded" not in dict(found(healthy(level, "cpu", intended=90, completed=78)))
    assert "overloaded" in dict(found(healthy(level, "cpu", intended=90, completed=65)))


def test_an_open_level_is_given_no_more_connections_than_slots_and_is_not_marked():
    assert found(factories.facts("prefork", "cpu", Level("open", 64, share=0.5))) == []
    assert found(replace(healthy(), slots=0)) == []  # no limit of its own


def test_connections_that_never_got_a_slot_are_not_unfinished_requests_as_well():
    few = replace(healthy(unfinished=60), slots=4)
    assert found(few) == [("more connections than slots", "mark")]


@pytest.mark.parametrize(("rounds", "marked"), [(1.5, False), (2.5, True)])
def test_a_closed_loop_has_requests_under_way_when_it_ends(rounds, marked):
    """64 connections, 130 answers: a round is half of the window, and longer than the drain."""
    ages = histogram.from_values([round(rounds / 2 * 0.4e9 * 64 / 65)] * 64)
    slow = timed([190_000_000] * 130, scenario="cpu", unfinished=64, censored=ages)
    assert (("unfinished requests", "mark") in found(slow)) == marked


def test_starving_for_want_of_slots_is_one_finding():
    assert found(replace(starved(10_000, "hello"), slots=16)) == [("more connections than slots", "mark")]


def test_passed_over_for_nine_rounds_is_bad_luck():
    assert found(starved(639)) == []
    assert found(starved(1_900, "hello")) == []  # 30 rounds, but in less than 20 ms
    assert found(starved(2_000, "hello")) == [("starving", "mark")]
    assert found(unfair(0.4)) == []


def test_jain_is_not_asked_where_chance_alone_is_unfair():
    few = timed([1_000_000] * 64, per_connection=[4] * 16 + [0] * 48)
    assert "starving" not in dict(found(few))


@pytest.mark.parametrize(("completions", "index"), [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)])
def test_jains_index(completions, index):
    assert jain(completions) == pytest.approx(index)


# ---------------------------------------------------------------- over the window


def test_spearman_agrees_with_scipy_ties_included():
    first, second = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0


def test_steady_paces_raise_no_drift_in_ten_thousand_windows():
    """Poisson counts around one mean: by the threshold one in 100,000 windows would be called drifting."""
    rng = np.random.default_rng(11)
    called = sum(bool(course([float(n) for n in rng.poisson(30, 20)])) for _ in range(10_000))
    assert called <= 1


@pytest.mark.parametrize(
    ("paces", "told"),
    [
        ([300 + 5 * step for step in range(40)], "rose"),
        ([500 - 5 * step for step in range(40)], "fell"),
        ([300] * 12 + [500] * 16 + [300] * 12, "wandered"),
    ],
)
def test_drift_says_how(paces, told):
    (finding,) = [f for f in check_window(paced(paces)) if f.check == "drift"]
    assert told in finding.seen


def test_a_trend_too_small_to_matter_or_a_window_too_short_to_tell_is_no_drift():
    assert found(paced([1000 - step for step in range(40)])) == []
    assert found(paced([500, 450, 400, 350, 300])) == []
    assert found(paced([500, 300] * 20)) == []  # up and down from step to step is no drift


# ---------------------------------------------------------------- visits and runs


def test_stalls_say_which_percentiles_they_cost():
    assert stalls(Pauses((100_000,) * 100, 1e9)) is None  # short ones
    finding = stalls(Pauses((300_000,) * 3, 1e9))
    assert finding is not None
    assert "p99.9 not told" in finding.seen
    worse = stalls(Pauses((4_000_000,) * 2, 1e9))
    assert worse is not None
    assert "p99 and above not told" in worse.seen


def test_changed_weather_and_a_restless_warm_up_are_said_of_the_visit():
    changed = factories.changed_record("epoll_loop", "hello", 0)
    assert [finding.check for finding in check_visit(changed)] == ["weather changed"]
    assert "60.0 ns" in check_visit(changed)[0].seen
    assert "345 ns" in check_visit(changed)[0].seen
    restless = factories.record("epoll_loop", "hello", warmup=Warmup(3.0, [1e4, 2e4], False))
    assert [finding.check for finding in check_visit(restless)] == ["never steady"]
    assert check_visit(factories.record("epoll_loop", "hello")) == []


@pytest.mark.parametrize(
    ("others_s", "found_here"), [(0.10, []), (0.13, []), (0.15, ["outside load"]), (2.0, ["outside load"])]
)
def test_others_may_use_three_percent_of_a_cpu_and_what_the_clocks_leave_open(others_s, found_here):
    """Of 4 s that is 0.12 s, and 10 ms more for each of two CPUs."""
    loaded = factories.record("epoll_loop", "hello", outside=Outside(4.0, 2, round((5 + others_s) * 1e9), 5_000_000_000))
    assert [finding.check for finding in check_visit(loaded)] == found_here
    assert (disturbed(loaded) is not None) == bool(found_here)


def test_a_visit_is_quiet_when_neither_weather_nor_others_disturbed_it():
    assert disturbed(factories.record("epoll_loop", "hello")) is None
    assert disturbed(factories.record("epoll_loop", "hello", outside=None)) is None  # nobody can tell
    weather = disturbed(factories.changed_record("epoll_loop", "hello", 0))
    assert weather is not None
    assert weather.check == "weather changed"


def test_an_attempt_without_outside_load_counts_before_one_with_it():
    loaded = factories.record("epoll_loop", "hello", outside=Outside(4.0, 2, 6_000_000_000, 5_000_000_000))
    again = factories.record("epoll_loop", "hello")
    again = replace(again, plan=replace(again.plan, attempt=1, number=9))
    assert [visit.record.plan.attempt for visit in usable([loaded, again])] == [1]
    assert [visit.weather for visit in usable([loaded])] == [UNSTEADY]


@pytest.mark.parametrize(
    ("times", "severity", "ending"),
    [(1, "mark", "(in 1 of 3 visits)"), (2, "strike", "(in 2 of 3 visits)"), (3, "strike", "of the window")],
)
def test_a_strike_in_fewer_than_half_of_the_visits_is_a_mark(times, severity, ending):
    saturated, well = check_window(healthy(busy_fraction=0.9)), check_window(healthy())
    (finding,) = over_visits([saturated] * times + [well] * (3 - times))
    assert finding.severity == severity
    assert finding.seen.endswith(ending)


def test_strikes_come_first():
    made = check_window(replace(healthy(busy_fraction=0.9, errors={"reset": 1}), slots=16))
    assert [finding.severity for finding in over_visits([made[::-1]])] == ["strike", "mark", "mark"]


def test_a_shared_core_and_a_single_visit_are_said_of_the_run():
    assert check_run(factories.options()) == []
    assert [finding.check for finding in check_run(factories.options(driver_cpus=(0,)))] == ["shared core"]
    assert [finding.check for finding in check_run(factories.options(visits={"hello": 1}))] == ["one visit"]
