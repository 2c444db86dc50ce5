"""From records to a summary: which visits count, what a cell says, who stands where, and the sentence."""

from dataclasses import replace

import factories
import msgspec
import pytest

from benchmarks.analyse import conditions, summarise, timeline
from benchmarks.cells import jain
from benchmarks.nouns import Series, VisitRecord, Weather
from benchmarks.questions import Level
from benchmarks.selection import UNPROBED, UNSTEADY, of_one_weather, prevailing_weather, usable, weather_labels
from benchmarks.summaries import CellSummary, Estimate, RunSummary, ScenarioSummary, Standing
from benchmarks.verdict import listed, verdict


def summarised(records: list[VisitRecord], **options: object) -> RunSummary:
    return summarise(factories.run(**options), records, {})


def cell(summary: RunSummary, model: str, scenario: str, label: str) -> CellSummary:
    return next(c for c in summary.cells if (c.model, c.scenario, c.level.label) == (model, scenario, label))


def standing(summary: RunSummary, model: str, scenario: str) -> Standing:
    made = next(s for s in summary.scenarios if s.scenario == scenario)
    return next(s for s in made.standings if s.model == model)


def retried(block: int, attempt: int, changed: bool) -> VisitRecord:
    make = factories.changed_record if changed else factories.record
    made = make("epoll_loop", "hello", block)
    return replace(made, plan=replace(made.plan, attempt=attempt))


# ---------------------------------------------------------------- which visits count


@pytest.mark.parametrize(
    ("attempts", "chosen"),
    [
        ([True, False], 1),  # weather changed, then not
        ([True, False, True], 1),
        ([True, False, False], 2),  # the last of the steady ones
        ([True, True], 0),  # never steady: the first
        ([False], 0),
    ],
)
def test_of_several_attempts_the_last_steady_one_counts(attempts, chosen):
    records = [retried(0, number, changed) for number, changed in enumerate(attempts)]
    (visit,) = usable(records)
    assert visit.record.plan.attempt == chosen
    assert (visit.weather == UNSTEADY) == all(attempts)


def test_failed_visits_never_count():
    assert usable([factories.failed_record("epoll_loop", "hello")]) == []
    records = [factories.failed_record("epoll_loop", "hello"), retried(0, 1, False)]
    assert [visit.record.plan.attempt for visit in usable(records)] == [1]


def test_weathers_are_cut_where_the_next_probe_is_a_fifth_slower():
    assert weather_labels([60.0, 345.0, 63.0, 71.0, 350.0]) == [0, 1, 0, 0, 1]
    assert weather_labels([60.0, 73.0]) == [0, 1]
    assert weather_labels([None, None]) == [UNPROBED, UNPROBED]
    assert weather_labels([]) == []


def test_a_cell_takes_the_prevailing_weather_else_its_own():
    calm = [factories.record("epoll_loop", "hello", block) for block in range(3)]
    storm = [factories.slow_record("epoll_loop", "hello", block) for block in range(3, 5)]
    visits = usable([*calm, *storm])
    assert [visit.weather for visit in visits] == [0, 0, 0, 1, 1]
    assert prevailing_weather(visits) == 0
    assert of_one_weather(visits, 0) == visits[:3]
    assert of_one_weather(visits[3:], 0) == visits[3:]
    assert prevailing_weather([]) is None


def test_a_run_in_unsteady_weather_is_ranked_by_its_own_noise_and_marked():
    models = ("epoll_loop", "asyncio_streams")
    records = [factories.changed_record(model, "hello", block) for model in models for block in range(4)]
    made = summarised(records, models=models, scenarios=("hello",))
    assert [(s.model, s.rank, s.marks) for s in made.scenarios[0].standings] == [
        ("epoll_loop", 1, ["weather changed"]),
        ("asyncio_streams", 2, ["weather changed"]),
    ]


def test_a_run_on_a_restless_machine_compares_all_visits_and_says_so_once():
    models = ("epoll_loop", "asyncio_streams")
    records = [factories.changed_record(model, "hello", block) for model in models for block in range(8)]
    records += [factories.record(model, "hello", block) for model in models for block in (8, 9)]
    made = summarised(records, models=models, scenarios=("hello",))
    assert [(s.model, s.rank, s.marks) for s in made.scenarios[0].standings] == [
        ("epoll_loop", 1, []),
        ("asyncio_streams", 2, []),
    ]
    assert [finding.check for finding in made.findings] == ["restless machine"]
    assert "16 of 20 visits" in made.findings[0].seen
    assert len(cell(made, "epoll_loop", "hello", "closed 16").rate_per_s.visits) == 10


def test_a_struck_cell_lends_its_noise_to_nobody():
    quiet = [factories.record(model, "hello", block) for model in ("epoll_loop", "select_loop") for block in range(4)]
    alone = cell(summarised(quiet), "epoll_loop", "hello", "closed 16")
    wild = []
    for block in range(4):
        made = factories.record("thread_pool", "hello", block)
        loads = [replace(w.load, completed=w.load.completed // (1 + 9 * (block % 2)), busy_fraction=0.99) for w in made.windows]
        wild.append(replace(made, windows=[replace(w, load=load) for w, load in zip(made.windows, loads, strict=True)]))
    beside = cell(summarised(quiet + wild), "epoll_loop", "hello", "closed 16")
    assert cell(summarised(quiet + wild), "thread_pool", "hello", "closed 16").struck
    assert beside.rate_per_s == alone.rate_per_s


def test_a_steady_visit_is_not_compared_with_an_unsteady_one():
    steady, unsteady = factories.record("epoll_loop", "hello", 0), factories.changed_record("thread_pool", "hello", 0)
    one, other = usable([steady, unsteady])
    assert one.pairing != other.pairing


# ---------------------------------------------------------------- what a cell says


def test_a_cell_in_other_weather_is_marked_and_still_compared_within_its_blocks():
    records = [factories.record("epoll_loop", "hello", block) for block in range(5)]
    records += [factories.slow_record(model, "hello", block) for model in ("epoll_loop", "thread_pool") for block in (5, 6)]
    found = cell(summarised(records), "thread_pool", "hello", "closed 16")
    assert [finding.check for finding in found.findings if finding.severity != "note"] == ["other weather"]
    assert found.rank == 2
    assert found.relative is not None
    assert found.relative.value == pytest.approx(0.76, abs=0.03)  # not 0.85 of that


def test_visits_of_other_weather_do_not_widen_the_intervals_of_the_prevailing_one():
    calm = [factories.record(model, "hello", block) for model in ("epoll_loop", "select_loop") for block in range(4)]
    wild = [factories.slow_record("thread_pool", "hello", block) for block in range(3)]
    slower = [replace(w, load=replace(w.load, completed=w.load.completed // 3)) for w in wild[0].windows]
    wild[0] = replace(wild[0], windows=slower)
    with_wild, alone = (cell(summarised(records), "epoll_loop", "hello", "closed 16") for records in (calm + wild, calm))
    assert with_wild.rate_per_s == alone.rate_per_s


def test_fairness_is_a_matter_of_closed_loops():
    made = factories.summary()
    assert cell(made, "epoll_loop", "hello", "closed 64").fairness == pytest.approx(1, abs=0.01)
    assert cell(made, "prefork", "hello", "closed 64").fairness == pytest.approx(16 / 64, abs=0.01)
    assert cell(made, "epoll_loop", "hello", "open 50%").fairness is None


def test_goodput_is_completions_by_time_and_averaged_geometrically():
    records = [factories.record("epoll_loop", "hello", block) for block in range(2)]
    found = cell(summarised(records), "epoll_loop", "hello", "closed 16").rate_per_s
    by_hand = [next(w.load.completed / w.load.seconds for w in r.windows if w.level.label == "closed 16") for r in records]
    assert found is not None
    assert found.visits == by_hand
    assert found.value == pytest.approx((by_hand[0] * by_hand[1]) ** 0.5)


def test_failed_requests_are_no_goodput():
    record = factories.record("epoll_loop", "hello")
    windows = [replace(w, load=replace(w.load, errors={"reset": w.load.completed})) for w in record.windows]
    before, after = summarised([record]), summarised([replace(record, windows=windows)])
    for label in ("closed 1", "open 50%"):
        healthy, failing = (cell(made, "epoll_loop", "hello", label) for made in (before, after))
        assert failing.rate_per_s == healthy.rate_per_s
        assert failing.error_share == pytest.approx(0.5)


def test_a_model_that_failed_has_cells_without_numbers_and_a_standing_that_says_why():
    made = factories.summary()
    found = cell(made, "gevent_greenlets", "cpu", "closed 16")
    assert (found.rate_per_s, found.rank, found.response_curve, found.rss_bytes) == (None, None, [], None)
    assert {quantile.status for quantile in found.response} == {"insufficient"}
    assert standing(made, "gevent_greenlets", "cpu").failed == "launch: no ready line within 10 s"
    assert standing(made, "gevent_greenlets", "hello").failed == ""


def test_costs_are_per_request():
    record = factories.record("epoll_loop", "hello")
    found = cell(summarised([record]), "epoll_loop", "hello", "closed 64")
    window = next(w for w in record.windows if w.level.label == "closed 64")
    assert found.cpu_user_us is not None
    assert found.cpu_user_us.value == pytest.approx(window.server.cpu_user_ns / 1e3 / window.load.completed)
    switches = window.server.voluntary_switches + window.server.involuntary_switches
    assert found.switches_per_request == pytest.approx(switches / window.server.counted_requests)
    assert found.server_busy is not None
    assert 0.5 < found.server_busy <= 1


@pytest.mark.parametrize(("completions", "index"), [([5, 5, 5, 5], 1.0), ([20, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)])
def test_jains_index(completions, index):
    assert jain(completions) == pytest.approx(index)


# ---------------------------------------------------------------- who stands where


def test_closed_loop_latency_ranks_nobody():
    for found in factories.summary().cells:
        if found.level.loop == "closed":
            assert found.ranked_by in ("goodput", "")
        elif found.level.share is not None:
            assert (found.rank, found.ranked_by, found.relative) == (None, "", None)
        else:
            assert found.ranked_by in ("p99", "p50", "")


def test_latency_is_ranked_by_p99_where_all_visits_know_theirs_else_by_the_median():
    made = factories.summary()
    assert cell(made, "epoll_loop", "hello", "open 20000/s").ranked_by == "p99"
    assert cell(made, "epoll_loop", "cpu", "open 200/s").ranked_by == "p50"


def test_an_overloaded_cell_has_no_rank():
    found = cell(factories.summary(), "prefork", "wait", "open 2000/s")
    assert "overloaded" in [finding.check for finding in found.findings]
    assert found.rank is None
    assert found.response[2].status == "at least"


def test_a_struck_cell_is_shown_and_not_ranked():
    found = cell(factories.summary(), *factories.STRUCK)
    assert found.struck
    assert found.rate_per_s is not None
    assert found.rank is None


def test_a_struck_peak_strikes_the_standing():
    records = [factories.record(model, "hello", block) for model in ("epoll_loop", "thread_pool") for block in range(2)]
    busy = [
        replace(r, windows=[replace(w, load=replace(w.load, busy_fraction=0.95)) for w in r.windows])
        if r.plan.model == "epoll_loop"
        else r
        for r in records
    ]
    made = summarised(busy, models=("epoll_loop", "thread_pool"), scenarios=("hello",))
    struck = standing(made, "epoll_loop", "hello")
    assert struck.struck.startswith("engine saturated: ")
    assert (struck.rank, struck.relative) == (None, None)
    assert struck.peak_per_s is not None
    assert [s.model for s in made.scenarios[0].standings] == ["thread_pool", "epoll_loop"]  # though it served more
    assert "epoll_loop is struck: engine saturated." in made.scenarios[0].verdict


def test_a_struck_model_stands_behind_the_others_when_nobody_is_ranked_too():
    best, other = factories.record("epoll_loop", "hello"), factories.record("asyncio_streams", "hello")
    busy = [replace(w, load=replace(w.load, busy_fraction=0.95)) for w in best.windows]
    made = summarised([replace(best, windows=busy), other], models=("epoll_loop", "asyncio_streams"), scenarios=("hello",))
    assert [(s.model, s.rank) for s in made.scenarios[0].standings] == [("asyncio_streams", None), ("epoll_loop", None)]


def test_standings_are_best_first_and_failures_last():
    for scenario in factories.summary().scenarios:
        ranks = [s.rank or 99 for s in scenario.standings]
        assert ranks == sorted(ranks)
        assert all(s.failed == "" for s in scenario.standings[:-1])


def test_ties_share_a_rank():
    ranks = {s.model: s.rank for s in factories.summary().scenarios[2].standings}
    assert set(ranks.values()) == {1, None}  # the CPU is the limit, whoever waits for it


def test_marks_say_from_which_level_on():
    made = factories.summary()
    assert "more connections than slots from 64" in standing(made, "prefork", "hello").marks
    assert "engine saturated from 256, struck" in standing(made, "select_loop", "hello").marks
    assert "1 of 3 visits failed" in standing(made, "thread_pool", "wait").marks
    assert standing(made, "epoll_loop", "hello").marks == []


def test_one_visit_each_gives_values_without_intervals_or_ranks():
    made = summarised([factories.record(model, "hello") for model in factories.MODELS], visits={"hello": 1})
    found = cell(made, "epoll_loop", "hello", "closed 16")
    assert found.rate_per_s is not None
    assert (found.rate_per_s.low, found.rank) == (None, None)
    scenario = made.scenarios[0]
    assert scenario.spread is None
    assert scenario.standings[0].model == "epoll_loop"
    assert "too few visits are comparable to rank anybody" in scenario.verdict
    assert [finding.check for finding in made.findings] == ["one visit"]


# ---------------------------------------------------------------- the run as a whole


def test_the_summary_counts_every_visit_and_goes_through_json():
    made = factories.summary()
    assert made.visits_made == len(factories.records()) == 89
    assert (made.visits_failed, made.visits_requeued) == (4, 1)
    assert msgspec.json.decode(msgspec.json.encode(made), type=RunSummary) == made


def test_no_records_make_a_summary_of_nothing():
    made = summarised([])
    assert made.cells == []
    assert {s.failed for scenario in made.scenarios for s in scenario.standings} == {"nothing was served at any level"}
    assert {scenario.verdict.split(".")[0] for scenario in made.scenarios} == {"No model has a number that can be believed"}


def test_records_in_any_order_make_the_same_summary():
    backwards = summarise(factories.run(), factories.records()[::-1], {"cpu_model": "Imagined CPU at 3 GHz"})
    assert backwards.scenarios == factories.summary().scenarios


def test_a_shared_core_makes_nothing_comparable():
    made = summarised([factories.record("epoll_loop", "hello")], driver_cpus=(0,))
    assert not made.comparable
    assert "compare none of this" in made.scenarios[0].verdict


def test_a_time_line_goes_through_all_levels_at_their_pace():
    record = factories.record("epoll_loop", "hello")
    points = timeline(record.windows)
    assert [p.at_s for p in points] == sorted(p.at_s for p in points)
    assert points[0].at_s == 0
    assert list(dict.fromkeys(p.level for p in points)) == [level.label for level in factories.levels("hello")]
    last = [p for p in points if p.level == "open 50%"]
    assert len(last) == 5  # 0.45 s: the last step is half as long
    assert last[-1].rate_per_s == pytest.approx(last[0].rate_per_s, rel=0.01)


def test_a_time_line_has_the_same_points_whatever_the_steps_of_the_series():
    window = factories.record("epoll_loop", "hello").windows[-1]
    coarse = Series(100_000_000, [100, 200, 90], [0, 0, 0], [5_000_000, 9_000_000, 1_000_000])
    fine = Series(
        10_000_000, [10] * 10 + [20] * 10 + [18] * 5, [0] * 25,
        [5_000_000] + [1] * 9 + [1] * 9 + [9_000_000] + [1_000_000] * 5,
    )  # fmt: skip
    made = [timeline([replace(window, load=replace(window.load, series=s, seconds=0.25))]) for s in (coarse, fine)]
    assert made[0] == made[1]
    assert [(p.at_s, round(p.rate_per_s), p.worst_ms) for p in made[1]] == [
        (0.0, 1000, 5.0),
        (0.1, 2000, 9.0),
        (0.2, 1800, 1.0),
    ]
    seconds_each = Series(1_000_000_000, [100, 200], [0, 0], [1, 2])  # as wide as they are, if they are wider
    assert len(timeline([replace(window, load=replace(window.load, series=seconds_each, seconds=2.0))])) == 2


def test_the_weather_is_kept_with_its_time():
    assert factories.summary().weather[0] == (0.0, factories.CALM)
    assert factories.summary().weather[1] == (4.5, factories.CALM)


def test_a_single_core_has_no_cache_line_to_bounce_and_one_weather():
    alone = Weather(None, 40.0)
    records = [factories.record("epoll_loop", "hello", block, before=alone, after=alone) for block in range(2)]
    assert {visit.weather for visit in usable(records)} == {UNPROBED}
    assert cell(summarised(records), "epoll_loop", "hello", "closed 1").rate_per_s is not None


def test_the_small_print_names_what_the_numbers_depend_on():
    said = conditions(factories.run(), {"cpu_model": "Imagined CPU"})
    for part in ("Imagined CPU", "1 core for the server", "3–5 visits", "0.4 s closed", "2026-01-02", "servebench run"):
        assert part in said
    assert "None" not in conditions(factories.run(), {})


def test_the_small_print_of_an_unfinished_run_says_how_many_visits_there_are():
    run = factories.run(models=("epoll_loop", "prefork"), scenarios=("hello",), visits={"hello": 3})
    whole = [factories.record(model, "hello", block) for model in ("epoll_loop", "prefork") for block in range(3)]
    assert "· 3 visits of each model" in conditions(run, {}, whole)
    assert "· 2–3 of 3 visits of each model" in conditions(run, {}, whole[:-1])
    assert "· 1 of 3 visits of each model" in conditions(run, {}, [whole[0], whole[3]])


# ---------------------------------------------------------------- the sentence


def test_verdicts():
    hello, wait, cpu = (scenario.verdict for scenario in factories.summary().scenarios)
    assert hello.startswith("epoll_loop serves most: 96.8k/s (±2.0%), 1.12× asyncio_protocol (1.10–1.14×).")
    assert hello.endswith("prefork and thread_pool had more connections than slots from 64.")
    assert "cannot be told apart from it" in wait
    assert cpu.startswith("No difference seen: ")
    assert cpu.endswith("gevent_greenlets failed (launch: no ready line within 10 s).")


def test_a_verdict_about_one_model_claims_no_victory():
    made = summarised([factories.record("epoll_loop", "hello", block) for block in range(2)], models=("epoll_loop",))
    first: ScenarioSummary = made.scenarios[0]
    assert first.verdict.startswith("epoll_loop serves ")
    assert "most" not in first.verdict


def test_a_verdict_on_nobody():
    assert verdict([]) == "No model has a number that can be believed."


@pytest.mark.parametrize(("words", "said"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_listed(words, said):
    assert listed(words) == said


def test_a_visit_that_is_struck_alone_is_left_out_of_its_cells_numbers():
    level = Level("closed", 64)
    made = [factories.record("epoll_loop", "hello", block) for block in range(3)]
    at = next(i for i, window in enumerate(made[1].windows) if window.level == level)
    busy = replace(made[1].windows[at], load=replace(made[1].windows[at].load, busy_fraction=0.95, completed=10))
    windows = [busy if i == at else window for i, window in enumerate(made[1].windows)]
    summary = summarise(factories.run(), [made[0], replace(made[1], windows=windows), made[2]], {})
    cell = next(c for c in summary.cells if (c.model, c.scenario, c.level) == ("epoll_loop", "hello", level))
    assert len(cell.rate_per_s.visits) == 2
    assert not cell.struck
    assert any(f.severity == "mark" and f.seen.endswith("(in 1 of 3 visits); left out") for f in cell.findings)


def test_a_verdict_without_a_difference_beyond_doubt_names_no_one_number_for_all():
    alike = factories.summary().scenarios[0].standings[0]
    far = [
        replace(alike, model=model, rank=1, struck="", failed="", marks=[], peak_per_s=Estimate(rate, rate / 3, rate * 3, []))
        for model, rate in (("a", 72_000.0), ("b", 3_200.0))
    ]
    said = verdict(far, resolution=1.6e8)
    assert said.startswith("No difference is beyond doubt: a and b serve 3.20k/s to 72.0k/s")
    assert said.endswith("Too few visits agree to show any difference.")
    assert "under a factor of 4.0 may" in verdict(far, resolution=3.0)
