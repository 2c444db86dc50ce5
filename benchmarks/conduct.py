"""A whole run: the plan's visits one after the other, each on disk before the next begins, the disturbed ones once more, and
more blocks while intervals are too wide.

What there is to do is asked of the records each time: so a run that was interrupted is gone on with by the same path.
"""

import resource
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from benchmarks import adaptive, catalogue, plan, record, variants
from benchmarks.conformance import suite
from benchmarks.conformance.subjects import Model
from benchmarks.environment import versions
from benchmarks.journal import Journal
from benchmarks.launch import compile_servers
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import SCHEMA, RunFacts, RunOptions, VisitPlan, VisitRecord, served_by, twin_of
from benchmarks.remaining import blocks, numbered, remaining, to_repeat
from benchmarks.summaries import Finding
from benchmarks.validity import RULES_ENOUGH, broken, disturbed, outside_load, restless
from benchmarks.visit import Visit

_FAILURES_ENOUGH = 2  # in one scenario; after that a model is not visited again


class Watcher(Protocol):
    """Who is told how the run goes. It is called between windows, never inside one."""

    def expect(self, visits: Sequence[VisitPlan]) -> None:
        """So many visits more are planned."""

    def examining(self, model: str) -> None:
        """A model is held to the rules, before any timing."""

    def doing(self, visit: VisitPlan, what: str, left_s: float) -> None:
        """A visit has come to a new stage; the run has about so long to go."""

    def done(self, record: VisitRecord) -> None:
        """A visit has ended and is on disk."""

    def adding(self, why: str) -> None:
        """The plan is done and blocks are added to it, because of this."""

    def say(self, message: str) -> None:
        """Something the user should know."""


def facts(options: RunOptions, arguments: list[str]) -> RunFacts:
    """What will be in run.json."""
    captions = {entry.name: entry.caption for entry in [*catalogue.models(), *catalogue.scenarios()]}
    if options.twin:
        captions[twin_of(options.twin)] = f"{captions[options.twin]} (again: A/A)"
    captions |= {name: variants.caption(name, variant, captions) for name, variant in options.variants.items()}
    told = [*options.models, *([twin_of(options.twin)] if options.twin else []), *options.scenarios]
    return RunFacts(
        schema=SCHEMA,
        options=options,
        command=shlex.join(["servebench", *arguments]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(options),
        scenarios={name: catalogue.scenario(name) for name in options.scenarios},
        captions={name: captions[name] for name in told},
    )


def begin(run: RunFacts, folder: Path, environment: Mapping[str, Any]) -> None:
    """Write down what will be measured and on what. run.json comes last: with it the folder is a run, and whole."""
    record.write(folder / "environment.json", environment)
    record.write(folder / "journal.json", Journal())
    record.write(folder / "run.json", run)


def complete(files: record.RunFiles) -> bool:
    """Whether there is nothing left to do of a run, not even to repeat or to add."""
    planned = [*plan.visits(files.facts.options), *files.journal.added]
    return files.journal.finished and not remaining(planned, files.records)


class Run:
    """A run in the making: what its folder holds already, and what is added to it, visit by visit."""

    def __init__(self, files: record.RunFiles, folder: Path, watcher: Watcher) -> None:
        self.run, self.folder, self.watcher, self.journal = files.facts, folder, watcher, files.journal
        self.options, self.scenarios = self.run.options, self.run.scenarios
        self.records = [self._kept(made) for made in files.records]
        self.digests = {made.plan.scenario: made.digest for made in reversed(self.records) if self._sets_digest(made)}
        self.failed: Counter[tuple[str, str]] = Counter()  # by this session: who comes back has seen to the cause, perhaps
        self.broken_rules: dict[str, list[str]] = {}  # by this session, too, and for the same reason
        self.ends = time.monotonic()

    @property
    def planned(self) -> list[VisitPlan]:
        """Every visit that options or journal ask for."""
        return [*plan.visits(self.options), *self.journal.added]

    def left(self) -> list[VisitPlan]:
        """The planned visits that are missing or failed."""
        return remaining(self.planned, self.records)

    def make(self, differs: Sequence[str] = ()) -> None:
        """Make every visit that is left, repeat disturbed ones as far as time allows, then add blocks while that is asked for.

        `differs` is what has changed on the machine since the run was begun.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by engine and servers
        self._note(self.journal.begun(differs))
        left = self.left()
        self.watcher.expect(left)
        compile_servers(dict.fromkeys([sys.executable, *(one.python for one in self.options.variants.values() if one.python)]))
        self._examine(left)
        self.ends = time.monotonic() + self._takes_s(left)
        for block in blocks(left):
            self._make_block(block)
        self._repeat_disturbed(self.ends + self.options.requeue_budget_s)
        if self.options.precision is not None:
            self._add_blocks()
        self._note(self.journal.ended())

    def _examine(self, left: Sequence[VisitPlan]) -> None:
        """Hold the models to be visited to the rules that need no waiting. What won't start is left for its visit to tell."""
        for model in sorted({model for visit in left if (model := self._held(visit))}):
            self.watcher.examining(model)
            report = suite.examine(Model(model), suite.FAST, enough=RULES_ENOUGH)
            found = [] if report.not_started else report.broken
            self.broken_rules[model] = [f"{outcome.rule}: {outcome.saw}" for outcome in found]
            if found:
                self.watcher.say(f"{model}: {broken(self.broken_rules[model])}; servebench check {model} shows them")

    def _note(self, journal: Journal) -> None:
        self.journal = journal
        record.write(self.folder / "journal.json", journal)

    def _takes_s(self, visits: Sequence[VisitPlan]) -> float:
        """How long these take, about."""
        own = sum(plan.visit_s(self.scenarios[visit.scenario], self.options) for visit in visits)
        return own + plan.BLOCK_S * len(blocks(visits))

    def _make_block(self, block: list[VisitPlan]) -> None:
        with self._engine() as engine:
            for visit in block:
                if self._refused(visit) and self.failed[visit.model, visit.scenario]:
                    continue  # said already, and written down once
                if self.failed[visit.model, visit.scenario] >= _FAILURES_ENOUGH:
                    self.watcher.say(
                        f"{visit.model} has failed {_FAILURES_ENOUGH} times in {visit.scenario}: not visited again"
                    )
                    continue
                made = self._make(visit, engine)
                if made.failure is not None:
                    engine.restart_if_ended()

    def _held(self, visit: VisitPlan) -> str:
        """The model whose keeping of the rules the visit hangs on; none for a control, which is held to none."""
        variant = self.options.variants.get(visit.model)
        return "" if variant and variant.module else served_by(visit.model)

    def _refused(self, visit: VisitPlan) -> bool:
        return bool(self.broken_rules.get(self._held(visit))) and not self.options.unchecked

    def _sets_digest(self, made: VisitRecord) -> bool:
        """Whether the others' answers must be the same; a control must answer as the models do, and not they as it does."""
        return made.failure is None and bool(self._held(made.plan))

    def _repeat_disturbed(self, until: float) -> None:
        """Requeued visits count in their own block, so what changed is only the time at which they are made.

        A run that is late has no time for repetitions.
        """
        worth = outside_load if restless(self.records) else disturbed  # a restless machine disturbs a repetition as well
        fits = [
            visit
            for visit in to_repeat(self.records, worth)
            if self.failed[visit.model, visit.scenario] < _FAILURES_ENOUGH and self._is_of_today(visit)
        ]
        if not fits or self.options.requeue_budget_s <= 0:
            return
        left = list(fits)
        with self._engine() as engine:
            while left and time.monotonic() + plan.visit_s(self.scenarios[left[0].scenario], self.options) < until:
                visit = left.pop(0)
                made = self._make(replace(visit, attempt=visit.attempt + 1), engine)
                if made.failure is not None:
                    engine.restart_if_ended()
        if left:
            self.watcher.say(
                f"{len(fits)} visits were disturbed ({self._by_what(fits, worth)}); there was time to repeat "
                f"{len(fits) - len(left)} of them. The others are marked. A quieter machine or a longer profile would help."
            )

    def _is_of_today(self, visit: VisitPlan) -> bool:
        """Whether others of its block were visited in this session: to repeat one long after them would part it from them."""
        began = self.journal.sessions[-1].started_at
        where = visit.scenario, visit.block
        return any((one.plan.scenario, one.plan.block) == where and one.started_at >= began for one in self.records)

    def _by_what(self, visits: Sequence[VisitPlan], disturbing: Callable[[VisitRecord], Finding | None]) -> str:
        """What disturbed these visits: "weather changed 3 times, outside load once"."""
        found = [finding.check for made in self.records if made.plan in visits and (finding := disturbing(made))]
        return ", ".join(f"{check} {'once' if times == 1 else f'{times} times'}" for check, times in Counter(found).items())

    def _add_blocks(self) -> None:
        """Blocks beyond the plan, until `adaptive` says that it is enough; then their own disturbed visits once more."""
        before_s, begins = self._added_s(), time.monotonic()
        ends = begins + self.options.budget_s - before_s
        tied = adaptive.first_ties(self.run, self.records)
        while True:
            enough = {cell for cell, times in self.failed.items() if times >= _FAILURES_ENOUGH}
            refused = {(one.model, one.scenario) for one in self.planned if self._refused(one)}
            given_up = enough | refused
            spent_s = before_s + time.monotonic() - begins
            next_one = adaptive.next_block(self.run, self.records, self.planned, spent_s, tied, given_up)
            self.watcher.adding(next_one.why)
            if isinstance(next_one, adaptive.Enough):
                break
            self._note(self.journal.with_block(next_one.visits))
            self.ends = max(ends, time.monotonic())
            self.watcher.expect(next_one.visits)
            self._make_block(next_one.visits)
        self._repeat_disturbed(ends)

    def _added_s(self) -> float:
        """The time that added blocks have taken in earlier sessions."""
        added = {(visit.model, visit.scenario, visit.block) for visit in self.journal.added}
        visits = [one for one in self.records if (one.plan.model, one.plan.scenario, one.plan.block) in added]
        return sum(one.seconds for one in visits) + plan.BLOCK_S * len({(v.plan.scenario, v.plan.block) for v in visits})

    def _make(self, visit: VisitPlan, engine: RemoteEngine) -> VisitRecord:
        visit = numbered(visit, self.records, self.planned)

        def tell(what: str) -> None:
            self.watcher.doing(visit, what, max(self.ends - time.monotonic(), 0.0))

        scenario = self.scenarios[visit.scenario]
        broken_rules = self.broken_rules.get(self._held(visit), ())
        made = Visit(visit, scenario, self.options, engine, tell, broken_rules).make(self.digests.get(visit.scenario, ""))
        record.write(record.visit_path(self.folder, made), made)
        self.records.append(self._kept(made))
        if self._sets_digest(made):
            self.digests.setdefault(visit.scenario, made.digest)
        if made.failure is not None:
            self.failed[visit.model, visit.scenario] += 1
        self.watcher.done(made)
        return made

    def _kept(self, made: VisitRecord) -> VisitRecord:
        """What is kept of a record in memory: its windows only where the next block hangs on them."""
        return made if self.options.precision is not None else replace(made, windows=[], probes=[])

    @contextmanager
    def _engine(self) -> Iterator[RemoteEngine]:
        with RemoteEngine(self.options.driver_cpus) as engine:
            engine.compile()
            yield engine
