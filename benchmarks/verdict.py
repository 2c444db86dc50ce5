"""What a scenario has shown, in a sentence: who wins, by how much, who cannot be told apart, and what does not count."""

import collections
from collections.abc import Iterable, Sequence

from benchmarks.amounts import digits, margin, percent, rate, times
from benchmarks.intervals import inverse
from benchmarks.metrics import shown
from benchmarks.summaries import Estimate, MeasureSummary, Reason, Standing

APART = 1.25  # ratio of the best to the least, beyond which it would be odd to name one number for all
SLOTS = "more connections than slots"  # the one mark that changes who may be compared with whom


def verdict(
    standings: Sequence[Standing],
    comparable: bool = True,
    resolution: float | None = None,
    twinned: str = "",
    twin: Estimate | None = None,
    measure: MeasureSummary | None = None,
) -> str:
    """The verdict of one scenario from its standings, best first: who wins, how sure that is, and what does not count.

    `resolution` and `twin` are those of `summaries.ScenarioSummary`, `twinned` the model that was measured twice, if any;
    `measure` is the first one of a scenario that does not rank by peak.
    """
    said = [
        _winner(standings, measure),
        *_sureness(standings, resolution),
        *_against_itself(twinned, twin),
        *_exceptions(standings),
    ]
    if not comparable:
        said.append("Server and load engine shared a core: compare none of this.")
    return " ".join(said)


def _sureness(standings: Sequence[Standing], resolution: float | None) -> Iterable[str]:
    numbers = [number for s in standings if (number := number_of(s)) and not s.struck]
    if resolution is not None:
        small = percent(resolution) if resolution < 1 else f"a factor of {digits(1 + resolution, 2)}" if resolution < 99 else ""
        yield f"Differences under {small} may not show." if small else "Too few visits agree to show any difference."
    elif numbers and all(number.low is None for number in numbers):
        yield "How sure that is, so few visits can't say."


def _against_itself(twinned: str, twin: Estimate | None) -> Iterable[str]:
    """The A/A comparison, in which nothing but the noise can make a difference."""
    if not twinned:
        return
    if twin is None:
        yield f"{twinned} has no believable second measurement to compare it with itself."
        return
    doubt = ""
    if twin.low is not None and twin.high is not None and not twin.low <= 1 <= twin.high:
        doubt = ", which is not 1: trust no difference of that size"
    yield f"{twinned} against itself: {times(twin.value)}{_between(twin)}{doubt}."


def _between(estimate: Estimate) -> str:
    return f" ({times(estimate.low)[:-1]}–{times(estimate.high)[:-1]})" if estimate.low and estimate.high else ""


def number_of(standing: Standing) -> Estimate | None:
    """What a model is ranked by: its first result, or its peak where there are none."""
    return standing.results[0].value if standing.results else standing.peak_per_s


def _winner(standings: Sequence[Standing], measure: MeasureSummary | None) -> str:
    numbered = [s for s in standings if number_of(s) and not s.struck]
    placed = [s for s in numbered if s.rank]
    if not numbered:
        return "No model has a number that can be believed."
    if not placed:
        return _unranked(numbered, measure)
    best, ties = placed[0], [s.model for s in placed[1:] if s.rank == 1]
    if ties and len(ties) == len(placed) - 1:
        return _all_tie(placed, measure)
    following = next((s for s in placed if s.rank != 1), None)
    tied = f"; {listed(ties)} cannot be told apart from it" if ties else ""
    if measure is None:
        ahead = f", {_ratio(following)}" if following else ""
        return f"{best.model} serves most: {_number(best, None)}{ahead}{tied}."
    ahead = f", {_ratio(following, measure.better == 'less')}" if following else ""
    superlative = "highest" if measure.better == "more" else "lowest"
    return f"{best.model} has the {superlative} {measure.title}: {_number(best, measure)}{ahead}{tied}."


def _all_tie(placed: Sequence[Standing], measure: MeasureSummary | None) -> str:
    """Nobody is better than anybody beyond doubt."""
    values = [number.value for s in placed if (number := number_of(s))]
    least, most = min(values), max(values)
    models = [s.model for s in placed]
    if measure is None:
        if most > APART * least and values[0] == most:
            return f"No difference is beyond doubt: {listed(models)} serve {rate(least)} to {_number(placed[0], None)}."
        return f"No difference seen: {listed(models)} serve about {_number(placed[0], None)}."
    if most > APART * least:
        between = f"{shown(least, measure.unit)} to {shown(most, measure.unit)}"
        return f"No difference in {measure.title} is beyond doubt: {between}, {listed(models)}."
    return f"No difference in {measure.title} seen: about {_number(placed[0], measure)}, {listed(models)}."


def _unranked(numbered: Sequence[Standing], measure: MeasureSummary | None) -> str:
    best = numbered[0]
    said = _number(best, measure)
    if measure is not None:
        if len(numbered) == 1 and not best.results[0].reason:
            return f"{best.model}: {measure.title} is {said}."
        why = next((s.results[0].why for s in numbered if s.results[0].why), "too few visits are comparable")
        return f"Nobody can be ranked by {measure.title} ({why})."
    if len(numbered) == 1:
        return f"{best.model} serves {said}."
    return f"{best.model} served most, {said}, but too few visits are comparable to rank anybody."


def _number(standing: Standing, measure: MeasureSummary | None) -> str:
    number = number_of(standing)
    if number is None:
        return "nothing"
    width = margin(number)
    return shown(number.value, measure.unit if measure else "rate") + (f" ({width})" if width else "")


def _ratio(following: Standing, less: bool = False) -> str:
    """How far the best is ahead of the next that can be told apart: the other way round than `relative` has it.

    Where less is better it is the share of the next one's number that the best has, which is `relative` itself.
    """
    relative = following.relative
    if relative is None:
        return f"ahead of {following.model}"
    ahead = relative if less else inverse(relative)
    between = f" ({times(ahead.low)[:-1]}–{times(ahead.high)})" if ahead.low and ahead.high else ""
    return f"{times(ahead.value)} {following.model}{between}"


def _exceptions(standings: Sequence[Standing]) -> Iterable[str]:
    crowded: dict[str, list[str]] = collections.defaultdict(list)
    for standing in standings:
        for mark in standing.marks:
            if mark.startswith(SLOTS):
                crowded[mark].append(standing.model)
    for mark, models in crowded.items():
        yield f"{listed(models)} had {mark}."
    for standing in standings:
        if standing.struck:
            yield f"{standing.model} is struck: {standing.struck.split(':')[0]}."
        if standing.failed:
            yield f"{standing.model} failed ({standing.failed})."
    yield from _unrankable(standings)


def _unrankable(standings: Sequence[Standing]) -> Iterable[str]:
    """Who has no place by the first measure, though nobody doubts its numbers: those of one reason together."""
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for standing in standings:
        if standing.results and standing.results[0].reason in _SAID and not standing.failed:
            reasons[_SAID[standing.results[0].reason]].append(standing.model)
    if any(s.rank for s in standings):  # else the sentence about the winner has said it
        for said, models in reasons.items():
            yield f"{listed(models)} {said}."


_SAID: dict[Reason, str] = {
    "overloaded": "could not carry that load",
    "cannot": "cannot hold so many connections",
    "unknown": "can't be told",
}


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
