"""Who differs from whom: every pair of models of a scenario, as it was called."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks import amounts
from benchmarks.charts import _cells as cells
from benchmarks.charts import _panels as panels
from benchmarks.charts import _words as words
from benchmarks.charts._page import HEAD, LABEL, SMALL, Box, Page, clip_to, fit_name, width_px
from benchmarks.charts._style import Theme, look, mix
from benchmarks.summaries import Call, RunSummary, ScenarioSummary

QUESTION = "Who differs from whom?"
MOST = 6  # triangles on a page; of more scenarios the shares are drawn
HEAD_PX, WIDEST_PX, TALLEST_PX = 50.0, 40.0, 36.0
SAID: dict[Call, str] = {
    "different": "different: a significant difference",
    "same": "the same within the margin",
    "open": "open: neither could be shown",
}


def has(_: RunSummary, scenario: ScenarioSummary) -> bool:
    """Whether there are pairs."""
    return bool(scenario.pair_list)


def draw(summary: RunSummary, shown: Sequence[ScenarioSummary], theme: Theme) -> Figure:
    """A triangle for each scenario, models by rank from the top; or a bar for each, where they are many."""
    page = Page(theme, QUESTION, answer(summary, shown), summary.conditions)
    box = panels.framed(page, _key(few=len(shown) <= MOST), [])
    _legend(page, box)
    box = box.inset(top=30.0)
    if len(shown) > MOST:
        _bars(page, shown, box)
        return page.figure
    across = len(shown) if len(shown) <= 3 else -(-len(shown) // 2)
    places = [place for row in box.rows(-(-len(shown) // across), 16.0) for place in row.columns(across, 36.0)]
    for scenario, place in zip(shown, places, strict=False):
        _triangle(page, scenario, place)
    return page.figure


def answer(summary: RunSummary, shown: Sequence[ScenarioSummary]) -> str:
    """How many pairs differ, are the same, or stay open; of many scenarios, all together and where most are open."""
    if len(shown) <= MOST:
        return cells.by_scenario(summary, shown, _say)
    total, different, same, open_ = (
        sum(getattr(scenario.pairs, name) for scenario in shown) for name in ("total", "different", "same", "open")
    )
    least = min(shown, key=lambda scenario: _decided(scenario))
    text = f"Of {total:,} pairs in {len(shown)} scenarios {_share(different, total)} differ, {_share(same, total)} are the same"
    text += f" and {_share(open_, total)} are open"
    return cells.caution(summary, f"{text}; least is decided in {least.scenario}, {amounts.percent(_decided(least))}")


def _share(part: int, total: int) -> str:
    return amounts.percent(part / total) if total and part else "none"


def _decided(scenario: ScenarioSummary) -> float:
    pairs = scenario.pairs
    return (pairs.different + pairs.same) / pairs.total if pairs.total else 0.0


def _say(scenario: ScenarioSummary) -> str:
    pairs = scenario.pairs
    said = [f"{pairs.different} of {pairs.total} pairs differ"]
    for count, rest in ((pairs.same, f"the same within {cells.margin(scenario)}"), (pairs.open, "open")):
        said += [f"{count} {'is' if count == 1 else 'are'} {rest}"] if count else []
    return ", ".join(said)


def _key(*, few: bool) -> list[str]:
    if few:
        return ["a square is a pair of models, by what the scenario ranks by", "here models stand in the order of their ranks"]
    return ["all pairs of models of a scenario, by what it ranks by"]


def _colour(call: Call, theme: Theme) -> str:
    base = {"different": mix("#0072B2", theme.paper, 0.25), "same": "#E69F00", "open": theme.grid}[call]
    return mix(base, "#ffffff", theme.lift) if call == "same" else base


def _legend(page: Page, box: Box) -> None:
    x, y = box.left, box.top + 14
    for call, said in SAID.items():
        page.fill(Box(x, y - 7, 18, 14), _colour(call, page.theme))
        page.text(x + 26, y, said, SMALL, vertical="center")
        x += 26 + width_px(said, SMALL) + 30


def _triangle(page: Page, scenario: ScenarioSummary, box: Box) -> None:
    """Rows and columns are models by rank; the names stand on the diagonal."""
    page.text(box.left, box.top + 18, clip_to(scenario.scenario, HEAD, box.width, "bold"), HEAD, weight="bold")
    less = ", less is better" if cells.is_less(scenario) else ""
    ranks = clip_to(f"{cells.what_ranks(scenario)}{less}", SMALL, box.width)
    page.text(box.left, box.top + 38, ranks, SMALL, colour=page.theme.muted)
    order = _by_rank(scenario)
    calls = {frozenset((pair.one, pair.other)): pair.call for pair in scenario.pair_list}
    inner = box.inset(top=HEAD_PX)
    tall = min(inner.height / len(order), TALLEST_PX)
    points = LABEL if tall >= 22 else SMALL
    names_px = min(max(width_px(words.clipped(model), points) for model in order) + 12, box.width * 0.42)
    wide = min((inner.width - names_px) / max(len(order) - 1, 1), WIDEST_PX)
    for at, model in enumerate(order):
        top = inner.top + tall * at
        for left, other in enumerate(order[:at]):
            call = calls.get(frozenset((model, other)), "open")
            page.fill(Box(inner.left + wide * left + 1, top + 1, wide - 2, tall - 2), _colour(call, page.theme))
        name, ink = fit_name(model, points, names_px - 6), look(model, page.theme).text
        page.text(inner.left + wide * at + 6, top + tall / 2, name, points, colour=ink, vertical="center")


def _by_rank(scenario: ScenarioSummary) -> list[str]:
    """Models by rank, those of a rank by their value, those without one last."""
    ranked = [standing.model for standing in (*cells.winners(scenario), *cells.runners_up(scenario))]
    paired = dict.fromkeys(name for pair in scenario.pair_list for name in (pair.one, pair.other))
    return [model for model in (*ranked, *(name for name in paired if name not in ranked)) if model in paired]


def _bars(page: Page, shown: Sequence[ScenarioSummary], box: Box) -> None:
    """A bar for each scenario: the shares of the pairs, and their numbers."""
    names_px = max(width_px(scenario.scenario, SMALL, "bold") for scenario in shown) + 16
    beside = 2 if len(shown) > 20 else 1
    each = -(-len(shown) // beside)
    for number, place in enumerate(box.columns(beside, 40.0)):
        part = shown[number * each : (number + 1) * each]
        row_px = min(place.height / each, 40.0)
        for at, scenario in enumerate(part):
            row = Box(place.left, place.top + row_px * at, place.width, row_px)
            _shares(page, scenario, row, names_px)


def _shares(page: Page, scenario: ScenarioSummary, row: Box, names_px: float) -> None:
    middle, pairs = row.top + row.height / 2, scenario.pairs
    name = clip_to(scenario.scenario, SMALL, names_px - 10, "bold")
    page.text(row.left, middle, name, SMALL, weight="bold", vertical="center")
    bar = Box(row.left + names_px, row.top + row.height * 0.16, row.width - names_px - 70, row.height * 0.68)
    counts: dict[Call, int] = {"different": pairs.different, "same": pairs.same, "open": pairs.open}
    x = bar.left
    for call, count in counts.items():
        width = bar.width * count / max(pairs.total, 1)
        page.fill(Box(x, bar.top, width, bar.height), _colour(call, page.theme))
        if width > width_px(str(count), SMALL) + 8:
            ink = "#ffffff" if call == "different" and page.theme.lift == 0 else page.theme.ink
            page.text(x + width / 2, middle, str(count), SMALL, colour=ink, align="center", vertical="center")
        x += width
    decided = f"{amounts.percent(_decided(scenario)) if _decided(scenario) else 'none'}"
    page.text(bar.right + 10, middle, decided, SMALL, vertical="center", weight="bold")
