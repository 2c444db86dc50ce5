"""Clients that people use, against every model: curl, httpx, aiohttp, the standard library, a browser."""

import asyncio
import functools
import http.client
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest
from live import MODELS, PATIENCE_S, Server, serving

HELLO = b"Hello, World!"
LARGE = bytes(range(256)) * 4096  # 1 MiB
# Two models have only so many connections, and keep them for a second only.
OPTIONS = ("--workers", "16", "--threads", "16", "--keepalive-idle", "20", "--linger", "0")


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, Server]]:
    """Every model, for all clients. In the end nothing is on their stderr, and they exit with 0."""
    with ExitStack() as stack:
        running = {model: stack.enter_context(serving(model, *OPTIONS)) for model in MODELS}
        yield running
        for server in running.values():
            server.stop()
        assert [(server.status(), server.said()) for server in running.values()] == [(0, "")] * len(MODELS)


@pytest.fixture(params=MODELS)
def server(request: pytest.FixtureRequest, servers: Mapping[str, Server]) -> Server:
    return servers[request.param]


@pytest.fixture
def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


# ---------------------------------------------------------------- curl


def curl(*arguments: str, stdin: bytes = b"") -> tuple[bytes, str]:
    """What curl writes, and what it tells with -v: lines that begin with > were sent, with < received."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-q", "--silent", "--show-error", "--max-time", str(PATIENCE_S), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=2 * PATIENCE_S)
    told = done.stderr.decode("latin-1").replace("\r\n", "\n")
    assert done.returncode == 0, told
    return done.stdout, told


def test_curl_reuses_its_connection(url: str) -> None:
    """Also after a HEAD, an error and a POST."""
    connects = ("--write-out", "%{http_code} %{num_connects} ")
    said, _ = curl(*connects, *("-o", "/dev/null") * 3, *(f"{url}/{path}" for path in ("hello", "bytes/100000", "nothing")),
                   "--next", *connects, "--head", "-o", "/dev/null", f"{url}/bytes/5",
                   "--next", *connects, "--data-binary", "some", f"{url}/echo",
                   "--next", *connects, f"{url}/hello")  # fmt: skip
    assert said == b"200 1 200 0 404 0 200 0 some200 0 Hello, World!200 0 "


def test_curl_is_told_what_is_there(url: str) -> None:
    head, _ = curl("--head", f"{url}/bytes/1000")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 1000\r\n" in head
    options, _ = curl("--include", "-X", "OPTIONS", f"{url}/echo")
    assert b"\r\nAllow: OPTIONS, POST\r\n" in options
    server_wide, _ = curl("--include", "-X", "OPTIONS", "--request-target", "*", url)
    assert server_wide.startswith(b"HTTP/1.1 200 OK\r\n")


def test_curl_waits_to_be_told_to_continue(url: str, tmp_path: Path) -> None:
    """A second, if nobody tells; then it would send without."""
    (tmp_path / "body").write_bytes(LARGE)
    to = ("--verbose", "--expect100-timeout", "20", "-H", "Expect: 100-continue", f"{url}/echo")
    body, told = curl("--data-binary", f"@{tmp_path}/body", *to)
    assert body == LARGE
    assert told.index("\n> Expect: 100-continue") < told.index("\n< HTTP/1.1 100 Continue") < told.index("\n< HTTP/1.1 200 OK")


def test_curl_sends_chunks(url: str) -> None:
    body, told = curl("--verbose", "-X", "POST", "--upload-file", "-", f"{url}/echo", stdin=LARGE)
    assert body == LARGE
    assert "\n> Transfer-Encoding: chunked" in told


def test_curl_as_it_was_in_1996(url: str) -> None:
    """HTTP/1.0: a connection for each request."""
    said, _ = curl("--http1.0", "--write-out", "%{num_connects} ", f"{url}/hello", f"{url}/bytes/0", f"{url}/hello")
    assert said == b"Hello, World!1 1 Hello, World!1 "
    body, _ = curl("--http1.0", "--data-binary", "@-", f"{url}/echo", stdin=LARGE)
    assert body == LARGE


def test_curl_in_parallel(url: str) -> None:
    codes, _ = curl(
        "--parallel", "--parallel-max", "10", "--write-out", "%{http_code}\n", "-o", "/dev/null", f"{url}/wait/[1-30]"
    )
    assert codes.split() == [b"200"] * 30


def test_curl_takes_it_for_a_proxy(url: str) -> None:
    """The target is then a whole URL."""
    body, told = curl("--verbose", "--proxy", url, "http://example.test/hello")
    assert body == HELLO
    assert "\n> GET http://example.test/hello HTTP/1.1" in told


# ---------------------------------------------------------------- httpx


def test_httpx_has_one_connection_for_many_requests(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        addresses = set()
        for _ in range(50):
            answer = client.get("/hello")
            assert answer.content == HELLO
            addresses.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(addresses) == 1


def test_httpx_streams_both_ways(url: str) -> None:
    pieces = [LARGE[begin : begin + 10_000] for begin in range(0, len(LARGE), 10_000)]
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        assert client.post("/echo", content=iter(pieces)).content == LARGE
        with client.stream("GET", "/bytes/5000000") as answer:
            assert sum(map(len, answer.iter_bytes())) == 5_000_000
        with client.stream("GET", "/bytes/50000000") as answer:  # closed in the middle
            next(answer.iter_raw())
        assert client.get("/hello").content == HELLO


def test_httpx_understands_problems(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        head = client.head("/hello")
        assert (head.headers["content-length"], head.content) == ("13", b"")
        missing, other = client.get("/nothing"), client.put("/hello", content=LARGE[:1000])
        assert (missing.status_code, other.status_code, other.headers["allow"]) == (404, 405, "GET, HEAD, OPTIONS")
        assert missing.json()["status"] == 404
        assert other.json()["status"] == 405


def test_httpx_may_lose_patience(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get("/wait/300", timeout=0.05)
        assert client.get("/hello").content == HELLO


# ---------------------------------------------------------------- aiohttp


def test_aiohttp_with_many_requests_at_once(url: str) -> None:
    async def converse() -> list[int]:
        reused = []

        async def reuse(*_: object) -> None:
            reused.append(1)

        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(reuse)
        connector = aiohttp.TCPConnector(limit=8)
        async with aiohttp.ClientSession(url, connector=connector, trace_configs=[trace]) as session:

            async def get(path: str) -> int:
                async with session.get(path) as answer:
                    return len(await answer.read())

            sizes = [0, 1, 100, 70_000, 300_000] * 20
            assert await asyncio.gather(*(get(f"/bytes/{size}") for size in sizes)) == sizes
            assert len(reused) == len(sizes) - 8
            return sizes

    assert asyncio.run(converse())


def test_aiohttp_sends_chunks_as_they_come(url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(LARGE), 50_000):
            yield LARGE[begin : begin + 50_000]
            await asyncio.sleep(0.001)

    async def converse() -> None:
        async with aiohttp.ClientSession(url) as session:
            async with session.post("/echo", data=pieces()) as answer:
                assert await answer.read() == LARGE
            async with session.post("/echo", data=LARGE, expect100=True) as answer:
                assert await answer.read() == LARGE
            async with session.head("/bytes/7") as answer:
                assert answer.headers["Content-Length"] == "7"
            async with session.get("/nothing") as answer:
                assert (await answer.json(content_type=None))["status"] == 404

    asyncio.run(converse())


# ---------------------------------------------------------------- the standard library


def test_http_client(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    connection.connect()
    first = connection.sock
    for _ in range(20):
        connection.request("GET", "/hello")
        assert connection.getresponse().read() == HELLO
    connection.request("HEAD", "/bytes/9")
    answer = connection.getresponse()
    assert (answer.read(), answer.headers["Content-Length"]) == (b"", "9")
    connection.request("POST", "/echo", iter([LARGE[:1000], LARGE[1000:]]), encode_chunked=True)
    assert connection.getresponse().read() == LARGE
    assert connection.sock is first
    connection.request("GET", "/hello", headers={"Connection": "close"})
    assert connection.getresponse().read() == HELLO
    assert connection.sock is None
    connection.close()


def test_urllib(url: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{url}/bytes/100000", timeout=PATIENCE_S) as answer:
        assert len(answer.read()) == 100_000
    with direct.open(f"{url}/echo", data=LARGE, timeout=PATIENCE_S) as answer:
        assert answer.read() == LARGE
    with pytest.raises(urllib.error.HTTPError) as refusal:
        direct.open(f"{url}/nothing", timeout=PATIENCE_S)
    with refusal.value as answer:
        assert json.load(answer)["status"] == 404


# ---------------------------------------------------------------- a browser

_CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--disable-web-security",  # the page looks into its frames
)
_PAGE = """<!doctype html><meta charset=utf-8><title>models</title><body>%s<script>
function ask(method, url, body) {
    const request = new XMLHttpRequest();
    request.open(method, url, false);
    request.send(body);
    return request.responseText;
}
onload = () => {
    for (const frame of document.querySelectorAll("iframe")) {
        const found = document.createElement("p"), place = frame.src.replace("/hello", "");
        const echoed = ask("POST", place + "/echo", "é".repeat(100000)).length;
        let hellos = 0;
        for (let i = 0; i < 20; i++) hellos += ask("GET", place + "/hello?" + i) == "Hello, World!";
        found.textContent = [frame.name, frame.contentDocument.body.innerText, echoed, hellos].join("|");
        document.body.append(found);
    }
}
</script>"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """Files, and no word about it."""

    def log_message(self, *_: object) -> None: ...


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """A folder's URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder))) as publisher:
        thread = threading.Thread(target=publisher.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{publisher.server_address[1]}"
        finally:
            publisher.shutdown()
            thread.join()


def test_a_browser_shows_every_model(servers: Mapping[str, Server], tmp_path: Path) -> None:
    """One page with a frame for each: a visit, a large form, twenty requests of a script."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed")
    frames = (f'<iframe name="{model}" src="http://127.0.0.1:{one.port}/hello"></iframe>' for model, one in servers.items())
    (tmp_path / "page.html").write_text(_PAGE % "".join(frames))
    with published(tmp_path) as place:
        command = [browser, *_CHROMIUM, f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"{place}/page.html"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=2 * PATIENCE_S)
    assert re.findall(r"<p>(.*?)</p>", done.stdout.decode()) == [f"{model}|Hello, World!|100000|20" for model in MODELS]
