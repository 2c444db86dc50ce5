"""The whole way as a user goes it: run, plot, report, list, load; interruptions and wrong options."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from called import call, refusal

from benchmarks import catalogue, packing, record
from benchmarks.commands._run_options import add_arguments, run_options
from benchmarks.nouns import aa_arm, measured

CPUS = sorted(os.sched_getaffinity(0))
MODELS = ("epoll_loop", "prefork", "thread_per_connection")
TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "4", "--seed", "5")
PATIENCE_S = 600  # for what takes seconds on an idle machine


def servebench(*arguments, folder=catalogue.ROOT, status=0):
    """Run the command; its stdout and stderr. Fails the test when the exit status is another."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True, text=True, cwd=folder, timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(catalogue.ROOT), "COLUMNS": "100"},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def options(*arguments):
    """What a run would be asked for."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run_options(parser.parse_args(arguments))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run of three models in two scenarios; its folder and what was printed."""
    results = tmp_path_factory.mktemp("results")
    out, _ = servebench(
        "run", *TINY, "--models", ",".join(MODELS), "--scenarios", "hello,wait", "--no-charts", "--name", "tiny",
        "--results", str(results),
    )  # fmt: skip
    return results / "tiny", out


@pytest.fixture
def copy(made, tmp_path):
    """A copy of it to change."""
    return shutil.copytree(made[0], tmp_path / "tiny")


def test_a_run_ends_with_tables_and_verdicts(made):
    folder, out = made
    for word in (*MODELS, "hello", "wait"):
        assert word in out
    assert "→" in out
    assert {"summary.json", "summary.md", "run.json", "environment.json", "journal.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert (folder.parent / "latest").resolve() == folder.resolve()


def test_there_is_a_record_for_each_scenario_of_each_replicate_with_a_trial_of_each_model(made):
    folder, _ = made
    records = {path.name: json.loads(path.read_text()) for path in (folder / "records").iterdir()}
    assert sorted(records) == ["hello-0.json", "hello-1.json", "wait-0.json", "wait-1.json"]
    for one in records.values():
        assert one["together"]
        assert one["before"]["python_ns"] > 0
        assert one["outside"]["seconds"] > 0
        assert sorted(trial["model"] for trial in one["trials"]) == list(MODELS)
        assert len({trial["digest"] for trial in one["trials"]}) == 1
    warmed = [[bool(trial["warmup"]) for trial in one["trials"]] for one in records.values()]
    assert sorted(warmed) == [[False] * 3] * 2 + [[True] * 3] * 2  # once in each replicate
    for trial in (trial for one in records.values() for trial in one["trials"]):
        assert trial["failure"] is None
        assert trial["broken_rules"] == []
        assert trial["server"]["stderr"] == ""
        for measurement in trial["measurements"]:
            load, server, rounds = measurement["load"], measurement["server"], measurement["rounds"]
            assert load["errors"] == {}
            assert load["completed"] > 0
            assert load["completed"] == sum(rounds["completed"])
            assert measurement["windows"] == len(rounds["number"]) >= 1
            assert measurement["interleaved"]
            assert server["cpu_user_ns"] + server["cpu_system_ns"] > 0
            assert server["rss_bytes"] > 1_000_000
            assert server["uss_bytes"] is None  # other servers are alive
            assert server["counted_requests"] >= load["completed"]
        closed = [one["level"]["connections"] for one in trial["measurements"] if one["level"]["loop"] == "closed"]
        assert closed == [4]


def test_plot_makes_the_same_summary_from_the_records_alone_and_draws_it(capsys, copy):
    before = (copy / "summary.json").read_bytes()
    (copy / "summary.json").unlink()
    assert f"charts: {copy}/charts" in call(capsys, "plot", str(copy)).said
    assert (copy / "summary.json").read_bytes() == before
    assert {"overview.png", "overview.svg"} <= {path.name for path in (copy / "charts").iterdir()}


def test_report_speaks_to_people_pages_and_machines(capsys, made):
    folder, _ = made
    assert "→" in call(capsys, "report", str(folder)).out
    assert "|" in call(capsys, "report", str(folder), "--markdown").out
    told = json.loads(call(capsys, "report", str(folder), "--json").out)
    assert {cell["model"] for cell in told["cells"]} == set(MODELS)
    assert told["trials_made"] == len(MODELS) * 2 * 2
    for scenario in told["scenarios"]:
        pairs = scenario["pairs"]
        assert pairs["total"] == 3 == pairs["different"] + pairs["same"] + pairs["open"]
        assert {standing["model"] for standing in scenario["standings"]} == set(MODELS)


def test_a_packed_run_reports_the_same_pairs(capsys, copy):
    def told():
        said = json.loads(call(capsys, "report", str(copy), "--json").out)
        return [
            (one["scenario"], one["pairs"], [(standing["model"], standing["rank"]) for standing in one["standings"]])
            for one in said["scenarios"]
        ]

    before = told()
    packing.pack(copy)
    assert told() == before
    assert "is complete" in call(capsys, "run", "--resume", str(copy), "--no-charts").said


def test_a_run_is_never_overwritten(made, capsys):
    folder, _ = made
    assert "exists already" in refusal(capsys, "run", *TINY, "--name", "tiny", "--results", str(folder.parent))


def test_list_names_models_and_scenarios(capsys):
    told = json.loads(call(capsys, "list", "--json").out)
    assert {"name", "caption"} == set(told["models"][0]) == set(told["scenarios"][0])
    assert "epoll_loop" in call(capsys, "list").out


def test_a_dry_run_tells_the_plan_and_how_long_it_takes_and_makes_nothing(capsys, tmp_path):
    long = call(capsys, "run", "--profile", "full", "--dry-run", "--results", str(tmp_path))
    assert re.search(r"about \d+\.\d h", long.said)
    said = call(
        capsys, "run", "--profile", "smoke", "--connections", "1,8", "--models", "prefork,epoll_loop", "--scenarios",
        "hello,idle", "--tuned", "--control", "--replicates", "3", "--dry-run", "--results", str(tmp_path),
    ).said  # fmt: skip
    assert "2 models and 4 variants, hello, idle: 3 replicates, about " in said
    assert "epoll_loop~direct is measured in hello alone" in said
    assert re.search(r"hello 6 models in each of 3 replicates, about \d", said)
    assert re.search(r"idle 5 models in each of 3 replicates, about [\d.]+ min; one at a time: ", said)
    assert re.search(r"closed 1 \(\d+ rounds of 50\.0 ms\); closed 8 \(\d+ rounds of 50\.0 ms\); open 50% \(", said)
    assert "models: prefork, prefork~2 workers, prefork~4 workers, prefork~16 workers, epoll_loop, epoll_loop~direct" in said
    assert not list(tmp_path.iterdir())


def test_quick_profiles_measure_quick_scenarios_unless_others_are_named():
    quick = {entry.name for entry in catalogue.scenarios() if catalogue.scenario(entry.name).quick}
    assert 0 < len(quick) < len(catalogue.scenarios())
    assert set(options("--profile", "quick").scenarios) == quick
    assert options("--profile", "quick").quick
    assert len(options("--profile", "standard").scenarios) == len(catalogue.scenarios())
    named = options("--profile", "smoke", "--scenarios", "cpu-20ms", "--database", "postgresql://x", "--same", "5%")
    assert (named.scenarios, named.quick, named.database, named.same) == (("cpu-20ms",), True, "postgresql://x", 0.05)


@pytest.mark.parametrize(
    ("arguments", "arm"),
    [
        ((), "epoll_loop"),
        (("--models", "epoll_loop,prefork,select_loop"), ""),
        (("--models", "epoll_loop,prefork,select_loop,gevent_greenlets"), "epoll_loop"),
        (("--models", "poll_loop,prefork,select_loop,gevent_greenlets"), "poll_loop"),
        (("--aa", "none"), ""),
        (("--aa", "prefork", "--models", "epoll_loop,prefork"), "prefork"),
    ],
)
def test_from_four_models_on_one_is_measured_twice(arguments, arm):
    made = options(*arguments)
    assert made.aa == arm
    assert [name for name in measured(made) if name not in made.models] == ([aa_arm(arm)] if arm else [])


def test_with_an_aa_arm_and_no_list_that_model_is_alone():
    assert options("--aa", "prefork").models == ("prefork",)


@pytest.mark.usefixtures("unexamined")
def test_variants_are_measured_and_recorded(capsys, tmp_path):
    """A pool with other numbers of threads, and a baseline, which breaks rules and is measured all the same."""
    call(
        capsys, "run", *TINY, "--models", "epoll_loop,thread_pool", "--scenarios", "hello", "--tuned", "--control",
        "--replicates", "1", "--no-charts", "--name", "varied", "--results", str(tmp_path),
    )  # fmt: skip
    run = tmp_path / "varied"
    (made,) = [json.loads(path.read_text()) for path in (run / "records").iterdir()]
    trials = {trial["model"]: trial for trial in made["trials"]}
    assert sorted(trials) == [
        "epoll_loop", "epoll_loop~direct", "thread_pool", "thread_pool~16 threads", "thread_pool~2 threads",
        "thread_pool~4 threads",
    ]  # fmt: skip
    assert not any(trial["failure"] or trial["broken_rules"] for trial in trials.values())
    assert len({trial["digest"] for trial in trials.values()}) == 1
    two = trials["thread_pool~2 threads"]
    assert two["server"]["command"][-2:] == ["--threads", "2"]
    assert two["server"]["max_connections"] == 2
    assert len(two["measurements"][0]["server"]["collections"]) == 3
    direct = trials["epoll_loop~direct"]
    assert direct["server"]["command"][1:3] == ["-m", "benchmarks.controls.direct_epoll"]
    assert direct["measurements"][0]["server"]["collections"] == []  # a baseline keeps no account
    facts = json.loads((run / "run.json").read_text())
    assert facts["options"]["variants"]["epoll_loop~direct"]["module"] == "benchmarks.controls.direct_epoll"
    assert facts["captions"]["epoll_loop~direct"].startswith("Baseline: the plain epoll loop")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--visits", "5"), "--visits is gone: models are compared by replicates of short rounds. Use --replicates 5"),
        (("run", "--control", "--models", "prefork"), "--control: only epoll_loop, thread_per_connection, asyncio_protocol"),
        (("run", "--control", "--scenarios", "wait"), "have one, in hello; add them with --models and --scenarios"),
        (("run", "--python", "python3.99"), "--python python3.99: there is no such interpreter"),
        (("run", "--models", "epol"), "there is no model 'epol'"),
        (("run", "--scenarios", "helo"), "there is no scenario 'helo'"),
        (("run", "--connections", "many"), "not a list of whole numbers"),
        (("run", "--connections", "0"), "--connections takes"),
        (("run", "--replicates", "0"), "--replicates 0 is not above 0"),
        (("run", "--replicates", "2.5"), "invalid int value"),
        (("run", "--same", "3"), "'3' is not a share such as 5% or 0.05"),
        (("run", "--seconds", "-1"), "--seconds -1 is not above 0"),
        (("run", "--server-cpus", "4096"), "CPU 4096 is not one that this process may use"),
        (("run", "--name", "../up"), "can't be a folder"),
        (("run", "--name", "x" * 300), "is 300 bytes long; a folder's name has 255 at most"),
        (("plot", "nothing-of-that-name"), "there is no run 'nothing-of-that-name'"),
        (("load", "http://192.0.2.1/"), "--this-target-is-mine"),
        (("load", "https://127.0.0.1/"), "not an http:// URL"),
        (("load", "http://[::1/"), "'http://[::1/' is no URL: Invalid IPv6 URL; write one such as http://127.0.0.1"),
        (("load", "http://127.0.0.1:8/\u00fc"), "which a URL can't; write it as %C3%BC"),
        (("load", "http://127.0.0.1:8/a b"), "holds ' ', which a URL can't; write it as %20"),
        (("load", "http://127.0.0.1:x/"), "can't be resolved: Port could not be cast"),
        (("load", "http://127.0.0.1:8/", "--connections", "0"), "--connections 0 is not from 1"),
        (("load", "http://127.0.0.1:8/", "--rate", "0"), "--rate 0 is not above 0"),
        (("load", "http://127.0.0.1:8/", "--cpus", "x"), "not a list of CPU numbers"),
        (("frobnicate",), "invalid choice"),
    ],
)
def test_bad_use_is_told_in_a_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert told in refusal(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["report", "plot", "run --resume"])
def test_a_run_of_an_earlier_schema_is_told_in_a_line(command, tmp_path, capsys):
    """It had a file for each visit, and other names for all in it."""
    (tmp_path / "visits").mkdir()
    (tmp_path / "run.json").write_text('{"schema": 3, "options": {"visits": {"hello": 4}}}')
    (tmp_path / "visits" / "epoll_loop-hello-0.json").write_text('{"schema": 3}')
    assert refusal(capsys, *command.split(), str(tmp_path)) == (
        f"servebench: {tmp_path}/run.json has schema 3; this servebench reads schema {record.SCHEMA}. "
        "Read it with the servebench that made it, or measure anew: servebench run\n"
    )


@pytest.mark.parametrize(("arguments", "told"), [(("serve", "epol"), "epol"), (("run", "--models", "epol"), "no model 'epol'")])
def test_the_command_itself_ends_so(arguments, told, tmp_path):
    _, err = servebench(*arguments, folder=tmp_path, status=2)
    assert told in err


def test_load_alone_prints_what_the_issue_names():
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "serve", "asyncio_protocol", "--port", "0"],
        stdout=subprocess.PIPE,
        cwd=catalogue.ROOT,
    ) as server:
        port = json.loads(server.stdout.readline())["port"]
        url = f"http://localhost:{port}/hello"
        told = json.loads(servebench("load", url, "--seconds", "0.3", "--connections", "8", "--json")[0])
        assert told["errors"] == {}
        assert told["completed"] > 0
        assert told["connections_opened"] == 8
        assert 0 < told["busy_fraction"] <= 1
        for name in ("response_ns", "service_ns", "send_lag_ns", "connect_ns"):
            assert {"mean", "p50", "p90", "p99", "p999", "max", "count"} == set(told[name])
        people, _ = servebench("load", url, "--seconds", "0.3", "--rate", "500")
        assert "completed" in people
        missing, err = servebench("load", url.replace("hello", "nowhere"), "--seconds", "0.2", "--json", status=1)
        assert json.loads(missing)["errors"]["status_4xx"] > 0
        assert "answers 404" in err
        server.terminate()
        assert server.wait(15) == 0


def interrupted(folder, signum, when):
    """Interrupt a run as soon as something is so; what it said. Nothing of it goes on."""
    run = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "run", *TINY, "--models", "epoll_loop,prefork", "--scenarios", "hello",
         "--replicates", "100", "--name", folder.name, "--results", str(folder.parent)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=catalogue.ROOT,
    )  # fmt: skip
    ends = time.monotonic() + PATIENCE_S
    while not when(run):
        assert time.monotonic() < ends, "it never came to that"
        assert run.poll() is None
        time.sleep(0.05)
    family = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signum)
    out, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130, out
    assert "Traceback" not in out
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]
    return " ".join(out.split())


def test_a_run_that_is_interrupted_keeps_what_is_finished_and_leaves_nothing_running(tmp_path, capsys):
    folder = tmp_path / "cut"
    out = interrupted(folder, signal.SIGINT, lambda _: list(folder.glob("records/*.json")))
    kept = len(list(folder.glob("records/*.json")))
    assert f"interrupted: {kept} finished records are kept in {folder}, and nothing is left running." in out
    assert f"servebench plot {folder}" in out
    assert f"servebench run --resume {folder}" in out
    assert "unfinished" in {one["check"] for one in json.loads(call(capsys, "report", str(folder), "--json").out)["findings"]}


def test_one_that_is_told_to_end_while_its_servers_start_leaves_nothing_running(tmp_path):
    def is_starting(run):
        try:
            found = [child.cmdline() for child in psutil.Process(run.pid).children()]
        except psutil.NoSuchProcess:  # it was held to the rules
            return False
        return sum("servers" in command for command in found) == 2  # both at once: that is over

    out = interrupted(tmp_path / "cut", signal.SIGTERM, is_starting)
    assert "finished records are kept" in out


@pytest.mark.usefixtures("unexamined")
def test_on_one_core_it_says_that_results_are_not_comparable(capsys, tmp_path):
    said = call(
        capsys, "run", *TINY, "--models", "epoll_loop", "--scenarios", "hello", "--results", str(tmp_path), "--name", "one",
        "--replicates", "1", "--no-charts", "--json", "--server-cpus", str(CPUS[0]), "--driver-cpus", str(CPUS[0]),
    )  # fmt: skip
    assert json.loads(said.out)["comparable"] is False  # --json is the summary, and all else goes to stderr
    assert "models cannot be compared" in " ".join(said.err.split())
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["comparable"] is False
