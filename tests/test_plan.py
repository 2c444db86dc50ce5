"""The plan: blocks that hold every model once, in an order that the seed decides."""

from collections import Counter

import factories
import pytest

from benchmarks import catalogue, plan
from benchmarks.nouns import Scenario

SCENARIO = catalogue.scenario("hello")


def test_every_block_holds_every_model_once():
    options = factories.options()
    blocks = Counter((visit.scenario, visit.block, visit.model) for visit in plan.visits(options))
    assert set(blocks.values()) == {1}
    assert len(blocks) == len(options.models) * sum(options.visits.values())


def test_the_seed_decides_the_order():
    from dataclasses import replace

    options = factories.options()
    assert plan.visits(options) == plan.visits(options)
    assert plan.visits(options) != plan.visits(replace(options, seed=options.seed + 1))


def test_a_block_is_visited_without_interruption_and_scenarios_alternate():
    visits = plan.visits(factories.options())
    runs = [visits[0]]
    for visit in visits:
        if (visit.scenario, visit.block) != (runs[-1].scenario, runs[-1].block):
            runs.append(visit)
    assert len(runs) == len({(visit.scenario, visit.block) for visit in visits})
    assert len({visit.scenario for visit in runs[:3]}) > 1


def test_levels_ascend_and_open_ones_come_after_the_closed_that_find_the_peak():
    levels = plan.levels(SCENARIO, factories.options())
    closed = [level.connections for level in levels if level.loop == "closed"]
    assert closed == sorted(closed) == list(SCENARIO.closed)
    assert [level.loop for level in levels] == ["closed"] * len(closed) + ["open"] * (len(levels) - len(closed))
    assert len({level.label for level in levels}) == len(levels)


def test_asked_connections_replace_the_scenarios_own():
    from dataclasses import replace

    levels = plan.levels(SCENARIO, replace(factories.options(), connections=(8, 2, 8)))
    assert [level.connections for level in levels if level.loop == "closed"] == [2, 8]


def test_a_requeued_visit_stays_in_its_block_under_a_new_number():
    visit = plan.visits(factories.options())[0]
    again = plan.repeat(visit, taken=7)
    assert (again.model, again.scenario, again.block) == (visit.model, visit.scenario, visit.block)
    assert (again.number, again.attempt) == (7, 1)


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.scenarios()])
def test_every_scenario_can_be_planned(name):
    scenario = catalogue.scenario(name)
    assert isinstance(scenario, Scenario)
    assert scenario.question.endswith("?")
    assert scenario.closed
    assert all(0 < share < 1 for share in scenario.open_shares)
