"""10 ms of I/O wait: who can hold many at once?

The handler waits as it would for a database, and uses next to no CPU. A model that gives each waiting request a thread or a
process serves at most slots / 10 ms; one that merely remembers it is bounded by CPU alone. So the ceiling of `n` connections is
n / 10 ms, whatever the model.
"""

from benchmarks.nouns import Request, Scenario

SCENARIO = Scenario(
    request=Request("/wait/10"),
    closed=(16, 64, 256, 1000),
    open_shares=(0.25, 0.5, 0.75, 0.9, 1.0, 1.1),
    open_rates_per_s=(1000.0,),
    open_connections=1000,
    wait_s=0.010,
    question="Who can hold many waiting requests at once?",
)
