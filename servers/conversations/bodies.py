"""Request bodies: how long they are, and reading them without a byte of the next request.

llhttp cannot pause, so it is fed piece by piece: a body of known length in one cut, a chunked one line by line and chunk by
chunk (RFC 9112, 7.1). It judges the syntax of each piece before that is used here to find the next. Only chunk extensions are
checked here: llhttp lets names and values be empty, and refuses the white space that RFC 9110, 5.6.3 wants ignored.

A route may take its body in pieces (`Incoming`) instead of whole: the same reading, but what a Receive brought is handed on
before the next one is asked for. So its memory is bounded by a read, and a handler that is slow slows the client down.
"""

import re
from collections.abc import Generator
from typing import Any

import httptools

from servers._steps import Receive, Send, Step

from .heads import HeadParser, Limits
from .messages import Request
from .problems import Gone, Refusal

_CHUNK_LINE_BYTES = 4096  # chunk size and extensions
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]++)(?:[\t ]*+;[\t ]*+" + _TOKEN + rb"(?:[\t ]*=[\t ]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*+\r\n"
)
_LINE_END = b"\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MATTER = frozenset((b"connection", b"content-length", b"expect", b"transfer-encoding"))
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


class Framing:
    """What the head says about the message: whether the connection survives it and what body follows."""

    __slots__ = ("chunked", "expects_continue", "keep_alive", "length_bytes")

    def __init__(self, keep_alive: bool, length_bytes: int = 0, chunked: bool = False, expects_continue: bool = False) -> None:
        self.keep_alive = keep_alive
        self.length_bytes = length_bytes
        self.chunked = chunked
        self.expects_continue = expects_continue


_NOTHING_SPECIAL = Framing(keep_alive=True)


def framing(request: Request) -> Framing:
    """Read the four header fields that concern the message itself (RFC 9112, 6 and 9); raises Refusal."""
    fields = request.fields
    if request.minor and _MATTER.isdisjoint(fields) and request.method not in _WITH_BODY:
        return _NOTHING_SPECIAL
    # llhttp let nothing but digits pass, and no more than 64 bits; zeros before them it does not count.
    length_bytes = int(fields.get(b"content-length", b"0").lstrip(b"0") or b"0")
    chunked = _chunked(request)
    unread_bytes = None if chunked else length_bytes
    if request.method in _WITH_BODY and not chunked and b"content-length" not in fields:
        raise Refusal(411, f"{request.method} needs Content-Length or Transfer-Encoding: chunked")
    return Framing(_keep_alive(request), length_bytes, chunked, _expects_continue(request, unread_bytes))


def _chunked(request: Request) -> bool:
    coding = request.fields.get(b"transfer-encoding")
    if coding is None:
        return False
    if not request.minor:
        raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding")  # RFC 9112, 6.1: such framing is faulty
    if coding.lower() != b"chunked":
        raise Refusal(501, "the only transfer coding here is chunked")
    return True


def _keep_alive(request: Request) -> bool:
    said = request.fields.get(b"connection")
    if said is None:
        return request.minor == 1
    options = {option.strip() for option in said.lower().split(b",")}
    return b"close" not in options and (request.minor == 1 or b"keep-alive" in options)


def _expects_continue(request: Request, unread_bytes: int | None) -> bool:
    expectation = request.fields.get(b"expect")
    if expectation is None or not request.minor:  # RFC 9110, 10.1.1: an HTTP/1.0 client's is to be ignored
        return False
    if any(each.strip() not in (b"100-continue", b"") for each in expectation.lower().split(b",")):
        raise Refusal(417, "the only expectation here is 100-continue", unread_bytes)
    return True


class BodyReader:
    """Received bytes and a position in them, moved forward as a body is fed to the parser."""

    __slots__ = ("_limits", "_parser", "_receive", "at", "data")

    def __init__(self, parser: HeadParser, limits: Limits) -> None:
        self._parser = parser
        self._limits = limits
        self._receive = Receive(limits.body_s)
        self.data = b""
        self.at = 0

    def take(self, body: bytes) -> bytes:
        """A body of known length that is here already: llhttp is shown it, too, to stay in step."""
        self._feed(body)
        return self._parser.take_body()

    def receive(self, request: Request, how: Framing) -> Generator[Step, Any, bytes]:
        """The body that begins at `data[at]`, receiving what is missing; afterwards that is where what follows it begins.

        Raises Refusal: 408 when the client pauses too long, 413 when the body grows too large, 400 when it ends early or is
        malformed.
        """
        yield from self.read(request, how, self._limits.body_bytes)
        return self._parser.take_body()

    def read(self, request: Request, how: Framing, most_bytes: int) -> Generator[Step, Any, None]:
        """Show the parser the body, of `most_bytes` at most; what was found of it may be taken at each step. See `receive`."""
        self._parser.drop_trailers()
        try:
            if how.chunked:
                yield from self._chunks(most_bytes)
            else:
                self.check_length(request, how, most_bytes)
                yield from self._exactly(how.length_bytes)
        except Refusal as refusal:
            refusal.head_only = request.method == "HEAD"
            raise

    def check_length(self, request: Request, how: Framing, most_bytes: int) -> None:
        """Refuse a body that says itself that it is too long."""
        if how.length_bytes > most_bytes:
            unread_bytes = max(0, how.length_bytes - (len(self.data) - self.at))
            refusal = Refusal(413, f"a body may have {most_bytes} bytes", unread_bytes)
            refusal.head_only = request.method == "HEAD"
            raise refusal

    def found(self) -> bytes:
        """What was found of the body since this was last asked."""
        return self._parser.take_body()

    def drop(self) -> None:
        """Forget what is here of a body that nobody will read."""
        self.data = b""
        self._parser.take_body()

    def _chunks(self, most_bytes: int) -> Generator[Step, Any, None]:
        left_bytes, most_overhead_bytes = most_bytes, self._limits.header_bytes
        overhead_bytes = 0  # of chunk lines, beyond what the chunks are worth (RFC 9112, 7.1.1)
        while True:
            line = yield from self._line(_CHUNK_LINE_BYTES)
            if not (matched := _CHUNK_LINE.fullmatch(line)):
                raise Refusal(400, "a chunk begins with neither its size nor valid extensions")
            self._feed(matched[1] + _LINE_END)
            size_bytes = int(matched[1], 16)
            if size_bytes == 0:
                break
            left_bytes -= size_bytes
            if left_bytes < 0:
                raise Refusal(413, f"a body may have {most_bytes} bytes")
            overhead_bytes = max(0, overhead_bytes + len(line) - 16 - 2 * size_bytes)
            if overhead_bytes > most_overhead_bytes:
                raise Refusal(431, "the chunks are small and their lines long")
            yield from self._exactly(size_bytes + 2)  # the chunk's own CRLF
        yield from self._trailers()

    def _trailers(self) -> Generator[Step, Any, None]:
        left_bytes, left_fields = self._limits.header_bytes, self._limits.fields
        while True:
            line = yield from self._line(left_bytes)
            self._feed(line)
            if line == _LINE_END:
                return
            left_bytes -= len(line)
            left_fields -= 1
            if left_bytes < 0 or left_fields < 0:
                raise Refusal(431, "the trailer section is too long")

    def _exactly(self, length_bytes: int) -> Generator[Step, Any, None]:
        while True:
            piece = self.data[self.at : self.at + length_bytes]
            self.at += len(piece)
            length_bytes -= len(piece)
            self._feed(piece)
            if not length_bytes:
                return
            del piece
            yield from self._more()

    def _line(self, most_bytes: int) -> Generator[Step, Any, bytes]:
        """The next line with its CRLF. Raises Refusal when there are `most_bytes` before that."""
        while (end := self.data.find(_LINE_END, self.at)) < 0:
            if len(self.data) - self.at > most_bytes + 1:
                raise Refusal(431, "a line of the chunked body is too long")
            yield from self._more()
        if end - self.at > most_bytes:
            raise Refusal(431, "a line of the chunked body is too long")
        line = self.data[self.at : end + 2]
        self.at = end + 2
        return line

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.feed(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Refusal(400, str(error)) from None

    def _more(self) -> Generator[Step, Any, None]:
        rest, self.data, self.at = self.data[self.at :], b"", 0
        try:
            data = yield self._receive
        except TimeoutError:
            raise Refusal(408, f"the body paused for {self._limits.body_s:g} s", 0) from None
        if not data:
            raise Refusal(400, "the body ended early", 0)
        self.data = rest + data


class Incoming(Request):
    """A request whose handler begins before its body is here, and takes it with `piece`.

    Until the last piece was taken the connection cannot be used for another request: `Framing.keep_alive` says so.
    """

    __slots__ = ("_bodies", "_expects_continue", "_how", "_keep_alive", "_reading", "_step", "whole")

    def __init__(self, request: Request, how: Framing, bodies: BodyReader, most_bytes: int) -> None:
        super().__init__(request.method, request.target, request.minor, request.fields)
        self.whole = False  # it has been taken to its end
        self._bodies = bodies
        self._how = how
        self._keep_alive, how.keep_alive = how.keep_alive, False
        self._expects_continue = how.expects_continue and bodies.at == len(bodies.data)
        self._reading = bodies.read(request, how, most_bytes)
        self._step: Step | None = None  # what the reading asked for last, not passed on before its yield is taken

    def piece(self) -> Generator[Step, Any, bytes]:
        """See Request. Raises Refusal as `BodyReader.receive` does, and Gone when the client is gone; let both pass."""
        while not self.whole:
            try:
                if self._step is None:
                    self._step = next(self._reading)
                elif found := self._bodies.found():
                    return found
                elif self._expects_continue:  # RFC 9110, 10.1.1: only a handler that wants the body asks for it
                    self._expects_continue = False
                    yield Send(CONTINUE)
                else:
                    self._step = self._reading.send((yield self._step))
            except StopIteration:
                self.whole, self._how.keep_alive = True, self._keep_alive
            except TimeoutError as late:
                self._reading.throw(late)
            except OSError as failure:
                raise Gone from failure
        return self._bodies.found()
