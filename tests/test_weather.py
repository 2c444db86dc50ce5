"""Whether the machine changed, and whether a server has come to its pace: pure judgements, and the probes themselves."""

import os

import pytest

from benchmarks.load import probes
from benchmarks.load.process import is_steady
from benchmarks.nouns import Weather
from benchmarks.visit import weather_changed


@pytest.mark.parametrize(
    ("rates", "steady"),
    [
        ([], False),
        ([100.0, 100.0], False),
        ([100.0, 101.0, 99.0], True),
        ([40.0, 100.0, 101.0, 99.0], True),
        ([100.0, 101.0, 120.0], False),
        ([94.0, 100.0, 106.0], False),  # each near the mean, but still rising
        ([106.0, 100.0, 94.0], True),
        ([0.0, 0.0, 0.0], False),
    ],
)
def test_three_rounds_that_agree_and_do_not_rise_are_steady(rates, steady):
    assert is_steady(rates, within=0.08) is steady


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (Weather(100.0, 30.0), False),
        (Weather(119.0, 30.0), False),
        (Weather(121.0, 30.0), True),
        (Weather(80.0, 30.0), True),
        (Weather(100.0, 37.0), True),
        (Weather(None, 30.0), False),  # on a single core the loop alone tells
        (Weather(None, 40.0), True),
    ],
)
def test_weather_has_changed_when_a_probe_moved_by_more_than_a_fifth(after, changed):
    assert weather_changed(Weather(100.0, 30.0), after) is changed


def test_probes_give_times_and_need_two_cores_for_the_ping_pong():
    cpus = sorted(os.sched_getaffinity(0))
    alone = probes.weather(cpus[0], cpus[0])
    assert alone.pingpong_ns is None
    assert alone.python_ns > 0
    if len(cpus) > 1:
        trip = probes.pingpong_ns(cpus[0], cpus[-1])
        assert trip is None or trip > 0
