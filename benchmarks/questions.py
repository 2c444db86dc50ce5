"""What a scenario is made of: requests, levels, what is measured, and what theory says of it beforehand.

Read this to write a scenario: a file of `benchmarks.scenarios` is a docstring and a `Scenario`, or several of them by name.
Everything is plain data, as in `nouns`: it is kept in run.json with the run.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

UNIT_S = 1.7e-3  # of `/cpu`, about

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
        if route in ("wait", "block") and milliseconds.isdecimal():
            return int(milliseconds) / 1e3
        return self._asks("wait_us") / 1e6

    @property
    def work_s(self) -> float:
        """How long its handler computes, about, by its own words; 0 where it says nothing of computing."""
        route, _, units = self.path.removeprefix("/").partition("/")
        return int(units) * UNIT_S if route == "cpu" and units.isdecimal() else self._asks("cpu_us") / 1e6

    def _asks(self, what: str) -> int:
        """What the query of `/work` says, or the mean that it says; else 0."""
        route, _, query = self.path.partition("?")
        given = dict(parse_qsl(query)) if route == "/work" else {}
        return int(given.get(what) or given.get(f"mean_{what}") or 0)

    @property
    def payload(self) -> bytes:
        """The body that is sent."""
        return self.body or (bytes(range(256)) * (self.body_bytes // 256 + 1))[: self.body_bytes]


@dataclass(frozen=True, slots=True)
class Background:
    """Background connections, in no histogram: silent ones that have been served once, or slow ones.

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

    An open level has either `share` (of the model's own peak, the median of its closed rates in the same replicate) or
    `rate_per_s` (the same for all models). `connections` is what the scenario asks;
    an open level is given no more of them than the model's declared concurrency limit. `then_share`: halfway through the window
    the offered rate falls to this share.
    """

    loop: Loop
    connections: int
    share: float | None = None
    rate_per_s: float | None = None
    keepalive: bool = True  # False: a new connection for each request
    cohort: int = 0  # of a load that is made several times, each on new connections: which one, from 1
    arrivals: Arrivals = "poisson"
    then_share: float | None = None
    background: Background | None = None

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
        if self.background is not None:
            parts.append(self.background.label)
        if self.cohort:
            parts.append(f"cohort {self.cohort}")
        return ", ".join(parts)

    @property
    def beyond(self) -> bool:
        """Whether it asks for as much as can be served or more, all through or for a while: a level that is not measured in
        rounds, as what it leaves undone would be its neighbours' to bear."""
        return (self.share or 0.0) >= 1.0 or self.arrivals == "onoff" or self.then_share is not None


Quantity = Literal[
    "rate",  # goodput, requests a second
    "answered",  # the share of the requests that were due that was answered; none counts as half a request, for its logarithm
    "mean", "p50", "p90", "p99",  # response time in ns, those unanswered with their age
    "connect p50",  # of opening a connection, ns
    "cpu",  # the server's CPU time of a request, ns
    "switches", "faults",  # context switches and minor page faults of a request
    "memory",  # unshared memory of all its processes (USS), bytes
    "held memory",  # of one background connection: by how much memory and socket buffers grow with it, bytes
    "threads",
    "descriptors",
    "recovery",  # after the fall of the offered rate: until hardly a request is slow any more, ns
]  # fmt: skip


SAME, SAME_TIME = 0.03, 0.10  # models whose rates and costs, or whose response times, differ by less are the same to a user
TIMES: tuple[Quantity, ...] = ("mean", "p50", "p90", "p99", "connect p50", "recovery")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that each trial has.

    It is of one level, by its label; without one, of the closed level with the model's highest goodput. `label`: of those
    requests alone. With `by` it is divided by that metric of the same trial.
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
    same: float = 0.0  # models within this share of each other are the same; 0: 3% for rates and costs, 10% for times

    @property
    def margin(self) -> float:
        """Within which share two models are the same."""
        return self.same or (SAME_TIME if self.metric.quantity in TIMES else SAME)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What theory says of some models before anything is measured, as bounds of a metric.

    With `of` the metric is by that model's in the same replicate. None leaves a side open.
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
    all_open: bool = False  # open levels have all of these at every model, those too that it does not serve at once
    wait_s: float = 0.0  # time a request spends waiting whatever the model: the lower bound of any answer
    question: str = ""  # the title of its charts; the caption of the catalogue if empty
    mix: tuple[Request, ...] = ()  # instead of the one request, which is then the one to warm up with
    churn: bool = False  # each level a second time, with a new connection for each request
    background: tuple[Background, ...] = ()  # the common rates again with each of these background connections
    burst_rates_per_s: tuple[float, ...] = ()  # the same for all, arriving in bursts
    on_s: float = 0.05  # of a burst,
    off_s: float = 0.05  # and from one to the next
    recovery: tuple[float, float] | None = None  # a level whose rate falls from this share to that
    cohorts: int = 0  # the closed levels so often, each on new connections, and no warm-up before the first
    patience_s: float | None = None  # after which clients give up; None: they wait as long as the level does
    longer: float = 1.0  # so many times the profile's time for each level
    settings: tuple[str, ...] = ()  # options of the server, the same for all models
    environment: tuple[tuple[str, str], ...] = ()  # variables of its environment
    quick: bool = False  # part of the short profiles,
    quick_closed: tuple[int, ...] = ()  # with these levels alone
    quick_shares: tuple[float, ...] = ()
    quick_rates_per_s: tuple[float, ...] = ()
    prepare: tuple[Request, ...] = ()  # sent once to a fresh server, before anything else
    measures: tuple[Measure, ...] = ()  # the first one ranks; none: by the highest goodput
    predictions: tuple[Prediction, ...] = ()
    window_s: float = 0.0  # the length of its windows; 0: by what its requests take
    alone: str = ""  # why its models are measured one at a time, no other server alive; empty: all together, in rounds

    @property
    def asked(self) -> tuple[Request, ...]:
        """What the load consists of: the requests of the mix, or the one."""
        return self.mix or (self.request,)

    @property
    def waits_s(self) -> tuple[float, ...]:
        """How long its requests wait by their own words."""
        return tuple(request.wait_s for request in self.asked)

    @property
    def longest_s(self) -> float:
        """How long its longest request takes where nothing holds it up, by its own words."""
        return max(max(request.wait_s, request.work_s) for request in self.asked)
