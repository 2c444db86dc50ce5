"""The probes of the machine's state, on this machine."""

import os

from benchmarks.load import probes


def test_probes_give_times_and_need_two_cores_for_the_ping_pong():
    cpus = sorted(os.sched_getaffinity(0))
    alone = probes.machine_state(cpus[0], cpus[0])
    assert alone.pingpong_ns is None
    assert alone.python_ns > 0
    if len(cpus) > 1:
        trip = probes.pingpong_ns(cpus[0], cpus[-1])
        assert trip is None or trip > 0
