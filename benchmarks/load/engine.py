"""The load engine as an object: open connections, drive them for a window, read the result, close them.

A `Session` holds the connections of one level. It has one lane per driver thread, each with its own epoll, connections,
schedule, random stream and histograms; lanes share nothing while they run, and are merged at the end.
"""

import os
import resource
import select
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from benchmarks import histogram
from benchmarks.load import companions as company
from benchmarks.load import libc, loop, probes, reader, recorder, state
from benchmarks.nouns import ClassResult, Crossing, EngineCost, Histogram, Ledger, LoadResult, Poll, Series
from benchmarks.questions import Arrivals


@dataclass(frozen=True, slots=True)
class Exchange:
    """What to send, and what must come back. `body` None: any body of the right length will do."""

    request: bytes
    expect_status: int = 200
    body: bytes | None = None
    bodiless: bool = False  # the answer to HEAD
    weight: float = 1.0  # of several, how often it is drawn
    label: str = ""  # exchanges with the same one are a class of requests, with histograms of their own
    also_status: int = 0  # another status that is right, with any body; 0: there is none


@dataclass(frozen=True, slots=True, init=False)
class Target:
    """Where to send what: one exchange, or several that are drawn by weight, in the same sequence for the same seed."""

    host: str  # numeric
    port: int
    exchanges: tuple[Exchange, ...]

    def __init__(
        self,
        host: str,
        port: int,
        exchanges: tuple[Exchange, ...] | bytes,
        expect_status: int = 200,
        body: bytes | None = None,
        bodiless: bool = False,
    ) -> None:
        """The exchanges; or a request and what must come back, for a target with only one."""
        if isinstance(exchanges, bytes):
            exchanges = (Exchange(exchanges, expect_status, body, bodiless),)
        for name, value in (("host", host), ("port", port), ("exchanges", exchanges)):
            object.__setattr__(self, name, value)


CompanionKind = Literal["idle", "slow_request", "slow_read"]
_KINDS: dict[CompanionKind, int] = {
    "idle": company.IDLE,
    "slow_request": company.SLOW_REQUEST,
    "slow_read": company.SLOW_READ,
}


@dataclass(frozen=True, slots=True)
class Companions:
    """Connections beside the load, in no histogram; see `benchmarks.load.companions` for what each kind does."""

    count: int
    kind: CompanionKind
    request: bytes = b""  # empty: the target's first
    piece_bytes: int = 1  # sent or read at a time by slow ones,
    every_s: float = 0.1  # each of them so often


@dataclass(frozen=True, slots=True)
class Drive:
    """One window of load. `rate_per_s` None is the closed loop."""

    seconds: float
    rate_per_s: float | None = None
    arrivals: Arrivals = "poisson"
    think_s: float = 0.0
    ramp_s: float = 0.0
    drain_s: float = 1.0
    timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    keepalive: bool = True
    poll: Poll = "busy"
    seed: int = 1
    on_s: float = 0.0  # arrivals "onoff": Poisson for so long, at the rate that makes the whole's mean `rate_per_s`,
    off_s: float = 0.0  # and none for so long; the window begins with an on period
    then_rate_per_s: float | None = None  # the open loop's rate
    then_at_s: float = 0.0  # from so long after the window's start
    slow_s: float = 0.0  # completions with a longer response time are counted in the series; 0: they are not
    give_up: bool = False  # open loop: arrivals that no connection is free for are dropped after `timeout_s`, as errors
    watch: tuple[int, ...] = ()  # processes whose CPU clocks are read at the window's edges


def request_bytes(
    host: str,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    keepalive: bool = True,
    fields: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """An HTTP/1.1 request. `host` is the value of its Host field; `fields` are further ones."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields)]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    if not keepalive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Lane:
    """One driver thread's share: the arrays that the compiled loop works on."""

    def __init__(self, target: Target, connections: int, control: Any, trace: int, beside: Companions | None = None) -> None:
        self.control = control
        self.trace = np.zeros((trace, 5), np.int64)
        self.epoll = select.epoll()
        family, self.address = libc.socket_address(target.host, target.port)
        self._exchange(target)
        self._accompany(beside or Companions(0, "idle"), target)
        self.engine = np.zeros(1, state.ENGINE)
        e = self.engine[0]
        e["epoll"], e["family"], e["address"] = self.epoll.fileno(), family, self.address.ctypes.data
        e["address_bytes"] = 16 if family == 2 else 28
        e["keepalive"] = True
        self.connections = np.zeros(connections, reader.CONNECTION)
        self.connections["fd"] = -1
        self.asides = np.zeros((connections, reader.HEAD_LIMIT), np.uint8)  # touched only where a head comes in pieces
        self.ring = np.zeros(1 << (2 * connections - 1).bit_length(), np.int64)
        self.later = np.zeros(connections, np.int64)
        self.retired = np.zeros(max(connections, 64), np.int64)
        self.buffer = np.zeros(state.BUFFER_BYTES, np.uint8)
        self.pair = np.zeros(2, np.int64)
        self.events = np.zeros(state.MAX_EVENTS * libc.EVENT_WORDS, np.int32)
        e["words_at"] = self.engine["words"].ctypes.data
        self.gaps = np.zeros((state.MAX_GAPS, 2), np.int64)
        self.usage = np.zeros((2, libc.RUSAGE_WORDS + 1), np.int64)
        self.clear(1, ())

    def _exchange(self, target: Target) -> None:
        """The table of what is sent and what must come back."""
        those = target.exchanges
        self.labels = list(dict.fromkeys(one.label for one in those))
        self.requests = [np.frombuffer(one.request, np.uint8) for one in those]  # the table holds their addresses
        self.templates = np.zeros((len(those), reader.TEMPLATE_LIMIT), np.uint8)
        self.bodies = np.frombuffer(b"".join(one.body or b"" for one in those) + b"\0", np.uint8).copy()
        self.exchanges = np.zeros(len(those), state.EXCHANGE)
        weights = np.array([one.weight for one in those], float)
        self.exchanges["upto"] = np.cumsum(weights) / weights.sum()
        at = 0
        for x, one, request, template in zip(self.exchanges, those, self.requests, self.templates, strict=True):
            x["request"], x["request_bytes"] = request.ctypes.data, len(request)
            x["expect_status"], x["also_status"], x["bodiless"] = one.expect_status, one.also_status, one.bodiless
            x["body_known"], x["body_at"], x["body_bytes"] = one.body is not None, at, len(one.body or b"")
            x["rows"] = recorder.PER_CLASS * self.labels.index(one.label)
            x["template"], x["template_bytes"] = template.ctypes.data, -2
            at += len(one.body or b"")

    def _accompany(self, beside: Companions, target: Target) -> None:
        """The connections beside this lane's own."""
        self.companion_request = np.frombuffer(beside.request or target.exchanges[0].request, np.uint8)
        self.companions = np.zeros(beside.count, reader.CONNECTION)
        self.companions["fd"] = -1
        self.companion_asides = np.zeros((beside.count, reader.HEAD_LIMIT), np.uint8)
        self.company = np.zeros(1, company.COMPANY)
        y = self.company[0]
        y["kind"], y["piece_bytes"] = _KINDS[beside.kind], beside.piece_bytes
        y["request"], y["request_bytes"] = self.companion_request.ctypes.data, len(self.companion_request)
        y["due_ns"] = state.NEVER_NS if beside.kind == "idle" or not beside.count else 0
        y["step_ns"] = int(beside.every_s * 1e9 / max(beside.count, 1))

    def clear(self, steps: int, watch: tuple[int, ...]) -> None:
        """Forget what was counted."""
        for name in _COUNTS:
            self.engine[0][name] = 0
        self.engine[0]["ring_head"] = 1
        self.ledger = np.zeros(len(state.LEDGER), np.int64)
        self.errors = np.zeros(len(state.ERROR_KINDS), np.int64)
        for name in ("intended", "completed", "errors"):
            self.exchanges[name] = 0
        self.company["served"] = 0
        self.series = np.zeros((4, steps), np.int64)
        self.recorder = recorder.Recorder(len(self.labels))
        for name in ("completed", "mark", "passed_over"):
            self.connections[name] = 0
        self.clocks = np.array([libc.process_clocks(pid) for pid in watch], np.int32).reshape(-1, 3)
        self.meters = np.zeros((2, len(watch), 3), np.int64)

    def ready(self) -> int:
        """How many connections are open with no request under way."""
        quiet = np.isin(self.connections["state"], (state.READY, state.THINKING))
        return int((quiet & (self.connections["fd"] >= 0)).sum())

    def open(self, deadline_ns: int, burst: int) -> int:
        failed = loop.open_all(
            self.engine, self.connections, self.ring, self.later, self.ledger, self.exchanges, self.errors, self.series,
            self.recorder.counts, self.recorder.moments, self.company, self.companions, self.companion_asides, self.bodies[:0],
            self.buffer, self.pair, self.events, self.control, deadline_ns, burst,
        )  # fmt: skip
        return int(failed)

    def drive(self, seed: int) -> None:
        loop.drive(
            self.engine, self.connections, self.asides, self.ring, self.later, self.retired, self.ledger, self.exchanges,
            self.errors, self.series, self.recorder.counts, self.recorder.moments, self.trace, self.bodies, self.buffer,
            self.gaps, self.company, self.companions, self.companion_asides, self.clocks, self.meters, self.usage, self.pair,
            self.events, self.control, seed,
        )  # fmt: skip

    def close(self) -> None:
        retired = self.retired[: int(self.engine[0]["retired_count"])]
        for fd in [*self.connections["fd"], *self.companions["fd"], *retired]:
            if fd >= 0:
                os.close(int(fd))
        self.connections["fd"] = self.companions["fd"] = -1
        self.engine[0]["retired_count"] = 0
        self.epoll.close()


_CROSSING = ("in_flight_ns", "carried_in", "carried_in_ns", "carried_out_ns", "unanswered_ns")
_NO_RATE_PER_S = 1e-7  # what stands for none at all: the next arrival is due in months, a time that can still be reckoned with
_FINE_STEP_NS, _COARSE_STEP_NS, _FINE_UP_TO_S = 10_000_000, 100_000_000, 10.0
_COUNTS = (
    "intended", "completed", "answered", "in_flight_at_end", "drained", "unfinished", "opened", "fallbacks", "gap_count",
    "gaps_lost", "idle_ns", "traced", "error_number", "later_head", "later_count", "ring_count", "in_flight", "connecting",
    "area_ns", "area_at_ns", "gap_ends_ns", "step", "waited", "intended_at_end", "free_at_end", "in_flight_ns", "carried_in",
    "carried_in_ns", "carried_out_ns", "unanswered_ns", "stops",
)  # fmt: skip


class Session:
    """Connections to one target, for one run after the other. Use it as a context manager, or call `close`.

    A run takes over what the last one left free. Whatever else there is, such as a request that was not answered by the end of
    the drain, is closed and opened again when the next begins, in its ramp if it has one.

    Companions are opened with the connections, stay over the runs, and are closed with them.

    With `trace`, the first so many requests of a run's window are kept singly, for tests of the engine itself. Raises
    ValueError for numbers that make no load.
    """

    def __init__(
        self,
        target: Target,
        connections: int,
        threads: int = 1,
        cpus: tuple[int, ...] = (),
        trace: int = 0,
        companions: Companions | None = None,
    ) -> None:
        if connections < 1 or threads < 1:
            raise ValueError("a load needs at least one connection and one thread")
        if not target.exchanges or any(not one.request or not one.weight > 0 for one in target.exchanges):
            raise ValueError("a load needs at least one exchange, and each a request and a weight above 0")
        if companions and (companions.count < 0 or companions.piece_bytes < 1 or not companions.every_s > 0):
            raise ValueError("companions need a count, pieces of at least a byte, and a time between them above 0")
        threads = min(threads, connections)
        self.connections = connections
        self.cpus = cpus
        self.control = np.zeros(1, np.int64)
        shares = [connections // threads + (i < connections % threads) for i in range(threads)]
        self.companions = companions
        beside = [_share(companions, number, threads) for number in range(threads)]
        self.lanes = [_Lane(target, share, self.control, trace, few) for share, few in zip(shares, beside, strict=True)]
        self.connect = Histogram()
        self.opened = 0

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, timeout_s: float = 5.0, burst: int = 128) -> dict[str, int]:
        """Open all connections, and the companions between them, which get `timeout_s` more for each thousand. Returns the
        errors by kind; those connections are tried again while the load runs."""
        thousands = self.companions.count / 1000 if self.companions else 0.0
        deadline_ns = time.monotonic_ns() + int(timeout_s * (1 + thousands) * 1e9)
        self._each(lambda lane, _: lane.open(deadline_ns, burst))
        self.connect = histogram.merge(lane.recorder.row(recorder.CONNECT) for lane in self.lanes)
        self.opened = sum(int(lane.engine[0]["opened"]) for lane in self.lanes)
        return _errors(self.lanes)

    def traced(self) -> Any:
        """The requests kept singly: int64 (requests, 5) of local port (0 if it is closed), intended, sent and end, in ns of
        CLOCK_MONOTONIC, and the number of their exchange."""
        kept = []
        for lane in self.lanes:
            rows = lane.trace[: int(lane.engine[0]["traced"])].copy()
            ports = np.array([_local_port(int(fd)) if fd >= 0 else 0 for fd in lane.connections["fd"]])
            rows[:, 0] = ports[rows[:, 0]]
            kept.append(rows)
        return np.concatenate(kept)

    def begins_ns(self) -> int:
        """When the last window began, by CLOCK_MONOTONIC: what the gaps of its result count from (one thread)."""
        return int(self.lanes[0].engine[0]["starts_ns"])

    def stop(self) -> None:
        """End the window now, and the drain as well when called again. Between runs it is the next one that ends at once.

        Safe to call from a signal handler.
        """
        self.control[0] += 1

    def run(self, drive: Drive) -> LoadResult:
        """Drive the load and return what was seen. Blocks; `stop` from a signal handler ends it early. Raises ValueError."""
        if drive.arrivals == "onoff" and not (drive.on_s > 0 and drive.off_s >= 0):
            raise ValueError("arrivals in bursts need an on period above 0 and an off period")
        if drive.then_rate_per_s is not None and drive.rate_per_s is None:
            raise ValueError("a closed loop has no rate that could change")
        steps = max(int(np.ceil(drive.seconds * 1e9 / _step_ns(drive))), 1) + 1
        begins_ns = time.monotonic_ns()
        kept = 0 if self.opened else sum(lane.ready() for lane in self.lanes)
        for number, lane in enumerate(self.lanes):
            lane.clear(steps, drive.watch if number == 0 else ())
            self._plan(lane, number, drive, begins_ns)
        self._each(lambda lane, number: lane.drive(drive.seed * 1000 + number))
        result = self._result(drive, kept)
        self.opened, self.connect = 0, Histogram()  # they belong to the first run
        self.control[0] = 0
        return result

    def _plan(self, lane: _Lane, number: int, drive: Drive, begins_ns: int) -> None:
        e = lane.engine[0]
        e["starts_ns"] = begins_ns + int(drive.ramp_s * 1e9)
        e["ends_ns"] = e["starts_ns"] + int(drive.seconds * 1e9)
        e["drain_ns"], e["think_ns"] = int(drive.drain_s * 1e9), int(drive.think_s * 1e9)
        e["timeout_ns"], e["connect_timeout_ns"] = int(drive.timeout_s * 1e9), int(drive.connect_timeout_s * 1e9)
        e["step_ns"] = _step_ns(drive)
        e["keepalive"], e["sleepy"] = drive.keepalive, drive.poll == "sleep"
        e["give_up"], e["slow_ns"] = drive.give_up, int(drive.slow_s * 1e9) if drive.slow_s else state.NEVER_NS
        e["open"], e["poisson"] = drive.rate_per_s is not None, drive.arrivals != "constant"
        e["on_ns"] = e["off_ns"] = 0.0
        e["then_ns"], e["next_ns"] = state.NEVER_NS, 0.0
        if drive.rate_per_s is not None:
            # Each lane offers its connections' share. Constant arrivals of several lanes interleave evenly.
            share = len(lane.connections) / self.connections
            on = 1.0  # the part of time in which arrivals come
            if drive.arrivals == "onoff":
                e["on_ns"], e["off_ns"] = drive.on_s * 1e9, drive.off_s * 1e9
                on = drive.on_s / (drive.on_s + drive.off_s)
            e["interval_ns"] = 1e9 * on / (drive.rate_per_s * share)
            e["next_ns"] = e["interval_ns"] * number / len(self.lanes)
            if drive.then_rate_per_s is not None:
                e["then_interval_ns"] = 1e9 * on / max(drive.then_rate_per_s * share, _NO_RATE_PER_S)
                e["then_ns"] = int(drive.then_at_s * 1e9)

    def _each(self, work: Any) -> None:
        """Run every lane in a thread of its own, pinned if CPUs were given, and wait, so that signals are still handled."""
        failures: list[BaseException] = []

        def one(number: int, lane: _Lane) -> None:
            try:
                if self.cpus:
                    os.sched_setaffinity(0, {self.cpus[number % len(self.cpus)]})
                work(lane, number)
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=one, args=pair) for pair in enumerate(self.lanes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _result(self, drive: Drive, kept: int) -> LoadResult:
        lanes, engines = self.lanes, [lane.engine[0] for lane in self.lanes]
        lengths = [int(e["ends_ns"] - e["starts_ns"]) for e in engines]
        seconds = max(sum(lengths) / len(lengths) / 1e9, 1e-9)

        def add(name: str) -> int:
            return sum(int(e[name]) for e in engines)

        def row(kind: int) -> Histogram:
            return histogram.merge(lane.recorder.row(kind) for lane in lanes)

        ledger = np.sum([lane.ledger for lane in lanes], axis=0)
        return LoadResult(
            seconds=seconds,
            connections=self.connections,
            offered_per_s=drive.rate_per_s,
            intended=add("intended"),
            completed=add("completed"),
            in_flight=add("in_flight_at_end"),
            drained=add("drained"),
            unfinished=add("unfinished"),
            errors=_errors(lanes),
            connections_opened=self.opened + add("opened"),
            waited=add("waited"),
            unsent=add("intended") - add("intended_at_end") if drive.rate_per_s is not None else 0,
            free_at_end=add("free_at_end"),
            fallbacks=add("fallbacks"),
            busy_fraction=_busy_fraction(lanes, drive, sum(lengths)),
            response=row(recorder.RESPONSE),
            service=row(recorder.SERVICE),
            send_lag=row(recorder.SEND_LAG),
            own_lag=row(recorder.OWN_LAG),
            connect=histogram.merge([self.connect, row(recorder.CONNECT)]),
            censored=row(recorder.CENSORED),
            series=_series(lanes, max(lengths), drive.slow_s > 0),
            gaps=sorted(
                (int(start - e["starts_ns"]), int(length))
                for lane, e in zip(lanes, engines, strict=True)
                for start, length in lane.gaps[: int(e["gap_count"])]
            ),
            gaps_lost=add("gaps_lost"),
            per_connection=[int(n) for lane in lanes for n in lane.connections["completed"]],
            ledger=Ledger(**{name: int(value) for name, value in zip(state.LEDGER, ledger, strict=True)}),
            passed_over=_passed_over(lanes),
            crossing=Crossing(**{name: add(name) for name in _CROSSING}),
            cost=_cost(lanes),
            server_cpu_ns=_watched(lanes)[0],
            server_user_ns=_watched(lanes)[1],
            all_requests=add("answered"),
            kept=kept,
            classes=_classes(lanes),
            companions=_company(lanes) if self.companions else {},
        )

    def close(self) -> None:
        """Close every connection, with a FIN."""
        for lane in self.lanes:
            lane.close()


def _share(companions: Companions | None, number: int, lanes: int) -> Companions | None:
    """A lane's part of the companions."""
    if companions is None:
        return None
    return replace(companions, count=companions.count // lanes + (number < companions.count % lanes))


def _classes(lanes: list[_Lane]) -> dict[str, ClassResult]:
    """What became of the requests of each label, if there are several."""
    labels, found = lanes[0].labels, {}
    for number, label in enumerate(labels if len(labels) > 1 else ()):
        rows = [lane.exchanges[lane.exchanges["rows"] == recorder.PER_CLASS * number] for lane in lanes]
        counts = [sum(int(row[name].sum()) for row in rows) for name in ("intended", "completed", "errors")]
        kinds = (recorder.RESPONSE, recorder.SERVICE, recorder.CENSORED)
        times = [histogram.merge(lane.recorder.of_class(kind, number) for lane in lanes) for kind in kinds]
        found[label] = ClassResult(counts[0], counts[1], counts[2], times[0], times[1], times[2])
    return found


def _company(lanes: list[_Lane]) -> dict[str, int]:
    """What became of the companions: those open after the run, answers completed in the window, and since the session was
    opened those that could not be opened and those that the server closed."""
    fields = {"open": "still", "refused": "refused", "lost": "lost", "served": "served"}
    return {name: sum(int(lane.company[0][field]) for lane in lanes) for name, field in fields.items()}


def _local_port(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as connection:
        return int(connection.getsockname()[1])


def _errors(lanes: list[_Lane]) -> dict[str, int]:
    counts = np.sum([lane.errors for lane in lanes], axis=0)
    return {kind: int(count) for kind, count in zip(state.ERROR_KINDS, counts, strict=True) if count}


def _step_ns(drive: Drive) -> int:
    """The step of a run's series: fine enough for the tests of drift in a short window, and short enough to keep of a long."""
    return _FINE_STEP_NS if drive.seconds <= _FINE_UP_TO_S else _COARSE_STEP_NS


def _series(lanes: list[_Lane], length_ns: int, slow: bool) -> Series:
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


def _passed_over(lanes: list[_Lane]) -> list[int]:
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


def _busy_fraction(lanes: list[_Lane], drive: Drive, length_ns: int) -> float:
    """How much of the window the engine had something to do.

    Busy polling: one less the time spent in turns that found nothing, each counted up to 40 µs, for in a longer one the engine
    was kept from its work. Sleeping: CPU time over time.
    """
    if drive.poll == "sleep":
        spent = sum(int(lane.usage[1, -1] - lane.usage[0, -1]) for lane in lanes)
        return min(spent / max(length_ns, 1), 1.0)
    return max(1.0 - sum(int(lane.engine[0]["idle_ns"]) for lane in lanes) / max(length_ns, 1), 0.0)


def _cost(lanes: list[_Lane]) -> EngineCost:
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


def _watched(lanes: list[_Lane]) -> tuple[int, int]:
    """The watched processes' CPU between the edges in ns: the exact total, and the user part of it."""
    meters = lanes[0].meters
    meters = meters[:, (meters[:, :, 0] > 0).all(axis=0)]  # a process that has ended has no clocks any more
    total, user, sampled = (meters[1] - meters[0]).sum(axis=0)
    return int(total), int(total * user / sampled) if sampled else 0


def compile_all() -> None:
    """Load from the cache, or compile, everything that a run calls, by driving a listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with Session(Target(host, port, b"-"), 1) as session:
            session.open(0.2)
            session.run(Drive(seconds=0.001, drain_s=0.001))
    shared = np.ones(128, np.int64)
    pair = np.zeros(2, np.int64)
    probes.return_ball(shared, pair, 1)
    probes.serve_ball(shared, shared, pair, 1)
