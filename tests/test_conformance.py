"""Every model keeps every rule about the wire, one after the other on one server."""

import pytest
from live import MODELS

from benchmarks.conformance.rule import Outcome
from benchmarks.conformance.subjects import Model
from benchmarks.conformance.suite import examine

SECONDS = 10  # with the start of the server; a rule that waits for its patience takes two of them


def told(outcome: Outcome) -> str:
    return (
        f"\n{outcome.rule} ({outcome.strength}, {outcome.source}): {outcome.says} But it {outcome.saw}.\n"
        f"  sent     {outcome.sent[:300]}\n  received {outcome.received[:300]}"
    )


@pytest.mark.parametrize("model", MODELS)
def test_keeps_the_rules_about_the_wire(model: str) -> None:
    report = examine(Model(model), ["wire"])
    assert not report.broken, f"{len(report.broken)} broken:" + "".join(told(outcome) for outcome in report.broken)
    assert {outcome.verdict for outcome in report.outcomes} == {"kept"}
    assert report.seconds < SECONDS
