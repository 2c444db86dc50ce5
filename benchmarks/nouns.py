"""The nouns: the frozen records that the stages hand to each other and keep in files.

Left of the wall (plan, launch, verify, load, sample) a stage makes these from a live server; right of it (analyse, plot,
report) a stage makes one from another and touches nothing else. Everything is plain data: it goes to JSON and comes back
through msgspec, which checks every type on the way in. Units are the last word of a name; times are integers of
nanoseconds unless the name says otherwise; a rate is per second.

The words are those of DESIGN: a *cell* is model × scenario × level; a *visit* is one fresh server process taken through all
levels of a scenario; a *window* is one level of one visit, measured; a *block* holds every model once.
"""

from dataclasses import dataclass, field
from typing import Literal

SCHEMA = 1  # of visit records, run.json and summary.json; raised by any change a reader would notice

Loop = Literal["closed", "open"]
Arrivals = Literal["constant", "poisson"]
Poll = Literal["busy", "sleep"]


# ---------------------------------------------------------------- what there is to compare


@dataclass(frozen=True, slots=True)
class Entry:
    """One model or one scenario of the catalogue: its file's name and the first line of its docstring."""

    name: str
    caption: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a scenario sends, and what every model must answer, byte for byte."""

    path: str
    method: str = "GET"
    body: bytes = b""
    expect_status: int = 200
    expect_body: bytes | None = None  # None: the first answer sets it, and verify compares it between models


@dataclass(frozen=True, slots=True)
class Level:
    """One load: so many connections in a closed loop, or an offered rate in an open one.

    An open level has either `share` (of the model's own peak, found in the closed levels of the same visit) or `rate_per_s`
    (the same for all models). `connections` is what the scenario asks; an open level is given no more of them than the
    model's declared slots.
    """

    loop: Loop
    connections: int
    share: float | None = None
    rate_per_s: float | None = None

    @property
    def label(self) -> str:
        """The level's name, unique in its scenario: "closed 64", "open 50%", "open 5000/s"."""
        if self.loop == "closed":
            return f"closed {self.connections}"
        if self.share is not None:
            return f"open {self.share:.0%}"
        return f"open {self.rate_per_s:.0f}/s"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question: a request and the levels at which it is asked."""

    request: Request
    closed: tuple[int, ...]  # connections
    open_shares: tuple[float, ...]  # of the model's own peak
    open_rates_per_s: tuple[float, ...]  # the same for all
    open_connections: int = 64
    wait_s: float = 0.0  # time a request spends waiting whatever the model: the lower bound of any answer
    extra_visits: int = 0  # beyond the profile's, where differences are small
    question: str = ""  # the title of its charts; the caption of the catalogue if empty


# ---------------------------------------------------------------- options of a run


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `servebench run` was asked for, with every default filled in."""

    name: str
    profile: str
    models: tuple[str, ...]
    scenarios: tuple[str, ...]
    visits: dict[str, int]  # scenario -> visits of each model
    closed_s: float
    open_s: float
    connections: tuple[int, ...]  # overrides the scenarios' closed levels; empty: theirs
    server_cpus: tuple[int, ...]
    driver_cpus: tuple[int, ...]
    seed: int
    requeue_budget_s: float
    poll: Poll = "busy"


@dataclass(frozen=True, slots=True)
class VisitPlan:
    """One visit to make. `number` counts the visits of this model and scenario from 0 and names the record's file."""

    model: str
    scenario: str
    block: int
    number: int
    attempt: int = 0  # 0, or which repetition of a requeued visit this is


# ---------------------------------------------------------------- what the load engine says


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of nanoseconds in the log-linear buckets of `benchmarks.histogram`, the empty buckets left out."""

    index: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """What happened in each `step_ns` of the window: completions, errors, the worst response time that ended in it."""

    step_ns: int
    completed: list[int]
    errors: list[int]
    worst_ns: list[int]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the connections' time went inside the window, in connection-nanoseconds: the parts of connections × seconds."""

    completed_ns: int  # spent on requests that ended well in the window
    failed_ns: int  # on requests that failed in it
    residual_ns: int  # on requests still in flight at its end
    thinking_ns: int  # waiting between requests, think time or no arrival due
    connecting_ns: int  # opening connections and backing off after errors


@dataclass(frozen=True, slots=True)
class EngineCost:
    """The load engine's own bill for one window, all its threads together."""

    cpu_user_ns: int
    cpu_system_ns: int
    voluntary_switches: int
    involuntary_switches: int
    minor_faults: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One window of load, as the engine saw it.

    `completed` counts valid responses that ended inside the window, `in_flight` the requests sent and unanswered at its end
    (`drained` of them were answered before the drain timeout), `unfinished` those never answered, arrivals never sent
    included. `response`, `service` and `send_lag` cover the requests *intended* inside the window, finished ones; the ages of
    the unfinished are in `censored`, and a percentile is of both together.
    """

    seconds: float
    connections: int
    offered_per_s: float | None  # open loop: what was asked
    intended: int  # arrivals due in the window (closed loop: requests begun)
    completed: int
    in_flight: int
    drained: int
    unfinished: int
    errors: dict[str, int]  # by kind; a kind that did not occur is absent
    connections_opened: int
    fallbacks: int  # responses that took the full parser instead of the byte comparison
    busy_fraction: float
    response: Histogram
    service: Histogram
    send_lag: Histogram
    connect: Histogram
    censored: Histogram
    series: Series
    gaps: list[tuple[int, int]]  # (start after the window's start, length), both ns, of the engine's own pauses > 40 us
    gaps_lost: int  # gaps beyond what the list holds
    per_connection: list[int]  # completions in the window of each connection: fairness
    ledger: Ledger
    cost: EngineCost
    server_cpu_ns: int  # of the watched processes, user and system, from edge to edge of the window
    server_user_ns: int  # the part of it in user mode (tick-sampled by the kernel, scaled to the exact total)
    all_requests: int  # answered since the counters were read before: ramp, window and drain


# ---------------------------------------------------------------- what a visit leaves behind


@dataclass(frozen=True, slots=True)
class ServerCost:
    """The whole server tree's bill for one window.

    CPU covers exactly the window. Switches and faults are counted from just before the ramp to just after the drain, so they
    go with `counted_requests`, not with the window's completions. Memory, threads and descriptors are read after the window
    while its connections are still open.
    """

    cpu_user_ns: int
    cpu_system_ns: int
    voluntary_switches: int
    involuntary_switches: int
    minor_faults: int
    counted_requests: int
    rss_bytes: int
    uss_bytes: int
    threads: int
    processes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Window:
    """One level of one visit."""

    level: Level
    load: LoadResult
    server: ServerCost


@dataclass(frozen=True, slots=True)
class Weather:
    """A probe of the machine: a cache line bounced between a server's core and a driver's, and a pure-Python loop."""

    pingpong_ns: float | None  # one round trip; None with a single core
    python_ns: float  # one turn of the loop


@dataclass(frozen=True, slots=True)
class Warmup:
    """How the server was brought to its steady pace: rounds of load, each on new connections."""

    seconds: float
    rates_per_s: list[float]  # of each round
    steady: bool


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The ready line, and what it took to get it."""

    pid: int
    port: int
    max_connections: int
    command: list[str]
    ready_s: float  # from start to ready line
    stop_s: float | None  # from SIGTERM to exit; None when it had to be killed
    exit_status: int | None
    stderr: str = ""  # the end of what it said there; a healthy server says nothing


@dataclass(frozen=True, slots=True)
class Failure:
    """A visit that failed, as a failure: which stage, what was said, and the end of the server's stderr."""

    stage: str
    message: str
    stderr: str


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """One visit, one file."""

    schema: int
    plan: VisitPlan
    started_at: str  # ISO 8601, UTC
    seconds: float  # wall time, launch and stop included
    server: ServerFacts | None
    digest: str  # of the verified answer, Date left out; equal for all models
    warmup: Warmup | None
    before: Weather | None
    after: Weather | None
    weather_changed: bool
    windows: list[Window]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """run.json: what was run, by what command, with which versions."""

    schema: int
    options: RunOptions
    command: str
    started_at: str
    versions: dict[str, str]
    scenarios: dict[str, Scenario]
    captions: dict[str, str]  # of models and scenarios


# ---------------------------------------------------------------- what analysis makes of the records


@dataclass(frozen=True, slots=True)
class Estimate:
    """A geometric mean over visits with its 95% interval; `low` and `high` are None when too few visits show the noise.

    `visits` are the values it was made of, in block order.
    """

    value: float
    low: float | None
    high: float | None
    visits: list[float]


QuantileStatus = Literal["ok", "at least", "insufficient"]


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile of the pooled visits. `value_ns` is None when `status` is "insufficient"; `why` then says why.

    `low_ns` and `high_ns` are its 95% interval, None on a side that the requests do not bound: always above an "at least".
    """

    q: float
    status: QuantileStatus
    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    why: str = ""


Severity = Literal["strike", "mark", "note"]
RankedBy = Literal["goodput", "p99", "p50", ""]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, why it matters, what to do. A struck cell is shown struck out and never ranked; a mark qualifies it."""

    check: str
    severity: Severity
    seen: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One cell: model × scenario × level, over all its usable visits."""

    model: str
    scenario: str
    level: Level
    rate_per_s: Estimate | None  # goodput; None when no visit was usable
    offered_per_s: float | None  # open loop: arrivals due, mean over visits
    errors: dict[str, int]
    error_share: float
    response: list[Quantile]  # q = 0.5, 0.9, 0.99, 0.999; from intended time
    service: list[Quantile]
    hiccup: list[Quantile]  # what the engine's own gaps alone would have cost a request at each q
    response_curve: list[tuple[float, float]]  # (q, ns), for the chart of latency by percentile; cut where insufficient
    cpu_user_us: Estimate | None  # per request
    cpu_system_us: Estimate | None
    switches_per_request: float | None
    faults_per_request: float | None
    server_busy: float | None  # CPU seconds per second per core
    engine_busy: float | None
    engine_cpu_us: float | None  # per request
    rss_bytes: int | None
    uss_bytes: int | None
    threads: int | None
    processes: int | None
    descriptors: int | None
    fairness: float | None  # Jain's index of completions per connection
    findings: list[Finding]
    rank: int | None  # among the cells of the same scenario and level; ties share it; None: not ranked
    ranked_by: RankedBy  # closed levels by goodput, common rates by response time; "": not ranked, own shares never are
    relative: Estimate | None  # paired ratio to the best of the level; None when there is nothing to pair

    @property
    def struck(self) -> bool:
        """Whether a check found its numbers unbelievable."""
        return any(finding.severity == "strike" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's place in one scenario: its peak over the closed levels."""

    model: str
    rank: int | None
    peak_per_s: Estimate | None
    peak_level: str
    relative: Estimate | None  # paired ratio to the best
    p99: Quantile | None  # response time at half its own peak
    marks: list[str]  # short words for the table: "more connections than slots from 64", "1 of 5 visits failed", …
    failed: str  # why it has no number; empty when it has
    struck: str  # why its number is not believed, and so not ranked; empty when it is


@dataclass(frozen=True, slots=True)
class ScenarioSummary:
    """One scenario: everybody's standing, best first, and one sentence.

    `spread` is the coefficient of variation from visit to visit within one weather, pooled over the models' peaks: the noise
    against which they were told apart. None when no model has two visits of one weather.
    """

    scenario: str
    caption: str
    question: str
    standings: list[Standing]
    spread: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One 100 ms step of one visit, for the picture of steadiness."""

    at_s: float
    level: str
    rate_per_s: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """One visit in time, level after level."""

    model: str
    scenario: str
    number: int
    points: list[TimelinePoint]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """summary.json: whatever a chart or a table shows is in here."""

    schema: int
    name: str
    conditions: str  # the small print of every chart: machine, cores, visits, seconds, date, command
    comparable: bool  # False when server and driver share a core
    captions: dict[str, str]
    scenarios: list[ScenarioSummary]
    cells: list[CellSummary]
    timelines: list[Timeline]
    visits_made: int
    visits_failed: int
    visits_requeued: int
    weather: list[tuple[float, Weather]]  # (seconds since the run began, probe)
    findings: list[Finding]  # about the run as a whole
