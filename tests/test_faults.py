"""Faults as they happen: real servers with one fault each, taken through rounds beside a healthy one, and the check that finds
the fault, and no other.

What is invalid and what is warned of must be exactly the fault's. Infos do not count against it: on a busy machine a steady
server may look unsteady. Accidents of a busy machine are met by trying again, never by a looser judgement.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import factories
import faulty
import live
import psutil
import pytest

from benchmarks import sample
from benchmarks.checks.facts import Facts
from benchmarks.launch import Server
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import Measurement
from benchmarks.questions import Measure, Metric, Request, Scenario
from benchmarks.replicate import Replicate
from benchmarks.rounds import Conditions, Levels
from benchmarks.trial import Making, Member
from benchmarks.validity import check_measurement, check_replicates, outside_load
from benchmarks.verify import Answer

ATTEMPTS = 10
CPUS = tuple(sorted(os.sched_getaffinity(0)))
HEALTHY = "answers"
OPTIONS = replace(factories.options(server_cpus=CPUS[:1], driver_cpus=CPUS[-1:], poll="sleep"), level_s=0.3, long_s=0.6)


@pytest.fixture(scope="module")
def engine() -> Iterator[RemoteEngine]:
    """Compiling takes longer than a level."""
    with RemoteEngine(OPTIONS.driver_cpus) as made:
        made.compile()
        yield made


@dataclass(frozen=True)
class Case:
    """A fault, the load that shows it, and the check that finds it."""

    check: str
    server: str
    connections: int = 8
    rate_per_s: float = 0.0  # 0: the closed loop
    body: bytes = faulty.BODY
    wait_s: float = 0.0  # that the check believes the answers to wait
    poll: str = "sleep"
    long_s: float = OPTIONS.long_s

    def scenario(self) -> Scenario:
        """The one level that it asks for."""
        common = Scenario(Request("/"), closed=(self.connections,))
        if not self.rate_per_s:
            return common
        ranked = Measure("mean", Metric("mean", f"open {self.rate_per_s:.0f}/s"), "less")
        return replace(
            common, closed=(), open_rates_per_s=(self.rate_per_s,), open_connections=self.connections, measures=(ranked,)
        )


def in_rounds(engine: RemoteEngine, case: Case) -> dict[str, Facts]:
    """The level as it was measured of a "faulty" server and of a "healthy" one, window by window in turn."""
    with ExitStack() as servers:
        started = {
            name: servers.enter_context(Server(fault, CPUS[:1], (fault,), live.ROOT, module="tests.faulty"))
            for name, fault in (("faulty", case.server), ("healthy", HEALTHY))
        }
        bodies = {"faulty": case.body, "healthy": faulty.BODY}
        made = taken(engine, case.scenario(), started, bodies, poll=case.poll, long_s=case.long_s)
    return {
        name: Facts.gathered(measurement, started[name].facts, 1, case.wait_s if name == "faulty" else 0.0)
        for name, measurement in made.items()
    }


def taken(
    engine: RemoteEngine,
    scenario: Scenario,
    servers: Mapping[str, Server],
    bodies: Mapping[str, bytes | None],
    **options: object,
) -> dict[str, Measurement]:
    """The one level of a scenario, measured in rounds of these servers."""
    conditions = Conditions(replace(OPTIONS, **options), "faults", scenario, 0, False, time.monotonic())  # type: ignore[arg-type]
    members = [Member(name, server, pids=sample.tree(server.facts.pid)) for name, server in servers.items()]
    trials = [Making(member, Answer((bodies[member.name],), "")) for member in members]
    Levels(conditions, engine, members, random.Random(1), lambda _: None).measure(trials)
    assert [making.failure for making in trials] == [None] * len(trials)
    return {making.member.name: making.measurements[0] for making in trials}


def findings(facts: Facts) -> tuple[set[str], set[str]]:
    """What counts against a number, and the infos."""
    found = check_measurement(facts)
    return {f.check for f in found if f.severity != "info"}, {f.check for f in found if f.severity == "info"}


def caught(make: Callable[[], Mapping[str, Facts]], check: str) -> None:
    """The fault is found, and nothing else is, neither there nor of the healthy server beside it."""
    seen = []
    for _ in range(ATTEMPTS):
        made = make()
        against, infos = findings(made["faulty"])
        beside, _ = findings(made["healthy"])
        if check in against | infos and against <= {check} and not beside:
            return
        seen.append((against | infos, beside))
    if os.getloadavg()[0] > len(CPUS):  # what must take 40 ms takes longer where the engine waits for a CPU
        pytest.skip(f"{check} was not found alone, on a machine that does much besides: {seen}")
    pytest.fail(f"{check} was never found alone, but {seen}")


FAULTS = {
    "each connection closed": Case("reuse", "closes_each"),
    "each connection closed without a word": Case("reuse", "leaves_silently", rate_per_s=100.0),
    "Nagle's algorithm left on": Case("40 ms stall", "writes_in_pieces"),
    "wrong bytes": Case("errors", "answers_wrongly"),
    "answers before the wait is over": Case("wait ceiling", HEALTHY, wait_s=0.05),
    "an engine that can't read all it gets": Case("engine saturated", "sends_much", body=faulty.LARGE, poll="busy"),
    "one connection served last": Case("starving", "serves_one_last"),
    "slower from answer to answer": Case("drift", "slows_down", long_s=1.0),
    "too few connections": Case("no free connection", HEALTHY, connections=1, rate_per_s=100.0, long_s=1.5),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_caught_by_its_check_and_by_no_other(engine, fault):
    case = FAULTS[fault]
    caught(lambda: in_rounds(engine, case), case.check)


def test_a_server_without_a_fault_is_believed(engine):
    for _ in range(ATTEMPTS):
        against = set().union(*(findings(facts)[0] for facts in in_rounds(engine, Case("", HEALTHY)).values()))
        if not against:
            return
    pytest.fail(f"a healthy server is suspected of {against}")


def test_work_on_cpus_that_a_server_was_not_given_is_caught(engine):
    """A busy machine may not have more than a CPU to give: then there is nothing to catch, and it is asked again."""
    for _ in range(ATTEMPTS):
        made = in_rounds(engine, Case("work ceiling", "works_elsewhere"))
        facts, (beside, _) = made["faulty"], findings(made["healthy"])
        against, _ = findings(facts)
        if facts.cpu_ns > 1.05e9 * facts.load.seconds:
            assert "work ceiling" in against
        if against == {"work ceiling"}:
            assert "neighbours" in beside  # for which it was not idle
            return
    if facts.cpu_ns < 1.05e9 * facts.load.seconds:
        pytest.skip("this machine never had more than a CPU free")
    pytest.fail(f"work ceiling never came alone: {against}")


def test_a_server_that_is_never_idle_is_caught_by_what_it_does_to_its_neighbour(engine):
    """It uses 1% of the time, in moments too short to drop a window of which it is less than 2%."""
    for _ in range(ATTEMPTS):
        made = in_rounds(engine, Case("", "is_never_idle"))
        against = {name: findings(facts)[0] for name, facts in made.items()}
        if against == {"faulty": set(), "healthy": {"neighbours"}}:
            trial = factories.trial("epoll_loop", "hello")
            trials = [replace(trial, model=name, measurements=[facts.measurement]) for name, facts in made.items()]
            (finding,) = check_replicates([factories.record("hello", 0, trials)])
            assert finding.observed.startswith("faulty used CPU time while other models were measured")
            return
    pytest.fail(f"a busy neighbour was never found alone, but {against}")


# ---------------------------------------------------------------- faults of the accounts


def lost_request(facts: Facts) -> Facts:
    """A request is counted and in no histogram."""
    service = facts.load.service
    return changed(facts, service=replace(service, count=[*service.count[:-1], service.count[-1] + 1]))


def lost_time(facts: Facts) -> Facts:
    """A hundredth of the connections' time is in no account."""
    load = facts.load
    missing_ns = round(load.connections * load.seconds * 1e7)
    return changed(facts, ledger=replace(load.ledger, completed_ns=load.ledger.completed_ns - missing_ns))


def lost_flight(facts: Facts) -> Facts:
    """A twentieth of what was in flight was not counted."""
    crossing = facts.load.crossing
    return changed(facts, crossing=replace(crossing, in_flight_ns=crossing.in_flight_ns * 19 // 20))


def lost_answer(facts: Facts) -> Facts:
    """An answer is in the sum and in no round."""
    return changed(facts, completed=facts.load.completed + 1)


def changed(facts: Facts, **load: object) -> Facts:
    """The same with some facts of the engine's side changed."""
    made = facts.measurement
    return replace(facts, measurement=replace(made, load=replace(made.load, **load)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def healthy_facts(engine):
    """The real server in either loop, measured in rounds with another, without a finding."""
    request = Request("/wait/5")
    ranked = Measure("mean", Metric("mean", "open 300/s"), "less")
    scenarios = {
        "closed": Scenario(request, closed=(8,), wait_s=0.005),
        "open": Scenario(request, (), open_rates_per_s=(300.0,), open_connections=8, wait_s=0.005, measures=(ranked,)),
    }
    made = {}
    with Server("epoll_loop", CPUS[:1]) as server, Server("asyncio_protocol", CPUS[:1]) as other:
        for loop, scenario in scenarios.items():
            for _ in range(ATTEMPTS):
                measured = taken(
                    engine,
                    scenario,
                    {"epoll_loop": server, "asyncio_protocol": other},
                    dict.fromkeys(("epoll_loop", "asyncio_protocol")),
                )
                made[loop] = Facts.gathered(measured["epoll_loop"], server.facts, 1, 0.005)
                if not findings(made[loop])[0]:
                    break
    return made


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_the_real_server_is_believed(healthy_facts, loop):
    assert findings(healthy_facts[loop])[0] == set()
    assert healthy_facts[loop].windows > 1


@pytest.mark.parametrize(
    ("loop", "corrupt", "check"),
    [
        ("closed", lost_request, "histograms"),
        ("open", lost_request, "histograms"),
        ("closed", lost_answer, "histograms"),
        ("closed", lost_time, "bookkeeping"),
        ("closed", lost_flight, "Little's law"),
        ("open", lost_flight, "Little's law"),
    ],
)
def test_a_corrupted_record_is_caught_by_its_check_and_by_no_other(healthy_facts, loop, corrupt, check):
    assert findings(corrupt(healthy_facts[loop]))[0] == {check}


# ---------------------------------------------------------------- outside load


@contextmanager
def hog(cpu: int):
    """A program that is not ours: it spins on a CPU, and is a child of nobody here."""
    script = f"import os; os.setsid(); os.sched_setaffinity(0, {{{cpu}}}); print(os.getpid(), flush=True)\nwhile True: pass"
    starter = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {script!r}])"
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.wait()
        try:
            while pid in {child.pid for child in psutil.Process().children(recursive=True)}:
                time.sleep(0.01)
            yield
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_record_made_beside_another_program_has_outside_load(engine):
    run = factories.run(
        models=("epoll_loop", "asyncio_protocol"),
        scenarios=("wait",),
        server_cpus=CPUS[:1],
        driver_cpus=CPUS[-1:],
        poll="sleep",
    )
    run = replace(run, scenarios={"wait": Scenario(Request("/wait/10"), closed=(4,), wait_s=0.01)})
    with hog(CPUS[0]):
        (record,) = Replicate(run, 0, engine, lambda *_: None, {}, {}).make(["wait"])
    assert [trial.failure for trial in record.trials] == [None, None]
    assert outside_load(record) is not None
    assert "outside load" in {finding.check for finding in check_replicates([record])}


def test_what_we_use_ourselves_is_no_outside_load():
    """Workers that come and go in between are ours, too."""
    spins = "import time\nends = time.process_time() + 0.2\nwhile time.process_time() < ends: pass"
    before = sample.usage(CPUS)
    for _ in range(2):
        subprocess.run([sys.executable, "-c", spins], check=True)
    with subprocess.Popen(
        [sys.executable, "-c", spins + "\nprint(flush=True)\ntime.sleep(60)"], stdout=subprocess.PIPE
    ) as alive:
        assert alive.stdout is not None
        alive.stdout.readline()
        used = sample.outside(before, sample.usage(CPUS))
        alive.kill()
    assert used is not None
    assert used.ours_ns >= 0.6e9 - 3 * 0.02e9  # ended children's time is known to a tick
    assert used.busy_ns >= used.ours_ns - (0.01 * 2 * len(CPUS) + 0.05) * 1e9
