"""Servers that others wrote, as subjects: they start, serve what the models serve, and stop; what is missing is named."""

import re
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
from live import ROOT

from benchmarks.conformance import peers
from benchmarks.conformance.peers import PEERS, Nginx
from benchmarks.conformance.rule import Answer, Settings
from benchmarks.conformance.rules import PARTS
from benchmarks.conformance.subjects import HOST, Running
from benchmarks.launch import LaunchError
from benchmarks.selfbench.peers import Missing

PATIENCE_S = 20.0


def ask(running: Running, method: str, path: str, *fields: str, body: bytes = b"", wanted: Answer) -> None:
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""))
    with running.connect(PATIENCE_S) as client:
        client.play((head.encode() + body, wanted))


def sent(*statuses: int, body: bytes | None = None, allow: str = "") -> Answer:
    return Answer(statuses, body, (("Allow", allow),) if allow else ())


def ended(processes: list[psutil.Process]) -> bool:
    """Whether all these end. Those whose parent is gone stay zombies until somebody asks for their status."""
    left = psutil.wait_procs(processes, timeout=0)[1]
    ends_s = time.monotonic() + PATIENCE_S
    while left and time.monotonic() < ends_s:
        left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.01)
    return not left


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_serves_and_stops(name: str) -> None:
    try:
        with PEERS[name].running(Settings()) as running:
            ask(running, "GET", "/hello", wanted=sent(200, body=b"Hello, World!"))
            ask(running, "HEAD", "/hello", wanted=Answer((200,), to_head=True))
            ask(running, "POST", "/echo", "Content-Length: 5", body=b"a\0b\r\n", wanted=sent(200, body=b"a\0b\r\n"))
            chunks = b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
            ask(running, "POST", "/echo", "Transfer-Encoding: chunked", body=chunks, wanted=sent(200, body=b"abc"))
            ask(running, "GET", "/bytes/1000", wanted=sent(200, body=(bytes(range(256)) * 4)[:1000]))
            ask(running, "GET", "/bytes/0", wanted=sent(200, body=b""))
            ask(running, "GET", "/wait/20", wanted=sent(200, body=b'{"waited_ms": 20}\n'))
            ask(running, "GET", "/nothing", wanted=sent(404))
            ask(running, "GET", "/bytes/many", wanted=sent(404))
            ask(running, "DELETE", "/hello", wanted=sent(405, allow="GET, HEAD, OPTIONS"))
            ask(running, "GET", "/echo", wanted=sent(405, allow="POST, OPTIONS"))
            ask(running, "OPTIONS", "/bytes/1", wanted=sent(200, allow="GET, HEAD, OPTIONS"))
            assert "Traceback" not in running.said()
            family = running.family()
            running.signal()
            status = running.status(PATIENCE_S)
            assert status in (0, -signal.SIGTERM)  # uvicorn repeats the signal once it has served its last request
            assert ended(family)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, running.port), 1)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", ["gunicorn_sync", "waitress", "nginx"])
def test_nothing_of_a_peer_is_left(name: str) -> None:
    try:
        with PEERS[name].running(Settings(workers=2)) as running:
            family = running.family()
    except Missing as missing:
        pytest.skip(str(missing))
    assert ended(family)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(Missing, match=r"waitress is not installed: pip install 'servebench\[peers\]'"),
        PEERS["waitress"].running(Settings()),
    ):
        pass


def test_why_a_peer_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "WSGI", "no.such:application")
    try:
        with pytest.raises(LaunchError, match="ended with status") as failure, PEERS["waitress"].running(Settings()):
            pass
    except Missing as missing:
        pytest.skip(str(missing))
    assert "No module named 'no'" in failure.value.stderr


def test_nginx_has_all_that_rules_ask_for() -> None:
    """Numbers in scripts, and in the text of those that are functions."""
    scripts = [rule.test for part in PARTS.values() for rule in part if isinstance(rule.test, tuple)]
    said = "".join(item.decode("latin-1") for script in scripts for item in script if isinstance(item, bytes))
    written = "".join(file.read_text() for file in Path(ROOT, "benchmarks/conformance/rules").glob("*.py"))
    assert {int(size) for size in re.findall(r"/bytes/([0-9]+)", said + written)} <= {*Nginx.sizes}
