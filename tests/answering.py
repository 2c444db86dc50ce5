"""Servers that answer as they are told, wrongly too, over real sockets, and a load that is driven at them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load.engine import Session
from benchmarks.load.targets import Drive, Target, request_bytes
from benchmarks.nouns import LoadResult

BODY = b"Hello, World!"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + BODY
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n" + BODY


@contextmanager
def serving(handle) -> Iterator[int]:
    """A thread for each connection runs `handle(connection)`; gives the port."""
    over = threading.Event()
    live: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.settimeout(0.05)

        def one(connection: socket.socket) -> None:
            with connection:
                try:
                    handle(connection)
                except OSError:
                    pass

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(5)
                live.append(threading.Thread(target=one, args=(connection,)))
                live[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            acceptor.join()
            for thread in live:
                thread.join()


def answering(response: bytes, pause_s: float = 0.0, pieces: int = 1):
    """A handler that answers every request with the same bytes, after a pause, cut in pieces."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while connection.recv(65536):
            time.sleep(pause_s)
            size = -(-len(response) // pieces)
            for at in range(0, len(response), size):
                connection.sendall(response[at : at + size])
                if pieces > 1:
                    time.sleep(0.001)

    return handle


def drive(port: int, connections: int = 4, body: bytes | None = BODY, **plan) -> LoadResult:
    plan = {"seconds": 0.3, "drain_s": 0.5, "poll": "sleep", **plan}
    request = request_bytes("test", "/", keepalive=plan.get("keepalive", True))
    with Session(Target("127.0.0.1", port, request, body=body), connections) as session:
        if plan.get("keepalive", True):
            session.open()
        return session.run(Drive(**plan))


def close_early(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK[:20])


def reset(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def choosing(answers: dict[str, bytes], pause_s: float = 0.0, heard: list[bytes] | None = None):
    """A handler that answers each request by its path, after a pause, when its body is all there; `heard` collects bodies."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = bytearray()
        while True:
            while b"\r\n\r\n" not in received:
                if not (piece := connection.recv(1 << 20)):
                    return
                received += piece
            head, _, rest = bytes(received).partition(b"\r\n\r\n")
            _, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            length = int(next((line[15:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), b"0"))
            body = bytearray(rest)
            while len(body) < length:
                if not (piece := connection.recv(1 << 20)):
                    return
                body += piece
            if heard is not None:
                heard.append(bytes(body[:length]))
            received = body[length:]
            time.sleep(pause_s)
            connection.sendall(answers[path])

    return handle


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """A response."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + body
