"""What a user sees while a run is made: what runs now, the time left, and a table that fills as visits end.

On a terminal the table is redrawn in place, between windows only: rich's refreshing thread is off, because whatever else runs
on the driver's core stalls the engine for milliseconds. Without a terminal there is a line for each visit.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmarks.amounts import duration, rate
from benchmarks.nouns import RunOptions, VisitPlan, VisitRecord, visited
from benchmarks.validity import disturbed


class Progress:
    """The watcher of a run (`conduct.Watcher`) for people. Use it as a context manager."""

    def __init__(self, options: RunOptions, console: Console, made: Iterable[VisitRecord] = ()) -> None:
        """`made` are the visits that a resumed run has already."""
        self.options, self.console = options, console
        self.peaks: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failures: dict[tuple[str, str], str] = {}
        self.expected: Counter[tuple[str, str]] = Counter()
        self.visits = 0
        self.now, self.why, self.left_s = Text("starting"), "", 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        for record in made:
            self._count(record)
            self.expected[record.plan.model, record.plan.scenario] += 1

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal to others."""
        if self.live:
            self.live.stop()

    def expect(self, visits: Sequence[VisitPlan]) -> None:
        """So many visits more are planned."""
        self.expected.update((visit.model, visit.scenario) for visit in visits)
        self._redraw()

    def adding(self, why: str) -> None:
        """The plan is done and blocks are added to it, because of this."""
        self.why = why
        if not self.live:
            self.console.print(f"beyond the plan: {why}", highlight=False, markup=False)
        self._redraw()

    def examining(self, model: str) -> None:
        """A model is held to the rules, before any timing."""
        self.now = Text.assemble((model, "bold"), ": held to the rules of HTTP")
        self._redraw()

    def doing(self, visit: VisitPlan, what: str, left_s: float) -> None:
        """A visit has come to a new stage."""
        self.left_s = left_s
        again = " again" if visit.attempt else ""
        self.now = Text.assemble((visit.model, "bold"), " in ", (visit.scenario, "bold"), again, ": ", what)
        self._redraw()

    def done(self, record: VisitRecord) -> None:
        """A visit has ended."""
        plan = record.plan
        self._count(record)
        if record.failure is not None:
            where = f"{plan.model} in {plan.scenario}, block {plan.block + 1}"
            self.say(f"{where}: failed at {record.failure.stage}: {record.failure.message}")
            if record.failure.stderr:
                self.say("    " + record.failure.stderr.splitlines()[-1])
        elif not self.live:
            found = disturbed(record)
            peak = rate(self.peaks[plan.model, plan.scenario][-1])
            self.console.print(
                f"[{self.visits}/{self._planned()}] {plan.scenario} {plan.model}: {peak}{f', {found.check}' if found else ''}",
                highlight=False,
            )
        self._redraw()

    def _count(self, record: VisitRecord) -> None:
        key = record.plan.model, record.plan.scenario
        self.visits += 1
        if record.failure is not None:
            self.failures[key] = record.failure.stage
            return
        closed = [window.load for window in record.windows if window.level.loop == "closed"]
        self.peaks[key].append(max((load.completed / load.seconds for load in closed), default=0.0))

    def _planned(self) -> int:
        """All visits that are expected; repetitions are made beyond them."""
        return max(self.expected.total(), self.visits)

    def say(self, message: str) -> None:
        """A line that stays."""
        self.console.print(message, highlight=False, style="yellow", markup=False)

    def _redraw(self) -> None:
        if self.live:
            self.live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="mean peak so far", title_justify="left")
        table.add_column("model")
        for scenario in self.options.scenarios:
            table.add_column(scenario, justify="right")
            table.add_column("", style="dim")
        for model in visited(self.options):
            cells: list[str | Text] = []
            for scenario in self.options.scenarios:
                cells += self._cell(model, scenario)
            table.add_row(model, *cells)
        bar = ProgressBar(total=max(self._planned(), 1), completed=self.visits, width=40)
        left = Text(f"{self.visits} of {self._planned()} visits, about {_clock(self.left_s)} left", style="dim")
        why = [Text(f"beyond the plan: {self.why}", style="dim")] if self.why else []
        return Group(table, bar, left, *why, self.now)

    def _cell(self, model: str, scenario: str) -> list[str | Text]:
        rates = self.peaks[model, scenario]
        if rates:
            expected = max(self.expected[model, scenario], len(rates))
            return [rate(math.fsum(rates) / len(rates)), f"{len(rates)}/{expected}"]
        if (model, scenario) in self.failures:
            return [Text("failed", style="red"), f"at {self.failures[model, scenario]}"]
        return [Text("·" if model in visited(self.options, scenario) else "", style="dim"), ""]


def _clock(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    return duration(round(seconds) * 1e9) if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
