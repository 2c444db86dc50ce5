"""Cold starts and first visits: figures of their own, findings beyond the noise only, false alarms as rare as stated."""

import re
from dataclasses import replace

import factories
import numpy as np
import pytest

from benchmarks.analyse import summarise
from benchmarks.beginnings import cold_share, first_block, first_visit_finding, is_cold
from benchmarks.nouns import VisitRecord, Warmup
from benchmarks.report import as_markdown, as_text
from benchmarks.summaries import Estimate, RunSummary

MODELS = ("asyncio_protocol", "epoll_loop", "prefork", "select_loop")


@pytest.mark.parametrize(
    ("rates", "steady", "share"),
    [
        ([50.0, 100.0, 100.0, 100.0], True, 0.5),
        ([50.0, 80.0, 100.0, 100.0, 100.0], True, 0.5),  # the pace is that of the last three
        ([90.0, 100.0, 100.0], True, 0.9),  # and never the first's own
        ([150.0, 100.0, 100.0, 100.0, 100.0, 100.0], True, 1.5),
        ([50.0, 100.0, 150.0, 100.0], False, None),  # no pace, no share of it
        ([0.0, 100.0, 100.0, 100.0], True, None),
        ([100.0, 100.0], True, None),
    ],
)
def test_a_cold_start_is_the_first_round_by_the_steady_ones(rates, steady, share):
    assert cold_share(Warmup(9.0, rates, steady, round_s=1.0)) == share


def test_a_round_with_a_handful_of_answers_tells_no_cold_start():
    """In the reference run `cpu`, whose rounds held a few answers, told of first clients that got 19 times the pace."""
    rates = [950.0, 50.0, 50.0, 50.0]
    assert cold_share(Warmup(0.2, rates, steady=True, round_s=0.04)) is None
    assert cold_share(Warmup(0.2, rates, steady=True)) is None  # of an older record: its part of the time
    assert cold_share(Warmup(5.0, rates, steady=True, round_s=1.0)) == 19


def test_without_warm_up_there_is_no_cold_start():
    assert cold_share(None) is None
    assert cold_share(Warmup(0.2, [50.0, 0.0, 0.0, 0.0], steady=True)) is None  # work that takes longer than a round


@pytest.mark.parametrize(
    ("estimate", "cold"),
    [
        (Estimate(0.4, 0.35, 0.46, []), True),
        (Estimate(0.85, 0.7, 1.03, []), False),  # the noise may be all of it
        (Estimate(0.95, 0.94, 0.96, []), False),  # sure, but no more than one calls the same pace
        (Estimate(1.4, 1.2, 1.6, []), True),
        (Estimate(0.4, None, None, []), False),  # one visit shows no noise
    ],
)
def test_a_cold_start_is_told_when_it_is_beyond_the_noise(estimate, cold):
    assert is_cold(estimate) is cold


def run_of(cold: dict[str, float], first: float = 1.0, visits: int = 4) -> RunSummary:
    """A run in which these models' first rounds had so much of their pace, and all of block 0 so much of the later speed."""
    options = {"models": MODELS, "scenarios": ("hello",), "visits": {"hello": visits}}
    records = [
        begun(model, block, cold.get(model, 1.0), first if block == 0 else 1.0) for block in range(visits) for model in MODELS
    ]
    return summarise(factories.run(**options), records, {})


def begun(model: str, block: int, cold: float, pace: float) -> VisitRecord:
    noise = np.random.default_rng([block, *model.encode()]).normal(0, 0.02, 4)
    rates = [9e4 * float(np.exp(away)) * (cold if at == 0 else 1.0) for at, away in enumerate(noise)]
    windows = [factories.window(model, "hello", level, block, pace) for level in factories.levels("hello")]
    return factories.record(model, "hello", block, warmup=Warmup(0.2, rates, True), windows=windows)


def test_the_first_clients_pace_is_in_the_standing_and_in_the_report_and_in_no_other_figure():
    cold, warm = run_of({"prefork": 0.4}), run_of({})
    shares = {standing.model: standing.cold for standing in cold.scenarios[0].standings}
    assert set(shares) == set(MODELS)
    assert shares["prefork"].value == pytest.approx(0.4, rel=0.05)
    assert shares["epoll_loop"].value == pytest.approx(1.0, abs=0.05)
    assert len(shares["prefork"].visits) == 4
    (finding,) = (found for found in cold.findings if found.check == "cold start")
    assert re.search(r"got 0\.(39|40|41) from prefork \(0\.\d\d–0\.\d\d\)", finding.seen)
    assert finding.seen.endswith(" in hello")
    assert "epoll_loop" not in finding.seen
    assert "cold start" in as_markdown(cold)
    assert "cold start" in as_text(cold)
    assert cold.cells == warm.cells
    assert not [found for found in warm.findings if found.check == "cold start"]


def test_one_visit_each_shows_a_cold_start_but_judges_none():
    summary = run_of({"prefork": 0.4}, visits=1)
    assert next(s.cold for s in summary.scenarios[0].standings if s.model == "prefork").low is None
    assert not [found for found in summary.findings if found.check == "cold start"]


# ---------------------------------------------------------------- first visits


def test_a_first_block_that_ran_slower_is_told():
    summary = run_of({}, first=0.85)
    (finding,) = (found for found in summary.findings if found.check == "first visits")
    assert "slower in hello than the 3 others" in finding.seen
    assert not [found for found in run_of({}).findings if found.check == "first visits"]


def rates(rng: np.random.Generator, blocks: int, first: float = 1.0, block_cv: float = 0.02) -> dict[str, dict[int, float]]:
    """Eight models whose visits vary by 2%, and all together from block to block by `block_cv`."""
    together = rng.normal(0, block_cv, blocks) + np.where(np.arange(blocks) == 0, np.log(first), 0.0)
    return {f"model {m}": {b: 1e5 * float(np.exp(together[b] + rng.normal(0, 0.02))) for b in range(blocks)} for m in range(8)}


@pytest.mark.parametrize("blocks", [3, 5, 10])
@pytest.mark.parametrize("block_cv", [0.0, 0.05])
def test_chance_makes_a_first_block_differ_no_more_often_than_stated(blocks, block_cv):
    rng = np.random.default_rng(11)
    alarms = sum(first_block(rates(rng, blocks, block_cv=block_cv)).p < 0.05 for _ in range(1000))
    assert alarms <= 72  # 5% of 1000, and three standard deviations more


def test_a_first_block_beyond_the_others_noise_is_seen():
    rng = np.random.default_rng(12)
    seen = [first_block(rates(rng, 5, first=0.85)) for _ in range(200)]
    assert sum(made.p < 0.05 for made in seen) > 180
    assert np.mean([made.ratio for made in seen]) == pytest.approx(0.85, rel=0.02)


def test_blocks_that_were_added_for_some_models_hide_no_first_block():
    """An adaptive run: four blocks of all eight, then six of two or three; and one model failed in a block."""
    rng = np.random.default_rng(13)
    made = rates(rng, 10, first=0.6)
    names = list(made)
    added = {block: names[block % 4 :][: 2 + block % 2] for block in range(4, 10)}
    table = {m: {b: rate for b, rate in made[m].items() if b < 4 or m in added[b]} for m in names}
    del table[names[7]][2]
    found = first_block(table)
    assert found == first_block({m: {b: table[m][b] for b in range(4)} for m in names[:7]})
    assert (found.blocks, found.p < 0.05) == (4, True)
    assert first_visit_finding({"hello": table}).seen.endswith("in hello than the 3 others")


@pytest.mark.parametrize("extra", [2, 12])
def test_chance_makes_no_more_alarms_where_blocks_were_added(extra):
    rng = np.random.default_rng(14)
    alarms = 0
    for _ in range(1000):
        made = rates(rng, 3 + extra, block_cv=0.05)
        table = {m: {b: rate for b, rate in made[m].items() if b < 3 or m in ("model 0", "model 1")} for m in made}
        found = first_block(table)
        assert found.blocks == (3 if extra == 2 else 15)  # three of eight models are more than five of two
        alarms += found.p < 0.05
    assert alarms <= 72  # as above


@pytest.mark.parametrize(
    "blocks",
    [
        {},
        {"a": {0: 1.0, 1: 1.0}, "b": {0: 1.0, 1: 1.0}},  # two blocks
        {"a": {0: 1.0, 1: 1.0, 2: 1.0}},  # one model
        {"a": {1: 1.0, 2: 1.0, 3: 1.0}, "b": {1: 1.0, 2: 1.0, 3: 1.0}},  # no first block
        {"a": {0: 1.0, 1: 1.0, 2: 1.0}, "b": {0: 1.0, 1: 1.0}},  # one model in all of them
    ],
)
def test_too_little_is_compared_with_nothing(blocks):
    assert first_block(blocks) is None
    assert first_visit_finding({"hello": blocks}) is None


def test_equal_rates_are_no_difference_and_exact_ones_are():
    same = {model: dict.fromkeys(range(4), 100.0) for model in "ab"}
    assert first_block(same).p == 1.0
    slower = {model: {**of_model, 0: 50.0} for model, of_model in same.items()}
    assert first_block(slower).p == 0.0
    assert first_block(slower).ratio == pytest.approx(0.5)


def test_another_weather_is_no_beginning():
    """Later blocks in other weather are left out, and too few remain."""
    made = run_of({}, first=0.85)
    assert [found for found in made.findings if found.check == "first visits"]
    options = {"models": MODELS, "scenarios": ("hello",), "visits": {"hello": 4}}
    records = [begun(model, block, 1.0, 0.85 if block == 0 else 1.0) for block in range(4) for model in MODELS]
    records = [
        replace(record, before=factories.STORM, after=factories.STORM) if record.plan.block else record for record in records
    ]
    summary = summarise(factories.run(**options), records, {})
    assert not [found for found in summary.findings if found.check == "first visits"]
