"""How fast do bytes leave? Answers of 64 KiB and of 16 MiB, made piece by piece while they are sent.

Theory: the larger the answer, the less it matters who waits: copying to the kernel and the client's reading on the same machine
are the same for all. The load engine takes in bytes hardly faster than these servers send them, so the models are ranked by the
CPU time of a request at a common rate. What they hold meanwhile is `memory`'s question.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS


def sized(name: str, size: int, rate_per_s: float) -> Scenario:
    """Answers of one size."""
    large = size >= 1 << 20
    even = Prediction(
        "loops and threads",
        (*LOOPS, *THREADS),
        "Copying is the same for all: within a third of epoll's CPU time.",
        "send(2) copies into the kernel",
        Metric("cpu", f"open {rate_per_s:.0f}/s"),
        least=0.67,
        most=1.5,
        of="epoll_loop",
    )
    at = f"open {rate_per_s:.0f}/s"
    return Scenario(
        request=Request(f"/bytes/{size}"),
        closed=() if large else (16,),
        open_rates_per_s=(rate_per_s,),
        open_connections=4 if large else 16,
        window_s=1.0 if large else 0.0,
        question=f"How fast do answers of {name} leave?",
        measures=(
            Measure(f"CPU of a download at {rate_per_s:,.0f}/s", Metric("cpu", at), "less", short=f"{name} down"),
            *(() if large else (Measure("downloads at 16 connections", Metric("rate", "closed 16")),)),
        ),
        predictions=(even,) if large else (),
    )


SCENARIOS = {
    "64KiB": sized("64KiB", 1 << 16, 1000.0),
    "16MiB": sized("16MiB", 1 << 24, 8.0),
}
