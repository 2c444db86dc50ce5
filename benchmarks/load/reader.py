"""Reading responses: every one validated, its status, its length and each byte of its body.

The quick way compares a response that arrived in one piece with the last good one, byte for byte; the `Date` header breaks
that once a second. Whatever differs goes through the parser here (RFC 9112): an incremental one, for nothing is kept of a
response but an unfinished head. It is a client's parser: strict in what it needs to find the end of a message, and silent
on headers that a load generator has no use for.
"""

from typing import Any

import numpy as np

from benchmarks.load.libc import compiled, memcmp

HEAD_LIMIT = 16384  # bytes; a longer head is malformed
TEMPLATE_LIMIT = 65536  # bytes; a longer response always takes the parser

# One row per connection of an engine thread. Times are ns of CLOCK_MONOTONIC.
CONNECTION = np.dtype(
    [
        ("fd", np.int32),
        ("state", np.int32),  # see loop.py
        ("since_ns", np.int64),  # when it entered its state
        ("due_ns", np.int64),  # when a pause or think time ends
        ("intended_ns", np.int64),  # the request under way: when it was due
        ("sent_ns", np.int64),  # and when its first byte was written
        ("exchange", np.int32),  # and which of the target's exchanges it is
        ("written", np.int32),  # bytes of the request written so far
        ("owes", np.int32),  # a request is waiting for this connection to open
        ("after", np.int32),  # the request under way was made after the window, and is in no count
        ("stage", np.int32),  # where the response's parser stands
        ("head", np.int32),  # bytes of an unfinished head or line put aside
        ("status", np.int32),
        ("closes", np.int32),  # the response says that the connection ends with it
        ("differs", np.int32),  # its body is not the expected one
        ("left", np.int64),  # bytes left of the body or chunk; a chunk's size while it is read
        ("offset", np.int64),  # bytes of the body seen
        ("ringed", np.int64),  # its place in the ring of free connections; 0: it is not free
        ("completed", np.int64),  # in the window
        ("mark", np.int64),  # how many responses its lane had completed when this one completed its last
        ("passed_over", np.int64),  # the most that others have completed between two of its own
    ],
    align=True,
)

HEAD, LENGTH, CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE = range(8)
MORE, WHOLE, MALFORMED = range(3)

_CR, _LF, _SPACE, _TAB, _COLON, _SEMICOLON, _COMMA = 13, 10, 32, 9, 58, 59, 44
_HTTP_1 = np.frombuffer(b"HTTP/1.", np.uint8)
_CONTENT_LENGTH = np.frombuffer(b"content-length", np.uint8)
_TRANSFER_ENCODING = np.frombuffer(b"transfer-encoding", np.uint8)
_CONNECTION = np.frombuffer(b"connection", np.uint8)
_CHUNKED = np.frombuffer(b"chunked", np.uint8)
_CLOSE = np.frombuffer(b"close", np.uint8)
_KEEP_ALIVE = np.frombuffer(b"keep-alive", np.uint8)


@compiled
def _is(data: Any, start: int, end: int, word: Any) -> bool:
    """Whether data[start:end] is the lower-case `word` in any case."""
    if end - start != len(word):
        return False
    for i in range(len(word)):
        byte = data[start + i]
        if 65 <= byte <= 90:
            byte += 32
        if byte != word[i]:
            return False
    return True


@compiled
def _lists(data: Any, start: int, end: int, word: Any) -> bool:
    """Whether the comma-separated list data[start:end] holds `word`."""
    while start < end:
        stop = start
        while stop < end and data[stop] != _COMMA:
            stop += 1
        low, high = start, stop
        while low < high and (data[low] == _SPACE or data[low] == _TAB):
            low += 1
        while high > low and (data[high - 1] == _SPACE or data[high - 1] == _TAB):
            high -= 1
        if _is(data, low, high, word):
            return True
        start = stop + 1
    return False


@compiled
def _number(data: Any, start: int, end: int) -> int:
    """The decimal number in data[start:end], white space around it allowed; -1 if it is not one."""
    while start < end and (data[start] == _SPACE or data[start] == _TAB):
        start += 1
    while end > start and (data[end - 1] == _SPACE or data[end - 1] == _TAB):
        end -= 1
    if start == end or end - start > 17:
        return -1
    number = 0
    for i in range(start, end):
        digit = data[i] - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@compiled
def _end_of_head(data: Any, start: int, end: int) -> int:
    """The position just after the empty line that ends a head, or -1."""
    for at in range(start + 3, end):
        if data[at] == _LF and data[at - 1] == _CR and data[at - 2] == _LF and data[at - 3] == _CR:
            return at + 1
    return -1


@compiled
def parse_head(data: Any, start: int, end: int, c: Any) -> bool:
    """Take status, framing and persistence from the head data[start:end] into the connection; False if it is malformed."""
    if end - start < 16 or data[start + 8] != _SPACE:
        return False
    for i in range(7):
        if data[start + i] != _HTTP_1[i]:
            return False
    c.status = _number(data, start + 9, start + 12)
    if c.status < 100:
        return False
    minor = data[start + 7] - 48
    length, chunked, close, keep = -1, False, False, False
    at = start + 12
    while data[at] != _LF:
        at += 1
    at += 1
    while at < end - 2:
        stop = at
        while data[stop] != _LF:
            stop += 1
        line_end = stop - 1 if data[stop - 1] == _CR else stop
        colon = at
        while colon < line_end and data[colon] != _COLON:
            colon += 1
        if colon == line_end:
            return False
        if _is(data, at, colon, _CONTENT_LENGTH):
            given = _number(data, colon + 1, line_end)
            if given < 0 or (length >= 0 and length != given):
                return False
            length = given
        elif _is(data, at, colon, _TRANSFER_ENCODING):
            chunked = _lists(data, colon + 1, line_end, _CHUNKED)
            if not chunked:
                return False
        elif _is(data, at, colon, _CONNECTION):
            close = close or _lists(data, colon + 1, line_end, _CLOSE)
            keep = keep or _lists(data, colon + 1, line_end, _KEEP_ALIVE)
        at = stop + 1
    c.closes = 1 if close or (minor == 0 and not keep) else 0
    if chunked:
        c.stage, c.left = CHUNK_SIZE, -1
    elif length >= 0:
        c.stage, c.left = LENGTH, length
    else:
        c.stage = UNTIL_CLOSE
    return True


@compiled
def begin(c: Any) -> None:
    """Ready for the next response."""
    c.stage, c.head, c.status, c.closes, c.differs, c.left, c.offset = HEAD, 0, 0, 0, 0, 0, 0


@compiled
def _take_body(c: Any, data: Any, start: int, count: int, body: Any, body_known: bool) -> None:
    """Compare a piece of the body with what is expected at its place."""
    if body_known:
        if c.offset + count > len(body) or (
            count > 0 and memcmp(data.ctypes.data + start, body.ctypes.data + c.offset, count) != 0
        ):
            c.differs = 1
    c.offset += count


@compiled
def _take_head(c: Any, data: Any, start: int, end: int, aside: Any, bodiless: bool) -> tuple[int, int]:
    """The HEAD stage. An unfinished head is put aside in the connection's own buffer."""
    if c.head == 0:
        stop = _end_of_head(data, start, end)
        if stop >= 0:
            if not parse_head(data, start, stop, c):
                return MALFORMED, stop
            return _framed(c, bodiless), stop
    count = min(end - start, HEAD_LIMIT - c.head)
    for i in range(count):
        aside[c.head + i] = data[start + i]
    before = c.head
    c.head += count
    stop = _end_of_head(aside, max(before - 3, 0), c.head)
    if stop < 0:
        return (MALFORMED if c.head >= HEAD_LIMIT else MORE), start + count
    if not parse_head(aside, 0, stop, c):
        return MALFORMED, start
    c.head = 0
    return _framed(c, bodiless), start + stop - before


@compiled
def _framed(c: Any, bodiless: bool) -> int:
    """After a head: an interim response starts over, a response without a body is whole."""
    if c.status < 200:
        begin(c)
        return MORE
    if bodiless or c.status == 204 or c.status == 304 or (c.stage == LENGTH and c.left == 0):
        return WHOLE
    if c.stage == UNTIL_CLOSE:  # only a body that nothing else ends: 204 and 304 have neither one nor a length (RFC 9112, 6.3)
        c.closes = 1
    return MORE


@compiled
def _take_chunk_byte(c: Any, byte: Any) -> int:
    """One byte of a chunk's size line, of the line end after its data, or of the trailers."""
    if c.stage == CHUNK_END:  # CR LF after the data
        if byte == _LF:
            c.stage, c.left = CHUNK_SIZE, -1
        return MORE if byte == _LF or byte == _CR else MALFORMED
    if c.stage == TRAILER:  # `head` counts the bytes of the line: an empty one ends the message
        if byte == _LF:
            if c.head == 0:
                return WHOLE
            c.head = 0
        elif byte != _CR:
            c.head += 1
            if c.head > HEAD_LIMIT:
                return MALFORMED
        return MORE
    if byte == _LF:
        if c.left < 0:
            return MALFORMED
        c.stage = CHUNK_DATA if c.left > 0 else TRAILER
        return MORE
    if c.stage == CHUNK_EXTENSION or byte == _CR:
        return MORE
    if byte == _SEMICOLON or byte == _SPACE or byte == _TAB:
        c.stage = CHUNK_EXTENSION
        return MORE
    digit = byte - 48 if 48 <= byte <= 57 else (byte | 32) - 87
    if digit < 0 or digit > 15 or (digit > 9 and (byte | 32) < 97) or c.left > 1 << 50:
        return MALFORMED
    c.left = (c.left if c.left > 0 else 0) * 16 + digit
    return MORE


@compiled
def feed(c: Any, data: Any, start: int, end: int, aside: Any, body: Any, body_known: bool, bodiless: bool) -> tuple[int, int]:
    """Read data[start:end] as the next part of the response under way.

    `aside` is the connection's own HEAD_LIMIT bytes, `body` the expected body. Returns MORE, WHOLE or MALFORMED and the
    position reached. A WHOLE response's verdict is in the connection: status, differs, offset, closes.
    """
    outcome = MORE
    while start < end and outcome == MORE:
        if c.stage == HEAD:
            outcome, start = _take_head(c, data, start, end, aside, bodiless)
        elif c.stage == LENGTH or c.stage == CHUNK_DATA:
            count = min(c.left, end - start)
            _take_body(c, data, start, count, body, body_known)
            c.left -= count
            start += count
            if c.left == 0:
                if c.stage == LENGTH:
                    outcome = WHOLE
                else:
                    c.stage = CHUNK_END
        elif c.stage == UNTIL_CLOSE:
            _take_body(c, data, start, end - start, body, body_known)
            start = end
        else:
            outcome = _take_chunk_byte(c, np.int64(data[start]))
            start += 1
    return outcome, start
