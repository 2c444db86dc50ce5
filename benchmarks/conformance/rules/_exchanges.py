"""Tests that no script can express, since what a server may do next depends on what it did before."""

import itertools
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime

from benchmarks.conformance.rule import Answer
from benchmarks.conformance.rules._requests import SERVED, request
from benchmarks.conformance.subjects import Running
from benchmarks.conformance.wire import PIECES_APART_S

Test = Callable[[Running], None]
ANSWERS_MOST = 64
CLOCKS_APART_S = 5
GOING_ON_BYTES, PIECE_BYTES = 1 << 25, 1 << 16


def never_served(*sent: bytes) -> Test:
    """After these bytes and the client's end, a server closes the connection and has answered with refusals at most."""
    return not_served(*sent, as_body=None)


def not_served(*sent: bytes, as_body: bytes | None) -> Test:
    """The same, but only this body is wrong (None: any): whether the client's end may end a body is another rule's question."""

    def test(running: Running) -> None:
        with running.connect() as client:
            for piece in sent:
                client.send(piece)
            client.half_close()
            for _ in range(ANSWERS_MOST):
                found = client.answer_or_end()
                if found is None or (found.status >= 400 and found.closes):
                    return
                if 200 <= found.status < 400 and as_body in (None, found.body):
                    raise client.broken(f"answered {found.status} to what is no whole and valid request")
            raise client.broken(f"answered {ANSWERS_MOST} times")

    return test


def in_order(*exchanges: tuple[bytes, Answer], cuts: Sequence[int] = ()) -> Test:
    """Requests sent all at once, or in packets cut there, are answered in order; a server may close after any of them."""

    def test(running: Running) -> None:
        with running.connect() as client:
            sent = b"".join(request for request, _ in exchanges)
            for begin, end in itertools.pairwise((0, *cuts, len(sent))):
                client.send(sent[begin:end])
                if end < len(sent):
                    time.sleep(PIECES_APART_S)
            client.expect(exchanges[0][1])
            for _, wanted in exchanges[1:]:
                if not client.expect_or_end(wanted):
                    return
            client.is_sound()

    return test


def closes_after(*sent: bytes, wanted: Answer = SERVED) -> Test:
    """The answer to these bytes comes, and the server closes the connection by itself, without another answer."""

    def test(running: Running) -> None:
        with running.connect() as client:
            client.play((*sent, wanted), "closed")

    return test


def awaits_body(head: bytes, body: bytes, wanted: Answer, at_once: bool = False) -> Test:
    """After the head of a request that expects 100, a server says 100 or its final answer; after 100 it gets the body."""

    def test(running: Running) -> None:
        with running.connect() as client:
            client.send(head + body if at_once else head)
            first = client.answer()
            if first.status == 100:
                if not at_once:
                    client.send(body)
                client.expect(wanted)
            elif first.status >= 300:
                return  # refused by its head; whether the body is still wanted is for the server to know
            elif body and not at_once:
                raise client.broken(f"answered {first.status} before it could have the body")
            else:
                client.checked(first, wanted)
            client.is_sound()

    return test


def keeps_its_word(running: Running) -> None:
    """An answer says `close` if and only if the connection is closed after it."""
    with running.connect() as client:
        client.send(request())
        found = client.expect(SERVED)
        if found.closes:
            client.ends()
        else:
            client.goes_on()


def head_like_get(target: str) -> Test:
    """If the answer to HEAD says a length, it is that of what GET gets."""

    def test(running: Running) -> None:
        with running.connect() as client:
            client.send(request(target=target))
            size = len(client.expect(Answer((200,))).body)
        with running.connect() as client:
            client.send(request(target=target, method="HEAD"))
            said = client.expect(Answer((200,), to_head=True)).fields.get("content-length")
            if said not in (None, str(size)):
                raise client.broken(f"said Content-Length: {said} to HEAD; GET gets {size} bytes")
            client.is_sound()

    return test


def hangs_up(sent: bytes, wanted: Answer) -> Test:
    """A server that has refused a request ends the connection, even while the client goes on sending."""

    def test(running: Running) -> None:
        with running.connect() as client:
            client.send(sent)
            client.expect(wanted)
            for _ in range(GOING_ON_BYTES // PIECE_BYTES):
                if not client.send(bytes(PIECE_BYTES)):
                    return
            client.ends()

    return test


def tells_the_time(running: Running) -> None:
    """Date is now, within five seconds of the examiner's clock."""
    with running.connect() as client:
        client.send(request())
        found = client.expect(SERVED)
        try:
            said = parsedate_to_datetime(found.fields["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            raise client.broken("answered without a Date that can be read") from None
        if abs(said - time.time()) > CLOCKS_APART_S:
            raise client.broken(f"said that it is {found.fields['date']}")


def answers_as_1_1(running: Running) -> None:
    """The version of an answer is the server's, not the request's."""
    with running.connect() as client:
        client.send(request(version="HTTP/1.0"))
        found = client.expect(SERVED)
        if found.minor != 1:
            raise client.broken("answered in HTTP/1.0")
