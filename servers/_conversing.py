"""What every interpreter of steps agrees on: how a conversation ends, what a sweep sees of it, how an idle one is released.

Deadlines of Receive and Send are coarse on purpose. A timer for each read costs more than the read's own bookkeeping
(`asyncio.wait_for`: 12 µs), and nearly all of them are cancelled; so loops look at every conversation four times a second
and compare clocks. The clock they compare, too, advances only then.
"""

import socket
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import TypeVar

from servers._steps import Conversation, Receive, Send, Step

RECEIVE_BYTES = 65536  # the most that one Receive returns
SWEEP_S = 0.25

ENDS = (StopIteration, ConnectionError, TimeoutError)  # a conversation's ordinary ends: done, or the client went away


class Talk:
    """One connection as a loop keeps it: its socket, and the step it waits in since a time of the sweeper's clock."""

    __slots__ = ("client", "since_s", "step")

    def __init__(self, client: socket.socket, now_s: float) -> None:
        self.client = client
        self.step: Step | None = None
        self.since_s = now_s


AnyTalk = TypeVar("AnyTalk", bound=Talk)


def overdue(talks: Iterable[AnyTalk], now_s: float, send_s: float) -> Iterator[AnyTalk]:
    """Those whose Receive or Send has waited too long, never early: `since_s` may lag a sweep behind."""
    for talk in list(talks):
        step = talk.step
        if type(step) is Receive:
            limit_s = step.timeout_s
        elif type(step) is Send:
            limit_s = send_s
        else:
            continue
        if limit_s is not None and now_s - talk.since_s > limit_s + SWEEP_S:
            yield talk


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
