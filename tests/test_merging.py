"""Windows of one level as one measurement: what is summed, what is of the longest, and which windows are dropped."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import histogram
from benchmarks.merging import NEIGHBOURS_DROPPED, Taken, histograms, merged, occupied_ns, single, together
from benchmarks.nouns import ClassResult, Crossing, EngineCost, Histogram, Ledger, LoadResult, Series, ServerCost
from benchmarks.questions import Level

LEVEL = Level("closed", 4)


def load(completed: int = 40, seconds: float = 0.05, **changes: object) -> LoadResult:
    """A window of four connections whose requests take a millisecond each."""
    times = histogram.from_values([1_000_000] * completed)
    whole_ns = round(4 * seconds * 1e9)
    made = LoadResult(
        seconds, 4, None, completed, completed, 2, 2, 0, {}, 0, 0, 0, 1, 3, 0.5, times, times, Histogram([0], [completed]),
        Histogram(), Histogram(), Histogram(), Series(10_000_000, [completed], [0], [1_000_000]), [(1_000, 300_000)], 0,
        [completed // 4] * 4, [3] * 4, Ledger(whole_ns - 5_000, 0, 5_000, 0, 0),
        Crossing(whole_ns, 1, 100, 200, 300), EngineCost(1_000, 2_000, 3, 4, 5, 6_000), 10_000_000, 6_000_000,
        completed + 20, 4,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def bill(cpu_ns: int = 30_000_000, newcomers_ns: int = 0) -> ServerCost:
    return ServerCost(cpu_ns * 6 // 10, cpu_ns * 4 // 10, 5, 6, 7, 180, 1_000, None, 2, 1, 9, newcomers_ns=newcomers_ns)


def taken(*loads: LoadResult, neighbours_ns: int = 0) -> list[Taken]:
    return [Taken(number, number * 0.5, one, neighbours_ns, one.seconds + 0.02) for number, one in enumerate(loads)]


def test_counts_times_and_histograms_are_summed():
    made = merged(LEVEL, taken(load(40), load(60, errors={"reset": 2}), load(20, errors={"reset": 1, "gave_up": 1})), bill())
    assert (made.windows, made.load.completed, made.load.all_requests, made.load.kept) == (3, 120, 180, 12)
    assert made.load.seconds == pytest.approx(0.15)
    assert made.load.errors == {"reset": 3, "gave_up": 1}
    assert histogram.total(made.load.service) == 120
    assert made.load.service.sum_ns == 120_000_000
    assert made.load.ledger.residual_ns == 15_000
    assert made.load.crossing == Crossing(600_000_000, 3, 300, 600, 900)
    assert made.load.cost == EngineCost(3_000, 6_000, 9, 12, 15, 6_000)
    assert (made.load.server_cpu_ns, made.load.connections) == (30_000_000, 4)


def test_lists_are_of_the_longest_window():
    long = load(200, 1.0, per_connection=[20, 60, 60, 60], passed_over=[9, 3, 3, 3])
    made = merged(LEVEL, taken(load(40), long, load(60)), bill())
    assert (made.long_s, made.long_completed) == (1.0, 200)
    assert sum(made.load.series.completed) == sum(made.load.per_connection) == 200
    assert made.load.passed_over == [9, 3, 3, 3]


def test_pauses_lie_on_one_axis_and_the_engine_was_as_busy_as_over_all_the_time():
    made = together([load(40), load(200, 1.0, busy_fraction=0.8), load(60)])
    assert made.gaps == [(1_000, 300_000), (50_001_000, 300_000), (1_050_001_000, 300_000)]
    assert made.busy_fraction == pytest.approx((0.05 * 0.5 + 0.8 + 0.05 * 0.5) / 1.1)


def test_rounds_have_an_entry_for_each_window():
    made = merged(LEVEL, taken(load(40), load(60), neighbours_ns=700_000), bill(), unmeasured=[7]).rounds
    assert (made.number, made.at_s, made.completed, made.answered) == ([0, 1], [0.0, 0.5], [40, 60], [40, 60])
    assert made.answered_ns == [40_000_000, 60_000_000]
    assert made.cpu_ns == [10_000_000] * 2
    assert made.neighbours_ns == [500_000] * 2  # of 70 ms the window is 50
    assert made.dropped == [7]


def test_connections_that_were_not_served_occupy_nothing():
    """A pool of two serves two of four: the others wait in the backlog for all of the window."""
    assert occupied_ns(load()) == 200_000_000
    assert occupied_ns(load(per_connection=[20, 20, 0, 0])) == 100_000_000
    assert occupied_ns(load(per_connection=[0] * 4)) == 0


def test_a_window_beside_a_busy_neighbour_is_dropped_and_its_cpu_time_is_no_ones():
    windows = taken(load(40), load(60), load(20))
    busy = round(NEIGHBOURS_DROPPED * windows[1].elapsed_s * 1e9) + 1
    windows[1] = replace(windows[1], neighbours_ns=busy)
    made = merged(LEVEL, windows, bill(36_000_000, newcomers_ns=6_000_000))
    assert (made.windows, made.load.completed, made.rounds.number, made.rounds.dropped) == (2, 60, [0, 2], [1])
    assert made.server.cpu_user_ns + made.server.cpu_system_ns == 23_000_000  # newcomers: half of the requests
    assert made.server.newcomers_ns == 3_000_000
    assert made.server.cpu_user_ns == pytest.approx(0.6 * 23_000_000, abs=1)
    assert made.server.counted_requests == 180  # of all: switches and acknowledgements were counted over all
    windows[1] = replace(windows[1], neighbours_ns=busy - 1)
    assert merged(LEVEL, windows, bill()).windows == 3


def test_where_all_windows_would_be_dropped_all_are_kept():
    made = merged(LEVEL, taken(load(), load(), neighbours_ns=10_000_000), bill())
    assert (made.windows, made.rounds.dropped) == (2, [])
    assert made.server == bill()


def test_a_single_window_is_itself():
    made = single(LEVEL, load(), bill(), delayed_acks=3)
    assert (made.load, made.server, made.delayed_acks) == (load(), bill(), 3)
    assert (made.windows, made.long_s, made.long_completed, made.interleaved) == (1, 0.05, 40, False)


def test_no_window_is_no_measurement():
    with pytest.raises(ValueError, match="empty"):
        merged(LEVEL, [], bill())


def test_classes_and_background_connections():
    times = histogram.from_values([2_000_000])
    one = {"a": ClassResult(1, 1, 0, times, times, Histogram())}
    both = one | {"b": ClassResult(3, 2, 1, times, times, Histogram())}
    first = load(classes=one, background={"open": 90, "refused": 8, "lost": 0, "served": 5})
    made = together([first, load(classes=both, background={"open": 80, "refused": 8, "lost": 10, "served": 4})])
    assert {label: (of.intended, of.completed, of.errors) for label, of in made.classes.items()} == {
        "a": (2, 2, 0),
        "b": (3, 2, 1),
    }
    assert histogram.total(made.classes["a"].response) == 2
    assert made.background == {"open": 80, "refused": 8, "lost": 10, "served": 9}


def test_histograms_are_merged_as_by_the_whole_array():
    rng = np.random.default_rng(3)
    parts = [histogram.from_values(rng.lognormal(13, 2, 200).astype(int).tolist()) for _ in range(20)]
    assert histograms([*parts, Histogram()]) == histogram.merge(parts)
    assert histograms([Histogram()]) == Histogram()
    assert histograms([parts[0], replace(parts[1], coarse=True)]).coarse
