"""However a stream is cut into reads, and whatever bytes are in it: properties, with llhttp alone as the oracle."""

import gc
import itertools
import sys
import types
from collections.abc import Iterator
from typing import Any

import httptools
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from seeds import BAD_SPACE, WHOLE, bitten_streams, split
from talking import App, Clock, Stop, chunked, get, post, talk

from servers._conversing import RECEIVE_BYTES
from servers._steps import Receive
from servers.conversations.dates import LastLines
from servers.conversations.http1 import Limits, http1
from servers.conversations.messages import Request, Response


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=6), st.lists(st.integers(0, 1 << 16), max_size=20))
def test_splits_make_no_difference(requests: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(requests)
    whole, parts = App(), App()
    assert talk(stream, app=whole).sent == talk(*split(stream, cuts), app=parts).sent
    assert len(whole.requests) == len(requests)
    for one, other in zip(whole.requests, parts.requests, strict=True):
        assert (one.method, one.target, one.fields, one.body) == (other.method, other.target, other.fields, other.body)


@pytest.mark.parametrize("received", WHOLE)
def test_byte_by_byte_makes_no_difference(received: bytes) -> None:
    assert talk(received).sent == talk(*(received[i : i + 1] for i in range(len(received)))).sent


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8))
def test_garbage_raises_nothing(received: list[bytes]) -> None:
    assert talk(*received).ended


class Oracle:
    """What llhttp alone, with every callback, makes of a whole stream: the messages that it saw completely."""

    def __init__(self, stream: bytes) -> None:
        self.messages: list[tuple[str, bytes, bytes]] = []
        self._target = self._body = b""
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_version=True, lenient_keep_alive=True)
        try:
            self._parser.feed_data(stream)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass

    def on_message_begin(self) -> None:
        self._target = self._body = b""

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.messages.append((self._parser.get_method().decode(), self._target, self._body))


@settings(deadline=None)
@given(bitten_streams(), st.lists(st.integers(0, 1 << 16), max_size=5))
def test_never_sees_a_request_that_llhttp_does_not(stream: bytes, cuts: list[int]) -> None:
    """Codec and llhttp agree where each message ends, so nothing can be smuggled between the two."""
    assume(not BAD_SPACE.search(stream))
    app = App()
    conversation = talk(*split(stream, cuts), app=app)
    seen = [(request.method, request.target, request.body) for request in app.requests]
    assert seen == Oracle(stream).messages[: len(seen)]
    assert conversation.ended


@settings(deadline=None)
@given(bitten_streams(), st.lists(st.integers(0, 1 << 16), max_size=5))
def test_splits_of_broken_streams_serve_the_same_requests(stream: bytes, cuts: list[int]) -> None:
    """What is refused may be refused sooner or later and in other words; what is served is the same."""
    whole, parts = App(), App()
    talk(*split(stream, []), app=whole)
    talk(*split(stream, cuts), app=parts)
    assert [(r.method, r.target, r.fields, r.body) for r in whole.requests] == [
        (r.method, r.target, r.fields, r.body) for r in parts.requests
    ]


# ---------------------------------------------------------------- memory

SMALL = Limits(line_bytes=2000, header_bytes=4000, fields=50, body_bytes=40_000)
OWN_BYTES = 16 * 1024  # of a conversation that has received nothing yet: its frames, llhttp, small objects
SHARED = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, types.CodeType, Limits


def held_bytes(conversation: Any) -> int:
    """What would be freed with this conversation: all that can be reached from it and is not code."""
    seen: dict[int, Any] = {}
    todo = [conversation]
    while todo:
        each = todo.pop()
        if id(each) not in seen and not isinstance(each, SHARED):
            seen[id(each)] = each
            todo += gc.get_referents(each)
    return sum(sys.getsizeof(each) for each in seen.values())


def echo(request: Request) -> Response:
    return Response(200, request.body)


def begun() -> Any:
    """A conversation that waits for its first request. Nothing of it is shared with others."""
    conversation = http1(echo, Stop(), SMALL, Clock(), LastLines())
    next(conversation)
    return conversation


def held_at_each_receive(conversation: Any, received: list[bytes]) -> Iterator[int]:
    """What it holds whenever it waits for more, until it ends or nothing more is received."""
    pieces = iter(received)
    try:
        step = conversation.send(next(pieces))
        while True:
            if isinstance(step, Receive):
                yield held_bytes(conversation)
                step = conversation.send(next(pieces))
            else:
                step = conversation.send(None)
    except StopIteration:
        return


BEGUN = {
    "request line": (b"GET /", b"x"),
    "one field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
    "fields of many names": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"".join(b"X%d: y\r\n" % n for n in range(100))),
    "body": (post("Content-Length: 40000"), b"x"),
    "too large a body": (post("Content-Length: 400000"), b"x"),
    "a chunk": (chunked(b"9c40\r\n"), b"x"),
    "chunks": (chunked(b""), b"1\r\nx\r\n"),
    "large chunks": (chunked(b""), b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "chunk line": (chunked(b"3;"), b"x"),
    "chunk lines": (chunked(b""), b"1;eeeeeeee=eeeeeeeeeeeeeeeeee\r\nx\r\n"),
    "trailer": (chunked(b"0\r\n"), b"X: y\r\n"),
    "one trailer field": (chunked(b"0\r\nX: "), b"y"),
    "empty lines": (b"", b"\r\n"),
    "requests": (b"", get() + post("Content-Length: 1000", body=b"x" * 1000)),
}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(BEGUN)), st.lists(st.integers(1, RECEIVE_BYTES), min_size=1, max_size=8))
def test_unfinished_requests_are_bounded_by_the_limits_and_one_receive(name: str, sizes: list[int]) -> None:
    first, more = BEGUN[name]
    endless = more * (sum(sizes) // len(more) + 1)
    ends = itertools.accumulate(sizes, initial=0)
    pieces = [endless[a:b] for a, b in itertools.pairwise(ends)]
    # bytearrays grow an eighth ahead of their need
    most = SMALL.line_bytes + SMALL.header_bytes + SMALL.body_bytes * 9 // 8 + RECEIVE_BYTES + OWN_BYTES
    for held in held_at_each_receive(begun(), [*([first] if first else []), *pieces]):
        assert held <= most


def test_what_is_held_is_seen() -> None:
    *_, held = held_at_each_receive(begun(), [*BEGUN["body"][:1], b"x" * 39_999])
    assert held > 39_999
    *_, held = held_at_each_receive(begun(), [b"GET / HTTP/1.1\r\nX: " + b"y" * 3900])
    assert held > 3900


@pytest.mark.parametrize("received", [received for received in WHOLE if len(received) < SMALL.header_bytes])
def test_idle_conversations_keep_nothing_of_the_last_exchange(received: bytes) -> None:
    """But for the last valid Host and target, and the header fields."""
    conversation = begun()
    before = held_bytes(conversation)
    *_, after = held_at_each_receive(conversation, [received + post("Content-Length: 30000", body=b"x" * 30_000)])
    assert after <= before + 4096


def test_conversations_leave_nothing_behind() -> None:
    """No cycles: a conversation that has ended is freed at once, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        for received in WHOLE:
            conversation = begun()
            list(held_at_each_receive(conversation, [received]))
            conversation.close()
        del conversation
        assert gc.collect() == 0
    finally:
        gc.enable()
