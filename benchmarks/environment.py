"""The machine and the software a run was made with, as far as they can change its numbers: environment.json."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.nouns import SCHEMA

_PACKAGES = ("gevent", "httptools", "llvmlite", "matplotlib", "msgspec", "numba", "numpy", "psutil", "rich", "scipy")
_SETTINGS = {
    "somaxconn": "/proc/sys/net/core/somaxconn",
    "port_range": "/proc/sys/net/ipv4/ip_local_port_range",
    "tcp_tw_reuse": "/proc/sys/net/ipv4/tcp_tw_reuse",
    "clocksource": "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "governor": "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "cgroup_cpu_max": "/sys/fs/cgroup/cpu.max",
}


def environment() -> dict[str, Any]:
    """What this machine says of itself; what it does not say is absent."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_count": os.cpu_count(),
        "usable_cpus": sorted(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    model = _cpu_model()
    if model:
        found["cpu_model"] = model
    found.update({name: text for name, path in _SETTINGS.items() if (text := _read(path))})
    return found


def versions() -> dict[str, str]:
    """The interpreter and the packages."""
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _read(path: str) -> str:
    try:
        return " ".join(Path(path).read_text().split())
    except OSError:
        return ""


def _cpu_model() -> str:
    for line in _read_lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def _read_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
