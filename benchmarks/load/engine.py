"""The load engine as an object: open connections, drive them for a window, read the result, close them.

A `Session` holds the connections of one level. It has one lane per driver thread, each with its own epoll, connections,
schedule, random stream and histograms; lanes share nothing while they run, and are merged at the end.
"""

import os
import random
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.load import probes, recorder, state
from benchmarks.load.lanes import Lane
from benchmarks.load.outcome import Before, errors_of, outcome, step_ns
from benchmarks.load.targets import Background, Drive, Target
from benchmarks.nouns import Histogram, LoadResult

_SIGNALS_S = 0.1  # from one look for signals to the next
_NO_RATE_PER_S = 1e-7  # what stands for none at all: the next arrival is due in months, a time that can still be reckoned with


class Session:
    """Connections to one target, for one run after the other. Use it as a context manager, or call `close`.

    A run takes over what the last one left free. Whatever else there is, such as a request that was not answered by the end of
    the drain, is closed and opened again when the next begins, in its ramp if it has one.

    Background connections are opened with those of the load, stay over the runs, and are closed with them.

    Each lane runs in a thread of its own, so that a signal handler can `stop` the load. If `blocking`, a single one runs in the
    caller's thread instead, which neither starts a thread for each window nor waits for a CPU to run it.

    Connections that the server is to close first are kept until it does, `retained` of them, by default as many as there are
    connections: each holds a descriptor.

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
        background: Background | None = None,
        blocking: bool = False,
        retained: int | None = None,
    ) -> None:
        if connections < 1 or threads < 1:
            raise ValueError("a load needs at least one connection and one thread")
        if not target.exchanges or any(not one.request or not one.weight > 0 for one in target.exchanges):
            raise ValueError("a load needs at least one exchange, and each a request and a weight above 0")
        if background and (background.count < 0 or background.piece_bytes < 1 or not background.every_s > 0):
            raise ValueError("background connections need a count, pieces of at least a byte, and a time between them above 0")
        threads = min(threads, connections)
        self.connections = connections
        self.cpus = cpus
        self.blocking = blocking
        self.control = np.zeros(1, np.int64)
        shares = [connections // threads + (i < connections % threads) for i in range(threads)]
        self.background = background
        self.lanes = [
            Lane(target, share, self.control, trace, _share(background, number, threads), retained and retained // threads)
            for number, share in enumerate(shares)
        ]
        self.connect = Histogram()
        self.opened = 0

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, timeout_s: float = 5.0, burst: int = 128) -> dict[str, int]:
        """Open all connections, and the background connections between them, which get `timeout_s` more for each thousand.

        Returns the errors by kind; those connections are tried again while the load runs.
        """
        thousands = self.background.count / 1000 if self.background else 0.0
        deadline_ns = time.monotonic_ns() + int(timeout_s * (1 + thousands) * 1e9)
        self._each(lambda lane, _: lane.open(deadline_ns, burst))
        self.connect = recorder.together([lane.recorder for lane in self.lanes], recorder.CONNECT)
        self.opened = sum(int(lane.engine[0]["opened"]) for lane in self.lanes)
        return errors_of(self.lanes)

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

    def ready(self) -> int:
        """How many connections are open with no request under way."""
        return sum(lane.ready() for lane in self.lanes)

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
        steps = max(int(np.ceil(drive.seconds * 1e9 / step_ns(drive))), 1) + 1
        begins_ns = time.monotonic_ns()
        for number, lane in enumerate(self.lanes):
            lane.clear(steps, drive.watch if number == 0 else ())
            self._plan(lane, number, drive, begins_ns)
        self._each(lambda lane, number: lane.drive(drive.seed * 1000 + number))
        result = outcome(self.lanes, drive, Before(self.opened, self.connect, self.background is not None))
        self.opened, self.connect = 0, Histogram()  # they belong to the first run
        self.control[0] = 0
        return result

    def _plan(self, lane: Lane, number: int, drive: Drive, begins_ns: int) -> None:
        e = lane.engine[0]
        e["starts_ns"] = begins_ns + int(drive.ramp_s * 1e9)
        e["ends_ns"] = e["starts_ns"] + int(drive.seconds * 1e9)
        e["sustain"] = drive.sustain
        e["drain_ns"], e["think_ns"] = int(drive.drain_s * 1e9), int(drive.think_s * 1e9)
        e["timeout_ns"], e["connect_timeout_ns"] = int(drive.timeout_s * 1e9), int(drive.connect_timeout_s * 1e9)
        e["step_ns"] = step_ns(drive)
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
            if e["poisson"]:  # the first gap is exponential, too: a window that begins with an arrival has one too many
                e["next_ns"] = e["interval_ns"] * random.Random(f"{drive.seed} {number}").expovariate(1.0)
            else:
                e["next_ns"] = e["interval_ns"] * number / len(self.lanes)
            if drive.then_rate_per_s is not None:
                e["then_interval_ns"] = 1e9 * on / max(drive.then_rate_per_s * share, _NO_RATE_PER_S)
                e["then_ns"] = int(drive.then_at_s * 1e9)

    def _each(self, work: Any) -> None:
        """Run every lane, pinned if CPUs were given, and wait."""
        failures: list[BaseException] = []

        def one(number: int, lane: Lane) -> None:
            try:
                if self.cpus:
                    os.sched_setaffinity(0, {self.cpus[number % len(self.cpus)]})
                work(lane, number)
            except BaseException as failure:
                failures.append(failure)

        if self.blocking and len(self.lanes) == 1:
            one(0, self.lanes[0])
        else:
            threads = [threading.Thread(target=one, args=pair) for pair in enumerate(self.lanes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # Python 3.13 handles no signal in a join without a limit
                    thread.join(_SIGNALS_S)
        if failures:
            raise failures[0]

    def hang_up(self, wait_s: float = 0.0) -> None:
        """Close the connections of the load; the next run opens them again, in its ramp if it has one. See `close`."""
        for lane in self.lanes:
            lane.hang_up(time.monotonic_ns() + int(wait_s * 1e9))

    def close(self, wait_s: float = 0.0) -> None:
        """Close every connection, with a FIN, and wait up to `wait_s` for the server to close its ends: it has noticed then."""
        for lane in self.lanes:
            lane.close(time.monotonic_ns() + int(wait_s * 1e9))


def _share(background: Background | None, number: int, lanes: int) -> Background | None:
    """A lane's part of the background connections."""
    if background is None:
        return None
    return replace(background, count=background.count // lanes + (number < background.count % lanes))


def _local_port(fd: int) -> int:
    with socket.socket(fileno=os.dup(fd)) as connection:
        return int(connection.getsockname()[1])


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
