"""How fast do bytes arrive? Requests with bodies of 1 KiB to 16 MiB, taken piece by piece and summed up.

Theory: as for downloads, copying is the same for all; who copies once more, as a buffer that joins pieces does, pays for it.
And memory must not grow with the body: the next piece is received when the one before has been dealt with.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS


def sized(name: str, size: int) -> Scenario:
    """Bodies of one size."""
    large = size >= 1 << 20
    lean = Prediction(
        "loops and threads",
        (*LOOPS, *THREADS),
        "Memory does not grow with the body: 16 clients hold less than 64 MiB.",
        "back-pressure: one piece for each client",
        Metric("memory", "closed 16"),
        most=float(64 << 20),
    )
    return Scenario(
        request=Request("/sink", "POST", body_bytes=size),
        closed=(1, 16),
        longer=2.0 if large else 1.0,
        least_s=0.8 if size >= 1 << 24 else 0.0,
        question=f"How fast do bodies of {name} arrive?",
        measures=(
            Measure("uploads at 16 connections", Metric("rate", "closed 16"), short=f"{name} up"),
            Measure("memory", Metric("memory", "closed 16"), "less"),
        ),
        predictions=(lean,) if large else (),
    )


SCENARIOS = {
    "1KiB": sized("1KiB", 1 << 10),
    "64KiB": sized("64KiB", 1 << 16),
    "1MiB": sized("1MiB", 1 << 20),
    "16MiB": sized("16MiB", 1 << 24),
}
