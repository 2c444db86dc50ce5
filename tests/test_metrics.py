"""The number of each metric in one replicate, against what its measurements were made of, and why there is none."""

import functools
import math
from dataclasses import replace

import crowded
import factories
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import histogram
from benchmarks.amounts import shown
from benchmarks.metrics import RECOVERY_STEP_NS, UNITS, Replicate, is_plain, values
from benchmarks.nouns import Histogram, Ledger, Measurement, ReplicateRecord, Rounds, Series
from benchmarks.questions import Level, Metric, Quantity

MODEL, OTHER = "epoll_loop", "select_loop"
PEAK = "closed 64"
COMMON = crowded.COMMON.label
PEAKS = {MODEL: PEAK, OTHER: PEAK}


@functools.cache
def record(scenario: str = "mixed") -> ReplicateRecord:
    return crowded.record(scenario, 0, (MODEL, OTHER))


def made_of(found: ReplicateRecord, label: str, model: str = MODEL) -> Measurement:
    trial = next(one for one in found.trials if one.model == model)
    return next(one for one in trial.measurements if one.level.label == label)


def changed(found: ReplicateRecord, label: str, **load: object) -> ReplicateRecord:
    """The record with other facts of the engine's at a level of MODEL."""
    return exchanged(found, label, lambda one: replace(one, load=replace(one.load, **load)))  # type: ignore[arg-type]


def exchanged(found: ReplicateRecord, label: str, change) -> ReplicateRecord:
    def of(trial):
        at = [change(one) if one.level.label == label else one for one in trial.measurements]
        return replace(trial, measurements=at) if trial.model == MODEL else trial

    return replace(found, trials=[of(trial) for trial in found.trials])


def value(metric: Metric, found: ReplicateRecord) -> float | None:
    return values(metric, found, PEAKS).get(MODEL)


def why(metric: Metric, found: ReplicateRecord) -> str:
    return Replicate(found).told(metric, PEAKS).reasons[MODEL]


QUANTITIES: tuple[Quantity, ...] = tuple(UNITS)


@pytest.mark.parametrize("quantity", [q for q in QUANTITIES if q not in ("held memory", "recovery", "faults")])
def test_every_quantity_has_a_number_at_the_peak(quantity):
    found = value(Metric(quantity), record())
    assert found is not None
    assert found > 0


def test_numbers_without_rounds_are_those_of_all_windows():
    found = record()
    made = made_of(found, PEAK)
    assert value(Metric("memory"), found) == made.server.uss_bytes
    assert value(Metric("p90"), found) == histogram.quantile_ns(made.load.response, 0.9)
    both = histogram.merge([made.load.response, made.load.censored])
    assert value(Metric("mean"), found) == pytest.approx(histogram.mean_ns(both))
    assert value(Metric("rate", COMMON), found) == made_of(found, COMMON).load.completed / made_of(found, COMMON).load.seconds
    # The rounds are near to what all windows have together.
    assert value(Metric("rate"), found) == pytest.approx(made.load.completed / made.load.seconds, rel=0.05)


def test_the_share_answered_is_of_what_was_due_and_never_nothing():
    found = record()
    load = made_of(found, COMMON).load
    share = value(Metric("answered", COMMON), found)
    assert share == histogram.total(load.response) / load.intended
    half = value(Metric("answered", COMMON), changed(found, COMMON, intended=2 * load.intended))
    assert half == pytest.approx(share / 2)
    none = changed(found, COMMON, response=Histogram(), intended=200)
    assert value(Metric("answered", COMMON), none) == 0.5 / 200


def test_a_label_has_requests_of_its_own():
    whole, half = (value(Metric("rate", label=label), record()) for label in ("", "hello"))
    assert half == pytest.approx(whole / 2, rel=0.05)
    assert "no request is called tea" in why(Metric("rate", label="tea"), record())
    assert value(Metric("rate", label="hello"), record("hello")) == value(Metric("rate"), record("hello"))


def test_by_divides_by_the_other_metric_of_the_same_replicate():
    ratio = value(Metric("rate", COMMON, by=Metric("rate")), record())
    assert ratio == value(Metric("rate", COMMON), record()) / value(Metric("rate"), record())


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (Metric("rate", "closed 7"), "level closed 7 was not measured"),
        (Metric("held memory", COMMON), "no background connections"),
        (Metric("recovery", COMMON), "slow requests were not counted"),
    ],
)
def test_what_cannot_be_told_says_why(metric, said):
    assert value(metric, record()) is None
    assert said in why(metric, record())


def test_without_a_peak_or_an_answer_there_is_no_number():
    assert "no closed level served anybody" in Replicate(record()).told(Metric("rate"), {}).reasons[MODEL]
    nothing = exchanged(record(), PEAK, lambda one: replace(one, rounds=Rounds(), load=replace(one.load, completed=0)))
    assert "nothing was served" in why(Metric("rate"), nothing)


def test_a_failed_trial_says_nothing():
    found = record()
    failed = replace(found, trials=[factories.failed_trial(MODEL), found.trials[1]])
    assert set(values(Metric("rate"), failed, PEAKS)) == {OTHER}


def test_memory_is_known_where_no_other_server_was_alive():
    together = exchanged(record(), PEAK, lambda one: replace(one, server=replace(one.server, uss_bytes=None)))
    assert "other servers were alive" in why(Metric("memory"), together)


def test_a_percentile_counts_those_never_answered_and_is_not_told_from_among_them():
    few, many = factories.times(2e9, 50), factories.times(2e9, 40_000)
    plain = value(Metric("p90", COMMON), record("hello"))
    later = value(Metric("p90", COMMON), changed(record("hello"), COMMON, censored=few))
    assert later >= plain
    assert "never finished" in why(Metric("p90", COMMON), changed(record("hello"), COMMON, censored=many))


def test_a_percentile_wants_samples_and_an_engine_that_ran():
    found = record("hello")
    few = changed(found, COMMON, response=factories.times(1e6, 100))
    assert "p99 wants 367" in why(Metric("p99", COMMON), few)
    third = changed(found, COMMON, response=factories.times(1e6, 130))
    assert value(Metric("p99", COMMON), third) is not None  # three replicates together have what its interval wants
    stood = {"gaps": [(0, 100_000_000)]}
    assert "stood still" in why(Metric("p90", COMMON), changed(found, COMMON, **stood))
    slow = changed(found, COMMON, **stood, response=factories.times(4e9, 5_000))
    assert value(Metric("p90", COMMON), slow) is not None  # ten times as long as the pause


def test_held_memory_is_the_growth_by_each_background_connection():
    found, label = record("crowd"), crowded.CROWDED.label
    crowd, plain = made_of(found, label).server, made_of(found, COMMON).server
    grown = crowd.uss_bytes + crowd.socket_bytes - plain.uss_bytes - plain.socket_bytes
    assert value(Metric("held memory", label), found) == grown / 100
    assert value(Metric("held memory", label), changed(found, label, background={})) is None


def test_held_memory_beside_other_servers_is_the_growth_of_resident_memory():
    label = crowded.CROWDED.label
    found = exchanged(
        record("crowd"), label, lambda one: replace(one, server=replace(one.server, uss_bytes=None, rss_bytes=40_000_000))
    )
    crowd, plain = made_of(found, label).server, made_of(found, COMMON).server
    grown = 40_000_000 - plain.rss_bytes + crowd.socket_bytes - plain.socket_bytes
    assert value(Metric("held memory", label), found) == grown / 100


@given(st.lists(st.booleans(), min_size=10, max_size=10))
def test_recovery_ends_after_the_last_slow_step(slow):
    steps = Series(100_000_000, [100] * 20, [0] * 20, [1] * 20, [50] * 10 + [2 if is_slow else 1 for is_slow in slow])
    found = changed(record("recovery"), crowded.FALLING.label, series=steps, seconds=2.0)
    last = max((at for at, is_slow in enumerate(slow) if is_slow), default=0)
    assert value(Metric("recovery", crowded.FALLING.label), found) == (last + 1) * RECOVERY_STEP_NS


def test_a_level_is_plain_without_anything_special():
    assert all(map(is_plain, (Level("closed", 64), crowded.COMMON)))
    assert not any(map(is_plain, (crowded.CROWDED, crowded.FALLING, Level("closed", 64, keepalive=False))))


def test_values_are_shown_in_their_units():
    assert [shown(1_500.0, unit) for unit in ("rate", "time", "bytes", "ratio", "count")] == [
        "1.50k/s", "1.50 µs", "1.46 KiB", "1500×", "1,500",
    ]  # fmt: skip


# ---------------------------------------------------------------- by rounds

PACES = [1.0, 0.9, 1.1, 0.7, 1.2, 1.0, 0.8, 1.0, 1.1, 0.95]  # of the machine, from round to round


def in_rounds(
    per_s: float, paces: list[float] = PACES, seconds: float = 0.05, cpu_ns: float = 10_000.0, **others: object
) -> Rounds:
    """The windows of a server that does so much, at the machine's pace."""
    completed = [round(per_s * pace * seconds) for pace in paces]
    made = Rounds(
        number=list(range(len(paces))),
        at_s=[0.1 * at for at in range(len(paces))],
        seconds=[seconds] * len(paces),
        completed=completed,
        answered_ns=[count * 1_000_000 for count in completed],
        answered=completed,
        occupied_ns=[round(64 * seconds * 1e9)] * len(paces),
        cpu_ns=[round(count * cpu_ns / pace) for count, pace in zip(completed, paces, strict=True)],
        neighbours_ns=[0] * len(paces),
    )
    return replace(made, **others)  # type: ignore[arg-type]


def two(first: Rounds, second: Rounds, **changes: object) -> ReplicateRecord:
    """A replicate of two models at the peak that had these windows. The changes are those of both measurements."""
    found = record("hello")
    trials = []
    for trial, rounds in zip(found.trials, (first, second), strict=True):
        at = made_of(found, PEAK, trial.model)
        load = replace(at.load, seconds=sum(rounds.seconds), completed=sum(rounds.completed))
        made = replace(at, rounds=rounds, load=load, windows=len(rounds.number), **changes)
        trials.append(replace(trial, measurements=[made]))
    return replace(found, trials=trials)


def test_what_a_round_did_to_all_alike_is_in_no_ratio():
    """The second model missed the quick rounds: counted, it would be 7% slower than it is."""
    slow = [at for at, pace in enumerate(PACES) if pace <= 1.0]
    second = in_rounds(80_000, [PACES[at] for at in slow], number=slow)
    found = values(Metric("rate"), two(in_rounds(100_000), second), PEAKS)
    assert found[OTHER] / found[MODEL] == pytest.approx(0.8, rel=1e-3)
    assert found[MODEL] == pytest.approx(100_000 * math.exp(sum(map(math.log, PACES)) / len(PACES)), rel=0.08)
    cpu = values(Metric("cpu"), two(in_rounds(100_000), in_rounds(80_000, cpu_ns=12_500.0)), PEAKS)
    assert cpu[OTHER] / cpu[MODEL] == pytest.approx(1.25, rel=1e-3)


def test_a_window_that_stood_still_moves_nothing():
    stalled = in_rounds(80_000)
    stalled = replace(stalled, completed=[0, *stalled.completed[1:]])
    found = values(Metric("rate"), two(in_rounds(100_000), stalled), PEAKS)
    assert found[OTHER] / found[MODEL] == pytest.approx(0.8, rel=0.005)
    assert values(Metric("cpu"), two(in_rounds(100_000), stalled), PEAKS)[OTHER] == pytest.approx(10_000 / 0.965, rel=0.05)


def test_dropped_windows_are_left_out():
    wrong = in_rounds(80_000)
    wrong = replace(wrong, completed=[*wrong.completed[:5], *[1] * 5], dropped=[5, 6, 7, 8, 9])
    found = values(Metric("rate"), two(in_rounds(100_000), wrong), PEAKS)
    assert found[OTHER] / found[MODEL] == pytest.approx(0.8, rel=1e-3)


def test_what_was_not_interleaved_or_has_few_answers_has_the_number_of_all_windows():
    apart = two(in_rounds(100_000), in_rounds(80_000), interleaved=False)
    assert value(Metric("rate"), apart) == made_of(apart, PEAK).load.completed / made_of(apart, PEAK).load.seconds
    few = two(in_rounds(60), in_rounds(100))
    assert value(Metric("rate"), few) == made_of(few, PEAK).load.completed / made_of(few, PEAK).load.seconds


def test_processes_that_come_and_go_have_the_cpu_time_of_all_windows():
    found = two(in_rounds(100_000), in_rounds(80_000))
    forking = exchanged(
        found, PEAK, lambda one: replace(one, server=replace(one.server, cpu_user_ns=9_000_000, newcomers_ns=5_000_000))
    )
    server, load = made_of(forking, PEAK).server, made_of(forking, PEAK).load
    assert value(Metric("cpu"), forking) == (server.cpu_user_ns + server.cpu_system_ns) / load.completed


def waves(completed: list[int]) -> Rounds:
    """Windows of 50 ms of 64 connections that wait 10 ms each: whole waves of answers fall inside or outside."""
    return in_rounds(
        6_400, [1.0] * len(completed), completed=completed, answered_ns=[320 * 10_000_000] * len(completed),
        answered=[320] * len(completed),
    )  # fmt: skip


def test_the_rate_of_waiting_requests_is_that_of_the_connections_time():
    found = two(waves([256] * 10), waves([320] * 10))
    assert values(Metric("rate"), found, PEAKS, waits=True) == pytest.approx({MODEL: 6_400, OTHER: 6_400})
    assert values(Metric("rate"), found, PEAKS)[MODEL] == pytest.approx(5_120)


def test_above_the_concurrency_limit_waiting_requests_are_counted():
    found = two(waves([256] * 10), waves([320] * 10))
    limited = replace(found.trials[0], server=replace(factories.server_facts(MODEL), max_connections=16))
    found = replace(found, trials=[limited, found.trials[1]])
    assert values(Metric("rate"), found, PEAKS, waits=True)[MODEL] == pytest.approx(5_120, rel=1e-3)


def test_waiting_requests_that_were_not_interleaved_have_the_connections_time_of_all_windows():
    service = factories.times(10e6, 3_200, 9.9e6)
    ledger = Ledger(28_800_000_000, 0, 3_200_000_000, 0, 0)  # 64 connections for half a second
    found = two(waves([256] * 10), waves([320] * 10), interleaved=False)
    found = changed(found, PEAK, ledger=ledger, service=service, seconds=0.5)
    assert values(Metric("rate"), found, PEAKS, waits=True)[MODEL] == pytest.approx(64 * 3_200e9 / service.sum_ns)


def test_one_model_alone_has_values_too():
    found = two(in_rounds(100_000), in_rounds(80_000))
    alone = replace(found, trials=found.trials[:1])
    assert value(Metric("rate"), alone) == pytest.approx(100_000, rel=0.06)


def test_a_measurement_that_does_not_count_is_left_out_but_not_its_rounds():
    found = Replicate(two(in_rounds(100_000), in_rounds(80_000)), left_out={(MODEL, PEAK)})
    told = found.told(Metric("rate"), PEAKS)
    assert set(told.values) == {OTHER}
    assert "invalid" in told.reasons[MODEL]
    assert set(found.window_values("rate", PEAK)) == {MODEL, OTHER}
