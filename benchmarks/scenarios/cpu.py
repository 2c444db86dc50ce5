"""2 ms of Python work: who keeps the core busy and the others served?

One core does the same work whatever the model, so throughput should be equal and the differences lie in who waits how long: a
loop serves in turn (first come, first served), threads share the core in slices of the interpreter's switch interval.
`cpu-20ms` has longer work, `cpu-5ms-fine` a switch interval of 0.5 ms instead of CPython's 5 ms, and `cpu-digest` work that
leaves the interpreter alone: hashlib, through Offload.

Work lasts as long as it says by the thread's CPU clock, and the rates keep half of a core busy. So all models are offered the
same load, and the machine's speed, to which a queue responds threefold, is in none of their times.

Theory: with work of one length, first come first served waits (S/2) rho / (1 - rho) in the mean: 0.5 S at half load. Processor
sharing answers after S / (1 - rho): 2 S (Kleinrock, Queueing Systems vol. 1, 5.7, and vol. 2, 4.4). Slices longer than the
work are first come first served again, so 2 ms of work under 5 ms of switch interval should look like the loop's.
"""

from collections.abc import Mapping

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, LOOPS_FORKED, PROCESSES, THREADS, THREADS_FORKED

FINE = ("--switch-interval", "0.0005")
HALF_LOAD = 0.5


def computing(
    work_ms: int,
    in_turn: Mapping[str, tuple[str, ...]],
    shared: Mapping[str, tuple[str, ...]],
    short: str,
    closed: tuple[int, ...] = (),
    **others: object,
) -> Scenario:
    """Work of one length at half load, whom theory has served in turn, and who shares the core in slices."""
    rate_per_s = HALF_LOAD * 1000 / work_ms
    mean, p90 = (Metric(quantity, f"open {rate_per_s:.0f}/s") for quantity in ("mean", "p90"))
    equal = Prediction(
        "all",
        (*LOOPS, *LOOPS_FORKED, *THREADS, *THREADS_FORKED, "prefork"),
        "One core does the same work whatever the model: throughput within a tenth of epoll's.",
        "the work is the same",
        Metric("rate", "closed 16"),
        least=0.9,
        most=1.1,
        of="epoll_loop",
    )
    turns = [
        Prediction(
            family,
            models,
            "Served in turn: in the mean one and a half times the work's length.",
            "Kleinrock 1975, 5.7 (M/D/1)",
            mean,
            least=1.2e6 * work_ms,
            most=1.8e6 * work_ms,
        )
        for family, models in in_turn.items()
    ]
    slices = [
        Prediction(
            family,
            models,
            "The core is shared in slices: in the mean twice the work's length.",
            "Kleinrock 1976, 4.4 (M/G/1 processor sharing)",
            mean,
            least=1.7e6 * work_ms,
            most=2.6e6 * work_ms,
        )
        for family, models in shared.items()
    ]
    return Scenario(
        request=Request(f"/work?cpu_us={1000 * work_ms}"),
        closed=closed,
        open_rates_per_s=(rate_per_s,),
        open_connections=16,
        question="Who keeps the core busy and the others served?",
        measures=(Measure("mean at half load", mean, "less", short=short), Measure("p90 at half load", p90, "less")),
        predictions=(*((equal,) if closed else ()), *turns, *slices),
        **others,  # type: ignore[arg-type]
    )


BY_TURNS = {"loops": (*LOOPS, *LOOPS_FORKED)}

SCENARIOS = {
    "": computing(2, {**BY_TURNS, "threads": THREADS}, {}, "2 ms of work", (16,), longer=2.6),
    "20ms": computing(20, BY_TURNS, {"threads": THREADS, "processes": PROCESSES}, "20 ms of work", window_s=1.6),
    "5ms-fine": computing(5, {}, {"threads": THREADS}, "5 ms, fine slices", longer=3.0, settings=FINE),
    "digest": Scenario(
        request=Request("/digest/2816"),
        closed=(16,),
        open_shares=(0.5,),
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
