"""What on this machine will hurt a measurement: every matter looked at, graded, with its remedy.

`machine` reads, `symptoms` judges matter by matter, and so can be tested without a machine; this puts them together. A grade
says what a matter does to numbers: **poor** makes them wrong or not comparable, **fair** makes them noisier than they need be,
**good** was looked at and does no harm. What a machine does not tell is left out, or fair where it would matter.
"""

import collections
from collections.abc import Sequence

from benchmarks.amounts import digits, percent
from benchmarks.machine import Machine, look
from benchmarks.nouns import MachineState
from benchmarks.summaries import Symptom
from benchmarks.symptoms import EXAMINATIONS, WORST_FIRST, above

SPEED = (1.1, 1.2)  # slow and quick probes (95th and 5th percentile) apart by a tenth; by a fifth

facts = look  # gathering and grading, side by side: diagnose(facts())


def diagnose(machine: Machine, states: Sequence[MachineState] = ()) -> list[Symptom]:
    """Every matter that the machine tells of, worst first. `states` are probes made one after the other."""
    found = [examine(machine) for examine in EXAMINATIONS] + [machine_state(states)]
    return sorted((symptom for symptom in found if symptom), key=lambda symptom: WORST_FIRST[symptom.grade])


def worst(symptoms: Sequence[Symptom], n: int = 3) -> list[str]:
    """The worst matters in a line each, those that are good left out."""
    hurting = sorted((s for s in symptoms if s.grade != "good"), key=lambda symptom: WORST_FIRST[symptom.grade])
    return [f"{symptom.grade}: {symptom.name}: {symptom.seen}. To do: {symptom.remedy}." for symptom in hurting[:n]]


def count(symptoms: Sequence[Symptom]) -> str:
    """How many of each grade: "1 poor, 4 fair, 12 good"."""
    grades = collections.Counter[str](symptom.grade for symptom in symptoms)
    return ", ".join(f"{grades[grade]} {grade}" for grade in WORST_FIRST if grades[grade])


def machine_state(probes: Sequence[MachineState]) -> Symptom | None:
    """How far the machine's own speed wanders while nothing else is done."""
    series = {
        "cache line": [probe.pingpong_ns for probe in probes if probe.pingpong_ns is not None],
        "Python loop": [probe.python_ns for probe in probes],
    }
    told = {name: _middle(values) for name, values in series.items() if values}
    if not told:
        return None
    ratio = max(high / low for low, high in told.values())
    return Symptom(
        "machine state",
        above(ratio, SPEED),
        "; ".join(f"{name} {digits(low)} to {digits(high)} ns" for name, (low, high) in told.items())
        + f" in {len(probes)} probes",
        f"the machine's own speed changes by {percent(ratio - 1)}, by another factor for each model",
        "ratios of models do not contain it, as they are taken within rounds; absolute numbers do",
    )


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The 5th and the 95th percentile, or the extremes of a few: a single stall says nothing of the machine."""
    ordered = sorted(values)
    spared = len(ordered) // 20
    return ordered[spared], ordered[-1 - spared]
