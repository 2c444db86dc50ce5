"""The window's edges, and what is due in it: begin, end, and what was never answered.

Whatever is counted from edge to edge is set right here, so that the sums hold to the nanosecond: a request that an edge cuts in
two is parted between the window and what lies outside.
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
    L_CONNECTING,
    L_RESIDUAL,
    L_THINKING,
    PAUSED,
    SENDING,
    WAITING,
    WINDOW,
    put_on_wire,
)


@compiled
def draw_next(e: Any) -> None:
    """When the arrival after the next one is due."""
    e.next_ns += e.interval_ns * (-np.log(1.0 - np.random.random()) if e.poisson else 1.0)


@compiled
def arrive(e: Any, counts: Any, moments: Any, intended: int, free_ns: int, t: int) -> None:
    """Count an arrival in the window, sent at `t` on a connection that was free since `free_ns`, the first that was.

    If that was after it was due, it waited for the server. What is left of its lag is the engine's own, and recorded unless a
    pause of the engine lies in it: the machine took its core away then, which `gaps` tells.
    """
    e.intended += 1
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
def end_window(e: Any, connections: Any, ledger: Any, t: int) -> None:
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
            if c.intended_ns < e.starts_ns:
                e.carried_in_ns += t - max(c.sent_ns, e.starts_ns)
            else:
                e.unanswered_ns += t - c.sent_ns
        elif c.state == CONNECTING or c.state == PAUSED:
            account = L_CONNECTING
        ledger[account] += t - max(c.since_ns, e.starts_ns)
        c.passed_over = max(c.passed_over, e.completed - c.mark)
        if c.ringed:
            e.free_at_end += 1
    while e.open == 1 and e.next_ns < e.starts_ns:  # due in the ramp and not sent in all this time: of no use to the window
        draw_next(e)
    e.intended_at_end = e.intended
    e.ends_ns = t
    e.phase = DRAIN


@compiled
def censor(e: Any, connections: Any, ring: Any, counts: Any, moments: Any, t: int) -> None:
    """What was never answered counts with its age: requests on connections, then arrivals that never got one."""
    for k in range(len(connections)):
        c = connections[k]
        if c.state == WAITING or c.state == SENDING or (c.state == CONNECTING and c.owes):
            e.unfinished += 1
            if c.intended_ns >= e.starts_ns:
                record(counts, moments, CENSORED, t - c.intended_ns)
    while e.open == 1 and e.next_ns < e.ends_ns:
        e.unfinished += 1
        due_ns: Any = np.int64(e.next_ns)
        k = take_free(e, connections, ring)
        if k >= 0:
            arrive(e, counts, moments, due_ns, connections[k].since_ns, t)
        else:
            e.intended += 1
            e.waited += 1
        record(counts, moments, CENSORED, t - due_ns)
        draw_next(e)
