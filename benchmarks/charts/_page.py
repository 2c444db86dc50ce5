"""The page under every chart: question, answer and conditions in their places, and a way to put things at pixels.

All layout is in pixels of a 1600 × 900 page, x to the right and y downwards, and is computed here rather than by matplotlib's
layout engines: those render everything several times, and a run draws some thirty pages. Text is measured with the font's
own metrics, so that what must not touch is pushed apart before it is drawn.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from benchmarks.charts import _words as words
from benchmarks.charts._style import Theme

WIDTH, HEIGHT, DPI = 1600, 900, 100
MARGIN = 44.0
FONT = ["DejaVu Sans", "sans-serif"]  # the first comes with matplotlib; the second is for viewers of the SVG

TITLE, ANSWER, HEAD, LABEL, SMALL = 24.0, 14.0, 13.0, 11.0, 9.5  # points
PX = DPI / 72  # of a point
REMARK_PX = 19.0  # from one line of remarks to the next

Weight = Literal["normal", "bold"]
Align = Literal["left", "center", "right"]
Vertical = Literal["baseline", "center", "top"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the page, in pixels from its top left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge, further down the page than `top`."""
        return self.top + self.height

    def columns(self, count: int, gap: float = 0.0) -> list["Box"]:
        """Equal parts side by side."""
        width = (self.width - gap * (count - 1)) / count
        return [Box(self.left + i * (width + gap), self.top, width, self.height) for i in range(count)]

    def rows(self, count: int, gap: float = 0.0) -> list["Box"]:
        """Equal parts one below the other."""
        height = (self.height - gap * (count - 1)) / count
        return [Box(self.left, self.top + i * (height + gap), self.width, height) for i in range(count)]

    def inset(self, left: float = 0.0, top: float = 0.0, right: float = 0.0, bottom: float = 0.0) -> "Box":
        """The same box with a border taken off."""
        return Box(self.left + left, self.top + top, self.width - left - right, self.height - top - bottom)


class Page:
    """A figure with its question, answer and conditions written; `body` is what is left for the picture."""

    def __init__(self, theme: Theme, question: str, answer: str, conditions: str) -> None:
        self.theme = theme
        self.figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=theme.paper)
        width = WIDTH - 2 * MARGIN
        self.text(MARGIN, 62, question, TITLE, weight="bold")
        below = self.paragraph(MARGIN, 96, answer, ANSWER, width, most_lines=3, colour=theme.muted)
        small = wrapped(conditions, SMALL, width, most_lines=2)
        top_of_small = HEIGHT - 16 - 17 * (len(small) - 1)
        for i, line in enumerate(small):
            self.text(MARGIN, top_of_small + 17 * i, line, SMALL, colour=theme.muted)
        self.body = Box(MARGIN, below + 6, width, top_of_small - 26 - below - 6)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = LABEL,
        *,
        colour: str | None = None,
        weight: Weight = "normal",
        align: Align = "left",
        vertical: Vertical = "baseline",
        boxed: bool = False,
    ) -> Text:
        """One line of text at a pixel; `boxed` clears the paper behind it. A dollar sign is a dollar sign."""
        return self.figure.text(
            x / WIDTH,
            1 - y / HEIGHT,
            text,
            fontsize=size,
            fontfamily=FONT,
            fontweight=weight,
            color=colour or self.theme.ink,
            ha=align,
            va=vertical,
            parse_math=False,
            bbox={"facecolor": self.theme.paper, "edgecolor": "none", "pad": 2.5} if boxed else None,
        )

    def paragraph(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        width: float,
        *,
        most_lines: int = 2,
        colour: str | None = None,
    ) -> float:
        """Text in lines of at most `width`, the first on baseline `y`; returns where the next line would stand."""
        for line in wrapped(text, size, width, most_lines=most_lines):
            self.text(x, y, line, size, colour=colour)
            y += 1.42 * size * PX
        return y

    def axes(self, box: Box, *, floor: bool = True) -> Axes:
        """Empty axes over a box: a floor to stand on unless it wants none, no frame, no ticks yet.

        Neither of its axis objects is ever drawn: most of the time that a page takes would be theirs.
        """
        place = (box.left / WIDTH, 1 - box.bottom / HEIGHT, box.width / WIDTH, box.height / HEIGHT)
        axes = self.figure.add_axes(place, facecolor="none")
        for side, spine in axes.spines.items():
            spine.set_visible(floor and side == "bottom")
        axes.spines["bottom"].set_color(self.theme.hatch)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_visible(False)
        return axes

    def ticks(self, axes: Axes, which: Literal["x", "y"], at: Sequence[float], names: Sequence[str], grid: bool = True) -> None:
        """Plain ticks at the given values, names left out that would touch their neighbour. Set limits and scale first."""
        low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
        inside = [(v, n) for v, n in zip(at, names, strict=True) if low <= v <= high]
        kept = _apart(axes, which, inside)
        left, bottom = axes.transAxes.transform((0.0, 0.0))
        for value, name in kept:
            x, y = axes.transData.transform((value, value))
            if name and which == "x":
                self.text(x, HEIGHT - bottom + 17, name, SMALL, colour=self.theme.muted, align="center")
            elif name:
                self.text(left - 7, HEIGHT - y, name, SMALL, colour=self.theme.muted, align="right", vertical="center")
        if grid:
            ends: list[Any] = [[(v, 0.0), (v, 1.0)] if which == "x" else [(0.0, v), (1.0, v)] for v, _ in kept]
            across = axes.get_xaxis_transform() if which == "x" else axes.get_yaxis_transform()
            lines = LineCollection(ends, colors=self.theme.grid, linewidths=1.0, zorder=0.5, transform=across)
            axes.add_collection(lines, autolim=False)

    def pixel(self, axes: Axes, x: float, y: float) -> tuple[float, float]:
        """Where a point of the axes lies on the page. Limits and scales must be final."""
        right, up = axes.transData.transform((x, y))
        return float(right), HEIGHT - float(up)

    def hatch(self, box: Box, *, edge: bool = False) -> None:
        """The hatching that says: no number to believe here."""
        width = 1.0 if edge else 0.0
        self.figure.add_artist(
            _rectangle(self.figure, box, facecolor="none", edgecolor=self.theme.hatch, linewidth=width, hatch="////")
        )

    def fill(self, box: Box, colour: str, hatch: str = "") -> None:
        """A rectangle of a colour, over all axes and under all words; hatched in another colour if one is given."""
        pattern = {"hatch": "//////", "edgecolor": hatch} if hatch else {}
        self.figure.add_artist(_rectangle(self.figure, box, facecolor=colour, linewidth=0.0, zorder=0.5, **pattern))

    def frame(self, box: Box, colour: str, *, dashed: bool = False, width: float = 1.8) -> None:
        """An outline around a box."""
        style = (0, (3, 1.5)) if dashed else "-"
        self.figure.add_artist(
            _rectangle(self.figure, box, facecolor="none", edgecolor=colour, linewidth=width, linestyle=style, zorder=0.7)
        )

    def remarks(self, box: Box, remarks: Sequence[str]) -> None:
        """A line or two for each thing that is not drawn or must be read with care, a hatched swatch before it.

        What does not fit the box is counted in its last line.
        """
        room, y = int((box.height + 1) // REMARK_PX), box.top
        for number, remark in enumerate(remarks):
            lines = wrapped(remark, SMALL, box.width - 34, most_lines=2)
            left = len(remarks) - number
            if room < len(lines) + (1 if left > 1 else 0):
                rest = f"and {left} more, in summary.md"
                self.text(box.left + 30, y + 9, rest, SMALL, colour=self.theme.muted, vertical="center")
                return
            self.hatch(Box(box.left, y + 3, 22, 12))
            for line in lines:
                self.text(box.left + 30, y + 9, line, SMALL, colour=self.theme.muted, vertical="center")
                y += REMARK_PX
            room -= len(lines)


def _rectangle(figure: Figure, box: Box, **look: Any) -> Rectangle:
    place = (box.left / WIDTH, 1 - box.bottom / HEIGHT)
    return Rectangle(place, box.width / WIDTH, box.height / HEIGHT, transform=figure.transFigure, **look)


def remark_rows(remarks: Iterable[str], width: float) -> int:
    """How many lines the remarks take in a box of this width, six at most."""
    return min(sum(len(wrapped(remark, SMALL, width - 34, most_lines=2)) for remark in remarks), 6)


def _apart(axes: Axes, which: Literal["x", "y"], ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The ticks, from the last to the first, that keep clear of the one kept before."""
    kept: list[tuple[float, str]] = []
    edge = float("inf")
    for value, name in sorted(ticks, reverse=True):
        at = axes.transData.transform((value, value))[0 if which == "x" else 1]
        half = (width_px(name, SMALL) / 2 + 4) if which == "x" else 8.0
        if at + half <= edge:
            kept.append((value, name))
            edge = at - half
    return kept[::-1]


@cache
def width_px(text: str, size: float, weight: Weight = "normal") -> float:
    """How wide a line of text is on the page."""
    font = FontProperties(family=FONT[0], size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) * PX


def clip_to(text: str, size: float, width: float, weight: Weight = "normal") -> str:
    """The text, cut with an ellipsis where it would be wider than `width` pixels."""
    if width_px(text, size, weight) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_px(text[:middle].rstrip() + "…", size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""


def fit_name(name: str, size: float, width: float, weight: Weight = "normal") -> str:
    """A model's name, its middle left out as far as the width demands."""
    most = min(len(name), words.LONGEST_NAME)
    while most > 4 and width_px(words.clipped(name, most), size, weight) > width:
        most -= 1
    return words.clipped(name, most)


def wrapped(text: str, size: float, width: float, most_lines: int) -> list[str]:
    """The text in at most so many lines of at most `width` pixels; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    words = text.split()
    while words:
        if len(lines) == most_lines - 1:
            return [*lines, clip_to(" ".join(words), size, width)]
        taken = 1
        while taken < len(words) and width_px(" ".join(words[: taken + 1]), size) <= width:
            taken += 1
        lines.append(clip_to(" ".join(words[:taken]), size, width))
        words = words[taken:]
    return lines
