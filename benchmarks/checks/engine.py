"""Is it the load engine that is measured? A generator that is late, busy or asleep writes its own limits into the result.

Tene, "How NOT to Measure Latency" (2013); Schroeder, Wierman, Harchol-Balter, "Open Versus Closed: A Cautionary Tale" (NSDI
2006). What the engine says of itself decides: how busy it was, what it had not sent, how late it sent, when it stood still.
"""

import bisect
import itertools

from benchmarks import histogram
from benchmarks.amounts import duration, percent
from benchmarks.checks.facts import Facts
from benchmarks.stats.intervals import samples_wanted
from benchmarks.summaries import Finding
from benchmarks.tails import QUANTILES, STALL_SHARE, Pauses, name

ENGINE_BUSY = 0.85  # busy fraction above which the engine, not the server, may set the pace
UNSENT = 0.01  # of the arrivals due: achieved must be 99% of offered while connections are free
LAST_NS = 1_000_000  # a pause that ends this close to a window's end explains what was unsent then
BURST = 64  # arrivals the engine may be about to send: it reads a batch of so many events before it sends again
LATE = 0.10  # of the p99 of the response time: what the engine's own p99 lateness may make up
COARSE = 1.1  # by how much a value of a packed record may be too high
LATE_NS = 40_000  # shorter is no pause (GAP_NS of the engine); beside quick answers a healthy engine's is 14 to 26 µs
TAIL = 0.99


def engine_saturated(facts: Facts) -> Finding | None:
    """A busy engine sends late and reads late, and then measures itself: there are three signs."""
    load = facts.load
    short = f" and fell {percent(facts.short_by / load.intended)} short of the offered load" if facts.short_by else ""
    if load.busy_fraction > ENGINE_BUSY:
        observed = f"the load engine was busy {percent(load.busy_fraction)} of the time{short}"
    elif owed := _owed(facts):
        observed = f"{owed:,} of {load.intended:,} requests due had not been sent, though there were free connections for them"
    elif late_ns := _late_ns(facts):
        response_ns = histogram.quantile_ns(load.response, TAIL)
        observed = f"the load engine sent {duration(late_ns)} late at the p99, of a response time of {duration(response_ns)}"
    else:
        return None
    return Finding(
        "engine saturated",
        "invalid",
        observed,
        "the number may be the engine's own limit, not the server's",
        "give the engine another core (--driver-cpus), or the server fewer",
    )


def _owed(facts: Facts) -> int:
    """Arrivals that were due, could have been sent and were not, beyond what a pause at the very end explains; else 0.

    Those that found no free connection when they were due are the server's doing.
    """
    load = facts.load
    if not facts.is_open or not load.free_at_end:
        return 0
    owed = max(load.unsent - load.waited, 0)
    # Twice the mean: in so short a time Poisson arrivals may well come twice as densely.
    explained = BURST + 2 * load.intended * _last_pauses_ns(facts) / (load.seconds * 1e9)
    return owed if owed > UNSENT * load.intended + explained else 0


def _last_pauses_ns(facts: Facts) -> int:
    """The pauses of the engine at the very ends of windows: the longest of each end."""
    gaps = facts.load.gaps
    if facts.packed:  # at most so much
        return sum(sorted((length for _, length in gaps), reverse=True)[: facts.windows])
    ends_ns = [end_s * 1e9 for end_s in itertools.accumulate(facts.rounds.seconds)]
    found = dict.fromkeys(range(len(ends_ns)), 0)
    for start, length in gaps:
        window = min(bisect.bisect_right(ends_ns, start), len(ends_ns) - 1)
        if start + length >= ends_ns[window] - LAST_NS:
            found[window] = max(found[window], length)
    return sum(found.values())


def _late_ns(facts: Facts) -> float:
    """The p99 of the engine's own lateness where it is a good part of the response time's; else 0."""
    load = facts.load
    if min(histogram.total(load.own_lag), histogram.total(load.response)) < samples_wanted(TAIL):
        return 0.0
    own_ns = histogram.quantile_ns(load.own_lag, TAIL) / (COARSE if facts.packed else 1.0)
    response_ns = histogram.quantile_ns(load.response, TAIL)
    return own_ns if own_ns > max(LATE * response_ns, LATE_NS) else 0.0


def lost_gaps(facts: Facts) -> Finding | None:
    """The list of the engine's pauses is finite; percentiles are judged by it."""
    if not facts.load.gaps_lost:
        return None
    return Finding(
        "pauses not recorded",
        "warning",
        f"{facts.load.gaps_lost:,} pauses of the engine beyond the {len(facts.load.gaps):,} recorded",
        "the share of time lost is larger than known, so percentiles may be shown that should not be",
        "measure on a quieter machine, or for less time (--seconds)",
    )


def stalls(paused: Pauses) -> Finding | None:
    """The percentiles of a cell that are not shown since the engine's own pauses reach into them (`benchmarks.tails`)."""
    drowned = [q for q in QUANTILES if paused.stalled_share >= (1 - q) * STALL_SHARE]
    if not drowned:
        return None
    which = name(drowned[0]) + (" and above" if len(drowned) > 1 else "")
    return Finding(
        "stalls",
        "info",
        f"the load engine stood still for {percent(paused.stalled_share)} of the time, in pauses over 200 µs: {which} withheld",
        f"requests that met a pause waited for the engine; {name(drowned[0])} allows {percent((1 - drowned[0]) * STALL_SHARE)}",
        "measure on a quieter machine, with a core that nothing else uses (--driver-cpus)",
    )
