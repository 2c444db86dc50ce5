"""Each check finds its fault and nothing else does; a healthy measurement raises nothing."""

from dataclasses import replace

import factories
import pytest
from windows import (
    CLOSED,
    OPEN,
    behind,
    beside,
    changed,
    dropped,
    early,
    facts,
    found,
    healthy,
    late,
    loaded,
    lost_values,
    miscounted,
    overworked,
    paced,
    served,
    short,
    stalled,
    starved,
    timed,
    too_many,
    unbalanced,
    unfair,
)

from benchmarks.checks.background import TOO_FEW
from benchmarks.checks.engine import stalls
from benchmarks.nouns import Outside, ReplicateRecord, Warmup
from benchmarks.questions import Background, Level
from benchmarks.tails import Pauses
from benchmarks.validity import (
    CHECKS,
    check_measurement,
    check_replicates,
    check_run,
    check_trial,
    outside_load,
    over_replicates,
)

WITH_IDLE = replace(OPEN, background=Background("idle", 100))
CHURN = replace(CLOSED, keepalive=False)


def carries(model: str, scenario: str, level: Level) -> bool:
    """Whether the imagined machine is neither overloaded at this level nor above its limit, and not invalid on purpose."""
    return (
        (model, scenario, level.label) != factories.INVALID
        and not factories.overloaded(model, scenario, level)
        and (level.loop == "open" or level.connections <= factories.MODELS[model].limit)
    )


@pytest.mark.parametrize("model", [model for model in factories.MODELS if model != "prefork"])  # it reconnects
@pytest.mark.parametrize("scenario", factories.SCENARIOS)
def test_a_healthy_measurement_raises_nothing(model, scenario):
    for level in factories.levels(scenario):
        if carries(model, scenario, level):
            assert check_measurement(facts(model, scenario, level, seed=3)) == []


# ---------------------------------------------------------------- faults, each for one check


FAULTS = {
    "no request completed": ("nothing served", "invalid", timed([])),
    "time is missing": ("bookkeeping", "invalid", unbalanced(-0.01)),
    "requests in flight that have no time": ("Little's law", "invalid", miscounted()),
    "one in the closed loop": ("Little's law", "invalid", miscounted(-0.03, CLOSED)),
    "a histogram that lacks one": ("histograms", "invalid", lost_values()),
    "more answers than fit into the waits": ("wait ceiling", "invalid", too_many()),
    "an answer before its time": ("wait ceiling", "invalid", early()),
    "more CPU than there was": ("work ceiling", "invalid", overworked()),
    "a busy engine": ("engine saturated", "invalid", healthy(busy_fraction=0.86)),
    "unsent with connections free": ("engine saturated", "invalid", behind()),
    "a late engine": ("engine saturated", "invalid", late(60_000)),
    "busy neighbours": ("neighbours", "invalid", beside(0.006)),
    "windows that were dropped": ("too few windows", "invalid", dropped(30)),
    "Nagle's algorithm": ("40 ms stall", "invalid", stalled()),
    "no keep-alive": ("reuse", "invalid", healthy(connections_opened=64 + 30_000)),
    "a few reconnects": ("reuse", "invalid", healthy(connections_opened=64 + 10)),
    "declared reconnects": ("reconnects", "info", replace(healthy(connections_opened=64 + 700), keepalive_requests=100)),
    "failed requests": ("errors", "warning", healthy(errors={"reset": 3, "wrong_body": 1})),
    "overload": ("overloaded", "info", short()),
    "every connection busy": ("no free connection", "info", healthy(OPEN, waited=400)),
    "a low limit": ("above the concurrency limit", "info", replace(healthy(), limit=63)),
    "never answered": ("unfinished requests", "warning", healthy(OPEN, unfinished=300)),
    "one starved": ("starving", "warning", starved(640)),
    "half of them starved": ("starving", "warning", unfair(0.2)),
    "a few are missing": ("background connections", "warning", healthy(WITH_IDLE, background={"open": 60, "refused": 40})),
    "most are missing": (TOO_FEW, "invalid", healthy(WITH_IDLE, background={"open": 49})),
    "no room for them": (TOO_FEW, "info", replace(healthy(WITH_IDLE, background={"open": 16}), limit=16)),
    "connections kept that were to be new": ("reuse", "invalid", changed(loaded(healthy(), kept=0), level=CHURN)),
    "garbage": ("garbage collection", "info", served(healthy(), collections=(9, 1, 0), pause_ns=20_000_000)),
    "gaps lost": ("pauses not recorded", "warning", healthy(gaps_lost=7)),
    "a few very slow ones": ("few dominate", "info", timed([100_000] * 999 + [900_000_000])),
    "slower and slower": ("drift", "info", paced([500 - 5 * step for step in range(40)])),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_check_alone(fault):
    check, severity, faulty = FAULTS[fault]
    assert found(faulty) == [(check, severity)]


def test_every_check_has_a_fault_here():
    named = {check for check, _, _ in FAULTS.values()}
    assert len(CHECKS) == len(named - {TOO_FEW})  # two names of one check


def test_findings_say_what_was_observed_why_it_matters_and_what_to_do():
    for _, _, faulty in FAULTS.values():
        for finding in check_measurement(faulty):
            assert finding.observed
            assert finding.why
            assert finding.remedy
            assert not finding.observed.endswith(".")


# ---------------------------------------------------------------- trials, replicates and runs


def test_stalls_say_which_percentiles_are_withheld():
    assert stalls(Pauses((100_000,) * 100, 1e9)) is None  # short ones
    finding = stalls(Pauses((300_000,) * 3, 1e9))
    assert finding is not None
    assert "p99.9 withheld" in finding.observed
    worse = stalls(Pauses((4_000_000,) * 2, 1e9))
    assert worse is not None
    assert "p99 and above withheld" in worse.observed


def test_broken_rules_and_an_unsteady_warm_up_concern_the_whole_trial():
    assert check_trial(factories.trial("epoll_loop", "hello")) == []
    unsteady = factories.trial("epoll_loop", "hello", warmup=Warmup(3.0, [1e4, 2e4], False))
    assert [(finding.check, finding.severity) for finding in check_trial(unsteady)] == [("never steady", "info")]
    breaking = factories.trial("epoll_loop", "hello", broken_rules=[f"rule{n}: wrong" for n in range(5)])
    (finding,) = check_trial(breaking)
    assert (finding.check, finding.severity) == ("rules broken", "invalid")
    assert finding.observed == "it breaks 5 rules (rule0, rule1, rule2 and 2 more)"


def loaded_record(others_s: float, replicate: int = 0) -> ReplicateRecord:
    """A record of 4 s on two CPUs, of which other programs used so much."""
    outside = Outside(4.0, 2, round((5 + others_s) * 1e9), 5_000_000_000)
    return factories.record("hello", replicate, [], outside=outside)


@pytest.mark.parametrize(("others_s", "is_loaded"), [(0.20, False), (0.25, False), (0.27, True), (2.0, True)])
def test_others_may_use_three_percent_of_the_cpus_and_what_the_clocks_leave_open(others_s, is_loaded):
    """Of 4 s on two CPUs that is 0.24 s, and 10 ms more for each."""
    assert (outside_load(loaded_record(others_s)) is not None) == is_loaded
    assert outside_load(factories.record("hello", 0, [], outside=None)) is None  # not known


def test_outside_load_is_reported_once_for_the_run():
    records = [loaded_record(0.1), loaded_record(0.5, 1), loaded_record(2.0, 2)]
    (finding,) = check_replicates(records)
    assert (finding.check, finding.severity) == ("outside load", "warning")
    assert finding.observed.startswith(
        "other programs took 25% of the time of the 2 CPUs that the run uses in hello, replicate 3"
    )
    assert finding.observed.endswith("2 of 3 records had outside load")
    assert check_replicates(records[:1]) == []


def test_a_model_that_is_busy_while_others_are_measured_is_named():
    """What each has beside itself is what all others use: the busy one alone has less."""
    used = {"epoll_loop": 0.011, "prefork": 0.001, "thread_pool": 0.0115}
    trials = [factories.trial(model, "hello", measurements=[beside(share).measurement]) for model, share in used.items()]
    (finding,) = check_replicates([factories.record("hello", 0, trials)])
    assert (finding.check, finding.severity) == ("busy neighbours", "warning")
    assert finding.observed.startswith("prefork used CPU time")
    assert finding.remedy.endswith("(--models prefork)")
    quiet = [replace(trial, measurements=[beside(0.004).measurement]) for trial in trials]
    assert check_replicates([factories.record("hello", 0, quiet)]) == []


@pytest.mark.parametrize(("slower", "found_here"), [(1.15, []), (1.3, ["machine speed"])])
def test_another_speed_of_the_machine_is_reported_where_absolute_values_moved(slower, found_here):
    paces = (1.0, 1.0, 1 / slower)
    models = list(factories.MODELS)[:3]
    records = [
        factories.record("hello", number, [factories.trial(model, "hello", number, pace=pace) for model in models])
        for number, pace in enumerate(paces)
    ]
    assert [finding.check for finding in check_replicates(records)] == found_here
    assert check_replicates(records[:1]) == []
    assert all(finding.severity == "info" for finding in check_replicates(records))


@pytest.mark.parametrize(
    ("times", "severity", "ending"),
    [
        (1, "warning", "(in 1 of 3 replicates); left out"),
        (2, "invalid", "(in 2 of 3 replicates)"),
        (3, "invalid", "of the time"),
    ],
)
def test_what_is_invalid_in_fewer_than_half_of_the_replicates_is_a_warning(times, severity, ending):
    saturated, well = check_measurement(healthy(busy_fraction=0.9)), check_measurement(healthy())
    (finding,) = over_replicates([saturated] * times + [well] * (3 - times))
    assert finding.severity == severity
    assert finding.observed.endswith(ending)


@pytest.mark.parametrize(("times", "check"), [(1, "overloaded at times"), (2, "overloaded"), (3, "overloaded")])
def test_a_cell_is_overloaded_that_was_so_in_half_of_its_replicates(times, check):
    over, well = check_measurement(short()), check_measurement(healthy())
    (finding,) = over_replicates([over] * times + [well] * (4 - times))
    assert (finding.check, finding.severity) == (check, "info")
    assert ("not ranked" in finding.why) == (check == "overloaded")


def test_what_is_invalid_comes_first():
    made = check_measurement(replace(healthy(busy_fraction=0.9, errors={"reset": 1}), limit=16))
    assert [finding.severity for finding in over_replicates([made[::-1]])] == ["invalid", "warning", "info"]


def test_a_shared_core_and_a_single_replicate_concern_the_run():
    assert check_run(factories.options()) == []
    assert [finding.check for finding in check_run(factories.options(driver_cpus=(0,)))] == ["shared core"]
    assert [finding.check for finding in check_run(factories.options(unchecked=True))] == ["unchecked"]
    assert [finding.check for finding in check_run(factories.options(replicates=1))] == ["one replicate"]
    assert check_run(factories.options(replicates=1, precision=0.05)) == []
