"""What a server holds while it runs, all its processes together: descriptors, threads, memory; and how busy it is.

Memory is anonymous memory (Pss_Anon of proc(5)'s smaps_rollup): what was allocated, pages that several processes share divided
among them. File pages, the kernel's buffers and what other programs do are not in it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.conformance.rule import Unfit
from benchmarks.conformance.subjects import Running

LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Health:
    """Of all processes of a server at one moment."""

    processes: frozenset[int]
    descriptors: int
    threads: int
    memory_bytes: int


def health(running: Running) -> Health:
    """Now. A process that ends meanwhile holds nothing. Raises psutil.AccessDenied, or Unfit on old kernels."""
    processes, descriptors, threads, memory_bytes = [], 0, 0, 0
    for process in running.family():
        try:
            # Memory last: it takes longest, and a process that is gone by then is not counted at all.
            counts = process.num_fds(), process.num_threads(), anonymous_bytes(process.pid)
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            raise psutil.AccessDenied(process.pid) from None
        processes.append(process.pid)
        descriptors, threads, memory_bytes = descriptors + counts[0], threads + counts[1], memory_bytes + counts[2]
    return Health(frozenset(processes), descriptors, threads, memory_bytes)


def anonymous_bytes(pid: int) -> int:
    """This process's share of memory that no file stands behind. Raises Unfit where the kernel does not say."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise Unfit("this kernel does not say how much memory is anonymous")


def runnable_s(running: Running) -> dict[tuple[int, int], float]:
    """How long each of its threads has run or waited for a CPU until now, by (process, thread).

    A thread that spins does nothing else, however little of the CPU a busy machine gives it; one that has nothing to do sleeps
    (Documentation/scheduler/sched-stats.rst). Raises Unfit where the kernel keeps no such account.
    """
    found: dict[tuple[int, int], float] = {}
    for process in running.family():
        try:
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                ran_ns, waited_ns, _ = (task / "schedstat").read_text(encoding="ascii").split()
                found[process.pid, int(task.name)] = (int(ran_ns) + int(waited_ns)) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            if not Path("/proc/self/schedstat").exists():
                raise Unfit("this kernel does not say how long threads wait for a CPU") from None
    return found


def busiest_s(before: dict[tuple[int, int], float], after: dict[tuple[int, int], float]) -> float:
    """The most that any one thread has been runnable between two accounts."""
    return max((total_s - before.get(thread, 0.0) for thread, total_s in after.items()), default=0.0)


def rested(running: Running, within_s: float) -> Health:
    """What it holds once that no longer changes from one tenth of a second to the next."""
    ends_s = time.monotonic() + within_s
    before = health(running)
    while True:
        time.sleep(0.1)
        now = health(running)
        same = (now.processes, now.descriptors, now.threads) == (before.processes, before.descriptors, before.threads)
        if same or time.monotonic() > ends_s:
            return now
        before = now


def settled(running: Running, within_s: float, well: Callable[[Health], bool]) -> Health:
    """What it holds as soon as that is `well`, or else after this time."""
    ends_s = time.monotonic() + within_s
    while not well(now := health(running)) and time.monotonic() < ends_s:
        time.sleep(LOOK_AGAIN_S)
    return now
