"""Words in lines of a terminal: wrapped or shortened without cutting a number or its unit, and aligned in columns."""

import re
import textwrap
from collections.abc import Sequence

from rich.text import Text

from benchmarks.sheets import Sheet

GAP = "  "  # between columns
MORE = " …"
_UNITED = re.compile(r"(?<=\d) (?=(?:ns|µs|ms|s|[KMG]?i?B)\b|[±(])")  # the space inside "1.25 ms", "0.83 ±2%"
_CLAUSE = re.compile(r"[,;:.] ")
_NUMBER = re.compile(r"\s+\S*\d\S*$")
KEPT = 0.6  # of shortened words are kept at least, if a clause ends behind that; else they end in the middle of one


def wrapped(words: str, width: int, most: int | None = None, indent: str = "") -> list[str]:
    """Lines of this width, `most` of them at most; the second and later begin with the indent. What was left out is "…"."""
    united = _UNITED.sub("\u00a0", " ".join(words.split()))
    lines = textwrap.wrap(united, width, subsequent_indent=indent, break_on_hyphens=False)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], _shortened(lines[most - 1], width)]
    return [line.replace("\u00a0", " ") for line in lines]


def _shortened(line: str, width: int) -> str:
    """The line up to its last clause, or without its last words where that would lose much, and the sign of more."""
    clause = max((found.start() for found in _CLAUSE.finditer(line)), default=0)
    if clause >= KEPT * len(line):
        return line[:clause] + MORE
    while len(line) > width - len(MORE) or _NUMBER.search(line):
        shorter = line.rpartition(" ")[0]
        if not shorter.strip():
            return line[: width - len(MORE)] + MORE
        line = shorter
    return line + MORE


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """The rows as lines, with columns as wide as their widest word."""
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def table(sheet: Sheet, width: int) -> list[Text]:
    """The sheet's table in lines of this width; one that is wider comes in parts, each beginning with the key columns."""
    return [line for columns in _parts(sheet, width) for line in (*_part(sheet, columns), Text())]


def _parts(sheet: Sheet, width: int) -> list[list[int]]:
    """The columns of each part."""
    widths = [
        max(max(map(len, _heading(column.title)), default=0), *(len(row.words[at]) for row in sheet.rows))
        for at, column in enumerate(sheet.columns)
    ]
    key = list(range(sheet.key))
    parts = [list(key)]
    for at in range(sheet.key, len(widths)):
        used = sum(widths[one] + len(GAP) for one in parts[-1])
        if used + widths[at] > width and parts[-1] != key:
            parts.append(list(key))
        parts[-1].append(at)
    return parts


def _part(sheet: Sheet, columns: Sequence[int]) -> list[Text]:
    headings = [_heading(sheet.columns[at].title) for at in columns]
    deep = max(map(len, headings))
    heads = [[_line(heading, row, deep) for heading in headings] for row in range(deep)]
    rows = [[row.words[at] for at in columns] for row in sheet.rows]
    lines = aligned([*heads, *rows], [sheet.columns[at].right for at in columns])
    styles = ["red" if row.failed else "dim strike" if row.invalid else "bold" if row.first else "" for row in sheet.rows]
    return [Text(line, style=style) for line, style in zip(lines, ["dim"] * deep + styles, strict=True)]


def _line(heading: Sequence[str], row: int, deep: int) -> str:
    """A line of a heading that stands on the bottom of so many lines."""
    at = row - (deep - len(heading))
    return heading[at] if at >= 0 else ""


def _heading(title: str, folded: int = 14) -> list[str]:
    """A long title in lines as short as they can be."""
    return textwrap.wrap(title, folded, break_long_words=False, break_on_hyphens=False) or [""]
