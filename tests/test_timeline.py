"""The time line's beginning: rounds of warm-up before time 0, drawn and counted in nothing."""

from dataclasses import replace

import factories
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from benchmarks.analyse import summarise
from benchmarks.charts import timeline
from benchmarks.charts._style import LIGHT
from benchmarks.nouns import Warmup
from benchmarks.summaries import WARM_UP, RunSummary


def run_of(warmup: Warmup | None) -> RunSummary:
    records = [factories.record("epoll_loop", "hello", block, warmup=warmup) for block in range(3)]
    return summarise(factories.run(models=("epoll_loop",), scenarios=("hello",)), records, {})


WARM = run_of(Warmup(0.2, [1e4, 9e4, 9e4, 9e4], True))
WITHOUT = run_of(None)


def test_warm_up_comes_before_time_0_in_its_rounds():
    (line,) = WARM.timelines
    rounds = [(point.at_s, point.rate_per_s) for point in line.points if point.level == WARM_UP]
    assert rounds == [
        (pytest.approx(-0.2), 1e4),
        (pytest.approx(-0.15), 9e4),
        (pytest.approx(-0.1), 9e4),
        (pytest.approx(-0.05), 9e4),
    ]
    assert line.points[: len(rounds)] == [point for point in line.points if point.at_s < 0]
    assert line.points[len(rounds) :] == WITHOUT.timelines[0].points
    first = timeline.spans(line)[0]
    assert (first.level, first.end_s) == (WARM_UP, 0.0)


def test_no_figure_of_the_chart_contains_it():
    (warm,), (without,) = WARM.timelines, WITHOUT.timelines
    assert timeline.answer(WARM) == timeline.answer(WITHOUT)
    assert timeline.unsteadiness(warm) == timeline.unsteadiness(without)
    slower = replace(without, number=1, points=[replace(p, rate_per_s=0.9 * p.rate_per_s) for p in without.points])
    faster = replace(without, number=2, points=[replace(p, rate_per_s=1.1 * p.rate_per_s) for p in without.points])
    assert timeline.typical([warm, slower, faster], "hello")["epoll_loop"].number == warm.number


@pytest.mark.parametrize(("summary", "more"), [(WARM, 0.2), (WITHOUT, 0.0)])
def test_it_is_drawn_at_the_left_of_the_levels(summary, more):
    figure = timeline.draw(summary, LIGHT)
    (axes,) = (axes for axes in figure.axes if axes.collections)
    levels_s = sum(0.4 if level.loop == "closed" else 0.45 for level in factories.levels("hello"))
    assert axes.get_xlim()[1] == pytest.approx(levels_s + more, abs=0.06)
    assert WARM_UP not in {text.get_text() for text in figure.findobj(Text)}  # too short for its name


def test_a_visit_that_never_came_further_than_its_warm_up_is_not_drawn():
    (line,) = WARM.timelines
    alone = replace(line, points=[point for point in line.points if point.level == WARM_UP])
    assert timeline.typical([alone], "hello") == {}


def test_levels_stand_one_below_the_other_whatever_the_warm_up_took():
    records = [
        factories.record(model, "hello", block, warmup=Warmup(seconds, [9e4] * 4, True))
        for model, seconds in (("epoll_loop", 0.2), ("prefork", 0.4))
        for block in range(2)
    ]
    summary = summarise(factories.run(models=("epoll_loop", "prefork"), scenarios=("hello",)), records, {})
    (axes,) = (axes for axes in timeline.draw(summary, LIGHT).axes if axes.collections)
    starts = [{round(segment[0][0], 6) for segment in lines.get_segments()} for lines in axes.collections if is_vertical(lines)]
    assert len(starts) == 2
    levels = [{start for start in of_row if start >= 0.4 - 1e-6} for of_row in starts]
    assert levels[0] == levels[1]
    assert min(levels[0]) == pytest.approx(0.4)


def is_vertical(lines) -> bool:
    segments = lines.get_segments() if isinstance(lines, LineCollection) else []
    return bool(segments) and all(segment[0][0] == segment[1][0] for segment in segments)
