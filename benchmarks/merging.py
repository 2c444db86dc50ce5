"""From the windows of one level to one measurement: sums, merged histograms, and the series of what each window gave.

Pure. A window during which other servers were busy is dropped; its round keeps the other models' windows. Fairness and drift
need one window that is long enough: the lists they are judged by are those of the longest.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from benchmarks.nouns import (
    ClassResult,
    Crossing,
    EngineCost,
    Histogram,
    Ledger,
    LoadResult,
    Measurement,
    Rounds,
    ServerCost,
)
from benchmarks.questions import Level

NEIGHBOURS_DROPPED = 0.02  # of the time: a window during which other servers used more CPU is dropped


@dataclass(frozen=True, slots=True)
class Taken:
    """One window as the engine returned it, and what surrounded it. `neighbours_ns`: CPU time of the replicate's other servers
    during `elapsed_s`, which spans ramp, window and drain."""

    round: int
    at_s: float  # after the beginning of the scenario in this replicate
    load: LoadResult
    neighbours_ns: int = 0
    elapsed_s: float = 0.0
    before_ns: float = 0.0  # a cache line's round trip before the window and after it; 0: not known
    after_ns: float = 0.0

    @property
    def disturbed(self) -> bool:
        """Whether other servers were too busy meanwhile."""
        return self.neighbours_ns > NEIGHBOURS_DROPPED * (self.elapsed_s or self.load.seconds) * 1e9


def merged(
    level: Level,
    windows: Sequence[Taken],
    server: ServerCost,
    *,
    delayed_acks: int | None = None,
    interleaved: bool = True,
    opened: int = 1,
    unmeasured: Sequence[int] = (),
) -> Measurement:
    """All windows of one level of one trial as one measurement.

    `server` is the bill for all of them (`sample.bill` of `together` of their loads): its CPU time is cut to the windows that
    count, its switches and faults go with its own count of requests. `unmeasured` are rounds that have no window at all.
    Raises ValueError without a window.
    """
    counted = [window for window in windows if not window.disturbed] or list(windows)
    dropped = {window.round for window in windows} - {window.round for window in counted}
    load = together([window.load for window in counted])
    longest = _longest(window.load for window in counted)
    if len(counted) < len(windows):
        server = _cut(server, load, together([window.load for window in windows]))
    return Measurement(
        level=level,
        load=load,
        server=server,
        rounds=_rounds(counted, sorted(dropped | set(unmeasured))),
        windows=len(counted),
        long_s=longest.seconds,
        long_completed=longest.completed,
        opened=opened,
        delayed_acks=delayed_acks,
        interleaved=interleaved,
    )


def single(
    level: Level, load: LoadResult, server: ServerCost, *, delayed_acks: int | None = None, at_s: float = 0.0, number: int = 0
) -> Measurement:
    """One window as a measurement: a level that is not measured in rounds, or a probe of a search."""
    return merged(level, [Taken(number, at_s, load)], server, delayed_acks=delayed_acks, interleaved=False)


def together(loads: Sequence[LoadResult]) -> LoadResult:
    """Windows of the same load as one: counts and times summed, histograms merged, pauses on one axis of time.

    Connections and the offered rate are of each; series, per_connection and passed_over are of the longest. Raises ValueError
    without a window.
    """
    longest, seconds = _longest(loads), sum(load.seconds for load in loads)
    if len(loads) == 1:
        return longest

    def add(name: str) -> int:
        return sum(getattr(load, name) for load in loads)

    def merge(name: str) -> Histogram:
        return histograms(getattr(load, name) for load in loads)

    return replace(
        longest,
        seconds=seconds,
        intended=add("intended"),
        completed=add("completed"),
        in_flight=add("in_flight"),
        drained=add("drained"),
        unfinished=add("unfinished"),
        errors=_summed([load.errors for load in loads]),
        connections_opened=add("connections_opened"),
        waited=add("waited"),
        unsent=add("unsent"),
        free_at_end=add("free_at_end"),
        fallbacks=add("fallbacks"),
        busy_fraction=sum(load.busy_fraction * load.seconds for load in loads) / seconds,
        response=merge("response"),
        service=merge("service"),
        send_lag=merge("send_lag"),
        own_lag=merge("own_lag"),
        connect=merge("connect"),
        censored=merge("censored"),
        gaps=_on_one_axis(loads),
        gaps_lost=add("gaps_lost"),
        ledger=Ledger(**_sums([load.ledger for load in loads])),
        crossing=Crossing(**_sums([load.crossing for load in loads])),
        cost=EngineCost(**{**_sums([load.cost for load in loads]), "rss_bytes": max(load.cost.rss_bytes for load in loads)}),
        server_cpu_ns=add("server_cpu_ns"),
        server_user_ns=add("server_user_ns"),
        all_requests=add("all_requests"),
        kept=add("kept"),
        classes=_classes([load.classes for load in loads]),
        background=_background([load.background for load in loads if load.background]),
    )


def histograms(those: Iterable[Histogram]) -> Histogram:
    """The histogram of all values together; coarse if one of them is. Its cost goes with the buckets that are filled."""
    filled = [one for one in those if one.index]
    if len(filled) < 2:
        return filled[0] if filled else Histogram()
    index = np.concatenate([np.array(one.index, np.int64) for one in filled])
    count = np.concatenate([np.array(one.count, np.int64) for one in filled])
    buckets, where = np.unique(index, return_inverse=True)
    counts = np.zeros(len(buckets), np.int64)
    np.add.at(counts, where, count)
    return Histogram(
        buckets.tolist(),
        counts.tolist(),
        sum(one.sum_ns for one in filled),
        min(one.min_ns for one in filled),
        max(one.max_ns for one in filled),
        any(one.coarse for one in filled),
    )


def occupied_ns(load: LoadResult) -> int:
    """Connection-time in requests of connections that were served: those without a completion, which a server with fewer
    workers than connections does not even accept, are left out with the whole window."""
    silent = sum(completed == 0 for completed in load.per_connection)
    return max(load.ledger.completed_ns + load.ledger.residual_ns - round(silent * load.seconds * 1e9), 0)


def closed_rates(rounds: Rounds, by_time: bool) -> Iterator[tuple[int, float]]:
    """Number and rate of each window of a closed level that counts.

    A window that completed nothing stood still: its rate is that of half a request.

    `by_time` is for requests that wait: the rate is the connections in requests by the mean service time (Little's law), as
    waits come in waves, which a window's edges cut. A window in which nothing was answered has none then.
    """
    for at, number in enumerate(rounds.number):
        if number in rounds.dropped:
            continue
        if not by_time:
            yield number, max(rounds.completed[at], 0.5) / rounds.seconds[at]
        elif rounds.answered_ns[at]:
            yield number, rounds.occupied_ns[at] / rounds.seconds[at] * rounds.answered[at] / rounds.answered_ns[at]


def _longest(loads: Iterable[LoadResult]) -> LoadResult:
    return max(loads, key=lambda load: load.seconds)


def _rounds(windows: Sequence[Taken], dropped: list[int]) -> Rounds:
    """What each window gave. The neighbours' CPU time is taken in proportion to the window's part of the time."""
    loads = [window.load for window in windows]
    return Rounds(
        number=[window.round for window in windows],
        at_s=[round(window.at_s, 4) for window in windows],
        seconds=[load.seconds for load in loads],
        completed=[load.completed for load in loads],
        answered_ns=[load.service.sum_ns for load in loads],
        answered=[sum(load.service.count) for load in loads],
        occupied_ns=[occupied_ns(load) for load in loads],
        cpu_ns=[load.server_cpu_ns for load in loads],
        neighbours_ns=[
            round(window.neighbours_ns * window.load.seconds / max(window.elapsed_s, window.load.seconds)) for window in windows
        ],
        dropped=dropped,
        before_ns=[round(window.before_ns, 1) for window in windows] if any(one.before_ns for one in windows) else [],
        after_ns=[round(window.after_ns, 1) for window in windows] if any(one.before_ns for one in windows) else [],
    )


def _cut(server: ServerCost, counted: LoadResult, everything: LoadResult) -> ServerCost:
    """The bill's CPU time cut to the windows that count. Processes that came later have their requests' share of it."""
    newcomers_ns = round(server.newcomers_ns * counted.completed / max(everything.completed, 1))
    total_ns = server.cpu_user_ns + server.cpu_system_ns
    now_ns = counted.server_cpu_ns + newcomers_ns
    user_ns = round(now_ns * server.cpu_user_ns / total_ns) if total_ns else 0
    return replace(server, cpu_user_ns=user_ns, cpu_system_ns=now_ns - user_ns, newcomers_ns=newcomers_ns)


def _sums(those: Sequence[Ledger] | Sequence[Crossing] | Sequence[EngineCost]) -> dict[str, int]:
    """The fields of records that hold whole numbers alone, summed by name."""
    return {field.name: sum(getattr(one, field.name) for one in those) for field in fields(those[0])}


def _summed(those: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counts by name, summed."""
    return {name: sum(one.get(name, 0) for one in those) for name in dict.fromkeys(name for one in those for name in one)}


def _on_one_axis(loads: Sequence[LoadResult]) -> list[tuple[int, int]]:
    """The engine's pauses of windows laid end to end."""
    pauses, begins_ns = [], 0
    for load in loads:
        pauses += [(begins_ns + start, length) for start, length in load.gaps]
        begins_ns += round(load.seconds * 1e9)
    return pauses


def _classes(those: Sequence[dict[str, ClassResult]]) -> dict[str, ClassResult]:
    """What became of the requests of each label in all windows."""
    found = {}
    for label in dict.fromkeys(label for one in those for label in one):
        parts = [one[label] for one in those if label in one]
        found[label] = ClassResult(
            intended=sum(part.intended for part in parts),
            completed=sum(part.completed for part in parts),
            errors=sum(part.errors for part in parts),
            response=histograms(part.response for part in parts),
            service=histograms(part.service for part in parts),
            censored=histograms(part.censored for part in parts),
        )
    return found


def _background(those: Sequence[dict[str, int]]) -> dict[str, int]:
    """The background connections: the fewest that were open; those refused and lost, which a session counts from its beginning,
    as the last one has them; what was served in all windows."""
    if not those:
        return {}
    return {
        "open": min(one.get("open", 0) for one in those),
        "refused": max(one.get("refused", 0) for one in those),
        "lost": max(one.get("lost", 0) for one in those),
        "served": sum(one.get("served", 0) for one in those),
    }
