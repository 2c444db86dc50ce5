"""The application: a handful of routes, written once and served alike by every execution model.

    GET  /hello         text, always the same
    GET  /wait/{ms}     waits as I/O would: nothing to compute, nobody held up
    GET  /cpu/{units}   computes; a unit is 25,000 turns of a small loop, about 1 ms of CPython 3.11 on a core of the 2020s
    GET  /digest/{kib}  SHA-256 of so many KiB, offloaded: it lets go of the GIL; 2816 take about 2 ms where the CPU has SHA-NI
    POST /echo          the body it was sent
    POST /sink          how many bytes it was sent, and their CRC-32: taken in pieces, 1 GiB at most; PUT does the same
    GET  /bytes/{n}     n bytes, streamed in pieces of 64 KiB
    GET  /block/{ms}    sleeps where it stands: the classic mistake, kept to show what it costs
    GET  /offload/{ms}  the same sleep, handed to where it blocks nobody else
    ...  /items         items in a database, created, read, replaced, deleted and listed: see rest.py

HEAD works wherever GET does and OPTIONS everywhere; 404 and 405 say so in JSON. What needs something of its own, as `/items`
needs a database (`rest.py`), is put here by `mount`.
"""

import re
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from servers._steps import Offload, Step, Wait

from .messages import BINARY, JSON, Answer, Handler, Request, Response, Streamed
from .problems import problem

WAIT_MOST_MS = 60_000
CPU_MOST_UNITS = 10_000
BYTES_MOST = 1024 * 1024 * 1024
DIGEST_MOST_KIB = 8192
SINK_MOST_BYTES = 1024 * 1024 * 1024  # of a body taken in pieces; others are held whole, and have --body-bytes
CPU_UNIT_TURNS = 25_000
PIECE_BYTES = 64 * 1024

_MEDIA_TYPE = re.compile(rb"[\w.+-]{1,64}/[\w.+-]{1,64}(?:; ?charset=[\w-]{1,32})?")
_HELLO = Response(200, b"Hello, World!")
_PIECE = bytes(range(256)) * (PIECE_BYTES // 256)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A route with a whole number at its end, 0 to `most`, and what makes its handler."""

    most: int
    answer: Callable[[int], Answer | Generator[Step, Any, Answer]]


def hello(_request: Request) -> Response:
    """The least an application can do."""
    return _HELLO


def echo(request: Request) -> Response:
    """The body, unchanged, as the type it was declared to be."""
    declared = request.fields.get(b"content-type", b"")
    return Response(200, request.body, declared.decode() if _MEDIA_TYPE.fullmatch(declared) else BINARY)


def wait(ms: int) -> Generator[Step, Any, Response]:
    """Wait like a handler that has asked a database: no computation, and other conversations go on."""
    yield Wait(timeout_s=ms / 1000)
    return _json(b'{"waited_ms": %d}\n' % ms)


def cpu(units: int) -> Response:
    """Compute for `units`; the checksum proves that all of it was done."""
    return _json(b'{"units": %d, "checksum": %d}\n' % (units, work(units)))


def work(units: int) -> int:
    """`units` times 25,000 steps of the generator x <- 75x mod 65537, small enough for CPython to stay in one machine word."""
    x = 1
    for _ in range(units * CPU_UNIT_TURNS):
        x = x * 75 % 65537
    return x


def digest(kib: int) -> Generator[Step, Any, Response]:
    """Compute where others can meanwhile: hashlib lets go of the GIL while it hashes more than 2 KiB."""
    found = yield Offload(lambda: _sha256(kib))
    return _json(b'{"kib": %d, "sha256": "%b"}\n' % (kib, found.encode()))


def _sha256(kib: int) -> str:
    import hashlib  # and OpenSSL with it, 4 MiB: nobody else should pay for that

    return hashlib.sha256(_digested()[: kib * 1024]).hexdigest()


@cache
def _digested() -> memoryview:
    """Made when first asked for, for the same reason."""
    return memoryview(bytes(range(256)) * (DIGEST_MOST_KIB * 4))


def sink(request: Request) -> Generator[Step, Any, Response]:
    """Take a body piece by piece; the next one is received when this one is dealt with."""
    size_bytes = checksum = 0
    while piece := (yield from request.piece()):
        size_bytes += len(piece)
        checksum = zlib.crc32(piece, checksum)
    return _json(b'{"bytes": %d, "crc32": %d}\n' % (size_bytes, checksum))


def some_bytes(n: int) -> Streamed:
    """`n` bytes counting 0 to 255 over and over, never all in memory at once."""
    return Streamed(200, n, _pieces(n))


def block(ms: int) -> Response:
    """Sleep without asking: whoever runs this conversation can do nothing else meanwhile."""
    time.sleep(ms / 1000)
    return _json(b'{"blocked_ms": %d}\n' % ms)


def offload(ms: int) -> Generator[Step, Any, Response]:
    """Sleep, but where the execution model keeps its blocking work."""
    yield Offload(lambda: time.sleep(ms / 1000))
    return _json(b'{"offloaded_ms": %d}\n' % ms)


_EXACT: dict[str, dict[str, Handler]] = {
    "/hello": {"GET": hello, "HEAD": hello},
    "/echo": {"POST": echo},
    "/sink": {"POST": sink, "PUT": sink},
}
_NUMBERED = {
    "/wait": Numbered(WAIT_MOST_MS, wait),
    "/cpu": Numbered(CPU_MOST_UNITS, cpu),
    "/bytes": Numbered(BYTES_MOST, some_bytes),
    "/digest": Numbered(DIGEST_MOST_KIB, digest),
    "/block": Numbered(WAIT_MOST_MS, block),
    "/offload": Numbered(WAIT_MOST_MS, offload),
}
_MOUNTED: dict[str, Handler] = {}  # by the first segment of their paths
# The common targets as they stand on the wire, found without taking them apart.
_DIRECT = {(method, path.encode()): handler for path, methods in _EXACT.items() for method, handler in methods.items()}


def respond(request: Request) -> Answer | Generator[Step, Any, Answer]:
    """Answer a request, at once or as a generator of steps."""
    handler = _DIRECT.get((request.method, request.target))
    if handler is not None:
        return handler(request)
    return _route(request)


def in_pieces(request: Request) -> int:
    """Of how many bytes a body may be that the route takes piece by piece; 0 where it wants it whole."""
    return SINK_MOST_BYTES if request.method in _EXACT["/sink"] and request.path == "/sink" else 0


def mount(place: str, handler: Handler) -> None:
    """Let a handler answer whatever is asked of `place` and below it, all methods; before the server begins."""
    _MOUNTED[place] = handler


def _route(request: Request) -> Answer | Generator[Step, Any, Answer]:
    path = request.path
    if path == "*" and request.method == "OPTIONS":
        return _options("DELETE, GET, HEAD, OPTIONS, POST, PUT" if _MOUNTED else "GET, HEAD, OPTIONS, POST, PUT")
    methods = _EXACT.get(path)
    if methods is not None:
        handler = methods.get(request.method)
        return handler(request) if handler else _other_method(request, ", ".join(sorted({*methods, "OPTIONS"})))
    if (mounted := _MOUNTED.get("/" + path[1:].partition("/")[0])) is not None:
        return mounted(request)
    prefix, _, number = path.rpartition("/")
    route = _NUMBERED.get(prefix)
    if route is None:
        return problem(404, f"there is nothing at {path}")
    if request.method not in ("GET", "HEAD"):
        return _other_method(request, "GET, HEAD, OPTIONS")
    if not (number.isascii() and number.isdigit() and len(number) <= 12 and int(number) <= route.most):
        return problem(404, f"{prefix}/ takes a whole number from 0 to {route.most}")
    return route.answer(int(number))


def _other_method(request: Request, allow: str) -> Response:
    if request.method == "OPTIONS":
        return _options(allow)
    return problem(405, f"{request.method} is not for this resource", [("Allow", allow)])


def _options(allow: str) -> Response:
    return Response(200, fields=[("Allow", allow)])


def _pieces(n: int) -> Iterator[bytes]:
    for _ in range(n // PIECE_BYTES):
        yield _PIECE
    if n % PIECE_BYTES:
        yield _PIECE[: n % PIECE_BYTES]


def _json(text: bytes) -> Response:
    return Response(200, text, JSON)
