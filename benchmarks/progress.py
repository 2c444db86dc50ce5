"""What a user sees while a run is made: what runs now, the time left, and which replicates of which scenarios are done.

On a terminal it is redrawn in place, between windows only: rich's refreshing thread is off, because whatever else runs on the
driver's core stalls the engine for milliseconds. Without a terminal there is a line for each scenario of each replicate.
"""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from benchmarks.amounts import duration
from benchmarks.nouns import Planned, ReplicateRecord, RunOptions

_REDRAWN_S = 0.25  # at most so often: drawing takes a millisecond or two of the driver's core


class Progress:
    """The watcher of a run (`conduct.Watcher`) for people. Use it as a context manager."""

    def __init__(self, options: RunOptions, console: Console, made: Iterable[ReplicateRecord] = ()) -> None:
        """`made` are the records that a resumed run has already."""
        self.options, self.console = options, console
        self.records = len(list(made))
        self.expected = self.records
        self.now, self.why, self.left_s, self.total_s = Text("starting"), "", 0.0, 0.0
        self.drawn_at = 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

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

    def expect(self, planned: Sequence[Planned], seconds: float) -> None:
        """So much more is planned."""
        self.expected += len(planned)
        self.left_s += seconds
        self.total_s += seconds
        self._redraw()

    def adding(self, why: str) -> None:
        """The plan is done, and this is why replicates are added or not."""
        self.why = why
        if not self.live:
            self.console.print(f"beyond the plan: {why}", highlight=False, markup=False)
        self._redraw()

    def examining(self, model: str) -> None:
        """A model is held to the rules, before any timing."""
        self.now = Text.assemble("checking ", (model, "bold"), " against the rules of HTTP")
        self._redraw()

    def doing(self, planned: Planned, what: str, left_s: float) -> None:
        """A scenario has come to a new stage."""
        self.left_s = left_s
        self.now = Text.assemble(f"replicate {planned.replicate + 1}, ", (planned.scenario, "bold"), f": {what}")
        if time.monotonic() - self.drawn_at >= _REDRAWN_S:
            self._redraw()

    def done(self, made: ReplicateRecord) -> None:
        """A scenario of a replicate has ended."""
        self.records += 1
        for trial in made.trials:
            if trial.failure is not None and trial.failure.stage != "check":
                where = f"{trial.model} in {made.scenario}, replicate {made.replicate + 1}"
                self.say(f"{where}: failed at {trial.failure.stage}: {trial.failure.message}")
                if trial.failure.stderr:
                    self.say("    " + trial.failure.stderr.splitlines()[-1])
        if not self.live:
            self.console.print(
                f"[{self.records}/{max(self.expected, self.records)}] replicate {made.replicate + 1}, {made.scenario}: "
                f"{len(made.trials)} models in {made.seconds:.0f} s, {clock(self.left_s)} left",
                highlight=False,
                markup=False,
            )
        self._redraw()

    def say(self, message: str) -> None:
        """A line that stays."""
        self.console.print(message, highlight=False, style="yellow", markup=False)

    def _redraw(self) -> None:
        if self.live:
            self.drawn_at = time.monotonic()
            self.live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        done_s = max(self.total_s - self.left_s, 0.0)
        bar = ProgressBar(total=max(self.total_s, 1.0), completed=done_s, width=40)
        left = Text(f"{self.records} of {max(self.expected, self.records)} done, about {clock(self.left_s)} left", style="dim")
        why = [Text(f"beyond the plan: {self.why}", style="dim")] if self.why else []
        return Group(bar, left, *why, self.now)


def clock(seconds: float) -> str:
    """A time left: seconds up to a hundred, then minutes."""
    if seconds < 1:
        return "a second"
    return duration(round(seconds) * 1e9) if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
