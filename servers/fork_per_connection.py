"""A process per connection, forked when it comes: the kernel does all the rest, and cleans up after each.

The first servers of Unix, and inetd; PostgreSQL and sshd do it to this day. The child has the connection and a copy of
everything else, serves its client and ends, and whatever it has leaked or broken ends with it: no server isolates its clients
better. Each has an interpreter and a lock of its own, so Python runs on all cores. The price is fork(2) for each connection: no
memory is copied, but the tables that describe it are, and then each page that somebody writes to; and in CPython a look at an
object is a write, as it counts references. (A. Baumann and others, "A fork() in the road", HotOS 2019, say what else.) So this
model needs connections that last. It holds 256 of them, as many as Apache's prefork (MaxRequestWorkers); the kernel's queue
holds the rest.

A child that has ended stays in the table of processes until its parent asks how (waitpid(2)): a zombie. SIGCHLD tells of that,
but signals come when they like and merge with each other. So the parent has a descriptor of each child, readable at its death
(pidfd_open(2)), and waits for clients, deaths and the stop in one call. When no more processes are to be had it refuses the
client, and lets nobody in for a while.

At the stop the children are told, and see their clients out; the parent waits for them, and kills who takes too long.
"""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

from servers._blocking import BlockingTalk, see_out
from servers._forking import fork
from servers._listening import Door
from servers._options import Options
from servers._steps import Converse
from servers._stopping import Drain, Stop
from servers._waiting import READ

DEFAULTS = {"connections": 256}


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """Serve until the stop, then wait for the children."""
    children = Children(options, stop)
    door = Door(listener, children, options.connections)
    for client in door.clients(stop, options, poller=partial(Attentive, children), sleep=children.mind):
        try:
            children.bear(client, partial(hold, children, door, client, converse, options, stop))
        except OSError:  # no more processes to be had: refuse this client, and pause as for descriptors
            door.pause()
        children.mind(0)
    children.end()


def hold(children: "Children", door: Door, client: socket.socket, converse: Converse, options: Options, stop: Stop) -> None:
    """A child: one conversation."""
    door.close()
    children.forget()
    talk = BlockingTalk(client)
    timetable = children.timetable
    stop.then = lambda: threading.Thread(target=see_out, args=({talk}, timetable or Drain(options)), daemon=True).start()
    if timetable:
        stop.request(signal.SIGTERM)  # it was born after the stop
    elif stop.requested:  # already, before there was anything to be done then
        stop.then()
    talk.run(converse(), options.send_s)


class Children:
    """Those that live, by the descriptors of their processes."""

    def __init__(self, options: Options, stop: Stop) -> None:
        self.timetable: Drain | None = None  # since they were told of the stop
        self._options, self._stop = options, stop
        self._pids: dict[int, int] = {}
        self._deaths = select.epoll()

    def __len__(self) -> int:
        return len(self._pids)

    def fileno(self) -> int:
        """A descriptor that is readable when one of them has died."""
        return self._deaths.fileno()

    def bear(self, client: socket.socket, live: Callable[[], object]) -> None:
        """Fork a child that has this client. Raises OSError if there is no room for another process."""
        with client:  # which is the child's from now on; and its number is free for the child's descriptor
            pid = fork(live, self._stop)
        try:
            process = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._pids[process] = pid
        self._deaths.register(process, READ)

    def mind(self, patience_s: float) -> None:
        """Bury the dead; wait so long for one if there is none. Those that live are told of the stop, once."""
        if self._stop.requested and not self.timetable:
            self.timetable = Drain(self._options)
            for pid in self._pids.values():
                os.kill(pid, signal.SIGTERM)
        for process, _ in self._deaths.poll(patience_s):
            self._deaths.unregister(process)
            os.close(process)
            os.waitpid(self._pids.pop(process), 0)

    def forget(self) -> None:
        """In a child: the others are no affair of its."""
        self._deaths.close()
        for process in self._pids:
            os.close(process)

    def end(self) -> None:
        """Kill those that are left."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        while self._pids:
            self.mind(-1)


class Attentive:
    """A poller (see `_waiting`) that minds the children meanwhile, and returns early when one dies."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._poll = select.poll()
        self._poll.register(children.fileno(), READ)

    def register(self, descriptor: int, mask: int) -> None:
        """See Poller."""
        self._poll.register(descriptor, mask)

    def poll(self, timeout_ms: float | None) -> list[tuple[int, int]]:
        """See Poller."""
        seen = self._poll.poll(timeout_ms)
        self._children.mind(0)
        return seen
