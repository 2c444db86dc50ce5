"""A trial in the making: one server of a replicate, and what it did so far in one scenario."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.launch import Server
from benchmarks.nouns import Failure, Measurement, ServerFacts, Trial, Warmup
from benchmarks.verify import Answer


class Trouble(RuntimeError):
    """A window could not be measured; the message says why."""


@dataclass(slots=True)
class Member:
    """One server of a replicate: alive, or why not."""

    name: str
    server: Server | None = None
    account: Path | None = None  # where its processes count their garbage collections
    failure: Failure | None = None
    broken_rules: list[str] = field(default_factory=list)
    pids: tuple[int, ...] = ()  # its processes, as they were seen last
    warm: bool = False  # whether a scenario before this one brought it to its steady pace

    @property
    def facts(self) -> ServerFacts:
        """The ready line of a server that is or was alive."""
        assert self.server is not None
        return self.server.facts

    def check(self, during: str) -> None:
        """Raises Trouble if the server has ended by itself."""
        if self.server is not None and (status := self.server.ended()) is not None:
            raise Trouble(f"the server ended by itself with status {status} during {during}")


@dataclass(slots=True)
class Making:
    """A trial in the making: one member in one scenario."""

    member: Member
    answer: Answer | None = None
    warmup: Warmup | None = None
    peak_per_s: float = 0.0
    measurements: list[Measurement] = field(default_factory=list)
    probes: list[Measurement] = field(default_factory=list)
    failure: Failure | None = None

    def fails(self, stage: str, trouble: Exception) -> None:
        """What went wrong, with the end of what the server said."""
        server = self.member.server
        self.failure = Failure(stage, str(trouble), server.stderr() if server else "")
        if server is not None and server.ended() is not None:
            self.member.failure = self.failure

    def trial(self) -> Trial:
        """The finished trial."""
        member = self.member
        server = member.server
        return Trial(
            model=member.name,
            server=replace(server.facts, stderr=server.stderr()) if server else None,
            digest=self.answer.digest if self.answer else "",
            warmup=self.warmup,
            peak_per_s=self.peak_per_s,
            measurements=self.measurements,
            probes=self.probes,
            failure=self.failure,
            broken_rules=member.broken_rules,
        )
