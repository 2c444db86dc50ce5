"""One replicate: every model started afresh, all alive together, taken through scenarios; one record for each of these.

The servers share the server's cores, and only one of them is asked anything at a time: whatever slows the machine for a second
slows them all alike, and ratios taken within a round do not contain it (Bulej et al., "Duet Benchmarking", ICPE 2020). The
order is shuffled (randomized multiple interleaved trials: Abedi & Brecht, "Conducting Repeatable Experiments in Highly Variable
Cloud Computing Environments", ICPE 2017). The levels themselves are in `rounds`.

Some scenarios cannot be measured so, and say why (`plan.is_alone`): their models come one at a time, no other server alive.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import asking, objective, plan, sample
from benchmarks.asking import HOST
from benchmarks.checks.facts import Facts
from benchmarks.launch import LaunchError, Server
from benchmarks.load.remote import EngineDied, RemoteEngine
from benchmarks.nouns import (
    SCHEMA,
    Failure,
    ReplicateRecord,
    RunFacts,
    Variant,
    Warmup,
    is_baseline,
    measured,
    served_by,
)
from benchmarks.passwords import VARIABLE
from benchmarks.questions import Level, Scenario
from benchmarks.rounds import Conditions, Levels
from benchmarks.trial import Making, Member, Trouble
from benchmarks.validity import broken
from benchmarks.verify import VerifyError, same, verify

_WARM_MOST = 1000  # connections that a warm-up turns over at once

Tell = Callable[[str, str], None]  # scenario, and what is done in it


class Replicate:
    """A replicate in the making."""

    def __init__(
        self,
        run: RunFacts,
        number: int,
        engine: RemoteEngine,
        tell: Tell,
        digests: dict[str, str],
        broken_rules: Mapping[str, Sequence[str]],
    ) -> None:
        """`digests` has the answer of each scenario as models gave it before, and gets new ones; `broken_rules` those that each
        model was found to break: it is measured only if the options say so."""
        self.run, self.options, self.number = run, run.options, number
        self.engine, self.tell, self.digests, self.broken_rules = engine, tell, digests, broken_rules
        self.shuffle = random.Random(f"{self.options.seed} replicate {number}")

    def make(self, names: Sequence[str]) -> Iterator[ReplicateRecord]:
        """Measure these scenarios, in shuffled order, those with servers of their own apart; a record for each as it ends."""
        together: dict[tuple[object, ...], list[str]] = {}
        jobs: list[tuple[str, ...]] = []
        for name in self.shuffle.sample(list(names), len(names)):
            scenario = self.run.scenarios[name]
            if plan.is_alone(scenario, self.options):
                jobs.append((name,))
            else:
                together.setdefault((scenario.settings, scenario.environment), []).append(name)
        jobs += [tuple(group) for group in together.values()]
        for job in self.shuffle.sample(jobs, len(jobs)):
            if plan.is_alone(self.run.scenarios[job[0]], self.options):
                yield self._record(job[0], self._one_by_one(job[0]), together=False)
                continue
            able = [name for name in measured(self.options) if any(name in measured(self.options, each) for each in job)]
            self.tell(job[0], "starting servers")
            with self._alive(able, self.run.scenarios[job[0]]) as members:
                for name in job:
                    yield self._record(name, self._all_together(name, members))

    def _record(self, name: str, trials: Callable[[], list[Making]], together: bool = True) -> ReplicateRecord:
        begins, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
        self.tell(name, "probing the machine")
        cpus = self.options.server_cpus + self.options.driver_cpus
        before, used = self.engine.probe(self.options.server_cpus[0]), sample.usage(cpus)
        made = trials()
        outside, after = sample.outside(used, sample.usage(cpus)), self.engine.probe(self.options.server_cpus[0])
        return ReplicateRecord(
            schema=SCHEMA,
            scenario=name,
            replicate=self.number,
            started_at=started_at,
            seconds=time.monotonic() - begins,
            before=before,
            after=after,
            outside=outside,
            trials=[making.trial() for making in made],
            together=together,
        )

    # ------------------------------------------------------------ servers

    @contextmanager
    def _alive(self, names: Sequence[str], scenario: Scenario) -> Iterator[list[Member]]:
        """These models' servers, started in shuffled order and stopped together at the end."""
        members: list[Member] = []
        with tempfile.TemporaryDirectory(prefix="servebench-") as folder, ExitStack() as servers:
            try:
                for name in self.shuffle.sample(list(names), len(names)):
                    members.append(self._member(name, scenario, Path(folder)))
                    if (server := members[-1].server) is not None:
                        servers.callback(server.stop)
                for member in members:
                    self._await_ready(member)
                yield members
            finally:
                for member in members:
                    if member.server is not None:
                        member.server.begin_stop()

    def _member(self, name: str, scenario: Scenario, folder: Path) -> Member:
        """Start a model's server as scenario, run and variant ask for, without waiting for it. A baseline knows none of a
        model's options but its own."""
        variant = self.options.variants.get(name, Variant())
        member = Member(name, broken_rules=list(self.broken_rules.get(name, ())))
        if member.broken_rules and not self.options.unchecked:
            why = f"{broken(member.broken_rules)}. See them with: servebench check {served_by(name)}"
            member.failure = Failure("check", why, "")
            return member
        common: tuple[str, ...] = ()
        if not variant.module:
            if not variant.folder:  # another checkout may not know the option
                member.account = folder / f"collections-{len(list(folder.iterdir()))}"
                member.account.mkdir()
                common = ("--gc-account", str(member.account))
            common += (*scenario.settings, *self.options.settings)
            if self.options.database and plan.keeps_items(scenario):  # else a server makes a file of its own
                common += ("--database", f"${VARIABLE}")
        try:
            member.server = Server(
                served_by(name),
                self.options.server_cpus,
                (*common, *variant.settings),
                Path(variant.folder) if variant.folder else None,
                environment=dict(scenario.environment),
                python=variant.python,
                module=variant.module,
                wait=False,
            )
        except LaunchError as trouble:
            member.failure = Failure("launch", str(trouble), trouble.stderr)
        return member

    def _await_ready(self, member: Member) -> None:
        if member.server is None:
            return
        try:
            member.server.wait_ready()
            member.pids = sample.tree(member.facts.pid)
        except LaunchError as trouble:
            member.failure, member.server = Failure("launch", str(trouble), trouble.stderr), None

    # ------------------------------------------------------------ scenarios

    def _all_together(self, name: str, members: Sequence[Member]) -> Callable[[], list[Making]]:
        """All models of a scenario, in rounds."""

        def make() -> list[Making]:
            scenario = self.run.scenarios[name]
            able = [member for member in members if member.name in measured(self.options, name)]
            trials = [Making(member, failure=member.failure) for member in able]
            for making in self.shuffle.sample(trials, len(trials)):
                self._prepare(name, making)
            self._levels(name, scenario, trials, members)
            return trials

        return make

    def _one_by_one(self, name: str) -> Callable[[], list[Making]]:
        """Each model of a scenario by itself, on a fresh server, no other alive."""

        def make() -> list[Making]:
            scenario, trials = self.run.scenarios[name], []
            models = measured(self.options, name)
            for model in self.shuffle.sample(models, len(models)):
                self.tell(name, f"{model}: starting")
                answer = None
                if scenario.cohorts:  # its first clients are what is measured: another server is asked whether it is right
                    with self._alive([model], scenario) as members:
                        asked = Making(members[0], failure=members[0].failure)
                        self._prepare(name, asked)
                        answer = asked.answer
                with self._alive([model], scenario) as members:
                    making = Making(members[0], answer, failure=members[0].failure)
                    if not scenario.cohorts:
                        self._prepare(name, making)
                    elif answer is None and making.failure is None:
                        making.failure = asked.failure
                    self._levels(name, scenario, [making], members)
                    trials.append(making)
            return trials

        return make

    def _prepare(self, name: str, making: Making) -> None:
        """Verify the answers and warm the server up; what goes wrong is the trial's failure."""
        if making.failure is not None:
            return
        scenario, member, stage = self.run.scenarios[name], making.member, "verify"
        try:
            making.answer = verify(HOST, member.facts.port, scenario)
            baseline = is_baseline(member.name)  # it must answer as the models do, and not they as it does
            same(making.answer, self.digests.get(name, ""), member.name)
            if not baseline:
                self.digests.setdefault(name, making.answer.digest)
            if not scenario.cohorts:
                stage = "warm-up"
                self.tell(name, f"warming up {member.name}")
                warmup = self._warm_up(scenario, member)
                making.warmup = None if member.warm else warmup
                member.warm = True
            member.check(stage)
        except (VerifyError, Trouble, EngineDied) as trouble:
            making.fails(stage, trouble)
            self.engine.restart_if_ended()

    def _warm_up(self, scenario: Scenario, member: Member) -> Warmup:
        """Loads on as many connections as the largest level has, all of them new each time: what the first end of a stream
        changes in a server is in it. A server that an earlier scenario has warmed up gets one load of the new requests."""
        most = max((level.connections for level in plan.levels(scenario, self.options)), default=1)
        connections = min(most, member.facts.max_connections, _WARM_MOST)
        # A load must hold several answers of each connection, so it grows with the wait.
        load_s = max(plan.WARM_LOAD_S, 4 * scenario.wait_s)
        target = asking.warming(scenario, member.facts.port)
        limit_s = 0.0 if member.warm else plan.WARM_LIMIT_S
        return self.engine.warm_up(target, connections, load_s, limit_s, plan.STEADY_WITHIN)

    def _levels(self, name: str, scenario: Scenario, trials: Sequence[Making], members: Sequence[Member]) -> None:
        """Every level of a scenario, then the search if the run has an objective."""
        conditions = Conditions(self.options, name, scenario, self.number, len(members) == 1, time.monotonic())
        levels = Levels(conditions, self.engine, members, self.shuffle, lambda what: self.tell(name, what))
        levels.measure(trials)
        if self.options.objective:
            for making in self.shuffle.sample(list(trials), len(trials)):
                if making.failure is None:
                    self._search(levels, scenario, making)

    def _search(self, levels: Levels, scenario: Scenario, making: Making) -> None:
        """Probe rate after rate for the highest that meets the objective, as long as that tells more and there is time."""
        wanted, ends = objective.parse(self.options.objective), time.monotonic() + objective.SEARCH_LIMIT_S
        judged: list[objective.Probe] = []
        cores = len(self.options.server_cpus)
        try:
            peak_per_s = levels.peak_per_s(making)
            while (rate_per_s := objective.next_rate(judged, wanted, peak_per_s)) and time.monotonic() < ends:
                level = Level("open", scenario.open_connections, rate_per_s=rate_per_s)
                seconds = objective.probe_s(wanted, rate_per_s, plan.APART_S / 4)
                making.probes.append(levels.probe(making, level, seconds))
                facts = Facts.gathered(making.probes[-1], making.member.facts, cores, scenario.wait_s, scenario.waits_s)
                judged.append(objective.judge(facts, wanted))
        except (Trouble, EngineDied) as trouble:
            making.fails("search", trouble)
            self.engine.restart_if_ended()
