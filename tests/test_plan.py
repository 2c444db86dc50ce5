"""The plan: what is measured in each replicate, at which levels, in how many rounds of which windows."""

from dataclasses import replace

import factories
import pytest

from benchmarks import catalogue, plan
from benchmarks.nouns import Planned, Variant, aa_arm, measured, served_by, variant_of
from benchmarks.questions import Level, Request, Scenario

SCENARIO = catalogue.scenario("hello")
NAMES = [entry.name for entry in catalogue.scenarios()]


def test_every_replicate_holds_every_scenario_once():
    options = factories.options()
    planned = plan.planned(options)
    assert len(planned) == len(set(planned)) == options.replicates * len(options.scenarios)
    assert {one.replicate for one in planned} == set(range(options.replicates))
    assert plan.planned(options, [7]) == [Planned(name, 7) for name in options.scenarios]


def test_levels_ascend_and_open_ones_come_after_the_closed_that_find_the_peak():
    levels = plan.levels(SCENARIO, factories.options())
    closed = [level.connections for level in levels if level.loop == "closed"]
    assert closed == sorted(closed) == list(SCENARIO.closed)
    assert [level.loop for level in levels] == ["closed"] * len(closed) + ["open"] * (len(levels) - len(closed))
    assert len({level.label for level in levels}) == len(levels)


def test_asked_connections_replace_the_scenarios_own():
    levels = plan.levels(SCENARIO, replace(factories.options(), connections=(8, 2, 8)))
    assert [level.connections for level in levels if level.loop == "closed"] == [2, 8]


def test_churn_asks_each_level_twice():
    levels = plan.levels(catalogue.scenario("churn"), factories.options())
    assert [level.label for level in levels] == ["open 200/s", "open 200/s, new connections"]


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_can_be_planned(name):
    scenario = catalogue.scenario(name)
    assert isinstance(scenario, Scenario)
    assert scenario.question.endswith("?")
    levels = plan.levels(scenario, factories.options())
    assert levels
    if any(level.share is not None for level in levels):
        assert any(level.loop == "closed" for level in levels)  # shares are of a closed rate
    if max(scenario.open_shares, default=0.0) > 1:
        assert min(scenario.open_shares) <= 0.5 < 1 < max(scenario.open_shares)  # a knee has both sides


@pytest.mark.parametrize("name", NAMES)
def test_every_measure_and_prediction_stands_on_levels_that_are_measured(name):
    scenario = catalogue.scenario(name)
    labels = {level.label for level in plan.levels(scenario, factories.options())}
    for first in [*(one.metric for one in scenario.measures), *(one.metric for one in scenario.predictions)]:
        metric = first
        while metric is not None:
            assert not metric.level or metric.level in labels, metric
            metric = metric.by


@pytest.mark.parametrize("name", NAMES)
def test_what_overloads_comes_last_and_is_not_measured_in_rounds(name):
    scenario, options = catalogue.scenario(name), factories.options()
    levels = plan.levels(scenario, options)
    beyond = [level.beyond for level in levels]
    assert beyond == sorted(beyond)
    for level in levels:
        paced = plan.pace(scenario, level, options)
        if level.beyond:
            assert (paced.apart, paced.rounds) == (True, 1)
            assert paced.window_s >= plan.APART_S


@pytest.mark.parametrize("name", NAMES)
def test_windows_hold_what_their_requests_take(name):
    scenario, options = catalogue.scenario(name), factories.options()
    for level in plan.levels(scenario, options):
        paced = plan.pace(scenario, level, options)
        assert paced.rounds >= 1
        if level.loop == "closed" and not scenario.cohorts and not scenario.window_s:
            assert paced.window_s >= min(plan.WAITS * max(scenario.waits_s), plan.WAITS_LIMIT_S)
            assert paced.ramp_s >= scenario.longest_s  # a first answer of each connection, at least


def test_a_queue_is_given_time_to_build_and_a_level_that_needs_too_much_leaves_the_rounds():
    scenario, options = Scenario(Request("/cpu/2"), closed=(1,)), factories.options()
    half, most = Level("open", 64, share=0.5), Level("open", 64, share=0.9)
    ramps = [plan.pace(scenario, level, options, plan.load_of(scenario, level, 0.0)) for level in (half, most)]
    assert ramps[0].ramp_s == pytest.approx(plan.RAMP_S + 3 * scenario.request.work_s / (1 - 0.5**0.5) ** 2)
    assert not ramps[0].apart
    assert ramps[0].window_s >= 2 * ramps[0].ramp_s
    assert ramps[1].apart


def test_the_utilisation_at_a_common_rate_is_known_by_the_peak_or_by_the_work():
    level, hello = Level("open", 64, rate_per_s=300.0), Scenario(Request("/hello"), closed=(1,))
    work = Request("/work?cpu_us=10000", weight=0.1)
    mixed = Scenario(hello.request, closed=(), mix=(replace(hello.request, weight=0.9), work))
    assert plan.load_of(hello, level, 600.0) == 0.5
    assert plan.load_of(hello, level, 100.0) == 0.9
    assert plan.load_of(hello, level, 0.0) == plan.USUAL_LOAD
    assert plan.load_of(mixed, level, 0.0) == pytest.approx(0.3 + plan.OWN_LOAD)


def test_the_level_that_ranks_has_the_time_of_the_profile():
    options = factories.options(level_s=1.0, long_s=0.5)
    ranked, other = Level("closed", 16), Level("closed", 1)
    paced = plan.pace(SCENARIO, ranked, options)
    assert paced.rounds * paced.window_s == pytest.approx(1.0)
    assert paced.long_s == 0.5
    assert plan.pace(SCENARIO, other, options).rounds < paced.rounds


def _profile(name, **changes):
    profile = plan.PROFILES[name]
    every = {entry.name: catalogue.scenario(entry.name) for entry in catalogue.scenarios()}
    scenarios = {name: scenario for name, scenario in every.items() if scenario.quick or not profile.quick}
    models = tuple(entry.name for entry in catalogue.models())
    asked = factories.options(
        models=models, scenarios=tuple(scenarios), replicates=profile.replicates, level_s=profile.level_s,
        long_s=profile.long_s, quick=profile.quick, aa="epoll_loop", **changes,
    )  # fmt: skip
    return asked, scenarios


@pytest.mark.parametrize(("profile", "minutes"), [("quick", 4.75), ("standard", 60)])
def test_the_profiles_take_as_long_as_they_say(profile, minutes):
    assert plan.run_s(*_profile(profile)) < 60 * minutes  # charts take the rest


def test_a_level_is_estimated_as_the_sum_of_its_parts():
    asked, scenarios = _profile("quick")
    scenario = scenarios["wait"]
    (level,) = plan.levels(scenario, asked)
    paced = plan.pace(scenario, level, asked)
    least = paced.rounds * (paced.window_s + paced.ramp_s)
    assert least < plan.level_s(scenario, level, asked) < 2 * least
    assert plan.level_s(scenario, level, asked, replicate=0) == pytest.approx(
        plan.level_s(scenario, level, asked) + max(asked.long_s - paced.window_s, 0.0)
    )


def test_with_an_objective_a_search_takes_the_place_of_open_levels():
    asked, scenarios = _profile("quick", objective="p99<=20ms")
    assert {level.loop for level in plan.levels(scenarios["hello"], asked)} == {"closed"}
    stricter, _ = _profile("quick", objective="p99.9<=20ms")
    lengths = [plan.scenario_s("mixed", scenarios["mixed"], one) for one in (stricter, asked)]
    assert lengths[0] > lengths[1]  # more requests, longer windows


def test_the_aa_arm_is_one_more_and_takes_its_time():
    plain = factories.options()
    doubled = replace(plain, aa="epoll_loop")
    assert measured(doubled) == (*plain.models, aa_arm("epoll_loop"))
    scenarios = {name: catalogue.scenario(name) for name in plain.scenarios}
    assert plan.run_s(doubled, scenarios) > plan.run_s(plain, scenarios)


def test_an_aa_arm_is_served_by_its_model_and_no_model_has_a_tilde():
    assert served_by(aa_arm("epoll_loop")) == "epoll_loop" != aa_arm("epoll_loop")
    assert all(served_by(entry.name) == entry.name for entry in catalogue.models())


def test_a_variant_is_measured_only_where_it_can_serve():
    baseline, wide = variant_of("epoll_loop", "direct"), variant_of("prefork", "2 workers")
    plain = factories.options()
    options = replace(
        plain,
        models=(*plain.models, baseline, wide),
        variants={baseline: Variant(module="somewhere", scenarios=("hello",)), wide: Variant(("--workers", "2"))},
    )
    assert {baseline, wide} <= set(measured(options, "hello"))
    assert baseline not in measured(options, "wait")
    assert wide in measured(options, "wait")


def test_scenarios_that_would_disturb_their_neighbours_say_why_they_are_measured_alone():
    options = factories.options()
    alone = {name for name in NAMES if plan.is_alone(catalogue.scenario(name), options)}
    assert alone == {"cold_start", "idle", "memory", "slow_clients"}
    shared = replace(options, database="postgresql://x")
    assert {name for name in NAMES if plan.is_alone(catalogue.scenario(name), shared)} - alone == {
        "rest", "rest-pool1", "rest-nopool",
    }  # fmt: skip
