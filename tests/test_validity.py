"""Each check finds its fault and nothing else does; a healthy window is left alone."""

from dataclasses import replace

import factories
import pytest
from windows import (
    CLOSED,
    OPEN,
    behind,
    early,
    facts,
    found,
    healthy,
    late,
    lost_values,
    miscounted,
    overworked,
    paced,
    served,
    short,
    stalled,
    starved,
    timed,
    too_many,
    unbalanced,
    unfair,
)

from benchmarks.checks.companions import TOO_FEW
from benchmarks.checks.engine import stalls
from benchmarks.nouns import Outside, Warmup
from benchmarks.questions import Beside, Level
from benchmarks.selection import RESTLESS, UNSTEADY, usable
from benchmarks.tails import Pauses
from benchmarks.validity import (
    CHECKS,
    RESTLESS_FROM,
    check_run,
    check_visit,
    check_weather,
    check_window,
    disturbed,
    over_visits,
    restless,
)

CROWDED = replace(OPEN, beside=Beside("idle", 100))
CHURN = replace(CLOSED, keepalive=False)


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
            assert check_window(facts(model, scenario, level, seed=3)) == []


# ---------------------------------------------------------------- faults, each for one check


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
    "fewer companions": ("companions", "mark", healthy(CROWDED, companions={"open": 60, "refused": 40})),
    "hardly any companions": (TOO_FEW, "strike", healthy(CROWDED, companions={"open": 49})),
    "no room for companions": (TOO_FEW, "mark", replace(healthy(CROWDED, companions={"open": 16}), slots=16)),
    "connections kept that were to be new": ("reuse", "strike", healthy(CHURN)),
    "garbage": ("garbage collection", "note", served(healthy(), collections=(9, 1, 0), pause_ns=20_000_000)),
    "gaps lost": ("pauses not recorded", "mark", healthy(gaps_lost=7)),
    "a few very slow ones": ("few dominate", "note", timed([100_000] * 999 + [900_000_000])),
    "slower and slower": ("drift", "note", paced([500 - 5 * step for step in range(40)])),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_check_alone(fault):
    check, severity, faulty = FAULTS[fault]
    assert found(faulty) == [(check, severity)]


def test_every_check_has_a_fault_here():
    named = {check for check, _, _ in FAULTS.values()}
    assert len(CHECKS) == len(named - {TOO_FEW})  # two names of one check


def test_findings_say_what_was_seen_why_it_matters_and_what_to_do():
    for _, _, faulty in FAULTS.values():
        for finding in check_window(faulty):
            assert finding.seen
            assert finding.why
            assert finding.remedy
            assert not finding.seen.endswith(".")


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
    ("others_s", "found_here"), [(0.20, []), (0.25, []), (0.27, ["outside load"]), (2.0, ["outside load"])]
)
def test_others_may_use_three_percent_of_the_cpus_and_what_the_clocks_leave_open(others_s, found_here):
    """Of 4 s on two CPUs that is 0.24 s, and 10 ms more for each."""
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
    [(1, "mark", "(in 1 of 3 visits); left out"), (2, "strike", "(in 2 of 3 visits)"), (3, "strike", "of the window")],
)
def test_a_strike_in_fewer_than_half_of_the_visits_is_a_mark(times, severity, ending):
    saturated, well = check_window(healthy(busy_fraction=0.9)), check_window(healthy())
    (finding,) = over_visits([saturated] * times + [well] * (3 - times))
    assert finding.severity == severity
    assert finding.seen.endswith(ending)


@pytest.mark.parametrize(
    ("times", "beyond", "check", "severity"),
    [
        (1, False, "overloaded at times", "mark"),
        (1, True, "overloaded at times", "note"),
        (2, False, "overloaded", "note"),
        (3, False, "overloaded", "note"),
    ],
)
def test_a_cell_is_overloaded_that_was_so_in_half_of_its_visits(times, beyond, check, severity):
    over, well = check_window(short()), check_window(healthy())
    (finding,) = over_visits([over] * times + [well] * (4 - times), beyond)
    assert (finding.check, finding.severity) == (check, severity)
    assert ("not ranked" in finding.why) == (check == "overloaded")


def test_where_the_weather_changed_within_most_visits_that_is_said_once_and_all_are_compared():
    changed = [factories.changed_record("epoll_loop", "hello", block) for block in range(RESTLESS_FROM)]
    steady = [factories.record("thread_pool", "hello", block) for block in range(RESTLESS_FROM - 1)]
    loaded = factories.record("prefork", "hello", outside=Outside(4.0, 2, 6_000_000_000, 5_000_000_000))
    assert restless([*changed, *steady])
    assert not restless([*changed, *steady, loaded])  # half of them is not most
    assert not restless(changed[:-1])  # too few to know
    visits = usable([*changed, *steady[:-1], loaded])
    assert {visit.weather for visit in visits if visit.record.plan.model != "prefork"} == {RESTLESS}
    assert [visit.weather for visit in visits if visit.record.plan.model == "prefork"] == [UNSTEADY]
    assert [finding.check for finding in check_weather([*changed, *steady])] == ["restless machine"]
    assert check_weather(steady) == []
    assert check_visit(changed[0], of_restless_run=True) == []


def test_what_is_repeated_makes_no_machine_restless_and_no_outside_load_counts_there():
    few = [factories.changed_record("epoll_loop", "hello", block) for block in range(RESTLESS_FROM - 2)]
    again = [replace(one, plan=replace(one.plan, attempt=1, number=100 + one.plan.number)) for one in few]
    assert not restless([*few, *again])
    loaded = factories.changed_record("epoll_loop", "hello", 50)
    loaded = replace(loaded, outside=Outside(4.0, 2, 6_000_000_000, 5_000_000_000))
    quiet = factories.changed_record("epoll_loop", "hello", 50)
    quiet = replace(quiet, plan=replace(quiet.plan, attempt=1, number=200))
    more = factories.changed_record("epoll_loop", "hello", 51)
    (chosen,) = [v for v in usable([*few, more, loaded, quiet]) if v.record.plan.block == 50]
    assert (chosen.record.plan.attempt, chosen.weather) == (1, RESTLESS)


def test_two_runs_share_no_block_so_that_their_weather_is_asked_for_on_a_restless_machine_too():
    changed = [factories.changed_record("epoll_loop", "hello", block) for block in range(RESTLESS_FROM)]
    assert {visit.weather for visit in usable(changed)} == {RESTLESS}
    assert {visit.weather for visit in usable(changed, share_blocks=False)} == {UNSTEADY}


def test_strikes_come_first():
    made = check_window(replace(healthy(busy_fraction=0.9, errors={"reset": 1}), slots=16))
    assert [finding.severity for finding in over_visits([made[::-1]])] == ["strike", "mark", "mark"]


def test_a_shared_core_and_a_single_visit_are_said_of_the_run():
    assert check_run(factories.options()) == []
    assert [finding.check for finding in check_run(factories.options(driver_cpus=(0,)))] == ["shared core"]
    assert [finding.check for finding in check_run(factories.options(visits={"hello": 1}))] == ["one visit"]
