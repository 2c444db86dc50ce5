"""The harness's end of the engine process."""

import subprocess
import sys
from types import TracebackType
from typing import TypeVar

import msgspec

from benchmarks.load.process import Close, Compile, Open, Probe, Question, Reply, Run, WarmUp
from benchmarks.load.targets import Companions, Drive, Target
from benchmarks.nouns import LoadResult, Warmup, Weather

Value = TypeVar("Value")


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
            start_new_session=True,  # a Ctrl-C is the harness's to handle
        )

    def restart_if_ended(self) -> None:
        """Start a new process if this one has died, so that one failed visit is not the end of a block."""
        if self._process.poll() is not None:
            self.close()
            self._start()
            self.compile()

    def __enter__(self) -> "RemoteEngine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def compile(self) -> None:
        """Have all compiled code ready, so that nothing is loaded later."""
        self._ask(Compile())

    def probe(self, server_cpu: int) -> Weather:
        """The machine's weather now."""
        return _must(self._ask(Probe(server_cpu)).weather)

    def warm_up(self, target: Target, connections: int, round_s: float, limit_s: float, steady_within: float) -> Warmup:
        """Rounds of load on new connections until the rate is steady, or `limit_s` has passed and there were enough to tell."""
        return _must(self._ask(WarmUp(target, connections, round_s, limit_s, steady_within)).warmup)

    def open(self, target: Target, connections: int, companions: Companions | None = None) -> dict[str, int]:
        """Open the connections of a level, and others beside them; the errors of those that could not be opened, by kind."""
        return _must(self._ask(Open(target, connections, companions)).opened).errors

    def run(self, drive: Drive) -> LoadResult:
        """One window on the open connections."""
        return _must(self._ask(Run(drive)).load)

    def close_connections(self) -> None:
        """Close the connections of a level."""
        self._ask(Close())

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
