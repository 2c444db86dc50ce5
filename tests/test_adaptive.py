"""Adaptive runs: they stop by width, budget or maximum, add whole replicates, and find nothing by looking often."""

import math
import random
from dataclasses import replace

import factories
import pytest

from benchmarks import adaptive, conduct, plan, record
from benchmarks.adaptive import Addition, Enough, addition, widest
from benchmarks.analyse import conditions, summarise
from benchmarks.journal import Journal
from benchmarks.nouns import Planned, aa_arm, measured
from benchmarks.questions import Level

LEVEL = Level("closed", 16)
MODELS = ("epoll_loop", "gevent_greenlets", "select_loop")
REPLICATE_S = 40.0


def run(precision=0.03, budget_s=1e6, **changes):
    """A run of a few models in one scenario, or as the changes say."""
    chosen = {"models": MODELS, "scenarios": ("cpu",), "replicates": 3} | changes
    made = factories.run(**chosen, precision=precision, budget_s=budget_s)
    return replace(made, scenarios={name: made.scenarios[name] for name in chosen["scenarios"]})


class Machine:
    """A machine on which a scenario takes 40 s in each replicate, and every model is as fast as `speed` says, give or take the
    noise from one replicate to the next."""

    def __init__(self, seed, noise=0.03, speed=None):
        self.chance, self.noise, self.speed, self.now_s = random.Random(seed), noise, speed or {}, 0.0

    def record(self, options, planned):
        self.now_s += REPLICATE_S
        trials = []
        for model in measured(options, planned.scenario):
            pace = self.speed.get(model, 1.0) * math.exp(self.chance.gauss(0, self.noise))
            one = factories.measurement(model, planned.scenario, LEVEL, planned.replicate, pace, kind="epoll_loop")
            trials.append(factories.trial(model, planned.scenario, planned.replicate, [one]))
        return factories.record(planned.scenario, planned.replicate, trials, seconds=REPLICATE_S)


class Imagined(conduct.Run):
    """The real session of a run, on an imagined machine."""

    def __init__(self, facts, folder, machine):
        super().__init__(record.RunFiles(facts, [], {}, Journal().begun(), []), folder, self)
        self.machine, self.said = machine, []

    def _measure(self, left, _engine):
        for planned in left:
            assert planned in self.planned, "it was not written down first"
            self._keep(self.machine.record(self.options, planned))

    def expect(self, planned, seconds): ...
    def done(self, made): ...

    def adding(self, why):
        self.said.append(why)


@pytest.fixture
def through(tmp_path, monkeypatch):
    """Takes a run to its end; the session, what was added, and why no more was."""

    def make(facts, machine):
        monkeypatch.setattr("benchmarks.conduct.time.monotonic", lambda: machine.now_s)
        monkeypatch.setattr("os.fsync", lambda _: None)  # nothing here need survive a crash
        session = Imagined(facts, tmp_path / str(random.random()), machine)
        session._measure(session.left(), None)
        session._add_replicates(facts.options.precision, None)
        return session, session.journal.added, session.said[-1]

    return make


def test_it_stops_when_every_interval_is_narrow_and_not_before(through):
    facts = run()
    session, added, why = through(facts, Machine(seed=1))
    assert added
    assert why == "every ratio is known to ±3.0%"
    assert widest(summarise(facts, session.records, {}))["cpu"] <= 0.03
    before = [made for made in session.records if made.replicate < added[-1].replicate]
    assert widest(summarise(facts, before, {}))["cpu"] > 0.03


def test_a_quiet_machine_needs_no_more_than_the_plan(through):
    _, added, why = through(run(precision=0.1), Machine(seed=1, noise=0.002))
    assert not added
    assert why == "every ratio is known to ±10%"


def test_what_is_added_is_whole_replicates_each_once(through):
    session, added, _ = through(run(), Machine(seed=2))
    assert [one.replicate for one in added] == list(range(3, 3 + len(added)))
    assert all({trial.model for trial in made.trials} == set(MODELS) for made in session.records)
    assert record.read(record_folder(session)).records == sorted(session.records, key=lambda made: made.started_at)


def record_folder(session):
    """The session's folder, made one that can be read."""
    record.write(session.folder / "run.json", session.run)
    return session.folder


def test_the_same_records_give_the_same_addition(through):
    assert through(run(), Machine(seed=3))[1:] == through(run(), Machine(seed=3))[1:]


def test_it_stops_when_the_budget_is_spent(through):
    session, added, why = through(run(precision=0.0001, budget_s=3.5 * REPLICATE_S), Machine(seed=1))
    assert why.startswith("the budget is spent; the widest interval is ±")
    assert len(added) in (2, 3)  # each takes its servers' start, too
    assert len(session.records) == 3 + len(added)


def test_it_stops_at_the_most_replicates(through, monkeypatch):
    monkeypatch.setattr(adaptive, "MOST_REPLICATES", 5)
    _, added, _ = through(run(precision=0.0001), Machine(seed=1))
    assert [one.replicate for one in added] == [3, 4]


def test_what_earlier_sessions_added_is_of_the_same_budget(through):
    session, added, _ = through(run(precision=0.0001, budget_s=2.5 * REPLICATE_S), Machine(seed=1))
    assert added
    session._add_replicates(0.0001, None)
    assert session.journal.added == added


def test_one_replicate_knows_no_width_and_is_given_company(through):
    session, added, why = through(run(replicates=1, precision=0.1), Machine(seed=3))
    assert session.said[0] == "the widest interval is not known yet, in cpu"
    assert added[0] == Planned("cpu", 1)
    assert "every ratio" in why


def test_a_model_alone_is_compared_with_its_own_aa_arm(through):
    facts = run(models=("epoll_loop",), aa="epoll_loop")
    session, added, why = through(facts, Machine(seed=8))
    assert added
    assert "every ratio" in why
    assert {trial.model for made in session.records for trial in made.trials} == {"epoll_loop", aa_arm("epoll_loop")}


def test_of_equal_models_no_more_are_called_different_than_chance_allows(through):
    """The rank of three equal models must be 1 but in 5% of the runs, however often it was looked; bound: 4 sigma above."""
    runs, called, looks = 12, 0, 0
    facts = run(precision=0.045)
    for seed in range(runs):
        session, added, _ = through(facts, Machine(seed=1000 + seed))
        looks += 1 + len(added)
        called += any(one.rank != 1 for one in summarise(facts, session.records, {}).scenarios[0].standings)
    assert looks > 3 * runs
    assert called <= 0.05 * runs + 4 * math.sqrt(0.05 * 0.95 * runs)


# ---------------------------------------------------------------- which scenarios


def standing(model, width, **changes):
    """A standing whose ratio is known so well."""
    return replace(factories.standing(model, **changes), ratio=factories.estimate(1.0, width))


def summary(**widths):
    """A run of a scenario for each name, with two models whose ratio is known so well."""
    return factories.run_summary(
        [
            factories.scenario_summary(name, [standing("epoll_loop", 0.0), standing("select_loop", width)])
            for name, width in widths.items()
        ]
    )


def asked(made, left_s=1e6, replicates=3, **changes):
    """What is added to a run of 10 s a scenario and replicate."""
    names = [one.scenario for one in made.scenarios]
    planned = plan.planned(factories.options(scenarios=tuple(names), replicates=replicates))
    return addition(made, 0.05, left_s, dict.fromkeys(names, 10.0), planned, **changes)


def test_only_scenarios_whose_intervals_are_too_wide_get_more():
    found = asked(summary(hello=0.2, wait=0.04, cpu=0.3))
    assert isinstance(found, Addition)
    assert found.planned == [Planned("cpu", 3), Planned("hello", 3)]
    assert found.why == "the widest interval is ±30%, in cpu"
    assert asked(summary(hello=0.2, cpu=0.3), given_up={"cpu"}).planned == [Planned("hello", 3)]


def test_a_budget_that_does_not_suffice_for_all_goes_to_the_widest():
    assert asked(summary(hello=0.2, cpu=0.3), left_s=15.0).planned == [Planned("cpu", 3)]
    assert isinstance(asked(summary(hello=0.2, cpu=0.3), left_s=5.0), Enough)


def test_a_model_that_failed_or_is_not_believed_asks_for_nothing():
    failed = standing("thread_pool", 0.5, failed="it did not start")
    failed = replace(failed, ratio=None)
    invalid = standing("prefork", 0.5, invalid="the engine was the limit")
    made = factories.run_summary([factories.scenario_summary("hello", [standing("epoll_loop", 0.01), failed, invalid])])
    assert widest(made) == {"hello": pytest.approx(0.01)}
    assert isinstance(asked(made), Enough)


def test_a_summary_says_what_was_asked_for_beyond_the_plan():
    facts = run(precision=0.05, budget_s=90.0, replicates=1)
    assert "1 replicate of all models, more until ±5.0% or for 1.5 min" in conditions(facts, {})
    assert "1 replicate of all models · " in conditions(run(precision=None, replicates=1), {})
