"""The whole way as a user goes it: run, plot, report, list, load; interruptions and wrong options."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from refused import refusal

from benchmarks import catalogue
from benchmarks.commands._run_options import add_arguments, run_options

CPUS = sorted(os.sched_getaffinity(0))
MODELS = ("epoll_loop", "prefork", "thread_per_connection")
TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "1,8", "--seed", "5")


def servebench(*arguments, folder=catalogue.ROOT, status=0):
    """Run the command; its stdout and stderr. Fails the test when the exit status is another."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True, text=True, cwd=folder, timeout=120, env={**os.environ, "PYTHONPATH": str(catalogue.ROOT)},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run of three models in two scenarios; its folder and what was printed."""
    results = tmp_path_factory.mktemp("results")
    out, _ = servebench(
        "run", *TINY, "--models", ",".join(MODELS), "--scenarios", "hello,wait", "--name", "tiny", "--results", str(results)
    )
    return results / "tiny", out


def test_a_run_ends_with_tables_verdicts_and_charts(made):
    folder, out = made
    for word in (*MODELS, "hello", "wait", "charts"):
        assert word in out
    assert "→" in out
    charts = {path.name for path in (folder / "charts").iterdir()}
    assert {"overview.png", "overview.svg", "throughput.png", "tail.svg"} <= charts
    assert (folder.parent / "latest").resolve() == folder.resolve()


def test_its_records_hold_what_the_issue_asks(made):
    folder, _ = made
    visits = [json.loads(path.read_text()) for path in (folder / "visits").iterdir()]
    assert len(visits) == len(MODELS) * 2
    for visit in visits:
        assert visit["failure"] is None
        assert visit["before"]["python_ns"] > 0
        assert visit["warmup"]["rates_per_s"]
        assert visit["server"]["exit_status"] == 0
        assert visit["server"]["stderr"] == ""
        for window in visit["windows"]:
            load, server = window["load"], window["server"]
            assert load["errors"] == {}
            assert load["completed"] > 0
            assert server["cpu_user_ns"] + server["cpu_system_ns"] > 0
            assert server["rss_bytes"] > server["uss_bytes"] > 0
            assert server["counted_requests"] >= load["completed"]
    labels = [window["level"] for window in visits[0]["windows"]]
    assert [level["connections"] for level in labels if level["loop"] == "closed"] == [1, 8]


def test_all_models_answered_the_same_bytes(made):
    folder, _ = made
    digests = {}
    for path in (folder / "visits").iterdir():
        visit = json.loads(path.read_text())
        digests.setdefault(visit["plan"]["scenario"], set()).add(visit["digest"])
    assert all(len(found) == 1 for found in digests.values())


def test_plot_makes_the_same_summary_from_the_records_alone(made):
    folder, _ = made
    before = (folder / "summary.json").read_bytes()
    (folder / "summary.json").unlink()
    servebench("plot", str(folder))
    assert (folder / "summary.json").read_bytes() == before


def test_report_speaks_to_people_pages_and_machines(made):
    folder, _ = made
    assert "→" in servebench("report", str(folder))[0]
    assert "|" in servebench("report", str(folder), "--markdown")[0]
    told = json.loads(servebench("report", str(folder), "--json")[0])
    assert {cell["model"] for cell in told["cells"]} == set(MODELS)


def test_a_run_is_never_overwritten(made):
    folder, _ = made
    _, err = servebench("run", *TINY, "--name", "tiny", "--results", str(folder.parent), status=2)
    assert "exists already" in err


def test_list_names_models_and_scenarios():
    told = json.loads(servebench("list", "--json")[0])
    assert {"name", "caption"} == set(told["models"][0]) == set(told["scenarios"][0])
    assert "epoll_loop" in servebench("list")[0]


def test_a_dry_run_tells_the_plan_and_how_long_it_takes_and_makes_nothing(tmp_path):
    long, _ = servebench("run", "--profile", "full", "--dry-run", "--results", str(tmp_path))
    assert re.search(r"about \d+\.\d h", " ".join(long.split()))
    out, _ = servebench("run", *TINY, "--models", "prefork,epoll_loop", "--scenarios", "hello,wait", "--tuned", "--control",
                        "--visits", "3", "--dry-run", "--results", str(tmp_path))  # fmt: skip
    said = " ".join(out.split())
    assert "2 models and 4 variants × hello, wait: 33 visits, about 0." in said
    assert "epoll_loop~direct is visited in hello alone" in said
    assert "hello 3 visits of each of 6, " in said
    assert "wait 3 visits of each of 5, " in said
    assert "closed 1; closed 8; open 50%" in said
    assert "models: prefork, prefork~2 workers, prefork~4 workers, prefork~16 workers, epoll_loop, epoll_loop~direct" in said
    assert not list(tmp_path.iterdir())


def test_brief_profiles_visit_brief_scenarios_unless_others_are_named():
    def asked(*arguments):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return run_options(parser.parse_args(arguments))

    brief = {entry.name for entry in catalogue.scenarios() if catalogue.scenario(entry.name).brief}
    assert 0 < len(brief) < len(catalogue.scenarios())
    assert set(asked("--profile", "quick").scenarios) == brief
    assert asked("--profile", "quick").brief
    assert len(asked("--profile", "standard").scenarios) == len(catalogue.scenarios())
    named = asked("--profile", "smoke", "--scenarios", "cpu-20ms", "--database", "postgresql://x")
    assert (named.scenarios, named.brief, named.database) == (("cpu-20ms",), True, "postgresql://x")


def test_variants_are_visited_recorded_and_gone_on_with(tmp_path):
    """A pool with other numbers of threads, and a control, which breaks rules and is measured all the same."""
    arguments = ("--models", "epoll_loop,thread_pool", "--scenarios", "hello", "--connections", "4", "--tuned", "--control")
    servebench("run", *TINY, *arguments, "--no-charts", "--name", "varied", "--results", str(tmp_path))
    run = tmp_path / "varied"
    visits = {path.name: json.loads(path.read_text()) for path in (run / "visits").iterdir()}
    assert sorted(visits) == [
        "epoll_loop-hello-0.json", "epoll_loop~direct-hello-0.json", "thread_pool-hello-0.json",
        "thread_pool~16_threads-hello-0.json", "thread_pool~2_threads-hello-0.json", "thread_pool~4_threads-hello-0.json",
    ]  # fmt: skip
    assert {visit["digest"] for visit in visits.values()} != {""}
    assert len({visit["digest"] for visit in visits.values()}) == 1
    assert not any(visit["failure"] or visit["broken_rules"] for visit in visits.values())
    two = visits["thread_pool~2_threads-hello-0.json"]
    assert two["server"]["command"][-2:] == ["--threads", "2"]
    assert two["server"]["max_connections"] == 2
    assert len(two["windows"][0]["server"]["collections"]) == 3
    direct = visits["epoll_loop~direct-hello-0.json"]
    assert direct["server"]["command"][1:3] == ["-m", "benchmarks.controls.direct_epoll"]
    assert direct["windows"][0]["server"]["collections"] == []  # a control keeps no account
    facts = json.loads((run / "run.json").read_text())
    assert facts["options"]["variants"]["epoll_loop~direct"]["module"] == "benchmarks.controls.direct_epoll"
    assert facts["captions"]["epoll_loop~direct"].startswith("Control: the plain epoll loop")
    (run / "visits" / "thread_pool~2_threads-hello-0.json").unlink()
    out, _ = servebench("run", "--resume", str(run), "--no-charts", "--anyway")
    assert "5 visits are there, 1 are missing" in " ".join(out.split())
    assert len(list((run / "visits").iterdir())) == 6


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--control", "--models", "prefork"), "--control: only epoll_loop, thread_per_connection, asyncio_protocol"),
        (("run", "--control", "--scenarios", "wait"), "have one, in hello; add them with --models and --scenarios"),
        (("run", "--python", "python3.99"), "--python python3.99: there is no such interpreter"),
        (("run", "--models", "epol"), "there is no model 'epol'"),
        (("run", "--scenarios", "helo"), "there is no scenario 'helo'"),
        (("run", "--connections", "many"), "not a list of whole numbers"),
        (("run", "--connections", "0"), "--connections takes"),
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


def test_a_run_that_is_interrupted_keeps_what_is_finished_and_leaves_nothing_running(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "run", "--profile", "standard", "--models", "epoll_loop,prefork", "--scenarios",
         "hello", "--seconds", "0.1", "--connections", "1", "--name", "cut", "--results", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=catalogue.ROOT,
    )  # fmt: skip
    visits = tmp_path / "cut" / "visits"
    ends = time.monotonic() + 60
    while not (visits.is_dir() and len(list(visits.glob("*.json"))) >= 2):
        assert time.monotonic() < ends, "no visit was finished within a minute"
        assert run.poll() is None
        time.sleep(0.05)
    family = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130, out
    assert "servebench plot" in out
    assert "Traceback" not in out
    assert not psutil.wait_procs(family, timeout=10)[1]
    servebench("plot", str(tmp_path / "cut"))


def test_on_one_core_it_says_that_results_are_not_comparable(tmp_path):
    out, _ = servebench(
        "run", *TINY, "--models", "epoll_loop", "--scenarios", "hello", "--results", str(tmp_path), "--name", "one",
        "--no-charts", "--server-cpus", str(CPUS[0]), "--driver-cpus", str(CPUS[0]),
    )  # fmt: skip
    assert "not comparable" in out
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["comparable"] is False
