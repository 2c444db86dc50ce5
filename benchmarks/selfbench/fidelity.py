"""Is the response time that the engine tells the one that the server saw? The same clock on both sides, request by request.

The truth of a request is `left − intended`: when the server let go of the response, less when the request was due. The engine's
number is `end − intended`. What lies between is the way back and the engine's own delay in looking. Requests that overlap a
pause of the engine (over 100 µs: the machine took its core away) are set aside, for no generator can answer for those; the
whole is printed beside.

Asked twice: of a server that answers at once, and of one that holds its answers, a few of them for long.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Target, request_bytes
from benchmarks.nouns import LoadResult
from benchmarks.selfbench.truth import HEAVY, RESPONSE, Truth, described, truth

CONNECTIONS = 64
SHARES = (0.10, 0.50)  # of the open-loop capacity
SECONDS, HELD_SECONDS = 4.0, 2.0
LIMITS_US = {0.5: 40.0, 0.99: 40.0, 0.999: 60.0}
MASKED_AT_MOST = 0.10
PAUSE_NS = 100_000
_ROWS = 600_000
_ACHIEVED = 0.99


def target_of(server: Truth) -> Target:
    """What is asked of a truth server, and what it must answer."""
    body = RESPONSE.partition(b"\r\n\r\n")[2]
    return Target("127.0.0.1", server.port, request_bytes(f"127.0.0.1:{server.port}", "/hello"), body=body)


def capacity_per_s(server: Truth, driver_cpu: int) -> float:
    """The highest rate of a falling series at which the open loop achieves 99% of what it is offered."""
    with Session(target_of(server), CONNECTIONS, cpus=(driver_cpu,)) as session:
        session.open()
        closed = session.run(Drive(seconds=0.5, ramp_s=0.05))
    rate = closed.completed / closed.seconds
    while rate > 1000:
        with Session(target_of(server), CONNECTIONS, cpus=(driver_cpu,)) as session:
            session.open()
            load = session.run(Drive(seconds=0.5, ramp_s=0.05, rate_per_s=rate, drain_s=0.05))
        if load.completed >= _ACHIEVED * load.intended and load.unfinished == 0:
            return rate
        rate *= 0.93
    raise RuntimeError("the engine can't keep even 1,000 requests/s")


def matched(traced: Any, rows: Any) -> Any:
    """The row of the server's log for each traced request.

    `traced` is (requests, 4) of port, intended, sent, end; `rows` (responses, 3) of port, arrived, left. Raises ValueError when
    a request has no row between its sending and its end, which would be a wrong match.
    """
    found = np.empty((len(traced), 3), np.int64)
    for port in np.unique(traced[:, 0]):
        ours, theirs = np.flatnonzero(traced[:, 0] == port), rows[rows[:, 0] == port]
        ours = ours[np.argsort(traced[ours, 2])]
        at = np.searchsorted(theirs[:, 1], traced[ours, 2])
        if at.size and (at[-1] >= len(theirs) or (theirs[at, 2] > traced[ours, 3]).any()):
            raise ValueError(f"the server's log does not fit the requests from port {port}")
        found[ours] = theirs[at]
    return found


def undisturbed(traced: Any, load: LoadResult, begins_ns: int) -> Any:
    """Which requests overlap no pause of the engine longer than 100 µs."""
    clear = np.ones(len(traced), bool)
    for start, length in load.gaps:
        if length > PAUSE_NS:
            begins, ends = begins_ns + start, begins_ns + start + length
            clear &= (traced[:, 3] < begins) | (traced[:, 1] > ends)
    return clear


@dataclass(frozen=True, slots=True)
class Nearness:
    """The engine's and the server's percentiles in µs, of the requests that no pause of the engine overlaps, and of all."""

    masked: float  # share of requests set aside
    clear_us: dict[float, tuple[float, float]]
    whole_us: dict[float, tuple[float, float]]

    @property
    def quiet(self) -> bool:
        """Whether few enough requests were set aside for the rest to say anything."""
        return self.masked <= MASKED_AT_MOST

    def near(self, q: float) -> bool:
        """Whether a percentile of the engine is within the limit."""
        told, true = self.clear_us[q]
        return abs(told - true) <= LIMITS_US[q]

    @property
    def good(self) -> bool:
        """Whether all of them are, on a machine quiet enough."""
        return self.quiet and all(self.near(q) for q in LIMITS_US)


def nearness(traced: Any, rows: Any, load: LoadResult, begins_ns: int) -> Nearness:
    """Hold the engine's traced requests against the server's log. Raises ValueError when they don't fit."""
    truths, told = matched(traced, rows)[:, 2] - traced[:, 1], traced[:, 3] - traced[:, 1]
    clear = undisturbed(traced, load, begins_ns)

    def pairs(chosen: Any) -> dict[float, tuple[float, float]]:
        return {q: tuple(float(np.quantile(values[chosen], q)) / 1000 for values in (told, truths)) for q in LIMITS_US}  # type: ignore[misc]

    return Nearness(float(1 - clear.mean()), pairs(clear if clear.any() else slice(None)), pairs(slice(None)))


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print how far the engine's percentiles are from the server's; whether they are as near as they should be."""
    compile_all()
    with truth(server_cpu) as server:
        capacity = capacity_per_s(server, driver_cpu)
        console.print(
            f"[bold]fidelity[/]  against a spinning server that knows; open-loop capacity {capacity / 1000:.0f}k/s",
            highlight=False,
        )
        good = [_ask(console, server, driver_cpu, share, share * capacity, SECONDS) for share in SHARES]
    with truth(server_cpu, HEAVY) as server:
        console.print(f"  each answer held: {described(HEAVY)}", highlight=False)
        good += [_ask(console, server, driver_cpu, share, share * capacity, HELD_SECONDS) for share in SHARES]
    return all(good)


def _ask(console: Console, server: Truth, driver_cpu: int, share: float, rate_per_s: float, seconds: float) -> bool:
    server.forget()
    with Session(target_of(server), CONNECTIONS, cpus=(driver_cpu,), trace=_ROWS) as session:
        session.open()
        load = session.run(Drive(seconds=seconds, ramp_s=0.1, rate_per_s=rate_per_s))
        traced, begins_ns = session.traced(), session.begins_ns()
    _print(console, f"at {share:.0%}", len(traced), found := nearness(traced, server.rows(), load, begins_ns))
    return found.good


def _print(console: Console, where: str, requests: int, found: Nearness) -> None:
    console.print(
        f"  {where}, {requests:,} requests, {found.masked:.1%} overlap a pause of the engine over 100 µs", highlight=False
    )
    if not found.quiet:
        console.print("  [red]machine too noisy[/]: the rest says nothing")
    for q, limit in LIMITS_US.items():
        (ours, theirs), (whole, whole_truth) = found.clear_us[q], found.whole_us[q]
        console.print(
            f"    p{q * 100:<5g} engine {ours:8.1f} µs, truth {theirs:8.1f} µs, apart {ours - theirs:6.1f} µs "
            f"(at most {limit:.0f} wanted: {'reached' if found.near(q) else '[red]missed[/]'}); "
            f"unmasked {whole:.1f} and {whole_truth:.1f} µs",
            highlight=False,
        )
