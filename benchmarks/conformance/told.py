"""What came of the suite: for a terminal, each server and what it breaks; for a page, a table of servers and rules."""

import datetime
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmarks.conformance.rule import Outcome, Report, Rule
from benchmarks.conformance.rules import PARTS
from benchmarks.selfbench.peers import Missing, program

QUESTION = "Which server keeps which rule?"
SHOWN_BYTES = 700  # of each direction
MARKS = {"kept": "✓", "broken": "✗", "unfit": "–"}
_COLOURS = {"must": "red", "should": "yellow", "ours": "magenta"}

# ---------------------------------------------------------------- a terminal


def show(console: Console, report: Report) -> None:
    """One server: how many rules of each part it keeps, and each broken one with the bytes."""
    line = Text.assemble((report.subject, "bold"), "  ", _counts(report), (f"  {report.seconds:.1f} s", "dim"))
    console.print(line, highlight=False)
    for outcome in report.broken:
        console.print(Padding(_broken(outcome), (0, 0, 1, 2)), highlight=False)


def _counts(report: Report) -> Text:
    words = Text()
    for part in report.parts:
        kept, asked = count(report, part)
        if asked:
            words.append(f"{' · ' if words else ''}{part} {kept}/{asked}", "green" if kept == asked else "red")
    left = [outcome for outcome in report.outcomes if outcome.verdict == "unfit"]
    if left:
        words.append(f" · {len(left)} not for it", "dim")
    return words


def count(report: Report, part: str, *strengths: str) -> tuple[int, int]:
    """How many rules of a part are kept, of how many that could be asked."""
    names = {rule.name for rule in PARTS[part] if not strengths or rule.strength in strengths}
    asked = [outcome for outcome in report.outcomes if outcome.rule in names and outcome.verdict != "unfit"]
    return sum(outcome.verdict == "kept" for outcome in asked), len(asked)


def _broken(outcome: Outcome) -> Table:
    """A broken rule as a block: what it says, what was seen, the bytes."""
    block = Table.grid(padding=(0, 2))
    block.add_column(no_wrap=True, style="dim")
    block.add_column(overflow="fold")
    title = Text.assemble((outcome.rule, f"bold {_COLOURS[outcome.strength]}"), (f"  {strength(outcome)}", "dim"))
    block.add_row(Text("✗", style=_COLOURS[outcome.strength]), title)
    block.add_row("rule", outcome.says)
    block.add_row("saw", Text(outcome.saw))
    if outcome.sent:
        block.add_row("sent", Text(wire_lines(outcome.sent)))
    if outcome.received:
        block.add_row("received", Text(wire_lines(outcome.received)))
    return block


def strength(outcome: Outcome | Rule) -> str:
    """ "must, RFC 9112, 3.2", or "servebench's own"."""
    return "servebench's own promise" if outcome.strength == "ours" else f"{outcome.strength}, {outcome.source}"


def wire_lines(escaped: str) -> str:
    """Escaped bytes, a line of the wire each, and no more than fit a screen."""
    shown = escaped[:SHOWN_BYTES]
    rest = f" … ({len(escaped)} in all)" if len(escaped) > SHOWN_BYTES else ""
    return shown.replace("\\r\\n", "\\r\\n\n").rstrip("\n") + rest


def show_table(console: Console, reports: Sequence[Report]) -> None:
    """All servers: the rules kept in each part."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("server", no_wrap=True, min_width=max(len(report.subject) for report in reports))
    parts = [part for part in PARTS if any(part in report.parts for report in reports)]
    for part in parts:
        table.add_column(part, justify="right")
    for name in ("must", "should", "ours"):
        table.add_column(name, justify="right", style="dim")
    for report in reports:
        cells = [_share(*count(report, part)) for part in parts]
        for name in ("must", "should", "ours"):
            both = [count(report, part, name) for part in parts]
            cells.append(_share(sum(kept for kept, _ in both), sum(asked for _, asked in both)))
        table.add_row(report.subject, *cells)
    console.print(table)


def _share(kept: int, asked: int) -> Text:
    return Text(f"{kept}/{asked}" if asked else "–", style="green" if kept == asked else "red")


def show_rules(console: Console, parts: Iterable[str]) -> None:
    """The rules there are."""
    for part in parts:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        for rule in PARTS[part]:
            table.add_row(rule.name, rule.says, Text(strength(rule), style="dim"))
        console.print(Text(part, style="bold"))
        console.print(Padding(table, (0, 0, 1, 2)), highlight=False)


# ---------------------------------------------------------------- a page

_LEGEND = (
    "✓ kept, ✗ broken, – can't be asked of this server (its option is missing, or it is about something it doesn't have). "
    "**must** and **should** are the standard's words and hold for any server; **ours** is what this project promises where "
    "the standard leaves a choice, so a ✗ there is a difference and no fault."
)


def conditions(command: str) -> str:
    """The small print: how to make it again, on what, when."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Python {platform.python_version()} · {_versions()} · {today} · {command}"


def _versions() -> str:
    """The versions of the peers that are installed."""
    found = []
    try:
        told = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
        found.append(told.strip().rpartition(": ")[2].replace("/", " "))
    except (Missing, OSError, subprocess.CalledProcessError):
        pass
    for package in ("gunicorn", "gevent", "uvicorn", "h11", "httptools", "waitress", "hypercorn"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def as_markdown(reports: Sequence[Report], command: str) -> str:
    """The table of servers and rules, what each broken must looked like, and how to make it again."""
    servers = [report.subject for report in reports]
    found = {(report.subject, outcome.rule): outcome for report in reports for outcome in report.outcomes}
    parts = [part for part in PARTS if any(part in report.parts for report in reports)]
    blocks = [
        f"# {QUESTION}",
        f"![{QUESTION}](rules.png)",
        f"{conditions(command)}. {_LEGEND}",
        _summary(reports, parts),
    ]
    for part in parts:
        rules = [rule for rule in PARTS[part] if any((name, rule.name) in found for name in servers)]
        lines = [["rule", "", *map(_narrow, servers)], [":--", ":--", *[":-:"] * len(servers)]]
        lines += [[_named(rule), strength(rule), *(_mark(found.get((name, rule.name))) for name in servers)] for rule in rules]
        blocks += [f"## {part}", _rows(lines)]
    blocks += list(_details(reports))
    return "\n\n".join(blocks) + "\n"


def _summary(reports: Sequence[Report], parts: Sequence[str]) -> str:
    lines = [["server", *parts, "must", "should", "ours"], [":--", *["--:"] * (len(parts) + 3)]]
    for report in reports:
        by_strength = [[count(report, part, name) for part in parts] for name in ("must", "should", "ours")]
        sums = [(sum(kept for kept, _ in both), sum(asked for _, asked in both)) for both in by_strength]
        shares = [*(count(report, part) for part in parts), *sums]
        lines.append([f"`{report.subject}`", *(f"{kept}/{asked}" if asked else "–" for kept, asked in shares)])
    return _rows(lines)


def _details(reports: Sequence[Report]) -> Iterable[str]:
    """Each broken must and should: a reader wants to know how."""
    for report in reports:
        broken = [outcome for outcome in report.broken if outcome.strength != "ours"]
        if broken:
            lines = [f"- `{outcome.rule}` ({strength(outcome)}): {_escaped(outcome.saw)}" for outcome in broken]
            yield f"## What {report.subject} breaks\n\n" + "\n".join(lines)


def _rows(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _narrow(name: str) -> str:
    """A name that may break at its underscores, so that its column stays narrow."""
    return name.replace("_", "_<wbr>")


def _named(rule: Rule) -> str:
    return f"`{rule.name}`: {_escaped(rule.says)}"


def _mark(outcome: Outcome | None) -> str:
    return MARKS[outcome.verdict] if outcome else ""


def _escaped(words: str) -> str:
    for special in ("\\", "|", "*", "_", "`", "<"):
        words = words.replace(special, f"\\{special}")
    return " ".join(words.split())
