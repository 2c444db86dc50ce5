"""`servebench new`: the variant it writes runs, keeps the rules and is compared, without a change to any other file."""

import ast
import json

import pytest
from called import refusal
from copied import ROOT, copied, servebench

from benchmarks import catalogue
from benchmarks.commands.new import variant

MODELS = [entry.name for entry in catalogue.models()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize("like", MODELS)
def test_the_variant_is_its_model_with_another_docstring(like):
    source = (ROOT / "servers" / f"{like}.py").read_text()
    made, original = ast.parse(variant("mine", like, source)), ast.parse(source)
    assert ast.get_docstring(made).startswith(f"Mine: like {like} so far;")
    assert [ast.dump(node) for node in made.body[1:]] == [ast.dump(node) for node in original.body[1:]]
    assert max(map(len, variant("m" * 40, like, source).splitlines()[1:])) <= 128


SCENARIO = '''"""Is an echo dearer beside sums? A question of one file, of what the application can do already."""

from benchmarks.questions import Measure, Metric, Prediction, Request, Scenario

ECHO = Request("/echo", "POST", b"over", expect_body=b"over", weight=0.5, label="echo")
SLOWER = Metric("mean", "closed 2", "echo", by=Metric("mean", "closed 2", "sum"))

SCENARIO = Scenario(
    request=ECHO,
    mix=(ECHO, Request("/cpu/1", weight=0.5, label="sum")),
    closed=(1, 2),
    measures=(Measure("echoes by sums", SLOWER, "less", short="echo"),),
    predictions=(Prediction("a loop", ("epoll_loop",), "It waits its turn.", "Kleinrock 1975", SLOWER, most=10.0),),
)
'''


def test_a_model_and_a_scenario_are_one_file_each(copy):
    """Both are served, keep the rules and appear in a run; nothing else was touched."""
    (copy / "benchmarks" / "scenarios" / "beside_sums.py").write_text(SCENARIO)
    out, _ = servebench(copy, "new", "mine")
    assert "servebench check mine" in out
    servebench(copy, "check", "mine", "--fast")
    assert "mine" in {entry["name"] for entry in json.loads(servebench(copy, "list", "--json")[0])["models"]}
    tiny = ("--profile", "smoke", "--seconds", "0.1", "--scenarios", "beside_sums", "--no-charts")
    out, _ = servebench(copy, "run", *tiny, "--models", "mine,epoll_loop")
    assert "mine" in out
    summary = json.loads((copy / "results" / "latest" / "summary.json").read_text())
    assert summary["trials_failed"] == 0
    assert {(cell["model"], cell["level"]["connections"]) for cell in summary["cells"]} == {
        (model, connections) for model in ("mine", "epoll_loop") for connections in (1, 2)
    }
    (asked,) = summary["scenarios"]
    assert [measure["title"] for measure in asked["measures"]] == ["echoes by sums"]
    (judged,) = asked["predictions"]
    assert judged["model"] == "epoll_loop"
    assert judged["estimate"] or judged["why"]  # a machine that is busy enough leaves nothing to judge, and it is said why


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Mine", "can't be a model's name"),
        ("my-model", "can't be a model's name"),
        ("_mine", "can't be a model's name"),
        ("class", "can't be a model's name"),
        ("select", "is a module that models import"),
        ("gevent", "is a module that models import"),
        ("epoll_loop", "exists already"),
        ("conversations", "exists already"),
    ],
)
def test_names_that_would_do_harm_are_refused(copy, capsys, monkeypatch, name, told):
    monkeypatch.setattr(catalogue, "ROOT", copy)
    err = refusal(capsys, "new", name)
    assert told in err
    assert err.count("\n") == 1


def test_an_unknown_model_to_begin_from_is_told_which_there_are(copy, capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "ROOT", copy)
    assert "there are: asyncio_protocol" in refusal(capsys, "new", "mine_too", "--like", "epol")
    assert not (copy / "servers" / "mine_too.py").exists()
