"""Items in a file, by SQLite: each operation is one blocking function in Offload.

Journal mode WAL: readers and the writer do not stop each other, and a transaction is durable when its record is in the log.
With `synchronous=FULL` the log is synced before a write is acknowledged, so that what was acknowledged survives a loss of
power; with NORMAL it is synced now and then, and a loss of power may take the last of it (never the file's integrity). A
killed process loses nothing either way: what it wrote is the kernel's by then.

SQLite lets one write at a time. Within a process the writers queue up for the one connection that writes, each waiting without
a thread; those of other processes on the same file are waited for by SQLite itself (its busy timeout), in the thread that asks.

A file that is taken away does not disturb those who have it open, whose writes would be acknowledged and lost with it. So each
use looks whether it is still the same file, and once there has been one none is made in its place: it is away until it is back.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from servers._steps import Offload, Step

from . import Away, Database, Item
from .pool import Pool

Found = TypeVar("Found")

_AGAIN_S = 0.01
_TABLE = "CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, name TEXT NOT NULL, quantity INTEGER NOT NULL) WITHOUT ROWID"
_FIND = "SELECT name, quantity FROM items WHERE id = ?"
_PAGE = "SELECT id, name, quantity FROM items WHERE id > ? ORDER BY id LIMIT ?"
_INSERT = "INSERT INTO items (id, name, quantity) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_UPDATE = "UPDATE items SET name = ?, quantity = ? WHERE id = ? AND name = ? AND quantity = ?"
_DELETE = "DELETE FROM items WHERE id = ? AND name = ? AND quantity = ?"


class Connection(sqlite3.Connection):
    """A connection that knows which file it was opened with."""

    file = (0, 0)


_Pool = Pool[Connection]


class SQLite:
    """See Store."""

    def __init__(self, path: str, database: Database) -> None:
        self._path = path
        self._database = database
        self._readers: _Pool = Pool(database.pool, database.patience_s)
        self._writer: _Pool = Pool(1, database.patience_s)
        self._seen = False  # the file has been there

    def find(self, key: str) -> Generator[Step, Any, Item | None]:
        """See Store."""

        def find(connection: Connection) -> Item | None:
            row = connection.execute(_FIND, (key,)).fetchone()
            return row and Item(*row)

        return (yield from self._run(self._readers, find))

    def page(self, after: str, most: int) -> Generator[Step, Any, list[tuple[str, Item]]]:
        """See Store."""

        def page(connection: Connection) -> list[tuple[str, Item]]:
            return [(key, Item(name, quantity)) for key, name, quantity in connection.execute(_PAGE, (after, most))]

        return (yield from self._run(self._readers, page))

    def replace(self, key: str, old: Item | None, new: Item | None) -> Generator[Step, Any, bool]:
        """See Store."""
        values: tuple[str | int, ...]
        if old is None:
            assert new is not None
            statement, values = _INSERT, (key, *new)
        elif new is None:
            statement, values = _DELETE, (key, *old)
        else:
            statement, values = _UPDATE, (*new, key, *old)

        def replace(connection: Connection) -> bool:
            connection.execute("BEGIN IMMEDIATE")
            try:
                changed = connection.execute(statement, values).rowcount
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return changed == 1

        return (yield from self._run(self._writer, replace))

    def _run(self, pool: _Pool, function: Callable[[Connection], Found]) -> Generator[Step, Any, Found]:
        """Call the function with a connection, in a thread where threads are. A connection that failed is not used again."""
        slot = yield from pool.take()

        def run() -> Found:
            good = False
            try:
                if slot.connection is not None and slot.connection.file != self._file():
                    slot.discard()
                if slot.connection is None:
                    slot.connection = self._connect()
                found = function(slot.connection)
                good = self._database.pool > 0
            finally:
                if not good:
                    slot.discard()  # here and not by the pool: the last one closed writes the log back, which takes time
            return found

        try:
            found: Found = yield Offload(run)
        except sqlite3.Error as failure:
            raise Away(f"SQLite: {failure}") from failure
        except OSError as failure:
            raise Away(f"the database's file: {failure.strerror}") from failure
        finally:
            pool.give(slot)
        return found

    def _file(self) -> tuple[int, int]:
        """Which file it is, whatever it is called. Raises OSError if it is away."""
        found = os.stat(self._path)
        return found.st_dev, found.st_ino

    def _connect(self) -> Connection:
        """Blocks. Processes that begin together are in each other's way, and SQLite does not wait for all of that itself."""
        end_s = time.monotonic() + self._database.patience_s
        while True:
            try:
                return self._open()
            except sqlite3.OperationalError as failure:
                if failure.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end_s:
                    raise
            time.sleep(_AGAIN_S)

    def _open(self) -> Connection:
        if self._seen:
            self._file()
        elif self._database.own_folder:
            os.makedirs(self._database.own_folder, mode=0o700, exist_ok=True)
        connection = sqlite3.connect(
            self._path,
            timeout=self._database.patience_s,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._database.full else 'NORMAL'}")
            connection.execute(_TABLE)
            connection.file = self._file()
            self._seen = True
        except BaseException:
            connection.close()
            raise
        return connection
