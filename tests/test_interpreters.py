"""Environments of other interpreters: made once, from what servers need; and what is said when one can't be made."""

import ast
import json
import sys
from pathlib import Path

import pytest

from benchmarks import catalogue, interpreters
from benchmarks.interpreters import Interpreter, Unusable, labels, packages, prepared, read

FAKE = """#!{python}
import json, os, pathlib, shutil, sys
here, words = pathlib.Path(__file__), sys.argv[1:]
with open({log!r}, "a") as log:
    print(" ".join(words[:2] if "-c" in words else words), file=log)
if "-c" in words:
    print({told!r})
elif words[:2] == ["-m", "venv"]:
    if {no_venv}:
        sys.exit("ensurepip is not available")
    folder = pathlib.Path(words[2])
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    shutil.copy(here, folder / "bin" / "python")
elif "pip" in words:
    for bad, said in {bad!r}.items():
        if bad in words:
            print("ERROR: of no account\\nERROR: " + said, file=sys.stderr)
            sys.exit(1)
"""
TOLD = {
    "path": "/opt/python3.13/bin/python3.13", "release": [3, 13, 0], "version": "3.13.0", "build": "main May 9 2026",
    "implementation": "cpython", "free_threaded": False, "gil": True, "text": "3.13.0 (main)",
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """A checkout, as far as it matters."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project.optional-dependencies]\nservers = ["gevent", "httptools", "psycopg[binary]"]\n'
    )
    (folder / "constraints.txt").write_text("httptools==0.9\n")
    return folder


@pytest.fixture
def fake(tmp_path):
    """Makes an interpreter that tells of itself what the test wants, and installs nothing."""

    def make(name="python3.13", bad=None, no_venv=False, told=None, folder="bin", **changes):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        said = json.dumps({**TOLD, **changes}) if told is None else told
        log = str(tmp_path / "log")
        path.write_text(FAKE.format(python=sys.executable, told=said, bad=bad or {}, no_venv=no_venv, log=log))
        path.chmod(0o755)
        return str(path)

    return make


def test_an_environment_is_made_once_and_made_anew_when_the_pins_change(root, fake, tmp_path):
    said: list[str] = []
    python = fake()
    (one,) = prepared([python, python], said.append, root)
    assert one.python.startswith(".venv-pythons/3.13.0-")
    assert one.python.endswith("/bin/python")
    assert (one.name, one.words, one.missing) == ("python3.13", "3.13.0 (main May 9 2026), GIL on", ())
    assert len(said) == 1
    assert "(once): an environment of" in said[0]
    site = (root / one.python).parent.parent / "lib" / "python3.13" / "site-packages"
    assert (site / "servebench.pth").read_text() == f"{root}\n"
    installed = [line for line in (tmp_path / "log").read_text().splitlines() if " pip " in line]
    assert len(installed) == 2
    assert all(f"--constraint {root / 'constraints.txt'}" in line for line in installed)
    assert installed[0].endswith("--prefer-binary httptools")
    assert installed[1].endswith("--only-binary :all: gevent psycopg[binary]")
    assert prepared([python], said.append, root) == [one] == [read(one.python, root)]
    assert len(said) == 1
    (root / "constraints.txt").write_text("httptools==0.10\n")
    assert prepared([python], said.append, root)[0].pins != one.pins
    assert len(said) == 2


def test_what_cannot_be_installed_is_told_and_makes_only_its_models_fail(root, fake):
    said: list[str] = []
    bad = {"gevent": "No distribution found for gevent"}
    (one,) = prepared([fake(bad=bad, free_threaded=True, gil=False)], said.append, root)
    assert one.missing == ("gevent",)
    assert one.words == "3.13.0 (main May 9 2026), GIL off, without gevent"
    assert said[1:] == [
        "gevent can't be installed under python3.13t (No distribution found for gevent): models that need it will fail there"
    ]


def test_a_free_threaded_build_is_one_in_the_name_and_so_is_a_gil_that_came_back(root, fake):
    said: list[str] = []
    off, on = fake("a", free_threaded=True, gil=False, text="a"), fake("b", free_threaded=True, gil=True, text="b")
    names = [one.name for one in prepared([off, on], said.append, root)]
    assert names == ["python3.13t", "python3.13t with GIL"]
    assert "httptools turns it on; PYTHON_GIL=0 in the environment keeps it off" in said[-1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"release": [3, 10, 13], "version": "3.10.13"}, r"is Python 3\.10\.13; servers need 3\.11 or newer"),
        ({"told": "pyenv: python3.13: command not found"}, "is no interpreter that servers can use: pyenv: python3.13: comm"),
        ({"told": ""}, "is no interpreter that servers can use: status 0"),
        ({"no_venv": True}, r"no working venv and pip \(ensurepip is not available\).*apt-get install python3\.13-venv"),
        ({"bad": {"httptools": "no compiler"}}, r"httptools, which all models need, can't be installed there \(no compiler\)"),
        ({"bad": {"gevent": "Failed to establish a new connection"}}, "pip can't reach its index"),
    ],
)
def test_an_interpreter_that_cannot_be_used_is_told_in_a_line(root, fake, changes, told):
    with pytest.raises(Unusable, match=told) as caught:
        prepared([fake(**changes)], lambda _: None, root)
    assert "\n" not in str(caught.value)
    with pytest.raises(Unusable):  # nor is it taken for made the next time
        prepared([fake(**changes)], lambda _: None, root)


def test_one_that_is_not_there_is_told_and_one_behind_a_shim_is_found(root, fake, monkeypatch, tmp_path):
    with pytest.raises(Unusable, match=r"python3\.99: there is no such interpreter; give a path, or a name on the PATH"):
        prepared(["python3.99"], lambda _: None, root)
    fake("python3.98", told="pyenv: python3.98: command not found", folder="shims")
    fake("python3.98", folder="real")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:{tmp_path / 'real'}")
    assert prepared(["python3.98"], lambda _: None, root)[0].version == "3.13.0"


def test_an_environment_that_is_gone_is_told(root):
    with pytest.raises(Unusable, match=r"\.venv-pythons/x/bin/python, an environment for servers, is not there any more"):
        read(".venv-pythons/x/bin/python", root)


def test_two_of_one_minor_version_are_told_apart():
    made = [
        Interpreter(f"{n}/bin/python", version, "b", False, True) for n, version in enumerate(("3.12.1", "3.12.3", "3.13.0"))
    ]
    assert list(labels(made)) == ["python3.12.1", "python3.12.3", "python3.13"]
    twice = [Interpreter(f"{n}/bin/python", "3.12.1", str(n), False, True) for n in range(3)]
    assert list(labels(twice)) == ["python3.12.1", "python3.12.1 #2", "python3.12.1 #3"]


def test_whatever_servers_import_is_what_servers_need():
    named = {interpreters._bare(each) for each in packages()}
    assert imported(catalogue.ROOT / "servers") - set(sys.stdlib_module_names) - {"servers"} <= named
    assert imported(catalogue.ROOT / "benchmarks" / "controls") - set(sys.stdlib_module_names) == {"benchmarks", "httptools"}


def imported(folder: Path) -> set[str]:
    """The top-level packages that the files of a folder import."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    return found
