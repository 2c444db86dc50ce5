"""Background connections: silent ones, and those that send or read a piece at a time."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from answering import BODY, OK, answer, answering, choosing, serving
from test_load_facts import holds

from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Background, Drive, Target, request_bytes

GET = request_bytes("test", "/")
BESIDE = request_bytes("test", "/beside")


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


def keeping(seen: list[bytes]):
    """A handler that answers every request, and keeps the first line of each connection's first in the order of accepting."""
    lock = threading.Lock()

    def handle(connection: socket.socket) -> None:
        with lock:
            place = len(seen)
            seen.append(b"")
        connection.settimeout(20)
        while request := connection.recv(65536):
            seen[place] = seen[place] or request.split(b"\r\n")[0]
            connection.sendall(OK)

    return handle


@contextmanager
def with_background(handle, background: Background, connections: int = 4, threads: int = 1):
    with serving(handle) as port:
        target = Target("127.0.0.1", port, GET, body=BODY)
        with Session(target, connections, threads, background=background) as session:
            assert session.open() == {}
            yield session


def test_idle_ones_are_served_once_lie_between_the_others_and_stay():
    seen: list[bytes] = []
    with with_background(keeping(seen), Background(30, "idle", BESIDE), connections=3) as session:
        loads = [session.run(Drive(0.2, poll="sleep")) for _ in range(2)]
        kinds = ["idle" if line.startswith(b"GET /beside") else "active" for line in seen]
    assert len(kinds) == 33  # nobody came twice
    assert [place for place, kind in enumerate(kinds) if kind == "active"] == [0, 11, 22]
    for load in loads:
        assert load.background == {"open": 30, "refused": 0, "lost": 0, "served": 0}
        assert load.connections == len(load.per_connection) == 3
        assert load.errors == {}
        assert load.completed > 0
        holds(load)


def test_threads_share_them():
    seen: list[bytes] = []
    with with_background(keeping(seen), Background(9, "idle", BESIDE), threads=2) as session:
        load = session.run(Drive(0.1, poll="sleep"))
    assert load.background["open"] == 9
    assert sum(line.startswith(b"GET /beside") for line in seen) == 9


def test_those_that_the_server_closes_are_counted_as_lost():
    closing = threading.Event()

    def handle(connection: socket.socket) -> None:
        request = connection.recv(65536)
        connection.sendall(OK)
        if request == BESIDE:
            assert closing.wait(20)
            return
        answering(OK)(connection)

    with with_background(handle, Background(7, "idle", BESIDE)) as session:
        before = session.run(Drive(0.1, poll="sleep"))
        closing.set()
        after = session.run(Drive(0.5, poll="sleep"))
    assert before.background == {"open": 7, "refused": 0, "lost": 0, "served": 0}
    assert after.background == {"open": 0, "refused": 0, "lost": 7, "served": 0}
    assert after.errors == {}


def test_those_that_are_never_served_could_not_be_opened():
    def handle(connection: socket.socket) -> None:
        if connection.recv(65536) == BESIDE:
            connection.recv(65536)
        else:
            connection.sendall(OK)
            answering(OK)(connection)

    few = Background(5, "idle", BESIDE)
    with serving(handle) as port, Session(Target("127.0.0.1", port, GET, body=BODY), 2, background=few) as session:
        session.open(timeout_s=0.3)
        load = session.run(Drive(0.2, poll="sleep"))
    assert load.background == {"open": 0, "refused": 5, "lost": 0, "served": 0}
    assert load.completed > 0


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for kind in ("idle", "slow_request"):
        with Session(Target("127.0.0.1", port, GET), 1, background=Background(3, kind, every_s=0.05)) as session:
            session.open(timeout_s=0.3)
            load = session.run(Drive(0.2, poll="sleep"))
        assert load.background["open"] == 0
        assert load.background["refused"] >= 3


def test_without_background_connections_nothing_is_recorded_of_them():
    with (
        serving(answering(OK)) as port,
        Session(Target("127.0.0.1", port, GET), 1) as alone,
        Session(Target("127.0.0.1", port, GET), 1, background=Background(0, "idle")) as nobody,
    ):
        for session in (alone, nobody):
            session.open()
        assert alone.run(Drive(0.05, poll="sleep")).background == {}
        assert nobody.run(Drive(0.05, poll="sleep")).background == {"open": 0, "refused": 0, "lost": 0, "served": 0}


@pytest.mark.parametrize("poll", ["busy", "sleep"])
def test_a_slow_request_comes_in_pieces_and_starts_over_when_it_is_answered(poll):
    pieces: list[tuple[float, bytes]] = []

    def handle(connection: socket.socket) -> None:
        connection.settimeout(20)
        received = b""
        while piece := connection.recv(65536):
            received += piece
            if not received.startswith(b"GET /b"[: len(received)]):
                connection.sendall(OK)  # the load's own
                received = b""
                continue
            pieces.append((time.monotonic(), piece))
            if received.endswith(b"\r\n\r\n"):
                connection.sendall(OK)
                received = b""

    size = 8
    with with_background(handle, Background(2, "slow_request", BESIDE, size, 0.02), connections=1) as session:
        load = session.run(Drive(1.5, rate_per_s=50, poll=poll))
    assert load.background["open"] == 2
    assert load.background["lost"] == load.background["refused"] == 0
    assert load.background["served"] >= 2
    assert load.errors == {}
    assert sorted({len(piece) for _, piece in pieces})[0] > 0
    # A piece every 20 ms: on a stalled machine fewer, and two may have been read together, but never more.
    sent = sum(len(piece) for _, piece in pieces)
    spent = pieces[-1][0] - pieces[0][0]
    assert sent <= 2 * size * (spent / 0.02 + 3)
    assert len(pieces) >= 2 * len(BESIDE) / size / 2
    holds(load)


def test_a_server_that_has_had_enough_of_a_slow_request_loses_it_and_gets_another():
    refused = threading.Semaphore(0)

    def handle(connection: socket.socket) -> None:
        first = connection.recv(65536)
        if first == GET:
            connection.sendall(OK)
            return answering(OK)(connection)
        time.sleep(0.05)
        connection.sendall(answer(b"", "408 Request Timeout"))
        refused.release()
        return None

    with with_background(handle, Background(1, "slow_request", BESIDE, 1, 0.01)) as session:
        load = session.run(Drive(0.6, poll="sleep"))
    assert load.background["lost"] > 1
    assert load.background["served"] == 0
    assert refused.acquire(blocking=False)
    assert load.errors == {}


def test_a_slow_reader_keeps_the_server_waiting():
    large = answer(bytes(8 << 20))
    progress: list[int] = []

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        if connection.recv(65536) == GET:
            connection.sendall(OK)
            return answering(OK)(connection)
        progress.append(0)
        connection.settimeout(20)
        view = memoryview(large)
        while progress[0] < len(large):
            progress[0] += connection.send(view[progress[0] :])
        return None

    with with_background(handle, Background(1, "slow_read", BESIDE, 100, 0.01)) as session:
        load = session.run(Drive(0.5, rate_per_s=100, poll="sleep"))
    assert load.background == {"open": 1, "refused": 0, "lost": 0, "served": 0}
    assert 0 < progress[0] < 1 << 20
    assert load.errors == {}


def test_a_slow_reader_starts_over_when_its_answer_is_whole():
    answers = {"/": OK, "/beside": answer(bytes(300))}
    with with_background(choosing(answers), Background(2, "slow_read", BESIDE, 60, 0.01)) as session:
        load = session.run(Drive(1.0, poll="sleep"))
    assert load.background["served"] >= 2
    assert load.background["open"] == 2
    assert load.background["lost"] == 0


@pytest.mark.parametrize("wrong", [{"count": -1}, {"piece_bytes": 0}, {"every_s": 0.0}])
def test_numbers_that_make_no_background_connections_are_refused(wrong):
    with pytest.raises(ValueError, match="background connections need"):
        Session(Target("127.0.0.1", 80, GET), 1, background=Background(**{"count": 1, "kind": "idle", **wrong}))
