"""What of a plan remains to be measured, judged by the records there are. Pure: a resumed run and a fresh one ask the same."""

from collections.abc import Iterable

from benchmarks.nouns import Planned, ReplicateRecord


def remaining(planned: Iterable[Planned], records: Iterable[ReplicateRecord]) -> list[Planned]:
    """What has no record, or one in which a trial failed; a model that was refused for the rules it breaks did not fail."""
    whole = {(one.scenario, one.replicate) for one in records if not failed(one)}
    return [one for one in planned if (one.scenario, one.replicate) not in whole]


def failed(record: ReplicateRecord) -> bool:
    """Whether a trial of it failed."""
    return any(trial.failure is not None and trial.failure.stage != "check" for trial in record.trials)
