"""Arrivals that come in bursts, change their rate, or give up: what is due when, and what becomes of it."""

import argparse
import json
import time

import msgspec
import numpy as np
import pytest
from answering import BODY, OK, answering, drive, serving
from test_load_facts import holds

from benchmarks import histogram
from benchmarks.load import command, edges, state
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Target, request_bytes

SECOND = 1e9


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


def due(seconds: float, seed: int = 1, **plan) -> np.ndarray:
    """When arrivals are due within so many seconds, at 1000/s in the mean: the compiled functions alone, without a server."""
    engine, exchanges = np.zeros(1, state.ENGINE), np.zeros(1, state.EXCHANGE)
    plan = {"interval_ns": 1e6, "then_interval_ns": 1e6, "then_ns": state.NEVER_NS, "poisson": 1, "starts_ns": 10**12, **plan}
    for name, value in plan.items():
        engine[name] = value
    e = engine[0]
    _seed(seed)
    edges.plan_arrivals(e, exchanges, int(e["starts_ns"]))
    found = []
    while e["next_ns"] < e["starts_ns"] + seconds * SECOND:
        found.append(e["next_ns"] - e["starts_ns"])
        edges.draw_next(e, exchanges)
    return np.array(found)


@edges.compiled
def _seed(seed: int) -> None:
    np.random.seed(seed)


# ---------------------------------------------------------------- bursts


@pytest.mark.parametrize("wall", [-1.7, -0.5, -0.1, 0.0, 0.05, 0.1, 0.3, 0.5, 0.55, 12.34])
def test_time_in_on_periods_and_back(wall):
    on, off = 0.1, 0.4
    clock = edges.on_time(wall * SECOND, on * SECOND, off * SECOND)
    back = edges.wall_time(clock, on * SECOND, off * SECOND) / SECOND
    period, within = divmod(wall + 1e-12, on + off)
    assert clock / SECOND == pytest.approx(period * on + min(within, on), abs=1e-9)
    if within < on - 1e-9:
        assert back == pytest.approx(wall, abs=1e-6)
    else:  # what falls on the border is due when the next period begins
        assert back == pytest.approx((period + 1) * (on + off), abs=1e-6) or back == pytest.approx(wall, abs=1e-6)


def test_always_on_is_wall_time():
    assert edges.on_time(123.0, 0.0, 0.0) == edges.wall_time(123.0, 0.0, 0.0) == 123.0


def test_bursts_have_the_mean_and_silence_between_them():
    bursts = due(20, interval_ns=0.2e6, on_ns=0.1 * SECOND, off_ns=0.4 * SECOND)
    assert len(bursts) == pytest.approx(20_000, abs=5 * 20_000**0.5)
    assert (bursts % (0.5 * SECOND) < 0.1 * SECOND + 10).all()
    in_each = np.bincount((bursts // (0.5 * SECOND)).astype(int))
    assert len(in_each) == 40
    assert in_each.min() > 500 - 5 * 500**0.5
    even = due(20, interval_ns=0.2e6, on_ns=0.1 * SECOND, off_ns=0.4 * SECOND, poisson=0)
    assert len(even) == pytest.approx(20_000, abs=2)


def test_a_server_meets_the_bursts_from_the_windows_start():
    with (
        serving(answering(OK)) as port,
        Session(Target("127.0.0.1", port, request_bytes("t", "/"), body=BODY), 8, trace=9999) as session,
    ):
        session.open()
        load = session.run(Drive(0.6, 400, "onoff", on_s=0.05, off_s=0.15, ramp_s=0.13, poll="sleep"))
        intended = session.traced()[:, 1] - session.begins_ns()
    assert load.errors == {}
    assert load.intended == pytest.approx(240, abs=5 * 240**0.5)
    # The window begins when the engine is there, so the bursts may come a little before it.
    late_ns = max([length for _, length in load.gaps], default=0) + 5_000_000
    phase = (intended + late_ns) % 200_000_000
    assert (phase < 50_000_000 + 2 * late_ns).all()


@pytest.mark.parametrize("wrong", [{"arrivals": "onoff"}, {"arrivals": "onoff", "on_s": 1.0, "off_s": -1.0}])
def test_bursts_need_periods(wrong):
    with pytest.raises(ValueError, match="an on period above 0"):
        drive(9, rate_per_s=10, keepalive=False, **wrong)


def asked(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_servebench_load_makes_bursts(capsys):
    with serving(answering(OK)) as port:
        options = asked(
            f"http://127.0.0.1:{port}/", "--rate", "300", "--arrivals", "onoff", "--on", "0.02", "--off", "0.08",
            "--seconds", "1", "--connections", "4", "--poll", "sleep", "--json",
        )  # fmt: skip
        assert command.command(options) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["intended"] == pytest.approx(300, abs=5 * 300**0.5)
    assert told["errors"] == told["classes"] == told["background"] == {}
    in_on, in_off = 0, 0
    for step, completed in enumerate(told["series"]["completed"]):
        if step * told["series"]["step_ns"] % 100_000_000 < 40_000_000:
            in_on += completed
        else:
            in_off += completed
    assert in_on > in_off  # however late the machine makes some of them


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arrivals", "onoff"], "belongs to the open loop"),
        (["--arrivals", "onoff", "--rate", "9", "--on", "0"], "--on 0 is not above 0"),
        (["--arrivals", "onoff", "--rate", "9", "--off", "-1"], "--off -1 is not from 0"),
    ],
)
def test_servebench_load_says_what_makes_no_bursts(arguments, said):
    with pytest.raises(command.Refused, match=said):
        command.command(asked("http://127.0.0.1:9/", *arguments))


def test_the_first_gap_is_as_long_as_the_others():
    """A window that begins with an arrival has one request too many, of which a short one has few."""
    gaps = []
    with Session(Target("127.0.0.1", 9, b"-"), 4, threads=4) as session:
        for seed in range(300):
            for number, lane in enumerate(session.lanes):
                session._plan(lane, number, Drive(0.1, 100.0, seed=seed), 0)
                gaps.append(float(lane.engine[0]["next_ns"]))
    assert np.mean(gaps) == pytest.approx(4e7, rel=0.1)
    assert np.std(gaps) == pytest.approx(4e7, rel=0.15)


# ---------------------------------------------------------------- a change of rate


def test_the_second_rate_begins_when_it_is_said():
    first, second = 1000 * 5, 3000 * 5
    found = due(10, then_interval_ns=1e6 / 3, then_ns=int(5 * SECOND))
    assert (found < 5 * SECOND).sum() == pytest.approx(first, abs=5 * first**0.5)
    assert (found >= 5 * SECOND).sum() == pytest.approx(second, abs=5 * second**0.5)
    same = due(10)
    assert (found[found < 5 * SECOND] == same[same < 5 * SECOND]).all()  # the change reaches back to nothing
    even = due(10, then_interval_ns=1e6 / 3, then_ns=int(5 * SECOND), poisson=0)
    assert len(even) == pytest.approx(first + second, abs=2)


def test_the_rate_may_change_in_the_middle_of_bursts():
    found = due(10, interval_ns=0.2e6, then_interval_ns=0.4e6, then_ns=int(5 * SECOND), on_ns=0.1 * SECOND, off_ns=0.4 * SECOND)
    assert (found < 5 * SECOND).sum() == pytest.approx(5000, abs=5 * 5000**0.5)
    assert (found >= 5 * SECOND).sum() == pytest.approx(2500, abs=5 * 2500**0.5)


def test_nothing_comes_after_a_change_to_no_rate():
    found = due(10, then_interval_ns=np.inf, then_ns=int(2 * SECOND))
    assert len(found) == pytest.approx(2000, abs=5 * 2000**0.5)
    assert found.max() < 2 * SECOND


def test_overload_is_over_when_it_is_and_the_series_tells_when():
    """One connection, 5 ms each: 200/s. Three times that for 0.3 s leaves a queue of 120, then 40/s lets it run dry."""
    with serving(answering(OK, 0.005)) as port:
        load = drive(
            port, 1, rate_per_s=600, arrivals="constant", then_rate_per_s=40, then_at_s=0.3, seconds=2.5, slow_s=0.1,
            drain_s=5.0,
        )  # fmt: skip
    holds(load)
    assert load.errors == {}
    assert load.intended == pytest.approx(180 + 88, abs=3)
    assert len(load.series.slow) == len(load.series.completed)
    assert all(slow <= completed for slow, completed in zip(load.series.slow, load.series.completed, strict=True))
    quick = sum(c for i, c in zip(load.response.index, load.response.count, strict=True) if histogram.bounds_ns(i)[1] <= 100e6)
    assert sum(load.series.slow) <= load.completed - quick + load.drained + 1
    assert sum(load.series.slow) > 60  # the queue was longer than 0.1 s most of the time
    assert drive(9, seconds=0.05).series.slow == []


def test_a_closed_loop_has_no_second_rate():
    with pytest.raises(ValueError, match="no rate"):
        drive(9, then_rate_per_s=10.0, keepalive=False)


# ---------------------------------------------------------------- giving up


def silent(connection) -> None:
    connection.settimeout(3)
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("poll", ["busy", "sleep"])
def test_who_waits_too_long_for_a_connection_gives_up(poll):
    """Two connections to a server that never answers: whoever is not on one of them finds none."""
    with serving(silent) as port:
        load = drive(
            port, 2, rate_per_s=500, arrivals="constant", timeout_s=0.1, seconds=0.5, drain_s=0.5, give_up=True, poll=poll
        )
    holds(load)
    assert load.completed == 0
    assert set(load.errors) == {"gave_up", "read_timeout"}
    assert load.errors["gave_up"] > 10 * load.errors["read_timeout"] > 0
    assert load.unfinished == 0  # all had time to give up in the drain
    assert sum(load.errors.values()) == load.intended == histogram.total(load.censored)
    assert load.censored.min_ns >= 100_000_000
    assert load.waited >= load.errors["gave_up"]
    assert sum(load.series.errors) > 0


def test_without_giving_up_they_wait_on():
    with serving(silent) as port:
        load = drive(port, 2, rate_per_s=500, arrivals="constant", timeout_s=0.1, seconds=0.5, drain_s=0.1)
    assert set(load.errors) == {"read_timeout"}
    assert load.unfinished > 0.8 * load.intended
    assert load.unfinished + load.errors["read_timeout"] == load.intended == histogram.total(load.censored)


def test_who_waits_no_longer_than_patience_is_served_first_come_first_served():
    """Three times what one connection can do: the wait cannot grow beyond the timeout, so what is served is younger."""
    with serving(answering(OK, 0.005)) as port:
        load = drive(port, 1, rate_per_s=600, arrivals="constant", timeout_s=0.2, seconds=1.0, drain_s=2.0, give_up=True)
    holds(load)
    assert set(load.errors) == {"gave_up"}
    assert load.completed + load.drained > 30
    served = histogram.total(load.response)
    assert served + load.errors["gave_up"] == load.intended == served + histogram.total(load.censored)
    longest_gap = max((length for _, length in load.gaps), default=0)
    assert load.send_lag.max_ns <= 200_000_000 + longest_gap + 60_000_000


def test_what_timed_out_is_censored_at_its_age():
    def dozing(connection) -> None:
        while connection.recv(65536):
            time.sleep(0.4)

    with serving(dozing) as port:
        load = drive(port, 8, rate_per_s=20, arrivals="constant", timeout_s=0.1, seconds=0.3, drain_s=0.5)
    assert load.errors == {"read_timeout": load.intended}
    assert histogram.total(load.censored) == load.intended
    assert load.censored.min_ns >= 100_000_000
    holds(load)


def test_a_drive_goes_through_json():
    plan = Drive(1.0, 100.0, "onoff", on_s=0.1, off_s=0.2, then_rate_per_s=50.0, then_at_s=0.5, slow_s=0.01, give_up=True)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Drive) == plan
