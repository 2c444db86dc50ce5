"""What the engine tells for others to check it by: Little's law, who waited for whom, who was passed over, run after run."""

import socket
import threading
import time

import pytest
from answering import CLOSING, OK, answering, close_early, drive, reset, serving

from benchmarks import histogram
from benchmarks.load.engine import compile_all
from benchmarks.nouns import LoadResult


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


def silent(connection: socket.socket) -> None:
    """Reads, and never answers."""
    connection.settimeout(1.0)
    while connection.recv(65536):
        pass


def once(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(0.002)
    connection.sendall(CLOSING)


def moody():
    """Each connection in turn answers for ever, answers thrice and closes, resets, closes early, is wrong, or stays silent."""
    turn = iter(range(10**9))
    lock = threading.Lock()

    def three(connection: socket.socket) -> None:
        for _ in range(3):
            connection.recv(65536)
            connection.sendall(OK)

    moods = [answering(OK, 0.003), three, reset, close_early, answering(OK.replace(b"World", b"Wurld"), 0.001), silent]

    def handle(connection: socket.socket) -> None:
        with lock:
            mood = moods[next(turn) % len(moods)]
        mood(connection)

    return handle


SERVERS = {
    "prompt": lambda: answering(OK),
    "slow": lambda: answering(OK, 0.02),
    "slower than the drain": lambda: answering(OK, 0.25),
    "closing": lambda: once,
    "resetting": lambda: reset,
    "closing early": lambda: close_early,
    "silent": lambda: silent,
    "wrong": lambda: answering(OK.replace(b"World", b"Wurld"), 0.005),
    "moody": moody,
}
LOOPS = {
    "closed": {},
    "closed, thinking": {"think_s": 0.01},
    "open": {"rate_per_s": 400},
    "open, overloaded": {"rate_per_s": 5000, "arrivals": "constant"},
}


def holds(load: LoadResult) -> None:
    """Little's law, to the nanosecond: both sides are made of the same looks at the clock, on different ways."""
    c = load.crossing
    told = load.service.sum_ns - c.carried_out_ns + c.carried_in_ns + c.unanswered_ns + load.ledger.failed_ns
    assert c.in_flight_ns == told
    assert min(c.in_flight_ns, c.carried_in, c.carried_in_ns, c.carried_out_ns, c.unanswered_ns) >= 0
    assert c.in_flight_ns <= load.connections * load.seconds * 1e9 * 1.000001
    on_wire = load.ledger.completed_ns + load.ledger.failed_ns + load.ledger.residual_ns
    assert c.in_flight_ns == on_wire  # a connection has one request on the wire, or none


@pytest.mark.parametrize("keepalive", [True, False], ids=["kept alive", "not kept"])
@pytest.mark.parametrize("plan", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_littles_law_holds_whatever_the_server_does(server, plan, keepalive):
    with serving(server()) as port:
        load = drive(port, 5, keepalive=keepalive, timeout_s=0.12, drain_s=0.05, ramp_s=0.05, seconds=0.2, **plan)
    holds(load)
    assert load.crossing.in_flight_ns > 0
    assert histogram.total(load.service) >= load.completed - load.crossing.carried_in
    assert histogram.total(load.response) + histogram.total(load.censored) <= load.intended
