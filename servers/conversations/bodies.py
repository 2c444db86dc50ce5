"""Request bodies: how long they are, and reading them without a byte of the next request.

llhttp cannot pause, so it is fed piece by piece: a body of known length in one cut, a chunked one line by line and chunk by
chunk (RFC 9112, 7.1). It judges the syntax of each piece before that is used here to find the next. Only chunk extensions are
checked here: llhttp lets names and values be empty, and refuses the white space that RFC 9110, 5.6.3 wants ignored.
"""

import re
from collections.abc import Generator
from typing import Any

import httptools

from servers._steps import Receive, Step

from .heads import HeadParser, Limits
from .messages import Request
from .problems import Refusal

_CHUNK_LINE_BYTES = 4096  # chunk size and extensions
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]++)(?:[\t ]*+;[\t ]*+" + _TOKEN + rb"(?:[\t ]*=[\t ]*+(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*+\r\n"
)
_LINE_END = b"\r\n"
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


def framing(request: Request, limits: Limits) -> Framing:
    """Read the four header fields that concern the message itself (RFC 9112, 6 and 9); raises Refusal."""
    fields = request.fields
    if request.minor and _MATTER.isdisjoint(fields) and request.method not in _WITH_BODY:
        return _NOTHING_SPECIAL
    # llhttp let nothing but digits pass, and no more than 64 bits; zeros before them it does not count.
    length_bytes = int(fields.get(b"content-length", b"0").lstrip(b"0") or b"0")
    chunked = _chunked(request)
    unread_bytes = None if chunked else length_bytes
    if length_bytes > limits.body_bytes:
        raise Refusal(413, f"a body may have {limits.body_bytes} bytes", unread_bytes)
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
        self._parser.drop_trailers()
        try:
            if how.chunked:
                yield from self._chunks()
            else:
                yield from self._exactly(how.length_bytes)
        except Refusal as refusal:
            refusal.head_only = request.method == "HEAD"
            raise
        return self._parser.take_body()

    def drop(self) -> None:
        """Forget what is here of a body that nobody will read."""
        self.data = b""
        self._parser.take_body()

    def _chunks(self) -> Generator[Step, Any, None]:
        left_bytes, most_overhead_bytes = self._limits.body_bytes, self._limits.header_bytes
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
                raise Refusal(413, f"a body may have {self._limits.body_bytes} bytes")
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
