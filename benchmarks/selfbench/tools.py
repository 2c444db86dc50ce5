"""The load generators that others use: how each is started on one core with one thread, and what its report says.

What a tool doesn't tell is absent from its percentiles, and what it can't do is said in `limits`; nothing is made up for it.
"""

import re
import resource
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.selfbench import peers
from benchmarks.selfbench.peers import Spent

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_UNITS_NS = {"us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_OVERTIME_S = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool's report says: answers counted as good, in how long, and those of QUANTILES that it tells."""

    requests: int
    seconds: float
    percentiles_ns: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """One load generator: its command, with {url}, {connections}, {seconds}, {rate} and {log} filled in, and its reader.

    `read` gets the report and what is in the file that {log} named, and raises ValueError on errors.
    """

    name: str
    command: str
    read: Callable[[str, str], Told]
    limits: str
    package: str = ""
    opens: bool = False  # it sends at a rate of its own, and counts from when a request was due
    warmup_s: int = 0  # its percentiles tell nothing about so much of its beginning
    shortest_s: int = 1  # a run that its start does not spoil


def _found(pattern: str, text: str, what: str) -> re.Match[str]:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"its report has no {what}")
    return found


def _time_ns(text: str) -> float:
    """ "143.00us", "1.63ms", "2.00s" or "1.00m" in ns."""
    parts = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if parts is None:
        raise ValueError(f"{text!r} is no time")
    return float(parts[1]) * _UNITS_NS[parts[2]]


def read_wrk(report: str, _log: str) -> Told:
    """The report of wrk or wrk2 with --latency. Raises ValueError when it tells of errors."""
    for sign in ("Non-2xx", "Socket errors"):
        if sign in report:
            raise ValueError(_found(rf"^.*{sign}.*$", report, sign)[0].strip())
    done = _found(r"(\d+) requests in ([\d.]+[a-z]+)", report, "number of requests")
    lines = re.findall(r"^ +([\d.]+)% +([\d.]+[a-z]+)$", report, re.MULTILINE)
    told = {round(float(percent) / 100, 6): _time_ns(value) for percent, value in lines}
    return Told(int(done[1]), _time_ns(done[2]) / 1e9, {q: told[q] for q in QUANTILES if q in told})


def read_hey(report: str, _log: str) -> Told:
    """The report of hey, which rounds to 0.1 ms. Raises ValueError when it tells of errors."""
    if "Error distribution" in report:
        raise ValueError(report.partition("Error distribution:")[2].strip().partition("\n")[0].strip())
    statuses = dict(re.findall(r"^ +\[(\d+)\]\s+(\d+) responses", report, re.MULTILINE))
    if set(statuses) != {"200"}:
        raise ValueError(f"its report counts the statuses {', '.join(sorted(statuses)) or 'none'}")
    seconds = float(_found(r"Total:\s+([\d.]+) secs", report, "total time")[1])
    lines = re.findall(r"^ +([\d.]+)% in ([\d.]+) secs", report, re.MULTILINE)
    told = {float(percent) / 100: float(value) * 1e9 for percent, value in lines}
    return Told(int(statuses["200"]), seconds, {q: told[q] for q in QUANTILES if q in told})


def read_h2load(report: str, log: str) -> Told:
    """The report of h2load, and its log: begin, status and µs of each request. Raises ValueError when it tells of errors."""
    counts = _found(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", report, "count of requests")
    if any(int(count) for count in counts.groups()[1:]):
        raise ValueError(counts[0])
    seconds = _time_ns(_found(r"finished in ([\d.]+[a-z]+)", report, "total time")[1]) / 1e9
    times_us = np.array([line.split("\t")[2] for line in log.splitlines()], float)
    told = {q: float(np.quantile(times_us, q)) * 1e3 for q in QUANTILES} if times_us.size else {}
    return Told(int(counts[1]), seconds, told)


WRK = Tool(
    "wrk",
    "wrk -t1 -c{connections} -d{seconds}s --latency {url}",
    read_wrk,
    "closed loop only; percentiles to 99, of its requests and others that it adds, as if an open loop had made them",
)
HEY = Tool(
    "hey",
    "hey -cpus 1 -c {connections} -z {seconds}s {url}",
    read_hey,
    "closed loop only; rounds to 0.1 ms; its percentiles stop at 99",
)
H2LOAD = Tool(
    "h2load",
    "h2load --h1 -t 1 -c {connections} --duration={seconds} {log} {url}",
    read_h2load,
    "closed loop only; tells no percentiles: these are computed from its log of all requests",
    package="nghttp2-client",
)
WRK2 = Tool(
    "wrk2",
    "wrk2 -t1 -c{connections} -d{seconds}s -R{rate} --latency {url}",
    read_wrk,
    "constant rate only; tells nothing about its first 10 s",
    package="github.com/giltene/wrk2",
    opens=True,
    warmup_s=10,
    shortest_s=3,  # runs of a second were seen to send next to nothing
)
TOOLS = (WRK, HEY, H2LOAD, WRK2)


def missing(tool: Tool) -> str:
    """Why a tool can't be had, in a sentence that says how to get it; empty if it is there."""
    try:
        peers.program(tool.name, tool.package)
    except peers.Missing as absent:
        return str(absent)
    return ""


def run(
    tool: Tool, port: int, cpu: int, connections: int, seconds: int, rate_per_s: float = 0.0, log: bool = False
) -> tuple[Spent, dict[float, float]]:
    """Run a tool against /hello on a CPU; what it got done with which CPU time, its start included, and its percentiles in ns.

    `log` asks for what costs time and is only wanted for percentiles. Raises Missing, and RuntimeError when the run failed.
    """
    with TemporaryDirectory(prefix="servebench-tool-") as folder:
        path = Path(folder, "log")
        line = tool.command.format(
            url=f"http://127.0.0.1:{port}/hello",
            connections=connections,
            seconds=seconds,
            rate=round(rate_per_s),
            log=f"--log-file={path}" if log else "",
        )
        command = [peers.program(tool.name, tool.package), *shlex.split(line)[1:]]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            done = subprocess.run(
                command, preexec_fn=lambda: peers.pin(cpu), capture_output=True, text=True, timeout=seconds + _OVERTIME_S
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{tool.name} did not end within {seconds + _OVERTIME_S:.0f} s") from None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            if done.returncode:
                raise ValueError(f"it ended with status {done.returncode}: {done.stderr.strip()}")
            told = tool.read(done.stdout, path.read_text() if path.exists() else "")
            if not told.requests:
                raise ValueError("none of its requests was answered")
        except ValueError as error:
            raise RuntimeError(f"{tool.name} failed: {error}") from error
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(told.requests, cpu_s, told.seconds), told.percentiles_ns
