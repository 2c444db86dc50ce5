"""What a check may look at, with the few quantities that several of them need."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import histogram
from benchmarks.nouns import LoadResult, ServerCost, ServerFacts, Window
from benchmarks.summaries import Finding

SHORT_OF_OFFERED = 0.01
SIGMAS = 3  # of what is under way: chance alone goes beyond in 1 of 700 windows, and a run has a thousand open ones
LONG_ONES, QUIET = 4, 0.5  # of a mix, at once; up to half load


@dataclass(frozen=True, slots=True)
class Facts:
    """One window, and what was declared about it: by the server, by the run, by the scenario.

    `slots` is how many connections the server serves at once, 0 if it set no limit; `wait_s` is how long each request waits
    whatever the model, `waits_s` how long those of a mix do; a keep-alive of 0 is one without a bound.
    """

    window: Window
    slots: int
    server_cores: int
    wait_s: float = 0.0
    keepalive_requests: int = 0
    keepalive_idle_s: float = 0.0
    waits_s: tuple[float, ...] = ()

    @classmethod
    def gathered(
        cls, window: Window, server: ServerFacts | None, server_cores: int, wait_s: float, waits_s: tuple[float, ...] = ()
    ) -> "Facts":
        """The facts about a window of a visit whose server declared these."""
        slots, requests, idle_s = (
            (server.max_connections, server.keepalive_requests, server.keepalive_idle_s) if server else (0, 0, 0.0)
        )
        return cls(window, slots, server_cores, wait_s, requests, idle_s, waits_s)

    @property
    def load(self) -> LoadResult:
        """The engine's side of the window."""
        return self.window.load

    @property
    def server(self) -> ServerCost:
        """The server's side of the window."""
        return self.window.server

    @property
    def is_open(self) -> bool:
        """Whether requests came at a rate, not whenever an answer had come."""
        return self.window.level.loop == "open"

    @property
    def errors(self) -> int:
        """Failed requests of any kind."""
        return sum(self.load.errors.values())

    @property
    def served_at_once(self) -> int:
        """How many connections can be served at the same time."""
        return min(self.slots or self.load.connections, self.load.connections)

    @property
    def crowded(self) -> bool:
        """Whether a closed loop has more connections than the server has slots: some wait to be accepted, and that is known."""
        return not self.is_open and 0 < self.slots < self.window.level.connections

    @property
    def filled_by_companions(self) -> bool:
        """Whether those beside the load can take all of the server's slots, by what both declared."""
        beside = self.window.level.beside
        return beside is not None and 0 < self.slots <= beside.count

    @property
    def beyond(self) -> bool:
        """Whether the level asks for more than can be served, all through or for a while: who gives up is then no fault."""
        level = self.window.level
        return (level.share or 0.0) >= 1.0 or level.arrivals == "onoff" or level.then_share is not None

    @property
    def round_ns(self) -> float:
        """How long it takes a closed loop to serve every connection once; without end if it served nobody."""
        return self.load.connections * self.load.seconds * 1e9 / self.load.completed if self.load.completed else math.inf

    @property
    def cpu_ns(self) -> int:
        """The server's CPU time, all its processes together."""
        return self.server.cpu_user_ns + self.server.cpu_system_ns

    @property
    def short_by(self) -> int:
        """Arrivals of an open window that were not served in it, beyond what is under way at any moment; else 0.

        In a mix of kinds a few long requests decide who is under way: at half load four or more of them are in the system for
        1.5% of the time (M/D/1; Gross & Harris, "Fundamentals of Queueing Theory", ch. 5), and all others wait behind them.
        """
        if not self.is_open:
            return 0
        short, level = short_of_offered([self.load]), self.window.level
        if level.share is None or level.share > QUIET or self.beyond:
            return short
        behind = LONG_ONES * _long_s(self.load) * self.load.intended / self.load.seconds
        return short if short > behind else 0


def short_of_offered(loads: Sequence[LoadResult]) -> int:
    """By how much less than 99% of what was offered was served, beyond what a steady queue's ups and downs explain; else 0.

    Served and offered differ by what was under way at the two edges. That is N on average, by Little's law the rate times the
    mean response time, and of two such numbers, each about Poisson, the difference has a standard deviation of √(2N).
    """
    intended, completed = sum(load.intended for load in loads), sum(load.completed for load in loads)
    under_way = 0.0
    for load in loads:
        mean_ns = histogram.mean_ns(histogram.merge([load.response, load.censored]))
        under_way += load.intended / load.seconds * min(mean_ns / 1e9, load.seconds)
    explained = max(SHORT_OF_OFFERED * intended, SIGMAS * math.sqrt(2 * under_way))
    return intended - completed if intended - completed > explained else 0


def _long_s(load: LoadResult) -> float:
    """How long the longest kind of a mix takes where nothing holds it up, by the quickest of it; 0 without kinds."""
    kinds = [one.service for one in load.classes.values() if histogram.total(one.service)]
    return max((histogram.bounds_ns(min(service.index))[0] for service in kinds), default=0.0) / 1e9


Check = Callable[[Facts], Finding | None]
