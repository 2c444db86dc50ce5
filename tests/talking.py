"""Conversations driven by hand: a scripted client, a clock that only moves when told, and a strict reader of responses."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from servers._steps import Offload, Receive, Send, Step, Wait
from servers.conversations.dates import LastLines
from servers.conversations.http1 import Limits, http1
from servers.conversations.messages import Request, Response, Streamed

HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Stop:
    requested: bool = False

    def fileno(self) -> int:
        return -1


@dataclass
class Pause:
    """Time that passes before `then` arrives."""

    seconds: float
    then: bytes = b""


@dataclass
class Talk:
    """What happened: the steps asked for, the bytes sent, and whether the conversation ended by itself."""

    steps: list[Step] = field(default_factory=list)
    sends: list[bytes] = field(default_factory=list)
    ended: bool = False
    unread: int = 0  # of what the client had to say

    @property
    def sent(self) -> bytes:
        return b"".join(self.sends)


@dataclass
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.fields.get("connection") == "close"


class App:
    """Remembers what it was asked. /hello, /slow (a generator), /stream, /raise; anything else gets its body back."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        if request.target == b"/hello":
            return Response(200, b"Hello, World!")
        if request.target == b"/slow":
            return self._slow()
        if request.target == b"/stream":
            return Streamed(200, 6, iter((b"abc", b"def")))
        if request.target == b"/raise":
            raise RuntimeError("on purpose")
        return Response(200, request.body)

    def _slow(self) -> Any:
        yield Wait(timeout_s=0.01)
        found = yield Offload(lambda: b"found")
        return Response(200, found)


def talk(
    *said: bytes | Pause | Exception,
    app: Any = None,
    stop: Stop | None = None,
    limits: Limits | None = None,
    then_end: bool = True,
) -> Talk:
    """Let a client say `said`, one item for each Receive, then end its stream (or, without `then_end`, fall silent)."""
    clock = Clock()
    conversation = http1(
        app or App(), stop or Stop(), limits or Limits(), clock, LastLines(clock=lambda: 784111777.0 + clock.now_s - 1000)
    )
    script = list(said)
    result = Talk()
    try:
        step = next(conversation)
        while True:
            result.steps.append(step)
            answer: Any = None
            if isinstance(step, Receive):
                if not script and not then_end:
                    break
                item = script.pop(0) if script else b""
                if isinstance(item, Pause):
                    clock.now_s += item.seconds
                    item = item.then
                if isinstance(item, Exception):
                    step = conversation.throw(item)
                    continue
                answer = item
            elif isinstance(step, Send):
                result.sends.append(bytes(step.data))
            elif isinstance(step, Offload):
                answer = step.function()
            elif isinstance(step, Wait):
                answer = ((), ())
            step = conversation.send(answer)
    except StopIteration:
        result.ended = True
    result.unread = len(script)
    return result


def answers(sent: bytes, methods: Iterable[str] = ()) -> list[Answer]:
    """Parse responses strictly; `methods` are those of the requests, as a HEAD's answer has no body whatever it says."""
    methods = iter(methods)
    found = []
    while sent:
        head, ends, sent = sent.partition(b"\r\n\r\n")
        assert ends, f"not a whole head: {head!r}"
        first, *lines = head.decode("ascii").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]+", first)
        assert matched, first
        fields = dict(line.lower().split(": ", 1) for line in lines)
        assert len(fields) == len(lines), lines
        length = 0 if next(methods, "GET") == "HEAD" else int(fields.get("content-length", 0))
        assert len(sent) >= length
        found.append(Answer(int(matched[1]), fields, sent[:length]))
        sent = sent[length:]
    return found


def only(conversation: Talk, method: str = "GET") -> Answer:
    (answer,) = answers(conversation.sent, [method])
    return answer


def get(*lines: str, target: str = "/hello", version: str = "HTTP/1.1", method: str = "GET", host: bool = True) -> bytes:
    return "\r\n".join((f"{method} {target} {version}", *(["Host: a"] if host else []), *lines, "", "")).encode("latin-1")


def post(*lines: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    return get(*lines, target="/echo", method="POST", version=version) + body


def chunked(body: bytes) -> bytes:
    return post("Transfer-Encoding: chunked", body=body)
