"""Models with several processes: a worker that is killed is replaced at once, and takes no connection with it but its own."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.conformance.rule import Broken, Rule, Settings
from benchmarks.conformance.rules._requests import SERVED, request
from benchmarks.conformance.subjects import Running
from benchmarks.conformance.wire import Client

WORKERS = 6
BUSY, KILLED_BUSY = 4, 2  # connections under requests, one for each thread; workers of theirs that are killed
KILLED_IDLE = 3  # one after the other
REPLACED_S = 0.5
GOES_ON_S = 0.2  # of requests, after each death
END_S = 10.0
HELLO = request()
KEEPERS = ("prefork*", "*_prefork")  # models that keep workers, by their names

SETTINGS = Settings(workers=WORKERS, idle_s=30, keepalive_requests=0)


def killed_idle(running: Running) -> None:
    """Idle workers, one after the other and then all at once, while one connection is kept."""
    with running.connect(END_S) as kept:
        kept.play((HELLO, SERVED))
        holder = _holder(running, kept)
        for count in (*[1] * KILLED_IDLE, WORKERS - 1):
            _kill(running, [worker for worker in _crew(running) if worker != holder][:count])
            kept.play((HELLO, SERVED))
        with ExitStack() as stack:
            for _ in range(WORKERS - 1):
                stack.enter_context(running.connect(END_S)).play((HELLO, SERVED))


def killed_busy(running: Running) -> None:
    """Workers that serve one request after the other, beside others that do."""
    ended = threading.Event()
    lost: dict[int, Broken] = {}

    def ask(number: int, client: Client) -> None:
        try:
            while not ended.is_set():
                client.play((HELLO, SERVED))
        except Broken as broken:
            lost[number] = broken

    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect(END_S)) for _ in range(BUSY)]
        for client in clients:
            client.play((HELLO, SERVED))
        holders = [_holder(running, client) for client in clients]
        victims = list(dict.fromkeys(holders))[:KILLED_BUSY]
        threads = [threading.Thread(target=ask, args=each) for each in enumerate(clients)]
        for thread in threads:
            thread.start()
        try:
            for victim in victims:
                _kill(running, [victim])
                time.sleep(GOES_ON_S)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    if foreign := [lost[number] for number in sorted(lost) if holders[number] not in victims]:
        others = sum(holder not in victims for holder in holders)
        saw = f"{len(foreign)} of {others} connections of other workers failed; the first one {foreign[0].saw}"
        raise Broken(saw, foreign[0].sent, foreign[0].received)
    with running.connect(END_S) as client:
        client.play((HELLO, SERVED))


def _crew(running: Running) -> list[psutil.Process]:
    """Its workers, once all are there. Raises Broken."""
    ends_s = time.monotonic() + END_S
    while len(workers := running.family()[1:]) != WORKERS:
        if time.monotonic() > ends_s:
            raise Broken(f"has {len(workers)} workers, not {WORKERS}")
        time.sleep(0.01)
    return workers


def _holder(running: Running, client: Client) -> psutil.Process:
    """The worker that has the other end of a connection. Raises Broken."""
    name = client.socket.getsockname()
    for worker in _crew(running):
        if any(connection.raddr == name for connection in worker.net_connections("tcp")):
            return worker
    raise Broken("serves a connection in no worker")


def _kill(running: Running, victims: Sequence[psutil.Process]) -> None:
    """Kill these workers; each has a successor that was started within REPLACED_S, by the kernel's account. Raises Broken."""
    before = _crew(running)
    killed_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    for victim in victims:
        victim.kill()
    psutil.wait_procs(victims, END_S)
    for worker in _crew(running):
        if worker not in before and (late_s := _started_s(worker.pid) - killed_s) > REPLACED_S:
            raise Broken(f"replaced one of {len(victims)} killed workers after {late_s:.2f} s, not {REPLACED_S:g} s")


def _started_s(pid: int) -> float:
    """When a process was started, on CLOCK_BOOTTIME (proc_pid_stat(5), field 22)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


RULES: tuple[Rule, ...] = (
    Rule("worker-killed-idle", "killed workers are replaced within 0.5 s, one by one and many at once; a connection is kept",
         "servebench", "ours", killed_idle, settings=SETTINGS, alone=True, models=KEEPERS),
    Rule("worker-killed-busy", "a worker that is killed while all are busy takes no connection with it but its own",
         "servebench", "ours", killed_busy, settings=SETTINGS, alone=True, models=KEEPERS),
)  # fmt: skip
