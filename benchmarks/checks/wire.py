"""What the connections show: whether they were kept alive as declared, held back by TCP's timers, answered at all."""

from benchmarks import histogram
from benchmarks.amounts import digits, percent
from benchmarks.checks.facts import Facts
from benchmarks.nouns import Histogram
from benchmarks.summaries import Finding
from benchmarks.tails import pauses

A_HANDFUL = 3  # reconnects that are no pattern, however few the requests
RECONNECTS_MARKED = 0.005  # of completed requests
GIVEN_UP = ("gave_up", "read_timeout", "connect_timeout")  # kinds of errors: the client had no more patience
EDGES_S = 1.0  # beyond the windows: a connection is open during ramp and drain too
DELAYED_ACKS = 0.01  # of the requests
STALLED_MASS = 0.005  # of the requests
DENSER = 10.0  # than the neighbouring bands
FEWEST_STALLED = 20  # answers: one of 78 is 1.3% of the mass (seen, in a healthy window)
# TCP_DELACK_MIN is 40 ms (include/net/tcp.h). A tick may be 4 ms: the timer is rounded up to the next one, and runs one later
# where another CPU takes it over from an idle one (kernel/time/timer_migration.c, from Linux 6.9).
BAND_NS = (39_000_000, 49_000_000)
TURN_NS = (33_000_000, 55_000_000)  # a turn that takes so long by itself explains answers in the band


def reuse(facts: Facts) -> Finding | None:
    """One connection each, one more after each error, and those that the server declared it would close: no others.

    Where each request is to have a new connection, none may have an old one.
    """
    if not facts.measurement.level.keepalive:
        return _kept(facts)
    extra = _extra(facts)
    declared = _declared(facts)
    if extra <= declared + A_HANDFUL:
        return None
    beyond = extra - declared
    each = digits(facts.load.all_requests / beyond)
    return Finding(
        "reuse",
        "invalid",
        f"{beyond:,} connections more than asked for and declared, one every {each} requests",
        "the number contains handshakes that other models' numbers do not: this is not the keep-alive that it is called",
        "see why the server closes, or let it declare its bound in the ready line",
    )


def _kept(facts: Facts) -> Finding | None:
    """Requests that came over connections that had been used before. The counts are of moments a little apart."""
    load = facts.load
    kept = load.completed - load.connections_opened - load.kept
    if kept <= RECONNECTS_MARKED * load.completed + load.connections:
        return None
    return Finding(
        "reuse",
        "invalid",
        f"{load.connections_opened:,} connections were opened for {load.completed:,} requests that were to have one each",
        "the number is about handshakes, and lacks some of them",
        "this is a fault of the load engine: please report it with the record",
    )


def reconnects(facts: Facts) -> Finding | None:
    """A bounded keep-alive that was declared is no fault, but its handshakes are in the number."""
    extra = _extra(facts)
    if (
        not facts.measurement.level.keepalive
        or reuse(facts)
        or extra <= max(RECONNECTS_MARKED * facts.load.completed, A_HANDFUL)
    ):
        return None
    return Finding(
        "reconnects",
        "info",
        f"{extra:,} more connections than asked for, one every {digits(facts.load.all_requests / extra)} requests",
        "the number contains handshakes that other models' numbers do not",
        "read it as this model's bounded keep-alive, or raise its bound",
    )


def _extra(facts: Facts) -> int:
    """Connections beyond one each, and one after each error that ended one.

    Each window begins with connections that were kept open and opens those that are missing: both together are one each. What
    was closed between two windows, by the server or on purpose, is in no number.
    """
    load = facts.load
    ended = sum(count for kind, count in load.errors.items() if kind != "wrong_body" and not kind.startswith("status"))
    return load.connections_opened + load.kept - facts.windows * load.connections - ended


def _declared(facts: Facts) -> int:
    """How many connections the server may have ended by the bounds it declared, in all windows together."""
    load, closed = facts.load, 0
    if facts.keepalive_requests:
        # A connection may have had requests before the first window; from one window to the next they are counted on.
        closed += load.all_requests // facts.keepalive_requests + load.connections
    rounds, open_s = facts.rounds, load.seconds + EDGES_S
    span_s = rounds.at_s[-1] - rounds.at_s[0] + open_s if rounds.at_s else open_s
    # Only a connection whose turn comes so rarely is ever silent for so long.
    if facts.keepalive_idle_s and load.connections * span_s > load.all_requests * facts.keepalive_idle_s / 2:
        closed += int(load.connections * open_s / facts.keepalive_idle_s)
    return closed


def stall_of_40_ms(facts: Facts) -> Finding | None:
    """Nagle's algorithm waits for an acknowledgement that the other side delays for 40 ms (RFC 896; RFC 1122, 4.2.3.2 to 4).

    Two signs together: delayed acknowledgements, and answers that take just that long. Either alone is innocent: a server that
    takes longer than 40 ms has its acknowledgements sent without an answer to carry them, as has each connection after its last
    answer of a window, and to serve every connection once may take that long. More answers must be in the band than the
    engine's own pauses may have put there, and no more than there were acknowledgements. A handful of answers has no density;
    in overload answers take as long as the queue is; where requests of a mix are to wait for about as long, both look alike.
    """
    acks, asked = facts.measurement.delayed_acks, facts.server.counted_requests
    if (
        acks is None
        or not asked
        or facts.short_by
        or any(BAND_NS[0] - (BAND_NS[1] - BAND_NS[0]) <= wait_s * 1e9 <= BAND_NS[1] for wait_s in facts.waits_s)
        or acks <= DELAYED_ACKS * asked
        or TURN_NS[0] <= _turn_ns(facts) <= TURN_NS[1]
    ):
        return None
    low, high = BAND_NS
    width = high - low
    service = facts.load.service
    total, inside = histogram.total(service), _between(service, low, high)
    around = _between(service, low - width, low) + _between(service, high, high + width)
    paused = total * pauses([facts.load]).stalled_share
    if inside < max(STALLED_MASS * total, DENSER * around / 2, paused, FEWEST_STALLED) or acks < inside:
        return None
    return Finding(
        "40 ms stall",
        "invalid",
        f"{percent(inside / total)} of the answers took 39 to 49 ms, {acks / asked:.2f} delayed acknowledgements a request",
        "Nagle's algorithm held a small write back until a delayed acknowledgement came: the time was spent waiting for TCP",
        "set TCP_NODELAY in the server, or write a response at once",
    )


def _between(values: Histogram, low_ns: int, high_ns: int) -> int:
    """How many values lie in [low, high), by their buckets' lower bounds."""
    return sum(n for i, n in zip(values.index, values.count, strict=True) if low_ns <= histogram.bounds_ns(i)[0] < high_ns)


def _turn_ns(facts: Facts) -> float:
    """How long it takes to serve every connection once: by waits and the concurrency limit, or by the CPU time it costs."""
    waits_ns = facts.wait_s * 1e9 * facts.load.connections / max(facts.served_at_once, 1)
    work_ns = facts.load.connections * facts.cpu_ns / max(facts.load.completed, 1) / max(facts.server_cores, 1)
    return max(waits_ns, work_ns)


def errors_seen(facts: Facts) -> Finding | None:
    """Failed requests never count as served, but they took time. Where a level asks for more than can be served, clients that
    give up are part of the question.
    """
    counted = {kind: count for kind, count in facts.load.errors.items() if not (facts.beyond and kind in GIVEN_UP)}
    failed = sum(counted.values())
    if not failed:
        return None
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counted.items(), key=lambda item: -item[1]))
    return Finding(
        "errors",
        "warning",
        f"{percent(failed / (facts.errors + facts.load.completed))} of the requests failed: {kinds}",
        "goodput leaves them out; a failed request may take less time than one that is served",
        "see the errors in the record and the server's stderr",
    )
