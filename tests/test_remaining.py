"""What remains of a plan: missing and failed visits once more, disturbed ones once, and never a number twice."""

from dataclasses import replace

import factories

from benchmarks import plan
from benchmarks.nouns import Failure, VisitPlan
from benchmarks.remaining import blocks, numbered, remaining, to_repeat


def visit(block=0, number=0, attempt=0, model="epoll_loop"):
    return VisitPlan(model, "hello", block, number, attempt)


def made(planned, failed=False, shaken=False):
    blank = replace(factories.record("epoll_loop", "hello"), windows=[], weather_changed=shaken)
    return replace(blank, plan=planned, failure=Failure("load", "no", "") if failed else None)


def shaken(record):
    return record.weather_changed


def test_of_a_fresh_run_everything_remains_and_of_a_whole_one_nothing():
    planned = plan.visits(factories.options())
    assert remaining(planned, []) == planned
    assert remaining(planned, [made(one) for one in planned]) == []


def test_what_is_missing_keeps_its_plan_and_what_failed_is_another_attempt():
    planned = [visit(0, 0), visit(1, 1), visit(2, 2)]
    records = [made(planned[0]), made(planned[2], failed=True), made(visit(2, 3, attempt=1), failed=True)]
    assert remaining(planned, records) == [visit(1, 1), visit(2, 2, attempt=2)]


def test_a_visit_that_succeeded_once_is_done():
    records = [made(visit(0, 0), failed=True), made(visit(0, 1, attempt=1))]
    assert remaining([visit(0, 0)], records) == []


def test_a_disturbed_visit_is_repeated_once():
    records = [made(visit(0, 0), shaken=True), made(visit(1, 1)), made(visit(2, 2), shaken=True)]
    assert to_repeat(records, shaken) == [visit(0, 0), visit(2, 2)]
    assert to_repeat([*records, made(visit(0, 3, attempt=1), shaken=True)], shaken) == [visit(2, 2)]
    assert to_repeat([*records, made(visit(0, 3, attempt=1))], shaken) == [visit(2, 2)]


def test_a_failed_visit_is_no_disturbed_one():
    assert to_repeat([made(visit(0, 0), failed=True, shaken=True)], shaken) == []


def test_no_record_is_written_over_and_no_planned_number_is_taken():
    planned = [visit(0, 0), visit(1, 1), visit(2, 2)]
    assert numbered(visit(1, 1), [made(visit(0, 0))], planned) == visit(1, 1)
    assert numbered(visit(0, 0, attempt=1), [made(visit(0, 0))], planned) == visit(0, 3, attempt=1)
    records = [made(visit(0, 0)), made(visit(0, 5, attempt=1))]
    assert numbered(visit(0, 0, attempt=2), records, planned).number == 6
    assert numbered(visit(0, 0), [made(visit(0, 0, model="prefork"))], planned) == visit(0, 0)


def test_blocks_are_runs_of_one_scenario_and_block():
    planned = plan.visits(factories.options())
    found = blocks(planned)
    assert [one for block in found for one in block] == planned
    assert {len({(one.scenario, one.block) for one in block}) for block in found} == {1}
    assert len(found) == sum(factories.VISITS.values())
