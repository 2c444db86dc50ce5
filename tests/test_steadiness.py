"""When warm-up ends: on rates that rise, drop, swing, tremble and stand."""

import random

import pytest

from benchmarks.load.steadiness import is_steady

WITHIN = 0.08
CV = 0.023  # of rounds on one plateau, in the reference run


def rounds_until_steady(rates, round_s=0.0):
    """How many rounds warm-up would make of these, None when it would not end."""
    return next((n for n in range(1, len(rates) + 1) if is_steady(rates[:n], WITHIN, round_s)), None)


@pytest.mark.parametrize(
    ("rates", "rounds"),
    [
        ([], None),
        ([100, 100], None),
        ([100, 101, 99], 3),
        ([106, 100, 94], 3),  # three that agree may fall
        ([40, 100, 101, 99], 4),  # a cold start
        ([97, 100, 103], None),  # each near the mean, but still rising
        ([99, 100, 101], 3),  # a rise within the noise
        ([97, 100, 103, 103], 4),
        ([50, 60, 70, 80, 90, 100, 110], None),
        ([100, 60, 100, 60, 100, 60, 100, 60], None),
        ([0, 0, 0], None),
        ([100, 60, 61, 60], None),  # lower than before: the machine's pause, perhaps
        ([100, 60, 61, 60, 59], None),
        ([100, 60, 61, 60, 59, 60], 6),  # or the server's own pace, if it lasts
        ([100, 60, 61, 60, 100, 101, 99], 7),
    ],
)
def test_warm_up_ends_where_a_plateau_begins(rates, rounds):
    assert rounds_until_steady(rates) == rounds


def test_a_pause_of_the_machine_that_once_ended_a_warm_up_no_longer_does():
    assert rounds_until_steady([140_198, 101_723, 93_650, 99_100]) is None  # it served 148,044 in the level that followed


@pytest.mark.parametrize(
    ("rates", "round_s", "rounds"),
    [
        ([75, 100, 100], 0.04, 3),  # 3, 4 and 4 requests
        ([75, 100, 100], 0.0, None),
        ([50, 100, 100], 0.04, None),  # 2, 4 and 4
        ([75, 100, 125], 0.04, 3),
        ([50, 100, 150], 0.04, None),
    ],
)
def test_one_request_more_or_less_in_a_round_is_no_difference(rates, round_s, rounds):
    assert rounds_until_steady(rates, round_s) == rounds


def test_a_steady_server_is_rarely_kept_longer_than_three_rounds_and_never_for_good():
    random.seed(3)
    taken = [rounds_until_steady([random.gauss(1e5, CV * 1e5) for _ in range(15)]) for _ in range(2000)]
    assert None not in taken
    assert sum(n == 3 for n in taken) > 0.9 * len(taken)
    assert sum(taken) / len(taken) < 3.15


def test_a_slow_ascent_is_not_left_at_its_beginning():
    ascent = [1e5 * (1 - 0.5 * 0.85**n) for n in range(15)]
    rounds = rounds_until_steady(ascent)
    assert rounds is not None
    assert ascent[rounds - 1] > 0.88e5
