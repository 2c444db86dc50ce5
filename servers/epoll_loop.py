"""One thread and epoll: the kernel keeps the list of interests and returns only those that are ready.

The shape of nginx and Redis: no conversation has a stack or a thread, a waiting one is an entry in a table, and one loop
resumes whoever can go on. Ten thousand idle connections cost memory and nothing else: epoll_wait (epoll(7)) does work for the
ready ones only, because the kernel was told beforehand what to look for, one system call for each change of interest. Those
calls are few: a client that is served in turn is registered once and stays so from its first request to its last.

What it costs: everything runs on one core, in turns, so whoever computes keeps everybody waiting; and whatever blocks must go
to Offload. epoll_wait counts in milliseconds, so timers may be up to one late.

The five steps over readiness are in `_readiness.py`, shared with `select_loop`: the difference between the two files is the
difference between the two system calls.
"""

import select
import socket

from servers._options import Options
from servers._readiness import Loop
from servers._steps import Converse, Stopping


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    with select.epoll() as epoll:

        def watch(descriptor: int, before: int, after: int) -> None:
            if not before:
                epoll.register(descriptor, after)
            elif after:
                epoll.modify(descriptor, after)
            else:
                epoll.unregister(descriptor)

        loop = Loop(listener, converse, options, stop, watch)
        while loop.running:
            loop.turn(epoll.poll(loop.patience_s()))
        loop.close()
