"""What `servebench advise` reads from a run: counts and histograms of its records, doubts and pairs of its summary."""

from dataclasses import replace
from pathlib import Path

import factories
import pytest

from benchmarks import histogram, record
from benchmarks.advise import design, workload
from benchmarks.advise.measured import Field, Measured, gathered
from benchmarks.advise.verdict import judge
from benchmarks.advise.workload import Workload, checked
from benchmarks.cli import main
from benchmarks.journal import Journal
from benchmarks.objective import parse

LABEL = "open 20000/s"
ASKED = Workload(0.0, 0.0, 64, 20_000.0, parse("p99<=20ms"))
API = checked(Workload(0.05, 0.001, 2000, 500.0, parse("p99<=200ms")))
AS_ASKED = ["--wait", "50ms", "--cpu", "1ms", "--connections", "2000", "--rate", "500", "--slo", "p99<=200ms"]


def field(scenario: str = "hello", label: str = LABEL) -> Field:
    return gathered(factories.run(), factories.records(), factories.summary(), scenario, label)


def of(found: Field, model: str) -> Measured:
    return next(one for one in found.models if one.model == model)


def test_counts_and_times_are_of_all_replicates_together():
    found = of(field(), "epoll_loop")
    assert len(found.responses) == factories.REPLICATES
    assert sum(map(histogram.total, found.responses)) == pytest.approx(found.intended, rel=0.01)
    assert found.completed == pytest.approx(20_000 * factories.REPLICATES * factories.LEVEL_S, rel=0.02)
    assert (found.connections, found.limit, found.failure, found.invalid) == (64, 10_000, "", "")


def test_cpu_is_that_of_a_request():
    assert of(field(), "epoll_loop").cpu_ns == pytest.approx(factories.cpu_us("epoll_loop", "hello") * 1e3, rel=0.05)


def test_failed_trials_and_invalid_cells_are_told():
    model, scenario = factories.FAILS
    assert of(field(scenario, "closed 1"), model).failure.startswith("4 of 4 trials failed (launch: no ready line")
    model, scenario, label = factories.INVALID
    assert of(field(scenario, label), model).invalid


def test_a_level_that_was_not_measured_has_no_windows():
    assert {one.windows for one in field(label="open 7/s").models} == {0}
    assert judge(ASKED, field(label="open 7/s")).qualify == ()


def test_who_was_measured_is_judged():
    advice = judge(ASKED, field())
    assert "epoll_loop" in [one.model for one in advice.qualify]
    costs = [one.measured.cpu_ns for one in advice.qualify]
    assert costs == sorted(costs)
    assert len(advice.qualify) + len(advice.fail) + len(advice.unknown) == len(factories.MODELS)


# ---------------------------------------------------------------- from a run that there is


def run_of(folder: Path, asked: Workload | None) -> None:
    """A run on disk that measured this workload, though nobody passed; or the imagined one."""
    facts = factories.run()
    if asked is not None:
        options = replace(facts.options, scenarios=(design.SCENARIO,))
        facts = replace(facts, options=options, scenarios={design.SCENARIO: design.scenario(asked, 120.0)})
        trials = [factories.failed_trial(model) for model in factories.MODELS]
        made = factories.record(design.SCENARIO, 0, trials)
        record.write(record.record_path(folder, made), made)
    record.write(folder / "environment.json", {"cpu_model": "Imagined CPU"})
    record.write(folder / "journal.json", Journal())
    record.write(folder / "run.json", facts)


def test_a_run_that_measured_this_workload_answers(tmp_path, capsys):
    run_of(tmp_path / "mine", API)
    assert main(["advise", *AS_ASKED, "--from", "mine", "--results", str(tmp_path)]) == 0
    assert "0 of 8 qualify. Of 8 the run does not tell." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        (None, "did not measure this workload. Measure it: "),
        (replace(API, rate_per_s=300.0), "it measured: 300 requests/s that wait 50.0 ms"),
        (replace(API, exponential=True), "(exponential, in the mean)"),
    ],
)
def test_a_run_that_measured_another_says_what_would_measure_it(measured, told, tmp_path, capsys):
    run_of(tmp_path / "other", measured)
    assert main(["advise", *AS_ASKED, "--from", "other", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert workload.command(API) in said
