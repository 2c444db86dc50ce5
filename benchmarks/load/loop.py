"""The load loop of one engine thread: closed or open, over epoll, compiled.

Closed loop: each connection sends its next request as soon as the last is answered, or after a think time. Open loop: requests
are due at times drawn beforehand, whatever the server does, and their response time counts from then; a request that is due
while no connection is free waits for one, and that wait is part of its response time (Schroeder, Wierman, Harchol-Balter,
"Open Versus Closed: A Cautionary Tale", NSDI 2006). Free connections are taken first in, first out.

Time is cut in three: the ramp, which is not counted; the window; the drain, in which nothing new is due and what is under way
may finish. Busy polling (`epoll_wait` with no timeout) is the default: a generator that sleeps lets the server pay for waking a
halted core.

Sockets are registered once, edge-triggered for both directions, so a connection costs one epoll_ctl in its life. Edge
triggering asks two things of the code below: read until a response is whole or the kernel has no more, and look at a socket
again after a response if its end of stream came with it. A batch holds one event for each socket, and a socket is closed while
its own event is handled or by its own deadline, so an event is never about a socket that has come after.
"""

from typing import Any

import numpy as np

from benchmarks.load import libc, reader
from benchmarks.load.libc import compiled, now, read_clock
from benchmarks.load.recorder import CENSORED, CONNECT, PROMPT, RESPONSE, SEND_LAG, SERVICE, record

CLOSED, CONNECTING, READY, SENDING, WAITING, THINKING, PAUSED = range(7)  # states of a connection
RAMP, WINDOW, DRAIN = range(3)

ERROR_KINDS = (
    "connect_refused",
    "connect_timeout",
    "connect_failed",
    "reset",
    "closed_early",
    "read_timeout",
    "malformed",
    "wrong_body",
    "status_1xx",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
)
(_REFUSED, _CONNECT_TIMEOUT, _CONNECT_FAILED, _RESET, _CLOSED_EARLY, _READ_TIMEOUT, _MALFORMED, _WRONG_BODY, _STATUS) = range(9)
LEDGER = ("completed_ns", "failed_ns", "residual_ns", "thinking_ns", "connecting_ns")
_L_COMPLETED, _L_FAILED, _L_RESIDUAL, _L_THINKING, _L_CONNECTING = range(5)

MAX_EVENTS = 64
BUFFER_BYTES = 262144
GAP_NS = 40_000  # pauses of this loop that are worth writing down
MAX_GAPS = 20_000
STEP_NS = 100_000_000  # of the series
_PAUSE_NS = 10_000_000  # before a connection that failed is opened again
_LONGEST_SLEEP_MS = 50
_BURST = 4  # requests sent before responses are looked for again: more would let those wait while the engine catches up
_EAGAIN, _EINPROGRESS, _ECONNREFUSED, _ETIMEDOUT = 11, 115, 111, 110

ENGINE = np.dtype(
    [
        # what to do
        ("epoll", np.int32),
        ("family", np.int32),
        ("address", np.uint64),  # of struct sockaddr
        ("address_bytes", np.int32),
        ("request", np.uint64),  # the address of the request's bytes
        ("request_bytes", np.int64),
        ("expect_status", np.int32),
        ("body_known", np.int32),
        ("bodiless", np.int32),
        ("open", np.int32),
        ("poisson", np.int32),
        ("keepalive", np.int32),
        ("sleepy", np.int32),
        ("interval_ns", np.float64),
        ("think_ns", np.int64),
        ("timeout_ns", np.int64),
        ("connect_timeout_ns", np.int64),
        ("drain_ns", np.int64),
        # where it stands
        ("phase", np.int32),
        ("next_ns", np.float64),  # the next arrival
        ("starts_ns", np.int64),  # the window's edges, first as planned, then as they were
        ("ends_ns", np.int64),
        ("last_ns", np.int64),  # the last look at the clock
        ("template_bytes", np.int64),
        ("template_closes", np.int32),
        ("in_flight", np.int64),
        ("connecting", np.int64),
        ("ring_head", np.int64),
        ("ring_count", np.int64),
        ("later_head", np.int64),
        ("later_count", np.int64),
        ("retired_count", np.int64),
        ("swept", np.int64),
        # what it saw
        ("intended", np.int64),
        ("completed", np.int64),
        ("answered", np.int64),
        ("in_flight_at_end", np.int64),
        ("drained", np.int64),
        ("unfinished", np.int64),
        ("opened", np.int64),
        ("fallbacks", np.int64),
        ("gap_count", np.int64),
        ("gaps_lost", np.int64),
        ("idle_ns", np.int64),
        ("traced", np.int64),
        # scratch for system calls: where it is, and four words
        ("words_at", np.uint64),
        ("words", np.int32, (4,)),
        ("error_number", np.int32),  # the errno of the last connection that failed
    ],
    align=True,
)


@compiled
def _look(e: Any, pair: Any, gaps: Any) -> int:
    """The time, and a note when too much of it has passed since the last look."""
    t = now(pair)
    if t - e.last_ns > GAP_NS and e.phase == WINDOW:
        if e.gap_count < len(gaps):
            gaps[e.gap_count, 0] = e.last_ns
            gaps[e.gap_count, 1] = t - e.last_ns
            e.gap_count += 1
        else:
            e.gaps_lost += 1
    e.last_ns = t
    return t  # type: ignore[no-any-return]


@compiled
def _charge(e: Any, c: Any, account: int, ledger: Any, t: int) -> None:
    """The connection leaves its state: the time spent in it, as far as it lies in the window, goes to an account."""
    if e.phase == WINDOW:
        ledger[account] += t - max(c.since_ns, e.starts_ns)
    c.since_ns = t


@compiled
def _count_error(e: Any, kind: int, errors: Any, series: Any, t: int) -> None:
    """One failure, counted from the window's start to the end of the drain."""
    if e.phase != RAMP:
        errors[kind] += 1
    if e.phase == WINDOW:
        series[1, min((t - e.starts_ns) // STEP_NS, series.shape[1] - 1)] += 1


@compiled
def _shut(c: Any) -> None:
    """Close the connection's socket, if it has one."""
    if c.fd >= 0:
        libc.close(c.fd)
        c.fd = -1


@compiled
def _retire(e: Any, c: Any, retired: Any) -> None:
    """Take leave of a connection whose last response has come: the server, who said that it ends, shall close it first.

    Whoever closes first keeps the port in TIME_WAIT for a minute. A client that does so runs out of ports, and long before
    that the kernel spends its time looking for a free one.
    """
    if e.retired_count == len(retired):
        libc.close(c.fd)
    else:
        retired[e.retired_count] = c.fd
        e.retired_count += 1
    c.fd = -1


@compiled
def _bury(e: Any, fd: int, retired: Any) -> None:
    """A retired connection's event: the server has closed it."""
    for i in range(e.retired_count):
        if retired[i] == fd:
            e.retired_count -= 1
            retired[i] = retired[e.retired_count]
            libc.close(fd)
            return


@compiled
def _set_free(e: Any, k: int, connections: Any, ring: Any) -> None:
    """Append a connection to the ring of free ones (open loop)."""
    if connections[k].ringed == 0:
        connections[k].ringed = 1
        ring[(e.ring_head + e.ring_count) % len(ring)] = k
        e.ring_count += 1


@compiled
def _put_off(e: Any, k: int, connections: Any, later: Any, delay_ns: int, state: int, t: int) -> None:
    """Let a connection rest. Pauses and think times are each of one length, and a run has one kind or short pauses."""
    connections[k].state = state
    connections[k].due_ns = t + delay_ns
    at = e.later_count
    # Kept in order of due time: almost always the new one is the last.
    while at > 0 and connections[later[(e.later_head + at - 1) % len(later)]].due_ns > t + delay_ns:
        later[(e.later_head + at) % len(later)] = later[(e.later_head + at - 1) % len(later)]
        at -= 1
    later[(e.later_head + at) % len(later)] = k
    e.later_count += 1


@compiled
def _connect(e: Any, k: int, connections: Any, t: int) -> int:
    """Open a connection, without waiting: 0, or the errno of what failed at once."""
    c = connections[k]
    c.since_ns = t
    c.state = CONNECTING
    e.connecting += 1
    fd = libc.socket_(e.family, libc.SOCKET_TYPE, 0)
    if fd < 0:
        return libc.errno()  # type: ignore[no-any-return]
    c.fd = fd
    e.words[0] = 1
    libc.setsockopt(fd, libc.IPPROTO_TCP, libc.TCP_NODELAY, e.words_at, 4)
    if libc.connect(fd, e.address, e.address_bytes) != 0:
        error = libc.errno()
        if error != _EINPROGRESS:
            return error  # type: ignore[no-any-return]
    e.words[0] = libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLRDHUP | libc.EPOLLET
    e.words[libc.EVENT_DATA] = k
    e.words[libc.EVENT_DATA + 1] = fd
    if libc.epoll_ctl(e.epoll, libc.EPOLL_CTL_ADD, fd, e.words_at) != 0:
        return libc.errno()  # type: ignore[no-any-return]
    return 0


@compiled
def _connect_failed(e: Any, k: int, connections: Any, later: Any, ledger: Any, errors: Any, series: Any, number: int, t: int) -> None:
    """A connection could not be opened: say why, and try again after a pause. The request it was for is lost with it."""
    c = connections[k]
    _charge(e, c, _L_CONNECTING, ledger, t)
    _shut(c)
    e.connecting -= 1
    e.error_number = number
    kind = _REFUSED if number == _ECONNREFUSED else _CONNECT_TIMEOUT if number == _ETIMEDOUT else _CONNECT_FAILED
    _count_error(e, kind, errors, series, t)
    c.owes = 0
    _put_off(e, k, connections, later, _PAUSE_NS, PAUSED, t)


@compiled
def _request_failed(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, errors: Any, series: Any, kind: int, t: int
) -> None:
    """The request under way failed and takes its connection with it."""
    c = connections[k]
    _charge(e, c, _L_FAILED, ledger, t)
    _shut(c)
    e.in_flight -= 1
    _count_error(e, kind, errors, series, t)
    _put_off(e, k, connections, later, _PAUSE_NS, PAUSED, t)


@compiled
def _write(e: Any, c: Any) -> bool:
    """Write what is left of the request; False if the connection is gone."""
    count = libc.send(c.fd, e.request + np.uint64(c.written), e.request_bytes - c.written, libc.MSG_NOSIGNAL)
    if count < 0:
        if libc.errno() != _EAGAIN:
            return False
        count = 0
    c.written += count
    c.state = WAITING if c.written == e.request_bytes else SENDING
    return True


@compiled
def _start(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, errors: Any, series: Any, account: int, intended: int, t: int
) -> None:
    """Send a request on an open connection. `account` is where the time until now goes."""
    c = connections[k]
    _charge(e, c, account, ledger, t)
    c.intended_ns, c.sent_ns, c.written, c.owes = intended, t, 0, 0
    reader.begin(c)
    e.in_flight += 1
    if e.open == 0 and e.phase == WINDOW:
        e.intended += 1
    if not _write(e, c):
        _request_failed(e, k, connections, later, ledger, errors, series, _RESET, t)


@compiled
def _opened(
    e: Any, k: int, connections: Any, ring: Any, later: Any, ledger: Any, errors: Any, series: Any, counts: Any, moments: Any, t: int
) -> None:
    """A connection is open: send the request that waits for it, or the first of a closed loop, or set it free."""
    c = connections[k]
    e.connecting -= 1
    e.opened += 1
    record(counts, moments, CONNECT, t - c.since_ns)
    if c.owes == 1:
        _start(e, k, connections, later, ledger, errors, series, _L_CONNECTING, c.intended_ns, t)
    elif e.open == 0 and e.phase != DRAIN:
        _start(e, k, connections, later, ledger, errors, series, _L_CONNECTING, t, t)
    else:
        _charge(e, c, _L_CONNECTING, ledger, t)
        c.state = READY
        _set_free(e, k, connections, ring)


@compiled
def _measure(e: Any, k: int, c: Any, counts: Any, moments: Any, series: Any, trace: Any, t: int) -> None:
    """Count a response that was right. `trace` keeps single requests for as long as it has rows: connection and three times."""
    e.answered += 1
    if e.phase == WINDOW:
        e.completed += 1
        c.completed += 1
        step = min((t - e.starts_ns) // STEP_NS, series.shape[1] - 1)
        series[0, step] += 1
        series[2, step] = max(series[2, step], t - c.intended_ns)
    elif e.phase == DRAIN:
        e.drained += 1
    if e.phase != RAMP and c.intended_ns >= e.starts_ns:
        if e.traced < len(trace):
            trace[e.traced, 0], trace[e.traced, 1], trace[e.traced, 2], trace[e.traced, 3] = k, c.intended_ns, c.sent_ns, t
            e.traced += 1
        if c.intended_ns == c.sent_ns:
            record(counts, moments, PROMPT, t - c.sent_ns)
        else:
            record(counts, moments, RESPONSE, t - c.intended_ns)
            record(counts, moments, SERVICE, t - c.sent_ns)
            record(counts, moments, SEND_LAG, c.sent_ns - c.intended_ns)


@compiled
def _go_on(
    e: Any, k: int, connections: Any, ring: Any, later: Any, retired: Any, ledger: Any, errors: Any, series: Any, closes: int, t: int
) -> None:
    """After a response: the connection's next request, or its rest, or a new connection in its place."""
    c = connections[k]
    if closes:
        _retire(e, c, retired)
        c.state = CLOSED
    else:
        c.state = READY
    if e.phase == DRAIN:
        return
    if e.open == 0:
        if e.think_ns > 0:
            _put_off(e, k, connections, later, e.think_ns, THINKING, t)
        elif closes:
            c.owes, c.intended_ns = 1, t
            error = _connect(e, k, connections, t)
            if error:
                _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
        else:
            _start(e, k, connections, later, ledger, errors, series, _L_THINKING, t, t)
    elif closes and e.keepalive:
        error = _connect(e, k, connections, t)
        if error:
            _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
    else:
        _set_free(e, k, connections, ring)


@compiled
def _whole(
    e: Any, k: int, connections: Any, ring: Any, later: Any, retired: Any, ledger: Any, errors: Any, series: Any, counts: Any,
    moments: Any, trace: Any, body: Any, template: Any, buffer: Any, whole_bytes: int, t: int,
) -> None:  # fmt: skip
    """A response that the parser finished: is it the right one? `whole_bytes` is its length if it came in one piece, else 0."""
    c = connections[k]
    e.fallbacks += 1
    e.in_flight -= 1
    if e.body_known and c.offset != len(body) and not e.bodiless:
        c.differs = 1
    if c.status != e.expect_status or c.differs:
        kind = _WRONG_BODY if c.status == e.expect_status else _STATUS + min(c.status // 100, 5) - 1
        _charge(e, c, _L_FAILED, ledger, t)
        _count_error(e, kind, errors, series, t)
    else:
        _charge(e, c, _L_COMPLETED, ledger, t)
        _measure(e, k, c, counts, moments, series, trace, t)
        if 0 < whole_bytes <= len(template):
            libc.memcpy(template.ctypes.data, buffer.ctypes.data, whole_bytes)
            e.template_bytes, e.template_closes = whole_bytes, c.closes
    _go_on(e, k, connections, ring, later, retired, ledger, errors, series, c.closes or not e.keepalive, t)


@compiled
def _response(
    e: Any, k: int, connections: Any, asides: Any, ring: Any, later: Any, retired: Any, ledger: Any, errors: Any, series: Any,
    counts: Any, moments: Any, trace: Any, body: Any, template: Any, buffer: Any, pair: Any, gaps: Any,
) -> int:  # fmt: skip
    """Read what has come for the request under way. Returns the time of the last look at the clock."""
    c = connections[k]
    while True:
        count = libc.recv(c.fd, buffer.ctypes.data, BUFFER_BYTES, 0)
        t = _look(e, pair, gaps)
        if (
            count == e.template_bytes
            and c.stage == reader.HEAD
            and c.head == 0
            and libc.memcmp(buffer.ctypes.data, template.ctypes.data, count) == 0
        ):
            e.in_flight -= 1
            _charge(e, c, _L_COMPLETED, ledger, t)
            _measure(e, k, c, counts, moments, series, trace, t)
            _go_on(e, k, connections, ring, later, retired, ledger, errors, series, e.template_closes or not e.keepalive, t)
            return t  # type: ignore[no-any-return]
        if count > 0:
            in_one_piece = c.stage == reader.HEAD and c.head == 0 and c.offset == 0
            outcome, at = reader.feed(c, buffer, 0, count, asides[k], body, e.body_known == 1, e.bodiless == 1)
            if outcome == reader.MALFORMED or (outcome == reader.WHOLE and at < count):
                _request_failed(e, k, connections, later, ledger, errors, series, _MALFORMED, t)
                return t  # type: ignore[no-any-return]
            if outcome == reader.WHOLE:
                _whole(e, k, connections, ring, later, retired, ledger, errors, series, counts, moments, trace, body, template, buffer,
                       count if in_one_piece else 0, t)  # fmt: skip
                return t  # type: ignore[no-any-return]
            if count < BUFFER_BYTES:
                return t  # type: ignore[no-any-return]
        elif count == 0:
            if c.stage == reader.UNTIL_CLOSE:
                _whole(e, k, connections, ring, later, retired, ledger, errors, series, counts, moments, trace, body, template, buffer, 0, t)
            else:
                _request_failed(e, k, connections, later, ledger, errors, series, _CLOSED_EARLY, t)
            return t  # type: ignore[no-any-return]
        else:
            if libc.errno() != _EAGAIN:
                _request_failed(e, k, connections, later, ledger, errors, series, _RESET, t)
            return t  # type: ignore[no-any-return]


@compiled
def _quiet(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, errors: Any, series: Any, buffer: Any, t: int
) -> None:
    """Something came on a connection with no request under way: its end, as a rule; bytes nobody asked for are malformed."""
    c = connections[k]
    count = libc.recv(c.fd, buffer.ctypes.data, BUFFER_BYTES, 0)
    if count < 0 and libc.errno() == _EAGAIN:
        return
    if count > 0:
        _count_error(e, _MALFORMED, errors, series, t)
    _shut(c)
    if c.state == THINKING:
        return
    _charge(e, c, _L_THINKING, ledger, t)
    c.state = CLOSED
    if e.phase != DRAIN:
        error = _connect(e, k, connections, t)
        if error:
            _connect_failed(e, k, connections, later, ledger, errors, series, error, t)


@compiled
def _connecting(
    e: Any, k: int, connections: Any, ring: Any, later: Any, ledger: Any, errors: Any, series: Any, counts: Any, moments: Any, t: int
) -> None:
    """An attempt to connect has ended."""
    c = connections[k]
    e.words[0], e.words[1] = 0, 4
    libc.getsockopt(c.fd, libc.SOL_SOCKET, libc.SO_ERROR, e.words_at, e.words_at + np.uint64(4))
    if e.words[0]:
        _connect_failed(e, k, connections, later, ledger, errors, series, e.words[0], t)
    else:
        _opened(e, k, connections, ring, later, ledger, errors, series, counts, moments, t)


@compiled
def _dispatch(
    e: Any, connections: Any, ring: Any, later: Any, ledger: Any, errors: Any, series: Any, pair: Any, gaps: Any, t: int
) -> int:
    """Open loop: send what is due on the connections that are free, a few at a time. Returns how many were sent.

    The requests that are due and wait for a connection need no queue: they are the arrivals between `next_ns` and now.
    """
    started = 0
    while started < _BURST and e.ring_count > 0 and e.next_ns <= t and (e.phase == RAMP or e.next_ns < e.ends_ns):
        k = ring[e.ring_head]
        e.ring_head = (e.ring_head + 1) % len(ring)
        e.ring_count -= 1
        c = connections[k]
        c.ringed = 0
        if c.state != READY and not (c.state == CLOSED and e.keepalive == 0):
            continue  # it was closed while it stood in the ring, and comes back once it is open again
        intended = np.int64(e.next_ns)
        e.next_ns += e.interval_ns * (-np.log(1.0 - np.random.random()) if e.poisson else 1.0)
        if e.phase != RAMP and intended >= e.starts_ns:
            e.intended += 1
        started += 1
        t = _look(e, pair, gaps)
        if c.state == READY:
            _start(e, k, connections, later, ledger, errors, series, _L_THINKING, intended, t)
        else:
            _charge(e, c, _L_THINKING, ledger, t)
            c.owes, c.intended_ns = 1, intended
            error = _connect(e, k, connections, t)
            if error:
                _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
    return started


@compiled
def _wake(
    e: Any, connections: Any, ring: Any, later: Any, ledger: Any, errors: Any, series: Any, t: int
) -> int:
    """End the pauses and think times that are over. Returns how many there were."""
    woken = 0
    while e.later_count > 0 and connections[later[e.later_head]].due_ns <= t:
        k = later[e.later_head]
        e.later_head = (e.later_head + 1) % len(later)
        e.later_count -= 1
        woken += 1
        c = connections[k]
        thinking = c.state == THINKING
        if e.phase == DRAIN:
            c.state = READY if c.fd >= 0 else CLOSED
        elif thinking and c.fd >= 0:
            _start(e, k, connections, later, ledger, errors, series, _L_THINKING, c.due_ns, t)
        elif not thinking and e.open == 1 and e.keepalive == 0:
            _charge(e, c, _L_CONNECTING, ledger, t)
            c.state = CLOSED
            _set_free(e, k, connections, ring)
        else:
            _charge(e, c, _L_THINKING if thinking else _L_CONNECTING, ledger, t)
            if thinking:
                c.owes, c.intended_ns = 1, c.due_ns
            error = _connect(e, k, connections, t)
            if error:
                _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
    return woken


@compiled
def _sweep(
    e: Any, connections: Any, later: Any, ledger: Any, errors: Any, series: Any, counts: Any, moments: Any, looks: int, t: int
) -> None:
    """Find requests and attempts that took too long: a few connections at each turn, so that no turn is long."""
    for _ in range(min(looks, len(connections))):
        e.swept = (e.swept + 1) % len(connections)
        k = e.swept
        c = connections[k]
        if (c.state == WAITING or c.state == SENDING) and t - c.sent_ns > e.timeout_ns:
            if e.phase != RAMP:
                record(counts, moments, CENSORED, t - c.intended_ns)
            _request_failed(e, k, connections, later, ledger, errors, series, _READ_TIMEOUT, t)
        elif c.state == CONNECTING and t - c.since_ns > e.connect_timeout_ns:
            _connect_failed(e, k, connections, later, ledger, errors, series, _ETIMEDOUT, t)


@compiled
def _read_meters(edge: int, clocks: Any, meters: Any, usage: Any, pair: Any) -> None:
    """The CPU clocks of the watched processes and this thread's own bill, at an edge of the window."""
    for i in range(clocks.shape[0]):
        for j in range(clocks.shape[1]):
            meters[edge, i, j] = read_clock(clocks[i, j], pair)
    libc.getrusage(libc.RUSAGE_THREAD, usage[edge].ctypes.data)
    usage[edge, libc.RUSAGE_WORDS] = read_clock(libc.CLOCK_THREAD_CPUTIME, pair)


@compiled
def _begin_window(e: Any, clocks: Any, meters: Any, usage: Any, pair: Any) -> int:
    """The window begins now, whenever it was planned, and keeps its length."""
    _read_meters(0, clocks, meters, usage, pair)
    t = now(pair)
    e.ends_ns = t + e.ends_ns - e.starts_ns
    e.starts_ns, e.last_ns, e.phase = t, t, WINDOW
    return t  # type: ignore[no-any-return]


@compiled
def _end_window(e: Any, connections: Any, ledger: Any, t: int) -> None:
    """The window is over: what every connection was doing is charged up to here."""
    for k in range(len(connections)):
        c = connections[k]
        if c.state == WAITING or c.state == SENDING:
            e.in_flight_at_end += 1
            _charge(e, c, _L_RESIDUAL, ledger, t)
        elif c.state == CONNECTING or c.state == PAUSED:
            _charge(e, c, _L_CONNECTING, ledger, t)
        else:
            _charge(e, c, _L_THINKING, ledger, t)
    e.ends_ns = t
    e.phase = DRAIN


@compiled
def _censor(e: Any, connections: Any, counts: Any, moments: Any, t: int) -> None:
    """What was never answered counts with its age: requests on connections, then arrivals that never got one."""
    for k in range(len(connections)):
        c = connections[k]
        if c.state == WAITING or c.state == SENDING or (c.state == CONNECTING and c.owes):
            e.unfinished += 1
            record(counts, moments, CENSORED, t - c.intended_ns)
    while e.open == 1 and e.next_ns < e.ends_ns:
        if e.next_ns >= e.starts_ns:
            e.intended += 1
            e.unfinished += 1
            record(counts, moments, CENSORED, t - np.int64(e.next_ns))
        e.next_ns += e.interval_ns * (-np.log(1.0 - np.random.random()) if e.poisson else 1.0)


@compiled
def _nap_ms(e: Any, connections: Any, later: Any, t: int) -> int:
    """How long epoll may sleep: whole milliseconds until something is due, so the last one is polled through."""
    until = e.starts_ns if e.phase == RAMP else e.ends_ns if e.phase == WINDOW else e.ends_ns + e.drain_ns
    if e.open == 1 and e.ring_count > 0:
        until = min(until, np.int64(e.next_ns))
    if e.later_count > 0:
        until = min(until, connections[later[e.later_head]].due_ns)
    return max(0, min((until - t) // 1_000_000, _LONGEST_SLEEP_MS))


@compiled
def open_all(
    engine: Any, connections: Any, ring: Any, later: Any, ledger: Any, errors: Any, series: Any, counts: Any, moments: Any,
    buffer: Any, pair: Any, events: Any, control: Any, deadline_ns: int, burst: int,
) -> int:  # fmt: skip
    """Open every connection, `burst` at a time so as not to overrun the listener's queue. Returns how many could not be.

    The connections are READY afterwards, and free; an attempt that fails is not repeated.
    """
    e = engine[0]
    e.phase = DRAIN  # count errors, send nothing
    begun, failed, t = 0, 0, now(pair)
    while control[0] == 0 and t < deadline_ns and (begun < len(connections) or e.connecting > 0):
        while begun < len(connections) and e.connecting < burst:
            error = _connect(e, begun, connections, now(pair))
            if error:
                _connect_failed(e, begun, connections, later, ledger, errors, series, error, t)
            begun += 1
        found = libc.epoll_wait(e.epoll, events.ctypes.data, MAX_EVENTS, 10)
        t = now(pair)
        for i in range(found):
            k = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            if connections[k].state == CONNECTING:
                _connecting(e, k, connections, ring, later, ledger, errors, series, counts, moments, t)
    for k in range(len(connections)):
        if connections[k].state == CONNECTING:
            _connect_failed(e, k, connections, later, ledger, errors, series, _ETIMEDOUT, t)
        if connections[k].state != READY:
            failed += 1
    return failed


@compiled
def drive(
    engine: Any, connections: Any, asides: Any, ring: Any, later: Any, retired: Any, ledger: Any, errors: Any, series: Any,
    counts: Any, moments: Any, trace: Any, body: Any, template: Any, buffer: Any, gaps: Any, clocks: Any, meters: Any, usage: Any, pair: Any, events: Any, control: Any, seed: int,
) -> None:  # fmt: skip
    """Drive the load from ramp to drain. `engine[0]` holds the plan and afterwards the counts; `control[0]` set ends it early."""
    np.random.seed(seed)
    e = engine[0]
    e.phase = RAMP
    t = now(pair)
    e.last_ns = t
    if e.starts_ns <= t:
        t = _begin_window(e, clocks, meters, usage, pair)
    e.next_ns += t  # the first arrival is planned from here
    begins = t
    for k in range(len(connections)):
        connections[k].since_ns = begins
        if connections[k].state != READY:  # it could not be opened before
            connections[k].state = CLOSED
        if e.open == 0:
            if connections[k].state == READY:
                t = now(pair)
                _start(e, k, connections, later, ledger, errors, series, _L_THINKING, t, t)
            elif connections[k].state == CLOSED:
                connections[k].owes, connections[k].intended_ns = 1, t
                error = _connect(e, k, connections, t)
                if error:
                    _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
        elif connections[k].state == READY or e.keepalive == 0:
            _set_free(e, k, connections, ring)
        else:
            error = _connect(e, k, connections, t)
            if error:
                _connect_failed(e, k, connections, later, ledger, errors, series, error, t)
    worked = True
    top = t
    while True:
        if e.phase == RAMP and t >= e.starts_ns:
            t = top = _begin_window(e, clocks, meters, usage, pair)
            worked = True
        elif e.phase == WINDOW and t >= e.ends_ns:
            _end_window(e, connections, ledger, t)
            _read_meters(1, clocks, meters, usage, pair)
        elif e.phase == DRAIN and (
            t >= e.ends_ns + e.drain_ns or (e.in_flight == 0 and (e.open == 0 or e.next_ns >= e.ends_ns))
        ):
            break
        if control[0] != 0:
            if e.phase == RAMP:
                break
            if e.phase == WINDOW:
                e.ends_ns = t
                control[0] = 2
                continue
            break
        nap = _nap_ms(e, connections, later, t) if e.sleepy else 0
        found = libc.epoll_wait(e.epoll, events.ctypes.data, MAX_EVENTS, nap)
        if nap > 0:
            e.last_ns = now(pair)
        t = _look(e, pair, gaps)
        if not worked and e.phase == WINDOW:
            e.idle_ns += min(t - top, GAP_NS)
        top = t
        for i in range(found):
            k = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            fd = events[i * libc.EVENT_WORDS + libc.EVENT_DATA + 1]
            if fd != connections[k].fd:
                _bury(e, fd, retired)
                continue
            state = connections[k].state
            if state == SENDING:
                if not _write(e, connections[k]):
                    _request_failed(e, k, connections, later, ledger, errors, series, _RESET, t)
                state = connections[k].state
            if state == WAITING or state == SENDING:
                t = _response(e, k, connections, asides, ring, later, retired, ledger, errors, series, counts, moments, trace, body, template,
                              buffer, pair, gaps)  # fmt: skip
                if events[i * libc.EVENT_WORDS] & libc.EPOLLRDHUP and connections[k].fd >= 0:
                    # The end of stream came with the response; there will be no other edge for it.
                    if connections[k].state == WAITING:
                        t = _response(e, k, connections, asides, ring, later, retired, ledger, errors, series, counts, moments, trace, body,
                                      template, buffer, pair, gaps)  # fmt: skip
                    elif connections[k].state == READY:
                        _quiet(e, k, connections, later, ledger, errors, series, buffer, t)
            elif state == CONNECTING:
                t = _look(e, pair, gaps)
                _connecting(e, k, connections, ring, later, ledger, errors, series, counts, moments, t)
            elif state == READY or state == THINKING:
                if connections[k].fd >= 0:
                    _quiet(e, k, connections, later, ledger, errors, series, buffer, t)
        started = 0
        if e.open == 1 and e.next_ns <= t:
            started = _dispatch(e, connections, ring, later, ledger, errors, series, pair, gaps, t)
        if e.later_count > 0:
            started += _wake(e, connections, ring, later, ledger, errors, series, t)
        _sweep(e, connections, later, ledger, errors, series, counts, moments, 64 if found == 0 and nap > 0 else 1, t)
        worked = found > 0 or started > 0
    _censor(e, connections, counts, moments, t)
