"""What a check may look at, with the few quantities that several of them need.

A measurement is made of windows, and each window has edges, at which a request or two may be counted on either side. Such
errors have both signs, so those of many windows add up like noise, with the root of their number: no check allows for as many
edges as there are windows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import histogram
from benchmarks.nouns import LoadResult, Measurement, Rounds, ServerCost, ServerFacts
from benchmarks.summaries import Finding

SHORT_OF_OFFERED = 0.01
SIGMAS = 3  # of what is under way: chance alone goes beyond in 1 of 700 measurements, and a run has a thousand open ones
LONG_ONES, QUIET = 4, 0.5  # of a mix, at once; up to half load


@dataclass(frozen=True, slots=True)
class Facts:
    """One measurement, and what was declared about it: by the server, by the run, by the scenario.

    `limit` is how many connections the server serves at once, 0 if it set no limit; `wait_s` is how long each request waits
    whatever the model, `waits_s` how long those of a mix do; a keep-alive of 0 is one without a bound.
    """

    measurement: Measurement
    limit: int
    server_cores: int
    wait_s: float = 0.0
    keepalive_requests: int = 0
    keepalive_idle_s: float = 0.0
    waits_s: tuple[float, ...] = ()

    @classmethod
    def gathered(
        cls,
        measurement: Measurement,
        server: ServerFacts | None,
        server_cores: int,
        wait_s: float = 0.0,
        waits_s: tuple[float, ...] = (),
    ) -> "Facts":
        """The facts about a measurement of a trial whose server declared these."""
        limit, requests, idle_s = (
            (server.max_connections, server.keepalive_requests, server.keepalive_idle_s) if server else (0, 0, 0.0)
        )
        return cls(measurement, limit, server_cores, wait_s, requests, idle_s, waits_s)

    @property
    def load(self) -> LoadResult:
        """The engine's side of it."""
        return self.measurement.load

    @property
    def server(self) -> ServerCost:
        """The server's side of it."""
        return self.measurement.server

    @property
    def rounds(self) -> Rounds:
        """Its windows one by one."""
        return self.measurement.rounds

    @property
    def windows(self) -> int:
        """How many windows are merged."""
        return self.measurement.windows

    @property
    def long_s(self) -> float:
        """The length of the longest window, to which series and the lists of connections belong."""
        return self.measurement.long_s or self.load.seconds

    @property
    def long_completed(self) -> int:
        """Completions in the longest window."""
        return self.measurement.long_completed if self.measurement.long_s else self.load.completed

    @property
    def packed(self) -> bool:
        """Whether it is from a packed record: then histograms are coarse, and it is not known where pauses began."""
        return self.load.service.coarse

    @property
    def is_open(self) -> bool:
        """Whether requests came at a rate, not whenever an answer had come."""
        return self.measurement.level.loop == "open"

    @property
    def errors(self) -> int:
        """Failed requests of any kind."""
        return sum(self.load.errors.values())

    @property
    def served_at_once(self) -> int:
        """How many connections can be served at the same time."""
        return min(self.limit or self.load.connections, self.load.connections)

    @property
    def above_limit(self) -> bool:
        """Whether a closed loop has more connections than the server's concurrency limit: some wait to be accepted."""
        return not self.is_open and 0 < self.limit < self.measurement.level.connections

    @property
    def filled_by_background(self) -> bool:
        """Whether the background connections can use up the server's concurrency limit, by what both declared."""
        background = self.measurement.level.background
        return background is not None and 0 < self.limit <= background.count

    @property
    def beyond(self) -> bool:
        """Whether the level asks for more than can be served, all through or for a while: who gives up is then no fault."""
        return self.measurement.level.beyond

    @property
    def turn_ns(self) -> float:
        """How long it takes a closed loop to serve every connection once; without end if it served none."""
        return self.load.connections * self.load.seconds * 1e9 / self.load.completed if self.load.completed else math.inf

    @property
    def cpu_ns(self) -> int:
        """The server's CPU time, all its processes together."""
        return self.server.cpu_user_ns + self.server.cpu_system_ns

    @property
    def short_by(self) -> int:
        """Arrivals of open windows that were not served in them, beyond what is under way at any moment; else 0.

        In a mix of kinds a few long requests decide what is under way: at half load four or more of them are in the system for
        1.5% of the time (M/D/1; Gross & Harris, "Fundamentals of Queueing Theory", ch. 5), and all others wait behind them.
        """
        if not self.is_open:
            return 0
        short, level = short_of_offered([self.measurement]), self.measurement.level
        if (level.share or 0.0) > QUIET or self.beyond:
            return short
        behind = LONG_ONES * _long_s(self.load) * self.load.intended / self.load.seconds * math.sqrt(self.windows)
        return short if short > behind else 0


def short_of_offered(measured: Sequence[Measurement]) -> int:
    """By how much less than 99% of what was offered was served, beyond what a steady queue's ups and downs explain; else 0.

    Served and offered differ by what was under way at the two edges of a window. That is N on average, by Little's law the rate
    times the mean response time, and of two such numbers, each about Poisson, the difference has a variance of 2N. Windows are
    independent: their variances add up.
    """
    intended, completed = (sum(getattr(one.load, name) for one in measured) for name in ("intended", "completed"))
    variance = 0.0
    for one in measured:
        load, window_s = one.load, one.load.seconds / one.windows
        ended = histogram.total(load.response) + histogram.total(load.censored)
        mean_s = (load.response.sum_ns + load.censored.sum_ns) / ended / 1e9 if ended else 0.0
        variance += 2 * one.windows * load.intended / load.seconds * min(mean_s, window_s)
    explained = max(SHORT_OF_OFFERED * intended, SIGMAS * math.sqrt(variance))
    return intended - completed if intended - completed > explained else 0


def _long_s(load: LoadResult) -> float:
    """How long the longest kind of a mix takes where nothing holds it up, by the quickest of it; 0 without kinds."""
    return max((one.service.min_ns for one in load.classes.values() if one.service.index), default=0) / 1e9


Check = Callable[[Facts], Finding | None]
