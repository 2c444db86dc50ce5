"""What the line charts share: a panel for each scenario, its head, its lines, a column for names, remarks at its foot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from benchmarks.charts import _words as words
from benchmarks.charts._labels import EndLabel, label_ends
from benchmarks.charts._page import HEAD, LABEL, REMARK_PX, SMALL, Box, Page, clip_to, remark_rows, width_px, wrapped
from benchmarks.charts._style import Look, look

HEAD_PX = 58.0
FOOT_PX = 44.0  # tick labels and the name of the x axis


@dataclass(frozen=True, slots=True)
class Panel:
    """The parts of a panel: `plot` for the axes, `names` beside it, `remarks` below."""

    whole: Box
    plot: Box
    names: Box
    remarks: Box


def grid(page: Page, count: int) -> list[Box]:
    """Boxes for so many panels: up to three in a row, then two rows."""
    if count <= 3:
        return page.body.columns(max(count, 1), 30.0)
    upper, lower = page.body.rows(2, 22.0)
    across = (count + 1) // 2
    return [*upper.columns(across, 30.0), *lower.columns(across, 30.0)][:count]


def panel(box: Box, names: Iterable[str], remarks: int, *, left: float = 46.0, head: float = HEAD_PX) -> Panel:
    """A box cut up: room on the left for tick labels, on the right for the longest name, below for so many lines of remarks."""
    widest = max((width_px(words.clipped(name), LABEL) for name in names), default=0.0)
    names_px = min(widest + 34, box.width * 0.46)
    foot = FOOT_PX + (REMARK_PX * remarks + 8 if remarks else 0.0)
    plot = box.inset(left=left, top=head, right=names_px, bottom=foot)
    return Panel(
        whole=box,
        plot=plot,
        names=Box(plot.right, plot.top - 10, names_px, plot.height + 24),
        remarks=Box(box.left, plot.bottom + FOOT_PX + 4, box.width, REMARK_PX * remarks),
    )


def most_rows(remarks: Sequence[Sequence[str]], boxes: Sequence[Box]) -> int:
    """How many lines the fullest panel's remarks take."""
    return max((remark_rows(said, box.width) for said, box in zip(remarks, boxes, strict=False)), default=0)


def heading(page: Page, box: Box, title: str, unit: str) -> None:
    """The panel's name, and under it what its y axis counts: the unit stands here because rotated text is hard to read."""
    page.text(box.left, box.top + 16, clip_to(title, HEAD, box.width, "bold"), HEAD, weight="bold")
    page.text(box.left, box.top + 38, clip_to(unit, SMALL, box.width), SMALL, colour=page.theme.muted)


def x_name(page: Page, plot: Box, name: str) -> None:
    """What the x axis counts, below its ticks."""
    page.text(plot.left, plot.bottom + 39, clip_to(name, SMALL, plot.width + 40), SMALL, colour=page.theme.muted)


def line(axes: Axes, style: Look, xs: Sequence[float], ys: Sequence[float], *, hollow: Iterable[int] = ()) -> None:
    """A model's line; the points numbered in `hollow` must be read with care and are drawn hollow."""
    careful = set(hollow)
    axes.plot(xs, ys, color=style.colour, linestyle=style.dash, linewidth=2.0, zorder=3)
    for filled in (True, False):
        chosen = [i for i in range(len(xs)) if (i not in careful) == filled]
        if chosen:
            axes.plot(
                [xs[i] for i in chosen],
                [ys[i] for i in chosen],
                color=style.colour,
                marker=style.marker,
                markersize=6.0 if filled else 7.5,
                markerfacecolor=style.colour if filled else "none",
                markeredgewidth=0.0 if filled else 1.5,
                linestyle="none",
                zorder=4,
                clip_on=False,
            )


def dots(axes: Axes, style: Look, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Single visits, faint."""
    axes.plot(xs, ys, ".", color=style.colour, alpha=0.5, markersize=4, markeredgewidth=0, clip_on=False, zorder=2)


def end_label(page: Page, model: str, x: float, y: float) -> EndLabel:
    """The label of a model whose line ends at this point."""
    style = look(model, page.theme)
    return EndLabel(model, style.text, style.colour, style.marker, x, y)


def finish(page: Page, axes: Axes, parts: Panel, labels: Sequence[EndLabel], remarks: Sequence[str]) -> None:
    """Names and remarks, once limits and scales are final."""
    label_ends(page, axes, labels, parts.names)
    if remarks:
        page.remarks(parts.remarks, remarks)


def empty(page: Page, parts: Panel, reason: str) -> None:
    """A hatched panel that says why there is nothing in it."""
    box = Box(parts.plot.left, parts.plot.top, parts.names.right - parts.plot.left, parts.plot.height)
    page.hatch(box, edge=True)
    lines = wrapped(reason, LABEL, box.width - 40, most_lines=3)
    y = box.top + box.height / 2 - 12 * (len(lines) - 1)
    for i, line in enumerate(lines):
        page.text(box.left + box.width / 2, y + 24 * i, line, LABEL, align="center", vertical="center", boxed=True)
