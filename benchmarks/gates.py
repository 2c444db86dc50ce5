"""A bound that a change must keep, for CI: `rate<-5%` is broken where the rate fell by significantly more than 5%.

Three outcomes are kept apart. **Kept**: the whole 95% interval of the ratio is on the right side of the bound. **Broken**: the
whole interval is beyond it, and significantly so, corrected for the number of cells that are gated (Holm); or the new side has
no number because it failed where the old one did not. **Undecided**: the interval holds the bound, so that more replicates are
needed, or there is no number to hold against it; a gate that can't see must not pass. Every metric is treated alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.comparison import NAMES, Comparison, Name, Row
from benchmarks.stats.difference import FALSE_CALL, holm

_FORM = re.compile(r"\s*([a-z0-9]+)\s*([<>])\s*([+-]\s*\d+(?:\.\d+)?)\s*%\s*")
_ALSO: dict[str, Name] = {"throughput": "rate"}

Outcome = Literal["kept", "broken", "undecided"]

STATUS: dict[Outcome, int] = {"kept": 0, "broken": 1, "undecided": 3}  # of the process; 2 is bad use


class GateError(ValueError):
    """A bound that can't be read; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Is broken where the ratio of a metric lies below (or above) `bound`. `text` is how the user wrote it."""

    text: str
    metric: str
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
    """Read a bound such as "rate<-5%" or "p99>+10%". Raises GateError."""
    found = _FORM.fullmatch(text)
    if not found:
        raise GateError(f"{text!r} is no bound; write one such as 'rate<-5%' or 'p99>+10%', with the sign of the change")
    metric = _ALSO.get(found[1], found[1])
    if metric not in NAMES:
        raise GateError(f"{text!r} is about {found[1]!r}; a bound is about one of {', '.join(NAMES)}")
    bound = 1 + float("".join(found[3].split())) / 100
    if bound <= 0:
        raise GateError(f"{text!r}: nothing falls by 100% or more; write a smaller change")
    return Gate(text.strip(), metric, found[2] == "<", bound)


def judge(gates: Sequence[Gate], comparison: Comparison) -> list[Judged]:
    """Every gate at every cell that it is about, and at what is missing."""
    found = held([(gate, row) for gate in gates for row in comparison.rows if row.metric == gate.metric])
    for gate in gates:
        found += [Judged(gate, None, "undecided", f"{comparison.other} lacks {missing}") for missing in comparison.missing]
        if not any(judged.gate is gate for judged in found):
            found.append(Judged(gate, None, "undecided", f"no cell that both have tells its {gate.metric}"))
    return found


def held(pairs: Sequence[tuple[Gate, Row]]) -> list[Judged]:
    """Each gate held against its row, corrected for their number. Rows that are excused from having a number are left out."""
    told = [(gate, row) for gate, row in pairs if row.better or not row.excused]
    seen = [(gate, row) for gate, row in told if row.judged]
    corrected = holm([_p_value(gate, row) for gate, row in seen])
    sure = {(id(gate), id(row)) for (gate, row), p in zip(seen, corrected, strict=True) if p < FALSE_CALL}
    return [_judged(gate, row, (id(gate), id(row)) in sure) for gate, row in told]


def verdict(judged: Sequence[Judged]) -> Outcome:
    """Broken if any gate is, else undecided if any is."""
    outcomes = {one.outcome for one in judged}
    return "broken" if "broken" in outcomes else "undecided" if "undecided" in outcomes else "kept"


def _judged(gate: Gate, row: Row, sure: bool) -> Judged:
    if row.worse or row.better:
        return Judged(gate, row, "broken" if row.worse else "kept", row.why)
    if row.ratio is None or row.ratio.low is None or row.ratio.high is None:
        return Judged(gate, row, "undecided", row.why)
    if sure:
        return Judged(gate, row, "broken")
    kept = row.ratio.low >= gate.bound if gate.below else row.ratio.high <= gate.bound
    return Judged(gate, row, "kept" if kept else "undecided")


def _p_value(gate: Gate, row: Row) -> float:
    """How probable such a ratio would be if the truth were just within the bound; 1 for one that is within."""
    if row.difference is None:
        return 1.0
    beyond = row.difference.ratio < gate.bound if gate.below else row.difference.ratio > gate.bound
    return row.difference.p_value(gate.bound) if beyond else 1.0
