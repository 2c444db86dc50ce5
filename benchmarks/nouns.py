"""The nouns: the frozen records that the stages hand to each other and keep in files.

Left of the wall (plan, launch, verify, load, sample) a stage makes these from live servers; what is made of them right of it
(analyse, plot, report) is in `summaries`. Everything is plain data: it goes to JSON and comes back through msgspec, which
checks every type on the way in. Units are the last word of a name; times are integers of nanoseconds unless the name says
otherwise; a rate is per second.

What a scenario is made of, requests, levels, measures and predictions, is in `questions`. The words are those of DESIGN: in a
*replicate* every model of the run is started afresh and all are alive together; a *trial* is what one of these servers did in
one scenario; in a *round* each model gets one *window* at a level, in random order; a *measurement* is all windows of one level
of one trial, merged; a *cell* is model × scenario × level, over all replicates.
"""

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.questions import Level, Scenario

SCHEMA = 4  # of records, run.json and summary.json; raised by any change a reader would notice

Poll = Literal["busy", "sleep"]

_APART = "~"  # in the name of what is measured, between the model and what is different about it
_AA = f"{_APART}aa"  # the same model, started a second time in each replicate


def aa_arm(model: str) -> str:
    """The name of a model's A/A arm: the same model, started and measured a second time in each replicate."""
    return model + _AA


def is_aa_arm(name: str) -> bool:
    """Whether that is such a name."""
    return name.endswith(_AA)


BASELINE = "direct"  # how the name of a baseline goes on: a loop without the steps, which nobody would deploy


def is_baseline(name: str) -> bool:
    """Whether that is the name of one: measured with the models and never ranked among them."""
    return name.partition(_APART)[2].startswith(BASELINE)


def variant_of(model: str, what: str) -> str:
    """The name of a model with other settings: "prefork~32 workers"."""
    return f"{model}{_APART}{what}"


def served_by(name: str) -> str:
    """The model that a name stands for: of an A/A arm its original, of a variant the model it varies."""
    return name.partition(_APART)[0]


# ---------------------------------------------------------------- what there is to compare


@dataclass(frozen=True, slots=True)
class Entry:
    """One model or one scenario of the catalogue: its file's name and the first line of its docstring."""

    name: str
    caption: str


# ---------------------------------------------------------------- options of a run


@dataclass(frozen=True, slots=True)
class Variant:
    """A model with other settings, under another interpreter, from another checkout, or no model at all but a baseline."""

    settings: tuple[str, ...] = ()  # options of the server
    python: str = ""  # the interpreter; empty: the harness's own
    module: str = ""  # `python -m` this instead of a model
    scenarios: tuple[str, ...] = ()  # all that it can serve; empty: every one
    folder: str = ""  # the checkout whose server it is; empty: this one


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `servebench run` was asked for, with every default filled in."""

    name: str
    profile: str
    models: tuple[str, ...]
    scenarios: tuple[str, ...]
    replicates: int
    level_s: float  # time measured for each model at each level of each replicate, in windows of its rounds
    long_s: float  # of the one longer window of each level, for drift, starvation and the time line; 0: none
    connections: tuple[int, ...]  # overrides the scenarios' closed levels; empty: theirs
    server_cpus: tuple[int, ...]
    driver_cpus: tuple[int, ...]
    seed: int
    poll: Poll = "busy"
    aa: str = ""  # the model that is in the run twice, to measure the noise of comparing (A/A)
    precision: float | None = None  # replicates are added until every ratio's interval is within this share of its value,
    budget_s: float = 0.0  # or so much time has been spent on them
    objective: str = ""  # "p99<=20ms": instead of open levels, search the highest rate that meets it
    unchecked: bool = False  # models that break rules are measured, too; never ranked
    variants: dict[str, Variant] = field(default_factory=dict)  # by name, of those in `models` that are no plain model
    quick: bool = False  # the scenarios' quick levels
    settings: tuple[str, ...] = ()  # options of every server, beyond the scenarios'
    database: str = ""  # of scenarios that keep something; empty: a file of SQLite's
    same: float | None = None  # models within this share of each other are the same; None: by the quantity


def measured(options: RunOptions, scenario: str = "") -> tuple[str, ...]:
    """Whom each replicate of the run measures: the models, and the A/A arm if there is one; of a scenario, those that can
    serve it."""
    everybody = (*options.models, *([aa_arm(options.aa)] if options.aa else []))
    able = {name: variant.scenarios for name, variant in options.variants.items() if variant.scenarios}
    return tuple(name for name in everybody if not scenario or scenario in able.get(name, (scenario,)))


@dataclass(frozen=True, slots=True)
class Planned:
    """One scenario of one replicate, to be measured: the unit of resuming."""

    scenario: str
    replicate: int


# ---------------------------------------------------------------- what the load engine says


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of nanoseconds in the log-linear buckets of `benchmarks.histogram`, the empty buckets left out.

    A `coarse` one, of a packed run, has its values moved to the upper bounds of wider buckets.
    """

    index: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    coarse: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """What happened in each `step_ns` of the window: completions, errors, the worst response time that ended in it, and how
    many were slower than the drive's `slow_s` (empty where it has none)."""

    step_ns: int
    completed: list[int]
    errors: list[int]
    worst_ns: list[int]
    slow: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What became of the requests of one label: as in `LoadResult`, whose counts and histograms are the sums of these."""

    intended: int
    completed: int
    errors: int  # of all kinds, but for those of connections that no request was waiting for
    response: Histogram
    service: Histogram
    censored: Histogram


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the connections' time went inside the window, in connection-nanoseconds: the parts of connections × seconds."""

    completed_ns: int  # spent on requests that ended well in the window
    failed_ns: int  # on requests that failed in it
    residual_ns: int  # on requests still in flight at its end
    thinking_ns: int  # waiting between requests, think time or no arrival due
    connecting_ns: int  # opening connections and backing off after errors


@dataclass(frozen=True, slots=True)
class Crossing:
    """Little's law: requests on the wire (sent, unanswered), integrated over the window by counting them at every change, and
    what corrects the sum of the service times at the window's edges. All but `carried_in` in request-nanoseconds.

    In truth, `in_flight_ns` is the sum of `service`, less `carried_out_ns`, plus `carried_in_ns`, `unanswered_ns` and the
    ledger's `failed_ns`.
    """

    in_flight_ns: int
    carried_in: int  # requests intended before the window that were answered in it: in `completed`, in no histogram
    carried_in_ns: int  # time in the window of requests intended before it, but for those that failed in it
    carried_out_ns: int  # time after the window of requests that are in `service`
    unanswered_ns: int  # time in the window of requests intended in it that were not answered by the end of the drain


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
    waited: int  # open loop: arrivals in the window that found no free connection
    unsent: int  # open loop: arrivals in the window not yet sent at its end,
    free_at_end: int  # and how many connections were free then
    fallbacks: int  # responses that took the full parser instead of the byte comparison
    busy_fraction: float
    response: Histogram
    service: Histogram
    send_lag: Histogram
    own_lag: Histogram  # the part of the send lag since a connection was free: the engine's; without those its gaps overlap
    connect: Histogram
    censored: Histogram
    series: Series
    gaps: list[tuple[int, int]]  # (start after the window's start, length), both ns, of the engine's own pauses > 40 us
    gaps_lost: int  # gaps beyond what the list holds
    per_connection: list[int]  # completions in the window of each connection: fairness
    passed_over: list[int]  # of each connection: the most completions of all between two of its own (or an edge)
    ledger: Ledger
    crossing: Crossing
    cost: EngineCost
    server_cpu_ns: int  # of the watched processes, user and system, from edge to edge of the window
    server_user_ns: int  # the part of it in user mode (tick-sampled by the kernel, scaled to the exact total)
    all_requests: int  # answered since the counters were read before: ramp, window and drain
    kept: int = 0  # connections that were open already when the run began, from the run before
    classes: dict[str, ClassResult] = field(default_factory=dict)  # by label; empty where there is one label only
    background: dict[str, int] = field(default_factory=dict)  # open, refused, lost, served; empty where there are none


# ---------------------------------------------------------------- what a replicate leaves behind


@dataclass(frozen=True, slots=True)
class ServerCost:
    """The whole server tree's bill for the windows of one level.

    CPU covers exactly the windows. Switches and faults are counted from just before the first ramp to just after the last
    drain, so they go with `counted_requests`, not with the windows' completions. Memory, threads and descriptors are read after
    the last window while its connections are still open.
    """

    cpu_user_ns: int
    cpu_system_ns: int
    voluntary_switches: int
    involuntary_switches: int
    minor_faults: int
    counted_requests: int
    rss_bytes: int
    uss_bytes: int | None  # None where other servers were alive: a process shares pages with them
    threads: int
    processes: int
    descriptors: int
    socket_bytes: int | None = None  # of all TCP sockets of the network namespace, both ends: what the kernel keeps for them
    collections: tuple[int, ...] = ()  # garbage collections by generation; empty where nobody counted
    pause_ns: int = 0  # that they took together, from before the first ramp to after the last drain
    longest_pause_ns: int = 0
    newcomers_ns: int = 0  # of the CPU time: that of processes that came after the windows began, by their requests' share


@dataclass(frozen=True, slots=True)
class Rounds:
    """The windows of a level one by one: a list for each quantity, an entry for each window.

    Windows of one `number` were taken in the same round, next to those of the other models. A window in `dropped` is in no
    sum and in no value: other servers were busy meanwhile, or it could not be measured.
    """

    number: list[int] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)  # after the beginning of the scenario in this replicate
    seconds: list[float] = field(default_factory=list)
    completed: list[int] = field(default_factory=list)
    answered_ns: list[int] = field(default_factory=list)  # summed service times of requests intended in the window and answered
    answered: list[int] = field(default_factory=list)  # their number
    occupied_ns: list[int] = field(default_factory=list)  # connection-time in requests of connections that were served
    cpu_ns: list[int] = field(default_factory=list)  # of the server's processes
    neighbours_ns: list[int] = field(default_factory=list)  # CPU time of all other servers of the replicate meanwhile
    dropped: list[int] = field(default_factory=list)  # numbers of the rounds whose window was dropped
    before_ns: list[float] = field(default_factory=list)  # a cache line's round trip between the cores before the window,
    after_ns: list[float] = field(default_factory=list)  # and after it: the machine's state; empty where nobody looked


@dataclass(frozen=True, slots=True)
class Measurement:
    """One level of one trial: all its windows together.

    In `load` counts, times and histograms are summed over the windows; `connections` and `offered_per_s` are of each. Its
    `series`, `per_connection` and `passed_over` are those of the longest window, `long_s` seconds of it; its `gaps` are those
    of all windows, one after the other.
    """

    level: Level
    load: LoadResult
    server: ServerCost
    rounds: Rounds
    windows: int = 1  # how many are merged in `load`
    long_s: float = 0.0  # the length of the longest, to which series, per_connection and passed_over belong
    long_completed: int = 0  # completions in it
    opened: int = 1  # how often the connections were opened anew for a window
    delayed_acks: int | None = None  # sent by this machine from before the ramps to after the drains, as `counted_requests`
    interleaved: bool = True  # False: its windows were not taken in rounds with the other models'


@dataclass(frozen=True, slots=True)
class Outside:
    """Who used the run's CPUs while a scenario was measured: all of them together, by the time they were not idle."""

    seconds: float
    cpus: int
    busy_ns: int  # time not idle, steal left out; the kernel's resolution is 10 ms per CPU
    ours_ns: int  # CPU time of the servers and the engine, and of the harness where it had no other CPUs to run on


@dataclass(frozen=True, slots=True)
class MachineState:
    """A probe of the machine: a cache line bounced between a server's core and a driver's, and a pure-Python loop."""

    pingpong_ns: float | None  # one round trip; None with a single core
    python_ns: float  # one turn of the loop


@dataclass(frozen=True, slots=True)
class Warmup:
    """How the server was brought to its steady pace: short loads, each on new connections."""

    seconds: float
    rates_per_s: list[float]  # of each load
    steady: bool
    round_s: float = 0.0  # the length of a load, without the time for its last answers; 0: not recorded


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The ready line, and what it took to get it."""

    pid: int
    port: int
    max_connections: int
    command: list[str]
    ready_s: float  # from start to ready line
    stop_s: float | None  # from SIGTERM to exit; None when it had to be killed, or is still alive
    exit_status: int | None
    keepalive_requests: int = 0  # declared: after so many a connection is closed; 0: never for that reason
    keepalive_idle_s: float = 0.0  # declared: a connection silent for so long is closed
    stderr: str = ""  # the end of what it said there; a healthy server says nothing
    environment: dict[str, str] = field(default_factory=dict)  # variables it was given on top of the harness's own
    given: dict[str, int] = field(default_factory=dict)  # declared: how many workers and threads it has; empty: not said


@dataclass(frozen=True, slots=True)
class Failure:
    """A trial that failed, as a failure: which stage, what was said, and the end of the server's stderr."""

    stage: str
    message: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One server in one scenario of one replicate."""

    model: str
    server: ServerFacts | None
    digest: str  # of the verified answer, Date left out; equal for all models
    warmup: Warmup | None
    peak_per_s: float  # what shares are of: the median closed rate of this trial; 0.0 where nothing was asked in shares
    measurements: list[Measurement]
    probes: list[Measurement]  # of the search for the highest rate that meets the run's objective, in the order made
    failure: Failure | None
    broken_rules: list[str] = field(default_factory=list)  # that the model was found to break before the run, and how


@dataclass(frozen=True, slots=True)
class ReplicateRecord:
    """One scenario of one replicate, one file: the trials of all models."""

    schema: int
    scenario: str
    replicate: int  # from 0
    started_at: str  # ISO 8601, UTC
    seconds: float  # wall time
    before: MachineState | None
    after: MachineState | None
    outside: Outside | None
    trials: list[Trial]
    together: bool = True  # False: one server alive at a time
    packed: bool = False  # whether histograms are coarse


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
