"""The application for WSGI servers (PEP 3333): the routes of `servers/conversations/app.py` that rules ask for."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]
Handler = Callable[[Environ, int], Answer]

TEXT, BINARY, JSON = (
    ("Content-Type", kind) for kind in ("text/plain; charset=utf-8", "application/octet-stream", "application/json")
)
PIECE = bytes(range(256)) * 256


def application(environ: Environ, start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    """Answer a request."""
    status, fields, body = respond(environ)
    start_response(status, fields)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body


def respond(environ: Environ) -> Answer:
    """The answer to a request, with the body that HEAD will not be shown."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    name, _, number = path[1:].partition("/")
    if path == "*" and method == "OPTIONS":
        return options("GET, HEAD, OPTIONS, POST")
    if name not in ROUTES or (name in NUMBERED) != (number.isascii() and number.isdigit()):
        return whole("404 Not Found", b"there is nothing here\n")
    methods, handler = ROUTES[name]
    if method in methods:
        return handler(environ, int(number or 0))
    allow = ", ".join((*methods, "OPTIONS"))
    if method == "OPTIONS":
        return options(allow)
    return whole("405 Method Not Allowed", b"not for this resource\n", ("Allow", allow))


def hello(_environ: Environ, _number: int) -> Answer:
    """The least an application can do."""
    return whole("200 OK", b"Hello, World!")


def echo(environ: Environ, _number: int) -> Answer:
    """The body, unchanged. Without a length it is read to its end where the server says that it has one.

    A server passes on what comes: that a client has left in the middle shows in a body shorter than announced.
    """
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(*() if environ.get("wsgi.input_terminated") else (length,))
    if len(body) < length:
        return whole("400 Bad Request", b"the body is not whole\n")
    return "200 OK", [BINARY, ("Content-Length", str(len(body)))], [body]


def some_bytes(_environ: Environ, number: int) -> Answer:
    """This many bytes, in pieces."""
    return "200 OK", [BINARY, ("Content-Length", str(number))], pieces(number)


def wait(_environ: Environ, number: int) -> Answer:
    """Wait for so many milliseconds."""
    time.sleep(number / 1000)
    return json(b'{"waited_ms": %d}\n' % number)


def cpu(_environ: Environ, number: int) -> Answer:
    """Compute so many units."""
    x = 1
    for _ in range(number * 25_000):
        x = x * 75 % 65537
    return json(b'{"units": %d, "checksum": %d}\n' % (number, x))


NUMBERED: dict[str, tuple[tuple[str, ...], Handler]] = {
    "bytes": (("GET", "HEAD"), some_bytes),
    "cpu": (("GET", "HEAD"), cpu),
    "wait": (("GET", "HEAD"), wait),
}
ROUTES = {"echo": (("POST",), echo), "hello": (("GET", "HEAD"), hello)} | NUMBERED


def whole(status: str, body: bytes, *fields: tuple[str, str]) -> Answer:
    """A text."""
    return status, [TEXT, ("Content-Length", str(len(body))), *fields], [body]


def options(allow: str) -> Answer:
    """What may be asked."""
    return "200 OK", [("Content-Length", "0"), ("Allow", allow)], []


def json(text: bytes) -> Answer:
    """A JSON text."""
    return "200 OK", [JSON, ("Content-Length", str(len(text)))], [text]


def pieces(number: int) -> Iterator[bytes]:
    """So many bytes, counting 0 to 255 over and over."""
    for _ in range(number // len(PIECE)):
        yield PIECE
    yield PIECE[: number % len(PIECE)]
