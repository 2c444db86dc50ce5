"""A pool of threads behind a queue: no more run than are allowed, whoever comes later waits.

The cure for a thread too many: `options.threads` of them start once and serve connection after connection. One thread
accepts and queues; a worker takes the connection that has waited longest and stays with it to its end. So memory and context
switches are bounded, and so is what can go on at once: with more clients than threads a keep-alive connection holds its
thread while others wait in the queue without a word. Hence the short keep-alive below: as in Apache's worker and CherryPy's
pool, a connection gives its thread back after so many requests or so short a silence, and nobody starves for ever.

Connections in the queue count as open, and their clients see them so; only when descriptors run out does the kernel queue them.
"""

import queue
import socket
import threading
from functools import partial

from servers._blocking import BlockingTalk, release_idle
from servers._listening import Door
from servers._options import Options
from servers._steps import Converse, Stopping

DEFAULTS = {"keepalive_requests": 100, "keepalive_idle_s": 1.0}
GIVEN = ("threads",)
TUNED = ("threads", (2, 4, 16))  # for each core: what is worth a look


def max_connections(options: Options) -> int:
    """A thread serves one connection at a time."""
    return min(options.threads, options.connections)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain: what is queued by then is served, too. Threads still busy after that die with us."""
    talks: set[BlockingTalk] = set()
    queued: queue.SimpleQueue[BlockingTalk] = queue.SimpleQueue()
    door = Door(listener, talks, options.connections)

    def work() -> None:
        while True:
            talk = queued.get()
            try:
                talk.run(converse(), options.send_s)
            finally:
                talks.discard(talk)
                door.left()

    for _ in range(options.threads):
        threading.Thread(target=work, daemon=True).start()

    for client in door.clients(stop, options, partial(release_idle, talks)):
        talk = BlockingTalk(client)
        talks.add(talk)
        queued.put(talk)
