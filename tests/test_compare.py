"""`servebench compare` as its user meets it: what A and B may be, what is refused, what it prints, when it fails a build."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from test_comparison import MODELS, busy, side, visits

from benchmarks import ratios, record
from benchmarks.cli import main
from benchmarks.comparison import compare
from benchmarks.nouns import VisitRecord
from benchmarks.summaries import Estimate

MACHINE = {"machine": "x86_64", "cpu_model": "Imagined CPU at 3 GHz", "cpu_count": 2}


def save(results: Path, name: str, records: list[VisitRecord], environment=MACHINE, **options) -> None:
    """A run's files, as `servebench run` leaves them."""
    made = side(name, records, **options)
    record.write(results / name / "environment.json", environment)
    record.write(results / name / "run.json", made.run)
    for visit in records:
        record.write(record.visit_path(results / name, visit), visit)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Five runs: before, the same again, slower, on another machine, and one with a struck cell; the latest is before."""
    folder = tmp_path_factory.mktemp("results")
    save(folder, "before", visits())
    save(folder, "again", visits(seed=100))
    save(folder, "slower", visits(seed=100, pace=0.85))
    save(folder, "elsewhere", visits(seed=100), {**MACHINE, "cpu_model": "Another CPU"})
    save(folder, "struck", busy(visits(seed=100), "epoll_loop", "closed 64"))
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
    assert "slower, beyond doubt" in out
    assert "ratios are slower by before" in out
    assert "Two runs share no block" in out
    assert "All 3 models moved the same way, to 0.8" in out


def test_the_same_again_shows_nothing_beyond_doubt(servebench):
    status, out, _ = servebench("before", "again")
    assert status == 0
    assert ", beyond doubt" not in out
    assert "0 differ beyond doubt" in out
    assert "no difference seen in" in out  # folded,
    folded = out.count("\n")
    _, out, _ = servebench("before", "again", "--all")
    assert out.count("\n") > folded + 20
    assert out.count("no difference seen") > 20


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
    status, out, _ = servebench(f"before{model}", f"copy{model}", "--fail-if", "throughput<-5%", "--json")
    told = json.loads(out)["comparison"]
    assert (status, told["paired"]) == (0, False)
    assert {row["model"] for row in told["rows"]} == ({"epoll_loop"} if model else set(MODELS))
    assert {row["ratio"]["value"] for row in told["rows"] if row["ratio"]} == {1.0}
    assert {row["call"] for row in told["rows"] if row["ratio"]} == {"no difference seen"}


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
        (("before", "again", "--fail-if", "rps<-5%"), "is about 'rps'; a bound is about one of throughput"),
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
        ("slower", "throughput<-5%", 1, "broken in 12 cells"),
        ("slower", "throughput<-30%", 0, "kept in 12 of 12"),
        ("slower", "memory>+10%", 0, "kept in 12 of 12"),
        ("slower", "p50>+5%", 1, "broken in"),
        ("again", "throughput<-5%", 0, "throughput<-5%  not broken"),
        ("struck", "throughput<-20%", 1, "can't be seen, and so fails, in 1 cell"),
    ],
)
def test_gates_fail_a_build_by_what_is_beyond_doubt_or_unseen(servebench, other, bound, status, said):
    found, out, _ = servebench("before", other, "--fail-if", bound)
    assert said in out
    assert found == status


def test_gates_are_judged_together_and_for_machines(servebench):
    status, out, _ = servebench("before", "slower", "--fail-if", "memory>+10%", "--fail-if", "throughput<-5%", "--json")
    told = json.loads(out)
    assert (status, told["passed"]) == (1, False)
    assert {one["gate"]["text"] for one in told["gates"] if one["outcome"] == "broken"} == {"throughput<-5%"}


def test_a_narrow_bound_leaves_it_open(servebench):
    status, out, _ = servebench("before", "again", "--fail-if", "throughput<-0.1%")
    assert status == 0
    assert "not sure in" in out
    assert "more visits would tell" in out


def test_a_run_that_lacks_a_model_does_not_pass_its_gate(results, servebench):
    save(results, "fewer", visits(MODELS[:2], seed=100), models=MODELS[:2])
    status, out, _ = servebench("before", "fewer", "--fail-if", "throughput<-20%")
    assert status == 1
    assert "Only before has model thread_pool" in out
    assert "fewer lacks model thread_pool" in out


def test_a_damaged_record_is_no_traceback(results, servebench):
    save(results, "damaged", visits(seed=100))
    path = next((results / "damaged" / "visits").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    status, _, err = servebench("before", "damaged")
    assert status == 2
    assert str(path) in err


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_keep_to_the_terminal(width):
    scenarios = {"scenarios": ("hello", "wait")}
    records = [*visits(), *visits(scenario="wait")]
    later = [*visits(seed=100, pace=0.9), *busy(visits(scenario="wait", seed=100), "epoll_loop", "closed 64")]
    comparison = compare(side("before", records, **scenarios), side("after", later, **scenarios))
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        ratios.show(comparison, console)
    text = captured.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "struck:" in text
    for model in MODELS:
        assert model in text


def test_what_is_known_of_folded_rows_is_said_of_these_alone():
    """A wide interval that is shown, because something was called there, is none of theirs."""
    comparison = compare(side("before", visits()), side("after", visits(seed=100)))
    quiet = next(row for row in comparison.rows if row.call == "no difference seen")
    quiet = replace(quiet, ratio=Estimate(1.0, 0.98, 1.02, []))
    shown = replace(quiet, ratio=Estimate(0.4, 0.2, 0.8, []), call="slower")
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        ratios.show(replace(comparison, rows=[shown, *[quiet] * ratios.FOLD_FROM]), console)
    assert f"no difference seen in {ratios.FOLD_FROM} more, known to ±2.0% or better" in captured.get()


def test_a_ratio_next_to_one_shows_its_side():
    row = next(r for r in compare(side("before", visits()), side("after", visits(seed=100))).rows if r.metric == "memory")
    assert ratios.ratio(row).count("(") == 1
