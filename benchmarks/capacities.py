"""What the searches of all replicates say together: the highest rate at which a model meets the run's objective.

Each search ends with a rate that met the objective and one a little above that did not; what is between them is open, and their
geometric middle stands for the replicate. Over the replicates it is a mean, with the range from the lowest rate that was met to
the highest that was missed.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.amounts import rate
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Trial
from benchmarks.objective import CANNOT, Bracket, Objective, bracket, judge, parse
from benchmarks.observed import Observed
from benchmarks.summaries import Capacity, Estimate, ScenarioSummary, Standing
from benchmarks.verdict import listed


def capacities(observed: Observed) -> dict[str, Capacity]:
    """The capacity of each model in one scenario; those without a search are left out."""
    options = observed.run.options
    if not options.objective:
        return {}
    objective = parse(options.objective)
    found = {}
    for model in observed.models:
        trials = [replicate.trials[model] for replicate in observed.replicates if model in replicate.trials]
        if trials:
            found[model] = capacity(objective, [searched_in(trial, objective, observed) for trial in trials])
    return found


def with_capacities(summary: ScenarioSummary, found: Mapping[str, Capacity]) -> ScenarioSummary:
    """The same scenario with what the searches found in its standings, and in a sentence after its verdict."""
    standings = [replace(one, capacity=found.get(one.model)) for one in summary.standings]
    return replace(summary, standings=standings, verdict=f"{summary.verdict} {verdict(standings)}".rstrip())


def verdict(standings: Sequence[Standing]) -> str:
    """Who carries most within the objective, whose range overlaps with its, and who cannot meet it; empty without one."""
    told = {one.model: one.capacity for one in standings if one.capacity}
    estimates = {model: found.rate_per_s for model, found in told.items() if found.rate_per_s}
    objective = next((found.objective for found in told.values()), "")
    if not objective:
        return ""
    cannot = [model for model, found in told.items() if found.why.startswith(CANNOT)]
    exceptions = f" {listed(cannot)} cannot meet it." if cannot else ""
    if not estimates:
        return f"Within {objective} nobody's capacity can be told.{exceptions}"
    best = max(estimates, key=lambda model: estimates[model].value)
    most = estimates[best]
    ties = [m for m, e in estimates.items() if m != best and most.low is not None and (e.high or e.value) >= most.low]
    between = f" ({rate(most.low)} to {rate(most.high)})" if most.low and most.high else ""
    tied = f"; {listed(ties)} may carry as much" if ties else ""
    return f"Within {objective} {best} carries most: {rate(most.value)}{between}{tied}.{exceptions}"


def searched_in(trial: Trial, objective: Objective, observed: Observed) -> Bracket:
    """Where a trial's search ended, judged anew from its probes."""
    cores = max(len(observed.run.options.server_cpus), 1)
    facts = [Facts.gathered(probe, trial.server, cores, observed.wait_s, observed.waits_s) for probe in trial.probes]
    return bracket([judge(one, objective) for one in facts])


def capacity(objective: Objective, found: Sequence[Bracket]) -> Capacity:
    """One model's capacity: from the searches with both ends if most have them, else what most say instead."""
    closed = [one for one in found if one.met_per_s is not None and one.missed_per_s is not None]
    reasons = [one.why for one in found if one.why]
    if len(closed) * 2 > len(found):
        met = statistics.median_low([b.met_per_s for b in closed if b.met_per_s is not None])
        missed = statistics.median_high([b.missed_per_s for b in closed if b.missed_per_s is not None])
        without = len(found) - len(closed)
        why = f"in {without} of {len(found)} replicates {_commonest(reasons)}" if without else _commonest(reasons)
        return Capacity(objective.text, _estimate(closed), met, missed, why)
    met_ends = [one.met_per_s for one in found if one.met_per_s is not None]
    if len(met_ends) * 2 > len(found):  # met as far as one looked: a lower bound, and no estimate of anything
        return Capacity(objective.text, None, statistics.median_low(met_ends), None, _commonest(reasons))
    missed_ends = [one.missed_per_s for one in found if one.missed_per_s is not None]
    lowest = min(missed_ends) if len(missed_ends) * 2 > len(found) else None
    return Capacity(objective.text, None, None, lowest, _commonest(reasons) or "the search told nothing")


def _estimate(closed: Sequence[Bracket]) -> Estimate:
    """The middles' geometric mean, from the lowest rate that was met to the highest that was missed."""
    middles = [one.middle_per_s or 0.0 for one in closed]
    value = math.exp(statistics.fmean(math.log(middle) for middle in middles))
    low, high = min(one.met_per_s or 0.0 for one in closed), max(one.missed_per_s or 0.0 for one in closed)
    return Estimate(value, low, high, middles)


def _commonest(reasons: Sequence[str]) -> str:
    return statistics.mode(reasons) if reasons else ""
