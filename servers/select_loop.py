"""One thread and select: the whole list of interests goes to the kernel each time, and comes back thinned out.

select(2) is from 1983 and everywhere. It is told nothing beforehand: each call carries every descriptor, and the kernel looks
at every one, ready or not. With a few busy connections that is as quick as anything; with many idle ones every turn of the
loop pays for them all. And its sets are bit fields of 1024: a descriptor with a higher *number* does not fit, however few are
open. So this model asks the kernel never to hand out such a number (RLIMIT_NOFILE), holds no more connections than that
leaves, and lets the kernel's queue hold the rest.

What it has for it: a change of interest costs no system call, and its timers count in microseconds.

The five steps over readiness are in `_readiness.py`, shared with `epoll_loop`: the difference between the two files is the
difference between the two system calls.
"""

import resource
import select
import socket
from dataclasses import replace

from servers._listening import DESCRIPTORS_RESERVED
from servers._options import Options
from servers._readiness import Loop
from servers._steps import Converse, Stopping
from servers._waiting import READ, WRITE

FD_SETSIZE = 1024  # select(2): the highest descriptor is one less


def max_connections(options: Options) -> int:
    """What is left of select's numbers."""
    return min(options.connections, FD_SETSIZE - DESCRIPTORS_RESERVED)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, FD_SETSIZE), hard))
    readers: set[int] = set()
    writers: set[int] = set()

    def watch(descriptor: int, _before: int, after: int) -> None:
        (readers.add if after & READ else readers.discard)(descriptor)
        (writers.add if after & WRITE else writers.discard)(descriptor)

    loop = Loop(listener, converse, replace(options, connections=max_connections(options)), stop, watch)
    while loop.running:
        readable, writable, _ = select.select(readers, writers, (), loop.patience_s())
        loop.turn([(descriptor, READ) for descriptor in readable] + [(descriptor, WRITE) for descriptor in writable])
    loop.close()
