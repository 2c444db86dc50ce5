"""What a user is shown while a run is made, without a terminal and with one."""

import io
from dataclasses import replace

import factories
from rich.console import Console

from benchmarks import plan
from benchmarks.conduct import _Clock
from benchmarks.nouns import Failure
from benchmarks.progress import Progress


def watch(terminal, made=()):
    options = factories.options(models=("epoll_loop",), scenarios=("hello",), replicates=3)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    return Progress(options, console, made), console.file, plan.planned(options)


def record(replicate, failure=None):
    one = next(made for made in factories.records() if made.scenario == "hello")
    trial = replace(one.trials[0], failure=failure)
    return replace(one, replicate=replicate, trials=[trial])


def test_without_a_terminal_there_is_a_line_for_each_record_and_one_for_each_failure():
    progress, said, planned = watch(False, made=[record(0)])
    with progress:
        progress.expect(planned[1:], 20.0)
        progress.done(record(1))
        progress.done(record(2, Failure("launch", "no [port]", "Traceback\nOSError: no port")))
        progress.adding("the widest interval is ±9%, in hello")
    lines = said.getvalue().splitlines()
    assert lines[0].startswith("[2/3] replicate 2, hello: 1 models in ")
    assert lines[1].endswith(" in hello, replicate 3: failed at launch: no [port]")
    assert lines[2] == "    OSError: no port"
    assert lines[-1] == "beyond the plan: the widest interval is ±9%, in hello"


def test_on_a_terminal_the_picture_says_what_is_done_and_how_long_it_takes():
    progress, said, planned = watch(True, made=[record(0)])
    with progress:
        progress.expect(planned[1:], 100.0)
        progress.doing(planned[1], "closed 16, round 3", 65.0)
        progress.adding("the widest interval is ±9%, in hello")
    shown = said.getvalue()
    assert "1 of 3 done, about 65.0 s left" in shown
    assert "replicate 2, " in shown
    assert "beyond the plan: the widest interval" in shown


def test_the_time_left_follows_the_pace_so_far(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = _Clock()
    clock.add(100.0)
    assert clock.left_s() == 100.0
    now[0] += 5.0
    assert clock.left_s() == 95.0
    for _ in range(5):  # each takes twice as long as planned
        now[0] += 20.0
        clock.done(10.0)
    assert 90.0 < clock.left_s() <= 105.0


def test_compiling_and_holding_models_to_rules_say_nothing_of_the_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = _Clock()
    clock.add(100.0)
    now[0] += 90.0
    clock.start()
    assert clock.left_s() == 100.0
    now[0] += 25.0
    clock.done(25.0)
    assert clock.left_s() == 75.0
