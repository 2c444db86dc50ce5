"""When loops sweep: in time for each deadline, and never when there is none. Time passes when a test says so."""

import math
import random
from dataclasses import dataclass, field

import pytest

from servers import _conversing
from servers._conversing import REST_S, SLACK_S, SWEEP_S, CoarseDeadlines, Deadlines, Talk
from servers._steps import Receive, Send, Step, Wait

SEND_S = 15.0
LATE_S = 1.0  # what the steps promise


class FakeTalk(Talk):
    """A conversation without a socket."""

    def __init__(self, step: Step | None, since_s: float) -> None:
        self.step, self.since_s = step, since_s


@dataclass
class Clock:
    """Stands for the module `time`."""

    now_s: float = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_conversing, "time", clock)
    return clock


@dataclass
class Loop:
    """A loop without any clock of its own, whose conversations begin steps and are given up; it counts how often it woke."""

    clock: Clock
    talks: list[FakeTalk] = field(default_factory=list)
    given_up: list[tuple[FakeTalk, float]] = field(default_factory=list)
    wakes: int = 0
    wake_at_s: float = math.inf

    def __post_init__(self) -> None:
        self.deadlines = CoarseDeadlines(self.wake)

    def wake(self, after_s: float) -> None:
        assert after_s >= 0
        self.wake_at_s = self.clock.now_s + after_s

    def begin(self, step: Step) -> FakeTalk:
        """A conversation begins a step now, as the models do it."""
        limit_s = step.limit_s if isinstance(step, Receive) else SEND_S
        if limit_s < self.deadlines.least_s:
            self.deadlines.expect(limit_s)
        self.talks.append(FakeTalk(step, self.deadlines.now_s))
        return self.talks[-1]

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self.wake_at_s <= until_s:
            self.clock.now_s = max(self.clock.now_s, self.wake_at_s)
            self.wakes += 1
            for talk in self.deadlines.tick(self.talks, SEND_S):
                self.talks.remove(talk)
                self.given_up.append((talk, self.clock.now_s))
        self.clock.now_s = until_s


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_given_up_early_or_more_than_a_second_late(clock: Clock, seed: int) -> None:
    chance, loop, ends = random.Random(seed), Loop(clock), {}
    for _ in range(400):
        loop.run(clock.now_s + chance.choice((0.0, 0.001, 0.1, 0.4, 3.0)))
        kind = chance.random()
        step: Step = Send(b"") if kind < 0.1 else Receive(chance.choice((0.05, 0.4, 10.0, 15.0)), idle=True)
        begun_s = clock.now_s
        talk = loop.begin(step)
        ends[talk] = begun_s + (step.limit_s if isinstance(step, Receive) else SEND_S)
        if kind > 0.5 and loop.talks:  # somebody goes on in time
            loop.talks.remove(gone := chance.choice(loop.talks))
            del ends[gone]
    loop.run(clock.now_s + 20)
    assert {talk for talk, _ in loop.given_up} == set(ends)
    lateness_s = [at_s - ends[talk] for talk, at_s in loop.given_up]
    assert min(lateness_s) >= 0
    assert max(lateness_s) <= LATE_S


def test_an_idle_loop_wakes_once_after_the_last_step_and_then_when_a_deadline_is_over(clock: Clock) -> None:
    loop = Loop(clock)
    for _ in range(64):
        loop.begin(Receive(15.0, idle=True))
        clock.now_s += 0.001
    loop.run(clock.now_s + SWEEP_S)
    assert loop.wakes == 1
    loop.run(clock.now_s + 14)
    assert loop.wakes == 1
    loop.run(clock.now_s + 2)
    assert len(loop.given_up) == 64
    assert loop.wakes <= 3


def test_a_busy_loop_sweeps_as_seldom_as_its_clients_may_be_silent(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, sweeps = Loop(clock), []
    sweep = CoarseDeadlines.overdue
    monkeypatch.setattr(CoarseDeadlines, "overdue", lambda *given: sweeps.append(clock.now_s) or sweep(*given))  # type: ignore[func-returns-value]
    for _ in range(600):
        loop.talks.clear()
        loop.begin(Receive(15.0, idle=True))
        loop.run(clock.now_s + 0.1)
    assert len(sweeps) == 3  # in 60 s
    assert loop.wakes <= 60 / SWEEP_S + 1


def test_nothing_is_looked_at_where_nothing_has_a_deadline(clock: Clock) -> None:
    loop = Loop(clock)
    loop.begin(Receive(None))
    assert loop.wake_at_s == math.inf
    loop.talks.append(FakeTalk(Wait(timeout_s=1.0), clock.now_s))
    loop.begin(Receive(0.5))
    loop.run(clock.now_s + 2.0)
    wakes = loop.wakes
    loop.run(clock.now_s + REST_S - 3.0)
    assert loop.wakes == wakes


def test_who_took_some_bytes_has_its_time_from_then(clock: Clock) -> None:
    """A Send begun anew long after the clock stood still must not be taken for an old one."""
    loop = Loop(clock)
    talk = loop.begin(Send(b""))
    loop.run(clock.now_s + 10)
    loop.talks.remove(talk)
    loop.begin(Send(b""))
    loop.run(clock.now_s + 14.9)
    assert loop.given_up == []
    loop.run(clock.now_s + 1.1)
    assert len(loop.given_up) == 1


def test_a_loop_that_reads_the_clock_itself_is_told_when_to_sweep(clock: Clock) -> None:
    deadlines = Deadlines()
    assert deadlines.sweep_at_s == clock.now_s + REST_S
    assert deadlines.least_s > 15.0
    deadlines.expect(15.0)
    assert deadlines.sweep_at_s == clock.now_s + 15.0 + SLACK_S
    assert 10.0 < deadlines.least_s <= 15.0
    deadlines.expect(20.0)
    assert deadlines.sweep_at_s == clock.now_s + 15.0 + SLACK_S
    began_s = clock.now_s
    clock.now_s += 15.6
    deadlines.now_s = clock.now_s
    late, fresh = FakeTalk(Receive(15.0), began_s), FakeTalk(Receive(15.0), clock.now_s - 1)
    waits, never = FakeTalk(Wait(timeout_s=1.0), 0.0), FakeTalk(Receive(None), 0.0)
    assert deadlines.overdue([fresh, late, waits, never], SEND_S) == [late]
    assert deadlines.sweep_at_s == clock.now_s + 14.0 + SLACK_S
