"""What somebody means to serve, and what that asks of a server, whichever it is.

Requests under way at once are the rate times how long each takes (Little, Operations Research 9, 1961). Who does not know the
rate has connections, each of which asks again when it is answered: a closed loop's most is connections / (wait + computing).
"""

import math
import re
from dataclasses import dataclass

from benchmarks.amounts import digits, duration, percent, rate
from benchmarks.objective import Objective

LONGEST_S, SHORTEST_S = 60.0, 1e-6
CONNECTIONS_MOST = 1_000_000
RATE_MOST_PER_S, RATE_LEAST_PER_S = 10_000_000.0, 0.01

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|ms|us|µs)\s*")
_UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked. Of the requests the share `mixed` computes while the rest is quick; None: all of them do."""

    wait_s: float = 0.0  # that a request waits for I/O
    cpu_s: float = 0.0  # of Python in a request that computes
    connections: int | None = None  # open at once
    rate_per_s: float | None = None
    objective: Objective | None = None
    mixed: float | None = None

    @property
    def mean_cpu_s(self) -> float:
        """The computing of a request in the mean over all of them."""
        return self.cpu_s * (1.0 if self.mixed is None else self.mixed)


@dataclass(frozen=True, slots=True)
class Demand:
    """What follows from a workload for every model. `bound`: the rate was not given but is the closed loop's most."""

    rate_per_s: float
    bound: bool
    at_once: float  # under way
    connections: int  # open
    said: str


def demand(workload: Workload) -> Demand:
    """What a workload asks. Raises ValueError with a sentence where it says too little or contradicts itself."""
    _check(workload)
    takes_s = workload.wait_s + workload.mean_cpu_s
    if workload.rate_per_s is None:
        if workload.connections is None:
            raise ValueError("how much is asked? Give --rate, --connections or both")
        if not takes_s:
            raise ValueError("requests that neither wait nor compute have no bound on their rate: give --rate, --wait or --cpu")
        per_s = workload.connections / takes_s
        said = (
            f"no rate is given, so the most that {_connections(workload.connections)} can ask: {rate(per_s)}, each again when"
            " it is answered. With --rate it would be yours"
        )
        return Demand(per_s, True, float(workload.connections), workload.connections, said)
    at_once = workload.rate_per_s * takes_s
    if workload.connections is not None and at_once > workload.connections:
        raise ValueError(
            f"{rate(workload.rate_per_s)} of {duration(takes_s * 1e9)} each are {digits(at_once)} under way at once, more than"
            f" {_connections(workload.connections)} can carry: give a lower --rate or more --connections"
        )
    open_at_once = workload.connections or max(math.ceil(at_once), 1)
    said = f"{rate(workload.rate_per_s)}"
    said += (
        f" × {duration(takes_s * 1e9)} = {digits(at_once)} under way at once" if takes_s else ", hardly any under way at once"
    )
    said += f", on {_connections(open_at_once)}" + ("" if workload.connections else " at least")
    return Demand(workload.rate_per_s, False, at_once, open_at_once, said)


def _check(workload: Workload) -> None:
    if workload.connections is not None and not 1 <= workload.connections <= CONNECTIONS_MOST:
        raise ValueError(f"--connections {workload.connections} is not from 1 to {CONNECTIONS_MOST:,}")
    per_s = workload.rate_per_s
    if per_s is not None and not RATE_LEAST_PER_S <= per_s <= RATE_MOST_PER_S:
        raise ValueError(f"--rate {per_s:g} is not from {RATE_LEAST_PER_S:g} to {RATE_MOST_PER_S:,.0f} requests a second")
    if workload.mixed is not None and not workload.cpu_s:
        raise ValueError("--mixed is the share of requests that compute: say with --cpu how long")


def _connections(count: int) -> str:
    return f"{count:,} connection" + "s" * (count != 1)


def told(workload: Workload) -> str:
    """The workload in words: "requests that wait 50.0 ms and compute 1.00 ms; p99<=200ms"."""
    parts = [f"wait {duration(workload.wait_s * 1e9)}"] if workload.wait_s else []
    if workload.cpu_s:
        who = "" if workload.mixed is None else f" ({percent(workload.mixed)} of them)"
        parts.append(f"compute {duration(workload.cpu_s * 1e9)}{who}")
    what = " and ".join(parts) or "neither wait nor compute"
    return f"requests that {what}" + (f"; {workload.objective.text}" if workload.objective else "")


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
        raise ValueError(f"{text!r} is not from 1us to {LONGEST_S:.0f}s")
    return value_s


def share(text: str) -> float:
    """A share as one writes it: "5%" or "0.05". Raises ValueError with a sentence."""
    found = _SHARE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no share: write it such as 5%")
    value = float(found[1]) / (100 if found[2] else 1)
    if not 0 < value < 1:
        raise ValueError(f"{text!r} is not between 0% and 100%")
    return value
