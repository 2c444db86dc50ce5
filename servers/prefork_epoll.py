"""A process per core, an epoll loop in each, a listener of its own for each: the kernel deals the clients out.

The shape of nginx with `listen … reuseport`. A loop serves thousands on one core; a loop in each process serves them on all
cores, and in Python each has an interpreter and a lock of its own. So there is one worker for each core that may be used, and
one that computes or crashes hurts only the clients of its own.

Listeners that share an address by SO_REUSEPORT (socket(7), Linux 3.9; M. Kerrisk, "The SO_REUSEPORT socket option", LWN 2013)
have a queue each, and a hash of both addresses and ports says in which one a client waits. Nobody is woken in vain, and many
clients are spread evenly. Few are not, as dice have no memory: of eight clients one of two workers has six or more every third
or fourth time. Nor does anybody help a busy neighbour: whoever was dealt to a worker waits for that worker. With one queue for
all, whoever is free takes the next client (`prefork`); but loops are never quite busy, and the one that began to wait last is
woken first and serves nearly all (M. Majkowski, "Why does one NGINX worker take all the load?", 2017).

A queue dies with its listener, and those who wait in it are reset. So the parent opens all listeners before it forks, as nginx
does, and keeps them open though it accepts nobody: the successor of a worker that died inherits its queue, and only those are
lost who were in its hands. A worker closes the listeners of the others, so that at the stop a queue ends with its own worker.

The limit of connections is shared out, a part for each worker, as nginx has its `worker_connections`. The dice do not know of
it: a worker may be full while another has room.
"""

import os
import select
import socket
import time
from dataclasses import replace

from servers._listening import HANDSHAKE_S, twin
from servers._options import Options
from servers._readiness import Loop
from servers._steps import Converse
from servers._stopping import Stop
from servers._workers import Workers, share

DEFAULTS = {"workers": len(os.sched_getaffinity(0))}
GIVEN = ("workers",)
TUNED = ("workers", (2, 4, 16))  # for each core: what is worth a look


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Keep the workers alive until the stop, then let them drain."""
    count = min(options.workers, options.connections)
    listeners = [listener, *(twin(listener) for _ in range(count - 1))]

    def work(number: int) -> None:
        for other in listeners:
            if other is not listeners[number]:
                other.close()
        run(listeners[number], converse, replace(options, connections=share(options.connections, count, number)), stop)

    workers = Workers(work, count, stop)
    workers.keep()
    time.sleep(HANDSHAKE_S)
    for each in listeners:
        each.listen(0)  # let nobody new queue; the worker empties the queue, and it lives until then
        each.close()
    workers.dismiss(options)


def run(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """A worker: `epoll_loop`, which says what happens here."""
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
