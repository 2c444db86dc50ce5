"""What the engine tells for others to check it by: Little's law, who waited for whom, who was passed over, run after run."""

import io
import socket
import threading
import time

import numpy as np
import pytest
from answering import BODY, CLOSING, OK, answering, close_early, drive, reset, serving
from rich.console import Console

from benchmarks import histogram
from benchmarks.load import edges, reader, state
from benchmarks.load.command import as_plain, show
from benchmarks.load.connections import set_free, take_free
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Target, request_bytes
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


def test_littles_law_holds_through_an_early_end():
    with serving(answering(OK, 0.05)) as port, Session(target(port), 3) as session:
        session.open()
        timer = threading.Timer(0.2, session.stop)
        timer.start()
        load = session.run(Drive(seconds=30, poll="sleep"))
        timer.join()
    holds(load)
    assert load.seconds < 20
    assert load.drained == load.in_flight > 0  # asked once, what is under way may finish


def test_a_load_that_is_ended_in_its_ramp_has_seen_nothing():
    with serving(answering(OK, 0.01)) as port, Session(target(port), 3) as session:
        session.open()
        session.stop()
        load = session.run(Drive(seconds=30, ramp_s=20, rate_per_s=1000, poll="sleep"))
    assert (load.intended, load.completed, load.waited, load.unsent) == (0, 0, 0, 0)
    assert load.seconds < 1
    holds(load)


def target(port: int) -> Target:
    return Target("127.0.0.1", port, request_bytes("test", "/"), body=BODY)


def test_who_waits_for_a_connection_is_counted_and_the_wait_is_not_the_engines():
    """Two connections, each busy for 50 ms: of 200 arrivals a second at most 40 can be sent, and nearly all wait."""
    with serving(answering(OK, 0.05)) as port:
        busy = drive(port, 2, rate_per_s=200, arrivals="constant", seconds=0.5, drain_s=0.2)
    assert busy.intended - 2 - 5 <= busy.waited <= busy.intended
    assert busy.unsent > 0.5 * busy.intended
    assert busy.free_at_end == 0
    assert histogram.quantile_ns(busy.send_lag, 0.5) > 20_000_000
    assert histogram.total(busy.own_lag) <= busy.intended - busy.unsent + busy.drained
    assert histogram.quantile_ns(busy.own_lag, 0.5) < histogram.quantile_ns(busy.send_lag, 0.5) / 10


def test_what_was_due_in_the_window_is_sent_in_the_drain_and_nothing_else_is():
    """Ten arrivals for each that can be served: the ramp alone leaves more than the window can send."""
    with serving(answering(OK, 0.01)) as port:
        ramped = drive(port, 1, rate_per_s=1000, arrivals="constant", ramp_s=0.2, seconds=0.1, drain_s=0.3)
        drained = drive(port, 4, rate_per_s=500, arrivals="constant", seconds=0.3, drain_s=10.0)
    assert 0 <= ramped.drained - histogram.total(ramped.response) <= 1  # one request of the ramp may have been on the wire
    assert ramped.drained > 2
    assert ramped.completed == ramped.crossing.carried_in
    assert histogram.total(ramped.response) + histogram.total(ramped.censored) == ramped.intended
    assert drained.unsent > 10
    assert drained.unfinished == 0
    assert histogram.total(drained.response) == drained.intended == drained.completed + drained.drained
    holds(ramped)
    holds(drained)


def test_with_a_free_connection_nobody_waits_and_the_whole_lag_is_the_engines():
    with serving(answering(OK)) as port:
        calm = drive(port, 16, rate_per_s=200, arrivals="constant", seconds=0.5)
    assert calm.waited <= 0.1 * calm.intended  # a stall of this machine can keep all of them
    assert calm.free_at_end >= 1
    own, lag = histogram.total(calm.own_lag), histogram.total(calm.send_lag)
    assert 0 < own <= lag == calm.intended
    if calm.waited == 0:
        assert calm.own_lag.sum_ns <= calm.send_lag.sum_ns
    assert calm.own_lag.max_ns <= calm.send_lag.max_ns


def test_the_first_in_the_ring_has_been_free_for_the_longest_time():
    """However often a connection was closed there and opened again: more often than the ring has places."""
    engine, connections, ring = np.zeros(1, state.ENGINE), np.zeros(4, reader.CONNECTION), np.zeros(8, np.int64)
    engine["ring_head"] = 1
    order = [0, *(k for turn in range(9) for k in np.random.default_rng(turn).permutation([1, 2, 3]).tolist())]
    for k in order:
        set_free(engine[0], k, connections, ring)
    assert [take_free(engine[0], connections, ring) for _ in range(5)] == [0, *order[-3:], -1]


def test_at_the_windows_end_a_free_connection_goes_on_being_free_since_it_was():
    """An arrival of the window that is sent just after it must not seem to have waited for the edge."""
    engine, connections = np.zeros(1, state.ENGINE), np.zeros(3, reader.CONNECTION)
    engine["phase"], engine["starts_ns"], engine["open"], engine["next_ns"] = state.WINDOW, 1000, 1, 2500.0
    engine["in_flight"], engine["area_at_ns"] = 2, 1000
    connections["state"] = state.READY, state.WAITING, state.WAITING
    connections["since_ns"] = connections["sent_ns"] = connections["intended_ns"] = 1500, 1200, 400
    connections["ringed"] = 7, 0, 0
    ledger = np.zeros(len(state.LEDGER), np.int64)
    edges.end_window(engine[0], connections, ledger, np.zeros(1, state.EXCHANGE), 2000)
    assert connections["since_ns"].tolist() == [1500, 1200, 400]
    assert ledger.tolist() == [0, 0, 800 + 1000, 500, 0]
    told = {name: int(engine[0][name]) for name in ("in_flight_ns", "carried_in_ns", "unanswered_ns", "free_at_end")}
    assert told == {"in_flight_ns": 2000, "carried_in_ns": 1000, "unanswered_ns": 800, "free_at_end": 1}


def test_without_keep_alive_a_connection_is_free_when_its_answer_has_come():
    with serving(once) as port:
        calm = drive(port, 32, keepalive=False, rate_per_s=100, arrivals="constant", seconds=0.4)
        busy = drive(port, 1, keepalive=False, rate_per_s=2000, arrivals="constant", seconds=0.4)
    assert calm.waited <= 0.1 * calm.intended
    assert calm.free_at_end >= 1
    assert busy.waited >= 0.8 * busy.intended
    assert busy.unsent > 0


def test_the_own_lag_of_arrivals_beside_a_pause_of_the_engine_is_left_out():
    """An engine that is kept from its work shows gaps, and they are told apart from what it did too slowly itself."""
    with serving(answering(OK)) as port, Session(target(port), 8) as session:
        session.open()
        load = session.run(Drive(seconds=0.5, rate_per_s=2000, arrivals="constant"))
    longest = max((length for _, length in load.gaps), default=0)
    if longest > 5_000_000:  # arrivals were late by as much, and those are not in `own_lag`
        assert load.own_lag.max_ns < load.send_lag.max_ns
    assert histogram.total(load.own_lag) <= load.intended


def test_a_connection_that_is_not_served_is_passed_over_by_all_others():
    """Of eight, one is answered once, at the very end of its patience, and the others as fast as they ask."""
    turn = iter(range(10**9))

    def handle(connection: socket.socket) -> None:
        neglected = next(turn) == 3
        while connection.recv(65536):
            time.sleep(0.4 if neglected else 0.001)
            connection.sendall(OK)

    with serving(handle) as port:
        load = drive(port, 8, seconds=0.5)
        fair = drive(port, 1, seconds=0.2)
    neglected = load.per_connection.index(min(load.per_connection))
    assert load.passed_over[neglected] == max(load.passed_over) >= 0.3 * load.completed
    assert all(over <= load.completed for over in load.passed_over)
    assert fair.passed_over == [0]


def test_a_connection_that_is_never_served_is_passed_over_by_every_completion():
    turn = iter(range(10**9))

    def handle(connection: socket.socket) -> None:
        if next(turn) == 1:
            return silent(connection)
        return answering(OK, 0.001)(connection)

    with serving(handle) as port, Session(target(port), 4, threads=2) as session:
        session.open()
        load = session.run(Drive(seconds=0.3, drain_s=0.05, poll="sleep"))
    never = load.per_connection.index(0)
    assert load.passed_over[never] == load.completed
    assert sum(over == load.completed for over in load.passed_over) == 1


@pytest.mark.parametrize(("seconds", "step_ns"), [(0.3, 10_000_000), (11.0, 100_000_000)])
def test_the_steps_of_the_series_go_by_the_length_of_the_run(seconds, step_ns):
    with serving(answering(OK, 0.01)) as port, Session(target(port), 2) as session:
        session.open()
        timer = threading.Timer(0.5, session.stop)
        timer.start()
        load = session.run(Drive(seconds=seconds, poll="sleep"))
        timer.join()
    assert load.series.step_ns == step_ns
    assert sum(load.series.completed) == load.completed
    assert len(load.series.completed) == len(load.series.worst_ns) == int(load.seconds * 1e9) // step_ns + 1
    assert sum(n > 0 for n in load.series.completed) >= min(len(load.series.completed) // 2, 3)
    assert max(load.series.worst_ns) <= load.response.max_ns


# ---------------------------------------------------------------- one run after the other


def test_overload_leaves_nothing_to_the_calm_run_after_it():
    """Requests that outlive their run are answered in the next one's time, and neither count nor disturb it."""
    slow = threading.Event()
    slow.set()

    def handle(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            assert request
            if slow.is_set():
                time.sleep(0.3)
            connection.sendall(OK)

    with serving(handle) as port, Session(target(port), 6) as session:
        assert session.open() == {}
        over = session.run(Drive(seconds=0.2, rate_per_s=500, drain_s=0.02, poll="sleep"))
        slow.clear()
        calm = session.run(Drive(seconds=0.4, rate_per_s=100, arrivals="constant", ramp_s=0.05, poll="sleep"))
        again = session.run(Drive(seconds=0.2, poll="sleep"))
    assert over.unfinished > 6
    assert over.connections_opened == 6 == histogram.total(over.connect)
    assert calm.errors == again.errors == {}
    assert calm.unfinished == 0
    assert calm.connections_opened == 6 == histogram.total(calm.connect)  # each was in use, and is another now
    assert again.connections_opened == 0 == histogram.total(again.connect)
    assert histogram.total(calm.response) == calm.intended == pytest.approx(40, abs=2)
    assert again.completed > 0
    for load in (over, calm, again):
        holds(load)
        assert sum(load.per_connection) == load.completed


def test_a_connection_that_the_server_closed_between_runs_is_opened_again_and_is_no_error():
    closed = threading.Semaphore(0)

    def handle(connection: socket.socket) -> None:
        connection.settimeout(0.15)
        try:
            while connection.recv(65536):
                connection.sendall(OK)
        except TimeoutError:
            connection.shutdown(socket.SHUT_RDWR)
            closed.release()

    for rate_per_s in (None, 1000):
        with serving(handle) as port, Session(target(port), 3) as session:
            session.open()
            for _ in range(2):
                for _ in range(3):
                    assert closed.acquire(timeout=10)  # idle since `open`, or since the run before
                load = session.run(Drive(seconds=0.1, rate_per_s=rate_per_s, poll="sleep"))
                assert load.errors == {}
                assert load.connections_opened >= 3
                assert load.completed > 0


def test_thinking_connections_go_on_in_the_next_run():
    with serving(answering(OK)) as port, Session(target(port), 4) as session:
        session.open()
        loads = [session.run(Drive(seconds=0.2, think_s=0.03, poll="sleep")) for _ in range(3)]
    assert [load.connections_opened for load in loads] == [4, 0, 0]
    assert [load.kept for load in loads] == [0, 4, 4]
    assert all(load.errors == {} and load.completed > 4 for load in loads)


def test_open_and_closed_levels_may_share_connections():
    with serving(answering(OK, 0.002)) as port, Session(target(port), 4) as session:
        session.open()
        plans = [Drive(seconds=0.2, rate_per_s=rate, poll="sleep") for rate in (None, 5000, 100, None, 200)]
        loads = [session.run(plan) for plan in plans]
    for load in loads:
        holds(load)
        assert load.errors == {}
        assert load.completed > 0
    assert sum(load.connections_opened for load in loads[1:]) <= 4  # but for what the drain could not finish, none


def test_connections_that_come_and_go_keep_the_order_of_the_free():
    """The server closes idle connections all the time, so most places in the ring no longer count when their turn comes."""

    def restless(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        try:
            while connection.recv(65536):
                connection.sendall(OK)
        except TimeoutError:
            pass

    with serving(restless) as port:
        load = drive(port, 16, rate_per_s=50, arrivals="constant", seconds=0.8)
    assert load.connections_opened > 4 * 16  # more entries than the ring holds
    assert histogram.total(load.response) + sum(load.errors.values()) >= load.intended - 1
    assert load.completed > 0.5 * load.intended
    holds(load)


def test_servebench_load_shows_the_facts():
    with serving(answering(OK, 0.02)) as port:
        open_loop = drive(port, 2, rate_per_s=400, arrivals="constant")
        closed_loop = drive(port, 2)
    plain = as_plain(open_loop)
    assert plain["waited"] == open_loop.waited > 0
    assert plain["own_lag_ns"]["count"] == histogram.total(open_loop.own_lag)
    assert plain["crossing"]["in_flight_ns"] == open_loop.crossing.in_flight_ns
    assert (plain["unsent"], plain["free_at_end"]) == (open_loop.unsent, open_loop.free_at_end)
    assert plain["passed_over"] == open_loop.passed_over
    said = [io.StringIO(), io.StringIO()]
    for load, file in zip((open_loop, closed_loop), said, strict=True):
        show(load, "http://test/", Console(file=file, width=200))
    assert "own lag" in said[0].getvalue()
    assert "found no free connection when they were due" in said[0].getvalue()
    assert "lag" not in said[1].getvalue()
    assert "found no free" not in said[1].getvalue()
