"""What do the first clients get? A fresh process without warm-up, the same load on three cohorts of new connections.

Theory: asyncio receives into buffers of 256 KiB. glibc maps and unmaps each, two page faults a request, until the first end of
stream frees a whole buffer and raises malloc's dynamic threshold (mallopt(3), M_MMAP_THRESHOLD). So the first clients of an
asyncio server are served slowly until one of them leaves; with MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ set in the
environment there is nothing to learn. Others receive into 64 KiB, below the threshold of 128 KiB from the start.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import READINESS, THREADS

GOT = Metric("rate", "closed 16, cohort 1")
FIRST = Metric("rate", "closed 16, cohort 1", by=Metric("rate", "closed 16, cohort 3"))
FAULTS = Metric("faults", "closed 16, cohort 1")
SELECTOR = ("asyncio_streams", "asyncio_protocol")  # uvloop and trio have buffers of their own

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(16,),
    cohorts=3,
    window_s=0.2,
    alone="the first clients of a fresh process are what is measured",
    question="What do the first clients get?",
    measures=(
        Measure("requests a second of the first 16 clients", GOT, short="cold start"),
        Measure("by that of later clients", FIRST),
        Measure("page faults of a first request", FAULTS, "less"),
    ),
    predictions=(
        Prediction(
            "loops and threads",
            (*READINESS, *THREADS),
            "Nothing to learn: the first are served at four fifths of the pace or more.",
            "mallopt(3): 64 KiB lie below the threshold",
            FIRST,
            least=0.8,
        ),
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
)
