"""Comparisons: which cells are compared, by what, how often they call what is not there, and what they refuse to call."""

import functools
import math
from dataclasses import replace

import factories
import numpy as np
import pytest

from benchmarks.analyse import summarise
from benchmarks.comparison import Comparison, Row, Side, compare, levels_of, metrics_of
from benchmarks.nouns import VisitRecord, Window, twin_of
from benchmarks.questions import Level

MODELS = ("epoll_loop", "asyncio_streams", "thread_pool")
LATER = "2026-01-03T03:04:05+00:00"


def visits(models=MODELS, blocks=range(4), seed=0, pace=1.0, scenario="hello", only=None, **changes) -> list[VisitRecord]:
    """Visits of an imagined machine; `only` keeps the levels of these labels."""
    made = []
    for model in models:
        for block in blocks:
            levels = [level for level in factories.levels(scenario) if only is None or level.label in only]
            windows = [window(model, scenario, level.label, seed + block, pace) for level in levels]
            made.append(factories.record(model, scenario, block, windows=windows, **changes))
    return made


@functools.cache
def window(model: str, scenario: str, label: str, seed: int, pace: float) -> Window:
    level = next(level for level in factories.levels(scenario) if level.label == label)
    return factories.window(model, scenario, level, seed, pace)


def side(name: str, records: list[VisitRecord], model: str = "", models=MODELS, scenarios=("hello",), **options) -> Side:
    run = factories.run(name=name, models=models, scenarios=scenarios, **options)
    return Side(name, replace(run, started_at=run.started_at if name == "before" else LATER), records, model)


def row(comparison: Comparison, level: str, metric: str, model: str = "") -> Row:
    return next(r for r in comparison.rows if (r.level, r.metric, r.model) == (level, metric, model))


def within(records: list[VisitRecord], one: str, other: str, **options) -> Comparison:
    return compare(*(replace(side("before", records, model, **options), name=model) for model in (one, other)))


# ---------------------------------------------------------------- one run


def test_two_models_of_a_run_are_compared_as_their_ranks_are():
    records = visits(blocks=range(5))
    comparison = within(records, "epoll_loop", "asyncio_streams")
    assert comparison.paired
    made = summarise(side("before", records).run, records, {})
    theirs = next(c for c in made.cells if (c.model, c.level.label) == ("asyncio_streams", "closed 64")).relative
    found = row(comparison, "closed 64", "throughput")
    assert found.ratio.value == pytest.approx(theirs.value)
    assert (found.ratio.low, found.ratio.high) == pytest.approx((theirs.low, theirs.high))
    assert (found.call, found.beyond_doubt) == ("slower", True)
    assert found.other / found.base == pytest.approx(found.ratio.value)


def test_each_level_tells_what_it_can():
    assert metrics_of(Level("closed", 64)) == ("throughput", "cpu", "memory")
    assert metrics_of(Level("open", 64, share=0.9)) == ("p50", "p90", "p99")
    assert metrics_of(Level("open", 64, share=1.0)) == metrics_of(Level("open", 64, share=1.1)) == ()
    assert metrics_of(Level("open", 64, rate_per_s=100.0)) == ("p50", "p90", "p99", "cpu")


def test_the_calls_say_what_is_better_for_every_metric():
    comparison = within(visits(), "epoll_loop", "thread_pool")
    assert row(comparison, "closed 64", "throughput").call == "slower"
    assert row(comparison, "closed 64", "cpu").call == "more"
    assert row(comparison, "closed 64", "memory").call == "more"
    assert row(comparison, "open 50%", "p50").call == "slower"
    backwards = within(visits(), "thread_pool", "epoll_loop")
    assert row(backwards, "closed 64", "cpu").call == "less"
    assert row(backwards, "open 50%", "p50").call == "faster"
    assert row(backwards, "open 50%", "p50").ratio.value == pytest.approx(1 / row(comparison, "open 50%", "p50").ratio.value)


def test_a_model_and_its_twin_are_not_told_apart():
    twins = [
        replace(record, plan=replace(record.plan, model=twin_of("epoll_loop"))) for record in visits(("epoll_loop",), seed=100)
    ]
    comparison = within([*visits(), *twins], "epoll_loop", twin_of("epoll_loop"), twin="epoll_loop")
    assert not any(row.beyond_doubt for row in comparison.rows)
    assert sum(row.call not in ("no difference seen", "") for row in comparison.rows) <= 3


# ---------------------------------------------------------------- two runs


def test_a_slower_run_is_seen_and_an_equal_one_is_not():
    before = side("before", visits())
    slower = compare(before, side("after", visits(seed=100, pace=0.9)))
    assert not slower.paired
    for model in MODELS:
        found = row(slower, "closed 16", "throughput", model)
        assert found.ratio.low < 0.9 < found.ratio.high
        assert (found.call, found.beyond_doubt) == ("slower", True)
    equal = compare(before, side("after", visits(seed=100)))
    assert not any(found.beyond_doubt for found in equal.rows)


def test_runs_of_other_weather_are_compared_in_the_weather_they_share():
    """Storms slow all by 15%, and the second run had more of them. By itself each run would call its commonest weather calm."""
    storm = {"before": factories.STORM, "after": factories.STORM}
    before = visits(blocks=range(3)) + visits(blocks=range(3, 5), pace=0.85, **storm)
    after = visits(blocks=range(2), seed=100) + visits(blocks=range(2, 6), seed=100, pace=0.85, **storm)
    comparison = compare(side("before", before), side("after", after))
    found = row(comparison, "closed 64", "throughput", "epoll_loop")
    assert found.ratio.low < 1 < found.ratio.high
    assert found.ratio.value == pytest.approx(1, abs=0.03)
    nothing = compare(side("before", visits()), side("after", visits(pace=0.85, **storm)))
    assert {found.why_not for found in nothing.rows if not found.seen} == {"the two runs have no weather in common"}


def test_models_of_two_runs_are_compared_across_them():
    base, other = side("before", visits(), "epoll_loop"), side("after", visits(seed=100), "thread_pool")
    found = row(compare(base, other), "closed 64", "throughput")
    assert found.ratio.value == pytest.approx(0.755, abs=0.03)
    assert found.difference.freedom == 12  # that of the two cells, and of the model that both runs have besides
    assert found.beyond_doubt


def test_what_only_one_run_has_is_said():
    before = side("before", [*visits(), *visits(scenario="wait")], scenarios=("hello", "wait"))
    after = side("after", visits(MODELS[:2]), models=(*MODELS[:2], "prefork"))
    comparison = compare(before, after)
    assert comparison.missing == ["scenario wait", "model thread_pool"]
    assert comparison.added == ["model prefork"]
    assert {found.model for found in comparison.rows} == set(MODELS[:2])


def test_a_twin_is_no_model_of_its_own_between_runs():
    twins = [replace(r, plan=replace(r.plan, model=twin_of("epoll_loop"))) for r in visits(("epoll_loop",), seed=50)]
    before, after = side("before", [*visits(), *twins], twin="epoll_loop"), side("after", visits(seed=100))
    comparison = compare(before, after)
    assert comparison.missing == []
    assert {found.model for found in comparison.rows} == set(MODELS)


# ---------------------------------------------------------------- what can't be compared


def busy(records: list[VisitRecord], model: str, label: str) -> list[VisitRecord]:
    """The same visits with an engine at its limit in one cell."""

    def spoiled(window: Window) -> Window:
        return replace(window, load=replace(window.load, busy_fraction=0.97)) if window.level.label == label else window

    return [replace(r, windows=[spoiled(w) for w in r.windows]) if r.plan.model == model else r for r in records]


@pytest.mark.parametrize("paired", [True, False])
def test_a_struck_cell_is_shown_and_never_called(paired):
    records = busy(visits(), "epoll_loop", "closed 64")
    if paired:
        found = row(within(records, "epoll_loop", "thread_pool"), "closed 64", "throughput")
    else:
        found = row(compare(side("before", visits()), side("after", records)), "closed 64", "throughput", "epoll_loop")
    assert (found.call, found.ratio, found.seen) == ("", None, False)
    assert "struck: engine saturated" in found.why_not
    assert ("after" in found.why_not) is not paired


def test_a_struck_cell_tells_nothing_of_the_noise_of_others():
    wild = visits(("thread_pool",))
    for at, record in enumerate(wild):
        windows = [replace(w, load=replace(w.load, completed=w.load.completed // (1 + at))) for w in record.windows]
        wild[at] = replace(record, windows=windows)
    quiet = visits(MODELS[:2])
    struck = busy([*quiet, *wild], "thread_pool", "closed 16")
    one, other = (row(within(records, *MODELS[:2]), "closed 16", "throughput") for records in (quiet, struck))
    assert one.ratio == other.ratio


def test_a_failed_model_is_named_with_its_reason():
    failed = [factories.failed_record("thread_pool", "hello", block) for block in range(2)]
    comparison = compare(side("before", visits()), side("after", [*visits(MODELS[:2], seed=9), *failed]))
    found = row(comparison, "closed 64", "throughput", "thread_pool")
    assert found.why_not == "after: failed (launch: no ready line within 10 s)"
    assert not found.seen


def test_a_percentile_wants_its_requests():
    asked = side("before", visits(scenario="cpu"), scenarios=("cpu",))
    comparison = compare(asked, side("after", visits(scenario="cpu", seed=100), scenarios=("cpu",)))
    assert row(comparison, "open 200/s", "p50", "epoll_loop").call
    p99 = row(comparison, "open 200/s", "p99", "epoll_loop")
    assert (p99.ratio, p99.seen) == (None, True)  # nobody's failure: the rate gives no more in such a window
    assert p99.why_not == "too few requests"


def test_overload_is_no_latency():
    """prefork can't carry 2,000 waits a second; with both sides so nothing is lost, but one that no longer carries it is."""
    models = ("epoll_loop", "prefork")
    records = visits(models, scenario="wait")
    options = {"models": models, "scenarios": ("wait",)}
    found = row(within(records, *models, **options), "open 2000/s", "p50")
    assert (found.call, found.why_not, found.seen) == ("", "prefork: overloaded", False)
    both = compare(side("before", records, **options), side("after", visits(models, scenario="wait", seed=9), **options))
    assert (row(both, "open 2000/s", "p50", "prefork").why_not, row(both, "open 2000/s", "p50", "prefork").seen) == (
        "both overloaded", True
    )  # fmt: skip
    better = row(within(records, *models[::-1], **options), "open 2000/s", "p50")
    assert (better.why_not, better.seen) == ("prefork overloaded, epoll_loop not", True)


def test_one_visit_each_has_ratios_and_makes_no_call():
    comparison = compare(side("before", visits(blocks=range(1))), side("after", visits(blocks=range(1), seed=9)))
    found = row(comparison, "closed 64", "throughput", "epoll_loop")
    assert found.ratio.value == pytest.approx(1, abs=0.1)
    assert (found.ratio.low, found.call, found.difference) == (None, "", None)
    assert found.why_not == "one visit shows no noise"


def test_equal_memory_is_no_proof_of_no_noise():
    """Pages are what memory is counted in, so the ratio of two equal counts is not known to the byte."""

    def sized(records: list[VisitRecord]) -> list[VisitRecord]:
        return [
            replace(r, windows=[replace(w, server=replace(w.server, uss_bytes=16_384_000)) for w in r.windows]) for r in records
        ]

    found = row(
        compare(side("before", sized(visits())), side("after", sized(visits(seed=100)))), "closed 64", "memory", MODELS[0]
    )
    assert (found.ratio.value, found.call) == (1.0, "no difference seen")
    page = 4096 / 16_384_000
    assert page / 10 < found.ratio.high - 1 < page


def test_levels_come_closed_first_then_shares_then_common_rates():
    found = levels_of(visits(("epoll_loop",), range(1))[::-1], "hello")
    kinds = ["closed" if level.loop == "closed" else "share" if level.share else "rate" for level in found]
    assert list(dict.fromkeys(kinds)) == ["closed", "share", "rate"]
    assert kinds == sorted(kinds, key=["closed", "share", "rate"].index)
    for kind in ("closed", "share", "rate"):
        own = [level for level, k in zip(found, kinds, strict=True) if k == kind]
        loads = [level.share or level.rate_per_s or level.connections for level in own]
        assert loads == sorted(loads)
    assert levels_of([], "hello") == []


def test_a_selection_of_scenarios_is_corrected_for_itself_alone():
    records = [*visits(seed=3), *visits(scenario="wait", seed=3)]
    later = [*visits(seed=100, pace=0.975), *visits(scenario="wait", seed=100)]
    scenarios = ("hello", "wait")
    comparison = compare(side("before", records, scenarios=scenarios), side("after", later, scenarios=scenarios))
    chosen = comparison.only(["hello"])
    assert {found.scenario for found in chosen.rows} == {"hello"}
    all_sure = {(r.level, r.metric, r.model) for r in comparison.rows if r.beyond_doubt and r.scenario == "hello"}
    assert all_sure <= {(r.level, r.metric, r.model) for r in chosen.rows if r.beyond_doubt}


# ---------------------------------------------------------------- how often it is wrong


BLOCKS = [math.exp(by) for by in np.random.default_rng(1).normal(0, 0.1, 20)]


def simulated(
    rng: np.random.Generator, template: VisitRecord, model: str, blocks: int, truth: float, of_blocks: list[float]
) -> list[VisitRecord]:
    """Visits that differ in their memory alone, which no check can object to: 2% of noise, and what their blocks share."""
    made = []
    (window,) = template.windows
    for block in range(blocks):
        size = 1e9 * truth * of_blocks[block] * math.exp(rng.normal(0, 0.02))
        server = replace(window.server, uss_bytes=round(size))
        plan = replace(template.plan, model=model, block=block, number=block)
        made.append(replace(template, plan=plan, windows=[replace(window, server=server)]))
    return made


@pytest.mark.parametrize("blocks", [3, 10])
@pytest.mark.parametrize("paired", [True, False])
def test_false_calls_are_one_in_twenty_intervals_cover_and_what_is_there_is_found(blocks, paired):
    """Simulated: blocks differ by 10%, which a run's pairs lose. Between runs a block means nothing: there they are alike."""
    rng = np.random.default_rng(blocks)
    (template,) = visits(("epoll_loop",), range(1), only=("closed 1",))
    truths = {"epoll_loop": 1.0, "select_loop": 1.0, "thread_pool": 0.85}
    options = {"models": tuple(truths)}
    seen = []
    for _ in range(60):
        if paired:
            records = [v for model, truth in truths.items() for v in simulated(rng, template, model, blocks, truth, BLOCKS)]
            others = ("select_loop", "thread_pool")
            seen += [(row(within(records, "epoll_loop", m, **options), "closed 1", "memory"), truths[m]) for m in others]
        else:
            runs = [
                [v for model in truths for v in simulated(rng, template, model, blocks, truths[model] ** late, [1.0] * blocks)]
                for late in (0, 1)
            ]
            whole = compare(*(side(name, run, **options) for name, run in zip(("before", "after"), runs, strict=True)))
            seen += [(row(whole, "closed 1", "memory", model), truth) for model, truth in truths.items()]
    false = [one.call != "no difference seen" for one, truth in seen if truth == 1]
    found = [one.call == "less" for one, truth in seen if truth < 1]
    covered = [one.ratio.low <= truth <= one.ratio.high for one, truth in seen]
    assert 0.01 <= np.mean(false) <= 0.10
    assert 0.91 <= np.mean(covered) <= 0.98
    assert np.mean(found) >= 0.95
