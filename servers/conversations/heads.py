"""Request heads: llhttp reads the header fields, and what llhttp lets through is checked here.

The codec cuts the stream itself, at the first empty line, and hands llhttp exactly one head. That is sound because llhttp
ends a line at CRLF and nowhere else. Should the two ever disagree about where a request ends, the next head reaches a
parser that is still inside a body, no Host is seen, and the connection is refused rather than misread.

Ours to check (httptools 0.9 accepts all of it): a missing, second or malformed Host, versions other than 1.0 and 1.1, more
than one space in the request line, targets of no form that RFC 9112 knows, methods that no handler here could know, and every
size.
"""

import ipaddress
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NoReturn

import httptools

from servers._steps import Receive, Step

from .messages import Request
from .problems import Refusal

METHODS = {method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

HEAD_END = b"\r\n\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_EMPTY_LINES_BYTES = 16  # before a request; one empty line is what old clients send after a body (RFC 9112, 2.2)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HTTP_1 = re.compile(rb"HTTP/1\.[0-9]\r\n")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
# uri-host [":" port] of RFC 3986, 3.2.2: a name or IPv4 address of unreserved, sub-delims and escapes, or an IP literal.
_AUTHORITY = (
    rb"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+\]"
    rb"|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)(?::[0-9]*)?"
)
_HOST = re.compile(_AUTHORITY)
# RFC 9110, 4.2: a host that is not empty, and nobody's name and password before it.
_ABSOLUTE = re.compile(rb"[Hh][Tt]{2}[Pp][Ss]?://(?P<authority>(?=[^:/?])" + _AUTHORITY + rb")(?=[/?]|\Z)")
_TRAILING_SPACE = re.compile(rb"(?<=[^\t\r\n ])[\t ]+\r\n")  # of a field value, where it is optional (RFC 9112, 5)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
_SMALLEST_FIELD_BYTES = 4  # "a:" and its CRLF


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask of one connection. Times in seconds; receive timeouts may fire up to 1 s late."""

    line_bytes: int = 8 * 1024  # the request line: 414
    header_bytes: int = 16 * 1024  # all header fields with their line ends, and all trailer fields: 431
    fields: int = 100  # of the header section, and of the trailer section: 431
    body_bytes: int = 16 * 1024 * 1024  # after chunked decoding: 413
    head_s: float = 10.0  # the whole head, from its first byte: 408
    body_s: float = 15.0  # between two reads of a body: 408
    keepalive_idle_s: float = 15.0  # without a request; the connection then ends without a word
    keepalive_requests: int = 0  # answered before the connection is closed; 0: no limit
    linger_bytes: int = 1024 * 1024  # of a refused request read and dropped, so that the client gets to see the answer
    linger_s: float = 1.0  # and for how long


class _Findings:
    """What llhttp finds, through callbacks. A class of its own, so that parser and codec form no reference cycle."""

    __slots__ = ("body", "fields", "on_body")

    def __init__(self) -> None:
        self.fields: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.on_body = self.body.extend

    def begin(self) -> dict[bytes, bytes]:
        """Put the fields found from now on into a new dictionary."""
        fields: dict[bytes, bytes] = {}
        self.fields = fields
        return fields

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.strip()
        fields = self.fields
        if name in fields:
            value = fields[name] + b", " + value
        fields[name] = value


class HeadParser:
    """Heads in, requests out; bodies pass through it too, so that llhttp sees the whole stream."""

    __slots__ = ("_findings", "_host", "_limits", "_small_bytes", "_target", "feed")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._findings = _Findings()
        # The last ones found valid: on one connection they seldom change, and comparing costs less than checking.
        self._host: bytes | None = None
        self._target = b""
        # No head this short can break a limit, so the others are the only ones measured.
        self._small_bytes = min(limits.line_bytes, limits.header_bytes, _SMALLEST_FIELD_BYTES * limits.fields)
        self.feed: Callable[[bytes], None]
        self._restart()

    def _restart(self) -> None:
        parser = httptools.HttpRequestParser(self._findings)
        # Versions are checked and closing is decided here; with both left to llhttp too, a stray Proxy-Connection would
        # make it refuse a request that we promised to serve.
        parser.set_dangerous_leniencies(lenient_version=True, lenient_keep_alive=True)
        self.feed = parser.feed_data

    def parse(self, head: bytes) -> Request:
        """The request that begins with `head`, which ends with the empty line; raises Refusal."""
        if len(head) > self._small_bytes:
            self.check_sizes(head)
        try:
            method, target, rest = head.split(b" ", 2)
        except ValueError:
            refuse_line(head)
        minor = 1 if rest.startswith(b"HTTP/1.1\r\n") else _minor(head, rest)
        known = METHODS.get(method)
        if known is None:
            refuse_line(head)
        fields = self._findings.begin()
        try:
            self.feed(head)
        except httptools.HttpParserUpgrade:
            self._ignore_upgrade(fields)
        except httptools.HttpParserError as error:
            if fields.get(b"transfer-encoding", b"").lower() != b"chunked":
                raise Refusal(400, str(error)) from None
            fields = self._parse_trimmed(head)
        host = fields.get(b"host")
        if host is None or host != self._host:
            self._check_host(host, minor)
        if target != self._target:
            self._check_target(known, target, fields)
        return Request(known, target, minor, fields)

    def take_body(self) -> bytes:
        """The decoded body that llhttp has seen since the last head; trailer fields are dropped (RFC 9110, 6.5.1)."""
        body = bytes(self._findings.body)
        self._findings.body.clear()
        return body

    def drop_trailers(self) -> None:
        """Let what llhttp still finds of this message go nowhere: its fields belong to the request already."""
        self._findings.begin()

    def check_sizes(self, head: bytes) -> None:
        """Refuse a head, or the beginning of one, that is over a limit.

        A beginning may be longer than that by the bytes that would end it, so that a limit is the same however a head is cut.
        """
        limits = self._limits
        line_bytes = head.find(b"\r\n")
        if line_bytes > limits.line_bytes or (line_bytes < 0 and len(head) > limits.line_bytes + 1):
            raise Refusal(414, f"the request line may have {limits.line_bytes} bytes")
        if line_bytes >= 0 and len(head) - line_bytes - 4 > limits.header_bytes:
            raise Refusal(431, f"the header section may have {limits.header_bytes} bytes")
        if head.count(b"\r\n") - 2 > limits.fields:
            raise Refusal(431, f"there may be {limits.fields} header fields")

    def _check_target(self, method: str, target: bytes, fields: dict[bytes, bytes]) -> None:
        """RFC 9112, 3.2: a path, a whole URI (its host replaces the one in Host), or the asterisk of OPTIONS; no fragment.

        Characters that belong into no URI but are sent by browsers (`|`, `"`) pass; the path's escapes must be whole. To llhttp
        a line end after the target is one of HTTP/0.9, and what follows a field, be it `X: HTTP/1.1`.
        """
        if b"\r" in target or b"\n" in target:
            raise Refusal(400, "the request line has no version")
        if b"#" in target or (b"%" in target and _BAD_ESCAPE.search(target.partition(b"?")[0])):
            raise Refusal(400, "the request target is malformed")
        if target.startswith(b"/"):
            self._target = target
        elif absolute := _ABSOLUTE.match(target):
            _check_literal(absolute)
            fields[b"host"] = absolute["authority"]
        elif target != b"*" or method != "OPTIONS":
            raise Refusal(400, "the request target is none for this method")

    def _check_host(self, host: bytes | None, minor: int) -> None:
        """RFC 9112, 3.2: one valid Host in every HTTP/1.1 request. Repeated ones were joined by ", ", which fits in no host."""
        if host is None:
            if minor == 0:
                return
            raise Refusal(400, "the Host header field is missing")
        if not (matched := _HOST.fullmatch(host)):
            raise Refusal(400, "the Host header field is repeated or invalid")
        _check_literal(matched)
        self._host = host

    def _parse_trimmed(self, head: bytes) -> dict[bytes, bytes]:
        """The fields of a head that llhttp may have refused only because it takes a tab behind a coding for part of it."""
        self._restart()
        fields = self._findings.begin()
        try:
            self.feed(_TRAILING_SPACE.sub(b"\r\n", head))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Refusal(400, str(error)) from None
        return fields

    def _ignore_upgrade(self, fields: dict[bytes, bytes]) -> None:
        """Go on in HTTP/1.1, as RFC 9110, 7.8 allows. llhttp has left it, so a new one is told which body is under way."""
        self._restart()
        for name in (b"content-length", b"transfer-encoding"):
            if name in fields:
                self.drop_trailers()
                try:
                    self.feed(b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % (name, fields[name]))
                except httptools.HttpParserError as error:
                    raise Refusal(400, str(error)) from None


def _check_literal(matched: re.Match[bytes]) -> None:
    """An address in square brackets must be one of IPv6."""
    if (address := matched["ipv6"]) is not None:
        try:
            ipaddress.IPv6Address(address.decode())
        except ValueError:
            raise Refusal(400, "the host is no IPv6 address") from None


def _minor(head: bytes, rest: bytes) -> int:
    """The minor version of a request line whose third part begins `rest`; later ones of HTTP/1 count as 1 (RFC 9110, 2.5)."""
    if not _HTTP_1.match(rest):
        refuse_line(head)
    return 0 if rest.startswith(b"HTTP/1.0") else 1


def refuse_line(head: bytes) -> NoReturn:
    """Say what is wrong with a request line (RFC 9112, 3): raises Refusal with 400, 501 or 505."""
    parts = head.partition(b"\r\n")[0].split(b" ")
    if not _TOKEN.fullmatch(parts[0]):
        raise Refusal(400, "the request line does not begin with a method")
    if len(parts) == 3 and _VERSION.fullmatch(parts[2]) and not parts[2].startswith(b"HTTP/1."):
        raise Refusal(505, "this server speaks HTTP/1.1 and HTTP/1.0")
    if parts[0] not in METHODS:
        raise Refusal(501, "this server does not know the method")
    raise Refusal(400, "the request line is not METHOD TARGET HTTP/VERSION with single spaces")


def receive_head(
    rest: list[bytes], parser: HeadParser, limits: Limits, clock: Callable[[], float], idle_since_s: float
) -> Generator[Step, Any, bytes]:
    """Go on receiving until the head that begins `rest` is whole; the result is everything received from its first byte on.

    Empty lines before it are dropped; b"" if the stream ended with nothing else. What is here already is shown to a parser of
    its own, so that a client which speaks another protocol is told at once and not after the deadline. Raises Refusal: 408
    after `head_s` in all, 414 or 431 for what is too long already, 400 for what cannot become a request.
    """
    head = piece = yield from _begun(rest.pop(), limits, clock, idle_since_s)
    left_s = limits.head_s
    end_s = clock() + left_s
    probe = httptools.HttpRequestParser(None)
    probe.set_dangerous_leniencies(lenient_version=True)
    try:
        while head and HEAD_END not in head:
            parser.check_sizes(head)
            try:
                probe.feed_data(piece)
            except httptools.HttpParserInvalidMethodError:
                refuse_line(head)
            except httptools.HttpParserError as error:
                raise Refusal(400, str(error)) from None
            try:
                piece = yield Receive(left_s)
            except TimeoutError:
                left_s = 0
            else:
                left_s = end_s - clock()
            if left_s <= 0:
                raise Refusal(408, f"the head took longer than {limits.head_s:g} s", 0)
            if not piece:
                raise Refusal(400, "the head ended early", 0)
            head += piece
    except Refusal as refusal:
        refusal.head_only = head.startswith(b"HEAD ")
        raise
    return head


def _begun(head: bytes, limits: Limits, clock: Callable[[], float], idle_since_s: float) -> Generator[Step, Any, bytes]:
    """A head without the empty lines before it. Until its first byte the connection is idle, and no longer than without them.

    Raises Refusal when there are too many, TimeoutError at the end of the idle time.
    """
    most_bytes = _EMPTY_LINES_BYTES
    while True:
        dropped_bytes = _EMPTY_LINES.match(head).end()  # type: ignore[union-attr]  # it matches nothing, too
        most_bytes -= dropped_bytes
        if most_bytes < 0:
            raise Refusal(400, "there are too many empty lines before the request")
        head = head[dropped_bytes:]
        if head not in (b"", b"\r"):
            return head
        left_s = idle_since_s + limits.keepalive_idle_s - clock()
        if left_s <= 0:
            raise TimeoutError
        piece = yield Receive(left_s, idle=True)
        if not piece:
            return b""
        head += piece
