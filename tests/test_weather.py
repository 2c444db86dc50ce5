"""Whether the machine changed: a pure judgement, and the probes themselves."""

import os

import pytest

from benchmarks.load import probes
from benchmarks.nouns import Weather
from benchmarks.visit import weather_changed


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
