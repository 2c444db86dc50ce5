"""Names at the ends of lines, pushed apart where they would touch."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks.charts._page import HEIGHT, LABEL, PX, WIDTH, Box, Page, fit_name

LINE_HEIGHT = 1.36  # of the size, from one name's baseline to the next


@dataclass(frozen=True, slots=True)
class EndLabel:
    """The name of a line, and the data point at which the line ends."""

    text: str
    colour: str  # of the text
    line_colour: str
    marker: str
    x: float
    y: float


def push_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as can be, at least `gap` apart, inside `low` … `high`, in the same order.

    The least-squares answer: with i·gap taken off the i-th smallest, "at least gap apart" becomes "not decreasing", which the
    pool-adjacent-violators algorithm solves (Ayer et al. 1955); clipping its answer keeps it optimal. When the room is too
    small for the gap, the gap is made smaller.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    pools: list[tuple[float, int]] = []  # (sum, members); the mean of a pool is where all its members go
    for place, i in enumerate(order):
        total, members = wanted[i] - place * gap, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / members:
            more, others = pools.pop()
            total, members = total + more, members + others
        pools.append((total, members))
    flat = [total / members for total, members in pools for _ in range(members)]
    ceiling = high - (len(wanted) - 1) * gap
    result = [0.0] * len(wanted)
    for place, i in enumerate(order):
        result[i] = min(max(flat[place], low), ceiling) + place * gap
    return result


def label_ends(page: Page, axes: Axes, labels: Sequence[EndLabel], box: Box) -> None:
    """Writes the labels in `box`, a column to the right of the axes, each led to the end of its line.

    The names shrink when the column is too short for all of them, so they never touch.
    """
    if not labels:
        return
    ends = [page.pixel(axes, label.x, label.y) for label in labels]
    size = min(LABEL, box.height / len(labels) / LINE_HEIGHT / PX)
    half = size * PX * LINE_HEIGHT / 2
    places = push_apart([y for _, y in ends], 2 * half, box.top + half, box.bottom - half)
    for label, (x, y), place in zip(labels, ends, places, strict=True):
        _lead(page, label, (x, y), (box.left, place))
        name = fit_name(label.text, size, box.width - 26)
        page.text(box.left + 26, place, name, size, colour=label.colour, vertical="center")


def _lead(page: Page, label: EndLabel, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A hair line from the end of a line to its name, the line's marker at the name."""
    bend = max(start[0], end[0] - 26)  # straight ahead first, so that leaders don't cross the picture
    xs = [start[0] + 5, bend, end[0] + 4]
    ys = [start[1], start[1], end[1]]
    colour = label.line_colour
    for line in (
        Line2D(_across(xs), _up(ys), color=colour, linewidth=0.9, linestyle=(0, (1, 2))),
        Line2D(_across([end[0] + 14]), _up([end[1]]), color=colour, marker=label.marker, markersize=6.5, linewidth=0),
    ):
        line.set_transform(page.figure.transFigure)
        page.figure.add_artist(line)


def _across(xs: Sequence[float]) -> list[float]:
    return [x / WIDTH for x in xs]


def _up(ys: Sequence[float]) -> list[float]:
    return [1 - y / HEIGHT for y in ys]
