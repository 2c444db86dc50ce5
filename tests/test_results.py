"""What scenarios rank by, what forbids it, the A/A arm, what was predicted, and the matrix of it all."""

from dataclasses import replace

import crowded
import factories
import pytest

from benchmarks import matrix
from benchmarks.absolutes import intervals, typical
from benchmarks.analyse import summarise
from benchmarks.nouns import Trial, aa_arm
from benchmarks.predictions import agreement_of
from benchmarks.summaries import Estimate, RunSummary, ScenarioSummary, Standing

SOME = ("hello", "mixed", "crowd", "overload", "recovery")


def summary() -> RunSummary:
    return crowded.summary(SOME, crowded.FEW)


def scenario(name: str, of: RunSummary | None = None) -> ScenarioSummary:
    return next(one for one in (of or summary()).scenarios if one.scenario == name)


def standing(name: str, model: str, of: RunSummary | None = None) -> Standing:
    return next(one for one in scenario(name, of).standings if one.model == model)


def with_trials(change, name: str, models: tuple[str, ...] = crowded.FEW) -> RunSummary:
    """The run of one scenario in which each trial was exchanged for another."""
    records = [replace(one, trials=[change(trial) for trial in one.trials]) for one in crowded.records((name,), models)]
    return summarise(crowded.run((name,), models), records, {})


def test_the_first_measure_ranks_and_less_can_be_better():
    standings = scenario("mixed").standings
    values = [one.results[0].value.value for one in standings if one.results[0].value]
    assert values == sorted(values)
    ratios = [one.ratio.value for one in standings if one.ratio]
    assert ratios[0] == 1
    assert ratios == sorted(ratios)  # value by best value: more is worse here
    assert all(one.ratio == one.results[0].ratio for one in standings)
    assert [one.rank for one in standings] == sorted(one.rank for one in standings)


def test_a_scenario_without_measures_ranks_by_peak():
    (measure,) = scenario("hello").measures
    assert (measure.title, measure.unit, measure.margin) == ("requests a second", "rate", 0.03)
    assert all(len(one.results) == 1 for one in scenario("hello").standings)
    assert all(one.results[0].value == one.peak_per_s for one in scenario("hello").standings)
    assert scenario("hello").verdict.startswith("epoll_loop serves most")


def test_measures_of_levels_that_a_run_left_out_are_left_out():
    def closed(trial: Trial) -> Trial:
        return replace(trial, measurements=[one for one in trial.measurements if one.level.loop == "closed"])

    made = scenario("mixed", with_trials(closed, "mixed"))
    assert [measure.title for measure in made.measures] == ["goodput"]
    assert made.standings[0].rank == 1
    assert {one.agreement for one in made.predictions if one.model == "epoll_loop"} == {"open"}


def test_the_verdict_is_of_the_measure():
    assert scenario("mixed").verdict.startswith("epoll_loop has the lowest p90 of hello among work, ")
    assert "goodput at 150%" in scenario("overload").verdict


def test_variants_rank():
    assert standing("mixed", "prefork~32 workers").rank is not None


def test_who_holds_too_few_is_not_compared_nor_invalid():
    bounded = standing("crowd", "prefork")
    assert (bounded.rank, bounded.results[0].reason, bounded.invalid) == (None, "cannot", "")
    assert "held 16 of 100 idle connections" in bounded.results[0].why
    assert "prefork (cannot)" in scenario("crowd").verdict
    assert standing("crowd", "epoll_loop").rank == 1


def test_goodput_counts_under_overload_and_response_time_does_not():
    assert all(one.rank for one in scenario("overload").standings)
    measured = replace(crowded.SCENARIOS["overload"].measures[0].metric, quantity="p50", by=None)
    asked = replace(crowded.SCENARIOS["overload"], measures=(replace(crowded.SMALL, metric=measured),))
    run = replace(crowded.run(("overload",), crowded.FEW), scenarios={"overload": asked})
    made = summarise(run, crowded.records(("overload",), crowded.FEW), {})
    assert {one.results[0].reason for one in scenario("overload", made).standings} == {"overloaded"}
    assert all(one.rank is None for one in scenario("overload", made).standings)


def test_an_invalid_level_is_of_what_stands_on_it():
    def busy(trial: Trial) -> Trial:
        """A trial whose engine was the limit at the common rate."""
        made = [
            replace(one, load=replace(one.load, busy_fraction=0.95)) if one.level.label == crowded.COMMON.label else one
            for one in trial.measurements
        ]
        return replace(trial, measurements=made) if trial.model == "epoll_loop" else trial

    one = standing("mixed", "epoll_loop", with_trials(busy, "mixed"))
    assert one.rank is None
    assert "engine saturated" in one.invalid
    assert one.results[1].rank == 1  # its peak is another level


# ---------------------------------------------------------------- values by themselves


def test_typical_values_have_the_range_of_the_replicates():
    assert typical([]) is None
    assert typical([5.0]) == Estimate(5.0, None, None, [5.0])
    assert typical([1.0, 4.0]) == Estimate(pytest.approx(2.0), 1.0, 4.0, [1.0, 4.0])
    assert typical([0.0, 4.0]) == Estimate(2.0, 0.0, 4.0, [0.0, 4.0])


def test_intervals_are_moderated_over_the_models():
    quiet = {name: [100.0, 101.0, 99.0] for name in "abcde"}
    alone, together = intervals({"a": quiet["a"]})["a"], intervals(quiet)["a"]
    assert alone.low < together.low < 100 < together.high < alone.high
    noisy = intervals({**quiet, "wild": [50.0, 100.0, 200.0]})
    assert noisy["wild"].high / noisy["wild"].low > 3  # it borrows nothing from quiet ones
    assert noisy["a"].high / noisy["a"].low < 1.05  # nor they from it


def test_numbers_that_are_zero_have_their_range_for_an_interval():
    made = intervals({"a": [0.0, 0.2, 0.1], "b": [0.0, 0.1]})
    assert (made["a"].low, made["a"].high) == (0.0, 0.2)
    assert agreement_of(made["a"], None, 0.3) == ("agrees", "")
    assert made["b"].low is None


# ---------------------------------------------------------------- the A/A arm


ARM = aa_arm("epoll_loop")
BESIDE = ("epoll_loop", "prefork", "select_loop")


def with_arm(pace: float = 1.0, without: bool = False) -> RunSummary:
    records = []
    for replicate in range(factories.REPLICATES):
        trials = [factories.trial(model, "hello", replicate) for model in BESIDE]
        if not without:
            trials.append(factories.trial(ARM, "hello", replicate, pace=pace))
        records.append(factories.record("hello", replicate, trials))
    return summarise(factories.run(models=BESIDE, scenarios=("hello",), aa="epoll_loop"), records, {})


def test_an_a_a_arm_is_compared_with_its_model_alone():
    made = with_arm().scenarios[0]
    assert made.aa.value == pytest.approx(1, abs=0.03)
    assert made.aa.low < made.aa.value < made.aa.high
    assert len(made.aa.replicates) == factories.REPLICATES
    assert {standing.model for standing in made.standings} == set(BESIDE)
    assert made.pairs.total == 3
    assert "A/A" not in made.verdict


def test_an_a_a_arm_takes_no_rank():
    own = [cell for cell in with_arm().cells if cell.model == ARM]
    assert own
    assert all((cell.rank, cell.ratio) == (None, None) for cell in own)


def test_an_a_a_arm_that_differs_from_its_model_is_a_warning():
    """A fault of the harness that favours one of two alike, as an order of windows that is not random would."""
    made = with_arm(pace=0.9).scenarios[0]
    assert made.aa.high < 0.95
    assert "The A/A comparison gave 0." in made.verdict


def test_an_a_a_arm_without_numbers_compares_nothing():
    assert with_arm(without=True).scenarios[0].aa is None


def test_a_baseline_is_shown_beside_the_best_and_is_in_no_pair():
    name = "epoll_loop~direct"
    models = (*BESIDE, name)
    records = [
        factories.record("hello", at, [factories.trial(m, "hello", at, pace=1.2 if m == name else 1.0) for m in models])
        for at in range(factories.REPLICATES)
    ]
    made = summarise(factories.run(models=models, scenarios=("hello",)), records, {}).scenarios[0]
    found = next(one for one in made.standings if one.model == name)
    assert found.rank is None
    assert found.ratio.value == pytest.approx(1.2, rel=0.05)
    assert found.ratio.low < found.ratio.value < found.ratio.high
    assert made.pairs.total == 3
    assert name not in made.verdict
    assert made.standings[0].model == "epoll_loop"


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


def test_predictions_are_judged_for_the_models_of_the_run():
    found = {one.model: one for one in scenario("mixed").predictions}
    assert set(found) == {"epoll_loop", "select_loop", "prefork"}  # nobody called absent was measured
    assert found["epoll_loop"].agreement == "agrees"
    assert found["epoll_loop"].estimate.low < found["epoll_loop"].estimate.value < found["epoll_loop"].estimate.high
    assert found["prefork"].agreement == "disagrees"
    assert (found["prefork"].unit, found["prefork"].estimate.value) == ("ratio", pytest.approx(0.79, abs=0.05))


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
