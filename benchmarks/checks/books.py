"""Accounts that must balance: the same requests, counted and timed in several ways that agree unless one is wrong.

What holds for each window holds for their sums: requests are counted in whole numbers, and what an edge cuts in two is charged
to the nanosecond on both sides. So merging adds no tolerance.
"""

import numpy as np

from benchmarks import histogram
from benchmarks.amounts import digits, duration
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram, LoadResult
from benchmarks.summaries import Finding

LEDGER_ERROR = 0.005  # of connections × time
LITTLE_ERROR = 0.02  # of the integral of requests in flight
TURN_NS = 20_000  # of each connection: the engine charges by its last look at the clock. At random, so for all windows together
SUMMED_S = 1e-6  # of each window's seconds: as exact as packed records have them
TAIL = 0.99
_FAULT_OF_OURS = "this is a fault of the load engine: please report it with the record"


def bookkeeping(facts: Facts) -> Finding | None:
    """In a closed loop every connection is, at every moment, in exactly one of five states; the parts must sum to the whole.

    The operational law of a closed system (Lazowska et al., "Quantitative System Performance", 1984, ch. 3): N = X (R + Z).
    """
    if facts.is_open:
        return None
    ledger, whole_ns = facts.load.ledger, facts.load.connections * facts.load.seconds * 1e9
    parts_ns = ledger.completed_ns + ledger.failed_ns + ledger.residual_ns + ledger.thinking_ns + ledger.connecting_ns
    if not whole_ns or abs(parts_ns / whole_ns - 1) <= LEDGER_ERROR:
        return None
    return Finding(
        "bookkeeping",
        "invalid",
        f"the connections' time adds up to {parts_ns / whole_ns:.2%} of connections × seconds",
        "requests were lost, counted twice or timed wrongly: response times and rate contradict each other",
        _FAULT_OF_OURS,
    )


def littles_law(facts: Facts) -> Finding | None:
    """Requests in flight, counted and integrated, are throughput × mean time, summed over requests and corrected at the edges.

    J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9(3), 1961. Over a finite window it holds
    exactly once the time that requests spent outside it is taken off and that of requests from outside is added (Little,
    "Little's Law as Viewed on Its 50th Anniversary", Operations Research 59(3), 2011, §3.2).
    """
    load, crossing = facts.load, facts.load.crossing
    summed_ns = (
        load.service.sum_ns
        - crossing.carried_out_ns
        + crossing.carried_in_ns
        + crossing.unanswered_ns
        + load.ledger.failed_ns
    )  # fmt: skip
    apart_ns = abs(summed_ns - crossing.in_flight_ns)
    if apart_ns <= LITTLE_ERROR * max(summed_ns, crossing.in_flight_ns) + TURN_NS * load.connections:
        return None
    window_ns = load.seconds * 1e9
    return Finding(
        "Little's law",
        "invalid",
        f"{digits(crossing.in_flight_ns / window_ns)} requests in flight by counting them, "
        f"{digits(summed_ns / window_ns)} by their times",
        "requests were lost, counted twice or timed wrongly: response times and rate contradict each other",
        _FAULT_OF_OURS,
    )


def histograms_disagree(facts: Facts) -> Finding | None:
    """Every histogram is one that values could have made, and those of the same requests agree."""
    load = facts.load
    named = {
        "response": load.response, "service": load.service, "send lag": load.send_lag, "own lag": load.own_lag,
        "connect": load.connect, "censored": load.censored,
    }  # fmt: skip
    wrong = [f"the histogram of {name}: {said}" for name, values in named.items() if (said := malformed(values))]
    wrong += _contradictions(load) + _missing(facts) + _rounds_disagree(facts)
    if not wrong:
        return None
    return Finding(
        "histograms",
        "invalid",
        wrong[0] + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""),
        "counts and times of the same requests contradict each other, so no percentile can be believed",
        "if the record was not edited, " + _FAULT_OF_OURS,
    )


def malformed(values: Histogram) -> str:
    """What is wrong with one histogram by itself; empty when it is one that values could have made."""
    index, count = values.index, values.count
    if len(index) != len(count):
        return f"{len(index)} buckets and {len(count)} counts"
    if not index:
        return f"no values, but a sum of {duration(values.sum_ns)}" if values.sum_ns else ""
    indices, counts = np.array(index), np.array(count)
    if np.any(np.diff(indices) <= 0) or index[0] < 0:
        return "its buckets are not in order"
    if min(count) < 1:
        return "a bucket that is there is empty"
    low, high = histogram.bounds_of(indices)
    if values.coarse:  # its values were moved up to the bounds of wider buckets
        low = np.zeros_like(low)
    if not low[0] <= values.min_ns <= high[0] or not low[-1] <= values.max_ns <= high[-1]:
        return "its extremes are not in its outer buckets"
    least, most = int(low @ counts), int(high @ counts)
    if not least <= values.sum_ns <= most:
        return f"its sum is {duration(values.sum_ns)}, its buckets allow {duration(least)} to {duration(most)}"
    return ""


def _contradictions(load: LoadResult) -> list[str]:
    """Numbers that are the same by definition and differ."""
    found = []
    responses, services, lags = (histogram.total(h) for h in (load.response, load.service, load.send_lag))
    if not responses == services == lags:
        found.append(f"{responses:,} response times, {services:,} service times and {lags:,} send lags of the same requests")
    # Each is rounded to a nanosecond; longer than the longest bucket all are counted as that.
    elif (
        load.response.max_ns < histogram.HIGHEST_NS
        and abs(load.response.sum_ns - load.service.sum_ns - load.send_lag.sum_ns) > 2 * responses
    ):
        found.append(
            f"response times of {duration(load.response.sum_ns)} in all, service and send lag of "
            f"{duration(load.service.sum_ns + load.send_lag.sum_ns)}"
        )
    if load.classes and sum(of.completed for of in load.classes.values()) != load.completed:
        of_labels = sum(of.completed for of in load.classes.values())
        found.append(f"{load.completed:,} requests completed, those of each label are {of_labels:,}")
    return found


def _missing(facts: Facts) -> list[str]:
    """Requests that are in one count and not in another.

    Those answered after a window are counted whenever they began, and timed if they began in it. The others were under way for
    all of the window, which is in the account of time that was carried in.
    """
    load, found = facts.load, []
    measured = histogram.total(load.response)
    expected = load.completed - load.crossing.carried_in + load.drained
    shortest_s = min(facts.rounds.seconds, default=load.seconds / facts.windows)
    all_through = int(load.crossing.carried_in_ns / (shortest_s * 1e9)) if shortest_s else 0
    if not 0 <= expected - measured <= all_through:
        found.append(f"{expected:,} requests ended that began in the windows, {measured:,} response times")
    accounted = measured + histogram.total(load.censored)
    if facts.is_open and not load.errors and accounted != load.intended:
        found.append(f"{load.intended:,} requests were due and {accounted:,} are in the histograms")
    return found


def _rounds_disagree(facts: Facts) -> list[str]:
    """Sums that are not those of the windows, and lists of the longest window that are not its own."""
    load, rounds, found = facts.load, facts.rounds, []
    sums = {
        "completed requests": (load.completed, sum(rounds.completed)),
        "service times": (histogram.total(load.service), sum(rounds.answered)),
        "ns of service times": (load.service.sum_ns, sum(rounds.answered_ns)),
        "ns of CPU time": (load.server_cpu_ns, sum(rounds.cpu_ns)),
    }
    if rounds.number:
        if len(rounds.number) != facts.windows or abs(sum(rounds.seconds) - load.seconds) > SUMMED_S * facts.windows:
            found.append(f"{facts.windows:,} windows of {load.seconds:.6f} s, the rounds have {len(rounds.number):,}")
        found += [f"{whole:,} {what}, the rounds have {parts:,}" for what, (whole, parts) in sums.items() if whole != parts]
    lists = {"connections": sum(load.per_connection), "series": sum(load.series.completed)}
    return found + [
        f"{facts.long_completed:,} requests completed in the longest window, its {what} have {count:,}"
        for what, count in lists.items()
        if count != facts.long_completed
    ]


def few_dominate(facts: Facts) -> Finding | None:
    """A mean above the 99th percentile is no contradiction: the slowest hundredth holds more time than its share."""
    load = facts.load
    if histogram.total(load.response) < 100 or malformed(load.response):
        return None
    mean_ns, tail_ns = histogram.mean_ns(load.response), histogram.quantile_ns(load.response, TAIL)
    if mean_ns <= tail_ns:
        return None
    return Finding(
        "few dominate",
        "info",
        f"the mean response time, {duration(mean_ns)}, is above the p99, {duration(tail_ns)}",
        "fewer than one request in a hundred took more time than all the others expect: the mean is theirs",
        "read the percentiles, and the highest ones too",
    )
