"""One exchange: the request goes out, the response is read, judged and measured, and the connection goes on.

Edge triggering asks for one thing here: read until a response is whole or the kernel has no more. A response with the very
bytes of an earlier one that was right is right too, and is not parsed: one memcmp instead. All others go through `reader`.
"""

from typing import Any

import numpy as np

from benchmarks.load import libc, reader
from benchmarks.load.connections import (
    EAGAIN,
    connect,
    connect_failed,
    put_off,
    request_failed,
    retire,
    set_free,
    shut,
)
from benchmarks.load.edges import draw_exchange
from benchmarks.load.libc import compiled
from benchmarks.load.recorder import CONNECT, PROMPT, RESPONSE, SEND_LAG, SERVICE, record
from benchmarks.load.state import (
    BUFFER_BYTES,
    CLOSED,
    CLOSED_EARLY,
    DRAIN,
    L_COMPLETED,
    L_CONNECTING,
    L_FAILED,
    L_THINKING,
    MALFORMED,
    RAMP,
    READY,
    RESET,
    SENDING,
    SETTLE,
    STATUS,
    THINKING,
    WAITING,
    WINDOW,
    WRONG_BODY,
    blame,
    charge,
    count_stray,
    goes_on,
    is_sustained,
    look,
    put_on_wire,
    step_at,
)


@compiled
def write(x: Any, c: Any) -> bool:
    """Write what is left of the request; False if the connection is gone."""
    count = libc.send(c.fd, x.request + np.uint64(c.written), x.request_bytes - c.written, libc.MSG_NOSIGNAL)
    if count < 0:
        if libc.errno() != EAGAIN:
            return False
        count = 0
    c.written += count
    c.state = WAITING if c.written == x.request_bytes else SENDING
    return True


@compiled
def _intend(e: Any, c: Any, exchanges: Any, intended: int) -> None:
    """Closed loop: choose what is asked, and count a request that is made inside the window."""
    c.exchange = draw_exchange(exchanges)
    c.after = 1 if e.phase == DRAIN else 0
    if e.phase == WINDOW and intended >= e.starts_ns:
        e.intended += 1
        exchanges[c.exchange].intended += 1


@compiled
def owe(e: Any, c: Any, exchanges: Any, intended: int) -> None:
    """Closed loop: a request is made, and waits for its connection to open."""
    c.owes, c.intended_ns = 1, intended
    _intend(e, c, exchanges, intended)


@compiled
def start(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, account: int,
    intended: int, t: int,
) -> None:  # fmt: skip
    """Send a request on an open connection. `account` is where the time until now goes."""
    c = connections[k]
    charge(e, c, account, ledger, t)
    if e.open == 0 and c.owes == 0:
        _intend(e, c, exchanges, intended)
    c.intended_ns, c.sent_ns, c.written, c.owes = intended, t, 0, 0
    reader.begin(c)
    put_on_wire(e, 1, t)
    if not write(exchanges[c.exchange], c):
        request_failed(e, k, connections, later, ledger, exchanges, errors, series, RESET, t)


@compiled
def _opened(
    e: Any, k: int, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, counts: Any,
    moments: Any, t: int,
) -> None:  # fmt: skip
    """A connection is open: send the request that waits for it, or the first of a closed loop, or set it free."""
    c = connections[k]
    e.connecting -= 1
    uncounted = c.after == 1 if c.owes == 1 else e.phase == SETTLE or is_sustained(e)
    if not uncounted:
        e.opened += 1
        record(counts, moments, CONNECT, t - c.since_ns)
    if c.owes == 1:
        start(e, k, connections, later, ledger, exchanges, errors, series, L_CONNECTING, c.intended_ns, t)
    elif e.open == 0 and goes_on(e):
        start(e, k, connections, later, ledger, exchanges, errors, series, L_CONNECTING, t, t)
    else:
        charge(e, c, L_CONNECTING, ledger, t)
        c.state = READY
        set_free(e, k, connections, ring)


@compiled
def attempt_ended(
    e: Any, k: int, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, counts: Any,
    moments: Any, t: int,
) -> None:  # fmt: skip
    """An attempt to connect has ended."""
    c = connections[k]
    e.words[0], e.words[1] = 0, 4
    libc.getsockopt(c.fd, libc.SOL_SOCKET, libc.SO_ERROR, e.words_at, e.words_at + np.uint64(4))
    if e.words[0]:
        connect_failed(e, k, connections, later, ledger, exchanges, errors, series, e.words[0], t)
    else:
        _opened(e, k, connections, ring, later, ledger, exchanges, errors, series, counts, moments, t)


@compiled
def _measure(e: Any, k: int, c: Any, x: Any, counts: Any, moments: Any, series: Any, trace: Any, t: int) -> None:
    """Count a response that was right. `trace` keeps single requests for as long as it has rows: connection, three times and
    exchange."""
    e.answered += 1
    if e.phase == WINDOW:
        c.passed_over = max(c.passed_over, e.completed - c.mark)
        e.completed += 1
        x.completed += 1
        c.completed += 1
        c.mark = e.completed
        step = step_at(e, series, t)
        series[0, step] += 1
        series[2, step] = max(series[2, step], t - c.intended_ns)
        if t - c.intended_ns > e.slow_ns:
            series[3, step] += 1
        if c.intended_ns < e.starts_ns:
            e.carried_in += 1
            e.carried_in_ns += t - max(c.sent_ns, e.starts_ns)
    elif e.phase == DRAIN and c.after == 0:
        e.pending -= 1
        e.drained += 1
        if c.intended_ns >= e.starts_ns:  # unanswered at the window's end, if it had been sent by then; and answered after all
            e.unanswered_ns -= max(e.ends_ns - c.sent_ns, 0)
            e.carried_out_ns += t - max(c.sent_ns, e.ends_ns)
    if e.phase != RAMP and c.intended_ns >= e.starts_ns and c.after == 0:
        if e.traced < len(trace):
            trace[e.traced, 0], trace[e.traced, 1], trace[e.traced, 2], trace[e.traced, 3] = k, c.intended_ns, c.sent_ns, t
            trace[e.traced, 4] = c.exchange
            e.traced += 1
        if c.intended_ns == c.sent_ns:
            record(counts, moments, PROMPT + x.rows, t - c.sent_ns)
        else:
            record(counts, moments, RESPONSE + x.rows, t - c.intended_ns)
            record(counts, moments, SERVICE + x.rows, t - c.sent_ns)
            record(counts, moments, SEND_LAG, c.sent_ns - c.intended_ns)


@compiled
def _go_on(
    e: Any, k: int, connections: Any, ring: Any, later: Any, retired: Any, ledger: Any, exchanges: Any, errors: Any,
    series: Any, closes: int, t: int,
) -> None:  # fmt: skip
    """After a response: the connection's next request, or its rest, or a new connection in its place."""
    c = connections[k]
    if c.state == SENDING:  # answered before all of the request was sent: what is left of it can't be another's beginning
        shut(c)
        closes = 1
        c.state = CLOSED
    elif closes:
        retire(e, c, retired)
        c.state = CLOSED
    else:
        c.state = READY
    if not goes_on(e) and (e.open == 0 or e.next_ns >= e.ends_ns):
        return
    if e.open == 0:
        if e.think_ns > 0:
            put_off(e, k, connections, later, e.think_ns, THINKING, t)
        elif closes:
            owe(e, c, exchanges, t)
            error = connect(e, k, connections, t)
            if error:
                connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)
        else:
            start(e, k, connections, later, ledger, exchanges, errors, series, L_THINKING, t, t)
    elif closes and e.keepalive:
        error = connect(e, k, connections, t)
        if error:
            connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)
    else:
        set_free(e, k, connections, ring)


@compiled
def _whole(
    e: Any, k: int, connections: Any, ring: Any, later: Any, retired: Any, ledger: Any, exchanges: Any, errors: Any,
    series: Any, counts: Any, moments: Any, trace: Any, buffer: Any, whole_bytes: int, t: int,
) -> None:  # fmt: skip
    """A response that the parser finished: is it the right one? `whole_bytes` is its length if it came in one piece, else 0."""
    c = connections[k]
    x = exchanges[c.exchange]
    e.fallbacks += 1
    put_on_wire(e, -1, t)
    right = c.status == x.expect_status or c.status == x.also_status
    if c.status == x.expect_status and x.body_known and c.offset != x.body_bytes and not x.bodiless:
        c.differs = 1
    if not right or (c.differs and c.status == x.expect_status):
        kind = WRONG_BODY if right else STATUS + min(c.status // 100, 5) - 1
        charge(e, c, L_FAILED, ledger, t)
        blame(e, c, kind, exchanges, errors, series, t)
    else:
        charge(e, c, L_COMPLETED, ledger, t)
        _measure(e, k, c, x, counts, moments, series, trace, t)
        if 0 < whole_bytes <= reader.TEMPLATE_LIMIT:
            libc.memcpy(x.template, buffer.ctypes.data, whole_bytes)
            x.template_bytes, x.template_closes = whole_bytes, c.closes
    _go_on(e, k, connections, ring, later, retired, ledger, exchanges, errors, series, c.closes or not e.keepalive, t)


@compiled
def read_response(
    e: Any, k: int, connections: Any, asides: Any, ring: Any, later: Any, retired: Any, ledger: Any, exchanges: Any,
    errors: Any, series: Any, counts: Any, moments: Any, trace: Any, bodies: Any, buffer: Any, pair: Any, gaps: Any,
) -> int:  # fmt: skip
    """Read what has come for the request under way. Returns the time of the last look at the clock."""
    c = connections[k]
    x = exchanges[c.exchange]
    while True:
        count = libc.recv(c.fd, buffer.ctypes.data, BUFFER_BYTES, 0)
        t = look(e, pair, gaps)
        if (
            count == x.template_bytes
            and c.stage == reader.HEAD
            and c.head == 0
            and libc.memcmp(buffer.ctypes.data, x.template, count) == 0
        ):
            put_on_wire(e, -1, t)
            charge(e, c, L_COMPLETED, ledger, t)
            _measure(e, k, c, x, counts, moments, series, trace, t)
            closes = x.template_closes or not e.keepalive
            _go_on(e, k, connections, ring, later, retired, ledger, exchanges, errors, series, closes, t)
            return t
        if count > 0:
            in_one_piece = c.stage == reader.HEAD and c.head == 0 and c.offset == 0
            body = bodies[x.body_at : x.body_at + x.body_bytes]
            outcome, at = reader.feed(c, buffer, 0, count, asides[k], body, x.body_known == 1, x.bodiless == 1)
            if outcome == reader.MALFORMED or (outcome == reader.WHOLE and at < count):
                request_failed(e, k, connections, later, ledger, exchanges, errors, series, MALFORMED, t)
                return t
            if outcome == reader.WHOLE:
                _whole(
                    e, k, connections, ring, later, retired, ledger, exchanges, errors, series, counts, moments, trace,
                    buffer, count if in_one_piece else 0, t,
                )  # fmt: skip
                return t
            if count < BUFFER_BYTES:
                return t
        elif count == 0:
            if c.stage == reader.UNTIL_CLOSE:
                _whole(
                    e, k, connections, ring, later, retired, ledger, exchanges, errors, series, counts, moments, trace,
                    buffer, 0, t,
                )  # fmt: skip
            else:
                request_failed(e, k, connections, later, ledger, exchanges, errors, series, CLOSED_EARLY, t)
            return t
        else:
            if libc.errno() != EAGAIN:
                request_failed(e, k, connections, later, ledger, exchanges, errors, series, RESET, t)
            return t


@compiled
def heard_unasked(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, buffer: Any, t: int
) -> None:
    """Something came on a connection with no request under way: its end, as a rule; bytes nobody asked for are malformed."""
    c = connections[k]
    count = libc.recv(c.fd, buffer.ctypes.data, BUFFER_BYTES, 0)
    if count < 0 and libc.errno() == EAGAIN:
        return
    if count > 0:
        count_stray(e, MALFORMED, errors, series, t)
    shut(c)
    if c.state == THINKING:
        return
    charge(e, c, L_THINKING, ledger, t)
    c.state, c.ringed = CLOSED, 0
    if goes_on(e):
        error = connect(e, k, connections, t)
        if error:
            connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)
