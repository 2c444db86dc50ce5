"""The harness's end of the engine process."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from benchmarks.load.process import Close, CloseAll, Compile, HangUp, Open, Probe, Question, Ready, Reply, Run, WarmUp
from benchmarks.load.targets import Background, Drive, Target
from benchmarks.nouns import LoadResult, MachineState, Warmup

Value = TypeVar("Value")

_ROOT = Path(__file__).resolve().parents[2]


class EngineDied(RuntimeError):
    """The engine process ended or could not do what it was asked; the message says which."""


class RemoteEngine:
    """A load engine pinned to the driver's CPUs. Every method blocks until it has answered; EngineDied if it can't."""

    def __init__(self, cpus: tuple[int, ...]) -> None:
        self._cpus = cpus
        self._decoder = msgspec.json.Decoder(Reply)
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load.process", ",".join(map(str, self._cpus))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,  # not where the user stands: modules that lie there are the user's own
            start_new_session=True,  # a Ctrl-C is the harness's to handle
        )

    def restart_if_ended(self) -> bool:
        """Start a new process if this one has died, so that one failure is not the end of a run. True if so: its sessions are
        gone."""
        ended = self._process.poll() is not None
        if ended:
            self.close()
            self._start()
            self.compile()
        return ended

    def __enter__(self) -> "RemoteEngine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def compile(self) -> None:
        """Have all compiled code ready, so that nothing is loaded later."""
        self._ask(Compile())

    def probe(self, server_cpu: int) -> MachineState:
        """The machine's state now."""
        return _must(self._ask(Probe(server_cpu)).machine_state)

    def round_trip_ns(self, server_cpu: int) -> float:
        """How long a cache line takes between the server's core and the driver's and back, now; 0.0 with a single core."""
        return _must(self._ask(Probe(server_cpu, brief=True)).machine_state).pingpong_ns or 0.0

    def warm_up(self, target: Target, connections: int, round_s: float, limit_s: float, steady_within: float) -> Warmup:
        """Rounds of load on new connections until the rate is steady or `limit_s` has passed; see `process.WarmUp`."""
        return _must(self._ask(WarmUp(target, connections, round_s, limit_s, steady_within)).warmup)

    def open(self, session: str, target: Target, connections: int, background: Background | None = None) -> dict[str, int]:
        """Open connections, and others in the background, as a session; one of that name is closed before.

        Returns the errors of those that could not be opened, by kind. EngineDied, with what is to be done, where the process
        may not open so many descriptors.
        """
        return _must(self._ask(Open(session, target, connections, background)).opened).errors

    def run(self, session: str, drive: Drive) -> LoadResult:
        """One window on a session's connections. Each run of a session takes over the connections that the last left free."""
        return _must(self._ask(Run(session, drive)).load)

    def ready(self, session: str) -> int:
        """How many of a session's connections are open with no request under way, as far as the engine has noticed."""
        return _must(self._ask(Ready(session)).ready)

    def hang_up(self, session: str, wait_s: float = 0.0) -> None:
        """Close a session's connections, but not those in the background; its next run opens them again, in its ramp."""
        self._ask(HangUp(session, wait_s))

    def close_session(self, session: str, wait_s: float = 0.0) -> None:
        """Close a session's connections, and wait up to `wait_s` for the server to close its ends: it has noticed then."""
        self._ask(Close(session, wait_s))

    def close_sessions(self) -> None:
        """Close all sessions; none need be open."""
        self._ask(CloseAll())

    def close(self) -> None:
        """End the process; at once if it is busy."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # what it never read
        self._process.stdout.close()

    def _ask(self, question: Question) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(question) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise EngineDied(f"the load engine ended with status {self._process.wait()}")
        reply = self._decoder.decode(line)
        if reply.trouble is not None:
            raise EngineDied(f"the load engine says: {reply.trouble.message}")
        return reply


def _must(value: Value | None) -> Value:
    assert value is not None
    return value
