"""The nouns right of the wall: what analysis makes of the records, and all that a chart or a table may show.

Frozen and plain like those of `nouns`. Whatever is in here was computed from a run's files and can be computed again.
"""

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.nouns import MachineState
from benchmarks.questions import Level, Metric


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with an interval, and the values of the replicates that it was made of, in their order.

    Of a **ratio** `low` and `high` are its 95% interval. Of an **absolute** value, which is this machine's, they are the lowest
    and the highest replicate: the range in which the machine moved. Both are None where there are too few replicates.
    """

    value: float
    low: float | None
    high: float | None
    replicates: list[float] = field(default_factory=list)

    @property
    def inverse(self) -> "Estimate":
        """The ratio the other way round."""
        low, high = (1 / end if end else None for end in (self.high, self.low))
        return Estimate(1 / self.value, low, high, [1 / one for one in self.replicates if one])


QuantileStatus = Literal["ok", "at least", "insufficient"]


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile of the requests of all replicates. `value_ns` is None if `status` is "insufficient"; `why` then says why.

    `low_ns` and `high_ns` are its 95% interval, None on a side that the requests do not bound: always above an "at least".
    """

    q: float
    status: QuantileStatus
    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    why: str = ""


Severity = Literal["invalid", "warning", "info"]
RankedBy = Literal["goodput", "p99", "p50", ""]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was observed, why it matters, what to do. An invalid cell is shown struck through and never ranked."""

    check: str
    severity: Severity
    observed: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One cell: model × scenario × level, over all its replicates."""

    model: str
    scenario: str
    level: Level
    rate_per_s: Estimate | None  # goodput; None when no trial was usable
    offered_per_s: float | None  # open loop: arrivals due, mean over replicates
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
    ratio: Estimate | None  # to the best of the level: value / best value; None when there is nothing to compare with
    collections_per_1000: float | None = None  # garbage collections of all generations, of 1,000 requests; None: not counted
    pause_share: float | None = None  # of the time, that the server stood still for them

    @property
    def invalid(self) -> bool:
        """Whether a check found that its numbers are not what they claim to be."""
        return any(finding.severity == "invalid" for finding in self.findings)


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
    met_per_s: float | None  # the highest rate at which most probes of most replicates met it
    missed_per_s: float | None  # the lowest above it at which they did not; None: the search found no end
    why: str = ""


Unit = Literal["rate", "time", "bytes", "count", "ratio"]
Reason = Literal["", "failed", "invalid", "overloaded", "cannot", "unknown"]


@dataclass(frozen=True, slots=True)
class MeasureSummary:
    """What a scenario ranks by, or shows beside it: see `questions.Measure`."""

    title: str
    short: str
    better: Literal["more", "less"]
    unit: Unit  # of its values: requests a second, ns, bytes, a plain number, a quotient
    metric: Metric
    margin: float = 0.0  # models within this share of each other are the same


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure says of a model. `ratio` is value / best value: 1 for the best, below 1 for worse where more is better,
    above 1 where less is.

    Without a rank `reason` and `why` say what forbids it: there is no number, or none that may be compared.
    """

    value: Estimate | None
    rank: int | None
    ratio: Estimate | None
    reason: Reason = ""
    why: str = ""
    warnings: list[str] = field(default_factory=list)  # the checks that qualify the levels on which it stands


Call = Literal["different", "same", "open"]


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Of all n(n-1)/2 pairs of models, by a scenario's first measure: how many differ, are the same, or stay open."""

    total: int
    different: int
    same: int
    open: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of two models: their ratio, one / other, with its own 95% interval, and what that was called."""

    one: str
    other: str
    ratio: Estimate | None
    call: Call


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
    """A model's place in one scenario, by its first measure.

    `results` are those of the scenario's measures, in their order; `rank` and `ratio` are the first one's.
    """

    model: str
    rank: int | None
    ratio: Estimate | None  # to the best: value / best value
    peak_per_s: Estimate | None
    peak_level: str
    p99: Quantile | None  # response time at half its own peak
    cpu_us: Estimate | None  # the server's CPU time of a request at the level that is ranked
    warnings: list[str]  # short words for the table: "above the concurrency limit from 64", "1 of 5 trials failed", …
    failed: str  # why it has no number; empty when it has
    invalid: str  # why its number does not count; empty when it does
    knee: Knee | None = None
    capacity: Capacity | None = None
    cold: Estimate | None = None  # the first clients' rate as a share of the steady one, from the warm-up
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScenarioSummary:
    """One scenario: every model's standing, best first, what is known of each pair, and one sentence.

    `replicate_sd` is the standard deviation of a model's value from replicate to replicate, machine taken out, pooled over the
    models (of logarithms: 0.01 is 1%); `window_sd` that between the windows of a replicate. None where too few show it.
    """

    scenario: str
    caption: str
    question: str
    standings: list[Standing]
    pairs: PairCounts
    verdict: str
    pair_list: list[Pair] = field(default_factory=list)
    replicate_sd: float | None = None
    window_sd: float | None = None
    resolution: float | None = None  # two models that differ by less than this share are not told apart, all else being equal
    aa: Estimate | None = None  # the A/A comparison: the arm's first measure by its model's; truly 1
    measures: list[MeasureSummary] = field(default_factory=list)  # the first one ranks
    predictions: list[Judged] = field(default_factory=list)
    method: str = ""  # why its windows were not taken in rounds; empty where they were


WARM_UP = "warm-up"  # the level of a time line's points before time 0


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One 100 ms step of one trial, for the picture of steadiness; or, before time 0, one load of its warm-up."""

    at_s: float
    level: str
    rate_per_s: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The long windows of one trial in time, level after level."""

    model: str
    scenario: str
    replicate: int
    points: list[TimelinePoint]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """summary.json: whatever a chart or a table shows is in here."""

    schema: int
    name: str
    conditions: str  # the small print of every chart: machine, cores, replicates, rounds, seconds, date, command
    comparable: bool  # False when server and driver share a core
    captions: dict[str, str]
    scenarios: list[ScenarioSummary]
    cells: list[CellSummary]
    timelines: list[Timeline]
    trials_made: int
    trials_failed: int
    replicates: int  # that all scenarios have
    machine: list[tuple[float, MachineState]]  # (seconds since the run began, probe)
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
