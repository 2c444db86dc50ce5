"""A greenlet per connection: straight-line code on stacks of its own; each wait switches to gevent's loop.

A greenlet is a stack without a thread. The code reads like the thread's, blocking calls and all, but `recv` on a gevent socket
registers with libev's loop and switches to whoever is ready, in C and without the kernel's scheduler. Nobody else runs between
two such calls, so there is no lock to wait for, and whoever computes keeps everybody waiting.

Nothing is monkey-patched: the sockets here are gevent's own, descriptors are waited for with gevent's poll, and Offload goes to
gevent's pool of real threads.

Deadlines come from sweeps in the hub, the greenlet of the loop itself. As one greenlet runs at a time, none can move between
the look at its step and the exception thrown into it.
"""

import functools
import socket
from collections.abc import Callable
from typing import Any

import gevent
import gevent.select
import gevent.socket
import gevent.threadpool

from servers._conversing import ENDS, RECEIVE_BYTES, CoarseDeadlines, Talk, end, release_idle, report
from servers._listening import Door
from servers._options import Options
from servers._steps import Conversation, Converse, Offer, Offload, Receive, Send, Step, Stopping, Wait
from servers._waiting import wait


class House:
    """What the greenlets share."""

    def __init__(self, listener: socket.socket, options: Options) -> None:
        self.talks: set[GreenTalk] = set()
        self.door = Door(listener, self.talks, options.connections)
        self.pool = gevent.threadpool.ThreadPool(options.threads)
        self.send_s = options.send_s
        self.deadlines = CoarseDeadlines(self.wake)
        self.alarm = gevent.get_hub().loop.timer(0)

    def wake(self, after_s: float) -> None:
        """Tick after that time, and not before."""
        self.alarm.close()
        self.alarm = gevent.get_hub().loop.timer(after_s)
        self.alarm.start(self.tick)

    def tick(self) -> None:
        """Runs in the hub."""
        for talk in self.deadlines.tick(self.talks, self.send_s):
            talk.greenlet.throw(TimeoutError)


class GreenTalk(Talk):
    """One connection and its greenlet."""

    __slots__ = ("greenlet", "house")

    def __init__(self, client: socket.socket, house: House, conversation: Conversation) -> None:
        super().__init__(client, house.deadlines.now_s)
        self.house = house
        self.greenlet = gevent.Greenlet(self.run, conversation)

    def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        house, deadlines = self.house, self.house.deadlines
        # A second socket object over the same descriptor: gevent waits with this one, the sweep releases by the other.
        client = gevent.socket.socket(self.client.family, fileno=self.client.fileno())
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        try:
            while True:
                step = self.step = resume(argument)
                resume = conversation.send
                try:
                    if type(step) is Receive:
                        if step.limit_s < deadlines.least_s:
                            deadlines.expect(step.limit_s)
                        self.since_s = deadlines.now_s
                        argument = client.recv(RECEIVE_BYTES)
                    elif type(step) is Send:
                        self.send(client, step.data)
                        argument = None
                    elif type(step) is Wait:
                        argument = wait(step, client.fileno(), gevent.select.poll, gevent.sleep)
                    elif type(step) is Offer:
                        argument = offer(client, step.data)
                    elif type(step) is Offload:
                        argument = offload(house.pool, step.function)
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except Exception as failure:
                    resume, argument = conversation.throw, failure
        except ENDS:
            pass
        except Exception as failure:
            report(failure)
        finally:
            end(conversation)
            client.detach()
            self.client.close()
            house.talks.discard(self)
            house.door.left()

    def send(self, client: gevent.socket.socket, data: bytes | memoryview) -> None:
        """All of it; gevent's send waits until the kernel takes some."""
        deadlines, send_s = self.house.deadlines, self.house.send_s
        while True:
            if send_s < deadlines.least_s:
                deadlines.expect(send_s)
            self.since_s = deadlines.now_s
            sent = client.send(data)
            if sent == len(data):
                return
            data = memoryview(data)[sent:]


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    house = House(listener, options)
    release = functools.partial(release_idle, house.talks)
    for client in house.door.clients(stop, options, release, gevent.select.poll, gevent.sleep):
        talk = GreenTalk(client, house, converse())
        house.talks.add(talk)
        talk.greenlet.start()
        gevent.sleep()  # the newcomer's turn, and everybody else's
    house.alarm.close()
    gevent.killall([talk.greenlet for talk in house.talks if type(talk.step) is not Offload])


def offer(client: gevent.socket.socket, data: bytes | memoryview) -> int:
    """What the kernel takes now, in bytes."""
    try:
        return int(client.send(data, timeout=0.0))
    except BlockingIOError:
        return 0


def offload(pool: gevent.threadpool.ThreadPool, function: Callable[[], Any]) -> Any:
    """Run a function in a thread; its exception is raised here. (gevent alone would also print it.)"""
    result, failure = pool.apply(functools.partial(outcome, function))
    if failure is not None:
        raise failure
    return result


def outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What a function returns, or else what it raises."""
    try:
        return function(), None
    except Exception as failure:
        return None, failure
