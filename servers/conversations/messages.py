"""Requests and responses: what a handler is given and what it gives back, without a word about the wire.

A handler is a plain function from a `Request` to a `Response`, or a generator that yields steps (`Wait`, `Offload`, …) and
returns one. A `Response` lays out its head when it is made, so that an answer which never changes can be made once and costs
nothing afterwards. What differs from one sending to the next (Date, Connection) is added by the codec.
"""

import re
from collections.abc import Callable, Generator, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from servers._steps import Step

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"

_BODILESS = (204, 304)  # RFC 9110, 8.6
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(
    ("connection", "content-length", "content-type", "date", "transfer-encoding")
)  # laid out here and in the codec
_DOT = re.compile(rb"%2[eE]")


class Request:
    """One whole request.

    `target` is as received. Names of `fields` are lower case; the values of repeated ones are joined by ", " (RFC 9110, 5.2).
    """

    __slots__ = ("body", "fields", "method", "minor", "target")

    def __init__(self, method: str, target: bytes, minor: int, fields: dict[bytes, bytes]) -> None:
        self.method = method
        self.target = target
        self.minor = minor  # of the version: 1 for HTTP/1.1, 0 for HTTP/1.0
        self.fields = fields
        self.body = b""

    def piece(self) -> Generator[Step, Any, bytes]:
        """The next piece of the body, b"" after the last; for routes that take theirs in pieces (see `http1`).

        A body that came with the head is one piece. Nothing more is received before the next piece is asked for.
        """
        yield from ()
        body, self.body = self.body, b""
        return body

    @property
    def path(self) -> str:
        """The target's path, percent-decoded, without scheme, authority, query and dot segments.

        See RFC 9112, 3.2 and RFC 3986, 6.2.2. Dot segments are found before the rest is decoded: an escaped slash ends none.
        """
        path = self.target.partition(b"?")[0]
        if not path.startswith(b"/") and b"://" in path:
            path = b"/" + path.split(b"://", 1)[1].partition(b"/")[2]
        escaped = b"%" in path
        if escaped:
            path = _DOT.sub(b".", path)
        if b"/." in path:
            path = _without_dot_segments(path)
        text = path.decode("latin-1")
        return unquote(text, errors="replace") if escaped else text


class Response:
    """An answer with its body at hand. `head` is the part of its head that is the same each time it is sent.

    `fields` are further header fields. ValueError if one could break out of its line or is the codec's to say, for a body where
    the status has none, and for a status that is not a final one.
    """

    __slots__ = ("body", "head")

    def __init__(
        self, status: int, body: bytes = b"", content_type: str = TEXT, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.body = body
        self.head = _head(status, content_type, len(body), fields)


class Streamed:
    """An answer whose body of `length_bytes` is made piece by piece while it is sent. Not for handlers that wait in between."""

    __slots__ = ("head", "length_bytes", "pieces")
    body = b""  # nothing at hand

    def __init__(self, status: int, length_bytes: int, pieces: Iterable[bytes], content_type: str = BINARY) -> None:
        self.length_bytes = length_bytes
        self.pieces = pieces
        self.head = _head(status, content_type, length_bytes, ())


Answer = Response | Streamed
Handler = Callable[[Request], Answer | Generator[Step, Any, Answer]]


def _without_dot_segments(path: bytes) -> bytes:
    """RFC 3986, 5.2.4: `.` is here, `..` is one up, and nothing is above the root."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _head(status: int, content_type: str, length_bytes: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """Status line and header fields, each line ended; the empty line that ends a head is still missing."""
    if status in _BODILESS:
        if length_bytes:
            raise ValueError(f"a {status} has no body")
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode("ascii")
    else:
        head = _head_start(status, content_type) % length_bytes
    for name, value in fields:
        line = f"{name}: {value}"
        if not line.isprintable() or not line.isascii() or not _FIELD_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"header field would break the response: {line!r}")
        head += line.encode("ascii") + b"\r\n"
    return head


@lru_cache(maxsize=256)
def _head_start(status: int, content_type: str) -> bytes:
    if status < 200:
        raise ValueError(f"{status} ends no exchange")
    if not content_type.isprintable() or "%" in content_type:
        raise ValueError(f"content type would break the response: {content_type!r}")
    lines = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}", "Content-Length: %d", ""
    return "\r\n".join(lines).encode("ascii")
