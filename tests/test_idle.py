"""Servers without work sleep. All of them are alive at once while one is measured, so what they do then is others' noise.

System calls cannot be counted without a tracer, but whoever makes one of its own accord was woken before and sleeps after it:
what is counted is how often the kernel took a thread off its core because it had nothing to do (voluntary context switches).
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from live import HELLO, MODELS, Server, serving

CLIENTS = 8
CALM_S = 0.8  # after the last request a coarse clock ticks once more, a quarter of a second later
WATCHED_S = 2.0
SWITCHES_MOST = 3  # four sweeps a second were eight
CPU_MOST_S = 0.01
SILENT = ("--keepalive-idle", "60", "--linger", "0")
# Four of the clients at most are served; who holds as many as it may has no reason to look who else is there.
FULL = (*SILENT, "--connections", "4", "--workers", "2", "--threads", "2")

Use = tuple[int, float]


def used(server: Server) -> Use:
    """Voluntary switches of all threads, and seconds of CPU of all processes."""
    switches, cpu_ns = 0, 0
    for process in server.family():
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            switches += int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        cpu_ns += time.clock_gettime_ns(~process.pid << 3 | 2)  # its CPU clock: clock_getcpuclockid(3)
    return switches, cpu_ns / 1e9


def watch(*options: str) -> Iterator[dict[str, Use]]:
    """All models at once, each with clients that have asked once and are silent since; what each used meanwhile."""
    with ExitStack() as stack:
        servers = {model: stack.enter_context(serving(model, *options)) for model in MODELS}
        clients = [stack.enter_context(server.connect()) for server in servers.values() for _ in range(CLIENTS)]
        for client in clients:
            client.send(HELLO)
        time.sleep(CALM_S)
        before = {model: used(server) for model, server in servers.items()}
        time.sleep(WATCHED_S)
        after = {model: used(server) for model, server in servers.items()}
        yield {model: (after[model][0] - before[model][0], after[model][1] - before[model][1]) for model in MODELS}


@pytest.fixture(scope="module")
def idle() -> Iterator[dict[str, Use]]:
    yield from watch(*SILENT)


@pytest.fixture(scope="module")
def full() -> Iterator[dict[str, Use]]:
    yield from watch(*FULL)


@pytest.mark.parametrize("model", MODELS)
def test_silent_connections_wake_nobody(model: str, idle: dict[str, Use]) -> None:
    switches, cpu_s = idle[model]
    assert switches <= SWITCHES_MOST
    assert cpu_s <= CPU_MOST_S


@pytest.mark.parametrize("model", MODELS)
def test_clients_that_wait_for_room_wake_nobody(model: str, full: dict[str, Use]) -> None:
    switches, cpu_s = full[model]
    assert switches <= SWITCHES_MOST
    assert cpu_s <= CPU_MOST_S
