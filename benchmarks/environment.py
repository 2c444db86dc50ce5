"""The machine and the software a run was made with, as far as they can change its numbers: environment.json.

And what of them differs between two runs: what makes a comparison unfair is told in words, what changes from day to day
(the load average, the name, the seed, how many replicates) is not.
"""

import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import doctor, interpreters
from benchmarks.nouns import SCHEMA, RunFacts, RunOptions
from benchmarks.questions import Scenario

_PACKAGES = (
    "servebench", "gevent", "httptools", "llvmlite", "matplotlib", "msgspec", "numba", "numpy", "psutil", "rich", "scipy",
    "trio", "uvloop", "psycopg",
)  # fmt: skip
_DECISIVE = (
    "servebench",
    "gevent",
    "httptools",
    "trio",
    "uvloop",
    "psycopg",
    "numba",
    "llvmlite",
)  # they run in the server or in the load engine
_OTHER = "python "  # with its version behind: an interpreter that servers ran under beside the harness's own
_NONE_BY_ABSENCE = ("cpu_quota", "virtual", "container")  # of the doctor's facts: a machine without one says nothing of it


def environment(server_cpus: Sequence[int] = (), driver_cpus: Sequence[int] = ()) -> dict[str, Any]:
    """What this machine says of itself, and what may hurt on it; what it does not say is absent."""
    machine = doctor.facts(server_cpus, driver_cpus)
    if machine.usage is not None:  # what else runs here is nobody's business whom a run is shown to
        machine = replace(machine, usage=replace(machine.usage, processes=[]))
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu_count": os.cpu_count(),
        "usable_cpus": list(machine.cpus),
        "load_average": os.getloadavg(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    model = _cpu_model()
    if model:
        found["cpu_model"] = model
    told: dict[str, Any] = msgspec.to_builtins(machine, str_keys=True)
    found["facts"] = {name: value for name, value in told.items() if value not in (None, "", {})}
    found["symptoms"] = msgspec.to_builtins(doctor.diagnose(machine))
    return found


def versions(options: RunOptions | None = None) -> dict[str, str]:
    """The interpreter and the packages; of a run with other interpreters those, too: "python 3.13": "3.13.0 (build), GIL on".

    Raises interpreters.Unusable when one of them is not there any more.
    """
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    pythons = dict.fromkeys(variant.python for variant in options.variants.values() if variant.python) if options else {}
    others = interpreters.labels([interpreters.read(python) for python in pythons])
    return found | {label.replace("python", _OTHER, 1): one.words for label, one in others.items()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


# ---------------------------------------------------------------- two runs


def differences(a: Mapping[str, Any], b: Mapping[str, Any], a_run: RunFacts, b_run: RunFacts) -> list[str]:
    """What makes it unfair to compare two runs by their environments and options, in words, `a` first; empty when nothing does.

    What only one of them says is no difference, but where to say nothing means that there is none.
    """
    return [*_machines(a, b), *_software(a_run.versions, b_run.versions), *_options(a_run.options, b_run.options),
            *_scenarios(a_run.scenarios, b_run.scenarios)]  # fmt: skip


def _machines(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[str]:
    for name, before, after in (("machine", "", ""), ("cpu_model", "", ""), ("system", "", ""), ("cpu_count", "", " cores")):
        yield from _apart(a.get(name), b.get(name), before, after)
    yield from _apart(_count(a.get("usable_cpus")), _count(b.get("usable_cpus")), "", " usable CPUs")
    for name, before, after in (
        ("governors", "governor ", ""),
        ("turbo", "turbo ", ""),
        ("preemption", "preemption ", ""),
        ("tick_hz", "a timer tick of ", " Hz"),
        ("clocksource", "clock ", ""),
        ("cpu_quota", "CPU quota ", ""),
        ("virtual", "hypervisor ", ""),
        ("container", "container ", ""),
        ("siblings", "CPUs that share cores: ", ""),
    ):
        yield from _apart(_fact(a, name), _fact(b, name), before, after)
    built = [_fact(one, "python") or {} for one in (a, b)]
    for name, word in (("optimised", "PGO"), ("gil", "the GIL"), ("debug", "debugging")):
        if len(told := [python[name] for python in built if python.get(name) is not None]) == 2 and told[0] != told[1]:
            yield f"Python {'with' if told[0] else 'without'} and {'with' if told[1] else 'without'} {word}"


def _fact(environment: Mapping[str, Any], name: str) -> Any:
    """One of the doctor's facts, made comparable; None where it is not told."""
    if "facts" not in environment:
        return None
    value = environment["facts"].get(name, "none" if name in _NONE_BY_ABSENCE else None)
    if name == "governors" and isinstance(value, dict):
        return ", ".join(sorted(set(value.values()))) or None
    if name == "siblings" and isinstance(value, dict):
        shared = sorted({"+".join(map(str, cpus)) for cpus in value.values() if len(cpus) > 1})
        return ", ".join(shared) or "none"
    if name == "cpu_quota" and isinstance(value, int | float):
        return f"{value:g} cores"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _software(a: Mapping[str, str], b: Mapping[str, str]) -> Iterable[str]:
    yield from _apart(a.get("implementation"), b.get("implementation"), "", "")
    yield from _apart(a.get("python"), b.get("python"), "Python ", "")
    for other in sorted(name for name in {*a, *b} if name.startswith(_OTHER)):
        yield from _apart(a.get(other), b.get(other), f"{other}: ", "")
    for package in _DECISIVE:
        yield from _apart(a.get(package), b.get(package), f"{package} ", "")


def _options(a: RunOptions, b: RunOptions) -> Iterable[str]:
    yield from _apart(f"{a.level_s:g}", f"{b.level_s:g}", "levels of ", " s")
    yield from _apart(_list(a.server_cpus), _list(b.server_cpus), "server on CPU ", "")
    yield from _apart(_list(a.driver_cpus), _list(b.driver_cpus), "load from CPU ", "")
    yield from _apart(a.poll, b.poll, "polling: ", "")
    yield from _apart(a.objective or "none", b.objective or "none", "objective ", "")


def _scenarios(a: Mapping[str, Scenario], b: Mapping[str, Scenario]) -> Iterable[str]:
    """Scenarios of one name that ask differently. Levels are compared by name, so other levels are no difference."""
    for name in sorted(set(a) & set(b)):
        one, other = a[name], b[name]
        if one.request != other.request:
            yield f"{name} asks {one.request.method} {one.request.path} and {other.request.method} {other.request.path}"
        yield from _apart(one.wait_s, other.wait_s, f"{name} waits ", " s")
        yield from _apart(one.open_connections, other.open_connections, f"{name} offers its rates over ", " connections")


def _list(cpus: Sequence[int]) -> str:
    return ", ".join(map(str, cpus))


def _count(values: Sequence[int] | None) -> int | None:
    return None if values is None else len(values)


def _apart(a: object, b: object, before: str, after: str) -> list[str]:
    """ "Python 3.11.7 and 3.12.1" when they differ, nothing when they do not or one is not told."""
    return [f"{before}{a} and {b}{after}"] if a is not None and b is not None and a != b else []
