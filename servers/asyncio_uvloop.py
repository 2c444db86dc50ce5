"""asyncio with callbacks on uvloop: the same protocol, but the loop and its transports are libuv's, compiled.

asyncio is an interface, and its loop in Python is only one implementation. uvloop (https://github.com/MagicStack/uvloop) is
another, written in Cython over libuv, the loop of Node.js. Nothing of `asyncio_protocol` is changed for it: the same callbacks
resume the same conversations. What differs is all that happens between epoll and `data_received`. asyncio's loop makes a
Handle for each event, puts it into a queue, and its transport calls `recv` of a Python socket; libuv calls read(2) and then
the protocol, without a line of Python between them. What a request costs in the kernel, the codec and the handler stays as it
was, and that bounds what another loop can give.

Two things are to be known of libuv's loop.

Its clock counts whole milliseconds and rounds down (`uv_now`): a timer may fire a millisecond early. Sleepers of 10 ms would
be served sooner than they asked, so a millisecond is added here. asyncio rounds up, too, to the milliseconds of epoll_wait(2).

It wants signals to itself: as long as it runs, `signal.set_wakeup_fd` names a socket of its own. That is no loss: the socket
wakes the loop, the loop lets Python's handlers run, and ours writes into the pipe that everybody waits for (`_stopping.py`).
"""

import asyncio
import math
import socket
from collections.abc import Callable
from contextvars import Context
from typing import Any

import uvloop

from servers import asyncio_protocol
from servers._options import Options
from servers._steps import Converse, Stopping


class Loop(uvloop.Loop):
    """uvloop's loop, whose timers are never early."""

    def call_later(  # type: ignore[override]  # its own types are as wide
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's: `delay` seconds or more."""
        return super().call_later(math.ceil(1000 * delay + 1) / 1000, callback, *args, context=context)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    asyncio_protocol.serve(listener, converse, options, stop, Loop)
