"""What is left of the differences behind a real database? Read, conditional read, write, create, delete, list.

The resource is kept in SQLite (write-ahead log, one writer at a time, `synchronous=full`) or, with `--database postgresql://…`,
in PostgreSQL. `rest-pool1` has one connection to it instead of four, `rest-nopool` opens one for
each request: what does pooling buy?

Theory: a write that is acknowledged has been synchronised to the disk, which takes far longer than any model's own share, so
the models lie closer together than in `hello`. SQLite lets one writer in at a time, whoever asks. A connection for each request
costs its opening: for SQLite reading the schema, for PostgreSQL a process.
"""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario
from benchmarks.scenarios._families import LOOPS, THREADS

KEPT = 8  # items that are there from the beginning
JSON = (("Content-Type", "application/json"),)


def item(number: int) -> bytes:
    """An item's representation: always the same for its number, and so is its entity tag."""
    return b'{"name": "item %d", "quantity": %d}' % (number, number)


def put(number: int, weight: float = 1.0, status: int = 200) -> Request:
    """Replace one."""
    return Request(
        f"/items/z{number}",
        "PUT",
        item(number),
        fields=JSON,
        expect_status=status,
        also_status=200,
        weight=weight,
        label="write",
    )


PREPARE = tuple(put(number, status=201) for number in range(1, KEPT + 1))
MIX = (
    *(Request(f"/items/z{number}", weight=0.45 / KEPT, label="read") for number in range(1, KEPT + 1)),
    Request("/items/z1", fields=(("If-None-Match", "*"),), expect_status=304, weight=0.1, label="read"),
    Request("/items?limit=5&after=z", weight=0.1, label="list"),  # ids that the server chooses come before z
    *(put(number, 0.2 / KEPT) for number in range(1, KEPT + 1)),
    Request("/items", "POST", item(0), fields=JSON, expect_status=201, any_body=True, weight=0.05, label="write"),
    Request("/items/now", "PUT", item(9), fields=JSON, expect_status=201, also_status=200, weight=0.05, label="write"),  # comes
    Request("/items/now", "DELETE", expect_status=204, also_status=404, any_body=True, weight=0.05, label="write"),  # and goes
)


def pooled(settings: tuple[str, ...], short: str, open_shares: tuple[float, ...] = ()) -> Scenario:
    """The same mix over so many connections to the database."""
    kinds = ("read", "write") if open_shares else ()
    return Scenario(
        request=Request("/items/z1"),
        mix=MIX,
        prepare=PREPARE,
        closed=(16,),
        open_shares=open_shares,
        open_connections=64,
        window_s=0.15,
        settings=settings,
        question="What is left behind a real database?",
        measures=(
            Measure("operations at 16 connections", Metric("rate", "closed 16"), short=short),
            *(Measure(f"p90 of {kind}s at half load", Metric("p90", "open 50%", kind), "less") for kind in kinds),
        ),
        predictions=(
            Prediction(
                "loops and threads",
                (*LOOPS, *THREADS),
                "The database is the larger part: at least half of epoll's rate.",
                "SQLite: https://www.sqlite.org/wal.html",
                Metric("rate", "closed 16"),
                least=0.5,
                most=2.0,
                of="epoll_loop",
            ),
        ),
    )


SCENARIOS = {
    "": pooled(("--pool", "4"), "REST", (0.5,)),
    "pool1": pooled(("--pool", "1"), "REST, pool of 1"),
    "nopool": pooled(("--pool", "none"), "REST, no pool"),
}
