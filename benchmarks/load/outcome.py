"""From what the lanes of a load counted to a LoadResult."""

import resource
from dataclasses import dataclass

import numpy as np

from benchmarks import histogram
from benchmarks.load import libc, recorder, state
from benchmarks.load.lanes import Lane
from benchmarks.load.targets import Drive
from benchmarks.nouns import ClassResult, Crossing, EngineCost, Histogram, Ledger, LoadResult, Series

_CROSSING = ("in_flight_ns", "carried_in", "carried_in_ns", "carried_out_ns", "unanswered_ns")
_FINE_STEP_NS, _COARSE_STEP_NS, _FINE_UP_TO_S = 10_000_000, 100_000_000, 10.0


@dataclass(frozen=True, slots=True)
class Before:
    """What is a run's although it came before it: the connections that were opened for it."""

    opened: int
    connect: Histogram
    background: bool


def outcome(lanes: list[Lane], drive: Drive, before: Before) -> LoadResult:
    """What the lanes saw of a run, together."""
    engines = [lane.engine[0] for lane in lanes]
    recorders = [lane.recorder for lane in lanes]
    lengths = [int(e["ends_ns"] - e["starts_ns"]) for e in engines]
    seconds = max(sum(lengths) / len(lengths) / 1e9, 1e-9)

    def add(name: str) -> int:
        return sum(int(e[name]) for e in engines)

    def row(kind: int) -> Histogram:
        return recorder.together(recorders, kind)

    ledger = np.sum([lane.ledger for lane in lanes], axis=0)
    return LoadResult(
        seconds=seconds,
        connections=sum(len(lane.connections) for lane in lanes),
        offered_per_s=drive.rate_per_s,
        intended=add("intended"),
        completed=add("completed"),
        in_flight=add("in_flight_at_end"),
        drained=add("drained"),
        unfinished=add("unfinished"),
        errors=errors_of(lanes),
        connections_opened=before.opened + add("opened"),
        waited=add("waited"),
        unsent=add("intended") - add("intended_at_end") if drive.rate_per_s is not None else 0,
        free_at_end=add("free_at_end"),
        fallbacks=add("fallbacks"),
        busy_fraction=_busy_fraction(lanes, drive, sum(lengths)),
        response=row(recorder.RESPONSE),
        service=row(recorder.SERVICE),
        send_lag=row(recorder.SEND_LAG),
        own_lag=row(recorder.OWN_LAG),
        connect=_connect(before, row(recorder.CONNECT)),
        censored=row(recorder.CENSORED),
        series=_series(lanes, max(lengths), drive.slow_s > 0),
        gaps=sorted(
            (int(start - e["starts_ns"]), int(length))
            for lane, e in zip(lanes, engines, strict=True)
            for start, length in lane.gaps[: int(e["gap_count"])]
        ),
        gaps_lost=add("gaps_lost"),
        per_connection=[n for lane in lanes for n in lane.connections["completed"].tolist()],
        ledger=Ledger(**{name: int(value) for name, value in zip(state.LEDGER, ledger, strict=True)}),
        passed_over=_passed_over(lanes),
        crossing=Crossing(**{name: add(name) for name in _CROSSING}),
        cost=_cost(lanes),
        server_cpu_ns=_watched(lanes)[0],
        server_user_ns=_watched(lanes)[1],
        all_requests=add("answered"),
        kept=0 if before.opened else add("kept"),  # those of the first run were opened for it
        classes=_classes(lanes),
        background=_background(lanes) if before.background else {},
    )


def _connect(before: Before, during: Histogram) -> Histogram:
    """The times to connect of the connections opened for a run, before it and while it lasted."""
    return histogram.merge([before.connect, during]) if before.connect.index else during


def _classes(lanes: list[Lane]) -> dict[str, ClassResult]:
    """What became of the requests of each label, if there are several."""
    labels, found = lanes[0].labels, {}
    for number, label in enumerate(labels if len(labels) > 1 else ()):
        rows = [lane.exchanges[lane.exchanges["rows"] == recorder.PER_CLASS * number] for lane in lanes]
        counts = [sum(int(row[name].sum()) for row in rows) for name in ("intended", "completed", "errors")]
        kinds = (recorder.RESPONSE, recorder.SERVICE, recorder.CENSORED)
        times = [recorder.together([lane.recorder for lane in lanes], kind, number) for kind in kinds]
        found[label] = ClassResult(counts[0], counts[1], counts[2], times[0], times[1], times[2])
    return found


def _background(lanes: list[Lane]) -> dict[str, int]:
    """What became of the background connections.

    Those open after the run, and answers completed in the window; since the session was opened, those that could not be opened
    and those that the server closed.
    """
    fields = {"open": "still", "refused": "refused", "lost": "lost", "served": "served"}
    return {name: sum(int(lane.background_state[0][field]) for lane in lanes) for name, field in fields.items()}


def errors_of(lanes: list[Lane]) -> dict[str, int]:
    """The errors of all lanes by kind, those that there were."""
    counts = np.sum([lane.errors for lane in lanes], axis=0)
    return {kind: int(count) for kind, count in zip(state.ERROR_KINDS, counts, strict=True) if count}


def step_ns(drive: Drive) -> int:
    """The step of a run's series: fine enough for the tests of drift in a short window, and short enough to keep of a long."""
    return _FINE_STEP_NS if drive.seconds <= _FINE_UP_TO_S else _COARSE_STEP_NS


def _series(lanes: list[Lane], length_ns: int, slow: bool) -> Series:
    """The lanes' series together, up to the end of the longest window: it may have been ended early."""
    step_ns = int(lanes[0].engine[0]["step_ns"])
    together = np.array([lane.series[:, : length_ns // step_ns + 1] for lane in lanes])
    return Series(
        step_ns=step_ns,
        completed=together[:, 0].sum(0).tolist(),
        errors=together[:, 1].sum(0).tolist(),
        worst_ns=together[:, 2].max(0).tolist(),
        slow=together[:, 3].sum(0).tolist() if slow else [],
    )


def _passed_over(lanes: list[Lane]) -> list[int]:
    """Of each connection, the most completions of all between two of its own.

    A lane counts those of its own connections alone, for lanes share nothing while they run. What the others completed in the
    same time is taken to be in proportion to what they completed in the whole window.
    """
    completed = [int(lane.engine[0]["completed"]) for lane in lanes]
    found = []
    for lane, own in zip(lanes, completed, strict=True):
        scale = sum(completed) / own if own else 0.0
        found += [round(most * scale) if own else sum(completed) for most in lane.connections["passed_over"].tolist()]
    return found


def _busy_fraction(lanes: list[Lane], drive: Drive, length_ns: int) -> float:
    """How much of the window the engine had something to do.

    Busy polling: one less the time spent in turns that found nothing, each counted up to 40 µs, for in a longer one the engine
    was kept from its work. Sleeping: CPU time over time.
    """
    if drive.poll == "sleep":
        spent = sum(int(lane.usage[1, -1] - lane.usage[0, -1]) for lane in lanes)
        return min(spent / max(length_ns, 1), 1.0)
    return max(1.0 - sum(int(lane.engine[0]["idle_ns"]) for lane in lanes) / max(length_ns, 1), 0.0)


def _cost(lanes: list[Lane]) -> EngineCost:
    """The driver threads' bill from edge to edge. The kernel samples the split of user and system; the total is exact."""
    usage = sum(lane.usage[1] - lane.usage[0] for lane in lanes)
    user, system, exact = usage[0] * 10**6 + usage[1], usage[2] * 10**6 + usage[3], int(usage[-1])
    share = user / (user + system) if user + system else 0.0
    return EngineCost(
        cpu_user_ns=int(exact * share),
        cpu_system_ns=exact - int(exact * share),
        voluntary_switches=int(usage[libc.RUSAGE_VOLUNTARY]),
        involuntary_switches=int(usage[libc.RUSAGE_INVOLUNTARY]),
        minor_faults=int(usage[libc.RUSAGE_FAULTS]),
        rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _watched(lanes: list[Lane]) -> tuple[int, int]:
    """The watched processes' CPU between the edges in ns: the exact total, and the user part of it."""
    meters = lanes[0].meters
    meters = meters[:, (meters[:, :, 0] > 0).all(axis=0)]  # a process that has ended has no clocks any more
    total, user, sampled = (meters[1] - meters[0]).sum(axis=0)
    return int(total), int(total * user / sampled) if sampled else 0
