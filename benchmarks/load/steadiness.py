"""When has a server come to its pace? The test that ends warm-up: pure, over the rates of rounds made one after the other.

Each round is load on new connections, so that what the first end of a stream changes in a server is in it. Warm-up ends when

1. the last three rounds agree: none is further than `within` from their mean;
2. they do not go on rising: not each above the one before, and together by more than half of `within`;
3. no earlier round was faster than they are by more than `within`; if one was, five must agree instead of three.

The first is the usual test, that the last k rounds vary little (Georges, Buytaert & Eeckhout, "Statistically Rigorous Java
Performance Evaluation", OOPSLA 2007: ten iterations with a CV below 1-2%), with fewer rounds and a wider limit, since every
visit makes them. It calls a slow ascent flat, hence the second. Nor can it tell a plateau of the server from one of the
machine, hence the third: servers do become slower as they warm up (Barrett et al., "Virtual Machine Warmup Blows Hot and Cold",
OOPSLA 2017), so a lower plateau is believed, but not before it has lasted. pyperf compares means, quartiles and deviations of
two halves of 40 values: more rounds than a visit has time for.

Calibrated on the 92 warm-ups of the first reference run. Rounds of 40 ms on a plateau vary with a CV of 2.3%; of steady servers
with that noise the rules let 93% go after three rounds, and cost 3 ms a visit. The first alone had let one go at 99k/s, after
rounds of 140k, 102k and 94k/s: it served 148k/s in the levels that followed. These go on with it, as they do with three that
rose by 5-7%.
"""

import itertools
from collections.abc import Sequence

ROUNDS = 3
ROUNDS_AFTER_FASTER = 5
RISE = 0.5  # of `within`


def is_steady(rates_per_s: Sequence[float], within: float, round_s: float = 0.0) -> bool:
    """Whether the rounds so far end on a plateau. With `round_s`, their length, one request more or less is no difference."""
    if len(rates_per_s) < ROUNDS:
        return False
    last = rates_per_s[-ROUNDS:]
    mean = sum(last) / ROUNDS
    request = 1 / round_s if round_s else 0.0
    # A count of whole requests is off by one at either end of a round, whatever the server's pace.
    risen = last[-1] - last[0] if all(a < b for a, b in itertools.pairwise(last)) else 0.0
    if risen > max(RISE * within * mean, 2 * request) or not _agree(last, within, request):
        return False
    if max(rates_per_s) - mean > max(within * mean, request):
        return len(rates_per_s) >= ROUNDS_AFTER_FASTER and _agree(rates_per_s[-ROUNDS_AFTER_FASTER:], within, request)
    return True


def _agree(rates_per_s: Sequence[float], within: float, request: float) -> bool:
    mean = sum(rates_per_s) / len(rates_per_s)
    return mean > 0 and max(abs(rate - mean) for rate in rates_per_s) <= max(within * mean, request)
