"""The engine's reader of responses: any split gives the same verdict, and what is wrong is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.load import reader

BODY = b"Hello, World!"
PLAIN = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n8;a=b\r\n, World!\r\n0\r\nTrailer: t\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
CLOSING = b"HTTP/1.1 200 OK\r\nCONNECTION: Foo, Close\r\nContent-length:  13 \r\n\r\n" + BODY
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n" + BODY
OLD_KEPT = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 13\r\n\r\n" + BODY
WHOLE = {"plain": PLAIN, "chunked": CHUNKED, "interim": INTERIM, "closing": CLOSING, "old": OLD, "old kept": OLD_KEPT}


def read(pieces, body=BODY, bodiless=False):
    """Feed pieces; the outcome, how many bytes were taken, and the connection."""
    connections = np.zeros(1, reader.CONNECTION)
    reader.begin(connections[0])
    aside, expected = np.zeros(reader.HEAD_LIMIT, np.uint8), np.frombuffer(body or b"\0", np.uint8)[: len(body)]
    taken, outcome = 0, reader.MORE
    for piece in pieces:
        data = np.frombuffer(piece, np.uint8)
        outcome, at = reader.feed(connections[0], data, 0, len(data), aside, expected, True, bodiless)
        taken += at
        if outcome != reader.MORE:
            break
    return outcome, taken, connections[0]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize(("said", "closes"), [("", 0), ("Connection: close\r\n", 1)])
def test_an_answer_that_can_have_no_body_ends_at_its_head_and_keeps_the_connection(status, said, closes):
    outcome, _, connection = read([f"HTTP/1.1 {status}\r\nDate: x\r\n{said}\r\n".encode()])
    assert (outcome, connection["closes"]) == (reader.WHOLE, closes)


def test_a_body_of_unknown_length_ends_with_its_connection():
    outcome, _, connection = read([b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\nHello"])
    assert (outcome, connection["closes"]) == (reader.MORE, 1)


@pytest.mark.parametrize("message", WHOLE.values(), ids=WHOLE)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_split_gives_the_same_whole_response(message, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(message) - 1), max_size=12)))
    pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    outcome, taken, connection = read(pieces)
    assert (outcome, taken) == (reader.WHOLE, len(message))
    assert (connection["status"], connection["offset"], connection["differs"]) == (200, 13, 0)


@pytest.mark.parametrize(("message", "closes"), [(PLAIN, 0), (CLOSING, 1), (OLD, 1), (OLD_KEPT, 0), (CHUNKED, 0)])
def test_persistence_is_as_rfc_9112_9_3_says(message, closes):
    assert read([message])[2]["closes"] == closes


def test_a_body_that_differs_in_one_byte_is_seen():
    assert read([PLAIN[:-1] + b"?"])[2]["differs"] == 1


def test_a_body_that_is_too_long_is_seen():
    assert read([b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHello, World!!"])[2]["differs"] == 1


def test_without_framing_the_body_lasts_until_the_end_of_stream():
    outcome, _, connection = read([b"HTTP/1.1 200 OK\r\n\r\nHello"])
    assert (outcome, connection["stage"], connection["closes"]) == (reader.MORE, reader.UNTIL_CLOSE, 1)


def test_the_answer_to_head_has_no_body():
    outcome, _, _ = read([b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"], bodiless=True)
    assert outcome == reader.WHOLE


@pytest.mark.parametrize(
    "message",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Length: 14\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * reader.HEAD_LIMIT,
    ],
)
def test_what_cannot_be_framed_is_malformed(message):
    assert read([message])[0] == reader.MALFORMED


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_garbage_is_never_taken_for_a_response(noise):
    outcome, taken, _ = read([noise])
    assert taken <= len(noise)
    assert outcome != reader.WHOLE or noise.startswith(b"HTTP/1.")
