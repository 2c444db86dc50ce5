"""What of a plan remains to be measured, judged by the records there are. Pure: a resumed run and a fresh one ask the same."""

from collections.abc import Collection, Iterable

from benchmarks.nouns import Planned, ReplicateRecord


def remaining(planned: Iterable[Planned], records: Iterable[ReplicateRecord], mended: Collection[str] = ()) -> list[Planned]:
    """What has no record, or one in which a trial failed. A model that was refused for the rules it breaks did not fail, unless
    it is `mended` since."""
    whole = {(one.scenario, one.replicate) for one in records if not failed(one) and refused([one]).isdisjoint(mended)}
    return [one for one in planned if (one.scenario, one.replicate) not in whole]


def failed(record: ReplicateRecord) -> bool:
    """Whether a trial of it failed."""
    return any(trial.failure is not None and trial.failure.stage != "check" for trial in record.trials)


def refused(records: Iterable[ReplicateRecord]) -> set[str]:
    """The models that were not measured for the rules that they broke."""
    trials = (trial for record in records for trial in record.trials)
    return {trial.model for trial in trials if trial.failure is not None and trial.failure.stage == "check"}
