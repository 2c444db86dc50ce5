"""What a scenario has shown, in two or three plain sentences: who is best, by how much, who equals it, and all pairs."""

import math
from collections.abc import Iterable, Sequence

from benchmarks.amounts import percent, shown, times
from benchmarks.nouns import is_baseline
from benchmarks.pair_words import IN_A_WORD, counted, within_margin
from benchmarks.summaries import Estimate, MeasureSummary, Pair, PairCounts, Standing

APART = 1.05  # ratio of the highest to the lowest value, up to which one number stands for all
NAMED = 4  # models in a list; the others are counted


def verdict(
    standings: Sequence[Standing],
    measure: MeasureSummary,
    pairs: PairCounts,
    pair_list: Sequence[Pair] = (),
    comparable: bool = True,
    aa: Estimate | None = None,
) -> str:
    """The verdict of one scenario from its standings, best first, by its first measure.

    `pairs` and `pair_list` are what is known of each two of the models, `aa` the comparison of a model with itself.
    """
    standings = [standing for standing in standings if not is_baseline(standing.model)]
    said = [
        _winner(standings, measure, pair_list),
        *([counted(pairs, measure.margin) + "."] if pairs.total else []),
        *_not_ranked(standings),
        *_against_itself(aa, measure.margin),
    ]
    if not comparable:
        said.append("Server and load engine shared a core: compare none of this.")
    return " ".join(said)


def number_of(standing: Standing) -> Estimate | None:
    """What a model is ranked by: its first result."""
    return standing.results[0].value if standing.results else standing.peak_per_s


def _winner(standings: Sequence[Standing], measure: MeasureSummary, pair_list: Sequence[Pair]) -> str:
    numbered = [s for s in standings if number_of(s) and not s.invalid]
    placed = [s for s in numbered if s.rank]
    if not numbered:
        return "No model has a number that counts."
    if not placed:
        return _unranked(numbered, measure)
    best, tied = placed[0], [s for s in placed[1:] if s.rank == 1]
    if tied and len(tied) == len(placed) - 1:
        return _no_difference(placed, measure, pair_list)
    following = next((s for s in placed if s.rank != 1), None)
    first = f"{_superlative(best, measure)}, {_number(best, measure)}{_ahead(following, measure)}."
    return " ".join([first, *_tied(best, tied, measure, pair_list)])


def _superlative(best: Standing, measure: MeasureSummary) -> str:
    if _is_peak(measure):
        return f"{best.model} serves most"
    return f"{best.model} has the {'highest' if measure.better == 'more' else 'lowest'} {measure.title}"


def _ahead(following: Standing | None, measure: MeasureSummary) -> str:
    """How far the best is ahead of the next that differs from it: by its own number, or where less is better by the other's."""
    if following is None or following.ratio is None or following.ratio.value <= 0:
        return ""
    if measure.better == "more":
        return f", {_times(following.ratio.inverse)} {following.model}"
    return f"; {following.model} has {_times(following.ratio)} that"


def _tied(best: Standing, tied: Sequence[Standing], measure: MeasureSummary, pair_list: Sequence[Pair]) -> Iterable[str]:
    """Who shares the first place: because it is the same, or because nobody can tell."""
    same = [s.model for s in tied if _call(pair_list, best.model, s.model) == "same"]
    if same:
        yield f"{some(same)} {'is' if len(same) == 1 else 'are'} the same within {within_margin(measure.margin)}."
    if others := [s.model for s in tied if s.model not in same]:
        yield f"{some(others)} cannot be told apart from it."


def _call(pair_list: Sequence[Pair], one: str, other: str) -> str:
    return next((pair.call for pair in pair_list if {pair.one, pair.other} == {one, other}), "open")


def _no_difference(placed: Sequence[Standing], measure: MeasureSummary, pair_list: Sequence[Pair]) -> str:
    """Nobody differs significantly from anybody."""
    names = {s.model for s in placed}
    within = [pair for pair in pair_list if pair.one in names and pair.other in names]
    values = [number.value for s in placed if (number := number_of(s))]
    about = f"about {_number(placed[0], measure)}"
    if max(values) > APART * min(values):
        about = f"{shown(min(values), measure.unit)} to {shown(max(values), measure.unit)}"
    if within and all(pair.call == "same" for pair in within):
        return f"All are the same within {within_margin(measure.margin)}: {_title(measure)} is {about}."
    return f"No difference is significant: {_title(measure)} is {about}."


def _unranked(numbered: Sequence[Standing], measure: MeasureSummary) -> str:
    best = numbered[0]
    if len(numbered) == 1 and not (best.results and best.results[0].reason):
        return f"{best.model}: {_title(measure)} is {_number(best, measure)}."
    reasons = [s.results[0].why for s in numbered if s.results and s.results[0].why]
    return f"Nobody can be ranked by {_title(measure)} ({reasons[0] if reasons else 'too few replicates show the noise'})."


def _is_peak(measure: MeasureSummary) -> bool:
    return measure.metric.quantity == "rate" and not measure.metric.level and measure.metric.by is None


def _title(measure: MeasureSummary) -> str:
    return "the rate" if _is_peak(measure) else measure.title


def _number(standing: Standing, measure: MeasureSummary) -> str:
    number = number_of(standing)
    return shown(number.value, measure.unit) if number else "nothing"


def _times(ratio: Estimate) -> str:
    """ "1.21× (1.18–1.24)"."""
    between = f" ({times(ratio.low)[:-1]}–{times(ratio.high)[:-1]})" if ratio.low and ratio.high else ""
    return f"{times(ratio.value)}{between}"


def _not_ranked(standings: Sequence[Standing]) -> Iterable[str]:
    """Who has no place though others have."""
    if not any(s.rank for s in standings):
        return
    without = [f"{s.model} ({_why_not(s)})" for s in standings if not s.rank]
    if without:
        yield f"Not ranked: {some(without)}."


def _why_not(standing: Standing) -> str:
    if standing.failed:
        return "failed"
    reason = standing.results[0].reason if standing.results else ""
    return IN_A_WORD[reason] if reason else "nothing links it to the others"


def _against_itself(aa: Estimate | None, margin: float) -> Iterable[str]:
    """The A/A comparison, in which nothing but the noise can make a difference, where it is too large to pass over."""
    if aa is None or aa.low is None or aa.high is None or not (aa.low > 1 or aa.high < 1):
        return
    if abs(math.log(aa.value)) > math.log1p(margin):
        off = percent(abs(aa.value - 1))
        yield f"The A/A comparison gave {_times(aa)}, which should be 1: trust no difference of {off}."


def some(words: Sequence[str]) -> str:
    """The first of these, and how many more there are: "a, b and 3 more"."""
    return listed(words) if len(words) <= NAMED else f"{', '.join(words[: NAMED - 1])} and {len(words) - NAMED + 1} more"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
