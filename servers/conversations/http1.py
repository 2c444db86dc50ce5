"""HTTP/1.1 as a conversation: bytes in, steps out, over llhttp (RFC 9110, RFC 9112).

One turn of the inner loop is one request: cut its head, parse it, read its body, ask the application, queue the answer.
Requests that arrive together are answered together, in order, in Sends of about 64 KiB. The common case, a small request that
came whole in one read and whose handler is a plain function, enters no other generator: the codec is the larger part of what
a request costs, and every execution model pays its price alike.
"""

import logging
import time
from collections.abc import Callable, Generator
from typing import Any

from servers._steps import Conversation, Receive, Send, Step, Stopping

from .bodies import CONTINUE, BodyReader, Framing, Incoming, framing
from .dates import LastLines
from .heads import HEAD_END, HeadParser, Limits, receive_head
from .messages import Answer, Handler, Request, Response, Streamed
from .problems import Gone, Refusal, problem

__all__ = ["Limits", "http1"]

_log = logging.getLogger(__name__)
_CARRIAGE_RETURN = 13
_JOIN_BYTES = 64 * 1024  # answers to pipelined requests are sent once this much is queued
_DEFAULTS = Limits()
_LAST_LINES = LastLines()


def http1(
    respond: Handler,
    stop: Stopping,
    limits: Limits = _DEFAULTS,
    clock: Callable[[], float] = time.monotonic,
    last_lines: LastLines = _LAST_LINES,
    in_pieces: Callable[[Request], int] = lambda _request: 0,
) -> Conversation:
    """Serve one connection until either side ends it. No exception of the client's making leaves this generator.

    `respond` answers a request. `stop.requested` puts `Connection: close` on the answer to the last request received. `clock`
    gives seconds and never goes back; the same `last_lines` must not be used with different clocks. `in_pieces` says of how
    many bytes a request's handler takes a body piece by piece (`Request.piece`) instead of whole, 0 if it does not; it is asked
    only about bodies that have not come whole along with their head.
    """
    idle = Receive(limits.keepalive_idle_s, idle=True)
    parser = HeadParser(limits)
    bodies = BodyReader(parser, limits)
    queue: list[bytes] = []
    data, start, at, answered, close, unread_bytes = b"", 0, 0, 0, False, 0
    now_s = clock()
    try:
        while not close and (data := (yield idle)):
            at, size, queued_bytes = 0, len(data), 0
            while at < size and not close:
                end = data.find(HEAD_END, at) + 4
                if end < 4 or data[at] == _CARRIAGE_RETURN:
                    if queue:
                        yield _flushed(queue)
                    rest, data = [data[at:]], b""  # whoever receives more must be the only one to hold it
                    start = at = 0
                    data = yield from receive_head(rest, parser, limits, clock, now_s)
                    at, size, end = 0, len(data), data.find(HEAD_END) + 4
                    if not data:
                        return  # there were empty lines only
                start, at = at, end
                request = parser.parse(data[start:end])
                how = framing(request)
                if how.length_bytes or how.chunked:
                    if how.length_bytes and at + how.length_bytes <= size and how.length_bytes <= limits.body_bytes:
                        request.body = bodies.take(data[at : at + how.length_bytes])
                        at += how.length_bytes
                    else:
                        bodies.data, bodies.at, data, at = data, at, b"", 0
                        if most_bytes := in_pieces(request):
                            request = Incoming(request, how, bodies, most_bytes)
                            size, unread_bytes = 0, limits.linger_bytes  # until all of it was taken
                        else:
                            yield from _receive_body(request, how, bodies, queue, limits)
                            data, bodies.data, at, size = bodies.data, b"", bodies.at, len(bodies.data)
                try:
                    answer = respond(request)
                except Exception:
                    answer = _failed(request)
                if type(answer) is not Response:
                    answer = yield from _settled(answer, request, queue)
                    if type(request) is Incoming and request.whole:
                        data, bodies.data, at, size, unread_bytes = bodies.data, b"", bodies.at, len(bodies.data), 0
                answered += 1
                close = not how.keep_alive or answered == limits.keepalive_requests or (stop.requested and at == size)
                if (now_s := clock()) >= last_lines.stale_at:
                    last_lines.refresh(now_s)
                last = last_lines.close if close else last_lines.plain if request.minor else last_lines.keep_alive
                queue += (answer.head, last)
                if request.method != "HEAD":
                    if type(answer) is Response:
                        queue.append(answer.body)
                    elif isinstance(answer, Streamed):
                        if not (yield from _stream(answer, queue)):
                            return
                        now_s = clock()
                if at < size:
                    queued_bytes += len(answer.head) + len(last) + len(answer.body)
                    if queued_bytes >= _JOIN_BYTES:
                        yield _flushed(queue)
                        queued_bytes = 0
            send = Send(b"".join(queue))
            queue.clear()
            del data, request, answer  # nobody needs them while the client is slow or idle, and they may be large
            if send.data:
                yield send
            del send
            if at < size and how.keep_alive:  # the client did not know that this would be the last answer, and sends on
                unread_bytes = limits.linger_bytes
    except Refusal as refusal:
        _look_around(refusal, data, start, at)
        last_lines.refresh(clock())
        unread_bytes = _refused(refusal, queue, limits, last_lines)
        data = b""
        bodies.drop()
    except (OSError, Gone):  # the idle time is over, or the client is gone or will not read: nobody to say anything to
        return
    if queue or unread_bytes:
        yield from _take_leave(queue, unread_bytes, limits, clock)


def _flushed(queue: list[bytes]) -> Send:
    """One Send of everything queued, which is then no longer queued."""
    send = Send(b"".join(queue))
    queue.clear()
    return send


def _receive_body(
    request: Request, how: Framing, bodies: BodyReader, queue: list[bytes], limits: Limits
) -> Generator[Step, Any, None]:
    """Read a body that has not arrived whole, or is chunked. What is queued does not wait for it."""
    bodies.check_length(request, how, limits.body_bytes)
    if how.expects_continue and bodies.at == len(bodies.data):  # RFC 9110, 10.1.1: needless once some of the body is here
        queue.append(CONTINUE)
    if queue:
        yield _flushed(queue)
    request.body = yield from bodies.receive(request, how)


def _settled(answer: Any, request: Request, queue: list[bytes]) -> Generator[Step, Any, Answer]:
    """Run a handler that is a generator to its answer; what is queued does not wait for it."""
    if queue:
        yield _flushed(queue)
    try:
        if isinstance(answer, Generator):
            answer = yield from answer
        if not isinstance(answer, Response | Streamed):
            raise TypeError(f"the handler answered with {type(answer).__name__}")
    except (Refusal, Gone):  # of a body that it was taking
        raise
    except Exception:
        return _failed(request)
    return answer


def _failed(request: Request) -> Response:
    """A handler raised: tell the log what, and the client that."""
    _log.exception("handler failed on %s %r", request.method, request.target)
    return problem(500, "the server failed on this request")


def _stream(answer: Streamed, queue: list[bytes]) -> Generator[Step, Any, bool]:
    """Send a body as it is made, its first piece along with the head. False when it broke off or had not the promised length.

    What was promised cannot be taken back then: only the end of the connection tells the client (RFC 9112, 8).
    """
    left_bytes = answer.length_bytes
    try:
        for piece in answer.pieces:
            left_bytes -= len(piece)
            if left_bytes < 0:
                break
            queue.append(piece)
            yield _flushed(queue)
    except OSError:
        raise
    except Exception:
        _log.exception("a streamed body broke off")
        return False
    if left_bytes:
        _log.error("a streamed body had not the promised length: %d bytes off", -left_bytes)
    return left_bytes == 0


def _look_around(refusal: Refusal, data: bytes, start: int, at: int) -> None:
    """Complete a refusal by what is at hand: the request began at `data[start]` and was read up to `data[at]`."""
    if data.startswith(b"HEAD ", start):
        refusal.head_only = True
    if refusal.unread_bytes is not None:
        refusal.unread_bytes = max(0, refusal.unread_bytes - (len(data) - at))
    elif data.endswith(HEAD_END) and at == len(data) and not data.startswith(b"P", start):
        refusal.unread_bytes = 0  # a whole head and nothing after it, of a method that takes no body


def _refused(refusal: Refusal, queue: list[bytes], limits: Limits, last_lines: LastLines) -> int:
    """Queue the refusal behind the answers that are due; the result is how many bytes of the request may still come."""
    answer = problem(refusal.status, refusal.detail)
    queue += (answer.head, last_lines.close)
    if not refusal.head_only:
        queue.append(answer.body)
    return limits.linger_bytes if refusal.unread_bytes is None else min(refusal.unread_bytes, limits.linger_bytes)


def _take_leave(queue: list[bytes], left_bytes: int, limits: Limits, clock: Callable[[], float]) -> Generator[Step, Any, None]:
    """Send what is queued, then receive what nobody will answer, without keeping it: so many bytes at most, and so long.

    A socket closed with unread data is reset, and a reset may destroy the answer before the client reads it (RFC 9112, 9.6).
    """
    end_s = clock() + limits.linger_s
    try:
        if queue:
            yield _flushed(queue)
        while left_bytes > 0 and (now_s := clock()) < end_s:
            size = len((yield Receive(end_s - now_s)))
            if not size:
                return
            left_bytes -= size
    except OSError:  # it was worth a try
        return
