"""The least that a load generator can do: send and recv on blocking sockets, no epoll, no parsing, no histogram."""

import socket
from typing import Any

import numpy as np
from numba import njit

from benchmarks.load import libc
from benchmarks.load.libc import now, read_clock
from benchmarks.selfbench.peers import Spent


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _drive(fds: Any, request: Any, buffer: Any, length_ns: int) -> tuple[int, int, int]:
    """Requests on all connections at once, then each in turn: recv, send. Returns requests (-1 on error), CPU ns, ns."""
    pair = np.zeros(2, np.int64)
    for fd in fds:
        libc.send(fd, request.ctypes.data, len(request), libc.MSG_NOSIGNAL)
    begins, spent, done = now(pair), read_clock(libc.CLOCK_THREAD_CPUTIME, pair), 0
    while now(pair) - begins < length_ns:
        for fd in fds:
            if libc.recv(fd, buffer.ctypes.data, len(buffer), 0) <= 0:
                return -1, 0, 0
            libc.send(fd, request.ctypes.data, len(request), libc.MSG_NOSIGNAL)
            done += 1
    length, spent = now(pair) - begins, read_clock(libc.CLOCK_THREAD_CPUTIME, pair) - spent
    for fd in fds:
        libc.recv(fd, buffer.ctypes.data, len(buffer), 0)
    return done, spent, length


def compile_all() -> None:
    """Load or compile the loop."""
    _drive(np.zeros(0, np.int32), np.zeros(1, np.uint8), np.zeros(1, np.uint8), 0)


def drive(port: int, request: bytes, connections: int, seconds: float) -> Spent:
    """Run the bare loop against a port of this machine. Raises RuntimeError when the server ends a connection."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fds = np.array([each.fileno() for each in sockets], np.int32)
    done, spent, length = _drive(fds, np.frombuffer(request, np.uint8), np.zeros(65536, np.uint8), int(seconds * 1e9))
    for each in sockets:
        each.close()
    if done < 0:
        raise RuntimeError("the server ended a connection")
    return Spent(done, spent / 1e9, length / 1e9)
