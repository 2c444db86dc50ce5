"""What a scenario is made of: requests, levels, what is measured, and what theory says of it beforehand.

Read this to write a scenario: a file of `benchmarks.scenarios` is a docstring and a `Scenario`, or several of them by name.
Everything is plain data, as in `nouns`: it is kept in run.json with the run.
"""

from dataclasses import dataclass
from typing import Literal

Loop = Literal["closed", "open"]
Arrivals = Literal["constant", "poisson", "onoff"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a scenario sends, and what every model must answer, byte for byte.

    Of several in a mix each has its `weight`, and those of one `label` are measured together.
    """

    path: str
    method: str = "GET"
    body: bytes = b""
    expect_status: int = 200
    expect_body: bytes | None = None  # None: the first answer sets it, and verify compares it between models
    body_bytes: int = 0  # instead of `body`: so many bytes, counting 0 to 255 over and over
    fields: tuple[tuple[str, str], ...] = ()  # further header fields
    also_status: int = 0  # another status that is right
    any_body: bool = False  # each answer differs: its status and framing are checked, not its bytes
    weight: float = 1.0
    label: str = ""

    @property
    def wait_s(self) -> float:
        """How long its handler waits by its own words, whatever the model; 0 where it says nothing of waiting."""
        route, _, milliseconds = self.path.removeprefix("/").partition("/")
        return int(milliseconds) / 1e3 if route in ("wait", "block") and milliseconds.isdecimal() else 0.0

    @property
    def payload(self) -> bytes:
        """The body that is sent."""
        return self.body or (bytes(range(256)) * (self.body_bytes // 256 + 1))[: self.body_bytes]


@dataclass(frozen=True, slots=True)
class Beside:
    """Connections beside the load, in no histogram: silent ones that have been served once, or slow ones.

    "slow requests" send their request a piece at a time, "slow readers" take their answer so; a piece each `every_s`.
    """

    kind: Literal["idle", "slow requests", "slow readers"]
    count: int
    path: str = "/hello"
    piece_bytes: int = 1
    every_s: float = 0.1

    @property
    def label(self) -> str:
        """As part of a level's name: "5000 idle"."""
        return f"{self.count} {self.kind}"


@dataclass(frozen=True, slots=True)
class Level:
    """One load: so many connections in a closed loop, or an offered rate in an open one.

    An open level has either `share` (of the model's own peak, found in the closed levels of the same visit) or `rate_per_s`
    (the same for all models). `connections` is what the scenario asks; an open level is given no more of them than the
    model's declared slots. `then_share`: halfway through the window the offered rate falls to this share.
    """

    loop: Loop
    connections: int
    share: float | None = None
    rate_per_s: float | None = None
    keepalive: bool = True  # False: a new connection for each request
    round: int = 0  # of a load that is made several times, each on new connections: which one, from 1
    arrivals: Arrivals = "poisson"
    then_share: float | None = None
    beside: Beside | None = None

    @property
    def label(self) -> str:
        """The level's name, unique in its scenario: "closed 64", "open 50%", "open 5000/s, 100 idle"."""
        if self.loop == "closed":
            name = f"closed {self.connections}"
        elif self.share is not None:
            name = f"open {self.share:.0%}"
        else:
            name = f"open {self.rate_per_s:.0f}/s"
        if self.then_share is not None:
            name += f" then {self.then_share:.0%}"
        parts = [name]
        if not self.keepalive:
            parts.append("new connections")
        if self.arrivals == "onoff":
            parts.append("in bursts")
        if self.beside is not None:
            parts.append(self.beside.label)
        if self.round:
            parts.append(f"round {self.round}")
        return ", ".join(parts)


Quantity = Literal[
    "rate",  # goodput, requests a second
    "answered",  # the share of the requests that were due that was answered; none counts as half a request, for its logarithm
    "mean", "p50", "p90", "p99",  # response time in ns, those unanswered with their age
    "connect p50",  # of opening a connection, ns
    "cpu",  # the server's CPU time of a request, ns
    "switches", "faults",  # context switches and minor page faults of a request
    "memory",  # unshared memory of all its processes (USS), bytes
    "held memory",  # of one connection beside the load: by how much memory and socket buffers grow with it, bytes
    "threads",
    "descriptors",
    "recovery",  # after the fall of the offered rate: until hardly a request is slow any more, ns
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that each visit has.

    It is of one level, by its label; without one, of the closed level with the model's highest goodput. `label`: of those
    requests alone. With `by` it is divided by that metric of the same visit.
    """

    quantity: Quantity
    level: str = ""
    label: str = ""
    by: "Metric | None" = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What a scenario ranks by, or shows beside it: a metric and what it is called."""

    title: str  # a column's heading: "p99 of hello among work"
    metric: Metric
    better: Literal["more", "less"] = "more"
    short: str = ""  # for the matrix, where there is room for a word or two


@dataclass(frozen=True, slots=True)
class Prediction:
    """What theory says of some models before anything is measured, as bounds of a metric.

    With `of` the metric is by that model's in the same block. None leaves a side open.
    """

    family: str
    models: tuple[str, ...]
    says: str
    source: str
    metric: Metric
    least: float | None = None
    most: float | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question: requests, and the levels at which they are asked."""

    request: Request
    closed: tuple[int, ...]  # connections
    open_shares: tuple[float, ...] = ()  # of the model's own peak
    open_rates_per_s: tuple[float, ...] = ()  # the same for all
    open_connections: int = 64
    wait_s: float = 0.0  # time a request spends waiting whatever the model: the lower bound of any answer
    extra_visits: int = 0  # beyond the profile's, where differences are small
    question: str = ""  # the title of its charts; the caption of the catalogue if empty
    mix: tuple[Request, ...] = ()  # instead of the one request, which is then the one to warm up with
    churn: bool = False  # each closed level a second time, with a new connection for each request
    beside: tuple[Beside, ...] = ()  # the common rates again with each of these connections beside them
    burst_shares: tuple[float, ...] = ()  # of the peak, arriving in bursts
    on_s: float = 0.05  # of a burst,
    off_s: float = 0.05  # and from one to the next
    recovery: tuple[float, float] | None = None  # a level whose rate falls from this share to that
    rounds: int = 0  # the closed levels so often, each on new connections, and no warm-up before the first
    patience_s: float | None = None  # after which clients give up; None: they wait as long as the level does
    longer: float = 1.0  # windows of so many times the profile's length
    settings: tuple[str, ...] = ()  # options of the server, the same for all models
    environment: tuple[tuple[str, str], ...] = ()  # variables of its environment
    brief: bool = False  # part of the short profiles,
    brief_closed: tuple[int, ...] = ()  # with these levels alone
    brief_shares: tuple[float, ...] = ()
    prepare: tuple[Request, ...] = ()  # sent once to a fresh server, before anything else
    measures: tuple[Measure, ...] = ()  # the first one ranks; none: by the highest goodput
    predictions: tuple[Prediction, ...] = ()
    least_s: float = 0.0  # no window is shorter

    @property
    def waits_s(self) -> tuple[float, ...]:
        """How long its requests wait by their own words."""
        return tuple(request.wait_s for request in self.mix or (self.request,))
