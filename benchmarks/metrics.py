"""The number that a metric is of each model in one replicate, or why a model has none.

**Rates and CPU times** are taken window by window: the windows of a level's rounds lie next to each other, so all models of the
level are fitted together (`stats.effects`), and what a round did to all alike is in nobody's number. The rate of a closed level
whose requests wait is not counted but taken from the connections' time, as waits come in waves and a window's edges cut whole
waves: connections in requests by the mean service time (Little's law). Levels that were not interleaved, requests of one label,
and CPU times of processes that come and go have the number of all their windows together.

**Response times** are those of all windows together, of the requests intended in them, those that were never answered with the
age at which they were given up: a percentile that lies among these is only known from below, and is not told. Nor is one that
too few requests bound, or one into which the engine's own pauses reach, unless it is ten times as long as the longest of them.

**Held memory** is what a background connection costs: the memory of the server's processes and of all TCP sockets, at the level
with background connections less at the same rate without, by those that were open. The sockets' part is that of both ends, as
the kernel counts them together and a server's own part cannot be told; it is the same for all models. Where other servers were
alive, nobody knows what memory is a process's own, but by how much its resident memory grew is known.

**Recovery** is counted in steps of 100 ms from the middle of the window, where the offered rate falls, to the first from which
on at most 1% of the completions of every step are slow. It is known to a step, so at least one; who never recovers gets all the
rest of the window, which is a lower bound.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import histogram
from benchmarks.merging import closed_rates, histograms
from benchmarks.nouns import ClassResult, Histogram, LoadResult, Measurement, ReplicateRecord, Rounds, Series, ServerCost, Trial
from benchmarks.questions import Level, Measure, Metric, Quantity
from benchmarks.stats.effects import round_values
from benchmarks.stats.intervals import counting_sd
from benchmarks.summaries import Unit
from benchmarks.tails import drowned, pauses, too_few

QUANTILES: dict[Quantity, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "connect p50": 0.5}
RESPONSE_TIMES: tuple[Quantity, ...] = ("mean", "p50", "p90", "p99")
BY_ROUNDS: tuple[Quantity, ...] = ("rate", "cpu")  # what each window has a value of
COMPLETED_EACH = 20  # in the middle window of a level: of fewer, whole requests make steps that mislead a robust fit
REPLICATES_TOGETHER = 3  # so many have the samples that a percentile's interval wants; one alone needs that part of them
LONGER_THAN_PAUSES = 10  # times the engine's longest pause: such a time is no pause's doing
RECOVERY_STEP_NS = 100_000_000
SLOW_SHARE = 0.01  # of a step's completions, that may be slow in a server that has recovered
BUCKET_SD = 1 / histogram.HALF / 12**0.5  # of the logarithm of a time that is known to a bucket,
COARSE_SD = 0.03 / 12**0.5  # or to a bucket of a packed record

PEAK = Measure("requests a second", Metric("rate"))  # by which a scenario without measures ranks

UNITS: dict[Quantity, Unit] = {
    "rate": "rate", "mean": "time", "p50": "time", "p90": "time", "p99": "time", "connect p50": "time", "cpu": "time",
    "recovery": "time", "memory": "bytes", "held memory": "bytes", "switches": "count", "faults": "count", "threads": "count",
    "descriptors": "count", "answered": "count",
}  # fmt: skip


FAST, SLOW = 0, 1  # states of the machine
FEWEST_WINDOWS = 1  # of each model in a state


class CannotTell(Exception):
    """Why a trial does not know a metric."""


def unit_of(metric: Metric) -> Unit:
    """What its values are."""
    return "ratio" if metric.by else UNITS[metric.quantity]


def levels_of(metric: Metric, level_of_peak: str) -> tuple[str, ...]:
    """The labels of the levels on which it stands, each once; of held memory the plain level, too, by `plain_label`."""
    own = metric.level or level_of_peak
    below = levels_of(metric.by, level_of_peak) if metric.by else ()
    return tuple(dict.fromkeys((own, *below)))


def is_of_response(metric: Metric) -> bool:
    """Whether it is a response time, or divided by one: what an overloaded server has none of."""
    return metric.quantity in RESPONSE_TIMES or (metric.by is not None and is_of_response(metric.by))


def is_plain(level: Level) -> bool:
    """Whether its load is nothing but so many connections or such a rate: kept connections, no bursts, no background."""
    return level.keepalive and level.arrivals != "onoff" and level.then_share is None and level.background is None


def plain_label(level: Level) -> str:
    """The level of the same load without background connections; empty for one that has none."""
    return replace(level, background=None).label if level.background else ""


def values(metric: Metric, record: ReplicateRecord, peak_levels: Mapping[str, str], waits: bool = False) -> dict[str, float]:
    """The metric of each model in one replicate; those that cannot tell are left out.

    `peak_levels` has the label of each model's best closed level; `waits` says that the scenario's requests wait.
    """
    return Replicate(record, waits).told(metric, peak_levels).values


# ---------------------------------------------------------------- one replicate


@dataclass(frozen=True, slots=True)
class Told:
    """A metric of the models of one replicate: the value, or why there is none."""

    values: dict[str, float]
    reasons: dict[str, str]


class Replicate:
    """One scenario of one replicate, to be asked for many metrics: the rounds of a level are fitted once.

    `left_out` has the measurements, by model and level, that do not count. Failed trials have nothing to say.
    """

    def __init__(self, record: ReplicateRecord, waits: bool = False, left_out: Collection[tuple[str, str]] = ()) -> None:
        self.record = record
        self.number = record.replicate
        self.trials: dict[str, Trial] = {trial.model: trial for trial in record.trials if trial.failure is None}
        self.left_out = left_out
        self._waits = waits
        self._made = {(model, one.level.label): one for model, trial in self.trials.items() for one in trial.measurements}
        self._fitted: dict[tuple[Quantity, str], dict[str, float]] = {}

    def told(self, metric: Metric, peak_levels: Mapping[str, str]) -> Told:
        """The metric of each model whose trial did not fail."""
        found = Told({}, {})
        for model in self.trials:
            try:
                found.values[model] = self._value(metric, model, peak_levels.get(model, ""))
            except CannotTell as reason:
                found.reasons[model] = str(reason)
        return found

    def resolution(self, metric: Metric, model: str, level_of_peak: str) -> float:
        """The standard deviation of the value's logarithm that the measurement itself brings: counts and buckets."""
        below = self.resolution(metric.by, model, level_of_peak) if metric.by else 0.0
        own, made = 0.0, self._made.get((model, metric.level or level_of_peak))
        if metric.quantity in QUANTILES:
            own = COARSE_SD if made and made.load.response.coarse else BUCKET_SD
        elif metric.quantity in BY_ROUNDS and made:
            counted = _of_label(made.load, metric.label) if metric.quantity == "rate" else made.load
            own = counting_sd(counted.completed) * math.sqrt(made.windows)  # each window has edges of its own
        elif metric.quantity == "recovery" and made and made.load.series.slow:
            own = RECOVERY_STEP_NS / _recovery_ns(made) / 12**0.5
        return math.hypot(own, below)

    def by_state(self, metric: Metric, boundary_ns: float) -> dict[int, dict[str, float]]:
        """The metric of each model by the state that the machine was in, FAST or SLOW: by the windows before and after which a
        cache line's round trip was below the boundary, or above it.

        A state is left out unless every model that has a value has FEWEST_WINDOWS in it. Empty where windows do not show the
        metric one by one.
        """
        if metric.by is not None or metric.label or not metric.level or metric.quantity not in BY_ROUNDS:
            return {}
        windows = self.window_values(metric.quantity, metric.level)
        models = [model for model in self.trials if (model, metric.level) in self._made]
        states = {model: _states(self._made[model, metric.level].rounds, boundary_ns) for model in windows}
        found = {}
        for state in (FAST, SLOW):
            inside = {
                model: {number: value for number, value in of_model.items() if states[model].get(number) == state}
                for model, of_model in windows.items()
            }
            if models and all(len(inside.get(model, ())) >= FEWEST_WINDOWS for model in models):
                coarsest = max(counting_sd(_middle(self._made[model, metric.level])) for model in models)
                fitted = round_values(inside, coarsest)
                found[state] = {model: value for model, value in fitted.items() if (model, metric.level) not in self.left_out}
        return found

    def window_values(self, quantity: Quantity, label: str) -> dict[str, dict[int, float]]:
        """The quantity of each model in each round of a level: those left out too, whose rounds the others shared."""
        by_model = {model: one for (model, of), one in self._made.items() if of == label}
        found = {model: self._by_windows(quantity, model, one) for model, one in by_model.items()}
        return {model: by_round for model, by_round in found.items() if by_round}

    # ------------------------------------------------------------ of one model

    def _value(self, metric: Metric, model: str, level_of_peak: str) -> float:
        value = self._plain_value(metric, model, metric.level or level_of_peak)
        if metric.by is None:
            return value
        other = self._value(metric.by, model, level_of_peak)
        if not other:
            raise CannotTell("it is by a number that is 0")
        return value / other

    def _measurement(self, model: str, label: str) -> Measurement:
        if not label:
            raise CannotTell("no closed level served anybody")
        made = self._made.get((model, label))
        if made is None:
            raise CannotTell(f"level {label} was not measured")
        if (model, label) in self.left_out:
            raise CannotTell(f"a check found its measurement at {label} invalid")
        return made

    def _plain_value(self, metric: Metric, model: str, label: str) -> float:
        made, quantity = self._measurement(model, label), metric.quantity
        if quantity in BY_ROUNDS and not (metric.label and made.load.classes and quantity == "rate"):
            return self._of_rounds(quantity, model, made)
        if quantity == "held memory":
            return _held_bytes(made, self._measurement(model, plain_label(made.level)) if made.level.background else None)
        return _of_all_windows(metric, made)

    def _of_rounds(self, quantity: Quantity, model: str, made: Measurement) -> float:
        """The value that the rounds agree on; of a model whose windows have none, that of all windows together."""
        label = made.level.label
        if (quantity, label) not in self._fitted:
            windows = self.window_values(quantity, label)
            coarsest = max((counting_sd(_middle(self._made[name, label])) for name in windows), default=0.0)
            self._fitted[quantity, label] = round_values(windows, coarsest) if windows else {}
        found = self._fitted[quantity, label].get(model)
        if found is not None:
            return found
        _some(made.load.completed)
        if quantity == "cpu":
            return (made.server.cpu_user_ns + made.server.cpu_system_ns) / made.load.completed
        return _waiting_per_s(made) if self._by_time(model, made) else made.load.completed / made.load.seconds

    def _by_windows(self, quantity: Quantity, model: str, made: Measurement) -> dict[int, float]:
        """The quantity by round; empty where only all windows together have it. An open level's rate is its arrivals."""
        together = not made.interleaved or _middle(made) < COMPLETED_EACH
        if together or (made.level.loop == "open" if quantity == "rate" else made.server.newcomers_ns):
            return {}
        if quantity == "cpu":
            return {number: value for number, value in _cpu_of_windows(made.rounds) if value > 0}
        return dict(closed_rates(made.rounds, self._by_time(model, made)))

    def _by_time(self, model: str, made: Measurement) -> bool:
        """Whether the rate is told by the connections' time: requests that wait, on connections that are all served at once."""
        server = self.trials[model].server
        limit = server.max_connections if server else 0
        return self._waits and made.level.loop == "closed" and (not limit or made.level.connections <= limit)


def _states(rounds: Rounds, boundary_ns: float) -> dict[int, int]:
    """The machine's state by the number of the round, of the windows before and after which it was the same."""
    slow = [
        (before > boundary_ns, after > boundary_ns) for before, after in zip(rounds.before_ns, rounds.after_ns, strict=True)
    ]
    return {
        number: SLOW if before else FAST
        for number, (before, after) in zip(rounds.number, slow, strict=False)
        if before == after
    }


def _middle(made: Measurement) -> int:
    """The requests completed in the middle one of the windows."""
    return round(statistics.median(made.rounds.completed)) if made.rounds.completed else 0


def _cpu_of_windows(rounds: Rounds) -> Iterator[tuple[int, float]]:
    """Each window's number and the CPU time of a request in it; 0 where none was completed."""
    for number, completed, cpu_ns in zip(rounds.number, rounds.completed, rounds.cpu_ns, strict=True):
        if number not in rounds.dropped:
            yield number, cpu_ns / completed if completed else 0.0


def _waiting_per_s(made: Measurement) -> float:
    """The rate of all windows together, by the connections' time in requests and the mean service time."""
    ledger, service = made.load.ledger, made.load.service
    if not service.sum_ns:
        return made.load.completed / made.load.seconds
    return (ledger.completed_ns + ledger.residual_ns) / made.load.seconds * histogram.total(service) / service.sum_ns


def _of_all_windows(metric: Metric, made: Measurement) -> float:
    """What all windows together say of a metric that no single one has."""
    quantity, load, server = metric.quantity, made.load, made.server
    if quantity == "memory":
        if server.uss_bytes is None:
            raise CannotTell("other servers were alive, so its own memory is not known")
        return float(server.uss_bytes)
    if quantity in ("threads", "descriptors"):
        return float(server.threads if quantity == "threads" else server.descriptors)
    if quantity in ("switches", "faults"):
        return _by_counted(quantity, server)
    if quantity == "recovery":
        return float(_recovery_ns(made))
    if quantity == "connect p50":
        return _quantile_ns(load.connect, Histogram(), QUANTILES[quantity], made)
    of_label = _of_label(load, metric.label)
    if quantity == "rate":
        return _some(of_label.completed) / load.seconds
    answered = histogram.total(of_label.response)
    if quantity == "answered":
        return max(answered, 0.5) / _some(of_label.intended)
    if quantity == "mean":
        unanswered = of_label.censored
        return (of_label.response.sum_ns + unanswered.sum_ns) / (_some(answered) + histogram.total(unanswered))
    return _quantile_ns(of_label.response, of_label.censored, QUANTILES[quantity], made)


def _some(count: int) -> int:
    if not count:
        raise CannotTell("nothing was served")
    return count


def _of_label(load: LoadResult, label: str) -> ClassResult | LoadResult:
    """The requests of a label; where all have the same one, nobody counts them apart."""
    if not label or not load.classes:
        return load
    if label not in load.classes:
        raise CannotTell(f"no request is called {label}")
    return load.classes[label]


def _by_counted(quantity: Quantity, server: ServerCost) -> float:
    switches = server.voluntary_switches + server.involuntary_switches
    return (switches if quantity == "switches" else server.minor_faults) / _some(server.counted_requests)


def _quantile_ns(answered: Histogram, unanswered: Histogram, q: float, made: Measurement) -> float:
    """A quantile of times of which some, the unanswered, are only known from below."""
    of_unanswered = histogram.total(unanswered)
    total = histogram.total(answered) + of_unanswered
    if of_unanswered > (1 - q) * total + 1e-9:
        raise CannotTell(f"{of_unanswered / total:.1%} of the requests never finished")
    if why := too_few(q, REPLICATES_TOGETHER * total):
        raise CannotTell(why)
    value = histogram.quantile_ns(histograms([answered, unanswered]), q)
    paused = pauses([made.load])
    if (why := drowned(q, paused)) and value < LONGER_THAN_PAUSES * max(paused.lengths_ns, default=0):
        raise CannotTell(why)
    return float(value)


def _held_bytes(made: Measurement, plain: Measurement | None) -> float:
    """By how much memory grows with each background connection; it may be less than nothing, where noise is more."""
    if plain is None:
        raise CannotTell("that level has no background connections")
    held = made.load.background.get("open", 0)
    if not held:
        raise CannotTell("no connection was held")
    if made.server.socket_bytes is None or plain.server.socket_bytes is None:
        raise CannotTell("the sockets' memory was not read")
    grown = made.server.socket_bytes - plain.server.socket_bytes
    if made.server.uss_bytes is not None and plain.server.uss_bytes is not None:
        return (grown + made.server.uss_bytes - plain.server.uss_bytes) / held
    return (grown + made.server.rss_bytes - plain.server.rss_bytes) / held


# ---------------------------------------------------------------- recovery


def _recovery_ns(made: Measurement) -> int:
    """The series is that of the longest window; where there is one window only, that is it."""
    load = made.load
    if not load.series.slow:
        raise CannotTell("slow requests were not counted")
    long_s = made.long_s or load.seconds
    slow = list(_slow_steps(load.series, round(long_s * 1e9 / 2), round(long_s * 1e9)))
    if not slow:
        raise CannotTell("the window is too short")
    recovered = max((at + 1 for at, is_slow in enumerate(slow) if is_slow), default=0)
    return max(recovered, 1) * RECOVERY_STEP_NS


def _slow_steps(series: Series, begin_ns: int, end_ns: int) -> Iterator[bool]:
    """Whether each whole 100 ms from `begin_ns` has too many slow completions, or errors in the place of completions."""
    for at_ns in range(begin_ns, end_ns - RECOVERY_STEP_NS + 1, RECOVERY_STEP_NS):
        first, last = at_ns // series.step_ns, -(-(at_ns + RECOVERY_STEP_NS) // series.step_ns)
        completed, slow, errors = (_sum(steps, first, last) for steps in (series.completed, series.slow, series.errors))
        yield slow + errors > SLOW_SHARE * (completed + errors)


def _sum(steps: Sequence[int], first: int, last: int) -> int:
    return sum(steps[first:last])
