"""Charts: what a run found, drawn.

Each chart is a file in `benchmarks.charts` with a QUESTION, a pure function `draw` from a summary, the scenarios of the page
and a theme to a Figure, and a function `has`, whether a scenario has anything to show in it: nothing is drawn of nothing. Here
they are listed and saved: SVG with its text as text on light paper and (name-dark) on dark, PNG at 1600 × 900 on light. A file
depends on the summary alone: no date, no random names inside.

A chart that shows all its scenarios on one page is called by its name; else a page is called by its topic as well, which is
what a scenario's name begins with: `tail-wait` shows wait, wait-100ms and wait-lognormal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks.charts import capacity, cpu, matrix, memory, overview, pairs, response, tail, throughput, timeline
from benchmarks.charts._page import DPI
from benchmarks.charts._style import DARK, LIGHT, Theme
from benchmarks.summaries import RunSummary, ScenarioSummary

THEMES = (LIGHT, DARK)
SAVING: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, selectable, small
    "svg.hashsalt": "servebench",  # the names inside an SVG are the same each time
    "text.hinting": "no_hinting",  # hinted bold digits look like another typeface
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its file's name, the question it answers, who draws it, which scenarios it shows and how many on a page."""

    name: str
    question: str
    draw: Callable[[RunSummary, Sequence[ScenarioSummary], Theme], Figure]
    has: Callable[[RunSummary, ScenarioSummary], bool]
    scenarios_per_page: int = 0  # 0: all; 1: each has a page of its own, called by its name


CHARTS = (
    Chart("matrix", matrix.QUESTION, matrix.draw, matrix.has),
    Chart("overview", overview.QUESTION, overview.draw, overview.has, 6),
    Chart("pairs", pairs.QUESTION, pairs.draw, pairs.has),
    Chart("throughput", throughput.QUESTION, throughput.draw, throughput.has, 3),
    Chart("response", response.QUESTION, response.draw, response.has, 1),
    Chart("capacity", capacity.QUESTION, capacity.draw, capacity.has, 3),
    Chart("tail", tail.QUESTION, tail.draw, tail.has, 3),
    Chart("cpu", cpu.QUESTION, cpu.draw, cpu.has, 3),
    Chart("memory", memory.QUESTION, memory.draw, memory.has),
    Chart("timeline", timeline.QUESTION, timeline.draw, timeline.has, 3),
)


def draw(summary: RunSummary, directory: Path) -> list[Path]:
    """Draws every chart for which a run has something into a directory, made if missing; returns the files in order.

    Raises OSError when a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in CHARTS:
        for name, shown in pages(chart, summary):
            for theme in THEMES:
                stem = name if theme is LIGHT else f"{name}-{theme.name}"
                written += save(chart.draw(summary, shown, theme), directory / stem, png=theme is LIGHT)
    return written


def pages(chart: Chart, summary: RunSummary) -> Iterator[tuple[str, list[ScenarioSummary]]]:
    """The pages of a chart: the name of each and the scenarios that it shows."""
    shown = [scenario for scenario in summary.scenarios if chart.has(summary, scenario)]
    size = chart.scenarios_per_page
    if not shown:
        return
    if not size or 1 < size >= len(shown):
        yield chart.name, shown
        return
    for topic, group in groupby(sorted(shown, key=_topic), key=_topic):
        own = list(group)
        fair = -(-len(own) // -(-len(own) // size))  # 4 scenarios on two pages are 2 and 2, not 3 and 1
        for at in range(0, len(own), fair):
            yield f"{chart.name}-{topic if at == 0 and size > 1 else own[at].scenario}", own[at : at + fair]


def _topic(scenario: ScenarioSummary) -> str:
    return scenario.scenario.partition("-")[0]


def save(figure: Figure, stem: Path, *, png: bool = True) -> list[Path]:
    """Writes a figure as `stem.svg` and, if wanted, as `stem.png`; returns the paths."""
    paths = [stem.with_name(stem.name + ".svg"), *([stem.with_name(stem.name + ".png")] if png else [])]
    with matplotlib.rc_context(SAVING):
        figure.savefig(paths[0], format="svg", metadata={"Date": None, "Creator": "servebench"})
        if png:
            compressed = {"compress_level": 3}  # in half the time of more, and no larger: it is lines and letters
            figure.savefig(paths[1], format="png", dpi=DPI, metadata={"Software": "servebench"}, pil_kwargs=compressed)
    return paths
