"""The engine in a process of its own: one line of JSON asks, one line answers.

It is started once for a run, so that nothing is imported or compiled between windows, and pinned to the driver's cores. It
holds the connections of several servers at once, in sessions: what a session has, its epoll too, is its own, so those that are
silent cost the one that runs nothing. The process ends
when its standard input does, and Linux kills it if the harness dies while it is busy (PR_SET_PDEATHSIG), so it cannot outlive
the harness.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from typing import Any

import msgspec

from benchmarks.load import probes
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.steadiness import ROUNDS, is_steady
from benchmarks.load.targets import Background, Drive, Target
from benchmarks.nouns import LoadResult, MachineState, Warmup

_PR_SET_PDEATHSIG = 1


class Compile(msgspec.Struct, tag=True, frozen=True):
    """Load all compiled code, or compile it. Answered by an empty Reply."""


class Probe(msgspec.Struct, tag=True, frozen=True):
    """Probe the machine's state between the server's CPU and the first of the driver's. Answered by MachineState; a `brief` one
    looks at the cache line alone, for a few milliseconds."""

    server_cpu: int
    brief: bool = False


class WarmUp(msgspec.Struct, tag=True, frozen=True):
    """Rounds of load, each on new connections, until they are steady or the limit has passed. Answered by Warmup.

    A round begins when each of its connections has been served once, so that its rate is one of requests, however many
    connections a server has to accept first. Should the limit pass before there are rounds enough to tell, it is doubled.
    """

    target: Target
    connections: int
    round_s: float
    limit_s: float
    steady_within: float


class Open(msgspec.Struct, tag=True, frozen=True):
    """Open connections, and others in the background, as a session; one of that name is closed before. Answered by Opened."""

    session: str
    target: Target
    connections: int
    background: Background | None = None


class Run(msgspec.Struct, tag=True, frozen=True):
    """Drive a session's connections for a window. Answered by LoadResult."""

    session: str
    drive: Drive


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Count a session's open connections with no request under way. Answered by a number."""

    session: str


class HangUp(msgspec.Struct, tag=True, frozen=True):
    """Close a session's connections, but for those in the background; its next run opens them. Answered by an empty Reply."""

    session: str
    wait_s: float


class Close(msgspec.Struct, tag=True, frozen=True):
    """Close a session, and wait so long for the server to close its ends. Answered by an empty Reply."""

    session: str
    wait_s: float


class CloseAll(msgspec.Struct, tag=True, frozen=True):
    """Close all sessions. Answered by an empty Reply."""


Question = Compile | Probe | WarmUp | Open | Run | Ready | HangUp | Close | CloseAll


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
    machine_state: MachineState | None = None
    ready: int | None = None
    trouble: Trouble | None = None


# Of a round of warm-up, at most:
_WARM_FIRST_S = 2.0  # until each connection has its first answer,
_WARM_DRAIN_S = 1.0  # until the last answers: what it leaves undone would be the next one's to wait for,
_WARM_CLOSE_S = 1.0  # and until the server has closed its ends: what it still holds may be all that it has room for

_DESCRIPTORS_RESERVED = 64  # what is open besides the connections of sessions


class Engine:
    """What the process remembers between lines: the CPUs it has, and the sessions that are open."""

    def __init__(self, cpus: tuple[int, ...]) -> None:
        self.cpus = cpus
        self.sessions: dict[str, Session] = {}

    def answer(self, question: Question) -> Reply:
        """Do what is asked. Raises ValueError and OSError, which become Trouble."""
        match question:
            case Compile():
                compile_all()
                return Reply()
            case Probe(server_cpu, True):
                return Reply(machine_state=probes.brief_state(server_cpu, self.cpus[0]))
            case Probe(server_cpu):
                return Reply(machine_state=probes.machine_state(server_cpu, self.cpus[0]))
            case WarmUp():
                return Reply(warmup=self._warm_up(question))
            case Open():
                return Reply(opened=Opened(self._open(question)))
            case Run(session, drive):
                return Reply(load=self._session(session).run(drive))
            case Ready(session):
                return Reply(ready=self._session(session).ready())
            case HangUp(session, wait_s):
                self._session(session).hang_up(wait_s)
            case Close(session, wait_s):
                self._session(session).close(wait_s)
                del self.sessions[session]
            case CloseAll():
                for name in list(self.sessions):
                    self.sessions.pop(name).close()
        return Reply()

    def _session(self, name: str) -> Session:
        if name not in self.sessions:
            raise ValueError(f"no session {name!r} is open; open are {', '.join(sorted(self.sessions)) or 'none'}")
        return self.sessions[name]

    def _open(self, wanted: Open) -> dict[str, int]:
        if wanted.session in self.sessions:
            self.sessions.pop(wanted.session).close()
        session = self._new(wanted.target, wanted.connections, wanted.background)
        self.sessions[wanted.session] = session
        return session.open()

    def _new(self, target: Target, connections: int, background: Background | None = None) -> Session:
        """A session on all of the engine's CPUs. Raises ValueError where descriptors do not suffice."""
        self._check_descriptors(connections + (background.count if background else 0))
        return Session(target, connections, len(self.cpus), self.cpus, background=background, blocking=True)

    def _check_descriptors(self, connections: int) -> None:
        """Raises ValueError where the process may not open so many connections more."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))
        if used + connections + _DESCRIPTORS_RESERVED > limit:
            raise ValueError(
                f"{connections:,} connections more need too many descriptors: {used:,} of {limit:,} are in use by "
                f"{len(self.sessions)} sessions; close some, open fewer, or raise the hard limit (ulimit -Hn)"
            )

    def _warm_up(self, plan: WarmUp) -> Warmup:
        begins = time.monotonic()
        rates: list[float] = []
        while not rates or (not is_steady(rates, plan.steady_within, plan.round_s) and _goes_on(plan, begins, len(rates))):
            with self._new(plan.target, plan.connections) as session:
                session.open()
                session.run(Drive(seconds=1e-6, drain_s=_WARM_FIRST_S))
                load = session.run(Drive(seconds=plan.round_s, drain_s=_WARM_DRAIN_S))
                session.close(_WARM_CLOSE_S)
            rates.append(load.completed / load.seconds)
        steady = is_steady(rates, plan.steady_within, plan.round_s)
        return Warmup(time.monotonic() - begins, rates, steady, plan.round_s)


def _goes_on(plan: WarmUp, begins: float, rounds: int) -> bool:
    """Whether there is time for another round of a warm-up; for the fewest that can be judged there is twice as much."""
    spent_s = time.monotonic() - begins
    return spent_s < plan.limit_s or (rounds < ROUNDS and spent_s < 2 * plan.limit_s)


def main() -> None:
    """Answer lines until standard input ends."""
    # If the harness is dead already, standard input has ended.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    cpus = tuple(int(cpu) for cpu in sys.argv[1].split(","))
    os.sched_setaffinity(0, set(cpus))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
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
