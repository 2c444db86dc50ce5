"""What came of the suite, in words, tables and a picture: from imagined reports, without a server."""

from dataclasses import replace

import pytest
from rich.console import Console
from test_plot import boxes, touching

from benchmarks.charts import rules
from benchmarks.charts._style import DARK, LIGHT
from benchmarks.conformance import told
from benchmarks.conformance.rule import Outcome, Report
from benchmarks.conformance.rules import PARTS

ALL = [rule for part in PARTS.values() for rule in part]
MUSTS = [rule.name for rule in ALL if rule.strength == "must"]
OURS = [rule.name for rule in ALL if rule.strength == "ours"]


def report(name: str = "epoll_loop", broken: tuple[str, ...] = (), unfit: tuple[str, ...] = (), **more: object) -> Report:
    """A report of all parts with these rules broken."""

    def outcome(rule):
        verdict = "broken" if rule.name in broken else "unfit" if rule.name in unfit else "kept"
        found = ("answered 200, not 400", r"GET / HTTP/1.1\r\n\r\n", r"HTTP/1.1 200 OK\r\n\r\n") if rule.name in broken else ()
        return Outcome(rule.name, verdict, rule.strength, rule.says, rule.source, *found)

    made = Report(name, list(PARTS), [outcome(rule) for rule in ALL], 1.0)
    return replace(made, **more)


def shown(*reports: Report, width: int = 100) -> str:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as captured:
        for one in reports:
            told.show(console, one)
        told.show_table(console, list(reports))
    return captured.get()


def test_a_broken_rule_is_a_block_with_its_bytes_a_line_of_the_wire_each():
    out = shown(report(broken=(MUSTS[0],)))
    assert f"✗         {MUSTS[0]}" in out
    assert "answered 200, not 400" in out
    assert "sent      GET / HTTP/1.1\\r\\n" in out
    assert out.count("✗") == 1


def test_musts_come_before_promises():
    out = shown(report(broken=(OURS[0], MUSTS[0])))
    assert out.index(MUSTS[0]) < out.index(OURS[0])


def test_counts_leave_out_what_cannot_be_asked():
    one = report(broken=(MUSTS[0],), unfit=(MUSTS[1], OURS[0]))
    counts = [told.count(one, part) for part in PARTS]
    assert sum(kept for kept, _ in counts) == len(ALL) - 3
    assert sum(asked for _, asked in counts) == len(ALL) - 2
    assert "2 not for it" in shown(one)


def test_long_bytes_are_cut_and_said_to_be():
    assert told.wire_lines("x" * 5000).endswith(" … (5000 in all)")


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_is_wide_enough(width):
    out = shown(report("m" * 24, broken=tuple(MUSTS[:3])), report("nginx"), width=width)
    assert max(map(len, out.splitlines())) <= width


def test_the_page_has_every_rule_and_says_how_it_was_made():
    page = told.as_markdown([report(), report("nginx", broken=(MUSTS[0], OURS[0]), ours=False)], "servebench check --peers")
    assert "servebench check --peers" in page
    assert all(f"| `{rule.name}`: " in page for rule in ALL)
    row = next(line for line in page.splitlines() if line.startswith(f"| `{MUSTS[0]}`: "))
    assert row.endswith("| ✓ | ✗ |")
    details = page.partition("## What nginx breaks")[2]
    assert MUSTS[0] in details
    assert OURS[0] not in details  # no fault of nginx's


# ---------------------------------------------------------------- the picture


@pytest.mark.parametrize(
    ("reports", "answer"),
    [
        ([report()], f"epoll_loop keeps all {len(ALL)} rules"),
        ([report(), report("prefork")], f"All 2 models keep all {len(ALL)} rules"),
        (
            [report(), report("prefork"), report("nginx", tuple(MUSTS[:2]), ours=False), report("waitress", ours=False)],
            f"All 2 models keep all {len(ALL)} rules, as does waitress; musts that are broken: nginx 2",
        ),
        ([report(broken=(MUSTS[0],)), report("prefork")], f"prefork keeps all {len(ALL)} rules; musts that are broken:"),
        ([report(broken=(OURS[0],))], "Nobody keeps all of the rules; musts that are broken: epoll_loop 0"),
    ],
)
def test_the_answer_is_computed(reports, answer):
    assert rules.answer(reports).startswith(answer)


MANY = [
    *(report(name) for name in ("epoll_loop", "thread_per_connection", "m" * 60)),
    *(report(f"peer_{n}", tuple(MUSTS[n::7]) + tuple(OURS[n::3]), tuple(MUSTS[3:5]), ours=False) for n in range(14)),
]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("reports", [[report()], MANY[:4], MANY], ids=["one", "four", "seventeen"])
def test_the_picture_is_within_its_page_and_no_words_overlap(reports, theme):
    found = boxes(rules.draw(reports, "conditions", theme))
    assert all(box.x0 >= 0 and box.x1 <= 1600 and box.y0 >= 0 and box.y1 <= 900 for _, box in found)
    assert touching(found) == []


def test_the_picture_of_nothing_says_so():
    figure = rules.draw([Report("epoll_loop", [], [], 0.0)], "conditions", LIGHT)
    assert any("No rule was asked" in text.get_text() for text in figure.texts)


def test_every_mark_has_the_colour_of_its_kind():
    one = report(broken=(MUSTS[0], OURS[0]), unfit=(MUSTS[1],))
    places, topics = rules._places([one])
    assert len(places) == len(set(places.values())) == len(ALL)
    assert {topic for _, topic, _, _ in topics} >= {"heads", "chunks"}
    runs = rules._runs(one, places)
    assert list(runs) == [rules.KEPT, rules.MUST, rules.OURS, rules.UNFIT]
    assert sum(round(width) for _, width in runs[rules.KEPT]) == len(ALL) - 3
