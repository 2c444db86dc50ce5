"""Processes of models that have several: who is replaced when, what is said of it, and how they end."""

import collections
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import psutil
import pytest
from live import PATIENCE_S, Server, running, serving

from benchmarks.conformance.subjects import Model
from benchmarks.conformance.suite import examine

COUNT = 3


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
        eventually(lambda: len(server.family()) == 1 + COUNT, "all seats taken")
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


def test_workers_do_not_outlive_their_parent() -> None:
    with serving("prefork", "--workers", "3", "--linger", "0.1") as server:
        eventually(lambda: len(server.family()) == 4, "three workers")
        workers = server.family()[1:]
        server.process.kill()
        server.process.wait()
        eventually(lambda: all(map(over, workers)), "they have ended, too")


def test_an_orphan_ends_with_its_drain() -> None:
    """Though its client keeps it busy: there is no parent any more to end it."""
    with serving("prefork", "--workers", "1", "--linger", "0.1", "--drain", "0.5") as server, server.connect() as client:
        client.send(b"GET /wait/60000 HTTP/1.1\r\nHost: test\r\n\r\n")
        eventually(lambda: len(server.family()) == 2, "its worker")
        worker = server.family()[1]
        eventually(lambda: any(each.status == psutil.CONN_ESTABLISHED for each in worker.net_connections()), "its client")
        server.process.kill()
        assert client.rest() == b""
        eventually(lambda: over(worker), "it ends")


def test_a_worker_told_to_stop_is_replaced_when_it_has_drained() -> None:
    """By a signal of its own: the others go on, and clients are queued as ever."""
    with serving("prefork", "--workers", "2", "--linger", "0.1") as server, server.connect() as kept:
        eventually(lambda: len(server.family()) == 3, "two workers")
        assert kept.get("/hello")[0] == 200
        idle = next(w for w in server.family()[1:] if not any(c.status == psutil.CONN_ESTABLISHED for c in w.net_connections()))
        idle.send_signal(signal.SIGTERM)
        eventually(lambda: len(server.family()) == 3 and idle not in server.family(), "a successor")
        assert kept.get("/hello")[0] == 200
        kept.socket.close()
        clients = [server.connect() for _ in range(20)]  # most of them wait in the queue, whose length must be what it was
        for client in clients:
            with client:
                assert client.get("/hello")[0] == 200
        assert server.said() == ""


@pytest.mark.parametrize("rule", ["worker-killed-idle", "worker-killed-busy"])
def test_killed_workers_take_nobody_else_with_them(rule: str) -> None:
    report = examine(Model("prefork"), ["stop"], [rule])
    assert not report.broken, report.broken
