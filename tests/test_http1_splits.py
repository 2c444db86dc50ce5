"""However a stream is cut into reads, and whatever bytes are in it: properties, with llhttp alone as the oracle."""

import itertools
import re

import httptools
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from talking import App, get, post, talk
from test_http1_rules import SERVED


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % len(stream) for cut in cuts} - {0}), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(places)]


WHOLE = [*SERVED.values(), get(target="/slow"), get(target="/stream"), post("Content-Length: 3000", body=b"x" * 3000)]


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
        except httptools.HttpParserError:
            pass

    def on_message_begin(self) -> None:
        self._target = self._body = b""

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.messages.append((self._parser.get_method().decode(), self._target, self._body))


BAD_SPACE = re.compile(rb"[ \t][;=]|[;=][ \t]")  # RFC 9110, 5.6.3: fine in chunk extensions, but llhttp refuses it
PLAIN = [request for request in WHOLE if b"Upgrade" not in request and not BAD_SPACE.search(request)]
TEETH = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b":", b";", b"0", b"9", b"f", b"Content-Length: 7\r\n"]
)


@st.composite
def bitten_streams(draw: st.DrawFn) -> bytes:
    """A stream of valid requests with bytes taken out, put in and replaced at a few places."""
    stream = b"".join(draw(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(stream)))
        stream = stream[:place] + draw(TEETH | st.just(b"")) + stream[place + draw(st.integers(0, 2)) :]
    return stream


@settings(deadline=None)
@given(bitten_streams(), st.lists(st.integers(0, 1 << 16), max_size=5))
def test_never_sees_a_request_that_llhttp_does_not(stream: bytes, cuts: list[int]) -> None:
    """Codec and llhttp agree where each message ends, so nothing can be smuggled between the two."""
    assume(not BAD_SPACE.search(stream))
    app = App()
    conversation = talk(*(split(stream, cuts) if stream else []), app=app)
    seen = [(request.method, request.target, request.body) for request in app.requests]
    assert seen == Oracle(stream).messages[: len(seen)]
    assert conversation.ended
