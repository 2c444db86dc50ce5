"""A/A: a model that is visited twice is compared with itself, competes with nobody, and the verdict says what that shows."""

import re
from dataclasses import replace

import factories
import pytest

from benchmarks.analyse import summarise
from benchmarks.nouns import VisitPlan, VisitRecord, twin_of
from benchmarks.plot import draw
from benchmarks.report import as_text
from benchmarks.summaries import Estimate, RunSummary, Standing
from benchmarks.verdict import verdict

MODELS = ("epoll_loop", "asyncio_streams", "thread_pool")
TWIN = twin_of("epoll_loop")


def twin_record(block: int, pace: float = 1.0) -> VisitRecord:
    """Another visit of epoll_loop in the same block, at a pace of its own."""
    made = factories.record("epoll_loop", "hello", block + 1000)
    windows = [factories.window("epoll_loop", "hello", window.level, block + 1000, pace) for window in made.windows]
    return replace(made, plan=VisitPlan(TWIN, "hello", block, block), windows=windows)


def run_with_twin(visits: int, pace: float = 1.0) -> RunSummary:
    records = [factories.record(model, "hello", block) for model in MODELS for block in range(visits)]
    records += [twin_record(block, pace) for block in range(visits)]
    return summarise(factories.run(models=MODELS, scenarios=("hello",), twin="epoll_loop"), records, {})


@pytest.mark.parametrize("visits", [3, 12])
def test_a_twin_is_compared_with_its_model_alone(visits):
    made = run_with_twin(visits).scenarios[0]
    assert made.twin is not None
    assert made.twin.low < 1 < made.twin.high
    assert len(made.twin.visits) == visits
    assert {standing.model for standing in made.standings} == set(MODELS)
    assert re.search(r"epoll_loop against itself: \d\.\d+× \(\d\.\d+–\d\.\d+\)\.", made.verdict)


def test_a_twin_takes_no_rank_and_changes_nobodys():
    summary = run_with_twin(5)
    own = [cell for cell in summary.cells if cell.model == TWIN]
    assert own
    assert all((cell.rank, cell.relative) == (None, None) for cell in own)
    without = summarise(
        factories.run(models=MODELS, scenarios=("hello",)),
        [factories.record(model, "hello", block) for model in MODELS for block in range(5)],
        {},
    )
    ranks = {(cell.model, cell.level.label): (cell.rank, cell.relative) for cell in summary.cells if cell.model != TWIN}
    assert ranks == {(cell.model, cell.level.label): (cell.rank, cell.relative) for cell in without.cells}
    assert summary.scenarios[0].resolution == without.scenarios[0].resolution


def test_a_twin_that_differs_from_its_model_is_a_warning():
    """A fault of the harness that favours one of two alike, as an order of visits that is not random would."""
    made = run_with_twin(5, pace=0.9).scenarios[0]
    assert made.twin.high < 0.95
    assert "which is not 1: trust no difference of that size" in made.verdict


def test_a_twin_without_numbers_is_said():
    records = [factories.record(model, "hello", block) for model in MODELS for block in range(3)]
    made = summarise(factories.run(models=MODELS, scenarios=("hello",), twin="epoll_loop"), records, {}).scenarios[0]
    assert made.twin is None
    assert "epoll_loop has no believable second measurement" in made.verdict


def test_the_report_and_every_chart_bear_a_twin(tmp_path):
    summary = run_with_twin(3)
    assert "against itself" in as_text(summary)
    assert draw(summary, tmp_path)


def test_every_verdict_says_how_sure_it_is():
    summary = factories.summary()
    for scenario in summary.scenarios:
        assert scenario.resolution is not None
        assert f"Differences under {100 * scenario.resolution:.2g}" in scenario.verdict
    # The noise of hello is 2% over 5 visits of 8 models: near 2% × √(2/5) × 3.6.
    hello = summary.scenarios[0]
    assert hello.resolution == pytest.approx(hello.spread * (2 / 5) ** 0.5 * 3.6, rel=0.15)


def standing(model: str, low: float | None) -> Standing:
    high = None if low is None else 102.0
    return Standing(model, None, Estimate(100.0, low, high, [100.0]), "closed 1", None, None, [], "", "")


def test_with_a_visit_each_the_verdict_says_that_it_cannot_be_sure():
    assert verdict([standing("epoll_loop", None)]).endswith("How sure that is, so few visits can't say.")
    assert "sure" not in verdict([standing("epoll_loop", 98.0)])  # its interval is there
