"""A pool of connections, by hand: whose turn it is, and that no slot is ever lost."""

import os
import random
import select
import threading
from collections.abc import Generator
from typing import Any

import pytest

from servers._steps import Step, Wait
from servers.conversations.stores import Away
from servers.conversations.stores.pool import Pool, Slot


class Connection:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


Taking = Generator[Step, Any, Slot[Connection]]


def at_once(taking: Taking) -> Slot[Connection]:
    """The slot that is taken without waiting."""
    with pytest.raises(StopIteration) as stop:
        next(taking)
    slot: Slot[Connection] = stop.value.value
    return slot


def rung(step: Step) -> bool:
    assert isinstance(step, Wait)
    return bool(select.select(step.readable, [], [], 0)[0])


def resumed(taking: Taking, step: Step) -> Slot[Connection]:
    """The slot of one whose bell has been rung."""
    assert isinstance(step, Wait)
    assert rung(step)
    with pytest.raises(StopIteration) as stop:
        taking.send((step.readable, ()))
    slot: Slot[Connection] = stop.value.value
    return slot


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_one_last_used_is_taken_first() -> None:
    pool: Pool[Connection] = Pool(2, 1.0)
    slot = at_once(pool.take())
    slot.connection = Connection()
    pool.give(slot)
    assert at_once(pool.take()) is slot


def test_first_come_first_served() -> None:
    pool: Pool[Connection] = Pool(1, 1.0)
    before = open_descriptors()
    slot = at_once(pool.take())
    waiting = [pool.take() for _ in range(3)]
    steps = [next(taking) for taking in waiting]
    for taking, step in zip(waiting, steps, strict=True):
        assert not rung(step)
        pool.give(slot)
        late = pool.take()
        bell = next(late)  # comes when the slot is given to another already
        assert not rung(bell)
        late.close()
        assert resumed(taking, step) is slot
    pool.give(slot)
    assert at_once(pool.take()) is slot
    assert open_descriptors() == before


def test_who_waits_too_long_is_told_and_forgotten() -> None:
    pool: Pool[Connection] = Pool(1, 0.5)
    slot = at_once(pool.take())
    taking = pool.take()
    step = next(taking)
    assert isinstance(step, Wait)
    assert step.timeout_s == 0.5
    with pytest.raises(Away, match="no connection was free"):
        taking.send(((), ()))
    pool.give(slot)
    assert at_once(pool.take()) is slot


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("end", [None, ConnectionResetError(), TimeoutError()])
def test_who_is_ended_while_waiting_keeps_nothing(given: bool, end: Exception | None) -> None:
    pool: Pool[Connection] = Pool(1, 1.0)
    before = open_descriptors()
    slot = at_once(pool.take())
    taking, next_one = pool.take(), pool.take()
    next(taking)
    step = next(next_one)
    if given:
        pool.give(slot)
    if end is None:
        taking.close()
    else:
        with pytest.raises(type(end)):
            taking.throw(end)
    if not given:
        pool.give(slot)
    assert resumed(next_one, step) is slot
    assert open_descriptors() == before


def test_a_slot_given_in_the_last_moment_is_taken() -> None:
    pool: Pool[Connection] = Pool(1, 1.0)
    slot = at_once(pool.take())
    taking = pool.take()
    next(taking)
    pool.give(slot)
    with pytest.raises(StopIteration) as stop:
        taking.send(((), ()))
    assert stop.value.value is slot


def test_without_a_pool_every_use_has_its_own_and_none_is_kept() -> None:
    pool: Pool[Connection] = Pool(0, 1.0)
    slots = [at_once(pool.take()) for _ in range(10)]
    connection = slots[0].connection = Connection()
    pool.give(slots[0])
    assert connection.closed
    assert at_once(pool.take()).connection is None


def test_threads_share_a_pool_and_no_slot_is_lost() -> None:
    pool: Pool[Connection] = Pool(3, 30.0)
    using: list[int] = []
    most: list[int] = []

    def use(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(200):
            taking = pool.take()
            try:
                step = next(taking)
                assert isinstance(step, Wait)
                if dice.random() < 0.2:
                    taking.close()
                    continue
                assert select.select(step.readable, [], [], 30)[0]
                taking.send((step.readable, ()))
            except StopIteration as stop:
                using.append(seed)
                most.append(len(using))
                using.remove(seed)
                pool.give(stop.value)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 3
    assert len({id(at_once(pool.take())) for _ in range(3)}) == 3
    waiting = pool.take()
    assert isinstance(next(waiting), Wait)
    waiting.close()
