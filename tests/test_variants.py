"""Models measured in more ways than one: their names, what differs, and the baselines themselves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from benchmarks import catalogue, variants
from benchmarks.launch import LaunchError, Server
from benchmarks.nouns import Variant, served_by, variant_of
from benchmarks.verify import verify

CPUS = sorted(os.sched_getaffinity(0))[:1]
PYTHONS = {"python3.12": ".venv-pythons/3.12.1/bin/python"}


def test_every_model_is_measured_under_every_interpreter():
    found = variants.variants(["prefork", "trio_nursery"], PYTHONS, 1)
    assert found == {
        "prefork~python3.12": Variant(python=PYTHONS["python3.12"]),
        "trio_nursery~python3.12": Variant(python=PYTHONS["python3.12"]),
    }


def test_numbers_of_workers_are_multiples_of_the_servers_cores():
    found = variants.variants(["prefork", "epoll_loop", "thread_pool"], {}, 2, tuned=True)
    assert list(found) == [
        "prefork~4 workers", "prefork~8 workers", "prefork~32 workers",
        "thread_pool~4 threads", "thread_pool~8 threads", "thread_pool~32 threads",
    ]  # fmt: skip
    assert found["prefork~32 workers"] == Variant(("--workers", "32"))


def test_what_a_models_file_says_of_its_numbers_comes_first(monkeypatch):
    monkeypatch.setattr(catalogue, "tuned", lambda _: ("threads", (3,)))
    assert variants.variants(["prefork"], {}, 1, tuned=True) == {"prefork~3 threads": Variant(("--threads", "3"))}


def test_a_baseline_stands_beside_its_model_under_each_interpreter_in_hello_alone():
    found = variants.variants(["epoll_loop", "prefork"], PYTHONS, 1, baselines=True)
    assert [name for name, variant in found.items() if variant.module] == ["epoll_loop~direct", "epoll_loop~direct python3.12"]
    assert found["epoll_loop~direct"] == Variant(module="benchmarks.controls.direct_epoll", scenarios=("hello",))
    assert found["epoll_loop~direct python3.12"].python == PYTHONS["python3.12"]


def test_variants_are_listed_behind_their_models():
    varied = variants.variants(["prefork", "epoll_loop"], PYTHONS, 1)
    assert variants.listed(["prefork", "epoll_loop"], varied) == (
        "prefork", "prefork~python3.12", "epoll_loop", "epoll_loop~python3.12",
    )  # fmt: skip


def test_captions_say_what_a_variant_is():
    captions = {entry.name: entry.caption for entry in catalogue.models()}
    found = variants.variants(list(captions), PYTHONS, 1, baselines=True, tuned=True)
    for name, variant in found.items():
        told = variants.caption(name, variant, captions)
        if variant.module:
            assert told.startswith("Baseline: the plain ")
        else:
            assert told == f"{captions[served_by(name)]} ({name.partition('~')[2]})"


def test_the_models_that_are_named_here_are_there():
    models = {entry.name for entry in catalogue.models()}
    assert set(variants.BASELINES) <= models
    assert variant_of("epoll_loop", "direct") in variants.variants(models, {}, 1, baselines=True)


def test_a_model_whose_package_is_not_there_fails_alone_and_says_so(tmp_path):
    """As gevent is missing from the environment of an interpreter that it has no wheel for."""
    blocked = tmp_path / "gevent"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError(name='gevent')\n")
    with pytest.raises(LaunchError) as caught:
        Server("gevent_greenlets", CPUS, environment={"PYTHONPATH": str(tmp_path)})
    assert "gevent_greenlets needs gevent, which is not installed" in caught.value.stderr
    with Server("epoll_loop", CPUS, environment={"PYTHONPATH": str(tmp_path)}) as server:
        assert server.facts.port


# ---------------------------------------------------------------- the baselines themselves


@pytest.fixture(scope="module", params=sorted(variants.BASELINES.values()))
def baseline(request):
    with Server("", CPUS, module=request.param) as server:
        yield server
    assert (server.facts.exit_status, server.facts.stderr) == (0, "")


def ask(port: int, data: bytes) -> bytes:
    """All that is answered to these bytes until the connection is closed."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_baseline_answers_hello_byte_for_byte_as_a_model_does(baseline):
    with Server("epoll_loop", CPUS) as model:
        hello = catalogue.scenario("hello")
        assert verify("127.0.0.1", baseline.facts.port, hello).digest == verify("127.0.0.1", model.facts.port, hello).digest


def test_a_baseline_answers_pipelined_and_split_requests(baseline):
    hello, last = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    said = ask(baseline.facts.port, hello * 3 + last)
    assert (said.count(b" 200 OK\r\n"), said.count(b" 404 Not Found\r\n"), said.count(b"Hello, World!")) == (3, 1, 3)
    assert ask(baseline.facts.port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    with closing(socket.create_connection(("127.0.0.1", baseline.facts.port), timeout=10)) as client:
        client.sendall(hello[:9])
        time.sleep(0.05)
        client.sendall(hello[9:])
        assert client.recv(4096).endswith(b"Hello, World!")


def test_a_baseline_keeps_what_a_slow_reader_does_not_take(baseline):
    asked, hello = 60_000, b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", baseline.facts.port), timeout=30)) as client:
        last = hello.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        sender = threading.Thread(target=client.sendall, args=(hello * (asked - 1) + last,))
        sender.start()
        sender.join(0.5)  # 8 MB of answers are more than the kernel keeps for a client that does not read
        said = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()
    assert said.count(b"Hello, World!") == asked


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_baseline_ends_when_it_is_told_to(signum):
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.controls.direct_epoll", "--port", "0"], stdout=subprocess.PIPE, cwd=catalogue.ROOT
    ) as running:
        assert b"max_connections" in running.stdout.readline()
        running.send_signal(signum)
        assert running.wait(10) == 0
