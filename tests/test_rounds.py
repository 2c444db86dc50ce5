"""Rounds, by an engine that measures nothing: who has a window when, on which connections, and what a failure takes with it."""

import random
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import factories
import numpy as np
import pytest

from benchmarks import plan
from benchmarks.load.remote import EngineDied
from benchmarks.load.targets import Background as Company
from benchmarks.load.targets import Drive, Target
from benchmarks.nouns import LoadResult, Measurement, ServerFacts
from benchmarks.questions import Background, Level, Request, Scenario
from benchmarks.rounds import Conditions, Levels
from benchmarks.trial import Making, Member
from benchmarks.verify import Answer

NAMES = ("epoll_loop", "prefork", "select_loop", "thread_pool")
CLOSED = Scenario(Request("/hello"), closed=(4,))
OPTIONS = factories.options(models=NAMES, level_s=0.3, long_s=0.5)  # six rounds of 50 ms


@dataclass
class Server:
    """A server that is there, and may end before one of its windows."""

    facts: ServerFacts
    status: int | None = None

    def ended(self) -> int | None:
        return self.status

    def stderr(self) -> str:
        return "its last words" if self.status else ""


@dataclass
class Engine:
    """Writes down what it is asked; every window has the load of an imagined machine."""

    opened: list[tuple[str, int, Company | None]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    windows: list[tuple[str, Drive]] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    looks: int = 0
    died: int = 0
    restarts: int = 0
    dies_at: int = -1  # before this window
    undrained: str = ""  # whose windows leave a request unanswered
    servers: dict[str, Server] = field(default_factory=dict)  # by session
    ends: tuple[str, int] = ("", 0)  # whose server ends during which of its windows

    def open(self, session: str, target: Target, connections: int, background: Company | None = None) -> dict[str, int]:
        assert session not in self.alive, "it was not closed"
        assert target.port == self.servers[session].facts.port
        self.opened.append((session, connections, background))
        self.alive.add(session)
        return {}

    def close_session(self, session: str) -> None:
        self.alive.discard(session)
        self.closed.append(session)

    def run(self, session: str, drive: Drive) -> LoadResult:
        if len(self.windows) == self.dies_at and not self.died:
            self.alive.clear()
            self.died += 1
            raise EngineDied("the load engine ended with status -9")
        if session not in self.alive:
            raise EngineDied("the load engine says: there is no such session")
        self.windows.append((session, drive))
        if (session, sum(name == session for name, _ in self.windows)) == self.ends:
            self.servers[session].status = 3
        level = Level("closed", 4) if drive.rate_per_s is None else Level("open", 4, rate_per_s=drive.rate_per_s)
        load = factories.load("epoll_loop", "hello", level, np.random.default_rng(len(self.windows)))
        left = int(session == self.undrained)
        return replace(load, seconds=drive.seconds, server_cpu_ns=0, server_user_ns=0, unfinished=left, unsent=0)

    def round_trip_ns(self, server_cpu: int) -> float:
        assert server_cpu == OPTIONS.server_cpus[0]
        self.looks += 1
        return float(self.looks)

    def restart_if_ended(self) -> bool:
        restarts, self.restarts = self.restarts < self.died, self.died
        return restarts

    def rounds(self, size: int) -> list[list[str]]:
        """Who had a window, so many at a time."""
        names = [name for name, _ in self.windows]
        return [names[at : at + size] for at in range(0, len(names), size)]


@pytest.fixture(scope="module")
def process() -> Iterator[int]:
    """A process at rest: that of every server here."""
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        yield sleeping.pid
        sleeping.kill()


@pytest.fixture
def measured(process, monkeypatch):
    """Takes models through the levels of a scenario; the engine that was asked, and their trials."""
    monkeypatch.setattr("benchmarks.rounds.settled", lambda *_: True)
    monkeypatch.setattr("benchmarks.rounds.sample.rested_tree", lambda pid: (pid,))

    def measure(scenario=CLOSED, names=NAMES, engine=None, replicate=0, seed=1, idle_s=0.0, options=OPTIONS):
        engine = engine or Engine()
        facts = replace(factories.server_facts("epoll_loop"), pid=process, keepalive_idle_s=0.0)
        for name in names:
            engine.servers[name] = Server(replace(facts, keepalive_idle_s=idle_s if name == "prefork" else 15.0))
        members = [Member(name, server, pids=(process,)) for name, server in engine.servers.items()]
        trials = [Making(member, Answer(tuple(b"" for _ in scenario.asked), "")) for member in members]
        conditions = Conditions(options, "hello", scenario, replicate, len(names) == 1, 0.0)
        Levels(conditions, engine, members, random.Random(seed), lambda _: None).measure(trials)
        return engine, trials

    return measure


def only(trials: list[Making]) -> list[Measurement]:
    """The one measurement of each of them."""
    assert [making.failure for making in trials] == [None] * len(trials)
    return [measurement for making in trials for (measurement,) in [making.measurements]]


# ---------------------------------------------------------------- rounds


def test_each_round_has_a_window_of_every_model_in_a_new_order(measured):
    engine, trials = measured()
    rounds = engine.rounds(len(NAMES))
    assert [sorted(names) for names in rounds] == [sorted(NAMES)] * 6
    assert len({tuple(names) for names in rounds}) > 2
    for made in only(trials):
        assert made.rounds.number == list(range(6))
        assert made.interleaved
        assert made.windows == 6


def test_the_same_seed_gives_the_same_order_and_another_seed_another(measured):
    orders = [[name for name, _ in measured(seed=seed)[0].windows] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_models_of_a_round_meet_the_same_arrivals(measured):
    scenario = Scenario(Request("/hello"), closed=(), open_rates_per_s=(500.0,), open_connections=4, longer=8.0)
    engine, _ = measured(scenario)
    seeds = [{drive.seed for _, drive in engine.windows[at : at + len(NAMES)]} for at in range(0, 8, len(NAMES))]
    assert [len(one) for one in seeds] == [1, 1]
    assert seeds[0] != seeds[1]


def test_the_first_window_of_the_first_replicate_is_a_long_one(measured):
    lengths = [drive.seconds for _, drive in measured()[0].windows]
    assert lengths == [0.5] * len(NAMES) + [0.05] * 5 * len(NAMES)
    assert only(measured()[1])[0].long_s == 0.5
    assert {drive.seconds for _, drive in measured(replicate=1)[0].windows} == {0.05}


def test_the_machine_is_looked_at_around_each_round_and_around_each_long_window(measured):
    _, trials = measured(replicate=1)
    for made in only(trials):
        assert made.rounds.before_ns == [1, 2, 3, 4, 5, 6]
        assert made.rounds.after_ns == [2, 3, 4, 5, 6, 7]
    engine, trials = measured(replace(CLOSED, window_s=0.3), replicate=1)
    rounds = [one.rounds for one in only(trials)]
    assert sorted(before for one in rounds for before in one.before_ns) == list(range(1, len(engine.windows) + 1))
    assert all(after == before + 1 for one in rounds for before, after in zip(one.before_ns, one.after_ns, strict=True))
    alone, trials = measured(names=("epoll_loop",))
    assert (alone.looks, only(trials)[0].rounds.before_ns) == (0, [])


def test_a_level_keeps_its_connections_and_closes_them_at_its_end(measured):
    engine, trials = measured(Scenario(Request("/hello"), closed=(2, 4)))
    assert sorted(engine.opened) == sorted((name, connections, None) for name in NAMES for connections in (2, 4))
    assert {made.opened for making in trials for made in making.measurements} == {1}
    assert not engine.alive


def test_in_the_open_loop_a_model_gets_no_more_connections_than_it_serves_at_once(measured):
    scenario = Scenario(Request("/hello"), closed=(20_000,), open_rates_per_s=(500.0,), open_connections=20_000)
    engine, _ = measured(scenario, names=("epoll_loop",))
    assert [connections for _, connections, _ in engine.opened] == [20_000, factories.MODELS["epoll_loop"].limit]


def test_a_level_beyond_the_peak_has_one_window_and_connections_of_its_own(measured):
    engine, trials = measured(Scenario(Request("/hello"), closed=(4,), open_shares=(1.1,), open_connections=4))
    closed, beyond = trials[0].measurements
    assert (closed.interleaved, beyond.interleaved) == (True, False)
    assert beyond.rounds.seconds == [plan.APART_S]
    assert len(engine.windows) == 7 * len(NAMES)
    assert beyond.opened == 1


def test_shares_are_of_the_median_rate_of_the_closed_windows(measured):
    engine, trials = measured(Scenario(Request("/hello"), closed=(4,), open_shares=(0.5,), open_connections=4))
    for making in trials:
        rounds = making.measurements[0].rounds
        rates = sorted(completed / seconds for completed, seconds in zip(rounds.completed, rounds.seconds, strict=True))
        assert making.peak_per_s == pytest.approx((rates[2] + rates[3]) / 2)
        offered = {drive.rate_per_s for name, drive in engine.windows if name == making.member.name and drive.rate_per_s}
        assert offered == {0.5 * making.peak_per_s}


# ---------------------------------------------------------------- connections that are opened anew


def test_who_closes_idle_connections_has_them_opened_for_each_window_and_nobody_else(measured):
    engine, trials = measured(idle_s=0.1)
    made = {making.member.name: measurement for making, measurement in zip(trials, only(trials), strict=True)}
    assert {name: one.opened for name, one in made.items()} == {name: 6 if name == "prefork" else 1 for name in NAMES}
    assert not engine.alive
    patient = measured(idle_s=60.0)[1]
    assert {one.opened for one in only(patient)} == {1}


def test_after_a_window_that_left_requests_unanswered_connections_are_opened_anew(measured):
    engine, trials = measured(engine=Engine(undrained="select_loop"))
    assert [name for name, _, _ in engine.opened].count("select_loop") == 6
    assert [name for name, _, _ in engine.opened].count("epoll_loop") == 1
    assert all(one.windows == 6 for one in only(trials))


def test_the_same_level_without_background_lies_before_and_after_those_with_it(measured):
    rate = Level("open", 2, rate_per_s=100.0)
    scenario = Scenario(
        Request("/hello"), closed=(), open_rates_per_s=(100.0,), open_connections=2, window_s=0.05,
        background=(Background("idle", 3), Background("idle", 30)), alone="it is",
    )  # fmt: skip
    engine, (making,) = measured(scenario, names=("epoll_loop",))
    assert [0 if company is None else company.count for _, _, company in engine.opened] == [0, 3, 30, 0]
    by_label = {made.level.label: made for made in making.measurements}
    assert list(by_label) == [f"{rate.label}, 3 idle", f"{rate.label}, 30 idle", rate.label]
    plain = by_label[rate.label]
    assert plain.opened == 2
    assert plain.rounds.number == list(range(plain.windows))


def test_unshared_memory_is_read_of_a_server_that_is_alone(measured):
    assert {one.server.uss_bytes for one in only(measured()[1])} == {None}
    (alone,) = only(measured(names=("epoll_loop",))[1])
    assert alone.server.uss_bytes > 0
    assert not alone.interleaved


# ---------------------------------------------------------------- groups


def limited(monkeypatch, descriptors):
    """Let the engine open so many files."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))


def test_where_descriptors_do_not_suffice_models_go_in_groups_with_an_anchor(measured, monkeypatch):
    limited(monkeypatch, 500 + 2 * 1200)
    engine, trials = measured(Scenario(Request("/hello"), closed=(1000,)), names=NAMES)
    made = {making.member.name: measurement for making, measurement in zip(trials, only(trials), strict=True)}
    anchor, *others = sorted(NAMES)
    assert made[anchor].windows == 3 * 6
    assert made[anchor].opened == 3
    assert sorted({number for one in made.values() for number in one.rounds.number}) == sorted(made[anchor].rounds.number)
    for name in others:
        assert made[name].windows == 6
    shared = [
        set(made[one].rounds.number) & set(made[other].rounds.number) for one in others for other in others if one < other
    ]
    assert shared == [set()] * 3
    together = [len(set(names)) for names in engine.rounds(2)]
    assert together == [2] * 18


def test_with_enough_descriptors_all_are_one_group(measured, monkeypatch):
    limited(monkeypatch, 500 + 5 * 1200)
    _, trials = measured(Scenario(Request("/hello"), closed=(1000,)))
    assert {tuple(one.rounds.number) for one in only(trials)} == {tuple(range(6))}


# ---------------------------------------------------------------- failures


def test_a_server_that_ends_fails_its_trial_and_the_others_go_on(measured):
    engine, trials = measured(Scenario(Request("/hello"), closed=(2, 4)), engine=Engine(ends=("prefork", 9)))
    for making in trials:
        if making.member.name == "prefork":
            assert making.failure is not None
            assert making.failure.stage == "load"
            assert making.failure.message == "the server ended by itself with status 3 during closed 4"
            assert making.failure.stderr == "its last words"
            assert making.member.failure == making.failure  # and of all scenarios that follow in this replicate
            assert [made.level.label for made in making.measurements] == ["closed 2"]
        else:
            assert making.failure is None
            assert [made.windows for made in making.measurements] == [6, 6]
    assert not engine.alive


def test_an_engine_that_dies_in_a_window_fails_that_trial_alone(measured):
    engine, trials = measured(engine=Engine(dies_at=10))
    assert engine.restarts == 1
    failed = [making for making in trials if making.failure is not None]
    assert [making.failure.message for making in failed] == ["the load engine ended with status -9"]
    assert [making.member.failure for making in failed] == [None]  # its server is alive
    made = [measurement for making in trials for measurement in making.measurements]
    assert [one.windows for one in made] == [6] * 3
    assert {one.opened for one in made} == {2}  # all were in the engine that died
    assert not engine.alive


def test_who_served_nobody_has_no_peak_and_fails_for_it(measured, monkeypatch):
    nobody = factories.load("epoll_loop", "hello", Level("closed", 4), np.random.default_rng(1))
    nobody = replace(nobody, completed=0, seconds=0.05)
    monkeypatch.setattr(Engine, "run", lambda *_: nobody)
    _, trials = measured(Scenario(Request("/hello"), closed=(4,), open_shares=(0.5,), open_connections=4))
    assert {making.failure.message for making in trials} == {
        "no request was served in the closed loop, so there is no peak to take a share of"
    }


def test_a_window_beside_a_busy_neighbour_is_dropped(measured, monkeypatch):
    used = iter(range(10_000))
    monkeypatch.setattr("benchmarks.rounds.sample.used_since", lambda _: 10**9 if next(used) % 8 == 3 else 0)
    _, trials = measured()
    dropped = [one.rounds.dropped for one in only(trials)]
    assert sum(map(len, dropped)) == 3
    assert all(one.windows == 6 - len(gone) for one, gone in zip(only(trials), dropped, strict=True))


def test_one_model_alone_is_measured_all_the_same(measured):
    (made,) = only(measured(names=("epoll_loop",))[1])
    assert (made.windows, made.server.processes) == (6, 1)


def test_a_probe_of_a_search_is_one_window_on_connections_of_its_own(process):
    server = Server(replace(factories.server_facts("epoll_loop"), pid=process, keepalive_idle_s=0.0))  # it closes none
    engine = Engine(servers={"epoll_loop": server})
    member = Member("epoll_loop", server, pids=(process,))
    levels = Levels(Conditions(OPTIONS, "hello", CLOSED, 0, True, 0.0), engine, [member], random.Random(1), lambda _: None)
    made = levels.probe(Making(member, Answer((b"",), "")), Level("open", 4, rate_per_s=100.0), 0.2)
    assert (made.rounds.seconds, made.opened, made.interleaved) == ([0.2], 1, False)
    assert not engine.alive
