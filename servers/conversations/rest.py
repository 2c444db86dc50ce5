"""Items over HTTP: a resource that is created, read, replaced, deleted and listed, kept in a real database (`stores/`).

    POST   /items               201 with Location; the server chooses the id
    GET    /items?limit=&after= 200, in the order of ids, with a Link to the next page while there is one
    GET    /items/{id}          200, or 304 for If-None-Match
    PUT    /items/{id}          201 if there was none, else 200
    DELETE /items/{id}          204

An item is `{"name": "bolt", "quantity": 12}`. Its entity tag is strong and made from that: the same content has the same tag.
Writes heed If-Match and If-None-Match (412), and what was looked at for that is what is changed. Errors are JSON like all
others: 400, 404, 405, 412, 413, 415, 422, and 503 with Retry-After while the database is away.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

from servers._steps import Step

from .messages import JSON, Answer, Request, Response
from .problems import problem
from .stores import Away, Item, Store

NAME_MOST = 200  # characters
QUANTITY_MOST = 2**53 - 1  # what JSON carries unharmed everywhere (RFC 7493, 2.2)
CONTENT_MOST_BYTES = 16 * 1024
PAGE, PAGE_MOST = 20, 100  # items
TRIES = 50  # to change what others keep changing
RETRY_AFTER_S = 1

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TAG = re.compile(rb'[ \t,]*(W/)?("[!#-~\x80-\xff]*")[ \t]*(?:,|\Z)')
_JSON_TYPE = re.compile(rb"application/json[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_COLLECTION = "GET, HEAD, OPTIONS, POST"
_MEMBER = "DELETE, GET, HEAD, OPTIONS, PUT"

Asked = Generator[Step, Any, Answer]


class Items:
    """The resource and its store, which is opened when it is first used, by each process for itself."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._parents: Store | None = None
        os.register_at_fork(after_in_child=self._forget)

    def respond(self, request: Request) -> Answer | Asked:
        """Answer whatever is asked of /items or below it."""
        path, method = request.path, request.method
        if path == "/items":
            allow, handlers = _COLLECTION, {"GET": self._list, "HEAD": self._list, "POST": self._create}
        else:
            key = path.removeprefix("/items/")
            if not _ID.fullmatch(key):
                return problem(404, "an item's id has 1 to 64 letters, digits, hyphens and underscores")
            allow = _MEMBER
            handlers = {name: partial(handler, key) for name, handler in self._members.items()}
        if method == "OPTIONS":
            return Response(200, fields=[("Allow", allow)])
        if method not in handlers:
            return problem(405, f"{method} is not for this resource", [("Allow", allow)])
        return _or_away(handlers[method](request))

    @property
    def _members(self) -> dict[str, Callable[[str, Request], Asked]]:
        return {"GET": self._read, "HEAD": self._read, "PUT": self._put, "DELETE": self._delete}

    @property
    def store(self) -> Store:
        """This process's store."""
        if self._store is None:
            with self._lock:
                if self._store is None:
                    self._store = self._open_store()
        return self._store

    def _forget(self) -> None:
        """In a forked child: connections are the parent's, so they are neither used nor closed."""
        self._parents, self._lock, self._store = self._store, threading.Lock(), None

    # ------------------------------------------------------------ the collection

    def _list(self, request: Request) -> Asked:
        query = dict(parse_qsl(request.target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True))
        limit, after = query.get("limit", str(PAGE)), query.get("after", "")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= PAGE_MOST):
            return problem(400, f"limit is a whole number from 1 to {PAGE_MOST}")
        if after and not _ID.fullmatch(after):
            return problem(400, "after is the id of an item")
        found = yield from self.store.page(after, int(limit) + 1)
        shown = found[: int(limit)]
        body = {"items": [{"id": key, **item._asdict()} for key, item in shown]}
        further = [("Link", f'</items?limit={limit}&after={shown[-1][0]}>; rel="next"')] if len(found) > len(shown) else []
        return _conditional(request, json.dumps(body).encode() + b"\n", further)

    def _create(self, request: Request) -> Asked:
        item = _item(request)
        if isinstance(item, Response):
            return item
        if request.fields.get(b"if-match", b"*") != b"*" or request.fields.get(b"if-none-match") == b"*":
            return problem(412, "that is a condition on the collection, and it does not hold")
        key = f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"  # in the order of time, nearly: pages stay compact
        if not (yield from self.store.replace(key, None, item)):
            raise AssertionError(f"the id {key} was there already")
        place = f"/items/{key}"
        body = _representation(item)
        return Response(201, body, JSON, [("Location", place), ("Content-Location", place), ("ETag", tag(body))])

    # ------------------------------------------------------------ an item

    def _read(self, key: str, request: Request) -> Asked:
        item = yield from self.store.find(key)
        if item is None:
            return problem(404, f"there is no item {key}")
        return _conditional(request, _representation(item), [])

    def _put(self, key: str, request: Request) -> Asked:
        item = _item(request)
        if isinstance(item, Response):
            return item
        for _ in range(TRIES):
            old = yield from self.store.find(key)
            if refused := _precondition(request, old):
                return refused
            if old == item or (yield from self.store.replace(key, old, item)):
                # RFC 9110, 9.3.4: no validator unless what was sent is to the byte what will be shown
                body = _representation(item)
                exact = [("ETag", tag(body))] if request.body == body else []
                return Response(200 if old else 201, body, JSON, [("Content-Location", f"/items/{key}"), *exact])
        raise Away("others keep changing this item")

    def _delete(self, key: str, request: Request) -> Asked:
        for _ in range(TRIES):
            old = yield from self.store.find(key)
            if old is None:  # before any precondition: RFC 9110, 13.2.1
                return problem(404, f"there is no item {key}")
            if refused := _precondition(request, old):
                return refused
            if (yield from self.store.replace(key, old, None)):
                return Response(204)
        raise Away("others keep changing this item")


def _or_away(asked: Asked) -> Asked:
    """The answer, or that the database is away, which is nobody's fault who asks."""
    try:
        return (yield from asked)
    except Away as away:
        return problem(503, str(away), [("Retry-After", str(RETRY_AFTER_S))])


# ---------------------------------------------------------------- content


def _representation(item: Item) -> bytes:
    return json.dumps(item._asdict()).encode() + b"\n"


def tag(representation: bytes) -> str:
    """A strong entity tag: no other representation has it."""
    from hashlib import sha256  # and OpenSSL with it, 4 MiB: who asks for no items should not pay for that

    return f'"{sha256(representation).hexdigest()[:32]}"'


def _item(request: Request) -> Item | Response:
    """The item in a request's body, or why there is none."""
    fields = request.fields
    if b"content-range" in fields:
        return problem(400, "an item can be replaced only as a whole")  # RFC 9110, 14.4
    if b"content-encoding" in fields:
        return problem(415, "the content must not be encoded", [("Accept-Encoding", "identity")])  # RFC 9110, 12.5.3
    if not _JSON_TYPE.fullmatch(fields.get(b"content-type", b"")):
        return problem(415, "an item is application/json", [("Accept", JSON)])
    if len(request.body) > CONTENT_MOST_BYTES:
        return problem(413, f"an item may have {CONTENT_MOST_BYTES} bytes")
    try:
        content = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        return problem(400, "the body is not JSON")
    if wrong := _wrong(content):
        return problem(422, wrong)
    return Item(content["name"], content["quantity"])


def _wrong(content: Any) -> str:
    """What is wrong with an item that is JSON; empty if nothing."""
    if not isinstance(content, dict) or content.keys() != {"name", "quantity"}:
        return "an item is an object with the members name and quantity"
    name, quantity = content["name"], content["quantity"]
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_MOST or "\0" in name or not _is_unicode(name):
        return f"name is a string of 1 to {NAME_MOST} characters, U+0000 not among them"
    if type(quantity) is not int or not 0 <= quantity <= QUANTITY_MOST:
        return f"quantity is a whole number from 0 to {QUANTITY_MOST}"
    return ""


def _is_unicode(text: str) -> bool:
    """Whether it can be encoded: JSON can say half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ---------------------------------------------------------------- preconditions (RFC 9110, 13)


def _conditional(request: Request, representation: bytes, fields: list[tuple[str, str]]) -> Response:
    """The answer to a GET of this representation: 200, 304 or 412."""
    etag = tag(representation)
    wanted, unwanted = request.fields.get(b"if-match"), request.fields.get(b"if-none-match")
    if wanted is not None and not _among(wanted, etag, strong=True):
        return problem(412, "it is another by now", [("ETag", etag)])
    if unwanted is not None and _among(unwanted, etag, strong=False):
        return Response(304, fields=[("ETag", etag), *fields])
    return Response(200, representation, JSON, [("ETag", etag), *fields])


def _precondition(request: Request, old: Item | None) -> Response | None:
    """The answer to a write whose condition does not hold for what is there; None if nothing speaks against it."""
    etag = None if old is None else tag(_representation(old))
    wanted, unwanted = request.fields.get(b"if-match"), request.fields.get(b"if-none-match")
    if (wanted is not None and not _among(wanted, etag, strong=True)) or (
        unwanted is not None and _among(unwanted, etag, strong=False)
    ):
        return problem(412, "the item is not what the request expects", [] if etag is None else [("ETag", etag)])
    return None


def _among(said: bytes, etag: str | None, strong: bool) -> bool:
    """Whether an entity tag is in a list of them; `*` is any there is. By the strong comparison weak ones are never equal."""
    if etag is None:
        return False
    if said == b"*":
        return True
    ours: Final = etag.encode()
    at = 0
    while matched := _TAG.match(said, at):
        if matched[2] == ours and not (strong and matched[1]):
            return True
        at = matched.end()
    return False
