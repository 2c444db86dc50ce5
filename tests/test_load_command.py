"""`servebench load`, its URL and its options: what is sent, what is shown, what is refused, and how it ends."""

import argparse
import base64
import io
import json
import re
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest
from answering import CLOSING, OK, answering, serving
from rich.console import Console

from benchmarks.load import command
from benchmarks.load.engine import Session
from benchmarks.load.targets import Drive, Target, request_bytes

PATIENCE_S = 120
SHORT = ("--seconds", "0.1", "--connections", "1", "--poll", "sleep", "--drain", "0.2")


def asked(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def heard_of(url: str) -> bytes:
    """All that a server hears of a load on a URL with its port as PORT."""
    heard: list[bytes] = []
    answer = answering(OK)

    class Listening:
        """A connection that keeps what it receives."""

        def __init__(self, connection) -> None:
            self.connection = connection

        def recv(self, size: int) -> bytes:
            heard.append(self.connection.recv(size))
            return heard[-1]

        def __getattr__(self, name: str):
            return getattr(self.connection, name)

    with serving(lambda connection: answer(Listening(connection))) as port:
        assert command.command(asked(url.replace("PORT", str(port)), *SHORT)) == 0
    return b"".join(heard)


def test_user_and_password_become_a_field_and_are_in_no_host_and_on_no_screen(capsys):
    requests = heard_of("http://me:s%3Acret@127.0.0.1:PORT/")
    fields = set(re.findall(rb"\r\n(Host|Authorization): (.*)\r\n", requests.replace(b"\r\n", b"\r\n\r\n")))
    assert {name for name, _ in fields} == {b"Host", b"Authorization"}
    assert all(b"@" not in value for _, value in fields)
    assert (b"Authorization", b"Basic " + base64.b64encode(b"me:s:cret")) in fields
    said = capsys.readouterr()
    assert "cret" not in said.out + said.err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
        ("http://me:secret@127.0.0.1:8080/a@b", "http://127.0.0.1:8080/a@b"),
        ("http://me@[::1]/", "http://[::1]/"),
        ("http://127.0.0.1/a@b?c=d@e", "http://127.0.0.1/a@b?c=d@e"),
    ],
)
def test_a_url_is_shown_without_user_and_password(url, shown):
    assert command.told(url) == shown


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:x/", "ftp://me:secret@127.0.0.1/", "http://me:secret@127.0.0.1/é"])
def test_nor_is_a_password_in_what_is_said_of_a_wrong_url(url):
    with pytest.raises(command.Refused) as refused:
        command.resolve(url)
    assert "secret" not in str(refused.value)


def test_port_0_is_no_other_port():
    with pytest.raises(command.Refused, match="port 0"):
        command.resolve("http://127.0.0.1:0/")
    assert command.resolve("http://127.0.0.1/") == ("127.0.0.1", 80)


def test_what_looks_like_markup_is_shown_as_it_is(capsys):
    heard_of("http://127.0.0.1:PORT/?a[/b]=[red]x")
    assert "/?a[/b]=[red]x" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_number_is_cut_on_a_narrow_terminal(width):
    """Neither with an ellipsis nor by the end of a line."""
    with serving(answering(OK)) as port, Session(Target("127.0.0.1", port, request_bytes("x", "/"), body=None), 2) as session:
        session.open()
        result = session.run(Drive(0.1, 200.0, poll="sleep"))
    out = io.StringIO()
    command.show(result, "http://127.0.0.1/", Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert "…" not in out.getvalue()
    assert max(map(len, lines)) <= width
    (head,) = [line for line in lines if "p99" in line]
    rows = [line for line in lines if line.startswith(("response", "service"))]
    assert all(len(re.findall(r"\d[\d.,]*", row)) == len(head.split()) for row in rows)


# ---------------------------------------------------------------- other options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "99999999999999999"], "--seed 99999999999999999 is not from 0"),
        (["--method", "GÉT"], "is no method"),
        (["--method", "GET / HTTP/1.1\r\nX: y"], "is no method"),
    ],
)
def test_what_makes_no_request_is_refused_in_a_line(arguments, said):
    with pytest.raises(command.Refused, match=re.escape(said)) as refused:
        command.command(asked("http://127.0.0.1:9/", *arguments))
    assert "\n" not in str(refused.value)


def test_a_body_that_is_no_utf_8_is_sent_as_it_is():
    assert command._body(b"\xff\xfe".decode(errors="surrogateescape")) == b"\xff\xfe"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_load_with_its_result(signum):
    with serving(answering(OK)) as port:
        line = ("-m", "benchmarks.cli", "load", f"http://127.0.0.1:{port}/", "--seconds", "600", "--poll", "sleep", "--json")
        load = subprocess.Popen([sys.executable, *line], stdout=subprocess.PIPE, text=True)
        try:
            ends = time.monotonic() + PATIENCE_S
            while not any(one.laddr.port for one in psutil.Process(load.pid).net_connections() if one.raddr):
                assert time.monotonic() < ends
                time.sleep(0.05)
            time.sleep(0.3)
            load.send_signal(signum)
            out, _ = load.communicate(timeout=PATIENCE_S)
        finally:
            load.kill()
            load.wait()
    assert load.returncode == 128 + signum
    assert json.loads(out)["completed"] > 0


def test_new_connections_for_all_need_no_more_descriptors_than_there_are():
    """Twice as many are open at a time as connections, where the server closes late."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    line = ("--no-keepalive", "--connections", "300", "--seconds", "0.3", "--json")
    with serving(answering(CLOSING)) as port:
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.cli", "load", f"http://127.0.0.1:{port}/", *line],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(500, limits[1]))),
        )  # fmt: skip
    told = json.loads(found.stdout)
    assert told["completed"] > 0
    assert "connect_failed" not in told["errors"]
