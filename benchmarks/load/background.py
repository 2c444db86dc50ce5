"""Background connections: open beside those of the load, served by the same loop, in no histogram.

A second program on the driver's core would stall the engine, so its loop serves them: at most one at a turn, and only when it
is due. They are not registered with epoll, so silent ones cost nothing; what has come for one is read when it is due, and those
closed meanwhile are found after the run. Each is a row of `reader.CONNECTION`, as every connection is.

Three kinds. *Idle*: makes one request when it is opened, reads the answer, and is silent from then on. *Slow request*
(Slowloris: R. Hansen, 2009): sends its request a piece at a time, reads the answer, starts over. *Slow read*: sends its request
at once and takes the answer a piece at a time out of a small receive buffer.
"""

from typing import Any

import numpy as np

from benchmarks.load import libc, reader
from benchmarks.load.connections import EAGAIN, ECONNREFUSED, EINPROGRESS, ETIMEDOUT, shut
from benchmarks.load.libc import compiled
from benchmarks.load.state import BUFFER_BYTES, CLOSED, READY, SENDING, WAITING, WINDOW

IDLE, SLOW_REQUEST, SLOW_READ = range(3)  # kinds
RECEIVE_BYTES = 4096  # the receive buffer that a slow reader asks for; the kernel doubles it
_ENOTCONN = 107

STATE = np.dtype(
    [
        ("kind", np.int32),
        ("request", np.uint64),  # the address of its bytes
        ("request_bytes", np.int64),
        ("piece_bytes", np.int64),
        ("step_ns", np.int64),  # from the piece of one connection to that of the next
        ("due_ns", np.int64),  # the next piece,
        ("turn", np.int64),  # and the connection it belongs to
        ("still", np.int64),  # open after the run
        ("served", np.int64),  # answers completed in the window
        ("refused", np.int64),  # could not be opened,
        ("lost", np.int64),  # or were closed by the server: since the session was opened
    ],
    align=True,
)


@compiled
def begin_opening(e: Any, y: Any, c: Any) -> None:
    """Open a background connection, without waiting."""
    reader.begin(c)
    c.written, c.state = 0, SENDING
    c.fd = libc.socket_(e.family, libc.SOCKET_TYPE, 0)
    if c.fd < 0:
        _end(y, c, True)
        return
    e.words[0] = 1
    libc.setsockopt(c.fd, libc.IPPROTO_TCP, libc.TCP_NODELAY, e.words_at, 4)
    if y.kind == SLOW_READ:
        e.words[0] = RECEIVE_BYTES
        libc.setsockopt(c.fd, libc.SOL_SOCKET, libc.SO_RCVBUF, e.words_at, 4)
    if libc.connect(c.fd, e.address, e.address_bytes) != 0 and libc.errno() != EINPROGRESS:
        _end(y, c, True)


@compiled
def _end(y: Any, c: Any, refused: bool) -> None:
    """A background connection is closed: refused when it was opened, or lost."""
    shut(c)
    c.state = CLOSED
    if refused:
        y.refused += 1
    else:
        y.lost += 1


@compiled
def _failed(y: Any, c: Any, error: int) -> None:
    """A system call on a background connection failed: it is closed, unless the call would only have had to wait."""
    if error not in (EAGAIN, _ENOTCONN):
        _end(y, c, c.written == 0 and error in (ECONNREFUSED, ETIMEDOUT))


@compiled
def _send(y: Any, c: Any, piece_bytes: int) -> None:
    """Send a piece of the request."""
    count = libc.send(c.fd, y.request + np.uint64(c.written), min(piece_bytes, y.request_bytes - c.written), libc.MSG_NOSIGNAL)
    if count > 0:
        c.written += count
        if c.written == y.request_bytes:
            c.state = WAITING
    elif count < 0:
        _failed(y, c, libc.errno())


@compiled
def _receive(y: Any, c: Any, aside: Any, body: Any, buffer: Any, piece_bytes: int) -> bool:
    """Take a piece of the answer. True when the answer is whole."""
    count = libc.recv(c.fd, buffer.ctypes.data, min(piece_bytes, BUFFER_BYTES), 0)
    if count > 0:
        outcome, _ = reader.feed(c, buffer, 0, count, aside, body, False, False)
        if outcome == reader.MORE:
            return False
        whole = outcome == reader.WHOLE and c.state == WAITING  # an answer to half a request is a refusal to wait for it
        if not whole or c.closes:
            _end(y, c, False)
            y.lost -= whole
        return whole
    if count == 0:
        whole = c.stage == reader.UNTIL_CLOSE and c.state == WAITING
        _end(y, c, False)
        y.lost -= whole
        return whole  # type: ignore[no-any-return]
    _failed(y, c, libc.errno())
    return False


@compiled
def go_on_opening(y: Any, c: Any, aside: Any, body: Any, buffer: Any) -> bool:
    """One step of opening a background connection; whether that is over, well or not. An idle one is to be served once, and of
    the others the server shall have accepted a first piece."""
    if c.state == SENDING and (c.written == 0 or y.kind == IDLE):
        _send(y, c, y.piece_bytes if y.kind == SLOW_REQUEST else y.request_bytes)
    if c.state == WAITING and y.kind == IDLE and _receive(y, c, aside, body, buffer, BUFFER_BYTES):
        if c.state == CLOSED:
            y.lost += 1  # served, and not kept alive
        else:
            c.state = READY
    return _is_opened(y, c)


@compiled
def _is_opened(y: Any, c: Any) -> bool:
    """Whether a background connection's opening is over."""
    return c.state == CLOSED or (c.state == READY if y.kind == IDLE else c.written > 0)  # type: ignore[no-any-return]


@compiled
def end_opening(y: Any, c: Any) -> None:
    """Close a background connection that was not opened in time."""
    if not _is_opened(y, c):
        _end(y, c, True)


@compiled
def service(e: Any, y: Any, background: Any, asides: Any, body: Any, buffer: Any, t: int) -> None:
    """The background connection whose turn it is sends or takes its piece."""
    k = y.turn
    c = background[k]
    y.turn = (k + 1) % len(background)
    # After a pause of the engine the turns go on from now: what was missed is not made up for.
    y.due_ns = max(y.due_ns + y.step_ns, t - y.step_ns * len(background))
    if c.state == CLOSED:
        begin_opening(e, y, c)
        if c.state == CLOSED:
            return
    if c.state == SENDING:
        if y.kind == SLOW_REQUEST and c.written > 0:
            _receive(y, c, asides[k], body, buffer, BUFFER_BYTES)  # has the server had enough of it?
        if c.state == SENDING:
            _send(y, c, y.piece_bytes if y.kind == SLOW_REQUEST else y.request_bytes)
    elif c.state == WAITING and _receive(y, c, asides[k], body, buffer, y.piece_bytes if y.kind == SLOW_READ else BUFFER_BYTES):
        y.served += e.phase == WINDOW
        if c.state == WAITING:
            reader.begin(c)
            c.written, c.state = 0, SENDING


@compiled
def count_open(y: Any, background: Any, buffer: Any) -> int:
    """How many background connections are open. One that the server has closed is closed here too."""
    still = 0
    for k in range(len(background)):
        c = background[k]
        if c.fd < 0:
            continue
        count = libc.recv(c.fd, buffer.ctypes.data, 1, libc.MSG_PEEK)
        if count > 0 or (count < 0 and libc.errno() == EAGAIN):
            still += 1
        else:
            _end(y, c, False)
    return still
