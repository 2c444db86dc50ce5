"""Deadlines: nobody is waited for too long, and nobody is cut off too early.

Deadlines here are half a second. They may be a second late; a busy machine is allowed three more. Early they must never be:
where a pause of the examiner's own could make a client look slow, the rule is tried again.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.conformance.rule import Broken, Rule, Script, Settings, Unfit
from benchmarks.conformance.rules._requests import SERVED, chunked, echoed, post, request
from benchmarks.conformance.subjects import Running
from benchmarks.conformance.wire import Client

LIMIT_S = 0.5
LATE_S = 1.0 + 3.0  # what is promised, and what a busy machine may add
EARLY_S = 0.02  # for clocks that count in milliseconds or are read once a turn of a loop
QUICK = Settings(head_s=LIMIT_S, body_s=LIMIT_S, idle_s=LIMIT_S, send_s=LIMIT_S, workers=16, threads=32)
FEW = Settings(keepalive_requests=3)
DRIP_S = 0.1
HONEST_PAUSE_S = 0.8 * LIMIT_S  # a client that has paused no longer than this has kept every deadline
TRIES = 3
LARGE_BYTES = 67_108_864  # more than the kernel holds for a connection
SIP_BYTES = 2 * 1024 * 1024

_OPEN = ("01", "08")  # TCP_ESTABLISHED, TCP_CLOSE_WAIT
_BEGUN = request()[:-4]
_BUSY = f"the examiner could not act every {LIMIT_S:g} s: the machine is too busy"

Test = Callable[[Running], None]


# ---------------------------------------------------------------- what is waited for


def _timed_out(client: Client, since_s: float, told: bool) -> None:
    """The connection ends when the client's time is up, not before; 408 is all that is said, if anything. Raises Broken."""
    found = client.answer_or_end()
    after_s = time.monotonic() - since_s
    if found is None:
        _in_time(client, "ended the connection", after_s)
        if told:
            raise client.broken("ended the connection without an answer")
        return
    if found.status != 408:
        raise client.broken(f"answered {found.status}, not 408")
    if not found.closes:
        raise client.broken("answered 408 without Connection: close")
    _in_time(client, "answered 408", after_s)
    client.ends()


def _ends_silently(client: Client, since_s: float) -> None:
    """The connection ends when its time is up, not before, and without a word. Raises Broken."""
    client.ends()
    _in_time(client, "ended the connection", time.monotonic() - since_s)


def _in_time(client: Client, did: str, after_s: float) -> None:
    if not LIMIT_S - EARLY_S <= after_s <= LIMIT_S + LATE_S:
        raise client.broken(f"{did} after {after_s:.2f} s, where the limit is {LIMIT_S:g} s")


def _drip(client: Client, data: Iterable[bytes]) -> float:
    """Send piece by piece until the server reacts; returns the longest pause, in seconds. Raises Broken when it is too late."""
    begun_s = last_s = time.monotonic()
    longest_s = 0.0
    for piece in data:
        client.send(piece)
        now_s = time.monotonic()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
        if client.is_readable(DRIP_S):
            break
        if now_s - begun_s > LIMIT_S + LATE_S:
            raise client.broken(f"still listens after {LIMIT_S + LATE_S:g} s, where the limit is {LIMIT_S:g} s")
    return longest_s


def _connect(running: Running) -> Client:
    return running.connect(LIMIT_S + LATE_S)


def _bytes_of(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


# ---------------------------------------------------------------- tests


def times_out(sent: bytes, drip: bytes = b"", told: bool = False) -> Test:
    """After these bytes, and others that come slowly, the client is given up; and, if `told`, told so."""

    def test(running: Running) -> None:
        with _connect(running) as client:
            since_s = time.monotonic()
            client.send(sent)
            if drip:
                _drip(client, itertools.chain(_bytes_of(drip), itertools.repeat(b"x")))
            _timed_out(client, since_s, told)

    return test


def times_out_after(answered: Script, sent: bytes) -> Test:
    """The same on a connection that has been used before."""

    def test(running: Running) -> None:
        with _connect(running) as client:
            client.play(answered)
            since_s = time.monotonic()
            client.send(sent)
            _timed_out(client, since_s, told=False)

    return test


def ends_silently(*script: bytes | None) -> Test:
    """After these exchanges (None: an answer) the connection ends without a word."""

    def test(running: Running) -> None:
        since_s = time.monotonic()
        with _connect(running) as client:
            for item in script:
                if item is None:
                    client.expect(SERVED)
                else:
                    since_s = time.monotonic()
                    client.send(item)
            _ends_silently(client, since_s)

    return test


def empty_lines_keep_nothing(running: Running) -> None:
    """However many of them come."""
    with _connect(running) as client:
        client.play((request(), SERVED))
        _drip(client, itertools.repeat(b"\r\n"))
        while client.answer_or_end() is not None:  # a word about it is not forbidden
            pass


def steady_body(head: bytes, pieces: tuple[bytes, ...], whole: bytes) -> Test:
    """A body that takes longer than the limit, but never pauses that long, is read to its end."""

    def once(running: Running) -> float:
        with _connect(running) as client:
            client.send(head)
            pause_s = _drip(client, pieces)
            try:
                client.expect(echoed(whole))
            except Broken:
                if pause_s > HONEST_PAUSE_S:
                    return pause_s
                raise
        return 0.0

    return _tried(once)


def slow_reader(running: Running) -> float:
    """Read a large response in sips, with pauses; returns the longest of those if the response breaks off after it."""
    with _connect(running) as client:
        client.send(request(target=f"/bytes/{LARGE_BYTES}"))
        received, longest_s, last_s = 0, 0.0, time.monotonic()
        while received < LARGE_BYTES:
            got = _read(client, min(SIP_BYTES, LARGE_BYTES - received))
            received += got
            longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
            if not got:
                break
            time.sleep(0.03)
        if received < LARGE_BYTES:
            if longest_s > HONEST_PAUSE_S:
                return longest_s
            raise client.broken(f"cut off a client that was reading, after {received} bytes")
    return 0.0


def stalled_reader(running: Running) -> None:
    """A client that has stopped reading is given up, though the kernel still holds bytes for it."""
    with _connect(running) as client:
        port = client.socket.getsockname()[1]
        client.send(request(target=f"/bytes/{LARGE_BYTES}"))
        if not client.is_readable(LIMIT_S + LATE_S):
            raise client.broken(f"said nothing for {LIMIT_S + LATE_S:g} s")
        until_s = time.monotonic() + LIMIT_S + LATE_S
        while time.monotonic() < until_s:
            if not _holds(running, port):
                return
            time.sleep(0.1)
        raise client.broken(f"still waits for a client that has read nothing for {LIMIT_S + LATE_S:g} s")


def _read(client: Client, size: int) -> int:
    """Receive so many bytes, or those until the end, and keep none; returns how many there were."""
    received = 0
    client.socket.settimeout(client.patience_s)
    try:
        while received < size and (got := len(client.socket.recv(min(size - received, SIP_BYTES)))):
            received += got
    except OSError:
        pass  # reset, or silent
    return received


def _holds(running: Running, port: int) -> bool:
    """Whether the server's end of the connection from this port of ours is open, as the kernel sees it (proc(5)).

    An end that was closed while the kernel held bytes for us is no longer established, though we have not heard of it.
    """
    ends = f":{running.port:04X}", f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if local.endswith(ends[0]) and remote.endswith(ends[1]):
            return state in _OPEN
    return False


def _tried(once: Callable[[Running], float]) -> Test:
    """Try again when it failed after a pause of our own that was too long. Raises Unfit when that happens every time."""

    def test(running: Running) -> None:
        for _ in range(TRIES):
            if not once(running):
                return
        raise Unfit(_BUSY)

    return test


def so_many_requests(running: Running) -> None:
    """The last answer says close, the others do not."""
    with running.connect() as client:
        found = [client.play((request(), SERVED))[0] for _ in range(3)]
        if (said := [each.closes for each in found]) != [False, False, True]:
            raise client.broken(f"said close on {[i for i, closes in enumerate(said, 1) if closes] or 'none'} of 3 answers")
        client.ends()


def so_many_at_once(running: Running) -> None:
    """Requests beyond the last are not answered, and do not cost the others their answers."""
    with running.connect() as client:
        client.send(request() * 6)
        for _ in range(3):
            client.expect(SERVED)
        client.ends()


_CHUNKS = tuple(b"1\r\n%c\r\n" % letter for letter in b"abcdefghijkl")

RULES: tuple[Rule, ...] = (
    Rule("head-silent", "A head that is not finished in time is given up.", "servebench", "ours",
         times_out(_BEGUN), settings=QUICK, slow=True),
    Rule("head-silent-told", "And the client is told 408.", "servebench", "ours",
         times_out(_BEGUN, told=True), settings=QUICK, slow=True),
    Rule("head-trickled", "The time for a head is for all of it, however many bytes still come.", "servebench", "ours",
         times_out(b"", b"GET /hello?"), settings=QUICK, slow=True),
    Rule("head-field-trickled", "The time for a head is for all of it, fields included.", "servebench", "ours",
         times_out(b"GET /hello HTTP/1.1\r\n", b"Host: a\r\nX: "), settings=QUICK, slow=True),
    Rule("head-later", "A later head on a connection has the same time.", "servebench", "ours",
         times_out_after((request(), SERVED), _BEGUN), settings=QUICK, slow=True),
    Rule("body-paused", "A body that pauses too long is given up.", "servebench", "ours",
         times_out(post("Content-Length: 10", body=b"abc")), settings=QUICK, slow=True),
    Rule("body-paused-told", "And the client is told 408.", "servebench", "ours",
         times_out(post("Content-Length: 10", body=b"abc"), told=True), settings=QUICK, slow=True),
    Rule("body-unsent", "A body that does not begin in time is given up.", "servebench", "ours",
         times_out(post("Content-Length: 10")), settings=QUICK, slow=True),
    Rule("chunks-paused", "A chunked body that pauses too long is given up.", "servebench", "ours",
         times_out(chunked(b"3\r\nabc\r\n")), settings=QUICK, slow=True),
    Rule("chunk-size-paused", "A chunk's size that pauses too long is given up.", "servebench", "ours",
         times_out(chunked(b"3\r\nabc\r\n1")), settings=QUICK, slow=True),
    Rule("trailer-paused", "A trailer that pauses too long is given up.", "servebench", "ours",
         times_out(chunked(b"0\r\nX: y")), settings=QUICK, slow=True),
    Rule("body-steady", "A body that takes long but does not pause is read.", "servebench", "ours",
         steady_body(post("Content-Length: 12"), tuple(_bytes_of(b"abcdefghijkl")), b"abcdefghijkl"),
         settings=QUICK, slow=True),
    Rule("chunks-steady", "Chunks that take long but do not pause are read.", "servebench", "ours",
         steady_body(chunked(b""), (*_CHUNKS, b"0\r\n\r\n"), b"abcdefghijkl"), settings=QUICK, slow=True),
    Rule("idle", "A connection without requests ends in time and without a word.", "servebench", "ours",
         ends_silently(request(), None), settings=QUICK, slow=True),
    Rule("idle-new", "A new connection that says nothing ends in time and without a word.", "servebench", "ours",
         ends_silently(), settings=QUICK, slow=True),
    Rule("idle-after-body", "An empty line after a body, as old clients send it, is no request.", "servebench", "ours",
         ends_silently(post("Content-Length: 13", body=b"Hello, World!") + b"\r\n", None), settings=QUICK, slow=True),
    Rule("idle-empty-lines", "Empty lines keep no connection open.", "servebench", "ours",
         empty_lines_keep_nothing, settings=QUICK, slow=True),
    Rule("reader-stalled", "A client that takes nothing of a response for too long is cut off.", "servebench", "ours",
         stalled_reader, settings=QUICK, slow=True),
    Rule("reader-slow", "A client that reads slowly, but reads, gets all of a response.", "servebench", "ours",
         _tried(slow_reader), settings=QUICK, slow=True),
    Rule("requests-most", "After so many requests a connection is closed, which its last answer says.", "servebench", "ours",
         so_many_requests, settings=FEW),
    Rule("requests-most-at-once", "Requests sent beyond the last one do not cost the others their answers.", "servebench",
         "ours", so_many_at_once, settings=FEW),
)  # fmt: skip
