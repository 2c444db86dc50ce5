"""The least that a benchmark calls a server: hello to whatever ends in an empty line, and not a look at what was asked.

It breaks nearly every rule of HTTP and is served by nobody but `--bare`, to show what keeping them costs: the same models,
the same steps, with and without the HTTP conversation (`python -m benchmarks.selfbench correctness`).
"""

from servers._steps import Conversation, Receive, Send

from .heads import Limits

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
)
_HELLO = _HEAD + b"\r\nHello, World!"
_LAST = _HEAD + b"Connection: close\r\n\r\nHello, World!"


def bare(limits: Limits) -> Conversation:
    """Answer until the client ends its stream, is idle too long or has had its number of answers. Split heads are missed."""
    receive = Receive(limits.keepalive_idle_s, idle=True)
    left = limits.keepalive_requests or float("inf")
    try:
        while data := (yield receive):
            asked = data.count(b"\r\n\r\n")
            if (left := left - asked) <= 0:
                yield Send(_HELLO * (asked - 1) + _LAST)
                return
            yield Send(_HELLO * asked)
    except OSError:
        return
