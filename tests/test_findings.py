"""The findings quote the reference run, and nothing else: each row of their tables is one that the run says."""

import re

import pytest

from benchmarks import catalogue
from benchmarks.commands._shared import summarise
from benchmarks.quoting import NotSaid, quoted_anew, rows

FINDINGS = (catalogue.ROOT / "docs" / "findings.md").read_text()
REFERENCE = catalogue.ROOT / "results" / "reference"


def test_every_row_is_one_of_the_reference_run():
    summary = summarise(REFERENCE, write=False)  # from the packed evidence, as a reader would
    said = {" | ".join(row) for row in rows(summary)}
    quoted = [line.strip("| ") for line in FINDINGS.splitlines() if line.startswith("| `")]
    assert len(quoted) >= 20
    for line in quoted:
        assert line.replace("`", "") in said, line


def test_values_are_brought_up_to_the_run_and_nothing_else_is_touched():
    text = "| `hello` | `epoll_loop` | peak | 1/s |\n\n| model | value |\n|---|---|\n| cpu | `x` | theory | 2 |\n"
    said = {("hello", "epoll_loop", "peak"): "43.1k/s (25k/s to 74k/s)"}
    assert quoted_anew(text, said) == text.replace("1/s", "43.1k/s (25k/s to 74k/s)")
    with pytest.raises(NotSaid, match=r"nothing of hello \| epoll_loop \| peak"):
        quoted_anew(text, {})


def test_every_finding_has_a_chart_numbers_a_mechanism_and_a_command():
    findings = re.split(r"^## \d+\. ", FINDINGS, flags=re.MULTILINE)[1:]
    assert len(findings) >= 6
    for finding in findings:
        title = finding.splitlines()[0]
        assert re.search(r"!\[.*\]\(\.\./results/reference/charts/.*\.png\)", finding), title
        assert re.search(r"^\| `", finding, re.MULTILINE), title
        assert re.search(r"^    .*servebench run ", finding, re.MULTILINE), title
        assert "**Why.**" in finding, title


def test_every_chart_it_shows_is_there():
    for target in re.findall(r"\]\(\.\./([^)#]+)\)", FINDINGS):
        assert (catalogue.ROOT / target).exists(), target
