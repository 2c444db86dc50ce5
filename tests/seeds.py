"""Streams of bytes to begin from: every rule of the codec, requests in a row, and valid streams that were bitten."""

import itertools
import re

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from talking import HELLO, chunked, get, post
from test_http1_rules import REFUSED, SERVED, SERVED_THEN_CLOSED

WHOLE = [*SERVED.values(), get(target="/slow"), get(target="/stream"), post("Content-Length: 3000", body=b"x" * 3000)]
IN_A_ROW = [
    HELLO * 3,
    post("Content-Length: 3", body=b"abc") + chunked(b"3\r\nabc\r\n0\r\n\r\n") + HELLO,
    get(method="HEAD") + get(target="/nowhere") + get(method="DELETE") + HELLO,
    post("Expect: 100-continue", "Content-Length: 3", body=b"abc") + b"\r\n" + HELLO,
    HELLO + get("X : y") + HELLO,
]
ALL = [*SERVED.values(), *SERVED_THEN_CLOSED.values(), *(received for _, received in REFUSED.values()), *IN_A_ROW]

# Fine in chunk extensions (RFC 9110, 5.6.3) and behind a coding, but llhttp refuses it.
BAD_SPACE = re.compile(rb"[ \t][;=]|[;=][ \t]|\t *\r\n")
PLAIN = [request for request in WHOLE if b"Upgrade" not in request and not BAD_SPACE.search(request)]
TEETH = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b":", b";", b"0", b"9", b"f", b"Content-Length: 7\r\n"]
)


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in pieces; a cut is a place, modulo the length."""
    if not stream:
        return []
    places = [0, *sorted({cut % len(stream) for cut in cuts} - {0}), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(places)]


@st.composite
def bitten_streams(draw: st.DrawFn) -> bytes:
    """A stream of valid requests with bytes taken out, put in and replaced at a few places."""
    stream = b"".join(draw(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(stream)))
        stream = stream[:place] + draw(TEETH | st.just(b"")) + stream[place + draw(st.integers(0, 2)) :]
    return stream


def some_bitten(count: int) -> list[bytes]:
    """The same ones every time."""
    found: list[bytes] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(bitten_streams())
    def collect(stream: bytes) -> None:
        found.append(stream)

    collect()
    return found
