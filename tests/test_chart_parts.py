"""The parts that charts are made of: colours, panels by family, numbers in words, ticks, text cut to its width."""

from dataclasses import replace

import pytest

from benchmarks.charts import _scales, _words
from benchmarks.charts._families import Curve, robust_top
from benchmarks.charts._page import clip_to, fit_name, width_px, wrapped
from benchmarks.charts._style import FAMILIES, LIGHT, SPARE_COLOURS, family_rank, look
from benchmarks.nouns import variant_of


def test_known_models_wear_their_familys_colour() -> None:
    wearing = {family.name: family.colour for family in FAMILIES}
    assert look("thread_pool", LIGHT).colour == look("thread_per_connection", LIGHT).colour == wearing["threads"].lower()
    assert look("prefork_epoll", LIGHT).colour == wearing["processes"].lower()
    assert look("poll_loop", LIGHT).colour == wearing["readiness loops"].lower()
    assert look("gevent_prefork", LIGHT).colour == wearing["greenlets"].lower()
    assert look("trio_nursery", LIGHT).colour == wearing["other runtimes"].lower()
    members = [look(name, LIGHT) for name in ("epoll_loop", "select_loop", "poll_loop")]
    assert len({(member.marker, str(member.dash)) for member in members}) == 3


def test_a_variant_looks_like_its_model_but_for_the_marker() -> None:
    for name in ("epoll_loop", "my_own_model"):
        one, other = look(name, LIGHT), look(variant_of(name, "32 workers"), LIGHT)
        assert other.marker != one.marker
        assert replace(other, marker=one.marker) == one
        assert family_rank(name)[:2] == family_rank(variant_of(name, "32 workers"))[:2]


def test_a_strangers_colour_depends_on_its_name_alone() -> None:
    stranger = look("my_own_model", LIGHT)
    assert stranger.colour in {colour.lower() for colour in SPARE_COLOURS}
    assert stranger == look("my_own_model", LIGHT)
    assert len({look(f"model_{i}", LIGHT).colour for i in range(40)}) == len(SPARE_COLOURS)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (6.25, "6.25"), (480.2, "480"), (1_000, "1k"), (20_000, "20k"), (25_600, "25.6k"), (2e6, "2M")],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert _words.short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 µs"), (850, "850 ns"), (999_700, "1 ms"), (85_400, "85.4 µs"), (1_300_000, "1.3 ms"), (2.1e9, "2.1 s")],
)
def test_times_in_words(value: float, text: str) -> None:
    assert _words.time(value) == text


def test_lists_and_names_in_words() -> None:
    assert _words.listing([]) == ""
    assert _words.listing(["a"]) == "a"
    assert _words.listing(["a", "b"]) == "a and b"
    assert _words.listing(["a", "b", "c"]) == "a, b and c"
    assert _words.listing(["a", "b", "c", "d"]) == "a, b and 2 others"
    assert len(_words.clipped("x" * 100)) == 24
    assert _words.clipped("one_model_of_mine_number_1") != _words.clipped("one_model_of_mine_number_2")


@pytest.mark.parametrize(("low", "high"), [(1e5, 1e9), (2.1e6, 2.3e6), (1.0, 4096.0), (980.0, 1020.0)])
def test_log_ticks_are_few_and_round(low: float, high: float) -> None:
    ticks = _scales.log_ticks(low, high)
    assert all(low <= tick <= high for tick in ticks)
    assert len(ticks) <= 8


def test_text_is_cut_to_its_width() -> None:
    long = "the quick brown fox jumps over the lazy dog"
    assert width_px(clip_to(long, 11, 120), 11) <= 120
    assert clip_to("short", 11, 120) == "short"
    lines = wrapped(long, 11, 150, most_lines=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert " ".join(wrapped(long, 11, 150, most_lines=9)) == long


def test_a_name_that_must_be_narrow_keeps_both_ends() -> None:
    name = fit_name("my_epoll_loop_with_a_long_name_2", 11, 120)
    assert width_px(name, 11) <= 120
    assert name.startswith("my_")
    assert name.endswith("_2")
    assert fit_name("prefork", 11, 120) == "prefork"


def test_a_curve_far_above_all_others_leaves_the_axis():
    curves = {name: Curve([0, 1], [1.0, top]) for name, top in (("a", 2.0), ("b", 3.0), ("c", 100.0))}
    assert robust_top(curves) == 3.0
    assert robust_top({**curves, "d": Curve([0], [90.0])}) == 100.0
    assert robust_top({}) == 1.0


def test_memory_ticks_are_powers_of_two():
    ticks = _scales.binary_ticks([3 << 20, 500 << 20])
    assert [_words.size(tick) for tick in ticks] == ["2 MiB", "8 MiB", "32 MiB", "128 MiB", "512 MiB"]
