"""A working folder that holds modules of the project's or of Python's names: none of its code runs."""

import json
import os
import subprocess
import sys

import pytest
from live import PATIENCE_S, ROOT

TINY = ("--profile", "smoke", "--seconds", "0.1", "--connections", "2", "--scenarios", "hello", "--models", "epoll_loop")


@pytest.fixture
def elsewhere(tmp_path):
    for name in ("servers/__init__.py", "servers/__main__.py", "benchmarks/__init__.py", "queue.py", "numbers.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('the code of a strange folder runs')\n")
    return tmp_path


def line(*arguments):
    """A command as the installed `servebench` runs it: its own folder is first on the path."""
    return [sys.executable, "-P", "-c", "import sys; from benchmarks import cli; sys.exit(cli.main())", *arguments]


def test_serve_serves_this_projects_models(elsewhere):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line("serve", "epoll_loop", "--port", "0"), cwd=elsewhere, env=environment, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["model"] == "epoll_loop"
        server.terminate()


def test_a_run_measures_them(elsewhere):
    command = line("run", *TINY, "--name", "x", "--no-charts", "--json")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials_failed"] == 0
    assert (elsewhere / "results" / "x" / "records").is_dir()
