"""The highest rate that meets an objective such as p99 <= 20 ms: what meets it, and where to look next.

The search is a bisection of rates on a logarithmic scale. A single window proves little, since a percentile of a few hundred
requests is a noisy thing: each rate is probed twice, and a third time when the two disagree. Three outcomes are kept apart:

- **met**: served at least 99% of what was offered, and the percentile is within the limit. Pauses of the machine can only
  have made it worse, so they do not matter here;
- **missed**: served less than offered, or over the limit, and nobody but the server can be the reason;
- **can't tell**: too few requests, an engine that is the limit itself, or a tail that the engine's own pauses may have made.
  It is tried again a few times and then said. It never counts as met.

Nothing here waits or measures: the same windows always give the same next rate and the same answer.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks import histogram
from benchmarks.amounts import digits, duration, percent, rate
from benchmarks.checks.engine import ENGINE_BUSY
from benchmarks.checks.facts import Facts, short_of_offered
from benchmarks.merging import histograms
from benchmarks.nouns import LoadResult, Measurement
from benchmarks.stats.intervals import samples_wanted
from benchmarks.summaries import Finding
from benchmarks.tails import STALL_NS, STALL_SHARE, name
from benchmarks.validity import check_measurement

WITHIN = 1.05  # met and missed rates are brought this near to each other
LOWEST = 1 / 64  # of the closed loop's peak: the lowest rate asked for,
FIRST = 0.7  # the first,
HIGHEST = 1.2  # and the highest, as a closed loop's peak may lie a little below what a server can do
DECIDES = 2  # like outcomes at a rate
UNKNOWN_ENOUGH = 3  # windows at one rate that tell nothing; after that the search ends
PROBES_MOST = 24
PROBES_USUAL = 13  # six rates, some of them three times
PROBE_LIMIT_S = 10.0  # a rate that needs a longer window is not asked for
SEARCH_LIMIT_S = 90.0  # of one trial
PROBE_RATE_PER_S = 1000.0  # to estimate a search's length with, where a scenario names no rate
LIMITS_IN_A_WINDOW = 3.0  # a queue that grows by a tenth of the time is seen only after several times the limit
NOTICED = 0.1  # of the limit: a shorter pause of the engine cannot be why it was missed
CANNOT = "cannot meet it"  # how the reason of a model begins that misses everywhere

_FORM = re.compile(r"\s*p(50|90|99|99\.9)\s*<=\s*(\d+(?:\.\d+)?)\s*(s|ms|us|µs)\s*")
_UNITS_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3}


@dataclass(frozen=True, slots=True)
class Objective:
    """A share `q` of the requests is answered within `limit_ns`. `text` is how it is written everywhere."""

    q: float
    limit_ns: float
    text: str


Outcome = Literal["met", "missed", "can't tell"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one window at a rate has shown, and in which words."""

    rate_per_s: float  # asked
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where a search ended: the highest rate that met the objective and the lowest above it that did not.

    `met_per_s` None: not even the lowest did; `missed_per_s` None: the highest did, or the search was cut short. `why` says
    what kept it from telling more.
    """

    met_per_s: float | None
    missed_per_s: float | None
    why: str = ""

    @property
    def middle_per_s(self) -> float | None:
        """The geometric middle of the two; what was met if there is no other end."""
        if self.met_per_s is None:
            return None
        return math.sqrt(self.met_per_s * (self.missed_per_s or self.met_per_s))


def parse(text: str) -> Objective:
    """An objective as one writes it: "p99<=20ms". Raises ValueError with a sentence that says what was expected."""
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is no objective: write a percentile (p50, p90, p99 or p99.9), <= and a time, such as 'p99<=20ms'"
        )
    percentile, amount, unit = found.groups()
    limit_ns = float(amount) * _UNITS_NS[unit]
    if not 1e3 <= limit_ns <= histogram.HIGHEST_NS:
        raise ValueError(f"{text!r}: {amount}{unit} is not from 1us to {histogram.HIGHEST_NS / 1e9:.0f}s")
    q = {"50": 0.5, "90": 0.9, "99": 0.99, "99.9": 0.999}[percentile]
    return Objective(q, limit_ns, f"p{percentile}<={amount}{unit.replace('µ', 'u')}")


# ---------------------------------------------------------------- one window


def probe_s(objective: Objective, rate_per_s: float, least_s: float) -> float:
    """How long a window at a rate must be: enough requests for the percentile, and time for a queue to grow past the limit."""
    wanted = samples_wanted(objective.q)
    wanted += 4 * math.isqrt(wanted)  # arrivals come by chance: four standard deviations more
    return max(least_s, LIMITS_IN_A_WINDOW * objective.limit_ns / 1e9, wanted / rate_per_s)


def judge(facts: Facts, objective: Objective) -> Probe:
    """What a window at a rate says of the objective."""
    load, asked = facts.load, facts.measurement.level.rate_per_s or 0.0
    both = histograms([load.response, load.censored])
    samples, label = histogram.total(both), name(objective.q)
    value_ns = histogram.quantile_ns(both, objective.q)
    seen = f"{label} was {duration(value_ns)} at {rate(asked)}"
    behind, enough = falls_behind([facts.measurement]), samples >= samples_wanted(objective.q)
    within = not behind and enough and value_ns <= objective.limit_ns
    invalid = next((finding for finding in check_measurement(facts) if finding.severity == "invalid"), None)
    if invalid is not None and load.completed and not (within and _only_late(facts, invalid)):
        return Probe(asked, "can't tell", f"{invalid.check}: {invalid.observed}")
    if behind:
        return Probe(asked, "missed", f"{percent(load.completed / max(load.intended, 1))} of {rate(asked)} were served")
    if not enough:
        return Probe(asked, "can't tell", f"{samples:,} requests, {label} wants {samples_wanted(objective.q):,}")
    if within:
        return Probe(asked, "met", seen)
    paused = _paused_share(load, objective)
    if paused >= (1 - objective.q) * STALL_SHARE:
        return Probe(asked, "can't tell", f"{seen}, but the engine itself stood still for {percent(paused)} of the time")
    return Probe(asked, "missed", seen)


def _only_late(facts: Facts, invalid: Finding) -> bool:
    """Whether an engine that had time sent late: that is in the response time already and can only have made it worse."""
    return invalid.check == "engine saturated" and facts.load.busy_fraction <= ENGINE_BUSY


def falls_behind(measured: Sequence[Measurement]) -> bool:
    """Whether less than 99% of what was offered was served, by more than the windows' edges explain."""
    return short_of_offered(measured) > 0


def _paused_share(load: LoadResult, objective: Objective) -> float:
    """The share of time in pauses of the engine that the limit would notice."""
    noticed_ns = max(STALL_NS, NOTICED * objective.limit_ns)
    return sum(length for _, length in load.gaps if length > noticed_ns) / (load.seconds * 1e9)


# ---------------------------------------------------------------- the search


def lowest_per_s(objective: Objective, peak_per_s: float) -> float:
    """The lowest rate that is asked for: below it a window would have to be too long, or the model is no use anyway."""
    wanted = samples_wanted(objective.q)
    return max(peak_per_s * LOWEST, (wanted + 4 * math.isqrt(wanted)) / PROBE_LIMIT_S)


def next_rate(probes: Sequence[Probe], objective: Objective, peak_per_s: float) -> float | None:
    """The rate to probe next, None when the search is over. `peak_per_s` is that of the closed levels."""
    low, high = lowest_per_s(objective, peak_per_s), HIGHEST * peak_per_s
    if len(probes) >= PROBES_MOST or low > high:
        return None
    if not probes:
        return max(FIRST * peak_per_s, low)
    latest = probes[-1].rate_per_s
    verdict = decided(probe.outcome for probe in probes if probe.rate_per_s == latest)
    if verdict is None:
        return latest
    if verdict == "can't tell":
        return None
    found = bracket(probes)
    met, missed = found.met_per_s, found.missed_per_s
    if met is None and missed is not None:
        return max(missed / 2, low) if missed > low else None
    if met is not None and missed is None:
        return min(met * math.sqrt(HIGHEST / FIRST), high) if met < high * 0.999 else None
    if met is None or missed is None or missed <= met * WITHIN:
        return None
    return math.sqrt(met * missed)


def decided(outcomes: Iterable[Outcome]) -> Outcome | None:
    """What the windows at one rate say together: two of a kind decide; None while it takes another."""
    seen = list(outcomes)
    both: tuple[Outcome, ...] = ("met", "missed")
    for outcome in both:
        if seen.count(outcome) >= DECIDES:
            return outcome
    return "can't tell" if seen.count("can't tell") >= UNKNOWN_ENOUGH else None


def bracket(probes: Sequence[Probe]) -> Bracket:
    """Where the search stands after these probes, and what kept it from telling more."""
    rates = dict.fromkeys(probe.rate_per_s for probe in probes)
    verdicts = {r: decided(probe.outcome for probe in probes if probe.rate_per_s == r) for r in rates}
    met = max((r for r, verdict in verdicts.items() if verdict == "met"), default=None)
    missed = min((r for r, verdict in verdicts.items() if verdict == "missed" and (met is None or r > met)), default=None)
    return Bracket(met, missed, _reason(probes, verdicts, met, missed))


def _reason(probes: Sequence[Probe], verdicts: dict[float, Outcome | None], met: float | None, missed: float | None) -> str:
    """Why there is no narrow bracket; empty when there is one."""
    if met is not None and missed is not None and missed <= met * WITHIN:
        return ""
    for probe in reversed(probes):
        if verdicts[probe.rate_per_s] == "can't tell" and probe.outcome == "can't tell":
            return f"can't tell at {rate(probe.rate_per_s)}: {probe.why}"
    if missed is not None and met is None:
        last = next(probe for probe in reversed(probes) if probe.rate_per_s == missed and probe.outcome == "missed")
        return f"{CANNOT} ({last.why})"
    if met is not None and missed is None:
        return f"met at {rate(met)}, the highest that was tried"
    return f"the search ended after {digits(len(probes))} windows" if probes else "no rate could be tried"
