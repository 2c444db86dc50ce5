"""Processes that share the listener, one connection each; the kernel chooses who accepts.

The server of 1995: fork first, then let every child wait for clients. Each has an interpreter and a lock of its own, so Python
runs on all cores, and a crash takes one connection with it. The price is a process for each connection at once: with more
clients than workers they wait in the kernel's queue. So keep-alive is short here, in requests and in idle time (Apache's
MaxKeepAliveRequests and KeepAliveTimeout): a connection gives its worker back, and nobody starves for ever.

EPOLLEXCLUSIVE (epoll_ctl(2)) wakes one idle worker for a new client instead of all of them, the old thundering herd.

The parent serves nobody. It replaces workers that die and passes on the stop; should it die itself, the kernel tells the
workers (PR_SET_PDEATHSIG, prctl(2)), and they stop, too.
"""

import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from functools import partial

from servers._blocking import BlockingTalk
from servers._conversing import report
from servers._listening import Door
from servers._options import Options
from servers._steps import Converse
from servers._stopping import Drain, Stop

DEFAULTS = {"keepalive_requests": 100, "keepalive_idle_s": 1.0}
SHORT_LIFE_S = 1.0  # workers that die younger than this are replaced after a pause, each time twice as long
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def max_connections(options: Options) -> int:
    """A worker serves one connection at a time."""
    return min(options.workers, options.connections)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Keep the workers alive until the stop, then let them drain."""
    work = partial(be_a_worker, listener, converse, options, stop)
    libc = ctypes.CDLL(None)
    workers: dict[int, int] = {}  # a descriptor of the process -> its id
    pause_s = 0.0
    while True:
        while len(workers) < max_connections(options):
            pid = fork(work, libc)
            workers[os.pidfd_open(pid)] = pid
        if stop.requested:  # looked at with all hands on board: somebody has to serve those who are queued already
            break
        hired_at_s = time.monotonic()
        dead = readable([stop.fileno(), *workers], None) - {stop.fileno()}
        for process in dead:
            bury(process, workers.pop(process))
        if dead and time.monotonic() - hired_at_s < SHORT_LIFE_S:
            readable([stop.fileno()], pause_s := min(max(0.05, 2 * pause_s), 1.0))
        else:
            pause_s = 0.0
    listener.listen(0)
    listener.close()
    dismiss(workers, Drain(options))


def fork(work: partial[None], libc: ctypes.CDLL) -> int:
    """Start a worker; returns its process id. Signals wait until the child has a Stop of its own."""
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == parent:
                work()
            status = 0
        except BaseException as failure:
            report(failure)
        finally:
            os._exit(status)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    return pid


def be_a_worker(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Serve connection after connection until the stop, and then those still queued."""
    talks: set[BlockingTalk] = set()
    door = Door(listener, talks, most=1)

    def stop_soon(signum: int, _frame: object) -> None:
        stop.request(signum)
        signal.setitimer(signal.ITIMER_REAL, max(options.linger_s, 1e-6), 0.05)

    def release(_signum: int, _frame: object) -> None:
        for talk in talks:
            talk.release_if_idle()

    def serve_next() -> bool:
        client = door.accept()
        if client is None:
            return False
        talk = BlockingTalk(client)
        talks.add(talk)
        talk.run(converse(), options.send_s)
        talks.discard(talk)
        return True

    stop.renew()
    signal.signal(signal.SIGTERM, stop_soon)
    signal.signal(signal.SIGALRM, release)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes it on
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    with select.epoll() as idle:
        idle.register(stop.fileno(), select.EPOLLIN)
        idle.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        while not stop.requested:
            idle.poll()
            if not serve_next() and not door.queue_empty:
                door.wait_for_room(stop)
    while serve_next():
        pass


def dismiss(workers: dict[int, int], timetable: Drain) -> None:
    """Pass the stop on, wait for the workers to drain, and end those that take too long."""
    for pid in workers.values():
        os.kill(pid, signal.SIGTERM)
    while workers and (left_s := timetable.end_at_s - time.monotonic()) > 0:
        for process in readable(workers, left_s):
            bury(process, workers.pop(process))
    for process, pid in workers.items():
        os.kill(pid, signal.SIGKILL)
        bury(process, pid)


def bury(process: int, pid: int) -> None:
    """Take note of a dead worker, so that the kernel may forget it."""
    os.waitpid(pid, 0)
    os.close(process)


def readable(descriptors: Iterable[int], timeout_s: float | None) -> set[int]:
    """Those that become readable; a process's does when it ends (pidfd_open(2))."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in waiting.poll(None if timeout_s is None else timeout_s * 1000)}
