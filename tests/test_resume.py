"""Killed runs leave nothing behind and are gone on with; damaged ones are repaired; neither loses or doubles a record."""

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
from called import call

from benchmarks import catalogue, conduct, plan, record
from benchmarks.commands._run_options import more_replicates
from benchmarks.conformance import suite
from benchmarks.conformance.rule import Outcome, Report
from benchmarks.journal import Journal
from benchmarks.nouns import SCHEMA, Failure, Planned, RunFacts, Variant, aa_arm, measured, variant_of
from benchmarks.remaining import failed

TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "4", "--scenarios", "hello", "--seed", "5", "--no-charts")
MARK = "SERVEBENCH_TEST_MARK"
PATIENCE_S = 600  # for what takes a second on an idle machine


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


def test_killed_at_any_moment_it_leaves_nothing_behind_and_loses_at_most_the_scenario_in_the_making(harness, tmp_path):
    folder, chance, kept = tmp_path / "cut", random.Random(7), {}
    begin = (*TINY, "--models", "prefork", "--replicates", "2", "--name", "cut", "--results", str(tmp_path))
    begin += ("--precision", "0.1%", "--budget", "3s")
    go_on = (
        "--resume",
        "cut",
        "--results",
        str(tmp_path),
        "--anyway",
        "--no-charts",
    )  # other programs come and go while tests run
    serving = 0
    for kill in range(3):
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
        now = {path.name: path.read_bytes() for path in (folder / "records").glob("*.json")}
        assert kept.items() <= now.items(), "a record was lost or written over"
        kept = now
    assert serving, "no server was alive at any of the moments"
    run = harness(*go_on)
    out, _ = run.communicate(timeout=2 * PATIENCE_S)
    assert run.returncode == 0, out
    until(lambda: not harness.left(), "the end of servers and engine")
    files = record.read(folder)
    assert files.journal.finished
    wanted = [*plan.planned(files.facts.options), *files.journal.added]
    assert len(set(wanted)) == len(wanted) == len(files.records)
    assert {Planned(one.scenario, one.replicate) for one in files.records} == set(wanted)
    assert not any(map(failed, files.records))
    assert all(sorted(trial.model for trial in one.trials) == ["prefork"] for one in files.records)
    assert not list(folder.rglob("*.draft"))
    told = json.loads((folder / "summary.json").read_text())
    assert "resumed" in {finding["check"] for finding in told["findings"]}


def test_killed_before_it_began_it_is_no_run(capsys, tmp_path):
    (tmp_path / "early").mkdir()
    record.write(tmp_path / "early" / "environment.json", {"schema": SCHEMA})
    assert "interrupted before it began" in call(
        capsys, "run", "--resume", "early", "--results", str(tmp_path), status=2
    ).err  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of one model and its A/A arm in four replicates."""
    results = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", *TINY, "--aa", "epoll_loop", "--replicates", "4", "--name", "whole",
         "--results", str(results)],
        capture_output=True, text=True, cwd=catalogue.ROOT, timeout=2 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return results / "whole"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it to damage."""
    return shutil.copytree(finished, tmp_path / "whole")


def contents(run):
    """Its records by name, as they are on disk."""
    return {path.name: path.read_bytes() for path in (run / "records").iterdir()}


def test_a_model_is_measured_under_two_names_for_the_comparison_with_itself(finished):
    files = record.read(finished)
    assert files.facts.options.models == ("epoll_loop",)
    assert [sorted(trial.model for trial in one.trials) for one in files.records] == [["epoll_loop", "epoll_loop~aa"]] * 4
    assert files.facts.captions["epoll_loop~aa"].endswith("(A/A arm)")
    assert {trial.server.command[3] for one in files.records for trial in one.trials} == {"epoll_loop"}
    assert files.journal.finished
    (told,) = json.loads((finished / "summary.json").read_text())["scenarios"]
    assert told["aa"]["value"] > 0
    assert [standing["model"] for standing in told["standings"]] == ["epoll_loop"]


def test_a_complete_run_is_said_to_be_complete_and_reported(capsys, run):
    before = contents(run)
    (run.parent / "latest").symlink_to("whole")
    facts = record.read(run).facts
    record.write(run / "run.json", replace(facts, versions=facts.versions | {"gevent": "0.1"}))  # nothing is measured with it
    made = call(capsys, "run", "--resume", "latest", "--json", "--no-charts", "--results", str(run.parent))
    assert "nothing is left to make" in " ".join(made.err.split())
    assert json.loads(made.out)["name"] == "whole"
    assert (run.parent / "latest").resolve() == run.resolve()
    assert contents(run) == before


@pytest.mark.usefixtures("unexamined")
def test_what_is_missing_failed_or_damaged_is_made_and_nothing_else(capsys, run):
    damaged, missing, failing, whole = sorted((run / "records").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:1000])
    missing.unlink()
    made = next(one for one in record.read(run).records if record.record_path(run, one) == failing)
    trial = replace(made.trials[0], measurements=[], failure=Failure("launch", "the disk was full", ""))
    record.write(failing, replace(made, trials=[trial, *made.trials[1:]]))
    (run / "records" / "x.json.draft").write_bytes(b"{")
    kept = whole.read_bytes()

    said = call(capsys, "report", "--json", str(run))
    assert f"{damaged.name} is damaged" in said.err
    assert "--resume" in said.err
    observed = {finding["check"]: finding["observed"] for finding in json.loads(said.out)["findings"]}
    assert damaged.name in observed["unreadable records"]

    said = call(capsys, "run", "--no-charts", "--resume", str(run), "--anyway").said
    assert "set aside" in said
    assert "2 records are there, 3 are missing or have a failure" in said
    assert whole.read_bytes() == kept
    assert (run / "damaged" / damaged.name).stat().st_size == 1000
    assert not list(run.rglob("*.draft"))
    files = record.read(run)
    assert files.damaged == []
    assert [one.replicate for one in sorted(files.records, key=lambda one: one.replicate)] == [0, 1, 2, 3]
    assert not any(map(failed, files.records))


@pytest.mark.usefixtures("unexamined")
def test_another_machine_is_refused_and_told_when_it_is_used_all_the_same(capsys, run):
    next((run / "records").iterdir()).unlink()
    path = run / "run.json"
    facts = record.read(run).facts
    record.write(path, replace(facts, versions=facts.versions | {"gevent": "0.1"}))
    kept = path.read_bytes()
    err = call(capsys, "run", "--no-charts", "--resume", str(run), status=2).err
    assert "gevent 0.1 and" in err
    assert "--anyway" in err
    assert len(contents(run)) == 3
    call(capsys, "run", "--no-charts", "--resume", str(run), "--anyway")
    assert path.read_bytes() == kept
    told = json.loads((run / "summary.json").read_text())
    resumed = next(finding for finding in told["findings"] if finding["check"] == "resumed")
    assert resumed["severity"] == "warning"
    assert "gevent 0.1 and" in resumed["observed"]


@pytest.mark.usefixtures("unexamined")
def test_a_run_can_be_given_more_replicates(capsys, run):
    before = contents(run)
    assert "--replicates 4: whole has 4" in call(
        capsys, "run", "--resume", str(run), "--replicates", "4", status=2
    ).err  # fmt: skip
    more = ("run", "--no-charts", "--anyway", "--resume", str(run), "--replicates", "5")
    call(capsys, *more)
    files = record.read(run)
    assert more_replicates(files.facts.options, 5, complete=False) == files.facts.options  # as after an interruption
    assert files.facts.options.replicates == 5
    assert sorted(one.replicate for one in files.records) == [0, 1, 2, 3, 4]
    assert before.items() <= contents(run).items()
    assert files.facts.command.endswith("; servebench run --resume whole --replicates 5")
    told = json.loads((run / "summary.json").read_text())
    (asked,) = [finding for finding in told["findings"] if finding["check"] == "more replicates"]
    assert asked["severity"] == "warning"
    assert "5 replicates instead of 4" in asked["observed"]


def test_a_run_that_adds_replicates_by_itself_is_given_no_more(capsys, run):
    facts = record.read(run).facts
    record.write(run / "run.json", replace(facts, options=replace(facts.options, precision=0.05, budget_s=1.0)))
    kept = (run / "run.json").read_bytes()
    assert "adds replicates until its intervals are narrow (--precision)" in call(
        capsys, "run", "--resume", str(run), "--replicates", "9", status=2
    ).err  # fmt: skip
    assert (run / "run.json").read_bytes() == kept


def test_an_engine_that_dies_again_and_again_ends_the_run_in_a_line(harness, run):
    next((run / "records").iterdir()).unlink()
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
        "servebench: the load engine ended with status -9. Finished records are kept. "
        f"Resume with: servebench run --resume {run}"
    )
    assert len(contents(run)) == 3
    assert not servers(harness.left())


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
from benchmarks import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_disk_that_takes_no_more_ends_the_run_in_a_line(run):
    next((run / "records").iterdir()).unlink()
    before = (run / "journal.json").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, "run", "--no-charts", "--resume", str(run), "--anyway"],
        capture_output=True, text=True, cwd=catalogue.ROOT, timeout=2 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"servebench: {run / 'journal.json'}: File too large. Finished records are kept. "
        f"Resume with: servebench run --resume {run}\n"
    )
    assert (run / "journal.json").read_bytes() == before


def test_two_harnesses_do_not_make_one_run(capsys, run):
    with record.held(run):
        err = call(capsys, "run", "--no-charts", "--resume", str(run), status=2).err
    assert "another servebench" in err


def broken_run_json(run):
    (run / "run.json").write_bytes(b'{"schema": 4, "opt')


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
    err = call(capsys, "run", "--no-charts", "--resume", str(run), status=2).err
    assert told in err
    assert len(err.splitlines()) == 1


class Watcher:
    """Is told of models that are held to the rules."""

    def examining(self, model): ...
    def say(self, message): ...


def test_a_baseline_is_held_to_no_rule_and_decides_nobodys_bytes(tmp_path, monkeypatch):
    baseline = variant_of("epoll_loop", "direct")
    options = {
        "models": ("epoll_loop", baseline), "aa": "epoll_loop",
        "variants": {baseline: Variant(module="x", scenarios=("hello",))},
    }  # fmt: skip
    other = factories.trial(baseline, "hello", digest="the baseline's")
    first = factories.record("hello", 0, [other])
    second = factories.record("hello", 1, [factories.trial("epoll_loop", "hello", 1), other])
    run = conduct.Run(record.RunFiles(factories.run(**options), [first, second], {}, Journal(), []), tmp_path, Watcher())
    assert run.digests == {"hello": second.trials[0].digest}
    outcome = Outcome("a rule", "broken", "must", "it says so", "RFC 9112")
    broken = Report("epoll_loop", ["wire"], [outcome], 0.1, True)
    monkeypatch.setattr(suite, "examine", lambda *_, **__: broken)
    run._examine(measured(run.options))
    assert set(run.broken_rules) == {"epoll_loop", aa_arm("epoll_loop")}


def test_a_model_that_was_refused_is_measured_once_it_is_mended(tmp_path, monkeypatch):
    refused = replace(factories.trial("epoll_loop", "hello"), measurements=[], failure=Failure("check", "no", ""))
    made = [factories.record("hello", 0, [refused, factories.trial("select_loop", "hello")])]
    facts = factories.run(models=("epoll_loop", "select_loop"), scenarios=("hello",), replicates=1)
    whole = record.RunFiles(facts, made, {}, Journal().begun().ended(), [])
    assert not conduct.complete(whole)
    for broken, left in ((True, []), (False, [Planned("hello", 0)])):
        run = conduct.Run(whole, tmp_path, Watcher())
        outcome = Outcome("a rule", "broken" if broken else "kept", "must", "it says so", "RFC 9112")
        monkeypatch.setattr(suite, "examine", lambda *_, it=outcome, **__: Report("epoll_loop", ["wire"], [it], 0.1, True))
        assert run.left() == []
        run._examine({"epoll_loop"})
        assert run.left() == left


def test_an_interpreter_that_is_gone_is_told_before_anything_is_done(capsys, tmp_path):
    varied = {"epoll_loop~python3.13": Variant(python=".venv-pythons/gone/bin/python")}
    options = {"models": ("epoll_loop", *varied), "variants": varied, "driver_cpus": (0,)}
    record.write(tmp_path / "run.json", factories.run(**options))
    record.write(tmp_path / "environment.json", {"schema": SCHEMA})
    record.write(tmp_path / "journal.json", Journal())
    err = call(capsys, "run", "--resume", str(tmp_path), "--anyway", status=2).err
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
        (("--resume", "x", "--replicates", "0"), "--replicates 0 is not above 0"),
        (
            ("--resume", "x", "--visits", "3"),
            "--visits is gone: models are compared by replicates of short rounds. Use --replicates 3",
        ),
        (("--resume", "x", "--aa", "none"), "--aa can't be changed by --resume"),
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
    err = call(capsys, "run", *arguments, "--results", str(tmp_path), status=2).err
    assert told in err
    assert not list(tmp_path.iterdir())
