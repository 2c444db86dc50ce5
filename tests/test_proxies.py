"""nginx and haproxy in front of every model: they reuse its connections, close them when told, and blame it for nothing."""

import functools
import itertools
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest
from live import MODELS, PATIENCE_S, Client, Server, serving

from benchmarks.conformance.peers import reserved_port
from benchmarks.selfbench.peers import Missing, program

HOST = "127.0.0.1"
LARGE = bytes(range(256)) * 4096  # 1 MiB
# Two models have only so many connections, of which the proxies keep some. All close them often, and never while a proxy idles.
OPTIONS = ("--workers", "16", "--threads", "16", "--keepalive-idle", "5", "--keepalive-requests", "7")
PROXIES = ("nginx", "nginx_as_it_comes", "haproxy")

# The host that is asked for is the name of the upstream. An upstream's connections are kept for less than it keeps them itself.
_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 1000; }}
http {{
    access_log off; client_max_body_size 0;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {upstreams}
    server {{  # HTTP/1.0 and a connection for each request; bodies are collected before they are passed on
        listen {host}:{nginx_as_it_comes};
        location / {{ proxy_pass http://$host; }}
    }}
    server {{
        listen {host}:{nginx};
        location / {{
            proxy_pass http://$host; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_request_buffering off; proxy_buffering off;
        }}
    }}
}}
"""
_NGINX_UPSTREAM = "upstream {name} {{ {servers} keepalive 4; keepalive_timeout 1s; }}"
_HAPROXY = """
global
    maxconn 1000
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
frontend proxy
    bind {host}:{haproxy}
    http-request disable-l7-retry if METH_POST
    use_backend %[req.hdr(host)]
{upstreams}
"""
_HAPROXY_UPSTREAM = """
backend {name}
    http-reuse always
    {servers}
"""


class Proxies:
    """The proxies that are installed, and what they complain about."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self.logs: list[IO[bytes]] = []

    def port(self, proxy: str) -> int:
        """Skips the test when this proxy is not installed."""
        if proxy in self.missing:
            pytest.skip(self.missing[proxy])
        return self.ports[proxy]

    def complaints(self) -> list[str]:
        """What is worse than a notice."""
        said = b""
        for log in self.logs:
            log.seek(0)
            said += log.read()
        return [
            line
            for line in said.decode().splitlines()
            if re.search(r"\[(warn|error|crit|alert|emerg)\]|\[(WARNING|ALERT)\]", line)
        ]


@contextmanager
def proxying(upstreams: Mapping[str, Sequence[int]]) -> Iterator[Proxies]:
    """One nginx and one haproxy in front of all these, each a name and its ports."""
    proxies = Proxies()
    with tempfile.TemporaryDirectory(prefix="servebench-proxies-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        proxies.ports = {name: stack.enter_context(reserved_port()) for name in PROXIES}

        def start(name: str, config: str, upstream: str, server: str, *arguments: str) -> None:
            try:
                binary = program(name.partition("_")[0])
            except Missing as missing:
                proxies.missing |= {proxy: str(missing) for proxy in PROXIES if proxy.startswith(name)}
                return
            texts = (
                upstream.format(name=each, servers=" ".join(server.format(port=port, n=n) for n, port in enumerate(ports)))
                for each, ports in upstreams.items()
            )
            file = Path(folder, name)
            file.write_text(config.format(folder=folder, host=HOST, upstreams="\n".join(texts), **proxies.ports))
            log = stack.enter_context(tempfile.TemporaryFile())
            proxies.logs.append(log)
            process = subprocess.Popen([binary, *arguments, str(file)], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_until_open(proxies.ports[name], process)

        start("nginx", _NGINX, _NGINX_UPSTREAM, f"server {HOST}:{{port}} max_fails=0;", "-p", folder, "-c")
        start("haproxy", _HAPROXY, _HAPROXY_UPSTREAM, f"server s{{n}} {HOST}:{{port}} pool-purge-delay 1s\n   ", "-db", "-f")
        yield proxies


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except ConnectionRefusedError:
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < end_s
            time.sleep(0.01)


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, Server]]:
    """Every model. In the end nothing is on their stderr, and they exit with 0."""
    with ExitStack() as stack:
        running = {model: stack.enter_context(serving(model, *OPTIONS, "--linger", "0")) for model in MODELS}
        yield running
        for server in running.values():
            server.stop()
        assert [(server.status(), server.said()) for server in running.values()] == [(0, "")] * len(MODELS)


@pytest.fixture(scope="module")
def proxies(servers: Mapping[str, Server]) -> Iterator[Proxies]:
    """In the end no proxy has complained about a model."""
    with proxying({model: [server.port] for model, server in servers.items()}) as running:
        yield running
        assert running.complaints() == []


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(proxies: Proxies, proxy: str, model: str) -> Iterator[httpx.Client]:
    url = f"http://{HOST}:{proxies.port(proxy)}"
    with httpx.Client(base_url=url, headers={"Host": model}, trust_env=False, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture
def raw(proxies: Proxies, proxy: str) -> Iterator[Client]:
    with Client(socket.create_connection((HOST, proxies.port(proxy)), PATIENCE_S)) as client:
        yield client


def test_all_kinds_of_requests(client: httpx.Client) -> None:
    assert client.get("/hello").content == b"Hello, World!"
    head = client.head("/bytes/1000")
    assert (head.status_code, head.headers["content-length"]) == (200, "1000")
    assert client.post("/echo", content=b"").content == b""
    assert client.post("/echo", content=LARGE).content == LARGE
    assert client.post("/echo", content=iter([LARGE[:10], LARGE[10:70_000], LARGE[70_000:]])).content == LARGE
    assert len(client.get("/bytes/3000000").content) == 3_000_000
    missing, other = client.get("/nothing"), client.put("/hello", content=b"no")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    assert (other.status_code, other.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert client.options("/echo").headers["allow"] == "OPTIONS, POST"


def test_many_requests_none_of_which_fails(client: httpx.Client, servers: Mapping[str, Server], model: str, proxy: str) -> None:
    """Though the upstream closes after every seventh: it says so, and the proxy asks for nothing more on that connection."""

    def ask(worker: int) -> list[int]:
        statuses = []
        for i in range(15):
            answer = client.post("/echo", content=b"%d" % i) if (i + worker) % 3 else client.get("/hello")
            statuses.append(answer.status_code)
        return statuses

    with ThreadPoolExecutor(2) as pool:
        assert {*itertools.chain(*pool.map(ask, range(2)))} == {200}
    if proxy != "nginx_as_it_comes":
        assert kept(servers[model]) > 0


def kept(server: Server) -> int:
    """Connections that are open to it (proc(5): the local address is the second column, the fourth is 01 for established)."""
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return sum(line[1].endswith(f":{server.port:04X}") and line[3] == "01" for line in lines)


def test_clients_that_want_no_second_answer(raw: Client, model: str) -> None:
    raw.send(f"GET /hello HTTP/1.1\r\nHost: {model}\r\nConnection: close\r\n\r\n".encode())
    assert raw.answer()[::2] == (200, b"Hello, World!")
    assert raw.rest() == b""


def test_old_clients(raw: Client, model: str) -> None:
    raw.send(f"POST /echo HTTP/1.0\r\nHost: {model}\r\nContent-Length: 3\r\n\r\nabc".encode())
    assert raw.answer()[::2] == (200, b"abc")
    assert raw.rest() == b""


def test_clients_that_wait_to_be_told_to_continue(raw: Client, model: str) -> None:
    head = f"POST /echo HTTP/1.1\r\nHost: {model}\r\nExpect: 100-continue\r\nContent-Length: {len(LARGE)}\r\n\r\n"
    raw.send(head.encode())
    assert raw.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    raw.send(LARGE)
    assert raw.answer()[::2] == (200, LARGE)


def test_slow_clients(raw: Client, model: str) -> None:
    """A head, a body and its chunks come in pieces; of the answer little is taken at once."""
    request = f"POST /echo HTTP/1.1\r\nHost: {model}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    request += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (LARGE[:3], LARGE[3:1000])) + b"0\r\n\r\n"
    for begin in range(0, len(request), 120):
        raw.send(request[begin : begin + 120])
        time.sleep(0.004)
    assert raw.answer()[::2] == (200, LARGE[:1000])
    raw.send(f"GET /bytes/1000000 HTTP/1.1\r\nHost: {model}\r\n\r\n".encode())
    raw.until(b"\r\n\r\n")
    received = len(raw.buffer)
    while received < 1_000_000:
        received += len(raw.socket.recv(50_000))
        time.sleep(0.001)


def test_requests_sent_in_one_go(raw: Client, model: str) -> None:
    get, post = (
        f"GET /hello HTTP/1.1\r\nHost: {model}\r\n\r\n",
        f"POST /echo HTTP/1.1\r\nHost: {model}\r\nContent-Length: 3\r\n\r\nabc",
    )
    raw.send((get + post).encode() * 10)
    assert [raw.answer()[2] for _ in range(20)] == [b"Hello, World!", b"abc"] * 10


# ---------------------------------------------------------------- stopping one of two


def test_a_stop_is_seen_by_no_client() -> None:
    """Each model shares its work with a spare, and is stopped under load: it ends its part, the spare does the rest."""
    with ExitStack() as stack:
        spare = stack.enter_context(serving("epoll_loop", *OPTIONS))
        servers = {model: stack.enter_context(serving(model, *OPTIONS, "--linger", "1")) for model in MODELS}
        proxies = stack.enter_context(proxying({model: [server.port, spare.port] for model, server in servers.items()}))
        stop = threading.Event()
        stack.callback(stop.set)
        pool = stack.enter_context(ThreadPoolExecutor(2 * len(MODELS) * len(PROXIES)))
        asking = [
            pool.submit(functools.partial(ask_until, stop.is_set), proxies.ports[proxy], model)
            for proxy in PROXIES
            if proxy not in proxies.missing
            for model in MODELS
            for _ in range(2)
        ]
        if not asking:
            pytest.skip(" ".join(proxies.missing.values()))
        time.sleep(0.5)
        for server in servers.values():
            server.stop(signal.SIGTERM)
        statuses = {model: server.status() for model, server in servers.items()}
        time.sleep(0.3)
        stop.set()
        assert statuses == dict.fromkeys(MODELS, 0)
        answers = [answer for each in asking for answer in each.result()]
        assert {*answers} == {200}
        assert "".join(server.said() for server in servers.values()) == ""


def ask_until(enough: Callable[[], bool], port: int, model: str) -> list[int]:
    """Ask one thing after the other; their statuses."""
    statuses = []
    with httpx.Client(base_url=f"http://{HOST}:{port}", headers={"Host": model}, trust_env=False, timeout=PATIENCE_S) as client:
        while not enough():
            statuses.append(client.get("/wait/50").status_code)
    return statuses
