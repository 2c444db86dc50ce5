"""A visit as it is made: which connections its levels have, and what a search leaves in the record."""

import os

import factories
import pytest

from benchmarks.load.remote import RemoteEngine
from benchmarks.nouns import VisitPlan
from benchmarks.objective import DECIDES, HIGHEST, PROBES_MOST, parse, probe_s
from benchmarks.plan import levels
from benchmarks.questions import Request, Scenario
from benchmarks.visit import Visit

CPUS = sorted(os.sched_getaffinity(0))
HELLO = Request("/hello", expect_body=b"Hello, World!")
SCENARIO = Scenario(HELLO, closed=(1, 4), open_shares=(0.05, 0.1, 1.1), open_rates_per_s=(200.0,), open_connections=8)


class Counted(RemoteEngine):
    """The engine, and how many connections it was asked to open, in order; `Warm-up` opens its own."""

    def __init__(self, cpus):
        super().__init__(cpus)
        self.opened = []

    def open(self, target, connections, companions=None):
        self.opened.append(connections)
        return super().open(target, connections, companions)


@pytest.fixture(scope="module")
def engine():
    with Counted((CPUS[-1],)) as made:
        made.compile()
        yield made


def visit(engine, model, **changes):
    """A short visit of a model."""
    engine.opened = []
    options = factories.options(closed_s=0.1, open_s=0.2, server_cpus=(CPUS[0],), driver_cpus=(CPUS[-1],), **changes)
    said = []
    record = Visit(VisitPlan(model, "hello", 0, 0), SCENARIO, options, engine, said.append).make("")
    assert record.failure is None, record.failure
    return record, said, options


def test_open_levels_share_their_connections_until_one_leaves_something_behind(engine):
    record, _, options = visit(engine, "epoll_loop")
    assert [window.level for window in record.windows] == levels(SCENARIO, options)
    assert engine.opened[:3] == [1, 4, 8]  # a closed level has its own
    opened = [window for window in record.windows if window.level.loop == "open"]
    left_behind = sum(bool(window.load.unfinished or window.load.errors) for window in opened[:-1])
    assert engine.opened[3:] == [8] * left_behind
    assert {window.load.connections for window in opened} == {8}
    assert all(window.load.completed for window in opened)
    assert record.probes == []


def test_a_model_with_fewer_slots_gets_no_more_connections_than_it_has(engine):
    record, _, _ = visit(engine, "prefork")
    slots = record.server.max_connections
    assert max(window.load.connections for window in record.windows if window.level.loop == "open") <= slots


def test_a_search_takes_the_place_of_the_open_levels_and_is_recorded_in_order(engine):
    wanted = parse("p50<=1ms")
    record, said, options = visit(engine, "epoll_loop", objective=wanted.text)
    assert {window.level.loop for window in record.windows} == {"closed"}
    peak = max(window.load.completed / window.load.seconds for window in record.windows)
    rates = [probe.level.rate_per_s for probe in record.probes]
    assert DECIDES <= len(rates) <= PROBES_MOST
    assert max(rates) <= HIGHEST * peak * 1.001
    assert rates[0] == rates[1]  # each is tried twice
    for probe in record.probes:
        assert probe.load.seconds >= 0.999 * probe_s(wanted, probe.level.rate_per_s, options.open_s)
    assert sum(wanted.text in what for what in said) == len(rates)
