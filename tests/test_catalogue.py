"""What there is to compare is found by its files."""

import pytest

from benchmarks import catalogue


def test_models_are_found_without_importing_them(tmp_path):
    (tmp_path / "hasty.py").write_text(
        '"""Serves in haste.\n\nMore."""\nimport nothing_of_that_name\n\ndef serve():\n    pass\n'
    )
    (tmp_path / "_private.py").write_text("def serve(): pass\n")
    (tmp_path / "notes.py").write_text('"""No model."""\n')
    assert [(e.name, e.caption) for e in catalogue.models(tmp_path)] == [("hasty", "Serves in haste.")]


def test_the_eight_models_and_three_scenarios_are_there():
    models = {entry.name for entry in catalogue.models()}
    assert models >= {
        "thread_per_connection", "thread_pool", "prefork", "select_loop", "epoll_loop", "asyncio_streams", "asyncio_protocol",
        "gevent_greenlets",
    }  # fmt: skip
    assert {entry.name for entry in catalogue.scenarios()} >= {"hello", "wait", "cpu"}


def test_every_caption_is_a_sentence():
    for entry in [*catalogue.models(), *catalogue.scenarios()]:
        assert entry.caption != entry.name
        assert entry.caption[-1] in ".?"


def test_names_are_chosen_in_the_order_given_and_unknown_ones_refused():
    entries = catalogue.models()
    assert catalogue.choose(["prefork", "epoll_loop", "prefork"], entries, "model") == ("prefork", "epoll_loop")
    assert len(catalogue.choose([], entries, "model")) == len(entries)
    with pytest.raises(catalogue.NotInCatalogue, match=r"no model 'epol'; there are: .*epoll_loop"):
        catalogue.choose(["epol"], entries, "model")


def test_the_two_rooms_never_import_each_other():
    for room, other in (("benchmarks", "servers"), ("servers", "benchmarks")):
        for path in (catalogue.ROOT / room).rglob("*.py"):
            text = path.read_text()
            assert f"import {other}" not in text, path
            assert f"from {other}" not in text, path
