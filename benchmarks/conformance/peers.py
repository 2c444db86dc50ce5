"""Servers that others wrote, as subjects of the same suite: each started as its documentation advises for production.

They serve the application from `applications/` (nginx from its configuration), get the limits that our models have where they
have an option for them, and of what a rule sets those things that they can be told. Times become whole seconds, rounded up,
where an option knows no others.
"""

import atexit
import ctypes
import functools
import importlib.util
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.conformance.rule import Settings
from benchmarks.conformance.subjects import HOST, Process, Subject
from benchmarks.launch import READY_WITHIN_S, LaunchError
from benchmarks.selfbench.peers import Missing, program

LINE_BYTES, SECTION_BYTES, FIELDS, BODY_BYTES = 8 * 1024, 16 * 1024, 100, 16 * 1024 * 1024  # as in servers/
IDLE_S, HEAD_S, BODY_S, SEND_S, DRAIN_S = 15.0, 10.0, 15.0, 15.0, 10.0
CONNECTIONS, WORKERS, THREADS = 1000, 1, 32
WSGI, ASGI = (f"benchmarks.conformance.applications.{name}:application" for name in ("wsgi", "asgi"))

_STDERR_BYTES = 8000
_PROBE = b"GET /hello HTTP/1.1\r\nHost: examiner\r\nConnection: close\r\n\r\n"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to listen, and a folder for its files."""

    port: int
    folder: Path


class RunningPeer(Process):
    """A running server of others.

    Not all of them understand the first SIGTERM as a wish to end gracefully: for nginx that is SIGQUIT, for waitress SIGINT. So
    a first SIGTERM is sent as the signal that says to this server what SIGTERM says to others; the second as it is.
    """

    def __init__(
        self, peer: "Peer", process: "subprocess.Popen[bytes]", stderr: IO[bytes], port: int, settings: Settings
    ) -> None:
        super().__init__(peer.name, False, port, process.pid, settings, peer.max_connections(settings))
        self._process, self._stderr, self._graceful = process, stderr, peer.graceful

    def signal(self, signum: int = signal.SIGTERM) -> None:
        """See Running."""
        if signum == signal.SIGTERM:
            signum, self._graceful = self._graceful, signal.SIGTERM
        self._process.send_signal(signum)

    def status(self, within_s: float) -> int | None:
        """See Running."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """See Running."""
        return _end_of(self._stderr)


class Peer:
    """A server of others: what there is to know to start and to stop it."""

    ours = False
    graceful = signal.SIGTERM  # ends it when all requests under way are answered

    def __init__(self, name: str, module: str) -> None:
        self.name, self.module = name, module

    def check(self) -> None:
        """Raises Missing when it is not installed."""
        if importlib.util.find_spec(self.module) is None:
            raise Missing(f"{self.module} is not installed: pip install 'servebench[peers]'")

    def command(self, settings: Settings, place: Place) -> list[str]:
        """What starts it in the foreground."""
        raise NotImplementedError

    def max_connections(self, settings: Settings) -> int | None:
        """How many connections it holds at once, as far as it has been told."""
        return settings.connections

    @contextmanager
    def running(self, settings: Settings) -> Iterator[RunningPeer]:
        """See Subject. Raises Missing besides."""
        self.check()
        with (
            tempfile.TemporaryDirectory(prefix=f"servebench-{self.name}-") as folder,
            tempfile.TemporaryFile() as stderr,
            reserved_port() as port,
        ):
            process = subprocess.Popen(
                self.command(settings, Place(port, Path(folder))),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_settle,
            )
            try:
                _wait_until_it_answers(process, stderr, port)
                yield RunningPeer(self, process, stderr, port, settings)
            finally:
                _end(process)


class Gunicorn(Peer):
    """gunicorn, with one of its kinds of workers. Limits bodies by no option."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"gunicorn_{kind}", "gunicorn")
        self.kind = kind

    def command(self, settings: Settings, place: Place) -> list[str]:
        """Its `timeout` is for a worker that says nothing, which a sync one does while it waits for a client."""
        waits = [each for each in (settings.head_s, settings.body_s, settings.send_s) if each is not None]
        options = {
            "--bind": f"{HOST}:{place.port}",
            "--worker-class": self.kind,
            "--workers": settings.workers or WORKERS,
            "--keep-alive": _whole(settings.idle_s, IDLE_S),
            "--timeout": _whole(min(waits, default=None), 30),
            "--graceful-timeout": _whole(settings.drain_s, DRAIN_S),
            "--worker-connections": settings.connections or CONNECTIONS,
            "--limit-request-line": LINE_BYTES - 2,  # which is the most it takes, the line's end being counted apart
            "--limit-request-fields": FIELDS,
            "--limit-request-field_size": SECTION_BYTES,
            "--log-level": "warning",
        }
        if self.kind == "gthread":  # which keeps only connections alive that it has beyond its threads
            options["--threads"] = min(settings.threads or THREADS, max(1, (settings.connections or CONNECTIONS) // 2))
        return _python("gunicorn", options, "--no-control-socket", WSGI)

    def max_connections(self, settings: Settings) -> int:
        """A sync worker has one."""
        workers = settings.workers or WORKERS
        return workers * (1 if self.kind == "sync" else settings.connections or CONNECTIONS)


class Uvicorn(Peer):
    """uvicorn, with one of its parsers. Limits heads with h11 only, bodies by no option."""

    def __init__(self, parser: str) -> None:
        super().__init__(f"uvicorn_{parser}", "uvicorn")
        self.parser = parser

    def command(self, settings: Settings, place: Place) -> list[str]:
        """Connections above the limit are answered 503; by default there is no limit."""
        options = {
            "--host": HOST,
            "--port": place.port,
            "--http": self.parser,
            "--loop": "asyncio",
            "--workers": settings.workers or WORKERS,
            "--timeout-keep-alive": _whole(settings.idle_s, IDLE_S),
            "--timeout-graceful-shutdown": _whole(settings.drain_s, DRAIN_S),
            "--h11-max-incomplete-event-size": LINE_BYTES + SECTION_BYTES,
            "--log-level": "warning",
        }
        if settings.connections is not None:
            options["--limit-concurrency"] = settings.connections
        return _python("uvicorn", options, "--no-access-log", ASGI)


class Waitress(Peer):
    """waitress: one loop for all connections, threads for the application. Knows one deadline, and looks once in a while."""

    graceful = signal.SIGINT  # SIGTERM is not handled: it kills

    def command(self, settings: Settings, place: Place) -> list[str]:
        """`poll` instead of `select`, as its documentation advises for many connections."""
        idle = min((each for each in (settings.idle_s, settings.head_s, settings.body_s) if each is not None), default=None)
        options = {
            "--listen": f"{HOST}:{place.port}",
            "--threads": settings.threads or THREADS,
            "--connection-limit": (settings.connections or CONNECTIONS) + 2,  # which count the listening one and its trigger
            "--channel-timeout": _whole(idle, IDLE_S),
            "--cleanup-interval": 1,
            "--max-request-header-size": LINE_BYTES + SECTION_BYTES,
            "--max-request-body-size": BODY_BYTES,
        }
        return _python("waitress", {f"{name}={value}": None for name, value in options.items()}, "--asyncore-use-poll", WSGI)

    def max_connections(self, settings: Settings) -> int:
        """As it is told."""
        return settings.connections or CONNECTIONS


class Hypercorn(Peer):
    """hypercorn on asyncio. Limits bodies and connections by no option."""

    def command(self, settings: Settings, place: Place) -> list[str]:
        """Some of its options are in a file only."""
        options = {
            "bind": f'"{HOST}:{place.port}"',
            "workers": settings.workers or WORKERS,
            "keep_alive_timeout": float(IDLE_S if settings.idle_s is None else settings.idle_s),
            "graceful_timeout": float(DRAIN_S if settings.drain_s is None else settings.drain_s),
            "h11_max_incomplete_size": LINE_BYTES + SECTION_BYTES,
            "backlog": 2048,
            "loglevel": '"WARNING"',
        }
        if settings.keepalive_requests:
            options["keep_alive_max_requests"] = settings.keepalive_requests
        if settings.body_s is not None:
            options["read_timeout"] = _whole(settings.body_s, BODY_S)
        config = place.folder / "hypercorn.toml"
        config.write_text("".join(f"{name} = {value}\n" for name, value in options.items()))
        return _python("hypercorn", {"--config": config}, ASGI)


class Nginx(Peer):
    """nginx, with Debian's echo module for what its own directives can't say: /echo and /wait. /bytes/N are files."""

    graceful = signal.SIGQUIT  # SIGTERM is its fast shutdown
    module_file = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
    sizes = (0, 1, 2, 5, 10, 100, 1000, 1024, 4096, 10_000, 65_536, 70_000, 100_000, 200_000, 10**6, 1 << 20, 1 << 24, 1 << 26)

    def check(self) -> None:
        """Raises Missing when it or its module is not installed."""
        program("nginx")
        if not self.module_file.exists():
            raise Missing("nginx's echo module is not installed: apt-get install libnginx-mod-http-echo")

    def command(self, settings: Settings, place: Place) -> list[str]:
        """A configuration in the folder. A keep-alive of no requests is one of no limit in our options."""
        (place.folder / "bytes").symlink_to(_files())
        config = place.folder / "nginx.conf"
        config.write_text(
            _NGINX % {
                "module": self.module_file,
                "folder": place.folder,
                "address": f"{HOST}:{place.port}",
                "user": "user root;" if os.geteuid() == 0 else "",  # so that rules may look into its workers
                "workers": settings.workers or WORKERS,
                "connections": (settings.connections or CONNECTIONS) + 2,  # which count the listening one and the parent's
                "line": LINE_BYTES + 2,  # its end included
                "body": BODY_BYTES,
                "head_ms": _ms(settings.head_s, HEAD_S),
                "body_ms": _ms(settings.body_s, BODY_S),
                "idle_ms": _ms(settings.idle_s, IDLE_S),
                "send_ms": _ms(settings.send_s, SEND_S),
                "drain_ms": _ms(settings.drain_s, DRAIN_S),
                "requests": settings.keepalive_requests or 1000,
            }
        )  # fmt: skip
        return [program("nginx"), "-p", str(place.folder), "-c", str(config)]

    def max_connections(self, settings: Settings) -> int:
        """As it is told."""
        return (settings.workers or WORKERS) * (settings.connections or CONNECTIONS)


_NGINX = """
load_module %(module)s; %(user)s
worker_processes %(workers)d; daemon off; pid %(folder)s/pid; error_log stderr; worker_shutdown_timeout %(drain_ms)dms;
events { worker_connections %(connections)d; }
http {
    access_log off; default_type application/octet-stream; sendfile on; tcp_nopush on; server_tokens off;
    client_header_timeout %(head_ms)dms; client_body_timeout %(body_ms)dms; send_timeout %(send_ms)dms;
    keepalive_timeout %(idle_ms)dms; keepalive_requests %(requests)d;
    large_client_header_buffers 3 %(line)d; client_max_body_size %(body)d;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    map "$request_method $uri" $allow {  # empty: it may be asked, or is not there
        "~^(GET|HEAD) /(hello|bytes/[0-9]+|wait/[0-9]+)$" ""; "POST /echo" ""; default "";
        "~ /(hello|bytes/[0-9]+|wait/[0-9]+)$" "GET, HEAD, OPTIONS"; "~ /echo$" "POST, OPTIONS";
    }
    map "$request_method $allow" $options { default ""; "~^OPTIONS ." 1; }
    map $uri $seconds {
        "~^/wait/(?<s>[0-9]+)(?<f>[0-9]{3})$" "$s.$f"; "~^/wait/(?<f>[0-9]{3})$" "0.$f";
        "~^/wait/(?<f>[0-9]{2})$" "0.0$f"; "~^/wait/(?<f>[0-9])$" "0.00$f"; default 0;
    }
    server {
        listen %(address)s backlog=4096; root %(folder)s;
        add_header Allow $allow always;
        if ($options) { return 200 ""; }
        if ($allow) { return 405; }
        location = /hello { default_type text/plain; return 200 "Hello, World!"; }
        location = /echo { echo_read_request_body; echo_request_body; }
        location /bytes/ { }
        location ~ "^/wait/([0-9]{1,5})$" { default_type application/json; echo_sleep $seconds; echo '{"waited_ms": $1}'; }
        location / { return 404; }
    }
}
"""

PEERS: Mapping[str, Subject] = {
    peer.name: peer
    for peer in (
        *(Gunicorn(kind) for kind in ("sync", "gthread", "gevent")),
        *(Uvicorn(parser) for parser in ("h11", "httptools")),
        Waitress("waitress", "waitress"),
        Hypercorn("hypercorn", "hypercorn"),
        Nginx("nginx", "nginx"),
    )
}


def _python(module: str, options: Mapping[str, object], *rest: str) -> list[str]:
    words = [str(word) for name, value in options.items() for word in ((name,) if value is None else (name, value))]
    return [sys.executable, "-m", module, *words, *rest]


def _whole(seconds: float | None, default: float) -> int:
    return max(1, math.ceil(default if seconds is None else seconds))


def _ms(seconds: float | None, default: float) -> int:
    return max(1, round(1000 * (default if seconds is None else seconds)))


@functools.cache
def _files() -> str:
    """The folder of what nginx has at /bytes/, written once and gone with this process."""
    folder = tempfile.mkdtemp(prefix="servebench-bytes-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pattern = bytes(range(256)) * 4096
    for size in Nginx.sizes:
        with open(f"{folder}/{size}", "wb") as file:
            for begin in range(0, size, len(pattern)):
                file.write(pattern[: size - begin])
    return folder


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else is given: bound, not listening, which SO_REUSEADDR lets a server bind to that sets it too."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


def _settle() -> None:
    """In the child: as many descriptors as allowed, as services are given them, and an end if the harness dies."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", stderr: IO[bytes], port: int) -> None:
    """They have no ready line, so /hello is asked for until it is answered. Raises LaunchError."""
    ends = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise LaunchError(f"it ended with status {process.returncode} before it was ready", _end_of(stderr))
        try:
            with socket.create_connection((HOST, port), 1.0) as client:
                client.sendall(_PROBE)
                client.settimeout(max(0.1, ends - time.monotonic()))
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass  # not yet
        time.sleep(0.02)
    raise LaunchError(f"no answer within {READY_WITHIN_S:.0f} s", _end_of(stderr))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End whatever is left of the session that it was started in."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _end_of(stderr: IO[bytes]) -> str:
    size = os.fstat(stderr.fileno()).st_size
    return os.pread(stderr.fileno(), _STDERR_BYTES, max(0, size - _STDERR_BYTES)).decode(errors="replace").strip()
