"""A replicate as it is made, of real servers: who is alive with whom, what its records hold, and who fails alone."""

import os
import signal
import textwrap
from collections.abc import Iterator
from dataclasses import replace

import factories
import psutil
import pytest

from benchmarks import catalogue, plan
from benchmarks.checks.facts import Facts
from benchmarks.launch import Server
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import ReplicateRecord, Variant, variant_of
from benchmarks.objective import DECIDES, HIGHEST, PROBES_MOST, parse, probe_s
from benchmarks.questions import Background, Request, Scenario
from benchmarks.replicate import Replicate
from benchmarks.validity import check_measurement

CPUS = tuple(sorted(os.sched_getaffinity(0)))
HELLO = Request("/hello", expect_body=b"Hello, World!")
CLOSED = Scenario(HELLO, closed=(4,))
OPTIONS = factories.options(
    models=("epoll_loop", "prefork", "thread_per_connection"),
    level_s=0.1, long_s=0.0, server_cpus=CPUS[:1], driver_cpus=CPUS[-1:],
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[RemoteEngine]:
    """Compiling takes longer than a level."""
    with RemoteEngine(OPTIONS.driver_cpus) as made:
        made.compile()
        yield made


@pytest.fixture
def replicate(engine):
    """Makes one replicate of these scenarios; its records in order, and what was told meanwhile."""

    def make(
        scenarios, number=0, broken_rules=None, digests=None, engine=engine, **changes
    ) -> tuple[list[ReplicateRecord], list[str]]:
        options, told = replace(OPTIONS, scenarios=tuple(scenarios), **changes), []
        run = replace(factories.run(), options=options, scenarios=scenarios)
        tell = lambda name, what: told.append(f"{name}: {what}")  # noqa: E731
        made = Replicate(run, number, engine, tell, {} if digests is None else digests, broken_rules or {})
        return list(made.make(list(scenarios))), told

    yield make
    assert not [child.cmdline() for child in psutil.Process().children(recursive=True) if "servers" in child.cmdline()]


def failures(made):
    """Those of a record's trials."""
    return {trial.model: trial.failure for trial in made.trials if trial.failure is not None}


def test_all_models_are_alive_together_and_a_server_serves_all_scenarios(replicate):
    records, told = replicate({"one": CLOSED, "other": replace(CLOSED, closed=(2,), open_shares=(0.2,), open_connections=4)}, 3)
    assert sorted(made.scenario for made in records) == ["one", "other"]
    for made in records:
        assert made.together
        assert made.replicate == 3
        assert failures(made) == {}
        assert made.before.python_ns > 0
        assert {trial.model for trial in made.trials} == set(OPTIONS.models)
        assert len({trial.digest for trial in made.trials}) == 1
        labels = ["closed 4"] if made.scenario == "one" else ["closed 2", "open 20%"]
        for trial in made.trials:
            assert [measurement.level.label for measurement in trial.measurements] == labels
            assert trial.server.stderr == ""
            for measurement in trial.measurements:
                assert measurement.interleaved
                assert measurement.load.errors == {}
                assert measurement.load.completed > 0
                assert measurement.server.uss_bytes is None
                assert measurement.server.rss_bytes > 1_000_000
                assert len(measurement.server.collections) == 3
    warmed = [[trial.warmup.rates_per_s for trial in made.trials if trial.warmup] for made in records]
    assert [len(rates) for rates in warmed] == [3, 0]  # once, by the first scenario
    assert all(warmed[0])
    pids = [{trial.model: trial.server.pid for trial in made.trials} for made in records]
    assert pids[0] == pids[1]
    assert sum(line.endswith("starting servers") for line in told) == 1


def test_settings_and_variables_have_servers_of_their_own(replicate):
    scenarios = {
        "plain": CLOSED,
        "narrow": replace(CLOSED, settings=("--threads", "2")),
        "other": replace(CLOSED, environment=(("MALLOC_ARENA_MAX", "1"),)),
    }
    records, told = replicate(scenarios, models=("epoll_loop",))
    made = {one.scenario: one.trials[0] for one in records}
    assert len({trial.server.pid for trial in made.values()}) == 3
    assert made["narrow"].server.command[-2:] == ["--threads", "2"]
    assert made["other"].server.environment == {"MALLOC_ARENA_MAX": "1"}
    assert sum(line.endswith("starting servers") for line in told) == 3


def test_the_same_seed_gives_the_same_order(replicate):
    scenarios = {name: replace(CLOSED, closed=(2,)) for name in ("one", "other", "third", "fourth")}
    refused = {model: ["a rule: broken"] for model in OPTIONS.models}  # nothing need be started to see in which order

    class Unasked:
        def probe(self, _):
            return factories.CALM

    def order(number, seed):
        records, _ = replicate(scenarios, number, refused, engine=Unasked(), seed=seed)
        return [(made.scenario, [trial.model for trial in made.trials]) for made in records]

    orders = [order(number, seed) for number in range(3) for seed in (1, 2)]
    assert order(0, 1) == orders[0]
    assert len({repr(one) for one in orders}) == len(orders)


def test_scenarios_that_must_be_alone_have_one_server_alive_at_a_time(replicate):
    idle = Scenario(
        HELLO, closed=(), open_rates_per_s=(100.0,), open_connections=2, background=(Background("idle", 5),), window_s=0.05,
        alone="it is small here",
    )  # fmt: skip
    (made,), told = replicate({"idle": idle}, models=OPTIONS.models[::2])
    assert not made.together
    assert failures(made) == {}
    for trial in made.trials:
        assert trial.server.exit_status == 0
        assert [one.level.label for one in trial.measurements] == ["open 100/s, 5 idle", "open 100/s"]
        assert all(one.server.uss_bytes > 1_000_000 for one in trial.measurements)
        assert not any(one.interleaved for one in trial.measurements)
        beside, plain = trial.measurements
        assert beside.load.background["open"] == 5
        assert plain.opened == 2  # one half before, one behind
    starts = [line.split()[1].rstrip(":") for line in told if line.endswith(": starting")]
    assert sorted(starts) == sorted(OPTIONS.models[::2])


def test_the_first_clients_of_a_cold_server_are_asked_nothing_before(replicate):
    cold = Scenario(HELLO, closed=(2,), cohorts=2, window_s=0.05, alone="they are measured")
    (made,), _ = replicate({"cold": cold}, models=("epoll_loop",))
    (trial,) = made.trials
    assert trial.failure is None
    assert trial.warmup is None
    assert trial.digest
    assert [one.level.label for one in trial.measurements] == ["closed 2, cohort 1", "closed 2, cohort 2"]
    assert [one.rounds.number for one in trial.measurements] == [[0], [0]]


def test_connections_that_a_pool_would_close_between_its_turns_are_no_reconnects(replicate):
    """prefork closes a connection that is silent for a second, and says so; threads wait for longer."""
    scenarios = {"hello": replace(CLOSED, window_s=0.3)}
    settings = ("--keepalive-requests", "0")  # for which there would be some
    (made,), _ = replicate(scenarios, models=("prefork", "thread_per_connection"), level_s=0.9, settings=settings)
    assert failures(made) == {}
    opened = {}
    for trial in made.trials:
        (measurement,) = trial.measurements
        assert measurement.windows + len(measurement.rounds.dropped) == 3
        opened[trial.model] = measurement.opened
        facts = Facts.gathered(measurement, trial.server, 1, 0.0)
        assert not {finding.check for finding in check_measurement(facts)} & {"reuse", "reconnects", "errors"}
    assert opened == {"prefork": 3, "thread_per_connection": 1}


def test_a_search_takes_the_place_of_the_open_levels_and_is_recorded_in_order(replicate):
    wanted = parse("p50<=1ms")
    (made,), _ = replicate({"hello": replace(CLOSED, open_shares=(0.5,))}, models=("epoll_loop",), objective=wanted.text)
    (trial,) = made.trials
    assert trial.failure is None
    assert {one.level.loop for one in trial.measurements} == {"closed"}
    rates = [probe.level.rate_per_s for probe in trial.probes]
    assert DECIDES <= len(rates) <= PROBES_MOST
    assert max(rates) <= HIGHEST * trial.peak_per_s * 1.001
    assert rates[0] == rates[1]  # each is tried twice
    for probe in trial.probes:
        assert probe.load.seconds >= 0.999 * probe_s(wanted, probe.level.rate_per_s, plan.APART_S / 4)


# ---------------------------------------------------------------- failures

LEAVING = """
    import os, sys
    from servers import __main__ as serving
    asked, respond = 0, serving.respond

    def counting(request):
        global asked
        asked += request.target == b"/bytes/10"
        if asked == 5:
            print("enough", file=sys.stderr, flush=True)
            os._exit(3)
        return respond(request)

    serving.respond = counting
    sys.exit(serving.main(["epoll_loop", *sys.argv[1:]]))
"""


def faulty(folder, source) -> Variant:
    """A model of a module that is written for it."""
    (folder / "written.py").write_text(textwrap.dedent(source))
    return Variant(module="written", folder=str(folder))


def test_a_server_that_dies_leaves_the_replicate_and_the_others_go_on(replicate, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(catalogue.ROOT))
    leaving = variant_of("epoll_loop", "leaving")
    mix = Scenario(HELLO, mix=(HELLO, Request("/bytes/10")), closed=(4,))  # one is enough to verify, warm-up asks the other
    records, told = replicate(
        {"one": mix, "other": mix}, models=("thread_per_connection", leaving), variants={leaving: faulty(tmp_path, LEAVING)}
    )
    assert [set(failures(made)) for made in records] == [{leaving}, {leaving}]
    failed = [failures(made)[leaving] for made in records]
    assert failed[0].stage == "load"
    assert failed[0].message == "the server ended by itself with status 3 during closed 4"
    assert failed[0].stderr == "enough"
    assert failed[1] == failed[0]
    for made in records:
        whole = next(trial for trial in made.trials if trial.model != leaving)
        assert whole.measurements[0].windows == 2
    assert sum(f"warming up {leaving}" in line for line in told) == 1


def test_an_engine_that_dies_in_a_window_fails_that_trial_alone(engine, replicate, monkeypatch):
    run, windows = engine.run, iter(range(1000))

    def mortal(session, drive):
        if next(windows) == 3:
            engine._process.kill()
            engine._process.wait()
        return run(session, drive)

    monkeypatch.setattr(engine, "run", mortal)
    (made,), _ = replicate({"hello": CLOSED}, level_s=0.15)
    (failure,) = failures(made).values()
    assert (failure.stage, failure.message) == ("load", "the load engine ended with status -9")
    windows = [one.windows + len(one.rounds.dropped) for trial in made.trials for one in trial.measurements]
    assert windows == [3, 3]


def test_one_that_does_not_start_fails_alone(replicate, tmp_path):
    broken = variant_of("epoll_loop", "broken")
    (made,), _ = replicate(
        {"hello": CLOSED}, models=("epoll_loop", broken), variants={broken: faulty(tmp_path, "raise SystemExit('no port')")}
    )
    assert list(failures(made)) == [broken]
    failure = failures(made)[broken]
    assert (failure.stage, failure.message, failure.stderr) == (
        "launch",
        "it ended with status 1 before it was ready",
        "no port",
    )


def test_an_interruption_while_servers_start_leaves_none_of_them(replicate, monkeypatch):
    ready = iter(range(3))
    monkeypatch.setattr(Server, "wait_ready", lambda _: signal.raise_signal(signal.SIGINT) if next(ready) else None)
    with pytest.raises(KeyboardInterrupt):
        replicate({"hello": CLOSED})


def test_one_whose_bytes_differ_fails_alone_and_a_baseline_decides_nobodys(replicate):
    baseline = variant_of("epoll_loop", "direct")
    direct = Variant(module="benchmarks.controls.direct_epoll", scenarios=("hello",))
    digests = {"hello": "0" * 64}
    (made,), _ = replicate({"hello": CLOSED}, models=("epoll_loop", baseline), variants={baseline: direct}, digests=digests)
    assert {failure.stage for failure in failures(made).values()} == {"verify"}
    assert "other bytes than the models before it" in failures(made)["epoll_loop"].message
    found: dict[str, str] = {}
    (made,), _ = replicate({"hello": CLOSED}, models=(baseline,), variants={baseline: direct}, digests=found)
    assert failures(made) == {}
    assert made.trials[0].digest
    assert made.trials[0].measurements[0].server.collections == ()  # it keeps no account
    assert found == {}


def test_who_breaks_rules_is_refused_unless_that_is_asked_for(replicate):
    rules = {"prefork": ["a rule: broken"]}
    (made,), _ = replicate({"hello": CLOSED}, models=("prefork", "epoll_loop"), broken_rules=rules)
    assert list(failures(made)) == ["prefork"]
    assert failures(made)["prefork"].stage == "check"
    (made,), _ = replicate({"hello": CLOSED}, models=("prefork",), broken_rules=rules, unchecked=True)
    assert failures(made) == {}
    assert made.trials[0].broken_rules == rules["prefork"]
