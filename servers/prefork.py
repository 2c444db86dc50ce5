"""Processes that share the listener, one connection each; the kernel chooses who accepts.

The server of 1995: fork first, then let every child wait for clients. Each has an interpreter and a lock of its own, so Python
runs on all cores, and a crash takes one connection with it. The price is a process for each connection at once: with more
clients than workers they wait in the kernel's queue. So keep-alive is short here, in requests and in idle time (Apache's
MaxKeepAliveRequests and KeepAliveTimeout): a connection gives its worker back, and nobody starves for ever.

EPOLLEXCLUSIVE (epoll_ctl(2), `_listening.OneOfMany`) wakes one idle worker for a new client instead of all of them, the old
thundering herd.

The parent serves nobody: it replaces workers that die and passes on the stop (`_workers.py`).
"""

import socket
import threading
import time
from functools import partial

from servers._blocking import BlockingTalk, release_idle, see_out
from servers._listening import HANDSHAKE_S, Door, OneOfMany
from servers._options import Options
from servers._steps import Converse
from servers._stopping import Drain, Stop
from servers._workers import Workers

DEFAULTS = {"keepalive_requests": 100, "keepalive_idle_s": 1.0}
GIVEN = ("workers",)
TUNED = ("workers", (2, 4, 16))  # for each core: what is worth a look


def max_connections(options: Options) -> int:
    """A worker serves one connection at a time."""
    return min(options.workers, options.connections)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Keep the workers alive until the stop, then let them drain."""
    workers = Workers(lambda _: work(listener, converse, options, stop), max_connections(options), stop)
    workers.keep()
    time.sleep(HANDSHAKE_S)
    listener.listen(0)  # let nobody new queue; the workers share the queue, and it lives until the last of them finds it empty
    listener.close()
    workers.dismiss(options)


def work(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """A worker: serve connection after connection until the stop, and then those still queued."""
    talks: set[BlockingTalk] = set()
    stop.then = lambda: threading.Thread(target=see_out, args=(talks, Drain(options)), daemon=True).start()
    if stop.requested:  # already, before there was anything to be done then
        stop.then()
    door = Door(listener, talks, most=1)
    for client in door.clients(stop, options, partial(release_idle, talks), OneOfMany):
        talk = BlockingTalk(client)
        talks.add(talk)
        talk.run(converse(), options.send_s)
        talks.discard(talk)
