"""Ticks, levels and lists in words: round numbers without trailing zeros. Measured amounts are `benchmarks.amounts`'."""

from collections.abc import Sequence

LONGEST_NAME = 24  # characters; the longest of our own is 21
_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))


def digits(value: float) -> str:
    """Three significant digits at most, no trailing zeros, thousands with a comma: "0.034", "9.8", "98.1", "1,240"."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    if "e" in text:  # below 0.0001, where nobody counts digits
        return "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def short(value: float) -> str:
    """A count in at most five characters: "480", "9.8k", "98.1k", "1.2M"."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * unit:
            return digits(value / unit) + letter
    return digits(value)


def asked(per_s: float) -> str:
    """A rate that was asked for and so is a round number: "20k/s"."""
    return short(per_s) + "/s"


def time(ns: float) -> str:
    """A time on an axis, given in nanoseconds: "85 µs", "1 ms", "2 s"."""
    for size, unit in _TIMES:
        if abs(ns) >= 0.9995 * size:
            return f"{digits(ns / size)} {unit}"
    return "0 µs"


def size(number_of_bytes: float) -> str:
    """Memory on an axis: "64 MiB"."""
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if number_of_bytes >= factor:
            return f"{digits(number_of_bytes / factor)} {unit}"
    return f"{digits(number_of_bytes)} B"


def percentile(q: float) -> str:
    """The name of a quantile: "50", "99", "99.9"."""
    return f"{100 * q:.6g}"


def listing(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence: "a", "a and b", "a, b and 3 others"."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) <= most:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names[: most - 1]) + f" and {len(names) - most + 1} others"


def clipped(name: str, most: int = LONGEST_NAME) -> str:
    """A name of at most `most` characters: its middle left out, as both ends are what tells long names apart."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return name[: most - 1 - tail] + "…" + name[-tail:]
