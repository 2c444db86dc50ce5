"""The rules, by part and topic. Each file is a topic and defines RULES; here they become the parts of the suite, in order.

`wire` needs no waiting and is asked by the harness before any timing; `limits` waits for deadlines; `stop` and `faults` start
servers of their own.
"""

from collections.abc import Mapping

from benchmarks.conformance.rule import Rule
from benchmarks.conformance.rules import (
    chunks,
    connections,
    deadlines,
    faults,
    framing,
    heads,
    limits,
    responses,
    semantics,
    stopping,
    targets,
    workers,
)

_TOPICS = {
    "wire": (heads, targets, framing, chunks, semantics, connections, responses),
    "limits": (limits, deadlines),
    "stop": (stopping, workers),
    "faults": (faults,),
}

TOPICS: Mapping[str, Mapping[str, tuple[Rule, ...]]] = {
    part: {topic.__name__.rpartition(".")[2]: topic.RULES for topic in topics} for part, topics in _TOPICS.items()
}
PARTS: Mapping[str, tuple[Rule, ...]] = {
    part: tuple(rule for rules in topics.values() for rule in rules) for part, topics in TOPICS.items()
}
