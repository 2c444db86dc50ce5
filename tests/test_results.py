"""What scenarios rank by, what forbids it, what was predicted, and the matrix of it all."""

from dataclasses import replace

import crowded
import factories
import pytest

from benchmarks import matrix, report
from benchmarks.analyse import summarise
from benchmarks.charts.matrix import _folded
from benchmarks.nouns import VisitRecord, twin_of
from benchmarks.overview_sheets import matrix_sheets, prediction_sheet
from benchmarks.predictions import agreement_of
from benchmarks.results import Values, estimates
from benchmarks.selection import Visit
from benchmarks.sheets import sheet
from benchmarks.summaries import Estimate, RunSummary, ScenarioSummary, Standing

SOME = ("hello", "mixed", "crowd", "overload", "recovery")


def summary() -> RunSummary:
    return crowded.summary(SOME, crowded.FEW)


def scenario(name: str, of: RunSummary | None = None) -> ScenarioSummary:
    return next(one for one in (of or summary()).scenarios if one.scenario == name)


def standing(name: str, model: str, of: RunSummary | None = None) -> Standing:
    return next(one for one in scenario(name, of).standings if one.model == model)


def test_the_first_measure_ranks_and_less_can_be_better():
    standings = scenario("mixed").standings
    values = [one.results[0].value.value for one in standings if one.results[0].value]
    assert values == sorted(values)
    assert [one.rank for one in standings][:2] == [1, 2]
    ratios = [one.relative.value for one in standings if one.relative]
    assert ratios[0] == 1
    assert ratios == sorted(ratios, reverse=True)
    assert all(one.relative == one.results[0].relative for one in standings)


def test_what_cannot_be_compared_neither_lends_its_noise_nor_borrows_it():
    def visits(model: str, numbers: list[float]) -> tuple[tuple[Visit, float], ...]:
        return tuple((Visit(factories.record(model, "hello", block), 0), n) for block, n in enumerate(numbers))

    def of(wild: list[float], reason: str) -> dict[str, Estimate]:
        quiet = {name: Values(visits(name, [100.0, 101.0]), 0.0, "", "", ()) for name in ("epoll_loop", "select_loop")}
        return estimates({**quiet, "prefork": Values(visits("prefork", wild), 0.0, reason, "", ())})

    def factor(estimate: Estimate) -> float:
        return estimate.high / estimate.low

    apart, together = of([10.0, 100.0], "cannot"), of([10.0, 100.0], "")
    assert factor(apart["epoll_loop"]) < 1.1
    assert factor(together["epoll_loop"]) > 3
    assert factor(apart["prefork"]) > factor(together["prefork"])  # its own noise, by two visits


def test_a_scenario_without_measures_ranks_by_peak():
    assert scenario("hello").measures == []
    assert all(one.results == [] for one in scenario("hello").standings)
    assert scenario("hello").verdict.startswith("epoll_loop serves most")


def test_measures_of_levels_that_a_run_left_out_are_left_out():
    records = [
        replace(one, windows=[w for w in one.windows if w.level.loop == "closed"])
        for one in crowded.records(("mixed",), crowded.FEW)
    ]
    made = scenario("mixed", summarise(crowded.run(("mixed",), crowded.FEW), records, {}))
    assert [measure.title for measure in made.measures] == ["goodput"]
    assert made.standings[0].rank == 1
    assert {one.agreement for one in made.predictions if one.model == "epoll_loop"} == {"open"}


def test_the_verdict_is_of_the_measure():
    assert scenario("mixed").verdict.startswith("epoll_loop has the lowest p90 of hello among work: ")
    assert "goodput at 150%" in scenario("overload").verdict


def test_variants_rank_and_twins_do_not():
    assert standing("mixed", "prefork~32 workers").rank is not None
    models = ("epoll_loop", "prefork")
    run = crowded.run(("mixed",), models, twin="epoll_loop")
    again = [
        replace(one, plan=replace(one.plan, model=twin_of("epoll_loop")))
        for one in crowded.records(("mixed",), models)
        if one.plan.model == "epoll_loop"
    ]
    made = summarise(run, [*crowded.records(("mixed",), models), *again], {})
    assert [one.model for one in scenario("mixed", made).standings] == ["epoll_loop", "prefork"]
    twin = scenario("mixed", made).twin
    assert twin is not None
    assert twin.value == pytest.approx(1)
    assert all(cell.rank is None for cell in made.cells if cell.model == twin_of("epoll_loop"))


def test_who_holds_too_few_is_not_compared_nor_struck():
    bounded = standing("crowd", "prefork")
    assert (bounded.rank, bounded.results[0].reason, bounded.struck) == (None, "cannot", "")
    assert "held 16 of 100 idle connections" in bounded.results[0].why
    assert "cannot hold so many connections" in scenario("crowd").verdict
    assert standing("crowd", "epoll_loop").rank == 1


def test_goodput_counts_under_overload_and_response_time_does_not():
    assert all(one.rank for one in scenario("overload").standings)
    measured = replace(crowded.SCENARIOS["overload"].measures[0].metric, quantity="p50", by=None)
    asked = replace(crowded.SCENARIOS["overload"], measures=(replace(crowded.SMALL, metric=measured),))
    run = replace(crowded.run(("overload",), crowded.FEW), scenarios={"overload": asked})
    made = summarise(run, crowded.records(("overload",), crowded.FEW), {})
    assert {one.results[0].reason for one in scenario("overload", made).standings} == {"overloaded"}
    assert all(one.rank is None for one in scenario("overload", made).standings)


def struck(record: VisitRecord) -> VisitRecord:
    """A visit whose engine was the limit at the common rate."""
    windows = [
        replace(w, load=replace(w.load, busy_fraction=0.95)) if w.level.label == crowded.COMMON.label else w
        for w in record.windows
    ]
    return replace(record, windows=windows)


def test_a_struck_level_strikes_what_stands_on_it():
    records = [struck(r) if r.plan.model == "epoll_loop" else r for r in crowded.records(("mixed",), crowded.FEW)]
    made = summarise(crowded.run(("mixed",), crowded.FEW), records, {})
    one = standing("mixed", "epoll_loop", made)
    assert one.rank is None
    assert "engine saturated" in one.struck
    assert one.results[1].rank == 1  # its peak is another level


def test_every_measure_has_a_column_and_every_row_a_word_for_it():
    for one in summary().scenarios:
        made = sheet(summary(), one)
        assert {len(row.words) for row in made.rows} == {len(made.columns)}
        assert sum(column.main for column in made.columns) == 1
        titles = [column.title for column in made.columns]
        assert all(measure.title in titles for measure in one.measures)
        assert "peak" in titles


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_report_fits_the_terminal(width):
    assert max(map(len, report.as_text(summary(), width).splitlines())) <= width


def test_collections_are_in_the_page():
    assert "collections per 1,000" in report.as_markdown(summary())


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "agreement"),
    [
        (1.0, 2.0, 1.0, 2.0, "agrees"),
        (1.0, 2.0, None, 2.0, "agrees"),
        (1.0, 2.0, 2.1, None, "disagrees"),
        (1.0, 2.0, None, 0.9, "disagrees"),
        (1.0, 2.0, 1.5, None, "open"),
        (1.0, 2.0, 1.2, 1.8, "open"),
        (None, None, 0.0, None, "open"),
    ],
)
def test_a_prediction_agrees_disagrees_or_is_open(low, high, least, most, agreement):
    found, why = agreement_of(Estimate(1.5, low, high, [1.5]), least, most)
    assert found == agreement
    assert bool(why) == (agreement == "open")


def test_numbers_that_are_zero_are_judged_by_their_range():
    assert agreement_of(Estimate(0.1, None, None, [0.0, 0.2, 0.1]), None, 0.3) == ("agrees", "")


def test_predictions_are_judged_for_the_models_of_the_run_and_printed():
    found = {one.model: one for one in scenario("mixed").predictions}
    assert set(found) == {"epoll_loop", "select_loop", "prefork"}  # nobody called absent was visited
    assert found["epoll_loop"].agreement == "agrees"
    assert found["prefork"].agreement == "disagrees"
    assert found["prefork"].unit == "ratio"
    text = report.as_text(summary(), 160)
    assert "mixed: 3 predictions: 2 agree, 1 disagrees, 0 open" in text
    assert "prefork disagrees: more than epoll (a guess)" in text
    assert len(prediction_sheet(summary()).rows) == 3
    assert "## Predictions" in report.as_markdown(summary())


# ---------------------------------------------------------------- the matrix


def test_the_matrix_has_a_column_for_each_first_measure_and_each_short_one():
    titles = [column.title for column in matrix.columns(summary())]
    assert titles == ["hello", "mixed", "p50 beside idle", "idle memory", "overload", "recovery"]


def test_each_place_is_a_ratio_to_the_best_or_a_reason():
    for column in matrix.columns(summary()):
        best = [place for place in column.places.values() if place.best]
        assert best
        assert all((place.ratio is None) == bool(place.code) for place in column.places.values())
        assert all(place.alone == (len(best) == 1) for place in best)
    words = {model: matrix.words(place) for model, place in matrix.columns(summary())[2].places.items()}
    assert words["prefork"] == "C"
    assert words["epoll_loop"] == "1.00"


@pytest.mark.parametrize(
    ("value", "said"), [(1.0, "1.00"), (0.974, "0.97"), (0.0995, "0.10"), (0.0241, ".024"), (1e-5, "<.001")]
)
def test_ratios_take_four_characters(value, said):
    assert matrix.ratio_in_words(value)[:5] == said


def test_variants_stand_below_their_model():
    ordered = ["b", "a~new", "c", "a", "d~old"]
    assert matrix.with_variants(ordered) == ["b", "c", "a", "a~new", "d~old"]


def test_a_narrow_terminal_gets_several_tables():
    whole, parts = matrix_sheets(summary()), matrix_sheets(summary(), 45)
    assert len(whole) == 1
    assert len(parts) > 1
    assert sum(len(part.columns) - 1 for part in parts) == len(whole[0].columns) - 1
    assert parts[-1].verdict == whole[0].verdict != ""


def test_a_head_is_broken_where_words_end_and_keeps_its_spaces():
    assert _folded("p50 beside idle", 9.5, 400.0, 2) == ["p50 beside idle"]
    assert _folded("wait-lognormal", 9.5, 80.0, 2) == ["wait-", "lognormal"]
    assert " ".join(_folded("hello beside work", 9.5, 110.0, 2)) == "hello beside work"
