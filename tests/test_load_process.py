"""The engine's process ends with the harness, even one that is killed, and even in the middle of a window."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from answering import BODY, OK, answering, serving

from benchmarks.catalogue import ROOT
from benchmarks.load.process import Engine, Open, WarmUp
from benchmarks.load.remote import EngineDied, RemoteEngine
from benchmarks.load.targets import Background, Drive, Exchange, Target, request_bytes

HARNESS = f"""
import sys
from benchmarks.load.remote import RemoteEngine
from benchmarks.load.targets import Drive, Target
engine = RemoteEngine(({min(os.sched_getaffinity(0))},))
engine.compile()
engine.open("only", Target("127.0.0.1", int(sys.argv[1]), b"-"), 1)
print(engine._process.pid, flush=True)
engine.run("only", Drive(seconds=120, poll="sleep"))
"""


def test_the_engine_dies_with_a_harness_that_is_killed_while_it_drives():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        harness = subprocess.Popen(
            [sys.executable, "-c", HARNESS, str(listener.getsockname()[1])], stdout=subprocess.PIPE, cwd=ROOT
        )
        engine = psutil.Process(int(harness.stdout.readline()))
        client, _ = listener.accept()
        with client:
            client.settimeout(60)
            assert client.recv(1) == b"-"  # the window has begun
        harness.kill()
        harness.communicate()
        gone, alive = psutil.wait_procs([engine], timeout=30)
        for left in alive:
            left.kill()
        assert gone


def test_the_engine_ends_when_nobody_asks_any_more():
    engine = RemoteEngine((min(os.sched_getaffinity(0)),))
    engine._process.stdin.close()
    assert engine._process.wait(30) == 0
    engine._process.stdout.close()


def test_levels_may_share_their_connections():
    """One Open, several Runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener, RemoteEngine((min(os.sched_getaffinity(0)),)) as engine:
        engine.open("only", Target("127.0.0.1", listener.getsockname()[1], b"-"), 2)

        loads = [engine.run("only", Drive(seconds=0.05, drain_s=0.01, poll="sleep")) for _ in range(2)]

    assert [load.connections_opened for load in loads] == [2, 2]  # nobody was answered, so none could be kept
    assert [load.unfinished for load in loads] == [2, 2]


def test_a_mix_its_background_and_its_bursts_go_to_the_process_and_back():
    with serving(answering(OK)) as port, RemoteEngine((min(os.sched_getaffinity(0)),)) as engine:
        mix = tuple(Exchange(f"GET /{label} HTTP/1.1\r\n\r\n".encode(), body=BODY, label=label) for label in ("a", "b"))
        assert engine.open("mix", Target("127.0.0.1", port, mix), 2, Background(3, "idle")) == {}
        plan = Drive(0.4, 200, "onoff", on_s=0.05, off_s=0.05, slow_s=10.0, give_up=True, drain_s=5.0, poll="sleep")
        load = engine.run("mix", plan)

    assert load.background == {"open": 3, "refused": 0, "lost": 0, "served": 0}
    assert sum(of.completed for of in load.classes.values()) == load.completed > 0
    assert load.classes.keys() == {"a", "b"}
    assert set(load.series.slow) == {0}
    assert load.errors == {}


def test_a_round_of_warm_up_leaves_nothing_undone():
    """What one round leaves behind the next would wait for, and be called slow."""
    begun, done = [], []

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            begun.append(None)
            time.sleep(0.15)
            connection.sendall(OK)
            done.append(None)

    with serving(handle) as port, RemoteEngine((0,)) as engine:
        engine.compile()
        warmup = engine.warm_up(Target("127.0.0.1", port, request_bytes("test", "/"), body=BODY), 4, 0.02, 0.3, 0.08)
        assert len(begun) == len(done) > 0
    assert warmup.round_s == 0.02


# ---------------------------------------------------------------- sessions

CPU = min(os.sched_getaffinity(0))


def hello(port: int) -> Target:
    return Target("127.0.0.1", port, request_bytes("test", "/"), body=BODY)


def counting(open_now: list[int], peak: list[int], pause_s: float = 0.0):
    """A handler that answers, and keeps how many connections are open, and the most that ever were."""
    lock = threading.Lock()

    def handle(connection: socket.socket) -> None:
        with lock:
            open_now[0] += 1
            peak[0] = max(peak[0], open_now[0])
        try:
            answering(OK, pause_s)(connection)
        finally:
            with lock:
                open_now[0] -= 1

    return handle


def test_sessions_take_turns_and_keep_their_connections():
    with serving(answering(OK)) as one, serving(answering(OK, 0.001)) as other, RemoteEngine((CPU,)) as engine:
        engine.compile()
        assert engine.open("one", hello(one), 3) == engine.open("other", hello(other), 5, Background(2, "idle")) == {}
        plan = Drive(0.03, ramp_s=0.005, drain_s=5.0, poll="sleep", sustain=True)
        loads = [(name, engine.run(name, plan)) for _ in range(3) for name in ("one", "other")]
        assert engine.ready("one") == 3
        engine.hang_up("one", 5.0)
        assert engine.ready("one") == 0
        engine.close_session("one")
        with pytest.raises(EngineDied, match="no session 'one' is open; open are other"):
            engine.run("one", plan)
        assert engine.run("other", plan).kept == 5
        engine.close_sessions()
        engine.close_sessions()
        with pytest.raises(EngineDied, match="open are none"):
            engine.ready("other")
    assert [(name, load.connections, load.kept, load.connections_opened) for name, load in loads] == [
        ("one", 3, 0, 3), ("other", 5, 0, 5), *[("one", 3, 3, 0), ("other", 5, 5, 0)] * 2,
    ]  # fmt: skip
    assert all(load.errors == {} and load.completed > 0 for _, load in loads)
    assert [load.background.get("open", 0) for _, load in loads] == [0, 2] * 3


def test_opening_a_session_again_closes_the_old_one_first():
    open_now, peak = [0], [0]
    with serving(counting(open_now, peak)) as port, RemoteEngine((CPU,)) as engine:
        engine.compile()
        for connections in (4, 2):
            engine.open("same", hello(port), connections)
            load = engine.run("same", Drive(0.05, poll="sleep"))
            assert (load.connections, load.errors) == (connections, {})
        engine.close_session("same", 5.0)
    assert open_now == [0]
    assert peak[0] <= 6


def test_the_process_may_open_what_the_hard_limit_allows():
    with RemoteEngine((CPU,)) as engine:
        engine.close_sessions()  # answered, so it has begun
        soft, hard = resource.prlimit(engine._process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.parametrize("ask", [lambda t: Open("a", t, 500), lambda t: Open("a", t, 10, Background(490, "idle"))])
def test_more_connections_than_descriptors_are_refused_with_the_remedy(ask):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        with pytest.raises(
            ValueError, match=r"500 connections more need too many descriptors: .* of 400 .* raise the hard limit"
        ):
            Engine((CPU,)).answer(ask(hello(9)))
        with pytest.raises(ValueError, match="too many descriptors"):
            Engine((CPU,)).answer(WarmUp(hello(9), 500, 0.01, 1.0, 0.08))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_rounds_of_warm_up_never_overlap():
    """A server that has room for one round's connections only: each round ends when the server has closed them."""
    open_now, peak = [0], [0]
    with serving(counting(open_now, peak)) as port, RemoteEngine((CPU,)) as engine:
        engine.compile()
        warmup = engine.warm_up(hello(port), 40, 0.02, 1.0, 0.08)
        assert open_now == [0]
    assert len(warmup.rates_per_s) >= 2
    assert peak == [40]
