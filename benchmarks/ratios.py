"""What a comparison says on a terminal: a table for each scenario, how sure its calls are, and what became of the gates."""

import itertools
from collections.abc import Iterable, Sequence
from statistics import median

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.amounts import digits, duration, half_width, percent, rate, size, times
from benchmarks.comparison import Comparison, Row
from benchmarks.gates import Judged, verdict

FOLD_FROM = 24  # rows of a scenario, from which on those that show nothing are counted instead of shown
NARROW = 96  # columns of a terminal, below which there is no room for both values
NAMED_AT_MOST = 5  # cells under one outcome of a gate
MODELS_FOR_A_DRIFT = 3  # from which on a change of all of them is remarked,
DRIFT = 0.02  # if it is at least so large
_GOOD = ("faster", "less")
_QUIET = ("same", "open")
STYLES = {"kept": "bold green", "broken": "bold red", "undecided": "bold yellow"}


def show(comparison: Comparison, console: Console, everything: bool = False) -> None:
    """Print all tables; `everything` shows the rows without a difference too where they are many."""
    for scenario in dict.fromkeys(row.scenario for row in comparison.rows):
        rows = [row for row in comparison.rows if row.scenario == scenario]
        many = len(rows) > FOLD_FROM and not everything
        shown = [row for row in rows if row.call not in _QUIET] if many else rows
        console.print(Text.assemble("\n", (scenario, "bold"), f"  ratios are {comparison.other} by {comparison.base}"))
        if shown:
            console.print(
                _table(comparison, sorted(shown, key=lambda row: _place(row, rows)), console.width < NARROW), highlight=False
            )
        if folded := [row for row in rows if many and row.call in _QUIET]:
            console.print(Padding(Text(_folded(folded), style="dim"), (0, 0, 0, 1)), highlight=False)
    for line in conclusions(comparison):
        console.print(Text(line), highlight=False)


def _place(row: Row, rows: Sequence[Row]) -> tuple[int, int]:
    """Model by model, each in the order of its levels."""
    models = list(dict.fromkeys(other.model for other in rows))
    return models.index(row.model), rows.index(row)


def _folded(rows: Sequence[Row]) -> str:
    """What is known of rows without a significant difference, by the least of them."""
    widest = max((half_width(row.ratio) or 0.0 for row in rows if row.ratio), default=0.0)
    known = f"to ±{percent(widest)}" if widest < 1 else f"to a factor of {digits(1 + widest, 2)}"
    same = sum(row.call == "same" for row in rows)
    return f"{same} more are the same, {len(rows) - same} open, known {known} or better; --all shows them"


def _table(comparison: Comparison, rows: Sequence[Row], narrow: bool) -> RenderableType:
    """A narrow one has ratios only, and not what they are made of."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("level", no_wrap=True)
    table.add_column("metric", min_width=len("memory,"))
    amounts = [] if narrow else [_short(comparison.base), _short(comparison.other)]
    for heading in (*amounts, "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", min_width=len("slower"))
    before = ("", "")
    for together in _alike(rows):
        row, here = together[0], (together[0].model, together[0].level)
        if row.model != before[0]:
            table.add_row(Text(row.model, style="bold"))
        level = row.level if here != before else ""
        metrics = ", ".join(one.metric for one in together)
        table.add_row(f" {level}" if row.model else level, metrics, *_numbers(row, narrow), _said(row))
        before = here
    return table


def _alike(rows: Sequence[Row]) -> Iterable[list[Row]]:
    """Rows in groups: those of one level that lack a number for one reason share a line, all others stand alone."""
    by_reason = itertools.groupby(rows, key=lambda row: (row.model, row.level, row.why if row.ratio is None else id(row)))
    return (list(together) for _, together in by_reason)


def _short(name: str) -> str:
    """The end of a long name: of a path, the folder."""
    return name if len(name) <= 20 else "…" + name[-19:]


def _numbers(row: Row, narrow: bool) -> Iterable[str]:
    if not narrow:
        yield amount(row.metric, row.base)
        yield amount(row.metric, row.other)
    yield ratio(row)


def amount(metric: str, value: float | None) -> str:
    """A value in its metric's unit; a dash for none."""
    if value is None:
        return "–"
    if metric == "rate":
        return rate(value)
    return size(value) if metric == "memory" else duration(value)


def ratio(row: Row) -> str:
    """The ratio with its interval: "0.94 (0.92–0.96)"."""
    if row.ratio is None:
        return "–"
    between = f" ({_two(row.ratio.low)}–{_two(row.ratio.high)})" if row.ratio.low and row.ratio.high else ""
    return f"{_two(row.ratio.value)}{between}"


def _two(ratio: float) -> str:
    """Two decimals, so that they stand below each other; three where two would hide on which side of 1 it is."""
    if ratio < 0.1 or ratio >= 100:
        return digits(ratio, 2)
    return f"{ratio:.3f}" if 0.995 <= ratio < 1.005 and ratio != 1 else f"{ratio:.2f}"


def _said(row: Row) -> Text:
    if row.why:
        return Text(row.why, style="dim" if row.excused else "yellow")
    if row.call in _QUIET:
        return Text(row.call, style="dim")
    return Text(row.call, style="bold green" if row.call in _GOOD else "bold red")


# ---------------------------------------------------------------- how sure it is


def conclusions(comparison: Comparison) -> list[str]:
    """How many rows differ, are the same or stay open; what only one side has."""
    judged = [row for row in comparison.rows if row.judged]
    lines = []
    if judged:
        same, left = (sum(row.call == call for row in judged) for call in _QUIET)
        lines.append(
            f"{len(judged)} ratios with 95% intervals: {len(judged) - same - left} differ significantly, {same} are the same, "
            f"{left} are open (corrected for their number: the chance of any false call of a kind is at most 5%)."
        )
    else:
        lines.append("Nothing could be compared.")
    if not comparison.paired:
        lines.append(
            "Two runs share no replicate: what else changed between them, such as the hour, is in every ratio and in no"
            " interval. To compare two versions, use: servebench gate BASE HEAD"
        )
        lines += _drift(comparison)
    lines += [f"Only {comparison.base} has {_listed(comparison.missing)}."] if comparison.missing else []
    lines += [f"Only {comparison.other} has {_listed(comparison.added)}."] if comparison.added else []
    return ["", *lines]


def _drift(comparison: Comparison) -> Iterable[str]:
    """A remark where all models moved alike: that is seldom their doing."""
    ratios: dict[str, list[float]] = {}
    for row in comparison.rows:
        if row.metric == "rate" and row.ratio and row.model:
            ratios.setdefault(row.model, []).append(row.ratio.value)
    if len(ratios) < MODELS_FOR_A_DRIFT:
        return
    middles = [median(of_model) for of_model in ratios.values()]
    if min(middles) > 1 + DRIFT or max(middles) < 1 - DRIFT:
        yield (
            f"All {len(middles)} models moved the same way, to {times(median(middles))} in the middle: what changed may be the "
            "machine. Make both runs again, in turns."
        )


# ---------------------------------------------------------------- gates


def show_gates(judged: Sequence[Judged], console: Console) -> None:
    """Print what became of every gate, the worst first."""
    for gate in dict.fromkeys(one.gate for one in judged):
        own = [one for one in judged if one.gate == gate]
        kept, outcome = sum(one.outcome == "kept" for one in own), verdict(own)
        told = (outcome, STYLES[outcome])
        console.print(Text.assemble("\n", (gate.text, "bold"), "  ", told, f": kept in {kept} of {len(own)} cells"))
        for line in gate_lines(own):
            console.print(Text(line), highlight=False)


def gate_lines(judged: Sequence[Judged]) -> Iterable[str]:
    """A gate's cells but for those that keep it, some of each outcome by name."""
    for outcome, told in (
        ("broken", "broken in {}"),
        ("undecided", "undecided in {}: more replicates would tell, or other levels"),
    ):
        own = [one for one in judged if one.outcome == outcome]
        if not own:
            continue
        yield "  " + told.format("1 cell" if len(own) == 1 else f"{len(own)} cells")
        yield from (f"    {_cell(one)}" for one in own[:NAMED_AT_MOST])
        if len(own) > NAMED_AT_MOST:
            yield f"    and {len(own) - NAMED_AT_MOST} more"


def _cell(one: Judged) -> str:
    if one.row is None:
        return one.why
    where = " ".join(part for part in (one.row.scenario, one.row.model, one.row.level) if part)
    return f"{where}: {one.why or ratio(one.row)}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
