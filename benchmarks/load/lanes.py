"""One driver thread's share of a load: the arrays that the compiled loop works on, and the calls into it."""

import mmap
import os
import select
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.load import background as kinds
from benchmarks.load import libc, loop, reader, recorder, state
from benchmarks.load.connections import hang_up
from benchmarks.load.targets import Background, BackgroundKind, Target

_KINDS: dict[BackgroundKind, int] = {
    "idle": kinds.IDLE,
    "slow_request": kinds.SLOW_REQUEST,
    "slow_read": kinds.SLOW_READ,
}
_COUNTS = (
    "intended", "completed", "answered", "in_flight_at_end", "drained", "unfinished", "opened", "fallbacks", "gap_count",
    "gaps_lost", "idle_ns", "traced", "error_number", "later_head", "later_count", "ring_count", "in_flight", "connecting",
    "area_ns", "area_at_ns", "gap_ends_ns", "step", "waited", "intended_at_end", "free_at_end", "in_flight_ns", "carried_in",
    "carried_in_ns", "carried_out_ns", "unanswered_ns", "stops", "kept", "pending",
)  # fmt: skip
_RETAINED = 64  # connections that are kept until the server closes them, at least


class Lane:
    """One driver thread's share: the arrays that the compiled loop works on."""

    def __init__(
        self,
        target: Target,
        connections: int,
        control: Any,
        trace: int,
        background: Background | None = None,
        retained: int | None = None,
    ) -> None:
        self.control = control
        self.trace = np.zeros((trace, 5), np.int64)
        self.epoll = select.epoll()
        family, self.address = libc.socket_address(target.host, target.port)
        self._exchange(target)
        self._with_background(background or Background(0, "idle"), target)
        self.engine = np.zeros(1, state.ENGINE)
        e = self.engine[0]
        e["epoll"], e["family"], e["address"] = self.epoll.fileno(), family, self.address.ctypes.data
        e["address_bytes"] = 16 if family == 2 else 28
        e["keepalive"] = True
        self.connections = np.zeros(connections, reader.CONNECTION)
        self.connections["fd"] = -1
        self.asides = _asides(connections)
        self.ring = np.zeros(1 << (2 * connections - 1).bit_length(), np.int64)
        self.later = np.zeros(connections, np.int64)
        self.retired = np.zeros(max(connections, _RETAINED) if retained is None else retained, np.int64)
        self.buffer = np.zeros(state.BUFFER_BYTES, np.uint8)
        self.pair = np.zeros(2, np.int64)
        self.events = np.zeros(state.MAX_EVENTS * libc.EVENT_WORDS, np.int32)
        e["words_at"] = self.engine["words"].ctypes.data
        self.gaps = np.zeros((state.MAX_GAPS, 2), np.int64)
        self.usage = np.zeros((2, libc.RUSAGE_WORDS + 1), np.int64)
        self.recorder = recorder.Recorder(len(self.labels))
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

    def _with_background(self, background: Background, target: Target) -> None:
        """This lane's share of the background connections."""
        self.background_request = np.frombuffer(background.request or target.exchanges[0].request, np.uint8)
        self.background = np.zeros(background.count, reader.CONNECTION)
        self.background["fd"] = -1
        self.background_asides = _asides(background.count)
        self.background_state = np.zeros(1, kinds.STATE)
        y = self.background_state[0]
        y["kind"], y["piece_bytes"] = _KINDS[background.kind], background.piece_bytes
        y["request"], y["request_bytes"] = self.background_request.ctypes.data, len(self.background_request)
        y["due_ns"] = state.NEVER_NS if background.kind == "idle" or not background.count else 0
        y["step_ns"] = int(background.every_s * 1e9 / max(background.count, 1))

    def clear(self, steps: int, watch: tuple[int, ...]) -> None:
        """Forget what was counted."""
        for name in _COUNTS:
            self.engine[0][name] = 0
        self.engine[0]["ring_head"] = 1
        self.ledger = np.zeros(len(state.LEDGER), np.int64)
        self.errors = np.zeros(len(state.ERROR_KINDS), np.int64)
        for name in ("intended", "completed", "errors"):
            self.exchanges[name] = 0
        self.background_state["served"] = 0
        self.series = np.zeros((4, steps), np.int64)
        self.recorder.clear()
        for name in ("completed", "mark", "passed_over"):
            self.connections[name] = 0
        self.clocks = np.array([libc.process_clocks(pid) for pid in watch], np.int32).reshape(-1, 3)
        self.meters = np.zeros((2, len(watch), 3), np.int64)

    def ready(self) -> int:
        """How many connections are open with no request under way."""
        quiet = np.isin(self.connections["state"], (state.READY, state.THINKING))
        return int((quiet & (self.connections["fd"] >= 0)).sum())

    def open(self, deadline_ns: int, burst: int) -> int:
        """Open the connections, so many at once, until the deadline; returns how many could not be."""
        failed = loop.open_all(
            self.engine, self.connections, self.ring, self.later, self.ledger, self.exchanges, self.errors, self.series,
            self.recorder.counts, self.recorder.moments, self.background_state, self.background,
            self.background_asides, self.bodies[:0], self.buffer, self.pair, self.events, self.control, deadline_ns, burst,
        )  # fmt: skip
        return int(failed)

    def drive(self, seed: int) -> None:
        """Make the load that the engine's row describes, with a random stream of its own."""
        loop.drive(
            self.engine, self.connections, self.asides, self.ring, self.later, self.retired, self.ledger, self.exchanges,
            self.errors, self.series, self.recorder.counts, self.recorder.moments, self.trace, self.bodies, self.buffer,
            self.gaps, self.background_state, self.background, self.background_asides, self.clocks, self.meters, self.usage,
            self.pair, self.events, self.control, seed,
        )  # fmt: skip

    def hang_up(self, deadline_ns: int) -> None:
        """Close the connections of the load, with a FIN, and wait until the deadline for the server to close its ends."""
        hang_up(self.engine[0], self.connections, self.retired, self.buffer, self.events, self.pair, deadline_ns)

    def close(self, deadline_ns: int) -> None:
        """The same, then close the background connections and the epoll."""
        if self.epoll.closed:
            return
        self.hang_up(deadline_ns)
        retired = self.retired[: int(self.engine[0]["retired_count"])]
        for fd in [*self.background["fd"], *retired]:
            if fd >= 0:
                os.close(int(fd))
        self.background["fd"] = -1
        self.engine[0]["retired_count"] = 0
        self.epoll.close()


def _asides(connections: int) -> npt.NDArray[np.uint8]:
    """Where connections put unfinished heads aside, HEAD_LIMIT bytes for each. Few heads come in pieces: what isn't touched is
    no memory, in huge pages neither, which numpy would ask for."""
    if not connections:
        return np.zeros((0, reader.HEAD_LIMIT), np.uint8)
    room = mmap.mmap(-1, connections * reader.HEAD_LIMIT, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(room, np.uint8).reshape(connections, reader.HEAD_LIMIT)
