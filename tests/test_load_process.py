"""The engine's process ends with the harness, even one that is killed, and even in the middle of a window."""

import os
import socket
import subprocess
import sys
import time

import psutil
from answering import BODY, OK, answering, serving

from benchmarks.catalogue import ROOT
from benchmarks.load.remote import RemoteEngine
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
