"""What a gate has found out, for people, for machines and for a CI server (JUnit XML)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import msgspec
from rich.console import Console
from rich.text import Text

from benchmarks.comparison import Row
from benchmarks.gates import STATUS, Judged, Outcome, verdict
from benchmarks.ratios import STYLES
from benchmarks.summaries import Estimate

NAMED_AT_MOST = 3  # cells in the sentence


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told. `remarks` are short sentences about both versions; `replicates` is the number made."""

    base: str
    head: str
    judged: Sequence[Judged]
    replicates: int
    seconds: float
    remarks: Sequence[str] = ()

    @property
    def verdict(self) -> Outcome:
        """The worst outcome of all cells."""
        return verdict(self.judged)


def show(report: Report, console: Console) -> None:
    """A line for each cell, and the verdict in a sentence."""
    console.print(Text(f"ratios are {report.head} by {report.base}"), highlight=False)
    cells = [(one, _where(one)) for one in report.judged]
    widths = [max((len(where[part]) for _, where in cells), default=0) for part in range(3)]
    for one, where in cells:
        named = "  ".join(part.ljust(width) for part, width in zip(where, widths, strict=True))
        console.print(
            Text.assemble("  ", named, "  ", told(one.row).ljust(22), " ", (one.outcome, STYLES[one.outcome])),
            highlight=False,
            soft_wrap=True,
        )
    for remark in report.remarks:
        console.print(Text(remark, style="yellow"), highlight=False, soft_wrap=True)
    console.print(Text.assemble((sentence(report), STYLES[report.verdict])), highlight=False, soft_wrap=True)


def _where(one: Judged) -> tuple[str, str, str]:
    row = one.row
    return (row.model, row.scenario, f"{row.metric} at {row.level}") if row else ("", "", one.gate.metric)


def told(row: Row | None) -> str:
    """The ratio with its interval, "0.972 (0.961–0.984)", or why there is none."""
    if row is None or row.ratio is None:
        return row.why if row else "–"
    low, high = row.ratio.low, row.ratio.high
    between = "" if low is None or high is None else f" ({low:.3f}–{high:.3f})"
    return f"{row.ratio.value:.3f}{between}"


def sentence(report: Report) -> str:
    """The verdict."""
    bounds = ", ".join(dict.fromkeys(one.gate.text for one in report.judged))
    spent = f"{report.replicates} replicate{'s' * (report.replicates != 1)}, {report.seconds:.0f} s"
    worst = [one for one in report.judged if one.outcome == report.verdict]
    if report.verdict == "kept":
        return f"Kept: {bounds} in {'every' if len(worst) > 1 else 'the'} cell ({spent})."
    cells = "; ".join(_named(one) for one in worst[:NAMED_AT_MOST])
    more = f" and {len(worst) - NAMED_AT_MOST} more" if len(worst) > NAMED_AT_MOST else ""
    if report.verdict == "broken":
        return f"Broken: {cells}{more} ({spent})."
    return f"Undecided: {cells}{more} ({spent}). A longer --budget tells more, a wider bound needs less."


def _named(one: Judged) -> str:
    where = " ".join(part for part in _where(one) if part)
    return f"{one.gate.text} by {where}: {one.why or told(one.row)}"


# ---------------------------------------------------------------- for machines


def as_json(report: Report) -> str:
    """The verdict with its exit status, and each cell with its ratio, bound and outcome."""
    found = {
        "base": report.base,
        "head": report.head,
        "verdict": report.verdict,
        "status": STATUS[report.verdict],
        "replicates": report.replicates,
        "seconds": round(report.seconds, 1),
        "remarks": list(report.remarks),
        "cells": [_cell(one) for one in report.judged],
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _cell(one: Judged) -> Mapping[str, Any]:
    row = one.row
    return {
        "model": row.model if row else "",
        "scenario": row.scenario if row else "",
        "level": row.level if row else "",
        "metric": one.gate.metric,
        "bound": one.gate.text,
        "base": row.base if row else None,
        "head": row.other if row else None,
        "ratio": _ends(row.ratio) if row and row.ratio else None,
        "call": row.call if row else "",
        "outcome": one.outcome,
        "why": one.why,
    }


def _ends(ratio: Estimate) -> Mapping[str, float | None]:
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def as_junit(report: Report) -> bytes:
    """A test case for each cell: a failure where it is broken, skipped where it is undecided."""
    outcomes = [one.outcome for one in report.judged]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("broken")),
        "errors": "0",
        "skipped": str(outcomes.count("undecided")),
        "time": f"{report.seconds:.1f}",
    }
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "servebench gate", **counts})
    each_s = report.seconds / max(len(outcomes), 1)
    for one in report.judged:
        model, scenario, metric = _where(one)
        name = f"{model} {scenario} {metric} {one.gate.text}".strip()
        where = {"classname": f"servebench.gate.{scenario}", "name": name, "time": f"{each_s:.1f}"}
        case = ElementTree.SubElement(suite, "testcase", where)
        if one.outcome != "kept":
            kind = "failure" if one.outcome == "broken" else "skipped"
            ElementTree.SubElement(case, kind, {"message": f"{one.outcome}: {one.why or told(one.row)}"})
        ElementTree.SubElement(case, "system-out").text = f"{report.head} by {report.base}: {told(one.row)}"
    ElementTree.indent(suites)
    made: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return made
