"""The picture of the suite: every server a strip, every rule a mark in it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, fit_name, width_px
from benchmarks.charts._style import Theme, look, mix
from benchmarks.charts._words import listing
from benchmarks.conformance.rule import Outcome, Report
from benchmarks.conformance.rules import TOPICS
from benchmarks.conformance.told import QUESTION

NAMES_PX, COUNTS_PX = 214.0, 190.0
HEADS_PX, KEY_PX = 46.0, 34.0
GAP_RULES, PART_GAP_RULES = 3.0, 8.0  # between topics and between parts, in widths of a rule
KEPT, MUST, SHOULD, OURS, UNFIT = "kept", "must", "should", "ours", "unfit"
KEY = {
    KEPT: "kept",
    MUST: "a must is broken",
    SHOULD: "a should is broken",
    OURS: "the standard leaves a choice, and it differs from ours",
    UNFIT: "can't be asked of it",
}

Places = Mapping[str, float]  # of each rule: where its mark begins, in widths of a rule


def draw(reports: Sequence[Report], conditions: str, theme: Theme) -> Figure:
    """Rows are servers in the order of the reports; columns are rules, by part and topic."""
    page = Page(theme, QUESTION, answer(reports), conditions)
    places, topics = _places(reports)
    if not places:
        page.text(page.body.left, page.body.top + 40, "No rule was asked.", LABEL)
        return page.figure
    strips = page.body.inset(left=NAMES_PX, top=HEADS_PX, right=COUNTS_PX, bottom=KEY_PX)
    row_px = min(strips.height / len(reports), 44.0)
    strips = Box(strips.left, strips.top, strips.width, row_px * len(reports))
    axes = page.axes(strips, floor=False)
    axes.set_xlim(0, max(places.values()) + 1)
    axes.set_ylim(strips.bottom, strips.top)
    _heads(page, axes, strips, topics)
    for report, row in zip(reports, strips.rows(len(reports)), strict=True):
        _row(page, axes, report, row, places)
    _key(page, strips)
    return page.figure


def answer(reports: Sequence[Report]) -> str:
    """Who keeps them all, and how many musts the others break."""
    whole = [report for report in reports if not report.broken]
    models = [report for report in reports if report.ours]
    rules = f"all {max((len(report.outcomes) for report in reports), default=0)} rules"
    if models and all(report in whole for report in models):
        kept = f"All {len(models)} models keep {rules}" if len(models) > 1 else f"{models[0].subject} keeps {rules}"
        whole = [report for report in whole if not report.ours]
        kept += f", as {'does' if len(whole) == 1 else 'do'} {_names(whole)}" if whole else ""
    else:
        kept = f"{_names(whole)} {'keeps' if len(whole) == 1 else 'keep'} {rules}" if whole else "Nobody keeps all of the rules"
    musts = sorted((sum(o.strength == "must" for o in report.broken), report.subject) for report in reports if report.broken)
    broken = ", ".join(f"{name} {count}" for count, name in musts)
    return f"{kept}; musts that are broken: {broken}" if broken else kept


def _names(reports: Sequence[Report]) -> str:
    return listing([report.subject for report in reports], 8)


def kind(outcome: Outcome) -> str:
    """How an outcome is drawn."""
    return outcome.strength if outcome.verdict == "broken" else outcome.verdict


def colour(of: str, theme: Theme) -> str:
    """The colour of a mark: Okabe and Ito's, kept ones pale, so that what is broken stands out."""
    base = {KEPT: "#009E73", MUST: "#D55E00", SHOULD: "#E69F00", OURS: "#56B4E9", UNFIT: theme.grid}[of]
    return mix(base, theme.paper, {KEPT: 0.62, OURS: 0.25}.get(of, 0.0))


def _places(reports: Sequence[Report]) -> tuple[Places, list[tuple[str, str, float, float]]]:
    """Where each asked rule stands, and each topic: its part and name, from where to where."""
    asked = {outcome.rule for report in reports for outcome in report.outcomes}
    places: dict[str, float] = {}
    spans = []
    x = 0.0
    for part, topics in TOPICS.items():
        for topic, rules in topics.items():
            begins = x
            for rule in rules:
                if rule.name in asked:
                    places[rule.name] = x
                    x += 1
            if x > begins:
                spans.append((part, topic, begins, x))
                x += GAP_RULES
        x += PART_GAP_RULES - GAP_RULES if spans and spans[-1][0] == part else 0
    return places, spans


def _heads(page: Page, axes: Axes, strips: Box, topics: Sequence[tuple[str, str, float, float]]) -> None:
    """Parts above topics, each over its rules."""
    scale = strips.width / (axes.get_xlim()[1] - axes.get_xlim()[0])
    for part, of_part in groupby(topics, key=lambda topic: topic[0]):
        spans = list(of_part)
        left = strips.left + spans[0][2] * scale
        page.text(left, strips.top - 28, part, HEAD, weight="bold")
        edge = 0.0
        for _, topic, begins, _ends in spans:
            x = strips.left + begins * scale
            if len(spans) > 1 and x >= edge:
                page.text(x, strips.top - 8, topic, SMALL, colour=page.theme.muted)
                edge = x + width_px(topic, SMALL) + 8


def _row(page: Page, axes: Axes, report: Report, row: Box, places: Places) -> None:
    """A server's name in its colour, its strip, and how many musts of how many it keeps."""
    middle = row.top + row.height / 2
    name = fit_name(report.subject, LABEL, NAMES_PX - 16, "bold")
    page.text(row.left - NAMES_PX, middle, name, LABEL, colour=look(report.subject, page.theme).text, weight="bold",
              vertical="center")  # fmt: skip
    for what, spans in _runs(report, places).items():
        axes.broken_barh(spans, (row.top + 2, row.height - 4), facecolors=colour(what, page.theme), linewidth=0)
    musts = [outcome for outcome in report.outcomes if outcome.strength == "must" and outcome.verdict != "unfit"]
    kept = sum(outcome.verdict == "kept" for outcome in musts)
    whole = not report.broken
    words = "keeps them all" if whole else f"{kept} of {len(musts)} musts"
    page.text(row.right + 14, middle, words, LABEL, vertical="center", weight="bold" if whole else "normal",
              colour=page.theme.ink if whole else page.theme.muted)  # fmt: skip


def _runs(report: Report, places: Places) -> dict[str, list[tuple[float, float]]]:
    """The marks of a strip by what they say, neighbours joined: (begin, width) in widths of a rule."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for what, begin, width in _joined(report, places):
        # A single broken rule among hundreds would be a hair: it is drawn a little wider than it is.
        spread = 0.6 if what in (MUST, SHOULD) else 0.0
        spans.setdefault(what, []).append((begin - spread / 2, width + spread))
    return {what: spans[what] for what in KEY if what in spans}  # broken ones are drawn over the kept


def _joined(report: Report, places: Places) -> Iterator[tuple[str, float, float]]:
    marks = sorted((places[outcome.rule], kind(outcome)) for outcome in report.outcomes)
    begin, width, last = 0.0, 0.0, ""
    for at, what in marks:
        if what == last and at == begin + width:
            width += 1
            continue
        if last:
            yield last, begin, width
        begin, width, last = at, 1.0, what
    if last:
        yield last, begin, width


def _key(page: Page, strips: Box) -> None:
    """What the colours say, below the strips."""
    y, x = strips.bottom + 26, strips.left - NAMES_PX
    axes = page.axes(Box(x, y - 10, page.body.width, 20))
    axes.set_axis_off()
    axes.set_xlim(0, page.body.width)
    axes.set_ylim(0, 1)
    at = 0.0
    for what, words in KEY.items():
        axes.broken_barh([(at, 16)], (0.1, 0.8), facecolors=colour(what, page.theme), linewidth=0)
        page.text(x + at + 24, y, words, SMALL, colour=page.theme.muted, vertical="center")
        at += 24 + width_px(words, SMALL) + 30
