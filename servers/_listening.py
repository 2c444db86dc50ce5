"""The door: the listener, who is let in, and what happens when there is no room.

A model that has no room stops accepting: the kernel's queue (`listen`'s backlog) holds the clients, and they wait instead of
being refused. There is no room when the model holds as many connections as it may, or when the process has run out of
descriptors. The second case is the trap: the listener stays readable, `accept` fails, and a naive loop spins at 100% CPU; here
the door stays shut for a quarter of a second. Nobody looks meanwhile whether there is room again: whoever leaves says so.

At the stop nobody is turned away who came before it. A listener that is closed resets whoever is still queued, and a client
whose handshake is not over is not even queued yet, though it may think itself connected. So the door is closed when the queue
has been found empty after a last call, however long that takes within the drain.
"""

import errno
import math
import os
import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import suppress
from typing import Any

from servers._options import Options
from servers._steps import Stopping
from servers._stopping import Drain
from servers._waiting import READ, Poller

RETRY_S = 0.25
HANDSHAKE_S = 0.05  # after the stop: for clients whose last packet of the handshake is on its way
LOOK_AGAIN_S = 0.01  # while draining
DESCRIPTORS_RESERVED = 64  # for the listener, pipes, epolls, and what a conversation opens itself
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_LISTENER = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})


def open_listener(host: str, port: int, backlog: int) -> socket.socket:
    """A listening TCP socket, non-blocking; of a name with several addresses at the first of IPv4. Raises OSError (in use, not
    ours, unresolvable: socket.gaierror) and UnicodeError (no name).

    What it accepts inherits TCP_NODELAY on Linux: without it Nagle's algorithm and delayed acknowledgements together hold
    back the second of two small writes for 40 ms (RFC 1122, 4.2.3.4).
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return _listen(socket.socket(family, kind, protocol), address, backlog)


def twin(listener: socket.socket) -> socket.socket:
    """Another listener at the same address, with a queue of its own, as long: a hash says in which one a client waits.

    SO_REUSEPORT (socket(7), Linux 3.9) must be set on both. It is set here and not when the first one is bound, so that a port
    that somebody else listens on is still refused. Raises OSError.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    other = socket.socket(listener.family, listener.type, listener.proto)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Of a listener tcpi_sacked is the length of its queue; ss(8) shows it as Send-Q.
    (backlog,) = struct.unpack_from("=I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32), 28)
    return _listen(other, listener.getsockname(), backlog)


def _listen(listener: socket.socket, address: Any, backlog: int) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one; returns how many connections that leaves room for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20  # fs.nr_open, which the kernel does not let anybody exceed, unless somebody raised it
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, hard - DESCRIPTORS_RESERVED)


class Door:
    """Lets clients in while there is room. `inside` is whatever holds the model's connections: its length counts them."""

    def __init__(self, listener: socket.socket, inside: Sized, most: int) -> None:
        self.listener = listener
        self.closed = False
        self.queue_empty = False  # what the last accept() found
        self.deserted = False  # it found so after the last call: nobody else will come
        self._inside = inside
        self._most = most
        self.retry_at_s = 0.0  # not before that time, when something has run out
        self._last_call_at_s = math.inf
        self._shrink = False
        self._bell = -1  # of `clients`: an eventfd,
        self._awaits_room = False  # which is to be rung

    @property
    def open(self) -> bool:
        """Whether there is room for one more, as far as is known."""
        return not self.full and time.monotonic() >= self.retry_at_s

    @property
    def full(self) -> bool:
        """Whether there are as many inside as may be."""
        return len(self._inside) >= self._most

    def pause(self) -> None:
        """Something that a connection needs has run out: let nobody in for RETRY_S."""
        self.retry_at_s = time.monotonic() + RETRY_S

    def accept(self) -> socket.socket | None:
        """The next client, its socket blocking; None when nobody is waiting or there is no room. Never waits itself."""
        called = time.monotonic() >= self._last_call_at_s and not self.closed
        if called and self._shrink:
            self.listener.listen(0)  # the kernel queues (almost) nobody new
        while self.open and not self.closed:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                self.queue_empty, self.deserted = True, called
                return None
            except OSError as error:
                if error.errno in _NO_LISTENER:
                    raise
                if error.errno in _NO_RESOURCES:
                    self.pause()
                continue  # any other error is of one client that gave up in the queue: accept(2), "Error handling"
            self.queue_empty = False
            return client
        self.queue_empty = False
        return None

    def last_call(self, stop: Stopping) -> None:
        """The server is stopping: let nobody new queue, HANDSHAKE_S from now. Accept until the door is `deserted`.

        A process that shares the listener leaves its queue as it is: perhaps only this one process is told to stop.
        """
        self._last_call_at_s = time.monotonic() + HANDSHAKE_S
        self._shrink = stop.alone

    def left(self) -> None:
        """Somebody is no longer inside: `clients` may go on, if they have waited for that. Safe from any thread."""
        if self._awaits_room:
            os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """No more clients."""
        self.closed = True
        self.listener.close()

    def clients(
        self,
        stop: Stopping,
        options: Options,
        release: Callable[[], object] = lambda: None,
        poller: Callable[[], Poller] = select.poll,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Iterator[socket.socket]:
        """For models whose accepting thread (or greenlet) can block: client after client until the stop, then those queued.

        Ends with the drain: when all have left, or their time is up. `release` is called again and again once idle
        conversations are to end; those queued are let in as others leave. A full house is told of room by `left`, or by a
        poller that returns early.
        """
        knocking, room = poller(), poller()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        room.register(self._bell, READ)
        knocking.register(stop.fileno(), READ)
        knocking.register(self.listener.fileno(), READ)
        room.register(stop.fileno(), READ)
        while not stop.requested:
            if (client := self.accept()) is not None:
                yield client
            elif self.queue_empty:
                knocking.poll(None)
            else:
                self._wait_for_room(room)
        self.last_call(stop)
        timetable = Drain(options)
        while (self._inside or not self.closed) and (now_s := time.monotonic()) < timetable.end_at_s:
            if (client := self.accept()) is not None:
                yield client
                continue
            if self.deserted:
                self.close()
            if timetable.releasing(now_s):
                release()
            sleep(LOOK_AGAIN_S)
        self.close()

    def _wait_for_room(self, room: Poller) -> None:
        """Until somebody leaves a full house, or until what has run out may be there again. Who leaves looks at `_awaits_room`
        afterwards, and here the house is looked at afterwards: one of the two sees the other."""
        self._awaits_room = True
        room.poll(None if self.full else 1000 * max(0.0, self.retry_at_s - time.monotonic()))
        self._awaits_room = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)


class OneOfMany:
    """A poller (see `_waiting`) for one of many processes that wait for the same listener: not all are woken by one client."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def register(self, descriptor: int, mask: int) -> None:
        """See Poller."""
        self._epoll.register(descriptor, mask | select.EPOLLEXCLUSIVE)

    def poll(self, timeout_ms: float | None) -> list[tuple[int, int]]:
        """See Poller."""
        return self._epoll.poll(None if timeout_ms is None else timeout_ms / 1000)
