"""Ceilings that no server can break through: the time that must be waited, the CPU time that there is."""

from benchmarks.amounts import digits, duration
from benchmarks.checks.facts import Facts
from benchmarks.summaries import Finding

EARLY_NS = 100_000  # a timer may be early by its clock's resolution, never by this much
CPU_SLACK = 1.01  # two clocks are never read at the same moment
EDGE_S = 0.008  # the engine may be kept from its core for a timer tick (4 ms at 250 Hz) at each edge of the window


def wait_ceiling(facts: Facts) -> Finding | None:
    """Each request waits so long, each slot serves one at a time: so many fit into the window, and none ends sooner.

    The bound is Little's law with R >= wait: X <= N / R. One more for each slot, begun before the window.
    """
    if not facts.wait_s:
        return None
    slots = facts.served_at_once
    most = slots * facts.load.seconds / facts.wait_s + slots
    seen = ""
    if facts.load.completed > most:
        seen = (
            f"{facts.load.completed:,} requests completed; {slots:,} at once, {facts.wait_s * 1e3:g} ms each, are {most:,.0f}"
        )
    elif facts.load.service.index and facts.load.service.min_ns < facts.wait_s * 1e9 - EARLY_NS:
        seen = f"an answer after {duration(facts.load.service.min_ns)}, with {facts.wait_s * 1e3:g} ms to wait"
    if not seen:
        return None
    return Finding(
        "wait ceiling",
        "strike",
        seen,
        "the server answers before it has waited, so it does not do the work of the others",
        "look at how the model waits: a timer that is cut short, an answer that is kept",
    )


def work_ceiling(facts: Facts) -> Finding | None:
    """Nobody works more seconds than there are, on the cores there are."""
    used_s, possible_s = facts.cpu_ns / 1e9, facts.server_cores * facts.load.seconds
    if used_s <= possible_s * CPU_SLACK + EDGE_S:
        return None
    return Finding(
        "work ceiling",
        "strike",
        f"{digits(used_s)} s of CPU in {digits(possible_s)} core-seconds",
        "the server ran on other cores than it was given, or its counters were read at the wrong moment",
        "check that nothing resets the affinity (--server-cpus)",
    )
