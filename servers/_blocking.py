"""The interpreter of all models that may block: each step is the system call of the same name, and the kernel waits.

Timeouts cost nothing per read: they are options of the socket (SO_RCVTIMEO, socket(7)), set when a step asks for another one
than the last step did. A timed-out call fails with EAGAIN, which Python raises as BlockingIOError.
"""

import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from servers._conversing import ENDS, RECEIVE_BYTES, SWEEP_S, end, release, report
from servers._listening import LOOK_AGAIN_S
from servers._steps import Conversation, Offer, Offload, Receive, Send, Step, Wait
from servers._stopping import Drain
from servers._waiting import wait


class BlockingTalk:
    """One connection and the thread of control that has nothing else to do.

    `listening` is true while it waits for a request that has not begun: then another thread may release it by way of its
    socket. Only `run` touches the conversation.
    """

    __slots__ = ("client", "listening")

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.listening = False

    def run(self, conversation: Conversation, send_s: float) -> None:
        """Hold the conversation from its first step to its last, then close the connection. `send_s` bounds each send."""
        client = self.client
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        timeout_s: float | None = None
        try:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(min(send_s, SWEEP_S)))
            while True:
                step = resume(argument)
                resume = conversation.send
                try:
                    if type(step) is Receive:
                        if step.timeout_s != timeout_s:
                            timeout_s = step.timeout_s
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(timeout_s))
                        self.listening = step.idle
                        argument = client.recv(RECEIVE_BYTES)
                        self.listening = False
                    elif type(step) is Send:
                        _send(client, step.data, send_s)
                        argument = None
                    elif type(step) is Wait:
                        argument = wait(step, client.fileno())
                    elif type(step) is Offer:
                        argument = _send_some(client, step.data, socket.MSG_DONTWAIT)
                    elif type(step) is Offload:
                        argument = step.function()
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except Exception as failure:
                    self.listening = False
                    timed_out = type(failure) is BlockingIOError and type(step) is Receive
                    resume, argument = conversation.throw, TimeoutError() if timed_out else failure
        except ENDS:
            pass
        except Exception as failure:
            report(failure)
        finally:
            self.listening = False
            end(conversation)
            client.close()


def release_idle(talks: set[BlockingTalk]) -> None:
    """Let those of these conversations end in which no request is under way; other threads hold them."""
    for talk in list(talks):
        if talk.listening:
            release(talk.client)


def see_out(talks: set[BlockingTalk], timetable: Drain) -> None:
    """Release these conversations when they are idle and the linger time is over; at the end of the drain, end the process.

    A process that has nobody else to do so, as all its threads wait for clients, has one more for its last seconds.
    """
    while (now_s := time.monotonic()) < timetable.end_at_s:
        if timetable.releasing(now_s):
            release_idle(talks)
        time.sleep(LOOK_AGAIN_S)
    os._exit(0)


def _send(client: socket.socket, data: bytes | memoryview, send_s: float) -> None:
    """All of it, or TimeoutError `send_s` after the client last took a byte.

    A send(2) that timed out says how much the kernel took, but not when: so the kernel waits for SWEEP_S, and we count.
    """
    sent = _send_some(client, data)
    if sent == len(data):
        return
    since_s = time.monotonic()
    while sent < len(data):
        data = memoryview(data)[sent:]
        sent = _send_some(client, data)
        now_s = time.monotonic()
        if sent:
            since_s = now_s
        elif now_s - since_s > send_s:
            raise TimeoutError


def _send_some(client: socket.socket, data: bytes | memoryview, flags: int = 0) -> int:
    """What the kernel takes in time, in bytes."""
    try:
        return client.send(data, flags)
    except BlockingIOError:
        return 0


def _timeval(seconds: float | None) -> bytes:
    """struct timeval. The kernel takes 0 for "no timeout", so the least that can be asked for is a microsecond."""
    if seconds is None:
        return struct.pack("ll", 0, 0)
    microseconds = max(1, round(seconds * 1e6))
    return struct.pack("ll", *divmod(microseconds, 1_000_000))
