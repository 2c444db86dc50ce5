"""The five steps over readiness: one thread, one loop, whatever system call reports who is ready.

A loop asks the kernel which descriptors are ready, resumes the conversations that waited for them, and lets each run to its
next wait. Nothing here blocks but that one call, which belongs to the model: it passes `watch` (how its system call learns
which descriptors matter) and calls `turn` with what was reported.

Three things make such loops wrong, and each has its line below:
  - a batch of events goes stale while it is worked through: a descriptor may be closed and its number given to another before
    its event's turn. So an event counts for a Wait only if the Wait began before the batch was reported.
  - level-triggered readiness repeats until somebody acts. Bytes that nobody has asked for yet make the loop stop looking at
    that client; they wait in the kernel until the next Receive.
  - one eager conversation starves the others. After SENDS_PER_TURN sends in a row it waits for its next turn.
"""

import errno
import heapq
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from servers._conversing import ENDS, RECEIVE_BYTES, Deadlines, Talk, end, release_idle, report
from servers._listening import LOOK_AGAIN_S, Door
from servers._options import Options
from servers._steps import CLIENT, Conversation, Converse, Offer, Offload, Receive, Send, Stopping, Wait
from servers._stopping import Drain
from servers._waiting import NOTHING, READ, WRITE, answer, masks

ACCEPTS_PER_TURN = 64
SENDS_PER_TURN = 16
NO_DATA = memoryview(b"")

Watch = Callable[[int, int, int], object]  # descriptor, bits looked for until now (0: none), bits to look for from now on
Resume = Callable[[Any], Any]  # a conversation's `send` or `throw`


class LoopTalk(Talk):
    """One connection of a loop."""

    __slots__ = ("batch", "conversation", "descriptor", "mask", "others", "pending", "send", "timer")

    def __init__(self, client: socket.socket, now_s: float, conversation: Conversation) -> None:
        super().__init__(client, now_s)
        self.conversation = conversation
        self.send = conversation.send
        self.descriptor = client.fileno()
        self.mask = 0  # what the client's descriptor is watched for
        self.pending = NO_DATA  # of a Send: what the kernel has not taken yet
        self.others: dict[int, int] = {}  # of a Wait: the conversation's own descriptors
        self.timer = 0  # of a Wait: its serial number among the timers, or 0
        self.batch = 0  # of a Wait: which batch of events was the last before it


class Loop:
    """Everything but the system call. `running`, `patience_s()` and `turn(events)` are the model's side of it."""

    def __init__(self, listener: socket.socket, converse: Converse, options: Options, stop: Stopping, watch: Watch) -> None:
        self.converse = converse
        self.options = options
        self.watch = watch
        self.talks: set[LoopTalk] = set()
        self.owners: dict[int, LoopTalk] = {}  # by descriptor: clients, and whatever a conversation waits for
        self.door = Door(listener, self.talks, options.connections)
        self.doors_watched = 0
        self.stop = stop
        self.timetable: Drain | None = None
        self.deadlines = Deadlines()
        self.batch = 0
        self.timers: list[tuple[float, int, LoopTalk]] = []  # a heap; those given up stay until due, or until they are many
        self.timers_given_up = 0
        self.serial = 0
        self.pool = ThreadPoolExecutor(options.threads)
        self.offloaded: deque[tuple[LoopTalk, Resume, Any]] = deque()
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # rung by the pool's threads
        watch(self.bell, 0, READ)
        watch(stop.fileno(), 0, READ)
        self.open_or_shut_door()

    # ------------------------------------------------------------ one turn

    @property
    def running(self) -> bool:
        """False when the drain is over."""
        if self.timetable is None:
            return True
        return (bool(self.talks) or not self.door.closed) and time.monotonic() < self.timetable.end_at_s

    def patience_s(self) -> float:
        """How long the system call may wait: until the next timer or sweep."""
        due_at_s = self.deadlines.sweep_at_s
        if self.timers and self.timers[0][0] < due_at_s:
            due_at_s = self.timers[0][0]
        return max(0.0, due_at_s - time.monotonic())

    def turn(self, events: Iterable[tuple[int, int]]) -> None:
        """Work through one batch of events: descriptors and the bits seen on each. Then timers, then perhaps a sweep."""
        now_s = self.deadlines.now_s = time.monotonic()
        self.batch += 1
        owners = self.owners
        for descriptor, seen in events:
            talk = owners.get(descriptor)
            if talk is None:
                self.own_event(descriptor)
            elif type(talk.step) is Receive:
                try:
                    data = talk.client.recv(RECEIVE_BYTES)
                except BlockingIOError:
                    continue  # stale
                except OSError as failure:
                    self.advance(talk, talk.conversation.throw, failure)
                else:
                    self.advance(talk, talk.send, data)
            else:
                self.event(talk, descriptor, seen)
        while self.timers and self.timers[0][0] <= now_s:
            _, serial, talk = heapq.heappop(self.timers)
            if talk.timer == serial:
                talk.timer = 0
                self.end_wait(talk)
                self.advance(talk, talk.send, NOTHING)
            else:
                self.timers_given_up -= 1
        if now_s >= self.deadlines.sweep_at_s:
            self.sweep()

    def own_event(self, descriptor: int) -> None:
        """The loop's own descriptors: somebody knocks, an offloaded function has ended, the stop. Others are stale."""
        if descriptor == self.bell:
            os.eventfd_read(self.bell)
            while self.offloaded:
                self.advance(*self.offloaded.popleft())
        elif descriptor == self.stop.fileno() and self.timetable is None:
            self.watch(descriptor, READ, 0)
            self.timetable = Drain(self.options)
            self.deadlines.sweep_at_s = self.deadlines.now_s
            self.door.last_call(self.stop)
        elif not self.door.closed and descriptor == self.door.listener.fileno():
            self.admit()

    def event(self, talk: LoopTalk, descriptor: int, seen: int) -> None:
        """An event of a conversation that is not in Receive."""
        step = talk.step
        if type(step) is Wait:
            if talk.batch == self.batch:
                return  # stale: it was reported before this wait began
            ready = answer(step, [(CLIENT if descriptor == talk.descriptor else descriptor, seen)])
            if ready is not NOTHING:
                self.end_wait(talk)
                self.advance(talk, talk.send, ready)
                return
        elif type(step) is Send:
            self.send_on(talk)
            return
        if descriptor == talk.descriptor:
            self.watch_client(talk, 0)  # early bytes, or the client is gone: the next step of its own will tell

    def sweep(self) -> None:
        """When a deadline may be over, and often while draining: deadlines, the door, and the idle at their time."""
        now_s = self.deadlines.now_s
        for talk in self.deadlines.overdue(self.talks, self.options.send_s):
            self.advance(talk, talk.conversation.throw, TimeoutError())
        if self.timetable is None:
            self.open_or_shut_door()
            return
        self.deadlines.sweep_at_s = now_s + LOOK_AGAIN_S
        if not self.door.closed:
            self.admit()
        if self.timetable.releasing(now_s):
            release_idle(self.talks)

    # ------------------------------------------------------------ coming and going

    def admit(self) -> None:
        """Let clients in, and begin a conversation with each."""
        for _ in range(ACCEPTS_PER_TURN):
            client = self.door.accept()
            if client is None:
                break
            client.setblocking(False)
            talk = LoopTalk(client, self.deadlines.now_s, self.converse())
            self.talks.add(talk)
            self.owners[talk.descriptor] = talk
            self.advance(talk, talk.send, None)
        self.open_or_shut_door()
        if self.door.deserted:
            self.door.close()

    def open_or_shut_door(self) -> None:
        """Look at the listener only while there is room; a readable one that nobody accepts from would spin the loop."""
        wanted = READ if self.door.open and not self.door.deserted else 0
        if wanted != self.doors_watched:
            self.watch(self.door.listener.fileno(), self.doors_watched, wanted)
            self.doors_watched = wanted
        if not wanted and self.door.retry_at_s > self.deadlines.now_s:
            self.deadlines.sweep_at_s = min(self.deadlines.sweep_at_s, self.door.retry_at_s)

    def finish(self, talk: LoopTalk) -> None:
        """Forget a conversation that has ended, or end it."""
        self.end_wait(talk)
        self.watch_client(talk, 0)
        self.talks.discard(talk)
        del self.owners[talk.descriptor]
        end(talk.conversation)
        talk.client.close()
        if not self.doors_watched and not self.door.closed:
            self.open_or_shut_door()

    def close(self) -> None:
        """End what the drain did not. A conversation in Offload is left alone: its function is still running."""
        for talk in list(self.talks):
            if type(talk.step) is not Offload:
                self.finish(talk)
        if not self.door.closed:
            self.door.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ the five steps

    def advance(self, talk: LoopTalk, resume: Resume, argument: Any) -> None:
        """Run a conversation to its next wait, by `resume(argument)` first; see it off if it ends."""
        conversation = talk.conversation
        send = talk.send
        deadlines = self.deadlines
        sends_left = SENDS_PER_TURN
        try:
            while True:
                step = talk.step = resume(argument)
                resume = send
                try:
                    if type(step) is Receive:
                        talk.since_s = deadlines.now_s
                        if step.limit_s < deadlines.least_s:
                            deadlines.expect(step.limit_s)
                        if talk.mask != READ:
                            self.watch_client(talk, READ)
                        return
                    if type(step) is Send:
                        sent = send_some(talk.client, step.data)
                        sends_left -= 1
                        if sent < len(step.data) or not sends_left:
                            talk.pending = memoryview(step.data)[sent:]
                            talk.since_s = deadlines.now_s
                            deadlines.expect(self.options.send_s)
                            self.watch_client(talk, WRITE)
                            return
                        argument = None
                    elif type(step) is Wait:
                        self.begin_wait(talk, step)
                        return
                    elif type(step) is Offer:
                        argument = send_some(talk.client, step.data)
                    elif type(step) is Offload:
                        self.offload(talk, step)
                        return
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except Exception as failure:
                    resume, argument = conversation.throw, failure
        except ENDS:
            self.finish(talk)
        except Exception as failure:
            report(failure)
            self.finish(talk)

    def watch_client(self, talk: LoopTalk, mask: int) -> None:
        """Look for these bits on the client's descriptor. With 0 it is forgotten: HUP and ERR cannot be masked."""
        if talk.mask != mask:
            self.watch(talk.descriptor, talk.mask, mask)
            talk.mask = mask

    def send_on(self, talk: LoopTalk) -> None:
        """The client has taken some bytes: more of a Send that is under way."""
        try:
            sent = send_some(talk.client, talk.pending)
        except OSError as failure:
            talk.pending = NO_DATA
            self.advance(talk, talk.conversation.throw, failure)
            return
        if sent < len(talk.pending):
            talk.pending = talk.pending[sent:]
            if sent:
                talk.since_s = self.deadlines.now_s
        else:
            talk.pending = NO_DATA
            self.advance(talk, talk.send, None)

    def begin_wait(self, talk: LoopTalk, step: Wait) -> None:
        """Watch what the conversation waits for. Raises OSError for a descriptor that cannot be waited for."""
        wanted = masks(step)
        client_mask = wanted.pop(CLIENT, 0)
        try:
            for descriptor, mask in wanted.items():
                if descriptor in self.owners:
                    raise FileExistsError(errno.EEXIST, "somebody waits for this descriptor already", descriptor)
                self.watch(descriptor, 0, mask)
                self.owners[descriptor] = talk
                talk.others[descriptor] = mask
        except Exception:
            self.end_wait(talk)
            raise
        if client_mask:
            self.watch_client(talk, client_mask)
        talk.batch = self.batch
        if step.timeout_s is not None:
            self.serial += 1
            talk.timer = self.serial
            heapq.heappush(self.timers, (time.monotonic() + step.timeout_s, self.serial, talk))

    def end_wait(self, talk: LoopTalk) -> None:
        """Forget the descriptors and the timer of a Wait. The client's descriptor is left for the next step to judge."""
        for descriptor, mask in talk.others.items():
            del self.owners[descriptor]
            try:
                self.watch(descriptor, mask, 0)
            except OSError:
                pass  # closed meanwhile by another conversation: the kernel has forgotten it already
        talk.others.clear()
        if talk.timer:
            talk.timer = 0
            self.timers_given_up += 1
            if self.timers_given_up > 100 and self.timers_given_up > len(self.timers) // 2:
                self.timers = [timer for timer in self.timers if timer[2].timer == timer[1]]
                heapq.heapify(self.timers)
                self.timers_given_up = 0

    def offload(self, talk: LoopTalk, step: Offload) -> None:
        """Give the function to the pool. Its thread touches nothing of the loop's: it leaves the result and rings."""

        def leave_result(done: Future[Any]) -> None:
            if done.cancelled():
                return  # the server is gone
            failure = done.exception()
            if failure is None:
                self.offloaded.append((talk, talk.send, done.result()))
            else:
                self.offloaded.append((talk, talk.conversation.throw, failure))
            os.eventfd_write(self.bell, 1)

        self.pool.submit(step.function).add_done_callback(leave_result)


def send_some(client: socket.socket, data: bytes | memoryview) -> int:
    """What the kernel takes now, in bytes."""
    try:
        return client.send(data)
    except BlockingIOError:
        return 0
