"""What charts have around their picture: a line that explains the signs above it, remarks below it."""

from collections.abc import Sequence

from benchmarks.charts._page import REMARK_PX, SMALL, Box, Page, remark_rows, wrapped

KEY_PX = 18.0


def framed(page: Page, key: Sequence[str], remarks: Sequence[str], most_rows: int = 3) -> Box:
    """Writes the key and the remarks, in so many rows at most; returns the room between them."""
    box = page.body
    lines = wrapped(" · ".join(key), SMALL, box.width, most_lines=3)
    for at, line in enumerate(lines):
        page.text(box.left, box.top + 6 + KEY_PX * at, line, SMALL, colour=page.theme.muted)
    rows = min(remark_rows(remarks, box.width), most_rows)
    foot = REMARK_PX * rows + (10 if rows else 0)
    if rows:
        page.remarks(Box(box.left, box.bottom - REMARK_PX * rows, box.width, REMARK_PX * rows), remarks)
    return box.inset(top=KEY_PX * len(lines) + 6, bottom=foot)
