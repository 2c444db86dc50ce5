"""From the records of a run to its summary: a pure function of what is in its files.

In order: what the checks found and what counts (`observed`); what each cell says (`cells`, with percentiles from `tails`); who
is better than whom (`standings`, by the measures of `results`, compared by `stats.scoreboard`); one verdict for each scenario
(`verdict`). Nothing is measured, read or drawn here: the same records always give the same summary.
"""

import datetime
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.amounts import digits, percent
from benchmarks.beginnings import cold_finding, cold_starts, with_cold
from benchmarks.capacities import capacities, with_capacities
from benchmarks.cells import Cell, cells_of_level
from benchmarks.nouns import SCHEMA, MachineState, Measurement, ReplicateRecord, RunFacts, RunOptions, Warmup
from benchmarks.observed import Observed
from benchmarks.predictions import judged
from benchmarks.standings import standings
from benchmarks.summaries import WARM_UP, RunSummary, ScenarioSummary, Timeline, TimelinePoint
from benchmarks.validity import check_replicates, check_run, shares_a_core, two_states
from benchmarks.verdict import verdict


def summarise(run: RunFacts, records: Sequence[ReplicateRecord], environment: Mapping[str, object]) -> RunSummary:
    """Everything that a chart or a table of this run shows.

    `records` may be incomplete, as after an interrupted run; models and scenarios of the options appear all the same. Of
    `environment` only the machine's name in the small print is used.
    """
    summaries, cells, timelines = [], [], []
    boundaries: dict[str, float] = {}
    for scenario in run.options.scenarios:
        observed = Observed(run, scenario, records)
        levels = {level.label: cells_of_level(observed, level) for level in observed.levels}
        summaries.append(_scenario_summary(observed, levels))
        cells += [cell.summary for of_level in levels.values() for cell in of_level]
        timelines += _timelines(observed)
        if observed.boundary_ns:
            boundaries[scenario] = observed.boundary_ns
    trials = [trial for record in records for trial in record.trials]
    cold = cold_finding(summaries)
    return RunSummary(
        schema=SCHEMA,
        name=run.options.name,
        conditions=conditions(run, environment, records),
        comparable=not shares_a_core(run.options),
        captions=dict(run.captions),
        scenarios=summaries,
        cells=cells,
        timelines=timelines,
        trials_made=len(trials),
        trials_failed=sum(trial.failure is not None for trial in trials),
        replicates=min(_replicates(run, records).values(), default=0),
        machine=_machine(run, records),
        findings=[
            *check_run(run.options),
            *check_replicates(records),
            *two_states(boundaries),
            *([cold] if cold else []),
        ],
        objective=run.options.objective,
        given=_given(records),
    )


def _given(records: Iterable[ReplicateRecord]) -> dict[str, dict[str, int]]:
    """How many workers and threads each model had, as its servers said."""
    trials = [trial for record in records for trial in record.trials]
    return dict(sorted({t.model: t.server.given for t in trials if t.server and t.server.given}.items()))


def _replicates(run: RunFacts, records: Iterable[ReplicateRecord]) -> dict[str, int]:
    """How many replicates each scenario has."""
    made = [record.scenario for record in records]
    return {scenario: made.count(scenario) for scenario in run.options.scenarios}


def _scenario_summary(observed: Observed, levels: Mapping[str, Sequence[Cell]]) -> ScenarioSummary:
    run, scenario, asked = observed.run, observed.scenario, observed.asked
    stood = standings(observed, levels)
    board = stood.board
    caption = run.captions.get(scenario, scenario)
    cells = {label: {cell.summary.model: cell.summary for cell in of_level} for label, of_level in levels.items()}
    comparable = not shares_a_core(run.options)
    made = ScenarioSummary(
        scenario=scenario,
        caption=caption,
        question=(asked.question if asked else "") or caption,
        standings=stood.standings,
        pairs=board.counts,
        verdict=verdict(stood.standings, stood.measures[0], board.counts, board.pairs, comparable, stood.aa),
        pair_list=board.pairs,
        replicate_sd=board.replicate_sd,
        window_sd=stood.window_sd,
        resolution=board.resolution,
        aa=stood.aa,
        measures=stood.measures,
        predictions=judged(observed, cells),
        method=_method(observed),
    )
    return with_cold(with_capacities(made, capacities(observed)), cold_starts(observed))


def _method(observed: Observed) -> str:
    """Why its windows were not taken in rounds; empty where they were."""
    return observed.asked.alone if observed.asked else ""


# ---------------------------------------------------------------- the small print


def conditions(run: RunFacts, environment: Mapping[str, object], records: Iterable[ReplicateRecord] = ()) -> str:
    """The small print: machine, cores, replicates, rounds, windows, date, command; of an unfinished run what there is, too."""
    options, records = run.options, list(records)
    machine = environment.get("cpu_model") or environment.get("machine")
    python = run.versions.get("python")
    others = [version for name, version in run.versions.items() if name.startswith("python ")]  # of variants
    said = [
        str(machine) if machine else "",
        " and ".join([f"Python {python}", *others]) if python else "",
        f"{_cores(options.server_cpus)} for the server, {len(options.driver_cpus)} for the load",
        _counted(run, records) + _more(options),
        _windows(records),
        run.started_at[:10],
        run.command,
    ]
    return " · ".join(part for part in said if part)


def _counted(run: RunFacts, records: Sequence[ReplicateRecord]) -> str:
    """The replicates: of an unfinished run those that there are, too."""
    planned = run.options.replicates
    made = sorted(set(_replicates(run, records).values())) if records else []
    said = _between(made) if made and made[0] >= planned else f"{_between(made)} of {planned}" if made else str(planned)
    return f"{said} replicate{'s' if said != '1' else ''} of all models"


def _between(numbers: Sequence[float]) -> str:
    """ "3", or "3–5" of several."""
    said = list(dict.fromkeys(digits(number, 2) if number % 1 else f"{number:.0f}" for number in (numbers[0], numbers[-1])))
    return "–".join(said)


def _windows(records: Iterable[ReplicateRecord]) -> str:
    """The rounds of a level and their windows, from the shortest to the longest that a level usually had."""
    trials = (trial for record in records if record.together for trial in record.trials)
    made = [one for trial in trials for one in trial.measurements if one.interleaved and len(one.rounds.seconds) > 1]
    if not made:
        return ""
    rounds = sorted(one.windows for one in made)
    short_s = sorted(statistics.median(one.rounds.seconds) for one in made)
    return f"{_between(rounds)} rounds at each level, windows of {_between([1e3 * short_s[0], 1e3 * short_s[-1]])} ms"


def _more(options: RunOptions) -> str:
    """What an adaptive run was asked for beyond its plan."""
    if options.precision is None:
        return ""
    return f", more until ±{percent(options.precision)} or for {options.budget_s / 60:.3g} min"


def _cores(cpus: Sequence[int]) -> str:
    return f"{len(cpus)} core" + ("s" if len(cpus) != 1 else "")


# ---------------------------------------------------------------- over time

_POINT_NS = 100_000_000  # of a time line, as `TimelinePoint` says


def _timelines(observed: Observed) -> list[Timeline]:
    """The first trial of each model that did not fail, in time."""
    found = []
    for model in observed.models:
        first = next((replicate for replicate in observed.replicates if model in replicate.trials), None)
        if first is not None:
            trial = first.trials[model]
            points = [*_warming(trial.warmup), *timeline(trial.measurements)]
            found.append(Timeline(model, observed.scenario, first.number, points))
    return found


def _warming(warmup: Warmup | None) -> list[TimelinePoint]:
    """The loads of the warm-up before time 0, each as long as its part of the time; of response times nothing is kept there."""
    if warmup is None or not warmup.rates_per_s:
        return []
    count = len(warmup.rates_per_s)
    return [TimelinePoint((at / count - 1) * warmup.seconds, WARM_UP, rate, 0.0) for at, rate in enumerate(warmup.rates_per_s)]


def timeline(measurements: Iterable[Measurement]) -> list[TimelinePoint]:
    """The long windows of one trial one after the other, the time between them left out, in points of at least 100 ms.

    Short windows are recorded in shorter steps, which are put together here: what a picture can show is the pace, and in 10 ms
    there is more of chance than of pace. The last point of a window may be shorter.
    """
    points, began_s = [], 0.0
    for made in measurements:
        series, seconds = made.load.series, made.long_s or made.load.seconds
        together = max(round(_POINT_NS / series.step_ns), 1) if series.step_ns else 1
        point_s = together * series.step_ns / 1e9
        for number, first in enumerate(range(0, len(series.completed), together)):
            lasted_s = min(point_s, seconds - number * point_s)
            if lasted_s < point_s / 10:  # a sliver at the end of the window: too short for a rate
                break
            completed, worst_ns = (steps[first : first + together] for steps in (series.completed, series.worst_ns))
            points.append(
                TimelinePoint(
                    began_s + number * point_s, made.level.label, sum(completed) / lasted_s, max(worst_ns, default=0) / 1e6
                )
            )
        began_s += seconds
    return points


def _machine(run: RunFacts, records: Iterable[ReplicateRecord]) -> list[tuple[float, MachineState]]:
    """Every probe of the run by its time: before a scenario of a replicate at its start, after it at its end."""
    start = datetime.datetime.fromisoformat(run.started_at)
    probes = []
    for record in records:
        at_s = (datetime.datetime.fromisoformat(record.started_at) - start).total_seconds()
        probes += [(at_s, record.before)] if record.before else []
        probes += [(at_s + record.seconds, record.after)] if record.after else []
    return sorted(probes, key=lambda probe: probe[0])
