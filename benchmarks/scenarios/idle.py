"""What do silent connections cost? The same rate of requests with 0, 100 and 5,000 others open that say nothing.

Keep-alive, WebSockets and slow networks leave a server with many connections of which few speak at any time. Those that are
silent have been served once; they are opened in between the ones that speak, so that the active descriptors lie among them.
What it costs is told twice: CPU of each request that is made, and memory of each connection that is not used (unshared memory
of the server and the kernel's buffers of the sockets, both ends of them; a thread's stack counts when it is touched).

Theory: select(2) and poll(2) look at every descriptor at each call, epoll_wait(2) at the ready ones only. Gammo et al.,
"Comparing and Evaluating epoll, select, and poll Event Mechanisms" (Linux Symposium 2004), saw select and poll lose up to 79%
of their throughput by idle connections, and epoll hardly anything. select ends at descriptor *number* 1024. A server with a
fixed number of slots cannot hold more than those: the rest stay in the kernel's queue.
"""

from benchmarks.questions import Background, Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import ASYNCIO

RATE = "open 1000/s"
COST = Metric("cpu", f"{RATE}, 5000 idle")
DEARER = Metric("cpu", f"{RATE}, 5000 idle", by=Metric("cpu", RATE))
HELD = Metric("held memory", f"{RATE}, 5000 idle")

SCENARIO = Scenario(
    request=Request("/hello", expect_body=b"Hello, World!"),
    closed=(),
    open_rates_per_s=(1000.0,),
    open_connections=16,
    background=(Background("idle", 100), Background("idle", 5000)),
    window_s=0.25,
    alone="thousands of connections to sixteen servers at once would measure the kernel",
    question="What do silent connections cost?",
    measures=(
        Measure("CPU of a request beside 5,000 idle", COST, "less", short="5,000 idle, CPU"),
        Measure("by that beside none", DEARER, "less"),
        Measure("memory of an idle connection", HELD, "less", short="idle memory"),
    ),
    predictions=(
        Prediction(
            "epoll",
            ("epoll_loop", "prefork_epoll"),
            "The kernel returns the ready ones only: at most a third dearer with 5,000.",
            "epoll(7); Gammo et al., Linux Symposium 2004",
            DEARER,
            most=1.33,
        ),
        Prediction(
            "poll",
            ("poll_loop",),
            "The whole list goes to the kernel each time: at least twice the CPU with 5,000.",
            "poll(2); Gammo et al., Linux Symposium 2004",
            DEARER,
            least=2.0,
        ),
        Prediction(
            "select",
            ("select_loop",),
            "So with select, as far as it goes: dearer by a half with a mere 100.",
            "select(2); Gammo et al., Linux Symposium 2004",
            Metric("cpu", f"{RATE}, 100 idle", by=Metric("cpu", RATE)),
            least=1.5,
        ),
        Prediction(
            "asyncio",
            (*ASYNCIO, "trio_nursery"),
            "They are epoll underneath: at most a third dearer with 5,000.",
            "epoll(7); CPython, Lib/selectors.py",
            DEARER,
            most=1.33,
        ),
        Prediction(
            "threads",
            ("thread_per_connection",),
            "A thread that sleeps costs no CPU: at most a third dearer with 5,000.",
            "von Behren, Condit & Brewer, HotOS 2003",
            DEARER,
            most=1.33,
        ),
        Prediction(
            "threads, memory",
            ("thread_per_connection",),
            "but a touched stack: at least twice the memory of epoll's.",
            "pthread_create(3); von Behren, Condit & Brewer, HotOS 2003",
            HELD,
            least=2.0,
            of="epoll_loop",
        ),
        Prediction(
            "greenlets, memory",
            ("gevent_greenlets",),
            "A stack copied to the heap, a few KiB: at least one and a half of epoll's.",
            "greenlet's documentation: stack slicing",
            HELD,
            least=1.5,
            of="epoll_loop",
        ),
    ),
)
