"""Passwords: in nothing that is written or shown; servers and resumed runs get them all the same."""

import json
import os
import subprocess
import sys

import factories
import pytest
from called import refusal
from live import ROOT

from benchmarks import conduct, passwords, record
from benchmarks.journal import Journal
from benchmarks.nouns import SCHEMA

URL, SHOWN = "postgresql://me:s3cr%40t@db.example:5432/x", "postgresql://me:***@db.example:5432/x"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """No test leaves a URL in the environment."""
    monkeypatch.setenv(passwords.VARIABLE, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (URL, SHOWN),
        (f"--database={URL}", f"--database={SHOWN}"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
        ("postgresql:///x?host=/run&password=s3cret&y=1", "postgresql:///x?host=/run&password=***&y=1"),
        ("sqlite:/tmp/a:b@c.db", "sqlite:/tmp/a:b@c.db"),
        ("http://127.0.0.1:80/a@b", "http://127.0.0.1:80/a@b"),
        ("", ""),
    ],
)
def test_what_is_shown(text, shown):
    assert passwords.masked(text) == passwords.masked(shown) == shown


def test_a_run_writes_no_password_down(tmp_path):
    options = factories.options(database=passwords.kept(URL), scenarios=("hello",))
    facts = conduct.facts(options, ["run", "--database", URL, "--name", "x"])
    conduct.begin(facts, tmp_path, {"schema": SCHEMA})
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"s3cr" not in written
    assert SHOWN.encode() in written
    assert os.environ[passwords.VARIABLE] == URL


def test_a_resumed_run_asks_for_the_password_again(capsys, tmp_path):
    record.write(tmp_path / "run.json", factories.run(database=SHOWN, scenarios=("rest",)))
    record.write(tmp_path / "environment.json", {"schema": SCHEMA})
    record.write(tmp_path / "journal.json", Journal())
    assert "name it again with --database" in refusal(capsys, "run", "--resume", str(tmp_path))
    assert "name it again with --database" in refusal(
        capsys, "run", "--resume", str(tmp_path), "--database", "postgresql://me:s3cret@elsewhere/x"
    )
    passwords.kept(URL)
    assert passwords.is_known(SHOWN)
    assert passwords.is_known("postgresql://me@db/x")  # there is none
    assert os.environ[passwords.VARIABLE] == "postgresql://me@db/x"


def test_a_server_takes_the_url_from_its_environment(tmp_path):
    line = [sys.executable, "-m", "servers", "epoll_loop", "--database", f"${passwords.VARIABLE}"]
    url = f"sqlite:{tmp_path}/items.db"
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {passwords.VARIABLE: url}) as server:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["model"] == "epoll_loop"
        server.terminate()
    without = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert without.returncode == 2
    assert "there is no variable SERVEBENCH_DATABASE" in without.stderr
