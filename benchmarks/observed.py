"""All that the records of one scenario say: its replicates, what the checks found in each measurement, which of them count.

A measurement in which a check finds something invalid is left out of all numbers, if it is one of few; where at least half of a
cell's measurements are invalid, all of them are shown and the cell is invalid. A failed trial is a failure and never a number.
"""

import collections
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.absolutes import typical
from benchmarks.checks.facts import Facts
from benchmarks.metrics import Replicate, Told
from benchmarks.nouns import (
    Failure,
    LoadResult,
    Measurement,
    ReplicateRecord,
    RunFacts,
    Trial,
    is_aa_arm,
    is_baseline,
    measured,
)
from benchmarks.questions import Level, Metric
from benchmarks.stats.scoreboard import Block
from benchmarks.summaries import Finding
from benchmarks.tails import Sample
from benchmarks.validity import check_measurement, check_trial, is_accident

STATES_APART = 1.5  # between the round trips of two states of the machine
SHARE = 0.05  # of the probes, that a state must have


@dataclass(frozen=True, slots=True)
class Measured:
    """One level of one trial, with what the checks found in it."""

    replicate: int
    trial: Trial
    measurement: Measurement
    findings: list[Finding]

    @property
    def load(self) -> LoadResult:
        """The engine's side of it."""
        return self.measurement.load

    @property
    def invalid(self) -> bool:
        """Whether its numbers are not what they claim to be."""
        return any(finding.severity == "invalid" for finding in self.findings)

    @property
    def response(self) -> Sample:
        """Its response times."""
        return Sample(self.load.response, self.load.censored)

    @property
    def service(self) -> Sample:
        """Its service times."""
        return Sample(self.load.service, self.load.censored)

    @property
    def send_lag(self) -> Sample:
        """How long after their time its requests were sent. Those that never ended were, at worst, never sent."""
        return Sample(self.load.send_lag, self.load.censored)


class Observed:
    """One scenario of a run. The records of others are passed over."""

    def __init__(self, run: RunFacts, scenario: str, records: Iterable[ReplicateRecord]) -> None:
        own = {record.replicate: record for record in records if record.scenario == scenario}
        self.run, self.scenario = run, scenario
        self.asked = run.scenarios.get(scenario)
        self.records = [own[number] for number in sorted(own)]
        self.models = measured(run.options, scenario)
        self.levels = _levels(self.records)
        self.made = self._checked()
        left_out = self._left_out()
        waits = any(wait > 0 for wait in (self.wait_s, *self.waits_s))
        self.replicates = [Replicate(record, waits, left_out[record.replicate]) for record in self.records]
        self._told: dict[Metric, list[Told]] = {}
        self.boundary_ns = self._boundary_ns()
        self.peak_levels = self._peaks()

    @property
    def shown(self) -> list[str]:
        """Who has a standing: all models but A/A arms."""
        return [model for model in self.models if not is_aa_arm(model)]

    @property
    def ranked(self) -> list[str]:
        """Who is ranked: all models but A/A arms and baselines."""
        return [model for model in self.models if not is_aa_arm(model) and not is_baseline(model)]

    @property
    def wait_s(self) -> float:
        """How long each request waits whatever the model; in a mix they may differ, so nothing is known."""
        return self.asked.wait_s if self.asked and not self.asked.mix else 0.0

    @property
    def waits_s(self) -> tuple[float, ...]:
        """How long its requests wait by their own words."""
        return self.asked.waits_s if self.asked else ()

    def counting(self, model: str, label: str) -> list[Measured]:
        """The measurements of a cell that count, by replicate."""
        made = self.made.get((model, label), [])
        return [one for one in made if not one.invalid] if _few_invalid(made) else made

    def told(self, metric: Metric) -> list[Told]:
        """The metric in each replicate."""
        if metric not in self._told:
            self._told[metric] = [replicate.told(metric, self.peak_levels) for replicate in self.replicates]
        return self._told[metric]

    def values(self, metric: Metric) -> dict[str, dict[Block, float]]:
        """The metric of each model by replicate; where the machine had two states, by replicate and state."""
        by_state = self._by_state(metric)
        return {model: dict(of_model) for model, of_model in by_state.items()} if by_state else self.by_replicate(metric)

    def _by_state(self, metric: Metric) -> Mapping[str, Mapping[tuple[int, int], float]]:
        """The metric by replicate and state; empty where the machine had one state only, windows do not show the metric, or a
        replicate has no state in which all models were measured."""
        if not self.boundary_ns:
            return {}
        found: dict[str, dict[tuple[int, int], float]] = {model: {} for model in self.models}
        whole = self.by_replicate(metric)
        for replicate in self.replicates:
            for state, values in replicate.by_state(metric, self.boundary_ns).items():
                for model, value in values.items():
                    found.setdefault(model, {})[replicate.number, state] = value
        complete = all({block[0] for block in found[model]} == set(whole[model]) for model in whole)
        return found if complete and any(found.values()) else {}

    def _boundary_ns(self) -> float:
        """What parts the round trips of a cache line in two states of the machine; 0.0 where it had one.

        Sorted by size they are cut at their widest gap, if that is a factor of STATES_APART and each side has SHARE of them.
        """
        seen = sorted(
            found
            for record in self.records
            for trial in record.trials
            for made in trial.measurements
            for found in (*made.rounds.before_ns, *made.rounds.after_ns)
            if found > 0
        )
        fewest = max(round(SHARE * len(seen)), 1)
        inside = range(fewest, len(seen) - fewest + 1)
        cut = max(inside, key=lambda at: seen[at] / seen[at - 1], default=0) if len(seen) > 2 * fewest else 0
        return math.sqrt(seen[cut] * seen[cut - 1]) if cut and seen[cut] > STATES_APART * seen[cut - 1] else 0.0

    def by_replicate(self, metric: Metric) -> dict[str, dict[Block, float]]:
        """The metric by replicate."""
        found: dict[str, dict[Block, float]] = {model: {} for model in self.models}
        for replicate, told in zip(self.replicates, self.told(metric), strict=True):
            for model, value in told.values.items():
                found.setdefault(model, {})[replicate.number] = value
        return found

    def reasons(self, metric: Metric, model: str) -> list[str]:
        """Why the replicates that do not know a model's metric do not."""
        return [told.reasons[model] for told in self.told(metric) if model in told.reasons]

    def resolution(self, metric: Metric, models: Iterable[str]) -> float:
        """The coarsest resolution of these models' values in any replicate."""
        wanted = [(model, self.peak_levels.get(model, "")) for model in models]
        found = (
            one.resolution(metric, model, peak) for one in self.replicates for model, peak in wanted if model in one.trials
        )
        return max(found, default=0.0)

    def failures(self, model: str) -> list[Failure]:
        """The failures of a model's trials."""
        trials = (trial for record in self.records for trial in record.trials if trial.model == model)
        return [trial.failure for trial in trials if trial.failure is not None]

    def _checked(self) -> Mapping[tuple[str, str], list[Measured]]:
        """All measurements of trials that did not fail, by model and label."""
        cores = max(len(self.run.options.server_cpus), 1)
        made: dict[tuple[str, str], list[Measured]] = collections.defaultdict(list)
        for record in self.records:
            for trial in (trial for trial in record.trials if trial.failure is None):
                of_trial = check_trial(trial)
                for one in trial.measurements:
                    facts = Facts.gathered(one, trial.server, cores, self.wait_s, self.waits_s)
                    found = of_trial + check_measurement(facts)
                    made[trial.model, one.level.label].append(Measured(record.replicate, trial, one, found))
        return made

    def _left_out(self) -> Mapping[int, set[tuple[str, str]]]:
        """Of each replicate the model and label of the measurements that do not count."""
        left_out: dict[int, set[tuple[str, str]]] = collections.defaultdict(set)
        for where, made in self.made.items():
            for one in made if _few_invalid(made) else ():
                if one.invalid:
                    left_out[one.replicate].add(where)
        return left_out

    def _peaks(self) -> dict[str, str]:
        """The label of each model's closed level of the highest rate; those that served nothing at any are left out.

        The highest of several noisy means is a little too high on average, by less than their noise, and for all models alike.
        """
        best: dict[str, tuple[float, str]] = {}
        for level in self.levels:
            if level.loop != "closed":
                continue
            metric = Metric("rate", level.label)
            found = [replicate.told(metric, {}).values for replicate in self.replicates]
            for model in self.models:
                rate = typical([of[model] for of in found if model in of])
                if rate is not None and rate.value > best.get(model, (0.0, ""))[0]:
                    best[model] = rate.value, level.label
        return {model: label for model, (_, label) in best.items()}


def _few_invalid(made: list[Measured]) -> bool:
    return is_accident(sum(one.invalid for one in made), len(made))


def _levels(records: Iterable[ReplicateRecord]) -> list[Level]:
    """The levels that were measured, closed ones first: a model without open levels must not push them to the end."""
    taken: dict[str, Level] = {}
    for record in records:
        for trial in record.trials:
            for made in trial.measurements:
                taken.setdefault(made.level.label, made.level)
    return sorted(taken.values(), key=_level_order)


def _level_order(level: Level) -> tuple[float, ...]:
    """Closed levels by their connections, then those with new ones; own shares, plain, in bursts, falling; common rates."""
    background = level.background.count if level.background else -1
    if level.loop == "closed":
        return 0, not level.keepalive, level.cohort, level.connections, background
    if level.share is not None:
        return 1, level.then_share is not None, level.arrivals == "onoff", level.share, background
    return 2, not level.keepalive, level.arrivals == "onoff", level.rate_per_s or 0.0, background
