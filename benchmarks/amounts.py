"""Amounts as people read them: three significant digits and a unit. For tables, sentences and charts alike."""

import math

from benchmarks.summaries import Estimate, Quantile

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
