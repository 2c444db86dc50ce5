"""A scenario alone: who qualifies in it, who is cheapest there in CPU and in memory, and what the dearer ones do more of."""

import math
from collections.abc import Sequence

from benchmarks.amounts import digits, duration, size, times
from benchmarks.candidates import Answer, Candidate, Mechanism, mechanism, ranked, stands
from benchmarks.evidence import Evidence, has, named
from benchmarks.requirements import Held
from benchmarks.summaries import CellSummary, Finding
from benchmarks.verdict import APART, listed


def of_scenario(evidence: Evidence, scenario: str) -> Answer:
    """Who qualifies in a scenario, at each model's own peak; compared in pairs at the level where most of them have it."""
    found = [_at_peak(evidence, model, scenario) for model in evidence.models]
    fitting = [candidate.model for candidate in found if candidate.stands == "fits"]
    peaks = [standing.peak_level for model in fitting if (standing := evidence.standing(model, scenario))]
    label = max(dict.fromkeys(peaks), key=peaks.count, default="")
    candidates = ranked(evidence, found, scenario, label)
    summary = evidence.scenario(scenario)
    return Answer(f"{scenario}: {summary.question if summary else ''}", _cheapest(evidence, candidates, label), candidates)


def _at_peak(evidence: Evidence, model: str, scenario: str) -> Candidate:
    standing = evidence.standing(model, scenario)
    if standing is None or standing.failed:
        return Candidate(model, "fails", (Held("conduct", "broken", standing.failed if standing else "not measured"),))
    cell = next(c for c in evidence.cells(model, scenario) if c.level.label == standing.peak_level)
    why = mechanism(evidence, cell)
    rules = [_believed(cell)]
    faulty, where = evidence.fault(model, (scenario,), cell.level.connections)
    rules.append(Held("conduct", "broken", faulty, (where,)) if faulty else Held("conduct", "kept", "nobody starving"))
    return Candidate(
        model, stands(rules), tuple(rules), why, request_us=why.cpu_us if why else None, memory_bytes=cell.uss_bytes
    )


def _believed(cell: CellSummary) -> Held:
    strike: Finding | None = next((finding for finding in cell.findings if finding.severity == "strike"), None)
    if strike:
        return Held("CPU", "unknown", f"struck: {strike.check}: {strike.seen}", (named(cell),))
    crowded = "; with more connections than slots" if has(cell, "more connections than slots") else ""
    return Held("CPU", "kept", f"its peak{crowded}", (named(cell),))


def _cheapest(evidence: Evidence, candidates: Sequence[Candidate], label: str) -> str:
    fits = [c for c in candidates if c.stands == "fits" and c.mechanism]
    if not fits:
        return "No model qualifies: none has a number here that can be believed."
    best = fits[0]
    assert best.mechanism
    ties = [c.model for c in fits[1:] if c.rank == 1 and best.rank == 1]
    cost = f"{duration(best.mechanism.cpu_us * 1e3)} of CPU a request ({best.mechanism.cell})"
    if ties and len(ties) == len(fits) - 1:
        said = alike([candidate.request_us or 0.0 for candidate in fits])
    else:
        said = f"{best.model} is cheapest: {cost}"
        said += f"; at {label} {listed(ties)} cannot be told apart from it" if ties else ""
    if best.rank is None and len(fits) > 1:
        said += "; nobody is ranked, as " + (
            "so few visits show no noise" if evidence.summary.comparable else "server and load engine shared a core"
        )
    dearest = max(fits, key=lambda c: (c.rank != 1, c.request_us or 0.0))
    if dearest.rank != 1 and dearest is not best and dearest.mechanism:
        said += f". {dearest.model} takes {times((dearest.request_us or 0.0) / best.mechanism.cpu_us)} that"
        said += _because(best.mechanism, dearest.mechanism)
    least = min(fits, key=lambda c: c.memory_bytes or math.inf)
    said += f". Least memory: {least.model}, {size(least.memory_bytes or 0)}"
    return said + "."


def alike(costs_us: Sequence[float]) -> str:
    """What is said of costs that nobody can tell apart."""
    least, most = (duration(cost * 1e3) for cost in (min(costs_us), max(costs_us)))
    if max(costs_us) > APART * min(costs_us):
        return f"No difference in CPU is beyond doubt: {least} to {most} a request"
    return f"No difference seen in CPU: about {least} a request"


def _because(best: Mechanism, dear: Mechanism) -> str:
    """What the dearer one does more of, where that is plain to see."""
    seen = []
    for name, own, other in (
        ("context switches", dear.switches, best.switches),
        ("page faults", dear.faults, best.faults),
    ):
        if own is not None and other is not None and own > 0.1 and own > 2 * other:
            seen.append(f"{digits(own, 2)} {name} a request against {digits(other, 2)}")
    more = {"in user mode": dear.user_us - best.user_us, "in the kernel": dear.system_us - best.system_us}
    where = max(more, key=lambda mode: more[mode])
    seen.append(f"{duration(more[where] * 1e3)} more {where}")
    return f", with {' and '.join(seen)}"
