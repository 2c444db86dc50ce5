"""What was acknowledged survives the server: a small version of the tool, and that it would notice."""

import io
from itertools import count
from pathlib import Path

import pytest
from live import MODELS
from rich.console import Console

from benchmarks.selfbench import durability
from benchmarks.selfbench.database import postgresql, program
from benchmarks.selfbench.durability import House, Ledger, State, lost
from benchmarks.selfbench.peers import Missing

ONE, TWO = ("one", 1), ("two", 2)


def examined(*argv: str) -> tuple[int, str]:
    """The exit status and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    status = durability.main([*argv, "--seed", "1"], console)
    assert isinstance(console.file, io.StringIO)
    return status, console.file.getvalue()


@pytest.mark.parametrize("model", [name for name in ("epoll_loop", "prefork") if name in MODELS])
def test_nothing_acknowledged_is_lost(model: str) -> None:
    status, said = examined(model, "--operations", "300", "--kills", "2")
    assert status == 0, said
    assert f"{model} " in said
    assert "300 operations, 2 kills" in said
    assert " 0 lost" in said


def test_nothing_acknowledged_is_lost_in_postgresql() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    try:
        program("initdb")
        with postgresql() as url:
            status, said = examined("epoll_loop", "--operations", "300", "--kills", "2", "--database", url)
    except Missing as missing:
        pytest.skip(str(missing))
    assert status == 0, said
    assert " 0 lost" in said


@pytest.mark.parametrize(
    ("sure", "either", "found", "lines"),
    [
        ({"a": ONE, "b": None}, {}, {"a": ONE, "other": TWO}, 0),
        ({"a": ONE}, {}, {}, 1),  # gone
        ({"a": ONE}, {}, {"a": TWO}, 1),  # an update is gone, or never was
        ({"a": None}, {}, {"a": ONE}, 1),  # a deletion is gone
        ({}, {"a": (ONE, TWO)}, {"a": ONE}, 0),
        ({}, {"a": (ONE, TWO)}, {"a": TWO}, 0),
        ({}, {"a": (None, ONE)}, {}, 0),
        ({}, {"a": (ONE, TWO)}, {}, 1),
        ({}, {"a": (ONE, None)}, {"a": TWO}, 1),
    ],
)
def test_what_counts_as_lost(
    sure: dict[str, State], either: dict[str, tuple[State, State]], found: dict[str, State], lines: int
) -> None:
    assert len(lost(Ledger(sure, either), found)) == lines


def test_a_server_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each server has a database of its own, so all that its predecessor acknowledged is gone."""
    start, numbers = House.start, count()

    def forgetful(self: House) -> None:
        self._options = ("--database", f"sqlite:{tmp_path}/{next(numbers)}.db")
        start(self)

    monkeypatch.setattr(House, "start", forgetful)
    status, said = examined("epoll_loop", "--operations", "100", "--kills", "1")
    assert status == 1
    assert " 0 lost" not in said
    assert "acknowledged was" in said or "was answered" in said


def test_who_is_to_be_examined_must_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        durability.main(["nobody"])
    assert stop.value.code == 2
    assert "there is no model 'nobody'" in capsys.readouterr().err
