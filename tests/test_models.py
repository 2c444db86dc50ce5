"""Every execution model, by the same tests: what it serves, how it waits, how it ends."""

import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from live import HELLO, MODELS, PATIENCE_S, ROOT, Client, Server, conversing, serving

from benchmarks.conformance.rules import PARTS
from benchmarks.conformance.subjects import Model
from benchmarks.conformance.suite import examine

# Three models serve a fixed number of connections at once; small numbers here make that cheap to fill.
SMALL = ("--workers", "4", "--threads", "4")


@pytest.fixture(scope="module", params=MODELS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for all tests that leave it as it was. In the end nothing unexpected is on its stderr, and it exits with 0."""
    with serving(request.param, "--head-timeout", "0.4", "--keepalive-idle", "0.6", "--linger", "0.1") as running:
        yield running
        running.stop()
        assert running.status() == 0
        assert running.said() == ""


@pytest.fixture(scope="module", params=MODELS)
def steps(request: pytest.FixtureRequest) -> Iterator[Server]:
    with conversing(request.param, "steps") as running:
        yield running
        running.stop()
        assert running.status() == 0


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def eventually(fact: Callable[[], bool], what: str) -> None:
    """Wait for a fact, with a deadline."""
    end_s = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < end_s, f"never: {what}"
        time.sleep(0.02)


def silent(client: Client, seconds: float = 0.3) -> bool:
    """Whether nothing comes for a while."""
    return not select.select([client.socket], [], [], seconds)[0]


# ---------------------------------------------------------------- what it serves


def test_requests_share_a_connection(server: Server) -> None:
    with server.connect() as client:
        for _ in range(3):
            status, fields, body = client.get("/hello")
            assert (status, body) == (200, b"Hello, World!")
            assert "connection" not in fields


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    sizes = [5, 70_000, 1, 30, 0, 200_000, 7]
    with server.connect() as client:
        client.send(b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: test\r\n\r\n" % size for size in sizes))
        assert [len(client.answer()[2]) for _ in sizes] == sizes


def test_a_large_body_goes_both_ways(server: Server) -> None:
    body = bytes(range(256)) * 4096
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.send(body)
        assert client.answer()[2] == body


def test_half_closed_clients_get_their_answer(server: Server) -> None:
    with server.connect() as client:
        client.send(HELLO)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer()[2] == b"Hello, World!"
        assert client.rest() == b""


def test_late_heads_are_answered_408_and_idle_connections_end_without_a_word(server: Server) -> None:
    with server.connect() as late, server.connect() as idle:
        idle.get("/hello")
        late.send(b"GET /hello HTTP/1.1\r\nHo")
        assert late.answer()[0] == 408
        assert late.rest() == b""
        assert idle.rest() == b""


def test_many_connections_are_served_while_all_stay_open(server: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(min(200, server.max_connections))]
        for client in clients:
            client.send(HELLO)
        for client in clients:
            assert client.answer()[0] == 200


# ---------------------------------------------------------------- how it waits


def test_a_wait_without_descriptors_is_a_timer(steps: Server) -> None:
    with steps.connect() as client:
        began_s = time.monotonic()
        assert client.ask(b"wait 0.05") == b"((), ())"
        assert time.monotonic() - began_s >= 0.05


def test_a_wait_for_a_descriptor(steps: Server) -> None:
    with steps.connect() as waiter, steps.connect() as ringer:
        waiter.send(b"wait_for_bell\n")
        assert silent(waiter, 0.1)
        assert ringer.ask(b"ring") == b"rung"
        assert waiter.until(b"\n") == b"(True, [])\n"


def test_a_wait_for_the_client_or_a_descriptor(steps: Server) -> None:
    with steps.connect() as waiter, steps.connect() as ringer:
        assert waiter.ask(b"echo awake") == b"awake"  # one that is still beginning would get the word along with the command
        waiter.send(b"wait_for_bell_or_client\n")
        assert silent(waiter, 0.1)
        waiter.send(b"word")
        assert waiter.until(b"\n") == b"client said b'word'\n"
        waiter.send(b"wait_for_bell_or_client\n")
        assert silent(waiter, 0.1)
        assert ringer.ask(b"ring") == b"rung"
        assert waiter.until(b"\n") == b"bell\n"
        assert waiter.ask(b"echo still here") == b"still here"


def test_the_end_of_stream_counts_as_readable(steps: Server) -> None:
    with steps.connect() as waiter:
        assert waiter.ask(b"echo awake") == b"awake"
        waiter.send(b"wait_for_bell_or_client\n")
        assert silent(waiter, 0.1)
        waiter.socket.shutdown(socket.SHUT_WR)
        assert waiter.rest() == b"client said b''\n"


def test_early_bytes_count_as_readable_and_are_not_lost(steps: Server) -> None:
    with steps.connect() as waiter, steps.connect() as ringer:
        waiter.send(b"wait_for_early_client\n")
        waiter.until(b"say something\n")
        waiter.send(b"early")
        time.sleep(0.1)  # let them arrive before the bell; the answer is the same if they do not
        assert ringer.ask(b"ring") == b"rung"
        assert waiter.until(b"\n") == b"True then b'early'\n"


def test_a_wait_of_no_time_still_looks(steps: Server) -> None:
    with steps.connect() as client:
        assert client.ask(b"poll") == b"True [[], []]"


def test_a_conversation_goes_on_after_a_timeout(steps: Server) -> None:
    with steps.connect() as client:
        assert client.ask(b"time_out") == b"timed out"
        assert client.ask(b"echo and on") == b"and on"


def test_offloaded_functions_stop_nobody_else(steps: Server) -> None:
    with steps.connect() as blocked, steps.connect() as other:
        blocked.send(b"offload\n")
        assert silent(blocked, 0.1)
        assert other.ask(b"echo meanwhile") == b"meanwhile"
        assert other.ask(b"open_gate") == b"opened"
        assert blocked.until(b"\n") == b"open\n"


def test_exceptions_of_offloaded_functions_are_thrown_in(steps: Server) -> None:
    with steps.connect() as client:
        assert client.ask(b"offload_failure").startswith(b"caught invalid literal")
    assert "invalid literal" not in steps.said()


def test_an_offer_takes_what_fits_and_never_waits(steps: Server) -> None:
    with steps.connect() as client:
        client.send(b"offer_all\n")
        time.sleep(0.2)  # the client is slow
        filling = client.until(b"\n")[:-1]
        accepted, verdict = client.until(b"\n").split(b" bytes, then ")
        assert (len(filling), verdict) == (int(accepted), b"True\n")


def test_what_is_no_step_is_refused(steps: Server) -> None:
    with steps.connect() as client:
        assert client.ask(b"wrong_step") == b"not a step: 42"


def test_a_bug_ends_its_own_conversation_only(steps: Server) -> None:
    with steps.connect() as client, steps.connect() as other:
        assert other.ask(b"echo before") == b"before"
        client.send(b"bug\n")
        assert client.rest() == b""
        assert other.ask(b"echo after") == b"after"
    eventually(lambda: "ZeroDivisionError: a bug in a conversation" in steps.said(), "the traceback")


def test_a_relay_both_ways(model: str) -> None:
    """Waits for the client and an upstream at once, megabytes in both directions, half-closes passed on."""
    data = bytes(range(256)) * 8192
    with socket.create_server(("127.0.0.1", 0)) as upstream:

        def echo() -> None:
            connection, _ = upstream.accept()
            with connection:
                while piece := connection.recv(65536):
                    connection.sendall(piece)

        thread = threading.Thread(target=echo)
        thread.start()
        with conversing(model, "relay", str(upstream.getsockname()[1])) as server, server.connect() as client:
            sender = threading.Thread(target=lambda: (client.send(data), client.socket.shutdown(socket.SHUT_WR)))
            sender.start()
            assert client.rest() == data, server.said()
            sender.join()
        thread.join()


# ---------------------------------------------------------------- how it ends


def test_ends_as_the_rules_ask(model: str) -> None:
    """Each rule about the stop has a server of its own and waits most of the time; so all are asked at once."""
    rules = [rule.name for rule in PARTS["stop"] if not rule.models]
    with ThreadPoolExecutor(len(rules)) as pool:
        reports = list(pool.map(lambda name: examine(Model(model), ["stop"], [name]), rules))
    assert [outcome for report in reports for outcome in report.outcomes if outcome.verdict != "kept"] == []


def test_an_interrupt_is_a_stop_and_the_linger_time_is_for_clients_only(model: str) -> None:
    with serving(model, *SMALL, "--linger", "20") as server, server.connect() as client:
        assert client.get("/hello")[0] == 200
        server.stop(signal.SIGINT)
        time.sleep(0.2)
        status, fields, _ = client.get("/hello")
        assert (status, fields["connection"]) == (200, "close")
        assert server.status() == 0  # long before the linger time is over: nobody is left


# ---------------------------------------------------------------- the command


def refused(*arguments: str) -> str:
    """What the command says when it will not serve."""
    done = subprocess.run(
        [sys.executable, "-m", "servers", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["epoll_loop", "--port", "http"], "--port"),
        (["epoll_loop", "--port", "65536"], "--port"),
        (["epoll_loop", "--workers", "0"], "--workers"),
        (["epoll_loop", "--drain", "-1"], "--drain"),
        (["epoll_loop", "--drain", "nan"], "--drain"),
        (["epoll_loop", "--colour", "blue"], "--colour"),
        (["epoll_loop", "--host", "no-such-host.invalid"], "cannot resolve the host"),
        (["epoll_loop", "--host", "a..b"], "cannot resolve the host 'a..b'"),
        (["epoll_loop", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["_steps"], "there is no model"),
        ([], "MODEL"),
    ],
)
def test_bad_options_are_a_line_on_stderr(arguments: list[str], reason: str) -> None:
    assert reason in refused(*arguments)


def test_without_a_stdout_nobody_would_know_the_port() -> None:
    line = 'exec "$0" -m servers epoll_loop >&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "stdout is closed" in done.stderr


def test_a_name_with_several_addresses_is_served_at_that_of_ipv4() -> None:
    line = [sys.executable, "-m", "servers", "epoll_loop", "--host", "localhost"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            assert json.loads(server.stdout.readline())["address"] == "127.0.0.1"
        finally:
            server.terminate()


def test_an_unknown_model_is_told_which_there_are() -> None:
    said = refused("apache")
    assert all(name in said for name in MODELS)


def test_a_busy_port_is_a_line_on_stderr() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        assert "in use" in refused("epoll_loop", "--port", str(busy.getsockname()[1]))


def test_help_lists_models_and_options() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "servers", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    assert all(name in said for name in MODELS)
    assert "--keepalive-idle" in said


def test_the_ready_line_is_all_there_is_on_stdout(model: str) -> None:
    with serving(model, "--linger", "0") as server:
        with server.connect() as client:
            client.get("/hello")
        server.stop()
        assert server.status() == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == b""


def test_ipv6() -> None:
    with serving("epoll_loop", "--host", "::1") as server, server.connect("::1") as client:
        assert client.get("/hello")[0] == 200


def test_every_model_has_a_caption() -> None:
    command = "import json; from servers.__main__ import models; print(json.dumps(models()))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, cwd=ROOT, check=True)
    captions = json.loads(done.stdout)
    assert list(captions) == MODELS
    assert all(caption.endswith(".") for caption in captions.values())
