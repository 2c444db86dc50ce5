"""What every interpreter of steps agrees on: how a conversation ends, when deadlines are checked, how an idle one is released.

Deadlines of Receive and Send are coarse on purpose. A timer for each read costs more than the read's own bookkeeping
(`asyncio.wait_for`: 12 µs), and nearly all of them are cancelled. So a loop notes when a step began, and now and then sweeps:
it compares all conversations with the clock. A sweep costs time for each connection, and a timer that wakes an idle server
costs its neighbours theirs; so the next sweep is due when the earliest deadline is, and none before. A loop whose clients are
silent sleeps for as long as they may be silent.
"""

import math
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from servers._steps import Conversation, Receive, Send, Step

RECEIVE_BYTES = 65536  # the most that one Receive returns
SWEEP_S = 0.25  # how far a coarse clock may lag behind
SLACK_S = 2 * SWEEP_S  # from a deadline until the sweep that it causes, so that one sweep does for many
REST_S = 3600.0  # until the next sweep where nothing has a deadline

ENDS = (StopIteration, ConnectionError, TimeoutError)  # a conversation's ordinary ends: done, or the client went away


class Talk:
    """One connection as a loop keeps it: its socket, and the step it waits in since a time of `Deadlines.now_s`."""

    __slots__ = ("client", "since_s", "step")

    def __init__(self, client: socket.socket, now_s: float) -> None:
        self.client = client
        self.step: Step | None = None
        self.since_s = now_s


AnyTalk = TypeVar("AnyTalk", bound=Talk)


class Deadlines:
    """When a loop has to sweep, for loops that read the clock in each turn and leave the time in `now_s`.

    A Receive or a Send that waits is noted by its beginning, `Talk.since_s`. It is announced by `expect` only if its limit is
    less than `least_s`: then it ends before the next sweep. So a request costs a comparison.
    """

    __slots__ = ("least_s", "now_s", "sweep_at_s")

    def __init__(self) -> None:
        self.now_s = time.monotonic()
        self._plan(self.now_s + REST_S)

    def expect(self, limit_s: float) -> None:
        """Something begins now that may last for `limit_s`, or for ever (infinity)."""
        self._plan(min(self.sweep_at_s, self.now_s + limit_s + SLACK_S))

    def overdue(self, talks: Iterable[AnyTalk], send_s: float) -> list[AnyTalk]:
        """A sweep: those whose Receive or Send has waited too long, never early. `send_s` is the limit of each Send."""
        now_s, late, earliest_s = self.now_s, [], math.inf
        for talk in talks:
            step = talk.step
            if type(step) is Receive:
                end_s = talk.since_s + step.limit_s
            elif type(step) is Send:
                end_s = talk.since_s + send_s
            else:
                continue
            if now_s > end_s + SWEEP_S:
                late.append(talk)
            elif end_s < earliest_s:
                earliest_s = end_s
        self._plan(min(max(earliest_s + SLACK_S, now_s + SWEEP_S), now_s + REST_S))
        return late

    def _plan(self, sweep_at_s: float) -> None:
        self.sweep_at_s = sweep_at_s
        self.least_s = sweep_at_s - SLACK_S - self.now_s


class CoarseDeadlines(Deadlines):
    """The same for loops that read no clock themselves: theirs is read SWEEP_S after something began, and stands while nothing
    does. Then `least_s` is infinity, so that the next step with a limit is announced and sets the clock.

    `wake(seconds)` shall call `tick` after that time, and forget what was asked for before.
    """

    __slots__ = ("_wake",)

    def __init__(self, wake: Callable[[float], object]) -> None:
        super().__init__()
        self._wake = wake
        self.least_s = math.inf

    def expect(self, limit_s: float) -> None:
        """See Deadlines."""
        self.now_s = time.monotonic()
        super().expect(limit_s)
        self._wake(max(0.0, min(SWEEP_S, self.sweep_at_s - self.now_s)))

    def tick(self, talks: Iterable[AnyTalk], send_s: float) -> list[AnyTalk]:
        """Set the clock; sweep if it is time to, and return what `overdue` does."""
        self.now_s = time.monotonic()
        late = self.overdue(talks, send_s) if self.now_s >= self.sweep_at_s else []
        self.least_s = math.inf
        self._wake(max(0.0, self.sweep_at_s - self.now_s))
        return late


def release_idle(talks: Iterable[Talk]) -> None:
    """Release the conversations that wait for a next request (see `release`)."""
    for talk in list(talks):
        if type(talk.step) is Receive and talk.step.idle:
            release(talk.client)


def release(client: socket.socket) -> None:
    """Make the client's next Receive find the end of the stream, after whatever has arrived by now.

    The conversation is not touched, only its socket: whoever runs it wakes up and reads b"". So this is safe from any thread.
    A client that has spoken at the last moment is not idle any more, even if nobody has read it yet: it is left alone, so that
    the rest of its request may follow.
    """
    try:
        client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        try:
            client.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # the client is gone already
    except OSError:
        pass  # the same


def end(conversation: Conversation) -> None:
    """End a conversation wherever it is, its `finally` blocks included."""
    try:
        conversation.close()
    except Exception as failure:
        report(failure)


def report(failure: BaseException) -> None:
    """Print an unexpected exception: a bug in a conversation ends that conversation, and nobody else's."""
    traceback.print_exception(failure, file=sys.stderr)
