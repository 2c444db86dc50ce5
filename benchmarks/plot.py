"""Charts: what a run found, drawn.

Each chart is a file in `benchmarks.charts` with a QUESTION and a pure function from a summary and a theme to a Figure.
Here they are listed and saved: SVG with its text as text, PNG at 1600 × 900, on light paper and (name-dark) on dark. A file
depends on the summary alone: no date, no random names inside.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks.charts import capacity, cpu, matrix, memory, overview, response, tail, throughput, timeline
from benchmarks.charts._cells import models, only
from benchmarks.charts._page import DPI
from benchmarks.charts._style import DARK, LIGHT, Theme
from benchmarks.summaries import RunSummary, ScenarioSummary

THEMES = (LIGHT, DARK)
CROWD = 10  # models, whose names still fit beside a panel of half a page's height
SAVING: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, selectable, small
    "svg.hashsalt": "servebench",  # the names inside an SVG are the same each time
    "text.hinting": "no_hinting",  # hinted bold digits look like another typeface
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its file's name, the question it answers, who draws it, how many scenarios fit on a page (0: all), and whether
    a run has anything to answer it with."""

    name: str
    question: str
    draw: Callable[[RunSummary, Theme], Figure]
    scenarios_per_page: int = 0
    wanted: Callable[[RunSummary], bool] = lambda _: True
    crowded: int = 0  # how many scenarios fit on a page where models are more than `CROWD`; 0: as many as else
    room: Callable[[ScenarioSummary], int] = lambda _: 1  # how many places of a page a scenario takes


CHARTS = (
    Chart("matrix", matrix.QUESTION, matrix.draw, matrix.COLUMNS, room=matrix.columns_of),
    Chart("overview", overview.QUESTION, overview.draw, 6),
    Chart("throughput", throughput.QUESTION, throughput.draw, 6, crowded=3),
    Chart("response", response.QUESTION, response.draw, 1),
    Chart("capacity", capacity.QUESTION, capacity.draw, 3, capacity.wanted, crowded=1),
    Chart("tail", tail.QUESTION, tail.draw, 6, crowded=3),
    Chart("cpu", cpu.QUESTION, cpu.draw, 3),
    Chart("memory", memory.QUESTION, memory.draw),
    Chart("timeline", timeline.QUESTION, timeline.draw, 3),
)


def draw(summary: RunSummary, directory: Path) -> list[Path]:
    """Draws every chart that a run wants into a directory, made if missing; returns the files in the order of `CHARTS`.

    A chart whose scenarios need several pages has `-2`, `-3`, … after its name. Raises OSError when a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in (chart for chart in CHARTS if chart.wanted(summary)):
        for name, page in pages(chart, summary):
            for theme in THEMES:
                stem = name if theme is LIGHT else f"{name}-{theme.name}"
                written += save(chart.draw(page, theme), directory / stem)
    return written


def pages(chart: Chart, summary: RunSummary) -> Iterator[tuple[str, RunSummary]]:
    """The pages of a chart: the name of each and the part of the summary that it shows."""
    size = chart.crowded if chart.crowded and len(models(summary)) > CROWD else chart.scenarios_per_page
    whole = sum(map(chart.room, summary.scenarios))
    if not size or whole <= size:
        yield chart.name, summary
        return
    fair = -(-whole // -(-whole // size))  # 4 scenarios on two pages are 2 and 2, not 3 and 1
    for number, part in enumerate(_cut(summary.scenarios, chart.room, fair)):
        suffix = f"-{number + 1}" if number else ""
        yield chart.name + suffix, only(summary, part)


def _cut(
    scenarios: Sequence[ScenarioSummary], room: Callable[[ScenarioSummary], int], size: int
) -> Iterator[list[ScenarioSummary]]:
    """The scenarios in parts that take so many places at most, or are one scenario that takes more."""
    part: list[ScenarioSummary] = []
    for scenario in scenarios:
        if part and sum(map(room, part)) + room(scenario) > size:
            yield part
            part = []
        part.append(scenario)
    if part:
        yield part


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as `stem.svg` and `stem.png` and returns both paths."""
    svg, png = stem.with_name(stem.name + ".svg"), stem.with_name(stem.name + ".png")
    with matplotlib.rc_context(SAVING):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "servebench"})
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": "servebench"})
    return [svg, png]
