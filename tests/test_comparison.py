"""Comparisons: which cells are compared, by what, how often they call what is not there, and what they refuse to call."""

import functools
import math
from dataclasses import replace

import factories
import numpy as np
import pytest

from benchmarks.analyse import summarise
from benchmarks.comparison import Column, Comparison, Row, Side, Told, columns, compare, paired_row
from benchmarks.nouns import Measurement, ReplicateRecord, Trial, aa_arm
from benchmarks.questions import Level, Metric
from benchmarks.stats.difference import FALSE_CALL

MODELS = ("epoll_loop", "asyncio_streams", "thread_pool")
LABELS = ("closed 16", "closed 64", "open 50%", "open 20000/s")
LATER = "2026-01-03T03:04:05+00:00"


def records(
    models=MODELS, replicates=range(4), seed=0, pace=1.0, scenario="hello", only=LABELS, **changes
) -> list[ReplicateRecord]:
    """Replicates of an imagined machine; `only` keeps the levels of these labels."""
    made = []
    for number in replicates:
        trials = [trial(model, scenario, seed + number, pace, only) for model in models]
        made.append(factories.record(scenario, number, trials, **changes))
    return made


@functools.cache
def trial(model: str, scenario: str, seed: int, pace: float = 1.0, only: tuple[str, ...] | None = None) -> Trial:
    levels = [level for level in factories.levels(scenario) if only is None or level.label in only]
    made = [factories.measurement(model, scenario, level, seed, pace) for level in levels]
    return factories.trial(model, scenario, seed, made)


def side(name: str, made: list[ReplicateRecord], model: str = "", models=MODELS, scenarios=("hello",), **options) -> Side:
    run = factories.run(name=name, models=models, scenarios=scenarios, **options)
    return Side(name, replace(run, started_at=run.started_at if name == "before" else LATER), made, model)


def row(comparison: Comparison, level: str, metric: str, model: str = "") -> Row:
    return next(r for r in comparison.rows if (r.level, r.metric, r.model) == (level, metric, model))


def within(made: list[ReplicateRecord], one: str, other: str, **options) -> Comparison:
    return compare(*(replace(side("before", made, model, **options), name=model) for model in (one, other)))


def changed(made: list[ReplicateRecord], model: str, label: str, change) -> list[ReplicateRecord]:
    """The same records with a model's measurements at one level changed."""

    def spoiled(one: Measurement) -> Measurement:
        return change(one) if one.level.label == label else one

    return [
        replace(
            record,
            trials=[
                replace(t, measurements=[spoiled(one) for one in t.measurements]) if t.model == model else t
                for t in record.trials
            ],
        )
        for record in made
    ]


def busy(made: list[ReplicateRecord], model: str, label: str) -> list[ReplicateRecord]:
    """The same records with an engine at its limit in one cell."""
    return changed(made, model, label, lambda one: replace(one, load=replace(one.load, busy_fraction=0.97)))


# ---------------------------------------------------------------- one run


def test_two_models_of_a_run_are_compared_as_their_ranks_are():
    made = records(replicates=range(5))
    comparison = within(made, "epoll_loop", "asyncio_streams")
    assert comparison.paired
    summary = summarise(side("before", made).run, made, {})
    theirs = next(c for c in summary.cells if (c.model, c.level.label) == ("asyncio_streams", "closed 64")).ratio
    found = row(comparison, "closed 64", "rate")
    assert found.ratio.value == pytest.approx(theirs.value)
    assert (found.ratio.low, found.ratio.high) == pytest.approx((theirs.low, theirs.high))
    assert len(found.ratio.replicates) == 5
    assert found.call == "slower"
    assert found.other / found.base == pytest.approx(found.ratio.value)


def test_each_level_tells_what_it_can():
    def names(level: Level) -> tuple[str, ...]:
        return tuple(one.name for one in columns(level))

    assert names(Level("closed", 64)) == ("rate", "cpu", "memory")
    assert names(Level("open", 64, share=0.9)) == ("p50", "p90", "p99")
    assert names(Level("open", 64, share=1.0)) == names(Level("open", 64, share=1.1)) == ()
    assert names(Level("open", 64, rate_per_s=100.0)) == ("p50", "p90", "p99", "cpu")
    assert {one.margin for one in columns(Level("closed", 64))} == {0.03}
    assert {one.margin for one in columns(Level("open", 64, share=0.5))} == {0.10}
    assert {one.margin for one in columns(Level("closed", 64), 0.05)} == {0.05}


def test_the_calls_say_what_is_better_for_every_metric():
    comparison = within(records(), "epoll_loop", "thread_pool")
    assert row(comparison, "closed 64", "rate").call == "slower"
    assert row(comparison, "closed 64", "cpu").call == "more"
    assert row(comparison, "closed 64", "memory").call == "more"
    assert row(comparison, "open 50%", "p50").call == "slower"
    backwards = within(records(), "thread_pool", "epoll_loop")
    assert row(backwards, "closed 64", "cpu").call == "less"
    assert row(backwards, "open 50%", "p50").call == "faster"
    assert row(backwards, "open 50%", "p50").ratio.value == pytest.approx(1 / row(comparison, "open 50%", "p50").ratio.value)


def test_a_model_and_its_aa_arm_do_not_differ():
    arm = aa_arm("epoll_loop")
    made = records((*MODELS, arm))
    comparison = within(made, "epoll_loop", arm, aa="epoll_loop")
    assert {found.call for found in comparison.rows} <= {"same", "open", ""}
    assert any(found.call == "same" for found in comparison.rows)


def test_models_without_a_replicate_in_common_are_not_compared():
    made = [*records(("epoll_loop",), range(2)), *records(("thread_pool",), range(2, 4))]
    found = row(within(made, "epoll_loop", "thread_pool"), "closed 64", "rate")
    assert (found.ratio, found.call, found.why, found.excused) == (None, "", "no replicate in common", False)


def test_own_memory_is_compared_where_it_is_known_and_else_all_of_it():
    made = records(only=("closed 64",))
    found = row(within(made, "epoll_loop", "thread_pool"), "closed 64", "memory")
    held = factories.measurement("epoll_loop", "hello", Level("closed", 64)).server.rss_bytes
    assert found.base == pytest.approx(held)
    alone = made
    for model in MODELS:
        alone = changed(alone, model, "closed 64", factories.alone)
    found = row(within(alone, "epoll_loop", "thread_pool"), "closed 64", "memory")
    assert found.base == pytest.approx(16_060_000)


def test_any_metric_of_a_scenario_can_be_compared():
    """As a gate does: a quotient of two levels, by whose word less is better."""
    made = records()
    stretch = Column("stretch", Metric("p90", "open 50%", by=Metric("p50", "open 20000/s")), 0.1)
    told = Told(side("before", made).run, "hello", made)
    found = paired_row(told, stretch, "epoll_loop", "thread_pool", ("base", "head"), "a model")
    assert (found.model, found.level, found.metric, found.more_is_better) == ("a model", "open 50%", "stretch", False)
    assert found.judged
    assert found.other / found.base == pytest.approx(found.ratio.value)


# ---------------------------------------------------------------- two runs


def test_a_slower_run_is_seen_and_an_equal_one_is_not():
    before = side("before", records())
    slower = compare(before, side("after", records(seed=100, pace=0.8)))
    assert not slower.paired
    for model in MODELS:
        found = row(slower, "closed 16", "rate", model)
        assert found.ratio.low < 0.8 < found.ratio.high
        assert found.call == "slower"
    equal = compare(before, side("after", records(seed=100)))
    assert {found.call for found in equal.rows} <= {"same", "open", ""}


def test_models_of_two_runs_are_compared_across_them():
    base, other = side("before", records(), "epoll_loop"), side("after", records(seed=100), "thread_pool")
    found = row(compare(base, other), "closed 64", "rate")
    assert found.ratio.value == pytest.approx(0.755, abs=0.03)
    assert found.call == "slower"


def test_what_only_one_run_has_is_said():
    before = side("before", [*records(), *records(scenario="wait")], scenarios=("hello", "wait"))
    after = side("after", records(MODELS[:2]), models=(*MODELS[:2], "prefork"))
    comparison = compare(before, after)
    assert comparison.missing == ["scenario wait", "model thread_pool"]
    assert comparison.added == ["model prefork"]
    assert {found.model for found in comparison.rows} == set(MODELS[:2])


def test_an_aa_arm_is_no_model_of_its_own_between_runs():
    arm = aa_arm("epoll_loop")
    before, after = side("before", records((*MODELS, arm)), aa="epoll_loop"), side("after", records(seed=100))
    comparison = compare(before, after)
    assert comparison.missing == []
    assert {found.model for found in comparison.rows} == set(MODELS)


def test_a_level_that_only_the_new_run_has_is_excused():
    before, after = side("before", records(only=LABELS[:2])), side("after", records(seed=100))
    new = row(compare(before, after), "open 50%", "p50", "epoll_loop")
    assert (new.why, new.excused) == ("before: not measured", True)
    gone = row(compare(replace(after, name="before"), replace(before, name="after")), "open 50%", "p50", "epoll_loop")
    assert (gone.why, gone.excused) == ("after: not measured", False)


# ---------------------------------------------------------------- what can't be compared


@pytest.mark.parametrize("paired", [True, False])
def test_an_invalid_cell_is_shown_and_never_called(paired):
    made = busy(records(), "epoll_loop", "closed 64")
    if paired:
        found = row(within(made, "epoll_loop", "thread_pool"), "closed 64", "rate")
    else:
        found = row(compare(side("before", records()), side("after", made)), "closed 64", "rate", "epoll_loop")
    assert (found.call, found.ratio, found.excused, found.worse) == ("", None, False, False)
    assert "invalid (engine saturated)" in found.why
    assert ("after" in found.why) is not paired


def test_an_invalid_cell_tells_nothing_of_the_noise_of_others():
    made = records()
    spoiled = busy(made, "thread_pool", "closed 16")

    def wild(one: Measurement) -> Measurement:
        by = 1 + one.load.completed % 7
        return replace(one, rounds=replace(one.rounds, cpu_ns=[by * ns for ns in one.rounds.cpu_ns]))

    one, other = (
        row(within(records_of, *MODELS[:2]), "closed 16", "cpu")
        for records_of in (spoiled, changed(spoiled, "thread_pool", "closed 16", wild))
    )
    assert one.difference.error == pytest.approx(other.difference.error, rel=0.2)


def test_a_failed_model_is_named_with_its_reason_and_is_worse_than_one_that_served():
    failed = [
        replace(record, trials=[*record.trials, factories.failed_trial("thread_pool")])
        for record in records(MODELS[:2], seed=9)
    ]
    before = side("before", records())
    found = row(compare(before, side("after", failed)), "closed 64", "rate", "thread_pool")
    assert found.why == "after: failed (launch: no ready line within 10 s)"
    assert (found.excused, found.worse) == (False, True)
    mended = row(compare(replace(side("after", failed), name="before"), before), "closed 64", "rate", "thread_pool")
    assert (mended.excused, mended.worse) == (False, False)


def test_a_percentile_wants_its_requests():
    asked = side("before", records(scenario="cpu", only=("open 25%",)), scenarios=("cpu",))
    comparison = compare(asked, side("after", records(scenario="cpu", only=("open 25%",), seed=100), scenarios=("cpu",)))
    assert row(comparison, "open 25%", "p50", "epoll_loop").call
    p99 = row(comparison, "open 25%", "p99", "epoll_loop")
    assert (p99.ratio, p99.excused) == (None, True)  # nobody's failure: the rate gives no more in so short a time
    assert p99.why == "too few requests"


def test_overload_is_no_latency():
    """prefork can't carry 2,000 waits a second; with both sides so nothing is lost, but one that no longer carries it is."""
    models, only = ("epoll_loop", "prefork"), ("open 2000/s",)
    made = records(models, scenario="wait", only=only)
    options = {"models": models, "scenarios": ("wait",)}
    found = row(within(made, *models, **options), "open 2000/s", "p50")
    assert (found.call, found.why, found.excused, found.worse) == ("", "prefork: overloaded", False, True)
    again = side("after", records(models, scenario="wait", only=only, seed=9), **options)
    both = row(compare(side("before", made, **options), again), "open 2000/s", "p50", "prefork")
    assert (both.why, both.excused) == ("both overloaded", True)
    better = row(within(made, *models[::-1], **options), "open 2000/s", "p50")
    assert (better.why, better.excused) == ("prefork overloaded, epoll_loop not", True)


def test_one_replicate_each_has_ratios_and_makes_no_call():
    one = range(1)
    comparison = compare(side("before", records(replicates=one)), side("after", records(replicates=one, seed=9)))
    found = row(comparison, "closed 64", "rate", "epoll_loop")
    assert found.ratio.value == pytest.approx(1, abs=0.2)
    assert (found.ratio.low, found.call, found.judged) == (None, "", False)
    assert found.why == "one replicate shows no noise"


def test_equal_memory_is_no_proof_of_no_noise():
    """Pages are what memory is counted in, so the ratio of two equal counts is not known to the byte."""

    def sized(made: list[ReplicateRecord]) -> list[ReplicateRecord]:
        for model in MODELS:
            made = changed(made, model, "closed 64", lambda one: replace(one, server=replace(one.server, uss_bytes=16_384_000)))
        return made

    before, after = (records(only=("closed 64",), seed=seed) for seed in (0, 100))
    found = row(compare(side("before", sized(before)), side("after", sized(after))), "closed 64", "memory", MODELS[0])
    assert (found.ratio.value, found.call) == (1.0, "same")
    page = 4096 / 16_384_000
    assert page / 10 < found.ratio.high - 1 < page


def test_a_selection_of_scenarios_is_corrected_for_itself_alone():
    made = [*records(seed=3), *records(scenario="wait", seed=3, only=("closed 16",))]
    later = [*records(seed=100, pace=0.975), *records(scenario="wait", seed=100, only=("closed 16",))]
    scenarios = ("hello", "wait")
    comparison = compare(side("before", made, scenarios=scenarios), side("after", later, scenarios=scenarios))
    chosen = comparison.only(["hello"])
    assert {found.scenario for found in chosen.rows} == {"hello"}

    def sure(rows: list[Row]) -> set[tuple[str, str, str]]:
        return {(r.level, r.metric, r.model) for r in rows if r.call not in ("open", "") and r.scenario == "hello"}

    assert sure(comparison.rows) <= sure(chosen.rows)


# ---------------------------------------------------------------- how often it is wrong


def simulated(
    rng: np.random.Generator, template: ReplicateRecord, truths: dict[str, float], replicates: int, of_replicates: float
) -> list[ReplicateRecord]:
    """Trials that differ in their memory alone, which no check can object to: 2% of noise, and what a replicate shares."""
    made = []
    for number in range(replicates):
        shared, trials = math.exp(rng.normal(0, of_replicates)), []
        for one in template.trials:
            (only,) = one.measurements
            size = 1e9 * truths[one.model] * shared * math.exp(rng.normal(0, 0.02))
            server = replace(only.server, uss_bytes=round(size))
            trials.append(replace(one, measurements=[replace(only, server=server)]))
        made.append(replace(template, replicate=number, trials=trials))
    return made


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_cover_equals_seldom_seem_different_and_what_is_there_is_found(paired):
    """Simulated: replicates differ by 10%, which a run's pairs lose. Between runs they mean nothing: there they are alike."""
    rng, replicates = np.random.default_rng(1), 4
    truths = {"epoll_loop": 1.0, "select_loop": 1.0, "thread_pool": 0.85}
    (template,) = records(tuple(truths), range(1), only=("closed 1",))
    options, seen = {"models": tuple(truths)}, []
    for _ in range(15):
        if paired:
            made = simulated(rng, template, truths, replicates, 0.1)
            others = ("select_loop", "thread_pool")
            seen += [(row(within(made, "epoll_loop", m, **options), "closed 1", "memory"), truths[m]) for m in others]
        else:
            equal = dict.fromkeys(truths, 1.0)
            runs = [simulated(rng, template, of_run, replicates, 0.0) for of_run in (equal, truths)]
            whole = compare(*(side(name, run, **options) for name, run in zip(("before", "after"), runs, strict=True)))
            seen += [(row(whole, "closed 1", "memory", model), truth) for model, truth in truths.items()]
    false = [one.difference.p_value() < FALSE_CALL for one, truth in seen if truth == 1]
    found = [one.difference.p_value() < FALSE_CALL for one, truth in seen if truth < 1]
    covered = [one.ratio.low <= truth <= one.ratio.high for one, truth in seen]
    assert np.mean(false) <= 0.2
    assert np.mean(covered) >= 0.85
    assert np.mean(found) >= 0.9
