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
        assert entry.caption.partition(" (" + entry.name.partition("-")[2] + ")")[0][-1] in ".?"


def test_one_file_may_hold_several_scenarios(tmp_path, monkeypatch):
    (tmp_path / "dig.py").write_text(
        '"""How deep?\n\nMore."""\nfrom benchmarks.questions import Request, Scenario\n'
        'SCENARIOS: dict[str, Scenario] = {\n    "": Scenario(Request("/1"), (1,)),\n'
        '    "20ms": Scenario(Request("/20"), (1,)),\n}\n'
    )
    (tmp_path / "one.py").write_text('"""One?"""\nSCENARIO = nothing_of_that_name\n')
    found = catalogue.scenarios(tmp_path)
    assert [(e.name, e.caption) for e in found] == [("dig", "How deep?"), ("dig-20ms", "How deep? (20ms)"), ("one", "One?")]
    monkeypatch.setattr("benchmarks.scenarios.__path__", [str(tmp_path)])
    monkeypatch.setattr(catalogue, "scenarios", lambda: found)
    assert catalogue.scenario("dig").request.path == "/1"
    assert catalogue.scenario("dig-20ms").request.path == "/20"
    with pytest.raises(catalogue.NotInCatalogue, match="no scenario 'dig-30ms'"):
        catalogue.scenario("dig-30ms")


@pytest.mark.parametrize("value", ['{key: 1 for key in ("a", "b")}', "{1: 2}", '{**others, "a": 1}', "{}"])
def test_scenarios_that_cannot_be_read_without_importing_them_are_told(tmp_path, value):
    (tmp_path / "odd.py").write_text(f"SCENARIOS = {value}\n")
    with pytest.raises(catalogue.NotInCatalogue, match=r"odd\.py: SCENARIOS must be a dictionary whose keys are literal"):
        catalogue.scenarios(tmp_path)


def test_a_model_may_say_which_numbers_of_workers_are_worth_a_look(tmp_path):
    (tmp_path / "pool.py").write_text('TUNED = ("workers", (2, 4))\nimport nothing_of_that_name\n')
    (tmp_path / "loop.py").write_text("")
    assert catalogue.tuned("pool", tmp_path) == ("workers", (2, 4))
    assert catalogue.tuned("loop", tmp_path) is None


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
