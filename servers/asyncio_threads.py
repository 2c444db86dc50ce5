"""asyncio with handlers in threads: the loop does all I/O, and a pool runs what may block, one step at a time.

Handlers that block (a database driver without async, a library that computes) would stop everybody on a loop. FastAPI and
Starlette therefore hand every plain `def` handler to a pool of threads (`run_in_threadpool`, of 40 threads) and await its
result. Here the whole conversation is such code: its parser and its handler run in the pool from one step to the next, and the
loop takes the steps. Whatever blocks there keeps one thread waiting and nobody else, so Offload is nothing special: the
function is called where it is. As many may block as there are threads; after that all wait, those too that would not block.

The price is two switches between threads for each step. The loop wakes a thread through the pool's queue (futex(2)), the
thread wakes the loop by a byte in its self-pipe, and both want Python's lock meanwhile. A request is two steps.

Only one thread at a time runs a generator, though seldom the same twice: the task hands it over and awaits it back. In between
the step is ELSEWHERE, and nobody touches the conversation: no sweep, no release, no cut.

`diff servers/asyncio_streams.py servers/asyncio_threads.py` shows how little is to be changed.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from servers._asyncio_host import Host, StreamTalk, serve_streams
from servers._conversing import ENDS, RECEIVE_BYTES, report
from servers._options import Options
from servers._steps import Conversation, Converse, Offer, Offload, Receive, Send, Step, Stopping, Wait

ELSEWHERE = Offload(lambda: None)  # the step of a conversation that a thread runs

GIVEN = ("threads",)


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    pool = start_pool(options.threads)
    serve_streams(partial(Client, pool), listener, converse, options, stop)
    pool.shutdown(wait=False, cancel_futures=True)


def start_pool(size: int) -> ThreadPoolExecutor:
    """A pool whose threads are all there. Left alone it would start them one by one, and make clients wait for that."""
    pool, all_there = ThreadPoolExecutor(size), threading.Barrier(size + 1)
    for _ in range(size):
        pool.submit(all_there.wait)
    all_there.wait()
    return pool


class Client(StreamTalk):
    """One connection, and the coroutine that holds its conversation."""

    __slots__ = ("pool",)

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        host: Host,
        client: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__(host, client, reader, writer)
        self.pool = pool

    async def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        reader, writer, host, deadlines = self.reader, self.writer, self.host, self.host.deadlines
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        host.enter(self)
        try:
            while True:
                self.step = ELSEWHERE
                step = self.step = await host.loop.run_in_executor(self.pool, advance, conversation, resume, argument)
                if step is None:
                    break
                resume = conversation.send
                try:
                    if type(step) is Receive:
                        if step.limit_s < deadlines.least_s:
                            deadlines.expect(step.limit_s)
                        self.since_s = deadlines.now_s
                        argument = await (self.read_ahead() if self.ahead else reader.read(RECEIVE_BYTES))
                    elif type(step) is Send:
                        self.since_s = deadlines.now_s
                        writer.write(step.data)
                        await writer.drain()
                        argument = None
                    elif type(step) is Wait:
                        argument = await self.wait(step)
                    elif type(step) is Offer:
                        argument = self.offer(step)
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
        finally:
            if self.step is not ELSEWHERE:  # else the server ends, and the thread with it
                await self.finish(conversation)


def advance(conversation: Conversation, resume: Callable[[Any], Step], argument: Any) -> Step | None:
    """In a thread: run the conversation's own code, and what it offloads, up to a step for the loop; None at its end."""
    try:
        while type(step := resume(argument)) is Offload:
            try:
                resume, argument = conversation.send, step.function()
            except Exception as failure:
                resume, argument = conversation.throw, failure
        return step
    except ENDS:
        pass
    except Exception as failure:
        report(failure)
    return None
