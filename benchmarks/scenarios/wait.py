"""10 ms of I/O wait: who can hold many at once?

The handler waits as it would for a database, and uses next to no CPU. A model that gives each waiting request a thread or a
process serves at most slots / 10 ms; one that merely remembers it is bounded by CPU alone. So the ceiling of `n` connections is
n / 10 ms, whatever the model. `wait-100ms` waits longer, `wait-lognormal` not always as long: twenty lengths around 10 ms, as a
lognormal distribution has them.

Theory: the throughput of n clients is at most min(n, slots) / wait (Little's law; Little, Operations Research 9, 1961), and at
most one by the CPU time of a request.
"""

import math
from statistics import NormalDist

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import ASYNCIO, READINESS

LITTLE = "Little, Operations Research 9, 1961"
MEDIAN_MS, SIGMA, LENGTHS = 10.0, 1.0, 20


def lognormal() -> tuple[Request, ...]:
    """Requests of equal weight that wait as long as the middle of each twentieth of the distribution, in whole ms."""
    normal = NormalDist(math.log(MEDIAN_MS), SIGMA)
    waits_ms = [max(round(math.exp(normal.inv_cdf((i + 0.5) / LENGTHS))), 1) for i in range(LENGTHS)]
    return tuple(Request(f"/wait/{ms}") for ms in waits_ms)


def slots(model: str, number: int, wait_s: float, level: str) -> Prediction:
    """A model that serves so many at once."""
    ceiling = number / wait_s
    says = f"{number} slots: {ceiling:,.0f} requests a second at most, and nine tenths of that are reached."
    return Prediction(model, (model,), says, LITTLE, Metric("rate", level), least=0.9 * ceiling, most=1.01 * ceiling)


def remembered(wait_s: float, connections: int) -> Prediction:
    """Models that keep no thread for a waiting request."""
    ceiling = connections / wait_s
    says = f"A waiting request is an entry in a table: nine tenths of {connections} / {wait_s * 1000:g} ms are served."
    level = f"closed {connections}"
    return Prediction(
        "loops", (*READINESS, *ASYNCIO), says, LITTLE, Metric("rate", level), least=0.9 * ceiling, most=1.01 * ceiling
    )


SCENARIOS = {
    "": Scenario(
        request=Request("/wait/10"),
        closed=(16, 256),
        open_shares=(0.5, 0.9),
        open_connections=256,
        wait_s=0.010,
        question="Who can hold many waiting requests at once?",
        quick=True,
        quick_closed=(256,),
        measures=(
            Measure("requests a second at 256 connections", Metric("rate", "closed 256"), short="10 ms waits"),
            Measure("CPU of a request at 256 connections", Metric("cpu", "closed 256"), "less"),
        ),
        predictions=(
            slots("prefork", 16, 0.010, "closed 256"),
            slots("thread_pool", 32, 0.010, "closed 256"),
            slots("prefork_threads", 32, 0.010, "closed 256"),
            remembered(0.010, 16),
        ),
    ),
    "100ms": Scenario(
        request=Request("/wait/100"),
        closed=(1000,),
        wait_s=0.100,
        window_s=0.5,
        question="Who can hold many that wait for long?",
        measures=(Measure("at 1,000 connections", Metric("rate", "closed 1000"), short="100 ms waits"),),
        predictions=(
            slots("prefork", 16, 0.100, "closed 1000"),
            slots("thread_pool", 32, 0.100, "closed 1000"),
            slots("prefork_threads", 32, 0.100, "closed 1000"),
            remembered(0.100, 1000),
        ),
    ),
    "lognormal": Scenario(
        request=Request(f"/wait/{MEDIAN_MS:g}"),
        mix=lognormal(),
        closed=(1000,),
        window_s=0.3,
        question="Who can hold many that wait for different times?",
        measures=(Measure("at 1,000 connections", Metric("rate", "closed 1000"), short="lognormal waits"),),
        predictions=(
            Prediction(
                "a pool",
                ("thread_pool",),
                "32 slots by the mean of 16 ms: 2,000 requests a second at most, and most of that is reached.",
                LITTLE,
                Metric("rate", "closed 1000"),
                least=1500.0,
                most=2150.0,
            ),
        ),
    ),
}
