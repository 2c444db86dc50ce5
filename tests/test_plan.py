"""The plan: blocks that hold every model once, in an order that the seed decides."""

from collections import Counter

import factories
import pytest

from benchmarks import catalogue, plan
from benchmarks.nouns import Variant, served_by, twin_of, variant_of
from benchmarks.questions import Scenario

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
    if max(scenario.open_shares, default=0.0) > 1:
        assert 0.5 in scenario.open_shares  # where standings show the tail
        assert min(scenario.open_shares) <= 0.5 < 1 < max(scenario.open_shares)  # a knee has both sides


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.scenarios()])
def test_what_overloads_comes_last(name):
    scenario = catalogue.scenario(name)
    opened = [level for level in plan.levels(scenario, factories.options()) if level.loop == "open"]
    overloads = [level.share is not None and (level.share >= 1 or level.then_share is not None) for level in opened]
    assert overloads == sorted(overloads)
    shares = (*scenario.open_shares, *scenario.burst_shares)
    assert sum(overloads) == sum(share >= 1 for share in shares) + (scenario.recovery is not None)
    within = [level.share for level in opened if level.share is not None and level.share < 1]
    assert within == sorted(within)


def _quick(**changes):
    quick = plan.PROFILES["quick"]
    all_scenarios = {entry.name: catalogue.scenario(entry.name) for entry in catalogue.scenarios()}
    scenarios = {name: scenario for name, scenario in all_scenarios.items() if scenario.brief}
    visits = {name: quick.visits + quick.extra * scenario.extra_visits for name, scenario in scenarios.items()}
    models = tuple(entry.name for entry in catalogue.models())
    asked = factories.options(
        models=models, visits=visits, scenarios=tuple(scenarios), closed_s=quick.closed_s, open_s=quick.open_s,
        brief=quick.brief, **changes,
    )  # fmt: skip
    return asked, scenarios


def test_the_quick_profile_fits_into_five_minutes():
    asked, scenarios = _quick()
    assert plan.run_s(asked, scenarios) + plan.PROFILES["quick"].requeue_budget_s < 290  # charts take the rest


def test_a_visit_is_estimated_as_the_sum_of_its_parts():
    asked, scenarios = _quick()
    scenario = scenarios["wait"]
    levels = plan.levels(scenario, asked)
    least = sum(asked.closed_s if level.loop == "closed" else asked.open_s for level in levels)
    least += sum(plan.ramp_s(scenario, level.connections) for level in levels if level.loop == "closed")
    assert least + plan.FIXED_S < plan.visit_s(scenario, asked) < least + plan.FIXED_S + 2


def test_with_an_objective_a_search_takes_the_place_of_open_levels():
    asked, scenarios = _quick(objective="p99<=20ms")
    assert {level.loop for level in plan.levels(scenarios["hello"], asked)} == {"closed"}
    stricter, _ = _quick(objective="p99.9<=20ms")
    of_stricter, of_asked = plan.visit_s(scenarios["mixed"], stricter), plan.visit_s(scenarios["mixed"], asked)
    assert of_stricter > of_asked > plan.visit_s(scenarios["mixed"], _quick()[0])  # more requests, longer windows


def test_a_twin_is_visited_in_every_block_as_one_more_and_takes_its_time():
    from dataclasses import replace

    plain = factories.options()
    twinned = replace(plain, twin="epoll_loop")
    blocks = Counter((visit.scenario, visit.block, visit.model) for visit in plan.visits(twinned))
    assert set(blocks.values()) == {1}
    assert {model for _, _, model in blocks} == {*plain.models, twin_of("epoll_loop")}
    assert len({visit.model for visit in plan.visits(twinned) if visit.block == 0 and visit.scenario == "hello"}) == 9
    scenarios = {name: catalogue.scenario(name) for name in plain.scenarios}
    assert plan.run_s(twinned, scenarios) > plan.run_s(plain, scenarios)


def test_a_twin_is_served_by_its_model_and_nobody_else_has_a_tilde():
    assert served_by(twin_of("epoll_loop")) == "epoll_loop" != twin_of("epoll_loop")
    assert all(served_by(entry.name) == entry.name for entry in catalogue.models())


def test_a_variant_is_visited_only_where_it_can_serve():
    from dataclasses import replace

    control, wide = variant_of("epoll_loop", "direct"), variant_of("prefork", "2 workers")
    plain = factories.options()
    options = replace(
        plain,
        models=(*plain.models, control, wide),
        variants={control: Variant(module="somewhere", scenarios=("hello",)), wide: Variant(("--workers", "2"))},
    )
    found = Counter((visit.scenario, visit.model) for visit in plan.visits(options) if visit.block == 0)
    assert found["hello", control] == found["hello", wide] == found["wait", wide] == 1
    assert found["wait", control] == 0
    scenarios = {name: catalogue.scenario(name) for name in plain.scenarios}
    assert plan.run_s(options, scenarios) > plan.run_s(plain, scenarios)
