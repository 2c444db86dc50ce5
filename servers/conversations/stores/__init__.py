"""Where items are kept: what every store does, and which one a URL names.

A store is one more thing that is composed from the five steps. What blocks (SQLite) goes to Offload; what has a descriptor
(PostgreSQL, a pool's bell) is waited for. So each works in threads, loops and forked workers alike. A store is made in the
process that uses it, when it is first used.

A write changes an item only if it is still what it was when it was looked at (`replace`): compare and set, one statement, which
the database makes durable before it says so. Whoever comes too late looks again.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from servers._steps import Step

SQLITE = "sqlite:"
POSTGRESQL = ("postgresql://", "postgres://")


class Away(Exception):  # noqa: N818 - the database's fault, and perhaps soon over
    """The database cannot be used now. What was asked of it has perhaps happened, perhaps not."""


class Unusable(ValueError):  # noqa: N818
    """No store can be made for this URL here; the message says why."""


class Item(NamedTuple):
    """What is kept of an item, besides its id."""

    name: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Database:
    """Which database, and how it is used, by each process of the server."""

    url: str = ""  # sqlite:PATH or postgresql://…
    pool: int = 4  # connections, at most; 0: one made for each request
    full: bool = True  # what was acknowledged survives a loss of power, too
    patience_s: float = 5.0  # for a slot, for a connection, and for what is asked through it, each
    own_folder: str = ""  # of the file, if it is the server's own: made with it, and removed at the server's end


class Store(Protocol):
    """Items by id, in the order of their ids' bytes. All methods raise Away."""

    def find(self, key: str) -> Generator[Step, Any, Item | None]:
        """The item, or None."""

    def page(self, after: str, most: int) -> Generator[Step, Any, list[tuple[str, Item]]]:
        """The first items, `most` at most, whose ids come behind `after`."""

    def replace(self, key: str, old: Item | None, new: Item | None) -> Generator[Step, Any, bool]:
        """Put `new` in the place of `old`, None being no item; False, and nothing done, if there is something else by now."""


def opener(database: Database) -> Callable[[], Store]:
    """What makes the store of a process. Raises Unusable."""
    if database.url.startswith(SQLITE) and len(database.url) > len(SQLITE):
        path = database.url.removeprefix(SQLITE)

        def sqlite() -> Store:
            from .sqlite import SQLite  # when first used: nobody else should pay for its memory

            return SQLite(path, database)

        return sqlite
    if database.url.startswith(POSTGRESQL):
        try:
            from .postgresql import PostgreSQL
        except ImportError as missing:
            raise Unusable(f"a postgresql database needs psycopg: pip install 'psycopg[binary]' ({missing})") from None
        return lambda: PostgreSQL(database)
    raise Unusable(f"the database {database.url!r} is neither sqlite:PATH nor postgresql://…")
