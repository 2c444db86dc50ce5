"""Who stands a crowd that comes all at once? 250/s of 2 ms of work evenly, and in bursts of 50 ms with 50 ms between.

Theory: a burst at twice the mean rate is as much as the server can do at its peak: the queue that it builds has the pause to
drain. Its length is the same for all, as all are offered the same; what differs is what a crowd does to a model.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS

EVEN, BURSTS = "open 250/s", "open 250/s, in bursts"
STRETCH = Metric("mean", BURSTS, by=Metric("mean", EVEN))

SCENARIO = Scenario(
    request=Request("/work?cpu_us=2000"),
    closed=(),
    open_rates_per_s=(250.0,),
    burst_rates_per_s=(250.0,),
    open_connections=64,
    question="Who stands a crowd that comes all at once?",
    measures=(
        Measure("mean response time in bursts", Metric("mean", BURSTS), "less", short="bursts"),
        Measure("by that of an even stream", STRETCH, "less"),
    ),
    predictions=(
        Prediction(
            "loops and threads",
            (*LOOPS, *THREADS),
            "The queue of a burst at the peak: the mean grows, by up to ten times.",
            "Kleinrock 1976, ch. 2 (bulk arrivals, fluid approximation)",
            STRETCH,
            least=1.2,
            most=10.0,
        ),
    ),
)
