"""What remains of a plan: what has no record, and what has one with a failure."""

from dataclasses import replace

import factories

from benchmarks import plan
from benchmarks.nouns import Failure, Planned
from benchmarks.remaining import failed, refused, remaining


def made(planned, stage=""):
    blank = replace(factories.records()[0], scenario=planned.scenario, replicate=planned.replicate)
    failure = Failure(stage, "no", "") if stage else None
    return replace(blank, trials=[replace(blank.trials[0], measurements=[], failure=failure), *blank.trials[1:]])


def test_of_a_fresh_run_everything_remains_and_of_a_whole_one_nothing():
    planned = plan.planned(factories.options())
    assert remaining(planned, []) == planned
    assert remaining(planned, [made(one) for one in planned]) == []


def test_what_is_missing_and_what_failed_remains_in_the_plans_order():
    planned = [Planned("hello", number) for number in range(3)]
    assert remaining(planned, [made(planned[0]), made(planned[2], "load")]) == planned[1:]


def test_a_model_that_was_refused_is_not_measured_again():
    planned = Planned("hello", 0)
    assert not failed(made(planned, "check"))
    assert remaining([planned], [made(planned, "check")]) == []
    assert remaining([planned], [made(planned, "check")], {"another"}) == []


def test_a_model_that_was_refused_is_measured_when_it_is_mended():
    planned = Planned("hello", 0)
    model = made(planned).trials[0].model
    assert refused([made(planned, "check")]) == {model}
    assert refused([made(planned, "load"), made(planned)]) == set()
    assert remaining([planned], [made(planned, "check")], {model}) == [planned]
