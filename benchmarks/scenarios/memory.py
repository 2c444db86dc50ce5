"""What does a server hold? Bodies of 16 MiB to and from sixteen clients, made and taken piece by piece.

Each model's server is alone: one that shares pages of its interpreter with others seems to hold less. It counts what is a
process's own (unique set size), all processes of the server together.

Theory: memory must not grow with the body. The next piece is made when the kernel has taken the one before, and received when
the one before has been dealt with: a piece of 64 KiB for each client, beside the interpreter and its modules. Processes have an
interpreter each, of which copy-on-write shares what is not touched (fork(2)).
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, PROCESSES, THREADS

SIZE = 1 << 24
HELD = Metric("memory", "closed 16")

SCENARIO = Scenario(
    request=Request(f"/bytes/{SIZE}"),
    mix=(Request(f"/bytes/{SIZE}"), Request("/sink", "POST", body_bytes=SIZE)),
    closed=(16,),
    window_s=0.5,
    question="What does a server hold?",
    alone="servers that are alive together share pages",
    measures=(Measure("memory with 16 clients", HELD, "less", short="memory"),),
    predictions=(
        Prediction(
            "loops and threads",
            (*LOOPS, *THREADS),
            "Memory does not grow with the body: 16 clients hold less than 64 MiB.",
            "back-pressure: one piece of 64 KiB for each client",
            HELD,
            most=float(64 << 20),
        ),
        Prediction(
            "processes",
            PROCESSES,
            "Sixteen processes touch what they share: at least twice epoll's memory.",
            "fork(2): copy-on-write",
            HELD,
            least=2.0,
            of="epoll_loop",
        ),
    ),
)
