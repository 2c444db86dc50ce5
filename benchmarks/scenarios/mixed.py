"""Who lets one slow request hold up the others? 95% hello, 5% that compute for 8 units; the result is how hello fares.

The same seeded arrivals come to every model, in an open loop at half of the median model's peak: what its closed loop would
have served with exactly 5% of them. `mixed-blocking` has a handler that naively sleeps for 20 ms instead of computing: the
classic mistake, at a rate that is the same for all.

Theory: a loop serves in turn, so a hello waits for whatever is ahead of it. By Pollaczek and Khinchine the mean wait at
utilisation 1/2, with next to all work in one kind of request of length S, is (lambda E[s^2]) / 2 (1 - rho) = S / 2 (Kleinrock,
Queueing Systems vol. 1, 5.7). Threads of one interpreter take the lock from whoever computes only after the switch interval,
5 ms, and with each wait anew: the convoy (Beazley, "Understanding the Python GIL", PyCon 2010). Processes share the core by the
kernel's scheduler, to which one that has slept is dear: hello preempts the work (sched(7)). Sleeping costs a thread or a
process nothing but itself.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, LOOPS_FORKED, PROCESSES, THREADS, THREADS_BEHIND_A_LOOP, THREADS_FORKED

HELLO = Request("/hello", expect_body=b"Hello, World!", weight=0.95, label="hello")
WORK = Request("/cpu/8", weight=0.05, label="work")  # longer than the switch interval, else there is no convoy
SLEEP = Request("/block/20", weight=0.05, label="sleep")

HALF, COMMON = "open 50%", "open 400/s"
WINDOW_S = 0.6  # twice the ramp in which its queue builds
WAIT = Metric("mean", HALF, "hello", by=Metric("p50", "closed 1", "work"))
STUCK = Metric("p90", COMMON, "hello")

SCENARIOS = {
    "": Scenario(
        request=HELLO,
        mix=(HELLO, WORK),
        closed=(1,),
        open_shares=(0.5,),
        common_peak=True,
        open_connections=64,
        longer=2.0,
        question="Who lets a computing request hold up the others?",
        quick=True,
        quick_closed=(1,),
        quick_shares=(0.5,),
        measures=(
            Measure("p90 of hello among work", Metric("p90", HALF, "hello"), "less", short="hello among work"),
            Measure("mean of hello, by the work's length", WAIT, "less"),
        ),
        predictions=(
            Prediction(
                "loops",
                (*LOOPS, *LOOPS_FORKED),
                "Served in turn: hello waits for half of the work's length in the mean.",
                "Pollaczek & Khinchine; Kleinrock 1975, 5.7",
                WAIT,
                least=0.3,
                most=0.8,
            ),
            Prediction(
                "threads",
                (*THREADS, *THREADS_BEHIND_A_LOOP),
                "Whoever computes keeps the lock for 5 ms at a time: hello's p90 is at least that.",
                "Beazley, PyCon 2010; sys.setswitchinterval",
                Metric("p90", HALF, "hello"),
                least=4.5e6,
            ),
            Prediction(
                "processes",
                PROCESSES,
                "The kernel lets whoever has slept preempt: hello waits for less than a tenth of the work.",
                "sched(7)",
                WAIT,
                most=0.1,
            ),
        ),
    ),
    "blocking": Scenario(
        request=HELLO,
        mix=(HELLO, SLEEP),
        closed=(),
        open_rates_per_s=(400.0,),
        open_connections=64,
        longer=2.0,
        window_s=WINDOW_S,
        question="Who survives a handler that blocks?",
        measures=(Measure("p90 of hello among sleepers", STUCK, "less", short="hello among sleep"),),
        predictions=(
            Prediction(
                "loops",
                (*LOOPS, *LOOPS_FORKED),
                "The loop sleeps with the handler: hello's p90 is ten milliseconds and more.",
                "Pollaczek & Khinchine; Kleinrock 1975, 5.7",
                STUCK,
                least=1e7,
            ),
            Prediction(
                "threads",
                (*THREADS, *THREADS_FORKED, *THREADS_BEHIND_A_LOOP),
                "A sleeping thread holds no lock: hello's p90 is under two milliseconds.",
                "time.sleep releases the GIL: Python/C API, Thread State",
                STUCK,
                most=2e6,
            ),
            Prediction(
                "processes",
                PROCESSES,
                "Nor does a sleeping process: under two milliseconds.",
                "nanosleep(2)",
                STUCK,
                most=2e6,
            ),
        ),
    ),
}
