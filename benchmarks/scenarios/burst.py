"""Who stands a crowd that comes all at once? 50% of the peak evenly, and the same mean in bursts of 50 ms with 50 ms between.

Theory: a burst at twice the mean rate is as much as the server can do at its peak: the queue that it builds has the pause to
drain. Its length is the same for all, as all are offered the same; what differs is what a crowd does to a
model.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS

STRETCH = Metric("mean", "open 50%, in bursts", by=Metric("mean", "open 50%"))

SCENARIO = Scenario(
    request=Request("/cpu/1"),
    closed=(16,),
    open_shares=(0.5,),
    common_peak=True,
    burst_shares=(0.5,),
    open_connections=64,
    question="Who stands a crowd that comes all at once?",
    measures=(
        Measure("mean response time in bursts", Metric("mean", "open 50%, in bursts"), "less", short="bursts"),
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
