"""What a scenario has shown, in a sentence: who wins, by how much, who cannot be told apart, and what does not count."""

import collections
from collections.abc import Iterable, Sequence

from benchmarks.amounts import margin, rate, times
from benchmarks.summaries import Estimate, Standing

SLOTS = "more connections than slots"  # the one mark that changes who may be compared with whom


def verdict(standings: Sequence[Standing], comparable: bool = True) -> str:
    """The verdict of one scenario from its standings, best first. Exceptions follow the sentence, each in a short one."""
    said = [_winner(standings), *_exceptions(standings)]
    if not comparable:
        said.append("Server and load engine shared a core: compare none of this.")
    return " ".join(said)


def _winner(standings: Sequence[Standing]) -> str:
    numbered = [s for s in standings if s.peak_per_s and not s.struck]
    placed = [s for s in numbered if s.rank]
    if not numbered:
        return "No model has a number that can be believed."
    if not placed:
        return _unranked(numbered)
    best, ties = placed[0], [s.model for s in placed[1:] if s.rank == 1]
    if ties and len(ties) == len(placed) - 1:
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
