"""Ceilings that no server can break through: the time that must be waited, the CPU time that there is."""

import math

from benchmarks.amounts import digits, duration
from benchmarks.checks.facts import Facts
from benchmarks.summaries import Finding

EARLY_NS = 100_000  # a timer may be early by its clock's resolution, never by this much
EDGE_WAVES = 2.0  # four standard deviations of a window's edges
CPU_SLACK = 1.01  # two clocks are never read at the same moment
EDGE_S = (
    0.008  # the engine may be kept from its core for a timer tick (4 ms at 250 Hz) at both edges of a window; seldom of another
)


def wait_ceiling(facts: Facts) -> Finding | None:
    """Each request waits so long, and so many are served at once: more do not fit into the windows, and none ends sooner.

    The bound is Little's law with R >= wait: X <= N / R. One more for each that is served at once, begun before the window. All
    may have begun together, and a window then has one wave more or less than its length says, by chance, as its beginning is
    drawn anew within a wait: the standard deviation is half a wave, and of many windows it goes with the root of their number.
    """
    if not facts.wait_s:
        return None
    at_once = facts.served_at_once
    waves = min(facts.windows, EDGE_WAVES * math.sqrt(facts.windows))
    most = at_once * (facts.load.seconds / facts.wait_s + waves)
    observed = ""
    if facts.load.completed > most:
        observed = (
            f"{facts.load.completed:,} requests completed; {at_once:,} at once, {facts.wait_s * 1e3:g} ms each, "
            f"are {most:,.0f} at most"
        )
    elif facts.load.service.index and facts.load.service.min_ns < facts.wait_s * 1e9 - EARLY_NS:
        observed = f"an answer after {duration(facts.load.service.min_ns)}, with {facts.wait_s * 1e3:g} ms to wait"
    if not observed:
        return None
    return Finding(
        "wait ceiling",
        "invalid",
        observed,
        "the server answers before it has waited, so it does not do the work of the others",
        "look at how the model waits: a timer that is cut short, an answer that is kept",
    )


def work_ceiling(facts: Facts) -> Finding | None:
    """No server works more seconds than there are, on the cores that it has."""
    used_s, possible_s = facts.cpu_ns / 1e9, facts.server_cores * facts.load.seconds
    if used_s <= possible_s * CPU_SLACK + EDGE_S:
        return None
    return Finding(
        "work ceiling",
        "invalid",
        f"{digits(used_s)} s of CPU in {digits(possible_s)} core-seconds",
        "the server ran on other cores than it was given, or its counters were read at the wrong moment",
        "check that nothing resets the affinity (--server-cpus)",
    )
