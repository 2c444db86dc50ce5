"""A whole run: replicate after replicate, each scenario of it on disk before the next begins.

What there is to do is asked of the records each time: so a run that was interrupted is resumed by the same path.
"""

import itertools
import resource
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from benchmarks import adaptive, catalogue, load, plan, record, variants
from benchmarks.conformance import suite
from benchmarks.conformance.subjects import Model
from benchmarks.environment import versions
from benchmarks.journal import Journal
from benchmarks.launch import compile_servers
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import (
    SCHEMA,
    Planned,
    ReplicateRecord,
    RunFacts,
    RunOptions,
    Variant,
    aa_arm,
    is_baseline,
    measured,
    served_by,
)
from benchmarks.passwords import masked
from benchmarks.questions import Scenario
from benchmarks.remaining import refused, remaining
from benchmarks.replicate import Replicate
from benchmarks.validity import RULES_ENOUGH, broken


class Watcher(Protocol):
    """Who is told how the run goes. It is called between windows, never inside one."""

    def expect(self, planned: Sequence[Planned], seconds: float) -> None:
        """So much more is planned; it takes about so long."""

    def examining(self, model: str) -> None:
        """A model is held to the rules, before any timing."""

    def doing(self, planned: Planned, what: str, left_s: float) -> None:
        """A scenario has come to a new stage; the run has about so long to go."""

    def done(self, made: ReplicateRecord) -> None:
        """A scenario of a replicate has ended and is on disk."""

    def adding(self, why: str) -> None:
        """The plan is done, and this is why replicates are added or not."""

    def say(self, message: str) -> None:
        """Something the user should know."""


def facts(options: RunOptions, arguments: list[str], scenarios: Mapping[str, Scenario] | None = None) -> RunFacts:
    """What will be in run.json. `scenarios` are those of the options that no file of the catalogue has, by name."""
    made = scenarios or {}
    asked = {name: made[name] if name in made else catalogue.scenario(name) for name in options.scenarios}
    captions = {entry.name: entry.caption for entry in [*catalogue.models(), *catalogue.scenarios()]}
    captions |= {name: scenario.question or name for name, scenario in made.items()}
    if options.aa:
        captions[aa_arm(options.aa)] = f"{captions[options.aa]} (A/A arm)"
    captions |= {name: variants.caption(name, variant, captions) for name, variant in options.variants.items()}
    return RunFacts(
        schema=SCHEMA,
        options=options,
        command=shlex.join(["servebench", *map(masked, arguments)]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(options),
        scenarios=asked,
        captions={name: captions[name] for name in [*measured(options), *options.scenarios]},
    )


def begin(run: RunFacts, folder: Path, environment: Mapping[str, Any]) -> None:
    """Write down what will be measured and on what. run.json comes last: with it the folder is a run, and whole."""
    record.write(folder / "environment.json", environment)
    record.write(folder / "journal.json", Journal())
    record.write(folder / "run.json", run)


def complete(files: record.RunFiles) -> bool:
    """Whether there is nothing left to do of a run, not even to ask whether a model that was refused has been mended."""
    wanted = [*plan.planned(files.facts.options), *files.journal.added]
    return files.journal.finished and not remaining(wanted, files.records) and not refused(files.records)


class Run:
    """A run in the making: what its folder holds already, and what is added to it."""

    def __init__(self, files: record.RunFiles, folder: Path, watcher: Watcher) -> None:
        self.run, self.folder, self.watcher, self.journal = files.facts, folder, watcher, files.journal
        self.options, self.records = self.run.options, list(files.records)
        self.digests = {
            made.scenario: trial.digest
            for made in reversed(self.records)
            for trial in made.trials
            if trial.failure is None and trial.digest and not is_baseline(trial.model)
        }
        self.examined: set[str] = set()
        self.broken_rules: dict[str, list[str]] = {}
        self.clock = _Clock()

    @property
    def planned(self) -> list[Planned]:
        """All that options or journal ask for."""
        return [*plan.planned(self.options), *self.journal.added]

    def left(self) -> list[Planned]:
        """What is missing or failed, or was refused and is mended."""
        return remaining(self.planned, self.records, refused(self.records) & self.examined.difference(self.broken_rules))

    def make(self, differs: Sequence[str] = ()) -> None:
        """Measure what is left, then add replicates while that is asked for.

        `differs` is what has changed on the machine since the run was begun.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by engine and servers
        self._note(self.journal.begun(differs))
        left = self.left()
        self._expect(left)
        compile_servers(dict.fromkeys([sys.executable, *(one.python for one in self.options.variants.values() if one.python)]))
        self._examine(measured(self.options) if left else refused(self.records))
        self._expect([one for one in self.left() if one not in left])
        left = self.left()
        with RemoteEngine(self.options.driver_cpus) as engine:
            if not load.is_compiled():
                self.watcher.say(load.COMPILING)
            engine.compile()
            self.clock.start()
            self._measure(left, engine)
            if self.options.precision is not None:
                self._add_replicates(self.options.precision, engine)
        self._note(self.journal.ended())

    def _examine(self, names: Iterable[str]) -> None:
        """Hold these models to the rules that need no waiting. What won't start is left for its trial to tell."""
        names = [name for name in names if not self.options.variants.get(name, _PLAIN).module]
        self.examined.update(names)
        for model in sorted({served_by(name) for name in names}):
            self.watcher.examining(model)
            report = suite.examine(Model(model), suite.FAST, enough=RULES_ENOUGH)
            found = [] if report.not_started else report.broken
            if found:
                rules = [f"{outcome.rule}: {outcome.saw}" for outcome in found]
                self.broken_rules |= {name: rules for name in names if served_by(name) == model}
                self.watcher.say(f"{model}: {broken(rules)}; servebench check {model} shows them")

    def _note(self, journal: Journal) -> None:
        self.journal = journal
        record.write(self.folder / "journal.json", journal)

    def _expect(self, left: Sequence[Planned]) -> None:
        seconds = sum(self._takes_s(one) for one in left)
        self.clock.add(seconds)
        self.watcher.expect(left, seconds)

    def _takes_s(self, one: Planned) -> float:
        """How long a scenario takes in a replicate, about, with its share of the servers' start."""
        together = sum(not plan.is_alone(each, self.options) for each in self.run.scenarios.values())
        shared_s = (plan.START_S + plan.STOP_S) * len(measured(self.options)) / max(together, 1)
        return shared_s + plan.scenario_s(one.scenario, self.run.scenarios[one.scenario], self.options, one.replicate)

    def _measure(self, left: Sequence[Planned], engine: RemoteEngine) -> None:
        for number, group in itertools.groupby(left, key=lambda one: one.replicate):
            replicate = Replicate(
                self.run,
                number,
                engine,
                lambda scenario, what, number=number: self._tell(Planned(scenario, number), what),  # type: ignore[misc]
                self.digests,
                self.broken_rules,
            )
            for made in replicate.make([one.scenario for one in group]):
                self._keep(made)

    def _tell(self, planned: Planned, what: str) -> None:
        self.watcher.doing(planned, what, self.clock.left_s())

    def _keep(self, made: ReplicateRecord) -> None:
        record.write(record.record_path(self.folder, made), made)
        self.records = [one for one in self.records if (one.scenario, one.replicate) != (made.scenario, made.replicate)]
        self.records.append(made)
        self.clock.done(self._takes_s(Planned(made.scenario, made.replicate)))
        self.watcher.done(made)

    def _add_replicates(self, precision: float, engine: RemoteEngine) -> None:
        """Replicates beyond the plan, until `adaptive` says that it is enough."""
        from benchmarks.analyse import summarise

        begins, before_s = time.monotonic(), self._added_s()
        costs_s = {name: self._cost_s(name) for name in self.options.scenarios}
        while True:
            left_s = self.options.budget_s - before_s - (time.monotonic() - begins)
            next_one = adaptive.addition(summarise(self.run, self.records, {}), precision, left_s, costs_s, self.planned)
            self.watcher.adding(next_one.why)
            if isinstance(next_one, adaptive.Enough):
                return
            self._note(self.journal.with_more(next_one.planned))
            self._expect(next_one.planned)
            self._measure(next_one.planned, engine)

    def _cost_s(self, scenario: str) -> float:
        """How long a replicate of a scenario takes, by those there are: the shortest, as the first has long windows."""
        took = [one.seconds for one in self.records if one.scenario == scenario]
        return min(took, default=0.0) + (plan.START_S + plan.STOP_S) * len(measured(self.options))

    def _added_s(self) -> float:
        """The time that added replicates have taken in earlier sessions."""
        added = {(one.scenario, one.replicate) for one in self.journal.added}
        return sum(one.seconds for one in self.records if (one.scenario, one.replicate) in added)


class _Clock:
    """How long a run has to go: what is planned, corrected by how long that which is done has really taken."""

    def __init__(self) -> None:
        self.begins = time.monotonic()
        self.planned_s = self.done_s = 0.0
        self.since = self.begins

    def start(self) -> None:
        """What is planned begins now: what came before it says nothing of the pace."""
        self.begins = self.since = time.monotonic()

    def add(self, seconds: float) -> None:
        """So much more is planned."""
        self.planned_s += seconds

    def done(self, planned_s: float) -> None:
        """What was planned to take so long is done."""
        self.done_s += planned_s
        self.since = time.monotonic()

    def left_s(self) -> float:
        """The time left, by the plan at first, more and more by the pace so far."""
        now = time.monotonic()
        took_s = self.since - self.begins if self.done_s else 0.0
        weight = min(self.done_s / max(self.planned_s, 1e-9) * 4, 1.0)
        pace = 1.0 + weight * (took_s / self.done_s - 1.0) if self.done_s else 1.0
        return max((self.planned_s - self.done_s) * pace - (now - self.since), 0.0)


_PLAIN = Variant()
