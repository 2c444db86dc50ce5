"""What to look at on a machine, and when it hurts: a function for each matter, from the machine's facts to a graded symptom.

To add one, write it and name it in EXAMINATIONS. It answers None where the machine does not tell, or where it does not matter.
The limits are rules of thumb, each with where it comes from; nothing but advice depends on them.
"""

from collections.abc import Callable, Sequence

from benchmarks.amounts import digits, percent, size
from benchmarks.machine import Machine
from benchmarks.summaries import Grade, Symptom

OUTSIDE = (0.03, 0.15)  # cores used by others: above the share of a window at which `validity` asks for a repetition; far above
STEAL = (0.002, 0.02)  # processes differ by 1-4%: a tenth of that is lost in it, all of it is not
PRESSURE = {  # % of the last ten seconds, and of the last minute, in which a task waited
    "cpu": (10.0, 40.0),  # two busy cores and a little housekeeping show 5-10
    "io": (5.0, 25.0),  # records are written between replicates
    "memory": (0.5, 5.0),  # any waiting for memory is time in which no request is served
}
OPEN_FILES = (4_096, 16_384)  # 1,000 connections have two ends and some room; so have 10,000 between two processes
QUEUE = (256, 1_000)  # the largest closed levels of the scenarios: connections that arrive at once
PORTS = (5_000, 20_000)  # a port is in TIME-WAIT for 60 s (linux/net/tcp.h, TCP_TIMEWAIT_LEN)
MEMORY_BYTES = (1 << 29, 2 << 30)  # engine and harness need 300 MiB, 1,000 threads or 16 processes as much again
SWAPPED_BYTES = 64 << 20
TICK_HZ = 250  # slower, and a task that woke may wait 10 ms for the next tick
_BY_SYSTEM_CALL = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")  # the vDSO can't read these (vdso(7))
_EAGER = ("performance",)

WORST_FIRST = {"poor": 0, "fair": 1, "good": 2}


def above(value: float, limits: tuple[float, float]) -> Grade:
    """Good up to the first limit, poor above the second."""
    return "good" if value <= limits[0] else "fair" if value <= limits[1] else "poor"


def below(value: float, limits: tuple[float, float]) -> Grade:
    """Poor below the first limit, good from the second."""
    return "poor" if value < limits[0] else "fair" if value < limits[1] else "good"


def _named(cpus: Sequence[int]) -> str:
    return "CPU " + ", ".join(map(str, cpus))


# ---------------------------------------------------------------- cores


def cores(machine: Machine) -> Symptom | None:
    """One for the server, one for the load, and one for everybody else."""
    count = len(machine.cpus)
    shared = set(machine.server_cpus) & set(machine.driver_cpus)
    kept = machine.online is not None and count < machine.online
    usable = f"{count} of {machine.online} usable" if kept else f"{count} usable"
    seen = f"{usable}, server on {_named(machine.server_cpus)}, load from {_named(machine.driver_cpus)}"
    return Symptom(
        "cores",
        "poor" if shared else "fair" if count < 3 else "good",
        seen,
        "server and load take turns on one core: the numbers are of both"
        if shared
        else "whoever else runs takes time from the server or from the load; high percentiles are then the machine's",
        f"name two of them (--server-cpus {machine.cpus[0]} --driver-cpus {machine.cpus[-1]})"
        if shared and count > 1
        else "allow more of them (docker run --cpuset-cpus, taskset)"
        if kept
        else "use a machine with two cores or more"
        if shared
        else "a third core would take everything else",
    )


def core_siblings(machine: Machine) -> Symptom | None:
    """Two hardware threads of one core share its execution units: each slows the other."""
    if not machine.siblings:
        return None
    both = [cpu for cpu in machine.server_cpus if set(machine.siblings.get(cpu, ())) & set(machine.driver_cpus) - {cpu}]
    threads = max(len(found) for found in machine.siblings.values())
    core = ", ".join(map(str, machine.siblings.get(both[0], ()))) if both else ""
    return Symptom(
        "core siblings",
        "poor" if both else "good",
        f"server and load run on two threads of one core (CPU {core})"
        if both
        else f"{threads} hardware threads a core, none of them shared by server and load"
        if threads > 1
        else "one hardware thread a core",
        "they share its units and caches: each slows the other, by an amount that differs between models",
        "choose CPUs of different cores (lscpu -e; --server-cpus, --driver-cpus)",
    )


def frequency(machine: Machine) -> Symptom | None:
    """A governor other than performance changes the clock while one measures."""
    if not machine.governors:
        if machine.virtual:  # said in `virtual_machine`: there is nothing here that one could set
            return None
        why = "a core that clocks up and down while one measures makes early levels slower than late ones"
        return Symptom("frequency", "fair", "governor not said by this machine", why, "look in the firmware's power settings")
    names = sorted(set(machine.governors.values()))
    return Symptom(
        "frequency",
        "good" if set(names) <= set(_EAGER) else "fair",
        f"governor {', '.join(names)}",
        "the clock follows the load: light levels run slower than heavy ones, and early ones slower than late ones",
        "sudo cpupower frequency-set -g performance",
    )


def turbo(machine: Machine) -> Symptom | None:
    """Turbo depends on temperature and on what the other cores do."""
    if machine.turbo is None:
        return None
    return Symptom(
        "turbo",
        "fair" if machine.turbo else "good",
        "on" if machine.turbo else "off",
        "the clock depends on temperature and on how many cores work: whoever is measured first is measured cool",
        "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, or 0 into /sys/devices/system/cpu/cpufreq/boost",
    )


def numa(machine: Machine) -> Symptom | None:
    """Packets that cross between memories cost more than those that stay."""
    nodes = sorted({machine.nodes[cpu] for cpu in (*machine.server_cpus, *machine.driver_cpus) if cpu in machine.nodes})
    if not nodes:
        return None
    return Symptom(
        "memory nodes",
        "fair" if len(nodes) > 1 else "good",
        f"server and load on nodes {', '.join(map(str, nodes))}" if len(nodes) > 1 else "server and load on one node",
        "every packet crosses from one node's memory to the other's",
        "choose CPUs of one node (lscpu; --server-cpus, --driver-cpus)",
    )


# ---------------------------------------------------------------- who else there is


def other_load(machine: Machine) -> Symptom | None:
    """Whoever else runs now."""
    usage = machine.usage
    if usage is None:
        return None
    names = ", ".join(f"{name} {digits(share, 2)}" for name, share in usage.processes)
    return Symptom(
        "other load",
        above(usage.cores, OUTSIDE),
        f"others use {digits(usage.cores, 2)} of a core" + (f" ({names})" if names and usage.cores > OUTSIDE[0] else ""),
        "it takes turns with the server and the load, and throws what they cached out",
        "stop it, or keep it off the run's CPUs (taskset -p)" + ("" if names else "; servebench doctor names it"),
    )


def steal(machine: Machine) -> Symptom | None:
    """Time that the host gave to someone else, now or since the machine started."""
    told = [share for share in (machine.usage.steal if machine.usage else None, machine.steal_since_boot) if share is not None]
    if not told:
        return None
    return Symptom(
        "steal",
        above(max(told), STEAL),
        f"{percent(told[0])} of the CPUs' time now, {percent(told[-1])} since boot" if any(told) else "none",
        "the host ran someone else while server or load wanted to run",
        "use a machine with cores of its own",
    )


def pressure(machine: Machine) -> Symptom | None:
    """How long tasks waited for CPU, disk or memory (kernel documentation, accounting/psi)."""
    told = [(kind, machine.pressure[kind]) for kind in PRESSURE if kind in machine.pressure]
    if not told:
        return None
    grade = min((above(max(shares), PRESSURE[kind]) for kind, shares in told), key=WORST_FIRST.__getitem__)
    return Symptom(
        "pressure",
        grade,
        "tasks waited " + ", ".join(f"for {kind} {digits(max(shares), 2)}%" for kind, shares in told) + " of the time",
        "server and load will wait as well, at moments that nothing else shows",
        "wait until it falls, or find who it is (top, iotop, free)",
    )


def virtual_machine(machine: Machine) -> Symptom | None:
    """What a guest can't see it can't report."""
    inside = f" in a {machine.container} container" if machine.container else ""
    by = f" ({machine.virtual})" if machine.virtual not in ("", "yes") else ""
    return Symptom(
        "virtual machine",
        "fair" if machine.virtual else "good",
        (f"yes{by}" if machine.virtual else "no") + inside,
        "its cores are threads of the host: they move, share caches and change their clock, and no counter in here tells",
        "compare within one run, and repeat at another time; a machine of your own is steadier",
    )


# ---------------------------------------------------------------- the kernel


def preemption(machine: Machine) -> Symptom | None:
    """Without preemption in the kernel, who wakes waits for system calls and ticks of others."""
    if not machine.preemption:
        return None
    late = machine.preemption in ("none", "lazy")
    tick = f", at most a tick of {digits(1000 / machine.tick_hz, 2)} ms" if machine.tick_hz else ""
    return Symptom(
        "preemption",
        "fair" if late else "good",
        machine.preemption + (f", tick {machine.tick_hz} Hz" if machine.tick_hz else ""),
        f"a task that gets in between keeps its core until it sleeps or is interrupted{tick}",
        "boot with preempt=full where the kernel knows it; keep other tasks away otherwise",
    )


def tick(machine: Machine) -> Symptom | None:
    """The scheduler looks only so often."""
    if machine.tick_hz is None:
        return None
    return Symptom(
        "timer tick",
        "fair" if machine.tick_hz < TICK_HZ else "good",
        f"{machine.tick_hz} Hz",
        f"tasks that share a core take turns of {digits(1000 / machine.tick_hz, 2)} ms: many threads answer late",
        "a kernel with CONFIG_HZ=250 or more",
    )


def clock(machine: Machine) -> Symptom | None:
    """A clock that the kernel must be asked for costs a system call at every look."""
    if not machine.clocksource:
        return None
    slow = machine.clocksource in _BY_SYSTEM_CALL
    return Symptom(
        "clock",
        "poor" if slow else "good",
        machine.clocksource,
        "each reading is a system call of a microsecond or more, and every request is timed",
        "find out why the kernel does not trust the TSC (dmesg | grep -i clocksource)",
    )


# ---------------------------------------------------------------- limits


def open_files(machine: Machine) -> Symptom | None:
    """Each connection is a descriptor at both ends."""
    seen = "no limit" if machine.open_files > 1 << 40 else f"at most {machine.open_files:,}"
    return Symptom(
        "open files",
        below(machine.open_files, OPEN_FILES),
        seen,
        "levels of more connections fail with EMFILE",
        "ulimit -Hn 65536 as root, or LimitNOFILE= and /etc/security/limits.conf",
    )


def listen_queue(machine: Machine) -> Symptom | None:
    """Connections that arrive at once wait here; one that finds no room tries again after a second."""
    told = [(name, limit) for name, limit in (("somaxconn", machine.somaxconn), ("tcp_max_syn_backlog", machine.syn_backlog))
            if limit is not None]  # fmt: skip
    if not told:
        return None
    least, limit = min(told, key=lambda one: one[1])
    setting = "net.core.somaxconn" if least == "somaxconn" else "net.ipv4.tcp_max_syn_backlog"
    return Symptom(
        "listen queue",
        below(limit, QUEUE),
        ", ".join(f"{name} {limit:,}" for name, limit in told),
        "a connection that finds no room tries again after a second (RFC 6298, 2.1), which is then called latency",
        f"sudo sysctl -w {setting}=4096",
    )


def ports(machine: Machine) -> Symptom | None:
    """Each connection that the engine closes keeps a port for a minute, unless it may be used again."""
    if machine.ports is None:
        return None
    low, high = machine.ports
    count = high - low + 1
    grade = below(count, PORTS)
    reused = {0: ", not used again for 60 s", 1: ", used again after a second", 2: ", used again on loopback after a second"}
    if machine.tw_reuse == 0 and grade == "good":
        grade = "fair"
    return Symptom(
        "ports",
        grade,
        f"{count:,}{reused.get(-1 if machine.tw_reuse is None else machine.tw_reuse, '')}",
        f"with more than {count // 60:,} new connections a second for a minute there is none left",
        'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=2',
    )


def cpu_quota(machine: Machine) -> Symptom | None:
    """A quota stops everything until its period of 100 ms is over."""
    if machine.cpu_quota is None:
        return None
    wanted = len({*machine.server_cpus, *machine.driver_cpus})
    return Symptom(
        "CPU quota",
        "poor" if machine.cpu_quota < wanted else "fair" if machine.cpu_quota < wanted + 1 else "good",
        f"{digits(machine.cpu_quota)} cores by the control group, {wanted} wanted by server and load",
        "whoever has used it up stands still until its period (100 ms) ends",
        "give the container more (docker run --cpus 4), or none",
    )


def memory(machine: Machine) -> Symptom | None:
    """What is left for servers of many threads and processes."""
    left = [amount for amount in (machine.memory_available_bytes, machine.memory_limit_bytes) if amount is not None]
    if not left:
        return None
    by = " (limited by the control group)" if machine.memory_limit_bytes == min(left) else " available"
    return Symptom(
        "memory",
        below(min(left), MEMORY_BYTES),
        f"{size(min(left))}{by}",
        "servers of many threads or processes, and the engine, may be killed or swapped",
        "free some, or raise the container's limit (docker run --memory 4g)",
    )


def swap(machine: Machine) -> Symptom | None:
    """What was swapped out comes back one page fault at a time."""
    if machine.swap_used_bytes is None:
        return None
    return Symptom(
        "swap",
        "fair" if machine.swap_used_bytes > SWAPPED_BYTES else "good",
        f"{size(machine.swap_used_bytes)} in use" if machine.swap_used_bytes else "not in use",
        "what comes back from disk while one measures is a pause of milliseconds",
        "free memory, then sudo swapoff -a && sudo swapon -a",
    )


# ---------------------------------------------------------------- the interpreter


def python(machine: Machine) -> Symptom | None:
    """How the interpreter was built, and what the environment makes it do."""
    built = machine.python
    if built.slowing or built.debug:
        settings = ", ".join(f"{name} is set" for name in built.slowing)
        seen = f"{built.version}" + (", a debug build" if built.debug else "") + (f", {settings}" if settings else "")
        why = "every model runs several times slower than a user's, some more than others"
        remedy = f"unset {' '.join(built.slowing)}" if built.slowing else "use a release build"
        return Symptom("Python", "poor", seen, why, remedy)
    kind = {True: "optimised (PGO)", False: "built without PGO", None: "build not said"}[built.optimised]
    return Symptom(
        "Python",
        "good" if built.optimised else "fair",
        f"{built.version}, {kind}, {'with' if built.gil else 'without'} GIL",
        "an interpreter built without profile-guided optimisation is slower than the one that most users have",
        "use the distribution's, or build with --enable-optimizations --with-lto",
    )


EXAMINATIONS: tuple[Callable[[Machine], Symptom | None], ...] = (
    cores, core_siblings, cpu_quota, other_load, pressure, steal, memory, swap, clock, open_files, listen_queue, ports,
    frequency, turbo, numa, virtual_machine, preemption, tick, python,
)  # fmt: skip
