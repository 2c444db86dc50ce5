"""What README, CONTRIBUTING and docs/ promise: the model that is shown works; tables, links and commands are true."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request

import pytest

from benchmarks import catalogue, cli
from benchmarks.checks.background import TOO_FEW
from benchmarks.checks.service import ABOVE_LIMIT, OVERLOADED, OVERLOADED_AT_TIMES
from benchmarks.conformance.rules import PARTS

README, CONTRIBUTING = ((catalogue.ROOT / f"{name}.md").read_text() for name in ("README", "CONTRIBUTING"))
LIMITS, CHECKS = ((catalogue.ROOT / "docs" / f"{name}.md").read_text() for name in ("limits", "checks"))
PAGES = [*sorted(catalogue.ROOT.glob("*.md")), *sorted((catalogue.ROOT / "docs").glob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_the_model_it_shows_is_one_file_that_runs(tmp_path):
    source = re.search(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)[1]
    assert len(source.splitlines()) < 40
    shutil.copytree(catalogue.ROOT / "servers", tmp_path / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "servers" / "one_at_a_time.py").write_text(source)
    assert "one_at_a_time" in {entry.name for entry in catalogue.models(tmp_path / "servers")}
    with subprocess.Popen(
        [sys.executable, "-m", "servers", "one_at_a_time", "--port", "0"], stdout=subprocess.PIPE, cwd=tmp_path
    ) as server:
        ready = json.loads(server.stdout.readline())
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{ready['port']}/hello", timeout=10) as answer:
                assert answer.read() == b"Hello, World!"
        server.terminate()
        assert server.wait(20) == 0
    assert ready["max_connections"] == 1


def test_every_model_is_in_its_table_with_its_caption():
    for entry in catalogue.models():
        assert f"| `{entry.name}` | {entry.caption} |" in README


def test_every_scenario_is_in_its_table_with_what_it_is_ranked_by():
    table = [line for line in README.partition("## The questions")[2].splitlines() if line.startswith("| `")]
    found = []
    for names, _, ranked_by in (line.strip("|").split("|") for line in table):
        first, *variants = re.findall(r"`([^`]+)`", names)
        found += [first, *(first.partition("-")[0] + variant for variant in variants)]
        assert ranked_by.strip().startswith(catalogue.scenario(first).measures[0].title)
    assert sorted(found) == sorted(entry.name for entry in catalogue.scenarios())


def test_it_counts_the_rules_as_they_are():
    count = sum(map(len, PARTS.values()))
    assert f"{count} rules" in README
    assert f"{count} rules" in LIMITS


@EVERY_PAGE
def test_every_link_to_a_file_leads_to_one(page):
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text()):
        assert (page.parent / target).exists(), target


@EVERY_PAGE
def test_every_make_target_exists(page):
    makefile = (catalogue.ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@EVERY_PAGE
def test_every_command_is_one_that_can_be_given(page, capsys):
    given = re.findall(r"^    \.venv/bin/servebench (.*)", page.read_text(), re.MULTILINE)
    given += [f"run {options}" for options in re.findall(r'^    make bench ARGS="([^"…]*)"', page.read_text(), re.MULTILINE)]
    for words in given:
        arguments = shlex.split(words, comments=True)
        if arguments[0] == "serve":  # its options are the server's
            continue
        try:
            cli._parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{words}: {capsys.readouterr().err}")


def test_every_check_is_in_the_table_of_checks():
    sources = [*(catalogue.ROOT / "benchmarks" / "checks").glob("*.py"), catalogue.ROOT / "benchmarks" / "validity.py"]
    named = {name for path in sources for name in re.findall(r'Finding\(\s*"([^"]+)"', path.read_text())}
    named |= {TOO_FEW, ABOVE_LIMIT, OVERLOADED, OVERLOADED_AT_TIMES}
    assert len(named) > 25
    assert [name for name in sorted(named) if f"| **{name}** |" not in CHECKS] == []


def test_defaults_of_limits_are_those_of_the_servers():
    said = subprocess.run(
        [sys.executable, "-m", "servers", "--help"], capture_output=True, text=True, cwd=catalogue.ROOT, check=True
    ).stdout
    options = " ".join(said.split())
    for option, default, told in (
        ("--line-bytes", "8192", "8 KiB"), ("--header-bytes", "16384", "16 KiB"), ("--fields", "100", "100"),
        ("--body-bytes", "16777216", "16 MiB"), ("--head-timeout", "10.0", "10 s"), ("--body-timeout", "15.0", "15 s"),
        ("--keepalive-idle", "15.0", "15 s"), ("--send-timeout", "15.0", "15 s"),
    ):  # fmt: skip
        assert f"| `{option}` | {told}" in LIMITS
        assert re.search(rf"{option} [A-Z] [^()]*\({default}\)", options), option
    assert "| `--linger`, `--drain` | 1 s, 10 s |" in LIMITS
    for option, default in (("--linger", "1.0"), ("--drain", "10.0")):
        assert re.search(rf"{option} [A-Z] [^()]*\({default}\)", options), option
