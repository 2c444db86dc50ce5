"""Many windows on the same connections, and a load that goes on until the last request of its window is answered."""

import socket
import threading
import time

import numpy as np
import pytest
from answering import BODY, OK, answering, serving
from test_load_facts import LOOPS, SERVERS, holds, target

from benchmarks import histogram
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Target, request_bytes
from benchmarks.nouns import LoadResult


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


def balances(load: LoadResult) -> None:
    """Every request that was made in the window is counted once, and no other is."""
    holds(load)
    answered, aged = histogram.total(load.response), histogram.total(load.censored)
    assert sum(load.per_connection) == load.completed == sum(load.series.completed)
    assert histogram.total(load.service) == histogram.total(load.send_lag) == answered
    assert load.response.sum_ns == load.service.sum_ns + load.send_lag.sum_ns
    assert histogram.total(load.connect) == load.connections_opened
    assert answered + aged <= load.intended
    assert answered <= load.completed + load.drained
    if not load.errors:
        assert answered + aged == load.intended
        assert load.in_flight <= load.drained + load.unfinished


# ---------------------------------------------------------------- the load goes on


@pytest.mark.parametrize(
    ("server", "keepalive"), [*((server, True) for server in SERVERS), *((server, False) for server in ("prompt", "moody"))]
)
@pytest.mark.parametrize("plan", LOOPS.values(), ids=LOOPS)
def test_the_sums_hold_whatever_the_server_does_while_the_load_goes_on(server, plan, keepalive):
    request = request_bytes("test", "/", keepalive=keepalive)
    with serving(SERVERS[server]()) as port, Session(Target("127.0.0.1", port, request, body=BODY), 5, trace=10_000) as session:
        drive = Drive(
            seconds=0.1, drain_s=0.05, ramp_s=0.03, timeout_s=0.12, poll="sleep", keepalive=keepalive, sustain=True, **plan
        )
        load = session.run(drive)
        intended = session.traced()[:, 1] - session.begins_ns()
    balances(load)
    assert ((intended >= 0) & (intended <= load.seconds * 1e9)).all()
    assert len(intended) == histogram.total(load.response)


def test_requests_after_the_window_are_made_and_not_counted():
    """One request takes 0.3 s: until it is answered, the others go on."""
    turn = iter(range(10**9))

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            time.sleep(0.3 if next(turn) == 5 else 0.001)
            connection.sendall(OK)

    for rate_per_s in (200, None):
        loads = []
        for sustain in (False, True):
            turn = iter(range(10**9))
            with serving(handle) as port, Session(target(port), 8) as session:
                session.open()
                loads.append(session.run(Drive(0.1, rate_per_s, drain_s=5.0, poll="sleep", sustain=sustain)))
                assert session.ready() == 8
        for load in loads:
            balances(load)
            assert load.errors == {}
            assert load.unfinished == 0
            assert load.response.max_ns > 280_000_000
        over, on = (load.all_requests - histogram.total(load.response) for load in loads)
        assert over == 0
        assert on > 20  # 0.2 s of the load


def test_the_sequence_of_arrivals_is_the_same_with_and_without():
    def arrivals(sustain: bool) -> np.ndarray:
        with serving(answering(OK, 0.003)) as port, Session(target(port), 4, trace=1000) as session:
            session.open()
            load = session.run(Drive(0.3, 500, poll="sleep", seed=11, sustain=sustain))
            balances(load)
            return np.diff(np.sort(session.traced()[:, 1]))

    short, sustained = arrivals(False), arrivals(True)
    both = min(len(short), len(sustained))  # a window begins when the engine is there, so one may hold an arrival more
    assert abs(len(short) - len(sustained)) <= 5
    assert np.abs(short[:both] - sustained[:both]).max() <= 1  # ns: but for where they were rounded


@pytest.mark.parametrize("rate_per_s", [300, None], ids=["open", "closed"])
def test_both_drains_are_bounded_and_a_late_answer_is_in_no_count(rate_per_s):
    """One request takes longer than the drain: it is unfinished, even though its answer comes before the next window."""
    turn = iter(range(10**9))

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            time.sleep(0.5 if next(turn) == 3 else 0.002)
            connection.sendall(OK)

    with serving(handle) as port, Session(target(port), 6) as session:
        session.open()
        begins = time.monotonic()
        load = session.run(Drive(0.1, rate_per_s, drain_s=0.25, poll="sleep", sustain=True))
        spent = time.monotonic() - begins
        busy = 6 - session.ready()
        after = session.run(Drive(0.1, rate_per_s, drain_s=2.0, poll="sleep", sustain=True))
    balances(load)
    balances(after)
    assert load.errors == after.errors == {}
    assert load.unfinished >= 1
    assert load.censored.max_ns >= 250_000_000
    assert load.response.max_ns < 500_000_000
    assert busy == 0 or spent >= 0.6  # the second drain ends with the last answer, or when it has lasted as long as the first
    assert after.kept == 6 - busy
    assert after.unfinished == 0


def test_arrivals_that_found_no_connection_are_of_the_window_however_long_the_drain():
    """Ten times what one connection can serve: those of the window are served in the drain, before the later ones."""
    with serving(answering(OK, 0.005)) as port, Session(target(port), 1) as session:
        session.open()
        load = session.run(Drive(0.1, 1000, "constant", drain_s=10.0, poll="sleep", sustain=True))
        assert session.ready() == 1
    balances(load)
    assert load.unfinished == 0
    assert histogram.total(load.response) == load.intended == pytest.approx(100, abs=2)
    assert load.all_requests <= load.intended + 2


def test_who_gives_up_after_the_window_is_in_no_count():
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with serving(silent) as port, Session(target(port), 2) as session:
        session.open()
        load = session.run(
            Drive(0.2, 500, "constant", timeout_s=0.1, drain_s=0.4, give_up=True, poll="sleep", sustain=True)
        )  # fmt: skip
    balances(load)
    assert sum(load.errors.values()) == load.intended == histogram.total(load.censored)
    assert load.errors["gave_up"] + load.errors["read_timeout"] == load.intended


def test_failures_after_the_window_are_in_no_count():
    """The server begins to reset connections when the window is over."""
    over = threading.Event()
    turn = iter(range(10**9))

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            if next(turn) == 2:
                time.sleep(0.4)  # keeps the load going
            elif over.is_set():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            connection.sendall(OK)

    for rate_per_s in (300, None):
        over.clear()
        turn = iter(range(10**9))
        with serving(handle) as port, Session(target(port), 4) as session:
            session.open()
            timer = threading.Timer(0.25, over.set)
            timer.start()
            load = session.run(Drive(0.1, rate_per_s, drain_s=5.0, think_s=0.0 if rate_per_s else 0.002, sustain=True))
            timer.join()
        balances(load)
        if load.seconds < 0.2:
            assert load.errors == {}
            assert load.connections_opened == 4


# ---------------------------------------------------------------- window after window


@pytest.mark.parametrize("sustain", [False, True])
def test_no_window_leaks_into_the_next(sustain):
    """Thirty windows in both loops, most with requests in flight when they are over."""
    with serving(answering(OK, 0.004)) as port, Session(target(port), 6, threads=1, blocking=True) as session:
        assert session.open() == {}
        for number in range(30):
            free = session.ready()
            rate_per_s = (None, 700, 3000)[number % 3]
            load = session.run(
                Drive(0.02, rate_per_s, ramp_s=0.005, drain_s=(0.0, 0.0, 0.5)[number % 3], seed=number, sustain=sustain)
            )
            balances(load)
            assert load.errors == {}
            assert load.connections == len(load.per_connection) == 6
            assert load.kept == (0 if number == 0 else free)
            assert load.kept + load.connections_opened <= 6  # one more only where the server closes one
            assert load.intended <= load.completed + load.unfinished + load.drained
            assert load.all_requests >= load.completed + load.drained


def test_connections_that_the_server_closed_between_windows_are_opened_not_kept():
    def once(connection: socket.socket) -> None:
        connection.settimeout(0.05)
        try:
            while connection.recv(65536):
                connection.sendall(OK)
        except TimeoutError:
            pass

    with serving(once) as port, Session(target(port), 3) as session:
        session.open()
        session.run(Drive(0.1, poll="sleep"))
        deadline = time.monotonic() + 20
        while session.run(Drive(0.0001, drain_s=1.0, poll="sleep")).kept == 3:  # kept as long as the pauses are short
            assert time.monotonic() < deadline
            time.sleep(0.1)
        load = session.run(Drive(0.1, ramp_s=0.02, poll="sleep"))
    assert load.errors == {}
    balances(load)


# ---------------------------------------------------------------- hanging up


def test_hanging_up_waits_for_the_server_and_the_next_window_opens_again():
    closed = []

    def lingering(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(OK)
        time.sleep(0.1)
        closed.append(None)

    with serving(lingering) as port, Session(target(port), 5) as session:
        session.open()
        first = session.run(Drive(0.05, ramp_s=0.01, poll="sleep"))
        session.hang_up(20.0)
        assert len(closed) == 5
        assert session.ready() == 0
        again = session.run(Drive(0.05, 200, ramp_s=0.05, poll="sleep"))
        session.close(20.0)
        assert len(closed) == 10
        session.close()  # again is no harm
    assert first.errors == again.errors == {}
    assert (again.kept, again.connections_opened) == (0, 5)
    balances(again)


def test_hanging_up_does_not_wait_for_ever():
    over = threading.Event()

    def deaf(connection: socket.socket) -> None:
        assert connection.recv(65536)
        connection.sendall(OK)
        over.wait(20)

    with serving(deaf) as port, Session(target(port), 2) as session:
        session.open()
        session.run(Drive(0.02, drain_s=0.05, poll="sleep"))
        begins = time.monotonic()
        session.close(0.2)
        spent = time.monotonic() - begins
        over.set()
    assert 0.2 <= spent < 15
