"""What the searches of all visits say together: the highest rate at which a model meets the run's objective.

Each visit's search ends with a rate that met the objective and one a little above that did not; what is between them is open,
and their geometric middle stands for the visit. Over the visits it is a mean like any other, with an interval from the noise
of all models together, but never a narrower one than what the searches left open.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.amounts import margin, rate
from benchmarks.checks.facts import Facts
from benchmarks.intervals import Spread, mean_estimate, pooled_spread
from benchmarks.nouns import RunOptions
from benchmarks.objective import CANNOT, Bracket, Objective, bracket, judge, parse
from benchmarks.selection import Visit, of_one_weather, prevailing_weather
from benchmarks.summaries import Capacity, Estimate, ScenarioSummary, Standing
from benchmarks.verdict import listed

UNIFORM_SD = 1 / math.sqrt(12)  # of something that lies anywhere between 0 and 1


@dataclass(frozen=True, slots=True)
class Searched:
    """One visit and where its search ended."""

    visit: Visit
    found: Bracket

    @property
    def closed(self) -> bool:
        """Whether both ends are known."""
        return self.found.met_per_s is not None and self.found.missed_per_s is not None


def capacities(
    options: RunOptions, visits: Mapping[str, Sequence[Visit]], wait_s: float = 0.0, waits_s: tuple[float, ...] = ()
) -> dict[str, Capacity]:
    """The capacity of each model in one scenario, by the visits of one weather; those without a visit are left out.

    `wait_s` and `waits_s` are the scenario's: how long each request waits, and how long those of a mix do.
    """
    if not options.objective:
        return {}
    objective = parse(options.objective)
    prevailing = prevailing_weather(visit for of_model in visits.values() for visit in of_model)
    searched = {
        model: [
            searched_in(visit, objective, len(options.server_cpus), wait_s, waits_s)
            for visit in of_one_weather(of_model, prevailing)
        ]
        for model, of_model in visits.items()
        if of_model
    }
    spread = pooled_spread(middles for found in searched.values() if len(middles := _middles(found)) > 1)
    return {model: capacity(objective, found, spread) for model, found in searched.items()}


def with_capacities(summary: ScenarioSummary, found: Mapping[str, Capacity]) -> ScenarioSummary:
    """The same scenario with what the searches found in its standings, and in a sentence after its verdict."""
    standings = [replace(one, capacity=found.get(one.model)) for one in summary.standings]
    return replace(summary, standings=standings, verdict=f"{summary.verdict} {verdict(standings)}".rstrip())


def verdict(standings: Sequence[Standing]) -> str:
    """Who carries most within the objective, with whom its interval overlaps, and who cannot meet it; empty without one."""
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
    width = margin(most)
    tied = f"; {listed(ties)} may carry as much" if ties else ""
    return f"Within {objective} {best} carries most: {rate(most.value)}{f' ({width})' if width else ''}{tied}.{exceptions}"


def searched_in(
    visit: Visit, objective: Objective, server_cores: int, wait_s: float = 0.0, waits_s: tuple[float, ...] = ()
) -> Searched:
    """Where a visit's search ended, judged anew from its windows."""
    made, cores = visit.record, max(server_cores, 1)
    facts = [Facts.gathered(probe, made.server, cores, wait_s, waits_s) for probe in made.probes]
    return Searched(visit, bracket([judge(one, objective) for one in facts]))


def capacity(objective: Objective, found: Sequence[Searched], spread: Spread | None) -> Capacity:
    """One model's capacity: from the visits with both ends if most have them, else what most visits say instead."""
    closed = [one.found for one in found if one.closed]
    reasons = [one.found.why for one in found if one.found.why]
    if len(closed) * 2 > len(found):
        met = statistics.median_low([b.met_per_s for b in closed if b.met_per_s is not None])
        missed = statistics.median_high([b.missed_per_s for b in closed if b.missed_per_s is not None])
        without = len(found) - len(closed)
        why = f"in {without} of {len(found)} visits {_commonest(reasons)}" if without else _commonest(reasons)
        return Capacity(objective.text, _estimate(closed, spread), met, missed, why)
    met_ends = [one.found.met_per_s for one in found if one.found.met_per_s is not None]
    if len(met_ends) * 2 > len(found):  # met as far as one looked: a lower bound, and no estimate of anything
        return Capacity(objective.text, None, statistics.median_low(met_ends), None, _commonest(reasons))
    missed_ends = [one.found.missed_per_s for one in found if one.found.missed_per_s is not None]
    lowest = min(missed_ends) if len(missed_ends) * 2 > len(found) else None
    return Capacity(objective.text, None, None, lowest, _commonest(reasons) or "the search told nothing")


def _estimate(closed: Sequence[Bracket], spread: Spread | None) -> Estimate | None:
    """The middles' mean; its interval spans at least what the visits' brackets leave open on average."""
    open_to = [math.log((b.missed_per_s or 1.0) / (b.met_per_s or 1.0)) for b in closed]
    made = mean_estimate([b.middle_per_s or 0.0 for b in closed], spread, resolution=max(open_to) * UNIFORM_SD)
    if made is None:
        return None
    reach = math.exp(statistics.fmean(open_to) / 2)
    low, high = made.low or made.value, made.high or made.value  # one visit shows no noise, but its bracket
    return replace(made, low=min(low, made.value / reach), high=max(high, made.value * reach))


def _middles(found: Sequence[Searched]) -> list[float]:
    return [one.found.middle_per_s or 0.0 for one in found if one.closed]


def _commonest(reasons: Sequence[str]) -> str:
    return statistics.mode(reasons) if reasons else ""
