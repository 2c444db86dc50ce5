"""What a level becomes for the load engine: here, what its share is of."""

from dataclasses import replace

import factories
import pytest

from benchmarks import asking, histogram
from benchmarks.nouns import ClassResult, Histogram, Window
from benchmarks.questions import Level, Request, Scenario

HELLO, WORK = Request("/hello", weight=0.95, label="hello"), Request("/cpu/20", weight=0.05, label="work")
MIXED = Scenario(HELLO, mix=(HELLO, WORK), closed=(1, 16))


def answered(hellos: int, works: int, connections: int = 1) -> Window:
    """A closed window of a loop on which hello takes 0.1 ms and work 20, each served in turn."""
    label = {"hello": [100_000] * hellos, "work": [20_000_000] * works}
    response = {name: histogram.from_values(times) for name, times in label.items()}
    seconds = (hellos * 1e-4 + works * 2e-2) / connections
    one = factories.window("epoll_loop", "hello", Level("closed", connections))
    empty = Histogram()
    classes = {
        name: ClassResult(len(times), len(times), 0, response[name], response[name], empty) for name, times in label.items()
    }
    return replace(one, load=replace(one.load, seconds=seconds, completed=hellos + works, classes=classes))


def test_the_peak_is_the_best_closed_level() -> None:
    windows = [factories.window("epoll_loop", "hello", level) for level in factories.levels("hello")]
    best = max(w.load.completed / w.load.seconds for w in windows if w.level.loop == "closed")
    assert asking.peak_per_s(factories.SCENARIOS["hello"], windows) == best


def test_without_a_closed_level_there_is_none() -> None:
    assert asking.peak_per_s(MIXED, []) == 0.0


@pytest.mark.parametrize(("hellos", "works"), [(285, 15), (290, 10), (278, 22)])
def test_the_peak_of_a_mix_does_not_depend_on_how_many_long_requests_were_drawn(hellos: int, works: int) -> None:
    declared_s = 0.95 * 1e-4 + 0.05 * 2e-2
    assert asking.peak_per_s(MIXED, [answered(hellos, works)]) == pytest.approx(1 / declared_s, rel=1e-3)


def test_where_the_rarest_kind_did_not_come_its_length_is_not_guessed() -> None:
    assert asking.peak_per_s(MIXED, [answered(300, 0)]) == pytest.approx(1 / 1e-4)
