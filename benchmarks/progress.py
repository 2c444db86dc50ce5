"""What a user sees while a run is made: what runs now, the time left, and a table that fills as visits end.

On a terminal the table is redrawn in place, between windows only: rich's refreshing thread is off, because whatever else runs
on the driver's core stalls the engine for milliseconds. Without a terminal there is a line for each visit.
"""

import math
from collections import defaultdict

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmarks.amounts import duration, rate
from benchmarks.nouns import RunOptions, VisitPlan, VisitRecord


class Progress:
    """The watcher of a run (`conduct.Watcher`) for people. Use it as a context manager."""

    def __init__(self, options: RunOptions, console: Console) -> None:
        self.options, self.console = options, console
        self.peaks: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failures: dict[tuple[str, str], str] = {}
        self.visits, self.planned = 0, len(options.models) * sum(options.visits.values())
        self.now, self.left_s = Text("starting"), 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def doing(self, visit: VisitPlan, what: str, left_s: float) -> None:
        """A visit has come to a new stage."""
        self.left_s = left_s
        again = " again" if visit.attempt else ""
        self.now = Text.assemble((visit.model, "bold"), " in ", (visit.scenario, "bold"), again, ": ", what)
        self._redraw()

    def done(self, record: VisitRecord) -> None:
        """A visit has ended."""
        plan, key = record.plan, (record.plan.model, record.plan.scenario)
        self.visits += 1
        if record.failure is not None:
            self.failures[key] = record.failure.stage
            where = f"{plan.model} in {plan.scenario}, block {plan.block + 1}"
            self.say(f"{where}: failed at {record.failure.stage}: {record.failure.message}")
            if record.failure.stderr:
                self.say("    " + record.failure.stderr.splitlines()[-1])
        else:
            self.peaks[key].append(max(w.load.completed / w.load.seconds for w in record.windows if w.level.loop == "closed"))
            if not self.live:
                weather = ", weather changed" if record.weather_changed else ""
                peak = rate(self.peaks[key][-1])
                self.console.print(
                    f"[{self.visits}/{self.planned}] {plan.scenario} {plan.model}: {peak}{weather}", highlight=False
                )
        self._redraw()

    def say(self, message: str) -> None:
        """A line that stays."""
        self.console.print(message, highlight=False, style="yellow", markup=False)

    def _redraw(self) -> None:
        if self.live:
            self.live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="peak so far, mean of the visits made", title_justify="left")
        table.add_column("model")
        for scenario in self.options.scenarios:
            table.add_column(scenario, justify="right")
            table.add_column("", style="dim")
        for model in self.options.models:
            cells: list[str | Text] = []
            for scenario in self.options.scenarios:
                cells += self._cell(model, scenario)
            table.add_row(model, *cells)
        bar = ProgressBar(total=max(self.planned, 1), completed=min(self.visits, self.planned), width=40)
        left = Text(f"{self.visits} of {self.planned} visits, about {_clock(self.left_s)} left", style="dim")
        return Group(table, bar, left, self.now)

    def _cell(self, model: str, scenario: str) -> list[str | Text]:
        rates = self.peaks[model, scenario]
        if rates:
            return [rate(math.fsum(rates) / len(rates)), f"{len(rates)}/{self.options.visits[scenario]}"]
        if (model, scenario) in self.failures:
            return [Text("failed", style="red"), f"at {self.failures[model, scenario]}"]
        return [Text("·", style="dim"), ""]


def _clock(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    return duration(round(seconds) * 1e9) if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
