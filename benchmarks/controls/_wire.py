"""What the controls share: a listener, the ready line, the stop, and answers to what httptools finds in a client's bytes."""

import argparse
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from types import FrameType

import httptools

RECEIVE_BYTES = 64 * 1024
_BACKLOG = 4096
_DESCRIPTORS_RESERVED = 64
_BODIES = {b"/hello": b"Hello, World!"}
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nDate: %s\r\n"
_BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Client:
    """One client's requests. `feed` what was received; what to send is its answer, and `closing` says that it is the last."""

    __slots__ = ("_answers", "_feed", "_parser", "_url", "closing")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._feed = self._parser.feed_data
        self._answers: list[bytes] = []
        self._url = b""
        self.closing = False

    def feed(self, data: bytes) -> bytes:
        """The answers to all requests that end in these bytes."""
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._answers.append(_BAD)
            self.closing = True
        if len(self._answers) == 1:
            return self._answers.pop()
        joined = b"".join(self._answers)
        self._answers.clear()
        return joined

    def on_message_begin(self) -> None:
        """Of httptools: a request begins."""
        self._url = b""

    def on_url(self, url: bytes) -> None:
        """Of httptools: a part of its target."""
        self._url += url

    def on_message_complete(self) -> None:
        """Of httptools: it is whole."""
        body = _BODIES.get(self._url)
        if not self._parser.should_keep_alive():
            self.closing = True
        self._answers.append(_answer(body, self.closing, int(time.time())))


_answered: dict[tuple[bytes | None, bool], tuple[int, bytes]] = {}


def _answer(body: bytes | None, last: bool, now_s: int) -> bytes:
    """An answer, laid out once a second."""
    made = _answered.get((body, last))
    if made is not None and made[0] == now_s:
        return made[1]
    said = b"Not Found\n" if body is None else body
    status = b"404 Not Found" if body is None else b"200 OK"
    head = _HEAD % (status, len(said), formatdate(now_s, usegmt=True).encode())
    whole = head + (b"Connection: close\r\n\r\n" if last else b"\r\n") + said
    _answered[body, last] = (now_s, whole)
    return whole


class Stopped(Exception):
    """SIGTERM or SIGINT: raised wherever the main thread is."""


def main(name: str, serve: Callable[[socket.socket], None]) -> None:
    """`python -m benchmarks.controls.…`: listen, say so, and serve until the stop."""
    parser = argparse.ArgumentParser(description="A direct loop without the steps, for comparison. It serves /hello.")
    parser.add_argument("--port", type=int, default=8080, help="0: a free one, said in the ready line (8080)")
    port = parser.parse_args().port
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    ready = {"port": listener.getsockname()[1], "pid": os.getpid(), "model": name}
    ready |= {"max_connections": max(1, hard - _DESCRIPTORS_RESERVED)}
    try:
        print(json.dumps(ready), flush=True)
        serve(listener)
    except Stopped:
        os._exit(0)  # whoever is connected is cut off: a control has no drain


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped
