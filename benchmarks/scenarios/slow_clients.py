"""Who is hurt by slow clients? Healthy ones at a fixed rate, with a hundred others that trickle their request or their reading.

Slow requests come a byte each tenth of a second; slow readers ask for 64 MiB and take 1 KiB each tenth of a second. This is
what mobile networks do to a server without meaning to, and Slowloris on purpose; it is why nginx is put in front of others.

Theory: a model with a fixed number of slots gives one to each slow client and has none left for the healthy ones, until a
deadline frees it; a model that merely remembers them loses some CPU to their bytes.
"""

from benchmarks.questions import Background, Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, LOOPS_FORKED

RATE = "open 1000/s"
TRICKLE = Background("slow requests", 100, "/hello", piece_bytes=1, every_s=0.1)
READERS = Background("slow readers", 100, f"/bytes/{64 << 20}", piece_bytes=1024, every_s=0.1)
WITH_TRICKLE = Metric("answered", f"{RATE}, {TRICKLE.label}")
WITH_READERS = Metric("answered", f"{RATE}, {READERS.label}")
OPEN_ENDED = (*LOOPS, *LOOPS_FORKED, "thread_per_connection")

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(),
    open_rates_per_s=(1000.0,),
    open_connections=16,
    background=(TRICKLE, READERS),
    window_s=0.2,
    alone="slow clients keep a server busy all the time, its neighbours' too",
    question="Who is hurt by slow clients?",
    measures=(
        Measure("answered with slow requests", WITH_TRICKLE, short="slow requests"),
        Measure("answered with slow readers", WITH_READERS, short="slow readers"),
        Measure("p90 with slow requests", Metric("p90", f"{RATE}, {TRICKLE.label}"), "less"),
        Measure("memory with slow readers", Metric("memory", f"{RATE}, {READERS.label}"), "less"),
    ),
    predictions=(
        Prediction(
            "unbounded models",
            OPEN_ENDED,
            "A slow client is an entry in a table or a thread asleep: all others are served.",
            "epoll(7), recv(2)",
            WITH_TRICKLE,
            least=0.95,
        ),
        Prediction(
            "unbounded models, readers",
            OPEN_ENDED,
            "The same where the client will not read: back-pressure is its own affair.",
            "send(2)",
            WITH_READERS,
            least=0.95,
        ),
        Prediction(
            "bounded models",
            ("prefork", "thread_pool", "prefork_threads"),
            "A hundred slow clients have all the slots: under half of the healthy requests are served.",
            "as many slots as workers or threads; RSnake, Slowloris, 2009",
            WITH_TRICKLE,
            most=0.5,
        ),
    ),
)
