"""HTTP/1.1 as a conversation: answers, order, limits, deadlines, ends. No socket, no thread, no waiting."""

from collections.abc import Iterable

import pytest
from talking import HELLO, App, Clock, Pause, Stop, Talk, answers, chunked, get, only, post, talk

from servers._steps import Offload, Receive, Send, Wait
from servers.conversations.dates import LastLines
from servers.conversations.http1 import Limits, http1
from servers.conversations.messages import Request, Response, Streamed

# ---------------------------------------------------------------- answers


def test_bytes_of_an_answer() -> None:
    assert talk(HELLO).sent == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
        b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nHello, World!"
    )


def test_head_has_the_fields_of_get_and_no_body() -> None:
    conversation = talk(get(method="HEAD"))
    assert conversation.sent == talk(HELLO).sent.removesuffix(b"Hello, World!")


def test_head_of_a_stream_makes_none_of_it() -> None:
    conversation = talk(get(method="HEAD", target="/stream"))
    assert only(conversation, "HEAD").fields["content-length"] == "6"


@pytest.mark.parametrize("cut", [1, 5, 17, 40])
def test_refused_head_has_no_body(cut: int) -> None:
    received = get("X : y", method="HEAD")
    conversation = talk(received[:cut], received[cut:])
    assert only(conversation, "HEAD").status == 400


def test_refused_head_has_no_body_even_unfinished() -> None:
    assert only(talk(b"HE", b"AD /hello HTTP/1.1\r\nX : y\r\n"), "HEAD").status == 400


@pytest.mark.parametrize("received", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", b"GET / FTP", b"\0"])
def test_another_protocol_is_told_at_once(received: bytes) -> None:
    conversation = talk(received, then_end=False)
    assert only(conversation).status in (400, 501)


def test_every_answer_says_its_date_and_length() -> None:
    sent = talk(HELLO + get(target="/raise") + get(target="/slow") + get(target="/stream") + get("X : y")).sent
    found = answers(sent)
    assert [answer.status for answer in found] == [200, 500, 200, 200, 400]
    for answer in found:
        assert answer.fields["date"] == "sun, 06 nov 1994 08:49:37 gmt"
        assert int(answer.fields["content-length"]) == len(answer.body) > 0


def test_date_follows_the_clock() -> None:
    first, second = talk(HELLO, Pause(0.9, HELLO)).sends
    assert answers(first)[0].fields["date"] == answers(second)[0].fields["date"]
    first, second = talk(HELLO, Pause(1.0, HELLO)).sends
    assert answers(second)[0].fields["date"] == "sun, 06 nov 1994 08:49:38 gmt"


def test_keep_alive_is_confirmed_to_http_1_0() -> None:
    conversation = talk(get("Connection: keep-alive", version="HTTP/1.0"))
    assert only(conversation).fields["connection"] == "keep-alive"


def test_a_failing_handler_is_a_500_in_the_log_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    conversation = talk(get(target="/raise") + HELLO)
    assert [answer.status for answer in answers(conversation.sent)] == [500, 200]
    assert "on purpose" in caplog.text


@pytest.mark.parametrize("wrong", [None, "text", iter(())])
def test_a_handler_that_answers_nonsense_is_a_500(wrong: object) -> None:
    assert only(talk(HELLO, app=lambda _request: wrong)).status == 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("X", value) for value in ("a\r\nY: b", "a\nY: b", "a\rY: b", "a\0", "ä", "a\x85b", "a\u2028b", "a\x7f")),
        *((name, "a") for name in ("X\n", "X\r\nY", "X: y\r\nZ", "X Y", "X:", "", "ä", " X", "X\t")),
        *((name, "0") for name in ("Content-Length", "transfer-encoding", "Connection", "DATE", "Content-Type")),
    ],
)
def test_no_header_injection(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="break the response"):
        Response(200, fields=[(name, value)])


@pytest.mark.parametrize("kind", ["a\r\nY: b", "a\n", "ä", "%s", "a\0"])
def test_no_header_injection_by_content_type(kind: str) -> None:
    with pytest.raises(ValueError, match=r"break the response|can't encode"):
        Response(200, content_type=kind)
    with pytest.raises(ValueError, match=r"break the response|can't encode"):
        Streamed(200, 1, [b"x"], content_type=kind)


@pytest.mark.parametrize("status", [100, 101, 199, 299, 600])
def test_no_response_that_is_none(status: int) -> None:
    with pytest.raises(ValueError, match=r"ends no exchange|not a valid HTTPStatus"):
        Response(status)


@pytest.mark.parametrize("status", [204, 304])
def test_no_length_where_there_can_be_no_body(status: int) -> None:
    answer = only(talk(HELLO, app=lambda _request: Response(status)))
    assert "content-length" not in answer.fields
    assert "content-type" not in answer.fields
    with pytest.raises(ValueError, match="no body"):
        Response(status, b"x")


# ---------------------------------------------------------------- handlers that wait, bodies that stream


def test_a_generator_handler_is_run_by_the_same_interpreter() -> None:
    conversation = talk(get(target="/slow"))
    assert only(conversation).body == b"found"
    assert [type(step) for step in conversation.steps] == [Receive, Wait, Offload, Send, Receive]


def test_earlier_answers_do_not_wait_for_a_generator_handler() -> None:
    conversation = talk(HELLO + get(target="/slow"))
    assert [type(step) for step in conversation.steps[:3]] == [Receive, Send, Wait]


def test_a_stream_is_sent_in_its_pieces() -> None:
    conversation = talk(get(target="/stream") + HELLO)
    assert [answer.body for answer in answers(conversation.sent)] == [b"abcdef", b"Hello, World!"]
    assert [send[-3:] for send in conversation.sends] == [b"abc", b"def", b"ld!"]


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abcd", b"efg"], []])
def test_a_stream_of_another_length_ends_the_connection(pieces: list[bytes], caplog: pytest.LogCaptureFixture) -> None:
    conversation = talk(HELLO, HELLO, app=lambda _request: Streamed(200, 6, pieces), then_end=False)
    assert conversation.ended
    assert conversation.unread == 1
    assert len(conversation.sent.partition(b"\r\n\r\n")[2]) <= 6
    assert "promised length" in caplog.text


def test_a_stream_that_breaks_off_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def pieces() -> Iterable[bytes]:
        yield b"abc"
        raise RuntimeError("on purpose")

    conversation = talk(HELLO, HELLO, app=lambda _request: Streamed(200, 6, pieces()), then_end=False)
    assert conversation.ended
    assert conversation.unread == 1
    assert "on purpose" in caplog.text


# ---------------------------------------------------------------- pipelining, splits, keep-alive


def test_answers_to_pipelined_requests_leave_together() -> None:
    conversation = talk(HELLO * 20)
    assert len(conversation.sends) == 1
    assert len(answers(conversation.sent)) == 20


def test_a_body_that_came_whole_does_not_part_the_answers() -> None:
    conversation = talk(HELLO + post("Content-Length: 3", body=b"abc"))
    assert len(conversation.sends) == 1
    assert [answer.body[:3] for answer in answers(conversation.sent)] == [b"Hel", b"abc"]


def test_joined_answers_stay_near_64_kib() -> None:
    conversation = talk(HELLO * 2000)
    assert len(answers(conversation.sent)) == 2000
    assert len(conversation.sends) > 1
    assert max(map(len, conversation.sends)) < 80 * 1024


def test_one_step_for_each_half_of_a_plain_request() -> None:
    steps = talk(HELLO, HELLO).steps
    assert [type(step) for step in steps] == [Receive, Send, Receive, Send, Receive]
    assert steps[0] is steps[2]  # one preallocated Receive


def test_the_rest_of_a_head_is_not_idle() -> None:
    steps = talk(HELLO[:10], HELLO[10:]).steps
    assert [step.idle for step in steps if isinstance(step, Receive)] == [True, False, True]


def test_ends_after_so_many_requests() -> None:
    conversation = talk(HELLO, HELLO, limits=Limits(keepalive_requests=2), then_end=False)
    assert [answer.closes for answer in answers(conversation.sent)] == [False, True]
    assert conversation.ended


def test_a_stopping_server_says_close() -> None:
    conversation = talk(HELLO, stop=Stop(requested=True), then_end=False)
    assert only(conversation).closes
    assert conversation.ended


def test_a_stopping_server_answers_all_that_was_received() -> None:
    conversation = talk(HELLO * 3, stop=Stop(requested=True), then_end=False)
    assert [answer.closes for answer in answers(conversation.sent)] == [False, False, True]


# ---------------------------------------------------------------- 100-continue


EXPECTING = post("Expect: 100-continue", "Content-Length: 3")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_says_continue_to_a_client_that_waits() -> None:
    first, second = talk(EXPECTING, b"abc").sends
    assert first == CONTINUE
    assert answers(second)[0].body == b"abc"


def test_says_continue_once_and_after_earlier_answers() -> None:
    sent = talk(HELLO + EXPECTING, b"a", b"bc").sent
    assert sent.count(CONTINUE) == 1
    assert sent.index(b"Hello") < sent.index(CONTINUE)


@pytest.mark.parametrize("early", [b"a", b"abc"])
def test_needs_not_say_continue_when_the_body_is_coming(early: bytes) -> None:
    assert CONTINUE not in talk(EXPECTING + early, b"bc"[len(early) - 1 :]).sent


def test_does_not_say_continue_before_413() -> None:
    conversation = talk(post("Expect: 100-continue", "Content-Length: 99999999"))
    assert only(conversation).status == 413


# ---------------------------------------------------------------- limits and deadlines


def test_limits_are_exact() -> None:
    limits = Limits(line_bytes=30, header_bytes=60, fields=3, body_bytes=5)
    assert only(talk(get(target="/" + "x" * 16), limits=limits)).status == 200
    assert only(talk(get(target="/" + "x" * 17), limits=limits)).status == 414
    room = 60 - len("Host: a\r\nX: \r\n")
    assert only(talk(get("X: " + "y" * room), limits=limits)).status == 200
    assert only(talk(get("X: " + "y" * (room + 1)), limits=limits)).status == 431
    assert only(talk(get("X: 1", "X: 2"), limits=limits)).status == 200
    assert only(talk(get("X: 1", "X: 2", "X: 3"), limits=limits)).status == 431
    assert only(talk(post("Content-Length: 5", body=b"12345"), limits=limits)).status == 200
    assert only(talk(post("Content-Length: 6", body=b"123456"), limits=limits)).status == 413
    wide = Limits(body_bytes=5)
    assert only(talk(chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), limits=wide)).status == 200
    assert only(talk(chunked(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"), limits=wide)).status == 413
    trailers = Limits(header_bytes=80, fields=3)
    assert only(talk(chunked(b"0\r\nX: " + b"y" * 75 + b"\r\n\r\n"), limits=trailers)).status == 200
    assert only(talk(chunked(b"0\r\nX: " + b"y" * 76 + b"\r\n\r\n"), limits=trailers)).status == 431
    assert only(talk(chunked(b"0\r\n" + b"X: y\r\n" * 3 + b"\r\n"), limits=trailers)).status == 200
    assert only(talk(chunked(b"0\r\n" + b"X: y\r\n" * 4 + b"\r\n"), limits=trailers)).status == 431


AT_ITS_LIMIT = {
    "request line": get(target="/" + "x" * (30 - len("GET / HTTP/1.1"))),
    "header section": get("X: " + "y" * (80 - len("Host: a\r\nX: \r\n"))),
    "fields": get("X: 1", "X: 2"),
    "body": post("Content-Length: 5", body=b"12345"),
    "chunked body": get("Transfer-Encoding: chunked", method="POST") + b"5\r\n12345\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("received", AT_ITS_LIMIT.values(), ids=AT_ITS_LIMIT)
def test_limits_are_the_same_however_a_request_is_cut(received: bytes) -> None:
    limits = Limits(line_bytes=30, header_bytes=80, fields=3, body_bytes=5)
    for cut in range(1, len(received)):
        assert only(talk(received[:cut], received[cut:], limits=limits)).status == 200, received[:cut]
    assert only(talk(*(received[i : i + 1] for i in range(len(received))), limits=limits)).status == 200


def test_chunk_lines_must_be_worth_their_chunks() -> None:
    """RFC 9112, 7.1.1: no endless extensions around next to no data; those of signed uploads are fine."""
    small = chunked(b"1;e=" + b"x" * 500 + b"\r\nx\r\n")
    conversation = talk(small, *[small.partition(b"\r\n\r\n")[2]] * 100, limits=Limits(linger_bytes=0), then_end=False)
    assert only(conversation).status == 431
    assert 60 < conversation.unread < 70  # after 16 KiB of them
    signed = b"10000;chunk-signature=" + b"0" * 64 + b"\r\n" + b"x" * 65536 + b"\r\n"
    assert only(talk(chunked(signed * 250 + b"0\r\n\r\n"))).status == 200
    bytewise = b"1\r\nx\r\n" * 50_000
    assert only(talk(chunked(bytewise + b"0\r\n\r\n"))).status == 200


def test_idle_connections_end_without_a_word() -> None:
    conversation = talk(HELLO, TimeoutError())
    assert conversation.ended
    assert only(conversation).status == 200
    idle = conversation.steps[0]
    assert isinstance(idle, Receive)
    assert (idle.timeout_s, idle.idle) == (15, True)


def test_a_client_that_says_nothing_is_told_nothing() -> None:
    assert talk().sent == talk(TimeoutError()).sent == talk(b"\r\n").sent == b""


@pytest.mark.parametrize("stray", [b"\r\n", b"\r"])
def test_empty_lines_neither_renew_the_idle_time_nor_end_it_early(stray: bytes) -> None:
    conversation = talk(HELLO, Pause(6, stray), Pause(6, b"\n" * (stray == b"\r") + b"\r"), Pause(2.5, b"\n"), TimeoutError())
    assert only(conversation).status == 200
    assert conversation.ended
    waits = [step for step in conversation.steps if isinstance(step, Receive)]
    assert [(step.timeout_s, step.idle) for step in waits] == [(15, True), (15, True), (9, True), (3, True), (0.5, True)]


def test_empty_lines_for_ever_end_without_a_word() -> None:
    conversation = talk(HELLO, *[Pause(4, b"\r\n")] * 9, then_end=False)
    assert conversation.ended
    assert conversation.unread == 5
    assert only(conversation).status == 200


def test_a_request_after_empty_lines_has_all_the_time_of_a_head() -> None:
    conversation = talk(Pause(14, b"\r\n"), HELLO[:5], Pause(9, HELLO[5:]), then_end=False)
    assert only(conversation).status == 200
    assert [step.timeout_s for step in conversation.steps if isinstance(step, Receive)][:3] == [15, 1, 10]


@pytest.mark.parametrize("said", [[b"\r\n" * 9], [b"\r\n"] * 9, [b"\r\n" * 8, b"\r\nGET"], [b"\r\n" * 1000]])
def test_more_than_a_handful_of_empty_lines_is_refused(said: list[bytes]) -> None:
    assert [answer.status for answer in answers(talk(HELLO, *said).sent)] == [200, 400]


def test_each_request_has_its_own_handful() -> None:
    conversation = talk((b"\r\n" * 8 + HELLO) * 5)
    assert [answer.status for answer in answers(conversation.sent)] == [200] * 5


def test_a_slow_stream_does_not_shorten_the_idle_time() -> None:
    def slow(_request: Request) -> Streamed:
        return Streamed(200, 6, pieces())

    def pieces() -> Iterable[bytes]:
        yield b"abc"
        clock.now_s += 14
        yield b"def"

    clock = Clock()
    conversation = http1(slow, Stop(), Limits(), clock, LastLines())
    next(conversation)
    steps = [conversation.send(HELLO), *(conversation.send(None) for _ in range(2)), conversation.send(b"\r\n")]
    assert [type(step) for step in steps] == [Send, Send, Receive, Receive]
    assert steps[-1].timeout_s == 15


def test_the_deadline_of_a_head_is_for_all_of_it() -> None:
    conversation = talk(HELLO[:9], Pause(4, HELLO[9:12]), Pause(4, HELLO[12:20]), Pause(2.5, HELLO[20:]))
    assert only(conversation).status == 408
    assert [step.timeout_s for step in conversation.steps if isinstance(step, Receive)][:4] == [15, 10, 6, 2]


def test_the_idle_time_ends_before_the_time_of_a_head_begins() -> None:
    """A whole head has its time however late in the idle time it begins."""
    assert only(talk(Pause(14.9, HELLO[:9]), Pause(9.9, HELLO[9:]))).status == 200


@pytest.mark.parametrize("late", [TimeoutError(), Pause(11, b"X")])
def test_late_head(late: Pause | Exception) -> None:
    conversation = talk(HELLO[:-1], late, then_end=False)
    assert only(conversation).status == 408
    assert conversation.ended


def test_a_head_finished_late_but_before_the_deadline_is_served() -> None:
    assert only(talk(HELLO[:9], Pause(9.9, HELLO[9:]))).status == 200


@pytest.mark.parametrize(
    "begun", [post("Content-Length: 3", body=b"ab"), chunked(b"3\r\nab"), chunked(b"3"), chunked(b"0\r\n")]
)
def test_late_body(begun: bytes) -> None:
    conversation = talk(begun, TimeoutError(), then_end=False)
    assert only(conversation).status == 408
    assert conversation.ended
    waiting = conversation.steps[1]
    assert isinstance(waiting, Receive)
    assert (waiting.timeout_s, waiting.idle) == (15, False)


def test_a_slow_body_that_moves_is_served() -> None:
    assert only(talk(post("Content-Length: 3"), *(Pause(14, b"x") for _ in range(3)))).body == b"xxx"


ENDLESS = {
    "request line": (b"GET /", b"x" * 1000),
    "one field": (b"GET / HTTP/1.1\r\nX: ", b"y" * 1000),
    "fields": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100),
    "chunk line": (chunked(b"3;"), b"x" * 1000),
    "trailer": (chunked(b"0\r\n"), b"X: y\r\n" * 100),
    "one trailer field": (chunked(b"0\r\nX: "), b"y" * 1000),
}


@pytest.mark.parametrize(("begun", "more"), ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_refused_soon(begun: bytes, more: bytes) -> None:
    conversation = talk(begun, *[more] * 40, limits=Limits(linger_bytes=0), then_end=False)
    assert only(conversation).status in (414, 431)
    assert (40 - conversation.unread) * len(more) <= Limits().header_bytes + 2 * len(more)


def test_a_body_without_end_is_refused_soon() -> None:
    limits = Limits(body_bytes=10_000, linger_bytes=0)
    conversation = talk(chunked(b""), *[b"3E8\r\n" + b"x" * 1000 + b"\r\n"] * 40, limits=limits, then_end=False)
    assert only(conversation).status == 413
    assert 40 - conversation.unread == 11


# ---------------------------------------------------------------- the end of a conversation


def lingering(conversation: Talk) -> list[float | None]:
    """The timeouts of the Receives after the last Send."""
    last = max(i for i, step in enumerate(conversation.steps) if isinstance(step, Send))
    return [step.timeout_s for step in conversation.steps[last:] if isinstance(step, Receive)]


@pytest.mark.parametrize(
    "received", [get("X : y"), get(host=False), get(version="HTTP/2.0"), get("Expect: miracles"), get(method="BREW")]
)
def test_closes_at_once_when_nothing_more_can_come(received: bytes) -> None:
    conversation = talk(received, HELLO, then_end=False)
    assert conversation.ended
    assert lingering(conversation) == []


def test_takes_in_the_announced_body_of_a_refused_request() -> None:
    limits = Limits(body_bytes=100)
    conversation = talk(
        post("Content-Length: 1000", body=b"x" * 400), b"x" * 500, b"x" * 100, HELLO, limits=limits, then_end=False
    )
    assert only(conversation).status == 413
    assert conversation.ended
    assert conversation.unread == 1


def test_takes_in_only_so_much() -> None:
    limits = Limits(body_bytes=100, linger_bytes=5000)
    conversation = talk(post("Content-Length: 99999"), *[b"x" * 1000] * 9, limits=limits, then_end=False)
    assert conversation.ended
    assert conversation.unread == 4


def test_takes_in_what_is_sent_before_the_last_answer_is_known_to_be_the_last() -> None:
    """Closing with unread bytes would reset the connection, and the answer with it."""
    limits = Limits(keepalive_requests=1)
    conversation = talk(HELLO + HELLO, HELLO, HELLO, Pause(1.1, HELLO), HELLO, limits=limits, then_end=False)
    assert only(conversation).closes
    assert conversation.ended
    assert conversation.unread == 1


def test_takes_in_only_for_so_long() -> None:
    limits = Limits(body_bytes=100)
    slow = [Pause(0.3, b"x")] * 9
    conversation = talk(post("Content-Length: 99999"), *slow, limits=limits, then_end=False)
    assert conversation.ended
    assert lingering(conversation) == pytest.approx([1.0, 0.7, 0.4, 0.1])


@pytest.mark.parametrize("failure", [TimeoutError(), ConnectionResetError(), BrokenPipeError()])
@pytest.mark.parametrize("begun", [b"", HELLO, HELLO[:9], post("Content-Length: 3"), get("X : y") + b"x"])
def test_failures_of_the_client_end_the_conversation_quietly(begun: bytes, failure: Exception) -> None:
    conversation = talk(*([begun] if begun else []), failure, then_end=False)
    assert conversation.ended


@pytest.mark.parametrize(
    "received", [HELLO, HELLO * 5000, get(target="/stream"), EXPECTING, get("X : y"), HELLO + get("X : y")]
)
@pytest.mark.parametrize("failure", [TimeoutError, ConnectionResetError, BrokenPipeError])
def test_a_client_that_does_not_read_ends_the_conversation_quietly(received: bytes, failure: type[Exception]) -> None:
    conversation = http1(App(), Stop(), Limits(), Clock(), LastLines())
    assert isinstance(next(conversation), Receive)
    assert isinstance(conversation.send(received), Send)
    with pytest.raises(StopIteration):
        conversation.throw(failure())


@pytest.mark.parametrize("received", [b"", HELLO, HELLO[:9], post("Content-Length: 3"), get(target="/slow"), get("X : y")])
def test_can_be_closed_wherever_it_waits(received: bytes) -> None:
    conversation = http1(App(), Stop(), Limits(), Clock(), LastLines())
    next(conversation)
    if received:
        conversation.send(received)
    conversation.close()
