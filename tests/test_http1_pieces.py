"""Bodies taken in pieces: one piece for each Receive, whatever the framing; limits, ends and what follows, as for whole."""

import zlib
from collections.abc import Generator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import HELLO, Clock, Pause, Stop, Talk, answers, get

from servers._steps import Offload, Receive, Send, Step, Wait
from servers.conversations.dates import LastLines
from servers.conversations.http1 import Limits, http1
from servers.conversations.messages import Request, Response

MOST = 1000
Handling = Generator[Step, Any, Response]


class App:
    """/hello; /some takes a piece and answers; /none at once; /fail raises behind the first piece; others take all."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.received: list[int] = []  # pieces had when the n-th Receive was asked for

    def __call__(self, request: Request) -> Response | Handling:
        if request.target == b"/hello":
            return Response(200, b"Hello, World!")
        if request.target == b"/none":
            return Response(403)
        return self.take(request)

    def take(self, request: Request) -> Handling:
        while piece := (yield from request.piece()):
            self.pieces.append(piece)
            yield Offload(lambda: None)
            if request.target == b"/some":
                return Response(200, b"enough")
            if request.target == b"/fail":
                raise RuntimeError("on purpose")
        assert (yield from request.piece()) == b""
        return Response(200, b"%d" % zlib.crc32(b"".join(self.pieces)))


def talk(
    *said: bytes | Pause | Exception, app: App | None = None, limits: Limits | None = None, in_pieces: bool = True
) -> Talk:
    """Like talking.talk, for an app whose routes but /hello take their bodies in pieces, if they are POSTed."""
    clock = Clock()
    conversation = http1(
        app or App(),
        Stop(),
        limits or Limits(body_bytes=10),
        clock,
        LastLines(clock=lambda: 784111777.0),
        lambda request: MOST * (in_pieces and request.method == "POST"),
    )
    script, result, argument = list(said), Talk(), None
    try:
        step = next(conversation)
        while True:
            result.steps.append(step)
            argument = None
            if isinstance(step, Receive):
                item = script.pop(0) if script else b""
                if isinstance(item, Exception):
                    step = conversation.throw(item)
                    continue
                argument = item
            elif isinstance(step, Send):
                result.sends.append(bytes(step.data))
            step = conversation.send(argument)
    except StopIteration:
        result.ended = True
    result.unread = len(script)
    return result


def post(body: bytes, *lines: str, target: str = "/all") -> bytes:
    return get(f"Content-Length: {len(body)}", *lines, method="POST", target=target) + body


def chunked(body: bytes, target: str = "/all") -> bytes:
    return get("Transfer-Encoding: chunked", method="POST", target=target) + body


def statuses(conversation: Talk) -> list[int]:
    return [answer.status for answer in answers(conversation.sent)]


BODY = bytes(range(256)) * 3


@pytest.mark.parametrize("step", [1, 7, 100, 5000])
@pytest.mark.parametrize("framed", [post(BODY), chunked(b"3\r\nabc\r\n%x;x=y\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(BODY), BODY))])
def test_pieces_make_the_body_however_it_is_cut_and_what_follows_is_served(framed: bytes, step: int) -> None:
    app, received = App(), framed + HELLO
    head = framed.index(b"\r\n\r\n") + 4
    cuts = [0, head, *range(head + step, len(received), step), len(received)]
    conversation = talk(*(received[a:b] for a, b in pairwise(cuts)), app=app)
    assert b"".join(app.pieces).endswith(BODY)
    assert statuses(conversation) == [200, 200]
    assert answers(conversation.sent)[0].body == b"%d" % zlib.crc32(b"".join(app.pieces))


def test_nothing_is_received_before_a_piece_is_dealt_with() -> None:
    received = post(bytes(300))
    conversation = talk(*(received[at : at + 100] for at in range(0, len(received), 100)))
    kinds = [type(step) for step in conversation.steps]
    assert kinds[kinds.index(Offload) :][:6] == [Offload, Receive] * 3
    assert Wait not in kinds


def test_earlier_answers_do_not_wait_for_a_body_in_pieces() -> None:
    received = post(bytes(300))
    conversation = talk(HELLO + received[:-1], received[-1:])
    assert [type(step) for step in conversation.steps[:3]] == [Receive, Send, Offload]
    assert statuses(conversation) == [200, 200]


def test_whole_bodies_keep_their_own_limit() -> None:
    put = get("Content-Length: 11", method="PUT", target="/all") + bytes(11)
    assert statuses(talk(put)) == [413]
    assert statuses(talk(post(bytes(11)))) == [200]


def test_a_body_that_came_with_its_head_is_one_piece() -> None:
    app = App()
    assert statuses(talk(post(b"0123456789") + HELLO, app=app)) == [200, 200]
    assert app.pieces == [b"0123456789"]


@pytest.mark.parametrize("framed", [post(b"")[:-5] + b"%d\r\n\r\n" % (MOST + 1), chunked(b"3\r\nabc\r\n3e8\r\n")])
def test_a_body_in_pieces_has_a_limit_of_its_own(framed: bytes) -> None:
    conversation = talk(framed, HELLO)
    (answer,) = answers(conversation.sent)
    assert (answer.status, answer.closes) == (413, True)


@pytest.mark.parametrize(
    ("rest", "status"),
    [((b"",), 400), ((TimeoutError(),), 408), ((b"x", TimeoutError()), 408), ((b"x", b""), 400)],
)
@pytest.mark.parametrize("framed", [post(bytes(50))[:-20], chunked(b"ff\r\nabc"), chunked(b"3\r\nab")])
def test_a_body_that_breaks_off_or_pauses_is_refused(framed: bytes, rest: tuple[Any, ...], status: int) -> None:
    conversation = talk(framed, *rest)
    (answer,) = answers(conversation.sent)
    assert (answer.status, answer.closes) == (status, True)
    assert conversation.ended


def test_a_malformed_body_is_refused() -> None:
    assert statuses(talk(chunked(b"3\r\nabcd\r\n"), HELLO)) == [400]


def test_a_client_that_goes_away_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    conversation = talk(post(bytes(50))[:-20], ConnectionResetError())
    assert conversation.ended
    assert conversation.sent == b""
    assert caplog.text == ""


def test_100_continue_is_sent_when_the_body_is_wanted() -> None:
    framed = post(b"0123456789AB", "Expect: 100-continue")
    conversation = talk(framed[:-12], framed[-12:])
    assert conversation.sends[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert conversation.sends[1].startswith(b"HTTP/1.1 200 ")
    assert b"100 Continue" not in talk(framed[:-5], framed[-5:]).sent
    refused = talk(post(bytes(12), "Expect: 100-continue", target="/none")[:-12], HELLO)
    assert statuses(refused) == [403]


@pytest.mark.parametrize(("target", "status"), [("/some", 200), ("/none", 403), ("/fail", 500)])
def test_an_answer_before_the_end_of_the_body_closes_and_reads_on_for_a_while(
    target: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    framed = post(bytes(100), target=target)
    conversation = talk(framed[:-60], framed[-60:-20], framed[-20:] + HELLO)
    (answer,) = answers(conversation.sent)
    assert (answer.status, answer.closes) == (status, True)
    assert conversation.unread == 0
    assert ("on purpose" in caplog.text) == (status == 500)


def test_a_conversation_may_be_closed_inside_a_body() -> None:
    conversation = http1(App(), Stop(), Limits(), in_pieces=lambda _request: MOST)
    next(conversation)
    step = conversation.send(post(bytes(50))[:-20])
    while not isinstance(step, Receive):
        step = conversation.send(None)
    conversation.close()


FRAMED = st.sampled_from(
    [
        post(b""),
        post(b"0123456789"),
        post(bytes(MOST)),
        post(bytes(MOST + 1)),
        post(BODY, "Expect: 100-continue"),
        post(BODY, "Connection: close"),
        HELLO,
        chunked(b"0\r\n\r\n"),
        chunked(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
        chunked(b"100;a=b\r\n%b\r\n1\r\nx\r\n0\r\n\r\n" % bytes(256)),
        chunked(b"3e8\r\n%b\r\n1\r\nx\r\n0\r\n\r\n" % bytes(MOST)),
        chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
        chunked(b"x\r\n"),
        chunked(b"3 \r\nabc\r\n0\r\n\r\n"),
    ]
)


@given(st.lists(FRAMED, min_size=1, max_size=4), st.data())
def test_in_pieces_and_whole_come_to_the_same(requests: list[bytes], data: st.DataObject) -> None:
    received = b"".join(requests)
    received = received[: data.draw(st.integers(len(received) // 2, len(received)))]
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(received) - 1), max_size=6))), len(received)]
    said = [received[a:b] for a, b in pairwise(cuts)]
    took, whole = App(), App()
    first = talk(*said, app=took, limits=Limits(body_bytes=MOST))
    second = talk(*said, app=whole, limits=Limits(body_bytes=MOST), in_pieces=False)
    assert (first.sent, first.ended, first.unread) == (second.sent, second.ended, second.unread)
    assert b"".join(took.pieces).startswith(b"".join(whole.pieces))
