"""What both asyncio models share: the door, the sweep and the drain, on asyncio's loop.

asyncio brings an accept loop of its own, but on descriptor exhaustion that one logs a traceback and pauses, and it knows no
limit of connections. So the listener is watched here with `add_reader`, as asyncio does itself, and the policy is the door's.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from servers._conversing import SWEEP_S, Talk, overdue, release_idle, report
from servers._listening import LOOK_AGAIN_S, Door
from servers._options import Options
from servers._steps import Send, Stopping
from servers._stopping import Drain
from servers._waiting import READ, WRITE

ACCEPTS_PER_TURN = 64
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
        self.swept_at_s = self.loop.time()
        self.pool = ThreadPoolExecutor(options.threads)
        self._options = options
        self._stop = stop
        self._admit = admit
        self._inside: set[AsyncTalk | asyncio.Future[None]] = set()  # talks, and clients about to become one
        self._door = Door(listener, self._inside, options.connections)
        self._door_watched = False
        self._watched: dict[int, int] = {}

    async def run(self) -> None:
        """Serve until the stop, then drain."""
        stopping = asyncio.Event()
        self.loop.add_reader(self._stop.fileno(), stopping.set)
        self._open_or_shut_door()
        sweeper = self.loop.create_task(self._sweep())
        try:
            await stopping.wait()
            self.loop.remove_reader(self._stop.fileno())
            await self._drain(Drain(self._options))
        finally:
            sweeper.cancel()
            for talk in self._talks():
                talk.cut()
            self.pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ what talks call

    def enter(self, talk: AsyncTalk) -> None:
        """A conversation begins."""
        self._inside.add(talk)

    def leave(self, talk: AsyncTalk) -> None:
        """A conversation has ended, and its transport is gone."""
        self._inside.discard(talk)
        if not self._door_watched:
            self._open_or_shut_door()

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

    # ------------------------------------------------------------ the door, the sweep, the drain

    def _talks(self) -> list[AsyncTalk]:
        return [each for each in self._inside if isinstance(each, AsyncTalk)]

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

    def _open_or_shut_door(self) -> None:
        """Look at the listener only while there is room; a readable one that nobody accepts from would spin the loop."""
        wanted = self._door.open and not self._stop.requested
        if wanted and not self._door_watched:
            self.loop.add_reader(self._door.listener, self._accept)
        elif self._door_watched and not wanted:
            self.loop.remove_reader(self._door.listener)
        self._door_watched = wanted

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.swept_at_s = self.loop.time()
            talks = self._talks()
            for talk in talks:
                if type(talk.step) is Send:
                    talk.note_progress(self.swept_at_s)
            for talk in overdue(talks, self.swept_at_s, self._options.send_s):
                talk.expire()
            self._open_or_shut_door()

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
