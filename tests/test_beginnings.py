"""Cold starts: figures of their own, findings beyond the noise only."""

import re

import factories
import numpy as np
import pytest

from benchmarks.analyse import summarise
from benchmarks.beginnings import cold_share, is_cold
from benchmarks.nouns import Trial, Warmup
from benchmarks.report import as_markdown
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
def test_a_cold_start_is_the_first_load_by_the_steady_ones(rates, steady, share):
    assert cold_share(Warmup(9.0, rates, steady, round_s=1.0)) == share


def test_a_load_with_a_handful_of_answers_tells_no_cold_start():
    """In the reference run `cpu`, whose loads held a few answers, told of first clients that got 19 times the pace."""
    rates = [950.0, 50.0, 50.0, 50.0]
    assert cold_share(Warmup(0.2, rates, steady=True, round_s=0.04)) is None
    assert cold_share(Warmup(0.2, rates, steady=True)) is None  # of an older record: its part of the time
    assert cold_share(Warmup(5.0, rates, steady=True, round_s=1.0)) == 19


def test_without_warm_up_there_is_no_cold_start():
    assert cold_share(None) is None
    assert cold_share(Warmup(0.2, [50.0, 0.0, 0.0, 0.0], steady=True)) is None  # work that takes longer than a load


@pytest.mark.parametrize(
    ("estimate", "cold"),
    [
        (Estimate(0.4, 0.35, 0.46, []), True),
        (Estimate(0.85, 0.7, 1.03, []), False),  # the noise may be all of it
        (Estimate(0.95, 0.94, 0.96, []), False),  # sure, but no more than one calls the same pace
        (Estimate(1.4, 1.2, 1.6, []), True),
        (Estimate(0.4, None, None, []), False),  # one replicate shows no noise
    ],
)
def test_a_cold_start_is_told_when_it_is_beyond_the_noise(estimate, cold):
    assert is_cold(estimate) is cold


def run_of(cold: dict[str, float], replicates: int = 4) -> RunSummary:
    """A run in which these models' first loads had so much of their pace."""
    records = [
        factories.record("hello", replicate, [begun(model, replicate, cold.get(model, 1.0)) for model in MODELS])
        for replicate in range(replicates)
    ]
    return summarise(factories.run(models=MODELS, scenarios=("hello",), replicates=replicates), records, {})


def begun(model: str, replicate: int, cold: float) -> Trial:
    noise = np.random.default_rng([replicate, *model.encode()]).normal(0, 0.02, 4)
    rates = [9e4 * float(np.exp(away)) * (cold if at == 0 else 1.0) for at, away in enumerate(noise)]
    levels = factories.levels("hello")[:2]
    measurements = [factories.measurement(model, "hello", level, replicate) for level in levels]
    return factories.trial(model, "hello", replicate, measurements, warmup=Warmup(0.2, rates, True))


def test_the_first_clients_pace_is_in_the_standing_and_in_the_report_and_in_no_other_figure():
    cold, warm = run_of({"prefork": 0.4}), run_of({})
    shares = {standing.model: standing.cold for standing in cold.scenarios[0].standings}
    assert set(shares) == set(MODELS)
    assert shares["prefork"].value == pytest.approx(0.4, rel=0.05)
    assert shares["epoll_loop"].value == pytest.approx(1.0, abs=0.05)
    assert len(shares["prefork"].replicates) == 4
    (finding,) = (found for found in cold.findings if found.check == "cold start")
    assert re.search(r"got 0\.(39|40|41) from prefork \(0\.\d\d–0\.\d\d\)", finding.observed)
    assert finding.observed.endswith(" in hello")
    assert "epoll_loop" not in finding.observed
    assert "cold start" in as_markdown(cold)
    assert cold.cells == warm.cells
    assert not [found for found in warm.findings if found.check == "cold start"]


def test_one_replicate_shows_a_cold_start_but_judges_none():
    summary = run_of({"prefork": 0.4}, replicates=1)
    assert next(s.cold for s in summary.scenarios[0].standings if s.model == "prefork").value == pytest.approx(0.4, rel=0.1)
    assert not [found for found in summary.findings if found.check == "cold start"]
