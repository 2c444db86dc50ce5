"""How a run came about: when it was begun and resumed, and the replicates that were added to its plan. journal.json.

The plan itself follows from run.json. What does not is kept here, written before it is acted on: so that a run that is killed
at any moment can be gone on with as if nothing had happened, and a report can say that something had.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from benchmarks.nouns import SCHEMA, Planned
from benchmarks.summaries import Finding


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of work on a run, from a start of the harness to its end."""

    started_at: str  # ISO 8601, UTC
    differs: list[str] = field(default_factory=list)  # of the machine and the software from the run's beginning, in words
    finished_at: str = ""  # empty: it was interrupted, or it is under way


@dataclass(frozen=True, slots=True)
class Journal:
    """The sessions of a run in order, and what was added to what its options ask for."""

    schema: int = SCHEMA
    sessions: list[Session] = field(default_factory=list)
    added: list[Planned] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # the times that more replicates were asked for of a run there was, in words

    @property
    def finished(self) -> bool:
        """Whether the last session came to the end of what there was to do."""
        return bool(self.sessions) and bool(self.sessions[-1].finished_at)

    def begun(self, differs: Sequence[str] = ()) -> "Journal":
        """The journal with a session that starts now."""
        return replace(self, sessions=[*self.sessions, Session(_now(), list(differs))])

    def ended(self) -> "Journal":
        """The journal with its last session finished now."""
        return replace(self, sessions=[*self.sessions[:-1], replace(self.sessions[-1], finished_at=_now())])

    def asked(self, more: str) -> "Journal":
        """The journal of a run of which more replicates are asked for."""
        return replace(self, more=[*self.more, more])

    def with_more(self, planned: Sequence[Planned]) -> "Journal":
        """The journal with more added to the plan."""
        return replace(self, added=[*self.added, *planned])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def findings(journal: Journal, unreadable: Sequence[str]) -> list[Finding]:
    """What a report has to say of a run's history. `unreadable` are the records that could not be read."""
    found = []
    if unreadable:
        found.append(
            Finding(
                "unreadable records",
                "warning",
                f"{len(unreadable)} could not be read and {'is' if len(unreadable) == 1 else 'are'} left out: "
                f"{', '.join(unreadable)}",
                "what they measured is missing from every estimate",
                "measure it again (servebench run --resume RUN)",
            )
        )
    if journal.more:
        found.append(
            Finding(
                "more replicates",
                "warning",
                f"after results had been seen, more was asked for: {', '.join(journal.more)}",
                "adding replicates until a difference is significant finds differences that are not there",
                "read the intervals, or make a new run with as many replicates from the start",
            )
        )
    resumed = journal.sessions[1:]
    differs = list(dict.fromkeys(words for session in resumed for words in session.differs))
    if resumed:
        found.append(
            Finding(
                "resumed",
                "warning" if differs else "info",
                "resumed at " + ", ".join(_minute(session.started_at) for session in resumed)
                + (f" on a machine that differs: {'; '.join(differs)}" if differs else ""),
                "replicates before and after may have met another machine; models are compared within replicates",
                "make the run anew without a break where that matters",
            )
        )  # fmt: skip
    if not journal.finished and journal.sessions:
        found.append(
            Finding(
                "unfinished",
                "info",
                "the run was interrupted, or is still under way",
                "some replicates that were asked for are missing",
                "go on with it (servebench run --resume RUN)",
            )
        )
    return found


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ") + " UTC"
