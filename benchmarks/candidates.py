"""A model held against a question: what became of it, why it costs what it costs, and its place among the others.

CPU is compared in pairs within blocks, with Holm's correction (`ranking`): whom the noise cannot tell apart is tied.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.evidence import Evidence, named
from benchmarks.intervals import counting_sd
from benchmarks.ranking import Paired, place
from benchmarks.requirements import Held
from benchmarks.summaries import CellSummary

WORK_SD = 0.01  # of the logarithm: by as much at least the same work differs from process to process (DESIGN, 4.3)

Stands = Literal["fits", "fails", "unknown"]
ORDER: dict[Stands, int] = {"fits": 0, "unknown": 1, "fails": 2}


@dataclass(frozen=True, slots=True)
class Mechanism:
    """Why a model costs what it does: the cell's numbers for each request, and its memory and threads."""

    cell: str
    cpu_us: float
    user_us: float
    system_us: float
    switches: float | None
    faults: float | None
    memory_bytes: int | None
    each_bytes: float | None  # memory of a connection
    threads: int | None
    processes: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model held against the workload, or against a scenario alone. `rank` is by CPU among those that fit; ties share it."""

    model: str
    stands: Stands
    rules: tuple[Held, ...]
    mechanism: Mechanism | None = None
    rank: int | None = None
    request_us: float | None = None  # CPU of a request, its own computing included
    busy: float | None = None  # of one core, at the asked rate
    memory_bytes: float | None = None
    response: tuple[float, float | None] | None = None  # bounds of the objective's percentile, ns; None: unbounded

    @property
    def against(self) -> tuple[Held, ...]:
        """The rules that it breaks; where there are none, those that nobody can tell."""
        broken = tuple(held for held in self.rules if held.outcome == "broken")
        return broken or tuple(held for held in self.rules if held.outcome == "unknown")


@dataclass(frozen=True, slots=True)
class Answer:
    """To one question, a scenario's or the workload's: a sentence, then everybody, best first."""

    question: str
    verdict: str
    candidates: tuple[Candidate, ...]


def mechanism(evidence: Evidence, cell: CellSummary) -> Mechanism | None:
    """A cell's costs; None where it served nobody."""
    if cell.cpu_user_us is None or cell.cpu_system_us is None:
        return None
    known = evidence.memory(cell.model)
    return Mechanism(
        cell=named(cell),
        cpu_us=cell.cpu_user_us.value + cell.cpu_system_us.value,
        user_us=cell.cpu_user_us.value,
        system_us=cell.cpu_system_us.value,
        switches=cell.switches_per_request,
        faults=cell.faults_per_request,
        memory_bytes=cell.uss_bytes,
        each_bytes=known.each_bytes if known else None,
        threads=cell.threads,
        processes=cell.processes,
    )


def ranked(
    evidence: Evidence, candidates: Sequence[Candidate], scenario: str, label: str, work_us: float = 0.0
) -> tuple[Candidate, ...]:
    """The candidates in order, those that fit with their ranks by CPU in one cell and, on top, what their requests take more.

    `work_us` of that is computing, the same for all. Nobody has a rank where the noise is not known or a core was shared.
    """
    more_us = {
        candidate.model: max((candidate.request_us or 0.0) - candidate.mechanism.cpu_us, 0.0) if work_us else 0.0
        for candidate in candidates
        if candidate.stands == "fits" and candidate.mechanism
    }
    ranks: dict[str, int | None] = {}
    if evidence.summary.comparable and more_us:
        values = evidence.cpu_by_visit(more_us, scenario, label)
        places = place(values, higher_is_better=False, resolution=_resolution(evidence, values, scenario, label, work_us))
        ranks = {model: found.rank for model, found in places.items()}
    return tuple(sorted((replace(c, rank=ranks.get(c.model)) for c in candidates), key=_order))


def _resolution(evidence: Evidence, values: Paired, scenario: str, label: str, work_us: float) -> float:
    """How finely CPU can be compared: by as many requests as were counted, and by work that never takes quite the same."""
    least = min((value for of_model in values.values() for value in of_model.values()), default=0.0)
    counts = [
        window.load.completed
        for record in evidence.records
        if record.plan.scenario == scenario and record.plan.model in values
        for window in record.windows
        if window.level.label == label and window.load.completed
    ]
    if not counts or not least:
        return 0.0
    share = min(work_us / least, 1.0)
    return max(counting_sd(min(counts)) * (1 - share), WORK_SD * share)


def _order(candidate: Candidate) -> tuple[int, float, float, float]:
    """Those that fit by rank, tied ones by memory; then those that nobody can tell of, then the others, by CPU."""
    memory = (candidate.memory_bytes or math.inf) if candidate.rank else 0.0
    return ORDER[candidate.stands], candidate.rank or math.inf, memory, candidate.request_us or math.inf


def stands(rules: Sequence[Held]) -> Stands:
    """What all rules together say of a model."""
    outcomes = {held.outcome for held in rules}
    return "fails" if "broken" in outcomes else "unknown" if "unknown" in outcomes else "fits"
