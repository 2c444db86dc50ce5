"""Tables with pictures in them: a row for each model, its name at the left, a column for each scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, fit_name, width_px
from benchmarks.charts._style import look
from benchmarks.nouns import served_by

GAP_PX, TALLEST_PX, MOST_NAME_PX, INDENT_PX = 34.0, 60.0, 250.0, 14.0


@dataclass(frozen=True, slots=True)
class Table:
    """Where things are: a row for each model, over the whole width, and a column for each scenario, heads included."""

    rows: Mapping[str, Box]
    columns: Sequence[Box]
    top: float
    bottom: float


def table(page: Page, box: Box, models: Sequence[str], columns: int, head_px: float, tallest_px: float = TALLEST_PX) -> Table:
    """Writes the names and cuts up the rest."""
    size = LABEL if len(models) > 12 else HEAD
    widest = max((width_px(words.clipped(model), size, "bold") for model in models), default=0.0)
    names_px = min(widest + 20, MOST_NAME_PX)
    row_px = min((box.height - head_px) / max(len(models), 1), tallest_px)
    inner = Box(box.left, box.top + head_px, box.width, row_px * len(models))
    rows = dict(zip(models, inner.rows(max(len(models), 1)), strict=False))
    for model, row in rows.items():
        _name(page, model, Box(row.left, row.top, names_px - 10, row.height), size, variant=served_by(model) in rows)
    cut = Box(box.left + names_px, box.top, box.width - names_px, box.height).columns(max(columns, 1), GAP_PX)
    return Table(rows, cut, inner.top, inner.bottom)


def _name(page: Page, model: str, box: Box, size: float, *, variant: bool) -> None:
    """A model in its colour; a variant, whose model stands above it, by what is different about it."""
    style = look(model, page.theme)
    below = variant and model != served_by(model)
    name, left = (f"~ {model.partition('~')[2]}", INDENT_PX) if below else (model, 0.0)
    fitted = fit_name(name, size, box.width - left, "normal" if below else "bold")
    page.text(
        box.left + left, box.top + box.height / 2, fitted, size, colour=style.text, weight="normal" if below else "bold",
        vertical="center",
    )  # fmt: skip


def absent(page: Page, cell: Box, reason: str) -> None:
    """A hatched cell with the reason for having no number."""
    inset = max((cell.height - 24) / 2, 2.0)
    strip = cell.inset(top=inset, bottom=inset)
    page.hatch(strip, edge=True)
    text = clip_to(reason, SMALL, cell.width - 28)
    page.text(cell.left + 12, cell.top + cell.height / 2, text, SMALL, vertical="center", boxed=True)
