"""Adaptive runs: they stop by width, budget or maximum, spend where it is undecided, and find nothing by looking often."""

import math
import random
from dataclasses import replace

import factories
import pytest

from benchmarks import adaptive, plan
from benchmarks.adaptive import Addition, Enough, choose, first_ties, next_block, ties, weigh
from benchmarks.amounts import half_width
from benchmarks.analyse import conditions, summarise
from benchmarks.nouns import Failure, twin_of, variant_of
from benchmarks.questions import Level
from benchmarks.summaries import Estimate, Standing

LEVEL = Level("closed", 16)
MODELS = ("epoll_loop", "gevent_greenlets", "select_loop")


def run(precision=0.05, budget_s=1e6, **changes):
    """A run of a few models in one scenario, or as the changes say."""
    chosen = {"models": MODELS, "scenarios": ("cpu",), "visits": {"cpu": 3}, "requeue_budget_s": 0.0} | changes
    made = factories.run(**chosen, precision=precision, budget_s=budget_s)
    return replace(made, scenarios={name: made.scenarios[name] for name in chosen["scenarios"]})


class Machine:
    """A machine on which every visit takes 4 s, and every model is as fast as `speed` says, give or take the noise."""

    def __init__(self, seed, noise=0.04, speed=None):
        self.chance, self.noise, self.speed = random.Random(seed), noise, speed or {}

    def visit(self, visit):
        pace = self.speed.get(visit.model, 1.0) * math.exp(self.chance.gauss(0, self.noise))
        window = factories.window("epoll_loop", visit.scenario, LEVEL, seed=self.chance.randrange(10**6), pace=pace)
        made = factories.record("epoll_loop", visit.scenario, visit.block)
        return replace(made, plan=visit, windows=[window], seconds=4.0)


def through(facts, machine, most=200):
    """The whole run: its records, the blocks that were added and why no more were."""
    planned = plan.visits(facts.options)
    records = [machine.visit(visit) for visit in planned]
    tied, spent_s, added = first_ties(facts, records), 0.0, []
    for _ in range(most):
        found = next_block(facts, records, planned, spent_s, tied)
        if isinstance(found, Enough):
            return records, added, found.why
        added.append(found)
        planned += found.visits
        records += [machine.visit(visit) for visit in found.visits]
        spent_s += 4.0 * len(found.visits) + plan.BLOCK_S
    raise AssertionError("it never ended")


def widest(facts, records):
    """The widest interval of a run, by its precision."""
    found = adaptive.widths(summarise(facts, records, {}), facts.options.precision, facts.options.twin)
    return max(need for needs in found.values() for need in needs.values())


def test_it_stops_when_every_interval_is_narrow_and_not_before():
    facts = run()
    records, added, why = through(facts, Machine(seed=1))
    assert added
    assert "every interval is within ±5.0%" in why
    assert widest(facts, records) <= 1
    before = len(records) - len(added[-1].visits)
    assert widest(facts, records[:before]) > 1


def test_a_quiet_machine_needs_no_more_than_the_plan():
    _, added, why = through(run(precision=0.1), Machine(seed=1, noise=0.002))
    assert not added
    assert "within" in why


def test_it_stops_when_the_budget_is_spent():
    facts = run(precision=0.001, budget_s=40.0)
    _, added, why = through(facts, Machine(seed=1))
    assert "budget is spent" in why
    assert 0 < sum(4 * len(block.visits) + plan.BLOCK_S for block in added) <= 40


def test_it_stops_at_the_most_blocks(monkeypatch):
    monkeypatch.setattr(adaptive, "MOST_BLOCKS", 5)
    _, added, why = through(run(precision=0.001), Machine(seed=1))
    assert [block.visits[0].block for block in added] == [3, 4]
    assert "5 blocks at most" in why


def test_no_visit_is_planned_twice_and_the_same_records_give_the_same_block():
    facts = run()
    records, added, _ = through(facts, Machine(seed=2))
    named = [(one.plan.model, one.plan.scenario, one.plan.number) for one in records]
    assert len(named) == len(set(named))
    assert added == through(facts, Machine(seed=2))[1]


def test_a_twin_is_visited_whenever_its_model_is():
    facts = run(models=("epoll_loop",), twin="epoll_loop")
    records, added, why = through(facts, Machine(seed=8))
    assert added
    assert all({v.model for v in block.visits} == {"epoll_loop", twin_of("epoll_loop")} for block in added)
    assert "within" in why
    found = summarise(facts, records, {}).scenarios[0].twin
    assert half_width(found) <= 0.05


def test_a_single_visit_each_knows_no_width_and_is_given_company():
    facts = run(visits={"cpu": 1})
    _, added, why = through(facts, Machine(seed=3))
    assert added[0].why == "the widest interval is not known yet, in cpu"
    assert {visit.model for visit in added[0].visits} == set(MODELS)
    assert "within" in why


def test_the_time_goes_to_the_scenario_and_the_models_that_are_undecided():
    models = (*MODELS, "asyncio_streams", "thread_pool")
    speed = {"asyncio_streams": 0.7, "thread_pool": 0.4}
    facts = run(models=models, precision=0.02, budget_s=200.0)
    records, added, _ = through(facts, Machine(seed=4, noise=0.03, speed=speed))
    assert [sorted(chain) for chain in first_ties(facts, records)["cpu"]] == [sorted(MODELS)]
    made = {model: sum(one.plan.model == model for one in records) for model in models}
    assert min(made[model] for model in MODELS) > max(made["asyncio_streams"], made["thread_pool"])
    assert all(len(block.visits) >= 2 for block in added)


def test_later_visits_do_not_change_what_was_undecided():
    facts = run()
    machine = Machine(seed=5)
    records, _, _ = through(facts, machine)
    first = [one for one in records if one.plan.block < 3]
    assert first_ties(facts, records) == first_ties(facts, first)


def test_a_model_that_fails_and_one_whose_number_is_not_believed_ask_for_nothing():
    facts = run(precision=0.001)
    machine = Machine(seed=6)
    planned = plan.visits(facts.options)
    records = [machine.visit(visit) for visit in planned]
    failed = [
        replace(one, windows=[], failure=Failure("launch", "no", "")) if one.plan.model == "select_loop" else one
        for one in records
    ]
    found = next_block(facts, failed, planned, 0.0, {})
    assert {visit.model for visit in found.visits} == set(MODELS) - {"select_loop"}
    left_out = next_block(facts, records, planned, 0.0, {}, {("select_loop", "cpu")})
    assert {visit.model for visit in left_out.visits} == set(MODELS) - {"select_loop"}
    busy = [
        replace(one, windows=[replace(w, load=replace(w.load, busy_fraction=0.99)) for w in one.windows])
        if one.plan.model == "select_loop"
        else one
        for one in records
    ]
    found = next_block(facts, busy, planned, 0.0, {})
    assert isinstance(found, Addition)
    assert {visit.model for visit in found.visits} == set(MODELS) - {"select_loop"}


def standing(model, rank):
    some = Estimate(1.0, 0.9, 1.1, [1.0])
    return Standing(model, rank, some, "closed 1", some, None, [], "", "")


@pytest.mark.parametrize(
    ("ranks", "chains"),
    [
        ([1, 1, 3], [[0, 1]]),
        ([1, 1, 2], [[0, 1, 2]]),  # the third is worse than the first beyond doubt, but not than the second
        ([1, 2, 3], []),
        ([1, 2, 2, 4, 4], [[1, 2], [3, 4]]),
        ([None, None], [[0, 1]]),
        ([], []),
    ],
)
def test_ties_are_chains_of_neighbours(ranks, chains):
    found = ties([standing(str(place), rank) for place, rank in enumerate(ranks)])
    assert found == [[str(place) for place in chain] for chain in chains]


def test_a_block_holds_whole_ties_and_never_one_alone():
    needs = {"a": 2.0, "b": 1.1, "c": 0.5, "d": 0.2}
    assert choose(needs, []) == ["a", "b"]
    assert choose(needs, [["a", "d"]]) == ["a", "b", "d"]
    assert choose({"a": 2.0, "b": 1.9, "c": 0.1}, [["b", "c"]]) == ["a", "b", "c"]
    assert choose({"a": 2.0}, []) == ["a"]
    assert choose({"a": math.inf, "b": 1.0, "c": math.inf}, []) == ["a", "c"]
    assert set(choose({"a": 3.0, "b": 2.9, "c": 1.0, twin_of("a"): 0.5}, [])) == {"a", "b", twin_of("a")}
    varied = variant_of("a", "2 workers")
    assert choose({"a": 3.0, "b": 2.9, varied: 1.0}, []) == ["a", "b"]  # no twin: it is compared with everybody
    assert weigh({"a": 1.0, "b": 1.0}, [["b", "c"]]) == {"a": 1.0, "b": adaptive.TIED}


def test_of_equal_models_no_more_are_called_different_than_chance_allows():
    """The rank of three equal models must be 1 but in 5% of the runs, however often it was looked; bound: 4 sigma above."""
    runs, called, looks = 16, 0, 0
    facts = run(precision=0.04)
    for seed in range(runs):
        records, added, _ = through(facts, Machine(seed=1000 + seed, noise=0.035))
        looks += 1 + len(added)
        called += any(s.rank != 1 for s in summarise(facts, records, {}).scenarios[0].standings)
    assert looks > 3 * runs
    assert called <= 0.05 * runs + 4 * math.sqrt(0.05 * 0.95 * runs)


def test_a_summary_says_what_was_asked_for_beyond_the_plan():
    facts = run(precision=0.05, budget_s=90.0, visits={"cpu": 1})
    assert "1 visit of each model, more until ±5.0% or for 1.5 min" in conditions(facts, {})
    assert "one visit" not in {finding.check for finding in summarise(facts, [], {}).findings}
    assert "1 visit of each model · " in conditions(run(precision=None, visits={"cpu": 1}), {})
    assert "one visit" in {finding.check for finding in summarise(run(precision=None, visits={"cpu": 1}), [], {}).findings}
