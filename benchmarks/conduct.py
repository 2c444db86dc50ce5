"""A whole run: the plan's visits one after the other, each on disk before the next begins, the disturbed ones once more."""

import itertools
import resource
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from benchmarks import catalogue, plan, record
from benchmarks.environment import environment, versions
from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import SCHEMA, RunFacts, RunOptions, VisitPlan, VisitRecord
from benchmarks.visit import Visit

_FAILURES_ENOUGH = 2  # in one scenario; after that a model is not visited again


class Watcher(Protocol):
    """Who is told how the run goes. It is called between windows, never inside one."""

    def doing(self, visit: VisitPlan, what: str, left_s: float) -> None:
        """A visit has come to a new stage; the run has about so long to go."""

    def done(self, record: VisitRecord) -> None:
        """A visit has ended and is on disk."""

    def say(self, message: str) -> None:
        """Something the user should know."""


def facts(options: RunOptions, arguments: list[str]) -> RunFacts:
    """What will be in run.json."""
    captions = {entry.name: entry.caption for entry in [*catalogue.models(), *catalogue.scenarios()]}
    return RunFacts(
        schema=SCHEMA,
        options=options,
        command=shlex.join(["servebench", *arguments]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        scenarios={name: catalogue.scenario(name) for name in options.scenarios},
        captions={name: captions[name] for name in [*options.models, *options.scenarios]},
    )


class Run:
    """A run in the making. `folder` holds what is finished of it at any moment."""

    def __init__(self, run: RunFacts, folder: Path, watcher: Watcher) -> None:
        self.options, self.scenarios, self.folder, self.watcher = run.options, run.scenarios, folder, watcher
        self.digests: dict[str, str] = {}
        self.taken: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[tuple[str, str]] = Counter()
        self.disturbed: list[VisitPlan] = []
        self.ends = time.monotonic() + plan.run_s(run.options, run.scenarios)
        record.write(folder / "run.json", run)
        record.write(folder / "environment.json", environment())

    def make(self) -> None:
        """Make every visit of the plan, then repeat disturbed ones as far as time allows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by engine and servers
        for _, block in itertools.groupby(plan.visits(self.options), key=lambda visit: (visit.scenario, visit.block)):
            self._make_block(list(block))
        self._repeat_disturbed()

    def _make_block(self, block: list[VisitPlan]) -> None:
        with self._engine() as engine:
            for visit in block:
                if self.failed[visit.model, visit.scenario] >= _FAILURES_ENOUGH:
                    self.watcher.say(
                        f"{visit.model} has failed {_FAILURES_ENOUGH} times in {visit.scenario}: not visited again"
                    )
                    continue
                made = self._make(visit, engine)
                if made.failure is not None:
                    engine.restart_if_ended()
                if made.weather_changed:
                    self.disturbed.append(visit)

    def _repeat_disturbed(self) -> None:
        """Requeued visits count in their own block, so what changed is only the time at which they are made."""
        budget_ends = self.ends + self.options.requeue_budget_s  # a run that is late has no time for repetitions
        fits = [v for v in self.disturbed if self.failed[v.model, v.scenario] < _FAILURES_ENOUGH]
        if not fits or self.options.requeue_budget_s <= 0:
            return
        left = list(fits)
        with self._engine() as engine:
            while left and time.monotonic() + plan.visit_s(self.scenarios[left[0].scenario], self.options) < budget_ends:
                visit = left.pop(0)
                self._make(plan.repeat(visit, self.taken[visit.model, visit.scenario]), engine)
        if left:
            self.watcher.say(
                f"The machine's speed changed during {len(fits)} visits; there was time to repeat "
                f"{len(fits) - len(left)} of them. The others are marked. A quieter machine or a longer profile would help."
            )

    def _make(self, visit: VisitPlan, engine: RemoteEngine) -> VisitRecord:
        scenario = self.scenarios[visit.scenario]

        def tell(what: str) -> None:
            self.watcher.doing(visit, what, max(self.ends - time.monotonic(), 0.0))

        made = Visit(visit, scenario, self.options, engine, tell).make(self.digests.get(visit.scenario, ""))
        record.write(record.visit_path(self.folder, made), made)
        self.taken[visit.model, visit.scenario] += 1
        if made.failure is None:
            self.digests.setdefault(visit.scenario, made.digest)
        else:
            self.failed[visit.model, visit.scenario] += 1
        self.watcher.done(made)
        return made

    @contextmanager
    def _engine(self) -> Iterator[RemoteEngine]:
        with RemoteEngine(self.options.driver_cpus) as engine:
            engine.compile()
            yield engine
