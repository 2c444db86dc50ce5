"""The nouns right of the wall: what analysis makes of the records, and all that a chart or a table may show.

Frozen and plain like those of `nouns`. Whatever is in here was computed from a run's files and can be computed again.
"""

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.nouns import Weather
from benchmarks.questions import Level, Metric


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
    send_lag: list[Quantile]
    mean_response_ns: float | None  # the unfinished with their age
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
    collections_per_1000: float | None = None  # garbage collections of all generations, of 1,000 requests; None: not counted
    pause_share: float | None = None  # of the time, that the server stood still for them

    @property
    def struck(self) -> bool:
        """Whether a check found its numbers unbelievable."""
        return any(finding.severity == "strike" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Knee:
    """The load beyond which response time grows faster than throughput: where their quotient, the power, is highest."""

    level: str
    rate_per_s: float  # served there
    lowest: bool  # no measured level was below it, so the true one may be


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate at which a model meets an objective. `rate_per_s` is None when it can't be told; `why` then says why."""

    objective: str  # "p99<=20ms"
    rate_per_s: Estimate | None
    met_per_s: float | None  # the highest rate at which most probes of most visits met it
    missed_per_s: float | None  # the lowest above it at which they did not; None: the search found no end
    why: str = ""


Unit = Literal["rate", "time", "bytes", "count", "ratio"]
Reason = Literal["", "failed", "struck", "overloaded", "cannot", "unknown"]


@dataclass(frozen=True, slots=True)
class MeasureSummary:
    """What a scenario ranks by, or shows beside it: see `questions.Measure`."""

    title: str
    short: str
    better: Literal["more", "less"]
    unit: Unit  # of its values: requests a second, ns, bytes, a plain number, a quotient
    metric: Metric


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure says of a model. `relative` is 1 for the best and smaller for worse, whichever way is better.

    Without a rank `reason` and `why` say what forbids it: there is no number, or none that may be compared.
    """

    value: Estimate | None
    rank: int | None
    relative: Estimate | None
    reason: Reason = ""
    why: str = ""
    marks: list[str] = field(default_factory=list)  # the checks that qualify the levels on which it stands


Agreement = Literal["agrees", "disagrees", "open"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction of one model beside what was measured.

    It agrees where the whole interval lies within the bounds, disagrees where it lies wholly outside, and else is open.
    """

    family: str
    model: str
    says: str
    source: str
    measured: str  # the metric in words
    unit: Unit
    least: float | None
    most: float | None
    estimate: Estimate | None
    agreement: Agreement
    why: str  # of an open one


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's place in one scenario: by its first measure, or by its peak over the closed levels where it has none.

    `results` are those of the scenario's measures, in their order.
    """

    model: str
    rank: int | None
    peak_per_s: Estimate | None
    peak_level: str
    relative: Estimate | None  # paired ratio to the best, which is 1; the smaller the worse
    p99: Quantile | None  # response time at half its own peak
    marks: list[str]  # short words for the table: "more connections than slots from 64", "1 of 5 visits failed", …
    failed: str  # why it has no number; empty when it has
    struck: str  # why its number is not believed, and so not ranked; empty when it is
    knee: Knee | None = None
    capacity: Capacity | None = None
    cold: Estimate | None = None  # the first clients' rate as a share of the steady one, from the rounds of warm-up
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScenarioSummary:
    """One scenario: everybody's standing, best first, and one sentence.

    `spread` is the coefficient of variation from visit to visit within one weather, pooled over the models: the noise
    against which they were told apart. None when no model has two visits of one weather.
    """

    scenario: str
    caption: str
    question: str
    standings: list[Standing]
    spread: float | None
    verdict: str
    resolution: float | None = None  # two models that differ by less than this share would not be told apart
    twin: Estimate | None = None  # the A/A comparison: the twin's first measure by its model's; truly 1
    measures: list[MeasureSummary] = field(default_factory=list)  # the first one ranks; none: by peak
    predictions: list[Judged] = field(default_factory=list)


WARM_UP = "warm-up"  # the level of a time line's points before time 0


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One 100 ms step of one visit, for the picture of steadiness; or, before time 0, one round of its warm-up."""

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
    objective: str = ""
    given: dict[str, dict[str, int]] = field(default_factory=dict)  # of models with workers or threads: how many


# ---------------------------------------------------------------- what the doctor says of the machine

Grade = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing about the machine that may hurt a measurement. What is good is told too: then it was looked at."""

    name: str  # "cores shared with SMT siblings", …: the same in all runs
    grade: Grade
    seen: str
    why: str
    remedy: str
