"""The examiner's end of a connection: sends scripts, reads answers strictly, and remembers every byte for the report."""

import re
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.conformance.rule import Answer, Broken, Ending, HalfClose, Script

PATIENCE_S = 2.0  # for what should come at once
PIECES_APART_S = 0.002  # between two sends in a row, so that they are received as two
KEPT_BYTES = 16_384  # of each direction, for the report

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) ?([\t \x21-\x7e\x80-\xff]*)")  # RFC 9112, 4
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")  # RFC 9112, 5
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n")
_PROBE = b"GET /hello HTTP/1.1\r\nHost: examiner\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it came. Names of `fields` are lower case; the values of repeated ones are joined by ", "."""

    status: int
    reason: str
    fields: dict[str, str]
    body: bytes


class Client:
    """A connection. Every method that reads raises Broken when `patience_s` pass without what it waits for."""

    def __init__(self, host: str, port: int, patience_s: float = PATIENCE_S) -> None:
        self.socket = socket.create_connection((host, port), patience_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.patience_s = patience_s
        self.sent, self.received = bytearray(), bytearray()  # for the report, no more than KEPT_BYTES
        self._unread = bytearray()
        self._ended = False
        self._sent_last = False

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # ------------------------------------------------------------ what it says

    def send(self, data: bytes) -> None:
        """Send all of it. A server that closes early is no error here: what it said before can still be read."""
        self.sent += data[: max(0, KEPT_BYTES - len(self.sent))]
        self._sent_last = True
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            raise self.broken(f"took nothing for {self.patience_s:g} s") from None

    def half_close(self) -> None:
        """Say that no more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already by the other side

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # ------------------------------------------------------------ what it hears

    def answer(self, to_head: bool = False) -> Response:
        """The next response, whole and well-formed. Raises Broken."""
        while True:
            end = self._unread.find(b"\r\n\r\n")
            if end >= 0:
                break
            if not self.more():
                what = "ended the connection inside a head" if self._unread else "ended the connection without an answer"
                raise self.broken(what)
        head = bytes(self._unread[:end])
        del self._unread[: end + 4]
        first, *lines = head.split(b"\r\n")
        if not (status_line := _STATUS_LINE.fullmatch(first)):
            raise self.broken(f"answered with no status line: {first[:80]!r}")
        fields: dict[str, str] = {}
        for line in lines:
            if not (field := _FIELD.fullmatch(line)):
                raise self.broken(f"answered with a line that is no field: {line[:80]!r}")
            name, value = field[1].decode().lower(), field[2].decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        status = int(status_line[1])
        body = self._body(status, fields, to_head)
        return Response(status, status_line[2].decode("latin-1"), fields, body)

    def _body(self, status: int, fields: dict[str, str], to_head: bool) -> bytes:
        """RFC 9112, 6.3."""
        if to_head or status < 200 or status in (204, 304):
            return b""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = fields.get("content-length")
        if length is None:
            while self.more():
                pass
            return self._take(len(self._unread))
        if not (length.isascii() and length.isdigit()):
            raise self.broken(f"answered with Content-Length: {length[:40]}")
        self._fill(int(length))
        return self._take(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            while b"\r\n" not in self._unread:
                self._fill(len(self._unread) + 1)
            if not (size := _CHUNK.match(self._unread)):
                raise self.broken("answered with a malformed chunk")
            del self._unread[: size.end()]
            if not (n := int(size[1], 16)):
                break
            self._fill(n + 2)
            body += self._take(n)
            if self._take(2) != b"\r\n":
                raise self.broken("answered with a chunk of another length")
        while b"\r\n" not in self._unread:
            self._fill(len(self._unread) + 1)
        if self._take(2) != b"\r\n":
            raise self.broken("answered with a trailer, which nobody has asked for")
        return bytes(body)

    def _fill(self, size: int) -> None:
        while len(self._unread) < size:
            if not self.more():
                raise self.broken("ended the connection inside a body")

    def _take(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def more(self) -> bool:
        """Receive once; False at the end of the stream, or after a reset. Raises Broken after `patience_s`."""
        if self._ended:
            return False
        self.socket.settimeout(self.patience_s)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            raise self.broken(f"said nothing for {self.patience_s:g} s") from None
        except OSError:  # reset
            data = b""
        self._ended = not data
        self.received += data[: max(0, KEPT_BYTES - len(self.received))]
        self._unread += data
        return bool(data)

    def ends(self) -> None:
        """The server closes the connection and says no more. Raises Broken."""
        while True:
            if self._unread:
                raise self.broken(f"said more than it was asked: {bytes(self._unread[:80])!r}")
            try:
                if not self.more():
                    return
            except Broken:
                raise self.broken(f"kept the connection open for {self.patience_s:g} s") from None

    def goes_on(self) -> None:
        """The connection serves another request. Raises Broken."""
        self.send(_PROBE)
        try:
            found = self.answer()
        except Broken as broken:
            raise self.broken(f"did not serve the next request on the connection: {broken.saw}") from None
        if (found.status, found.body) != (200, b"Hello, World!"):
            raise self.broken(f"answered the next request on the connection with {found.status} {found.body[:40]!r}")

    def broken(self, saw: str) -> Broken:
        """A finding with what was said on this connection."""
        return Broken(saw, bytes(self.sent), bytes(self.received))

    # ------------------------------------------------------------ scripts

    def play(self, script: Script, ends: Ending = "either") -> list[Response]:
        """Send and await in turn, then look what becomes of the connection. Raises Broken."""
        heard = []
        for item in script:
            if isinstance(item, bytes):
                if self._sent_last:
                    time.sleep(PIECES_APART_S)
                self.send(item)
                continue
            self._sent_last = False
            if isinstance(item, HalfClose):
                self.half_close()
            else:
                heard.append(self.expect(item))
        if ends == "open":
            self.goes_on()
        elif ends == "closed":
            self.ends()
        return heard

    def expect(self, wanted: Answer) -> Response:
        """The next response, which must be as wanted. Raises Broken."""
        found = self.answer(wanted.to_head)
        if found.status not in wanted.statuses:
            raise self.broken(f"answered {found.status}, not {_alternatives(wanted.statuses)}")
        if wanted.body is not None and 200 <= found.status < 300 and found.body != wanted.body:
            raise self.broken(f"answered with the body {found.body[:60]!r}, not {wanted.body[:60]!r}")
        for name, pattern in wanted.fields:
            if name.lower() not in found.fields:
                raise self.broken(f"answered {found.status} without {name}")
            if not re.fullmatch(pattern, found.fields[name.lower()]):
                raise self.broken(f"answered {found.status} with {name}: {found.fields[name.lower()]}")
        for name in wanted.lacks:
            if name.lower() in found.fields:
                raise self.broken(f"answered {found.status} with {name}")
        return found


def _alternatives(statuses: Sequence[int]) -> str:
    return " or ".join(map(str, statuses))
