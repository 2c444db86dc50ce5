"""The window's edges, and what is due in it: begin, end, and what was never answered.

Whatever is counted from edge to edge is set right here, so that the sums hold to the nanosecond: a request that an edge cuts in
two is parted between the window and what lies outside.

Arrivals come on a clock of their own, which can stand still: in the off periods of an interrupted Poisson process (A. Kuczura,
"The Interrupted Poisson Process as an Overflow Process", Bell System Technical Journal 52(3), 1973; his periods are of random
length, these are fixed, so that every model meets the same bursts). The rest of the time is mapped to it one to one.
"""

from typing import Any

import numpy as np

from benchmarks.load import libc
from benchmarks.load.connections import take_free
from benchmarks.load.libc import compiled, now, read_clock
from benchmarks.load.recorder import CENSORED, OWN_LAG, record
from benchmarks.load.state import (
    CONNECTING,
    DRAIN,
    GAVE_UP,
    L_CONNECTING,
    L_RESIDUAL,
    L_THINKING,
    PAUSED,
    RAMP,
    SENDING,
    WAITING,
    WINDOW,
    count_error,
    is_sustained,
    put_on_wire,
)


@compiled
def on_time(wall_ns: float, on_ns: float, off_ns: float) -> float:
    """How much of the time up to `wall_ns` lay in on periods. Time 0 is the start of one; there may be time before it."""
    if off_ns <= 0.0:
        return wall_ns
    periods = np.floor(wall_ns / (on_ns + off_ns))
    return periods * on_ns + min(wall_ns - periods * (on_ns + off_ns), on_ns)  # type: ignore[no-any-return]


@compiled
def wall_time(clock_ns: float, on_ns: float, off_ns: float) -> float:
    """The inverse: when so much on-time has passed. What falls on a border is the first moment of the next on period."""
    if off_ns <= 0.0:
        return clock_ns
    return clock_ns + np.floor(clock_ns / on_ns) * off_ns  # type: ignore[no-any-return]


@compiled
def draw_exchange(exchanges: Any) -> int:
    """One of the exchanges, by weight: the first whose `upto` is above a random number. With only one, nothing is drawn."""
    low, high = 0, len(exchanges) - 1
    if high > 0:
        drawn = np.random.random()
        while low < high:
            middle = (low + high) // 2
            if drawn < exchanges[middle].upto:
                high = middle
            else:
                low = middle + 1
    return low


@compiled
def plan_arrivals(e: Any, exchanges: Any, t: int) -> None:
    """Set the arrivals' clock at the start of a run, and draw the first. An on period begins with the window, as planned."""
    first_ns = e.next_ns  # after the start, on the arrivals' clock
    e.clock_zero_ns = e.starts_ns
    e.clock_ns = on_time(t - e.clock_zero_ns, e.on_ns, e.off_ns) + first_ns
    e.then_clock_ns = on_time(np.float64(e.then_ns), e.on_ns, e.off_ns)
    e.next_ns = e.clock_zero_ns + wall_time(e.clock_ns, e.on_ns, e.off_ns)
    if e.open == 1:
        e.next_exchange = draw_exchange(exchanges)


@compiled
def draw_next(e: Any, exchanges: Any) -> None:
    """When the arrival after the next one is due, and what it asks: one draw each, in the order of arrivals, so that a seed
    gives the same sequence whatever the server does. The gap that the second rate begins in is stretched from there."""
    clock = e.clock_ns + e.interval_ns * (-np.log(1.0 - np.random.random()) if e.poisson else 1.0)
    if clock > e.then_clock_ns:
        clock = e.then_clock_ns + (clock - e.then_clock_ns) * (e.then_interval_ns / e.interval_ns)
        e.interval_ns, e.then_clock_ns = e.then_interval_ns, np.inf
    e.clock_ns = clock
    e.next_ns = e.clock_zero_ns + wall_time(clock, e.on_ns, e.off_ns)
    e.next_exchange = draw_exchange(exchanges)


@compiled
def arrive(e: Any, x: Any, counts: Any, moments: Any, intended: int, free_ns: int, t: int) -> None:
    """Count an arrival in the window, sent at `t` on a connection that was free since `free_ns`, the first that was.

    If that was after it was due, it waited for the server. What is left of its lag is the engine's own, and recorded unless a
    pause of the engine lies in it: the machine took its core away then, which `gaps` tells.
    """
    e.intended += 1
    x.intended += 1
    if free_ns > intended:
        e.waited += 1
    could_ns = max(intended, free_ns)
    if could_ns >= e.gap_ends_ns:
        record(counts, moments, OWN_LAG, t - could_ns)


@compiled
def read_meters(edge: int, clocks: Any, meters: Any, usage: Any, pair: Any) -> None:
    """The CPU clocks of the watched processes and this thread's own bill, at an edge of the window."""
    for i in range(clocks.shape[0]):
        for j in range(clocks.shape[1]):
            meters[edge, i, j] = read_clock(clocks[i, j], pair)
    libc.getrusage(libc.RUSAGE_THREAD, usage[edge].ctypes.data)
    usage[edge, libc.RUSAGE_WORDS] = read_clock(libc.CLOCK_THREAD_CPUTIME, pair)


@compiled
def begin_window(e: Any, clocks: Any, meters: Any, usage: Any, pair: Any) -> int:
    """The window begins now, whenever it was planned, and keeps its length."""
    read_meters(0, clocks, meters, usage, pair)
    t = now(pair)
    e.ends_ns = t + e.ends_ns - e.starts_ns
    e.starts_ns, e.last_ns, e.phase = t, t, WINDOW
    e.step_ends_ns = t + e.step_ns
    e.area_ns, e.area_at_ns = 0, t
    return t


@compiled
def end_window(e: Any, connections: Any, ledger: Any, exchanges: Any, t: int) -> None:
    """The window is over: what every connection was doing is charged up to here, and its state goes on.

    `t` is the last look at the clock, so that all that was counted in the window came before it.
    """
    put_on_wire(e, 0, t)
    e.in_flight_ns = e.area_ns
    for k in range(len(connections)):
        c = connections[k]
        account = L_THINKING
        if c.state == WAITING or c.state == SENDING:
            account = L_RESIDUAL
            e.in_flight_at_end += 1
            e.pending += 1
            if c.intended_ns < e.starts_ns:
                e.carried_in_ns += t - max(c.sent_ns, e.starts_ns)
            else:
                e.unanswered_ns += t - c.sent_ns
        elif c.state == CONNECTING or c.state == PAUSED:
            account = L_CONNECTING
            e.pending += c.owes
        ledger[account] += t - max(c.since_ns, e.starts_ns)
        c.passed_over = max(c.passed_over, e.completed - c.mark)
        if c.ringed:
            e.free_at_end += 1
    while e.open == 1 and e.next_ns < e.starts_ns:  # due in the ramp and not sent in all this time: of no use to the window
        draw_next(e, exchanges)
    e.intended_at_end = e.intended
    e.ends_ns = t
    e.until_ns = t + e.drain_ns
    e.phase = DRAIN


@compiled
def give_up(e: Any, exchanges: Any, errors: Any, series: Any, counts: Any, moments: Any, t: int) -> None:
    """Drop the arrivals that have waited for a connection longer than a client would: none was free, and none is."""
    while e.next_ns + e.timeout_ns < t and (e.phase == RAMP or e.next_ns < e.ends_ns or is_sustained(e)):
        due_ns: Any = np.int64(e.next_ns)
        if e.phase != RAMP and e.starts_ns <= due_ns < e.ends_ns:
            x = exchanges[e.next_exchange]
            e.intended += 1
            x.intended += 1
            e.waited += 1
            record(counts, moments, CENSORED + x.rows, t - due_ns)
            x.errors += 1
            count_error(e, GAVE_UP, errors, series, t)
        draw_next(e, exchanges)


@compiled
def censor(e: Any, connections: Any, ring: Any, exchanges: Any, counts: Any, moments: Any, t: int) -> None:
    """What was never answered counts with its age: requests on connections, then arrivals that never got one. Should an answer
    still come, it is in no count."""
    for k in range(len(connections)):
        c = connections[k]
        if c.after == 0 and (c.state == WAITING or c.state == SENDING or (c.state == CONNECTING and c.owes)):
            c.after = 1
            e.unfinished += 1
            if c.intended_ns >= e.starts_ns:
                record(counts, moments, CENSORED + exchanges[c.exchange].rows, t - c.intended_ns)
    while e.open == 1 and e.next_ns < e.ends_ns:
        e.unfinished += 1
        due_ns: Any = np.int64(e.next_ns)
        x = exchanges[e.next_exchange]
        k = take_free(e, connections, ring)
        if k >= 0:
            arrive(e, x, counts, moments, due_ns, connections[k].since_ns, t)
        else:
            e.intended += 1
            x.intended += 1
            e.waited += 1
        record(counts, moments, CENSORED + x.rows, t - due_ns)
        draw_next(e, exchanges)
