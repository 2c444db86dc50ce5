"""What deadlines cost: nothing. The system calls of a keep-alive request, counted by strace(1) as the kernel sees them.

Deadlines that need a timer, or an option set anew for each read, would show up here as calls of their own. What a model may
call is what it would call without any deadline: receive, send, and the call that it waits with.
"""

import json
import math
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import MODELS, PATIENCE_S, ROOT

REQUESTS = 100
PAUSE_S = 0.002  # before each, so that the server waits for it
STRAYS = 0.25  # calls a request, of all kinds: ticks of coarse clocks, switches of threads, what a tracer disturbs
READS = {"recvfrom": 1.0, "sendto": 1.0}
LIBUV = {"read": 1.0, "write": 1.0}  # the same of a socket
ALLOWED = {
    "asyncio_protocol": READS | {"epoll_wait": 1.0},
    "asyncio_streams": READS | {"epoll_wait": 2.0},  # the second time without waiting: the task's turn is a turn of the loop
    # Two steps: for each a thread is woken, and wakes the loop by a byte that is read twice. A lap of the loop each, and more;
    # how often threads sleep for the queue and for Python's lock is a matter of who comes first.
    "asyncio_threads": {"recvfrom": 5.0, "sendto": 3.0, "epoll_wait": 6.0, "futex": math.inf},
    "asyncio_uvloop": LIBUV | {"epoll_pwait": 1.0},
    "epoll_loop": READS | {"epoll_wait": 1.0},
    # It reads first, and waits if nothing was there; whenever it waits libev asks whether it was forked.
    "gevent_greenlets": READS | {"recvfrom": 2.0, "epoll_wait": 1.0, "getpid": 1.0},
    "gevent_prefork": READS | {"recvfrom": 2.0, "epoll_wait": 1.0, "getpid": 1.0},
    "poll_loop": READS | {"poll": 1.0},
    "prefork_epoll": READS | {"epoll_wait": 1.0},
    "select_loop": READS | {"pselect6": 1.0},
    # The same, and each wait arms the socket anew; a call that need not wait is a checkpoint: a turn of the loop.
    "trio_nursery": READS | {"recvfrom": 2.0, "epoll_wait": 2.0, "epoll_ctl": 1.0},
}
# asyncio receives into new buffers of 256 KiB, which malloc may ask the kernel for: memory, not time.
MEMORY = {"mmap", "munmap", "mremap", "brk", "madvise"}


@contextmanager
def traced(model: str, log: Path) -> Iterator[int]:
    """A model whose system calls are written to `log`, and its port. Skips where nothing can be traced."""
    if not (strace := shutil.which("strace")):
        pytest.skip("strace is not installed: apt-get install strace")
    # -D: the server is our child, and strace is nobody's
    tracing = [strace, "-D", "-f", "-qq", "-s", "48", "-o"]
    done = subprocess.run([*tracing, "/dev/null", "true"], capture_output=True, text=True, check=False)
    if done.returncode or "ptrace" in done.stderr:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()}")
    options = ("--port", "0", "--workers", "1", "--threads", "1", "--keepalive-requests", "0", "--linger", "0")
    command = [*tracing, str(log), sys.executable, "-m", "servers", model, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["port"]
            server.terminate()
            server.wait(PATIENCE_S)
        finally:
            server.kill()


def get(client: socket.socket, mark: bytes = b"") -> None:
    client.sendall(b"GET /hello%b HTTP/1.1\r\nHost: test\r\n\r\n" % mark)
    received = b""
    while not received.endswith(b"Hello, World!"):
        received += (more := client.recv(65536))
        assert more


def calls(log: Path) -> Counter[str]:
    """The calls between the two marked requests."""
    lines = log.read_text().splitlines()
    first, last = (next(i for i, line in enumerate(lines) if mark in line) for mark in ("?begin", "?end"))
    return Counter(match[1] for line in lines[first + 1 : last + 1] if (match := re.match(r"(?:\d+ +)?(\w+)\(", line)))


@pytest.mark.parametrize("model", MODELS)
def test_deadlines_cost_no_system_call(model: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with traced(model, log) as port, socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        for mark in [b""] * 3 + [b"?begin"] + [b""] * REQUESTS + [b"?end"]:
            time.sleep(PAUSE_S)
            get(client, mark)
    end_s = time.monotonic() + PATIENCE_S
    while "?end" not in log.read_text():
        assert time.monotonic() < end_s, "the trace has no end"
        time.sleep(0.02)
    found = {name: count / (REQUESTS + 1) for name, count in calls(log).items() if name not in MEMORY}
    allowed = ALLOWED.get(model, READS)
    assert sum(max(0.0, count - allowed.get(name, 0.0)) for name, count in found.items()) < STRAYS, found
    assert all(found[name] >= 0.99 for name in (LIBUV if "read" in allowed else READS)), found
