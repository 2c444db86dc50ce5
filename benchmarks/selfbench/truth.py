"""A server that knows the truth: compiled, spinning on its core, it writes down when each request arrived and left.

Its log is a file that both sides map: one row for each response, the client's port and two times of CLOCK_MONOTONIC. Nothing is
stamped into the responses, so the engine reads them on the same quick way as any other server's. A connection's requests come
one after the other, so the n-th row of a port belongs to the n-th request on that connection.

Two things make its answers slow, both known beforehand. It can hold each response for a time dealt from a shuffled pack, by the
number of the request, so that the percentiles are known whatever the client. And it can freeze: serve nobody for a while, once,
at a moment it is told through the log. Any client will do that sends GET over HTTP/1.1: a request is over at its empty line, in
however many pieces it comes.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
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
PACK = 1 << 16  # holds in a pack; the next requests are dealt from the same pack again
# A heavy tail: (share, µs). The steps lie well apart from the percentiles that are told, so that p90 is 0.1 ms, p99 is 2 ms and
# p99.9 is 20 ms, and none of them flips between two steps by chance.
HEAVY = ((0.93, 100), (0.064, 2_000), (0.006, 20_000))
Mix = tuple[tuple[float, int], ...]

_CONTROL, _FREEZE, _FROZEN, _FIRST = 0, 1, 2, 3  # rows of the log
_COUNT, _OVER = 0, 1  # words of _CONTROL; those of _FREEZE are when and how long, of _FROZEN from and to
_CLIENTS = 65_536
_NONBLOCK = int(socket.SOCK_NONBLOCK)
_STRAGGLER_S = 0.05  # longer than the longest hold

_accept: Any = ExternalFunction("accept4", libc.i32(libc.i32, libc.usize, libc.usize, libc.i32))


def pack_of(mix: Mix, seed: int = 1) -> Any:
    """The holds of the requests by their number, in ns: each share as exactly as the pack allows, shuffled; [0] for no mix."""
    if not mix:
        return np.zeros(1, np.int64)
    ends = np.rint(np.cumsum([share for share, _ in mix]) * PACK).astype(int)
    holds = np.repeat([us * 1000 for _, us in mix], np.diff(ends, prepend=0)).astype(np.int64)
    np.random.default_rng(seed).shuffle(holds)
    return holds


def described(mix: Mix) -> str:
    """A mix in words: "0.1 ms (93.0%), 2 ms (7.0%)"."""
    return ", ".join(f"{us / 1000:g} ms ({share:.1%})" for share, us in mix)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _answer(fd: int, port: int, arrived: int, response: Any, log: Any, pair: Any) -> None:
    """Write the response down and let it go: who has it finds its row. Rows beyond the log's end are not written."""
    left = now(pair)
    row = log[_CONTROL, _COUNT] + _FIRST
    if row < len(log):
        log[row, 0], log[row, 1], log[row, 2] = port, arrived, left
        log[_CONTROL, _COUNT] += 1
    libc.send(fd, response.ctypes.data, len(response), libc.MSG_NOSIGNAL)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _freeze(log: Any, pair: Any) -> None:
    """Serve nobody for a while, and write down from when to when."""
    begins = now(pair)
    ends = begins + log[_FREEZE, 1]
    log[_FREEZE, 0] = 0
    while now(pair) < ends:
        pass
    log[_FROZEN, 0], log[_FROZEN, 1] = begins, now(pair)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _heads(buffer: Any, count: int, seen: Any, fd: int) -> int:
    """How many requests end in what was read; `seen` keeps how much of an empty line a connection's last piece ended with."""
    ended, state = 0, seen[fd]
    for i in range(count):
        byte = buffer[i]
        if byte == 13:
            state = 3 if state == 2 else 1
        elif byte == 10 and state == 3:
            ended += 1
            state = 0
        else:
            state = 2 if byte == 10 and state == 1 else 0
    seen[fd] = state
    return ended


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _let_in(epoll: int, listener: int, address: Any, size: Any, one: Any, event: Any) -> tuple[int, int]:
    """Accept a client: its descriptor, or -1, and its port. The arrays are the caller's, so that they outlive the calls."""
    size[0] = 32
    came = _accept(listener, address.ctypes.data, size.ctypes.data, _NONBLOCK)
    if came >= 0:
        libc.setsockopt(came, libc.IPPROTO_TCP, libc.TCP_NODELAY, one.ctypes.data, 4)
        event[0], event[libc.EVENT_DATA] = libc.EPOLLIN, came
        libc.epoll_ctl(epoll, libc.EPOLL_CTL_ADD, came, event.ctypes.data)
    return came, np.int64(address[2]) * 256 + address[3]


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def serve(epoll: int, listener: int, response: Any, holds: Any, log: Any) -> None:
    """Answer whatever arrives with the response, when its hold is over, until the log's flag is set."""
    pair = np.zeros(2, np.int64)
    events = np.zeros(128 * libc.EVENT_WORDS, np.int32)
    event = np.zeros(libc.EVENT_WORDS, np.int32)
    buffer = np.zeros(65536, np.uint8)
    address, size, one = np.zeros(32, np.uint8), np.zeros(1, np.int32), np.ones(1, np.int32)
    ports, turns, seen = np.zeros(_CLIENTS, np.int64), np.zeros(_CLIENTS, np.int64), np.zeros(_CLIENTS, np.int64)
    held = [(np.int64(0), np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]  # due, client, its turn, arrived
    asked = 0
    while log[_CONTROL, _OVER] == 0:
        if log[_FREEZE, 0] != 0 and now(pair) >= log[_FREEZE, 0]:
            _freeze(log, pair)
        while len(held) > 0 and held[0][0] <= now(pair):
            _, client, turn, since = heappop(held)
            if turns[client] == turn:  # else it has gone, and its descriptor may be another's
                _answer(client, ports[client], since, response, log, pair)
        found = libc.epoll_wait(epoll, events.ctypes.data, 128, 0)
        for i in range(found):
            fd = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            if fd == listener:
                came, port = _let_in(epoll, listener, address, size, one, event)
                if came >= 0:
                    ports[came], seen[came] = port, 0
                continue
            count = libc.recv(fd, buffer.ctypes.data, 65536, 0)
            if count <= 0:
                turns[fd] += 1
                libc.close(fd)
                continue
            arrived = now(pair)
            for _ in range(_heads(buffer, count, seen, fd)):
                hold = holds[asked % len(holds)]
                asked += 1
                if hold == 0:
                    _answer(fd, ports[fd], arrived, response, log, pair)
                else:
                    heappush(held, (np.int64(arrived + hold), np.int64(fd), turns[fd], np.int64(arrived)))


def _map(path: Path, rows: int) -> Any:
    return np.memmap(path, np.int64, "r+" if path.exists() else "w+", shape=(rows, 3))


def main() -> None:
    """`python -m benchmarks.selfbench.truth LOG CPU [SHARE:US …]`: print the port, serve until told to end."""
    import select

    log = _map(Path(sys.argv[1]), LOG_ROWS)
    pin(int(sys.argv[2]))
    steps = [word.split(":") for word in sys.argv[3:]]
    holds = pack_of(tuple((float(share), int(us)) for share, us in steps))
    response = np.frombuffer(RESPONSE, np.uint8)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, select.epoll() as epoll:
        listener.setblocking(False)
        epoll.register(listener.fileno(), select.EPOLLIN)
        log[_CONTROL, _OVER] = 1
        serve(epoll.fileno(), listener.fileno(), response, holds, log)  # load or compile it
        log[_CONTROL, _OVER] = 0
        print(listener.getsockname()[1], flush=True)
        serve(epoll.fileno(), listener.fileno(), response, holds, log)


class Truth:
    """A running truth server."""

    def __init__(self, port: int, log: Any) -> None:
        self.port, self._log = port, log

    def rows(self) -> Any:
        """Everything it wrote down: int64 (responses, 3) of client port, arrived and left in ns. RuntimeError when full."""
        count = int(self._log[_CONTROL, _COUNT])
        if count + _FIRST >= len(self._log):
            raise RuntimeError(f"the truth server's log is full after {count:,} responses: measure for a shorter time")
        return np.array(self._log[_FIRST : count + _FIRST])

    def forget(self) -> None:
        """Begin the log anew, once responses still held for clients that have gone are dropped. No load may be running."""
        time.sleep(_STRAGGLER_S)
        self._log[_CONTROL, _COUNT] = 0

    def freeze(self, at_ns: int, length_ns: int) -> None:
        """Tell it to serve nobody for a while, from a moment of CLOCK_MONOTONIC on."""
        self._log[_FROZEN] = 0
        self._log[_FREEZE, 1] = length_ns
        self._log[_FREEZE, 0] = at_ns

    def frozen(self) -> tuple[int, int]:
        """From when to when it was frozen last, in ns. Raises RuntimeError if it wasn't."""
        begins, ends = (int(word) for word in self._log[_FROZEN, :2])
        if ends == 0:
            raise RuntimeError("the truth server has not been frozen")
        return begins, ends

    def end(self) -> None:
        """Tell it to stop spinning."""
        self._log[_CONTROL, _OVER] = 1


@contextmanager
def truth(cpu: int, mix: Mix = ()) -> Iterator[Truth]:
    """A truth server on a CPU, holding its responses as the mix says."""
    with TemporaryDirectory(prefix="servebench-truth-") as folder:
        path = Path(folder, "log")
        log = _map(path, LOG_ROWS)
        steps = [f"{share}:{us}" for share, us in mix]
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.selfbench.truth", str(path), str(cpu), *steps],
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
