"""The engine in a process of its own: one line of JSON asks, one line answers.

It is started once for a block of visits, so that nothing is imported or compiled between them, and pinned to the driver's
cores. It ends when its standard input does, and Linux kills it if the harness dies while it is busy (PR_SET_PDEATHSIG), so it
cannot outlive the harness.
"""

import ctypes
import os
import signal
import sys
import time
from typing import Any

import msgspec

from benchmarks.load import probes
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.steadiness import ROUNDS, is_steady
from benchmarks.load.targets import Companions, Drive, Target
from benchmarks.nouns import LoadResult, Warmup, Weather

_PR_SET_PDEATHSIG = 1


class Compile(msgspec.Struct, tag=True, frozen=True):
    """Load all compiled code, or compile it. Answered by an empty Reply."""


class Probe(msgspec.Struct, tag=True, frozen=True):
    """Probe the weather between the server's CPU and the first of the driver's. Answered by Weather."""

    server_cpu: int


class WarmUp(msgspec.Struct, tag=True, frozen=True):
    """Rounds of load, each on new connections, until they are steady. Answered by Warmup."""

    target: Target
    connections: int
    round_s: float
    limit_s: float
    steady_within: float


class Open(msgspec.Struct, tag=True, frozen=True):
    """Open the connections of a level, and others beside them. Answered by Opened."""

    target: Target
    connections: int
    companions: Companions | None = None


class Run(msgspec.Struct, tag=True, frozen=True):
    """Drive the open connections. Answered by LoadResult."""

    drive: Drive


class Close(msgspec.Struct, tag=True, frozen=True):
    """Close the connections. Answered by an empty Reply."""


Question = Compile | Probe | WarmUp | Open | Run | Close


class Opened(msgspec.Struct, frozen=True):
    """Errors by kind of connections that could not be opened."""

    errors: dict[str, int]


class Trouble(msgspec.Struct, frozen=True):
    """The engine could not do it."""

    message: str


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer: at most one field is set."""

    opened: Opened | None = None
    load: LoadResult | None = None
    warmup: Warmup | None = None
    weather: Weather | None = None
    trouble: Trouble | None = None


_WARM_DRAIN_S = 1.0  # at most, until a round has its answers: what it leaves undone would be the next one's to wait for


class Engine:
    """What the process remembers between lines: the CPUs it has, and the level that is open."""

    def __init__(self, cpus: tuple[int, ...]) -> None:
        self.cpus = cpus
        self.session: Session | None = None

    def answer(self, question: Question) -> Reply:
        """Do what is asked. Raises ValueError and OSError, which become Trouble."""
        match question:
            case Compile():
                compile_all()
                return Reply()
            case Probe(server_cpu):
                return Reply(weather=probes.weather(server_cpu, self.cpus[0]))
            case WarmUp():
                return Reply(warmup=self._warm_up(question))
            case Open(target, connections, companions):
                self._close()
                self.session = Session(target, connections, len(self.cpus), self.cpus, companions=companions)
                return Reply(opened=Opened(self.session.open()))
            case Run(drive):
                if self.session is None:
                    raise ValueError("no connections are open")
                return Reply(load=self.session.run(drive))
            case Close():
                self._close()
                return Reply()

    def _close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def _warm_up(self, plan: WarmUp) -> Warmup:
        begins = time.monotonic()
        rates: list[float] = []
        while not is_steady(rates, plan.steady_within, plan.round_s) and (
            time.monotonic() - begins < plan.limit_s or len(rates) < ROUNDS
        ):
            with Session(plan.target, plan.connections, len(self.cpus), self.cpus) as session:
                session.open()
                load = session.run(Drive(seconds=plan.round_s, drain_s=_WARM_DRAIN_S))
                rates.append(load.completed / load.seconds)
        steady = is_steady(rates, plan.steady_within, plan.round_s)
        return Warmup(time.monotonic() - begins, rates, steady, plan.round_s)


def main() -> None:
    """Answer lines until standard input ends."""
    # If the harness is dead already, standard input has ended.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    cpus = tuple(int(cpu) for cpu in sys.argv[1].split(","))
    os.sched_setaffinity(0, set(cpus))
    engine = Engine(cpus)
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Question)
    for line in sys.stdin.buffer:
        try:
            reply = engine.answer(decoder.decode(line))
        except (ValueError, OSError, msgspec.ValidationError) as trouble:
            reply = Reply(trouble=Trouble(f"{type(trouble).__name__}: {trouble}"))
        try:
            sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the harness died before the prctl, but after a question
            os._exit(1)  # an ordinary exit would flush again and complain


if __name__ == "__main__":
    main()
