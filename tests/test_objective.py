"""Capacity under an objective: what is one, what a window says of it, and that the search finds what is known to be true.

The servers here are imagined: queues with one server whose response times are drawn, one after the other, from what a queue
does (Lindley's recursion), so that their capacity is known from theory. For Poisson arrivals and exponential service the
response time of M/M/1 is exponential with mean 1 / (mu - lambda), so a share q is within t up to lambda = mu - ln(1/(1-q)) / t.
"""

import math
from dataclasses import replace

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import histogram
from benchmarks.capacities import capacities, with_capacities
from benchmarks.checks.facts import Facts
from benchmarks.merging import single
from benchmarks.nouns import Crossing, Histogram, Series
from benchmarks.objective import (
    HIGHEST,
    PROBES_MOST,
    UNKNOWN_ENOUGH,
    WITHIN,
    Bracket,
    Probe,
    bracket,
    decided,
    falls_behind,
    judge,
    lowest_per_s,
    next_rate,
    parse,
    probe_s,
)
from benchmarks.observed import Observed
from benchmarks.questions import Level
from benchmarks.summaries import Capacity, Estimate

OBJECTIVE = parse("p99<=20ms")


# ---------------------------------------------------------------- as one writes it


@pytest.mark.parametrize(
    ("text", "q", "limit_ns", "said"),
    [
        ("p99<=20ms", 0.99, 20e6, "p99<=20ms"),
        ("p99.9<=1s", 0.999, 1e9, "p99.9<=1s"),
        (" p50 <= 500us ", 0.5, 500e3, "p50<=500us"),
        ("p90<=2.5ms", 0.9, 2.5e6, "p90<=2.5ms"),
        ("p50<=500µs", 0.5, 500e3, "p50<=500us"),
    ],
)
def test_an_objective_is_read(text, q, limit_ns, said):
    made = parse(text)
    assert (made.q, made.limit_ns, made.text) == (q, limit_ns, said)
    assert parse(made.text) == made


@pytest.mark.parametrize("text", ["", "p99", "p99<20ms", "p95<=20ms", "p99<=20", "p99<=-1ms", "99<=20ms", "p99<=20 minutes"])
def test_what_is_no_objective_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as 'p99<=20ms'"):
        parse(text)


@pytest.mark.parametrize("text", ["p99<=0ms", "p99<=0.1us", "p99<=61s"])
def test_a_limit_that_no_histogram_resolves_is_refused(text):
    with pytest.raises(ValueError, match="from 1us to 60s"):
        parse(text)


# ---------------------------------------------------------------- one window


def queued(rate_per_s, served_per_s, seconds, rng, *, changes=None):
    """The facts of a probe in which a queue with one server was offered so much; it has run for half a second before."""
    warm_s = 0.5
    count = rng.poisson(rate_per_s * (seconds + warm_s))
    due = np.sort(rng.uniform(-warm_s, seconds, count))
    service = rng.exponential(1 / served_per_s, count)
    ended, free = np.empty(count), -warm_s
    for i in range(count):
        free = ended[i] = max(due[i], free) + service[i]
    inside = due >= 0
    response_s = ended[inside] - due[inside]
    finished = ended[inside] <= seconds + 0.15
    completed = int(np.sum((ended >= 0) & (ended <= seconds)))
    carried = int(np.sum((ended >= 0) & (ended <= seconds) & ~inside))
    response = histogram.from_values((response_s[finished] * 1e9).astype(int))
    ages = (seconds + 0.15 - due[inside][~finished]) * 1e9
    nothing = histogram.from_values([0] * histogram.total(response))
    level = Level("open", 64, rate_per_s=rate_per_s)
    load = {
        "seconds": seconds,
        "offered_per_s": rate_per_s,
        "intended": int(np.sum(inside)),
        "completed": completed,
        "drained": int(np.sum(finished)) - (completed - carried),
        "unfinished": int(np.sum(~finished)),
        "unsent": 0,
        "errors": {},
        "connections": 64,
        "connections_opened": 64,
        "busy_fraction": 0.2,
        "response": response,
        "service": response,
        "send_lag": nothing,
        "own_lag": nothing,
        "censored": histogram.from_values(ages.astype(int)),
        "series": Series(100_000_000, [completed], [0], [0]),
        "gaps": [],
        "per_connection": [completed, *[0] * 63],
        "passed_over": [0] * 64,
        "crossing": Crossing(response.sum_ns, carried, 0, 0, 0),
        "server_cpu_ns": 0,
    } | (changes or {})
    made = factories.measurement("epoll_loop", "hello", level)
    probe = single(level, replace(made.load, **load), replace(made.server, cpu_user_ns=0, cpu_system_ns=0))
    return Facts.gathered(probe, factories.server_facts("epoll_loop"), 1)


RNG_SEED = 7


def test_a_queue_well_below_its_limit_meets_it_and_one_near_its_capacity_misses():
    rng = np.random.default_rng(RNG_SEED)
    assert judge(queued(500, 1000, 2.0, rng), OBJECTIVE).outcome == "met"  # p99 is 9.2 ms in theory
    missed = judge(queued(900, 1000, 2.0, rng), OBJECTIVE)  # 46 ms
    assert missed.outcome == "missed"
    assert "p99 was" in missed.why


def test_overload_is_missed_however_long_the_limit():
    rng = np.random.default_rng(RNG_SEED)
    seen = judge(queued(1300, 1000, 2.0, rng), parse("p50<=10s"))
    assert seen.outcome == "missed"
    assert "were served" in seen.why


def test_a_long_service_at_the_edges_is_no_overload():
    """16 requests are under way at either edge of the window of 400: more than 1%, and no sign of anything."""
    seen = queued(1000, 5000, 0.4, np.random.default_rng(RNG_SEED))
    load = seen.load
    steady = replace(load, intended=400, completed=390, response=histogram.from_values([40_000_000] * 400))
    assert load.completed < 450

    def behind(load):
        return falls_behind([replace(seen.measurement, load=load)])

    assert not behind(steady)
    assert behind(replace(steady, completed=360))
    assert behind(replace(steady, completed=int(0.99 * 400) - 5, response=histogram.from_values([100_000] * 400)))


def test_too_few_requests_tell_nothing():
    seen = judge(queued(100, 1000, 1.0, np.random.default_rng(RNG_SEED)), OBJECTIVE)
    assert seen.outcome == "can't tell"
    assert "wants 367" in seen.why


def test_a_busy_engine_tells_nothing_and_a_late_one_only_that_it_was_met():
    rng = np.random.default_rng(RNG_SEED)
    assert judge(queued(500, 1000, 2.0, rng, changes={"busy_fraction": 0.9}), OBJECTIVE).outcome == "can't tell"
    late = histogram.from_values([8_000_000] * 1000)
    met, missed = (judge(queued(per_s, 1000, 2.0, rng, changes={"own_lag": late}), OBJECTIVE) for per_s in (500, 900))
    assert met.outcome == "met"
    assert missed.outcome == "can't tell"
    assert judge(queued(700, 1000, 2.0, rng, changes={"own_lag": late}), parse("p99<=10ms")).outcome == "can't tell"


def test_pauses_of_the_engine_excuse_a_miss_only_where_the_limit_would_notice_them():
    rng = np.random.default_rng(RNG_SEED)
    long = [(i * 100_000_000, 8_000_000) for i in range(20)]  # 8% of the time, each near half the limit
    short = [(i * 10_000_000, 800_000) for i in range(200)]  # 8% as well, but of no account to 20 ms
    assert judge(queued(900, 1000, 2.0, rng, changes={"gaps": long}), OBJECTIVE).outcome == "can't tell"
    assert judge(queued(900, 1000, 2.0, rng, changes={"gaps": short}), OBJECTIVE).outcome == "missed"
    assert judge(queued(400, 1000, 2.0, rng, changes={"gaps": long}), OBJECTIVE).outcome == "met"


def test_nothing_served_is_a_miss():
    changes = {
        "completed": 0, "drained": 0, "response": Histogram(), "service": Histogram(), "send_lag": Histogram(),
        "unfinished": 1000, "censored": histogram.from_values([1_000_000_000] * 1000), "intended": 1000,
        "per_connection": [0] * 64, "series": Series(100_000_000, [0], [0], [0]), "crossing": Crossing(0, 0, 0, 0, 0),
    }  # fmt: skip
    assert judge(queued(500, 1000, 2.0, np.random.default_rng(1), changes=changes), OBJECTIVE).outcome == "missed"


def test_a_window_is_long_enough_for_its_percentile_and_its_limit():
    assert probe_s(OBJECTIVE, 100_000, 0.2) == 0.2
    assert probe_s(OBJECTIVE, 100, 0.2) == pytest.approx((367 + 76) / 100)
    assert probe_s(parse("p50<=1s"), 100_000, 0.2) == 3.0


# ---------------------------------------------------------------- the search


def search(outcome_at, peak_per_s=1000.0, objective=OBJECTIVE):
    """The probes of a whole search; `outcome_at` says what a window at a rate shows."""
    probes = []
    while (rate := next_rate(probes, objective, peak_per_s)) is not None:
        assert len(probes) < PROBES_MOST
        probes.append(Probe(rate, outcome_at(rate), f"seen at {rate:.0f}"))
    return probes


@given(st.floats(0.06, 1.15))
def test_a_sharp_limit_is_bracketed_to_five_percent(share):
    limit = 1000 * share
    found = bracket(search(lambda rate: "met" if rate <= limit else "missed"))
    assert found.met_per_s <= limit < found.missed_per_s <= found.met_per_s * WITHIN
    assert found.why == ""


def test_every_rate_is_tried_twice_and_a_third_time_if_the_two_disagree():
    tries = {}

    def fickle(rate):
        tries[rate] = tries.get(rate, 0) + 1
        if rate == 700:
            return "missed" if tries[rate] == 1 else "met"
        return "met" if rate < 900 else "missed"

    probes = search(fickle)
    assert tries.pop(700) == 3
    assert set(tries.values()) == {2}
    assert bracket(probes).met_per_s < 900 <= bracket(probes).missed_per_s


def test_what_cannot_be_told_is_repeated_then_said_and_never_taken_for_met():
    probes = search(lambda rate: "met" if rate < 750 else "can't tell")
    last = [probe.rate_per_s for probe in probes][-UNKNOWN_ENOUGH:]
    assert len(set(last)) == 1
    found = bracket(probes)
    assert found.missed_per_s is None
    assert found.met_per_s < 750
    assert found.why.startswith("can't tell at")


def test_a_model_that_misses_at_the_lowest_rate_cannot_meet_it():
    probes = search(lambda _: "missed")
    found = bracket(probes)
    assert found.met_per_s is None
    assert found.missed_per_s == lowest_per_s(OBJECTIVE, 1000)
    assert found.why.startswith("cannot meet it (seen at")


def test_a_model_that_meets_it_everywhere_has_a_lower_bound():
    found = bracket(search(lambda _: "met"))
    assert found == Bracket(pytest.approx(1000 * HIGHEST), None, found.why)
    assert "the highest that was tried" in found.why


def test_a_rate_too_low_for_the_percentile_is_not_asked_for():
    assert next_rate([], parse("p99.9<=20ms"), 100.0) is None  # ten seconds at 100/s are 1,000 requests of 3,687
    assert "no rate" in bracket([]).why


@given(st.lists(st.sampled_from(["met", "missed", "can't tell"]), max_size=PROBES_MOST))
def test_the_search_ends_whatever_is_seen_and_asks_for_rates_within_its_bounds(outcomes):
    waiting = iter(outcomes)
    probes = search(lambda _: next(waiting, "missed"))
    assert len(probes) <= PROBES_MOST
    assert all(lowest_per_s(OBJECTIVE, 1000) * 0.999 <= probe.rate_per_s <= HIGHEST * 1000 * 1.001 for probe in probes)
    found = bracket(probes)
    assert found.met_per_s is None or found.missed_per_s is None or found.met_per_s < found.missed_per_s


def test_two_of_a_kind_decide():
    assert decided(["met"]) is None
    assert decided(["met", "missed"]) is None
    assert decided(["met", "missed", "met"]) == "met"
    assert decided(["missed", "can't tell", "missed"]) == "missed"
    assert decided(["can't tell"] * UNKNOWN_ENOUGH) == "can't tell"


@pytest.mark.parametrize("seed", range(5))
def test_the_search_finds_the_capacity_of_a_queue_that_theory_knows(seed):
    rng, served_per_s = np.random.default_rng(seed), 2000.0
    truth = served_per_s - math.log(100) / 0.020  # 1,770/s
    probes = []
    while (rate := next_rate(probes, OBJECTIVE, served_per_s * 0.97)) is not None:
        probes.append(judge(queued(rate, served_per_s, probe_s(OBJECTIVE, rate, 1.0), rng), OBJECTIVE))
    found = bracket(probes)
    # Percentiles of a second near saturation are wild: a tenth to either side.
    assert truth * 0.9 < found.middle_per_s < truth * 1.1


# ---------------------------------------------------------------- all replicates together


def searched(middles_of, spare=1.02):
    """A scenario whose models' searches ended with these rates met, and a little more missed."""
    replicates = max(map(len, middles_of.values()))
    records = [
        factories.record("hello", at, [trial(model, at, middles[at], spare) for model, middles in middles_of.items()])
        for at in range(replicates)
    ]
    return observed(records, tuple(middles_of))


def trial(model, replicate, middle, spare):
    rng = np.random.default_rng(replicate)
    probes = [
        queued(rate, 10_000 if met else rate / 1.3, probe_s(OBJECTIVE, rate, 0.5), rng).measurement
        for rate, met in ((middle / spare, True), (middle / spare, True), (middle * spare, False), (middle * spare, False))
    ]
    return factories.trial(model, "hello", replicate, [], probes=probes)


def observed(records, models, objective="p99<=20ms"):
    return Observed(factories.run(models=models, scenarios=("hello",), objective=objective), "hello", records)


def test_replicates_make_an_estimate_that_spans_what_the_searches_left_open():
    found = capacities(searched({"epoll_loop": [1000, 1000, 1000]}))["epoll_loop"]
    assert found.rate_per_s.value == pytest.approx(1000)
    assert found.rate_per_s.low == pytest.approx(1000 / 1.02)
    assert found.rate_per_s.high == pytest.approx(1000 * 1.02)
    assert (found.met_per_s, found.missed_per_s) == (pytest.approx(1000 / 1.02), pytest.approx(1020))


def test_what_replicates_differ_by_is_in_the_range():
    found = capacities(searched({"epoll_loop": [800, 1000, 1250]}))["epoll_loop"].rate_per_s
    assert found.value == pytest.approx(1000)
    assert found.low == pytest.approx(800 / 1.02)
    assert found.high == pytest.approx(1250 * 1.02)


def test_a_run_without_an_objective_has_no_capacities():
    records = [factories.record("hello", 0, [factories.trial("epoll_loop", "hello", 0, [])])]
    assert capacities(observed(records, ("epoll_loop",), "")) == {}


def test_a_model_whose_replicates_all_miss_says_what_was_seen_at_the_lowest_rate():
    rng = np.random.default_rng(3)
    probes = [queued(100, 60, probe_s(OBJECTIVE, 100, 0.5), rng).measurement] * 2
    records = [
        factories.record("hello", at, [factories.trial("epoll_loop", "hello", at, [], probes=probes)]) for at in range(3)
    ]
    found = capacities(observed(records, ("epoll_loop",)))["epoll_loop"]
    assert found.rate_per_s is None
    assert found.why.startswith("cannot meet it (")
    assert "100/s" in found.why


def test_the_verdict_says_who_carries_most_within_it_and_who_cannot_meet_it():
    told = {
        "epoll_loop": Capacity("p99<=20ms", Estimate(9e4, 8.8e4, 9.2e4, []), 8.9e4, 9.1e4),
        "prefork": Capacity("p99<=20ms", Estimate(8.9e4, 8.7e4, 9.1e4, []), 8.8e4, 9e4),
        "thread_pool": Capacity("p99<=20ms", Estimate(5e4, 4.9e4, 5.1e4, []), 4.9e4, 5.1e4),
        "select_loop": Capacity("p99<=20ms", None, None, 50.0, "cannot meet it (p99 was 31 ms at 50/s)"),
    }
    made = factories.summary().scenarios[0]
    searched = with_capacities(made, told)
    said = searched.verdict.removeprefix(made.verdict)
    assert said == (
        " Within p99<=20ms epoll_loop carries most: 90.0k/s (88.0k/s to 92.0k/s); prefork may carry as much."
        " select_loop cannot meet it."
    )
    assert with_capacities(made, {}).verdict == made.verdict
    nobody = with_capacities(made, {"select_loop": told["select_loop"]})
    assert "nobody's capacity can be told. select_loop cannot meet it." in nobody.verdict
