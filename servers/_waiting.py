"""The arithmetic of readiness: from a Wait step to masks of bits, and from reported bits to the step's answer.

poll(2) and epoll(7) share the bits. Both report errors and hang-ups unasked; whoever waits for a descriptor then finds it
ready, both ways, and gets the error from the call that it makes next.
"""

import select
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from servers._steps import CLIENT, Wait

READ = select.POLLIN
WRITE = select.POLLOUT

Ready = tuple[Sequence[int], Sequence[int]]
NOTHING: Ready = ((), ())


class Poller(Protocol):
    """`select.poll()`, or something that behaves like it."""

    def register(self, descriptor: int, mask: int, /) -> object:
        """Wait for this descriptor, too."""

    def poll(self, timeout_ms: float | None, /) -> list[tuple[int, int]]:
        """The descriptors that are ready, each with its bits; none when the time is up. None waits for ever."""


def masks(step: Wait) -> dict[int, int]:
    """The bits to wait for, by descriptor. `CLIENT` is left for the model to replace."""
    wanted = dict.fromkeys(step.readable, READ)
    for descriptor in step.writable:
        wanted[descriptor] = wanted.get(descriptor, 0) | WRITE
    return wanted


def answer(step: Wait, events: Iterable[tuple[int, int]]) -> Ready:
    """What the conversation is sent, given the bits seen by descriptor; NOTHING if none of them was asked for."""
    readable = []
    writable = []
    for descriptor, seen in events:
        if seen & ~WRITE and descriptor in step.readable:
            readable.append(descriptor)
        if seen & ~READ and descriptor in step.writable:
            writable.append(descriptor)
    return (readable, writable) if readable or writable else NOTHING


def wait(
    step: Wait,
    client: int,
    poller: Callable[[], Poller] = select.poll,
    sleep: Callable[[float], object] = time.sleep,
) -> Ready:
    """A whole Wait step for models that have a stack to block on: sleep, or poll with CLIENT replaced by its descriptor.

    A pure timer sleeps, which is exact; poll(2) counts in milliseconds and is rounded up.
    """
    wanted = masks(step)
    if not wanted and step.timeout_s is not None:
        sleep(step.timeout_s)
        return NOTHING
    waiting = poller()
    for descriptor, mask in wanted.items():
        waiting.register(client if descriptor == CLIENT else descriptor, mask)
    seen = waiting.poll(None if step.timeout_s is None else step.timeout_s * 1000)
    return answer(step, [(CLIENT if descriptor == client else descriptor, bits) for descriptor, bits in seen])
