"""Is comparing equals as quiet as promised? On simulated values, with the faults that must be noticed."""

import math
from dataclasses import replace

import factories
import numpy as np
import pytest
from test_twin import MODELS, twin_record

from benchmarks.nouns import twin_of
from benchmarks.sameness import Calls, Grouped, Paired, calls_when_halved, calls_when_swapped, halved, swapped, twins

TWIN = twin_of("m0")
RATE = (0.03, 0.07)


def tables(noise: dict[str, float], blocks: int, seed: int, levels: int = 12) -> list[Paired]:
    """Values with so much noise from visit to visit, half of it common to a visit's levels, in blocks that differ by 10%."""
    rng = np.random.default_rng(seed)
    made = []
    pace = rng.normal(0, 0.1, blocks)
    of_visit = {model: rng.normal(0, sd * math.sqrt(0.5), blocks) for model, sd in noise.items()}
    for _ in range(levels):
        values = {}
        for model, sd in noise.items():
            logs = pace + of_visit[model] + rng.normal(0, sd * math.sqrt(0.5), blocks)
            values[model] = {(block, 0): math.exp(log) for block, log in enumerate(logs)}
        made.append(Paired("hello", values, 1e-4))
    return made


def rate(runs: list[Calls]) -> float:
    return sum(calls.called for calls in runs) / sum(calls.asked for calls in runs)


@pytest.mark.parametrize("blocks", [8, 12])
def test_swapping_equals_calls_one_in_twenty(blocks):
    noise = dict.fromkeys(["m0", TWIN, "m1", "m2"], 0.02)
    runs = [calls_when_swapped(tables(noise, blocks, seed), "m0", TWIN, seed, permutations=40) for seed in range(5)]
    assert RATE[0] <= rate(runs) <= RATE[1]


def test_noise_beyond_what_the_pooled_one_says_is_noticed():
    """A model that is four times as noisy as those it is pooled with: its intervals are too narrow, and equals differ."""
    noise = {"m0": 0.08, TWIN: 0.08} | {f"m{n}": 0.02 for n in range(1, 7)}
    runs = [calls_when_swapped(tables(noise, 8, seed), "m0", TWIN, seed, permutations=40) for seed in range(5)]
    assert rate(runs) > 1.5 * RATE[1]
    # From ten blocks on two models are judged by their own noise.
    own = [calls_when_swapped(tables(noise, 12, seed), "m0", TWIN, seed, permutations=40) for seed in range(5)]
    assert RATE[0] <= rate(own) <= RATE[1]


def test_intervals_too_wide_are_noticed_too():
    noise = {"m0": 0.01, TWIN: 0.01} | {f"m{n}": 0.05 for n in range(1, 7)}
    assert rate([calls_when_swapped(tables(noise, 8, 1), "m0", TWIN, 1, permutations=40)]) < RATE[0]


def halves_of(noise: list[float], visits: int, seed: int) -> list[list[Grouped]]:
    rng = np.random.default_rng(seed)
    cells = [(f"m{n}", sd) for n, sd in enumerate(noise)]
    return [[Grouped(model, {0: np.exp(rng.normal(0, sd, visits)).tolist()}, 1e-4) for model, sd in cells] for _ in range(8)]


def test_halves_of_one_models_visits_call_one_in_twenty():
    runs = [calls_when_halved(halves_of([0.02] * 4, 10, seed), seed, permutations=40) for seed in range(3)]
    assert RATE[0] <= rate(runs) <= RATE[1]


def test_the_same_seed_gives_the_same_answer():
    made = tables(dict.fromkeys(["m0", TWIN], 0.02), 8, 1, levels=2)
    assert calls_when_swapped(made, "m0", TWIN, 3, 20) == calls_when_swapped(made, "m0", TWIN, 3, 20)


def test_a_block_in_two_weathers_keeps_its_weathers():
    """Swapped or not, what was measured in a storm is compared with nothing measured in calm."""
    values = {"m0": {(0, 0): 1.0, (1, 0): 1.0, (2, 0): 1.01}, TWIN: {(0, 1): 5.0, (1, 0): 1.0, (2, 0): 1.02}}
    found = calls_when_swapped([Paired("hello", values, 0.01)], "m0", TWIN, 1, 50)
    assert found.asked == 50
    assert found.called == 0


def test_nothing_to_compare_is_no_success():
    assert Calls(0, 0).share == 0.0
    assert calls_when_swapped([Paired("hello", {"m0": {(0, 0): 1.0}}, 0.0)], "m0", TWIN, 1, 5) == Calls(0, 0)


@pytest.fixture(scope="module")
def made():
    """Eight visits of three models and a twin."""
    records = [factories.record(model, "hello", block) for model in MODELS for block in range(8)]
    return [*records, *(twin_record(block) for block in range(8))]


def test_recorded_visits_are_asked_too(made):
    run = factories.run(models=MODELS, scenarios=("hello",), twin="epoll_loop", visits={"hello": 8})
    as_they_were = twins(run, made)
    assert as_they_were.asked >= 20
    assert as_they_were.share <= 3 / 20
    again = swapped(run, made)
    assert again.asked >= 200 * 20
    assert again.share <= 0.12  # imagined models differ in their noise, and 8 blocks are judged by that of all
    plain = [record for record in made if record.plan.model in MODELS]
    assert halved(replace(run, options=replace(run.options, twin="")), plain).asked > 200 * 20
