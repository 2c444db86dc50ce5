"""The picture that opens the report: every model in every scenario, as its ratio to the best."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks import matrix
from benchmarks.charts import _cells as cells
from benchmarks.charts import _words as words
from benchmarks.charts._page import (
    ANSWER,
    HEAD,
    HEIGHT,
    LABEL,
    SMALL,
    WIDTH,
    Box,
    Page,
    clip_to,
    fit_name,
    width_px,
)
from benchmarks.charts._style import Theme, look, mix
from benchmarks.matrix import MatrixColumn, Place
from benchmarks.nouns import served_by
from benchmarks.summaries import RunSummary, ScenarioSummary

QUESTION = "Which model for which workload?"
COLUMNS = 24  # on a page
HUE = "#0072B2"  # Okabe and Ito's blue, from strong to pale: its lightness alone tells, whatever colours an eye can see
STRONGEST, PALEST = 0.0, 0.9  # how much paper is mixed into it, for the best and for a tenth of that or less
FLOOR = 0.1
TIED, ALONE = "=", "●"  # before the number of those who share the best place, and of who has it alone
KEY_PX, WIDEST_PX, HIGHEST_PX = 92.0, 240.0, 72.0
LINE_PX, MOST_LINES, STOREY_PX = 14.5, 2, 46.0  # of the columns' heads; of those there are two storeys where they are wide
MARK_PX = 7.0  # of a marked cell's right edge, hatched
KEY = "1.00 = best of the column, smaller is worse everywhere"


def draw(summary: RunSummary, theme: Theme) -> Figure:
    """Rows are models, family by family, variants under their model; columns are what the scenarios rank by."""
    shown = matrix.columns(summary)
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    order = matrix.with_variants(cells.models(summary))
    order = [model for model in order if any(model in column.places for column in shown)]
    if not shown or not order:
        page.text(page.body.left, page.body.top + 40, "No scenario was measured.", ANSWER)
        return page.figure
    staggered = any(not _fits(column, page.body.width * 0.8 / len(shown) - 6) for column in shown)
    names_px = min(max(width_px(words.clipped(model), HEAD, "bold") for model in order) + 24, 300.0)
    body = page.body.inset(left=names_px, top=STOREY_PX * (1 + staggered) + 6, bottom=KEY_PX)
    column_px = min(body.width / len(shown), WIDEST_PX)
    row_px = min(body.height / len(order), HIGHEST_PX)
    grid = Box(body.left, body.top, column_px * len(shown), row_px * len(order))
    for model, row in zip(order, grid.rows(len(order)), strict=True):
        _name(page, model, Box(page.body.left, row.top, names_px, row.height), variant=served_by(model) in order)
    size = _size(shown, row_px, column_px)
    for number, (column, box) in enumerate(zip(shown, grid.columns(len(shown)), strict=True)):
        _head(page, column, box, lifted=staggered and number % 2 == 0, room=2 * box.width if staggered else box.width)
        for model, row in zip(order, grid.rows(len(order)), strict=True):
            _cell(page, column.places.get(model), Box(box.left, row.top, box.width, row.height), size)
    _key(page, shown, Box(page.body.left, grid.bottom + 14, page.body.width, KEY_PX))
    return page.figure


def columns_of(scenario: ScenarioSummary) -> int:
    """How many columns a scenario takes."""
    return max(sum(at == 0 or bool(measure.short) for at, measure in enumerate(scenario.measures)), 1)


def answer(summary: RunSummary, shown: Sequence[MatrixColumn]) -> str:
    """Who is best or tied in most columns."""
    return cells.caution(summary, matrix.answer(shown))


def _name(page: Page, model: str, box: Box, *, variant: bool) -> None:
    """A model in its colour; a variant, whose model stands above it, by what is different about it."""
    style = look(model, page.theme)
    is_variant = variant and model != served_by(model)
    name = f"~ {model.partition('~')[2]}" if is_variant else model
    indent = 16.0 if is_variant else 0.0
    size = min(HEAD, box.height * 0.5)
    fitted = fit_name(name, size, box.width - 14 - indent, "normal" if is_variant else "bold")
    page.text(
        box.left + indent, box.top + box.height / 2, fitted, size, colour=style.text, weight="normal" if is_variant else "bold",
        vertical="center",
    )  # fmt: skip


def _fits(column: MatrixColumn, width: float) -> bool:
    """Whether a column's head can stand right above it, whole."""
    lines = _folded(column.title, SMALL, width, MOST_LINES)
    return not any("…" in line for line in lines) and width_px(_below(column), SMALL - 1) <= width


def _below(column: MatrixColumn) -> str:
    """What stands in grey below a column's title: its scenario, if that is called otherwise."""
    return "" if column.title == column.scenario else column.scenario


def _head(page: Page, column: MatrixColumn, box: Box, *, lifted: bool, room: float) -> None:
    """The title above its column in short lines, the scenario in grey below; `lifted` to leave others room."""
    lines, below = _folded(column.title, SMALL, room - 6, MOST_LINES), _below(column)
    lift = STOREY_PX if lifted else 0.0
    y = box.top - 9 - lift - LINE_PX * (len(lines) - 1 + bool(below))
    if lifted:
        _fill(page, Box(box.left + box.width / 2 - 0.5, box.top - lift - 2, 1.0, lift), page.theme.hatch)
    for line in lines:
        page.text(box.left + box.width / 2, y, line, SMALL, align="center", weight="bold")
        y += LINE_PX
    if below:
        said = clip_to(below, SMALL - 1, room - 6)
        page.text(box.left + box.width / 2, y, said, SMALL - 1, align="center", colour=page.theme.muted)


def _folded(name: str, size: float, width: float, most: int) -> list[str]:
    """A name in lines that fit, broken at spaces and after hyphens and underscores."""
    pieces = name.replace("-", "-\n").replace("_", "_\n").replace(" ", " \n").split("\n")
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if width_px((lines[-1] + piece).rstrip(), size, "bold") <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    if len(lines) > most:
        lines = [*lines[: most - 1], "".join(lines[most - 1 :])]
    return [clip_to(line.rstrip(), size, width, "bold") for line in lines]


def _size(shown: Sequence[MatrixColumn], row_px: float, column_px: float) -> float:
    """The size of all numbers: as large as the widest of them and the rows allow."""
    places = [place for column in shown for place in column.places.values()]
    said = [_said(place) for place in places]
    column_px -= MARK_PX if any(place.marks for place in places) else 0.0
    widest = max((width_px(text, LABEL, "bold") for text in said), default=1.0)
    return min(HEAD, LABEL * (column_px - 8) / widest, row_px * 0.42)


def _said(place: Place) -> str:
    if place.ratio is None:
        return place.code
    sign = (ALONE if place.alone else TIED) if place.best else ""
    return f"{sign}{matrix.ratio_in_words(place.ratio)}"


def _cell(page: Page, place: Place | None, box: Box, size: float) -> None:
    """A number on its colour; hatched with a letter where there is none, and hatched at the edge where it is marked."""
    theme, inner = page.theme, box.inset(left=1.5, top=1.5, right=1.5, bottom=1.5)
    middle = inner.left + inner.width / 2, inner.top + inner.height / 2
    if place is None:
        page.text(*middle, matrix.ABSENT, size, colour=theme.muted, align="center", vertical="center")
        return
    if place.ratio is None:
        page.hatch(inner, edge=True)
        page.text(*middle, place.code, size, weight="bold", align="center", vertical="center", boxed=True)
        return
    fill = shade(1.0 if place.best else min(place.ratio, 1.0), theme)
    _fill(page, inner, fill)
    if place.marks:
        _fill(page, Box(inner.right - MARK_PX, inner.top, MARK_PX, inner.height), fill, hatch=_ink(fill))
        middle = inner.left + (inner.width - MARK_PX) / 2, middle[1]
    page.text(
        *middle, _said(place), size, colour=_ink(fill), weight="bold" if place.best else "normal", align="center",
        vertical="center",
    )  # fmt: skip


def shade(ratio: float, theme: Theme) -> str:
    """The fill of a ratio of at most 1: the hue with the more paper in it the smaller it is, steeply near the best."""
    far = min((1 - ratio) / (1 - FLOOR), 1.0)
    base = mix(HUE, "#ffffff", theme.lift)
    return mix(base, theme.paper, STRONGEST + (PALEST - STRONGEST) * far**0.6)


def _ink(fill: str) -> str:
    """Black or white, whichever stands out from the fill."""
    red, green, blue = bytes.fromhex(fill[1:])
    bright = (0.2126 * (red / 255) ** 2.2 + 0.7152 * (green / 255) ** 2.2 + 0.0722 * (blue / 255) ** 2.2)  # fmt: skip
    return "#ffffff" if (1.05 / (bright + 0.05)) > ((bright + 0.05) / 0.05) else "#111418"


def _fill(page: Page, box: Box, colour: str, hatch: str = "") -> None:
    page.figure.add_artist(
        Rectangle(
            (box.left / WIDTH, 1 - box.bottom / HEIGHT),
            box.width / WIDTH,
            box.height / HEIGHT,
            transform=page.figure.transFigure,
            facecolor=colour,
            edgecolor=hatch or "none",
            linewidth=0.0,
            hatch="//////" if hatch else None,
            zorder=0.5,
        )
    )


def _key(page: Page, shown: Sequence[MatrixColumn], box: Box) -> None:
    """What colours, signs and letters stand for, in two lines at most, and in two more why there are letters."""
    places = [place for column in shown for place in column.places.values()]
    entries: list[tuple[str, str]] = [("", KEY)]
    if any(place.alone for place in places):
        entries.append((ALONE, "best alone"))
    if any(place.best and not place.alone for place in places):
        entries.append((TIED, "the noise cannot tell it from the best"))
    if any(place.marks and place.ratio is not None for place in places):
        entries.append(("//", "marked: see the table"))
    entries += matrix.explained(shown)
    x, y = box.left, box.top + 10
    for code, said in entries:
        swatch = 22.0 if code else 92.0
        wide = swatch + 8 + width_px(said, SMALL) + 22
        if x > box.left and x + wide - 22 > box.right:
            x, y = box.left, y + 21
        _swatch(page, code, x, y)
        fitted = clip_to(said, SMALL, box.right - x - swatch - 8)
        page.text(x + swatch + 8, y, fitted, SMALL, colour=page.theme.muted, vertical="center")
        x += wide
    said = " · ".join(matrix.reasons(shown))
    page.paragraph(box.left, y + 26, said, SMALL, box.width, most_lines=2, colour=page.theme.muted)


def _swatch(page: Page, code: str, x: float, y: float) -> None:
    if not code:
        for at, ratio in enumerate((1.0, 0.7, 0.4, 0.1)):
            _fill(page, Box(x + 23 * at, y - 7, 22, 14), shade(ratio, page.theme))
    elif code in (ALONE, TIED):
        fill = shade(1.0, page.theme)
        _fill(page, Box(x, y - 7, 22, 14), fill)
        page.text(x + 11, y, code, SMALL, colour=_ink(fill), weight="bold", align="center", vertical="center")
    elif code == "//":
        fill = shade(0.5, page.theme)
        _fill(page, Box(x, y - 7, 22, 14), fill)
        _fill(page, Box(x + 13, y - 7, 9, 14), fill, hatch=_ink(fill))
    else:
        page.hatch(Box(x, y - 7, 22, 14), edge=True)
        page.text(x + 11, y, code, SMALL, weight="bold", align="center", vertical="center", boxed=True)
