"""The load engine against servers that do what they are told, wrong things included, over real sockets."""

import os
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from answering import BODY, CLOSING, OK, answering, close_early, drive, reset, serving

from benchmarks import histogram
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Target, request_bytes


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


def test_closed_loop_accounts_for_every_request_and_for_all_time():
    with serving(answering(OK, pause_s=0.002)) as port:
        load = drive(port)
    assert load.errors == {}
    assert load.completed > 20
    assert load.in_flight == load.drained + load.unfinished
    assert histogram.total(load.response) == load.completed + load.drained
    assert sum(load.per_connection) == load.completed == sum(load.series.completed)
    ledger = load.ledger
    spent = ledger.completed_ns + ledger.failed_ns + ledger.residual_ns + ledger.thinking_ns + ledger.connecting_ns
    assert spent == pytest.approx(load.connections * load.seconds * 1e9, rel=1e-6)
    assert load.connections_opened == 4
    assert histogram.total(load.connect) == 4
    assert load.response.min_ns >= 2_000_000


def test_open_loop_keeps_its_schedule():
    with serving(answering(OK)) as port:
        load = drive(port, rate_per_s=200, arrivals="constant", seconds=0.5)
    assert load.intended == pytest.approx(100, abs=1)
    assert histogram.total(load.response) + histogram.total(load.censored) == load.intended
    assert histogram.total(load.send_lag) == histogram.total(load.response)


def test_poisson_arrivals_have_the_offered_mean_and_repeat_with_the_seed():
    def arrivals(seed: int) -> np.ndarray:
        target = Target("127.0.0.1", port, request_bytes("test", "/"), body=BODY)
        with Session(target, 4, trace=1000) as session:
            session.open()
            session.run(Drive(seconds=0.5, rate_per_s=1000, poll="sleep", seed=seed))
            return np.diff(np.sort(session.traced()[:, 1]))[:300]

    with serving(answering(OK)) as port:
        first, again, other = arrivals(7), arrivals(7), arrivals(8)
    assert np.abs(first - again).max() <= 1  # ns: the same, but for where they were rounded
    assert np.abs(first - other).max() > 1000
    assert first.mean() == pytest.approx(1e6, rel=0.3)


def test_open_loop_latency_holds_the_queue_that_a_stall_builds():
    """One pause of 150 ms: in the open loop the requests due in it wait for its end; in the closed loop one request does."""
    stalled = threading.Event()

    def handle(connection: socket.socket) -> None:
        while connection.recv(65536):
            if not stalled.is_set():
                stalled.set()
                time.sleep(0.15)
            connection.sendall(OK)

    with serving(handle) as port:
        waited = drive(port, connections=1, rate_per_s=400, arrivals="constant", seconds=0.5)
    late = sum(
        count
        for index, count in zip(waited.response.index, waited.response.count, strict=True)
        if histogram.bounds_ns(index)[0] > 20_000_000
    )
    # 400/s for 150 ms: 60 requests are due during the pause, of which those of the last 20 ms wait less than that.
    assert late >= 45
    stalled.clear()
    with serving(handle) as port:
        told = drive(port, connections=1, seconds=0.5)
    assert (
        sum(c for i, c in zip(told.response.index, told.response.count, strict=True) if histogram.bounds_ns(i)[0] > 100_000_000)
        == 1
    )


def test_requests_that_are_never_answered_count_with_their_age():
    with serving(lambda connection: connection.recv(65536) and time.sleep(1.2)) as port:
        load = drive(port, connections=3, drain_s=0.05)
    assert (load.completed, load.in_flight, load.unfinished) == (0, 3, 3)
    assert histogram.total(load.censored) == 3
    assert load.censored.min_ns >= 300_000_000


def test_arrivals_that_never_get_a_connection_count_too():
    with serving(lambda connection: connection.recv(65536) and time.sleep(1.2)) as port:
        load = drive(port, connections=1, rate_per_s=100, arrivals="constant", drain_s=0.05)
    assert load.completed == 0
    assert load.unfinished == load.intended == histogram.total(load.censored)
    assert load.intended == pytest.approx(30, abs=1)


@pytest.mark.parametrize("pieces", [1, 3, 60])
def test_a_response_may_come_in_pieces(pieces):
    with serving(answering(OK, pieces=pieces)) as port:
        load = drive(port)
    assert load.errors == {}
    assert load.completed > 0


def test_large_bodies_are_compared_to_the_last_byte():
    body = bytes(range(256)) * 4096  # 1 MiB
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving(answering(response)) as port:
        good, bad = drive(port, body=body), drive(port, body=body[:-1] + b"\0")
    assert good.completed > 0
    assert good.errors == {}
    assert bad.completed == 0
    assert bad.errors["wrong_body"] > 0


@pytest.mark.parametrize(
    ("kind", "handle"),
    [
        ("closed_early", close_early),
        ("reset", reset),
        ("malformed", answering(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")),
        ("malformed", answering(OK + b"more than was asked for")),
        ("wrong_body", answering(OK.replace(b"World", b"Wurld"))),
        ("status_4xx", answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
        ("status_5xx", answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")),
        ("status_2xx", answering(b"HTTP/1.1 204 No Content\r\n\r\n")),
        ("read_timeout", lambda connection: connection.recv(65536) and time.sleep(0.5)),
    ],
)
def test_each_failure_has_its_name_and_is_never_a_completion(kind, handle):
    with serving(handle) as port:
        load = drive(port, connections=2, timeout_s=0.1)
    assert load.completed == 0
    assert load.errors[kind] > 0
    assert sum(load.series.errors) > 0


def test_a_refused_connection_is_tried_again_and_counted():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    load = drive(port)
    assert load.completed == 0
    assert load.errors["connect_refused"] > 4


def test_a_connection_that_the_server_ends_is_opened_again():
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(CLOSING)

    with serving(once) as port:
        load = drive(port)
    assert load.errors == {}
    assert load.connections_opened > load.completed > 4


def test_without_keep_alive_every_request_has_its_own_connection():
    def once(connection: socket.socket) -> None:
        request = connection.recv(65536)
        connection.sendall(CLOSING if b"Connection: close" in request else b"")

    with serving(once) as port:
        closed = drive(port, keepalive=False)
        opened = drive(port, keepalive=False, rate_per_s=100, arrivals="constant")
    for load in (closed, opened):
        assert load.errors == {}
        assert load.connections_opened >= load.completed > 4
        assert histogram.total(load.connect) == load.connections_opened
    assert opened.completed + opened.drained == pytest.approx(30, abs=2)


def test_a_body_without_length_ends_with_the_connection():
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)

    with serving(once) as port:
        load = drive(port)
    assert load.errors == {}
    assert load.completed > 4


def test_think_time_is_spent_between_requests():
    with serving(answering(OK)) as port:
        load = drive(port, connections=1, think_s=0.05, seconds=0.5)
    assert 5 <= load.completed <= 10
    assert load.ledger.thinking_ns > 300_000_000


def test_the_ramp_is_not_counted():
    with serving(answering(OK, pause_s=0.01)) as port:
        load = drive(port, connections=1, ramp_s=0.3, seconds=0.2)
    assert load.completed <= 20 < load.all_requests


def test_threads_share_connections_and_rate():
    with (
        serving(answering(OK)) as port,
        Session(Target("127.0.0.1", port, request_bytes("t", "/"), body=BODY), 5, 2) as session,
    ):
        session.open()
        load = session.run(Drive(seconds=0.4, rate_per_s=300, arrivals="constant", poll="sleep"))
    assert len(load.per_connection) == load.connections_opened == 5
    assert load.intended == pytest.approx(120, abs=2)


def test_a_window_can_be_ended_early():
    with (
        serving(answering(OK, pause_s=0.001)) as port,
        Session(Target("127.0.0.1", port, request_bytes("t", "/")), 2) as session,
    ):
        session.open()
        timer = threading.Timer(0.2, session.stop)
        timer.start()
        load = session.run(Drive(seconds=30, poll="sleep"))
        timer.join()
    assert load.seconds < 20
    assert load.completed > 0


def test_busy_polling_says_how_busy_it_was():
    with serving(answering(OK, pause_s=0.05)) as port:
        idle = drive(port, connections=1, poll="busy")
    assert idle.busy_fraction < 0.98  # on a machine that does much besides, waiting for a CPU counts as busy
    assert idle.cost.cpu_user_ns + idle.cost.cpu_system_ns > 0


def test_watched_processes_are_billed_for_the_window():
    with serving(answering(OK)) as port:
        load = drive(port, watch=(os.getpid(),))
    assert load.server_cpu_ns >= load.server_user_ns >= 0
    assert load.server_cpu_ns > 0


def test_a_process_without_a_tick_of_user_time_is_billed_and_one_that_has_ended_is_not():
    with subprocess.Popen(["sleep", "30"]) as idle, serving(answering(OK)) as port:
        ended = subprocess.Popen(["true"])
        ended.wait()
        both = drive(port, watch=(os.getpid(), idle.pid, ended.pid))
        idle.kill()
    assert both.server_cpu_ns > 1_000_000


def test_ipv6_loopback():
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 loopback here")
        listener.listen()
        port = listener.getsockname()[1]
        with Session(Target("::1", port, request_bytes("t", "/")), 2) as session:
            assert session.open() == {}
            assert session.opened == 2
