"""Who lets one slow request hold up the others? 95% hello, 5% that compute for 10 ms; the result is how hello fares.

The same seeded arrivals come to every model, 800 a second in an open loop, of which 40 compute for 10 ms by the thread's CPU
clock: a load of 0.4, whatever the machine's speed. `mixed-blocking` has a handler that naively sleeps for 10 ms instead of
computing: the classic mistake.

Theory: a loop serves in turn, so a hello waits for whatever is ahead of it. By Pollaczek and Khinchine the mean wait at
utilisation rho, with next to all work in one kind of request of length S, is lambda E[s^2] / 2 (1 - rho) = rho S / 2 (1 - rho):
a third of S at 0.4 (Kleinrock, Queueing Systems vol. 1, 5.7). Threads of one interpreter get the lock from a computing one only
after the switch interval, 5 ms, and with each wait anew: the convoy (Beazley, "Understanding the Python GIL", PyCon 2010).
Processes share the core by the kernel's scheduler, to which one that has slept is dear: hello preempts the work (sched(7)).
Sleeping costs a thread or a process nothing but itself.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, LOOPS_FORKED, PROCESSES, THREADS, THREADS_BEHIND_A_LOOP, THREADS_FORKED

HELLO = Request("/hello", expect_body=b"Hello, World!", weight=0.95, label="hello")
WORK = Request("/work?cpu_us=10000", weight=0.05, label="work")  # twice the switch interval: shorter work knows no convoy
SLEEP = Request("/block/10", weight=0.05, label="sleep")

RATE_PER_S, OFFERED = 800.0, "open 800/s"
WINDOW_S = 1.0  # of sleepers; with work it is four times the ramp in which the queue builds
MEAN, P90 = Metric("mean", OFFERED, "hello"), Metric("p90", OFFERED, "hello")


def _behind(other: Request, question: str, others: str, predictions: tuple[Prediction, ...], **more: object) -> Scenario:
    """Hello among requests of another kind."""
    return Scenario(
        request=HELLO,
        mix=(HELLO, other),
        closed=(),
        open_rates_per_s=(RATE_PER_S,),
        open_connections=64,
        question=question,
        measures=(
            Measure(f"mean of hello among {others}", MEAN, "less", short=f"hello among {other.label}"),
            Measure(f"p90 of hello among {others}", P90, "less"),
        ),
        predictions=predictions,
        **more,  # type: ignore[arg-type]
    )


SCENARIOS = {
    "": _behind(
        WORK,
        "Who lets a computing request hold up the others?",
        "work",
        (
            Prediction(
                "loops",
                (*LOOPS, *LOOPS_FORKED),
                "Served in turn: hello waits for a third of the work's length in the mean.",
                "Pollaczek & Khinchine; Kleinrock 1975, 5.7",
                MEAN,
                least=2.2e6,
                most=6e6,
            ),
            Prediction(
                "threads",
                (*THREADS, *THREADS_BEHIND_A_LOOP),
                "A thread that computes keeps the lock for 5 ms at a time: hello's p90 is at least that.",
                "Beazley, PyCon 2010; sys.setswitchinterval",
                P90,
                least=4.5e6,
            ),
            Prediction(
                "processes",
                PROCESSES,
                "The kernel lets a process that has slept preempt: hello waits for less than a tenth of the work.",
                "sched(7)",
                MEAN,
                most=1e6,
            ),
        ),
        longer=5.0,
        quick=True,
        quick_rates_per_s=(RATE_PER_S,),
    ),
    "blocking": _behind(
        SLEEP,
        "Who survives a handler that blocks?",
        "sleepers",
        (
            Prediction(
                "loops",
                (*LOOPS, *LOOPS_FORKED),
                "The loop sleeps with the handler: hello waits for a third of its sleep in the mean.",
                "Pollaczek & Khinchine; Kleinrock 1975, 5.7",
                MEAN,
                least=2.2e6,
                most=6e6,
            ),
            Prediction(
                "threads",
                (*THREADS, *THREADS_FORKED, *THREADS_BEHIND_A_LOOP),
                "A sleeping thread holds no lock: hello's p90 is under two milliseconds.",
                "time.sleep releases the GIL: Python/C API, Thread State",
                P90,
                most=2e6,
            ),
            Prediction(
                "processes",
                PROCESSES,
                "Nor does a sleeping process: under two milliseconds.",
                "nanosleep(2)",
                P90,
                most=2e6,
            ),
        ),
        longer=2.5,
        window_s=WINDOW_S,
    ),
}
