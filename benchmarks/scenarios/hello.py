"""What does one request cost? A dozen bytes, no waiting, no work: the price of the execution model itself.

Everything that a model does for a request, it does here for nothing else: accept readiness, switch, read, parse, write.
Differences of microseconds show.

Theory: a loop that is asked by many at once never sleeps between two requests, so it switches to nobody; a thread sleeps in
each `recv` until the kernel wakes it, and a switch costs microseconds, its cold caches apart (Li, Ding & Shen, "Quantifying
the Cost of Context Switch", ExpCS 2007). A future for each wait costs a second turn of the loop.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, PROCESSES, THREADS

SWITCHES = Metric("switches", "closed 64")

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(16, 64, 256),
    open_shares=(0.5, 0.9),
    open_rates_per_s=(5000.0,),
    open_connections=64,
    question="What does one request cost?",
    quick=True,
    quick_closed=(16,),
    quick_shares=(0.5,),
    measures=(
        Measure("requests a second at 16 connections", Metric("rate", "closed 16"), short="hello"),
        Measure("CPU of a request at 5,000/s", Metric("cpu", "open 5000/s"), "less", short="hello, CPU"),
    ),
    predictions=(
        Prediction(
            "loops",
            LOOPS,
            "A loop with 64 clients never sleeps: hardly a context switch for a request.",
            "epoll(7): a batch of events for each call",
            SWITCHES,
            most=0.1,
        ),
        Prediction(
            "threads",
            THREADS,
            "A thread sleeps in recv until its client speaks: about a context switch for each request.",
            "recv(2); Li, Ding & Shen, ExpCS 2007",
            SWITCHES,
            least=0.3,
            most=3.0,
        ),
        Prediction(
            "processes",
            PROCESSES,
            "So does a process; and no lock is there to wake another one for.",
            "recv(2); Li, Ding & Shen, ExpCS 2007",
            SWITCHES,
            least=0.3,
            most=1.5,
        ),
        Prediction(
            "asyncio with streams",
            ("asyncio_streams",),
            "A future and another turn of the loop for each wait: at most four fifths of what callbacks serve.",
            "CPython, Lib/asyncio/streams.py: StreamReader._wait_for_data",
            Metric("rate", "closed 16"),
            most=0.8,
            of="asyncio_protocol",
        ),
        Prediction(
            "asyncio on libuv",
            ("asyncio_uvloop",),
            "A loop in C serves more than one in Python, at least a fifth more.",
            "uvloop's documentation: https://uvloop.readthedocs.io",
            Metric("rate", "closed 16"),
            least=1.2,
            of="asyncio_protocol",
        ),
    ),
)
