"""What a run has found out about each model that was given the workload: what a verdict is made of.

Counts and histograms come from the records, merged over all windows of all replicates; ranks and doubts from the summary.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks import histogram
from benchmarks.nouns import Histogram, Measurement, ReplicateRecord, RunFacts, Trial, measured
from benchmarks.summaries import Capacity, CellSummary, Pair, RunSummary, ScenarioSummary


@dataclass(frozen=True, slots=True)
class Measured:
    """One model under the workload. `responses` are of each replicate, the unanswered requests in them with their age."""

    model: str
    limit: int = 0  # connections that it serves at once; 0: not said
    idle_s: float = 0.0  # after which it closes a silent connection; 0: never
    given: dict[str, int] = field(default_factory=dict)  # its threads, its workers
    connections: int = 0  # open in each window
    windows: int = 0
    seconds: float = 0.0  # of all windows
    intended: int = 0
    completed: int = 0
    unanswered: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    responses: tuple[Histogram, ...] = ()
    cpu_ns: float | None = None  # of a request
    rss_bytes: int | None = None
    threads: int | None = None
    processes: int | None = None
    pauses_ns: tuple[int, ...] = ()  # of the load engine itself, in the windows whose time is
    watched_ns: float = 0.0
    invalid: str = ""  # why its numbers are not what they claim to be
    failure: str = ""  # why there are none, or fewer
    capacity: Capacity | None = None  # where the highest rate was searched

    def paused(self, noticed_ns: float) -> float:
        """The share of time that the load engine stood still in pauses of more than this."""
        return sum(length for length in self.pauses_ns if length > noticed_ns) / self.watched_ns if self.watched_ns else 0.0

    @property
    def served(self) -> float:
        """The share of the requests due that was answered in the windows."""
        return self.completed / self.intended if self.intended else 0.0


@dataclass(frozen=True, slots=True)
class Field:
    """All models of a run, and what is known of each two of them by CPU of a request."""

    models: tuple[Measured, ...]
    pairs: tuple[Pair, ...] = ()
    comparable: bool = True  # False: server and load engine shared a core
    doubts: tuple[str, ...] = ()  # about the run as a whole


def gathered(facts: RunFacts, records: Sequence[ReplicateRecord], summary: RunSummary, scenario: str, label: str) -> Field:
    """What the run says of one of its scenarios at one level; of a search, whose label is empty, its capacities."""
    told = next((one for one in summary.scenarios if one.scenario == scenario), None)
    trials = [trial for record in records if record.scenario == scenario for trial in record.trials]
    names = measured(facts.options, scenario)
    cells = {cell.model: cell for cell in summary.cells if cell.scenario == scenario and cell.level.label == label}
    of_models = (_of_model(name, [t for t in trials if t.model == name], label, cells.get(name), told) for name in names)
    doubts = tuple(f"{one.check}: {one.observed}" for one in summary.findings if one.severity != "info")
    return Field(tuple(of_models), tuple(told.pair_list) if told else (), summary.comparable, doubts)


def _of_model(
    model: str, trials: Sequence[Trial], label: str, cell: CellSummary | None, told: ScenarioSummary | None
) -> Measured:
    found = [one for trial in trials for one in trial.measurements if one.level.label == label]
    server = next((trial.server for trial in trials if trial.server), None)
    standing = next((one for one in told.standings if one.model == model), None) if told else None
    memory = [one.server for one in found]
    return Measured(
        model,
        limit=server.max_connections if server else 0,
        idle_s=server.keepalive_idle_s if server else 0.0,
        given=dict(server.given) if server else {},
        connections=min((one.load.connections for one in found), default=0),
        windows=sum(one.windows for one in found),
        seconds=sum(one.load.seconds for one in found),
        intended=sum(one.load.intended for one in found),
        completed=sum(one.load.completed for one in found),
        unanswered=sum(one.load.unfinished for one in found),
        errors=dict(sum((Counter(one.load.errors) for one in found), Counter())),
        responses=tuple(histogram.merge([one.load.response, one.load.censored]) for one in found),
        cpu_ns=_cpu_ns(found),
        rss_bytes=max((one.rss_bytes for one in memory), default=None),
        threads=max((one.threads for one in memory), default=None),
        processes=max((one.processes for one in memory), default=None),
        pauses_ns=tuple(length for one in found for _, length in one.load.gaps),
        watched_ns=sum(one.long_s for one in found) * 1e9,
        invalid=_invalid(cell),
        failure=_failure(trials),
        capacity=standing.capacity if standing else None,
    )


def _cpu_ns(found: Iterable[Measurement]) -> float | None:
    """The server's CPU time of a request, ns: all of it by all requests that were answered in the windows."""
    pairs = [(one.server.cpu_user_ns + one.server.cpu_system_ns, one.load.completed) for one in found]
    completed = sum(number for _, number in pairs)
    return sum(used for used, _ in pairs) / completed if completed else None


def _invalid(cell: CellSummary | None) -> str:
    finding = next((one for one in cell.findings if one.severity == "invalid"), None) if cell else None
    return f"{finding.check}: {finding.observed}" if finding else ""


def _failure(trials: Sequence[Trial]) -> str:
    failures = [trial.failure for trial in trials if trial.failure]
    if not failures:
        return ""
    return f"{len(failures)} of {len(trials)} trials failed ({failures[0].stage}: {failures[0].message})"
