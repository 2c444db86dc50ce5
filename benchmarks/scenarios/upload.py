"""How fast do bytes arrive? Requests with bodies of 64 KiB and of 16 MiB, taken piece by piece and summed up.

Theory: as for downloads, copying is the same for all; who copies once more, as a buffer that joins pieces does, pays for it.
The models are ranked by the CPU time of a request at a common rate. What they hold meanwhile is `memory`'s question.
"""

from benchmarks.questions import Measure, Metric, Request, Scenario


def sized(name: str, size: int, rate_per_s: float) -> Scenario:
    """Bodies of one size."""
    large = size >= 1 << 20
    at = f"open {rate_per_s:.0f}/s"
    return Scenario(
        request=Request("/sink", "POST", body_bytes=size),
        closed=() if large else (16,),
        open_rates_per_s=(rate_per_s,),
        open_connections=4 if large else 16,
        window_s=1.0 if large else 0.0,
        question=f"How fast do bodies of {name} arrive?",
        measures=(
            Measure(f"CPU of an upload at {rate_per_s:,.0f}/s", Metric("cpu", at), "less", short=f"{name} up"),
            *(() if large else (Measure("uploads at 16 connections", Metric("rate", "closed 16")),)),
        ),
    )


SCENARIOS = {
    "64KiB": sized("64KiB", 1 << 16, 1000.0),
    "16MiB": sized("16MiB", 1 << 24, 8.0),
}
