"""asyncio with streams: a coroutine per connection; await marks every place where others may run.

The upper layer of asyncio: a StreamReader that buffers, a StreamWriter with `drain`, and a task that reads like the thread's
straight-line code, except that nobody else runs between two awaits. What that comfort costs over callbacks: the bytes are
copied into the reader's buffer, and each wait makes a future, whose waiter is resumed one turn of the loop later.

Deadlines come from a sweep, which cancels the task; a cancellation that the sweep asked for is turned into the
conversation's TimeoutError, as `asyncio.timeout` does, but without a timer for each read.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from servers._asyncio_host import StreamTalk, serve_streams
from servers._conversing import ENDS, RECEIVE_BYTES, report
from servers._options import Options
from servers._steps import Conversation, Converse, Offer, Offload, Receive, Send, Step, Stopping, Wait


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain."""
    serve_streams(Client, listener, converse, options, stop)


class Client(StreamTalk):
    """One connection, and the coroutine that holds its conversation."""

    __slots__ = ()

    async def run(self, conversation: Conversation) -> None:
        """Hold the conversation from its first step to its last, then close the connection."""
        reader, writer, host, deadlines = self.reader, self.writer, self.host, self.host.deadlines
        resume: Callable[[Any], Step] = conversation.send
        argument: Any = None
        host.enter(self)
        try:
            while True:
                step = self.step = resume(argument)
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
