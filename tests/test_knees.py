"""Where power is highest, and what can be no knee."""

import math
from dataclasses import replace

import factories
import pytest

from benchmarks import histogram
from benchmarks.cells import cells_of_level
from benchmarks.knees import knee
from benchmarks.merging import single
from benchmarks.observed import Observed
from benchmarks.questions import Level
from benchmarks.summaries import Finding

PEAK = 10_000.0
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1)


def cell(share, mean_ns, replicates=3, served=1.0, **changes):
    """The cell of an open level at a share of the peak, its replicates' mean response times as given."""
    level = Level("open", 64, share=share)
    means = mean_ns if isinstance(mean_ns, list) else [mean_ns] * replicates
    records = []
    for replicate, mean in enumerate(means):
        made = factories.measurement("epoll_loop", "hello", level, replicate)
        count = round(PEAK * share * made.load.seconds)
        load = replace(
            made.load, intended=count, completed=round(count * served), unfinished=0, censored=histogram.from_values([]),
            gaps=[], response=histogram.from_values([round(mean)] * count),
        )  # fmt: skip
        made = single(level, replace(load, **changes), made.server)
        trial = factories.trial("epoll_loop", "hello", replicate, [made])
        records.append(factories.record("hello", replicate, [trial]))
    (found,) = cells_of_level(Observed(factories.run(models=("epoll_loop",)), "hello", records), level)
    return replace(found, summary=replace(found.summary, findings=[]))


def mm1(share, **changes):
    """As M/M/1 with a capacity of the peak has it."""
    return cell(share, 1e9 / PEAK / (1 - share) if share < 1 else 50e6, **changes)


def test_the_knee_of_m_m_1_is_at_half_its_capacity():
    found = knee([mm1(share) for share in SHARES])
    assert found.level == "open 50%"
    assert found.rate_per_s == pytest.approx(0.5 * PEAK, rel=0.01)
    assert not found.lowest


def test_service_that_hardly_varies_moves_it_up():
    found = knee([cell(share, 1e5 if share < 1 else 5e6) for share in SHARES])
    assert found.level == "open 90%"


def test_the_order_of_the_levels_is_of_no_account():
    cells = [mm1(share) for share in SHARES]
    assert knee(cells) == knee(cells[::-1])


def test_one_replicate_that_met_a_pause_does_not_move_it():
    calm = 1e9 / PEAK / 0.5
    cells = [mm1(0.25), cell(0.5, [calm, calm * 40, calm * 1.05]), mm1(0.75), mm1(0.9)]
    assert knee(cells).level == "open 50%"


def test_a_level_that_is_overloaded_falls_behind_or_is_invalid_is_none():
    flat = {share: cell(share, 1e5) for share in SHARES}
    assert knee(list(flat.values())).level == "open 110%"  # were it believed
    overloaded = Finding("overloaded", "info", "9k/s served of 11k/s", "", "")
    invalid = Finding("bookkeeping", "invalid", "", "", "")
    flat[1.1] = cell(1.1, 1e5, served=0.9)
    flat[1.0] = replace(flat[1.0], summary=replace(flat[1.0].summary, findings=[overloaded]))
    flat[0.9] = replace(flat[0.9], summary=replace(flat[0.9].summary, findings=[invalid]))
    assert knee(list(flat.values())).level == "open 75%"


def test_a_mean_that_is_known_from_below_only_is_none():
    unanswered = cell(0.9, 1e5, unfinished=500, censored=histogram.from_values([1_000] * 500))
    assert knee([cell(0.5, 1e5), cell(0.75, 1e5), unanswered]).level == "open 75%"


def test_the_machines_own_power_is_none():
    """Pauses of 40 ms in a second are more than a third of the slowest tenth; one of 20 ms is not."""
    for length, level in ((40_000_000, "open 75%"), (20_000_000, "open 90%")):
        paused = cell(0.9, 1e5, gaps=[(1_000, length)])
        assert knee([cell(0.5, 1e5), cell(0.75, 1e5), paused]).level == level


def test_a_pause_that_nobody_saw_does_not_move_it():
    """One request in twenty waits for 5 ms, in every replicate: the plain mean would be five times as long."""
    count = round(PEAK * 0.75 * factories.measurement("epoll_loop", "hello", Level("open", 64, share=0.75)).load.seconds)
    late = histogram.from_values([100_000] * (count - count // 20) + [5_000_000] * (count // 20))
    assert knee([cell(0.5, 1e5), cell(0.75, 1e5, response=late)]).level == "open 75%"


def test_the_lowest_measured_level_may_hide_a_lower_knee():
    found = knee([cell(share, 1e5 * math.exp(5 * share)) for share in SHARES[:4]])
    assert found.level == "open 25%"
    assert found.lowest


def test_a_single_level_is_no_maximum():
    assert knee([mm1(0.5)]) is None
    assert knee([]) is None
