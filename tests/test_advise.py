"""`servebench advise`: the workload as it is written, the pools that serve it, and who qualifies by what was measured."""

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import histogram, plan
from benchmarks.advise import design, sheets, words, workload
from benchmarks.advise.design import Pool
from benchmarks.advise.measured import Field, Measured
from benchmarks.advise.verdict import judge, reached
from benchmarks.advise.workload import Workload, checked
from benchmarks.cli import main
from benchmarks.nouns import RunOptions
from benchmarks.objective import parse
from benchmarks.summaries import Capacity, Estimate, Pair

API = checked(Workload(0.05, 0.001, 2000, 500.0, parse("p99<=200ms")))
WINDOWS = 6


def answered(
    model: str = "epoll_loop", *, slow_ms: float = 60.0, cpu_ms: float = 1.1, requests: int = 3000, **others
) -> Measured:
    """A model that answered all requests, the slowest 5% of them in `slow_ms`."""
    half = [52_000_000] * (requests * 19 // 40) + [round(slow_ms * 1e6)] * (requests // 40)
    known = {
        "connections": 2000,
        "windows": WINDOWS,
        "seconds": requests / 500,
        "intended": requests,
        "completed": requests,
        "responses": (histogram.from_values(half),) * 2,
        "cpu_ns": cpu_ms * 1e6,
        "rss_bytes": 20 << 20,
        "threads": 1,
        "processes": 1,
    }
    return Measured(model, **{**known, **others})


def one(measured: Measured, asked: Workload = API):
    """How one model stands."""
    advice = judge(asked, Field((measured,)))
    return [*advice.qualify, *advice.fail, *advice.unknown][0]


# ---------------------------------------------------------------- the workload


def test_in_service_is_rate_times_time():
    assert API.load == pytest.approx(0.5)
    assert API.in_service == pytest.approx(500 * 0.052)
    assert API.pool_size == math.ceil(26 + 3 * math.sqrt(26)) + 1


def test_connections_that_are_not_given_are_twice_those_in_service():
    made = checked(Workload(0.05, 0.0, 0, 100.0))
    assert made.connections == 2 * made.pool_size


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Workload(0.01), "how much is asked"),
        (Workload(0.01, connections=5), "give --slo, --rate or both"),
        (Workload(1.0, 0.0, 10, 1000.0), "more than 10 connections can carry"),
        (Workload(0.0, 0.02, 5, 60.0), r"take 120% of one core: no model can serve that"),
        (Workload(rate_per_s=math.nan), "--rate nan is not from"),
        (Workload(rate_per_s=0.1), r"--rate 0.1 is not from"),
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(asked, told):
    with pytest.raises(ValueError, match=told):
        checked(asked)


@pytest.mark.parametrize(
    ("text", "value"), [("50ms", 0.05), ("2s", 2.0), ("100us", 1e-4), (" 1.5 ms ", 1.5e-3), ("70µs", 7e-5)]
)
def test_durations(text, value):
    assert workload.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["50", "-5ms", "0ms", "ms", "1h", "11s", "1e3ms", "nan s", ""])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"leave the option out|write a number|is not from"):
        workload.seconds(text)


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("2m", 120), ("1h", 3600), ("1.5 m", 90)])
def test_budgets(text, value):
    assert workload.budget_s(text) == value


@pytest.mark.parametrize("text", ["120", "0s", "2d", "25h", ""])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ValueError, match="such as 2m"):
        workload.budget_s(text)


@pytest.mark.parametrize(("text", "value"), [("500", 500), ("2,500/s", 2500), ("0.5", 0.5)])
def test_rates(text, value):
    assert workload.rate(text) == value


@pytest.mark.parametrize("text", ["fast", "-1", "5/m", "inf"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="no number of requests a second"):
        workload.rate(text)


def test_the_command_of_a_workload_asks_for_the_same_one():
    assert workload.command(API) == "servebench advise --wait 50ms --cpu 1ms --connections 2000 --rate 500 --slo 'p99<=200ms'"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which workload?"),
        (("--wait", "50"), "--wait '50' is no duration"),
        (("--rate", "500", "--slo", "fast"), "--slo 'fast' is no objective"),
        (("--rate", "500", "--connections", "many"), "--connections 'many' is no whole number"),
        (("--rate", "500", "--connections", "0"), "--connections 0 is not from 1"),
        (("--rate", "500", "--budget", "2"), "--budget '2' is not a time"),
        (("--rate", "500", "--name", "../up"), "can't be a folder"),
        (("--rate", "500", "--models", "nobody"), "there is no model 'nobody'"),
        (("--rate", "500", "--from", "nowhere"), "there is no run 'nowhere'"),
        (("--rate", "5000", "--cpu", "20ms"), "no model can serve that"),
    ],
)
def test_bad_use_is_one_line_and_status_2(arguments, told, tmp_path, capsys):
    assert main(["advise", *arguments, "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("servebench: ")
    assert told in said
    assert said.count("\n") == 1


# ---------------------------------------------------------------- the design


def test_pools_get_the_size_of_what_is_in_service_beside_their_own():
    pools = {
        "thread_pool": Pool(32, {"threads": 32}),
        "prefork": Pool(16, {"workers": 16}),
        "prefork_threads": Pool(32, {"workers": 4, "threads": 8}),
        "prefork_epoll": Pool(18_000, {"workers": 2}),  # its connections hold no worker
    }
    found = design.sized(API, pools)
    assert {name: variant.settings for name, variant in found.items()} == {
        "thread_pool~43 threads": ("--threads", "43"),
        "prefork~43 workers": ("--workers", "43"),
        "prefork_threads~11 threads": ("--threads", "11"),
    }


def test_where_connections_are_few_pools_get_as_many_too():
    few = replace(API, connections=60)
    assert list(design.sized(few, {"prefork": Pool(16, {"workers": 16})})) == ["prefork~43 workers", "prefork~60 workers"]
    assert design.sized(replace(API, connections=16), {"prefork": Pool(16, {"workers": 16})}) == {}


def test_the_scenario_opens_all_connections_at_the_rate_and_ranks_by_cpu():
    made = design.scenario(API, 120.0)
    assert (made.open_connections, made.open_rates_per_s, made.closed) == (2000, (500.0,), ())
    assert (made.measures[0].metric.quantity, made.measures[0].metric.level) == ("cpu", design.level(API).label)
    assert made.request.path == "/work?wait_us=50000&cpu_us=1000"


def test_exponential_times_are_drawn_with_these_means():
    asked = replace(API, exponential=True, wait_s=0.0)
    assert design.scenario(asked, 120.0).request.path == "/work?mean_cpu_us=1000"


def test_without_a_rate_closed_connections_saturate_the_server_first():
    made = design.scenario(checked(replace(API, rate_per_s=None)), 120.0)
    assert made.open_rates_per_s == ()
    assert 100 <= made.closed[0] <= 200


def test_windows_are_as_long_as_a_queue_takes_to_build_where_the_budget_allows_it():
    work = checked(Workload(0.0, 0.02, 5, 40.0))  # 80% of a core
    needed_s = design.building_s(0.02, 0.8)
    assert design.window_s(work, 120.0) == 1.0
    assert design.window_s(work, 120.0 * needed_s) == pytest.approx(needed_s)


def options(models: int) -> RunOptions:
    return RunOptions("x", "advise", tuple(f"m{n}" for n in range(models)), ("workload",), 1, 0.0, 0.0, (), (0,), (1,), 1)


@pytest.mark.parametrize("budget_s", [120.0, 300.0, 600.0])
def test_a_run_fits_its_budget(budget_s):
    asked = {"workload": design.scenario(API, 120.0)}
    fitted = design.fitted(options(4), asked, budget_s, 20_000)
    assert 0.5 * budget_s < plan.run_s(fitted, asked) <= budget_s or fitted.level_s > 0.99 * design.LEVEL_MOST_S
    assert fitted.replicates >= 2


def test_groups_of_many_connections_take_longer():
    asked = {"workload": design.scenario(replace(API, connections=5000), 120.0)}
    few, many = (design.fitted(options(8), asked, 300.0, descriptors).level_s for descriptors in (20_000, 1_000_000))
    assert few < many


def test_a_search_takes_one_replicate_where_more_do_not_fit():
    asked = {"workload": design.scenario(checked(replace(API, rate_per_s=None)), 120.0)}
    searching = replace(options(16), objective="p99<=200ms")
    assert design.fitted(searching, asked, 120.0, 20_000).replicates == 1
    assert design.fitted(replace(searching, models=("m0",)), asked, 600.0, 20_000).replicates == 5


def test_a_budget_that_is_too_small_still_measures_two_windows():
    asked = {"workload": design.scenario(API, 120.0)}
    assert design.fitted(options(16), asked, 10.0, 20_000).level_s == 2 * asked["workload"].window_s


# ---------------------------------------------------------------- who qualifies


def test_who_keeps_the_objective_on_all_connections_qualifies():
    found = one(answered())
    assert (found.stands, found.why) == ("qualifies", "")
    assert found.reached.q == 0.99
    assert found.reached.high_ns == pytest.approx(60e6, rel=0.002)


def test_who_is_beyond_the_objective_fails_with_the_number():
    found = one(answered(slow_ms=250.0))
    assert (found.stands, found.why) == ("fails", "p99 was 250 ms")


def test_a_range_that_straddles_the_objective_is_unknown():
    quick, slow = answered().responses[0], answered(slow_ms=300.0).responses[0]
    found = one(answered(responses=(quick, slow)))
    assert (found.stands, found.why) == ("unknown", "p99 was 60.0 ms to 300 ms")


@pytest.mark.parametrize(
    ("limit", "given", "cure"),
    [
        (32, {"threads": 32}, "--threads 2000 would do"),
        (32, {"workers": 4, "threads": 8}, "--threads 500 would do"),
        (256, {}, "8 such servers would do"),
    ],
)
def test_a_pool_whose_connections_starve_fails_and_the_size_that_would_do_is_said(limit, given, cure):
    found = one(answered("pool", limit=limit, given=given, completed=300, unanswered=2700))
    assert found.stands == "fails"
    assert found.why == f"it serves {limit} of 2,000 open connections at once, 10% of the requests were answered; {cure}"


def test_a_pool_that_was_given_no_more_connections_than_it_serves_fails_by_that():
    found = one(answered("pool", limit=32, given={"threads": 32}, connections=32))
    assert found.why == "it serves 32 of 2,000 open connections at once; --threads 2000 would do"


def test_a_starving_pool_that_was_not_even_measured_fails():
    assert one(Measured("pool", limit=32, given={"threads": 32}, failure="2 of 2 trials failed")).stands == "fails"


def test_a_pool_whose_windows_asked_few_connections_is_unknown():
    found = one(answered(limit=540, given={"threads": 540}, idle_s=1.0))
    assert (found.stands, found.why[:38]) == ("unknown", "it serves 540 connections at once; win")


@pytest.mark.parametrize(("limit", "idle_s"), [(256, 0.0), (256, 15.0), (1999, 15.0), (500, 1.0)])
def test_a_pool_with_more_connections_than_it_can_hold_fails_though_short_windows_asked_few_of_them(limit, idle_s):
    found = one(answered("pool", limit=limit, idle_s=idle_s))
    assert (found.stands, found.why[:38]) == ("fails", f"it serves {limit:,} of 2,000 open connections"[:38])


def test_a_pool_that_serves_them_all_nevertheless_qualifies():
    quick = checked(Workload(0.0, 0.0001, 300, 500.0, parse("p99<=200ms")))
    measured = answered(limit=220, given={"threads": 220}, idle_s=0.1, connections=300, cpu_ms=0.2)
    assert one(measured, quick).stands == "qualifies"


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (answered(completed=2400), "80% of 500 requests/s were served"),
        (answered(completed=2400, cpu_ms=2.1), "80% of 500 requests/s were served, its CPU 105% busy"),
        (answered(completed=0), "none of 3,000 requests was answered"),
        (answered(errors={"reset": 3}), "3 of 3,000 requests failed (reset)"),
        (answered(connections=1500), "1,500 of 2,000 connections were held"),
    ],
)
def test_what_else_fails(measured, why):
    assert (one(measured).stands, one(measured).why) == ("fails", why)


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (Measured("absent"), "it was not measured"),
        (Measured("absent", failure="2 of 2 trials failed (launch: no)"), "2 of 2 trials failed (launch: no)"),
        (answered(invalid="engine saturated: busy 97%"), "engine saturated: busy 97%"),
        (answered(slow_ms=300.0, invalid="engine saturated: busy 97%"), "engine saturated: busy 97%"),
        (answered(cpu_ms=2.1), "its CPU was 105% busy: its queue grows for longer than the windows of 1.00 s"),
        (answered(cpu_ms=1.95), "its CPU was 98% busy: its queue grows for longer than the windows of 1.00 s"),
        (
            answered(slow_ms=300.0, pauses_ns=(25_000_000,) * 10, watched_ns=1e9),
            "the load engine itself stood still for 25% of the time",
        ),
        (
            answered(completed=2400, pauses_ns=(25_000_000,), watched_ns=1e9),
            "the load engine itself stood still for 2.5% of the time",
        ),
        (
            answered(cpu_ms=1.8, seconds=0.6, windows=3),
            "its CPU was 90% busy: its queue grows for longer than the windows of 200 ms",
        ),
        (answered(failure="1 of 2 trials failed (load: died)"), "1 of 2 trials failed (load: died)"),
    ],
)
def test_what_is_not_known_is_not_judged(measured, why):
    assert (one(measured).stands, one(measured).why) == ("unknown", why)


def test_who_is_quick_although_the_engine_stood_still_qualifies():
    assert one(answered(pauses_ns=(25_000_000,) * 10, watched_ns=1e9)).stands == "qualifies"


def test_few_requests_are_judged_by_the_percentile_that_they_resolve_and_it_is_said():
    few = answered(requests=160)
    assert reached(few, 0.99).q == 0.97
    advice = judge(API, Field((few, answered("poll_loop"))))
    assert [candidate.model for candidate in advice.qualify] == ["epoll_loop", "poll_loop"]
    assert advice.judged_q == 0.97
    assert "p99 takes 367 requests" in printed(advice)


def test_requests_that_were_never_answered_leave_the_percentile_open():
    found = reached(answered(unanswered=100), 0.99)
    assert found.high_ns is None
    assert one(answered(unanswered=100)).stands == "unknown"


def test_a_handful_of_requests_says_nothing():
    assert reached(answered(requests=4), 0.99) is None


# ---------------------------------------------------------------- the answer


def advice_of_many():
    """Two that tie, one that is dearer, one that starves, one that is slow, one that is unknown."""
    field = (
        answered("trio_nursery", cpu_ms=1.5),
        answered("epoll_loop", cpu_ms=1.1),
        answered("poll_loop", cpu_ms=1.11, rss_bytes=18 << 20),
        answered("thread_pool", limit=32, given={"threads": 32}, completed=300, unanswered=2700),
        answered("gevent_prefork", slow_ms=250.0),
        answered("prefork_epoll", cpu_ms=1.95),
    )
    pairs = (
        Pair("epoll_loop", "poll_loop", Estimate(0.99, 0.97, 1.01), "same"),
        Pair("trio_nursery", "epoll_loop", Estimate(1.36, 1.3, 1.4), "different"),
    )
    return judge(API, Field(field, pairs))


def printed(advice) -> str:
    out = io.StringIO()
    sheets.show(advice, Console(file=out, width=80))
    return out.getvalue()


def test_those_that_qualify_come_cheapest_first_in_json_too():
    found = json.loads(sheets.as_json(advice_of_many()))
    assert found["qualify"] == ["epoll_loop", "poll_loop", "trio_nursery"]
    assert set(found["fail"]) == {"thread_pool", "gevent_prefork"}
    assert list(found["unknown"]) == ["prefork_epoll"]


def test_the_headline_names_the_cheapest_its_ties_and_the_least_memory():
    said = " ".join(words.headline(advice_of_many()))
    assert said.startswith("3 of 6 qualify. epoll_loop takes the least CPU: 1.10 ms a request, 55% of one core")
    assert "poll_loop is not told apart from it" in said
    assert "poll_loop takes the least memory: 18.0 MiB" in said


def test_the_page_says_why_and_what_would_change_it():
    page = printed(advice_of_many())
    assert "1.00 ms of the 1.10 ms of CPU is the request's own computing" in page
    assert "at 909/s epoll_loop fills one core" in page
    assert "the nearest that fails, gevent_prefork, is at 250 ms" in page
    assert "1 model unknown; --budget 10m" in page
    assert max(map(len, page.splitlines())) <= 80
    assert len(page.splitlines()) <= 45


def test_doubts_about_the_run_are_told():
    assert "Outside load: other programs took 85%." in printed(
        judge(API, Field((), doubts=("outside load: other programs took 85%",)))
    )


@pytest.mark.parametrize("field", [Field(()), Field((Measured("absent"),)), Field((answered(slow_ms=400.0),))])
def test_nobody_else_is_never_said_of_what_was_not_measured(field):
    page = printed(judge(API, field))
    assert "nobody" not in page.lower()
    assert "0 of" in page


# ---------------------------------------------------------------- the highest rate


def capacity(per_s: float | None, met: float | None, missed: float | None, why: str = "") -> Capacity:
    return Capacity("p99<=200ms", Estimate(per_s, None, None) if per_s else None, met, missed, why)


def test_without_a_rate_those_that_carry_most_come_first():
    asked = checked(replace(API, rate_per_s=None))
    field = (
        Measured("slow", capacity=capacity(400.0, 390.0, 410.0)),
        Measured("fast", capacity=capacity(800.0, 790.0, 810.0)),
        Measured("faster", capacity=capacity(None, 900.0, None, "met at 900/s, the highest that was tried")),
        Measured("bad", capacity=capacity(None, None, 20.0, "cannot meet it")),
        Measured("pool", limit=32, given={"threads": 32}, capacity=capacity(None, None, 20.0, "cannot meet it")),
        Measured("odd", capacity=capacity(None, None, None, "the engine was the limit")),
    )
    advice = judge(asked, Field(field))
    assert json.loads(sheets.as_json(advice)) == {
        "qualify": ["faster", "fast", "slow"],
        "fail": {
            "bad": "cannot meet it",
            "pool": "it serves 32 of 2,000 open connections at once; --threads 2000 would do",
        },
        "unknown": {"odd": "the engine was the limit"},
    }
    assert "faster carries most: ≥ 900/s" in printed(advice)
