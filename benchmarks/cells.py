"""From the measurements of one model at one level to what is known about that cell, and its place at the level.

A cell's rate and CPU times are those that the rounds of each replicate agree on, its percentiles those of the requests of all
replicates together, its costs per request are over what the counters covered. The cells of a level are made together, since
they share their rounds.

Closed levels are ranked by goodput. Response time is ranked only where all models were offered the same rate and carried it: in
a closed loop at saturation it is connections / throughput and says nothing new, and at a share of one's own peak everyone is
asked something else.
"""

import collections
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import histogram
from benchmarks.absolutes import typical
from benchmarks.checks.background import TOO_FEW
from benchmarks.checks.engine import stalls
from benchmarks.checks.facts import Facts
from benchmarks.checks.service import is_overloaded, jain, pause_share
from benchmarks.nouns import LoadResult, ServerCost
from benchmarks.observed import Measured, Observed
from benchmarks.questions import SAME, SAME_TIME, Level, Metric, Quantity
from benchmarks.stats.scoreboard import Block, compare
from benchmarks.summaries import CellSummary, Estimate, Finding, Quantile, RankedBy
from benchmarks.tails import QUANTILES, Pauses, Sample, Tail, hiccup_ns, pauses, scatters
from benchmarks.validity import over_replicates


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's summary, and its measurements that count."""

    summary: CellSummary
    measured: list[Measured]


def cells_of_level(observed: Observed, level: Level) -> list[Cell]:
    """The cells of all models at one level, those of failed ones too, with their ranks."""
    inside = {model: observed.counting(model, level.label) for model in observed.models}
    tails = _Tails(list(inside.values()), level)
    rates = observed.by_replicate(Metric("rate", level.label))
    cpu = observed.by_replicate(Metric("cpu", level.label))
    cells = [
        Cell(_summary(observed, model, level, measured, tails.of(at), rates[model], cpu[model]), measured)
        for at, (model, measured) in enumerate(inside.items())
    ]
    return _ranked(observed, level, cells)


# ---------------------------------------------------------------- one cell


@dataclass(frozen=True, slots=True)
class _Percentiles:
    """The three kinds of times of one cell."""

    response: list[Quantile]
    service: list[Quantile]
    send_lag: list[Quantile]
    curve: list[tuple[float, float]]
    paused: Pauses


class _Tails:
    """The tails of all cells of a level: what their replicates scatter by is moderated over the cells that carried the load."""

    def __init__(self, cells: Sequence[Sequence[Measured]], level: Level) -> None:
        self.paused = [pauses([one.load for one in cell]) for cell in cells]
        self.level = level
        self.response, self.service = self._told(cells, lambda one: one.response), self._told(cells, lambda one: one.service)
        # A closed loop sends at once: its lag says nothing.
        self.send_lag = self._told(cells, lambda one: one.send_lag) if level.loop == "open" else None

    def _told(self, cells: Sequence[Sequence[Measured]], sample: Callable[[Measured], Sample]) -> "_Kind":
        tails = [Tail([sample(one) for one in cell], paused) for cell, paused in zip(cells, self.paused, strict=True)]
        scattered = {q: scatters(tails, q) for q in QUANTILES}
        return tails, [[tail.quantile(q, scattered[q][at]) for q in QUANTILES] for at, tail in enumerate(tails)]

    def of(self, at: int) -> _Percentiles:
        """Those of one cell, by its place in the order of the cells."""
        send_lag = self.send_lag[1][at] if self.send_lag else []
        return _Percentiles(self.response[1][at], self.service[1][at], send_lag, self.response[0][at].curve(), self.paused[at])


_Kind = tuple[list[Tail], list[list[Quantile]]]


def _summary(
    observed: Observed,
    model: str,
    level: Level,
    measured: Sequence[Measured],
    tails: _Percentiles,
    rates: Mapping[Block, float],
    cpu_ns: Mapping[Block, float],
) -> CellSummary:
    loads, servers = [one.load for one in measured], [one.measurement.server for one in measured]
    errors = sum((collections.Counter(load.errors) for load in loads), collections.Counter[str]())
    completed = sum(load.completed for load in loads)
    counted = sum(server.counted_requests for server in servers)
    closed = level.loop == "closed"
    return CellSummary(
        model=model,
        scenario=observed.scenario,
        level=level,
        rate_per_s=typical(list(rates.values()) or [0.0] * len(measured)),
        # As many as were due: in a short window chance makes that a few per cent more or less than was asked.
        offered_per_s=_mean([load.intended / load.seconds for load in loads if load.offered_per_s is not None]),
        errors=dict(errors),
        error_share=errors.total() / (errors.total() + completed) if errors else 0.0,
        response=tails.response,
        service=tails.service,
        send_lag=tails.send_lag,
        mean_response_ns=_mean_response_ns(loads),
        hiccup=_hiccup(tails.paused),
        response_curve=tails.curve,
        cpu_user_us=_part_us(measured, cpu_ns, lambda server: server.cpu_user_ns),
        cpu_system_us=_part_us(measured, cpu_ns, lambda server: server.cpu_system_ns),
        switches_per_request=_share(sum(s.voluntary_switches + s.involuntary_switches for s in servers), counted),
        faults_per_request=_share(sum(s.minor_faults for s in servers), counted),
        server_busy=_mean([_busy(one, len(observed.run.options.server_cpus)) for one in measured]),
        engine_busy=_mean([load.busy_fraction for load in loads]),
        engine_cpu_us=_share(sum(load.cost.cpu_user_ns + load.cost.cpu_system_ns for load in loads) / 1e3, completed),
        rss_bytes=_median([server.rss_bytes for server in servers]),
        uss_bytes=_median([server.uss_bytes for server in servers if server.uss_bytes is not None]),
        threads=_median([server.threads for server in servers]),
        processes=_median([server.processes for server in servers]),
        descriptors=_median([server.descriptors for server in servers]),
        fairness=_mean([jain(load.per_connection) for load in loads if any(load.per_connection)]) if closed else None,
        findings=_findings(observed, model, level, tails.paused),
        rank=None,
        ranked_by="",
        ratio=None,
        collections_per_1000=_collections_per_1000(servers),
        pause_share=_mean([share for one in measured if (share := pause_share(Facts(one.measurement, 0, 1))) is not None]),
    )


def _findings(observed: Observed, model: str, level: Level, paused: Pauses) -> list[Finding]:
    """Of all measurements of the cell, invalid ones too; pauses are those of its numbers."""
    made = observed.made.get((model, level.label), [])
    stalled = stalls(paused)
    return over_replicates([one.findings for one in made]) + ([stalled] if stalled else [])


def _part_us(measured: Sequence[Measured], cpu_ns: Mapping[Block, float], part: Callable[[ServerCost], int]) -> Estimate | None:
    """The part of the CPU time of a request that was spent in user mode, or in the kernel."""
    found = []
    for one in measured:
        server = one.measurement.server
        whole_ns = server.cpu_user_ns + server.cpu_system_ns
        if one.replicate in cpu_ns and whole_ns:
            found.append(cpu_ns[one.replicate] / 1e3 * part(server) / whole_ns)
    return typical(found)


def _collections_per_1000(servers: Sequence[ServerCost]) -> float | None:
    counted = [server for server in servers if server.collections]
    found = _share(1_000.0 * sum(sum(server.collections) for server in counted), sum(s.counted_requests for s in counted))
    return found if counted else None


def _mean_response_ns(loads: Sequence[LoadResult]) -> float | None:
    """Over the requests of all replicates, those that never ended with their age: it is at least so much."""
    kinds = [kind for load in loads for kind in (load.response, load.censored)]
    requests = sum(histogram.total(kind) for kind in kinds)
    return sum(kind.sum_ns for kind in kinds) / requests if requests else None


def _busy(measured: Measured, cores: int) -> float:
    server = measured.measurement.server
    return (server.cpu_user_ns + server.cpu_system_ns) / 1e9 / measured.load.seconds / max(cores, 1)


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


# ---------------------------------------------------------------- the cells of a level against each other


def _ranked(observed: Observed, level: Level, cells: Sequence[Cell]) -> list[Cell]:
    """The cells with their ranks; those invalid, failed or overloaded have none, and no A/A arm or baseline has."""
    able = [cell for cell in cells if cell.summary.model in observed.ranked and _competes(cell.summary)]
    if level.share is not None or not able:
        return list(cells)
    by, quantity = _ranked_by(level, able)
    metric, models = Metric(quantity, level.label), [cell.summary.model for cell in able]
    values = {model: _positive(of_model) for model, of_model in observed.values(metric).items() if model in models}
    margin = observed.run.options.same or (SAME if quantity == "rate" else SAME_TIME)
    board = compare(values, margin, quantity == "rate", observed.resolution(metric, models))
    ranked = []
    for cell in cells:
        place = board.places.get(cell.summary.model)
        made = cell.summary
        if place is not None:
            made = replace(made, rank=place.rank, ranked_by=by if place.rank else "", ratio=place.ratio)
            # Of the replicates that it has, but as fast as all of them were: the rates of a level then agree with their ratios.
            made = replace(made, rate_per_s=_of_place(place.value)) if quantity == "rate" else made
        ranked.append(Cell(made, cell.measured))
    return ranked


def _of_place(value: Estimate) -> Estimate:
    return value if len(value.replicates) > 1 else replace(value, low=None, high=None)


def _competes(summary: CellSummary) -> bool:
    believed = summary.rate_per_s is not None and not summary.invalid and not is_overloaded(summary)
    return believed and not any(finding.check == TOO_FEW for finding in summary.findings)


def _ranked_by(level: Level, able: Sequence[Cell]) -> tuple[RankedBy, Quantity]:
    """Closed levels by goodput; common rates by p99 where everybody has one, else by the median."""
    if level.loop == "closed":
        return "goodput", "rate"
    tells = all(quantile_of(cell.summary.response, 0.99).status == "ok" for cell in able)
    return ("p99", "p99") if tells else ("p50", "p50")


def quantile_of(quantiles: Sequence[Quantile], q: float) -> Quantile:
    """The quantile q of a cell's list. Raises StopIteration when the list lacks it."""
    return next(quantile for quantile in quantiles if quantile.q == q)


def _positive(values: Mapping[Block, float]) -> dict[Block, float]:
    return {replicate: value for replicate, value in values.items() if value > 0}
