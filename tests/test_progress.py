"""What a user is told while a run is made, without a terminal and with one."""

import io
from dataclasses import replace

import factories
from rich.console import Console

from benchmarks import plan
from benchmarks.nouns import Failure
from benchmarks.progress import Progress


def watch(terminal, made=()):
    options = factories.options(models=("epoll_loop",), scenarios=("hello",), visits={"hello": 3}, twin="epoll_loop")
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    return Progress(options, console, made), console.file, plan.visits(options)


def test_without_a_terminal_there_is_a_line_for_each_visit_and_one_for_each_reason_to_go_on():
    first = factories.record("epoll_loop", "hello", 0)
    progress, said, planned = watch(False, made=[first])
    with progress:
        progress.expect(planned[1:])
        progress.done(factories.record("epoll_loop", "hello", 1))
        progress.done(replace(factories.record("epoll_loop", "hello", 2), weather_changed=True))
        progress.done(replace(first, windows=[], failure=Failure("launch", "no [port]", "Traceback\nOSError: no port")))
        progress.adding("the widest interval is ±9%, in hello")
    lines = said.getvalue().splitlines()
    assert lines[0].startswith("[2/6] hello epoll_loop: ")
    assert lines[1].endswith(", weather changed")
    assert lines[2] == "epoll_loop in hello, block 1: failed at launch: no [port]"
    assert lines[3] == "    OSError: no port"
    assert lines[4] == "beyond the plan: the widest interval is ±9%, in hello"


def test_on_a_terminal_the_table_has_the_twin_and_counts_what_a_resumed_run_has_already():
    progress, said, planned = watch(True, made=[factories.record("epoll_loop", "hello", 0)])
    with progress:
        progress.expect([visit for visit in planned if (visit.model, visit.block) != ("epoll_loop", 0)])
        progress.doing(planned[1], "warming up", 65.0)
        progress.adding("the widest interval is ±9%, in hello")
    shown = said.getvalue()
    assert "epoll_loop~twin" in shown
    assert "1/3" in shown
    assert "1 of 6 visits" in shown
    assert "beyond the plan: the widest interval" in shown
