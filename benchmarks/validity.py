"""Is this number believable? Small checks over recorded facts, each of which says what it saw, why it matters, what to do.

A check is a function from the facts of one window to a Finding or None, and `CHECKS` is the list of them: to add one, write
it and name it there. Its severity says what a finding does. A **strike**: the number is not what it claims to be; it is shown
struck out and never ranked. A **mark** qualifies a number: true, but read it with this. A **note** is worth knowing.

The faults are those that published benchmarks contain: generator-bound results (Tene, "How NOT to Measure Latency"), failed
requests counted as served, keep-alive that reconnected each time, books that do not balance.
"""

import collections
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import histogram
from benchmarks.amounts import digits, percent, rate
from benchmarks.nouns import LoadResult, RunOptions, ServerCost, VisitRecord, Window
from benchmarks.summaries import Finding

ENGINE_BUSY = 0.85  # busy fraction above which the engine, not the server, may set the pace
LEDGER_ERROR = 0.005  # of connections × time
CPU_SLACK = 1.01  # two clocks are never read at the same moment
EDGE_S = 0.008  # the engine may be kept from its core for a timer tick (4 ms at 250 Hz) at each edge of the window
SHORT_OF_OFFERED = 0.01
UNFINISHED = 0.01
RECONNECTS_MARKED = 0.005  # of completed requests
A_HANDFUL = 3  # reconnects that are no pattern, however few the requests
RECONNECTS_STRUCK = 0.5  # every other request on a new connection is not keep-alive
STRUCK_VISITS = 0.5  # the share of a cell's visits whose strikes strike the cell


@dataclass(frozen=True, slots=True)
class Facts:
    """What a check may look at: one window, the server's slots (0: no limit of its own), the cores it was given."""

    window: Window
    slots: int
    server_cores: int

    @property
    def load(self) -> LoadResult:
        """The engine's side of the window."""
        return self.window.load

    @property
    def server(self) -> ServerCost:
        """The server's side of the window."""
        return self.window.server

    @property
    def is_open(self) -> bool:
        """Whether requests came at a rate, not whenever an answer had come."""
        return self.window.level.loop == "open"

    @property
    def errors(self) -> int:
        """Failed requests of any kind."""
        return sum(self.load.errors.values())

    @property
    def short_by(self) -> int:
        """Arrivals of an open window that were not served in it, beyond what chance and the last instant explain; else 0."""
        missing = self.load.intended - self.load.completed
        explained = max(SHORT_OF_OFFERED * self.load.intended, 2 * math.sqrt(self.load.intended))
        return missing if self.is_open and missing > explained else 0


Check = Callable[[Facts], Finding | None]


def nothing_served(facts: Facts) -> Finding | None:
    """A window without a single completed request has no rate, only silence."""
    if facts.load.completed:
        return None
    return Finding(
        "nothing served",
        "strike",
        f"no request completed in {digits(facts.load.seconds)} s",
        "a rate of nothing compares with nothing",
        "look at the errors of the visit, or give the level a longer window (--seconds)",
    )


def engine_saturated(facts: Facts) -> Finding | None:
    """A busy engine sends late and reads late, and then measures itself."""
    if facts.load.busy_fraction <= ENGINE_BUSY:
        return None
    behind = f" and fell {percent(facts.short_by / facts.load.intended)} short of the offered load" if facts.short_by else ""
    return Finding(
        "engine saturated",
        "strike",
        f"the load engine was busy {percent(facts.load.busy_fraction)} of the window{behind}",
        f"above {percent(ENGINE_BUSY)} the number may be the engine's own limit, not the server's",
        "give the engine another core (--driver-cpus), or the server fewer",
    )


def overloaded(facts: Facts) -> Finding | None:
    """More offered than served, and the engine had time: the server is the limit. A result, not a fault."""
    if not facts.short_by or facts.load.busy_fraction > ENGINE_BUSY:
        return None
    served = facts.load.completed / facts.load.seconds
    return Finding(
        "overloaded",
        "note",
        f"{rate(served)} served of {rate(facts.load.intended / facts.load.seconds)} that came",
        "its queue grows for as long as one looks, so its response time is that of the window's length: not ranked",
        "compare at a rate that it can carry",
    )


def errors_seen(facts: Facts) -> Finding | None:
    """Failed requests never count as served, but the time they took is gone."""
    if not facts.errors:
        return None
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(facts.load.errors.items(), key=lambda item: -item[1]))
    return Finding(
        "errors",
        "mark",
        f"{percent(facts.errors / (facts.errors + facts.load.completed))} of the requests failed: {kinds}",
        "goodput leaves them out; a server that refuses is quick to refuse",
        "see the visit's record and the server's stderr",
    )


def more_connections_than_slots(facts: Facts) -> Finding | None:
    """A model with slots serves so many connections at once and lets the others wait to be accepted."""
    asked = facts.window.level.connections
    if facts.is_open or not 0 < facts.slots < asked:
        return None
    return Finding(
        "more connections than slots",
        "mark",
        f"{asked:,} connections, {facts.slots:,} slots",
        "connections beyond the slots wait to be accepted, so fewer are served at once than the level says",
        "give the model more slots (--workers, --threads), or read its levels within them",
    )


def ledger_unbalanced(facts: Facts) -> Finding | None:
    """In a closed loop every connection is, at every moment, in exactly one of five states; the parts must sum to the whole."""
    if facts.is_open:
        return None
    ledger, whole_ns = facts.load.ledger, facts.load.connections * facts.load.seconds * 1e9
    parts_ns = ledger.completed_ns + ledger.failed_ns + ledger.residual_ns + ledger.thinking_ns + ledger.connecting_ns
    if not whole_ns or abs(parts_ns / whole_ns - 1) <= LEDGER_ERROR:
        return None
    return Finding(
        "books do not balance",
        "strike",
        f"the connections' time adds up to {parts_ns / whole_ns:.2%} of connections × seconds",
        "requests were lost, counted twice or timed wrongly: response times and rate contradict each other",
        "this is a fault of the load engine: please report it with the visit's record",
    )


def keep_alive_broken(facts: Facts) -> Finding | None:
    """Reconnects beyond one connection each and one after each error: what a keep-alive figure must not hide."""
    extra = facts.load.connections_opened - facts.load.connections - facts.errors
    if extra <= max(RECONNECTS_MARKED * facts.load.completed, A_HANDFUL):
        return None
    broken = extra > RECONNECTS_STRUCK * facts.load.completed
    each = digits(facts.load.completed / extra)
    return Finding(
        "reconnects",
        "strike" if broken else "mark",
        f"{extra:,} more connections than asked for, one every {each} requests",
        "the number contains handshakes that other models' numbers do not",
        "see why the server closes" if broken else "read it as this model's bounded keep-alive, or raise its bound",
    )


def unfinished_requests(facts: Facts) -> Finding | None:
    """Requests that never ended are in no mean, only in percentiles, with their age."""
    # Those of a closed loop that never got a slot are another check's matter.
    waiting = 0 if facts.is_open or not facts.slots else max(facts.load.connections - facts.slots, 0)
    asked = histogram.total(facts.load.response) + facts.load.unfinished
    share = max(facts.load.unfinished - waiting, 0) / asked if asked else 0.0
    if share <= UNFINISHED:
        return None
    return Finding(
        "unfinished requests",
        "mark",
        f"{percent(share)} of the requests had no answer when the drain ended",
        "their response times are known from below only",
        "read its high percentiles as lower bounds",
    )


def impossible_cpu_time(facts: Facts) -> Finding | None:
    """Nobody works more seconds than there are, on the cores there are."""
    used_s = (facts.server.cpu_user_ns + facts.server.cpu_system_ns) / 1e9
    possible_s = facts.server_cores * facts.load.seconds
    if used_s <= possible_s * CPU_SLACK + EDGE_S:
        return None
    return Finding(
        "impossible CPU time",
        "strike",
        f"{digits(used_s)} s of CPU in {digits(possible_s)} core-seconds",
        "the server ran on other cores than it was given, or its counters were read at the wrong moment",
        "check that nothing resets the affinity (--server-cpus)",
    )


def lost_gaps(facts: Facts) -> Finding | None:
    """The list of the engine's pauses is finite; percentiles are judged by it."""
    if not facts.load.gaps_lost:
        return None
    return Finding(
        "pauses not recorded",
        "mark",
        f"{facts.load.gaps_lost:,} pauses of the engine beyond the {len(facts.load.gaps):,} recorded",
        "the share of time lost is larger than known, so percentiles may be shown that should not be",
        "measure on a quieter machine, or with shorter windows (--seconds)",
    )


CHECKS: tuple[Check, ...] = (
    nothing_served,
    engine_saturated,
    overloaded,
    errors_seen,
    more_connections_than_slots,
    ledger_unbalanced,
    keep_alive_broken,
    unfinished_requests,
    impossible_cpu_time,
    lost_gaps,
)


def check_window(window: Window, slots: int, server_cores: int) -> list[Finding]:
    """What the checks find in one window of one visit."""
    facts = Facts(window, slots, server_cores)
    return [finding for check in CHECKS if (finding := check(facts))]


def check_visit(record: VisitRecord) -> list[Finding]:
    """What is to be said of all windows of a visit."""
    found = []
    if record.weather_changed:
        found.append(
            Finding(
                "weather changed",
                "mark",
                _weather_seen(record),
                "part of the visit ran on a machine of another speed, and no attempt of this block did better",
                "run again, or with more visits; such visits are compared with each other only",
            )
        )
    if record.warmup is not None and not record.warmup.steady:
        found.append(
            Finding(
                "never steady",
                "note",
                f"throughput still moved after {digits(record.warmup.seconds)} s of warm-up",
                "the first level may be slower or faster than the model is later",
                "see the time line of the visit",
            )
        )
    return found


def _weather_seen(record: VisitRecord) -> str:
    """The probe that moved most."""
    before, after = record.before, record.after
    if before is None or after is None:
        return "the probes before and after the visit disagree"
    probes = [("a pure-Python loop's turn", before.python_ns, after.python_ns)]
    if before.pingpong_ns is not None and after.pingpong_ns is not None:
        probes.append(("a cache line's round trip", before.pingpong_ns, after.pingpong_ns))
    name, first, second = max(probes, key=lambda probe: max(probe[1:]) / min(probe[1:]))
    return f"{name} took {digits(first)} ns before the visit and {digits(second)} ns after it"


def over_visits(found: Sequence[Sequence[Finding]]) -> list[Finding]:
    """One cell's findings from those of its visits, each said once, worst first.

    Strikes in fewer than half of the visits become marks: an accident of one visit does not undo the others.
    """
    by_check: dict[str, list[Finding]] = collections.defaultdict(list)
    for findings in found:
        for finding in findings:
            by_check[finding.check].append(finding)
    merged = []
    for same in by_check.values():
        first = min(same, key=lambda finding: _ORDER[finding.severity])
        often = f" (in {len(same)} of {len(found)} visits)" if len(same) < len(found) else ""
        strikes = sum(finding.severity == "strike" for finding in same)
        demoted = first.severity == "strike" and strikes < STRUCK_VISITS * len(found)
        merged.append(replace(first, seen=first.seen + often, severity="mark" if demoted else first.severity))
    return sorted(merged, key=lambda finding: _ORDER[finding.severity])


_ORDER = {"strike": 0, "mark": 1, "note": 2}


def shares_a_core(options: RunOptions) -> bool:
    """Whether server and engine take time from each other."""
    return bool(set(options.server_cpus) & set(options.driver_cpus))


def check_run(options: RunOptions) -> list[Finding]:
    """What is to be said of the run as a whole."""
    found = []
    if shares_a_core(options):
        found.append(
            Finding(
                "shared core",
                "mark",
                "the server and the load engine ran on the same core",
                "each waits for the other: the numbers are of both together and not comparable with others",
                "run on two cores or more (--server-cpus 0 --driver-cpus 1)",
            )
        )
    if max(options.visits.values(), default=0) == 1:
        found.append(
            Finding(
                "one visit",
                "mark",
                "every model was visited once",
                "one number shows no noise: there are no intervals, and nobody is ranked",
                "ask for more (--visits 5, or --profile quick)",
            )
        )
    return found
