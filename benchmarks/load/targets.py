"""What a load is: what to send and what must come back, who else is connected, and how requests are made to come."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.nouns import Poll
from benchmarks.questions import Arrivals


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to send, and what must come back. `body` None: any body of the right length will do."""

    request: bytes
    expect_status: int = 200
    body: bytes | None = None
    bodiless: bool = False  # the answer to HEAD
    weight: float = 1.0  # of several, how often it is drawn
    label: str = ""  # exchanges with the same one are a class of requests, with histograms of their own
    also_status: int = 0  # another status that is right, with any body; 0: there is none


@dataclass(frozen=True, slots=True, init=False)
class Target:
    """Where to send what: one exchange, or several that are drawn by weight, in the same sequence for the same seed."""

    host: str  # numeric
    port: int
    exchanges: tuple[Exchange, ...]

    def __init__(
        self,
        host: str,
        port: int,
        exchanges: tuple[Exchange, ...] | bytes,
        expect_status: int = 200,
        body: bytes | None = None,
        bodiless: bool = False,
    ) -> None:
        """The exchanges; or a request and what must come back, for a target with only one."""
        if isinstance(exchanges, bytes):
            exchanges = (Exchange(exchanges, expect_status, body, bodiless),)
        for name, value in (("host", host), ("port", port), ("exchanges", exchanges)):
            object.__setattr__(self, name, value)


BackgroundKind = Literal["idle", "slow_request", "slow_read"]


@dataclass(frozen=True, slots=True)
class Background:
    """Background connections, in no histogram; see `benchmarks.load.background` for what each kind does."""

    count: int
    kind: BackgroundKind
    request: bytes = b""  # empty: the target's first
    piece_bytes: int = 1  # sent or read at a time by slow ones,
    every_s: float = 0.1  # each of them so often


@dataclass(frozen=True, slots=True)
class Drive:
    """One window of load. `rate_per_s` None is the closed loop."""

    seconds: float
    rate_per_s: float | None = None
    arrivals: Arrivals = "poisson"
    think_s: float = 0.0
    ramp_s: float = 0.0
    drain_s: float = 1.0
    timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    keepalive: bool = True
    poll: Poll = "busy"
    seed: int = 1
    on_s: float = 0.0  # arrivals "onoff": Poisson for so long, at the rate that makes the whole's mean `rate_per_s`,
    off_s: float = 0.0  # and none for so long; the window begins with an on period
    then_rate_per_s: float | None = None  # the open loop's rate
    then_at_s: float = 0.0  # from so long after the window's start
    slow_s: float = 0.0  # completions with a longer response time are counted in the series; 0: they are not
    give_up: bool = False  # open loop: arrivals that no connection is free for are dropped after `timeout_s`, as errors
    sustain: bool = False  # the load goes on in the drain, uncounted, until all requests of the window are answered
    watch: tuple[int, ...] = ()  # processes whose CPU clocks are read at the window's edges


def request_bytes(
    host: str,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    keepalive: bool = True,
    fields: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """An HTTP/1.1 request. `host` is the value of its Host field; `fields` are further ones."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields)]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    if not keepalive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body
