"""Servers with one fault each, as benchmarks meet them: `python -m tests.faulty … FAULT` prints a ready line and serves.

It serves until it is terminated, and answers every request that fits one read with the same few bytes. What is wrong with it is
its function's name.
"""

import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable

BODY = b"Hello, World!"
HEAD = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n"
OK = HEAD % len(BODY) + BODY
LARGE = bytes(range(256)) * 256
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in LARGE) + b"0\r\n\r\n"
)
PACE_S = 0.002  # of an answer, so that the machine has time for whatever else runs on it

Handler = Callable[[socket.socket], None]


def answers(connection: socket.socket) -> None:
    """No fault at all."""
    while connection.recv(65536):
        time.sleep(PACE_S)
        connection.sendall(OK)


def closes_each(connection: socket.socket) -> None:
    """Announces in each response that it closes, but never in its ready line."""
    connection.recv(65536)
    time.sleep(PACE_S)
    connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def leaves_silently(connection: socket.socket) -> None:
    """Closes after each response without a word."""
    connection.recv(65536)
    connection.sendall(OK)


def writes_in_pieces(connection: socket.socket) -> None:
    """Nagle's algorithm left on, a response written in three pieces: the second waits for an acknowledgement of the first."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    while connection.recv(65536):
        for piece in (OK[:10], OK[10:30], OK[30:]):
            connection.send(piece)


def answers_wrongly(connection: socket.socket) -> None:
    """Every other answer has the right length and the wrong bytes."""
    turn = 0
    while connection.recv(65536):
        time.sleep(PACE_S)
        turn += 1
        connection.sendall(OK if turn % 2 else OK.replace(b"World", b"Wurld"))


def sends_much(connection: socket.socket) -> None:
    """No fault, but chunks of a byte each: far more work to read than to send."""
    while connection.recv(65536):
        connection.sendall(CHUNKED)


def slows_down(connection: socket.socket) -> None:
    """Each answer of a connection takes a little longer than the one before."""
    pause_s = PACE_S
    while connection.recv(65536):
        time.sleep(pause_s)
        pause_s *= 1.01
        connection.sendall(OK)


def is_never_idle(connection: socket.socket) -> None:
    """Answers, and uses some CPU time all the while, whether or not it is asked anything."""
    answers(connection)


def works_elsewhere(connection: socket.socket) -> None:
    """Answers, while processes that nobody sees use CPUs that it was not given."""
    answers(connection)


def serves_one_last(listener: socket.socket) -> None:
    """One thread that serves whoever is ready, but one connection only now and then."""
    clients: list[socket.socket] = []
    victim_due_s = 0.0
    while True:
        ready, _, _ = select.select([listener, *clients], [], [])
        time.sleep(PACE_S)
        for readable in ready:
            if readable is listener:
                clients.append(listener.accept()[0])
            elif readable is not clients[0] or time.monotonic() > victim_due_s:
                if not readable.recv(65536):
                    clients.remove(readable)
                    continue
                readable.sendall(OK)
                if readable is clients[0]:
                    victim_due_s = time.monotonic() + 0.3


def work_all_the_time() -> None:
    """A millisecond of CPU time in each tenth of a second."""
    while True:
        time.sleep(0.1)
        ends = time.thread_time() + 0.001
        while time.thread_time() < ends:
            pass


def spin(count: int) -> None:
    """Processes that use all the CPU time they can get, on all CPUs, until their parent ends."""
    parent = os.getpid()
    for _ in range(count):
        if os.fork() == 0:
            os.setsid()  # a share of its own of a busy machine, where the kernel shares by session (sched(7), autogroup)
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            while os.getppid() == parent:
                sum(range(10_000))
            os._exit(0)


def main(fault: str) -> None:
    """Serve with this fault: a thread for each connection, except by the one that chooses."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    if fault == "works_elsewhere":
        spin(10)
    if fault == "is_never_idle":
        threading.Thread(target=work_all_the_time, daemon=True).start()
    ready = {"port": listener.getsockname()[1], "pid": os.getpid(), "model": fault, "max_connections": 10_000}
    print(json.dumps(ready), flush=True)
    if fault == "serves_one_last":
        serves_one_last(listener)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=converse, args=(globals()[fault], connection), daemon=True).start()


def converse(handler: Handler, connection: socket.socket) -> None:
    """One connection until either side ends it."""
    with connection:
        try:
            handler(connection)
        except OSError:
            pass


if __name__ == "__main__":
    main(sys.argv[-1])
