"""About 2 ms of Python work: who keeps the core busy and the others served?

One core does the same work whatever the model, so throughput should be equal and the differences lie in who waits how long: a
loop serves in turn (first come, first served), threads share the core in slices of the interpreter's switch interval.
`cpu-20ms` has longer work, `cpu-20ms-fine` a switch interval of 0.5 ms instead of CPython's 5 ms, too, and
`cpu-digest` work that leaves the interpreter alone: hashlib, through Offload.

Theory: with work of one length, first come first served waits (S/2) rho / (1 - rho) in the mean: 0.5 S at half load. Processor
sharing answers after S / (1 - rho): 2 S (Kleinrock, Queueing Systems vol. 1, 5.7, and vol. 2, 4.4). Slices longer than the
work are first come first served again, so 2 ms of work under 5 ms of switch interval should look like the loop's.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, LOOPS_FORKED, PROCESSES, THREADS, THREADS_FORKED

FINE = ("--switch-interval", "0.0005")
STRETCH = Metric("mean", "open 50%", by=Metric("p50", "closed 1"))


def computing(
    path: str,
    stretched: tuple[Prediction, ...],
    short: str,
    closed: tuple[int, ...] = (1, 16),
    **others: object,
) -> Scenario:
    """Work of one length, whose throughput must be equal for all."""
    equal = Prediction(
        "all",
        (*LOOPS, *LOOPS_FORKED, *THREADS, *THREADS_FORKED, "prefork"),
        "One core does the same work whatever the model: throughput within a tenth of epoll's.",
        "the work is the same code",
        Metric("rate", "closed 16"),
        least=0.9,
        most=1.1,
        of="epoll_loop",
    )
    measures = (
        Measure("mean at half load", Metric("mean", "open 50%"), "less", short=short),
        Measure("p90 at half load", Metric("p90", "open 50%"), "less"),
    )
    return Scenario(
        request=Request(path),
        closed=closed,
        open_shares=(0.5,),
        common_peak=True,
        open_connections=64,
        question="Who keeps the core busy and the others served?",
        measures=measures,
        predictions=(equal, *stretched),
        **others,  # type: ignore[arg-type]
    )


def in_turn(models: tuple[str, ...], family: str) -> Prediction:
    """First come, first served, at half load."""
    says = "Served in turn: in the mean one and a half times the work's length."
    return Prediction(family, models, says, "Kleinrock 1975, 5.7 (M/D/1)", STRETCH, least=1.2, most=1.8)


def shared(models: tuple[str, ...], family: str) -> Prediction:
    """Processor sharing, at half load."""
    says = "The core is shared in slices: in the mean twice the work's length."
    return Prediction(family, models, says, "Kleinrock 1976, 4.4 (M/G/1 processor sharing)", STRETCH, least=1.7, most=2.6)


SCENARIOS = {
    "": computing(
        "/cpu/1",
        (in_turn((*LOOPS, *LOOPS_FORKED), "loops"), in_turn(THREADS, "threads, work shorter than a slice")),
        "2 ms of work",
    ),
    "20ms": computing(
        "/cpu/12",
        (in_turn((*LOOPS, *LOOPS_FORKED), "loops"), shared(THREADS, "threads"), shared(PROCESSES, "processes")),
        "20 ms of work",
    ),
    "20ms-fine": computing(
        "/cpu/12",
        (shared(THREADS, "threads, slices of 0.5 ms"),),
        "20 ms, fine slices",
        settings=FINE,
    ),
    "digest": Scenario(
        request=Request("/digest/2816"),
        closed=(16,),
        open_shares=(0.5,),
        common_peak=True,
        open_connections=64,
        question="Who can compute beside the interpreter?",
        measures=(Measure("mean at half load", Metric("mean", "open 50%"), "less", short="work without GIL"),),
        predictions=(
            Prediction(
                "all",
                (*LOOPS, *THREADS),
                "Still one core: throughput within a fifth of epoll's.",
                "the work is the same code",
                Metric("rate", "closed 16"),
                least=0.8,
                most=1.25,
                of="epoll_loop",
            ),
        ),
    ),
}
