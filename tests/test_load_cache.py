"""Where the load engine keeps compiled code: beside the sources if they are one's own, else elsewhere, never with others."""

import os
from pathlib import Path

import pytest

from benchmarks import load


@pytest.fixture
def places(monkeypatch, tmp_path):
    """The first place can't be written to."""
    closed = tmp_path / "sources"
    closed.mkdir()
    taken = closed / "__pycache__"
    taken.write_text("a file stands here, so that even root can make no folder")
    found = [taken, tmp_path / "cache" / "servebench", tmp_path / "temporary"]
    monkeypatch.setattr(load, "_places", lambda: iter(found))
    return found


def test_the_users_cache_takes_the_place_of_sources_that_are_not_ours(places):
    assert load._cache_folder() == places[1] / load._name()
    assert (places[1] / load._name()).is_dir()


def test_a_temporary_folder_is_the_last_resort(places):
    places[1].parent.write_text("no folder either")
    assert load._cache_folder() == places[2] / load._name()


def test_a_folder_that_somebody_else_made_is_not_used(places, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert not load._is_ours(places[1] / "x")


def test_without_a_home_there_is_a_temporary_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert [place.name for place in load._places()] == ["__pycache__", f"servebench-{os.getuid()}"]


def test_what_is_compiled_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not load.is_compiled()
    (tmp_path / "load_1").mkdir()
    (tmp_path / "load_1" / "loop.nbi").touch()
    assert load.is_compiled()
