"""Where each fault begins: what is still chance, an edge or declared, and what is a finding."""

from dataclasses import replace

import factories
import numpy as np
import pytest
from scipy.stats import spearmanr
from windows import (
    CLOSED,
    OPEN,
    alone,
    behind,
    beside,
    changed,
    dropped,
    facts,
    found,
    healthy,
    late,
    loaded,
    miscounted,
    overloaded,
    overworked,
    paced,
    packed,
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
from benchmarks.checks.service import course, drift_over_rounds, jain, spearman
from benchmarks.nouns import ClassResult, Histogram, Series
from benchmarks.questions import Background, Level
from benchmarks.validity import check_measurement


@pytest.mark.parametrize(("off", "invalid"), [(0.004, False), (0.006, True), (-0.006, True)])
def test_the_accounts_may_be_off_by_half_a_percent(off, invalid):
    assert bool(found(unbalanced(off))) == invalid


@pytest.mark.parametrize(("off", "invalid"), [(0.01, False), (-0.01, False), (0.03, True), (-0.03, True)])
@pytest.mark.parametrize("level", [CLOSED, OPEN])
def test_littles_law_may_be_off_by_two_percent(off, invalid, level):
    assert bool(found(miscounted(off, level))) == invalid


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


@pytest.mark.parametrize("said", BAD_HISTOGRAMS)
def test_a_histogram_that_no_values_could_have_made_is_malformed(said):
    assert malformed(GOOD) == malformed(Histogram()) == ""
    assert said in malformed(BAD_HISTOGRAMS[said])
    assert found(healthy(connect=BAD_HISTOGRAMS[said])) == [("histograms", "invalid")]


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
    assert ("histograms", "invalid") in found(loaded(healthy(), **changes))


BEYOND = {
    "share": Level("open", 64, share=1.5),
    "bursts": Level("open", 64, share=0.5, arrivals="onoff"),
    "a rate that falls": Level("open", 64, share=1.5, then_share=0.3),
}


@pytest.mark.parametrize("beyond", BEYOND)
def test_clients_that_give_up_where_more_is_asked_than_can_be_served_are_no_errors(beyond):
    errors = {"gave_up": 400, "read_timeout": 3}
    assert ("errors", "warning") not in found(moved(BEYOND[beyond], errors=errors))
    assert ("errors", "warning") in found(moved(BEYOND[beyond], errors={**errors, "reset": 1}))
    assert ("errors", "warning") in found(healthy(OPEN, errors=errors))


@pytest.mark.parametrize("beyond", BEYOND)
def test_requests_without_an_answer_where_more_is_asked_than_can_be_served_are_no_finding(beyond):
    assert ("unfinished requests", "warning") not in found(moved(BEYOND[beyond], unfinished=300))


def moved(level: Level, **load: object) -> Facts:
    """A healthy measurement of the common rate, as if it were of this level."""
    return changed(healthy(OPEN, **load), level=level)


def test_bursts_falls_and_first_cohorts_do_not_drift():
    falling = paced([500 - 5 * step for step in range(40)])
    assert found(falling) == [("drift", "info")]
    for level in (*BEYOND.values(), replace(CLOSED, cohort=1)):
        if level is not BEYOND["share"]:
            assert ("drift", "info") not in found(changed(falling, level=level))


def test_new_connections_for_each_request_are_neither_reuse_nor_reconnects():
    churn = replace(CLOSED, keepalive=False)
    opened = healthy(CLOSED).load.all_requests + 64
    assert found(changed(healthy(connections_opened=opened), level=churn)) == []


def test_nothing_served_where_background_connections_use_up_the_limit_is_a_warning():
    crowded = replace(OPEN, background=Background("idle", 100))
    silent = replace(healthy(crowded, completed=0, background={"open": 16}), limit=16)
    severities = dict(found(silent))
    assert severities["nothing served"] == "warning"
    assert severities["too few background connections"] == "info"


def test_those_of_each_label_are_all_requests_together():
    load = healthy().load
    part = ClassResult(load.intended, load.completed - 1, 0, load.response, load.service, load.censored)
    assert ("histograms", "invalid") in found(healthy(classes={"a": part}))
    assert found(healthy(classes={"a": part, "b": replace(part, completed=1)})) == []


def test_requests_that_were_due_and_are_in_no_histogram_are_missed():
    due = healthy(OPEN).load.intended
    assert found(healthy(OPEN, intended=due)) == []
    assert found(healthy(OPEN, intended=due + 1)) == [("histograms", "invalid")]
    assert found(healthy(OPEN, intended=due + 70, errors={"reset": 70})) == [("errors", "warning")]
    assert found(healthy(CLOSED, drained=1)) == [("histograms", "invalid")]


def test_requests_under_way_for_all_of_a_window_are_in_no_histogram():
    """Each has the whole window in the time that was carried in."""
    facts = healthy(OPEN)
    shortest_ns = min(facts.rounds.seconds) * 1e9
    for longer, wrong in ((3, []), (4, [("histograms", "invalid")])):
        crossing = replace(facts.load.crossing, carried_in_ns=round(3.5 * shortest_ns))
        crossing = replace(crossing, in_flight_ns=crossing.in_flight_ns + crossing.carried_in_ns)
        assert found(healthy(OPEN, drained=facts.load.drained + longer, crossing=crossing)) == wrong


def test_response_times_are_service_times_and_send_lags():
    lag = healthy(OPEN).load.send_lag
    shifted = replace(lag, sum_ns=lag.sum_ns + 20 * histogram.total(lag))
    assert found(healthy(OPEN, send_lag=shifted)) == [("histograms", "invalid")]


def test_a_timer_tick_at_the_edge_of_a_short_window_is_no_impossible_cpu_time():
    assert found(overworked(1 + 0.006 / healthy().load.seconds)) == []


def test_what_was_unsent_when_the_engine_paused_at_the_very_end_is_no_saturation():
    window_ns = round(healthy(OPEN).rounds.seconds[0] * 1e9)
    all_ns = round(healthy(OPEN).load.seconds * 1e9)
    for end_ns in (window_ns, 3 * window_ns, all_ns):  # of any of the windows
        assert found(behind(350, gaps=((end_ns - 1_000_000, 1_000_000),))) == [("engine saturated", "invalid")]  # 20 were due
        assert found(behind(350, gaps=((end_ns - 4_000_000, 4_000_000),))) == []  # 80, and chance
    assert found(behind(350, gaps=((window_ns + 10_000_000, 4_000_000),))) == [("engine saturated", "invalid")]
    assert found(packed(behind(350, gaps=((window_ns + 10_000_000, 4_000_000),)))) == []  # it may have been an end
    assert found(behind(free=0)) == []
    assert "engine saturated" not in dict(found(behind(waited=300)))  # none was free when they were due


@pytest.mark.parametrize(("own_ns", "invalid"), [(35_000, False), (60_000, True)])
def test_the_engine_may_be_late_by_a_few_turns_of_its_loop(own_ns, invalid):
    assert bool(found(late(own_ns))) == invalid


def test_an_engine_too_busy_to_keep_up_is_saturated_and_the_server_not_overloaded():
    made = check_measurement(short(busy_fraction=0.9))
    assert [finding.check for finding in made] == ["engine saturated"]
    assert "short of the offered load" in made[0].observed


@pytest.mark.parametrize(
    "innocent",
    [
        stalled(acks=5),  # as many as any run has
        stalled(acks=None),  # nobody counts
        stalled(acks=60),  # fewer than answers in the band
        stalled(stalled_ns=30_000_000),
        stalled(count=15),  # too few to have a density
        overloaded(stalled()),  # the queue may be that long
        stalled(around=30),  # a broad distribution that covers the band
        served(stalled(), cpu_user_ns=625_000 * 1000, cpu_system_ns=0),  # 64 connections in turn take 40 ms each round
        replace(stalled(), waits_s=(0.010, 0.042)),  # some of a mix are to wait for so long
    ],
)
def test_delayed_acknowledgements_or_40_ms_alone_are_no_stall(innocent):
    assert ("40 ms stall", "invalid") not in found(innocent)


def test_a_reconnect_after_each_error_is_expected():
    assert found(healthy(errors={"reset": 600}, connections_opened=64 + 600)) == [("errors", "warning")]


def test_reconnects_beyond_the_declared_bound_are_invalid():
    opened = healthy().load.all_requests // 100
    assert found(replace(healthy(connections_opened=64 + 2 * opened), keepalive_requests=100)) == [("reuse", "invalid")]


@pytest.mark.parametrize(("idle_s", "allowed"), [(0.5, True), (15.0, False)])
def test_silent_connections_may_end_when_they_were_declared_to(idle_s, allowed):
    rare = timed([100_000] * 20, Level("open", 64, rate_per_s=50.0), connections_opened=64 + 64)
    assert (("reuse", "invalid") in found(replace(rare, keepalive_idle_s=idle_s))) != allowed
    between = changed(rare, rounds=replace(rare.rounds, at_s=[0.0]))
    assert (("reuse", "invalid") in found(replace(between, keepalive_idle_s=idle_s))) != allowed


def test_busy_connections_are_never_silent_for_so_long():
    assert found(replace(healthy(connections_opened=64 + 64), keepalive_idle_s=0.5)) == [("reuse", "invalid")]


def test_prefork_may_close_after_a_hundred_requests_and_it_is_said():
    assert found(facts("prefork", "hello", Level("closed", 16))) == [("reconnects", "info")]


def test_chance_is_no_overload():
    """Served and due differ by what is under way at the edges: of 200 requests of 2.4 ms in a window of 1 s, by one or two; in
    eleven windows by three times as many, not by eleven times."""
    level = Level("open", 64, rate_per_s=200.0)
    for made, chance, more in ((alone(healthy(level, "cpu")), 2, 6), (healthy(level, "cpu"), 7, 13)):
        due = made.load.intended
        assert not loaded(made, completed=due - chance).short_by
        assert loaded(made, completed=due - more).short_by
        assert "overloaded" in dict(found(loaded(made, completed=due - more)))


def test_a_few_long_requests_at_the_end_of_a_window_are_no_overload():
    """Of 300 a second, whoever comes while four of 20 ms are served may still wait at the end: 24."""
    half, most = (Level("open", 64, share=share) for share in (0.5, 0.9))
    work = ClassResult(15, 15, 0, Histogram(), histogram.from_values([20_000_000] * 15), Histogram())
    quick = ClassResult(285, 265, 0, Histogram(), histogram.from_values([100_000] * 265), Histogram())
    kinds = {"hello": quick, "work": work}
    for completed, over in ((280, False), (270, True)):
        counts = {"seconds": 1.0, "intended": 300, "completed": completed}
        assert bool(alone(healthy(half, classes=kinds, **counts)).short_by) is over
        assert alone(healthy(half, classes={"hello": quick}, **counts)).short_by
        assert alone(healthy(most, classes=kinds, **counts)).short_by  # there is no room for them


def test_waits_of_a_mix_are_known_by_its_requests():
    """One in twenty of the lognormal waits is 42 ms long: those are answers, not stalls."""
    waits_s = catalogue.scenario("wait-lognormal").waits_s
    assert len(waits_s) == 20
    assert 0.042 in waits_s
    assert ("40 ms stall", "invalid") not in found(replace(stalled(), waits_s=waits_s))
    assert catalogue.scenario("mixed-blocking").waits_s == (0.0, 0.01)
    assert ("40 ms stall", "invalid") in found(replace(stalled(), waits_s=(0.0, 0.02)))


def test_connections_kept_from_another_level_hide_no_reconnects():
    windows = healthy().windows
    assert found(loaded(healthy(), connections_opened=0, kept=windows * 64)) == []
    assert found(loaded(healthy(), connections_opened=4, kept=windows * 64)) == [("reuse", "invalid")]
    assert found(loaded(healthy(), connections_opened=windows * 64, kept=0)) == []  # anew for each window
    assert found(loaded(healthy(), connections_opened=windows * 64 + 4, kept=0)) == [("reuse", "invalid")]


def test_errors_that_end_no_connection_hide_no_reconnects():
    assert ("reuse", "invalid") in found(healthy(errors={"wrong_body": 600}, connections_opened=64 + 600))


def test_an_open_level_is_given_no_more_connections_than_the_limit():
    assert found(facts("prefork", "cpu", Level("open", 64, share=0.5))) == []
    assert found(replace(healthy(), limit=0)) == []  # no limit of its own


def test_connections_above_the_limit_are_not_unfinished_requests_as_well():
    few = replace(healthy(unfinished=60), limit=4)
    assert found(few) == [("above the concurrency limit", "info")]


@pytest.mark.parametrize(("turns", "warned"), [(1.5, False), (2.5, True)])
def test_a_closed_loop_has_requests_under_way_when_it_ends(turns, warned):
    """64 connections, 130 answers: a turn is half of the window, and longer than the drain."""
    ages = histogram.from_values([round(turns / 2 * factories.LEVEL_S * 1e9 * 64 / 65)] * 64)
    slow = timed([190_000_000] * 130, scenario="cpu", unfinished=64, censored=ages)
    assert (("unfinished requests", "warning") in found(slow)) == warned


def test_starving_above_the_limit_is_one_finding():
    assert found(replace(starved(10_000, "hello"), limit=16)) == [("above the concurrency limit", "info")]


def test_passed_over_for_nine_turns_is_chance():
    assert found(starved(639)) == []
    assert found(starved(1_800, "hello")) == []  # 28 turns, but in less than 20 ms
    assert found(starved(2_000, "hello")) == [("starving", "warning")]
    assert found(unfair(0.4)) == []


def test_threads_that_share_a_core_in_slices_are_passed_over_for_two_rounds_of_them():
    """Of 64 threads each has 4 ms in 256: longer than many a window, in which Jain's index says nothing then."""
    starving, uneven = starved(2_000, "hello"), unfair(0.2)
    assert "starving" in dict(found(uneven))
    for one, threads, warned in ((starving, 64, False), (starving, 1, True), (uneven, 64, uneven.long_s >= 1.024)):
        facts = changed(one, server=replace(one.server, threads=threads))
        assert ("starving" in dict(found(facts))) == warned


def test_jains_index_is_not_used_where_chance_alone_is_unfair():
    few = timed([1_000_000] * 64, per_connection=[4] * 16 + [0] * 48)
    assert "starving" not in dict(found(few))


@pytest.mark.parametrize(("completions", "index"), [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)])
def test_jains_index(completions, index):
    assert jain(completions) == pytest.approx(index)


def test_idle_neighbours_may_use_half_a_percent():
    assert found(beside(0.0049)) == []
    assert found(beside(0.0051)) == [("neighbours", "invalid")]
    assert found(replace(beside(0.0051), server_cores=2)) == []


def test_half_of_the_windows_may_be_dropped():
    windows = healthy().windows
    assert found(dropped(windows)) == []
    assert found(dropped(windows + 1)) == [("too few windows", "invalid")]


def test_sums_must_be_those_of_the_rounds():
    facts = healthy()
    for name in ("completed", "answered", "answered_ns", "cpu_ns"):
        values = getattr(facts.rounds, name)
        wrong = replace(facts.rounds, **{name: [values[0] + 1, *values[1:]]})
        assert found(changed(facts, rounds=wrong)) == [("histograms", "invalid")]
    assert found(changed(facts, windows=facts.windows - 1, rounds=facts.rounds))[0] == ("histograms", "invalid")


@pytest.mark.parametrize("made", [healthy(), healthy(OPEN), stalled(), short(), paced([300] * 40), late(60_000), late(35_000)])
def test_a_packed_record_is_judged_alike(made):
    assert found(packed(made)) == found(made)


def test_an_edge_is_allowed_for_once_and_not_in_each_window():
    """A window may have a wave of waits more than its length says; a hundred windows have not a hundred more."""
    facts = healthy(Level("closed", 16), "wait")
    waves = facts.load.seconds / 0.01

    def wrong(windows: int, more: float) -> bool:
        """With so many waves more than fit."""
        many = changed(facts, windows=windows, load=replace(facts.load, completed=round(16 * (waves + more))))
        return ("wait ceiling", "invalid") in found(many)

    assert [wrong(1, 0.9), wrong(1, 1.1)] == [False, True]
    assert [wrong(100, 19), wrong(100, 21)] == [False, True]


# ---------------------------------------------------------------- over time


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
    ("paces", "said"),
    [
        ([300 + 5 * step for step in range(40)], "rose"),
        ([500 - 5 * step for step in range(40)], "fell"),
        ([300] * 12 + [500] * 16 + [300] * 12, "wandered"),
    ],
)
def test_drift_says_how(paces, said):
    (finding,) = [f for f in check_measurement(paced(paces)) if f.check == "drift"]
    assert said in finding.observed


def test_a_trend_too_small_to_matter_or_a_window_too_short_to_tell_is_no_drift():
    assert found(paced([1000 - step for step in range(40)])) == []
    assert found(paced([500, 450, 400, 350, 300])) == []
    assert found(paced([500, 300] * 20)) == []  # up and down from step to step is no drift


def test_drift_over_the_rounds_of_a_replicate():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.05, 40)
    assert drift_over_rounds(np.exp(noise).tolist()) == ""
    assert drift_over_rounds(np.exp(noise + np.linspace(0, 0.4, 40)).tolist()) == "rose"
    assert drift_over_rounds(np.exp(noise - np.linspace(0, 0.4, 40)).tolist()) == "fell"
    assert drift_over_rounds([1.0, 1.2, 1.4]) == ""
