"""The programs that are measured against: nginx as the server everybody knows, wrk as the load generator everybody knows."""

import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 12000; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 60s; default_type text/plain;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; location /hello {{ return 200 "Hello, World!"; }} }}
}}
"""
_READY_WITHIN_S = 10.0


class Missing(RuntimeError):
    """A program that is not installed; the message says how to get it."""


def program(name: str) -> str:
    """Where a program is. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"{name} is not installed: apt-get install {name}")
    return found


def pin(cpu: int) -> None:
    """Keep this process, and those it starts from now on, on one CPU."""
    os.sched_setaffinity(0, {cpu})


@contextmanager
def nginx(cpu: int) -> Iterator[int]:
    """A running nginx with one worker on one CPU, answering /hello; gives its port. Raises Missing."""
    binary = program("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="servebench-nginx-") as folder:
        os.chmod(folder, 0o755)
        config = Path(folder, "nginx.conf")
        config.write_text(_NGINX.format(folder=folder, port=port))
        process = subprocess.Popen(
            [binary, "-p", folder, "-c", str(config)],
            preexec_fn=lambda: pin(cpu),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _wait_until_open(port, process)
            yield port
        finally:
            process.terminate()
            process.communicate()


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]") -> None:
    """nginx has no ready line, so its port is tried until it opens."""
    ends = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"nginx did not start: {process.communicate()[1].decode(errors='replace').strip()}")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a load generator got done, and the CPU it took."""

    requests: int
    cpu_s: float
    seconds: float

    @property
    def us_per_request(self) -> float:
        """CPU per request in µs."""
        return self.cpu_s / self.requests * 1e6


def wrk(port: int, cpu: int, connections: int, seconds: int) -> Spent:
    """One run of wrk with one thread. The CPU is the whole process's, its start included. Raises Missing."""
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/hello"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, preexec_fn=lambda: pin(cpu), capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"wrk says:\n{done.stdout}{done.stderr}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(int(found[1]), cpu_s, float(found[2]) * (0.001 if found[3] == "ms" else 1))
