"""Which model for this workload? The evidence of a run held against what is asked, rule by rule. A pure function of records.

Without a workload it says of each scenario who qualifies and who is cheapest there; with one, who keeps every rule that follows
from it (`requirements`), in the order of CPU and then of memory, who breaks which, and for whom the evidence does not reach.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.amounts import percent, size
from benchmarks.candidates import Answer, Candidate, mechanism, ranked, stands
from benchmarks.cheapest import of_scenario
from benchmarks.evidence import Evidence, Shape, apart, cpu_us, named
from benchmarks.nouns import RunFacts, VisitRecord
from benchmarks.requirements import Held, between, conduct, cpu, memory, slots, tail
from benchmarks.response import NEAR, Asked, Bounds, bounds, relevant
from benchmarks.summaries import RunSummary
from benchmarks.verdict import APART, listed
from benchmarks.workload import Demand, Workload, demand, told


@dataclass(frozen=True, slots=True)
class Advice:
    """All of it. `would_tell`: the run that would show what this one does not; empty when nothing is missing."""

    run: str
    workload: Workload | None
    demand: Demand | None
    answers: tuple[Answer, ...]
    doubts: tuple[str, ...]
    would_tell: str
    conditions: str


def advise(
    run: RunFacts,
    records: Sequence[VisitRecord],
    summary: RunSummary,
    workload: Workload | None,
    known: Mapping[str, Shape],
) -> Advice:
    """The advice. `known` are the shapes of all scenarios there are. Raises ValueError for a workload that says too little."""
    evidence = Evidence(run, records, summary)
    doubts = _doubts(summary)
    if workload is None:
        answers = tuple(of_scenario(evidence, name) for name in run.options.scenarios)
        return Advice(run.options.name, None, None, answers, doubts, "", summary.conditions)
    asked = demand(workload)
    answer = _of_workload(evidence, workload, asked)
    unknown = [candidate for candidate in answer.candidates if candidate.stands == "unknown"]
    would_tell = _would_tell(evidence, workload, asked, known, unknown) if unknown else ""
    return Advice(run.options.name, workload, asked, (answer,), doubts, would_tell, summary.conditions)


def _doubts(summary: RunSummary) -> tuple[str, ...]:
    return tuple(f"{finding.check}: {finding.seen}; {finding.why}. To do: {finding.remedy}." for finding in summary.findings)


# ---------------------------------------------------------------- a workload


def _of_workload(evidence: Evidence, workload: Workload, asked: Demand) -> Answer:
    base = evidence.base(workload.wait_s, asked.rate_per_s, workload.connections)
    found = [_held(evidence, model, workload, asked, base) for model in evidence.models]
    scenario, label = base or ("", "")
    candidates = ranked(evidence, found, scenario, label, workload.mean_cpu_s * 1e6)
    return Answer(told(workload), _verdict(evidence, workload, candidates), candidates)


def _held(evidence: Evidence, model: str, workload: Workload, asked: Demand, base: tuple[str, str] | None) -> Candidate:
    """One model against every rule."""
    cell = evidence.cell(model, *base) if base else None
    quick_us = cpu_us(cell) if cell else None
    rules = [slots(evidence, model, asked)]
    memory_rule, total = memory(evidence, model, asked.connections)
    if base is None or cell is None or quick_us is None:
        scenarios = (base[0],) if base else ()
        rules = [conduct(evidence, model, scenarios, asked), *rules, Held("CPU", "unknown", _no_base(evidence, model, base))]
        return Candidate(model, stands(rules), (*rules, memory_rule), memory_bytes=total)
    q = workload.objective.q if workload.objective else 0.99
    idle_us, idle_cells = evidence.idle_us(model, asked.connections - cell.level.connections)
    on_it = Asked(workload, asked, quick_us + idle_us, q)
    around = [name for other in evidence.models for name in relevant(evidence, other, on_it)] if workload.objective else []
    rules = [
        conduct(evidence, model, dict.fromkeys((base[0], *around)), asked),
        *rules,
        cpu(evidence, model, on_it, (named(cell), *idle_cells), _least(evidence, model, base[0], asked, idle_us)),
    ]
    response: tuple[float, float | None] | None = None
    if workload.objective:
        found = _bounds(evidence, model, on_it)
        rules.append(tail(on_it, workload.objective.limit_ns, workload.objective.text, found))
        response = found.low_ns, None if math.isinf(found.high_ns) else found.high_ns
    rules.append(memory_rule)
    return Candidate(
        model,
        stands(rules),
        tuple(rules),
        mechanism(evidence, cell),
        request_us=on_it.request_us,
        busy=min(on_it.busy, 1.0) if stands(rules) == "fits" else on_it.busy,
        memory_bytes=total,
        response=response,
    )


def _least(evidence: Evidence, model: str, scenario: str, asked: Demand, idle_us: float) -> tuple[float, str] | None:
    found = evidence.least_us(model, scenario, asked.connections)
    return (found[0] + idle_us, found[1]) if found else None


def _bounds(evidence: Evidence, model: str, asked: Asked) -> Bounds:
    """Response times of a run whose load engine shared the server's core are of both together: nothing follows from them."""
    if not evidence.summary.comparable:
        return Bounds(asked.own_ns, math.inf, (), "server and load engine shared a core, so its response times are of both")
    return bounds(evidence, model, asked)


def _no_base(evidence: Evidence, model: str, base: tuple[str, str] | None) -> str:
    if base is None:
        return "no scenario of the run has requests without work (hello, wait) that can be believed"
    scenario, label = base
    all_cells = [cell for cell in evidence.cells(model, scenario) if cell.level.label == label]
    strike = next((f for cell in all_cells for f in cell.findings if f.severity == "strike"), None)
    why = f"is struck ({strike.check}: {strike.seen})" if strike else "was not measured"
    return f"({scenario}, {label}) {why}"


def _verdict(evidence: Evidence, workload: Workload, candidates: Sequence[Candidate]) -> str:
    fits, unknown, fails = ([c for c in candidates if c.stands == stands] for stands in ("fits", "unknown", "fails"))
    said = []
    if fits:
        said.append(_winner(evidence, workload, fits))
    elif unknown:
        first = unknown[0]
        said.append(f"The evidence does not reach ({first.model}: {first.against[0].said}).")
    else:
        said.append("No model here can do it.")
    if fails:
        worst = fails[0]
        said.append(f"{worst.model} {_clause(worst.against[0])}.")
        if others := len(fails) - 1:
            said.append(f"{others} more fail{'s' * (others == 1)}.")
    if fits and unknown:
        said.append(f"Of {listed([c.model for c in unknown])} the evidence does not tell.")
    return " ".join(said)


def _clause(held: Held) -> str:
    return held.said if held.rule == "slots" else f"fails: {held.said}"


def _winner(evidence: Evidence, workload: Workload, fits: Sequence[Candidate]) -> str:
    best = fits[0]
    parts = [f"{percent(best.busy or 0.0)} of a core"]
    if workload.objective and best.response and best.response[1] is not None:
        parts.append(f"{workload.objective.text.partition('<')[0]} of {between(Bounds(best.response[0], best.response[1]))}")
    parts += [size(best.memory_bytes)] if best.memory_bytes is not None else []
    said = f"{best.model}: {', '.join(parts)}"
    if any(held.outcome == "tight" for held in best.rules):
        said += ", which is tight"
    if not evidence.summary.comparable:
        return f"{said}; but server and load engine shared a core, so nobody is ranked."
    if best.rank is None:
        return f"{said}; " + ("nobody else fits." if len(fits) == 1 else "so few visits show no noise, so nobody is ranked.")
    ties = [candidate.model for candidate in fits[1:] if candidate.rank == 1]
    if ties:
        return f"{said}; {listed(ties)} {'is' if len(ties) == 1 else 'are'} tied in CPU{_though([best, *fits[1:]])}."
    return f"{said}."


def _though(fits: Sequence[Candidate]) -> str:
    """That ties are wide, where they are: so few visits may just not show a difference."""
    shares = [candidate.busy for candidate in fits if candidate.rank == 1 and candidate.busy]
    wide = bool(shares) and max(shares) > APART * min(shares)
    return f", though at {percent(min(shares))} to {percent(max(shares))} of a core: more visits may tell" if wide else ""


# ---------------------------------------------------------------- what would tell more


def _would_tell(
    evidence: Evidence, workload: Workload, asked: Demand, known: Mapping[str, Shape], unknown: Sequence[Candidate]
) -> str:
    """The run that would show what this one does not."""
    wanted = [_nearest(known, workload.wait_s, 0.0, 0.0)]  # hello, where nobody waits
    if workload.cpu_s:
        wanted.append(_nearest(known, 0.0, workload.cpu_s, workload.mixed or 1.0))
    names = list(dict.fromkeys(name for name in wanted if name))
    most = max((evidence.crowd(model)[0] for model in evidence.models), default=0)
    beyond = f" --connections 16,{asked.connections}" if asked.connections > NEAR * most else ""
    command = f"servebench run --profile standard --scenarios {','.join(names)}{beyond}" if names else ""
    busy = [c.busy for c in unknown if c.busy and any((h.rule, h.outcome) == ("CPU", "unknown") for h in c.rules)]
    if command and busy:
        command += f" --server-cpus LIST, of {math.ceil(min(busy)):,} cores, with others for the load"
    if None not in wanted:
        return command
    path = (
        f"/wait/{max(round(workload.wait_s * 1e3), 1)}" if wanted[0] is None else f"/cpu/{max(round(workload.cpu_s * 1e3), 1)}"
    )
    lacking = f"no scenario here resembles it within a factor of {NEAR:g}: write one that asks for {path} (see CONTRIBUTING.md)"
    return f"{command}; {lacking}" if command else lacking


def _nearest(known: Mapping[str, Shape], wait_s: float, work_s: float, share: float) -> str | None:
    """The scenario that is most like this, within the factor; of equals the first by name's length: the plain one."""

    def distance(shape: Shape) -> float:
        pairs = ((shape.wait_s, wait_s), (shape.work_s, work_s), (shape.share, share))
        return max(apart(one, other) for one, other in pairs)

    fits = [(distance(shape), name != "hello", len(name), name) for name, shape in known.items()]
    return min((each for each in fits if each[0] <= math.log(NEAR)), default=(0, False, 0, None))[3]
