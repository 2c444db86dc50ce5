"""Scales and their ticks: logarithms with plain numbers, throughput from zero, percentiles as HdrHistogram plots them."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes

from benchmarks.charts import _words as words
from benchmarks.charts._page import Page

PERCENTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


def unnamed(_: float) -> str:
    """No words at ticks: another panel beside has them."""
    return ""


def from_zero(page: Page, axes: Axes, highest: float, name: Callable[[float], str]) -> None:
    """A linear y axis from zero to a little above the highest value, with three to seven round ticks."""
    highest = highest if highest > 0 else 1.0
    axes.set_ylim(0, highest * 1.08)
    ticks = zero_ticks(highest)
    page.ticks(axes, "y", ticks, [name(t) for t in ticks])


def zero_ticks(highest: float) -> list[float]:
    """Three to seven round numbers from zero to a little above the highest value, which is positive."""
    step = next(s for s in _round_steps(highest / 6) if highest / s <= 6.0)
    return [i * step for i in range(8) if i * step <= highest * 1.08]


def logarithmic(
    page: Page,
    axes: Axes,
    which: Literal["x", "y"],
    values: Iterable[float],
    name: Callable[[float], str],
    *,
    at: Sequence[float] = (),
    grid: bool = True,
) -> None:
    """A logarithmic axis around the positive values, ticks at `at` or at round numbers, none of them like 1e5."""
    positive = [v for v in values if v > 0 and math.isfinite(v)]
    low, high = min(positive, default=1.0), max(positive, default=10.0)
    air = max((high / low) ** 0.06, 1.6 if high < 1.5 * low else 1.0)  # almost equal values stand in the middle
    low, high = low / air, high * air
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    ticks = list(at) or log_ticks(low, high)
    page.ticks(axes, which, ticks, [name(t) for t in ticks], grid)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high: powers of ten, with 2s and 5s between where there would be fewer than three."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [d * 10.0**e for e in exponents for d in digits if low <= d * 10.0**e <= high]
        if len(ticks) >= 3:
            break
    return ticks


def binary_ticks(values: Sequence[float]) -> list[float]:
    """Powers of two around amounts of memory, every second or fourth of them where they are many."""
    low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    step = max(-(-(high - low) // 5), 1)
    return [2.0**exponent for exponent in range(low, high + 1, step)]


def nines(q: float) -> float:
    """Where a quantile lies on the HDR axis: every further nine is as far as the one before."""
    return -math.log10(1 - min(q, 0.999999))


def percentile_at_or_after(q: float) -> float:
    """The first of `PERCENTILES` that is not below q, from 90 on: where an axis ends."""
    return next((p for p in PERCENTILES[1:] if p >= q - 1e-9), PERCENTILES[-1])


def percentile_axis(page: Page, axes: Axes, end: float) -> None:
    """The x axis 50, 90, 99, 99.9, up to one of `PERCENTILES`."""
    shown = [q for q in PERCENTILES if q <= end + 1e-9]
    axes.set_xlim(nines(0.5) - 0.1, nines(end) + 0.05)
    page.ticks(axes, "x", [nines(q) for q in shown], [words.percentile(q) for q in shown])


def _round_steps(least: float) -> Iterable[float]:
    exponent = math.floor(math.log10(least))
    return (d * 10.0**e for e in (exponent, exponent + 1, exponent + 2) for d in (1, 2, 2.5, 5))
