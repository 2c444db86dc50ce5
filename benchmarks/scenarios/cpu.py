"""About 2 ms of Python work: who keeps the core busy and the others served?

One core does the same work whatever the model, so throughput should be equal and the differences lie in who waits how long: a
loop serves in turn (first come, first served), threads share the core in slices of the interpreter's switch interval.
"""

from benchmarks.nouns import Request, Scenario

SCENARIO = Scenario(
    request=Request("/cpu/2"),
    closed=(1, 16, 64),
    open_shares=(0.25, 0.5, 0.75, 0.9, 1.0, 1.1),
    open_rates_per_s=(200.0,),
    open_connections=64,
    question="Who keeps the core busy and the others served?",
)
