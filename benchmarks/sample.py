"""What the server's whole process tree has used, read at the edges of a window and never inside it.

CPU time is not here: the engine reads the processes' CPU clocks itself at the very edges. The counters below are sums over the
threads that are alive; what a thread did that has ended since is missing from the switches, not from the faults.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.nouns import LoadResult, ServerCost


@dataclass(frozen=True, slots=True)
class Counters:
    """Running totals of the tree."""

    voluntary_switches: int
    involuntary_switches: int
    minor_faults: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the tree holds at this moment. RSS counts shared pages once per process; USS counts only what is a process's own."""

    rss_bytes: int
    uss_bytes: int
    threads: int
    processes: int
    descriptors: int


def tree(pid: int) -> tuple[int, ...]:
    """The process and all its descendants."""
    try:
        return (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))
    except psutil.NoSuchProcess:
        return (pid,)


def counters(pids: tuple[int, ...]) -> Counters:
    """The totals now. A process that has ended counts nothing."""
    voluntary = involuntary = faults = 0
    for pid in pids:
        process = Path("/proc", str(pid))
        try:
            # Field 10 of proc(5)'s stat; the name in field 2 may hold spaces, so count from its closing parenthesis.
            faults += int((process / "stat").read_text().rpartition(")")[2].split()[7])
            for task in (process / "task").iterdir():
                status = (task / "status").read_text().rsplit("voluntary_ctxt_switches:", 2)
                voluntary += int(status[1].split()[0])
                involuntary += int(status[2])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Counters(voluntary, involuntary, faults)


def holdings(pids: tuple[int, ...]) -> Holdings:
    """Memory, threads and descriptors now. A process that has ended holds nothing."""
    rss = uss = threads = processes = descriptors = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            memory = process.memory_full_info()
            rss += memory.rss
            uss += memory.uss
            threads += process.num_threads()
            descriptors += process.num_fds()
            processes += 1
        except psutil.NoSuchProcess:
            continue
    return Holdings(rss, uss, threads, processes, descriptors)


def bill(before: Counters, after: Counters, held: Holdings, load: LoadResult) -> ServerCost:
    """The server's bill for one window."""
    return ServerCost(
        cpu_user_ns=load.server_user_ns,
        cpu_system_ns=load.server_cpu_ns - load.server_user_ns,
        voluntary_switches=max(after.voluntary_switches - before.voluntary_switches, 0),
        involuntary_switches=max(after.involuntary_switches - before.involuntary_switches, 0),
        minor_faults=max(after.minor_faults - before.minor_faults, 0),
        counted_requests=load.all_requests,
        rss_bytes=held.rss_bytes,
        uss_bytes=held.uss_bytes,
        threads=held.threads,
        processes=held.processes,
        descriptors=held.descriptors,
    )
