"""asyncio with streams: a coroutine per connection; await marks every place where others may run.

The upper layer of asyncio: a StreamReader that buffers, a StreamWriter with `drain`, and a task that reads like the thread's
straight-line code, except that nobody else runs between two awaits. What that comfort costs over callbacks: the bytes are
copied into the reader's buffer, and each wait makes a future, whose waiter is resumed one turn of the loop later.

Deadlines come from the sweep, which cancels the task; a cancellation that the sweep asked for is turned into the
conversation's TimeoutError, as `asyncio.timeout` does, but without a timer for each read.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from servers._asyncio_host import FLUSHING, AsyncTalk, Host
from servers._conversing import ENDS, RECEIVE_BYTES, end, report
from servers._options import Options
from servers._steps import CLIENT, Conversation, Converse, Offer, Offload, Receive, Send, Step, Stopping, Wait
from servers._waiting import NOTHING, READ, WRITE, Ready, answer, masks

FOREVER_S = 1e9


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""

    async def admit(host: Host, client: socket.socket) -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await Client(host, client, reader, writer).run(converse())
            except asyncio.CancelledError:
                pass  # cut; Python 3.11's streams would report it as an error

        await host.loop.connect_accepted_socket(lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), hold), client)

    async def main() -> None:
        await Host(listener, options, stop, admit).run()

    asyncio.run(main())


class Client(AsyncTalk):
    """One connection: a reader, a writer, and the task that holds the conversation."""

    __slots__ = ("ahead", "expired", "host", "reader", "task", "writer")

    def __init__(self, host: Host, client: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(client, host.swept_at_s)
        self.begin(cast(asyncio.Transport, writer.transport))
        self.host = host
        self.reader = reader
        self.writer = writer
        self.task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.expired = False
        self.ahead: asyncio.Task[bytes] | None = None  # of a Wait for the client: a read that has begun already

    async def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        reader, writer, host = self.reader, self.writer, self.host
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        host.enter(self)
        try:
            while True:
                step = self.step = resume(argument)
                resume = conversation.send
                try:
                    if type(step) is Receive:
                        self.since_s = host.swept_at_s
                        argument = await (self.read_ahead() if self.ahead else reader.read(RECEIVE_BYTES))
                    elif type(step) is Send:
                        self.since_s = host.swept_at_s
                        writer.write(step.data)
                        await writer.drain()
                        argument = None
                    elif type(step) is Wait:
                        argument = await self.wait(step)
                    elif type(step) is Offer:
                        argument = self.offer(step)
                    elif type(step) is Offload:
                        argument = await host.loop.run_in_executor(host.pool, step.function)
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except asyncio.CancelledError:
                    if not self.expired:
                        raise
                    self.expired = False
                    self.task.uncancel()
                    resume, argument = conversation.throw, TimeoutError()
                except Exception as failure:
                    resume, argument = conversation.throw, failure
        except ENDS:
            pass
        except Exception as failure:
            report(failure)
        finally:
            await self.finish(conversation)

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
        self.since_s = self.host.swept_at_s
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


def settle(ready: "asyncio.Future[None]", waiting: dict[Any, tuple[int, int]], descriptor: int, seen: int) -> None:
    """A watched descriptor is ready: note how, and complete its future."""
    if not ready.done():
        waiting[ready] = descriptor, seen
        ready.set_result(None)


def discard(future: "asyncio.Future[Any]") -> None:
    """Nobody wants this result any more, nor its failure."""
    future.cancel()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
