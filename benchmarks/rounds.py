"""The levels of a scenario, in rounds: each model one short window at a level, in a new random order, then the next round.

A model's connections are opened before its first window of a level and closed after its last, so that in between it is silent
and its neighbours have the core to themselves; what they use all the same is recorded with each window. Connections are opened
anew for a window where the server would close them between two of its turns, and after a window that left requests unanswered;
each time they are, the server's bill begins anew, as it may have other processes then.
"""

import math
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks import asking, plan, sample
from benchmarks.asking import HOST
from benchmarks.load.remote import EngineDied, RemoteEngine
from benchmarks.merging import Taken, closed_rates, merged
from benchmarks.nouns import Measurement, RunOptions, ServerCost
from benchmarks.questions import Level, Scenario
from benchmarks.trial import Making, Member, Trouble
from benchmarks.verify import settled

_SPARE_DESCRIPTORS = 500  # of the load engine, for all but its sessions
_PER_CONNECTION, _PER_SESSION = 1.1, 64  # descriptors: some connections are closed by the server only after the next is open
_LOOKED_AT_S = 0.25  # windows that are so long have the machine looked at before and after each, shorter ones before a round
_GROUP = 100_000  # between the numbers of the rounds of two groups, which share no round


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a scenario is measured in a replicate."""

    options: RunOptions
    name: str
    scenario: Scenario
    replicate: int
    alone: bool  # no other server is alive
    begins_s: float  # by the monotonic clock


@dataclass(slots=True)
class _Taking:
    """A level of one trial in the making."""

    making: Making
    taken: list[Taken] = field(default_factory=list)
    bills: list[ServerCost] = field(default_factory=list)  # one for each time that connections were opened
    acks: int | None = 0
    is_open: bool = False
    fresh: bool = False  # whether nothing was asked yet on the connections that are open
    forked: int = 0  # processes, for these connections
    before: sample.Counters | None = None
    billed: int = 0  # windows that are in the bills
    held: sample.Holdings | None = None  # by the server, with its first connections open

    @property
    def member(self) -> Member:
        """Whose it is."""
        return self.making.member


class Levels:
    """Measures the levels of one scenario for the trials of a replicate."""

    def __init__(
        self,
        conditions: Conditions,
        engine: RemoteEngine,
        members: Sequence[Member],
        shuffle: random.Random,
        tell: Callable[[str], None],
    ) -> None:
        self.at, self.options, self.scenario = conditions, conditions.options, conditions.scenario
        self.engine, self.members, self.shuffle, self.tell = engine, members, shuffle, tell
        self.group: Sequence[_Taking] = ()  # who is measured in rounds now

    def measure(self, trials: Sequence[Making]) -> None:
        """Every level; the failures of trials are kept in them.

        Levels with background connections lie between two halves of the same level without: what changes with time is then in
        neither more than in the other.
        """
        levels = plan.levels(self.scenario, self.options)
        halved = {level.label for level in levels if any(_without(other) == level.label for other in levels)}
        halves: dict[str, dict[int, _Taking]] = {}
        for level in levels:
            made = self._level(level, trials, half=level.label in halved)
            if level.label in halved:
                halves[level.label] = {id(taking.making): taking for taking in made}
            else:
                self._finish(level, made)
        for level in levels:
            if level.label in halved:
                self._finish(level, self._level(level, trials, half=True, first=halves[level.label]))

    def peak_per_s(self, making: Making) -> float:
        """What shares are of: the median closed rate at the trial's best closed level. Raises Trouble if it served nobody."""
        if not making.peak_per_s:
            rates = [self._closed_rate(one, making) for one in making.measurements if one.level.loop == "closed"]
            making.peak_per_s = max(rates, default=0.0)
        if not making.peak_per_s:
            raise Trouble("no request was served in the closed loop, so there is no peak to take a share of")
        return making.peak_per_s

    def _closed_rate(self, measurement: Measurement, making: Making) -> float:
        if not measurement.load.completed:
            return 0.0
        by_time = max(self.scenario.waits_s) > 0 and measurement.level.connections <= making.member.facts.max_connections
        rates = [rate for _, rate in closed_rates(measurement.rounds, by_time)]
        return statistics.median(rates) * asking.in_proportion(self.scenario, measurement) if rates else 0.0

    def probe(self, making: Making, level: Level, seconds: float) -> Measurement:
        """One window of a search. Raises Trouble and EngineDied."""
        load = plan.load_of(self.scenario, level, making.peak_per_s)
        paced = replace(plan.pace(self.scenario, level, self.options, load), window_s=seconds, rounds=1, apart=True)
        taking = _Taking(making)
        self._window(taking, level, paced, f"probe {len(making.probes)}", 0)
        return self._merged(taking, level, interleaved=False)

    # ------------------------------------------------------------ one level

    def _level(
        self, level: Level, trials: Sequence[Making], half: bool = False, first: dict[int, _Taking] | None = None
    ) -> list[_Taking]:
        """All rounds of a level, or half of them; `first` is what the first half has taken."""
        able = [
            (first or {}).get(id(making)) or _Taking(making)
            for making in trials
            if making.failure is None and (level.share is None or self._has_peak(making))
        ]
        if not able:
            return []
        load = max(plan.load_of(self.scenario, level, taking.making.peak_per_s) for taking in able)
        paced = plan.pace(self.scenario, level, self.options, load)
        if half:
            paced = replace(paced, rounds=max(paced.rounds // 2, 1))
        for number, group in enumerate(self._groups(level, able, paced)):
            self._rounds(level, group, paced, number * _GROUP)
        return able

    def _has_peak(self, making: Making) -> bool:
        try:
            return bool(self.peak_per_s(making))
        except Trouble as trouble:
            making.fails("load", trouble)
            return False

    def _groups(self, level: Level, able: Sequence[_Taking], paced: plan.Pace) -> list[list[_Taking]]:
        """Who is measured in rounds with whom: all, or as many as the engine has descriptors for, each group with the first
        model of all, the anchor, so that they can be compared."""
        if paced.apart:
            return [[taking] for taking in self.shuffle.sample(list(able), len(able))]
        room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS
        each = self._connections(level, able[0].member) * _PER_CONNECTION + _PER_SESSION
        each += level.background.count if level.background else 0
        size = max(int(room // each), 2)
        if len(able) <= size:
            return [list(able)]
        anchor, *others = sorted(able, key=lambda taking: taking.member.name)
        return [[anchor, *others[at : at + size - 1]] for at in range(0, len(others), size - 1)]

    def _rounds(self, level: Level, group: Sequence[_Taking], paced: plan.Pace, offset: int) -> None:
        self.group = group
        turn_s = len(group) * (paced.window_s + paced.ramp_s + plan.OVERHEAD_S)
        for taking in group:
            if not self._reopens(taking, paced, turn_s):
                self._guarded(taking, self._open, level)
        done = max((len(taking.taken) for taking in group), default=0)
        state_ns = self._state_ns(group)
        for number in range(offset + done, offset + done + paced.rounds):
            self.tell(f"{level.label}, round {number % _GROUP + 1}")
            whole = self.at.replicate == 0 and number % _GROUP == 0 and paced.long_s
            window = replace(paced, window_s=paced.long_s) if whole else paced
            unseen: list[_Taking] = []  # whose window nobody has looked at the machine after
            for taking in self.shuffle.sample(list(group), len(group)):
                if unseen and window.window_s >= _LOOKED_AT_S:
                    state_ns = self._look(group, unseen, state_ns)
                self._guarded(taking, self._window, level, window, f"{level.label} {number}", number, turn_s)
                unseen.append(taking)
            state_ns = self._look(group, unseen, state_ns)
        for taking in group:
            if taking.is_open:
                self._guarded(taking, self._close, level, level.background is not None)
        if len(group) > 1:
            sample.still([pid for taking in group for pid in taking.member.pids])

    def _state_ns(self, group: Sequence[_Taking]) -> float:
        """The machine's state, where models are compared by their rounds."""
        if len(group) < 2:
            return 0.0
        try:
            return self.engine.round_trip_ns(self.options.server_cpus[0])
        except EngineDied:  # whoever is measured next will tell
            return 0.0

    def _look(self, group: Sequence[_Taking], unseen: list[_Taking], before_ns: float) -> float:
        """Look at the machine, and note its state before and after these models' last windows. Returns the state now."""
        after_ns = self._state_ns(group)
        for taking in unseen:
            if taking.taken and not taking.taken[-1].after_ns:
                taking.taken[-1] = replace(taking.taken[-1], before_ns=before_ns, after_ns=after_ns)
        unseen.clear()
        return after_ns

    def _reopens(self, taking: _Taking, paced: plan.Pace, turn_s: float) -> bool:
        """Whether a model's connections are opened for each window: the server would close them before its next one."""
        idle_s = taking.member.facts.keepalive_idle_s if taking.making.failure is None else 0.0
        return paced.apart or 0 < idle_s < 2 * turn_s

    def _guarded(self, taking: _Taking, work: Callable[..., None], *arguments: object) -> None:
        """Do it unless the trial has failed; what goes wrong is the trial's failure, and the others go on."""
        if taking.making.failure is not None:
            return
        try:
            work(taking, *arguments)
        except (Trouble, EngineDied) as trouble:
            taking.making.fails("load", trouble)
            self._let_go(taking)

    def _let_go(self, taking: _Taking) -> None:
        """Close the connections of a trial that failed. An engine that has died took those of all models with it: theirs are
        opened again for their next window."""
        if self.engine.restart_if_ended():
            for one in self.group:
                if one.is_open:
                    self._make_bill(one)
                    one.is_open = False
        elif taking.is_open:
            self.engine.close_session(taking.member.name)
            taking.is_open = False

    # ------------------------------------------------------------ connections

    def _connections(self, level: Level, member: Member) -> int:
        """How many a model is given: in the open loop no more than it serves at once, unless the scenario wants all open."""
        clamped = level.loop == "open" and not self.scenario.all_open
        return min(level.connections, member.facts.max_connections) if clamped else level.connections

    def _open(self, taking: _Taking, level: Level) -> None:
        """Open a model's connections, let it fork whoever is forked for them, and begin a bill."""
        member, answer = taking.member, taking.making.answer
        assert answer is not None
        port, connections = member.facts.port, self._connections(level, member)
        target = asking.target(self.scenario, port, answer, level.keepalive)
        company = asking.background(level.background, port, member.facts.max_connections - connections)
        self.engine.open(member.name, target, connections, company)
        taking.is_open = taking.fresh = True
        member.pids, known = sample.rested_tree(member.facts.pid), member.pids
        taking.forked = len(set(member.pids).difference(known))
        sample.forget_longest(member.account)
        taking.before = sample.counters(member.pids, member.account)

    def _close(self, taking: _Taking, level: Level, undrained: bool = False) -> None:
        """Make the bill and close the connections; if requests were unanswered, wait until the server has dealt with them."""
        member = taking.member
        member.check(level.label)
        self._make_bill(taking)
        self.engine.close_session(member.name)
        taking.is_open = False
        if undrained:
            if not settled(HOST, member.facts.port, self.scenario):
                raise Trouble(f"after {level.label} a new connection was not answered any more")
            sample.still(sample.tree(member.facts.pid))

    def _make_bill(self, taking: _Taking) -> None:
        """The server's bill for all windows since the connections were opened."""
        member = taking.member
        member.pids = sample.tree(member.facts.pid)
        after = sample.counters(member.pids, member.account)
        taking.held = taking.held or sample.holdings(member.pids, alone=self.at.alone)
        assert taking.before is not None
        loads = [one.load for one in taking.taken[taking.billed :]]
        taking.bills.append(sample.bill(taking.before, after, taking.held, loads))
        taking.billed = len(taking.taken)

    # ------------------------------------------------------------ one window

    def _window(
        self, taking: _Taking, level: Level, paced: plan.Pace, which: str, number: int, turn_s: float = math.inf
    ) -> None:
        """One window of a level. `which` decides what arrives; `turn_s` is how long until the model's next one."""
        member = taking.member
        if not taking.is_open:
            self._open(taking, level)
        rate_per_s = level.rate_per_s
        if level.share is not None:
            rate_per_s = level.share * self.peak_per_s(taking.making)
        seed = asking.seed_of(self.options, self.at.name, self.at.replicate, which)
        slow_s = asking.slow_from(level, taking.making.measurements)
        if taking.fresh:
            longer_s = paced.filling_s + plan.RAMP_PER_PROCESS_S * taking.forked
            paced, taking.fresh = replace(paced, ramp_s=paced.ramp_s + longer_s), False
        drive = asking.drive(self.scenario, level, self.options, paced, rate_per_s, seed, slow_s)
        others = [pid for other in self.members if other is not member for pid in other.pids]
        acks, used, begins = sample.delayed_acks(), sample.clocks_of(others), time.monotonic()
        load = self.engine.run(member.name, replace(drive, watch=member.pids))
        elapsed_s = time.monotonic() - begins
        neighbours_ns = sample.used_since(used)
        after = sample.delayed_acks()
        taking.taken.append(Taken(number, begins - self.at.begins_s, load, neighbours_ns, elapsed_s))
        taking.acks = taking.acks + after - acks if None not in (taking.acks, acks, after) else None  # type: ignore[operator]
        member.check(level.label)
        undrained = bool(load.unfinished or load.errors)
        if undrained or self._reopens(taking, paced, turn_s):
            self._close(taking, level, undrained or level.background is not None)
            if len(self.group) > 1:  # what it does about the end of its connections is not to be in the next one's window
                sample.still(member.pids)

    def _finish(self, level: Level, takings: Sequence[_Taking]) -> None:
        """The level's measurement of every trial that came through."""
        together = len(takings) > 1 and not plan.pace(self.scenario, level, self.options).apart
        for taking in takings:
            if taking.making.failure is None and taking.taken:
                taking.making.measurements.append(self._merged(taking, level, together))

    def _merged(self, taking: _Taking, level: Level, interleaved: bool) -> Measurement:
        return merged(
            level,
            taking.taken,
            _joined(taking.bills),
            delayed_acks=taking.acks,
            interleaved=interleaved,
            opened=len(taking.bills),
        )


def _without(level: Level) -> str:
    """The label of the same level without background connections; empty for one that has none."""
    return replace(level, background=None).label if level.background else ""


def _joined(bills: Sequence[ServerCost]) -> ServerCost:
    """The bill for all passes; what the server holds is what it held in the first."""
    first, *others = bills
    for other in others:
        first = replace(
            first,
            cpu_user_ns=first.cpu_user_ns + other.cpu_user_ns,
            cpu_system_ns=first.cpu_system_ns + other.cpu_system_ns,
            voluntary_switches=first.voluntary_switches + other.voluntary_switches,
            involuntary_switches=first.involuntary_switches + other.involuntary_switches,
            minor_faults=first.minor_faults + other.minor_faults,
            counted_requests=first.counted_requests + other.counted_requests,
            collections=tuple(map(sum, zip(first.collections, other.collections, strict=False))),
            pause_ns=first.pause_ns + other.pause_ns,
            longest_pause_ns=max(first.longest_pause_ns, other.longest_pause_ns),
            newcomers_ns=first.newcomers_ns + other.newcomers_ns,
        )
    return first
