"""What a scenario has shown, in a sentence: who wins, by how much, who cannot be told apart, and what does not count."""

import collections
from collections.abc import Iterable, Sequence

from benchmarks.amounts import digits, margin, percent, rate, times
from benchmarks.summaries import Estimate, Standing

APART = 1.25  # ratio of the best to the least, beyond which it would be odd to name one number for all
SLOTS = "more connections than slots"  # the one mark that changes who may be compared with whom


def verdict(
    standings: Sequence[Standing],
    comparable: bool = True,
    resolution: float | None = None,
    twinned: str = "",
    twin: Estimate | None = None,
) -> str:
    """The verdict of one scenario from its standings, best first: who wins, how sure that is, and what does not count.

    `resolution` and `twin` are those of `summaries.ScenarioSummary`, `twinned` the model that was measured twice, if any.
    """
    said = [_winner(standings), *_sureness(standings, resolution), *_against_itself(twinned, twin), *_exceptions(standings)]
    if not comparable:
        said.append("Server and load engine shared a core: compare none of this.")
    return " ".join(said)


def _sureness(standings: Sequence[Standing], resolution: float | None) -> Iterable[str]:
    numbers = [s.peak_per_s for s in standings if s.peak_per_s and not s.struck]
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


def _winner(standings: Sequence[Standing]) -> str:
    numbered = [s for s in standings if s.peak_per_s and not s.struck]
    placed = [s for s in numbered if s.rank]
    if not numbered:
        return "No model has a number that can be believed."
    if not placed:
        return _unranked(numbered)
    best, ties = placed[0], [s.model for s in placed[1:] if s.rank == 1]
    if ties and len(ties) == len(placed) - 1:
        least = min(s.peak_per_s.value for s in placed if s.peak_per_s)
        if best.peak_per_s and best.peak_per_s.value > APART * least:
            return f"No difference is beyond doubt: {listed([best.model, *ties])} serve {rate(least)} to {_rate(best)}."
        return f"No difference seen: {listed([best.model, *ties])} serve about {_rate(best)}."
    following = next((s for s in placed if s.rank != 1), None)
    ahead = f", {_ratio(following)}" if following else ""
    tied = f"; {listed(ties)} cannot be told apart from it" if ties else ""
    return f"{best.model} serves most: {_rate(best)}{ahead}{tied}."


def _unranked(numbered: Sequence[Standing]) -> str:
    best = numbered[0]
    if len(numbered) == 1:
        return f"{best.model} serves {_rate(best)}."
    return f"{best.model} served most, {_rate(best)}, but too few visits are comparable to rank anybody."


def _rate(standing: Standing) -> str:
    if standing.peak_per_s is None:
        return "nothing"
    width = margin(standing.peak_per_s)
    return rate(standing.peak_per_s.value) + (f" ({width})" if width else "")


def _ratio(following: Standing) -> str:
    """How far the best is ahead of the next that can be told apart: the other way round than `relative` has it."""
    relative = following.relative
    if relative is None:
        return f"ahead of {following.model}"
    ahead = Estimate(
        1 / relative.value,
        1 / relative.high if relative.high else None,
        1 / relative.low if relative.low else None,
        [],
    )
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


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
