"""The rules about the wire: each says what it asks and can be broken; and the examiner's reader lets nothing malformed pass."""

import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from answering import serving

from benchmarks.conformance.rule import Answer, Broken, Outcome, Rule, Settings
from benchmarks.conformance.rules import PARTS
from benchmarks.conformance.rules import _exchanges as exchanges
from benchmarks.conformance.rules._requests import DATE, SERVED, SMUGGLED, echoed, refused, request, single, sized
from benchmarks.conformance.suite import test as examined
from benchmarks.conformance.wire import BODY_MOST_BYTES, HEAD_MOST_BYTES, KEPT_BYTES, Client

WIRE = PARTS["wire"]
PATIENCE_S = 0.2
Handler = Callable[[socket.socket], None]


class Wrong:
    """A server of sockets and threads as the suite sees it."""

    name, ours, pid, settings, max_connections = "wrong", False, 0, Settings(), None

    def __init__(self, port: int, patience_s: float = PATIENCE_S) -> None:
        self.port, self.patience_s = port, patience_s

    def connect(self, _patience_s: float = 0) -> Client:
        return Client("127.0.0.1", self.port, self.patience_s)


def answer(status: int = 200, body: bytes = b"Hello, World!", *fields: bytes) -> bytes:
    lines = (b"HTTP/1.1 %d Said" % status, b"Content-Length: %d" % len(body), *fields)
    return b"\r\n".join((*lines, b"", body))


NOW = b"Date: Wed, 25 Nov 2026 18:11:12 GMT"
HELLO = answer(200, b"Hello, World!", NOW, b"Content-Type: text/plain")
NOT_FOUND = answer(404, b"no", NOW)
REFUSAL = answer(400, b"no", NOW, b"Connection: close")


def always(reply: bytes, closes: bool = False) -> Handler:
    """Answers whatever comes with the same."""

    def handle(connection: socket.socket) -> None:
        while connection.recv(1 << 20):
            connection.sendall(reply)
            if closes:
                end(connection)
                return

    return handle


def end(connection: socket.socket) -> None:
    """Close without losing what was said."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 20):
        pass


def silent(connection: socket.socket) -> None:
    """Hears all and says nothing, not even that it is over."""
    while connection.recv(1 << 20):
        pass
    time.sleep(2 * PATIENCE_S)


def last_word(connection: socket.socket) -> None:
    """Says something to clients that have left."""
    while connection.recv(1 << 20):
        pass
    connection.sendall(answer(408, b"late", NOW))


def by_lines(connection: socket.socket) -> None:
    """Takes for a request whatever looks like the line of one, wherever it stands."""
    while data := connection.recv(1 << 20):
        connection.sendall(HELLO * data.count(b" HTTP/1.1\r\n"))


WRONG: dict[str, Handler] = {
    "says hello to anything": always(HELLO),
    "refuses anything": always(REFUSAL, closes=True),
    "answers twice": always(HELLO + NOT_FOUND),
    "echoes what it never read": always(answer(200, b"abc", NOW)),
    "has the last word": last_word,
    "splits by lines": by_lines,
    "has no clock": always(answer()),
}


# ---------------------------------------------------------------- the rules


def test_every_rule_says_what_it_asks() -> None:
    assert [rule.name for rule in WIRE if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", rule.name)] == []
    assert [rule.name for rule in WIRE if not re.fullmatch(r"[A-Z0-9a-z].*[^.]\.", rule.says)] == []
    assert [rule.name for rule in WIRE if rule.strength not in ("must", "should", "ours")] == []
    assert [rule.name for rule in WIRE if rule.ends not in ("open", "closed", "over", "sound", "either")] == []
    sources = {rule.name: r"RFC (9110|9112|3986), \d.*" if rule.strength != "ours" else "servebench" for rule in WIRE}
    assert [rule.name for rule in WIRE if not re.fullmatch(sources[rule.name], rule.source)] == []


def test_names_are_unique() -> None:
    names = Counter(rule.name for rules in PARTS.values() for rule in rules)
    assert [name for name, times in names.items() if times > 1] == []


def test_no_two_rules_ask_the_same() -> None:
    asked = Counter((rule.test, rule.ends) for rule in WIRE if not callable(rule.test))
    assert [script for script, times in asked.items() if times > 1] == []


def test_every_script_awaits_something() -> None:
    scripts = {rule.name: rule.test for rule in WIRE if not callable(rule.test)}
    for name, script in scripts.items():
        assert not isinstance(script[-1], bytes), name
        assert all(script), name
        assert all(item.statuses for item in script if isinstance(item, Answer)), name


def test_rules_of_the_standard_never_ask_for_an_open_connection_as_a_must() -> None:
    """RFC 9112, 9.3 lets any server close after any answer, if it says so."""
    assert [rule.name for rule in WIRE if rule.strength == "must" and rule.ends == "open"] == []


def test_there_are_rules_of_each_strength() -> None:
    assert {rule.strength for rule in WIRE} == {"must", "should", "ours"}
    assert len(WIRE) > 200  # none was lost on the way


# ---------------------------------------------------------------- wrong servers


def outcomes(handle: Handler, rules: Sequence[Rule] = WIRE, patience_s: float = PATIENCE_S) -> dict[str, Outcome]:
    with serving(handle) as port, ThreadPoolExecutor(32) as pool:
        wrong = Wrong(port, patience_s)
        return {outcome.rule: outcome for outcome in pool.map(lambda rule: examined(wrong, rule), rules)}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Outcome]]:
    """What came of all rules with each wrong server."""
    return {name: outcomes(handle) for name, handle in WRONG.items()}


def broken(found: dict[str, Outcome]) -> set[str]:
    return {name for name, outcome in found.items() if outcome.verdict == "broken"}


def test_every_rule_can_be_broken_by_what_a_server_says(found: dict[str, dict[str, Outcome]]) -> None:
    assert {rule.name for rule in WIRE}.difference(*map(broken, found.values())) == set()


def test_a_broken_rule_tells_the_bytes(found: dict[str, dict[str, Outcome]]) -> None:
    outcome = found["says hello to anything"]["host-missing"]
    assert outcome.saw == "answered 200, not 400"
    assert outcome.sent == r"GET /hello HTTP/1.1\r\n\r\n"
    assert outcome.received.startswith(r"HTTP/1.1 200 Said\r\n")


def test_silence_breaks_every_rule() -> None:
    found = outcomes(silent, patience_s=0.05)
    assert broken(found) == {rule.name for rule in WIRE}


@pytest.mark.parametrize(
    ("wrong", "kept", "lost"),
    [
        (
            "says hello to anything",
            ("plain", "persists", "date", "unknown-fields"),
            ("head", "host-missing", "close", "date-now"),
        ),
        ("refuses anything", ("colon-missing", "length-plus", "chunk-size-lf"), ("plain", "chunks", "not-found", "version-2")),
        ("answers twice", (), ("plain", "lengths-differ", "length-and-coding")),
        ("echoes what it never read", (), ("body-empty", "length-overflow", "chunk-size-overflow")),
        ("has the last word", (), ("half-close-at-once", "half-close")),
        ("splits by lines", ("plain",), ("body-looks-like-request", "length-plus", "body-of-404", "close")),
        ("has no clock", ("plain",), ("date", "date-now", "answer-type")),
    ],
)
def test_wrong_in_one_way_is_not_wrong_in_all(
    wrong: str, kept: Sequence[str], lost: Sequence[str], found: dict[str, dict[str, Outcome]]
) -> None:
    assert [name for name in kept if name in broken(found[wrong])] == []
    assert [name for name in lost if name not in broken(found[wrong])] == []


# ---------------------------------------------------------------- the reader


@contextmanager
def saying(said: bytes) -> Iterator[Client]:
    """A client of a server that says this, and no more, as soon as it is asked."""

    def handle(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(said)
        end(connection)

    with serving(handle) as port, Client("127.0.0.1", port, PATIENCE_S) as client:
        client.send(b"?")
        yield client


WELL_FORMED = {
    "length": (answer(), b"Hello, World!"),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", b"x"),
    "an older version": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "empty": (answer(200, b""), b""),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\nx\r\n02\r\nyz\r\n0\r\n\r\n", b"xyz"),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nxyz", b"xyz"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b""),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    "an empty value": (b"HTTP/1.1 200 OK\r\nX:\r\nContent-Length:\t0 \r\n\r\n", b""),
}

MALFORMED = {
    "nothing": (b"", "without an answer"),
    "no status line": (b"Hello, World!\r\n\r\n", "no status line"),
    "another version": (b"HTTP/2.0 200 OK\r\n\r\n", "no status line"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "no status line"),
    "a status beyond 599": (b"HTTP/1.1 600 OK\r\n\r\n", "no status line"),
    "no space after the status": (b"HTTP/1.1 200\r\n\r\n", "no status line"),
    "two spaces": (b"HTTP/1.1  200 OK\r\n\r\n", "no status line"),
    "control characters in the reason": (b"HTTP/1.1 200 O\x01K\r\n\r\n", "no status line"),
    "an empty line before": (b"\r\n" + answer(), "no status line"),
    "LF only": (answer().replace(b"\r\n", b"\n"), "inside a head"),
    "LF in a field": (b"HTTP/1.1 200 OK\r\nX: y\nZ: z\r\n\r\n", "no field"),
    "CR in a field": (b"HTTP/1.1 200 OK\r\nX: y\rz\r\n\r\n", "no field"),
    "NUL in a field": (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "no field"),
    "a folded field": (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "no field"),
    "space before the colon": (b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "no field"),
    "no colon": (b"HTTP/1.1 200 OK\r\nX\r\n\r\n", "no field"),
    "no name": (b"HTTP/1.1 200 OK\r\n: y\r\n\r\n", "no field"),
    "a signed length": (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", "Content-Length: +1"),
    "an empty length": (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "Content-Length: "),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "Content-Length: 1, 1"),
    "length and coding": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", "both"),
    "another coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "Transfer-Encoding: gzip"),
    "a length of no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 with Content-Length"),
    "a coding of 100": (b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "100 with Transfer-Encoding"),
    "too little": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxy", "inside a body"),
    "half a head": (answer()[:20], "inside a head"),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * (HEAD_MOST_BYTES + 1), "no head ends"),
    "a body without end": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_MOST_BYTES + 1), "a body of more than"),
}

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED_CHUNKS = {
    "no size": (b"\r\nx\r\n0\r\n\r\n", "malformed chunk"),
    "a signed size": (b"+1\r\nx\r\n0\r\n\r\n", "malformed chunk"),
    "a size in 0x": (b"0x1\r\nx\r\n0\r\n\r\n", "malformed chunk"),
    "a space after the size": (b"1 \r\nx\r\n0\r\n\r\n", "malformed chunk"),
    "a size that does not end": (b"1;" + b"a" * (HEAD_MOST_BYTES + 1), "malformed chunk"),
    "more data": (b"1\r\nxy\r\n0\r\n\r\n", "another length"),
    "less data": (b"2\r\nx\r\n0\r\n\r\n", "another length"),
    "LF after data": (b"1\r\nx\n0\r\n\r\n", "another length"),
    "no last chunk": (b"1\r\nx\r\n", "inside a body"),
    "no end": (b"1\r\nx\r\n0\r\n", "inside a body"),
    "half a chunk": (b"3\r\nx", "inside a body"),
    "a trailer": (b"1\r\nx\r\n0\r\nX: y\r\n\r\n", "a trailer"),
    "a terabyte": (b"e8d4a51000\r\n", "a body of more than"),
}
MALFORMED |= {name: (_CHUNKED + said, saw) for name, (said, saw) in MALFORMED_CHUNKS.items()}


@pytest.mark.parametrize(("said", "body"), WELL_FORMED.values(), ids=WELL_FORMED)
def test_well_formed_answers_are_read(said: bytes, body: bytes) -> None:
    with saying(said) as client:
        assert client.answer().body == body
        client.ends()


@pytest.mark.parametrize(("said", "saw"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_answers_break_any_rule(said: bytes, saw: str) -> None:
    with saying(said) as client, pytest.raises(Broken, match=re.escape(saw)) as caught:
        client.answer()
    assert caught.value.sent == b"?"
    assert caught.value.received == said[:KEPT_BYTES]


@pytest.mark.parametrize("said", [said for said, _ in WELL_FORMED.values() if said[-4:] != b"\r\n\r\n"][:4])
def test_answers_are_read_however_they_are_cut(said: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in single(said):
            connection.sendall(piece)
        end(connection)

    with serving(handle) as port, Client("127.0.0.1", port, PATIENCE_S) as client:
        assert client.answer().status == 200
        client.half_close()
        client.ends()


def test_the_answer_to_head_has_no_body() -> None:
    with saying(answer(200, b"")) as client:
        assert client.answer(to_head=True).body == b""
        client.ends()
    with saying(answer()) as client:
        client.answer(to_head=True)
        with pytest.raises(Broken, match="said more than it was asked: b'Hello, World!'"):
            client.ends()


def test_names_of_fields_are_small_and_repeated_ones_joined() -> None:
    with saying(answer(200, b"x", b"X-A: 1", b"x-a:\t2 ", b"Connection: x, CLOSE")) as client:
        found = client.answer()
        assert found.fields == {"content-length": "1", "x-a": "1, 2", "connection": "x, CLOSE"}
        assert (found.status, found.reason, found.minor, found.closes) == (200, "Said", 1, True)


@pytest.mark.parametrize(
    ("line", "connection", "closes"),
    [
        (b"HTTP/1.1 200 OK", b"", False),
        (b"HTTP/1.1 200 OK", b"Connection: keep-alive\r\n", False),
        (b"HTTP/1.1 200 OK", b"Connection: closed\r\n", False),
        (b"HTTP/1.0 200 OK", b"", True),
        (b"HTTP/1.0 200 OK", b"Connection: Keep-Alive\r\n", False),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive, close\r\n", True),
    ],
)
def test_an_answer_says_whether_it_closes(line: bytes, connection: bytes, closes: bool) -> None:
    with saying(line + b"\r\nContent-Length: 0\r\n" + connection + b"\r\n") as client:
        assert client.answer().closes == closes


def test_extra_bytes_after_the_answer_are_no_end() -> None:
    with saying(answer() + b"x") as client:
        client.expect(SERVED)
        with pytest.raises(Broken, match="said more than it was asked: b'x'"):
            client.ends()


def test_an_end_can_be_an_answer() -> None:
    with saying(answer()) as client:
        assert client.expect_or_end(SERVED)
        assert client.expect_or_end(SERVED) is None


def test_a_reset_is_an_end_and_leaves_what_was_said_before() -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(100)  # else the reset may come before the client knows that it is connected
        connection.sendall(answer())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(handle) as port, Client("127.0.0.1", port, PATIENCE_S) as client:
        client.send(b"ready")
        client.expect(SERVED)
        client.ends()
        assert client.send(b"x") is False


def test_silence_is_told_with_what_came_before_it() -> None:
    def handle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 2")
        silent(connection)

    with (
        serving(handle) as port,
        Client("127.0.0.1", port, 0.05) as client,
        pytest.raises(Broken, match=r"said nothing for 0.05 s after b'HTTP/1.1 2'"),
    ):
        client.answer()


def test_a_client_that_is_not_read_says_so() -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(1)
        time.sleep(2 * PATIENCE_S)

    with (
        serving(handle) as port,
        Client("127.0.0.1", port, PATIENCE_S) as client,
        pytest.raises(Broken, match=r"took nothing for 0\.2 s") as caught,
    ):
        client.send(bytes(1 << 26))
    assert len(caught.value.sent) == KEPT_BYTES


@pytest.mark.parametrize(
    ("said", "wanted", "saw"),
    [
        (answer(404, b""), SERVED, "answered 404, not 200"),
        (answer(404, b""), refused(400, 501), "answered 404, not 400 or 501"),
        (answer(404, b""), Answer((200, *range(500, 510))), "answered 404, not 200 or 500 to 509"),
        (answer(200, b"x"), SERVED, "answered with the body b'x', not b'Hello, World!'"),
        (answer(), Answer((200,), fields=(("Date", DATE),)), "answered 200 without Date"),
        (answer(200, b"", b"Date: now"), Answer((200,), fields=(("Date", DATE),)), "answered 200 with Date: now"),
        (answer(200, b"", NOW, NOW), Answer((200,), fields=(("Date", DATE),)), "answered 200 with Date: Wed"),
        (answer(200, b"", b"injected: yes"), Answer((200,), lacks=("Injected",)), "answered 200 with Injected"),
    ],
)
def test_an_answer_must_be_as_wanted(said: bytes, wanted: Answer, saw: str) -> None:
    with saying(said) as client, pytest.raises(Broken, match=re.escape(saw)):
        client.expect(wanted)


# ---------------------------------------------------------------- what becomes of connections

NEXT_REFUSED = "answered the next request on the connection with 404"
FATES: dict[str, tuple[Handler, set[str]]] = {  # a server that says hello, and the endings that it breaks
    "goes on": (always(HELLO), {"closed", "over"}),
    "says close, and closes": (always(answer(200, b"Hello, World!", b"Connection: close"), closes=True), {"open"}),
    "says close, and goes on": (always(answer(200, b"Hello, World!", b"Connection: close")), {"closed", "over", "sound"}),
    "answers twice": (always(HELLO + NOT_FOUND), {"open", "closed", "over", "sound"}),
}


@pytest.mark.parametrize("ends", ["open", "closed", "over", "sound", "either"])
@pytest.mark.parametrize("fate", FATES)
def test_endings(fate: str, ends: str) -> None:
    handle, breaks = FATES[fate]
    rule = Rule("x", "x", "x", "ours", (request(), SERVED), ends)  # type: ignore[arg-type]
    assert outcomes(handle, [rule])["x"].verdict == ("broken" if ends in breaks else "kept")


def closing(said: bytes) -> Handler:
    """Answers once, and closes without waiting for the client."""

    def handle(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(said)

    return handle


@pytest.mark.parametrize("ends", ["closed", "over", "sound"])
def test_a_close_that_was_not_said_is_one(ends: str) -> None:
    rule = Rule("x", "x", "x", "ours", (request(), SERVED), ends)  # type: ignore[arg-type]
    assert outcomes(closing(HELLO), [rule])["x"].verdict == "kept"


# ---------------------------------------------------------------- tests that are no scripts

ABC = answer(200, b"abc")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTED = exchanges.awaits_body(b"head", b"body", echoed(b"abc"))
PIPELINE = exchanges.in_order((request(), SERVED), (sized(b"abc"), echoed(b"abc")))


def in_turn(*replies: bytes) -> Handler:
    """Answers what it receives with one of these after the other, and then closes."""

    def handle(connection: socket.socket) -> None:
        for reply in replies:
            if connection.recv(1 << 20):
                connection.sendall(reply)
        end(connection)

    return handle


def to_head(reply: bytes) -> Handler:
    """Answers HEAD with this, and all else with hello."""

    def handle(connection: socket.socket) -> None:
        while data := connection.recv(1 << 20):
            connection.sendall(reply if data.startswith(b"HEAD") else HELLO)

    return handle


EXCHANGES: dict[str, tuple[exchanges.Test, Handler, str]] = {  # a test, a server, and what it sees: nothing when all is well
    "100 and then the answer": (EXPECTED, in_turn(CONTINUE, ABC, HELLO), ""),
    "a refusal for 100": (EXPECTED, in_turn(REFUSAL), ""),
    "an answer for 100": (EXPECTED, in_turn(ABC), "answered 200 before it could have the body"),
    "102 for 100": (EXPECTED, in_turn(CONTINUE.replace(b"100", b"102")), "answered 102 before it could have the body"),
    "100 twice": (EXPECTED, in_turn(CONTINUE + CONTINUE), "answered 100, not 200"),
    "all in order": (PIPELINE, in_turn(HELLO + ABC, HELLO), ""),
    "only the first": (PIPELINE, in_turn(HELLO), ""),
    "none": (PIPELINE, in_turn(b""), "ended the connection without an answer"),
    "in another order": (PIPELINE, in_turn(ABC + HELLO), "answered with the body b'abc'"),
    "one too many": (PIPELINE, in_turn(HELLO + ABC + NOT_FOUND, b""), NEXT_REFUSED),
    "unfinished and refused": (exchanges.never_served(b"x"), in_turn(REFUSAL), ""),
    "unfinished and left": (exchanges.never_served(b"x"), in_turn(b""), ""),
    "unfinished and served": (exchanges.never_served(b"x"), in_turn(ABC), "answered 200 to what is no whole"),
    "unfinished and 100": (exchanges.never_served(b"x"), in_turn(CONTINUE), ""),
    "100 without end": (exchanges.never_served(b"x"), in_turn(CONTINUE * 65), "answered 64 times"),
    "cut": (exchanges.not_served(b"x", as_body=b"abc"), in_turn(ABC), "answered 200 to what is no whole"),
    "not cut": (exchanges.not_served(b"x", as_body=b"abc"), in_turn(HELLO), ""),
    "its word kept by closing": (exchanges.keeps_its_word, in_turn(answer(200, b"Hello, World!", b"Connection: close")), ""),
    "its word kept by going on": (exchanges.keeps_its_word, in_turn(HELLO, HELLO), ""),
    "closed without a word": (exchanges.keeps_its_word, in_turn(HELLO), "did not serve the next request"),
    "the length of GET for HEAD": (exchanges.head_like_get("/"), to_head(answer()[:-13]), ""),
    "no length for HEAD": (exchanges.head_like_get("/"), to_head(b"HTTP/1.1 200 OK\r\n\r\n"), ""),
    "another length for HEAD": (
        exchanges.head_like_get("/"),
        to_head(answer(200, b"")),
        "said Content-Length: 0 to HEAD; GET gets 13",
    ),
    "a body for HEAD": (exchanges.head_like_get("/"), to_head(answer()), "no status line"),
    "hung up": (exchanges.hangs_up(b"x", refused(400)), closing(REFUSAL), ""),
    "not hung up": (exchanges.hangs_up(b"x", refused(400)), always(REFUSAL), "said more than it was asked"),
    "read on and on": (
        exchanges.hangs_up(b"x", refused(400)),
        in_turn(REFUSAL, *[b""] * 100_000),
        "kept the connection open",
    ),
    "no time": (exchanges.tells_the_time, in_turn(answer()), "without a Date"),
    "no date": (
        exchanges.tells_the_time,
        in_turn(answer(200, b"Hello, World!", b"Date: now")),
        "without a Date",
    ),
    "another time": (exchanges.tells_the_time, in_turn(HELLO), "said that it is Wed, 25 Nov 2026"),
    "an old version": (
        exchanges.answers_as_1_1,
        in_turn(b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"),
        "answered in HTTP/1.0",
    ),
}


@pytest.mark.parametrize(("exchange", "handle", "saw"), EXCHANGES.values(), ids=EXCHANGES)
def test_exchanges(exchange: exchanges.Test, handle: Handler, saw: str) -> None:
    outcome = outcomes(handle, [Rule("x", "x", "x", "ours", exchange)])["x"]
    assert outcome.verdict == ("broken" if saw else "kept"), outcome.saw
    assert saw in outcome.saw


def test_what_is_smuggled_has_an_answer_of_its_own() -> None:
    assert SMUGGLED.startswith(b"GET /smuggled HTTP/1.1\r\n")
