"""How a run came about: when it was begun and gone on with, and the blocks that were added to its plan. journal.json.

The plan itself follows from run.json. What does not is kept here, written before it is acted on: so that a run that is killed
at any moment can be gone on with as if nothing had happened, and a report can say that something had.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from benchmarks.nouns import SCHEMA, VisitPlan
from benchmarks.summaries import Finding


@dataclass(frozen=True, slots=True)
class Session:
    """One stretch of work on a run, from a start of the harness to its end."""

    started_at: str  # ISO 8601, UTC
    differs: list[str] = field(default_factory=list)  # of the machine and the software from the run's beginning, in words
    finished_at: str = ""  # empty: it was interrupted, or it is under way


@dataclass(frozen=True, slots=True)
class Journal:
    """The sessions of a run in order, and the visits that were added to those its options ask for."""

    schema: int = SCHEMA
    sessions: list[Session] = field(default_factory=list)
    added: list[VisitPlan] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # the times that more visits were asked for of a run there was, in words

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
        """The journal of a run of which more visits are asked for."""
        return replace(self, more=[*self.more, more])

    def with_block(self, block: Sequence[VisitPlan]) -> "Journal":
        """The journal with visits added to the plan."""
        return replace(self, added=[*self.added, *block])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def findings(journal: Journal, unreadable: Sequence[str]) -> list[Finding]:
    """What a report has to say of a run's history. `unreadable` are the files of visits that could not be read."""
    found = []
    if unreadable:
        found.append(
            Finding(
                "unreadable visits",
                "mark",
                f"{_visits(len(unreadable))} could not be read and count nowhere: {', '.join(unreadable)}",
                "what they measured is missing from every mean",
                "make them again (servebench run --resume RUN)",
            )
        )
    if journal.more:
        found.append(
            Finding(
                "more visits",
                "mark",
                f"when there were results, more was asked for: {', '.join(journal.more)}",
                "whoever asks for more until something differs will see something differ, more often than once in twenty times",
                "read the intervals, which are what they say; or make a new run with as many visits from the start",
            )
        )
    resumed = journal.sessions[1:]
    differs = list(dict.fromkeys(words for session in resumed for words in session.differs))
    if resumed:
        found.append(
            Finding(
                "resumed",
                "mark" if differs else "note",
                "resumed at " + ", ".join(_minute(session.started_at) for session in resumed)
                + (f" on a machine that differs: {'; '.join(differs)}" if differs else ""),
                "visits before and after may have met another machine; models are compared within blocks, which are mostly of"
                " one session",
                "make the run anew without a break where that matters",
            )
        )  # fmt: skip
    if not journal.finished and journal.sessions:
        found.append(
            Finding(
                "unfinished",
                "note",
                "the run was interrupted, or is still under way",
                "some visits that were asked for are missing",
                "go on with it (servebench run --resume RUN)",
            )
        )
    return found


def _visits(count: int) -> str:
    return f"{count} visit" + "s" * (count != 1)


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ") + " UTC"
