"""What the asyncio models share: the door, the sweeps and the drain, on asyncio's loop; a connection that is a pair of streams.

asyncio brings an accept loop of its own, but on descriptor exhaustion that one logs a traceback and pauses, and it knows no
limit of connections. So the listener is watched here with `add_reader`, as asyncio does itself, and the policy is the door's.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from servers._conversing import RECEIVE_BYTES, CoarseDeadlines, Talk, end, release_idle, report
from servers._listening import LOOK_AGAIN_S, Door
from servers._options import Options
from servers._steps import CLIENT, Conversation, Converse, Offer, Offload, Send, Stopping, Wait
from servers._stopping import Drain
from servers._waiting import NOTHING, READ, WRITE, Ready, answer, masks

ACCEPTS_PER_TURN = 64
FOREVER_S = 1e9
FLUSHING = Send(b"")  # the step of a conversation that has ended while asyncio may still hold bytes for its client


class AsyncTalk(Talk):
    """One connection on asyncio's loop."""

    __slots__ = ("transport", "unsent_bytes")
    transport: asyncio.Transport

    def begin(self, transport: asyncio.Transport) -> None:
        """Take the transport. Asked to hold nothing back, it calls a write unfinished until the kernel has all of it."""
        self.transport = transport
        self.unsent_bytes = 0
        transport.set_write_buffer_limits(0)

    def note_progress(self, now_s: float) -> None:
        """Bytes that the client has taken restart the clock of a Send."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes != self.unsent_bytes:
            self.unsent_bytes = unsent_bytes
            self.since_s = now_s

    def expire(self) -> None:
        """Throw TimeoutError into the conversation: a Receive or a Send has waited too long."""
        raise NotImplementedError

    def cut(self) -> None:
        """End the conversation wherever it is: the drain is over."""
        raise NotImplementedError


class Host:
    """Lets clients in and sees them out; `admit(host, client)` makes a talk of each, which calls `enter` and `leave`."""

    def __init__(self, listener: socket.socket, options: Options, stop: Stopping, admit: "Admit") -> None:
        self.loop = asyncio.get_running_loop()
        self.deadlines = CoarseDeadlines(self._wake)
        self.pool = ThreadPoolExecutor(options.threads)
        self._options = options
        self._stop = stop
        self._admit = admit
        self._inside: set[AsyncTalk | asyncio.Future[None]] = set()  # talks, and clients about to become one
        self._door = Door(listener, self._inside, options.connections)
        self._door_watched = False
        self._door_retry: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None  # for the next tick of the deadlines
        self._slow: set[AsyncTalk] = set()  # their transports hold what the kernel does not take
        self._watched: dict[int, int] = {}

    async def run(self) -> None:
        """Serve until the stop, then drain."""
        stopping = asyncio.Event()
        self.loop.add_reader(self._stop.fileno(), stopping.set)
        self._open_or_shut_door()
        try:
            await stopping.wait()
            self.loop.remove_reader(self._stop.fileno())
            await self._drain(Drain(self._options))
        finally:
            for talk in list(self._talks()):
                talk.cut()
            self.pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ what talks call

    def enter(self, talk: AsyncTalk) -> None:
        """A conversation begins."""
        self._inside.add(talk)

    def leave(self, talk: AsyncTalk) -> None:
        """A conversation has ended, and its transport is gone."""
        self._inside.discard(talk)
        self._slow.discard(talk)
        if not self._door_watched:
            self._open_or_shut_door()

    def slow(self, talk: AsyncTalk) -> None:
        """The kernel does not take what the transport has for the client: look often whether it goes on, as nobody tells."""
        self._slow.add(talk)
        self.deadlines.expect(0.0)
        talk.since_s = self.deadlines.now_s

    def quick(self, talk: AsyncTalk) -> None:
        """The kernel has taken everything."""
        self._slow.discard(talk)

    def watch(self, descriptor: int, mask: int, seen: Callable[[int, int], object]) -> None:
        """Call `seen(descriptor, bits)` when the descriptor is ready. Raises OSError if it cannot be waited for."""
        if descriptor in self._watched:
            raise FileExistsError(errno.EEXIST, "somebody waits for this descriptor already", descriptor)
        if mask & READ:
            self.loop.add_reader(descriptor, seen, descriptor, READ)
        if mask & WRITE:
            self.loop.add_writer(descriptor, seen, descriptor, WRITE)
        self._watched[descriptor] = mask

    def unwatch(self, descriptor: int) -> None:
        """Forget a watched descriptor."""
        mask = self._watched.pop(descriptor)
        if mask & READ:
            self.loop.remove_reader(descriptor)
        if mask & WRITE:
            self.loop.remove_writer(descriptor)

    # ------------------------------------------------------------ the door, the deadlines, the drain

    def _talks(self) -> Iterator[AsyncTalk]:
        return (each for each in self._inside if isinstance(each, AsyncTalk))

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            client = self._door.accept()
            if client is None:
                break
            client.setblocking(False)
            admission = asyncio.ensure_future(self._admit(self, client))
            self._inside.add(admission)
            admission.add_done_callback(self._admitted)
        self._open_or_shut_door()

    def _admitted(self, admission: "asyncio.Future[None]") -> None:
        self._inside.discard(admission)
        if not admission.cancelled() and (failure := admission.exception()) is not None:
            report(failure)
        if not self._door_watched:
            self._open_or_shut_door()

    def _open_or_shut_door(self) -> None:
        """Look at the listener only while there is room; a readable one that nobody accepts from would spin the loop."""
        wanted = self._door.open and not self._stop.requested
        if wanted and not self._door_watched:
            self.loop.add_reader(self._door.listener, self._accept)
        elif self._door_watched and not wanted:
            self.loop.remove_reader(self._door.listener)
        self._door_watched = wanted
        if not wanted and not self._door_retry and (pause_s := self._door.retry_at_s - time.monotonic()) > 0:
            self._door_retry = self.loop.call_later(pause_s, self._retry_door)

    def _retry_door(self) -> None:
        self._door_retry = None
        self._open_or_shut_door()

    def _wake(self, after_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_later(after_s, self._tick)

    def _tick(self) -> None:
        now_s = time.monotonic()
        for talk in self._slow:
            talk.note_progress(now_s)
        for talk in self.deadlines.tick(self._talks(), self._options.send_s):
            talk.expire()
        if self._slow:
            self.deadlines.expect(0.0)

    async def _drain(self, timetable: Drain) -> None:
        self._open_or_shut_door()
        self._door.last_call(self._stop)
        while (self._inside or not self._door.closed) and self.loop.time() < timetable.end_at_s:
            if not self._door.closed:
                self._accept()
                if self._door.deserted:
                    self._door.close()
            if timetable.releasing(self.loop.time()):
                release_idle(self._talks())
            await asyncio.sleep(LOOK_AGAIN_S)


Admit = Callable[[Host, socket.socket], Awaitable[None]]


class StreamTalk(AsyncTalk):
    """One connection: a reader, a writer, and the task that holds the conversation in `run`."""

    __slots__ = ("ahead", "expired", "host", "reader", "task", "writer")

    def __init__(self, host: "Host", client: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(client, host.deadlines.now_s)
        self.begin(cast(asyncio.Transport, writer.transport))
        self.host = host
        self.reader = reader
        self.writer = writer
        self.task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.expired = False
        self.ahead: asyncio.Task[bytes] | None = None  # of a Wait for the client: a read that has begun already

    async def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        raise NotImplementedError

    async def read_ahead(self) -> bytes:
        """The read that a Wait began. A timeout gives up waiting for it, not the read itself."""
        assert self.ahead is not None
        data = await asyncio.shield(self.ahead)
        self.ahead = None
        return data

    def offer(self, step: Offer) -> int:
        """The transport sends what it can and keeps the rest: so it accepts all or, while it holds something, nothing."""
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is lost")
        if self.transport.get_write_buffer_size():
            return 0
        self.writer.write(step.data)
        return len(step.data)

    async def wait(self, step: Wait) -> Ready:
        """Wait for descriptors, the client or a timer, whichever is first: a future for each."""
        loop, wanted = self.host.loop, masks(step)
        waiting: dict[asyncio.Future[Any], tuple[int, int]] = {}
        client_mask = wanted.pop(CLIENT, 0)
        if client_mask & READ:
            self.ahead = self.ahead or loop.create_task(self.reader.read(RECEIVE_BYTES))
            waiting[self.ahead] = CLIENT, READ
        if client_mask & WRITE:
            waiting[loop.create_task(self.writer.drain())] = CLIENT, WRITE
        watched = []
        try:
            for descriptor, mask in wanted.items():
                ready = loop.create_future()
                self.host.watch(descriptor, mask, partial(settle, ready, waiting))
                watched.append(descriptor)
                waiting[ready] = descriptor, 0
            if not waiting:
                await asyncio.sleep(FOREVER_S if step.timeout_s is None else step.timeout_s)
                return NOTHING
            done, _ = await asyncio.wait(waiting, timeout=step.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            return answer(step, [waiting[future] for future in done])
        finally:
            for descriptor in watched:
                self.host.unwatch(descriptor)
            for future in waiting:
                if future is not self.ahead:
                    discard(future)

    def expire(self) -> None:
        """See AsyncTalk. The task is cancelled; `run` knows that this means TimeoutError."""
        if type(self.step) is Send:
            self.transport.abort()  # what it still holds will not go
        if self.step is not FLUSHING:
            self.expired = True
            self.task.cancel()

    def cut(self) -> None:
        """See AsyncTalk. What is in Offload is left alone: its function is still running."""
        if type(self.step) is not Offload:
            self.transport.abort()
            self.task.cancel()

    async def finish(self, conversation: Conversation) -> None:
        """End the conversation if it has not ended itself, and see the last bytes off."""
        self.step = FLUSHING
        self.since_s = self.host.deadlines.now_s
        end(conversation)
        if self.ahead is not None:
            discard(self.ahead)
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the client went away first
        finally:
            self.host.leave(self)


class Flow(asyncio.StreamReaderProtocol):
    """What connects a pair of streams to its transport; here it also tells the host of slow clients."""

    talk: StreamTalk | None = None

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        super().pause_writing()
        if self.talk:
            self.talk.host.slow(self.talk)

    def resume_writing(self) -> None:
        """The client has taken everything."""
        super().resume_writing()
        if self.talk:
            self.talk.host.quick(self.talk)


def serve_streams(begin: "Begin", listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain: a pair of streams and a task for each client, and a talk that `begin` makes."""

    async def admit(host: Host, client: socket.socket) -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            flow = cast(Flow, writer.transport.get_protocol())
            flow.talk = talk = begin(host, client, reader, writer)
            try:
                await talk.run(converse())
            except asyncio.CancelledError:
                pass  # cut; Python 3.11's streams would report it as an error
            finally:
                flow.talk = None

        await host.loop.connect_accepted_socket(lambda: Flow(asyncio.StreamReader(), hold), client)

    async def main() -> None:
        await Host(listener, options, stop, admit).run()

    asyncio.run(main())


Begin = Callable[[Host, socket.socket, asyncio.StreamReader, asyncio.StreamWriter], StreamTalk]


def settle(ready: "asyncio.Future[None]", waiting: dict[Any, tuple[int, int]], descriptor: int, seen: int) -> None:
    """A watched descriptor is ready: note how, and complete its future."""
    if not ready.done():
        waiting[ready] = descriptor, seen
        ready.set_result(None)


def discard(future: "asyncio.Future[Any]") -> None:
    """Nobody wants this result any more, nor its failure."""
    future.cancel()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
