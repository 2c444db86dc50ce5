"""Items, uploads and accounts of every model, live: one server each with SQLite, and one each with PostgreSQL."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from live import MODELS, PATIENCE_S, ROOT, Client, Server, serving

from benchmarks.conformance.health import anonymous_bytes
from benchmarks.selfbench.database import postgresql
from benchmarks.selfbench.peers import Missing
from servers._steps import Offload, Step, Wait
from servers._waiting import wait
from servers.conversations.stores import Away, Database, Item, opener

SMALL = ("--workers", "4", "--threads", "4", "--linger", "0.1")
CLIENTS = 4
Answer = tuple[int, dict[str, str], bytes]


def held_bytes(server: Server) -> int:
    """Memory of all its processes; of those that end meanwhile nothing."""
    total = 0
    for process in server.family():
        try:
            total += anonymous_bytes(process.pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accounts")


@pytest.fixture(scope="module")
def server(model: str, accounts: Path) -> Iterator[Server]:
    """One server for all tests of a model; its own database is gone with it."""
    with serving(model, *SMALL, "--pool", "2", "--gc-account", str(accounts), "--switch-interval", "0.001") as running:
        yield running
        running.stop()
        assert running.status() == 0
        assert running.said() == ""
        assert not list(Path(tempfile.gettempdir()).glob(f"servebench-items-{running.pid}-*"))


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL that was started for these tests."""
    with ExitStack() as stack:
        pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
        try:
            url = stack.enter_context(postgresql())
        except Missing as missing:
            pytest.skip(str(missing))
        yield url


def ask(client: Client, method: str, target: str, body: bytes = b"", *lines: str) -> Answer:
    """One whole exchange; an answer without content has none."""
    said = [f"{method} {target} HTTP/1.1", "Host: test", *lines]
    if body:
        said += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    client.send("\r\n".join((*said, "", "")).encode() + body)
    head = client.until(b"\r\n\r\n").decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    size = int(fields.get("content-length", 0))
    while len(client.buffer) < size:
        assert client.more(), "the stream ended inside a body"
    found, client.buffer = client.buffer[:size], client.buffer[size:]
    return int(head[0].split()[1]), fields, found


def item(quantity: int) -> bytes:
    return b'{"name": "bolt", "quantity": %d}\n' % quantity


def from_creation_to_end(server: Server) -> None:
    with server.connect() as client:
        status, fields, _ = ask(client, "POST", "/items", item(1))
        assert status == 201
        place, etag = fields["location"], fields["etag"]
        assert ask(client, "GET", place)[::2] == (200, item(1))
        assert ask(client, "GET", place, b"", f"If-None-Match: {etag}")[0] == 304
        assert ask(client, "PUT", place, item(2), 'If-Match: "x"')[0] == 412
        assert ask(client, "PUT", place, item(2), f"If-Match: {etag}")[::2] == (200, item(2))
        assert place.removeprefix("/items/") in ask(client, "GET", "/items?limit=100")[2].decode()
        assert ask(client, "DELETE", place)[0] == 204
        assert ask(client, "GET", place)[0] == 404


def nobody_loses_an_update(server: Server, place: str) -> None:
    """Clients count up one item, each write on the condition that nobody else was faster."""
    each = 10
    with server.connect() as client:
        assert ask(client, "PUT", place, item(0))[0] == 201

    def count(_: int) -> None:
        done = 0
        with server.connect() as client:
            while done < each:
                _, fields, body = ask(client, "GET", place)
                found = ask(client, "PUT", place, item(json.loads(body)["quantity"] + 1), f"If-Match: {fields['etag']}")[0]
                assert found in (200, 412)
                done += found == 200

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(count, range(CLIENTS)))
    with server.connect() as client:
        assert ask(client, "GET", place)[2] == item(CLIENTS * each)
        assert ask(client, "DELETE", place)[0] == 204


# ---------------------------------------------------------------- SQLite


def test_an_item_from_its_creation_to_its_end(server: Server) -> None:
    from_creation_to_end(server)


def test_nobody_loses_an_update(server: Server) -> None:
    nobody_loses_an_update(server, "/items/count")


def test_an_upload_of_any_size_is_taken_in_bounded_memory(server: Server) -> None:
    piece, count = bytes(range(256)) * 4096, 48
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(piece, checksum)
    before = held_bytes(server)
    seen = [before]
    with server.connect() as client:
        client.send(b"PUT /sink HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for number in range(count):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            if number % 8 == 7:
                seen.append(held_bytes(server))
        client.send(b"0\r\n\r\n")
        status, _, body = client.answer()
        assert (status, json.loads(body)) == (200, {"bytes": count * len(piece), "crc32": checksum})
        assert client.get("/hello")[2] == b"Hello, World!"
    assert max(seen) - before < 24 << 20, seen


def test_a_download_is_made_no_faster_than_it_is_taken(server: Server) -> None:
    size = 64 << 20
    before = held_bytes(server)
    with server.connect() as client:
        client.send(b"GET /bytes/%d HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % size)
        client.until(b"\r\n\r\n")
        time.sleep(0.2)  # for all that might be made
        assert held_bytes(server) - before < 24 << 20
        taken = len(client.buffer)
        while data := client.socket.recv(1 << 20):
            taken += len(data)
        assert taken == size


def test_a_digest(server: Server) -> None:
    with server.connect() as client:
        assert len(json.loads(client.get("/digest/64")[2])["sha256"]) == 64


def test_every_process_keeps_an_account_of_its_collections(server: Server, accounts: Path) -> None:
    for process in server.family():
        *collections, total_ns, longest_ns = struct.unpack("=5Q", (accounts / str(process.pid)).read_bytes())
        assert len(collections) == 3
        assert total_ns >= longest_ns
        assert (sum(collections) > 0) == (longest_ns > 0)
        assert total_ns < 60e9


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def with_postgresql(model: str, database: str) -> Iterator[Server]:
    with serving(model, *SMALL, "--pool", "1", "--database", database) as running:
        yield running
        running.stop()
        assert running.status() == 0
        assert running.said() == ""


def test_items_in_postgresql(with_postgresql: Server) -> None:
    from_creation_to_end(with_postgresql)
    nobody_loses_an_update(with_postgresql, f"/items/count-{with_postgresql.pid}")


# ---------------------------------------------------------------- a database that goes away, some models


SOME = [name for name in ("prefork", "thread_pool", "epoll_loop", "asyncio_streams") if name in MODELS]


@pytest.mark.parametrize("pool", ["none", "1"])
def test_a_database_that_went_away_is_503_until_it_is_back(pool: str) -> None:
    """Ended by its administrator, and then gone for good; no conversation hangs, and none is lost."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    try:
        with ExitStack() as stack:
            url = stack.enter_context(postgresql())
            name = "epoll_loop" if "epoll_loop" in MODELS else MODELS[0]
            server = stack.enter_context(serving(name, *SMALL, "--pool", pool, "--database", url))
            client = stack.enter_context(server.connect())
            assert ask(client, "PUT", "/items/a", item(1))[0] == 201
            with psycopg.connect(url, autocommit=True) as administrator:
                others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                administrator.execute(f"SELECT pg_terminate_backend(pid, 10000) {others}")  # and wait until they are gone
                assert ask(client, "GET", "/items/a")[0] == 200  # a stale connection is noticed
                administrator.execute("ALTER TABLE items RENAME TO elsewhere")
                assert ask(client, "GET", "/items/a")[0] == 503
                assert ask(client, "GET", "/items/a")[0] == 404  # it is made anew
            data = url.partition("?host=")[2]
            os.kill(int((Path(data) / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
            end_s = time.monotonic() + PATIENCE_S
            while (answer := ask(client, "GET", "/items/a"))[0] != 503:
                assert time.monotonic() < end_s
            assert answer[1]["retry-after"] == "1"
            assert client.get("/hello")[0] == 200
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", SOME)
def test_a_slot_is_waited_for_in_order_and_not_for_ever(name: str, tmp_path: Path) -> None:
    """Somebody else holds the file's lock: the writer waits for it, others for their turn, and all are told."""
    path = tmp_path / "x.db"
    with serving(name, *SMALL, "--database", f"sqlite:{path}", "--database-timeout", "0.3") as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(3)]
        assert ask(clients[0], "PUT", "/items/a", item(1))[0] == 201
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda client: ask(client, "PUT", "/items/a", item(2)), clients))
        assert {answer[0] for answer in found} == {503}
        assert ask(clients[0], "GET", "/items/a")[2] == item(1)
        holder.execute("ROLLBACK")
        holder.close()
        assert [ask(client, "PUT", "/items/a", item(3))[0] for client in clients] == [200] * 3


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--database", "mysql://x"), "neither sqlite:PATH nor postgresql"),
        (("--pool", "0"), "--pool"),
        (("--synchronous", "off"), "neither full nor normal"),
        (("--switch-interval", "0"), "is no time"),
        (("--gc-account", "/nowhere/at/all"), "cannot keep an account"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(options: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "servers", "epoll_loop", "--port", "0", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_psycopg_it_is_said_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('hidden')")
    command = [sys.executable, "-m", "servers", "epoll_loop", "--port", "0", "--database", "postgresql://x"]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "needs psycopg: pip install" in done.stderr


# ---------------------------------------------------------------- conversations that end in the middle


def driven(asked: Generator[Step, Any, Any], steps: int = 1000) -> Any:
    """Let a store run as a model that may block would; after so many steps it is closed instead."""
    try:
        step = next(asked)
        for _ in range(steps):
            assert isinstance(step, Wait | Offload)
            step = asked.send(wait(step, -1) if isinstance(step, Wait) else step.function())
    except StopIteration as stop:
        return stop.value
    asked.close()
    return None


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("pool", [1, 0])
def test_no_slot_and_no_descriptor_is_lost_wherever_a_conversation_is_closed(
    kind: str, pool: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:{tmp_path}/x.db" if kind == "sqlite" else request.getfixturevalue("database")
    store = opener(Database(url, pool, patience_s=5.0))()
    key = f"closed-{pool}"
    assert driven(store.replace(key, None, Item("a", 0)))
    assert driven(store.find(key)) == Item("a", 0)
    before, number = len(os.listdir("/proc/self/fd")), 0
    for steps in range(12):
        for asked in (store.find(key), store.page("", 5), store.replace("nobody", Item("x", 1), None)):
            driven(asked, steps)
            assert driven(store.replace(key, Item("a", number), Item("a", number + 1)))
            number += 1
            assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert driven(store.find(key)) == Item("a", number)


@pytest.mark.parametrize("pool", [1, 0])
def test_a_database_that_does_not_answer_is_away_until_it_does(pool: int, database: str) -> None:
    """Whoever is to accept is stopped; connections that are there go on being served."""
    data = database.partition("?host=")[2]
    postmaster = int((Path(data) / "data" / "postmaster.pid").read_text().split()[0])
    there, new = (opener(Database(database, pool, patience_s=0.3))() for _ in range(2))
    driven(there.find("x"))
    os.kill(postmaster, signal.SIGSTOP)
    try:
        with pytest.raises(Away, match="takes too long"):
            driven(new.find("x"))
        if pool:
            assert driven(there.find("x")) is None
    finally:
        os.kill(postmaster, signal.SIGCONT)
    assert driven(new.find("x")) is None
