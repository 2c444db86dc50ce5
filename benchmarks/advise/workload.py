"""What somebody means to serve, how it is written on the command line, and what follows from it for every model.

Requests in service at once are the rate times how long each takes (Little, Operations Research 9, 1961).
"""

import math
import re
from dataclasses import dataclass, replace

from benchmarks.amounts import digits, duration, percent
from benchmarks.objective import Objective

LONGEST_S, SHORTEST_S = 10.0, 1e-5
CONNECTIONS_MOST = 15_000
RATE_LEAST_PER_S, RATE_MOST_PER_S = 1.0, 100_000.0
BUDGET_LEAST_S, BUDGET_MOST_S = 10.0, 24 * 3600.0
SIGMAS = 3  # of the number in service, which is about Poisson

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|ms|us|µs)\s*")
_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*")
_BUDGET_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/s)?\s*")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked: requests that wait and compute, on so many open connections, at a rate, within an objective.

    `exponential`: both times are drawn for each request, with these means. `rate_per_s` None: each model's highest rate within
    the objective is searched. `cores` is how many the server may use.
    """

    wait_s: float = 0.0
    cpu_s: float = 0.0
    connections: int = 0
    rate_per_s: float | None = None
    objective: Objective | None = None
    exponential: bool = False
    cores: int = 1

    @property
    def load(self) -> float:
        """The share of the server's cores that its computing alone takes; 0.0 without a rate."""
        return (self.rate_per_s or 0.0) * self.cpu_s / self.cores

    @property
    def takes_s(self) -> float:
        """How long a request takes, its wait for a core included: roughly, as for M/M/1."""
        return self.wait_s + self.cpu_s / max(1 - self.load, 0.05)

    @property
    def in_service(self) -> float:
        """How many requests are in service at once on average, by Little's law; 0.0 without a rate."""
        return (self.rate_per_s or 0.0) * self.takes_s

    @property
    def pool_size(self) -> int:
        """How many threads or processes serve that, and what chance adds to it, if each takes one request at a time."""
        return math.ceil(self.in_service + SIGMAS * math.sqrt(self.in_service)) + 1


def checked(asked: Workload) -> Workload:
    """The workload, complete. Raises ValueError with a sentence where it says too little or contradicts itself.

    Where `connections` is 0 there are twice as many as requests in service at once.
    """
    if asked.rate_per_s is not None and not RATE_LEAST_PER_S <= asked.rate_per_s <= RATE_MOST_PER_S:
        raise ValueError(
            f"--rate {asked.rate_per_s:g} is not from {RATE_LEAST_PER_S:g} to {RATE_MOST_PER_S:,.0f} requests a second"
        )
    if asked.rate_per_s is None and not asked.connections:
        raise ValueError("how much is asked? Give --rate, --connections or both")
    if asked.rate_per_s is None and asked.objective is None:
        raise ValueError("without --rate the highest rate within an objective is searched: give --slo, --rate or both")
    if asked.load >= 1:
        raise ValueError(
            f"{amount(asked)} of {duration(asked.cpu_s * 1e9)} of computing take {percent(asked.load)} of {cores(asked.cores)}:"
            " no model can serve that. Give a lower --rate, a lower --cpu or more --server-cpus"
        )
    if not asked.connections:
        return replace(asked, connections=2 * asked.pool_size)
    if asked.in_service > asked.connections:
        raise ValueError(
            f"{amount(asked)} of {duration(asked.takes_s * 1e9)} each are {digits(asked.in_service)} in service at once, more"
            f" than {plural(asked.connections, 'connection')} can carry: give a lower --rate or more --connections"
        )
    return asked


# ---------------------------------------------------------------- in words


def requests(workload: Workload) -> str:
    """What a request does: "wait 50.0 ms and compute 1.00 ms"."""
    parts = [f"wait {duration(workload.wait_s * 1e9)}"] if workload.wait_s else []
    parts += [f"compute {duration(workload.cpu_s * 1e9)}"] if workload.cpu_s else []
    drawn = " (exponential, in the mean)" if workload.exponential and parts else ""
    return (" and ".join(parts) or "neither wait nor compute") + drawn


def told(workload: Workload) -> str:
    """The workload without its objective: what two runs must have in common to answer for the same one."""
    asked = f"{amount(workload)} that" if workload.rate_per_s else "Requests that"
    return f"{asked} {requests(workload)}, on {plural(workload.connections, 'connection')}"


def amount(workload: Workload) -> str:
    """ "500 requests/s"."""
    return f"{workload.rate_per_s or 0:,g} requests/s"


def command(workload: Workload) -> str:
    """The command that measures it."""
    parts = ["servebench advise"]
    parts += [f"--wait {_written(workload.wait_s)}"] if workload.wait_s else []
    parts += [f"--cpu {_written(workload.cpu_s)}"] if workload.cpu_s else []
    parts += ["--exponential"] if workload.exponential else []
    parts.append(f"--connections {workload.connections}")
    parts += [f"--rate {workload.rate_per_s:g}"] if workload.rate_per_s else []
    parts += [f"--slo '{workload.objective.text}'"] if workload.objective else []
    return " ".join(parts)


def plural(count: int, noun: str) -> str:
    """ "1 connection", "2,000 connections"."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def cores(count: int) -> str:
    """ "one core", "4 cores"."""
    return "one core" if count == 1 else f"{count} cores"


def _written(seconds_: float) -> str:
    return f"{seconds_ * 1e3:g}ms"


# ---------------------------------------------------------------- as it is written


def seconds(text: str) -> float:
    """A duration as one writes it: "50ms", "2s", "100us". Raises ValueError with a sentence."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no duration: write a number and s, ms or us, such as 50ms")
    value_s = float(found[1]) * _UNITS_S[found[2]]
    if not value_s:
        raise ValueError(f"{text!r} is nothing: leave the option out")
    if not SHORTEST_S <= value_s <= LONGEST_S:
        raise ValueError(f"{text!r} is not from {SHORTEST_S * 1e6:.0f}us to {LONGEST_S:.0f}s")
    return value_s


def budget_s(text: str) -> float:
    """How long the measuring may take: "90s", "2m", "1h", in seconds. Raises ValueError with a sentence."""
    found = _BUDGET.fullmatch(text)
    value_s = float(found[1]) * _BUDGET_UNITS_S[found[2]] if found else 0.0
    if not BUDGET_LEAST_S <= value_s <= BUDGET_MOST_S:
        raise ValueError(f"{text!r} is not a time from {BUDGET_LEAST_S:.0f}s to {BUDGET_MOST_S / 3600:.0f}h, such as 2m")
    return value_s


def connections(text: str) -> int:
    """How many connections, thousands parted by commas or not. Raises ValueError with a sentence."""
    try:
        count = int(text.replace(",", ""))
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
    if not 1 <= count <= CONNECTIONS_MOST:
        raise ValueError(f"{count} is not from 1 to {CONNECTIONS_MOST:,}")
    return count


def rate(text: str) -> float:
    """Requests a second: "500", "2,500/s". Raises ValueError with a sentence."""
    found = _RATE.fullmatch(text.replace(",", ""))
    if not found:
        raise ValueError(f"{text!r} is no number of requests a second, such as 500")
    return float(found[1])
