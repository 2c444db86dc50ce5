"""What the machine says of itself: one record of whatever can change a measurement, read from the kernel's files.

Nothing is judged here (`doctor` does) and nothing is required: a file that is missing leaves its field None or empty. All
files are read below `root`, so that a test can give another machine; only what the interpreter knows of itself is asked of it.
"""

import gzip
import os
import platform
import resource
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NAMED = 3  # of the processes that use the CPUs
_SLOWING = ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "LD_PRELOAD")  # inherited by servers
_NO_LIMIT_BYTES = 1 << 60  # cgroup v1 says "no limit" by a number near 2**63


@dataclass(frozen=True, slots=True)
class Python:
    """How the interpreter was built, and what in the environment makes it slower."""

    version: str
    optimised: bool | None  # with profile-guided optimisation; None: it does not say
    debug: bool
    gil: bool
    slowing: list[str]  # environment variables that are set


@dataclass(frozen=True, slots=True)
class Usage:
    """Who used the CPUs in a short while of looking on: shares of one core, this process left out."""

    seconds: float
    cores: float  # by all others together
    steal: float  # share of all CPUs' time that the host gave to someone else
    processes: list[tuple[str, float]]  # the busiest, by name


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as far as it says. CPUs are by number; None and empty mean that it does not say."""

    cpus: tuple[int, ...]  # that this process may use
    server_cpus: tuple[int, ...]
    driver_cpus: tuple[int, ...]
    python: Python
    open_files: int  # the hard limit, to which a run raises its own
    online: int | None = None  # CPUs that the machine has
    siblings: dict[int, tuple[int, ...]] = field(default_factory=dict)  # CPU -> hardware threads of its core, itself included
    nodes: dict[int, int] = field(default_factory=dict)  # CPU -> NUMA node
    governors: dict[int, str] = field(default_factory=dict)
    turbo: bool | None = None
    usage: Usage | None = None
    steal_since_boot: float | None = None
    pressure: dict[str, tuple[float, float]] = field(default_factory=dict)  # "cpu", … -> % of time someone waited: 10 s, 60 s
    preemption: str = ""  # none, voluntary, lazy, full, rt
    tick_hz: int | None = None
    somaxconn: int | None = None
    syn_backlog: int | None = None
    ports: tuple[int, int] | None = None
    tw_reuse: int | None = None
    cpu_quota: float | None = None  # cores that a control group allows
    memory_limit_bytes: int | None = None  # of a control group
    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    clocksource: str = ""
    virtual: str = ""  # the hypervisor, or "yes"
    container: str = ""


def look(
    server_cpus: Sequence[int] = (), driver_cpus: Sequence[int] = (), watch_s: float = 0.5, root: Path = Path("/")
) -> Machine:
    """Read everything; takes `watch_s` seconds, in which it sees who uses the CPUs."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    server = tuple(server_cpus) or cpus[:1]
    driver = tuple(driver_cpus) or cpus[-1:]
    chosen = sorted({*server, *driver})
    quota, memory_limit = _limits(root)
    memory = _amounts(_lines(root, "proc/meminfo"))
    return Machine(
        cpus=cpus,
        server_cpus=server,
        driver_cpus=driver,
        python=_python(),
        open_files=_open_files(),
        online=len(cpu_list(_read(root, "sys/devices/system/cpu/online"))) or None,
        siblings=_siblings(root, chosen),
        nodes=_nodes(root, chosen),
        governors=_governors(root, chosen),
        turbo=_turbo(root),
        usage=_usage(root, watch_s),
        steal_since_boot=_steal(_cpu_ticks(root)),
        pressure=_pressure(root),
        preemption=_preemption(root),
        tick_hz=_tick_hz(root),
        somaxconn=_number(_read(root, "proc/sys/net/core/somaxconn")),
        syn_backlog=_number(_read(root, "proc/sys/net/ipv4/tcp_max_syn_backlog")),
        ports=_ports(_read(root, "proc/sys/net/ipv4/ip_local_port_range")),
        tw_reuse=_number(_read(root, "proc/sys/net/ipv4/tcp_tw_reuse")),
        cpu_quota=quota,
        memory_limit_bytes=memory_limit,
        memory_available_bytes=memory.get("MemAvailable"),
        swap_used_bytes=memory["SwapTotal"] - memory["SwapFree"] if {"SwapTotal", "SwapFree"} <= set(memory) else None,
        clocksource=_read(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        virtual=_virtual(root),
        container=_container(root),
    )


# ---------------------------------------------------------------- files


def _read(root: Path, path: str) -> str:
    """The words of a file; empty when it can't be read."""
    try:
        return " ".join((root / path).read_text(errors="replace").split())
    except OSError:
        return ""


def _lines(root: Path, path: str) -> list[str]:
    try:
        return (root / path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _number(words: str) -> int | None:
    try:
        return int(words)
    except ValueError:
        return None


def _ports(words: str) -> tuple[int, int] | None:
    found = [_number(word) for word in words.split()]
    return (found[0], found[1]) if len(found) == 2 and found[0] is not None and found[1] is not None else None


def _amounts(lines: Iterable[str]) -> dict[str, int]:
    """The lines of /proc/meminfo, in bytes."""
    found = {}
    for line in lines:
        name, _, amount = line.partition(":")
        kib = _number(amount.removesuffix(" kB"))
        if kib is not None:
            found[name] = kib * 1024
    return found


def cpu_list(words: str) -> tuple[int, ...]:
    """The kernel's way of listing CPUs: "0-2,8" is 0, 1, 2, 8. What is no such list is empty."""
    found: list[int] = []
    for part in words.split(","):
        first, _, last = part.partition("-")
        low, high = _number(first), _number(last or first)
        if low is None or high is None:
            return ()
        found += range(low, high + 1)
    return tuple(found)


# ---------------------------------------------------------------- processors


def _siblings(root: Path, cpus: Iterable[int]) -> dict[int, tuple[int, ...]]:
    where = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return {cpu: found for cpu in cpus if (found := cpu_list(_read(root, where.format(cpu))))}


def _nodes(root: Path, cpus: Sequence[int]) -> dict[int, int]:
    found = {}
    for folder in sorted(root.glob("sys/devices/system/node/node[0-9]*")):
        members = cpu_list(_read(folder, "cpulist"))
        found.update({cpu: int(folder.name.removeprefix("node")) for cpu in cpus if cpu in members})
    return found


def _governors(root: Path, cpus: Iterable[int]) -> dict[int, str]:
    where = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
    return {cpu: found for cpu in cpus if (found := _read(root, where.format(cpu)))}


def _turbo(root: Path) -> bool | None:
    no_turbo = _read(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _read(root, "sys/devices/system/cpu/cpufreq/boost")
    if no_turbo:
        return no_turbo == "0"
    return boost == "1" if boost else None


def _virtual(root: Path) -> str:
    """The hypervisor's name where one is told, "yes" where the processor only says that there is one."""
    flags = next((line for line in _lines(root, "proc/cpuinfo") if line.startswith("flags")), "")
    vendor = _read(root, "sys/class/dmi/id/sys_vendor") + " " + _read(root, "sys/class/dmi/id/product_name")
    named = _read(root, "sys/hypervisor/type") or next(
        (name for name in ("QEMU", "KVM", "VMware", "VirtualBox", "Xen", "Amazon EC2", "Google Compute") if name in vendor), ""
    )
    if "hypervisor" in flags.split():
        return named or "yes"
    return named


def _container(root: Path) -> str:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = _read(root, "proc/self/cgroup")
    return next((name for name in ("kubepods", "docker", "lxc") if name in groups), "")


# ---------------------------------------------------------------- kernel


def _preemption(root: Path) -> str:
    """As told, in this order, by the kernel now, at its start, by its name, and by how it was configured."""
    if _read(root, "sys/kernel/realtime") == "1":
        return "rt"
    chosen = _read(root, "sys/kernel/debug/sched/preempt")  # "none voluntary (full)"; only root may read it
    if "(" in chosen:
        return chosen.partition("(")[2].partition(")")[0]
    for word in _read(root, "proc/cmdline").split():
        if word.startswith("preempt="):
            return word.removeprefix("preempt=")
    version = _read(root, "proc/version").split()
    if "PREEMPT_RT" in version:
        return "rt"
    config = _config(root)
    for name in ("NONE", "VOLUNTARY", "LAZY"):
        if f"CONFIG_PREEMPT_{name}=y" in config:
            return name.lower()
    return "full" if "CONFIG_PREEMPT=y" in config or "PREEMPT" in version else ""


def _tick_hz(root: Path) -> int | None:
    line = next((line for line in _config(root) if line.startswith("CONFIG_HZ=")), "")
    return _number(line.removeprefix("CONFIG_HZ="))


def _config(root: Path) -> list[str]:
    try:
        return gzip.decompress((root / "proc/config.gz").read_bytes()).decode(errors="replace").splitlines()
    except (OSError, EOFError):
        return _lines(root, f"boot/config-{_read(root, 'proc/sys/kernel/osrelease')}")


def _pressure(root: Path) -> dict[str, tuple[float, float]]:
    """Pressure stall information: the share of time, in per cent, in which at least one task waited for a resource."""
    found = {}
    for kind in ("cpu", "io", "memory"):
        line = next((line for line in _lines(root, f"proc/pressure/{kind}") if line.startswith("some ")), "")
        told = dict(part.split("=", 1) for part in line.split()[1:] if "=" in part)
        try:
            found[kind] = float(told["avg10"]), float(told["avg60"])
        except (KeyError, ValueError):
            continue
    return found


def _limits(root: Path) -> tuple[float | None, int | None]:
    """Cores and bytes that the control groups of this process allow: the least on the way up. Version 2 and version 1."""
    cores: list[float] = []
    sizes: list[int] = []
    for line in _lines(root, "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for group in _upward(path):
            if not controllers:
                cores += _quota(*_read(root, f"sys/fs/cgroup{group}/cpu.max").split())
                sizes += [size for size in [_number(_read(root, f"sys/fs/cgroup{group}/memory.max"))] if size is not None]
            elif "cpu" in controllers.split(","):
                folder = f"sys/fs/cgroup/cpu{group}"
                cores += _quota(_read(root, f"{folder}/cpu.cfs_quota_us"), _read(root, f"{folder}/cpu.cfs_period_us"))
            elif controllers == "memory":
                size = _number(_read(root, f"sys/fs/cgroup/memory{group}/memory.limit_in_bytes"))
                sizes += [size] if size is not None and size < _NO_LIMIT_BYTES else []
    return min(cores, default=None), min(sizes, default=None)


def _upward(path: str) -> list[str]:
    """A group and all above it: "/a/b" is "/a/b", "/a", "". In a namespace of its own a process sees itself at "/"."""
    parts = [part for part in path.split("/") if part and part != ".."]
    return ["".join(f"/{part}" for part in parts[:end]) for end in range(len(parts), -1, -1)]


def _quota(allowed: str = "", period: str = "") -> list[float]:
    allowed_us, period_us = _number(allowed), _number(period)
    return [allowed_us / period_us] if allowed_us is not None and allowed_us > 0 and period_us else []


# ---------------------------------------------------------------- who uses the CPUs


def _usage(root: Path, watch_s: float) -> Usage | None:
    """Look twice, and tell the difference."""
    before, then, began = _cpu_ticks(root), _processes(root), time.monotonic()
    time.sleep(watch_s)
    after, now, seconds = _cpu_ticks(root), _processes(root), time.monotonic() - began
    if not before or not after or seconds <= 0:
        return None
    spent = {pid: (name, ticks - then.get(pid, (name, ticks))[1]) for pid, (name, ticks) in now.items()}
    own = spent.pop(os.getpid(), ("", 0))[1]
    by_name: dict[str, int] = {}
    for name, ticks in spent.values():
        by_name[name] = by_name.get(name, 0) + ticks
    busiest = sorted(((ticks, name) for name, ticks in by_name.items() if ticks > 0), reverse=True)[:_NAMED]
    change = [new - old for old, new in zip(before, after, strict=True)]
    busy = max(_busy_ticks(change) - own, 0)
    return Usage(
        seconds=seconds,
        cores=busy / TICKS_PER_S / seconds,
        steal=_steal(change) or 0.0,
        processes=[(name, ticks / TICKS_PER_S / seconds) for ticks, name in busiest],
    )


def _cpu_ticks(root: Path) -> list[int]:
    """All CPUs together: user, nice, system, idle, iowait, irq, softirq, steal (proc(5))."""
    words = next(iter(_lines(root, "proc/stat")), "").split()
    ticks = [_number(word) or 0 for word in words[1:9]]
    return ticks if words[:1] == ["cpu"] and len(ticks) == 8 else []


def _busy_ticks(ticks: Sequence[int]) -> int:
    user, nice, system, _idle, _iowait, irq, softirq, _steal = ticks
    return user + nice + system + irq + softirq


def _steal(ticks: Sequence[int]) -> float | None:
    return ticks[7] / sum(ticks) if ticks and sum(ticks) else None


def _processes(root: Path) -> Mapping[int, tuple[str, int]]:
    """Name and CPU ticks of every process."""
    found = {}
    for folder in (root / "proc").glob("[0-9]*"):
        before, closes, after = _read(folder, "stat").rpartition(")")  # a name may hold spaces and brackets itself
        words = after.split()
        if closes and len(words) > 12:
            found[int(folder.name)] = before.partition("(")[2], int(words[11]) + int(words[12])
    return found


# ---------------------------------------------------------------- this process


def _open_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _python() -> Python:
    told = [str(sysconfig.get_config_var(name) or "") for name in ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST")]
    return Python(
        version=platform.python_version(),
        optimised=any("-fprofile-use" in t or "--enable-optimizations" in t for t in told) if any(told) else None,
        debug=hasattr(sys, "gettotalrefcount"),
        gil=bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        slowing=[name for name in _SLOWING if os.environ.get(name)],
    )
