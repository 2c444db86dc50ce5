"""The number that a metric is in one visit, or why that visit cannot tell it.

Response times are of the requests intended in the window, those that were never answered with the age at which they were given
up: a percentile that lies among these is only known from below, and is not told. Nor is one that too few requests bound, or
one into which the engine's own pauses reach, unless it is ten times as long as the longest of them.

**Held memory** is what a silent connection costs: the memory of the server's processes and of all TCP sockets, at the level
with companions less at the same rate without, by the companions that were open. The sockets' part is that of both ends, as the
kernel counts them together and a server's own part cannot be told; it is the same for all models.

**Recovery** is counted in steps of 100 ms from the middle of the window, where the offered rate falls, to the first from which
on at most 1% of the completions of every step are slow. It is known to a step, so at least one; who never recovers gets all the
rest of the window, which is a lower bound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks import histogram
from benchmarks.amounts import digits, duration, rate, size, times
from benchmarks.intervals import counting_sd, samples_wanted
from benchmarks.nouns import ClassResult, Histogram, LoadResult, Series, ServerCost, VisitRecord, Window
from benchmarks.questions import Level, Metric, Quantity
from benchmarks.summaries import Unit
from benchmarks.tails import pauses, refusal

QUANTILES: dict[Quantity, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "connect p50": 0.5}
RESPONSE_TIMES: tuple[Quantity, ...] = ("mean", "p50", "p90", "p99")
LONGER_THAN_PAUSES = 10  # times the engine's longest pause: such a time is no pause's doing
RECOVERY_STEP_NS = 100_000_000
SLOW_SHARE = 0.01  # of a step's completions, that may be slow in a server that has recovered
BUCKET_SD = 1 / histogram.HALF / 12**0.5  # of the logarithm of a time that is known to a bucket


UNITS: dict[Quantity, Unit] = {
    "rate": "rate", "mean": "time", "p50": "time", "p90": "time", "p99": "time", "connect p50": "time", "cpu": "time",
    "recovery": "time", "memory": "bytes", "held memory": "bytes", "switches": "count", "faults": "count", "threads": "count",
    "descriptors": "count", "answered": "count",
}  # fmt: skip


class CannotTell(Exception):
    """Why a visit does not know a metric."""


def measure(metric: Metric, record: VisitRecord, level_of_peak: str) -> float | None:
    """The metric in one visit; None where it can't be told. `level_of_peak` is the label of the model's best closed level."""
    return told(metric, record, level_of_peak)[0]


def told(metric: Metric, record: VisitRecord, level_of_peak: str) -> tuple[float | None, str]:
    """The metric in one visit and why there is none: one of the two."""
    try:
        return _value(metric, record, level_of_peak), ""
    except CannotTell as reason:
        return None, str(reason)


def unit_of(metric: Metric) -> Unit:
    """What its values are."""
    return "ratio" if metric.by else UNITS[metric.quantity]


def shown(value: float, unit: Unit) -> str:
    """A value as people read it."""
    if unit == "count":
        return digits(value) if abs(value) < 1_000 else f"{value:,.0f}"
    return {"rate": rate, "time": duration, "bytes": size, "ratio": times}[unit](value)


def levels_of(metric: Metric, level_of_peak: str) -> tuple[str, ...]:
    """The labels of the levels on whose windows it stands, each once; of held memory the plain level, too, by `plain_label`."""
    own = metric.level or level_of_peak
    below = levels_of(metric.by, level_of_peak) if metric.by else ()
    return tuple(dict.fromkeys((own, *below)))


def is_of_response(metric: Metric) -> bool:
    """Whether it is a response time, or divided by one: what an overloaded server has none of."""
    return metric.quantity in RESPONSE_TIMES or (metric.by is not None and is_of_response(metric.by))


def is_plain(level: Level) -> bool:
    """Whether its load is nothing but so many connections or such a rate: kept connections, no bursts, nobody beside it."""
    return level.keepalive and level.arrivals != "onoff" and level.then_share is None and level.beside is None


def resolution(metric: Metric, record: VisitRecord, level_of_peak: str) -> float:
    """The standard deviation of the value's logarithm that the measure itself brings: rates are counts, times are buckets."""
    below = resolution(metric.by, record, level_of_peak) if metric.by else 0.0
    own = 0.0
    if metric.quantity in QUANTILES:
        own = BUCKET_SD
    elif metric.quantity in ("rate", "cpu") and (found := _find(record, metric.level or level_of_peak)):
        own = counting_sd(_of_label(found.load, metric.label).completed if metric.quantity == "rate" else found.load.completed)
    elif metric.quantity == "recovery" and (value := measure(replace(metric, by=None), record, level_of_peak)):
        own = RECOVERY_STEP_NS / value / 12**0.5
    return float((own**2 + below**2) ** 0.5)


# ---------------------------------------------------------------- one visit


def _value(metric: Metric, record: VisitRecord, level_of_peak: str) -> float:
    window = _window(record, metric.level or level_of_peak)
    value = _of_window(metric, window, record)
    if metric.by is None:
        return value
    other = _value(metric.by, record, level_of_peak)
    if not other:
        raise CannotTell("it is by a number that is 0")
    return value / other


def _find(record: VisitRecord, label: str) -> Window | None:
    return next((window for window in record.windows if window.level.label == label), None)


def _window(record: VisitRecord, label: str) -> Window:
    window = _find(record, label)
    if window is None:
        raise CannotTell(f"no level {label}" if label else "no closed level served anybody")
    return window


def _of_window(metric: Metric, window: Window, record: VisitRecord) -> float:
    quantity, load, server = metric.quantity, window.load, window.server
    if quantity in ("memory", "threads", "descriptors"):
        return float({"memory": server.uss_bytes, "threads": server.threads, "descriptors": server.descriptors}[quantity])
    if quantity in ("switches", "faults"):
        return _by_counted(quantity, server)
    if quantity == "held memory":
        return _held_bytes(window, record)
    if quantity == "recovery":
        return float(_recovery_ns(load))
    if quantity == "connect p50":
        return _quantile_ns(load.connect, 0, QUANTILES[quantity], load)
    of_label = _of_label(load, metric.label)
    if quantity == "rate":
        return _some(of_label.completed) / load.seconds
    if quantity == "answered":
        return max(histogram.total(of_label.response), 0.5) / _some(of_label.intended)
    if quantity == "cpu":
        return (server.cpu_user_ns + server.cpu_system_ns) / _some(load.completed)
    both = histogram.merge([of_label.response, of_label.censored])
    if quantity == "mean":
        _some(histogram.total(of_label.response))
        return histogram.mean_ns(both)
    return _quantile_ns(both, histogram.total(of_label.censored), QUANTILES[quantity], load)


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


def _quantile_ns(values: Histogram, unanswered: int, q: float, load: LoadResult) -> float:
    """A quantile of values of which some, `unanswered`, are only known from below."""
    total = histogram.total(values)
    if total < samples_wanted(q):
        raise CannotTell(f"{total:,} samples, p{100 * q:g} wants {samples_wanted(q):,}")
    if unanswered > (1 - q) * total + 1e-9:
        raise CannotTell(f"{unanswered / total:.1%} of the requests never finished")
    value = histogram.quantile_ns(values, q)
    paused = pauses([load])
    if (why := refusal(q, total, paused)) and value < LONGER_THAN_PAUSES * max(paused.lengths_ns, default=0):
        raise CannotTell(why)
    return float(value)


def _held_bytes(window: Window, record: VisitRecord) -> float:
    """By how much memory grows with each companion that is open; it may be less than nothing, where others' noise is more."""
    label = plain_label(window.level)
    if not label:
        raise CannotTell("nobody is beside that level's load")
    plain = _window(record, label)
    held = window.load.companions.get("open", 0)
    if not held:
        raise CannotTell("no connection was held")
    with_them, without = _memory_bytes(window.server), _memory_bytes(plain.server)
    return (with_them - without) / held


def plain_label(level: Level) -> str:
    """The level of the same load with nobody beside it; empty for one that is such itself."""
    return replace(level, beside=None).label if level.beside else ""


def _memory_bytes(server: ServerCost) -> int:
    if server.socket_bytes is None:
        raise CannotTell("the sockets' memory was not read")
    return server.uss_bytes + server.socket_bytes


# ---------------------------------------------------------------- recovery


def _recovery_ns(load: LoadResult) -> int:
    if not load.series.slow:
        raise CannotTell("slow requests were not counted")
    slow = list(_slow_steps(load.series, round(load.seconds * 1e9 / 2), round(load.seconds * 1e9)))
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
