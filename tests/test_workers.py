"""Processes of models that have several: who is replaced when, what is said of it, and how they end."""

import collections
import re
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import psutil
import pytest
from live import MODELS, PATIENCE_S, Server, running, serving

from benchmarks.conformance.rules import workers as rules
from benchmarks.conformance.subjects import Model
from benchmarks.conformance.suite import examine
from servers._workers import share

COUNT = 3
KEEPERS = [model for model in MODELS if rules.RULES[0].is_about(model)]
OF_TWO_PROCESSES = (*KEEPERS, "fork_per_connection")  # the first one serves nobody


def working(case: str) -> AbstractContextManager[Server]:
    """Three workers of `working.py`."""
    return running("tests/working.py", case)


def eventually(fact: Callable[[], bool], what: str) -> None:
    """Wait for a fact, with a deadline."""
    end_s = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < end_s, f"never: {what}"
        time.sleep(0.02)


def over(process: psutil.Process) -> bool:
    """Whether it has ended; whoever inherits orphans may take its time to bury them."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def births(server: Server) -> collections.Counter[int]:
    """How many there were on each seat, once it has ended."""
    server.stop()
    assert server.status() == 0
    assert server.process.stdout is not None
    return collections.Counter(map(int, server.process.stdout.read().split()))


@pytest.mark.parametrize(
    ("case", "cause", "tracebacks"),
    [("raises", "ended with status 1", 1), ("is_killed", "killed by signal 9", 0), ("leaves", "ended with status 0", 0)],
)
def test_workers_that_die_at_birth_are_hired_ever_more_slowly(case: str, cause: str, tracebacks: int) -> None:
    """And that is said in a line, once, with the reason once: not by each of them."""
    with working(case) as server:
        eventually(lambda: "die at birth" in server.said(), "a word about it")
        time.sleep(0.5)  # in which a parent without pauses would fork a hundred times and more
        born = births(server)
        assert sorted(born) == list(range(COUNT))
        assert all(3 <= count <= 7 for count in born.values()), born
        said = server.said()
        assert said.count("Traceback") == tracebacks
        assert said.count("RuntimeError: no such upstream") == tracebacks
        (line,) = [line for line in said.splitlines() if "die at birth" in line]
        assert cause in line
        assert said.splitlines()[-1] == line


def test_workers_that_are_well_again_stay() -> None:
    with working("recovers") as server:

        def all_stay() -> bool:  # one that dies at birth has its seat for a moment, too
            before = {process.pid for process in server.family()}
            time.sleep(0.5)
            return len(before) == 1 + COUNT and before == {process.pid for process in server.family()}

        eventually(all_stay, "all seats taken for half a second")
        assert sum(births(server).values()) == 5 + COUNT


def test_a_worker_that_dies_at_birth_delays_no_other() -> None:
    """While one seat has its pauses, the dead of the others are replaced at once; nor does it delay the stop."""
    with working("first_raises") as server:
        eventually(lambda: "die at birth" in server.said(), "a word about it")
        eventually(lambda: len(server.family()) >= COUNT, "two workers that live")
        time.sleep(1)  # older than those that die at birth
        old = [worker for worker in server.family()[1:] if worker.create_time() < time.time() - 0.5]
        for worker in old:
            worker.kill()
        eventually(lambda: all(map(over, old)) and len(server.family()) >= COUNT, "their successors")
        born = births(server)
        assert born[1] >= 2
        assert born[2] >= 2
        assert server.said().count("Traceback") == 1


def test_workers_that_never_end_are_ended() -> None:
    with working("never_stops") as server:
        eventually(lambda: len(server.family()) == 1 + COUNT, "all workers")
        family = server.family()
        assert sum(births(server).values()) == COUNT
        assert not any(worker.is_running() for worker in family)


def test_a_limit_is_shared_out_to_the_last_one() -> None:
    assert [share(8, 3, number) for number in range(3)] == [3, 3, 2]
    assert [share(2, 2, number) for number in range(2)] == [1, 1]


def test_the_rules_are_asked_of_models_that_keep_workers() -> None:
    about = rules.RULES[0].is_about
    assert all(map(about, ("prefork", "prefork_epoll", "gevent_prefork")))
    assert not any(map(about, ("epoll_loop", "fork_per_connection", "gevent_greenlets")))


@pytest.mark.parametrize("model", KEEPERS)
def test_workers_do_not_outlive_their_parent(model: str) -> None:
    with serving(model, "--workers", "3", "--linger", "0.1") as server:
        eventually(lambda: len(server.family()) == 4, "three workers")
        workers = server.family()[1:]
        server.process.kill()
        server.process.wait()
        eventually(lambda: all(map(over, workers)), "they have ended, too")


@pytest.mark.parametrize("model", OF_TWO_PROCESSES)
def test_an_orphan_ends_with_its_drain(model: str) -> None:
    """Though its client keeps it busy: there is no parent any more to end it."""
    with serving(model, "--workers", "1", "--linger", "0.1", "--drain", "0.5") as server, server.connect() as client:
        client.send(b"GET /wait/60000 HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: len(server.family()) == 2, "its worker")
        worker = server.family()[1]
        eventually(lambda: clients_of(worker) == 1, "its client")
        server.process.kill()
        assert client.rest() == b""
        eventually(lambda: over(worker), "it ends")


def clients_of(process: psutil.Process) -> int:
    """How many connections it has."""
    return sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections())


def pending(process: psutil.Process, signum: int) -> bool:
    """Whether a signal waits to be handled (proc_pid_status(5))."""
    (mask,) = re.findall(r"^ShdPnd:\s+(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return bool(int(mask, 16) >> (signum - 1) & 1)


@pytest.mark.parametrize("model", OF_TWO_PROCESSES)
def test_a_second_signal_ends_a_worker_that_has_not_handled_the_first(model: str) -> None:
    """Of two equal signals that wait the kernel keeps one, after which the worker would drain."""
    with serving(model, "--workers", "1", "--linger", "60", "--drain", "60") as server, server.connect() as client:
        client.send(b"GET /wait/60000 HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: len(server.family()) == 2, "its worker")
        worker = server.family()[1]
        eventually(lambda: clients_of(worker) == 1, "its client")
        worker.suspend()
        eventually(lambda: worker.status() == psutil.STATUS_STOPPED, "it stands still")  # signals that wait are taken by number
        server.stop()
        eventually(lambda: pending(worker, signal.SIGTERM), "the first signal is passed on")
        server.stop()
        server.process.wait(PATIENCE_S)
        worker.resume()
        eventually(lambda: over(worker), "it ends")


@pytest.mark.parametrize("model", OF_TWO_PROCESSES)
def test_a_signal_to_the_whole_group_is_one_stop(model: str) -> None:
    """It reaches each worker by itself and through its parent, at any distance; what is under way is answered."""
    with serving(model, "--workers", "4", "--linger", "0.1", "--drain", "60") as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(4)]
        for client in clients:
            client.send(b"GET /wait/1500 HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: sum(clients_of(each) for each in server.family()) >= 4, "their requests are under way")
        for process in server.family():  # as killpg(3) does
            process.terminate()
        for client in clients:
            assert client.rest().startswith(b"HTTP/1.1 200 ")
        server.process.wait(PATIENCE_S)
        assert server.process.returncode == 0


@pytest.mark.parametrize("model", KEEPERS)
def test_a_worker_told_to_stop_is_replaced_when_it_has_drained(model: str) -> None:
    """By a signal of its own: the others go on, and clients are queued as ever."""
    patient = ("--linger", "0.1", "--keepalive-idle", "60")  # a busy machine takes its time to hire a successor
    with serving(model, "--workers", "2", *patient) as server, server.connect() as kept:
        eventually(lambda: len(server.family()) == 3, "two workers")
        assert kept.get("/hello")[0] == 200
        idle = next(worker for worker in server.family()[1:] if not clients_of(worker))
        idle.send_signal(signal.SIGTERM)
        eventually(lambda: len(server.family()) == 3 and idle not in server.family(), "a successor")
        assert kept.get("/hello")[0] == 200
        kept.socket.close()
        clients = [server.connect() for _ in range(20)]  # most of them wait in the queue, whose length must be what it was
        for client in clients:
            with client:
                assert client.get("/hello")[0] == 200
        assert server.said() == ""


@pytest.mark.parametrize("model", KEEPERS)
@pytest.mark.parametrize("rule", [rule.name for rule in rules.RULES])
def test_killed_workers_take_nobody_else_with_them(model: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REPLACED_S", PATIENCE_S)  # how soon is a matter of `servebench check`, on a quiet machine
    (outcome,) = examine(Model(model), ["stop"], [rule]).outcomes
    assert outcome.verdict == "kept", outcome


# ---------------------------------------------------------------- a process for each connection


def test_a_process_for_a_connection_that_is_killed_takes_no_other_with_it() -> None:
    with serving("fork_per_connection", "--linger", "0.1") as server, ExitStack() as stack:
        one = stack.enter_context(server.connect())
        assert one.get("/hello")[0] == 200
        (victim,) = server.family()[1:]
        other = stack.enter_context(server.connect())
        assert other.get("/hello")[0] == 200
        victim.kill()
        assert one.rest() == b""
        assert other.get("/hello")[0] == 200
        eventually(lambda: len(server.family()) == 2, "it is buried: no zombie, though nobody else has come")
        with server.connect() as third:
            assert third.get("/hello")[0] == 200
        server.stop()
        assert other.rest() == b""
        assert server.status() == 0
        assert server.said() == ""


# The first fork finds no room.
NO_ROOM = """
import sys
from servers import __main__, fork_per_connection

def fork(live, stop, fork=fork_per_connection.fork):
    fork_per_connection.fork = fork
    raise BlockingIOError(11, "Resource temporarily unavailable")

fork_per_connection.fork = fork
sys.exit(__main__.main(["fork_per_connection", "--port", "0", "--linger", "0.1"]))
"""


def test_without_room_for_a_process_its_client_is_refused_and_the_next_one_is_served() -> None:
    with running("-c", NO_ROOM) as server:
        with server.connect() as refused:
            assert refused.rest() == b""
        with server.connect() as client:
            assert client.get("/hello")[0] == 200
        server.stop()
        assert server.status() == 0
        assert server.said() == ""
