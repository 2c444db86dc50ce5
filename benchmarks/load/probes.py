"""Two probes of the machine's state: a cache line bounced between two cores, and a pure-Python loop.

On shared machines everything slows by 11-25% for seconds at a time, by a different factor for each model, invisible to steal
time. What shows it is the round trip of one cache line between the server's core and the driver's, probably because virtual
CPUs move between physical ones. Both probes together take about 50 ms.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.load.libc import compiled, load_acquire, now, store_release
from benchmarks.nouns import MachineState

PINGPONG_NS = 25_000_000
BRIEF_NS = 3_000_000
_PYTHON_TURNS = 100_000
_PYTHON_REPEATS = 5
_BALL, _OVER = 0, 64  # words of the shared array, on cache lines of their own
_TURNS_BETWEEN_LOOKS = 2048
_TRIPS_IN_A_LAP = 64  # between two looks at the clock; the median lap counts, so that a stall does not
_LAPS = 8192


@compiled
def serve_ball(shared: Any, laps: Any, pair: Any, length_ns: int) -> int:
    """Hit the ball to the other core and wait for it, until the time is over or the laps are full. Returns how many were run.

    `laps` takes the ns of each lap; `pair` is scratch.
    """
    begins = now(pair)
    ball, lap, t = 0, 0, begins
    while t - begins < length_ns and lap < len(laps):
        for _ in range(_TRIPS_IN_A_LAP):
            store_release(shared, _BALL, ball + 1)
            turns = 0
            while load_acquire(shared, _BALL) != ball + 2:
                turns += 1
                if turns % _TURNS_BETWEEN_LOOKS == 0 and now(pair) - begins >= length_ns:
                    store_release(shared, _OVER, 1)
                    return lap
            ball += 2
        laps[lap] = now(pair) - t
        t += laps[lap]
        lap += 1
    store_release(shared, _OVER, 1)
    return lap


@compiled
def return_ball(shared: Any, pair: Any, length_ns: int) -> None:
    """The other core: hit every ball back."""
    begins = now(pair)
    ball, turns = 1, 0
    while load_acquire(shared, _OVER) == 0:
        if load_acquire(shared, _BALL) == ball:
            store_release(shared, _BALL, ball + 1)
            ball += 2
        turns += 1
        if turns % _TURNS_BETWEEN_LOOKS == 0 and now(pair) - begins >= 2 * length_ns:
            return


def _on_cpu(cpu: int, work: Callable[[], Any], results: list[Any]) -> threading.Thread:
    def run() -> None:
        os.sched_setaffinity(0, {cpu})
        results.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def pingpong_ns(one_cpu: int, other_cpu: int, length_ns: int = PINGPONG_NS) -> float | None:
    """The median round trip of a cache line between two CPUs in ns; None if they are the same, or the line never came back."""
    if one_cpu == other_cpu:
        return None
    shared, laps = np.zeros(128, np.int64), np.zeros(_LAPS, np.int64)
    found: list[int] = []
    threads = [
        _on_cpu(other_cpu, lambda: return_ball(shared, np.zeros(2, np.int64), length_ns), []),
        _on_cpu(one_cpu, lambda: serve_ball(shared, laps, np.zeros(2, np.int64), length_ns), found),
    ]
    for thread in threads:
        thread.join()
    return float(np.median(laps[: found[0]])) / _TRIPS_IN_A_LAP if found[0] else None


def _python_loop() -> float:
    """The fastest of a few pure-Python loops, in ns a turn."""
    best = float("inf")
    for _ in range(_PYTHON_REPEATS):
        begins = time.perf_counter_ns()
        total = 0
        for i in range(_PYTHON_TURNS):
            total += i & 7
        best = min(best, (time.perf_counter_ns() - begins) / _PYTHON_TURNS)
    return best


def brief_state(server_cpu: int, driver_cpu: int) -> MachineState:
    """The ping-pong alone, for BRIEF_NS."""
    return MachineState(pingpong_ns=pingpong_ns(driver_cpu, server_cpu, BRIEF_NS), python_ns=0.0)


def machine_state(server_cpu: int, driver_cpu: int) -> MachineState:
    """Probe the machine: the ping-pong between the two CPUs, then the Python loop on the server's."""
    found: list[float] = []
    trip = pingpong_ns(driver_cpu, server_cpu)
    _on_cpu(server_cpu, _python_loop, found).join()
    return MachineState(pingpong_ns=trip, python_ns=found[0])
