"""The rules that a workload makes, and whether the evidence says of a model that it keeps them.

A rule is kept, kept but tight, broken, or unknown where the evidence does not reach; each quotes the cells it stands on.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.amounts import duration, percent, rate, size
from benchmarks.evidence import Evidence
from benchmarks.response import NEAR, Asked, Bounds
from benchmarks.workload import Demand

TIGHT = 0.8  # utilisation of a core beyond which a queue is long and a peak in the load finds no room

Outcome = Literal["kept", "tight", "broken", "unknown"]
Rule = Literal["conduct", "slots", "CPU", "tail", "memory"]


@dataclass(frozen=True, slots=True)
class Held:
    """A model held against one rule."""

    rule: Rule
    outcome: Outcome
    said: str
    cells: tuple[str, ...] = ()


def conduct(evidence: Evidence, model: str, scenarios: Iterable[str], demand: Demand) -> Held:
    """It served everybody, and by the rules."""
    why, cell = evidence.fault(model, scenarios, demand.connections)
    if why:
        return Held("conduct", "broken", why, (cell,))
    return Held("conduct", "kept", "no failure, nobody starving")


def slots(evidence: Evidence, model: str, demand: Demand) -> Held:
    """It has a place for each connection, and for each request under way."""
    number = evidence.slots(model)
    if number and math.ceil(demand.at_once) > number:
        return Held(
            "slots",
            "broken",
            f"serves {number:,} at once and {_whole(demand.at_once)} would be under way",
            ("declared by its server",),
        )
    if number and demand.connections > number:
        return Held(
            "slots",
            "broken",
            f"holds {number:,} connections and {demand.connections:,} would be open; the rest wait in the kernel's queue",
            ("declared by its server",),
        )
    asked, held, cell = evidence.idle(model) or (0, 0, "")
    if asked and held < asked and held < demand.connections:
        return Held(
            "slots", "broken", f"held {held:,} of {asked:,} silent connections, and {demand.connections:,} are asked", (cell,)
        )
    most, where = evidence.crowd(model)
    room = f"{number:,} slots" if number else "no limit declared"
    if demand.connections > NEAR * most:
        said = f"{room}, but nothing here had more than {most:,} connections; {demand.connections:,} are asked"
        return Held("slots", "unknown", said, (where,))
    return Held("slots", "kept", f"{room}; {most:,} connections were seen", (where,))


def _whole(number: float) -> str:
    return f"{math.ceil(number):,}"


def cpu(evidence: Evidence, model: str, asked: Asked, cells: tuple[str, ...], least: tuple[float, str] | None) -> Held:
    """Its core has the time. `least` is the cheapest that a request without work was seen: many at once share a wake-up."""
    each = f"{duration(asked.request_us * 1e3)} of CPU a request"
    if asked.busy <= 1:
        outcome: Outcome = "kept" if asked.busy <= TIGHT else "tight"
        most = rate(1e6 / asked.request_us)
        return Held("CPU", outcome, f"{each}: {percent(asked.busy)} of a core, which serves {most} at most", cells)
    if least and least[0] < asked.quick_us:
        asked, cells = replace(asked, quick_us=least[0]), (*cells, least[1])
        if asked.busy <= 1:
            less = duration(asked.request_us * 1e3)
            return Held("CPU", "tight", f"{each}, more than a core has; less the busier it is, down to {less}", cells)
        each = f"{duration(asked.request_us * 1e3)} of CPU a request at least"
    most = rate(1e6 / asked.request_us)
    needs = f"{each}: {rate(asked.demand.rate_per_s)} need about {math.ceil(asked.busy):,} cores; one serves {most} at most"
    measured = f"nothing here was measured on more than {evidence.cores}"
    if evidence.has_processes(model):
        if asked.busy <= evidence.cores:
            return Held("CPU", "kept" if asked.busy <= TIGHT * evidence.cores else "tight", needs, cells)
        return Held("CPU", "unknown", f"{needs}. Its processes can use more than one in principle, but {measured}", cells)
    if evidence.other_python(model):
        return Held("CPU", "unknown", f"{needs}. Whether its interpreter has a GIL is not known here; {measured}", cells)
    return Held("CPU", "broken", f"{needs}, and one interpreter with a GIL cannot use them", cells)


def tail(asked: Asked, limit_ns: float, text: str, found: Bounds) -> Held:
    """The percentile stays within the objective."""
    about = between(found)
    if asked.own_ns > limit_ns:
        return Held("tail", "broken", f"{text}: a request takes {duration(asked.own_ns)} when nobody is in its way")
    if found.low_ns > limit_ns:
        return Held("tail", "broken", f"{text}: it would be {about}", found.cells)
    if found.high_ns <= limit_ns:
        return Held("tail", "kept", f"{text}: it would be {about}", found.cells)
    if not found.cells:
        return Held("tail", "unknown", f"{text}: {found.why}")
    return Held("tail", "unknown", f"{text}: it would be {about}{'; ' + found.why if found.why else ''}", found.cells)


def between(found: Bounds) -> str:
    """Bounds in words."""
    if math.isinf(found.high_ns):
        return f"{duration(found.low_ns)} or more"
    low, high = duration(found.low_ns), duration(found.high_ns)
    return high if low == high else f"{low} to {high}"


def memory(evidence: Evidence, model: str, connections: int) -> tuple[Held, float | None]:
    """What it takes; nobody has said what there is, so nothing breaks this one."""
    known = evidence.memory(model)
    if known is None:
        return Held("memory", "kept", "not known: it needs two numbers of connections"), None
    number = evidence.slots(model)
    open_at_once = min(connections, number) if number else connections
    total = known.of(open_at_once)
    beyond = f", far beyond the {known.connections:,} measured" if open_at_once > NEAR * known.connections else ""
    said = f"{size(known.base_bytes)} and {size(known.each_bytes)} a connection × {open_at_once:,}{beyond}"
    return Held("memory", "kept", said, known.cells), total


def quoted(held: Held) -> str:
    """A rule's finding with the cells it stands on."""
    return held.said + (f" ({'; '.join(held.cells)})" if held.cells else "")
