"""One thread and poll: no limit of numbers, but the whole list of interests still goes to the kernel each time.

poll(2) came with System V in 1986 and mends what is wrong with select: interests are a list of descriptors and bits instead of
bit fields of 1024, so any number fits, and the list is as long as what is open, not as the highest number. What it does not
mend: the kernel is told nothing beforehand. Each call copies the whole list in, looks at every entry, ready or not, and Python
then looks for those that were. Ten busy connections beside ten thousand idle ones pay for ten thousand. (Banga, Mogul and
Druschel, "A scalable and explicit event delivery mechanism for UNIX", USENIX 1999, is the case against it; kqueue and epoll
came of it.)

What it has for it, as select has: a change of interest costs no system call, and it is POSIX, so it runs everywhere. Timeouts
count in milliseconds, so timers may be up to one late.

The five steps over readiness are in `_readiness.py`, shared with `select_loop` and `epoll_loop`: the difference between the
three files is the difference between the three system calls.
"""

import select
import socket

from servers._options import Options
from servers._readiness import Loop
from servers._steps import Converse, Stopping


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    interests = select.poll()  # a list in this process: the kernel hears of it in each call, and forgets it

    def watch(descriptor: int, _before: int, after: int) -> None:
        if after:
            interests.register(descriptor, after)
        else:
            interests.unregister(descriptor)

    loop = Loop(listener, converse, options, stop, watch)
    while loop.running:
        loop.turn(interests.poll(1000 * loop.patience_s()))
    loop.close()
