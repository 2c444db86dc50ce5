"""Where each fault begins: what is still chance, haste or a declared habit, and what is a finding."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from windows import (
    CLOSED,
    OPEN,
    behind,
    facts,
    found,
    healthy,
    late,
    miscounted,
    overloaded,
    overworked,
    paced,
    served,
    short,
    stalled,
    starved,
    timed,
    unbalanced,
    unfair,
)

from benchmarks import catalogue, histogram
from benchmarks.checks.books import malformed
from benchmarks.checks.facts import Facts
from benchmarks.checks.service import course, jain, spearman
from benchmarks.nouns import ClassResult, Histogram, Series
from benchmarks.questions import Beside, Level
from benchmarks.validity import check_window


@pytest.mark.parametrize(("off", "struck"), [(0.004, False), (0.006, True), (-0.006, True)])
def test_the_books_may_be_off_by_half_a_percent(off, struck):
    assert bool(found(unbalanced(off))) == struck


@pytest.mark.parametrize(("off", "struck"), [(0.01, False), (-0.01, False), (0.03, True), (-0.03, True)])
@pytest.mark.parametrize("level", [CLOSED, OPEN])
def test_littles_law_may_be_off_by_two_percent(off, struck, level):
    assert bool(found(miscounted(off, level))) == struck


GOOD = histogram.from_values([1_000, 5_000, 5_001, 2_000_000])
BAD_HISTOGRAMS = {
    "order": replace(GOOD, index=GOOD.index[::-1]),
    "buckets and": replace(GOOD, count=GOOD.count[1:]),
    "empty": replace(GOOD, count=[0, *GOOD.count[1:]]),
    "extremes": replace(GOOD, min_ns=900),
    "outer buckets": replace(GOOD, max_ns=3_000_000),
    "sum": replace(GOOD, sum_ns=GOOD.sum_ns + 10_000),
    "no values": Histogram(sum_ns=5),
}


@pytest.mark.parametrize("told", BAD_HISTOGRAMS)
def test_a_histogram_that_no_values_could_have_made_is_malformed(told):
    assert malformed(GOOD) == malformed(Histogram()) == ""
    assert told in malformed(BAD_HISTOGRAMS[told])
    assert found(healthy(connect=BAD_HISTOGRAMS[told])) == [("histograms", "strike")]


@pytest.mark.parametrize(
    "changes",
    [
        {"completed": 30_000},
        {"per_connection": [1] * 64},
        {"series": Series(100_000_000, [1], [0], [0])},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_counts_of_the_same_requests_must_agree(changes):
    assert ("histograms", "strike") in found(healthy(**changes))


BEYOND = {
    "share": Level("open", 64, share=1.5),
    "bursts": Level("open", 64, share=0.5, arrivals="onoff"),
    "a rate that falls": Level("open", 64, share=1.5, then_share=0.3),
}


@pytest.mark.parametrize("beyond", BEYOND)
def test_who_gives_up_where_more_is_asked_than_can_be_served_is_no_error(beyond):
    errors = {"gave_up": 400, "read_timeout": 3}
    assert ("errors", "mark") not in found(moved(BEYOND[beyond], errors=errors))
    assert ("errors", "mark") in found(moved(BEYOND[beyond], errors={**errors, "reset": 1}))
    assert ("errors", "mark") in found(healthy(OPEN, errors=errors))


@pytest.mark.parametrize("beyond", BEYOND)
def test_what_is_unanswered_where_more_is_asked_than_can_be_served_is_no_news(beyond):
    assert ("unfinished requests", "mark") not in found(moved(BEYOND[beyond], unfinished=100))


def moved(level: Level, **load: object) -> Facts:
    """A healthy window of the common rate, as if it were of this level."""
    made = healthy(OPEN, **load)
    return replace(made, window=replace(made.window, level=level))


def test_bursts_falls_and_first_rounds_do_not_drift():
    falling = paced([500 - 5 * step for step in range(40)])
    assert found(falling) == [("drift", "note")]
    for level in (*BEYOND.values(), replace(CLOSED, round=1)):
        if level is not BEYOND["share"]:
            assert ("drift", "note") not in found(replace(falling, window=replace(falling.window, level=level)))


def test_new_connections_for_each_request_are_neither_reuse_nor_reconnects():
    churn = replace(CLOSED, keepalive=False)
    opened = healthy(CLOSED).load.all_requests + 64
    assert found(healthy(churn, connections_opened=opened)) == []


def test_nobody_served_where_companions_took_all_slots_is_a_mark():
    crowded = replace(OPEN, beside=Beside("idle", 100))
    silent = replace(healthy(crowded, completed=0, companions={"open": 16}), slots=16)
    severities = dict(found(silent))
    assert severities["nothing served"] == "mark"
    assert severities["too few companions"] == "mark"


def test_those_of_each_label_are_all_requests_together():
    load = healthy().load
    part = ClassResult(load.intended, load.completed - 1, 0, load.response, load.service, load.censored)
    assert ("histograms", "strike") in found(healthy(classes={"a": part}))
    assert found(healthy(classes={"a": part, "b": replace(part, completed=1)})) == []


def test_requests_that_were_due_and_are_in_no_histogram_are_missed():
    due = healthy(OPEN).load.intended
    assert found(healthy(OPEN, intended=due + 60)) == []  # at the edges, one for each connection
    assert found(healthy(OPEN, intended=due + 70)) == [("histograms", "strike")]
    assert found(healthy(OPEN, intended=due + 70, errors={"reset": 70})) == [("errors", "mark")]


def test_response_times_are_service_times_and_send_lags():
    lag = healthy(OPEN).load.send_lag
    shifted = replace(lag, sum_ns=lag.sum_ns + 20 * histogram.total(lag))
    assert found(healthy(OPEN, send_lag=shifted)) == [("histograms", "strike")]


def test_a_timer_tick_at_the_edge_of_a_short_window_is_no_impossible_cpu_time():
    assert found(overworked(1 + 0.006 / healthy().load.seconds)) == []


def test_what_was_unsent_when_the_engine_paused_at_the_very_end_is_no_saturation():
    window_ns = round(healthy(OPEN).load.seconds * 1e9)
    assert found(behind(gaps=((window_ns - 2_000_000, 2_000_000),))) == [("engine saturated", "strike")]  # 40 were due then
    assert found(behind(gaps=((window_ns - 8_000_000, 8_000_000),))) == []  # 160, and chance
    assert found(behind(gaps=((1_000_000, 8_000_000),))) == [("engine saturated", "strike")]
    assert found(behind(free=0)) == []
    assert "engine saturated" not in dict(found(behind(waited=300)))  # none was free when they were due


@pytest.mark.parametrize(("own_ns", "struck"), [(35_000, False), (60_000, True)])
def test_the_engine_may_be_late_by_a_few_turns_of_its_loop(own_ns, struck):
    assert bool(found(late(own_ns))) == struck


def test_an_engine_too_busy_to_keep_up_is_saturated_and_the_server_not_overloaded():
    made = check_window(short(busy_fraction=0.9))
    assert [finding.check for finding in made] == ["engine saturated"]
    assert "short of the offered load" in made[0].seen


@pytest.mark.parametrize(
    "innocent",
    [
        stalled(acks=5),  # as many as any run has
        stalled(acks=None),  # nobody counts
        stalled(acks=60),  # fewer than answers in the band
        stalled(stalled_ns=30_000_000),
        stalled(count=15),  # too few to have a density
        overloaded(stalled()),  # the queue may be that long
        stalled(beside=30),  # a broad distribution that covers the band
        served(stalled(), cpu_user_ns=625_000 * 1000, cpu_system_ns=0),  # 64 connections in turn take 40 ms each round
        replace(stalled(), waits_s=(0.010, 0.042)),  # some of a mix are to wait for so long
    ],
)
def test_delayed_acknowledgements_or_40_ms_alone_are_no_stall(innocent):
    assert ("40 ms stall", "strike") not in found(innocent)


def test_a_reconnect_after_each_error_is_no_broken_keep_alive():
    assert found(healthy(errors={"reset": 600}, connections_opened=64 + 600)) == [("errors", "mark")]


def test_reconnects_beyond_the_declared_bound_are_struck():
    opened = healthy().load.all_requests // 100
    assert found(replace(healthy(connections_opened=64 + 2 * opened), keepalive_requests=100)) == [("reuse", "strike")]


@pytest.mark.parametrize(("idle_s", "allowed"), [(0.5, True), (15.0, False)])
def test_silent_connections_may_end_when_they_were_declared_to(idle_s, allowed):
    rare = timed([100_000] * 20, Level("open", 64, rate_per_s=50.0), connections_opened=64 + 64)
    assert (("reuse", "strike") in found(replace(rare, keepalive_idle_s=idle_s))) != allowed


def test_busy_connections_are_never_silent_for_so_long():
    assert found(replace(healthy(connections_opened=64 + 64), keepalive_idle_s=0.5)) == [("reuse", "strike")]


def test_prefork_may_close_after_a_hundred_requests_with_a_mark():
    assert found(facts("prefork", "hello", Level("closed", 16))) == [("reconnects", "mark")]


def test_chance_is_no_overload():
    """Served and due differ by what is under way at the edges: of 90 requests of 3 ms in 0.45 s, by one or two."""
    level = Level("open", 64, rate_per_s=200.0)
    assert "overloaded" not in dict(found(healthy(level, "cpu", intended=90, completed=88)))
    assert "overloaded" in dict(found(healthy(level, "cpu", intended=90, completed=78)))


def test_a_few_long_requests_at_the_end_of_a_window_are_no_overload():
    """Of 300 a second, whoever comes while four of 20 ms are served may still wait at the end: 24."""
    half, most = (Level("open", 64, share=share) for share in (0.5, 0.9))
    work = ClassResult(15, 15, 0, Histogram(), histogram.from_values([20_000_000] * 15), Histogram())
    quick = ClassResult(285, 265, 0, Histogram(), histogram.from_values([100_000] * 265), Histogram())
    kinds = {"hello": quick, "work": work}
    for completed, over in ((280, False), (270, True)):
        counts = {"seconds": 1.0, "intended": 300, "completed": completed}
        assert bool(healthy(half, classes=kinds, **counts).short_by) is over
        assert healthy(half, classes={"hello": quick}, **counts).short_by
        assert healthy(most, classes=kinds, **counts).short_by  # there is no room for them


def test_waits_of_a_mix_are_known_by_its_requests():
    """One in twenty of the lognormal waits is 42 ms long: those are answers, not stalls."""
    waits_s = catalogue.scenario("wait-lognormal").waits_s
    assert len(waits_s) == 20
    assert 0.042 in waits_s
    assert ("40 ms stall", "strike") not in found(replace(stalled(), waits_s=waits_s))
    assert catalogue.scenario("mixed-blocking").waits_s == (0.0, 0.02)
    assert ("40 ms stall", "strike") in found(replace(stalled(), waits_s=(0.0, 0.02)))


def test_connections_kept_from_another_level_hide_no_reconnects():
    assert found(healthy(connections_opened=0, kept=64)) == []
    assert found(healthy(connections_opened=60, kept=64)) == [("reuse", "strike")]


def test_errors_that_end_no_connection_hide_no_reconnects():
    assert ("reuse", "strike") in found(healthy(errors={"wrong_body": 600}, connections_opened=64 + 600))


def test_an_open_level_is_given_no_more_connections_than_slots_and_is_not_marked():
    assert found(facts("prefork", "cpu", Level("open", 64, share=0.5))) == []
    assert found(replace(healthy(), slots=0)) == []  # no limit of its own


def test_connections_that_never_got_a_slot_are_not_unfinished_requests_as_well():
    few = replace(healthy(unfinished=60), slots=4)
    assert found(few) == [("more connections than slots", "mark")]


@pytest.mark.parametrize(("rounds", "marked"), [(1.5, False), (2.5, True)])
def test_a_closed_loop_has_requests_under_way_when_it_ends(rounds, marked):
    """64 connections, 130 answers: a round is half of the window, and longer than the drain."""
    ages = histogram.from_values([round(rounds / 2 * 0.4e9 * 64 / 65)] * 64)
    slow = timed([190_000_000] * 130, scenario="cpu", unfinished=64, censored=ages)
    assert (("unfinished requests", "mark") in found(slow)) == marked


def test_starving_for_want_of_slots_is_one_finding():
    assert found(replace(starved(10_000, "hello"), slots=16)) == [("more connections than slots", "mark")]


def test_passed_over_for_nine_rounds_is_bad_luck():
    assert found(starved(639)) == []
    assert found(starved(1_900, "hello")) == []  # 30 rounds, but in less than 20 ms
    assert found(starved(2_000, "hello")) == [("starving", "mark")]
    assert found(unfair(0.4)) == []


def test_jain_is_not_asked_where_chance_alone_is_unfair():
    few = timed([1_000_000] * 64, per_connection=[4] * 16 + [0] * 48)
    assert "starving" not in dict(found(few))


@pytest.mark.parametrize(("completions", "index"), [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)])
def test_jains_index(completions, index):
    assert jain(completions) == pytest.approx(index)


# ---------------------------------------------------------------- over the window


def test_spearman_agrees_with_scipy_ties_included():
    first, second = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0


def test_steady_paces_raise_no_drift_in_ten_thousand_windows():
    """Poisson counts around one mean: by the threshold one in 100,000 windows would be called drifting."""
    rng = np.random.default_rng(11)
    called = sum(bool(course([float(n) for n in rng.poisson(30, 20)])) for _ in range(10_000))
    assert called <= 1


@pytest.mark.parametrize(
    ("paces", "told"),
    [
        ([300 + 5 * step for step in range(40)], "rose"),
        ([500 - 5 * step for step in range(40)], "fell"),
        ([300] * 12 + [500] * 16 + [300] * 12, "wandered"),
    ],
)
def test_drift_says_how(paces, told):
    (finding,) = [f for f in check_window(paced(paces)) if f.check == "drift"]
    assert told in finding.seen


def test_a_trend_too_small_to_matter_or_a_window_too_short_to_tell_is_no_drift():
    assert found(paced([1000 - step for step in range(40)])) == []
    assert found(paced([500, 450, 400, 350, 300])) == []
    assert found(paced([500, 300] * 20)) == []  # up and down from step to step is no drift
