"""From the records of a run to its summary: a pure function of what is in its files.

In order: which visits count, and in what weather (`selection`); what each cell says (`cells`, with percentiles from `tails`,
intervals from `intervals` and doubts from `validity`); who is better than whom (`standings`, by `ranking`); one sentence
for each scenario (`verdict`). Nothing is measured, read or drawn here: the same records always give the same summary.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.amounts import percent
from benchmarks.beginnings import begun, cold_starts, peaks_by_block, with_cold
from benchmarks.capacities import capacities, with_capacities
from benchmarks.cells import Cell, cells_of_level, least_wait_s, waits_s
from benchmarks.nouns import SCHEMA, RunFacts, RunOptions, VisitRecord, Warmup, Weather, Window, is_twin, visited
from benchmarks.predictions import judged
from benchmarks.questions import Level
from benchmarks.selection import Visit, failures, usable
from benchmarks.standings import peak_cells, ranked, standings
from benchmarks.summaries import WARM_UP, RunSummary, ScenarioSummary, Timeline, TimelinePoint
from benchmarks.validity import check_run, check_weather, first_attempts, shares_a_core
from benchmarks.verdict import verdict


def summarise(run: RunFacts, records: Sequence[VisitRecord], environment: Mapping[str, object]) -> RunSummary:
    """Everything that a chart or a table of this run shows.

    `records` may be incomplete, as after an interrupted run; models and scenarios of the options appear all the same. Of
    `environment` only the machine's name in the small print is used.
    """
    visits = usable(records)
    summaries, cells, peaks = [], [], {}
    for scenario in run.options.scenarios:
        by_model = _by_model(run, scenario, visits)
        wait_s = least_wait_s(run, scenario)
        levels = _cells_by_level(run, scenario, by_model, records)
        found = _scenario_summary(run, scenario, levels, records)
        found = with_capacities(found, capacities(run.options, by_model, wait_s, waits_s(run, scenario)))
        summaries.append(with_cold(found, cold_starts(by_model)))
        peaks[scenario] = peaks_by_block(by_model)
        cells += [summary for of_level in levels.values() for summary in ranked(of_level[0].summary.level, of_level)]
    return RunSummary(
        schema=SCHEMA,
        name=run.options.name,
        conditions=conditions(run, environment, records),
        comparable=not shares_a_core(run.options),
        captions=dict(run.captions),
        scenarios=summaries,
        cells=cells,
        timelines=_timelines(visits),
        visits_made=len(records),
        visits_failed=sum(record.failure is not None for record in records),
        visits_requeued=sum(record.plan.attempt > 0 for record in records),
        weather=_weather(run, records),
        findings=[*check_run(run.options), *check_weather(records), *begun(peaks, summaries)],
        objective=run.options.objective,
        given=_given(records),
    )


def _given(records: Iterable[VisitRecord]) -> dict[str, dict[str, int]]:
    """How many workers and threads each model had, as its servers said."""
    said = {record.plan.model: record.server.given for record in records if record.server and record.server.given}
    return dict(sorted(said.items()))


def _by_model(run: RunFacts, scenario: str, visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """Each model's visits of a scenario that count, models in the order of the options, then the twin's."""
    of_scenario = [visit for visit in visits if visit.record.plan.scenario == scenario]
    return {model: [visit for visit in of_scenario if visit.record.plan.model == model] for model in visited(run.options)}


def _cells_by_level(
    run: RunFacts, scenario: str, by_model: Mapping[str, Sequence[Visit]], records: Iterable[VisitRecord]
) -> dict[str, list[Cell]]:
    """The cells of each level of a scenario, levels in the order of a visit, models as they come."""
    taken = _levels(record for record in records if record.plan.scenario == scenario)
    return {level.label: cells_of_level(run, scenario, level, by_model) for level in taken}


def _levels(records: Iterable[VisitRecord]) -> list[Level]:
    """The levels that were measured, closed ones first: a model without open levels must not push them to the end."""
    taken: dict[str, Level] = {}
    for record in records:
        for window in record.windows:
            taken.setdefault(window.level.label, window.level)
    return sorted(taken.values(), key=_level_order)


def _level_order(level: Level) -> tuple[float, ...]:
    """Closed levels by their connections, then those with new ones; own shares, plain, in bursts, falling; common rates."""
    beside = level.beside.count if level.beside else -1
    if level.loop == "closed":
        return 0, not level.keepalive, level.round, level.connections, beside
    if level.share is not None:
        return 1, level.then_share is not None, level.arrivals == "onoff", level.share, beside
    return 2, not level.keepalive, level.arrivals == "onoff", level.rate_per_s or 0.0, beside


def _scenario_summary(
    run: RunFacts, scenario: str, levels: Mapping[str, Sequence[Cell]], records: Iterable[VisitRecord]
) -> ScenarioSummary:
    failed = {model: made for (model, where), made in failures(records).items() if where == scenario}
    options = run.options
    asked = run.scenarios.get(scenario)
    measures = asked.measures if asked else ()
    models = [model for model in visited(options, scenario) if not is_twin(model)]
    stood = standings(models, levels, failed, options.visits.get(scenario, 0), options.twin, measures)
    peak_levels = {model: peak.summary.level.label for model, peak in peak_cells(levels).items()}
    caption = run.captions.get(scenario, scenario)
    return ScenarioSummary(
        scenario=scenario,
        caption=caption,
        question=(asked.question if asked else "") or caption,
        standings=stood.standings,
        spread=stood.spread,
        verdict=verdict(
            stood.standings,
            not shares_a_core(options),
            stood.resolution,
            options.twin,
            stood.twin,
            stood.measures[0] if stood.measures else None,
        ),
        resolution=stood.resolution,
        twin=stood.twin,
        measures=stood.measures,
        predictions=judged(asked.predictions if asked else (), options.models, levels, peak_levels),
    )


def conditions(run: RunFacts, environment: Mapping[str, object], records: Iterable[VisitRecord] = ()) -> str:
    """The small print: machine, cores, visits, seconds, date, command; of an unfinished run the visits that there are, too."""
    options = run.options
    machine = environment.get("cpu_model") or environment.get("machine")
    visits = sorted(set(options.visits.values()))
    between = _between(visits)
    made = Counter((one.plan.model, one.plan.scenario) for one in first_attempts(records))
    if made and min(made.values()) < visits[0]:
        between = f"{_between(sorted(set(made.values())))} of {between}"
    python = run.versions.get("python")
    others = [version for name, version in run.versions.items() if name.startswith("python ")]  # of variants
    said = [
        str(machine) if machine else "",
        " and ".join([f"Python {python}", *others]) if python else "",
        f"{_cores(options.server_cpus)} for the server, {len(options.driver_cpus)} for the load",
        f"{between} visit{'s' if between != '1' else ''} of each model" + _more(options),
        f"windows of {options.closed_s:g} s closed, {options.open_s:g} s open",
        run.started_at[:10],
        run.command,
    ]
    return " · ".join(part for part in said if part)


def _between(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}" if numbers else "0"


def _more(options: RunOptions) -> str:
    """What an adaptive run was asked for beyond its plan."""
    if options.precision is None:
        return ""
    return f", more until ±{percent(options.precision)} or for {options.budget_s / 60:.3g} min"


def _cores(cpus: Sequence[int]) -> str:
    return f"{len(cpus)} core" + ("s" if len(cpus) != 1 else "")


# ---------------------------------------------------------------- over time

_POINT_NS = 100_000_000  # of a time line, as `TimelinePoint` says


def _timelines(visits: Iterable[Visit]) -> list[Timeline]:
    """The first visit of each model and scenario that counts, in time."""
    first: dict[tuple[str, str], VisitRecord] = {}
    for visit in visits:
        first.setdefault((visit.record.plan.model, visit.record.plan.scenario), visit.record)
    return [
        Timeline(model, scenario, made.plan.number, [*_warming(made.warmup), *timeline(made.windows)])
        for (model, scenario), made in first.items()
    ]


def _warming(warmup: Warmup | None) -> list[TimelinePoint]:
    """The rounds of warm-up before time 0, each as long as its part of the time; of response times nothing is kept there."""
    if warmup is None or not warmup.rates_per_s:
        return []
    count = len(warmup.rates_per_s)
    return [TimelinePoint((at / count - 1) * warmup.seconds, WARM_UP, rate, 0.0) for at, rate in enumerate(warmup.rates_per_s)]


def timeline(windows: Iterable[Window]) -> list[TimelinePoint]:
    """The windows of one visit one after the other, the time between them left out, in points of at least 100 ms.

    Short windows are recorded in shorter steps, which are put together here: what a picture can show is the pace, and in 10 ms
    there is more of chance than of pace. The last point of a window may be shorter.
    """
    points, began_s = [], 0.0
    for window in windows:
        series, seconds = window.load.series, window.load.seconds
        together = max(round(_POINT_NS / series.step_ns), 1)
        point_s = together * series.step_ns / 1e9
        for number, first in enumerate(range(0, len(series.completed), together)):
            lasted_s = min(point_s, seconds - number * point_s)
            if lasted_s < point_s / 10:  # a sliver at the end of the window: too short for a rate
                break
            completed, worst_ns = (steps[first : first + together] for steps in (series.completed, series.worst_ns))
            points.append(
                TimelinePoint(
                    began_s + number * point_s, window.level.label, sum(completed) / lasted_s, max(worst_ns, default=0) / 1e6
                )
            )
        began_s += seconds
    return points


def _weather(run: RunFacts, records: Iterable[VisitRecord]) -> list[tuple[float, Weather]]:
    """Every probe of the run by its time: before a visit at its start, after it at its end."""
    start = datetime.datetime.fromisoformat(run.started_at)
    probes = []
    for record in records:
        at_s = (datetime.datetime.fromisoformat(record.started_at) - start).total_seconds()
        probes += [(at_s, record.before)] if record.before else []
        probes += [(at_s + record.seconds, record.after)] if record.after else []
    return sorted(probes, key=lambda probe: probe[0])
