"""Is what a server acknowledged still there after it was killed? Each model, killed again and again while it is written to.

    python -m benchmarks.selfbench durability [--operations N] [--kills N] [--database URL] [MODEL …]

Clients create, update and delete items at `python -m servers MODEL` and note what is acknowledged. At random moments all of its
processes are killed (SIGKILL), and it is started again on the same database. In the end it is killed once more, and another one
is asked for everything: each acknowledged write must be there, and nothing that was acknowledged as deleted. A request that was
in flight at a kill may have happened or not; its item is left alone from then on, as a database may still be busy with it.

This is about killed processes: what they wrote is the kernel's, or another process's, by then. That a loss of power takes
nothing either is the promise of SQLite and PostgreSQL, whose calls of fsync nobody tests here.
"""

import argparse
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import catalogue
from benchmarks.launch import LaunchError, Server
from benchmarks.selfbench.database import postgresql
from benchmarks.selfbench.peers import Missing

CLIENTS = 8
OPERATIONS = 100_000
KILLS = 10
PATIENCE_S = 30.0  # of a client, for an answer and for the next server
LATE_S = 0.02  # at most from the operation at which a kill is due to the kill
PAGE = 100  # items
_CREATE, _UPDATE = 0.4, 0.4  # shares of the operations; the rest are deletions

State = tuple[str, int] | None  # an item's name and quantity; None: there is none


@dataclass
class Ledger:
    """What is known about the items of one client, by id."""

    sure: dict[str, State] = field(default_factory=dict)  # as acknowledged
    either: dict[str, tuple[State, State]] = field(default_factory=dict)  # before and after a write that was not
    operations: int = 0
    acknowledged: int = 0
    unknown: int = 0
    wrong: list[str] = field(default_factory=list)  # answers that contradict what was acknowledged


def lost(ledger: Ledger, found: dict[str, State]) -> list[str]:
    """What was acknowledged and is not so, a line for each."""
    gone = [
        f"{key} is {found.get(key)}, acknowledged was {state}" for key, state in ledger.sure.items() if found.get(key) != state
    ]
    gone += [
        f"{key} is {found.get(key)}, it may be {states[0]} or {states[1]}"
        for key, states in ledger.either.items()
        if found.get(key) not in states
    ]
    return ledger.wrong + gone


class House:
    """A server that is killed and started again, and the clients that wait for it meanwhile."""

    def __init__(self, model: str, options: Sequence[str]) -> None:
        self._model, self._options = model, options
        self._changed = threading.Condition()
        self._server: Server | None = None
        self.over = False
        self.start()

    def start(self) -> None:
        """Start a server, and tell the clients. Raises LaunchError."""
        server = Server(self._model, sorted(os.sched_getaffinity(0)), self._options)
        with self._changed:
            self._server = server
            self._changed.notify_all()

    def kill(self) -> None:
        """End all of its processes, without a word."""
        with self._changed:
            server, self._server = self._server, None
        if server is not None:
            server.kill()

    def close(self) -> None:
        """The end: kill it, and let nobody wait any longer."""
        self.kill()
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def connect(self) -> socket.socket | None:
        """A connection to the server there is, or will be soon; None if there will be none."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            with self._changed:
                self._changed.wait_for(lambda: self._server is not None or self.over, PATIENCE_S)
                if self._server is None:
                    return None
                port = self._server.facts.port
            try:
                return socket.create_connection(("127.0.0.1", port), PATIENCE_S)
            except OSError:
                time.sleep(0.01)  # it is being killed just now
        return None


class Client:
    """One client: a connection, and what it knows. Its items are nobody else's."""

    def __init__(self, house: House, number: int, seed: str) -> None:
        self.ledger = Ledger()
        self._house, self._number = house, number
        self._dice = random.Random(f"{seed} {number}")
        self._mark = f"{os.getpid()}-{time.time_ns():x}-{number}"
        self._connection: socket.socket | None = None
        self._mine: list[str] = []  # those that are there for sure
        self._made = 0

    def work(self, operations: int) -> None:
        """Do so many operations, whatever happens to the server meanwhile."""
        try:
            for _ in range(operations):
                if self._house.over or not self._operate():
                    return
        finally:
            self._hang_up()

    def _operate(self) -> bool:
        """One operation; False if there is no server any more."""
        self._connection = self._connection or self._house.connect()
        if self._connection is None:
            return False
        ledger, (key, new, due) = self.ledger, self._choose()
        ledger.operations += 1
        try:
            status, place = self._ask("POST" if not key else "PUT" if new else "DELETE", key, new)
        except (OSError, EOFError):
            self._hang_up()
            status, place = 0, ""
        if status in (0, 503):
            ledger.unknown += 1
            if key:
                ledger.either[key] = ledger.sure.pop(key, None), new
        elif status != due:
            ledger.wrong.append(f"{key or 'a new item'} was answered {status}, not {due}")
        else:
            ledger.acknowledged += 1
            key = key or place.rpartition("/")[2]
            ledger.sure[key] = new
            if new:
                self._mine.append(key)
        return True

    def _choose(self) -> tuple[str, State, int]:
        """What to do: an id, or none if the server shall choose it; what it shall be; and the status that says so."""
        dice = self._dice
        luck = dice.random()
        self._made += 1
        new = f"{self._mark}-{self._made}", dice.randrange(1000)
        if luck < _CREATE or not self._mine:
            return (f"{self._mark}-{self._made}" if dice.random() < 0.5 else ""), new, 201
        key = self._mine.pop(dice.randrange(len(self._mine)))
        return (key, new, 200) if luck < _CREATE + _UPDATE else (key, None, 204)

    def _ask(self, method: str, key: str, state: State) -> tuple[int, str]:
        """One exchange: the status and the place of what was made. Raises OSError, and EOFError."""
        assert self._connection is not None
        body = json.dumps({"name": state[0], "quantity": state[1]}).encode() if state else b""
        lines = [f"{method} /items{'/' * bool(key)}{key} HTTP/1.1", "Host: localhost"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._connection.sendall("\r\n".join((*lines, "", "")).encode() + body)
        status, fields, _ = answer(self._connection)
        if fields.get("connection") == "close":
            self._hang_up()
        return status, fields.get("location", "")

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One whole answer. Raises EOFError where the stream ends before, and OSError."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(fields.get("content-length", 0)):
        body += _more(connection)
    return int(first.split()[1]), fields, body


def _more(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise EOFError
    return data


def everything(house: House) -> dict[str, State]:
    """All items that a server shows, by id, page by page."""
    found: dict[str, State] = {}
    target, connection = f"/items?limit={PAGE}", None
    with ExitStack() as stack:
        while target:
            if connection is None:
                connection = house.connect()
                assert connection is not None
                stack.enter_context(closing(connection))
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status, fields, body = answer(connection)
            if status != 200:
                raise RuntimeError(f"the list of items was answered {status}: {body.decode(errors='replace').strip()}")
            found |= {item["id"]: (item["name"], item["quantity"]) for item in json.loads(body)["items"]}
            target = fields.get("link", "").partition(">")[0].lstrip("<")
            connection = None if fields.get("connection") == "close" else connection
    return found


def examine(model: str, options: Sequence[str], operations: int, kills: int, seed: str) -> tuple[Ledger, list[str]]:
    """Write to a model and kill it; the sum of all ledgers, and what is lost. Raises LaunchError and RuntimeError."""
    house, dice = House(model, options), random.Random(f"{seed} {model}")
    try:
        clients = [Client(house, number, seed) for number in range(CLIENTS)]
        shares = [operations // CLIENTS + (number < operations % CLIENTS) for number in range(CLIENTS)]
        threads = [threading.Thread(target=client.work, args=(n,)) for client, n in zip(clients, shares, strict=True)]
        for thread in threads:
            thread.start()
        for due in sorted(dice.randrange(operations) for _ in range(kills)):
            while sum(client.ledger.operations for client in clients) < due and any(thread.is_alive() for thread in threads):
                time.sleep(0.002)
            time.sleep(dice.uniform(0, LATE_S))
            house.kill()
            house.start()
        for thread in threads:
            thread.join()
        house.kill()
        house.start()
        found = everything(house)
    finally:
        house.close()
    total, gone = Ledger(), []
    for client in clients:
        gone += lost(client.ledger, found)
        total.operations += client.ledger.operations
        total.acknowledged += client.ledger.acknowledged
        total.unknown += client.ledger.unknown
    return total, gone


@contextmanager
def _database(named: str) -> Iterator[str]:
    """The URL of an empty database: a new file, a PostgreSQL of one's own, or the one that was named."""
    if named == "postgresql":
        with postgresql() as url:
            yield url
    elif named:
        yield named
    else:
        with tempfile.TemporaryDirectory(prefix="servebench-durability-") as folder:
            yield f"sqlite:{Path(folder, 'items.db')}"


def main(argv: list[str], console: Console | None = None) -> int:
    """Examine models and print a line for each; 0 if nothing was lost, 1 if something was or a model failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.selfbench durability", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="execution models (all)")
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N", help=f"writes to each ({OPERATIONS:,})")
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N", help=f"and how often it is killed meanwhile ({KILLS})")
    parser.add_argument("--database", default="", metavar="URL", help="as servers take it, or just postgresql: one of its own")
    parser.add_argument("--synchronous", choices=("full", "normal"), default="full", help="as servers take it (full)")
    parser.add_argument("--seed", default=str(time.time_ns()), help="of the choice of operations and moments")
    chosen = parser.parse_args(argv)
    known = [entry.name for entry in catalogue.models()]
    if unknown := [model for model in chosen.models if model not in known]:
        parser.error(f"there is no model {unknown[0]!r}; the models are {', '.join(known)}")
    if chosen.operations < 1 or chosen.kills < 0:
        parser.error("there must be an operation, and no fewer kills than none")
    console, good = console or Console(width=max(Console().width, 120)), True
    console.print(
        f"[bold]durability[/]  {CLIENTS} clients write, each server is killed {chosen.kills} times; seed {chosen.seed}"
    )
    for model in chosen.models or known:
        begins = time.monotonic()
        try:
            with _database(chosen.database) as url:
                options = ("--database", url, "--synchronous", chosen.synchronous)
                total, gone = examine(model, options, chosen.operations, chosen.kills, chosen.seed)
        except Missing as missing:
            console.print(f"  skipped: {missing}", highlight=False)
            return 0
        except (LaunchError, RuntimeError) as failure:
            said = getattr(failure, "stderr", "")
            console.print(f"  {model:24} [red]failed[/]: {failure} {said}".rstrip(), highlight=False)
            good = False
            continue
        good &= not gone
        console.print(
            f"  {model:24} {total.operations:,} operations, {chosen.kills} kills, {total.acknowledged:,} acknowledged, "
            f"{len(gone)} lost, {total.unknown:,} unknown, {time.monotonic() - begins:.0f} s: "
            f"{'[red]missed[/]' if gone else 'reached'}",
            highlight=False,
        )
        for line in gone[:10]:
            console.print(f"    {line}", highlight=False, markup=False)
    return 0 if good else 1
