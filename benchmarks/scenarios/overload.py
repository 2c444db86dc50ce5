"""What becomes of a server that is asked too much? 2 ms of work offered at twice its peak, and at 300% of it, then 50% again.

Clients give up after a second, whether they wait for an answer or for a free connection, as people do. Goodput is what was
answered in time. The last level falls from 300% to 50% halfway: how long until hardly a request is slow any more?

Theory: past its peak an open queue grows without bound, and whoever serves first come first served answers only those who have
waited longest: at 200% the queue reaches the clients' patience, and from then on each answer is a second old (Schroeder,
Wierman & Harchol-Balter, NSDI 2006). Work done for clients that have gone is lost (receive livelock: Mogul & Ramakrishnan,
TOCS 1997). With connections bounded the queue is in front of the server, and goodput should hold.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS

KEPT = Metric("rate", "open 200%", by=Metric("rate", "closed 64"))

SCENARIO = Scenario(
    request=Request("/work?cpu_us=2000"),
    closed=(64,),
    open_shares=(0.5, 2.0),
    open_connections=128,
    recovery=(3.0, 0.5),
    patience_s=1.0,
    question="What becomes of a server that is asked too much?",
    measures=(
        Measure("goodput kept at 200%", KEPT, short="overload"),
        Measure("p50 at 200%", Metric("p50", "open 200%"), "less"),
        Measure("until p99 has recovered", Metric("recovery", "open 300% then 50%"), "less", short="recovery"),
    ),
    predictions=(
        Prediction(
            "loops",
            LOOPS,
            "No more is under way than there are connections: nine tenths of the peak are still served.",
            "Schroeder, Wierman & Harchol-Balter, NSDI 2006 (partly open)",
            KEPT,
            least=0.9,
        ),
        Prediction(
            "threads",
            THREADS,
            "So with threads, whose switches grow with the crowd: eight tenths.",
            "von Behren, Condit & Brewer, HotOS 2003",
            KEPT,
            least=0.8,
        ),
    ),
)
