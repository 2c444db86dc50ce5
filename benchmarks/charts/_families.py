"""Small multiples: a strip for each scenario, in it a panel for each family, in colour before the others in grey."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from benchmarks.charts._page import HEIGHT, LABEL, SMALL, WIDTH, Box, Page, clip_to, fit_name, width_px
from benchmarks.charts._style import LIGHT, Look, look

TICKS_PX, FOOT_PX, TITLE_PX, GAP_PX = 62.0, 24.0, 24.0, 26.0  # room for y ticks, for x ticks, above a strip, between panels
MEMBER_PX, SAMPLE_PX = 17.0, 34.0  # of a panel's head: from one name to the next, and the piece of its line before it
ABREAST = 3  # panels of a single strip, side by side; where there are more it takes two rows
APART = 5.0  # times as high as the second highest curve, and a curve leaves the axis


@dataclass(frozen=True, slots=True)
class Curve:
    """One model's line. `bounds` are its whiskers, `hollow` points are to be read with care, `above` ones are "at least"."""

    xs: Sequence[float]
    ys: Sequence[float]
    bounds: Sequence[tuple[float, float] | None] = ()
    hollow: frozenset[int] = frozenset()
    above: frozenset[int] = frozenset()
    marked: frozenset[int] | None = None  # which points have a marker; None: all
    ring: tuple[float, float] | None = None
    note: str = ""  # beside its name, where there is room


def _nothing(_: Axes) -> None:
    """What lies under the lines of most strips."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One scenario: its curves, in the order of the run, and how its axes are made.

    `scale` sets limits, scales and ticks; it is told whether the panel is to name its y ticks. `below` draws what lies under
    the lines of every panel, `name` says a value in words.
    """

    title: str
    unit: str
    curves: Mapping[str, Curve]
    scale: Callable[[Page, Axes, bool], None]
    name: Callable[[float], str]
    below: Callable[[Axes], None] = field(default=_nothing)


def draw(page: Page, box: Box, strips: Sequence[Strip], order: Sequence[str]) -> None:
    """All strips below each other, a column for each family; a single strip takes two rows where families are many."""
    families = members(strips, order)
    if len(strips) == 1 and len(families) > ABREAST:
        _single(page, box, strips[0], families)
        return
    heads = _head_px(families)
    for place, models in zip(_columns(box, len(families)), families, strict=True):
        _head(page, Box(place.left, box.top, place.width, heads), models, strips if len(strips) == 1 else ())
    rows = box.inset(top=heads).rows(len(strips), 10.0)
    for strip, row in zip(strips, rows, strict=True):
        _title(page, strip, row)
        for number, (place, models) in enumerate(zip(_columns(row, len(families)), families, strict=True)):
            plot = place.inset(top=TITLE_PX + 6, bottom=FOOT_PX)
            _panel(page, strip, models, plot, named=not number)


def members(strips: Sequence[Strip], order: Sequence[str]) -> list[list[str]]:
    """The models with a curve by family, families in the order of their first model."""
    found: dict[str, list[str]] = {}
    for model in order:
        if any(model in strip.curves for strip in strips):
            found.setdefault(look(model, LIGHT).family, []).append(model)
    return list(found.values())


def robust_top(curves: Mapping[str, Curve]) -> float:
    """The highest value that the axis must hold: of a curve that rises far above all others only what the others reach."""
    highest = sorted(max(curve.ys) for curve in curves.values() if curve.ys)
    while len(highest) > 2 and highest[-1] > APART * highest[-2]:
        highest.pop()
    return highest[-1] if highest else 1.0


def _single(page: Page, box: Box, strip: Strip, families: Sequence[Sequence[str]]) -> None:
    """One scenario's panels in two rows, each with its own head."""
    _title(page, strip, box)
    across = -(-len(families) // 2)
    heads = _head_px(families)
    for number, row in enumerate(box.inset(top=TITLE_PX + 4).rows(2, 16.0)):
        shown = families[number * across : (number + 1) * across]
        for at, (place, models) in enumerate(zip(_columns(row, across), shown, strict=False)):
            _head(page, Box(place.left, place.top, place.width, heads), models, (strip,))
            _panel(page, strip, models, place.inset(top=heads + 4, bottom=FOOT_PX), named=not at)


def _columns(box: Box, count: int) -> list[Box]:
    return box.inset(left=TICKS_PX, right=6).columns(count, GAP_PX)


def _title(page: Page, strip: Strip, box: Box) -> None:
    title = clip_to(strip.title, LABEL + 1, box.width / 3, "bold")
    page.text(box.left, box.top + 16, title, LABEL + 1, weight="bold")
    left = box.left + width_px(title, LABEL + 1, "bold") + 14
    page.text(left, box.top + 16, clip_to(strip.unit, SMALL, box.right - left), SMALL, colour=page.theme.muted)


def _head_px(families: Sequence[Sequence[str]]) -> float:
    return 20.0 + MEMBER_PX * max(map(len, families), default=0)


def _head(page: Page, box: Box, models: Sequence[str], strips: Sequence[Strip]) -> None:
    """A family's name over its members, each with a piece of its line."""
    first = look(models[0], page.theme)
    page.text(box.left, box.top + 12, clip_to(first.family, LABEL, box.width, "bold"), LABEL, colour=first.text, weight="bold")
    for at, model in enumerate(models):
        style, y = look(model, page.theme), box.top + 26 + MEMBER_PX * at
        _sample(page, style, box.left, y)
        name = fit_name(model, SMALL, box.width - SAMPLE_PX)
        page.text(box.left + SAMPLE_PX, y, name, SMALL, colour=style.text, vertical="center")
        notes = [strip.curves[model].note for strip in strips if model in strip.curves and strip.curves[model].note]
        left = box.left + SAMPLE_PX + width_px(name, SMALL) + 10
        if notes and left + width_px(notes[0], SMALL) <= box.right:
            page.text(left, y, notes[0], SMALL, colour=page.theme.muted, vertical="center")


def _sample(page: Page, style: Look, left: float, y: float) -> None:
    sample = Line2D(
        [left / WIDTH, (left + SAMPLE_PX / 2 - 4) / WIDTH, (left + SAMPLE_PX - 8) / WIDTH],
        [1 - y / HEIGHT] * 3,
        color=style.colour,
        linestyle=style.dash,
        linewidth=2.0,
        marker=style.marker,
        markersize=5.5,
        markevery=[1],
        transform=page.figure.transFigure,
    )
    page.figure.add_artist(sample)


def _panel(page: Page, strip: Strip, models: Sequence[str], plot: Box, *, named: bool) -> None:
    """One family's lines before those of all others."""
    axes = page.axes(plot)
    strip.scale(page, axes, named)
    strip.below(axes)
    others = [list(zip(c.xs, c.ys, strict=True)) for model, c in strip.curves.items() if model not in models and len(c.xs) > 1]
    axes.add_collection(LineCollection(others, colors=page.theme.hatch, linewidths=0.9, alpha=0.75, zorder=1), autolim=False)
    shown = [model for model in models if model in strip.curves]
    for model in reversed(shown):  # the best is drawn over the others
        _curve(page, axes, strip.curves[model], look(model, page.theme))
    _over_the_top(page, axes, strip, shown, plot)
    if not shown:
        page.text(plot.left + 6, plot.top + plot.height / 2, "no curve", SMALL, colour=page.theme.muted, vertical="center")


def _curve(page: Page, axes: Axes, curve: Curve, style: Look) -> None:
    axes.plot(curve.xs, curve.ys, color=style.colour, linestyle=style.dash, linewidth=2.0, zorder=3)
    marked = range(len(curve.xs)) if curve.marked is None else sorted(curve.marked)
    for filled in (True, False):
        chosen = [at for at in marked if (at not in curve.hollow) == filled]
        axes.plot(
            [curve.xs[at] for at in chosen],
            [curve.ys[at] for at in chosen],
            color=style.colour,
            marker=style.marker,
            markersize=5.5 if filled else 6.5,
            markerfacecolor=style.colour if filled else page.theme.paper,
            markeredgewidth=0.0 if filled else 1.3,
            linestyle="none",
            zorder=4,
        )
    whiskers = [[(x, end) for end in bounds] for x, bounds in zip(curve.xs, curve.bounds, strict=False) if bounds]
    axes.add_collection(LineCollection(whiskers, colors=style.colour, linewidths=1.2, alpha=0.6, zorder=3), autolim=False)
    for at in curve.above:
        axes.plot(curve.xs[at], curve.ys[at] * 1.25, marker="$\u2191$", color=style.colour, markersize=8)
    if curve.ring:
        axes.plot(*curve.ring, "o", markersize=12, color=page.theme.ink, markerfacecolor="none", markeredgewidth=1.4, zorder=6)


def _over_the_top(page: Page, axes: Axes, strip: Strip, models: Sequence[str], plot: Box) -> None:
    """How high the lines rise that leave the panel."""
    y = plot.top + 8
    for model in models:
        highest, top = max(strip.curves[model].ys), axes.get_ylim()[1]
        if highest > top:
            said = f"\u2191 {strip.name(highest)}"
            style = look(model, page.theme)
            page.text(plot.right - 4, y, said, SMALL, colour=style.text, align="right", vertical="center", boxed=True)
            y += MEMBER_PX
