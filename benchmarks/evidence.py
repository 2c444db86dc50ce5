"""What a run knows of each model that bears on a workload: costs, slots, memory, and cells to hold it against.

Believed are cells that no check struck. Scenarios that resemble nobody's workload (uploads, handlers that block, other
settings of the server) are no evidence here.
"""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmarks.cells import least_wait_s, waits_s
from benchmarks.checks.facts import Facts
from benchmarks.metrics import is_plain
from benchmarks.nouns import RunFacts, VisitRecord, Window
from benchmarks.questions import Level, Scenario
from benchmarks.ranking import Paired
from benchmarks.selection import Visit, usable
from benchmarks.summaries import CellSummary, RunSummary, ScenarioSummary, Standing
from benchmarks.validity import check_window

_ROUTE = re.compile(r"/(hello|wait|cpu)(?:/(\d+))?")
CROWDED = 3  # so many times fewer connections are about as many
ERRORS = 0.01  # of a cell's requests: more of them is a model that fails


@dataclass(frozen=True, slots=True)
class Shape:
    """What a scenario's requests do, by their paths: how long each waits, which share computes, and about how long."""

    wait_s: float
    share: float  # 0: nobody computes, 1: everybody
    work_s: float  # nominal


def shape(scenario: Scenario) -> Shape | None:
    """A scenario's shape; None for one that resembles no workload that can be described here."""
    if scenario.settings or scenario.environment or scenario.rounds or scenario.churn or scenario.patience_s is not None:
        return None
    requests = scenario.mix or (scenario.request,)
    routes = [_ROUTE.fullmatch(request.path) for request in requests]
    found = [(route[1], int(route[2] or 0) / 1e3) for route in routes if route]
    waits_s = {amount for kind, amount in found if kind == "wait"} | {0.0 for kind, _ in found if kind != "wait"}
    works_s = {amount for kind, amount in found if kind == "cpu"}
    if len(found) < len(requests) or len(waits_s) != 1 or len(works_s) > 1:
        return None
    weight = sum(request.weight for request, (kind, _) in zip(requests, found, strict=True) if kind == "cpu")
    return Shape(waits_s.pop(), weight / sum(request.weight for request in requests), max(works_s, default=0.0))


def named(cell: CellSummary) -> str:
    """How a cell is quoted: "hello, closed 64"."""
    return f"{cell.scenario}, {cell.level.label}"


def cpu_us(cell: CellSummary) -> float | None:
    """CPU of a request, user and system; None where none was served."""
    return cell.cpu_user_us.value + cell.cpu_system_us.value if cell.cpu_user_us and cell.cpu_system_us else None


def _is_plain(level: Level) -> bool:
    """Whether its load is nothing but so many connections or such a rate, and the server was warm."""
    return is_plain(level) and not level.round


def has(cell: CellSummary, check: str) -> bool:
    """Whether a check found something there."""
    return any(finding.check == check for finding in cell.findings)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server takes with no connection and for each, from these cells; known up to so many connections."""

    base_bytes: float
    each_bytes: float
    connections: int
    cells: tuple[str, ...]

    def of(self, connections: int) -> float:
        """With so many connections open."""
        return self.base_bytes + self.each_bytes * connections


@dataclass(frozen=True)
class Evidence:
    """A run, as far as it bears on workloads."""

    run: RunFacts
    records: Sequence[VisitRecord]
    summary: RunSummary

    @property
    def models(self) -> tuple[str, ...]:
        """Who was compared, but for controls: nobody would deploy those."""
        controls = {name for name, variant in self.run.options.variants.items() if variant.module}
        return tuple(model for model in self.run.options.models if model not in controls)

    @property
    def cores(self) -> int:
        """How many a server was given."""
        return max(len(self.run.options.server_cpus), 1)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The scenarios that resemble workloads."""
        there = {name: shape(self.run.scenarios[name]) for name in self.run.options.scenarios if name in self.run.scenarios}
        return {name: found for name, found in there.items() if found}

    @cached_property
    def _visits(self) -> list[Visit]:
        return usable(self.records)

    def cells(self, model: str, scenario: str) -> list[CellSummary]:
        """All of a model's cells there."""
        return [cell for cell in self.summary.cells if (cell.model, cell.scenario) == (model, scenario)]

    def believed(self, model: str, scenario: str) -> list[CellSummary]:
        """Its plain cells whose numbers can be believed."""
        return [cell for cell in self.cells(model, scenario) if _is_plain(cell.level) and cell.rate_per_s and not cell.struck]

    def cell(self, model: str, scenario: str, label: str) -> CellSummary | None:
        """One of those."""
        return next((cell for cell in self.believed(model, scenario) if cell.level.label == label), None)

    def scenario(self, name: str) -> ScenarioSummary | None:
        """Its summary."""
        return next((found for found in self.summary.scenarios if found.scenario == name), None)

    def standing(self, model: str, scenario: str) -> Standing | None:
        """A model's place there."""
        found = self.scenario(scenario)
        return next((standing for standing in found.standings if standing.model == model), None) if found else None

    # ------------------------------------------------------------ what was declared

    def slots(self, model: str) -> int:
        """How many connections a model serves at once, by its own word; 0 where it set no limit."""
        return max((r.server.max_connections for r in self.records if r.plan.model == model and r.server), default=0)

    def has_processes(self, model: str) -> bool:
        """Whether it answers from several processes, each with an interpreter of its own."""
        return any((cell.processes or 1) > 1 for cell in self.summary.cells if cell.model == model)

    def other_python(self, model: str) -> bool:
        """Whether it ran under another interpreter than the harness's, of which nobody here knows whether it has a GIL."""
        variant = self.run.options.variants.get(model)
        return bool(variant and variant.python)

    # ------------------------------------------------------------ CPU

    def base(self, wait_s: float, rate_per_s: float, connections: int | None) -> tuple[str, str] | None:
        """Scenario and level that show the CPU of a request without work: the same ones for all models.

        Of those believed of most models, the one that is nearest in rate and connections: a server that is asked seldom pays a
        wake-up for each request, and select pays for each connection. Requests that wait are looked at where there are any.
        """
        idle = [name for name, found in self.shapes.items() if not found.share]
        waiting = [name for name in idle if wait_s and self.shapes[name].wait_s]
        nearest = min(waiting, key=lambda name: apart(self.shapes[name].wait_s, wait_s), default=None)
        quick = sorted((name for name in idle if not self.shapes[name].wait_s), key=lambda name: name != "hello")
        for scenario in [name for name in (nearest, *quick) if name]:
            levels: dict[str, list[CellSummary]] = {}
            for cell in self.summary.cells:
                common = cell.scenario == scenario and cell.level.share is None and cell.model in self.models
                if common and _is_plain(cell.level) and not cell.struck and cell.rate_per_s and cpu_us(cell):
                    levels.setdefault(cell.level.label, []).append(cell)
            if levels:
                return scenario, min(levels, key=lambda label: _unlike(levels[label], rate_per_s, connections))
        return None

    def least_us(self, model: str, scenario: str, connections: int) -> tuple[float, str] | None:
        """The cheapest that its requests were seen there with about so many connections or more, and in which cell."""
        crowded = [cell for cell in self.believed(model, scenario) if cell.level.connections * CROWDED >= connections]
        return min(((us, named(cell)) for cell in crowded if (us := cpu_us(cell))), default=None)

    def cpu_by_visit(self, more_us: Mapping[str, float], scenario: str, label: str) -> Paired:
        """CPU of a request in each visit of these models by block and weather, with so much more in it, for comparisons."""
        return {
            model: {
                visit.pairing: _window_cpu_us(window) + more
                for visit in self._visits
                if (visit.record.plan.model, visit.record.plan.scenario) == (model, scenario)
                for window in visit.record.windows
                if window.level.label == label and self._is_sound(visit.record, window)
            }
            for model, more in more_us.items()
        }

    def _is_sound(self, record: VisitRecord, window: Window) -> bool:
        scenario = record.plan.scenario
        waiting = least_wait_s(self.run, scenario), waits_s(self.run, scenario)
        found = check_window(Facts.gathered(window, record.server, self.cores, *waiting))
        return bool(window.load.completed) and not any(finding.severity == "strike" for finding in found)

    # ------------------------------------------------------------ connections

    def crowd(self, model: str) -> tuple[int, str]:
        """The most connections it was measured with, active or silent ones, and in which cell."""
        most: list[tuple[int, str]] = [(0, "")]
        for cell in self.summary.cells:
            if cell.model == model and cell.rate_per_s and not cell.struck and cell.level.keepalive:
                count = cell.level.connections + self._held(cell)
                most.append((count, named(cell)))
        return max(most, key=lambda found: found[0])

    def idle(self, model: str) -> tuple[int, int, str] | None:
        """How many silent connections it was asked to hold at most, how many it held, and in which cell; None: not measured."""
        beside = [c for c in self.summary.cells if c.model == model and c.level.beside and c.level.beside.kind == "idle"]
        most = max(beside, key=lambda cell: cell.level.beside.count if cell.level.beside else 0, default=None)
        if most is None or most.level.beside is None:
            return None
        return most.level.beside.count, self._held(most), named(most)

    def idle_us(self, model: str, idle: int) -> tuple[float, tuple[str, ...]]:
        """What so many silent connections add to the CPU of a request, from the nearest number that was measured.

        Beyond that number it is taken to grow in proportion, as it does where the kernel is told of all of them at each turn.
        """
        own = [c for c in self.summary.cells if c.model == model and not c.struck and cpu_us(c)]
        beside = [c for c in own if self._held(c)]
        if idle < 1 or not beside:
            return 0.0, ()
        cell = min(beside, key=lambda c: apart(self._held(c), idle))
        without = replace(cell.level, beside=None).label
        plain = next((c for c in own if (c.scenario, c.level.label) == (cell.scenario, without)), None)
        if plain is None:
            return 0.0, ()
        more = max((cpu_us(cell) or 0.0) - (cpu_us(plain) or 0.0), 0.0) * max(idle / self._held(cell), 1.0)
        return more, (named(cell), named(plain))

    def _held(self, cell: CellSummary) -> int:
        """Silent connections that were open beside the load of a cell, the least of its visits."""
        held = [
            window.load.companions.get("open", 0)
            for visit in self._visits
            if (visit.record.plan.model, visit.record.plan.scenario) == (cell.model, cell.scenario)
            for window in visit.record.windows
            if window.level.label == cell.level.label
        ]
        return min(held, default=0) if cell.level.beside and cell.level.beside.kind == "idle" else 0

    def memory(self, model: str) -> Memory | None:
        """What it takes, from the silent connections it held; else from its closed levels."""
        return self._held_memory(model) or self._active_memory(model)

    def _held_memory(self, model: str) -> Memory | None:
        own = [cell for cell in self.summary.cells if cell.model == model and not cell.struck and cell.uss_bytes is not None]
        for cell in sorted(own, key=self._held, reverse=True):
            held = self._held(cell)
            without = replace(cell.level, beside=None).label
            plain = next((c for c in own if (c.scenario, c.level.label) == (cell.scenario, without)), None)
            if held and plain and plain.uss_bytes is not None and cell.uss_bytes is not None:
                each = max((cell.uss_bytes - plain.uss_bytes) / held, 0.0)
                base = max(plain.uss_bytes - each * plain.level.connections, 0.0)
                return Memory(base, each, held, (named(cell), named(plain)))
        return None

    def _active_memory(self, model: str) -> Memory | None:
        found: list[Memory] = []
        slots = self.slots(model) or math.inf
        for scenario in self.shapes:
            closed = [c for c in self.believed(model, scenario) if c.level.loop == "closed" and c.uss_bytes is not None]
            if not closed:
                continue
            least = min(closed, key=_connections)
            most = max(closed, key=_connections)
            low, high = (min(cell.level.connections, slots) for cell in (least, most))
            low_bytes, high_bytes = least.uss_bytes or 0, most.uss_bytes or 0
            if most.level.connections > least.level.connections:
                each = max((high_bytes - low_bytes) / (high - low), 0.0) if high > low else 0.0
                base = low_bytes - each * low if high > low else max(low_bytes, high_bytes)
                found.append(Memory(max(base, 0.0), each, most.level.connections, (named(least), named(most))))
        return max(found, key=lambda memory: memory.connections, default=None)

    # ------------------------------------------------------------ reasons not to take a model

    def fault(self, model: str, scenarios: Iterable[str], connections: int) -> tuple[str, str]:
        """What the model itself did wrong in these scenarios, and in which cell: rules broken, failed, starving, errors."""
        for scenario in scenarios:
            standing = self.standing(model, scenario)
            if standing and standing.failed:
                return f"it failed in {scenario} ({standing.failed})", scenario
            for cell in self.cells(model, scenario):
                beyond = (cell.level.share or 0.0) >= 1.0 or not _is_plain(cell.level)
                rules = next((f.seen for f in cell.findings if f.check == "rules broken"), "")
                if rules:
                    return rules, named(cell)
                if has(cell, "starving") and not beyond and cell.level.connections <= connections:
                    return "some of its connections starve", named(cell)
                if cell.error_share > ERRORS and not beyond and cell.level.connections <= connections:
                    return f"{cell.error_share:.1%} of its requests failed", named(cell)
        return "", ""


def _window_cpu_us(window: Window) -> float:
    return (window.server.cpu_user_ns + window.server.cpu_system_ns) / 1e3 / max(window.load.completed, 1)


def apart(one: float, other: float) -> float:
    """By what factor two amounts differ, as a logarithm."""
    return abs(math.log(one / other)) if one > 0 and other > 0 else 0.0 if one == other else math.inf


def _unlike(cells: Sequence[CellSummary], rate_per_s: float, connections: int | None) -> tuple[bool, int, float]:
    """How little a level's cells are what is asked: a single connection is nobody's server, and its load comes in turn."""
    level = cells[0].level
    distance = apart(statistics.median(cell.rate_per_s.value for cell in cells if cell.rate_per_s), rate_per_s)
    if connections is not None:
        distance += apart(level.connections, connections)
    return level.connections == 1 and connections != 1, -len(cells), distance


def _connections(cell: CellSummary) -> int:
    return cell.level.connections
