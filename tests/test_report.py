"""What a person reads: amounts, sheets, the screen at the end of a run, the page, the JSON."""

import re
from dataclasses import replace

import factories
import msgspec
import pytest
import reported
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks import amounts, report
from benchmarks.lines import aligned, wrapped
from benchmarks.open_sheets import open_sheet
from benchmarks.overview_sheets import matrix_sheet, prediction_sheet
from benchmarks.pair_words import Calls, counted, runs_of_equals
from benchmarks.questions import Level
from benchmarks.quoting import rows
from benchmarks.remarks import remarks
from benchmarks.sheets import Sheet, shared_rank, sheet
from benchmarks.summaries import (
    Agreement,
    Capacity,
    Estimate,
    Finding,
    Judged,
    Knee,
    PairCounts,
    Quantile,
    RunSummary,
    ScenarioSummary,
)
from benchmarks.terminal import HEIGHT, RESERVED, fit


def word(made: Sheet, model: str, title: str) -> str:
    at = [column.title for column in made.columns].index(title)
    return next(row.words[at] for row in made.rows if row.words[1].split()[0] == model)


def screen(summary: RunSummary, width: int = 80) -> list[str]:
    return report.as_text(summary, width).splitlines()


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (amounts.rate(98_412.3), "98.4k/s"),
        (amounts.rate(999.7), "1.00k/s"),
        (amounts.rate(479), "479/s"),
        (amounts.rate(0.0), "0/s"),
        (amounts.duration(1_250_000), "1.25 ms"),
        (amounts.duration(999_900), "1.00 ms"),
        (amounts.duration(850), "850 ns"),
        (amounts.duration(0), "0"),
        (amounts.size(31_457_280), "30.0 MiB"),
        (amounts.percent(0.0123), "1.2%"),
        (amounts.percent(0.00031), "0.031%"),
        (amounts.times(1.312), "1.31×"),
        (amounts.digits(9.996), "10.0"),
        (amounts.digits(1_999_999), "2000000"),
        (amounts.ratio(0.826), "0.83"),
        (amounts.ratio(0.0243), "0.024"),
        (amounts.ratio(12.34), "12.3"),
        (amounts.plain(12_345.0), "12,345"),
        (amounts.margin(Estimate(100.0, 98.0, 103.0, [])), "±3.0%"),
        (amounts.margin(Estimate(100.0, None, None, [])), ""),
        (amounts.within(Estimate(0.83, 0.81, 0.85)), "0.83 ±2.4%"),
        (amounts.between(Estimate(0.83, 0.81, 0.85)), "0.83 (0.81–0.85)"),
        (amounts.between(Estimate(0.83, None, None)), "0.83"),
        (amounts.ranged(Estimate(98_412.0, 95_000.0, 99_000.0), "rate"), "98.4k/s"),
        (amounts.ranged(Estimate(98_412.0, 91_200.0, 104_000.0), "rate"), "98.4k/s (91.2–104)"),
        (amounts.ranged(Estimate(1.2e6, 0.9e6, 1.3e6), "time"), "1.20 ms (0.900–1.30)"),
        (amounts.ranged(Estimate(98_412.0, None, None), "rate"), "98.4k/s"),
        (amounts.span(10_200.0, 13_300.0, "time"), "10.2–13.3 µs"),
        (amounts.span(10_200.0, 10_300.0, "time"), "10.3 µs"),
        (amounts.latency(Quantile(0.99, "ok", 1_250_000, 1.0, 2.0)), "1.25 ms"),
        (amounts.latency(Quantile(0.99, "at least", 2e8, 1.0, None)), "≥ 200 ms"),
        (amounts.latency(Quantile(0.99, "insufficient", None, None, None, "3 samples")), "insufficient"),
        (amounts.latency(None), "–"),
    ],
)
def test_amounts(made, said):
    assert made == said


@given(st.floats(1e-3, 1e11))
def test_an_amount_has_three_digits_and_is_right_to_half_of_the_last(value):
    said = amounts.scaled(value, ((1e6, "M"), (1e3, "k"), (1.0, "")))
    unit = {"M": 1e6, "k": 1e3}.get(said[-1], 1.0)
    assert float(said.rstrip("kM")) * unit == pytest.approx(value, rel=0.00501)
    assert "e" not in said


# ---------------------------------------------------------------- lines


@given(st.lists(st.sampled_from(["waits", "98.4k/s", "1.25 ms", "0.83 ±2%", "1,234;", "closed:", "thread_pool"]), min_size=1))
def test_a_number_and_its_unit_stay_together_and_what_is_left_out_is_a_sign(words):
    said = " ".join(words)
    whole, short = wrapped(said, 24), wrapped(said, 24, 2, "  ")
    assert " ".join(whole) == said
    assert max(map(len, [*whole, *short])) <= 24
    assert len(short) <= 2
    assert (short[-1].endswith("…")) == (len(wrapped(said, 24, indent="  ")) > 2)
    for line in [*whole, *short]:
        assert not re.search(r"1\.25( …)?$|0\.83( …)?$", line)


def test_columns_are_as_wide_as_their_widest_word():
    assert aligned([["a", "10"], ["bcd", "1"]], [False, True]) == ["a    10", "bcd   1"]


def test_blocks_are_shortened_the_longest_first_until_they_fit():
    blocks = [[list("aaaa"), list("aa")], [list("bbb"), list("b")]]
    assert fit(blocks, 7) == list("aaaabbb")
    assert fit(blocks, 6) == list("aabbb")
    assert fit(blocks, 3) == list("aab")
    assert fit(blocks, 2) is None


# ---------------------------------------------------------------- pairs


def called(**calls: str) -> ScenarioSummary:
    """A scenario of the models a to d, pairs called like "ab": "same"."""
    made = reported.question("hello", "?", reported.RATE, [1.0] * 4, 1e5, 0.02)
    standings = [replace(one, model=name) for one, name in zip(made.standings, "abcd", strict=True)]
    pairs = [replace(made.pair_list[0], one=pair[0], other=pair[1], call=call) for pair, call in calls.items()]
    return replace(made, standings=standings, pair_list=pairs)


def test_groups_hold_every_such_pair_and_no_other():
    calls = Calls.of(called(ab="same", bc="same", ca="same", cd="same", ad="open"))
    assert calls.groups("same", "abcd") == [["a", "b", "c"], ["c", "d"]]
    assert calls.groups("open", "abcd") == [["a", "d"]]
    assert calls.groups("different", "abcd") == []


def test_models_share_a_row_only_if_all_of_them_are_the_same():
    made = called(ab="same", bc="same", ac="open", cd="same")
    assert [[one.model for one in run] for run in runs_of_equals(made.standings, Calls.of(made))] == [["a", "b"], ["c", "d"]]


def test_pairs_are_counted_in_a_sentence():
    assert counted(PairCounts(120, 103, 12, 5), 0.03) == "103 of 120 pairs differ, 12 are the same within 3%, 5 are open"
    assert counted(PairCounts(1, 0, 1, 0), 0.1) == "0 of 1 pair differs, 1 is the same within 10%, 0 are open"


# ---------------------------------------------------------------- sheets


def test_ranks_as_in_sports():
    assert [shared_rank(rank, [1, 2, 2, None]) for rank in (1, 2, None)] == ["1", "2=", "–"]


def test_a_sheet_says_who_stands_where():
    made = reported.quick()
    shown = sheet(made, made.scenarios[0])
    assert [row.words[0] for row in shown.rows[:6]] == ["1", "2=", "2=", "2=", "5=", "5="]
    assert word(shown, "epoll_loop", "peak") == "93.5k/s"
    assert word(shown, "asyncio_uvloop", "ratio to the best") == "best"
    assert word(shown, "epoll_loop", "ratio to the best") == "0.95 (0.93–0.97)"
    assert word(shown, "epoll_loop", "CPU per request") == "11.2 µs"
    assert {len(row.words) for row in shown.rows} == {len(shown.columns)}


def test_notes_say_which_pairs_are_the_same_or_open_and_how_precise_it_is():
    made = reported.quick()
    notes = sheet(made, made.scenarios[0]).notes
    assert "By peak, 114 of 120 pairs differ, 5 are the same within 3%, 1 is open." in notes
    (same,) = [note for note in notes if note.startswith("The same within 3%")]
    assert "epoll_loop = poll_loop" in same
    assert any(note.startswith("Open, each with each: ") for note in notes)
    assert any("A/A arm's ratio is 1.01 (0.99–1.03)" in note for note in notes)
    said = replace(made.scenarios[0], verdict="114 of 120 pairs differ, 5 are the same within 3%, 1 is open.")
    assert not any("114 of 120" in note for note in sheet(made, said).notes)


def test_models_without_a_number_say_why():
    made = reported.quick(worst=True)
    shown = sheet(made, made.scenarios[0])
    assert word(shown, "trio_nursery", "peak") == "failed"
    assert "Failed, trio_nursery: no ready line within 10 s." in shown.notes
    assert "* thread_pool, prefork_threads: above the concurrency limit from 64." in shown.notes
    assert [row.words[1] for row in shown.rows if row.invalid] == ["prefork"]


def test_a_knee_is_a_rate_and_a_level_and_lower_bounds_are_called_so():
    made = reported.quick()
    standings = made.scenarios[0].standings
    knees = [Knee("open 50%", 47_800.0, lowest=False), Knee("open 25%", 24_000.0, lowest=True), None]
    known = [replace(one, knee=knee) for one, knee in zip(standings, knees, strict=False)]
    shown = sheet(made, replace(made.scenarios[0], standings=known))
    assert [word(shown, one.model, "knee") for one in known] == ["47.8k/s, 50%", "≤ 24.0k/s, 25%", "–"]


@pytest.mark.parametrize(
    ("capacity", "said", "noted"),
    [
        (Capacity("p99<=20ms", Estimate(8e4, 7.8e4, 8.2e4, []), 7.9e4, 8.1e4), "80.0k/s", None),
        (Capacity("p99<=20ms", None, 9e4, None, "met at 90.0k/s, the highest that was tried"), "≥ 90.0k/s", "highest"),
        (Capacity("p99<=20ms", None, None, 50.0, "cannot meet it (p99 was 31 ms at 50/s)"), "cannot meet it", "31 ms at 50/s"),
        (Capacity("p99<=20ms", None, None, None, "can't tell at 900/s: errors"), "can't tell", "can't tell at 900/s"),
        (None, "–", None),
    ],
)
def test_a_capacity_is_told_or_the_reason_why_not(capacity, said, noted):
    made = replace(reported.quick(), objective="p99<=20ms")
    hello = made.scenarios[0]
    searched = replace(hello, standings=[replace(hello.standings[0], capacity=capacity)])
    shown = sheet(made, searched)
    assert word(shown, "asyncio_uvloop", "capacity at p99<=20ms") == said
    notes = [note for note in shown.notes if note.startswith("Capacity at p99<=20ms, asyncio_uvloop")]
    assert (noted is None and not notes) or noted in notes[0]
    assert any(said in line for line in screen(replace(made, scenarios=[searched])))


def test_the_open_table_has_every_level_least_offered_first():
    made = reported.quick()
    hello = replace(made.scenarios[0], standings=[replace(made.scenarios[0].standings[0], knee=Knee("open 50%", 1.0, False))])
    cells = [
        factories.cell("asyncio_uvloop", level=level, offered_per_s=offered, rank=rank, ranked_by="p99" if rank else "")
        for level, offered, rank in (
            (Level("open", 64, share=0.5), 49_000.0, None),
            (Level("open", 64, rate_per_s=5000.0), 5000.0, 1),
            (Level("closed", 64), None, None),
        )
    ]
    opened = open_sheet(replace(made, cells=cells), hello)
    assert [row.words[1] for row in opened.rows] == ["5000/s", "50%, knee"]
    assert [row.words[-1] for row in opened.rows] == ["1 by p99", "–"]
    assert [row.words[6] for row in opened.rows] == ["1.40 ms", "1.40 ms"]


def test_the_matrix_has_the_best_value_of_each_column_at_its_end():
    shown = matrix_sheet(reported.quick())
    assert shown.rows[-1].words == ("best", "98.4k/s", "25.3k/s", "1.20 ms")
    assert len(shown.rows) == 17
    assert sheet(reported.quick(), reported.quick().scenarios[2]).columns[2].title == "p90 of hello beside work"


def judged(agreement: Agreement, why: str = "") -> Judged:
    estimate = Estimate(0.2, 0.1, 0.3)
    return Judged("loops", "epoll_loop", "No switch.", "epoll(7)", "switches", "count", None, 0.1, estimate, agreement, why)


def test_predictions_are_counted_and_each_is_shown_with_its_bounds():
    made = reported.quick()
    hello = replace(made.scenarios[0], predictions=[judged("agrees"), judged("disagrees"), judged("open", "it crosses 0.1")])
    shown = prediction_sheet(replace(made, scenarios=[hello]))
    assert shown.verdict == "3 predictions: 1 agrees, 1 disagrees, 1 open."
    assert shown.rows[2].words[5:8] == ("at most 0.100", "0.200 ±50%", "open: it crosses 0.1")


# ---------------------------------------------------------------- remarks


def test_remarks_come_once_for_each_check_the_gravest_first():
    found = remarks(reported.quick(worst=True))
    assert [one.check for one in found[7:]] == ["engine saturated", "above the concurrency limit"]
    assert found[7].short == "engine saturated (invalid): 3 cells of prefork in hello, wait, mixed"
    assert found[8].short == "above the concurrency limit: 6 cells of thread_pool, prefork_threads in hello, wait, mixed"


def test_a_warning_without_a_finding_is_a_remark_and_those_that_differ_in_numbers_are_one():
    made = reported.quick()
    warned = [replace(one, warnings=[f"{at + 1} of 5 trials failed"]) for at, one in enumerate(made.scenarios[0].standings[:2])]
    (found,) = remarks(replace(made, scenarios=[replace(made.scenarios[0], standings=warned)]))
    assert found.short == "1 of 5 trials failed: 2 cells of asyncio_uvloop, epoll_loop in hello"
    (found,) = remarks(replace(made, scenarios=[replace(made.scenarios[0], standings=warned[:1])]))
    assert found.short == "1 of 5 trials failed: asyncio_uvloop in hello"
    lost = [replace(one, failed="no ready line") for one in warned]
    assert remarks(replace(made, scenarios=[replace(made.scenarios[0], standings=lost)])) == []


def test_infos_are_in_the_page_alone():
    info = Finding("stalls", "info", "the load engine stood still for 0.1% of the time", "why", "what to do")
    made = replace(reported.quick(), cells=[replace(factories.cell("prefork"), findings=[info])])
    assert "stalls" not in report.as_text(made)
    assert "stalls (info): Why. What to do. hello: prefork at closed 64 (the load engine stood" in report.as_markdown(made)


# ---------------------------------------------------------------- the screen


@pytest.mark.parametrize("made", [reported.quick(), reported.quick(worst=True), reported.many(), reported.many(33)])
@pytest.mark.parametrize("width", [80, 100])
def test_a_run_fits_sixty_lines_and_no_line_is_wider_than_the_terminal(made, width):
    lines = screen(made, width)
    assert len(lines) <= HEIGHT - RESERVED
    assert max(map(len, lines)) <= width
    assert any("trials, " in line for line in lines)


@pytest.mark.parametrize("worst", [False, True])
def test_the_quick_run_has_each_model_with_its_ratio_in_each_question(worst):
    made = reported.quick(worst)
    text = report.as_text(made)
    for scenario in made.scenarios:
        block = text[text.index(f"{scenario.scenario}  ") :].partition("→")[0]
        assert scenario.question in block
        for standing in scenario.standings:
            assert re.search(rf"\b{standing.model}\b", block)
    assert "→ asyncio_uvloop is best: 1.05× epoll_loop (1.03–1.07)." in text
    assert "may not show" not in text
    assert "–   trio_nursery: failed: no ready line within 10 s" in text or not worst


def test_models_that_are_the_same_share_a_row_where_room_is_scarce():
    assert any(line.startswith(" 2=   epoll_loop ≈ poll_loop ") for line in screen(reported.quick()))
    alone = screen(reported.run(reported.quick().scenarios[:1]))
    assert " 2= ≈ poll_loop              92.5k/s  0.94 ±1.7%      12.2 µs" in alone
    assert sum("µs" in line for line in alone) == 16


def test_values_and_ratios_of_a_row_agree():
    for scenario, best in (("hello", 98.412), ("wait", 25.311)):
        made = next(one for one in reported.quick().scenarios if one.scenario == scenario)
        found = [re.search(r"([\d.]+)k/s  ([\d.]+) ±", line) for line in screen(reported.run([made]))]
        seen = [(float(one[1]), float(one[2])) for one in found if one]
        assert len(seen) == 15
        assert all(value / best == pytest.approx(ratio, abs=0.006) for value, ratio in seen)


def test_many_questions_get_a_matrix_and_a_line_each():
    lines = screen(reported.many())
    assert any(re.fullmatch(r"epoll_loop +[0-9=]{30}", line) for line in lines)
    assert any(re.fullmatch(r"trio_nursery +F{30}", line) for line in lines)
    assert any(re.search(r"^ 2 +question-1-of-30 +asyncio_uvloop +100 µs +1.20 ±2.0% +120/120$", line) for line in lines)
    assert not any("more questions" in line for line in lines)
    some = screen(reported.many(60))
    assert len(some) <= HEIGHT - RESERVED
    assert any("more questions in summary.md" in line for line in some)


def test_few_columns_of_the_matrix_have_two_digits():
    lines = screen(
        reported.run([replace(one, scenario=f"{one.scenario}-{at}") for at in range(4) for one in reported.quick().scenarios])
    )
    assert any(re.fullmatch(r"epoll_loop( +(95|99|96|=)){12}", line) for line in lines)


def test_remarks_take_six_lines_at_most_and_the_rest_is_in_the_page():
    lines = screen(reported.troubled(reported.run(reported.quick().scenarios[:1])))
    told = [line for line in lines if line.startswith("! ")]
    assert len(told) == 7
    assert told[-1] == "! 3 more in summary.md"


def test_without_a_terminal_there_is_no_colour_and_in_one_there_is():
    for terminal in (False, True):
        console = Console(force_terminal=terminal, width=80, color_system="truecolor" if terminal else None)
        with console.capture() as captured:
            report.show(reported.quick(), console)
        assert ("\x1b[" in captured.get()) == terminal
        assert len(captured.get().splitlines()) <= HEIGHT - RESERVED


def test_one_model_alone_has_its_value():
    alone = reported.question("hello", "What does one request cost?", reported.RATE, [1.0], 98_412.0, 0.02)
    lonely = [replace(alone.standings[0], rank=None, ratio=None)]
    made = reported.run([replace(alone, standings=lonely, verdict="asyncio_uvloop serves 98.4k/s.")])
    assert "  –   asyncio_uvloop  98.4k/s  –          10.2 µs" in screen(made)
    assert "pairs" not in report.as_text(made)


def test_the_full_report_has_all_tables_in_the_width():
    made = reported.quick(worst=True)
    text = report.as_text(made, 80, full=True)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) > HEIGHT
    for said in ("p99 at half", "By peak, 120 of 120", "engine saturated (invalid)", "A rank counts"):
        assert said in " ".join(text.split())


# ---------------------------------------------------------------- files


def test_the_page_has_whole_tables_and_no_accidental_markup():
    page = report.as_markdown(reported.quick())
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert [len(table) for table in tables] == [2 + 17, 2 + 16, 2 + 16, 2 + 16]
    for table in tables:
        assert len({line.count(" | ") for line in table}) == 1
    assert "**asyncio\\_uvloop**" in page
    assert "epoll_loop" not in page.replace("epoll\\_loop", "")


def test_invalid_numbers_are_struck_out_in_the_page_and_findings_are_told_once():
    page = report.as_markdown(reported.quick(worst=True))
    assert re.search(r"\| – \| prefork \| ~~33\.3k/s~~ \|", page)
    assert page.count("Give the engine another core (--driver-cpus).") == 1
    assert page.count("Give the model more workers (--workers).") == 1


def test_the_json_is_the_summary():
    assert msgspec.json.decode(report.as_json(reported.quick()), type=RunSummary) == reported.quick()


def test_rows_to_quote_have_values_ratios_and_pairs():
    said = set(rows(reported.quick()))
    assert ("hello", "epoll_loop", "peak", "93.5k/s") in said
    assert ("hello", "epoll_loop", "peak, ratio to the best", "0.95 (0.93–0.97)") in said
    assert ("hello", "all", "pairs", "114 of 120 pairs differ, 5 are the same within 3%, 1 is open") in said
