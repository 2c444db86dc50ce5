"""Items in PostgreSQL: libpq says which descriptor it waits for and how, and the Wait step waits for it.

psycopg's own protocol is written as generators that yield what they wait for (`psycopg.generators`), the same idea as the
five steps; `_waiting` below translates one into the other. So neither connecting nor querying blocks anything, and no thread is
needed. (But a host that is a name is looked up by libpq, which blocks: name an address or a socket's folder.)

A statement is its own transaction, durable when PostgreSQL says that it is done: `synchronous_commit = on`, or, with
`--synchronous normal`, off: then a crash of PostgreSQL or a loss of power may take the last few; a killed client never does.
"""

import select
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import errors, generators, pq, waiting
from psycopg.pq.abc import PGconn, PGresult

from servers._steps import Step, Wait

from . import Away, Database, Item
from .pool import Pool, Slot

Found = TypeVar("Found")
Row = tuple[bytes | None, ...]

_TABLE_LOCK = 0x5E_BE_4C  # two who create a table at once can collide, even IF NOT EXISTS
_TABLE = (
    b"BEGIN; SELECT pg_advisory_xact_lock(%d); SET LOCAL client_min_messages = warning;"
    b'CREATE TABLE IF NOT EXISTS items (id text COLLATE "C" PRIMARY KEY, name text NOT NULL, quantity bigint NOT NULL); COMMIT'
) % _TABLE_LOCK
_SETTINGS = b"SET client_encoding = 'UTF8'; SET synchronous_commit = %b"
_FIND = b"SELECT name, quantity FROM items WHERE id = $1"
_PAGE = b"SELECT id, name, quantity FROM items WHERE id > $1 ORDER BY id LIMIT $2"
_INSERT = b"INSERT INTO items (id, name, quantity) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_UPDATE = b"UPDATE items SET name = $1, quantity = $2 WHERE id = $3 AND name = $4 AND quantity = $5"
_DELETE = b"DELETE FROM items WHERE id = $1 AND name = $2 AND quantity = $3"
_GOOD = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class PostgreSQL:
    """See Store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool: Pool[_Connection] = Pool(database.pool, database.patience_s)
        self._table_made = False

    def find(self, key: str) -> Generator[Step, Any, Item | None]:
        """See Store."""
        result = yield from self._run(_FIND, key)
        return _item(result, 0, 0) if result.ntuples else None

    def page(self, after: str, most: int) -> Generator[Step, Any, list[tuple[str, Item]]]:
        """See Store."""
        result = yield from self._run(_PAGE, after, most)
        return [(_text(result, row, 0), _item(result, row, 1)) for row in range(result.ntuples)]

    def replace(self, key: str, old: Item | None, new: Item | None) -> Generator[Step, Any, bool]:
        """See Store."""
        if old is None:
            assert new is not None
            result = yield from self._run(_INSERT, key, *new)
        elif new is None:
            result = yield from self._run(_DELETE, key, *old)
        else:
            result = yield from self._run(_UPDATE, *new, key, *old)
        return result.command_tuples == 1

    def _run(self, statement: bytes, *values: str | int) -> Generator[Step, Any, PGresult]:
        """One statement through a connection of the pool, which is not used again if it does not end well."""
        slot = yield from self._pool.take()
        good = False
        try:
            connection = yield from self._connected(slot)
            result = yield from connection.run(statement, [str(value).encode() for value in values])
            good = True
        except (psycopg.OperationalError, psycopg.InterfaceError, errors.UndefinedTable) as failure:
            self._table_made = False  # perhaps it is another database when it comes back
            raise Away(f"PostgreSQL: {str(failure).strip()}") from failure
        finally:
            if not good:
                slot.discard()
            self._pool.give(slot)
        return result

    def _connected(self, slot: "Slot[_Connection]") -> "Generator[Step, Any, _Connection]":
        if slot.connection is not None and slot.connection.ended:
            slot.discard()
        if slot.connection is None:
            patience_s = self._database.patience_s
            end_s = time.monotonic() + patience_s
            pgconn: PGconn = yield from _waiting(generators.connect(self._database.url), -1, end_s)
            slot.connection = _Connection(pgconn, patience_s)
            yield from slot.connection.command(_SETTINGS % (b"on" if self._database.full else b"off"))
            if not self._table_made:
                yield from slot.connection.command(_TABLE)
                self._table_made = True
        return slot.connection


class _Connection:
    """A connection to PostgreSQL and what has been prepared there."""

    def __init__(self, pgconn: PGconn, patience_s: float) -> None:
        self._pgconn = pgconn
        self._patience_s = patience_s
        self._prepared: dict[bytes, bytes] = {}

    @property
    def ended(self) -> bool:
        """PostgreSQL says nothing of its own accord, but for its farewell: something to read is the end."""
        look = select.poll()
        look.register(self._pgconn.socket, select.POLLIN)
        return bool(look.poll(0))

    def run(self, statement: bytes, values: list[bytes]) -> Generator[Step, Any, PGresult]:
        """One prepared statement. Raises psycopg.Error and Away."""
        name = self._prepared.get(statement)
        if name is None:
            name = b"s%d" % len(self._prepared)
            self._pgconn.send_prepare(name, statement)
            yield from self._results()
            self._prepared[statement] = name
        self._pgconn.send_query_prepared(name, values)
        return (yield from self._results())

    def command(self, text: bytes) -> Generator[Step, Any, PGresult]:
        """Statements without values. Raises as `run` does."""
        self._pgconn.send_query(text)
        return (yield from self._results())

    def close(self) -> None:
        """See Closable."""
        self._pgconn.finish()

    def _results(self) -> Generator[Step, Any, PGresult]:
        end_s = time.monotonic() + self._patience_s
        results: list[PGresult] = yield from _waiting(generators.execute(self._pgconn), self._pgconn.socket, end_s)
        for result in results:
            if result.status not in _GOOD:
                raise errors.error_from_result(result)
        return results[-1]


def _waiting(generator: Generator[Any, Any, Found], descriptor: int, end_s: float) -> Generator[Step, Any, Found]:
    """Run one of psycopg's generators by Wait steps, until `end_s` of the monotonic clock; then it raises Away.

    Those that connect say with each wait which descriptor it is for, as that may change; the others wait for `descriptor`.
    """
    try:
        wanted = next(generator)
        while True:
            if isinstance(wanted, tuple):
                descriptor, wanted = wanted
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise Away("PostgreSQL takes too long")
            readable, writable = yield Wait(
                (descriptor,) if wanted & waiting.WAIT_R else (), (descriptor,) if wanted & waiting.WAIT_W else (), left_s
            )
            ready = (waiting.READY_R if readable else 0) | (waiting.READY_W if writable else 0)
            if ready:
                wanted = generator.send(ready)
    except StopIteration as stop:
        found: Found = stop.value
        return found


def _text(result: PGresult, row: int, column: int) -> str:
    value = result.get_value(row, column)
    assert value is not None
    return value.decode()


def _item(result: PGresult, row: int, column: int) -> Item:
    return Item(_text(result, row, column), int(_text(result, row, column + 1)))
