"""What a level becomes for the load engine."""

from dataclasses import replace

import factories
import pytest

from benchmarks import asking, histogram, plan
from benchmarks.nouns import ClassResult, Histogram, Measurement
from benchmarks.questions import Level, Request, Scenario

HELLO, WORK = Request("/hello", weight=0.95, label="hello"), Request("/cpu/20", weight=0.05, label="work")
MIXED = Scenario(HELLO, mix=(HELLO, WORK), closed=(1, 16))
WAIT = Scenario(Request("/wait/10"), closed=(16,), wait_s=0.01)


def answered(hellos: int, works: int) -> Measurement:
    """Closed windows of a loop on which hello takes 0.1 ms and work 20, each served in turn."""
    label = {"hello": [100_000] * hellos, "work": [20_000_000] * works}
    response = {name: histogram.from_values(times) for name, times in label.items()}
    one = factories.measurement("epoll_loop", "hello", Level("closed", 1))
    classes = {
        name: ClassResult(len(times), len(times), 0, response[name], response[name], Histogram())
        for name, times in label.items()
    }
    return replace(one, load=replace(one.load, seconds=hellos * 1e-4 + works * 2e-2, completed=hellos + works, classes=classes))


@pytest.mark.parametrize(("hellos", "works"), [(285, 15), (290, 10), (278, 22)])
def test_the_peak_of_a_mix_does_not_depend_on_how_many_long_requests_were_drawn(hellos: int, works: int) -> None:
    made = answered(hellos, works)
    declared_s = 0.95 * 1e-4 + 0.05 * 2e-2
    drawn_per_s = made.load.completed / made.load.seconds
    assert drawn_per_s * asking.in_proportion(MIXED, made) == pytest.approx(1 / declared_s, rel=1e-3)


def test_where_the_rarest_kind_did_not_come_its_length_is_not_guessed() -> None:
    assert asking.in_proportion(MIXED, answered(300, 0)) == 1.0


def test_the_ramps_of_waiting_requests_differ_by_up_to_one_wait() -> None:
    options, level = factories.options(), Level("closed", 16)
    paced = plan.pace(WAIT, level, options)
    ramps = [asking.drive(WAIT, level, options, paced, None, seed).ramp_s - paced.ramp_s for seed in range(200)]
    assert 0 <= min(ramps) < 0.001 < 0.009 < max(ramps) <= WAIT.wait_s


def test_arrivals_go_on_through_the_drain_of_a_level_that_can_be_served() -> None:
    options = factories.options()
    for level, goes_on in (
        (Level("open", 64, share=0.5), True),
        (Level("open", 64, share=2.0), False),
        (Level("closed", 4), False),
    ):
        drive = asking.drive(MIXED, level, options, plan.pace(MIXED, level, options), 100.0, 1)
        assert drive.sustain is goes_on


def test_the_models_of_a_round_meet_the_same_arrivals_and_other_rounds_others() -> None:
    options = factories.options()
    seeds = {
        asking.seed_of(options, "hello", replicate, f"closed 16 {number}") for replicate in range(3) for number in range(9)
    }
    assert len(seeds) == 27
    assert asking.seed_of(options, "hello", 1, "x") == asking.seed_of(options, "hello", 1, "x")
