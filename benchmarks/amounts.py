"""Amounts as people read them: three significant digits and a unit. For tables, sentences and charts alike."""

import math

from benchmarks.summaries import Estimate, Quantile, Unit

MOVED = 0.05  # a range that reaches no farther from its value is not worth a reader's time

_NS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


def digits(value: float, significant: int = 3) -> str:
    """A plain number of so many significant digits and no exponent: 98.4, 1.25, 0.0034, 125."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = significant - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    # 9.996 becomes 10.0 and not 10.00.
    places = significant - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(places, 0)}f}"


def scaled(value: float, scale: tuple[tuple[float, str], ...], separator: str = "") -> str:
    """The value in the largest unit of the scale in which it is at least 1, judged after rounding (999.7 is 1.00k)."""
    for factor, unit in scale:
        if abs(float(digits(value / factor))) >= 1:
            return f"{digits(value / factor)}{separator}{unit}"
    factor, unit = scale[-1]
    return f"{digits(value / factor)}{separator}{unit}"


def rate(per_s: float) -> str:
    """98,412.3 is "98.4k/s"."""
    return f"{scaled(per_s, _COUNTS)}/s"


def duration(ns: float) -> str:
    """1,250,000 is "1.25 ms"."""
    return scaled(ns, _NS, " ") if ns else "0"


def size(value_bytes: float) -> str:
    """31,457,280 is "30.0 MiB"."""
    return scaled(value_bytes, _BYTES, " ") if value_bytes else "0"


def percent(share: float) -> str:
    """0.0123 is "1.2%", 0.2 is "20%"; what is not nothing is never "0%"."""
    return f"{digits(100 * share, 2)}%"


def times(ratio: float) -> str:
    """1.312 is "1.31×"."""
    return f"{digits(ratio)}×"


def ratio(value: float) -> str:
    """A ratio to the best, without its sign: 0.826 is "0.83", 0.0243 "0.024", 12.34 "12.3"."""
    return f"{value:.2f}" if 0.0995 <= value < 9.995 else digits(value, 2 if value < 1 else 3)


def plain(count: float) -> str:
    """A number without a unit: "0.0124", "125", "12,345"."""
    return digits(count) if abs(count) < 1_000 else f"{count:,.0f}"


def shown(value: float, unit: Unit) -> str:
    """A value of this unit as people read it."""
    return {"rate": rate, "time": duration, "bytes": size, "ratio": times, "count": plain}[unit](value)


def ranged(estimate: Estimate, unit: Unit) -> str:
    """An absolute value; if it moved by more than 5%, with the range it moved in, in the same unit: "98.4k/s (91.2–104)"."""
    said = shown(estimate.value, unit)
    if estimate.low is None or estimate.high is None or (half_width(estimate) or 0.0) <= MOVED:
        return said
    largest = _largest(estimate.value, unit)
    return f"{said} ({digits(estimate.low / largest)}–{digits(estimate.high / largest)})"


def span(least: float, most: float, unit: Unit) -> str:
    """From the least to the most: "10.2–13.3 µs"; one number if they differ by no more than 5%."""
    if most <= least * (1 + MOVED):
        return shown(most, unit)
    return f"{digits(least / _largest(most, unit))}–{shown(most, unit)}"


def _largest(value: float, unit: Unit) -> float:
    """The largest unit in which the value is at least 1."""
    scale = {"rate": _COUNTS, "time": _NS, "bytes": _BYTES}.get(unit, ((1.0, ""),))
    return next((factor for factor, _ in scale if abs(float(digits(value / factor))) >= 1), scale[-1][0])


def within(estimate: Estimate) -> str:
    """A ratio with its 95% interval in short: "0.83 ±1.7%"."""
    return f"{ratio(estimate.value)} {margin(estimate)}".rstrip()


def between(estimate: Estimate) -> str:
    """A ratio with the ends of its 95% interval: "0.83 (0.81–0.85)"."""
    if estimate.low is None or estimate.high is None:
        return ratio(estimate.value)
    return f"{ratio(estimate.value)} ({ratio(estimate.low)}–{ratio(estimate.high)})"


def half_width(estimate: Estimate) -> float | None:
    """How far the interval reaches, relative to the value: the larger side. None without an interval."""
    if estimate.low is None or estimate.high is None or not estimate.value:
        return None
    return max(estimate.high / estimate.value - 1, 1 - estimate.low / estimate.value)


def margin(estimate: Estimate) -> str:
    """The interval as "±1.2%"; empty when there is none."""
    width = half_width(estimate)
    return "" if width is None else f"±{percent(width)}"


def latency(quantile: Quantile | None) -> str:
    """A percentile as a table shows it: "1.25 ms", "≥ 200 ms", "insufficient", or "–" when it was not measured."""
    if quantile is None:
        return "–"
    if quantile.value_ns is None:
        return "insufficient"
    return f"≥ {duration(quantile.value_ns)}" if quantile.status == "at least" else duration(quantile.value_ns)


def percentile(q: float) -> str:
    """A quantile as people call it: p50, p99, p99.9."""
    return f"p{100 * q:g}"
