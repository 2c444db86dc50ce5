"""`servebench check`, and what a run makes of a model that breaks rules: it is refused, or measured and invalid."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest
from called import refusal
from copied import CARELESS, copied, environment, servebench

TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "1,8", "--seed", "5", "--scenarios", "hello", "--no-charts")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = copied(tmp_path_factory.mktemp("copy"))
    (folder / "servers" / "careless.py").write_text(CARELESS)
    return folder


@pytest.fixture(scope="module")
def refused(copy):
    servebench(copy, "run", *TINY, "--models", "careless,epoll_loop", "--name", "refused")
    return copy / "results" / "refused"


@pytest.fixture(scope="module")
def unchecked(copy):
    out, _ = servebench(copy, "run", *TINY, "--models", "careless,epoll_loop", "--name", "unchecked", "--unchecked")
    return copy / "results" / "unchecked", out


def cells(folder):
    return json.loads((folder / "summary.json").read_text())["cells"]


def standing(folder, model):
    (scenario,) = json.loads((folder / "summary.json").read_text())["scenarios"]
    return next(one for one in scenario["standings"] if one["model"] == model)


def test_what_is_broken_is_shown_with_the_rule_and_the_bytes(copy):
    out, _ = servebench(copy, "check", "careless", "--fast", "--rule", "host-missing,host-twice", status=1)
    assert "host-missing" in out
    assert "RFC 9112, 3.2" in out
    assert "answered 200, not 400" in out
    assert r"GET /hello HTTP/1.1\r\n" in out
    assert r"HTTP/1.1 200 OK\r\n" in out


def test_a_model_that_keeps_the_rules_passes(copy):
    out, _ = servebench(copy, "check", "epoll_loop", "--fast")
    assert "✗" not in out


def test_a_run_stops_asking_when_enough_is_broken(refused):
    assert "breaks 20 rules or more (method-small-letters, " in standing(refused, "careless")["failed"]


def test_machines_are_told_every_outcome(copy):
    rules = ("--rule", "plain,host-missing", "--jobs", "2")
    out, _ = servebench(copy, "check", "careless", "epoll_loop", "--fast", *rules, "--json", status=1)
    careless, epoll_loop = json.loads(out)
    assert {one["rule"]: one["verdict"] for one in careless["outcomes"]} == {"plain": "kept", "host-missing": "broken"}
    assert {one["verdict"] for one in epoll_loop["outcomes"]} == {"kept"}


def test_the_table_has_a_column_for_each_server_and_a_row_for_each_rule(copy):
    servebench(copy, "check", "careless", "epoll_loop", "--rule", "plain,host-missing", "--fast", "--write", "told", status=1)
    page = (copy / "told" / "README.md").read_text()
    assert "| ✓ | ✓ |" in page
    assert "| ✗ | ✓ |" in page
    assert "What careless breaks" in page
    assert len(json.loads((copy / "told" / "outcomes.json").read_text())) == 2
    for name in ("rules.png", "rules.svg", "rules-dark.png", "rules-dark.svg"):
        assert (copy / "told" / name).stat().st_size > 5_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("epol",), "there is no model or peer 'epol'; there are"),
        (("--part", "wires"), "there is no part 'wires'; there are: wire"),
        (("--rule", "no-such"), "there is no rule 'no-such'; servebench check --list names them"),
        (("--fast", "--part", "wire"), "leave one of the two out"),
        (("epoll_loop", "--repeat", "0"), "--repeat 0 is not from 1"),
        (("epoll_loop", "--jobs", "99"), "--jobs 99 is not from 1 to 8"),
    ],
)
def test_bad_use_is_told_in_a_line(capsys, arguments, told):
    err = refusal(capsys, "check", *arguments)
    assert told in err
    assert err.count("\n") == 1


def test_an_interruption_leaves_nothing_running(copy):
    check = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "check", "epoll_loop", "prefork", "--part", "limits,stop", "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=copy, env=environment(copy),
    )  # fmt: skip
    ends = time.monotonic() + 60
    while len(family := psutil.Process(check.pid).children(recursive=True)) < 2:
        assert time.monotonic() < ends, "no server was started within a minute"
        time.sleep(0.05)
    check.send_signal(signal.SIGINT)
    out, _ = check.communicate(timeout=60)
    assert check.returncode == 130, out
    assert "Traceback" not in out
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_the_rules_can_be_listed(copy):
    out, _ = servebench(copy, "check", "--list")
    assert "host-missing" in out


def test_who_does_not_start_is_told_with_what_it_said(copy):
    (copy / "servers" / "broken.py").write_text('"""Never starts."""\nimport no_such_runtime\n\n\ndef serve():\n    pass\n')
    try:
        out, _ = servebench(copy, "check", "broken", "--rule", "plain", status=1)
        assert "it did not start" in out
        assert "no_such_runtime" in out
    finally:
        (copy / "servers" / "broken.py").unlink()


# ---------------------------------------------------------------- runs


def test_a_run_does_not_measure_who_breaks_rules(refused):
    failed = standing(refused, "careless")
    assert failed["rank"] is None
    assert failed["peak_per_s"] is None
    assert "check: it breaks" in failed["failed"]
    assert "servebench check careless" in failed["failed"]
    assert standing(refused, "epoll_loop")["peak_per_s"]["value"] > 0
    assert "servebench check careless" in (refused / "summary.md").read_text()


def trials_of(folder, model):
    """Of each replicate, in its order."""
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").glob("hello-*.json"))]
    return [trial for record in records for trial in record["trials"] if trial["model"] == model]


def test_a_refused_model_has_failed_trials_and_the_run_is_complete(copy, refused):
    trials = trials_of(refused, "careless")
    assert {trial["failure"]["stage"] for trial in trials} == {"check"}
    assert any(rule.startswith("method-small-letters: ") for rule in trials[0]["broken_rules"])
    out, _ = servebench(copy, "run", "--resume", "refused", "--no-charts")
    assert "0 are missing" in out  # it is only asked whether the model is mended


def test_unchecked_models_are_measured_marked_and_never_ranked(unchecked):
    folder, out = unchecked
    careless = standing(folder, "careless")
    assert careless["peak_per_s"]["value"] > 0
    assert careless["rank"] is None
    assert "rules broken: it breaks" in careless["invalid"]
    for cell in cells(folder):
        invalid = [finding["check"] for finding in cell["findings"] if finding["severity"] == "invalid"]
        assert ("rules broken" in invalid) == (cell["model"] == "careless")
        assert cell["rank"] is None or cell["model"] != "careless"
    page = (folder / "summary.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("|") and "careless" in line and "k/s" in line][:1]
    assert "~~" in row
    assert "- unchecked: The run was made with --unchecked" in page
    assert "rules broken" in out
    assert "--unchecked" in out
