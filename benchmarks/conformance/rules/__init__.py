"""The rules, by part and topic. Each file defines RULES; here they become the parts of the suite, in the order of asking.

`wire` needs no waiting and is asked by the harness before any timing; `limits` waits for deadlines; `stop` and `faults` start
servers of their own.
"""

from collections.abc import Mapping

from benchmarks.conformance.rule import Rule
from benchmarks.conformance.rules import chunks, connections, framing, heads, responses, semantics, targets

_WIRE = (heads, targets, framing, chunks, semantics, connections, responses)

PARTS: Mapping[str, tuple[Rule, ...]] = {
    "wire": tuple(rule for topic in _WIRE for rule in topic.RULES),
}
