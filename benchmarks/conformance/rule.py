"""What a server must do: a rule, how it is tested, and what came of the test.

A rule is tested by a script, bytes to send and answers to await in turn, or by a function that does what it likes to a running
server and raises Broken. Its strength says who may break it: RFC 2119's "must" and "should" hold for any server, "ours" is a
promise of this project where the standard leaves a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from benchmarks.conformance.subjects import Running

Strength = Literal["must", "should", "ours"]
# What becomes of a connection: it serves another request; the server closes it by itself; nothing more is served on it, though
# the server may wait for the client to close; another request is served or it is closed, nothing else; nobody looks.
Ending = Literal["open", "closed", "over", "sound", "either"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it must be. `body` is asked of 2xx only; `fields` are (name, regular expression of the whole value)."""

    statuses: tuple[int, ...]
    body: bytes | None = None
    fields: tuple[tuple[str, str], ...] = ()
    lacks: tuple[str, ...] = ()  # names of fields that must not be there
    to_head: bool = False  # the request was a HEAD: there is no body, whatever the length says


@dataclass(frozen=True, slots=True)
class HalfClose:
    """In a script: the client says that it sends no more, and goes on reading."""


Script = tuple[bytes | Answer | HalfClose, ...]


class Broken(Exception):
    """A rule is broken. `saw` says how, in words; `sent` and `received` are the bytes on the wire, as far as they tell."""

    def __init__(self, saw: str, sent: bytes = b"", received: bytes = b"") -> None:
        super().__init__(saw)
        self.saw, self.sent, self.received = saw, sent, received


class Unfit(Exception):
    """A rule can't be tested on this server or machine; the message says why. That is neither kept nor broken."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a rule wants of a server, None: its default. Times in seconds. A server without such an option ignores it."""

    head_s: float | None = None  # for the whole head, from its first byte
    body_s: float | None = None  # between two reads of a body
    idle_s: float | None = None  # between requests
    send_s: float | None = None  # in which a client must take some of a response
    linger_s: float | None = None  # after a stop until idle connections are closed
    drain_s: float | None = None  # after a stop until all connections are
    keepalive_requests: int | None = None
    connections: int | None = None
    workers: int | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Servers are shared by the rules that ask for the same `settings`, but for `alone`: those stop their server or hurt it, and
    get a fresh one. Rules that are `slow` wait for deadlines; several of them are tested at the same time.
    """

    name: str  # unique: "host-missing"
    says: str  # what a server must do, a sentence
    source: str  # "RFC 9112, 3.2"
    strength: Strength
    test: Script | Callable[[Running], None]
    ends: Ending = "either"  # of a script: what becomes of the connection
    settings: Settings = field(default_factory=Settings)
    alone: bool = False
    slow: bool = False
    models: tuple[str, ...] = ()  # patterns of the names of those it is about ("prefork*"); (): all

    def is_about(self, name: str) -> bool:
        """Whether it is asked of the server of this name."""
        return not self.models or any(fnmatchcase(name, pattern) for pattern in self.models)


Verdict = Literal["kept", "broken", "unfit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one rule: in words, and the bytes of the exchange, escaped as Python writes them."""

    rule: str
    verdict: Verdict
    strength: Strength
    says: str
    source: str
    saw: str = ""
    sent: str = ""
    received: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all rules that were asked of one server."""

    subject: str
    parts: list[str]
    outcomes: list[Outcome]
    seconds: float
    ours: bool = True  # one of the project's models
    not_started: str = ""  # why it could not be started with some rule's settings

    @property
    def broken(self) -> list[Outcome]:
        """The broken rules, must before should before ours."""
        order: Sequence[Strength] = ("must", "should", "ours")
        return sorted((o for o in self.outcomes if o.verdict == "broken"), key=lambda o: order.index(o.strength))
