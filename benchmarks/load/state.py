"""What the functions of the loop share: the record they pass around, the states and the accounts.

Every engine thread has one ENGINE record: what to do, where it stands, what it saw; and an EXCHANGE record for each of the
target's exchanges: what is sent, what must come back, how often that happened. A connection (`reader.CONNECTION`) is in
one of seven states, and whenever it leaves one, the time it spent there is charged to one of five accounts. So the accounts add
up to the number of connections times the window's length.
"""

from typing import Any

import numpy as np

from benchmarks.load.libc import compiled, now

CLOSED, CONNECTING, READY, SENDING, WAITING, THINKING, PAUSED = range(7)  # states of a connection
RAMP, WINDOW, DRAIN, SETTLE = range(4)  # phases of a run

ERROR_KINDS = (
    "connect_refused",
    "connect_timeout",
    "connect_failed",
    "reset",
    "closed_early",
    "read_timeout",
    "malformed",
    "wrong_body",
    "gave_up",
    "status_1xx",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
)
(
    REFUSED, CONNECT_TIMEOUT, CONNECT_FAILED, RESET, CLOSED_EARLY, READ_TIMEOUT, MALFORMED, WRONG_BODY, GAVE_UP, STATUS,
) = range(10)  # fmt: skip
LEDGER = ("completed_ns", "failed_ns", "residual_ns", "thinking_ns", "connecting_ns")
L_COMPLETED, L_FAILED, L_RESIDUAL, L_THINKING, L_CONNECTING = range(5)

MAX_EVENTS = 64
BUFFER_BYTES = 262144
GAP_NS = 40_000  # pauses of the loop that are worth writing down
MAX_GAPS = 20_000
NEVER_NS = 1 << 62

EXCHANGE = np.dtype(
    [
        # what to do
        ("upto", np.float64),  # this one's share of all requests, and of those before it
        ("request", np.uint64),  # the address of its bytes
        ("request_bytes", np.int64),
        ("expect_status", np.int32),
        ("also_status", np.int32),  # 0: there is no other one
        ("body_known", np.int32),
        ("bodiless", np.int32),
        ("body_at", np.int64),  # where its body lies among those of all
        ("body_bytes", np.int64),
        ("rows", np.int64),  # how much further than those of the first class its histograms' rows are
        # the last right answer, to compare the next one with
        ("template", np.uint64),  # its address
        ("template_bytes", np.int64),  # -2: there has been none that would fit
        ("template_closes", np.int32),
        # what it saw
        ("intended", np.int64),
        ("completed", np.int64),
        ("errors", np.int64),
    ],
    align=True,
)

ENGINE = np.dtype(
    [
        # what to do
        ("epoll", np.int32),
        ("family", np.int32),
        ("address", np.uint64),  # of struct sockaddr
        ("address_bytes", np.int32),
        ("open", np.int32),
        ("poisson", np.int32),
        ("keepalive", np.int32),
        ("sleepy", np.int32),
        ("interval_ns", np.float64),
        ("then_interval_ns", np.float64),  # of the second rate
        ("then_ns", np.int64),  # when that begins, after the window's start; NEVER_NS: there is none
        ("on_ns", np.float64),  # periods with arrivals,
        ("off_ns", np.float64),  # and without; 0: always on
        ("give_up", np.int32),
        ("slow_ns", np.int64),
        ("think_ns", np.int64),
        ("timeout_ns", np.int64),
        ("connect_timeout_ns", np.int64),
        ("drain_ns", np.int64),
        ("sustain", np.int32),  # the load goes on in the drain
        ("step_ns", np.int64),  # of the series
        # where it stands
        ("phase", np.int32),
        ("next_ns", np.float64),  # the next arrival
        ("next_exchange", np.int64),  # what it asks
        ("clock_ns", np.float64),  # the next arrival on the clock that stands still in the off periods,
        ("clock_zero_ns", np.float64),  # when that one read zero,
        ("then_clock_ns", np.float64),  # and what it reads when the second rate begins
        ("starts_ns", np.int64),  # the window's edges, first as planned, then as they were
        ("ends_ns", np.int64),
        ("until_ns", np.int64),  # when the drain, or what follows it, is over at the latest
        ("pending", np.int64),  # in the drain: requests made before the window's end that are not answered
        ("last_ns", np.int64),  # the last look at the clock
        ("gap_ends_ns", np.int64),  # when the last gap ended
        ("step", np.int64),  # the step of the series that it is in
        ("step_ends_ns", np.int64),
        ("stops", np.int64),  # how often somebody has wanted it to end
        ("in_flight", np.int64),  # requests on the wire
        ("area_ns", np.int64),  # their integral over time up to `area_at_ns`
        ("area_at_ns", np.int64),
        ("connecting", np.int64),
        ("ring_head", np.int64),  # the place of the first, counted from 1 and never turned back
        ("ring_count", np.int64),
        ("later_head", np.int64),
        ("later_count", np.int64),
        ("retired_count", np.int64),
        ("swept", np.int64),
        # what it saw
        ("intended", np.int64),
        ("completed", np.int64),
        ("answered", np.int64),
        ("waited", np.int64),
        ("intended_at_end", np.int64),
        ("free_at_end", np.int64),
        ("in_flight_at_end", np.int64),
        ("in_flight_ns", np.int64),
        ("carried_in", np.int64),
        ("carried_in_ns", np.int64),
        ("carried_out_ns", np.int64),
        ("unanswered_ns", np.int64),
        ("drained", np.int64),
        ("unfinished", np.int64),
        ("opened", np.int64),
        ("kept", np.int64),  # open when the run began
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
def look(e: Any, pair: Any, gaps: Any) -> int:
    """The time, and a note when too much of it has passed since the last look."""
    t = now(pair)
    if t - e.last_ns > GAP_NS:
        e.gap_ends_ns = t
        if e.phase == WINDOW:
            if e.gap_count < len(gaps):
                gaps[e.gap_count, 0] = e.last_ns
                gaps[e.gap_count, 1] = t - e.last_ns
                e.gap_count += 1
            else:
                e.gaps_lost += 1
    e.last_ns = t
    return t


@compiled
def put_on_wire(e: Any, change: int, t: int) -> None:
    """One request more on the wire, or one less. Their number is integrated here, and nothing else is asked: Little's law is
    checked with it against the histograms, so it must not know them."""
    e.area_ns += e.in_flight * (t - e.area_at_ns)
    e.area_at_ns = t
    e.in_flight += change


@compiled
def step_at(e: Any, series: Any, t: int) -> int:
    """The step of the series at a time in the window. Times come in order, so there is nothing to divide."""
    while t >= e.step_ends_ns and e.step < series.shape[1] - 1:
        e.step += 1
        e.step_ends_ns += e.step_ns
    return e.step  # type: ignore[no-any-return]


@compiled
def charge(e: Any, c: Any, account: int, ledger: Any, t: int) -> None:
    """The connection leaves its state: the time spent in it, as far as it lies in the window, goes to an account."""
    if e.phase == WINDOW:
        ledger[account] += t - max(c.since_ns, e.starts_ns)
    c.since_ns = t


@compiled
def is_sustained(e: Any) -> bool:
    """Whether the load goes on after the window, so that its last requests are answered under the same load as the others."""
    return e.phase == DRAIN and e.sustain == 1  # type: ignore[no-any-return]


@compiled
def goes_on(e: Any) -> bool:
    """Whether connections are kept busy: up to the window's end, and in a drain that sustains the load."""
    return e.phase < DRAIN or is_sustained(e)


@compiled
def count_error(e: Any, kind: int, errors: Any, series: Any, t: int) -> None:
    """One failure, counted from the window's start to the end of the drain."""
    if e.phase != RAMP:
        errors[kind] += 1
    if e.phase == WINDOW:
        series[1, step_at(e, series, t)] += 1


@compiled
def count_stray(e: Any, kind: int, errors: Any, series: Any, t: int) -> None:
    """A failure of a connection that no request was waiting for. Under a sustained load it is not the window's."""
    if e.phase != SETTLE and not is_sustained(e):
        count_error(e, kind, errors, series, t)


@compiled
def blame(e: Any, c: Any, kind: int, exchanges: Any, errors: Any, series: Any, t: int) -> None:
    """A failure of the connection's request."""
    if c.after == 1:
        return
    if e.phase != RAMP:
        exchanges[c.exchange].errors += 1
    if e.phase == DRAIN:
        e.pending -= 1
    count_error(e, kind, errors, series, t)
