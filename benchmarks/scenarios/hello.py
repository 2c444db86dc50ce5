"""What does one request cost? A dozen bytes, no waiting, no work: the price of the execution model itself.

Everything that a model does for a request, it does here for nothing else: accept readiness, switch, read, parse, write.
Differences of microseconds show, so it gets more visits than the others.
"""

from benchmarks.nouns import Request, Scenario

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(1, 16, 64, 256),
    open_shares=(0.25, 0.5, 0.75, 0.9, 1.0, 1.1),
    open_rates_per_s=(5000.0,),
    open_connections=64,
    extra_visits=2,
    question="What does one request cost?",
)
