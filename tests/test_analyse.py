"""From records to a summary: what counts, what a cell says, who stands where, the verdict, and the run as a whole."""

import itertools
from dataclasses import replace

import factories
import msgspec
import pytest

from benchmarks.analyse import conditions, summarise, timeline
from benchmarks.checks.service import jain
from benchmarks.nouns import MachineState, ReplicateRecord, Series, Trial
from benchmarks.packing import packed
from benchmarks.summaries import CellSummary, Estimate, Pair, PairCounts, Result, RunSummary, ScenarioSummary, Standing
from benchmarks.verdict import listed, some, verdict

TWO = ("epoll_loop", "thread_pool")


def summarised(records: list[ReplicateRecord], **options: object) -> RunSummary:
    return summarise(factories.run(**options), records, {})


def of_hello(models: tuple[str, ...] = TWO, replicates: int = 4, changes=None, **options: object) -> RunSummary:
    """A run of hello by some models; `changes` makes another trial of one."""
    records = []
    for replicate in range(replicates):
        trials = [factories.trial(model, "hello", replicate) for model in models]
        records.append(factories.record("hello", replicate, [changes(one, replicate) if changes else one for one in trials]))
    return summarised(records, models=models, scenarios=("hello",), replicates=replicates, **options)


def at_every_level(trial: Trial, **load: object) -> Trial:
    """The trial with other facts of the engine's at all levels."""
    made = [replace(one, load=replace(one.load, **load)) for one in trial.measurements]  # type: ignore[arg-type]
    return replace(trial, measurements=made)


def cell(summary: RunSummary, model: str, scenario: str, label: str) -> CellSummary:
    return next(c for c in summary.cells if (c.model, c.scenario, c.level.label) == (model, scenario, label))


def standing(summary: RunSummary, model: str, scenario: str) -> Standing:
    made = next(s for s in summary.scenarios if s.scenario == scenario)
    return next(s for s in made.standings if s.model == model)


# ---------------------------------------------------------------- what counts


def test_a_measurement_that_alone_is_invalid_is_left_out_of_its_cells_numbers():
    def busy_once(trial: Trial, replicate: int) -> Trial:
        return at_every_level(trial, busy_fraction=0.95) if (trial.model, replicate) == ("epoll_loop", 1) else trial

    found = cell(of_hello(changes=busy_once), "epoll_loop", "hello", "closed 64")
    assert len(found.rate_per_s.replicates) == 3
    assert not found.invalid
    assert any(f.severity == "warning" and f.observed.endswith("(in 1 of 4 replicates); left out") for f in found.findings)


def test_a_cell_of_which_half_is_invalid_is_shown_with_all_its_replicates():
    def busy_twice(trial: Trial, replicate: int) -> Trial:
        return at_every_level(trial, busy_fraction=0.95) if trial.model == "epoll_loop" and replicate < 2 else trial

    found = cell(of_hello(changes=busy_twice), "epoll_loop", "hello", "closed 64")
    assert found.invalid
    assert len(found.rate_per_s.replicates) == 4


def test_failed_trials_never_count():
    made = factories.summary()
    assert len(cell(made, "thread_pool", "wait", "closed 16").rate_per_s.replicates) == 3
    assert standing(made, "thread_pool", "wait").warnings[0] == "1 of 4 trials failed"


def test_an_invalid_model_takes_part_in_the_rounds_and_in_nobodys_noise():
    def wild(trial: Trial, replicate: int) -> Trial:
        if trial.model != "thread_pool":
            return trial
        made = at_every_level(trial, busy_fraction=0.99)
        slower = [
            replace(
                one,
                rounds=replace(one.rounds, completed=[count // (1 + 3 * (replicate % 2)) for count in one.rounds.completed]),
            )
            for one in made.measurements
        ]
        return replace(made, measurements=slower)

    models = ("epoll_loop", "select_loop", "asyncio_protocol", "thread_pool")
    with_wild, without = of_hello(models, changes=wild), of_hello(models[:3])
    assert cell(with_wild, "thread_pool", "hello", "closed 16").invalid
    ratios = [cell(made, "select_loop", "hello", "closed 16").ratio for made in (with_wild, without)]
    assert ratios[0].value == pytest.approx(ratios[1].value, rel=0.01)
    assert ratios[0].high / ratios[0].low == pytest.approx(ratios[1].high / ratios[1].low, rel=0.05)


# ---------------------------------------------------------------- what a cell says


def test_the_absolute_value_has_the_range_of_the_replicates_and_the_ratio_an_interval():
    made = factories.summary()
    rate, ratio = (getattr(cell(made, "asyncio_protocol", "hello", "closed 16"), name) for name in ("rate_per_s", "ratio"))
    assert (rate.low, rate.high) == (min(rate.replicates), max(rate.replicates))
    assert rate.low < 0.9 * rate.high  # one replicate's machine was 15% slower
    assert ratio.high / ratio.low < 1.06  # and all models' alike
    best = cell(made, "epoll_loop", "hello", "closed 16").rate_per_s
    assert ratio.value == pytest.approx(rate.value / best.value)


def test_fairness_is_a_matter_of_closed_loops():
    made = factories.summary()
    assert cell(made, "epoll_loop", "hello", "closed 64").fairness == pytest.approx(1, abs=0.01)
    assert cell(made, "prefork", "hello", "closed 64").fairness == pytest.approx(16 / 64, abs=0.01)
    assert cell(made, "epoll_loop", "hello", "open 50%").fairness is None


def test_failed_requests_are_no_goodput():
    def failing(trial: Trial, _: int) -> Trial:
        made = [replace(one, load=replace(one.load, errors={"reset": one.load.completed})) for one in trial.measurements]
        return replace(trial, measurements=made)

    before, after = of_hello(replicates=2), of_hello(replicates=2, changes=failing)
    for label in ("closed 1", "open 50%"):
        healthy, failed = (cell(made, "epoll_loop", "hello", label) for made in (before, after))
        assert failed.rate_per_s == healthy.rate_per_s
        assert failed.error_share == pytest.approx(0.5)


def test_a_model_that_failed_has_cells_without_numbers_and_a_standing_that_says_why():
    made = factories.summary()
    found = cell(made, "gevent_greenlets", "cpu", "closed 16")
    assert (found.rate_per_s, found.rank, found.response_curve, found.rss_bytes) == (None, None, [], None)
    assert {quantile.status for quantile in found.response} == {"insufficient"}
    assert standing(made, "gevent_greenlets", "cpu").failed == "launch: no ready line within 10 s"
    assert standing(made, "gevent_greenlets", "hello").failed == ""


def test_costs_are_per_request():
    made = factories.trial("epoll_loop", "hello")
    measured = next(one for one in made.measurements if one.level.label == "closed 64")
    found = cell(of_hello(("epoll_loop",), 1), "epoll_loop", "hello", "closed 64")
    server, load = measured.server, measured.load
    whole_us = found.cpu_user_us.value + found.cpu_system_us.value
    assert whole_us == pytest.approx((server.cpu_user_ns + server.cpu_system_ns) / 1e3 / load.completed, rel=0.05)
    assert found.cpu_user_us.value / whole_us == pytest.approx(server.cpu_user_ns / (server.cpu_user_ns + server.cpu_system_ns))
    switches = server.voluntary_switches + server.involuntary_switches
    assert found.switches_per_request == pytest.approx(switches / server.counted_requests)
    assert 0.5 < found.server_busy <= 1


def test_memory_of_its_own_is_unknown_beside_other_servers():
    assert cell(factories.summary(), "epoll_loop", "hello", "closed 64").uss_bytes is None
    apart = of_hello(changes=lambda trial, _: replace(trial, measurements=[factories.alone(one) for one in trial.measurements]))
    assert cell(apart, "epoll_loop", "hello", "closed 64").uss_bytes > 16_000_000


@pytest.mark.parametrize(("completions", "index"), [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)])
def test_jains_index(completions, index):
    assert jain(completions) == pytest.approx(index)


# ---------------------------------------------------------------- who stands where


def test_closed_loop_latency_ranks_nobody():
    for found in factories.summary().cells:
        if found.level.loop == "closed":
            assert found.ranked_by in ("goodput", "")
        elif found.level.share is not None:
            assert (found.rank, found.ranked_by, found.ratio) == (None, "", None)
        else:
            assert found.ranked_by in ("p99", "p50", "")


def test_latency_is_ranked_by_p99_where_all_know_theirs_else_by_the_median():
    made = factories.summary()
    assert cell(made, "epoll_loop", "hello", "open 20000/s").ranked_by == "p99"
    few = of_hello(changes=lambda trial, _: at_every_level(trial, response=factories.times(1e6, 100)))
    assert cell(few, "epoll_loop", "hello", "open 20000/s").ranked_by == ""  # counts contradict each other: invalid


def test_an_overloaded_cell_has_no_rank():
    found = cell(factories.summary(), "prefork", "wait", "open 2000/s")
    assert "overloaded" in [finding.check for finding in found.findings]
    assert found.rank is None
    assert found.response[2].status == "at least"


def test_an_invalid_cell_is_shown_and_not_ranked():
    found = cell(factories.summary(), *factories.INVALID)
    assert found.invalid
    assert found.rate_per_s is not None
    assert found.rank is None


def test_an_invalid_peak_is_of_the_standing_and_stands_behind_the_others():
    def busy(trial: Trial, _: int) -> Trial:
        return at_every_level(trial, busy_fraction=0.95) if trial.model == "epoll_loop" else trial

    made = of_hello(("epoll_loop", "thread_pool", "asyncio_protocol"), changes=busy)
    found = standing(made, "epoll_loop", "hello")
    assert found.invalid.startswith("engine saturated: ")
    assert (found.rank, found.ratio) == (None, None)
    assert found.peak_per_s is not None
    order = [s.model for s in made.scenarios[0].standings]
    assert order == ["asyncio_protocol", "thread_pool", "epoll_loop"]  # though it served more
    assert "Not ranked: epoll_loop (invalid)." in made.scenarios[0].verdict
    assert made.scenarios[0].pairs.open >= 2  # those with the invalid one


def test_standings_are_best_first_and_failures_last():
    for scenario in factories.summary().scenarios:
        ranks = [s.rank or 99 for s in scenario.standings]
        assert ranks == sorted(ranks)
        assert all(s.failed == "" for s in scenario.standings[:-1])


def test_values_and_ratios_never_contradict_each_other():
    for scenario in factories.summary().scenarios:
        best = scenario.standings[0].results[0].value.value
        for one in scenario.standings:
            if one.ratio:
                assert one.ratio.value == pytest.approx(one.results[0].value.value / best)
                assert one.ratio == one.results[0].ratio
        within = [s.results[0].value.value for s in scenario.standings if s.rank]
        assert [s.rank for s in sorted((s for s in scenario.standings if s.rank), key=lambda s: -s.results[0].value.value)] == [
            s.rank for s in scenario.standings if s.rank
        ]
        assert max(within) == best


def test_ties_share_a_rank():
    ranks = {s.model: s.rank for s in factories.summary().scenarios[2].standings}
    assert set(ranks.values()) == {1, None}  # the CPU is the limit, whoever waits for it


def test_all_pairs_are_counted_and_listed():
    for scenario in factories.summary().scenarios:
        pairs, calls = scenario.pairs, [pair.call for pair in scenario.pair_list]
        assert pairs.total == len(calls) == 8 * 7 // 2
        assert (pairs.different, pairs.same, pairs.open) == tuple(calls.count(c) for c in ("different", "same", "open"))
        names = {frozenset((pair.one, pair.other)) for pair in scenario.pair_list}
        assert names == {frozenset(two) for two in itertools.combinations(factories.MODELS, 2)}
        assert scenario.replicate_sd is not None
        assert scenario.window_sd == pytest.approx(factories.WINDOW_CV, rel=0.5)


def test_what_is_the_same_is_by_the_margin_that_was_asked_for():
    assert factories.summary().scenarios[0].measures[0].margin == 0.03
    wide = summarise(factories.run(same=0.5), factories.records(), {}).scenarios[0]
    assert wide.measures[0].margin == 0.5
    assert wide.pairs.same > 10


def test_the_cpu_time_of_a_request_is_at_the_ranked_level():
    made = factories.summary()
    found, peak = standing(made, "epoll_loop", "hello"), cell(made, "epoll_loop", "hello", "closed 16")
    assert found.peak_level == "closed 16" or found.peak_level.startswith("closed")
    peak = cell(made, "epoll_loop", "hello", found.peak_level)
    assert found.cpu_us.value == pytest.approx(peak.cpu_user_us.value + peak.cpu_system_us.value, rel=1e-3)


def test_warnings_say_from_which_level_on():
    made = factories.summary()
    assert "engine saturated from 256, invalid" in standing(made, "select_loop", "hello").warnings
    assert standing(made, "epoll_loop", "hello").warnings == []


def test_one_replicate_gives_values_without_intervals_or_ranks():
    made = of_hello(tuple(factories.MODELS), replicates=1)
    found = cell(made, "epoll_loop", "hello", "closed 16")
    assert (found.rate_per_s.low, found.rank) == (None, None)
    scenario = made.scenarios[0]
    assert (scenario.replicate_sd, scenario.resolution) == (None, None)
    assert scenario.pairs.open == scenario.pairs.total
    assert scenario.standings[0].model == "epoll_loop"
    assert "too few replicates show the noise" in scenario.verdict
    assert "one replicate" in [finding.check for finding in made.findings]


# ---------------------------------------------------------------- the run as a whole


def test_the_summary_counts_every_trial_and_goes_through_json():
    made = factories.summary()
    assert made.trials_made == 8 * 3 * factories.REPLICATES
    assert (made.trials_failed, made.replicates) == (5, factories.REPLICATES)
    assert msgspec.json.decode(msgspec.json.encode(made), type=RunSummary) == made


def test_no_records_make_a_summary_of_nothing():
    made = summarised([])
    assert (made.cells, made.replicates) == ([], 0)
    assert {s.failed for scenario in made.scenarios for s in scenario.standings} == {"it was not measured"}
    assert {scenario.verdict.split(".")[0] for scenario in made.scenarios} == {"No model has a number that counts"}


def test_records_in_any_order_make_the_same_summary():
    backwards = summarise(factories.run(), factories.records()[::-1], {"cpu_model": "Imagined CPU at 3 GHz"})
    assert backwards.scenarios == factories.summary().scenarios


def test_a_shared_core_makes_nothing_comparable():
    made = of_hello(replicates=2, driver_cpus=(0,))
    assert not made.comparable
    assert "compare none of this" in made.scenarios[0].verdict


def test_packed_records_make_the_same_summary_but_for_the_last_digits_of_percentiles():
    run = factories.run()
    made = summarise(run, [packed(one, run) for one in factories.records()], {"cpu_model": "Imagined CPU at 3 GHz"})
    whole = factories.summary()
    assert [one.standings[0].results[0] for one in made.scenarios] == [one.standings[0].results[0] for one in whole.scenarios]
    assert [one.pairs for one in made.scenarios] == [one.pairs for one in whole.scenarios]
    percentiles = [cell(of, "epoll_loop", "hello", "open 20000/s").response[1].value_ns for of in (made, whole)]
    assert percentiles[0] == pytest.approx(percentiles[1], rel=0.11)
    assert made.conditions == whole.conditions


def test_a_time_line_goes_through_all_levels_at_their_pace():
    points = timeline(factories.trial("epoll_loop", "hello").measurements)
    assert [p.at_s for p in points] == sorted(p.at_s for p in points)
    assert points[0].at_s == 0
    assert list(dict.fromkeys(p.level for p in points)) == [level.label for level in factories.levels("hello")]
    last = [p for p in points if p.level == "open 50%"]
    assert len(last) == 5  # the long window alone, half a second
    assert last[-1].rate_per_s == pytest.approx(last[0].rate_per_s, rel=0.01)


def test_a_time_line_is_of_the_first_replicate_that_did_not_fail():
    lines = {line.model: line for line in factories.summary().timelines if line.scenario == "cpu"}
    assert "gevent_greenlets" not in lines
    assert {line.replicate for line in lines.values()} == {0}


def test_a_time_line_has_the_same_points_whatever_the_steps_of_the_series():
    made = factories.trial("epoll_loop", "hello").measurements[-1]
    coarse = Series(100_000_000, [100, 200, 90], [0, 0, 0], [5_000_000, 9_000_000, 1_000_000])
    fine = Series(
        10_000_000, [10] * 10 + [20] * 10 + [18] * 5, [0] * 25,
        [5_000_000] + [1] * 9 + [1] * 9 + [9_000_000] + [1_000_000] * 5,
    )  # fmt: skip
    lines = [timeline([replace(made, load=replace(made.load, series=s), long_s=0.25)]) for s in (coarse, fine)]
    assert lines[0] == lines[1]
    assert [(p.at_s, round(p.rate_per_s), p.worst_ms) for p in lines[1]] == [
        (0.0, 1000, 5.0),
        (0.1, 2000, 9.0),
        (0.2, 1800, 1.0),
    ]
    seconds_each = Series(1_000_000_000, [100, 200], [0, 0], [1, 2])  # as wide as they are, if they are wider
    assert len(timeline([replace(made, load=replace(made.load, series=seconds_each), long_s=2.0)])) == 2


def test_the_machines_state_is_kept_with_its_time():
    assert factories.summary().machine[0] == (0.0, factories.CALM)
    assert (45.0, factories.CALM) in factories.summary().machine
    alone = [factories.record("hello", 0, before=MachineState(None, 40.0), after=None)]
    assert summarised(alone).machine == [(0.0, MachineState(None, 40.0))]


def test_the_small_print_names_what_the_numbers_depend_on():
    said = conditions(factories.run(), {"cpu_model": "Imagined CPU"}, factories.records())
    for part in (
        "Imagined CPU", "1 core for the server", "4 replicates of all models", "11 rounds at each level, windows of 50 ms",
        "2026-01-02", "servebench run",
    ):  # fmt: skip
        assert part in said
    assert "None" not in conditions(factories.run(), {})


def test_the_small_print_of_an_unfinished_run_says_how_many_replicates_there_are():
    run = factories.run(models=TWO, scenarios=("hello", "cpu"), replicates=3)
    whole = [factories.record(name, at, []) for at in range(3) for name in ("hello", "cpu")]
    assert "· 3 replicates of all models" in conditions(run, {}, whole)
    assert "· 2–3 of 3 replicates of all models" in conditions(run, {}, whole[:-1])
    assert "· 1 of 3 replicates of all models" in conditions(run, {}, whole[:2])
    assert "· 1 replicate of all models" in conditions(replace(run, options=replace(run.options, replicates=1)), {}, whole[:2])


# ---------------------------------------------------------------- the verdict


def test_verdicts_say_who_is_best_by_how_much_and_count_the_pairs():
    hello, wait, cpu = factories.summary().scenarios
    assert hello.verdict.startswith("epoll_loop serves most, 9")
    assert "× asyncio_protocol. " in hello.verdict or "–" in hello.verdict
    assert f"{hello.pairs.different} of 28 pairs differ, {hello.pairs.same} " in hello.verdict
    assert hello.verdict.endswith("Not ranked: select_loop (invalid).")
    assert "cannot be told apart from it" in wait.verdict or "the same within 3%" in wait.verdict
    assert cpu.verdict.startswith(
        ("No difference is significant: the rate is about 4", "All are the same within 3%: the rate is")
    )
    assert cpu.verdict.endswith("Not ranked: gevent_greenlets (failed).")


def placed(model: str, rank: int | None, value: float, ratio: float, **changes: object) -> Standing:
    estimate = factories.estimate(ratio)
    return factories.standing(model, rank, value, ratio, results=[Result(factories.estimate(value), rank, estimate)], **changes)


RATE = factories.scenario_summary("hello", []).measures[0]
P90 = replace(RATE.metric, quantity="p90")
LEAST = replace(RATE, title="p90 of hello among work", better="less", unit="time", metric=P90, margin=0.1)


def pair(one: str, other: str, call: str) -> Pair:
    return Pair(one, other, factories.estimate(1.0), call)  # type: ignore[arg-type]


def test_a_verdict_names_the_best_its_equals_and_the_next():
    standings = [
        placed("epoll_loop", 1, 98_400.0, 1.0), placed("prefork_epoll", 1, 98_000.0, 0.99),
        placed("poll_loop", 3, 81_300.0, 0.826),
    ]  # fmt: skip
    pairs = [pair("epoll_loop", "prefork_epoll", "same"), pair("epoll_loop", "poll_loop", "different")]
    assert verdict(standings, RATE, PairCounts(3, 2, 1, 0), pairs) == (
        "epoll_loop serves most, 98.4k/s, 1.21× (1.19–1.23) poll_loop. prefork_epoll is the same within 3%. "
        "2 of 3 pairs differ, 1 is the same within 3%, 0 are open."
    )


def test_where_less_is_better_the_next_has_so_many_times_that():
    standings = [placed("epoll_loop", 1, 1.95e6, 1.0), placed("poll_loop", 2, 2.57e6, 1.32)]
    said = verdict(standings, LEAST, PairCounts(1, 1, 0, 0), [pair("epoll_loop", "poll_loop", "different")])
    assert said.startswith("epoll_loop has the lowest p90 of hello among work, 1.95 ms; poll_loop has 1.32× (1.29–1.35) that.")


def test_a_verdict_without_a_significant_difference_names_no_best():
    far = [placed("a", 1, 72_000.0, 1.0), placed("b", 1, 3_200.0, 0.04)]
    said = verdict(far, RATE, PairCounts(1, 0, 0, 1), [pair("a", "b", "open")])
    assert said.startswith("No difference is significant: the rate is 3.20k/s to 72.0k/s.")
    near = [placed("a", 1, 480.0, 1.0), placed("b", 1, 479.0, 0.998)]
    said = verdict(near, RATE, PairCounts(1, 0, 1, 0), [pair("a", "b", "same")])
    assert (
        said == "All are the same within 3%: the rate is about 480/s. 0 of 1 pair differs, 1 is the same within 3%, 0 are open."
    )


def test_a_verdict_about_one_model_claims_no_victory():
    first: ScenarioSummary = of_hello(("epoll_loop",), 2).scenarios[0]
    assert first.verdict.startswith("epoll_loop: the rate is ")
    assert "most" not in first.verdict


def test_a_verdict_on_nobody():
    assert verdict([], RATE, PairCounts(0, 0, 0, 0)) == "No model has a number that counts."


def test_a_verdict_speaks_of_the_a_a_comparison_only_where_it_is_wrong():
    standings, counts = (
        [placed("epoll_loop", 1, 98_400.0, 1.0), placed("poll_loop", 2, 81_300.0, 0.826)],
        PairCounts(1, 1, 0, 0),
    )
    assert "A/A" not in verdict(standings, RATE, counts, aa=Estimate(1.01, 0.99, 1.03))
    assert "A/A" not in verdict(standings, RATE, counts, aa=Estimate(1.01, 1.001, 1.02))
    assert "should be 1: trust no difference of 8.0%" in verdict(standings, RATE, counts, aa=Estimate(1.08, 1.06, 1.10))


@pytest.mark.parametrize(("words", "said"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_listed(words, said):
    assert listed(words) == said
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
