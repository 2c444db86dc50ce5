"""What a person reads: amounts, sheets, the terminal at any width, the page, the JSON."""

from dataclasses import replace

import factories
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks import amounts, report
from benchmarks.open_sheets import open_sheet
from benchmarks.sheets import Sheet, shared_rank, sheet
from benchmarks.summaries import Capacity, Estimate, Finding, Knee, Quantile, RunSummary
from benchmarks.validity import check_run


def sheet_of(scenario: str, summary: RunSummary | None = None) -> Sheet:
    summary = summary or factories.summary()
    return sheet(summary, next(s for s in summary.scenarios if s.scenario == scenario))


def word(made: Sheet, model: str, title: str) -> str:
    at = [column.title for column in made.columns].index(title)
    return next(row.words[at] for row in made.rows if row.words[1].split()[0] == model)


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
        (amounts.margin(Estimate(100.0, 98.0, 103.0, [])), "±3.0%"),
        (amounts.margin(Estimate(100.0, None, None, [])), ""),
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


# ---------------------------------------------------------------- sheets


def test_ranks_as_in_sports():
    assert [shared_rank(rank, [1, 2, 2, None]) for rank in (1, 2, None)] == ["1", "2=", "–"]


def test_a_sheet_says_who_stands_where():
    made = sheet_of("hello")
    assert [row.words[0] for row in made.rows] == ["1", "2=", "2=", "4", "5=", "5=", "7", "8"]
    assert word(made, "epoll_loop", "peak") == "96.8k/s ±2.0%"
    assert word(made, "epoll_loop", "of the best") == "best"
    assert word(made, "asyncio_protocol", "of the best") == "0.89 (0.88–0.91)"
    assert word(made, "epoll_loop", "p99 at 20.0k/s").endswith("µs (1)")


def test_every_row_has_a_word_for_every_column():
    for scenario in factories.summary().scenarios:
        made = sheet_of(scenario.scenario)
        assert {len(row.words) for row in made.rows} == {len(made.columns)}
        assert len(made.rows) == len(factories.MODELS)


def test_each_raised_number_has_its_note():
    for scenario in factories.summary().scenarios:
        made = sheet_of(scenario.scenario)
        raised = {sign for row in made.rows for sign in row.words[1].split()[1:]}
        assert raised == {note.said.split()[0] for note in made.notes if not note.said.startswith("Insufficient")}


def test_a_note_says_what_was_seen_of_each_model_why_it_matters_and_what_to_do():
    (note,) = [note for note in sheet_of("hello").notes if "slots from 64" in note.said]
    assert "64 connections, 16 slots (prefork); 64 connections, 32 slots (thread_pool)." in note.said
    assert "wait to be accepted" in note.explained
    assert "--workers" in note.explained


def test_a_missing_percentile_says_why():
    made = sheet_of("cpu")
    assert word(made, "epoll_loop", "p99 at half peak") == "insufficient"
    assert "318 samples, p99 wants 367" in made.notes[-1].said


def test_an_overloaded_model_has_no_latency_at_the_common_rate():
    assert word(sheet_of("wait"), "prefork", "p99 at 2.00k/s") == "overloaded"


def test_a_failed_model_says_so_and_why():
    made = sheet_of("cpu")
    assert word(made, "gevent_greenlets", "peak") == "failed"
    assert any("no ready line within 10 s" in note.said for note in made.notes)


def test_a_knee_is_a_rate_and_a_level_and_lower_bounds_are_called_so():
    made = factories.summary()
    hello = made.scenarios[0]
    assert word(sheet_of("hello"), "epoll_loop", "knee").endswith("k/s, 50%")
    at_most = replace(hello.standings[0], knee=Knee("open 25%", 24_000.0, lowest=True))
    without = replace(hello.standings[1], knee=None)
    shown = sheet(made, replace(hello, standings=[at_most, without]))
    assert word(shown, at_most.model, "knee") == "≤ 24.0k/s, 25%"
    assert word(shown, without.model, "knee") == "–"


@pytest.mark.parametrize(
    ("capacity", "said", "noted"),
    [
        (Capacity("p99<=20ms", Estimate(8e4, 7.8e4, 8.2e4, []), 7.9e4, 8.1e4), "80.0k/s ±2.5%", None),
        (Capacity("p99<=20ms", None, 9e4, None, "met at 90.0k/s, the highest that was tried"), "≥ 90.0k/s", "highest"),
        (Capacity("p99<=20ms", None, None, 50.0, "cannot meet it (p99 was 31 ms at 50/s)"), "cannot meet it", "31 ms at 50/s"),
        (Capacity("p99<=20ms", None, None, None, "can't tell at 900/s: errors"), "can't tell", "can't tell at 900/s"),
        (None, "–", None),
    ],
)
def test_a_capacity_is_told_or_the_reason_why_not(capacity, said, noted):
    made = replace(factories.summary(), objective="p99<=20ms")
    hello = made.scenarios[0]
    searched = replace(hello, standings=[replace(hello.standings[0], capacity=capacity)])
    shown = sheet(made, searched)
    assert word(shown, "epoll_loop", "capacity at p99<=20ms") == said
    notes = [note.said for note in shown.notes if note.said.startswith("Capacity of epoll_loop")]
    assert (noted is None and not notes) or noted in notes[0]


def test_the_open_table_has_every_level_with_what_was_seen_there():
    made = factories.summary()
    opened = open_sheet(made, made.scenarios[0])
    titles = [column.title for column in opened.columns]
    rows = [dict(zip(titles, row.words, strict=True)) for row in opened.rows if row.words[0] == "epoll_loop"]
    assert [row["level"] for row in rows] == ["20000/s", "25%", "50%, knee", "75%", "90%", "100%", "110%"]
    assert rows[-1]["response p99"].lstrip("≥ ").endswith("ms")
    assert rows[0]["response p99"].endswith("µs")
    assert all(row["send lag p99"] != "–" for row in rows)
    assert any("110%" in note.said and "served of" in note.said for note in opened.notes)


def test_a_struck_level_is_struck_out_in_the_open_table_and_says_why():
    made = factories.summary()
    finding = Finding("bookkeeping", "strike", "90% of the time accounted for", "numbers contradict", "report it")
    cells = [
        replace(cell, findings=[finding])
        if (cell.model, cell.scenario, cell.level.label) == ("epoll_loop", "hello", "open 50%")
        else cell
        for cell in made.cells
    ]
    page = report.as_markdown(replace(made, cells=cells))
    (line,) = [line for line in page.splitlines() if line.startswith("| epoll\\_loop | 50%") and "~~" in line]
    assert line.count("~~") == 2 * 7  # served, four response times, service, send lag
    assert "Struck, bookkeeping: 90% of the time accounted for (epoll\\_loop at 50%)." in page


# ---------------------------------------------------------------- the terminal


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_report_fits_its_width_and_loses_no_model(width):
    text = report.as_text(factories.summary(), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for scenario in factories.summary().scenarios:
        for placed in scenario.standings:
            assert text.count(f" {placed.model} ") >= 3


@pytest.mark.parametrize("width", [80, 160])
def test_rank_model_peak_and_ratio_are_never_left_out(width):
    made = sheet_of("wait")
    shown = report.fitting([made, sheet_of("hello")], width)
    titles = [column.title for column in made.columns if column.spare in shown]
    assert titles[:4] == ["#", "model", "peak", "of the best"]
    assert (len(titles) == len(made.columns)) == (width == 160)


def test_without_a_terminal_there_is_no_colour_and_in_one_there_is():
    for terminal in (False, True):
        console = Console(force_terminal=terminal, width=120, color_system="truecolor" if terminal else None)
        with console.capture() as captured:
            report.show(factories.summary(), console)
        assert ("\x1b[" in captured.get()) == terminal


def test_what_was_explained_once_is_not_explained_again():
    text = report.as_text(factories.summary(), 160)
    assert text.count("Connections beyond the slots wait") == 1
    assert text.count("More connections than slots from 64") == 3


def test_the_small_print_says_how_much_was_done_and_how_sure_it_is():
    text = " ".join(report.as_text(factories.summary(), 160).split())
    assert "89 visits, 4 failed, 1 made again." in text
    assert "1.6% in hello" in text
    assert "95% intervals" in text
    assert factories.summary().conditions in text


def test_findings_about_the_run_are_printed():
    shared = replace(factories.summary(), findings=check_run(factories.options(driver_cpus=(0,))))
    assert "! shared core: the server and the load engine ran on the same core" in report.as_text(shared, 160)


@pytest.mark.parametrize(("share", "drawn"), [(1.0, "█" * 12), (0.5, "█" * 6), (0.0, ""), (0.001, "▏"), (7.0, "█" * 12)])
def test_bars(share, drawn):
    assert report.bar(share) == drawn


# ---------------------------------------------------------------- files


def test_the_page_has_whole_tables_and_no_accidental_markup():
    page = report.as_markdown(factories.summary())
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    tables = tables[1:]  # the first is of all scenarios
    of_models, of_levels = tables[::2], tables[1::2]
    assert [len(table) for table in of_models] == [2 + 8] * 3
    assert {line.count(" | ") for table in of_models for line in table} == {len(sheet_of("hello").columns) - 1}
    assert [len(table) for table in of_levels] == [2 + 8 * 7, 2 + 8 * 7, 2 + 7 * 7]  # one failed in cpu
    assert len({line.count(" | ") for table in of_levels for line in table}) == 1
    assert "**epoll\\_loop**" in page
    assert "epoll_loop" not in page.replace("epoll\\_loop", "")


def test_struck_numbers_are_struck_out_in_the_page():
    made = factories.summary()
    hello = made.scenarios[0]
    best = replace(hello.standings[0], struck="engine saturated: 91%", rank=None)
    page = report.as_markdown(replace(made, scenarios=[replace(hello, standings=[best, *hello.standings[1:]])]))
    assert "~~96.8k/s ±2.0%~~" in page
    assert "Struck: engine saturated" in page


def test_the_json_is_the_summary():
    assert msgspec.json.decode(report.as_json(factories.summary()), type=RunSummary) == factories.summary()
