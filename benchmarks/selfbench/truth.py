"""A server that knows the truth: compiled, spinning on its core, it writes down when each request arrived and left.

Its log is a file that both sides map: one row for each response, the client's port and two times of CLOCK_MONOTONIC. Nothing is
stamped into the responses, so the engine reads them on the same quick way as any other server's. A connection's requests come
one after the other, so the n-th row of a port belongs to the n-th request on that connection.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numba import njit
from numba.core.types import ExternalFunction

from benchmarks.load import libc
from benchmarks.load.libc import now
from benchmarks.selfbench.peers import pin

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
LOG_ROWS = 2_000_000
_COUNT, _OVER = 0, 1  # words of the log's first row

_accept: Any = ExternalFunction("accept4", libc.i32(libc.i32, libc.usize, libc.usize, libc.i32))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def serve(epoll: int, listener: int, response: Any, log: Any) -> None:
    """Answer whatever arrives with the response, until the log's flag is set. Rows beyond the log's end are not written."""
    pair = np.zeros(2, np.int64)
    events = np.zeros(128 * libc.EVENT_WORDS, np.int32)
    event = np.zeros(libc.EVENT_WORDS, np.int32)
    buffer = np.zeros(65536, np.uint8)
    address, size, one = np.zeros(32, np.uint8), np.zeros(1, np.int32), np.ones(1, np.int32)
    ports = np.zeros(65536, np.int64)
    rows = 0
    while log[0, _OVER] == 0:
        found = libc.epoll_wait(epoll, events.ctypes.data, 128, 0)
        for i in range(found):
            fd = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            if fd == listener:
                size[0] = 32
                client = _accept(listener, address.ctypes.data, size.ctypes.data, 2048)
                if client >= 0:
                    ports[client] = np.int64(address[2]) * 256 + address[3]
                    libc.setsockopt(client, libc.IPPROTO_TCP, libc.TCP_NODELAY, one.ctypes.data, 4)
                    event[0], event[libc.EVENT_DATA] = libc.EPOLLIN, client
                    libc.epoll_ctl(epoll, libc.EPOLL_CTL_ADD, client, event.ctypes.data)
                continue
            count = libc.recv(fd, buffer.ctypes.data, 65536, 0)
            if count <= 0:
                libc.close(fd)
                continue
            arrived = now(pair)
            left = now(pair)
            libc.send(fd, response.ctypes.data, len(response), libc.MSG_NOSIGNAL)
            if rows + 1 < len(log):
                rows += 1
                log[rows, 0], log[rows, 1], log[rows, 2] = ports[fd], arrived, left
                log[0, _COUNT] = rows


def _map(path: Path, rows: int) -> Any:
    return np.memmap(path, np.int64, "r+" if path.exists() else "w+", shape=(rows, 3))


def main() -> None:
    """`python -m benchmarks.selfbench.truth LOG CPU`: print the port, serve until told to end."""
    import select

    log = _map(Path(sys.argv[1]), LOG_ROWS)
    pin(int(sys.argv[2]))
    response = np.frombuffer(RESPONSE, np.uint8)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, select.epoll() as epoll:
        listener.setblocking(False)
        epoll.register(listener.fileno(), select.EPOLLIN)
        log[0, _OVER] = 1
        serve(epoll.fileno(), listener.fileno(), response, log)  # load or compile it
        log[0, _OVER] = 0
        print(listener.getsockname()[1], flush=True)
        serve(epoll.fileno(), listener.fileno(), response, log)


class Truth:
    """A running truth server."""

    def __init__(self, port: int, log: Any) -> None:
        self.port, self._log = port, log

    def rows(self) -> Any:
        """Everything it wrote down: int64 (responses, 3) of client port, arrived and left in ns."""
        return np.array(self._log[1 : int(self._log[0, _COUNT]) + 1])

    def end(self) -> None:
        """Tell it to stop spinning."""
        self._log[0, _OVER] = 1


@contextmanager
def truth(cpu: int) -> Iterator[Truth]:
    """A truth server on a CPU."""
    with TemporaryDirectory(prefix="servebench-truth-") as folder:
        path = Path(folder, "log")
        log = _map(path, LOG_ROWS)
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.selfbench.truth", str(path), str(cpu)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the truth server ended with status {process.wait()}")
            server = Truth(int(line), log)
            yield server
            server.end()
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


if __name__ == "__main__":
    main()
