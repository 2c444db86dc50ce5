"""What of a plan remains to be made, judged by the records there are. Pure: a resumed run and a fresh one ask the same."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmarks.nouns import VisitPlan, VisitRecord

_REPETITIONS = 1  # of a disturbed visit: weather lasts for minutes, so a third attempt seldom does better than the second

Key = tuple[str, str, int]


def remaining(planned: Iterable[VisitPlan], records: Iterable[VisitRecord]) -> list[VisitPlan]:
    """The planned visits that no record stands for, in the plan's order; failed ones as another attempt."""
    made = _attempts(records)
    left = []
    for visit in planned:
        attempts = made[_key(visit)]
        if all(one.failure is not None for one in attempts):
            left.append(replace(visit, attempt=1 + max((one.plan.attempt for one in attempts), default=-1)))
    return left


def to_repeat(records: Iterable[VisitRecord], disturbed: Callable[[VisitRecord], object]) -> list[VisitPlan]:
    """The visits that were disturbed and not made again since, in the order they were made."""
    left = []
    for attempts in _attempts(records).values():
        good = [one for one in attempts if one.failure is None]
        if good and len(good) <= _REPETITIONS and all(disturbed(one) for one in good):
            left.append(max(attempts, key=lambda one: one.plan.attempt).plan)
    return left


def numbered(visit: VisitPlan, records: Iterable[VisitRecord], planned: Iterable[VisitPlan]) -> VisitPlan:
    """The visit under a number of its own: the plan's unless a record has it, else one above all taken or planned.

    So no record is ever written over, and no repetition takes the number of a visit still to be made.
    """
    taken = {one.plan.number for one in records if _cell(one.plan) == _cell(visit)}
    if visit.number not in taken:
        return visit
    return replace(visit, number=1 + max(taken | {one.number for one in planned if _cell(one) == _cell(visit)}))


def _cell(visit: VisitPlan) -> tuple[str, str]:
    return visit.model, visit.scenario


def _attempts(records: Iterable[VisitRecord]) -> defaultdict[Key, list[VisitRecord]]:
    attempts: defaultdict[Key, list[VisitRecord]] = defaultdict(list)
    for record in records:
        attempts[_key(record.plan)].append(record)
    return attempts


def _key(visit: VisitPlan) -> Key:
    return visit.model, visit.scenario, visit.block


def blocks(visits: Sequence[VisitPlan]) -> list[list[VisitPlan]]:
    """The visits in runs of one scenario and block, in their order."""
    runs: list[list[VisitPlan]] = []
    for visit in visits:
        if runs and (runs[-1][0].scenario, runs[-1][0].block) == (visit.scenario, visit.block):
            runs[-1].append(visit)
        else:
            runs.append([visit])
    return runs
