"""`servebench advise`: what a workload asks, who keeps which rule by the evidence of a run, and what nobody can tell."""

import json
import math
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import factories
import pytest
from rich.console import Console

from benchmarks import advice_sheets, catalogue, record
from benchmarks.advice import Advice, advise
from benchmarks.analyse import summarise
from benchmarks.candidates import Candidate
from benchmarks.cli import main
from benchmarks.evidence import Evidence, Shape, shape
from benchmarks.nouns import RunFacts, VisitRecord, Window
from benchmarks.objective import parse
from benchmarks.questions import Beside, Level, Request, Scenario
from benchmarks.response import Asked, bounds
from benchmarks.summaries import CellSummary, Finding, RunSummary
from benchmarks.workload import Workload, demand, seconds, share

KNOWN = {
    "hello": Shape(0.0, 0.0, 0.0),
    "wait": Shape(0.01, 0.0, 0.0),
    "wait-100ms": Shape(0.1, 0.0, 0.0),
    "cpu": Shape(0.0, 1.0, 0.002),
    "mixed": Shape(0.0, 0.05, 0.02),
}


@cache
def imagined() -> tuple[RunFacts, tuple[VisitRecord, ...], RunSummary]:
    """The imagined run, two visits of each model and no bad weather: quicker to analyse than all of it."""
    run = factories.run(visits=dict.fromkeys(factories.VISITS, 2))
    records = tuple(visit for visit in factories.records() if visit.plan.block < 2)
    return run, records, summarise(run, records, {})


def advised(workload: Workload | None, changed: RunSummary | None = None) -> Advice:
    """The advice of the imagined run, or of what was made of its summary."""
    run, records, summary = imagined()
    return advise(run, records, changed or summary, workload, KNOWN)


def asked(wait_ms: float = 0.0, cpu_ms: float = 0.0, slo: str = "", **others: object) -> Workload:
    return Workload(wait_ms / 1e3, cpu_ms / 1e3, objective=parse(slo) if slo else None, **others)  # type: ignore[arg-type]


def of(advice: Advice, model: str, answer: int = 0) -> Candidate:
    return next(candidate for candidate in advice.answers[answer].candidates if candidate.model == model)


def rule(candidate: Candidate, name: str):
    return next(held for held in candidate.rules if held.rule == name)


def changed(change, where=lambda _cell: True) -> RunSummary:
    """The imagined run's summary with some of its cells changed."""
    made = imagined()[2]
    return replace(made, cells=[change(cell) if where(cell) else cell for cell in made.cells])


def struck(cell: CellSummary, check: str = "engine saturated", seen: str = "the engine was busy 91%") -> CellSummary:
    return replace(cell, findings=[*cell.findings, Finding(check, "strike", seen, "why", "remedy")])


# ---------------------------------------------------------------- what a workload asks


def test_under_way_is_rate_times_time():
    found = demand(asked(50, 1, rate_per_s=500.0, connections=2000))
    assert found.at_once == pytest.approx(25.5)
    assert (found.connections, found.bound) == (2000, False)


def test_without_a_rate_the_connections_bound_it_and_it_is_said():
    found = demand(asked(50, 0, connections=100))
    assert found.rate_per_s == pytest.approx(2000)
    assert (found.at_once, found.bound) == (100, True)
    assert "no rate is given" in found.said


def test_of_a_mix_only_those_that_compute_take_their_time():
    assert demand(asked(0, 20, rate_per_s=100.0, mixed=0.05)).at_once == pytest.approx(0.1)


def test_connections_that_are_not_given_are_those_under_way():
    assert demand(asked(50, 0, rate_per_s=100.0)).connections == 5


@pytest.mark.parametrize(
    ("workload", "told"),
    [
        (asked(10), "how much is asked"),
        (asked(connections=5), "have no bound on their rate"),
        (asked(1000, connections=10, rate_per_s=1000.0), "more than 10 connections can carry"),
        (asked(rate_per_s=math.nan), "--rate nan is not from"),
        (asked(rate_per_s=-1.0), "--rate -1 is not from"),
        (asked(10, connections=0), "--connections 0 is not from"),
        (asked(rate_per_s=5.0, mixed=0.1), "say with --cpu how long"),
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(workload, told):
    with pytest.raises(ValueError, match=told):
        demand(workload)


@pytest.mark.parametrize(("text", "value"), [("50ms", 0.05), ("2s", 2.0), ("100us", 1e-4), (" 1.5 ms ", 1.5e-3), ("7µs", 7e-6)])
def test_durations(text, value):
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["50", "-5ms", "0ms", "ms", "1h", "61s", "1e3ms", "nan s", ""])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"leave the option out|write a number|is not from"):
        seconds(text)


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.05", 0.05), ("12.5 %", 0.125)])
def test_shares(text, value):
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["0%", "100%", "1", "five", "-5%", "101%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match=r"share|between"):
        share(text)


# ---------------------------------------------------------------- which scenarios are evidence


@pytest.mark.parametrize(
    ("scenario", "found"),
    [
        (Scenario(Request("/hello"), (1,)), Shape(0, 0, 0)),
        (Scenario(Request("/wait/10"), (1,)), Shape(0.01, 0, 0)),
        (Scenario(Request("/cpu/2"), (1,)), Shape(0, 1, 0.002)),
        (Scenario(Request("/hello"), (1,), mix=(Request("/hello", weight=0.95), Request("/cpu/20", weight=0.05))), "mixed"),
        (Scenario(Request("/wait/10"), (1,), mix=(Request("/wait/1"), Request("/wait/50"))), None),  # waits differ
        (Scenario(Request("/block/20"), (1,)), None),
        (Scenario(Request("/cpu/2"), (1,), settings=("--switch-interval", "0.0005")), None),
        (Scenario(Request("/echo", "POST"), (1,)), None),
    ],
)
def test_a_scenario_has_the_shape_of_its_requests(scenario, found):
    assert shape(scenario) == (KNOWN["mixed"] if found == "mixed" else found)


@pytest.mark.parametrize("name", KNOWN)
def test_the_scenarios_there_are_have_the_shapes_that_these_tests_know(name):
    assert shape(catalogue.scenario(name)) == KNOWN[name]


# ---------------------------------------------------------------- rules


def test_slots_bound_what_is_under_way():
    found = of(advised(asked(10, 0, rate_per_s=10_000.0)), "prefork")
    assert found.stands == "fails"
    assert rule(found, "slots").said == "serves 16 at once and 100 would be under way"


def test_slots_bound_what_is_open():
    found = of(advised(asked(10, 0, rate_per_s=100.0, connections=200)), "thread_pool")
    assert "holds 32 connections and 200 would be open" in rule(found, "slots").said


def test_more_connections_than_anybody_had_are_beyond_the_evidence():
    advice = advised(asked(10, 0, rate_per_s=100.0, connections=9000))
    found = of(advice, "epoll_loop")
    assert (found.stands, rule(found, "slots").outcome) == ("unknown", "unknown")
    assert "--connections 16,9000" in advice.would_tell


def test_a_model_with_room_fits_and_its_share_of_the_core_is_told():
    found = of(advised(asked(0, 1, rate_per_s=380.0)), "asyncio_protocol")
    assert found.stands == "fits"
    assert found.busy == pytest.approx(0.38 + 380 * 11e-6, rel=0.02)
    assert rule(found, "CPU").cells[0].startswith("hello, ")


def test_beyond_four_fifths_of_a_core_is_tight():
    assert rule(of(advised(asked(0, 1, rate_per_s=850.0)), "epoll_loop"), "CPU").outcome == "tight"


def test_one_interpreter_cannot_use_more_cores_and_processes_might():
    advice = advised(asked(0, 20, rate_per_s=100.0))
    assert of(advice, "epoll_loop").stands == "fails"
    assert "one interpreter with a GIL cannot" in rule(of(advice, "epoll_loop"), "CPU").said
    assert of(advice, "prefork").stands == "unknown"
    assert "about 3 cores" in rule(of(advice, "prefork"), "CPU").said
    assert "nothing here was measured on more than 1" in rule(of(advice, "prefork"), "CPU").said
    assert advice.answers[0].verdict.startswith("The evidence does not reach (prefork")


def test_requests_that_wait_cost_what_waiting_ones_were_seen_to_cost():
    quick, waiting = (of(advised(asked(wait, 0, rate_per_s=500.0)), "epoll_loop") for wait in (0, 10))
    assert rule(waiting, "CPU").cells[0].startswith("wait, ")
    assert waiting.request_us - quick.request_us == pytest.approx(1.5, abs=0.5)


def test_cpu_is_read_where_rate_and_connections_are_nearest():
    def base(*asked) -> str:
        return Evidence(*imagined()).base(0.0, *asked)[1]

    assert base(20_000.0, 60) == "open 20000/s"
    assert base(90_000.0, 250) == "closed 64"  # of closed 256 a model is struck
    assert base(90_000.0, 20) == "closed 16"
    assert base(30_000.0, None) == "open 20000/s"  # a single connection serves about as many, in turn


def test_who_is_cheaper_when_busier_is_not_refused_for_what_it_took_when_it_was_not():
    def dear(cell: CellSummary) -> CellSummary:
        return replace(cell, cpu_user_us=replace(cell.cpu_user_us, value=60.0))

    seldom = changed(dear, lambda cell: cell.level.label == "open 20000/s")
    found = of(advised(asked(rate_per_s=19_000.0, connections=60), seldom), "epoll_loop")
    assert (found.stands, rule(found, "CPU").outcome, found.busy) == ("fits", "tight", 1.0)
    assert "less the busier it is, down to 9." in rule(found, "CPU").said


def test_a_struck_cell_is_no_evidence():
    everywhere = changed(struck, lambda cell: (cell.model, cell.scenario) == ("epoll_loop", "hello"))
    found = of(advised(asked(0, 1, rate_per_s=100.0), everywhere), "epoll_loop")
    assert found.stands == "unknown"
    assert "is struck (engine saturated" in rule(found, "CPU").said


def test_who_breaks_rules_fails():
    broken = changed(lambda cell: struck(cell, "rules broken", "it breaks 2 rules"), lambda cell: cell.model == "epoll_loop")
    found = of(advised(asked(0, 1, rate_per_s=100.0), broken), "epoll_loop")
    assert (found.stands, rule(found, "conduct").said) == ("fails", "it breaks 2 rules")


def test_who_starves_somebody_fails():
    def starving(cell: CellSummary) -> CellSummary:
        return replace(cell, findings=[Finding("starving", "mark", "two got nothing", "why", "remedy")])

    where = changed(starving, lambda cell: (cell.model, cell.scenario) == ("epoll_loop", "hello"))
    found = of(advised(asked(0, 1, rate_per_s=100.0, connections=100), where), "epoll_loop")
    assert (found.stands, rule(found, "conduct").said) == ("fails", "some of its connections starve")


def test_who_failed_where_the_workload_was_measured_fails():
    found = of(advised(asked(0, 2, "p90<=50ms", rate_per_s=100.0)), "gevent_greenlets")
    assert "it failed in cpu (launch: no ready line" in rule(found, "conduct").said


# ---------------------------------------------------------------- the tail


def test_an_objective_that_is_kept():
    found = of(advised(asked(10, 0, "p90<=100ms", rate_per_s=1500.0, connections=300)), "epoll_loop")
    low, high = found.response
    assert 10e6 < low <= high <= 100e6
    assert rule(found, "tail").outcome == "kept"
    assert rule(found, "tail").cells[0].startswith("wait, open")


def test_an_objective_that_nobody_can_keep():
    advice = advised(asked(10, 0, "p90<=5ms", rate_per_s=500.0))
    assert "a request takes 10.0 ms when nobody is in its way" in rule(of(advice, "epoll_loop"), "tail").said
    assert advice.answers[0].verdict.startswith("No model here can do it.")


def test_a_wait_that_nobody_measured_is_beyond_the_evidence():
    advice = advised(asked(2000, 0, "p90<=5s", rate_per_s=20.0))
    assert of(advice, "epoll_loop").stands == "unknown"
    assert "waits about 2000 ms" in rule(of(advice, "epoll_loop"), "tail").said
    assert "write one that asks for /wait/2000" in advice.would_tell


def test_without_an_objective_no_tail_is_needed():
    assert of(advised(asked(2000, 0, rate_per_s=20.0)), "epoll_loop").stands == "fits"


def test_waiting_and_computing_are_put_together_from_two_cells():
    found = rule(of(advised(asked(10, 2, "p90<=500ms", rate_per_s=100.0, connections=50)), "epoll_loop"), "tail")
    assert {cell.partition(",")[0] for cell in found.cells} == {"cpu", "wait"}


def test_a_percentile_that_is_only_known_from_below_bounds_nothing_from_above():
    def at_least(cell: CellSummary) -> CellSummary:
        return replace(cell, response=[replace(q, status="at least", high_ns=None) for q in cell.response])

    found = of(advised(asked(0, 2, "p90<=1s", rate_per_s=100.0), changed(at_least)), "epoll_loop")
    assert found.stands == "unknown"
    assert found.response[1] is None
    assert "is at least" in rule(found, "tail").said


def test_beyond_what_was_carried_the_evidence_does_not_reach():
    low = changed(
        lambda cell: struck(cell),
        lambda cell: cell.scenario == "cpu" and cell.level.loop == "open" and cell.level.label != "open 25%",
    )
    found = rule(of(advised(asked(0, 2, "p90<=1s", rate_per_s=350.0), low), "epoll_loop"), "tail")
    assert found.outcome == "unknown"
    assert "was the highest" in found.said


@pytest.mark.parametrize("model", ["epoll_loop", "thread_per_connection", "prefork", "select_loop"])
@pytest.mark.parametrize(
    "workload",
    [asked(wait, cpu, "p90<=1s", rate_per_s=rate) for wait in (0, 5, 20) for cpu in (0, 1, 4) for rate in (10.0, 100.0, 200.0)],
)
def test_the_lower_bound_is_below_the_upper_one(model, workload):
    evidence = Evidence(*imagined())
    found = bounds(evidence, model, Asked(workload, demand(workload), 12.0, 0.9))
    assert 0 < found.low_ns <= found.high_ns


def test_more_load_is_never_answered_sooner():
    evidence = Evidence(*imagined())
    high = []
    for rate in (50.0, 150.0, 250.0, 350.0, 420.0):
        workload = asked(0, 2, rate_per_s=rate)
        high.append(bounds(evidence, "epoll_loop", Asked(workload, demand(workload), 12.0, 0.5)).high_ns)
    assert high == sorted(high)


# ---------------------------------------------------------------- memory, and silent connections


def window_beside(model: str, level: Level, idle: int) -> Window:
    """A window of hello with so many silent connections: 2 KiB each, and of select a microsecond for ten."""
    made = factories.window(model, "hello", level)
    more_ns = made.load.completed * idle * (100 if model == "select_loop" else 0)
    server = replace(
        made.server,
        uss_bytes=16_000_000 + 2048 * idle,
        cpu_user_ns=made.server.cpu_user_ns + more_ns,
    )
    load = replace(made.load, companions={"open": idle} if idle else {}, server_cpu_ns=made.load.server_cpu_ns + more_ns)
    return replace(made, server=server, load=load)


@cache
def idle_run() -> tuple[RunFacts, tuple[VisitRecord, ...], RunSummary]:
    """hello beside 0 and 900 silent connections, by three models, twice."""
    plain = Level("open", 16, rate_per_s=1000.0)
    levels = [(Level("closed", 16), 0), (plain, 0), (replace(plain, beside=Beside("idle", 900)), 900)]
    models = ("epoll_loop", "select_loop", "prefork")
    run = factories.run(models=models, scenarios=("idle",), visits={"idle": 2})
    scenario = Scenario(Request("/hello"), (16,), open_rates_per_s=(1000.0,), beside=(Beside("idle", 900),))
    run = replace(run, scenarios={"idle": scenario})
    made = []
    for block in range(2):
        for model in models:
            windows = [window_beside(model, level, 0 if model == "prefork" else idle) for level, idle in levels]
            visit = factories.record(model, "hello", block, windows=windows)
            made.append(replace(visit, plan=replace(visit.plan, scenario="idle")))
    return run, tuple(made), summarise(run, made, {})


def test_memory_grows_by_what_a_silent_connection_was_seen_to_take():
    run, records, summary = idle_run()
    advice = advise(run, records, summary, asked(0, 1, rate_per_s=100.0, connections=500), KNOWN)
    assert of(advice, "epoll_loop").memory_bytes == pytest.approx(16_000_000 + 2048 * 484, rel=0.01)
    assert "idle, open 1000/s, 900 idle" in rule(of(advice, "epoll_loop"), "memory").cells


def test_silent_connections_cost_cpu_where_the_kernel_is_told_of_all_of_them():
    run, records, summary = idle_run()
    advice = advise(run, records, summary, asked(0, 1, rate_per_s=100.0, connections=916), KNOWN)
    select, epoll = (of(advice, model) for model in ("select_loop", "epoll_loop"))
    assert select.request_us - epoll.request_us == pytest.approx(90, rel=0.1)
    assert "idle, open 1000/s, 900 idle" in rule(select, "CPU").cells


def test_without_silent_ones_memory_grows_as_over_the_closed_levels():
    found = of(advised(asked(0, 1, rate_per_s=100.0, connections=500)), "thread_per_connection")
    assert found.memory_bytes == pytest.approx(16_060_000 + 500 * 60_000, rel=0.01)


# ---------------------------------------------------------------- order, ties, doubts


def test_who_fits_is_in_the_order_of_cpu_and_ties_in_that_of_memory():
    for workload in (asked(rate_per_s=5000.0), asked(0, 20, rate_per_s=20.0)):
        fits = [c for c in advised(workload).answers[0].candidates if c.stands == "fits"]
        assert [c.rank for c in fits] == sorted(c.rank for c in fits)
        for rank in {c.rank for c in fits}:
            memory = [c.memory_bytes for c in fits if c.rank == rank]
            assert memory == sorted(memory)


def test_work_that_is_the_same_for_all_hides_what_models_cost():
    fits = [c for c in advised(asked(0, 20, rate_per_s=20.0)).answers[0].candidates if c.stands == "fits"]
    assert {c.rank for c in fits} == {1}
    assert len(fits) == len(factories.MODELS)


def test_a_shared_core_ranks_nobody_and_tells_no_tail():
    summary = replace(imagined()[2], comparable=False)
    advice = advised(asked(0, 1, rate_per_s=100.0), summary)
    assert {candidate.rank for candidate in advice.answers[0].candidates} == {None}
    assert "shared a core, so nobody is ranked" in advice.answers[0].verdict
    found = of(advised(asked(10, 0, "p90<=100ms", rate_per_s=1500.0), summary), "epoll_loop")
    assert "shared a core" in rule(found, "tail").said
    assert found.stands == "unknown"


def test_a_single_visit_ranks_nobody_and_says_so():
    run = factories.run(scenarios=("hello",), visits={"hello": 1})
    records = [visit for visit in factories.records() if (visit.plan.scenario, visit.plan.block) == ("hello", 0)]
    summary = summarise(run, records, {})
    advice = advise(run, records, summary, asked(rate_per_s=1000.0), KNOWN)
    assert {candidate.rank for candidate in advice.answers[0].candidates} == {None}
    assert "nobody is ranked" in advice.answers[0].verdict
    assert any("one visit" in doubt for doubt in advice.doubts)
    assert "nobody is ranked" in advise(run, records, summary, None, KNOWN).answers[0].verdict


def test_a_run_without_requests_that_only_cost_cannot_tell_cpu():
    run = factories.run(scenarios=("cpu",), visits={"cpu": 1})
    records = [visit for visit in factories.records() if (visit.plan.scenario, visit.plan.block) == ("cpu", 0)]
    advice = advise(run, records, summarise(run, records, {}), asked(0, 1, rate_per_s=100.0), KNOWN)
    assert {c.stands for c in advice.answers[0].candidates} <= {"unknown", "fails"}
    assert "--scenarios hello,cpu" in advice.would_tell


# ---------------------------------------------------------------- no workload


def test_without_a_workload_each_scenario_has_its_answer():
    advice = advised(None)
    assert [answer.question.partition(":")[0] for answer in advice.answers] == ["hello", "wait", "cpu"]
    hello = advice.answers[0]
    assert hello.verdict.startswith("epoll_loop is cheapest: 9.")
    assert "(hello, closed" in hello.verdict
    failed = of(advice, "gevent_greenlets", 2)
    assert (failed.stands, failed.mechanism) == ("fails", None)
    assert "no ready line" in failed.against[0].said


def test_why_a_model_is_dearer_is_told_by_what_it_does_more_of():
    for answer in advised(None).answers:
        for candidate in answer.candidates:
            if candidate.mechanism:
                assert candidate.mechanism.cpu_us == pytest.approx(candidate.mechanism.user_us + candidate.mechanism.system_us)
                assert candidate.mechanism.cell.startswith(answer.question.partition(":")[0])


# ---------------------------------------------------------------- as its user meets it


WORKLOADS = [
    None,
    asked(10, 0, "p90<=100ms", rate_per_s=1500.0, connections=300),
    asked(2000, 1, "p99<=1s", connections=3000),
    asked(0, 20, rate_per_s=100.0, mixed=0.05),
    asked(0, 20, rate_per_s=1000.0),
]


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_keeps_to_the_terminal(workload, width):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        advice_sheets.show(advised(workload), console)
    lines = [line for line in captured.get().splitlines() if not line.startswith("What would tell more")]
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "…" not in captured.get()
    for model in factories.MODELS:
        assert model in captured.get()


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A folder with one small run, called reference."""
    folder = tmp_path_factory.mktemp("results")
    run = factories.run(models=("epoll_loop", "prefork"), scenarios=("hello",), visits={"hello": 2})
    record.write(folder / "reference" / "run.json", run)
    for visit in factories.records():
        if visit.plan.model in run.options.models and visit.plan.scenario == "hello" and visit.plan.block < 2:
            record.write(record.visit_path(folder / "reference", visit), visit)
    return folder


@pytest.fixture
def servebench(results, capsys, monkeypatch):
    """Run `servebench advise`; its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, where: Path = results) -> tuple[int, str, str]:
        status = main(["advise", *arguments, "--results", str(where)])
        return status, *capsys.readouterr()

    return run


def test_without_a_run_of_ones_own_the_reference_is_asked(servebench):
    status, out, _ = servebench("--wait", "50ms", "--rate", "2000")
    assert status == 0
    assert "prefork serves 16 at once and 100 would be under way." in " ".join(out.split())


def test_all_of_it_is_there_for_machines(servebench):
    status, out, _ = servebench("--wait", "50ms", "--rate", "2000", "--slo", "p99<=200ms", "--json")
    told = json.loads(out)
    assert status == 0
    assert {candidate["model"] for candidate in told["answers"][0]["candidates"]} == {"epoll_loop", "prefork"}
    assert told["demand"]["at_once"] == pytest.approx(100)
    assert told["would_tell"].startswith("servebench run ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--wait", "50"), "--wait '50' is no duration"),
        (("--wait=-5ms",), "--wait '-5ms' is no duration"),
        (("--cpu", "0ms"), "--cpu '0ms' is nothing"),
        (("--cpu", "3000s"), "is not from 1us to 60s"),
        (("--rate", "fast"), "--rate 'fast' is no number"),
        (("--rate", "0"), "--rate 0 is not from"),
        (("--connections", "2.5"), "--connections '2.5' is no whole number"),
        (("--slo", "p98<=1s"), "--slo 'p98<=1s' is no objective"),
        (("--mixed", "5"), "--mixed '5' is not between"),
        (("--cpu", "1ms"), "how much is asked?"),
        (("nowhere", "--rate", "5"), "there is no run 'nowhere'; there are: reference"),
    ],
)
def test_bad_use_is_told_in_a_line(servebench, arguments, told):
    status, out, err = servebench(*arguments)
    assert (status, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_no_run_at_all_is_told_in_a_line(servebench, tmp_path):
    status, _, err = servebench(where=tmp_path)
    assert status == 2
    assert "there is none yet. Make one with: servebench run" in err
    assert err.count("\n") == 1


def test_a_run_of_another_schema_is_told_in_a_line(servebench, results, tmp_path):
    shutil.copytree(results / "reference", tmp_path / "old")
    told = json.loads((tmp_path / "old" / "run.json").read_text())
    told.pop("crc32")
    (tmp_path / "old" / "run.json").write_text(json.dumps({**told, "schema": 1}))
    status, _, err = servebench("old", where=tmp_path)
    assert status == 2
    assert "has schema 1" in err
    assert err.count("\n") == 1
