"""Tests that no script can express, since what a server may do next depends on what it did before."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from benchmarks.conformance.rule import Answer
from benchmarks.conformance.rules._requests import SERVED, request
from benchmarks.conformance.subjects import Running

Test = Callable[[Running], None]
ANSWERS_MOST = 64
GOING_ON_BYTES, PIECE_BYTES = 1 << 25, 1 << 16


def never_served(*sent: bytes) -> Test:
    """After these bytes and the client's end, a server closes the connection and has answered with refusals at most."""

    def test(running: Running) -> None:
        with running.connect() as client:
            for piece in sent:
                client.send(piece)
            client.half_close()
            for _ in range(ANSWERS_MOST):
                found = client.answer_or_end()
                if found is None:
                    return
                if found.status < 400 and found.status != 100:
                    raise client.broken(f"answered {found.status} to what is no whole and valid request")
            raise client.broken(f"answered {ANSWERS_MOST} times")

    return test


def in_order(*exchanges: tuple[bytes, Answer]) -> Test:
    """Requests sent all at once are answered in order; a server may close after any of them."""

    def test(running: Running) -> None:
        with running.connect() as client:
            client.send(b"".join(sent for sent, _ in exchanges))
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
    """Date is now, within two seconds of the examiner's clock."""
    with running.connect() as client:
        client.send(request())
        found = client.expect(SERVED)
        try:
            said = parsedate_to_datetime(found.fields["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            raise client.broken("answered without a Date that can be read") from None
        if abs(said - time.time()) > 2:
            raise client.broken(f"said that it is {found.fields['date']}")


def answers_as_1_1(running: Running) -> None:
    """The version of an answer is the server's, not the request's."""
    with running.connect() as client:
        client.send(request(version="HTTP/1.0"))
        found = client.expect(SERVED)
        if found.minor != 1:
            raise client.broken("answered in HTTP/1.0")
