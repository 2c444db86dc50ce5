"""From the visits of one model at one level to what is known about that cell.

A cell's means are over its visits in one weather, its percentiles over the requests of those visits together, its costs per
request over what the counters covered. Its noise is pooled with that of the other models at the level, so the cells of a
level are made together; nothing else here compares models: that is `benchmarks.standings`.
"""

import collections
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import histogram
from benchmarks.checks.companions import TOO_FEW
from benchmarks.checks.engine import stalls
from benchmarks.checks.facts import Facts
from benchmarks.checks.service import OVERLOADED, jain, pause_share
from benchmarks.intervals import Spread, counting_sd, mean_estimate, pooled_spread
from benchmarks.nouns import LoadResult, RunFacts, ServerCost, Window
from benchmarks.questions import Level
from benchmarks.selection import RESTLESS, UNSTEADY, Visit, of_one_weather, prevailing_weather
from benchmarks.summaries import CellSummary, Estimate, Finding, Quantile
from benchmarks.tails import QUANTILES, Pauses, Sample, Tail, hiccup_ns, pauses, spreads
from benchmarks.validity import check_visit, check_window, is_accident, over_visits


@dataclass(frozen=True, slots=True)
class Measured:
    """One window of one visit that counts."""

    visit: Visit
    window: Window

    @property
    def rate_per_s(self) -> float:
        """Goodput: valid responses that ended in the window, by its length."""
        return self.window.load.completed / self.window.load.seconds

    @property
    def resolution(self) -> float:
        """The spread of the rate's logarithm that counting alone brings."""
        return counting_sd(self.window.load.completed)

    @property
    def response(self) -> Sample:
        """Its response times."""
        return Sample(self.window.load.response, self.window.load.censored)

    @property
    def service(self) -> Sample:
        """Its service times."""
        return Sample(self.window.load.service, self.window.load.censored)

    @property
    def send_lag(self) -> Sample:
        """How long after their time its requests were sent. Those that never ended were, at worst, never sent."""
        return Sample(self.window.load.send_lag, self.window.load.censored)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's summary as far as it stands alone, and all its windows that count, whatever their weather, for comparisons."""

    summary: CellSummary
    measured: list[Measured]


Quantity = Callable[[Measured], float]


def cells_of_level(run: RunFacts, scenario: str, level: Level, visits: Mapping[str, Sequence[Visit]]) -> list[Cell]:
    """The cells of all models at one level. `visits` has every model of the run, one that failed with no visits."""
    prevailing = prevailing_weather(visit for of_model in visits.values() for visit in of_model)
    made = {model: windows_of(of_one_weather(of_model, prevailing), level) for model, of_model in visits.items()}
    checked = _Checked(run, scenario)
    inside = {model: _believed(checked, measured) for model, measured in made.items()}
    there = [measured for measured in inside.values() if measured and measured[0].visit.weather == prevailing]
    lending = [measured for measured in there if _lends(checked, measured)]
    everyone = _Pooling(lending, [measured for measured in lending if not _mostly_overloaded(checked, measured)])
    restless = any(visit.weather == RESTLESS for of_model in visits.values() for visit in of_model)
    told = _Told(checked, prevailing, restless)
    return [
        Cell(
            _summary(
                run,
                (model, scenario, level),
                measured,
                everyone if _lends(checked, measured) else _Pooling([measured], [measured]),
                told.findings(made[model], measured),
            ),
            _believed(checked, windows_of(visits[model], level)),
        )
        for model, measured in inside.items()
    ]


def _believed(checked: "_Checked", measured: Sequence[Measured]) -> list[Measured]:
    """The windows that no check strikes, if they are more than half; else all of them, and the cell is struck."""
    sound = [one for one in measured if not any(found.severity == "strike" for found in checked(one))]
    return sound if is_accident(len(measured) - len(sound), len(measured)) else list(measured)


def _lends(checked: "_Checked", measured: Sequence[Measured]) -> bool:
    """Whether a cell's noise is that of the others' work: not where it is struck, or lacked the company that they had."""
    return not any(found.severity == "strike" or found.check == TOO_FEW for one in measured for found in checked(one))


def _mostly_overloaded(checked: "_Checked", measured: Sequence[Measured]) -> bool:
    """Whether response times are those of growing queues, whose noise is nobody else's."""
    over = sum(any(found.check == OVERLOADED for found in checked(one)) for one in measured)
    return bool(measured) and not is_accident(over, len(measured))


class _Checked:
    """What the checks say of a window: asked several times, found out once."""

    def __init__(self, run: RunFacts, scenario: str) -> None:
        self.cores = max(len(run.options.server_cpus), 1)
        self.wait_s, self.waits_s = least_wait_s(run, scenario), waits_s(run, scenario)
        self.found: dict[int, list[Finding]] = {}  # by the window's identity: the visits outlive this

    def __call__(self, one: Measured) -> list[Finding]:
        """The findings in one window of a visit."""
        if id(one.window) not in self.found:
            facts = Facts.gathered(one.window, one.visit.record.server, self.cores, self.wait_s, self.waits_s)
            self.found[id(one.window)] = check_window(facts)
        return self.found[id(one.window)]


def least_wait_s(run: RunFacts, scenario: str) -> float:
    """How long each request of a scenario waits whatever the model; in a mix they may differ, so nothing is known."""
    asked = run.scenarios.get(scenario)
    return asked.wait_s if asked and not asked.mix else 0.0


def waits_s(run: RunFacts, scenario: str) -> tuple[float, ...]:
    """How long the requests of a scenario wait by their own words."""
    asked = run.scenarios.get(scenario)
    return asked.waits_s if asked else ()


def windows_of(visits: Iterable[Visit], level: Level) -> list[Measured]:
    """The windows at a level, in the visits' order."""
    return [Measured(visit, window) for visit in visits for window in visit.record.windows if window.level.label == level.label]


class _Pooling:
    """Estimates whose noise is that of all these cells of a level: of response times, of those that could carry the load."""

    def __init__(self, cells: Sequence[Sequence[Measured]], carrying: Sequence[Sequence[Measured]]) -> None:
        self.cells = [cell for cell in cells if cell]
        timed = [cell for cell in carrying if cell] or self.cells
        self.response = spreads([_response_tail(cell) for cell in timed])
        self.service = spreads([_service_tail(cell) for cell in timed])
        self.send_lag = spreads([_send_lag_tail(cell) for cell in timed])

    def spread(self, quantity: Quantity) -> Spread | None:
        """The noise of a quantity; cells in which it is 0 somewhere have no logarithms to give."""
        values = [[quantity(measured) for measured in cell] for cell in self.cells]
        return pooled_spread(cell for cell in values if min(cell) > 0)

    def estimate(self, quantity: Quantity, measured: Sequence[Measured]) -> Estimate | None:
        """The quantity's mean over these visits with its interval."""
        spread = self.spread(quantity)
        coarsest = max((one.resolution for one in measured), default=0.0)  # all quantities are by completed requests
        return mean_estimate([quantity(one) for one in measured], spread, coarsest)


def _summary(
    run: RunFacts, where: tuple[str, str, Level], measured: Sequence[Measured], pooling: _Pooling, findings: list[Finding]
) -> CellSummary:
    model, scenario, level = where
    loads = [one.window.load for one in measured]
    servers = [one.window.server for one in measured]
    errors = sum((collections.Counter(load.errors) for load in loads), collections.Counter[str]())
    completed = sum(load.completed for load in loads)
    counted = sum(server.counted_requests for server in servers)
    # As many as were due: in a short window chance makes that a few per cent more or less than was asked.
    offered = [load.intended / load.seconds for load in loads if load.offered_per_s is not None]
    response, service, send_lag = _response_tail(measured), _service_tail(measured), _send_lag_tail(measured)
    # The cheapest windows served nothing and have no cost per request.
    serving = [one for one in measured if one.window.load.completed]
    return CellSummary(
        model=model,
        scenario=scenario,
        level=level,
        rate_per_s=pooling.estimate(_goodput, measured),
        offered_per_s=_mean(offered),
        errors=dict(errors),
        error_share=errors.total() / (errors.total() + completed) if errors else 0.0,
        response=[response.quantile(q, pooling.response[q]) for q in QUANTILES],
        service=[service.quantile(q, pooling.service[q]) for q in QUANTILES],
        send_lag=[] if _closed(level) else [send_lag.quantile(q, pooling.send_lag[q]) for q in QUANTILES],
        mean_response_ns=_mean_response_ns(loads),
        hiccup=_hiccup(response.paused),
        response_curve=response.curve(),
        cpu_user_us=pooling.estimate(_user_us, serving),
        cpu_system_us=pooling.estimate(_system_us, serving),
        switches_per_request=_share(sum(s.voluntary_switches + s.involuntary_switches for s in servers), counted),
        faults_per_request=_share(sum(s.minor_faults for s in servers), counted),
        server_busy=_mean([_busy(one, len(run.options.server_cpus)) for one in measured]),
        engine_busy=_mean([load.busy_fraction for load in loads]),
        engine_cpu_us=_share(sum(load.cost.cpu_user_ns + load.cost.cpu_system_ns for load in loads) / 1e3, completed),
        rss_bytes=_median([server.rss_bytes for server in servers]),
        uss_bytes=_median([server.uss_bytes for server in servers]),
        threads=_median([server.threads for server in servers]),
        processes=_median([server.processes for server in servers]),
        descriptors=_median([server.descriptors for server in servers]),
        fairness=_mean([jain(load.per_connection) for load in loads if any(load.per_connection)]) if _closed(level) else None,
        findings=findings,
        rank=None,
        ranked_by="",
        relative=None,
        collections_per_1000=_collections_per_1000(servers),
        pause_share=_mean([share for one in measured if (share := _pause_share(one)) is not None]),
    )


def _collections_per_1000(servers: Sequence[ServerCost]) -> float | None:
    counted = [server for server in servers if server.collections]
    found = _share(1_000.0 * sum(sum(server.collections) for server in counted), sum(s.counted_requests for s in counted))
    return found if counted else None


def _pause_share(one: Measured) -> float | None:
    return pause_share(Facts(one.window, 0, 1))


def _response_tail(measured: Sequence[Measured]) -> Tail:
    return Tail([one.response for one in measured], pauses([one.window.load for one in measured]))


def _service_tail(measured: Sequence[Measured]) -> Tail:
    return Tail([one.service for one in measured], pauses([one.window.load for one in measured]))


def _send_lag_tail(measured: Sequence[Measured]) -> Tail:
    return Tail([one.send_lag for one in measured], pauses([one.window.load for one in measured]))


def _mean_response_ns(loads: Sequence[LoadResult]) -> float | None:
    """Over the requests of all visits, those that never ended with their age: it is at least so much."""
    return histogram.mean_ns(histogram.merge(both for load in loads for both in (load.response, load.censored))) or None


def _goodput(measured: Measured) -> float:
    return measured.rate_per_s


def _user_us(measured: Measured) -> float:
    return measured.window.server.cpu_user_ns / 1e3 / max(measured.window.load.completed, 1)


def _system_us(measured: Measured) -> float:
    return measured.window.server.cpu_system_ns / 1e3 / max(measured.window.load.completed, 1)


def _busy(measured: Measured, cores: int) -> float:
    cpu_ns = measured.window.server.cpu_user_ns + measured.window.server.cpu_system_ns
    return cpu_ns / 1e9 / measured.window.load.seconds / max(cores, 1)


def _closed(level: Level) -> bool:
    return level.loop == "closed"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _median(values: Sequence[int]) -> int | None:
    return round(statistics.median(values)) if values else None


def _share(amount: float, requests: int) -> float | None:
    return amount / requests if requests else None


def _hiccup(paused: Pauses) -> list[Quantile]:
    if not paused.window_ns:
        return []
    return [Quantile(q, "ok", hiccup_ns(q, paused), None, None) for q in QUANTILES]


@dataclass(frozen=True, slots=True)
class _Told:
    """What the checks say of the cells of one level."""

    checked: _Checked
    prevailing: int | None
    restless: bool  # the run: of its visits nothing is said of the weather

    def findings(self, made: Sequence[Measured], believed: Sequence[Measured]) -> list[Finding]:
        """Of all visits of the cell, struck ones too, and of their weather; pauses are those of its numbers."""
        by_visit = []
        for one in made:
            found = check_visit(one.visit.record, self.restless) + self.checked(one)
            if not self.restless and one.visit.weather not in (self.prevailing, UNSTEADY):
                found.append(_OTHER_WEATHER)
            by_visit.append(found)
        stalled = stalls(pauses([one.window.load for one in believed]))
        beyond = any(Facts(one.window, 0, 1).beyond for one in made)
        return over_visits(by_visit, beyond) + ([stalled] if stalled else [])


_OTHER_WEATHER = Finding(
    "other weather",
    "mark",
    "none of its visits saw the weather that most of the others saw",
    "its rate is of a machine of another speed; its ratio to the others is not, being taken within blocks of one weather",
    "run again, or with more visits",
)
