"""Killed runs leave nothing behind and are gone on with; damaged ones are repaired; neither loses or doubles a visit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace

import factories
import psutil
import pytest

from benchmarks import catalogue, cli, plan, record
from benchmarks.journal import Journal
from benchmarks.nouns import SCHEMA, Failure, RunFacts, Variant, variant_of

TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "4", "--scenarios", "hello", "--seed", "5", "--no-charts")
MARK = "SERVEBENCH_TEST_MARK"
PATIENCE_S = 120  # for what takes a second on an idle machine


def main(capsys, *arguments):
    """Run a command in this process: exit status, stdout, stderr."""
    try:
        status = cli.main(arguments)
    except SystemExit as exited:
        status = exited.code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return status, said.out, said.err


def until(wanted, what):
    """Wait for a fact."""
    ends = time.monotonic() + PATIENCE_S
    while not (found := wanted()):
        assert time.monotonic() < ends, f"{what} took longer than {PATIENCE_S} s"
        time.sleep(0.02)
    return found


def marked(mark):
    """Every process that has inherited the mark in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def servers(processes):
    """Those of them that serve."""
    found = []
    for process in processes:
        try:
            found += [process] * ("servers" in process.cmdline())
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def harness():
    """Starts `servebench run` in a process of its own, all of whose descendants can be found later; ends what a test leaves."""
    mark, started = uuid.uuid4().hex, []

    def start(*arguments):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks", "run", *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=catalogue.ROOT,
                env={**os.environ, MARK: mark},
            )
        )  # fmt: skip
        return started[-1]

    start.left = lambda: marked(mark)
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    for orphan in marked(mark):
        orphan.kill()


def sessions(folder):
    """How many times work on a run has begun."""
    path = folder / "journal.json"
    return len(json.loads(path.read_text())["sessions"]) if path.exists() else 0


def test_killed_at_any_moment_it_leaves_nothing_behind_and_loses_at_most_the_visit_in_flight(harness, tmp_path):
    folder, chance, kept = tmp_path / "cut", random.Random(7), {}
    begin = (*TINY, "--models", "epoll_loop,prefork", "--visits", "2", "--name", "cut", "--results", str(tmp_path))
    begin += ("--precision", "0.1%", "--budget", "5s")
    go_on = (
        "--resume",
        "cut",
        "--results",
        str(tmp_path),
        "--anyway",
        "--no-charts",
    )  # other programs come and go while tests run
    serving = 0
    for kill in range(6):
        run = harness(*(go_on if kill else begin))
        until(lambda run=run, kill=kill: sessions(folder) > kill or run.poll() is not None, "to begin")
        if kill % 2 == 0:  # on a busy machine the other moments all lie before the first server
            until(lambda run=run: servers(harness.left()) or run.poll() is not None, "a server")
        time.sleep(chance.uniform(0, 1))
        if run.poll() is not None:
            break  # it was quicker than the kills
        serving += bool(servers(harness.left()))
        run.send_signal(signal.SIGKILL)
        out, _ = run.communicate()
        assert "Traceback" not in out
        until(lambda: not harness.left(), "the end of servers and engine")
        files = record.read(folder)
        assert files.damaged == []
        now = {path.name: path.read_bytes() for path in (folder / "visits").glob("*.json")}
        assert kept.items() <= now.items(), "a record was lost or written over"
        kept = now
    assert serving, "no server was alive at any of the moments"
    run = harness(*go_on)
    out, _ = run.communicate(timeout=10 * PATIENCE_S)
    assert run.returncode == 0, out
    until(lambda: not harness.left(), "the end of servers and engine")
    files = record.read(folder)
    assert files.journal.finished
    made = {(one.plan.model, one.plan.scenario, one.plan.block) for one in files.records if one.failure is None}
    wanted = [*plan.visits(files.facts.options), *files.journal.added]
    assert made == {(visit.model, visit.scenario, visit.block) for visit in wanted}
    assert not list(folder.rglob("*.draft"))
    told = json.loads((folder / "summary.json").read_text())
    assert "resumed" in {finding["check"] for finding in told["findings"]}


def test_killed_before_it_began_it_is_no_run(capsys, tmp_path):
    (tmp_path / "early").mkdir()
    record.write(tmp_path / "early" / "environment.json", {"schema": 2})
    status, _, err = main(capsys, "run", "--resume", "early", "--results", str(tmp_path))
    assert status == 2
    assert "interrupted before it began" in err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of one model and its twin, two visits each."""
    results = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", *TINY, "--aa", "epoll_loop", "--visits", "2", "--name", "whole",
         "--results", str(results)],
        capture_output=True, text=True, cwd=catalogue.ROOT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return results / "whole"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(finished, tmp_path / "whole")


def test_a_model_is_visited_under_two_names_for_the_comparison_with_itself(finished):
    files = record.read(finished)
    assert files.facts.options.models == ("epoll_loop",)
    assert sorted(one.plan.model for one in files.records) == ["epoll_loop"] * 2 + ["epoll_loop~twin"] * 2
    assert files.facts.captions["epoll_loop~twin"].endswith("(again: A/A)")
    assert {one.server.command[3] for one in files.records} == {"epoll_loop"}
    assert files.journal.finished


def test_a_complete_run_is_said_to_be_complete_and_reported(capsys, run):
    before = {path.name: path.read_bytes() for path in (run / "visits").iterdir()}
    (run.parent / "latest").symlink_to("whole")
    facts = record.read(run).facts
    record.write(run / "run.json", replace(facts, versions=facts.versions | {"gevent": "0.1"}))  # nothing is measured with it
    status, out, err = main(capsys, "run", "--resume", "latest", "--json", "--no-charts", "--results", str(run.parent))
    assert status == 0
    assert "nothing is left to make" in " ".join(err.split())
    assert json.loads(out)["name"] == "whole"
    assert (run.parent / "latest").resolve() == run.resolve()
    assert {path.name: path.read_bytes() for path in (run / "visits").iterdir()} == before


def test_what_is_missing_failed_or_damaged_is_made_and_nothing_else(capsys, run):
    damaged, missing, failed, whole = sorted((run / "visits").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:1000])
    missing.unlink()
    made = next(one for one in record.read(run).records if record.visit_path(run, one) == failed)
    record.write(failed, replace(made, windows=[], failure=Failure("launch", "the disk was full", "")))
    (run / "visits" / "x.json.draft").write_bytes(b"{")
    before = {path: path.read_bytes() for path in (failed, whole)}

    status, out, err = main(capsys, "report", "--json", str(run))
    assert status == 0
    assert f"{damaged.name} is damaged" in err
    assert "--resume" in err
    told = json.loads(out)
    seen = {finding["check"]: finding["seen"] for finding in told["findings"]}
    assert damaged.name in seen["unreadable visits"]

    status, out, _ = main(capsys, "run", "--no-charts", "--resume", str(run), "--anyway")
    said = " ".join(out.split())
    assert status == 0
    assert "set aside" in said
    assert "2 visits are there, 3 are missing or failed" in said
    assert {path: path.read_bytes() for path in (failed, whole)} == before
    assert (run / "damaged" / damaged.name).stat().st_size == 1000
    assert not list(run.rglob("*.draft"))
    files = record.read(run)
    assert files.damaged == []
    again = [one.plan for one in files.records if one.plan.attempt]
    assert [(visit.attempt, visit.number) for visit in again] == [(1, 2)]
    assert (again[0].model, again[0].block) == (made.plan.model, made.plan.block)
    assert len(files.records) == 5
    assert all(one.failure is None for one in files.records if one.plan != made.plan)


def test_another_machine_is_refused_and_told_when_it_is_used_all_the_same(capsys, run):
    next((run / "visits").iterdir()).unlink()
    path = run / "run.json"
    facts = record.read(run).facts
    record.write(path, replace(facts, versions=facts.versions | {"gevent": "0.1"}))
    kept = path.read_bytes()
    status, _, err = main(capsys, "run", "--no-charts", "--resume", str(run))
    assert status == 2
    assert "gevent 0.1 and" in err
    assert "--anyway" in err
    assert len(list((run / "visits").iterdir())) == 3
    status, _, _ = main(capsys, "run", "--no-charts", "--resume", str(run), "--anyway")
    assert status == 0
    assert path.read_bytes() == kept
    told = json.loads((run / "summary.json").read_text())
    resumed = next(finding for finding in told["findings"] if finding["check"] == "resumed")
    assert resumed["severity"] == "mark"
    assert "gevent 0.1 and" in resumed["seen"]


def test_a_run_can_be_given_more_visits(capsys, run):
    before = {path.name: path.read_bytes() for path in (run / "visits").iterdir()}
    visits = max(record.read(run).facts.options.visits.values())
    status, _, err = main(capsys, "run", "--resume", str(run), "--visits", str(visits))
    assert status == 2
    assert f"has {visits} of each already" in err
    more = ("run", "--no-charts", "--anyway", "--resume", str(run), "--visits", str(visits + 1))
    assert main(capsys, *more)[0] == 0
    next(path for path in (run / "visits").iterdir() if path.name not in before).unlink()
    assert main(capsys, *more)[0] == 0  # as after an interruption: the same command goes on
    files = record.read(run)
    assert set(files.facts.options.visits.values()) == {visits + 1}
    made = sorted((one.plan.model, one.plan.block) for one in files.records)
    assert made == sorted((one.model, one.block) for one in plan.visits(files.facts.options))
    assert {name: (run / "visits" / name).read_bytes() for name in before} == before
    assert files.facts.command.endswith(f"; servebench run --resume {files.facts.options.name} --visits {visits + 1}")
    told = json.loads((run / "summary.json").read_text())
    (asked,) = [finding for finding in told["findings"] if finding["check"] == "more visits"]
    assert asked["severity"] == "mark"
    assert f"{visits + 1} visits instead of {visits}" in asked["seen"]


def test_a_run_that_adds_visits_by_itself_is_given_no_more(capsys, run):
    facts = record.read(run).facts
    record.write(run / "run.json", replace(facts, options=replace(facts.options, precision=0.05, budget_s=1.0)))
    kept = (run / "run.json").read_bytes()
    status, _, err = main(capsys, "run", "--resume", str(run), "--visits", "9")
    assert status == 2
    assert "adds visits by itself" in err
    assert (run / "run.json").read_bytes() == kept


def test_an_engine_that_dies_between_visits_ends_the_run_in_a_line(harness, run):
    next((run / "visits").iterdir()).unlink()
    going_on = harness("--resume", str(run), "--anyway", "--no-charts")

    def engine():
        try:
            found = psutil.Process(going_on.pid).children()
            for child in found:
                if "benchmarks.load.process" in child.cmdline():
                    child.kill()
        except psutil.NoSuchProcess:
            pass
        return going_on.poll() is not None

    until(engine, "the end of a run whose every engine is killed")
    out, _ = going_on.communicate()
    assert going_on.returncode == 1
    assert "Traceback" not in out
    assert out.splitlines()[-1] == (
        f"servebench: the load engine ended with status -9. Finished visits are kept. Go on with: servebench run --resume {run}"
    )
    assert {path.name for path in (run / "visits").iterdir()} == {
        record.visit_path(run, made).name for made in record.read(run).records
    }


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
from benchmarks import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_disk_that_takes_no_more_ends_the_run_in_a_line(run):
    next((run / "visits").iterdir()).unlink()
    before = (run / "journal.json").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, "run", "--no-charts", "--resume", str(run), "--anyway"],
        capture_output=True, text=True, cwd=catalogue.ROOT, timeout=10 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"servebench: {run / 'journal.json'}: File too large. Finished visits are kept. "
        f"Go on with: servebench run --resume {run}\n"
    )
    assert (run / "journal.json").read_bytes() == before


def test_two_harnesses_do_not_make_one_run(capsys, run):
    with record.held(run):
        status, _, err = main(capsys, "run", "--no-charts", "--resume", str(run))
    assert status == 2
    assert "another servebench" in err


def broken_run_json(run):
    (run / "run.json").write_bytes(b'{"schema": 2, "opt')


def unknown_model(run):
    facts: RunFacts = record.read(run).facts
    record.write(run / "run.json", replace(facts, options=replace(facts.options, models=("coroutines",))))


def cpu_gone(run):
    facts: RunFacts = record.read(run).facts
    record.write(run / "run.json", replace(facts, options=replace(facts.options, server_cpus=(4096,))))


def no_environment(run):
    (run / "environment.json").unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (broken_run_json, "restore it, or make a new run"),
        (unknown_model, "there is no model 'coroutines'"),
        (cpu_gone, "CPU 4096 is not one that this process may use"),
        (no_environment, "nobody knows which machine it was"),
    ],
)
def test_a_run_that_cannot_be_gone_on_with_says_why(capsys, run, harm, told):
    record.write(run / "journal.json", Journal().begun())
    harm(run)
    status, _, err = main(capsys, "run", "--no-charts", "--resume", str(run))
    assert status == 2
    assert told in err
    assert len(err.splitlines()) == 1


def test_a_control_is_held_to_no_rule_and_decides_nobodys_bytes(tmp_path):
    from benchmarks import conduct

    control = variant_of("epoll_loop", "direct")
    options = {"models": ("epoll_loop", control), "variants": {control: Variant(module="x", scenarios=("hello",))}}
    first, second = (factories.record("epoll_loop", "hello", block) for block in range(2))
    other = replace(first, plan=replace(first.plan, model=control), digest="the control's")
    files = record.RunFiles(factories.run(**options), [other, second], {}, Journal(), [])
    run = conduct.Run(files, tmp_path, None)
    assert run.digests == {"hello": second.digest}
    run.broken_rules["epoll_loop"] = ["a rule: broken"]
    assert [run._refused(one.plan) for one in (other, second)] == [False, True]
    assert {visit.model for visit in run.left() if visit.scenario != "hello"} == {"epoll_loop"}


def test_an_interpreter_that_is_gone_is_told_before_anything_is_done(capsys, tmp_path):
    varied = {"epoll_loop~python3.13": Variant(python=".venv-pythons/gone/bin/python")}
    options = {"models": ("epoll_loop", *varied), "variants": varied, "driver_cpus": (0,)}
    record.write(tmp_path / "run.json", factories.run(**options))
    record.write(tmp_path / "environment.json", {"schema": SCHEMA})
    record.write(tmp_path / "journal.json", Journal())
    status, _, err = main(capsys, "run", "--resume", str(tmp_path), "--anyway")
    assert status == 2
    assert err.count("\n") == 1
    assert ".venv-pythons/gone/bin/python, an environment for servers, is not there any more" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--resume", "x", "--python", "python3.13"), "--python can't be changed by --resume"),
        (("--resume", "x", "--tuned"), "--tuned can't be changed by --resume"),
        (("--resume", "x", "--models", "epoll_loop"), "--models can't be changed by --resume"),
        (("--resume", "x", "--profile", "quick"), "--profile can't be changed by --resume"),
        (("--resume", "x", "--budget", "3m"), "--budget can't be changed by --resume"),
        (("--resume", "x", "--visits", "0"), "--visits 0 is not above 0"),
        (("--resume", "x"), "there is no run 'x'"),
        (("--anyway",), "--anyway goes with --resume only"),
        (("--aa", "epol"), "there is no model 'epol'"),
        (("--aa", "prefork", "--models", "epoll_loop"), "--aa prefork: it is not among --models epoll_loop"),
        (("--precision", "5"), "'5' is not a share such as 5% or 0.05"),
        (("--precision", "0%"), "'0%' is not a share"),
        (("--precision", "nan"), "'nan' is not a share"),
        (("--budget", "3"), "'3' is not a duration such as 90s, 3m or 1h"),
        (("--budget", "0s"), "'0s' is not a duration"),
        (("--slo", "p99<20"), "--slo: 'p99<20' is no objective"),
    ],
)
def test_contradictions_and_slips_are_told_in_a_line(capsys, tmp_path, arguments, told):
    status, _, err = main(capsys, "run", *arguments, "--results", str(tmp_path))
    assert status == 2
    assert told in err
    assert not list(tmp_path.iterdir())
