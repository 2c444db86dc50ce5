"""Is the response time that the engine tells the one that the server saw? The same clock on both sides, request by request.

The truth of a request is `left − intended`: when the server let go of the response, less when the request was due. The engine's
number is `end − intended`. What lies between is the way back and the engine's own delay in looking. Requests that overlap a
pause of the engine (over 100 µs: the machine took its core away) are set aside, for no generator can answer for those; the
whole is printed beside.
"""

from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.load.engine import Drive, Session, Target, compile_all, request_bytes
from benchmarks.nouns import LoadResult
from benchmarks.selfbench.truth import RESPONSE, Truth, truth

CONNECTIONS = 64
SHARES = (0.10, 0.50)  # of the open-loop capacity
SECONDS = 4.0
LIMITS_US = {0.5: 40.0, 0.99: 40.0, 0.999: 60.0}
MASKED_AT_MOST = 0.10
PAUSE_NS = 100_000
_ROWS = 600_000
_ACHIEVED = 0.99


def _target(server: Truth) -> Target:
    body = RESPONSE.partition(b"\r\n\r\n")[2]
    return Target("127.0.0.1", server.port, request_bytes(f"127.0.0.1:{server.port}", "/hello"), body=body)


def capacity_per_s(server: Truth, driver_cpu: int) -> float:
    """The highest rate of a falling series at which the open loop achieves 99% of what it is offered."""
    with Session(_target(server), CONNECTIONS, cpus=(driver_cpu,)) as session:
        session.open()
        closed = session.run(Drive(seconds=0.5, ramp_s=0.05))
    rate = closed.completed / closed.seconds
    while rate > 1000:
        with Session(_target(server), CONNECTIONS, cpus=(driver_cpu,)) as session:
            session.open()
            load = session.run(Drive(seconds=0.5, ramp_s=0.05, rate_per_s=rate, drain_s=0.05))
        if load.completed >= _ACHIEVED * load.intended and load.unfinished == 0:
            return rate
        rate *= 0.93
    raise RuntimeError("the engine can't keep even 1,000 requests/s")


def matched(traced: Any, rows: Any) -> Any:
    """Each traced request's truth, `left − intended` in ns.

    `traced` is (requests, 4) of port, intended, sent, end; `rows` (responses, 3) of port, arrived, left. Raises ValueError when
    a request has no row between its sending and its end, which would be a wrong match.
    """
    truths = np.empty(len(traced), np.int64)
    for port in np.unique(traced[:, 0]):
        ours, theirs = np.flatnonzero(traced[:, 0] == port), rows[rows[:, 0] == port]
        ours = ours[np.argsort(traced[ours, 2])]
        at = np.searchsorted(theirs[:, 1], traced[ours, 2])
        if at.size and (at[-1] >= len(theirs) or (theirs[at, 2] > traced[ours, 3]).any()):
            raise ValueError(f"the server's log does not fit the requests from port {port}")
        truths[ours] = theirs[at, 2] - traced[ours, 1]
    return truths


def undisturbed(traced: Any, load: LoadResult, begins_ns: int) -> Any:
    """Which requests overlap no pause of the engine longer than 100 µs."""
    clear = np.ones(len(traced), bool)
    for start, length in load.gaps:
        if length > PAUSE_NS:
            begins, ends = begins_ns + start, begins_ns + start + length
            clear &= (traced[:, 3] < begins) | (traced[:, 1] > ends)
    return clear


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print how far the engine's percentiles are from the server's; whether they are as near as they should be."""
    good = True
    compile_all()
    with truth(server_cpu) as server:
        capacity = capacity_per_s(server, driver_cpu)
        console.print(
            f"[bold]fidelity[/]  against a spinning server that knows; open-loop capacity {capacity / 1000:.0f}k/s",
            highlight=False,
        )
        for share in SHARES:
            with Session(_target(server), CONNECTIONS, cpus=(driver_cpu,), trace=_ROWS) as session:
                session.open()
                load = session.run(Drive(seconds=SECONDS, ramp_s=0.1, rate_per_s=share * capacity))
                traced, begins_ns = session.traced(), session.begins_ns()
            good &= _print(console, share, traced, server.rows(), load, begins_ns)
    return good


def _print(console: Console, share: float, traced: Any, rows: Any, load: LoadResult, begins_ns: int) -> bool:
    truths, told = matched(traced, rows), traced[:, 3] - traced[:, 1]
    clear = undisturbed(traced, load, begins_ns)
    masked = 1 - clear.mean()
    console.print(
        f"  at {share:.0%}, {len(traced):,} requests, {masked:.1%} overlap a pause of the engine over 100 µs", highlight=False
    )
    good = bool(masked <= MASKED_AT_MOST)
    if not good:
        console.print("  [red]machine too noisy[/]: the rest says nothing")
    for q, limit in LIMITS_US.items():
        ours, theirs = (np.quantile(values[clear], q) / 1000 for values in (told, truths))
        whole, whole_truth = (np.quantile(values, q) / 1000 for values in (told, truths))
        good &= bool(abs(ours - theirs) <= limit)
        console.print(
            f"    p{q * 100:<5g} engine {ours:8.1f} µs, truth {theirs:8.1f} µs, apart {ours - theirs:6.1f} µs "
            f"(at most {limit:.0f} wanted: {'reached' if abs(ours - theirs) <= limit else '[red]missed[/]'}); "
            f"unmasked {whole:.1f} and {whole_truth:.1f} µs",
            highlight=False,
        )
    return good
