"""Processes with a pool of threads each: as many cores as there are processes, as many connections as there are threads.

The shape of Apache's worker and of gunicorn's gthread. A pool of threads shares one interpreter lock, and processes with one
connection each cost a process for each connection; so a few processes, about as many as there are cores, have a few threads
each. Whoever waits for something costs a thread, whoever computes holds up the threads of one process only.

In each process one thread lets clients in, through a listener that all processes share, and no more than there are threads to
serve them: one more would wait behind its neighbours, while another process has threads to spare. When all threads of all
processes are taken, clients wait in the kernel's queue; hence the short keep-alive, as in `prefork` and `thread_pool`: a
connection gives its thread back after so many requests or so short a silence, and nobody starves for ever.

EPOLLEXCLUSIVE (epoll_ctl(2)) wakes one process for a new client and not all, but it does not spread them: whoever began to wait
last is woken first, so that few clients all meet in one process, and in front of one interpreter lock, while the others sleep
(M. Majkowski, "Why does one NGINX worker take all the load?", 2017). The pool's size bounds that: the ninth goes elsewhere.
"""

import queue
import socket
import threading
import time
from functools import partial

from servers._blocking import BlockingTalk, release_idle, see_out
from servers._listening import HANDSHAKE_S, Door, OneOfMany
from servers._options import Options
from servers._steps import Converse
from servers._stopping import Drain, Stop
from servers._workers import Workers, share

DEFAULTS = {"workers": 4, "threads": 8, "keepalive_requests": 100, "keepalive_idle_s": 1.0}
GIVEN = ("workers", "threads")
TUNED = ("workers", (2, 4, 16))  # for each core: what is worth a look


def max_connections(options: Options) -> int:
    """A thread serves one connection at a time."""
    return min(options.workers * options.threads, options.connections)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Keep the workers alive until the stop, then let them drain."""
    count = min(options.workers, options.connections)

    def work(number: int) -> None:
        pool(listener, converse, options, min(options.threads, share(options.connections, count, number)), stop)

    workers = Workers(work, count, stop)
    workers.keep()
    time.sleep(HANDSHAKE_S)
    listener.listen(0)  # let nobody new queue; the workers share the queue, and it lives until the last of them finds it empty
    listener.close()
    workers.dismiss(options)


def pool(listener: socket.socket, converse: Converse, options: Options, threads: int, stop: Stop) -> None:
    """A worker: let clients in while there are threads for them, until the stop and then those still queued."""
    talks: set[BlockingTalk] = set()
    queued: queue.SimpleQueue[BlockingTalk] = queue.SimpleQueue()
    free = threading.Semaphore(threads)

    def serve_queued() -> None:
        while True:
            talk = queued.get()
            try:
                talk.run(converse(), options.send_s)
            finally:
                talks.discard(talk)
                free.release()

    for _ in range(threads):
        threading.Thread(target=serve_queued, daemon=True).start()

    stop.then = lambda: threading.Thread(target=see_out, args=(talks, Drain(options)), daemon=True).start()
    if stop.requested:  # already, before there was anything to be done then
        stop.then()
    free.acquire()  # a thread for the first client
    door = Door(listener, talks, threads)
    for client in door.clients(stop, options, partial(release_idle, talks), OneOfMany):
        talk = BlockingTalk(client)
        talks.add(talk)
        queued.put(talk)
        free.acquire()  # and for the next one, however long that takes: `see_out` minds the stop meanwhile
