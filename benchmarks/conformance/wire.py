"""The examiner's end of a connection: sends scripts, reads answers strictly, and remembers every byte for the report."""

import re
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.conformance.rule import Answer, Broken, Ending, HalfClose, Script

PATIENCE_S = 2.0  # for what should come at once
PIECES_APART_S = 0.002  # between two sends in a row, so that they are received as two
KEPT_BYTES = 16_384  # of each direction, for the report
HEAD_MOST_BYTES = 65_536  # of an answer
BODY_MOST_BYTES = 1 << 26

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")  # RFC 9112, 4
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")  # RFC 9112, 5
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n")
_PROBE = b"GET /hello HTTP/1.1\r\nHost: examiner\r\n\r\n"
_PROBED = (200, b"Hello, World!")


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it came. Names of `fields` are lower case; the values of repeated ones are joined by ", "."""

    status: int
    reason: str
    fields: dict[str, str]
    body: bytes
    minor: int = 1  # of the version: 1 for HTTP/1.1

    @property
    def closes(self) -> bool:
        """It says that the connection ends with it (RFC 9112, 9.3)."""
        options = {option.strip().lower() for option in self.fields.get("connection", "").split(",")}
        return "close" in options or (self.minor == 0 and "keep-alive" not in options)


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
        self._closes = False  # the last answer said so

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # ------------------------------------------------------------ what it says

    def send(self, data: bytes) -> bool:
        """Send all of it; False when the server has closed. That is no error here: what it said before can still be read."""
        self.sent += data[: max(0, KEPT_BYTES - len(self.sent))]
        self._sent_last = True
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except TimeoutError:
            raise self.broken(f"took nothing for {self.patience_s:g} s") from None
        return True

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
        found = self.answer_or_end(to_head)
        if found is None:
            raise self.broken("ended the connection without an answer")
        return found

    def answer_or_end(self, to_head: bool = False) -> Response | None:
        """The next response, whole and well-formed; None when the connection ends instead. Raises Broken."""
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            if len(self._unread) > HEAD_MOST_BYTES:
                raise self.broken(f"answered with {len(self._unread)} bytes in which no head ends")
            if not self.more():
                if not self._unread:
                    return None
                raise self.broken("ended the connection inside a head")
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
        status = int(status_line[2])
        body = self._body(status, fields, to_head)
        found = Response(status, status_line[3].decode("latin-1"), fields, body, int(status_line[1]))
        self._closes = found.closes
        return found

    def _body(self, status: int, fields: dict[str, str], to_head: bool) -> bytes:
        """RFC 9112, 6.3."""
        coding, length = fields.get("transfer-encoding"), fields.get("content-length")
        framed = [name for name in ("Content-Length", "Transfer-Encoding") if name.lower() in fields]
        if framed and (status < 200 or status == 204):
            raise self.broken(f"answered {status} with {framed[0]}")
        if len(framed) == 2:
            raise self.broken("answered with both Content-Length and Transfer-Encoding")
        if length is not None and not re.fullmatch("[0-9]{1,18}", length):
            raise self.broken(f"answered with Content-Length: {length[:40]}")
        if to_head or status < 200 or status in (204, 304):
            return b""
        if coding is not None:
            if coding.lower() != "chunked":
                raise self.broken(f"answered with Transfer-Encoding: {coding[:40]}")
            return self._chunks()
        if length is not None:
            self._fill(int(length))
            return self._take(int(length))
        while self.more():
            if len(self._unread) > BODY_MOST_BYTES:
                raise self.broken(f"answered with a body of more than {BODY_MOST_BYTES} bytes")
        return self._take(len(self._unread))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            self._fill_line()
            if not (size := _CHUNK.match(self._unread)):
                raise self.broken("answered with a malformed chunk")
            n = int(size[1], 16)  # before the bytes go that the match shows
            del self._unread[: size.end()]
            if not n:
                break
            self._fill(n + 2)
            body += self._take(n)
            if self._take(2) != b"\r\n":
                raise self.broken("answered with a chunk of another length")
        self._fill_line()
        if self._take(2) != b"\r\n":
            raise self.broken("answered with a trailer, which nobody has asked for")
        return bytes(body)

    def _fill_line(self) -> None:
        while b"\r\n" not in self._unread:
            if len(self._unread) > HEAD_MOST_BYTES:
                raise self.broken("answered with a malformed chunk")
            self._fill(len(self._unread) + 1)

    def _fill(self, size: int) -> None:
        if size > BODY_MOST_BYTES:
            raise self.broken(f"answered with a body of more than {BODY_MOST_BYTES} bytes")
        while len(self._unread) < size:
            if not self.more():
                raise self.broken("ended the connection inside a body")

    def _take(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def is_readable(self, within_s: float) -> bool:
        """Whether something comes, or the end, in that time. (Not by select(2): a crowd's descriptors have high numbers.)"""
        waiting = select.poll()
        waiting.register(self.socket, select.POLLIN)
        return bool(waiting.poll(within_s * 1000))

    def more(self) -> bool:
        """Receive once; False at the end of the stream, or after a reset. Raises Broken after `patience_s`."""
        if self._ended:
            return False
        self.socket.settimeout(self.patience_s)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            where = f" after {bytes(self._unread[:80])!r}" if self._unread else ""
            raise self.broken(f"said nothing for {self.patience_s:g} s{where}") from None
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
        self._probed(found)

    def is_sound(self) -> None:
        """The connection serves another request, or is closed; nothing else comes. Raises Broken."""
        if self._closes:
            return self.is_over()
        self.send(_PROBE)
        found = self.answer_or_end()
        return self._probed(found) if found else None

    def is_over(self) -> None:
        """The connection serves no other request. Raises Broken.

        A server that has said so may wait for the client's end before it closes, lest the answer be lost (RFC 9112, 9.6).
        """
        self.send(_PROBE)
        if self._closes:
            self.half_close()
        self.ends()

    def _probed(self, found: Response) -> None:
        if (found.status, found.body) != _PROBED:
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
        elif ends == "over":
            self.is_over()
        elif ends == "sound":
            self.is_sound()
        return heard

    def expect(self, wanted: Answer) -> Response:
        """The next response, which must be as wanted. Raises Broken."""
        return self.checked(self.answer(wanted.to_head), wanted)

    def expect_or_end(self, wanted: Answer) -> Response | None:
        """The next response, which must be as wanted; None when the connection ends instead. Raises Broken."""
        found = self.answer_or_end(wanted.to_head)
        return self.checked(found, wanted) if found else None

    def checked(self, found: Response, wanted: Answer) -> Response:
        """The same response, if it is as wanted. Raises Broken."""
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
    """ "200 or 400 to 499"."""
    runs: list[list[int]] = []
    for status in sorted(statuses):
        if runs and status == runs[-1][-1] + 1 and len(statuses) > 8:
            runs[-1].append(status)
        else:
            runs.append([status])
    return " or ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
