"""Each check finds its fault and nothing else does; a healthy window is left alone."""

from dataclasses import replace

import factories
import pytest

from benchmarks.nouns import Level, RunOptions, Warmup, Window
from benchmarks.validity import CHECKS, check_run, check_visit, check_window, over_visits

CLOSED = Level("closed", 64)
OPEN = Level("open", 64, rate_per_s=20_000.0)


def window(level: Level = CLOSED, **load: object) -> Window:
    """A healthy window of epoll_loop saying hello, with some facts changed."""
    made = factories.window("epoll_loop", "hello", level)
    return replace(made, load=replace(made.load, **load))  # type: ignore[arg-type]


def found(made: Window, slots: int = 10_000, cores: int = 1) -> list[tuple[str, str]]:
    return [(finding.check, finding.severity) for finding in check_window(made, slots, cores)]


@pytest.mark.parametrize("model", [model for model in factories.MODELS if model != "prefork"])  # it reconnects
@pytest.mark.parametrize("scenario", factories.SCENARIOS)
def test_a_healthy_closed_loop_raises_nothing(model, scenario):
    for level in factories.levels(scenario):
        if level.loop == "closed" and level.connections <= 16:
            assert found(factories.window(model, scenario, level), factories.MODELS[model].slots) == []


@pytest.mark.parametrize("level", [CLOSED, OPEN, Level("open", 64, share=0.8)])
def test_a_healthy_window_raises_nothing(level):
    assert found(window(level)) == []


def unbalanced() -> Window:
    healthy = window()
    ledger = replace(healthy.load.ledger, completed_ns=round(healthy.load.ledger.completed_ns * 0.99))
    return window(ledger=ledger)


def overworked(too_much: float = 1.05) -> Window:
    healthy = window()
    spent_ns = round(healthy.load.seconds * too_much * 1e9)
    return replace(healthy, server=replace(healthy.server, cpu_user_ns=spent_ns, cpu_system_ns=0))


FAULTS = [
    ("nothing served", "strike", window(completed=0, connections_opened=64)),
    ("engine saturated", "strike", window(busy_fraction=0.86)),
    ("errors", "mark", window(errors={"reset": 3, "wrong_body": 1})),
    ("books do not balance", "strike", unbalanced()),
    ("reconnects", "mark", window(connections_opened=64 + 600)),
    ("reconnects", "strike", window(connections_opened=64 + 30_000)),
    ("unfinished requests", "mark", window(OPEN, unfinished=100, intended=9_000, completed=8_990)),
    ("overloaded", "note", window(OPEN, intended=9_000, completed=8_000)),
    ("impossible CPU time", "strike", overworked()),
    ("pauses not recorded", "mark", window(gaps_lost=7)),
]


@pytest.mark.parametrize(("check", "severity", "faulty"), FAULTS, ids=[f"{c}, {s}" for c, s, _ in FAULTS])
def test_each_fault_is_found_by_its_check_alone(check, severity, faulty):
    assert found(faulty) == [(check, severity)]


def test_more_connections_than_slots_is_a_mark():
    assert found(window(), slots=63) == [("more connections than slots", "mark")]
    assert found(window(), slots=64) == []
    assert found(window(), slots=0) == []  # no limit of its own


def test_an_open_level_is_given_no_more_connections_than_slots_and_is_not_marked():
    assert found(window(OPEN), slots=16) == []


def test_every_check_has_a_fault_here():
    assert len(CHECKS) == len({check for check, _, _ in FAULTS}) + 1  # and the one about slots


@pytest.mark.parametrize(("off", "struck"), [(0.004, False), (0.006, True), (-0.006, True)])
def test_the_books_may_be_off_by_half_a_percent(off, struck):
    healthy = window()
    whole_ns = healthy.load.connections * healthy.load.seconds * 1e9
    ledger = replace(healthy.load.ledger, residual_ns=healthy.load.ledger.residual_ns + round(off * whole_ns))
    assert bool(found(window(ledger=ledger))) == struck


def test_an_engine_too_busy_to_keep_up_is_saturated_and_the_server_not_overloaded():
    made = check_window(window(OPEN, intended=9_000, completed=8_000, busy_fraction=0.9), 0, 1)
    assert [finding.check for finding in made] == ["engine saturated"]
    assert "11% short" in made[0].seen


def test_chance_is_no_overload():
    """90 arrivals of a Poisson process, 12 fewer answers in the window: within two standard deviations."""
    assert found(window(OPEN, intended=90, completed=78)) == []
    assert found(window(OPEN, intended=90, completed=65)) == [("overloaded", "note")]


def test_a_reconnect_after_each_error_is_no_broken_keep_alive():
    checks = found(window(errors={"reset": 600}, connections_opened=64 + 600))
    assert checks == [("errors", "mark")]


def test_no_keep_alive_at_all_is_struck_even_with_few_requests():
    assert found(window(completed=200, intended=200, connections_opened=64 + 200)) == [("reconnects", "strike")]


def test_prefork_may_close_after_a_hundred_requests_with_a_mark():
    found_here = found(factories.window("prefork", "hello", Level("closed", 16)), slots=16)
    assert found_here == [("reconnects", "mark")]


def test_connections_that_never_got_a_slot_are_not_unfinished_requests_as_well():
    assert found(window(unfinished=60, intended=5_000), slots=4) == [("more connections than slots", "mark")]
    assert ("unfinished requests", "mark") in found(window(unfinished=5_000, intended=5_000), slots=4)


def test_a_timer_tick_at_the_edge_of_a_short_window_is_no_impossible_cpu_time():
    assert found(overworked(1 + 0.006 / window().load.seconds)) == []


def test_findings_say_what_was_seen_why_it_matters_and_what_to_do():
    for _, _, faulty in FAULTS:
        for finding in check_window(faulty, 10_000, 1):
            assert finding.seen
            assert finding.why
            assert finding.remedy
            assert not finding.seen.endswith(".")


def test_changed_weather_and_a_restless_warm_up_are_said_of_the_visit():
    changed = factories.changed_record("epoll_loop", "hello", 0)
    assert [finding.check for finding in check_visit(changed)] == ["weather changed"]
    assert "60.0 ns" in check_visit(changed)[0].seen
    assert "345 ns" in check_visit(changed)[0].seen
    restless = factories.record("epoll_loop", "hello", warmup=Warmup(3.0, [1e4, 2e4], False))
    assert [finding.check for finding in check_visit(restless)] == ["never steady"]
    assert check_visit(factories.record("epoll_loop", "hello")) == []


@pytest.mark.parametrize(
    ("times", "severity", "ending"),
    [(1, "mark", "(in 1 of 3 visits)"), (2, "strike", "(in 2 of 3 visits)"), (3, "strike", "of the window")],
)
def test_a_strike_in_fewer_than_half_of_the_visits_is_a_mark(times, severity, ending):
    saturated, healthy = check_window(window(busy_fraction=0.9), 0, 1), check_window(window(), 0, 1)
    (finding,) = over_visits([saturated] * times + [healthy] * (3 - times))
    assert finding.severity == severity
    assert finding.seen.endswith(ending)


def test_strikes_come_first():
    made = check_window(window(busy_fraction=0.9, errors={"reset": 1}), 16, 1)
    assert [finding.severity for finding in over_visits([made[::-1]])] == ["strike", "mark", "mark"]


def options(**changes: object) -> RunOptions:
    return factories.options(**changes)


def test_a_shared_core_and_a_single_visit_are_said_of_the_run():
    assert check_run(options()) == []
    assert [finding.check for finding in check_run(options(driver_cpus=(0,)))] == ["shared core"]
    assert [finding.check for finding in check_run(options(visits={"hello": 1}))] == ["one visit"]
