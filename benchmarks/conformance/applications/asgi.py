"""The application for ASGI servers (version 3): the routes of `servers/conversations/app.py` that rules ask for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], Iterable[bytes]]
Handler = Callable[[Receive, int], Awaitable[Answer]]

TEXT, BINARY, JSON = (
    (b"content-type", kind) for kind in (b"text/plain; charset=utf-8", b"application/octet-stream", b"application/json")
)
PIECE = bytes(range(256)) * 256


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Answer a request."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # WebSockets: a server then refuses them
    try:
        status, fields, body = await respond(scope, receive)
    except EOFError:
        return  # nobody waits for an answer
    await send({"type": "http.response.start", "status": status, "headers": fields})
    for piece in () if scope["method"] == "HEAD" else body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def live(receive: Receive, send: Send) -> None:
    """Nothing is to be done when the server begins and when it ends."""
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


async def respond(scope: Message, receive: Receive) -> Answer:
    """The answer to a request, with the body that HEAD will not be shown."""
    method, path = scope["method"], scope["path"]
    name, _, number = path[1:].partition("/")
    if path == "*" and method == "OPTIONS":
        return options("GET, HEAD, OPTIONS, POST")
    if name not in ROUTES or (name in NUMBERED) != (number.isascii() and number.isdigit()):
        return whole(404, b"there is nothing here\n")
    methods, handler = ROUTES[name]
    if method in methods:
        return await handler(receive, int(number or 0))
    allow = ", ".join((*methods, "OPTIONS"))
    if method == "OPTIONS":
        return options(allow)
    return whole(405, b"not for this resource\n", (b"allow", allow.encode()))


async def hello(_receive: Receive, _number: int) -> Answer:
    """The least an application can do."""
    return whole(200, b"Hello, World!")


async def echo(receive: Receive, _number: int) -> Answer:
    """The body, unchanged. Raises EOFError when the client leaves in its middle."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return 200, [BINARY, (b"content-length", b"%d" % len(body))], [bytes(body)]


async def some_bytes(_receive: Receive, number: int) -> Answer:
    """This many bytes, in pieces."""
    return 200, [BINARY, (b"content-length", b"%d" % number)], pieces(number)


async def wait(_receive: Receive, number: int) -> Answer:
    """Wait for so many milliseconds."""
    await asyncio.sleep(number / 1000)
    return json(b'{"waited_ms": %d}\n' % number)


async def cpu(_receive: Receive, number: int) -> Answer:
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


def whole(status: int, body: bytes, *fields: tuple[bytes, bytes]) -> Answer:
    """A text."""
    return status, [TEXT, (b"content-length", b"%d" % len(body)), *fields], [body]


def options(allow: str) -> Answer:
    """What may be asked."""
    return 200, [(b"content-length", b"0"), (b"allow", allow.encode())], []


def json(text: bytes) -> Answer:
    """A JSON text."""
    return 200, [JSON, (b"content-length", b"%d" % len(text))], [text]


def pieces(number: int) -> Iterator[bytes]:
    """So many bytes, counting 0 to 255 over and over."""
    for _ in range(number // len(PIECE)):
        yield PIECE
    yield PIECE[: number % len(PIECE)]
