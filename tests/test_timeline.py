"""The time line: trials beside their level's mean, the warm-up before time 0, drawn and counted in nothing."""

from dataclasses import replace

import factories
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.text import Text

from benchmarks.charts import timeline
from benchmarks.charts._style import LIGHT
from benchmarks.questions import Level
from benchmarks.summaries import WARM_UP, RunSummary, Timeline, TimelinePoint

LEVELS = ("closed 16", "open 50%")


def trial(model: str = "epoll_loop", warmup: tuple[float, ...] = (), pace: float = 1.0, replicate: int = 0) -> Timeline:
    """Two levels of five steps, their windows a minute apart, after loads of warm-up of 50 ms."""
    warm = [TimelinePoint(-0.05 * (len(warmup) - at), WARM_UP, rate, 0.0) for at, rate in enumerate(warmup)]
    steps = [
        TimelinePoint(60.0 * number + 0.1 * at, level, pace * (1_000.0 + 10 * at), 2.0)
        for number, level in enumerate(LEVELS)
        for at in range(5)
    ]
    return Timeline(model, "hello", replicate, [*warm, *steps])


def run_of(*timelines: Timeline) -> RunSummary:
    models = dict.fromkeys(one.model for one in timelines)
    levels = (Level("closed", 16), Level("open", 64, share=0.5))
    scenario = factories.scenario_summary("hello", [factories.standing(model) for model in models])
    cells = [factories.cell(model, level=level) for model in models for level in levels]
    return factories.run_summary([scenario], cells, timelines=list(timelines))


def draw(summary: RunSummary):
    return timeline.draw(summary, summary.scenarios, LIGHT)


def test_no_figure_of_the_chart_contains_the_warm_up():
    warm, without = trial(warmup=(1e6, 2e6)), trial()
    assert timeline.answer(run_of(warm), run_of(warm).scenarios) == timeline.answer(run_of(without), run_of(without).scenarios)
    assert timeline.unsteadiness(warm) == timeline.unsteadiness(without)


def heights(summary: RunSummary) -> list[float]:
    """The tops of what is filled, from time 0 on."""
    (axes,) = (axes for axes in draw(summary).axes if axes.collections)
    filled = [one for one in axes.collections if isinstance(one, FillBetweenPolyCollection)]
    return sorted({round(y, 3) for one in filled for path in one.get_paths() for x, y in path.vertices if x > 0})


def test_a_high_warm_up_flattens_nothing():
    assert heights(run_of(trial(warmup=(1e9,)))) == heights(run_of(trial(warmup=(1.0,)))) == heights(run_of(trial()))


@pytest.mark.parametrize(("warmup", "begins"), [((), 0.0), ((1e3,), -0.05), ((1e3,) * 40, -0.15)])
def test_it_is_drawn_at_the_left_of_the_levels_and_takes_little_room(warmup, begins):
    (axes,) = (axes for axes in draw(run_of(trial(warmup=warmup))).axes if axes.collections)
    assert axes.get_xlim() == pytest.approx((begins, 1.0), abs=0.01)


def test_windows_that_lie_apart_in_time_stand_beside_each_other():
    (axes,) = (axes for axes in draw(run_of(trial())).axes if axes.collections)
    assert axes.get_xlim()[1] == pytest.approx(1.0)


def test_a_trial_that_never_came_further_than_its_warm_up_is_not_drawn():
    alone = replace(trial(warmup=(1e3,)), points=[TimelinePoint(-0.1, WARM_UP, 1e3, 0.0)])
    assert timeline.typical([alone], "hello") == {}
    assert not timeline.has(run_of(alone), run_of(alone).scenarios[0])


def test_the_median_trial_is_shown_and_the_unsteady_one_found():
    trials = [trial(replicate=at, pace=pace) for at, pace in enumerate((1.0, 3.0, 0.5))]
    assert timeline.typical(trials, "hello")["epoll_loop"].replicate == 0
    source = trial()
    steady = replace(source, points=[replace(p, rate_per_s=1000.0) for p in source.points])
    jumpy = [replace(p, rate_per_s=1000.0 + 500 * (-1) ** i) for i, p in enumerate(source.points)]
    assert timeline.unsteadiness(steady) == pytest.approx(0.0)
    assert timeline.unsteadiness(replace(source, points=jumpy)) == pytest.approx(0.5, abs=0.02)
    other = replace(source, model="prefork", points=jumpy)
    run = run_of(steady, other)
    assert "prefork strays up to ±48%" in timeline.answer(run, run.scenarios)


def test_levels_are_named_once_and_no_names_overlap():
    texts = [text.get_text() for text in draw(run_of(trial())).findobj(Text)]
    assert texts.count("16") == 1
    assert texts.count("50%") == 1
    assert WARM_UP not in texts
