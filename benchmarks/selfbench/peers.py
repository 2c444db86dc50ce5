"""What is measured against: nginx as the server everybody knows, and how to find a program or keep it on a CPU."""

import os
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


def program(name: str, package: str = "") -> str:
    """Where a program is; `package` is what Debian calls it, or where it is from. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        how = f"see {package}" if "/" in package else f"apt-get install {package or name}"
        raise Missing(f"{name} is not installed: {how}")
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
