"""What do the first clients get? A fresh process without warm-up, the same load on four cohorts of new connections.

`cold_start-malloc` is the same with glibc's thresholds set from the start (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_).

Theory: asyncio receives into buffers of 256 KiB. glibc maps and unmaps each, two page faults a request, until the first end of
stream frees a whole buffer and raises malloc's dynamic threshold (mallopt(3), M_MMAP_THRESHOLD). So the first clients of an
asyncio server are served slowly until one of them leaves; with thresholds set there is nothing to learn. Others receive into
64 KiB, below the threshold of 128 KiB from the start.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import READINESS, THREADS

FIRST = Metric("rate", "closed 16, cohort 1", by=Metric("rate", "closed 16, cohort 4"))
FAULTS = Metric("faults", "closed 16, cohort 1")
SELECTOR = ("asyncio_streams", "asyncio_protocol")  # uvloop and trio have buffers of their own


def first(others: tuple[Prediction, ...], short: str, environment: tuple[tuple[str, str], ...] = ()) -> Scenario:
    """The first clients by the fourth cohort."""
    steady = Prediction(
        "loops and threads",
        (*READINESS, *THREADS),
        "Nothing to learn: the first are served at four fifths of the pace or more.",
        "mallopt(3): 64 KiB lie below the threshold",
        FIRST,
        least=0.8,
    )
    return Scenario(
        request=Request("/hello", expect_body=b"Hello, World!"),
        closed=(16,),
        cohorts=4,
        window_s=0.2,
        alone="the first clients of a fresh process are what is measured",
        environment=environment,
        question="What do the first clients get?",
        measures=(
            Measure("first by later clients", FIRST, short=short),
            Measure("page faults of a first request", FAULTS, "less"),
        ),
        predictions=(steady, *others),
    )


SCENARIOS = {
    "": first(
        (
            Prediction(
                "asyncio",
                SELECTOR,
                "A buffer mapped and unmapped for each read: the first get two thirds of the pace at most.",
                "mallopt(3), M_MMAP_THRESHOLD; CPython, Lib/asyncio/selector_events.py: max_size",
                FIRST,
                most=0.67,
            ),
            Prediction(
                "asyncio, faults",
                SELECTOR,
                "and two page faults for each request.",
                "mmap(2), getrusage(2)",
                FAULTS,
                least=1.5,
                most=2.5,
            ),
        ),
        "cold start",
    ),
    "malloc": first(
        (
            Prediction(
                "asyncio",
                SELECTOR,
                "With the thresholds set the first are served at four fifths of the pace or more.",
                "mallopt(3)",
                FIRST,
                least=0.8,
            ),
        ),
        "cold, malloc set",
        (("MALLOC_MMAP_THRESHOLD_", "1048576"), ("MALLOC_TRIM_THRESHOLD_", "4194304")),
    ),
}
