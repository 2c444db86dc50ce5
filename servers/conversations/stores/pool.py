"""A pool of connections: so many at most, whoever has waited longest is next.

A slot is the right to have one connection, open or not. Who finds none free leaves a bell, an eventfd, and waits for it with a
Wait step: it blocks no thread and holds up no loop, and whoever gives a slot back hands it to the first in the queue and rings.
A conversation that is closed or thrown into anywhere gives back what it has, if it has got anything by then.

Threads of one process use a pool at once, so a lock is held for the few lines that change it, never across a step.
"""

import os
import threading
from collections import deque
from collections.abc import Generator
from typing import Any, Generic, Protocol, TypeVar

from servers._steps import Step, Wait

from . import Away


class Closable(Protocol):
    """A connection, as far as a pool is concerned."""

    def close(self) -> object:
        """End it, without waiting for anybody."""


Connection = TypeVar("Connection", bound=Closable)


class Slot(Generic[Connection]):
    """The right to a connection, and the connection once there is one: use it between `take` and `give`."""

    __slots__ = ("connection",)

    def __init__(self) -> None:
        self.connection: Connection | None = None

    def discard(self) -> None:
        """Close the connection: it is in nobody knows what state. The slot remains."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class Pool(Generic[Connection]):
    """`most` slots; 0: as many as are wanted, and no connection is kept for another use."""

    def __init__(self, most: int, patience_s: float) -> None:
        self._patience_s = patience_s
        self._keep = most > 0
        self._lock = threading.Lock()
        self._free: list[Slot[Connection]] = [Slot() for _ in range(most)]
        self._queue: deque[_Ticket[Connection]] = deque()

    def take(self) -> Generator[Step, Any, Slot[Connection]]:
        """A slot, the one last used if several are free. Raises Away when none was given back in time."""
        if not self._keep:
            return Slot()
        with self._lock:
            if self._free and not self._queue:
                return self._free.pop()
            ticket: _Ticket[Connection] = _Ticket()
            self._queue.append(ticket)
        try:
            while ticket.slot is None:  # the bell is rung once; a Wait that ends otherwise has taken all the patience
                readable, _ = yield Wait((ticket.bell,), (), self._patience_s)
                if not readable and ticket.slot is None:
                    raise Away(f"no connection was free for {self._patience_s:g} s")
            slot, ticket.slot = ticket.slot, None
            return slot
        finally:
            with self._lock:
                if ticket in self._queue:
                    self._queue.remove(ticket)
                os.close(ticket.bell)
            if ticket.slot is not None:
                self.give(ticket.slot)

    def give(self, slot: Slot[Connection]) -> None:
        """Give a slot back, with its connection or without."""
        if not self._keep:
            slot.discard()
            return
        with self._lock:
            if self._queue:
                ticket = self._queue.popleft()
                ticket.slot = slot
                os.eventfd_write(ticket.bell, 1)
            else:
                self._free.append(slot)


class _Ticket(Generic[Connection]):
    """A place in the queue."""

    __slots__ = ("bell", "slot")

    def __init__(self) -> None:
        self.slot: Slot[Connection] | None = None
        try:
            self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError as failure:
            raise Away(f"nobody can wait for a connection: {failure.strerror}") from failure
