"""The picture that opens the report: every model in every scenario, as its ratio to the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.figure import Figure

from benchmarks import amounts, matrix
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _rows as rows
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, PX, SMALL, Box, Page, clip_to, width_px, wrapped
from benchmarks.charts._style import Theme, look, mix
from benchmarks.matrix import Place
from benchmarks.summaries import RunSummary, ScenarioSummary, Standing

QUESTION = "Which model for which workload?"
UPRIGHT = 12  # columns, whose heads have room beside each other; of more the table is turned: a row for each
HUE = "#0072B2"  # Okabe and Ito's blue, from strong to pale: its lightness alone tells, whatever colours an eye can see
PALEST, FLOOR = 0.93, 0.1  # how much paper is mixed into it for a tenth of the best or less; the best has none
HEAD_PX, FOOT_PX, TALLEST_PX, WIDEST_PX = 62.0, 26.0, 44.0, 300.0
BEST_PX, LINE_PX, KEY_PX = 92.0, 15.0, 30.0
CORNER_PX = 7.0  # of a cell with a warning, hatched
KEY = ("1.00: the best of the question, smaller is worse everywhere, whichever way is better", cells.ORDER)
Outline = Literal["", "same", "tied"]  # nobody is better: the best, or the same as it; or without a significant difference


@dataclass(frozen=True, slots=True)
class Column:
    """What a scenario ranks by, or another of its measures that has a short name."""

    title: str
    scenario: str
    places: Mapping[str, Place]
    best: str  # the best model's value, in words
    same: frozenset[str]  # who was called the same as the best, and the best

    def outline(self, model: str) -> Outline:
        """What is drawn around a model's cell."""
        if not self.places[model].best:
            return ""
        return "same" if model in self.same or self.places[model].ratio == 1 else "tied"


def has(_: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether anybody stands in it."""
    return bool(scenario.standings)


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """Models by columns; where there are many columns the table is turned, and models stand side by side."""
    columns = [column for scenario in shown for column in columns_of(summary, scenario)]
    order = cells.models(summary)
    page = Page(theme, QUESTION, answer(summary, columns), summary.conditions)
    footnotes = [line for note in footnotes_of(columns) for line in wrapped(note, SMALL, page.body.width, most_lines=9)]
    box = panels.framed(page, KEY, [])
    grid = box.inset(bottom=LINE_PX * len(footnotes) + KEY_PX)
    bottom = (_upright if len(columns) <= UPRIGHT else _turned)(page, columns, order, grid)
    _legend(page, columns, box.left, bottom + 18)
    for at, line in enumerate(footnotes):
        page.text(box.left, bottom + KEY_PX + 14 + LINE_PX * at, line, SMALL, colour=theme.muted)
    return page.figure


# ---------------------------------------------------------------- what is shown


def columns_of(summary: RunSummary, scenario: ScenarioSummary) -> list[Column]:
    """A column for the first measure, and one for each other that has a short name."""
    measures = [(at, measure) for at, measure in enumerate(scenario.measures) if at == 0 or measure.short]
    found = matrix.columns(replace(summary, scenarios=[scenario]))
    columns = []
    for (at, measure), column in zip(measures, found, strict=True):
        leader = next((s.model for s in scenario.standings if _is_best(s, at)), "")
        value = next((s.results[at].value for s in scenario.standings if s.model == leader), None)
        best = amounts.shown(value.value, measure.unit) if value else ""
        same = _same_as(scenario, leader) if at == 0 else frozenset({leader})
        columns.append(Column(column.title, scenario.scenario, column.places, best, same))
    return columns


def _is_best(standing: Standing, at: int) -> bool:
    """Whether all others' ratios are to this one."""
    result = standing.results[at] if at < len(standing.results) else None
    return result is not None and result.rank == 1 and result.ratio is not None and result.ratio.value == 1


def _same_as(scenario: ScenarioSummary, leader: str) -> frozenset[str]:
    pairs = [{pair.one, pair.other} for pair in scenario.pair_list if pair.call == "same"]
    return frozenset({leader}.union(*(pair for pair in pairs if leader in pair)))


def answer(summary: RunSummary, columns: Sequence[Column]) -> str:
    """Who is best, or not significantly worse, in most columns."""
    wins: dict[str, list[str]] = {}
    for column in columns:
        for model, place in column.places.items():
            if place.best:
                wins.setdefault(model, []).append(column.title)
    if not wins:
        return cells.caution(summary, "no model could be ranked")
    best = sorted(wins, key=lambda model: -len(wins[model]))
    few = len(columns) <= 4
    clauses = [f"{words.clipped(m)} in {words.listing(wins[m]) if few else len(wins[m])}" for m in best[:4]]
    never = len({model for column in columns for model in column.places} - set(wins))
    text = f"of {len(columns)} question{'s' * (len(columns) != 1)}, best or tied for best: {', '.join(clauses)}"
    if len(best) > 4:
        text += f", {len(best) - 4} others in {'some' if few else 'fewer'}"
    return cells.caution(summary, text + (f"; {never} in none" if never else ""))


def footnotes_of(columns: Sequence[Column]) -> list[str]:
    """Why there is no number, each code once: "O overloaded: …: prefork and epoll_loop in cpu (e.g. 200/s of 224/s)"."""
    notes = []
    for code, said in matrix.CODES.values():
        alike: dict[tuple[str, ...], list[str]] = {}  # columns by the models that have no number in them
        for column in columns:
            concerned = tuple(words.clipped(model) for model, place in column.places.items() if place.code == code)
            if concerned:
                alike.setdefault(concerned, []).append(column.title)
        where = [f"{words.listing(names, 9)} in {words.listing(titles, 9)}" for names, titles in alike.items()]
        whys = [place.why for column in columns for place in column.places.values() if place.code == code and place.why]
        example = f" ({'e.g. ' if len(set(whys)) > 1 else ''}{whys[0]})" if whys else ""
        if where:
            notes.append(f"{code} {said}: {'; '.join(where)}{example}")
    return notes


# ---------------------------------------------------------------- the two tables


def _upright(page: Page, columns: Sequence[Column], order: Sequence[str], box: Box) -> float:
    """Rows are models; the best's value stands below each column. Returns where the table ends."""
    shown = [model for model in order if any(model in column.places for column in columns)]
    table = rows.table(page, box.inset(bottom=FOOT_PX), shown, 1, HEAD_PX, TALLEST_PX)
    left = table.columns[0].left
    column_px = min(table.columns[0].width / max(len(columns), 1), WIDEST_PX)
    size = _size(columns, column_px, (table.bottom - table.top) / max(len(shown), 1))
    for at, column in enumerate(columns):
        place = Box(left + column_px * at, table.top, column_px, table.bottom - table.top)
        _head(page, column, place)
        for model, row in table.rows.items():
            _cell(page, column, model, Box(place.left, row.top, column_px, row.height), size)
        best = clip_to(f"1 = {column.best}" if column_px > 90 else column.best, SMALL, column_px - 4)
        page.text(place.left + column_px / 2, table.bottom + 17, best, SMALL, align="center", weight="bold")
    return table.bottom + FOOT_PX


def _head(page: Page, column: Column, place: Box) -> None:
    lines = _folded(column.title, SMALL, place.width - 6, 3 if column.title == column.scenario else 2)
    below = [] if column.title == column.scenario else [clip_to(column.scenario, SMALL - 1, place.width - 6)]
    y = place.top - 10 - LINE_PX * (len(lines) + len(below) - 1)
    for line in lines:
        page.text(place.left + place.width / 2, y, line, SMALL, align="center", weight="bold")
        y += LINE_PX
    for line in below:
        page.text(place.left + place.width / 2, y, line, SMALL - 1, align="center", colour=page.theme.muted)


def _turned(page: Page, columns: Sequence[Column], order: Sequence[str], box: Box) -> float:
    """Rows are columns of the other table, models side by side, the best's value at the right. Returns where it ends."""
    shown = [model for model in order if any(model in column.places for column in columns)]
    names_px = max(width_px(column.title, SMALL, "bold") for column in columns) + 14
    grid = box.inset(left=names_px, top=HEAD_PX, right=BEST_PX)
    row_px = min(grid.height / len(columns), TALLEST_PX)
    column_px = grid.width / max(len(shown), 1)
    for at, model in enumerate(shown):
        lines = _folded(model, SMALL - 1, column_px, 4)
        for line, text in enumerate(lines):
            y = box.top + HEAD_PX - 8 - 13.5 * (len(lines) - 1 - line)
            ink = look(model, page.theme).text
            page.text(grid.left + column_px * (at + 0.5), y, text, SMALL - 1, colour=ink, weight="bold", align="center")
    page.text(box.right, box.top + HEAD_PX - 8, "best value", SMALL, weight="bold", align="right")
    size = _size(columns, column_px, row_px)
    for number, column in enumerate(columns):
        top = grid.top + row_px * number
        named = Box(box.left, top, names_px - 10, row_px)
        page.text(named.left, top + row_px / 2, column.title, min(SMALL, row_px * 0.6), weight="bold", vertical="center")
        for at, model in enumerate(shown):
            _cell(page, column, model, Box(grid.left + column_px * at, top, column_px, row_px), size)
        page.text(box.right, top + row_px / 2, column.best, min(SMALL, row_px * 0.6), align="right", vertical="center")
    return grid.top + row_px * len(columns)


def _folded(name: str, size: float, width: float, most: int) -> list[str]:
    """A name in lines that fit, broken at spaces, after hyphens and underscores and before a variant's "~"."""
    pieces = name.replace("-", "-\n").replace("_", "_\n").replace(" ", " \n").replace("~", "\n~").split("\n")
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if width_px((lines[-1] + piece).rstrip(), size, "bold") <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    if len(lines) > most:
        lines = [*lines[: most - 1], "".join(lines[most - 1 :])]
    return [clip_to(line.rstrip(), size, width, "bold") for line in lines]


# ---------------------------------------------------------------- a cell


def _size(columns: Sequence[Column], column_px: float, row_px: float) -> float:
    """The size of all numbers: as large as the widest of them and the rows allow."""
    said = [matrix.ratio_in_words(place.ratio) for column in columns for place in column.places.values() if place.ratio]
    widest = max((width_px(text, LABEL, "bold") for text in said), default=1.0)
    return min(HEAD, LABEL * (column_px - 16) / widest, row_px * 0.7 / PX)


def shade(closeness: float, theme: Theme) -> str:
    """The fill of a cell: the hue with the more paper in it the further from the best, steeply near the best."""
    far = min((1 - min(closeness, 1.0)) / (1 - FLOOR), 1.0)
    return mix(mix(HUE, "#ffffff", theme.lift), theme.paper, PALEST * far**0.6)


def _ink(fill: str) -> str:
    """Black or white: white on what is dark, where both can be read."""
    red, green, blue = (part / 255 for part in bytes.fromhex(fill[1:]))
    bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return "#ffffff" if bright < 0.22 else "#111418"


def _cell(page: Page, column: Column, model: str, box: Box, size: float) -> None:
    """A number on its colour, outlined where nobody is better; a letter on hatching where there is none."""
    place = column.places.get(model)
    inner = box.inset(1.5, 1.5, 1.5, 1.5)
    middle = inner.left + inner.width / 2, inner.top + inner.height / 2
    if place is None:
        page.text(*middle, matrix.ABSENT, size, colour=page.theme.muted, align="center", vertical="center")
        return
    if place.ratio is None:
        page.hatch(inner, edge=True)
        page.text(*middle, place.code, size, weight="bold", align="center", vertical="center", boxed=True)
        return
    fill = shade(place.ratio, page.theme)
    page.fill(inner, fill)
    if place.warnings:
        page.fill(Box(inner.right - CORNER_PX, inner.top, CORNER_PX, inner.height), fill, hatch=_ink(fill))
    if outline := column.outline(model):
        thick = 1.2 if box.height < 24 else 2.0
        page.frame(inner.inset(1, 1, 1, 1), _outline(page.theme), dashed=outline == "tied", width=thick)
    weight: Literal["bold", "normal"] = "bold" if outline else "normal"
    page.text(
        *middle, matrix.ratio_in_words(place.ratio), size, colour=_ink(fill), weight=weight, align="center", vertical="center"
    )


def _outline(theme: Theme) -> str:
    return mix("#E69F00", "#ffffff", theme.lift)


def _legend(page: Page, columns: Sequence[Column], x: float, y: float) -> None:
    """What colours and outlines stand for."""
    for at, closeness in enumerate((1.0, 0.7, 0.4, 0.1)):
        page.fill(Box(x + 23 * at, y - 7, 22, 14), shade(closeness, page.theme))
    x = _say(page, x + 100, y, "the best … a tenth as good")
    places = [place for column in columns for place in column.places.values()]
    for outline, said in (("same", "best, or the same within the margin"), ("tied", "not significantly worse than the best")):
        if any(column.outline(model) == outline for column in columns for model in column.places):
            box = Box(x, y - 7, 22, 14)
            page.fill(box, shade(0.9, page.theme))
            page.frame(box.inset(1.5, 1.5, 1.5, 1.5), _outline(page.theme), dashed=outline == "tied")
            x = _say(page, x + 30, y, said)
    if any(place.warnings for place in places):
        fill = shade(0.5, page.theme)
        page.fill(Box(x, y - 7, 22, 14), fill)
        page.fill(Box(x + 15, y - 7, 7, 14), fill, hatch=_ink(fill))
        x = _say(page, x + 30, y, "with a warning, see summary.md")
    if any(place.ratio is None for place in places):
        page.hatch(Box(x, y - 7, 22, 14), edge=True)
        _say(page, x + 30, y, "no number, see below")


def _say(page: Page, x: float, y: float, said: str) -> float:
    """Words of the legend; returns where the next entry begins."""
    page.text(x, y, said, SMALL, colour=page.theme.muted, vertical="center")
    return x + width_px(said, SMALL) + 26
