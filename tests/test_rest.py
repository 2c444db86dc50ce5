"""Items over HTTP, by hand: a store in memory or a file, no server; what RFC 9110 asks, and what happens when it is away."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from servers._steps import Offload, Step
from servers.conversations.messages import Request, Response
from servers.conversations.rest import Items, tag
from servers.conversations.stores import Away, Database, Item, Unusable, opener

BOLT = b'{"name": "bolt", "quantity": 3}\n'
NUT = b'{"name": "nut", "quantity": 0}\n'
TAG = tag(BOLT)


class Memory:
    """A store; `meddle` puts items there between a look and the write that follows."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.meddle: list[Item | None] = []
        self.away = False

    def find(self, key: str) -> Generator[Step, Any, Item | None]:
        yield from ()
        if self.away:
            raise Away("it is not there")
        return self.items.get(key)

    def page(self, after: str, most: int) -> Generator[Step, Any, list[tuple[str, Item]]]:
        yield from ()
        return [(key, self.items[key]) for key in sorted(self.items) if key > after][:most]

    def replace(self, key: str, old: Item | None, new: Item | None) -> Generator[Step, Any, bool]:
        yield from ()
        if self.meddle:
            self._set(key, self.meddle.pop(0))
        if self.items.get(key) != old:
            return False
        self._set(key, new)
        return True

    def _set(self, key: str, item: Item | None) -> None:
        self.items.pop(key, None)
        if item is not None:
            self.items[key] = item


def run(answer: Any) -> Any:
    """Let a handler run to its answer; what it offloads is done here."""
    if not isinstance(answer, Generator):
        return answer
    try:
        step = next(answer)
        while True:
            assert isinstance(step, Offload)
            try:
                found = step.function()
            except Exception as failure:
                step = answer.throw(failure)
            else:
                step = answer.send(found)
    except StopIteration as stop:
        return stop.value


class Asking:
    """The resource over a store; what it is asked, and the answer's status, fields and body."""

    def __init__(self, store: Any) -> None:
        self.items = Items(lambda: store)

    def __call__(self, method: str, target: str, body: bytes = b"", **fields: str) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
        if body:
            named.setdefault(b"content-type", b"application/json")
        request = Request(method, target.encode(), 1, named)
        request.body = body
        answer = run(self.items.respond(request))
        assert isinstance(answer, Response)
        lines = answer.head.decode().split("\r\n")
        return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:-1]), answer.body


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(params=["memory", "file"])
def ask(request: pytest.FixtureRequest, memory: Memory, tmp_path: Path) -> Asking:
    return Asking(memory if request.param == "memory" else opener(Database(f"sqlite:{tmp_path}/x.db"))())


# ---------------------------------------------------------------- what is done


def test_an_item_from_its_creation_to_its_end(ask: Asking) -> None:
    status, fields, body = ask("POST", "/items", b' { "quantity":3,"name":"bolt" }')
    assert (status, fields["ETag"], body) == (201, TAG, BOLT)
    place = fields["Location"]
    status, fields, body = ask("GET", place)
    assert (status, fields["ETag"], body) == (200, TAG, BOLT)
    assert ask("PUT", place, NUT)[::2] == (200, NUT)
    assert ask("GET", place)[::2] == (200, NUT)
    assert ask("DELETE", place)[::2] == (204, b"")
    assert ask("GET", place)[0] == ask("DELETE", place)[0] == 404


def test_put_creates_and_replaces(ask: Asking) -> None:
    assert [ask("PUT", "/items/a", body)[0] for body in (BOLT, NUT, NUT)] == [201, 200, 200]
    assert ask("GET", "/items/a")[2] == NUT


def test_put_tells_a_tag_only_of_what_was_sent_to_the_byte(ask: Asking) -> None:
    assert ask("PUT", "/items/a", BOLT)[1]["ETag"] == TAG
    assert "ETag" not in ask("PUT", "/items/a", BOLT.replace(b" ", b""))[1]


def test_the_same_content_has_the_same_tag_wherever_it_is(ask: Asking) -> None:
    ask("PUT", "/items/a", BOLT)
    ask("PUT", "/items/b", b'{"quantity":3,"name":"bolt"}')
    assert ask("GET", "/items/a")[1]["ETag"] == ask("GET", "/items/b")[1]["ETag"] == TAG
    ask("PUT", "/items/b", NUT)
    assert ask("GET", "/items/b")[1]["ETag"] != TAG


def test_pages(ask: Asking) -> None:
    names = [f"i{n:02}" for n in range(25)]
    for name in reversed(names):
        ask("PUT", f"/items/{name}", BOLT)
    seen, target = [], "/items?limit=10"
    while target:
        status, fields, body = ask("GET", target)
        assert status == 200
        seen.append([item["id"] for item in json.loads(body)["items"]])
        target = fields["Link"].partition('>; rel="next"')[0].lstrip("<") if "Link" in fields else ""
    assert seen == [names[:10], names[10:20], names[20:]]
    assert len(json.loads(ask("GET", "/items")[2])["items"]) == 20
    assert json.loads(ask("GET", "/items?after=i24")[2]) == {"items": []}


def test_ids_are_ordered_by_their_bytes(ask: Asking) -> None:
    for name in ("b", "B", "_", "-", "1", "a"):
        ask("PUT", f"/items/{name}", BOLT)
    assert [item["id"] for item in json.loads(ask("GET", "/items")[2])["items"]] == ["-", "1", "B", "_", "a", "b"]


@pytest.mark.parametrize("target", ["/items", "/items/a"])
def test_head_has_the_head_of_get(ask: Asking, target: str) -> None:
    ask("PUT", "/items/a", BOLT)
    assert ask("HEAD", target)[:2] == ask("GET", target)[:2]


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("said", "status"),
    [(TAG, 304), ("*", 304), (f"W/{TAG}", 304), (f'"x", {TAG}', 304), ('"x",W/"y"', 200), ("nonsense", 200), (TAG[1:-1], 200)],
)
def test_if_none_match_of_a_get(ask: Asking, said: str, status: int) -> None:
    ask("PUT", "/items/a", BOLT)
    answer = ask("GET", "/items/a", if_none_match=said)
    assert (answer[0], answer[1]["ETag"], answer[2]) == (status, TAG, BOLT if status == 200 else b"")


def test_a_list_has_a_tag_too(ask: Asking) -> None:
    etag = ask("GET", "/items")[1]["ETag"]
    assert ask("GET", "/items", if_none_match=etag)[0] == 304
    ask("PUT", "/items/a", BOLT)
    assert ask("GET", "/items", if_none_match=etag)[0] == 200


@pytest.mark.parametrize(
    ("said", "there", "absent"),
    [(TAG, 200, 412), ("*", 200, 412), (f"W/{TAG}", 412, 412), ('"x"', 412, 412), (f'"a,b" , {TAG}', 200, 412)],
)
def test_if_match_of_a_put(ask: Asking, said: str, there: int, absent: int) -> None:
    assert ask("PUT", "/items/a", NUT, if_match=said)[0] == absent
    assert ask("GET", "/items/a")[0] == 404
    ask("PUT", "/items/a", BOLT)
    assert ask("PUT", "/items/a", NUT, if_match=said)[0] == there
    assert ask("GET", "/items/a")[2] == (NUT if there == 200 else BOLT)


@pytest.mark.parametrize(("said", "there"), [("*", 412), (TAG, 412), ('"x"', 200)])
def test_if_none_match_of_a_put(ask: Asking, said: str, there: int) -> None:
    assert ask("PUT", "/items/a", BOLT, if_none_match=said)[0] == 201
    assert ask("PUT", "/items/a", NUT, if_none_match=said)[0] == there


def test_conditions_of_a_delete_and_of_a_get(ask: Asking) -> None:
    assert ask("DELETE", "/items/a", if_match=TAG)[0] == 404  # RFC 9110, 13.2.1
    ask("PUT", "/items/a", BOLT)
    assert ask("GET", "/items/a", if_match='"x"')[0] == ask("DELETE", "/items/a", if_match='"x"')[0] == 412
    assert ask("GET", "/items/a", if_match=TAG)[0] == 200
    assert ask("DELETE", "/items/a", if_match=TAG)[0] == 204


def test_conditions_of_a_post_are_about_the_collection(ask: Asking) -> None:
    assert ask("POST", "/items", BOLT, if_match=TAG)[0] == ask("POST", "/items", BOLT, if_none_match="*")[0] == 412
    assert ask("POST", "/items", BOLT, if_match="*")[0] == 201


def test_a_condition_is_looked_at_again_when_somebody_else_was_faster(memory: Memory) -> None:
    ask = Asking(memory)
    ask("PUT", "/items/a", BOLT)
    memory.meddle = [Item("other", 1)]
    assert ask("PUT", "/items/a", NUT, if_match=TAG)[0] == 412
    assert memory.items["a"] == Item("other", 1)
    memory.meddle = [Item("another", 1), Item("a third", 1)]
    assert ask("PUT", "/items/a", NUT)[0] == 200
    memory.meddle = [None]
    assert ask("DELETE", "/items/a")[0] == 404
    memory.meddle = [Item(str(n), n) for n in range(1000)]
    assert ask("PUT", "/items/a", NUT)[0] == 503


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "fields", "status"),
    [
        (BOLT, {"content_type": "text/plain"}, 415),
        (BOLT, {"content_type": ""}, 415),
        (BOLT, {"content_encoding": "gzip"}, 415),
        (BOLT, {"content_range": "bytes 0-1/2"}, 400),
        (b" " * 20_000, {}, 413),
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 10_000, {}, 400),
        (b'{"name": "a", "quantity": ' + b"9" * 5000 + b"}", {}, 400),
        *(
            (body, {}, 422)
            for body in (
                b"[]", b"1", b"{}", b'{"name": "a"}', b'{"name": "a", "quantity": 1, "x": 1}', b'{"name": "", "quantity": 1}',
                b'{"name": 1, "quantity": 1}', b'{"name": "a\\u0000", "quantity": 1}', b'{"name": "\\ud800", "quantity": 1}',
                b'{"name": "a", "quantity": true}', b'{"name": "a", "quantity": 1.0}', b'{"name": "a", "quantity": -1}',
                b'{"name": "a", "quantity": 9007199254740992}', b'{"name": "a", "quantity": NaN}',
                b'{"name": "' + b"a" * 201 + b'", "quantity": 1}',
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_item(memory: Memory, body: bytes, fields: dict[str, str], status: int) -> None:
    for method, target in (("PUT", "/items/a"), ("POST", "/items")):
        found, _, said = Asking(memory)(method, target, body, **fields)
        assert (found, json.loads(said)["status"]) == (status, status)
    assert memory.items == {}


@pytest.mark.parametrize("name", ["a", "ß" * 200, "\\ud83d\\ude00", '\\"', "%00", "'; DROP TABLE items; --"])
def test_names_come_back_as_they_were(ask: Asking, name: str) -> None:
    body = f'{{"name": "{name}", "quantity": 9007199254740991}}'.encode()
    assert ask("PUT", "/items/a", body, content_type="Application/JSON; charset=utf-8")[0] == 201
    assert json.loads(ask("GET", "/items/a")[2]) == json.loads(body)


@pytest.mark.parametrize("target", ["/items/", "/items/a/b", "/items/" + "a" * 65, "/items/%20", "/items/a%0a", "/items/ä"])
def test_ids_that_nobody_can_have(memory: Memory, target: str) -> None:
    assert Asking(memory)("PUT", target, BOLT)[0] == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=%C2%B2", "after=%00", "after=a/b"])
def test_queries_that_make_no_sense(memory: Memory, query: str) -> None:
    assert Asking(memory)("GET", f"/items?{query}")[0] == 400


@pytest.mark.parametrize(
    ("target", "method", "allow"),
    [("/items", "DELETE", "GET, HEAD, OPTIONS, POST"), ("/items/a", "POST", "DELETE, GET, HEAD, OPTIONS, PUT")],
)
def test_other_methods(memory: Memory, target: str, method: str, allow: str) -> None:
    status, fields, _ = Asking(memory)(method, target, BOLT)
    assert (status, fields["Allow"]) == (405, allow)
    status, fields, _ = Asking(memory)("OPTIONS", target)
    assert (status, fields["Allow"]) == (200, allow)


# ---------------------------------------------------------------- when the database is away


def test_away_is_503_and_no_longer_than_it_is(memory: Memory) -> None:
    ask = Asking(memory)
    memory.away = True
    status, fields, body = ask("GET", "/items/a")
    assert (status, fields["Retry-After"], json.loads(body)["detail"]) == (503, "1", "it is not there")
    memory.away = False
    assert ask("GET", "/items/a")[0] == 404


@pytest.mark.parametrize("pool", [4, 0])
def test_a_file_that_cannot_be_is_503_until_it_can(tmp_path: Path, pool: int) -> None:
    ask = Asking(opener(Database(f"sqlite:{tmp_path}/folder/x.db", pool))())
    assert ask("PUT", "/items/a", BOLT)[0] == ask("GET", "/items/a")[0] == 503
    (tmp_path / "folder").mkdir()
    assert ask("PUT", "/items/a", BOLT)[0] == 201
    assert ask("GET", "/items/a")[0] == 200


@pytest.mark.parametrize("pool", [4, 0])
def test_a_file_that_is_taken_away_is_503_until_it_is_back(tmp_path: Path, pool: int) -> None:
    path = tmp_path / "x.db"
    ask = Asking(opener(Database(f"sqlite:{path}", pool))())
    assert ask("PUT", "/items/a", BOLT)[0] == 201
    for suffix in ("", "-wal", "-shm"):
        if Path(f"{path}{suffix}").exists():
            Path(f"{path}{suffix}").rename(f"{tmp_path}/away.db{suffix}")
    assert ask("PUT", "/items/b", BOLT)[0] == ask("GET", "/items/a")[0] == 503
    assert not path.exists()
    for suffix in ("", "-wal", "-shm"):
        if (away := Path(f"{tmp_path}/away.db{suffix}")).exists():
            away.rename(f"{path}{suffix}")
    assert ask("GET", "/items/a")[0] == 200
    assert ask("PUT", "/items/b", BOLT)[0] == 201


def test_a_forked_child_opens_its_own_and_leaves_its_parents_alone() -> None:
    opened: list[Memory] = []

    def open_store() -> Memory:
        opened.append(Memory())
        return opened[-1]

    items = Items(open_store)
    first = items.store
    if (child := os.fork()) == 0:
        os._exit(0 if items.store is not first and len(opened) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert items.store is first


def test_a_file_that_is_no_database_is_503(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"something else entirely " * 100)
    assert Asking(opener(Database(f"sqlite:{tmp_path}/x.db"))())("GET", "/items/a")[0] == 503


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql://x", "items.db"])
def test_urls_of_no_store(url: str) -> None:
    with pytest.raises(Unusable, match="neither sqlite:PATH nor postgresql"):
        opener(Database(url))
