"""`servebench compare` as its user meets it: what A and B may be, what is refused, what it prints, when it fails a build."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from test_comparison import MODELS, busy, records, side

from benchmarks import ratios, record
from benchmarks.cli import main
from benchmarks.comparison import compare
from benchmarks.nouns import ReplicateRecord
from benchmarks.summaries import Estimate

MACHINE = {"machine": "x86_64", "cpu_model": "Imagined CPU at 3 GHz", "cpu_count": 2}


def save(results: Path, name: str, made: list[ReplicateRecord], environment=MACHINE, **options) -> None:
    """A run's files, as `servebench run` leaves them."""
    run = side(name, made, **options).run
    record.write(results / name / "environment.json", environment)
    record.write(results / name / "run.json", run)
    for one in made:
        record.write(record.record_path(results / name, one), one)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Five runs: before, the same again, slower, on another machine, and one with a invalid cell; the latest is before."""
    folder = tmp_path_factory.mktemp("results")
    save(folder, "before", records())
    save(folder, "again", records(seed=100))
    save(folder, "slower", records(seed=100, pace=0.75))
    save(folder, "elsewhere", records(seed=100), {**MACHINE, "cpu_model": "Another CPU"})
    save(folder, "invalid", busy(records(seed=100), "epoll_loop", "closed 64"))
    record.point_latest(folder, folder / "before")
    return folder


@pytest.fixture
def servebench(results, capsys, monkeypatch):
    """Run `servebench compare` on these in 100 columns; its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["compare", *arguments, "--results", str(results)])
        return status, *capsys.readouterr()

    return run


def test_a_slower_run_is_told(servebench):
    status, out, _ = servebench("before", "slower")
    assert status == 0
    assert "differ significantly" in out
    assert "ratios are slower by before" in out
    assert "Two runs share no replicate" in out
    assert "All 3 models moved the same way, to 0.7" in out


def test_the_same_again_shows_no_difference(servebench):
    status, out, _ = servebench("before", "again")
    assert status == 0
    assert ": 0 differ significantly" in out
    assert "or better; --all shows them" in out  # folded,
    folded = out.count("\n")
    _, out, _ = servebench("before", "again", "--all")
    assert out.count("\n") > folded + 20


@pytest.mark.parametrize(
    ("base", "other"),
    [("epoll_loop", "thread_pool"), ("latest:epoll_loop", "before:thread_pool"), ("before:epoll_loop", "latest:thread_pool")],
)
def test_two_models_of_one_run_are_paired(servebench, base, other):
    status, out, _ = servebench(base, other, "--json")
    told = json.loads(out)["comparison"]
    assert status == 0
    assert told["paired"] is True
    assert (told["base"], told["other"]) == ("epoll_loop", "thread_pool")


def test_models_of_two_runs_need_their_names(servebench):
    status, out, _ = servebench("before:epoll_loop", "again:epoll_loop", "--json")
    told = json.loads(out)["comparison"]
    assert (status, told["paired"]) == (0, False)
    assert {row["model"] for row in told["rows"]} == {"epoll_loop"}


@pytest.mark.parametrize("model", ["", ":epoll_loop"])
def test_a_run_and_a_copy_of_it_are_compared_and_alike(results, servebench, model):
    shutil.copytree(results / "before", results / "copy", dirs_exist_ok=True)
    status, out, _ = servebench(f"before{model}", f"copy{model}", "--fail-if", "rate<-20%", "--json")
    told = json.loads(out)["comparison"]
    assert (status, told["paired"]) == (0, False)
    assert {row["model"] for row in told["rows"]} == ({"epoll_loop"} if model else set(MODELS))
    assert {row["ratio"]["value"] for row in told["rows"] if row["ratio"]} == {1.0}
    assert {row["call"] for row in told["rows"] if row["ratio"]} <= {"same", "open"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("before", "nowhere"), "'nowhere' is neither a run nor a model of the latest one; runs: "),
        (("before", "nowhere"), "models of the latest run: epoll_loop, asyncio_streams, thread_pool"),
        (("before", "again:epoll_loop"), "only one of them names a model"),
        (("before:epol", "again:epoll_loop"), "before has no model 'epol'; it has: epoll_loop"),
        (("nowhere:epoll_loop", "before:epoll_loop"), "there is no run 'nowhere'"),
        (("before", "latest"), "are the same"),
        (("epoll_loop", "before:epoll_loop"), "are the same"),
        (("before", "again", "--fail-if", "throughput<5%"), "--fail-if 'throughput<5%' is no bound"),
        (("before", "again", "--fail-if", "rps<-5%"), "is about 'rps'; a bound is about one of rate"),
        (("before", "again", "--scenarios", "wait"), "there is no scenario 'wait' in both; there are: hello"),
        (("before", "elsewhere"), "were made in different environments: Imagined CPU at 3 GHz and Another CPU"),
    ],
)
def test_bad_use_is_told_in_a_line(servebench, arguments, told):
    status, out, err = servebench(*arguments)
    assert status == 2
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_different_environments_are_compared_when_told_to_and_said(servebench):
    status, out, _ = servebench("before", "elsewhere", "--anyway")
    assert status == 0
    assert "Made in different environments, and compared anyway:" in out
    assert "Another CPU" in out
    told = json.loads(servebench("before", "elsewhere", "--anyway", "--json")[1])
    assert len(told["environments"]) == 1


@pytest.mark.parametrize(
    ("other", "bound", "status", "said"),
    [
        ("slower", "rate<-5%", 1, "broken in 6 cells"),
        ("slower", "rate<-60%", 0, "kept in 6 of 6"),
        ("slower", "memory>+10%", 0, "kept in 6 of 6"),
        ("slower", "p50>+5%", 1, "broken in"),
        ("again", "rate<-0.1%", 3, "undecided in"),
        ("again", "cpu>+0.1%", 3, "undecided in"),
        ("again", "p99>+0.1%", 3, "undecided in"),
        ("invalid", "rate<-40%", 3, "undecided in 1 cell"),
    ],
)
def test_the_status_says_broken_kept_or_undecided_alike_for_every_metric(servebench, other, bound, status, said):
    found, out, _ = servebench("before", other, "--fail-if", bound)
    assert said in out
    assert found == status


def test_gates_are_judged_together_and_for_machines(servebench):
    status, out, _ = servebench("before", "slower", "--fail-if", "memory>+10%", "--fail-if", "rate<-5%", "--json")
    told = json.loads(out)
    assert (status, told["verdict"], told["passed"]) == (1, "broken", False)
    assert {one["gate"]["text"] for one in told["gates"] if one["outcome"] == "broken"} == {"rate<-5%"}


def test_two_models_of_a_run_are_gated_too(servebench):
    assert servebench("epoll_loop", "thread_pool", "--fail-if", "rate<-5%")[0] == 1
    assert servebench("thread_pool", "epoll_loop", "--fail-if", "rate<-5%")[0] == 0


def test_a_run_that_lacks_a_model_does_not_pass_its_gate(results, servebench):
    save(results, "fewer", records(MODELS[:2], seed=100), models=MODELS[:2])
    status, out, _ = servebench("before", "fewer", "--fail-if", "rate<-60%")
    assert status == 3
    assert "Only before has model thread_pool" in out
    assert "fewer lacks model thread_pool" in out


def test_a_damaged_record_is_no_traceback(results, servebench):
    save(results, "damaged", records(seed=100))
    path = next((results / "damaged" / "records").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    status, _, err = servebench("before", "damaged")
    assert status == 2
    assert str(path) in err


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_keep_to_the_terminal(width):
    scenarios = {"scenarios": ("hello", "wait")}
    first = [*records(), *records(scenario="wait")]
    later = [*records(seed=100, pace=0.8), *busy(records(scenario="wait", seed=100), "epoll_loop", "closed 64")]
    comparison = compare(side("before", first, **scenarios), side("after", later, **scenarios))
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        ratios.show(comparison, console)
    text = captured.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "invalid" in text
    for model in MODELS:
        assert model in text


def test_what_is_known_of_folded_rows_is_said_of_these_alone():
    """A wide interval that is shown, because something was called there, is none of theirs."""
    comparison = compare(side("before", records()), side("after", records(seed=100)))
    quiet = replace(next(row for row in comparison.rows if row.call), call="open", ratio=Estimate(1.0, 0.98, 1.02, []))
    shown = replace(quiet, ratio=Estimate(0.4, 0.2, 0.8, []), call="slower")
    same = replace(quiet, call="same")
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        ratios.show(replace(comparison, rows=[shown, same, *[quiet] * ratios.FOLD_FROM]), console)
    assert f"1 more are the same, {ratios.FOLD_FROM} open, known to ±2.0% or better" in captured.get()


def test_a_ratio_next_to_one_shows_its_side():
    row = next(r for r in compare(side("before", records()), side("after", records(seed=100))).rows if r.metric == "memory")
    assert ratios.ratio(row).count("(") == 1
