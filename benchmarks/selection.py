"""Which visits count, and which may be compared with which.

A visit that was disturbed, by a change of the machine's weather or by other programs, is made again; of its attempts the
last quiet one counts, or, when there was none, the first, with a mark. A failed visit is a failure and never a number. What
counts is then labelled by its weather: visits whose probes lie within 20% of each other saw the same machine. The disturbed
have a label of their own: such visits are compared with their like in the same block, and the noise that they show widens
every interval.

**A restless machine.** Where the weather changed within most of a run's visits, steady ones are the exception, and the probes
say little about what a visit met between them. There all visits of a block are compared whatever the weather, one finding says
so, and the noise that is left is in every interval. What other programs disturbed stays apart.
"""

import collections
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.nouns import VisitRecord
from benchmarks.validity import disturbed, outside_load, restless

SAME_WEATHER = 1.2  # largest ratio between neighbouring probes of one weather
UNPROBED, UNSTEADY, RESTLESS = -1, -2, -3  # labels: without a probe; disturbed; of a run whose weather tells nothing


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit that counts. `weather` is a label, the same for visits that saw the same machine."""

    record: VisitRecord
    weather: int

    @property
    def pairing(self) -> tuple[int, int]:
        """What another model's visit must share with it to be compared: block and weather."""
        return self.record.plan.block, self.weather


def usable(records: Iterable[VisitRecord], share_blocks: bool = True) -> list[Visit]:
    """The visits that count, one for each model, scenario and block at most, in order of blocks.

    Those of two runs together do not `share_blocks`: the weather is all that they may have in common, restless or not.
    """
    records = list(records)
    all_alike = share_blocks and restless(records)
    attempts: dict[tuple[str, str, int], list[VisitRecord]] = collections.defaultdict(list)
    for record in records:
        if record.failure is None:
            attempts[record.plan.model, record.plan.scenario, record.plan.block].append(record)
    chosen = [_best_attempt(made, outside_load if all_alike else disturbed) for made in attempts.values()]
    labels = _restless_labels(chosen) if all_alike else _labels(chosen)
    visits = [Visit(made, label) for made, label in zip(chosen, labels, strict=True)]
    return sorted(visits, key=lambda visit: visit.record.plan.block)


def _labels(chosen: Sequence[VisitRecord]) -> list[int]:
    steady = iter(weather_labels([_probe_ns(record) for record in chosen if not disturbed(record)]))
    return [UNSTEADY if disturbed(record) else next(steady) for record in chosen]


def _restless_labels(chosen: Sequence[VisitRecord]) -> list[int]:
    return [UNSTEADY if outside_load(record) else RESTLESS for record in chosen]


def _best_attempt(made: Sequence[VisitRecord], disturbing: Callable[[VisitRecord], object]) -> VisitRecord:
    in_order = sorted(made, key=lambda record: (record.plan.attempt, record.plan.number))
    quiet = [record for record in in_order if not disturbing(record)]
    return quiet[-1] if quiet else in_order[0]


def _probe_ns(record: VisitRecord) -> float | None:
    """The cache-line round trip around a visit; None with a single core, where there is none to measure."""
    probes = [weather.pingpong_ns for weather in (record.before, record.after) if weather and weather.pingpong_ns]
    return math.exp(math.fsum(map(math.log, probes)) / len(probes)) if probes else None


def weather_labels(probes_ns: Sequence[float | None]) -> list[int]:
    """A number for each probe, the same for those of one weather; those without a probe share one.

    Sorted probes are cut wherever the next is more than 20% slower: at gaps, since a boundary at a fixed distance would fall
    into the middle of what is one cluster.
    """
    ordered = sorted(probe for probe in probes_ns if probe is not None)
    starts = [low for before, low in zip([0.0, *ordered], ordered, strict=False) if low > before * SAME_WEATHER]
    return [UNPROBED if probe is None else sum(start <= probe for start in starts) - 1 for probe in probes_ns]


def prevailing_weather(visits: Iterable[Visit]) -> int | None:
    """The weather that most visits saw, a steady and quick one at equal numbers; None without visits."""
    counts = collections.Counter(visit.weather for visit in visits)
    return min(counts, key=lambda label: (-counts[label], label == UNSTEADY, label), default=None)


def of_one_weather(visits: Sequence[Visit], prevailing: int | None) -> list[Visit]:
    """The visits of a cell that belong in one mean: those of the prevailing weather, else of its own commonest."""
    own = prevailing if any(visit.weather == prevailing for visit in visits) else prevailing_weather(visits)
    return [visit for visit in visits if visit.weather == own]


def failures(records: Iterable[VisitRecord]) -> Mapping[tuple[str, str], list[VisitRecord]]:
    """The failed visits by model and scenario."""
    failed: dict[tuple[str, str], list[VisitRecord]] = collections.defaultdict(list)
    for record in records:
        if record.failure is not None:
            failed[record.plan.model, record.plan.scenario].append(record)
    return failed
