"""What does a handshake cost? A new connection for each request, and the same request on connections that are kept.

The same rate comes twice: on connections that are kept, and on a new one for every request. What lies between the two is
accept, whatever the model makes for a connection (a conversation; a thread; a process), and close, on both sides of the
loopback. The models are ranked by the server's CPU time of a request, as the load engine would be the first at its limit. The
time to connect is measured apart; on loopback the kernel answers for the server, so it tells of the accept queue alone.

Theory: an accepted socket costs the same system calls everywhere (accept, close, and registering it with epoll). A thread's
start costs tens of microseconds (pthread_create(3) and the interpreter's own bookkeeping), a fork copies the page tables of a
Python process: hundreds of microseconds and more (Baumann et al., "A fork() in the road", HotOS 2019).
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import ASYNCIO, READINESS

KEPT, FRESH = "open 200/s", "open 200/s, new connections"
DEARER = Metric("cpu", FRESH, by=Metric("cpu", KEPT))

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(),
    open_rates_per_s=(200.0,),
    open_connections=16,
    churn=True,
    window_s=0.2,
    question="What does a handshake cost?",
    measures=(
        Measure("CPU of a request on a new connection", Metric("cpu", FRESH), "less", short="new connection each"),
        Measure("CPU by that of a kept one", DEARER, "less"),
        Measure("to connect, p50", Metric("connect p50", FRESH), "less"),
    ),
    predictions=(
        Prediction(
            "readiness loops",
            READINESS,
            "Accept, register, close: a request on a new connection costs two to six of the others.",
            "accept(2), epoll_ctl(2)",
            DEARER,
            least=1.5,
            most=6.0,
        ),
        Prediction(
            "asyncio",
            ASYNCIO,
            "A transport and a protocol for each connection on top of that: three times and more.",
            "CPython, Lib/asyncio/selector_events.py",
            DEARER,
            least=2.5,
        ),
        Prediction(
            "a thread for each",
            ("thread_per_connection",),
            "A thread's start on top: two times and more of epoll's cost.",
            "pthread_create(3); CPython, Lib/threading.py: Thread.start",
            Metric("cpu", FRESH),
            least=1.5,
            of="epoll_loop",
        ),
        Prediction(
            "a process for each",
            ("fork_per_connection",),
            "A fork for each request: at least ten times epoll's cost.",
            "Baumann et al., HotOS 2019",
            Metric("cpu", FRESH),
            least=10.0,
            of="epoll_loop",
        ),
        Prediction(
            "workers that wait in accept",
            ("prefork",),
            "Its workers are there already: no dearer than twice epoll's.",
            "Stevens, Fenner & Rudoff, UNIX Network Programming vol. 1, 3rd ed., ch. 30",
            Metric("cpu", FRESH),
            most=2.0,
            of="epoll_loop",
        ),
    ),
)
