"""All pairs of a scenario's models in words: how many differ, which are the same, which stay open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.questions import SAME, Metric
from benchmarks.summaries import Call, MeasureSummary, PairCounts, Reason, Result, ScenarioSummary, Standing

PEAK = MeasureSummary("peak", "", "more", "rate", Metric("rate"), SAME)  # what a scenario without measures ranks by


def ranking_measure(scenario: ScenarioSummary) -> MeasureSummary:
    """What the scenario ranks by."""
    return scenario.measures[0] if scenario.measures else PEAK


def ranking_result(standing: Standing) -> Result:
    """What the scenario's first measure says of a model."""
    if standing.results:
        return standing.results[0]
    reason: Reason = "failed" if standing.failed else "invalid" if standing.invalid else ""
    return Result(standing.peak_per_s, standing.rank, standing.ratio, reason, standing.failed or standing.invalid)


def without_place(standing: Standing) -> str:
    """Why a model has no number that counts: "failed: no ready line", "invalid: the engine was saturated"; else empty."""
    result = ranking_result(standing)
    if standing.failed:
        return f"failed: {standing.failed}"
    if standing.invalid:
        return f"invalid: {standing.invalid}"
    if result.reason:
        return f"{IN_A_WORD[result.reason]}: {result.why}".removesuffix(": ")
    return "" if result.value else "no number"


IN_A_WORD: Mapping[Reason, str] = {
    "failed": "failed",
    "invalid": "invalid",
    "overloaded": "overloaded",
    "cannot": "cannot",
    "unknown": "can't tell",
}


def counted(pairs: PairCounts, margin: float) -> str:
    """ "103 of 120 pairs differ, 12 are the same within 3%, 5 are open"."""
    differ = f"{pairs.different} of {pairs.total} pair{'s' * (pairs.total != 1)} differ{'s' * (pairs.total == 1)}"
    same, left = (f"{count} {'is' if count == 1 else 'are'}" for count in (pairs.same, pairs.open))
    return f"{differ}, {same} the same within {within_margin(margin)}, {left} open"


def within_margin(margin: float) -> str:
    """The margin of equality: "3%"."""
    return f"{100 * margin:.3g}%"


@dataclass(frozen=True, slots=True)
class Calls:
    """What was called of each pair of a scenario, to be asked in either order."""

    by_pair: dict[frozenset[str], Call]

    @classmethod
    def of(cls, scenario: ScenarioSummary) -> "Calls":
        """Those of a scenario."""
        return cls({frozenset((pair.one, pair.other)): pair.call for pair in scenario.pair_list})

    def are(self, call: Call, one: str, other: str) -> bool:
        """Whether that was called of these two."""
        return self.by_pair.get(frozenset((one, other))) == call

    def groups(self, call: Call, order: Sequence[str]) -> list[list[str]]:
        """Groups of models, any two of which were called so, that together hold every such pair."""
        left = {frozenset((one, other)) for one in order for other in order if one != other and self.are(call, one, other)}
        found = []
        for first in order:
            while any(first in pair for pair in left):
                group = [first]
                for other in order:
                    if self._joins(call, other, group) and (len(group) > 1 or frozenset((first, other)) in left):
                        group.append(other)
                left -= {frozenset((one, other)) for one in group for other in group if one != other}
                found.append(sorted(group, key=order.index))
        return found

    def _joins(self, call: Call, other: str, group: Iterable[str]) -> bool:
        return all(self.are(call, other, one) for one in group)


def runs_of_equals(standings: Sequence[Standing], calls: Calls) -> list[list[Standing]]:
    """The standings in their order, those of one rank that are the same as each other together."""
    runs: list[list[Standing]] = []
    for standing in standings:
        run = runs[-1] if runs else []
        equal = all(one.rank == standing.rank and calls.are("same", one.model, standing.model) for one in run)
        if run and standing.rank is not None and equal:
            run.append(standing)
        else:
            runs.append([standing])
    return runs
