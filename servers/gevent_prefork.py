"""Processes, each with gevent's loop: a greenlet per connection, and a worker for each core.

A loop fills one core at most, and Python's lock would keep threads from filling more. So servers that are to use a machine
fork first and run a loop in each process: `gunicorn -k gevent`, or nginx in C. The children share the listener, and whoever is
free accepts. What they do then is `gevent_greenlets`, not changed; what keeps them alive is `_workers`, as in `prefork`. But a
worker here has many connections, and all of them end if it is killed.

A loop must not be shared: libev's epoll, made before the fork, would be one and the same in all children, and each would hear
of the others' sockets. gevent makes its hub when it is first asked for, so nobody asks in the parent.

A newcomer wakes all workers that sleep, the first one has it, and the others find the queue empty: the old thundering herd,
with as many heads as there are cores. EPOLLEXCLUSIVE wakes one only, but libev does not know it, and an epoll that has it,
waited for by libev's, wakes them all again. It would also wake the same one each time, as long as that one sleeps.
"""

import os
import socket
import time
from dataclasses import replace

from servers import gevent_greenlets
from servers._listening import HANDSHAKE_S
from servers._options import Options
from servers._steps import Converse
from servers._stopping import Stop
from servers._workers import Workers

DEFAULTS = {"workers": len(os.sched_getaffinity(0))}
GIVEN = ("workers",)
TUNED = ("workers", (2, 4, 16))  # for each core: what is worth a look


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Keep the workers alive until the stop, then let them drain."""
    count = min(options.workers, options.connections)

    def work(number: int) -> None:
        mine = options.connections * (number + 1) // count - options.connections * number // count
        gevent_greenlets.serve(listener, converse, replace(options, connections=mine), stop)

    workers = Workers(work, count, stop)
    workers.keep()
    time.sleep(HANDSHAKE_S)
    listener.listen(0)  # let nobody new queue; the workers share the queue, and it lives until the last of them finds it empty
    listener.close()
    workers.dismiss(options)
