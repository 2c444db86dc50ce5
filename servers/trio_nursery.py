"""A task per connection in a nursery: no task outlives the block that started it, and a scope can be cancelled as a whole.

Structured concurrency (N. J. Smith, "Notes on structured concurrency, or: Go statement considered harmful", 2018): a task is
started in a nursery, and the nursery's block ends when all of its tasks have. So nobody is forgotten, and no failure is lost.
The drain is a deadline of the nursery's: who has not ended by then is cancelled, and gone when the block is.

Cancellation is a scope's, not a task's: whatever waits inside is given up, and the code behind the scope goes on. A deadline
is thus a scope around a wait. But one for each read would cost more than the read does. So a talk enters its scope once; a
sweep cancels the scopes of those that are overdue, and only then is another one entered.

Sockets are trio's: `recv` tries, and waits if there was nothing. Each wait arms the socket anew (EPOLLONESHOT), and a call
that need not wait lets the others have a turn all the same: a checkpoint.
"""

import math
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import trio

from servers._conversing import ENDS, RECEIVE_BYTES, CoarseDeadlines, Talk, end, release_idle, report
from servers._listening import LOOK_AGAIN_S, RETRY_S, Door
from servers._options import Options
from servers._steps import CLIENT, Conversation, Converse, Offer, Offload, Receive, Send, Step, Stopping, Wait
from servers._stopping import Drain
from servers._waiting import NOTHING, Ready, answer, masks


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    signal.set_wakeup_fd(-1)  # trio has its own and would complain of ours; the stop's handler writes into the pipe, too
    trio.run(House(listener, converse, options, stop).run)


class House:
    """What the tasks share: the door, the deadlines and the drain."""

    def __init__(self, listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
        self.listener = listener
        self.converse = converse
        self.options = options
        self.stop = stop
        self.talks: set[TrioTalk] = set()
        self.door = Door(listener, self.talks, options.connections)
        self.abandoned: list[Conversation] = []  # a generator that nobody holds would be closed
        self.threads = trio.CapacityLimiter(options.threads)
        self.deadlines = CoarseDeadlines(self.wake)
        self.asleep = trio.CancelScope()  # of the sweeper
        self.left = trio.Event()  # somebody has, since the house was full

    async def run(self) -> None:
        """Serve until the stop, then drain."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.sweep)
            with trio.CancelScope() as serving:
                nursery.start_soon(self.await_stop, serving)
                await self.welcome(nursery)
            await self.drain(nursery)
            nursery.cancel_scope.cancel()  # of the sweep: nobody else is left

    async def await_stop(self, serving: trio.CancelScope) -> None:
        """At the stop, cancel the scope in which newcomers are waited for."""
        await trio.lowlevel.wait_readable(self.stop.fileno())
        serving.cancel()

    async def welcome(self, nursery: trio.Nursery) -> None:
        """Let clients in, for ever, as they come and as there is room."""
        while True:
            if await self.let_in(nursery):
                continue
            if self.door.queue_empty:
                await trio.lowlevel.wait_readable(self.listener)
            elif self.door.full:
                self.left = trio.Event()
                await self.left.wait()
            else:
                await trio.sleep(RETRY_S)

    async def let_in(self, nursery: trio.Nursery) -> bool:
        """Start a task for the next client; False if there is none."""
        if (client := self.door.accept()) is None:
            return False
        talk = TrioTalk(client, self)
        self.talks.add(talk)
        nursery.start_soon(talk.run, self.converse())
        await trio.lowlevel.checkpoint()  # its turn, and everybody else's
        return True

    async def sweep(self) -> None:
        """Cancel what waits too long, as often as there may be anybody."""
        while True:
            with self.asleep:
                await trio.sleep_forever()
            self.asleep = trio.CancelScope()
            for talk in self.deadlines.tick(self.talks, self.options.send_s):
                talk.patience.cancel()

    def wake(self, after_s: float) -> None:
        """Wake the sweeper after that time, and not before."""
        self.asleep.deadline = trio.current_time() + after_s

    async def drain(self, nursery: trio.Nursery) -> None:
        """Let in those who are queued, release the idle, until all have left; from now on the nursery has a deadline."""
        timetable = Drain(self.options)
        nursery.cancel_scope.deadline = trio.current_time() + timetable.end_at_s - time.monotonic()
        self.door.last_call(self.stop)
        while self.talks or not self.door.closed:
            if await self.let_in(nursery):
                continue
            if self.door.deserted:
                self.door.close()
            if timetable.releasing(time.monotonic()):
                release_idle(self.talks)
            await trio.sleep(LOOK_AGAIN_S)


class TrioTalk(Talk):
    """One connection, and the scope that bounds its patience."""

    __slots__ = ("house", "patience", "socket")

    def __init__(self, client: socket.socket, house: House) -> None:
        super().__init__(client, house.deadlines.now_s)
        self.house = house
        self.socket = trio.socket.from_stdlib_socket(client)  # trio waits with this one, the sweep releases by the other
        self.patience = trio.CancelScope()

    async def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        try:
            while True:
                with self.patience:
                    await self.hold(conversation, resume, argument)
                    return
                self.patience = trio.CancelScope()  # the sweep has cancelled the last one
                resume, argument = conversation.throw, TimeoutError()
        except ENDS:
            pass
        except Exception as failure:
            report(failure)
        finally:
            if type(self.step) is Offload:
                self.house.abandoned.append(conversation)  # cut, but its function is still running
            else:
                end(conversation)
            self.socket.close()
            self.house.talks.discard(self)
            self.house.left.set()

    async def hold(self, conversation: Conversation, resume: Callable[[Any], Step], argument: Any) -> None:
        """Run the conversation to its end, or as long as there is patience."""
        house, client, deadlines = self.house, self.socket, self.house.deadlines
        try:
            while True:
                step = self.step = resume(argument)
                resume = conversation.send
                try:
                    if type(step) is Receive:
                        if step.limit_s < deadlines.least_s:
                            deadlines.expect(step.limit_s)
                        self.since_s = deadlines.now_s
                        argument = await client.recv(RECEIVE_BYTES)
                    elif type(step) is Send:
                        await self.send(step.data)
                        argument = None
                    elif type(step) is Wait:
                        argument = await wait(step, client.fileno())
                    elif type(step) is Offer:
                        argument = offer(self.client, step.data)
                    elif type(step) is Offload:
                        argument = await trio.to_thread.run_sync(step.function, abandon_on_cancel=True, limiter=house.threads)
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except Exception as failure:
                    resume, argument = conversation.throw, failure
        except StopIteration:  # which no coroutine may raise
            pass

    async def send(self, data: bytes | memoryview) -> None:
        """All of it; trio's send waits until the kernel takes some."""
        deadlines, send_s = self.house.deadlines, self.house.options.send_s
        while True:
            if send_s < deadlines.least_s:
                deadlines.expect(send_s)
            self.since_s = deadlines.now_s
            sent = await self.socket.send(data)
            if sent == len(data):
                return
            data = memoryview(data)[sent:]


async def wait(step: Wait, client: int) -> Ready:
    """A whole Wait step. Of several descriptors an epoll is made, which is a descriptor itself and can be waited for."""
    wanted = masks(step)
    if not wanted and step.timeout_s is not None:
        await trio.sleep(step.timeout_s)
        return NOTHING
    with select.epoll() as several:
        for descriptor, mask in wanted.items():
            several.register(client if descriptor == CLIENT else descriptor, mask)
        with trio.move_on_after(math.inf if step.timeout_s is None else step.timeout_s):
            await trio.lowlevel.wait_readable(several.fileno())
        return answer(step, [(CLIENT if descriptor == client else descriptor, seen) for descriptor, seen in several.poll(0)])


def offer(client: socket.socket, data: bytes | memoryview) -> int:
    """What the kernel takes now, in bytes."""
    try:
        return client.send(data)
    except BlockingIOError:
        return 0
