"""asyncio with callbacks: the loop calls the protocol when bytes arrive; nothing is awaited.

The lower layer of asyncio (`asyncio.Protocol`): a transport owns the socket, reads without being asked, and calls back: data
received, writing paused, connection lost. A conversation is resumed straight from the callback, so a request costs no task, no
future and no second turn of the loop. The price is that control is inverted: what a thread has on its stack, this class has in
attributes, and each callback must ask itself what the conversation was waiting for.

asyncio's Transport keeps unsent bytes. With a high-water mark of 0 it says `pause_writing` as soon as there are any, so Send
means the same here as everywhere: done when the kernel has taken it all.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from servers._asyncio_host import FLUSHING, AsyncTalk, Host
from servers._conversing import ENDS, end, report
from servers._options import Options
from servers._steps import CLIENT, Conversation, Converse, Offer, Offload, Receive, Send, Stopping, Wait
from servers._waiting import NOTHING, READ, WRITE, Ready, answer, masks


def serve(
    listener: socket.socket,
    converse: Converse,
    options: Options,
    stop: Stopping,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Serve until the stop, then drain; on asyncio's own loop, or on another one."""

    async def admit(host: Host, client: socket.socket) -> None:
        await host.loop.connect_accepted_socket(lambda: Client(host, client, converse()), client)

    async def main() -> None:
        await Host(listener, options, stop, admit).run()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


class Client(AsyncTalk, asyncio.Protocol):
    """One connection: the transport's callbacks on one side, the conversation's steps on the other."""

    __slots__ = ("conversation", "early", "ended", "full", "host", "loss", "others", "reading", "timer")

    def __init__(self, host: Host, client: socket.socket, conversation: Conversation) -> None:
        super().__init__(client, host.deadlines.now_s)
        self.host = host
        self.conversation = conversation
        self.early: list[bytes] = []  # received before anybody asked
        self.reading = True
        self.ended = False  # the client's stream has
        self.full = False  # the transport holds bytes that the kernel has not taken
        self.loss: Exception | None = None  # why the connection is no more
        self.others: list[int] = []  # of a Wait: the conversation's own descriptors
        self.timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the conversation."""
        self.begin(cast(asyncio.Transport, transport))
        self.host.enter(self)
        self.advance(self.conversation.send, None)

    def data_received(self, data: bytes) -> None:
        """Bytes: what a Receive waits for, or too early."""
        if type(self.step) is Receive:
            self.advance(self.conversation.send, data)
            return
        self.early.append(data)
        self.transport.pause_reading()
        self.reading = False
        self.look(CLIENT, READ)

    def eof_received(self) -> bool:
        """The client sends no more, but may still read: keep the transport."""
        self.ended = True
        if type(self.step) is Receive:
            self.advance(self.conversation.send, b"")
        else:
            self.look(CLIENT, READ)
        return True

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self.full = True
        self.host.slow(self)

    def resume_writing(self) -> None:
        """The client has taken everything."""
        self.full = False
        self.host.quick(self)
        if type(self.step) is Send:
            self.advance(self.conversation.send, None)
        else:
            self.look(CLIENT, WRITE)

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone: we closed it, or it broke. In a Wait or an Offload the next step will tell."""
        self.loss = error or ConnectionResetError("the connection is closed")
        self.full = False
        self.host.quick(self)
        if self.step is FLUSHING:
            self.host.leave(self)
        elif type(self.step) in (Receive, Send):
            self.advance(self.conversation.throw, self.loss)
        else:
            self.look(CLIENT, READ | WRITE)

    # ------------------------------------------------------------ the five steps

    def advance(self, resume: Callable[[Any], Any], argument: Any) -> None:
        """Run the conversation to its next wait, by `resume(argument)` first; see it off if it ends."""
        send, transport, deadlines = self.conversation.send, self.transport, self.host.deadlines
        try:
            while True:
                step = self.step = resume(argument)
                resume = send
                try:
                    if type(step) is Receive:
                        if not (self.early or self.ended or self.loss):
                            if step.limit_s < deadlines.least_s:
                                deadlines.expect(step.limit_s)
                            self.since_s = deadlines.now_s
                            if not self.reading:
                                self.read_on()
                            return
                        argument = self.received_before()
                    elif type(step) is Send:
                        if transport.is_closing():
                            raise self.loss or ConnectionResetError("the connection is lost")
                        transport.write(step.data)
                        if self.full:
                            self.since_s = deadlines.now_s
                            return
                        argument = None
                    elif type(step) is Wait:
                        argument = self.begin_wait(step)
                        if argument is NOTHING:
                            return
                    elif type(step) is Offer:
                        argument = self.offer(step)
                    elif type(step) is Offload:
                        self.host.loop.run_in_executor(self.host.pool, step.function).add_done_callback(self.offloaded)
                        return
                    else:
                        raise TypeError(f"not a step: {step!r}")
                except Exception as failure:
                    resume, argument = self.conversation.throw, failure
        except ENDS:
            self.finish()
        except Exception as failure:
            report(failure)
            self.finish()

    def read_on(self) -> None:
        """Let the transport read again."""
        self.reading = True
        self.transport.resume_reading()

    def received_before(self) -> bytes:
        """What came before it was asked for: bytes first, then the end of the stream or the loss of it."""
        if self.early:
            return self.early.pop(0)
        if self.loss and not self.ended:
            raise self.loss
        return b""

    def offer(self, step: Offer) -> int:
        """The transport sends what it can and keeps the rest: so it accepts all or, while it holds something, nothing."""
        if self.transport.is_closing():
            raise self.loss or ConnectionResetError("the connection is lost")
        if self.full:
            return 0
        self.transport.write(step.data)
        return len(step.data)

    def begin_wait(self, step: Wait) -> Ready:
        """Answer at once if the client is what it waits for and is ready; else watch, and answer NOTHING for now."""
        seen = (READ if self.early or self.ended or self.loss else 0) | (0 if self.full else WRITE)
        ready = answer(step, [(CLIENT, seen)])
        if ready is not NOTHING:
            return ready
        wanted = masks(step)
        if wanted.pop(CLIENT, 0) & READ and not self.reading:
            self.read_on()
        try:
            for descriptor, mask in wanted.items():
                self.host.watch(descriptor, mask, self.look)
                self.others.append(descriptor)
        except Exception:
            self.end_wait()
            raise
        if step.timeout_s is not None:
            self.timer = self.host.loop.call_later(step.timeout_s, self.timed_out)
        return NOTHING

    def look(self, descriptor: int, seen: int) -> None:
        """Something is ready: resume the conversation if that is what it waits for."""
        if type(self.step) is Wait:
            ready = answer(self.step, [(descriptor, seen)])
            if ready is not NOTHING:
                self.end_wait()
                self.advance(self.conversation.send, ready)

    def timed_out(self) -> None:
        """The time of a Wait is up."""
        self.end_wait()
        self.advance(self.conversation.send, NOTHING)

    def end_wait(self) -> None:
        """Forget the descriptors and the timer of a Wait."""
        for descriptor in self.others:
            self.host.unwatch(descriptor)
        self.others.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def offloaded(self, done: "asyncio.Future[Any]") -> None:
        """A function has returned, or raised."""
        if not done.cancelled():
            failure = done.exception()
            if failure is None:
                self.advance(self.conversation.send, done.result())
            else:
                self.advance(self.conversation.throw, failure)

    # ------------------------------------------------------------ ends

    def expire(self) -> None:
        """See AsyncTalk. After the conversation's end it is the transport that has waited too long."""
        if type(self.step) is Send:
            self.transport.abort()  # what it still holds will not go
        if self.step is not FLUSHING:
            self.advance(self.conversation.throw, TimeoutError())

    def cut(self) -> None:
        """See AsyncTalk. What is in Offload is left alone: its function is still running."""
        if type(self.step) is not Offload:
            self.finish()
            self.transport.abort()

    def finish(self) -> None:
        """The conversation has ended, or shall."""
        self.end_wait()
        self.step = FLUSHING
        self.since_s = self.host.deadlines.now_s
        end(self.conversation)
        if self.loss:
            self.host.leave(self)
        else:  # not at once: a transport that is closed inside `resume_writing` calls `connection_lost` twice
            self.host.loop.call_soon(self.transport.close)
