"""The application: a handful of routes, written once and served alike by every execution model.

    GET  /hello         text, always the same
    GET  /wait/{ms}     waits as I/O would: nothing to compute, nobody held up
    GET  /cpu/{units}   computes; a unit is 25,000 turns of a small loop, about 1 ms of CPython 3.11 on a core of the 2020s
    GET  /digest/{kib}  SHA-256 of so many KiB, offloaded: it lets go of the GIL; 2816 take about 2 ms where the CPU has SHA-NI
    GET  /work?…        waits, then computes: see below
    POST /echo          the body it was sent
    POST /sink          how many bytes it was sent, and their CRC-32: taken in pieces, 1 GiB at most; PUT does the same
    GET  /bytes/{n}     n bytes, streamed in pieces of 64 KiB
    GET  /block/{ms}    sleeps where it stands: the classic mistake, kept to show what it costs
    GET  /offload/{ms}  the same sleep, handed to where it blocks nobody else
    ...  /items         items in a database, created, read, replaced, deleted and listed: see rest.py

`/work` stands for any handler that asks a database and makes something of the answer. Its query says how much of each:

    wait_us=N   or  mean_wait_us=N   microseconds of waiting, 60 s at most; models round up to their timers' resolution
    cpu_us=N    or  mean_cpu_us=N    microseconds of computing, 60 s at most, by the CPU clock of the thread

A mean is that of an exponential distribution, drawn anew for each request by a generator that each process seeds for itself;
what exceeds the most is cut. What is not said is 0. The answer repeats what was asked, so that it is the same each time. `/cpu`
does the same work each time, and takes longer when the machine is slow; `/work` takes the same time, and does less.

HEAD works wherever GET does and OPTIONS everywhere; 404 and 405 say so in JSON. What needs something of its own, as `/items`
needs a database (`rest.py`), is put here by `mount`.
"""

import re
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import parse_qsl

from servers._steps import Offload, Step, Wait

from .messages import BINARY, JSON, Answer, Handler, Request, Response, Streamed
from .problems import problem

WAIT_MOST_MS = 60_000
MOST_US = 60_000_000
CPU_MOST_UNITS = 10_000
BYTES_MOST = 1024 * 1024 * 1024
DIGEST_MOST_KIB = 8192
SINK_MOST_BYTES = 1024 * 1024 * 1024  # of a body taken in pieces; others are held whole, and have --body-bytes
CPU_UNIT_TURNS = 25_000
LOOK_TURNS = 250  # from one look at the CPU clock to the next: some 15 µs
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
    return _json(b'{"units": %d, "checksum": %d}\n' % (units, compute(units * CPU_UNIT_TURNS)))


def compute(turns: int) -> int:
    """So many steps of the generator x <- 75x mod 65537, small enough for CPython to stay in one machine word."""
    x = 1
    for _ in range(turns):
        x = x * 75 % 65537
    return x


@dataclass(frozen=True, slots=True)
class Amount:
    """How many microseconds a request takes: exactly that, or that in the mean, exponentially distributed."""

    value: int
    varies: bool

    def draw(self) -> int:
        """How many it is this time."""
        if not self.varies or not self.value:
            return self.value
        import random  # and bisect, hashing and more with it: nobody else should pay for that

        return min(round(random.expovariate(1 / self.value)), MOST_US)  # the module seeds itself anew after a fork


def work(request: Request) -> Answer | Generator[Step, Any, Answer]:
    """Wait and then compute, for as long as the query asks."""
    try:
        wait_us, cpu_us, said = _amounts(request.target.partition(b"?")[2])
    except ValueError as error:
        return problem(400, str(error))
    if not wait_us.value:
        return _spent(cpu_us, said)
    return _waited(wait_us, cpu_us, said)


def _waited(wait_us: Amount, cpu_us: Amount, said: bytes) -> Generator[Step, Any, Response]:
    yield Wait(timeout_s=wait_us.draw() / 1e6)
    return _spent(cpu_us, said)


def _spent(cpu_us: Amount, said: bytes) -> Response:
    if cpu_us.value:
        spend(cpu_us.draw())
    return _json(b"{%b}\n" % said)


def spend(cpu_us: int) -> None:
    """Compute for so long by the thread's CPU clock, in which waiting for a core or for the GIL does not count."""
    end_ns = time.thread_time_ns() + 1000 * cpu_us
    while time.thread_time_ns() < end_ns:
        compute(LOOK_TURNS)


@lru_cache(maxsize=64)
def _amounts(query: bytes) -> tuple[Amount, Amount, bytes]:
    """What a query asks for: the wait, the computing, and both as members of a JSON object. ValueError says what is wrong."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    found = [_amount(given, "wait_us"), _amount(given, "cpu_us")]
    if len(given) > sum(name is not None for name, _ in found):
        raise ValueError("the query may have wait_us or mean_wait_us, cpu_us or mean_cpu_us, each once")
    (wait_name, wait_us), (cpu_name, cpu_us) = found
    said = f'"{wait_name or "wait_us"}": {wait_us.value}, "{cpu_name or "cpu_us"}": {cpu_us.value}'
    return wait_us, cpu_us, said.encode()


def _amount(given: list[tuple[str, str]], name: str) -> tuple[str | None, Amount]:
    """The first of these parameters that says it or its mean, and what it says; without one it is 0."""
    for key, text in given:
        if key in (name, f"mean_{name}"):
            if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= MOST_US):
                raise ValueError(f"{key} is a whole number from 0 to {MOST_US}")
            return key, Amount(int(text), key != name)
    return None, Amount(0, False)


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
    "/work": {"GET": work, "HEAD": work},
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
