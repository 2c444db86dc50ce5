"""A bound that a change must keep, for CI: `throughput<-5%` fails where throughput fell by more than 5% beyond doubt.

Four outcomes are kept apart. **Broken**: the change is beyond the bound, and stays so after Holm's correction over all cells
that are gated. **Kept**: its whole 95% interval is within. **Not sure**: the interval reaches across, so that more visits are
needed to tell. **Unseen**: there is no number to hold against the bound; a gate that can't see must not pass.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.comparison import Comparison, Metric, Row
from benchmarks.ranking import FALSE_DIFFERENCE, holm

_METRICS: tuple[Metric, ...] = ("throughput", "p50", "p90", "p99", "cpu", "memory")
_FORM = re.compile(r"\s*([a-z0-9]+)\s*([<>])\s*([+-]\s*\d+(?:\.\d+)?)\s*%\s*")

Outcome = Literal["broken", "kept", "not sure", "unseen"]


class GateError(ValueError):
    """A bound that can't be read; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Fails where the ratio of a metric lies below (or above) `bound`. `text` is how the user wrote it."""

    text: str
    metric: Metric
    below: bool
    bound: float  # a ratio


@dataclass(frozen=True, slots=True)
class Judged:
    """One gate at one cell. Without a row, it is about what is not there; `why` says what."""

    gate: Gate
    row: Row | None
    outcome: Outcome
    why: str = ""


def parse(text: str) -> Gate:
    """Read a bound such as "throughput<-5%" or "p99>+10%". Raises GateError."""
    found = _FORM.fullmatch(text)
    if not found:
        raise GateError(f"{text!r} is no bound; write one such as 'throughput<-5%' or 'p99>+10%', with the sign of the change")
    metric = next((known for known in _METRICS if known == found[1]), None)
    if metric is None:
        raise GateError(f"{text!r} is about {found[1]!r}; a bound is about one of {', '.join(_METRICS)}")
    bound = 1 + float("".join(found[3].split())) / 100
    if bound <= 0:
        raise GateError(f"{text!r}: nothing falls by 100% or more; write a smaller change")
    return Gate(text.strip(), metric, found[2] == "<", bound)


def judge(gates: Sequence[Gate], comparison: Comparison) -> list[Judged]:
    """Every gate at every cell that it is about, and at what is missing."""
    pairs = [(gate, row) for gate in gates for row in comparison.rows if row.metric == gate.metric]
    seen = [(gate, row) for gate, row in pairs if row.difference]
    corrected = holm([_p_value(gate, row) for gate, row in seen])
    sure = {(id(gate), id(row)) for (gate, row), p in zip(seen, corrected, strict=True) if p < FALSE_DIFFERENCE}
    found = [_judged(gate, row, (id(gate), id(row)) in sure) for gate, row in pairs if not (row.why_not and row.seen)]
    for gate in gates:
        found += [Judged(gate, None, "unseen", f"{comparison.other} lacks {missing}") for missing in comparison.missing]
        if not any(judged.gate is gate for judged in found):
            found.append(Judged(gate, None, "unseen", f"no cell that both have tells its {gate.metric}"))
    return found


def passes(judged: Sequence[Judged]) -> bool:
    """Whether nothing is broken and nothing went unseen."""
    return not any(one.outcome in ("broken", "unseen") for one in judged)


def _judged(gate: Gate, row: Row, sure: bool) -> Judged:
    if row.difference is None or row.ratio is None or row.ratio.low is None or row.ratio.high is None:
        return Judged(gate, row, "unseen", row.why_not)
    if sure:
        return Judged(gate, row, "broken")
    kept = row.ratio.low >= gate.bound if gate.below else row.ratio.high <= gate.bound
    return Judged(gate, row, "kept" if kept else "not sure")


def _p_value(gate: Gate, row: Row) -> float:
    """How probable such a ratio would be if the truth were just within the bound; 1 for one that is within."""
    if row.difference is None or row.ratio is None:
        return 1.0
    beyond = row.ratio.value < gate.bound if gate.below else row.ratio.value > gate.bound
    return row.difference.p_value(gate.bound) if beyond else 1.0
