"""How fast do bytes leave? Answers of 1 KiB to 16 MiB, made piece by piece while they are sent.

Theory: the larger the answer, the less it matters who waits: copying to the kernel and the client's reading on the same machine
are the same for all. Memory must not grow with the answer: each piece is made when the kernel has taken the one before.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS


def sized(name: str, size: int) -> Scenario:
    """Answers of one size."""
    large = size >= 1 << 20
    even = Prediction(
        "loops and threads",
        (*LOOPS, *THREADS),
        "Copying is the same for all: within a third of epoll's rate.",
        "send(2) copies into the kernel",
        Metric("rate", "closed 16"),
        least=0.67,
        most=1.5,
        of="epoll_loop",
    )
    lean = Prediction(
        "loops",
        LOOPS,
        "Memory does not grow with the answer: 16 clients hold less than 64 MiB.",
        "back-pressure: one piece of 64 KiB for each client",
        Metric("memory", "closed 16"),
        most=float(64 << 20),
    )
    return Scenario(
        request=Request(f"/bytes/{size}"),
        closed=(1, 16),
        longer=2.0 if large else 1.0,
        least_s=0.8 if size >= 1 << 24 else 0.0,
        question=f"How fast do answers of {name} leave?",
        measures=(
            Measure("downloads at 16 connections", Metric("rate", "closed 16"), short=f"{name} down"),
            Measure("memory", Metric("memory", "closed 16"), "less"),
        ),
        predictions=(even, lean) if large else (),
    )


SCENARIOS = {
    "1KiB": sized("1KiB", 1 << 10),
    "64KiB": sized("64KiB", 1 << 16),
    "1MiB": sized("1MiB", 1 << 20),
    "16MiB": sized("16MiB", 1 << 24),
}
