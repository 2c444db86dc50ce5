"""One visit: a fresh server taken through all levels of a scenario, from launch to record.

A closed level has connections of its own. The open levels, which all have the same number, share theirs: what differs between
them is the rate alone. After a level that left requests unanswered or failed they are closed and opened anew.
"""

import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import asking, objective, sample
from benchmarks.asking import HOST
from benchmarks.checks.facts import Facts
from benchmarks.launch import LaunchError, Server
from benchmarks.load.remote import EngineDied, RemoteEngine
from benchmarks.nouns import (
    SCHEMA,
    Failure,
    Outside,
    RunOptions,
    Variant,
    VisitPlan,
    VisitRecord,
    Warmup,
    Weather,
    Window,
    served_by,
)
from benchmarks.plan import STEADY_WITHIN, WARM_LIMIT_S, WARM_ROUND_S, levels
from benchmarks.questions import Beside, Level, Scenario
from benchmarks.validity import broken
from benchmarks.verify import Answer, VerifyError, same, settled, verify

WEATHER_CHANGE = 0.2  # probes before and after that differ by more: another weather
_WARM_CONNECTIONS = 16

Tell = Callable[[str], None]


class _Trouble(RuntimeError):
    """A window could not be measured; the message says why."""


class _Refused(RuntimeError):
    """The model is not measured; the message says why."""


def weather_changed(before: Weather, after: Weather) -> bool:
    """Whether two probes tell of two weathers."""
    pairs = [(before.python_ns, after.python_ns)]
    if before.pingpong_ns is not None and after.pingpong_ns is not None:
        pairs.append((before.pingpong_ns, after.pingpong_ns))
    return any(max(pair) > (1 + WEATHER_CHANGE) * min(pair) for pair in pairs)


def _keeps_items(scenario: Scenario) -> bool:
    """Whether it asks for what a server keeps in a database."""
    return any(asked.path.startswith("/items") for asked in (scenario.request, *scenario.mix, *scenario.prepare))


class Visit:
    """A visit in the making. `make` returns its record, whatever happens but an interruption."""

    def __init__(
        self,
        plan: VisitPlan,
        scenario: Scenario,
        options: RunOptions,
        engine: RemoteEngine,
        tell: Tell,
        broken_rules: Sequence[str] = (),
    ) -> None:
        """`broken_rules` are those that the model was found to break; it is visited only if the options say so."""
        self.plan, self.scenario, self.options, self.engine, self.tell = plan, scenario, options, engine, tell
        self.broken_rules = list(broken_rules)
        self.stage = "launch"
        self.windows: list[Window] = []
        self.probes: list[Window] = []
        self.answer: Answer | None = None
        self.open_as: tuple[int, Beside | None, bool] | None = None  # what is open for the next level
        self.warmup: Warmup | None = None
        self.digest = ""
        self.outside: Outside | None = None
        self.account: Path | None = None  # where the server's processes count their garbage collections

    def make(self, others_digest: str) -> VisitRecord:
        """Make the visit. `others_digest` is that of the other models' answer, "" if there was none yet."""
        with tempfile.TemporaryDirectory(prefix="servebench-visit-") as folder:
            return self._made(others_digest, Path(folder))

    def _made(self, others_digest: str, folder: Path) -> VisitRecord:
        begins, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
        failure: Failure | None = None
        server: Server | None = None
        before = after = None
        try:
            self._refuse()
            before = self._probe()
            self.tell("starting")
            server = self._launched(folder)
            if self.scenario.rounds:  # its first clients are what is measured: another server is asked whether it is right
                with server:
                    self._verify(server, others_digest)
                self.stage = "launch"
                server = self._launched(folder)
            with server:
                try:
                    self._take_through(server, others_digest)
                except (VerifyError, EngineDied, _Trouble) as trouble:
                    failure = Failure(self.stage, str(trouble), server.stderr())
            after = self._probe() if failure is None else None
        except VerifyError as trouble:
            failure = Failure(self.stage, str(trouble), server.facts.stderr if server else "")
        except _Refused as trouble:
            failure = Failure("check", str(trouble), "")
        except LaunchError as trouble:
            failure = Failure(self.stage, str(trouble), trouble.stderr)
        except EngineDied as trouble:
            failure = Failure("probe", str(trouble), "")
        return VisitRecord(
            schema=SCHEMA,
            plan=self.plan,
            started_at=started_at,
            seconds=time.monotonic() - begins,
            server=server.facts if server else None,
            digest=self.digest,
            warmup=self.warmup,
            before=before,
            after=after,
            weather_changed=before is not None and after is not None and weather_changed(before, after),
            outside=self.outside,
            windows=self.windows,
            probes=self.probes,
            failure=failure,
            broken_rules=self.broken_rules,
        )

    def _launched(self, folder: Path) -> Server:
        """The server, started as scenario, run and variant ask for. A control knows none of a model's options but its own."""
        variant = self.options.variants.get(self.plan.model, Variant())
        common: tuple[str, ...] = ()
        if not variant.module:
            self.account = folder / "collections"
            self.account.mkdir(exist_ok=True)
            common = ("--gc-account", str(self.account), *self.scenario.settings, *self.options.settings)
            if self.options.database and _keeps_items(self.scenario):  # else a server makes a file of its own
                common += ("--database", self.options.database)
        return Server(
            served_by(self.plan.model),
            self.options.server_cpus,
            (*common, *variant.settings),
            environment=dict(self.scenario.environment),
            python=variant.python,
            module=variant.module,
        )

    def _refuse(self) -> None:
        """Measure nobody who breaks rules, unless that is asked for. Raises _Refused."""
        if self.broken_rules and not self.options.unchecked:
            raise _Refused(f"{broken(self.broken_rules)}. See them with: servebench check {served_by(self.plan.model)}")

    def _probe(self) -> Weather:
        self.tell("probing the weather")
        return self.engine.probe(self.options.server_cpus[0])

    def _verify(self, server: Server, others_digest: str) -> None:
        self.stage = "verify"
        self.answer = verify(HOST, server.facts.port, self.scenario)
        same(self.answer, others_digest, self.plan.model)
        self.digest = self.answer.digest

    def _take_through(self, server: Server, others_digest: str) -> None:
        if self.answer is None:
            self._verify(server, others_digest)
        if not self.scenario.rounds:
            self.stage = "warm-up"
            self._warm_up(server)
        self.stage = "load"
        before = sample.usage(self.options.server_cpus + self.options.driver_cpus)
        for level in levels(self.scenario, self.options):
            self.tell(level.label)
            peak_per_s = self._peak_per_s() if level.share is not None else 0.0
            self.windows.append(self._measure(server, level, peak_per_s))
        if self.options.objective:
            self._search(server)
        if self.open_as:
            self._disconnect(server, "the last level")
        self.outside = sample.outside(before, sample.usage(self.options.server_cpus + self.options.driver_cpus))

    def _warm_up(self, server: Server) -> None:
        self.tell("warming up")
        # A round must hold several answers of each connection, so it grows with the wait.
        round_s = max(WARM_ROUND_S, 4 * self.scenario.wait_s)
        connections = min(_WARM_CONNECTIONS, server.facts.max_connections)
        target = asking.warming(self.scenario, server.facts.port)
        self.warmup = self.engine.warm_up(target, connections, round_s, WARM_LIMIT_S, STEADY_WITHIN)

    def _search(self, server: Server) -> None:
        """Probe rate after rate for the highest that meets the objective, as long as that tells more and there is time."""
        wanted, peak_per_s = objective.parse(self.options.objective), self._peak_per_s()
        ends = time.monotonic() + objective.SEARCH_LIMIT_S
        cores = len(self.options.server_cpus)
        judged: list[objective.Probe] = []
        while (rate_per_s := objective.next_rate(judged, wanted, peak_per_s)) and time.monotonic() < ends:
            level = Level("open", self.scenario.open_connections, rate_per_s=rate_per_s)
            self.tell(f"{wanted.text} at {level.label.removeprefix('open ')}?")
            seconds = objective.probe_s(wanted, rate_per_s, self.options.open_s)
            self.probes.append(self._measure(server, level, seconds=seconds))
            facts = Facts.gathered(self.probes[-1], server.facts, cores, self.scenario.wait_s, self.scenario.waits_s)
            judged.append(objective.judge(facts, wanted))

    def _measure(self, server: Server, level: Level, peak_per_s: float = 0.0, seconds: float | None = None) -> Window:
        """One level: counters at its edges, the window in between without a system call of ours. `seconds`: of a probe."""
        new = self._connect(server, level)
        drive = asking.drive(self.scenario, level, self.options, peak_per_s, new, self.windows)
        pids = sample.rested_tree(server.facts.pid) if new else sample.tree(server.facts.pid)
        sample.forget_longest(self.account)
        before, acks = sample.counters(pids, self.account), sample.delayed_acks()
        load = self.engine.run(replace(drive, seconds=seconds or drive.seconds, seed=self._seed(level), watch=pids))
        pids = sample.tree(server.facts.pid)
        after, acks_after, held = sample.counters(pids, self.account), sample.delayed_acks(), sample.holdings(pids)
        if level.loop == "closed" or level.beside or load.unfinished or load.errors:
            self._disconnect(server, level.label)
        if server.ended() is not None:
            raise _Trouble(f"the server ended by itself with status {server.ended()} during {level.label}")
        delayed = acks_after - acks if acks is not None and acks_after is not None else None
        return Window(level, load, sample.bill(before, after, held, load), delayed)

    def _connect(self, server: Server, level: Level) -> int:
        """Open the level's connections, unless the level before has left them open. Returns how many are new."""
        slots, port = server.facts.max_connections, server.facts.port
        connections = min(level.connections, slots) if level.loop == "open" else level.connections
        wanted = connections, level.beside, level.keepalive
        if self.open_as == wanted:
            return 0
        if self.open_as:
            self._disconnect(server, "the level before")
        assert self.answer is not None
        target = asking.target(self.scenario, port, self.answer, level.keepalive)
        self.engine.open(target, connections, asking.companions(level.beside, port, slots - connections))
        self.open_as = wanted
        return connections

    def _disconnect(self, server: Server, after: str) -> None:
        """Close the connections, and wait until the server has dealt with what they had queued."""
        self.engine.close_connections()
        self.open_as = None
        if server.ended() is None and not settled(HOST, server.facts.port, self.scenario):
            raise _Trouble(f"after {after} a new connection was not answered any more")

    def _peak_per_s(self) -> float:
        """What shares are of. Raises _Trouble if nothing was served in the closed loop."""
        if not (peak := asking.peak_per_s(self.scenario, self.windows)):
            raise _Trouble("no request was served in the closed loop, so there is no peak to take a share of")
        return peak

    def _seed(self, level: Level) -> int:
        """The same arrivals for every model of a block; others for every probe, as a repetition must not repeat accidents."""
        which = f"probe {len(self.probes)}" if self.options.objective and level.loop == "open" else level.label
        return zlib.crc32(f"{self.options.seed} {self.plan.scenario} {self.plan.block} {which}".encode()) % 2**31
