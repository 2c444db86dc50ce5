"""The five steps: everything a conversation may ask of the execution model that runs it.

A conversation is a generator. It yields steps and is sent their results; failures are thrown into it (TimeoutError,
ConnectionResetError, BrokenPipeError). It never sees a socket of its client's, a thread or a loop. An execution model is an
interpreter of these five classes, and that is the whole difference between the models.

    step                        result                   asks for
    Receive(timeout_s, idle)    bytes, b"" at the end    the client's next bytes; `idle`: nothing is under way
    Send(data)                  None, once accepted      all of it written, with back-pressure
    Offer(data)                 bytes accepted           what fits now, 0 if nothing; never waits
    Wait(readable, writable,    (readable, writable)     a timer, other descriptors, or the client (`CLIENT`)
         timeout_s)
    Offload(function)           its return value         something that blocks, without stopping other conversations

Receive and send timeouts may fire up to 1 s late and cost no system call per read; Wait is precise. `Wait()` answers with
`((), ())` when the timeout has passed and nothing is ready. One waiter per descriptor.
"""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

CLIENT = -1  # in Wait: the conversation's own client; bytes already received, and the end of stream, count as readable


class Receive:
    """The client's next bytes, or b"" at the end of its stream; TimeoutError after `timeout_s`.

    `idle` says that no request is under way: a server that is stopping may answer such a Receive with b"".
    """

    __slots__ = ("idle", "limit_s", "timeout_s")

    def __init__(self, timeout_s: float | None = None, idle: bool = False) -> None:
        self.timeout_s = timeout_s
        self.limit_s = math.inf if timeout_s is None else timeout_s  # the same, to be compared
        self.idle = idle


class Send:
    """All of `data` handed to the kernel, waiting while the client is slow."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data


class Offer:
    """As much of `data` as can be written without waiting; the result is how many bytes that was."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data


class Wait:
    """Until a descriptor is ready or `timeout_s` has passed; the result is the ready ones, `(readable, writable)`."""

    __slots__ = ("readable", "timeout_s", "writable")

    def __init__(self, readable: Sequence[int] = (), writable: Sequence[int] = (), timeout_s: float | None = None) -> None:
        self.readable = readable
        self.writable = writable
        self.timeout_s = timeout_s


class Offload:
    """A blocking function run where it stops nobody else; the result is its return value, or its exception thrown."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function


Step = Receive | Send | Offer | Wait | Offload
Conversation = Generator[Step, Any, None]
Converse = Callable[[], Conversation]


class Stopping(Protocol):
    """What a model is given to learn that it shall stop."""

    requested: bool
    alone: bool  # no other process accepts from the same listener

    def fileno(self) -> int:
        """A descriptor that becomes readable at the request and stays so: wait for it, never read it."""
