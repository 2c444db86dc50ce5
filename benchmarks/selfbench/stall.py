"""What do percentiles tell of a server that freezes for 200 ms once? The right answer is computed, and compared.

Requests that come at their own times go on coming while the server is frozen, and each waits for its end and for those before
it. When each was due is known, the server wrote down from when to when it was frozen, and how fast it can serve was measured
before: so the response time of every request follows, from a queue with one server, first in, first out (D. V. Lindley, "The
theory of queues with a single server", 1952). The engine's open loop must tell the percentiles of that.

In a closed loop n connections have n requests under way, so the freeze delays n of them however many would have come: its
percentiles miss it. That is what was asked, and it must be told so; a corrected value would be about requests that nobody made.
"""

import time
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import histogram
from benchmarks.amounts import duration, rate
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive
from benchmarks.nouns import LoadResult, Poll
from benchmarks.questions import Arrivals
from benchmarks.selfbench.fidelity import LIMITS_US, PAUSE_NS, target_of
from benchmarks.selfbench.truth import Truth, truth

CONNECTIONS = 64
RATE_PER_S = 20_000.0
SECONDS = 3.0
FREEZE_NS = 200_000_000
DRAIN_S = 10.0  # ends when all is answered
FREEZE_AFTER_S = 1.2  # from the start of the load: in the window, with time behind it for the queue to drain
# Where the freeze decides: a timer tick of 4 ms (HZ=250), which any other task on a CPU can cost, besides what the engine knows
# of its own pauses while the queue was served. Elsewhere as in `fidelity`.
TICK_NS = 4_000_000
NOISY_NS = FREEZE_NS // 20  # of pauses: with more, the bound above would be met by anything
OPEN: tuple[tuple[Arrivals, Poll], ...] = (("constant", "busy"), ("poisson", "busy"), ("poisson", "sleep"))
_WAKING_NS = {"busy": 0, "sleep": 1_000_000}  # who sleeps is woken a timer's slack and the way out of an idle core later


def expected_ns(due_ns: Any, service_ns: float, frozen: tuple[int, int]) -> Any:
    """The response time of each request, in the order in which they are due: one server, first in, first out.

    It begins none while it is frozen, and finishes the one it has begun.
    """
    responses = np.empty(len(due_ns), float)
    free = -np.inf
    for number, due in enumerate(np.sort(due_ns).tolist()):
        begins = max(due, free)
        if frozen[0] <= begins < frozen[1]:
            begins = frozen[1]
        free = begins + service_ns
        responses[number] = free - due
    return responses


def service_ns(server: Truth, driver_cpu: int) -> float:
    """What a request costs where it costs most, server or engine: the time between answers when there is always work."""
    with Session(target_of(server), CONNECTIONS, cpus=(driver_cpu,)) as session:
        session.open()
        load = session.run(Drive(seconds=0.5, ramp_s=0.05))
    server.forget()
    return load.seconds * 1e9 / load.completed


def pauses_ns(gaps: list[tuple[int, int]], begins_ns: int, ends_ns: int) -> int:
    """How much of a stretch of time the engine spent in its own pauses of over 100 µs."""
    inside = (min(start + length, ends_ns) - max(start, begins_ns) for start, length in gaps if length > PAUSE_NS)
    return sum(max(ns, 0) for ns in inside)


def stalled(server: Truth, driver_cpu: int, drive: Drive, connections: int, rows: int) -> tuple[LoadResult, Any, int]:
    """One window with a freeze in it, its traced requests, and when it began by CLOCK_MONOTONIC.

    Raises RuntimeError when anything went unanswered.
    """
    with Session(target_of(server), connections, cpus=(driver_cpu,), trace=rows) as session:
        session.open()
        server.freeze(time.monotonic_ns() + int(FREEZE_AFTER_S * 1e9), FREEZE_NS)
        load = session.run(drive)
        traced, begins_ns = session.traced(), session.begins_ns()
    server.forget()
    if load.errors or load.unfinished:
        raise RuntimeError(f"{load.unfinished} requests were not answered; errors: {load.errors or 'none'}")
    return load, traced, begins_ns


def slow_ones(load: LoadResult) -> int:
    """How many requests the engine's own histogram shows at half the freeze or more."""
    counted = zip(load.response.index, load.response.count, strict=True)
    return sum(count for index, count in counted if histogram.bounds_ns(index)[0] >= FREEZE_NS / 2)


def measure(console: Console, server_cpu: int, driver_cpu: int) -> bool:
    """Print what was told of the freeze, and what is right; whether the two agree."""
    compile_all()
    with truth(server_cpu) as server:
        each_ns = service_ns(server, driver_cpu)
        console.print(
            f"[bold]stall[/]  a server that freezes for {duration(FREEZE_NS)} once in {SECONDS:.0f} s; "
            f"it serves a request in {duration(each_ns)}, {CONNECTIONS} connections",
            highlight=False,
        )
        good = [_open(console, server, driver_cpu, each_ns, arrivals, poll) for arrivals, poll in OPEN]
        good.append(_closed(console, server, driver_cpu))
    return all(good)


def _open(console: Console, server: Truth, driver_cpu: int, each_ns: float, arrivals: Arrivals, poll: Poll) -> bool:
    plan = Drive(seconds=SECONDS, ramp_s=0.1, rate_per_s=RATE_PER_S, arrivals=arrivals, poll=poll, drain_s=DRAIN_S)
    load, traced, begins_ns = stalled(server, driver_cpu, plan, CONNECTIONS, int(RATE_PER_S * SECONDS * 1.1))
    right = expected_ns(traced[:, 1], each_ns, server.frozen())
    # The queue is served until the last request that was slow for it is done.
    served_ns = int((np.sort(traced[:, 1]) + right)[right >= FREEZE_NS / 100].max())
    paused_ns = pauses_ns(load.gaps, server.frozen()[1] - begins_ns, served_ns - begins_ns)
    console.print(
        f"  open loop, {arrivals}, {rate(RATE_PER_S)}, engine polls {poll}: {len(traced):,} requests; "
        f"it paused for {duration(paused_ns)} while the queue was served",
        highlight=False,
    )
    good = len(traced) == load.intended and paused_ns <= NOISY_NS
    if paused_ns > NOISY_NS:
        console.print("    [red]machine too noisy[/]: the rest says nothing")
    for name, q in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        told, wanted = histogram.quantile_ns(load.response, q), float(np.quantile(right, q))
        most = (TICK_NS + paused_ns if q > 0.5 else LIMITS_US[0.5] * 1000) + _WAKING_NS[poll]
        reached = abs(told - wanted) <= most
        good &= reached
        console.print(
            f"    {name:5}  engine {duration(told):>8}, right {duration(wanted):>8}, apart {duration(abs(told - wanted)):>8} "
            f"(at most {duration(most)} wanted: {'reached' if reached else '[red]missed[/]'})",
            highlight=False,
        )
    return good


def _closed(console: Console, server: Truth, driver_cpu: int) -> bool:
    load, _, _ = stalled(server, driver_cpu, Drive(seconds=SECONDS, ramp_s=0.1, drain_s=DRAIN_S), CONNECTIONS, 0)
    slow, tail_ns = slow_ones(load), histogram.quantile_ns(load.response, 0.999)
    good = 1 <= slow <= CONNECTIONS and tail_ns < FREEZE_NS / 2
    console.print(
        f"  closed loop: {slow} of {load.completed:,} requests are slow (at most one for each connection wanted), so p99.9 is "
        f"{duration(tail_ns)} and only the maximum, {duration(load.response.max_ns)}, shows the freeze: "
        f"{'reached' if good else '[red]missed[/]'}",
        highlight=False,
    )
    return good
