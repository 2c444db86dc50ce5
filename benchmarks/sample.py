"""What the server's whole process tree has used, and what others took, read at the edges of a window and never inside it.

The server's CPU time is not here: the engine reads the processes' CPU clocks itself at the very edges. The counters below are
sums over the threads that are alive; what a thread did that has ended since is missing from the switches, not from the faults.
"""

import functools
import gzip
import os
import platform
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.load.libc import process_clocks
from benchmarks.nouns import LoadResult, Outside, ServerCost

_ACCOUNT = struct.Struct("=5Q")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.01
_CALM_LOOKS = 2  # one after the other, until a server is at rest
_STILL = 0.02  # of a core: a server that uses less has nothing left to do
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Counters:
    """Running totals of the tree."""

    voluntary_switches: int
    involuntary_switches: int
    minor_faults: int
    collections: Mapping[int, "Collections"] = field(default_factory=dict)  # by process, those that have ended included
    buried_ns: int = 0  # CPU time of children that have ended and been waited for
    clocks_ns: Mapping[int, int] = field(default_factory=dict)  # of each process: what it has used itself


@dataclass(frozen=True, slots=True)
class Collections:
    """A process's garbage collections from its birth on, as it counts them itself."""

    by_generation: tuple[int, ...]
    pause_ns: int  # that all of them took together,
    longest_pause_ns: int  # and the longest since `forget_longest`


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the tree holds at this moment. RSS counts shared pages once per process; USS counts only what is a process's own."""

    rss_bytes: int
    uss_bytes: int | None
    threads: int
    processes: int
    descriptors: int
    socket_bytes: int | None = None  # of all TCP sockets of the machine; None where the kernel does not say


def tree(pid: int) -> tuple[int, ...]:
    """The process and all its descendants."""
    found = [pid]
    for one in found:  # it grows meanwhile
        try:
            children = [
                (task / "children").read_text() for task in Path("/proc", str(one), "task").iterdir()
            ]  # proc_pid_task_children(5): CONFIG_PROC_CHILDREN, in every distribution's kernel
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        found += [int(child) for words in children for child in words.split()]
    return tuple(found)


def rested_tree(pid: int, within_s: float = 5.0) -> tuple[int, ...]:
    """The same as soon as there is nothing left to do: what was asked before is done, and whoever is forked for a connection
    is there. It is so when no process has come or gone from one look to the next and none of their threads wants a CPU,
    whether or not it gets one; or after this time."""
    ends, before, calm = time.monotonic() + within_s, tree(pid), 0
    while calm < _CALM_LOOKS and time.monotonic() < ends:
        time.sleep(_LOOK_S)
        now = tree(pid)
        calm = calm + 1 if now == before and not any(map(_wants_cpu, now)) else 0
        before = now
    return before


def _wants_cpu(pid: int) -> bool:
    """Whether one of the process's threads runs, waits to run, or waits for a disk (field 3 of proc_pid_stat(5))."""
    try:
        return any(
            (task / "stat").read_text().rpartition(")")[2].split()[0] in ("R", "D")
            for task in Path("/proc", str(pid), "task").iterdir()
        )
    except (FileNotFoundError, ProcessLookupError):
        return True  # it is ending


def counters(pids: tuple[int, ...], account: Path | None = None) -> Counters:
    """The totals now. A process that has ended counts nothing but its collections, which are kept in the folder `account`."""
    voluntary = involuntary = faults = buried_ns = 0
    for pid in pids:
        process = Path("/proc", str(pid))
        try:
            # Fields 10 and 11 of proc(5)'s stat; the name in field 2 may hold spaces, so count from its closing parenthesis.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            faults += int(fields[7]) + int(fields[8])  # its own, and those of children that it has waited for
            buried_ns += _buried_ns(pid)
            for task in (process / "task").iterdir():
                status = (task / "status").read_text().rsplit("voluntary_ctxt_switches:", 2)
                voluntary += int(status[1].split()[0])
                involuntary += int(status[2])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Counters(
        voluntary,
        involuntary,
        faults,
        collections(account),
        buried_ns,
        {pid: used_ns for pid in pids if (used_ns := _clock_ns(pid))},
    )


def collections(account: Path | None) -> dict[int, Collections]:
    """What the server's processes have counted in that folder so far, each in a file of its own; none without a folder.

    The file's layout is a model's affair, and said in servers/_collections.py.
    """
    found = {}
    for path in account.iterdir() if account else ():
        data = path.read_bytes()
        if len(data) == _ACCOUNT.size:  # else it is being made
            *by_generation, pause_ns, longest_ns = _ACCOUNT.unpack(data)
            found[int(path.name)] = Collections(tuple(by_generation), pause_ns, longest_ns)
    return found


def forget_longest(account: Path | None) -> None:
    """Let each process find its longest pause anew: the file is its memory (mmap(2), MAP_SHARED)."""
    for path in account.iterdir() if account else ():
        with path.open("r+b") as file:
            file.seek(_ACCOUNT.size - 8)
            file.write(bytes(8))


def holdings(pids: tuple[int, ...], alone: bool = True) -> Holdings:
    """Memory, threads and descriptors now. A process that has ended holds nothing.

    What is unshared is read where no other server is alive: it shares pages with those, and would seem to hold less.
    """
    rss = uss = threads = processes = descriptors = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            rss += process.memory_info().rss
            uss += process.memory_full_info().uss if alone else 0
            threads += process.num_threads()
            descriptors += process.num_fds()
            processes += 1
        except psutil.NoSuchProcess:
            continue
    return Holdings(rss, uss if alone else None, threads, processes, descriptors, socket_bytes())


def socket_bytes() -> int | None:
    """What the kernel keeps for TCP sockets, of both ends and all processes: `mem` of sockstat, in pages (proc_pid_net(5))."""
    try:
        lines = Path("/proc/self/net/sockstat").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words[:1] == ["TCP:"] and "mem" in words:
            return int(words[words.index("mem") + 1]) * _PAGE_BYTES
    return None


def bill(before: Counters, after: Counters, held: Holdings, loads: Sequence[LoadResult]) -> ServerCost:
    """The server's bill for the windows of one level.

    The engine reads the clocks of the processes that were there before the first ramp. Those that came later, as one for each
    connection does, count with all that they have used until after the last drain, and of that the windows have their share of
    the answered requests.
    """
    completed, answered = sum(load.completed for load in loads), sum(load.all_requests for load in loads)
    watched_ns, user_ns = sum(load.server_cpu_ns for load in loads), sum(load.server_user_ns for load in loads)
    # Of those that have gone the parent has an account; what they had used before is not of now.
    earlier_ns = sum(used_ns for pid, used_ns in before.clocks_ns.items() if pid not in after.clocks_ns)
    gone_ns = max(after.buried_ns - before.buried_ns - earlier_ns, 0)
    newcomers_ns = sum(used_ns for pid, used_ns in after.clocks_ns.items() if pid not in before.clocks_ns)
    others_ns = (gone_ns + newcomers_ns) * completed // max(answered, 1)
    spent = [_since(before.collections.get(pid), now) for pid, now in after.collections.items()]
    return ServerCost(
        cpu_user_ns=user_ns,
        cpu_system_ns=watched_ns - user_ns + others_ns,
        voluntary_switches=max(after.voluntary_switches - before.voluntary_switches, 0),
        involuntary_switches=max(after.involuntary_switches - before.involuntary_switches, 0),
        minor_faults=max(after.minor_faults - before.minor_faults, 0),
        counted_requests=answered,
        rss_bytes=held.rss_bytes,
        uss_bytes=held.uss_bytes,
        threads=held.threads,
        processes=held.processes,
        descriptors=held.descriptors,
        socket_bytes=held.socket_bytes,
        collections=tuple(map(sum, zip(*(one.by_generation for one in spent), strict=True))),
        pause_ns=sum(one.pause_ns for one in spent),
        longest_pause_ns=max((one.longest_pause_ns for one in spent), default=0),
        newcomers_ns=others_ns,
    )


def _since(before: Collections | None, now: Collections) -> Collections:
    """What a process has added; all that it has where its number was another's before."""
    if before is None or now.pause_ns < before.pause_ns:
        return now
    added = tuple(after - earlier for earlier, after in zip(before.by_generation, now.by_generation, strict=True))
    return Collections(added, now.pause_ns - before.pause_ns, now.longest_pause_ns)


def delayed_acks() -> int | None:
    """How many TCP acknowledgements this network namespace has sent late, by their timer; None where nobody counts."""
    try:
        lines = Path("/proc/self/net/netstat").read_text().splitlines()
    except OSError:
        return None
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        found = dict(zip(names.split(), values.split(), strict=False))
        if "DelayedACKs" in found:
            return int(found["DelayedACKs"])
    return None


# ---------------------------------------------------------------- who used the CPUs


@dataclass(frozen=True, slots=True)
class Usage:
    """Some CPUs and our own processes at one moment: totals that only grow."""

    at_ns: int
    cpus: int
    free_ns: int  # time of these CPUs, together, that nobody used or that was stolen
    clocks_ns: Mapping[int, int]  # the CPU clock of each of our processes that is alive and runs on them
    buried_ns: int  # what children used that have ended and been waited for, the harness's own included


def usage(cpus: Iterable[int]) -> Usage | None:
    """These CPUs, and who of us runs on them: engine and server, which are pinned there. None where /proc/stat does not say.

    The harness itself is pinned nowhere. It counts where it can't run but on these CPUs; elsewhere, what it used may have been
    used on others, and taking that off would hide as much load of strangers. What it uses here is then told as theirs. That is
    little, less than 1% of two CPUs' time in a visit of the quick profile, and may mark a visit too many, never one too few.
    """
    cpus = set(cpus)
    named = {f"cpu{cpu}" for cpu in cpus}
    here = os.getpid()
    pids = [pid for pid in tree(here) if pid != here or os.sched_getaffinity(0) <= cpus]
    try:
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    except OSError:
        return None
    at_ns = time.monotonic_ns()
    found = [[int(field) for field in row[1:]] for row in rows if row[0] in named]
    if len(found) < len(named) or any(len(row) < 8 for row in found):
        return None
    # Of proc_stat(5): idle, iowait and steal; irq and softirq too where they are kept out of the processes' clocks.
    fields = (3, 4, 7, 5, 6) if _interrupts_apart() else (3, 4, 7)
    free_ns = sum(row[field] for row in found for field in fields) * _TICK_NS
    clocks = {pid: _clock_ns(pid) for pid in pids}
    return Usage(at_ns, len(named), free_ns, clocks, sum(_buried_ns(pid) for pid in {here, *pids}))


def outside(before: Usage | None, after: Usage | None) -> Outside | None:
    """Who used the CPUs between two moments; None where that can't be told.

    A process that ended in between, as a worker that was replaced, is in its parent's account with all it ever used.
    """
    if before is None or after is None:
        return None
    length_ns = after.at_ns - before.at_ns
    alive_ns = sum(used - before.clocks_ns.get(pid, 0) for pid, used in after.clocks_ns.items())
    ended_ns = sum(used for pid, used in before.clocks_ns.items() if pid not in after.clocks_ns)
    ours_ns = alive_ns + max(after.buried_ns - before.buried_ns - ended_ns, 0)
    return Outside(length_ns / 1e9, after.cpus, max(length_ns * after.cpus - (after.free_ns - before.free_ns), 0), ours_ns)


def clocks_of(pids: Iterable[int]) -> dict[int, int]:
    """What each of these processes has used so far, ns; 0 for one that has ended."""
    return {pid: _clock_ns(pid) for pid in pids}


def used_since(before: Mapping[int, int]) -> int:
    """What these processes have used since `clocks_of` was asked, together, ns; those that have ended since are left out."""
    return sum(max(_clock_ns(pid) - used, 0) for pid, used in before.items())


def still(pids: Sequence[int], within_s: float = 5.0) -> bool:
    """Wait until these processes use no CPU time any more: what was asked of them before is done. False if they go on."""
    ends, calm = time.monotonic() + within_s, 0
    while calm < _CALM_LOOKS and time.monotonic() < ends:
        before = clocks_of(pids)
        time.sleep(_LOOK_S)
        calm = calm + 1 if used_since(before) <= _STILL * _LOOK_S * 1e9 else 0
    return calm >= _CALM_LOOKS


def _clock_ns(pid: int) -> int:
    """All CPU time of a living process, by the scheduler's clock, ended threads included; 0 if it has just ended."""
    try:
        return time.clock_gettime_ns(process_clocks(pid)[0])
    except OSError:
        return 0


def _buried_ns(pid: int) -> int:
    """CPU time of a process's children that it has waited for: cutime and cstime of proc_pid_stat(5), in ticks."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(fields[13]) + int(fields[14])) * _TICK_NS


@functools.cache
def _interrupts_apart() -> bool:
    """Whether the kernel keeps interrupts out of the processes' clocks (CONFIG_IRQ_TIME_ACCOUNTING); yes where it won't say.

    A process that sends over loopback receives in a soft interrupt: that is then in nobody's clock, but no outside load.
    """
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            config = file.read()
    except OSError:
        try:
            config = Path(f"/boot/config-{platform.release()}").read_text()
        except OSError:
            return True
    return "CONFIG_IRQ_TIME_ACCOUNTING=y" in config.splitlines()
