"""What is asked of this machine before a workload is measured: how fast it computes, and how large the models' pools are."""

import contextlib
import http.client
import statistics
import time
from collections.abc import Iterable, Sequence

from benchmarks import catalogue
from benchmarks.advise.design import Pool
from benchmarks.launch import LaunchError, Server
from benchmarks.load.libc import process_clocks

MODEL = "epoll_loop"  # one process, one thread: its CPU clock is that of its requests
TURNS = 100_000  # of a long request, some ms
REQUESTS, ROUNDS = 2, 9
WARM = 5


def turns_per_ms(cpus: Sequence[int]) -> float:
    """How many turns of the route's loop take one millisecond of CPU time on these CPUs.

    The server's CPU clock is read around requests with many turns and around as many with none: the difference is the turns'.
    The median of several such pairs. Raises LaunchError where the server does not start.
    """
    with (
        Server(MODEL, cpus) as server,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.facts.port)) as client,
    ):
        clock = process_clocks(server.facts.pid)[0]

        def used_ns(turns: int, requests: int = REQUESTS) -> int:
            before = time.clock_gettime_ns(clock)
            for _ in range(requests):
                client.request("GET", f"/work?turns={turns}")
                answer = client.getresponse()
                answer.read()
                if answer.status != 200:
                    raise LaunchError(f"/task/0/{turns} was answered with {answer.status}", server.stderr())
            return time.clock_gettime_ns(clock) - before

        used_ns(TURNS, WARM)  # the interpreter specialises its bytecode in the first rounds (PEP 659)
        each_ns = [used_ns(TURNS) - used_ns(0) for _ in range(ROUNDS)]
    return REQUESTS * TURNS / statistics.median(each_ns) * 1e6


def pools(models: Iterable[str], cpus: Sequence[int]) -> dict[str, Pool]:
    """Of the models whose numbers can be set, what they say when they are ready. One that does not start is left out."""
    found = {}
    with contextlib.ExitStack() as servers:
        tuned = [model for model in models if catalogue.tuned(model) is not None]
        started = {model: Server(model, cpus, wait=False) for model in tuned}
        for server in started.values():
            servers.callback(server.kill)  # nobody has asked it anything
        for model, server in started.items():
            with contextlib.suppress(LaunchError):
                server.wait_ready()
                found[model] = Pool(server.facts.max_connections, server.facts.given)
    return found
