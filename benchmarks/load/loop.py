"""The load loop of one engine thread: closed or open, over epoll, compiled.

Closed loop: each connection sends its next request as soon as the last is answered, or after a think time. Open loop: requests
are due at times drawn beforehand, whatever the server does, and their response time counts from then; a request that is due
while no connection is free waits for one, and that wait is part of its response time (Schroeder, Wierman, Harchol-Balter,
"Open Versus Closed: A Cautionary Tale", NSDI 2006). Free connections are taken first in, first out.

Time is cut in three: the ramp, which is not counted; the window; the drain, in which nothing new is due and what was due in the
window may finish, arrivals that still wait for a connection included. A server that shares its time among requests would answer
these faster than the others, as fewer and fewer are left; so a drain may sustain the load. The requests made in it are in no
count, and have a drain of their own, after which the connections are as the next run wants them.

Busy polling (`epoll_wait` with no timeout) is the default: a generator that sleeps lets the server pay for waking halted cores.

Edge triggering asks for one thing here: look at a socket again after a response if its end of stream came with it. A batch
holds one event for each socket, and a socket is closed while its own event is handled or by its own deadline, so an event is
never about a socket that has come after.
"""

from typing import Any

import numpy as np

from benchmarks.load import libc
from benchmarks.load.background import begin_opening, count_open, end_opening, go_on_opening, service
from benchmarks.load.connections import (
    ETIMEDOUT,
    bury,
    connect,
    connect_failed,
    renew,
    request_failed,
    set_free,
    take_free,
)
from benchmarks.load.edges import arrive, begin_window, censor, draw_next, end_window, give_up, plan_arrivals, read_meters
from benchmarks.load.exchange import attempt_ended, heard_unasked, owe, read_response, start, write
from benchmarks.load.libc import compiled, now
from benchmarks.load.recorder import CENSORED, record
from benchmarks.load.state import (
    CLOSED,
    CONNECTING,
    DRAIN,
    GAP_NS,
    L_CONNECTING,
    L_THINKING,
    MAX_EVENTS,
    NEVER_NS,
    RAMP,
    READ_TIMEOUT,
    READY,
    RESET,
    SENDING,
    SETTLE,
    THINKING,
    WAITING,
    WINDOW,
    charge,
    goes_on,
    is_sustained,
    look,
)

_LONGEST_SLEEP_MS = 50
_BURST = 4  # requests sent before responses are looked for again: more would let those wait while the engine catches up


@compiled
def _dispatch(
    e: Any, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, counts: Any,
    moments: Any, pair: Any, gaps: Any, t: int,
) -> int:  # fmt: skip
    """Open loop: send what is due on the connections that are free, a few at a time. Returns how many were sent.

    The requests that are due and wait for a connection need no queue: they are the arrivals between `next_ns` and now.
    """
    started = 0
    while started < _BURST and e.next_ns <= t and (e.phase == RAMP or e.next_ns < e.ends_ns or is_sustained(e)):
        k = take_free(e, connections, ring)
        if k < 0:
            if e.give_up:
                give_up(e, exchanges, errors, series, counts, moments, t)
            break
        c = connections[k]
        intended: Any = np.int64(e.next_ns)
        c.exchange = e.next_exchange
        c.after = 1 if e.phase == DRAIN and intended >= e.ends_ns else 0
        draw_next(e, exchanges)
        started += 1
        t = look(e, pair, gaps)
        if e.phase == DRAIN and c.after == 0:
            e.pending += 1
        if e.phase != RAMP and intended >= e.starts_ns and c.after == 0:
            arrive(e, exchanges[c.exchange], counts, moments, intended, c.since_ns, t)
        if c.state == READY:
            start(e, k, connections, later, ledger, exchanges, errors, series, L_THINKING, intended, t)
        else:
            charge(e, c, L_THINKING, ledger, t)
            c.owes, c.intended_ns = 1, intended
            error = connect(e, k, connections, t)
            if error:
                connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)
    return started


@compiled
def _wake(
    e: Any, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, t: int
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
        if not goes_on(e):
            c.state = READY if c.fd >= 0 else CLOSED
        elif thinking and c.fd >= 0:
            start(e, k, connections, later, ledger, exchanges, errors, series, L_THINKING, c.due_ns, t)
        elif not thinking and e.open == 1 and e.keepalive == 0:
            charge(e, c, L_CONNECTING, ledger, t)
            c.state = CLOSED
            set_free(e, k, connections, ring)
        else:
            charge(e, c, L_THINKING if thinking else L_CONNECTING, ledger, t)
            if thinking:
                owe(e, c, exchanges, c.due_ns)
            error = connect(e, k, connections, t)
            if error:
                connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)
    return woken


@compiled
def _sweep(
    e: Any, connections: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, counts: Any, moments: Any,
    looks: int, t: int,
) -> None:  # fmt: skip
    """Find requests and attempts that took too long: a few connections at each turn, so that no turn is long."""
    for _ in range(min(looks, len(connections))):
        e.swept = (e.swept + 1) % len(connections)
        k = e.swept
        c = connections[k]
        if (c.state == WAITING or c.state == SENDING) and t - c.sent_ns > e.timeout_ns:
            if e.phase != RAMP and c.intended_ns >= e.starts_ns and c.after == 0:
                record(counts, moments, CENSORED + exchanges[c.exchange].rows, t - c.intended_ns)
            request_failed(e, k, connections, later, ledger, exchanges, errors, series, READ_TIMEOUT, t)
        elif c.state == CONNECTING and t - c.since_ns > e.connect_timeout_ns:
            connect_failed(e, k, connections, later, ledger, exchanges, errors, series, ETIMEDOUT, t)


@compiled
def _is_drained(e: Any) -> bool:
    """Whether nothing is under way any more: of all requests, or while the load is sustained, of those that the window made."""
    if is_sustained(e):
        return e.pending == 0 and (e.open == 0 or e.next_ns >= e.ends_ns)  # type: ignore[no-any-return]
    return e.in_flight == 0 and e.connecting == 0 and (e.open == 0 or e.next_ns >= e.ends_ns)  # type: ignore[no-any-return]


@compiled
def _nap_ms(e: Any, y: Any, connections: Any, later: Any, t: int) -> int:
    """How long epoll may sleep: whole milliseconds until something is due, so the last one is polled through."""
    until: Any = e.starts_ns if e.phase == RAMP else e.ends_ns if e.phase == WINDOW else e.until_ns
    if e.open == 1 and e.ring_count > 0 and (goes_on(e) or e.next_ns < e.ends_ns):
        until = min(until, np.int64(e.next_ns))
    if e.later_count > 0:
        until = min(until, connections[later[e.later_head]].due_ns)
    if e.open == 1 and e.give_up:
        until = min(until, np.int64(e.next_ns) + e.timeout_ns)
    until = min(until, y.due_ns)
    left_ms: int = (until - t) // 1_000_000
    return max(0, min(left_ms, _LONGEST_SLEEP_MS))


@compiled
def open_all(
    engine: Any, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, counts: Any,
    moments: Any, background_state: Any, background: Any, asides: Any, body: Any, buffer: Any, pair: Any, events: Any,
    control: Any, deadline_ns: int, burst: int,
) -> int:  # fmt: skip
    """Open every connection, `burst` at a time so as not to overrun the listener's queue. Returns how many could not be.

    The connections are READY afterwards, and free; an attempt that fails is not repeated. The background connections are
    opened between them, evenly, so that in the server's tables the descriptors of the load lie among theirs.
    """
    e, y = engine[0], background_state[0]
    e.phase, e.sustain = DRAIN, 0  # count errors, send nothing
    begun, started, opened, failed, t = 0, 0, 0, 0, now(pair)
    while control[0] == 0 and t < deadline_ns and (begun < len(connections) or e.connecting > 0 or opened < len(background)):
        while True:
            before = len(background) * begun // len(connections)  # background connections before the next of the load
            if begun < len(connections) and started >= before and e.connecting < burst:
                error = connect(e, begun, connections, now(pair))
                if error:
                    connect_failed(e, begun, connections, later, ledger, exchanges, errors, series, error, t)
                begun += 1
            elif started < before and started - opened < burst:
                begin_opening(e, y, background[started])
                started += 1
            else:
                break
        found = libc.epoll_wait(e.epoll, events.ctypes.data, MAX_EVENTS, 10 if opened == started else 1)
        t = now(pair)
        over = True
        for k in range(opened, started):
            over = go_on_opening(y, background[k], asides[k], body, buffer) and over
            if over:
                opened = k + 1
        for i in range(found):
            k = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            if connections[k].state == CONNECTING:
                attempt_ended(e, k, connections, ring, later, ledger, exchanges, errors, series, counts, moments, t)
    for k in range(opened, started):
        end_opening(y, background[k])
    y.refused += len(background) - started
    for k in range(len(connections)):
        if connections[k].state == CONNECTING:
            connect_failed(e, k, connections, later, ledger, exchanges, errors, series, ETIMEDOUT, t)
        if connections[k].state != READY:
            failed += 1
    return failed


@compiled
def _set_out(
    e: Any, connections: Any, ring: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, pair: Any,
    begins: int,
) -> None:  # fmt: skip
    """Put every connection to work: what is open sends or is free, the rest is opened."""
    t = begins
    for k in range(len(connections)):
        c = connections[k]
        c.since_ns = begins
        if e.open == 1 and (c.state == READY or e.keepalive == 0):
            set_free(e, k, connections, ring)
        elif c.state == READY:
            t = now(pair)
            start(e, k, connections, later, ledger, exchanges, errors, series, L_THINKING, t, t)
        else:
            if e.open == 0:
                owe(e, c, exchanges, t)
            error = connect(e, k, connections, t)
            if error:
                connect_failed(e, k, connections, later, ledger, exchanges, errors, series, error, t)


@compiled
def _stop(e: Any, times: int, t: int) -> bool:
    """Somebody wants it to end: the window ends now, and when asked again, the drain. True when all is over."""
    e.stops = times
    if e.phase == WINDOW:
        e.ends_ns = t
        return False
    if e.phase == RAMP:  # there was no window
        e.starts_ns = e.ends_ns = t
    return True


@compiled
def _hear(
    e: Any, k: int, flags: int, connections: Any, asides: Any, ring: Any, later: Any, retired: Any, ledger: Any, exchanges: Any,
    errors: Any, series: Any, counts: Any, moments: Any, trace: Any, bodies: Any, buffer: Any, pair: Any, gaps: Any, t: int,
) -> int:  # fmt: skip
    """An event of a connection. Returns the time of the last look at the clock."""
    c = connections[k]
    if c.state == SENDING and not write(exchanges[c.exchange], c):
        request_failed(e, k, connections, later, ledger, exchanges, errors, series, RESET, t)
    elif c.state == WAITING or c.state == SENDING:
        t = read_response(
            e, k, connections, asides, ring, later, retired, ledger, exchanges, errors, series, counts, moments, trace, bodies,
            buffer, pair, gaps,
        )  # fmt: skip
        if flags & libc.EPOLLRDHUP and c.fd >= 0:
            # The end of stream came with the response; there will be no other edge for it.
            if c.state == WAITING:
                t = read_response(
                    e, k, connections, asides, ring, later, retired, ledger, exchanges, errors, series, counts, moments, trace,
                    bodies, buffer, pair, gaps,
                )  # fmt: skip
            elif c.state == READY:
                heard_unasked(e, k, connections, later, ledger, exchanges, errors, series, buffer, t)
    elif c.state == CONNECTING:
        t = look(e, pair, gaps)
        attempt_ended(e, k, connections, ring, later, ledger, exchanges, errors, series, counts, moments, t)
    elif (c.state == READY or c.state == THINKING) and c.fd >= 0:
        heard_unasked(e, k, connections, later, ledger, exchanges, errors, series, buffer, t)
    return t


@compiled
def drive(
    engine: Any, connections: Any, asides: Any, ring: Any, later: Any, retired: Any, ledger: Any, exchanges: Any, errors: Any,
    series: Any, counts: Any, moments: Any, trace: Any, bodies: Any, buffer: Any, gaps: Any, background_state: Any,
    background: Any, background_asides: Any, clocks: Any, meters: Any, usage: Any, pair: Any, events: Any, control: Any,
    seed: int,
) -> None:  # fmt: skip
    """Drive the load from ramp to drain. `engine[0]` holds the plan, afterwards the counts; `control[0]` ends it early."""
    np.random.seed(seed)
    e, y = engine[0], background_state[0]
    e.phase = RAMP
    renew(e, connections, buffer)
    t = e.last_ns = now(pair)
    if e.starts_ns <= t:
        t = begin_window(e, clocks, meters, usage, pair)
    plan_arrivals(e, exchanges, t)
    if y.due_ns < NEVER_NS:
        y.due_ns = t
    _set_out(e, connections, ring, later, ledger, exchanges, errors, series, pair, t)
    worked, top = True, t
    while True:
        if control[0] > e.stops and _stop(e, control[0], t):
            break
        if e.phase == RAMP and t >= e.starts_ns:
            t = top = begin_window(e, clocks, meters, usage, pair)
            worked = True
        elif e.phase == WINDOW and t >= e.ends_ns:
            end_window(e, connections, ledger, exchanges, e.last_ns)
            read_meters(1, clocks, meters, usage, pair)
        elif e.phase >= DRAIN and (t >= e.until_ns or _is_drained(e)):
            if not is_sustained(e):
                break
            censor(e, connections, ring, exchanges, counts, moments, t)
            e.phase, e.until_ns = SETTLE, t + e.drain_ns
        nap = _nap_ms(e, y, connections, later, t) if e.sleepy else 0
        found = libc.epoll_wait(e.epoll, events.ctypes.data, MAX_EVENTS, nap)
        if nap > 0:
            e.last_ns = now(pair)
        t = look(e, pair, gaps)
        if not worked and e.phase == WINDOW:
            e.idle_ns += min(t - top, GAP_NS)
        top = t
        for i in range(found):
            k = events[i * libc.EVENT_WORDS + libc.EVENT_DATA]
            fd = events[i * libc.EVENT_WORDS + libc.EVENT_DATA + 1]
            if fd != connections[k].fd:
                bury(e, fd, retired)
                continue
            t = _hear(
                e, k, events[i * libc.EVENT_WORDS], connections, asides, ring, later, retired, ledger, exchanges, errors,
                series, counts, moments, trace, bodies, buffer, pair, gaps, t,
            )  # fmt: skip
        started = 0
        if e.open == 1 and e.next_ns <= t:
            started = _dispatch(e, connections, ring, later, ledger, exchanges, errors, series, counts, moments, pair, gaps, t)
            t = e.last_ns
        if e.later_count > 0:
            started += _wake(e, connections, ring, later, ledger, exchanges, errors, series, t)
        if t >= y.due_ns:
            service(e, y, background, background_asides, bodies[:0], buffer, t)
            started += 1
        _sweep(
            e, connections, later, ledger, exchanges, errors, series, counts, moments, 64 if found == 0 and nap > 0 else 1, t
        )
        worked = found > 0 or started > 0
    if e.phase != SETTLE:
        censor(e, connections, ring, exchanges, counts, moments, t)
    y.still = count_open(y, background, buffer)
