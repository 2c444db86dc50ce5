"""From a level of a scenario to what the load engine is given: exchanges, background connections, and how it is driven."""

import random
import zlib
from collections.abc import Sequence

from benchmarks import histogram
from benchmarks.load.targets import Background as Company
from benchmarks.load.targets import Drive, Exchange, Target, request_bytes
from benchmarks.nouns import Measurement, RunOptions
from benchmarks.plan import DRAIN_S, Pace
from benchmarks.questions import Background, Level, Request, Scenario
from benchmarks.verify import Answer

HOST = "127.0.0.1"
TIMEOUT_S = 10.0
SLOW = 2.0  # times the 99th percentile of the quiet level: after overload, who is slower has not recovered


def target(scenario: Scenario, port: int, answer: Answer, keepalive: bool = True) -> Target:
    """Where the load goes, with all that the scenario asks and what must come back."""
    pairs = zip(scenario.asked, answer.bodies, strict=True)
    return Target(HOST, port, tuple(_exchange(request, port, body, keepalive) for request, body in pairs))


def warming(scenario: Scenario, port: int) -> Target:
    """The same for warm-up: the scenario's own request alone, whatever its body."""
    return Target(HOST, port, (_exchange(scenario.request, port, None, True),))


def _exchange(request: Request, port: int, body: bytes | None, keepalive: bool) -> Exchange:
    sent = request_bytes(f"{HOST}:{port}", request.path, request.method, request.payload, keepalive, request.fields)
    return Exchange(
        sent,
        request.expect_status,
        None if request.any_body else body,
        bodiless=request.method == "HEAD",
        weight=request.weight,
        label=request.label,
        also_status=request.also_status,
    )


def background(wanted: Background | None, port: int, room: int) -> Company | None:
    """The background connections of a level, if there are any. Of silent ones no more are opened than the model has `room` for:
    all others would wait in the kernel's queue, and the level with them."""
    if wanted is None:
        return None
    count = min(wanted.count, room) if wanted.kind == "idle" else wanted.count
    if count < 1:
        return None
    return Company(
        count,
        "idle" if wanted.kind == "idle" else "slow_request" if wanted.kind == "slow requests" else "slow_read",
        request_bytes(f"{HOST}:{port}", wanted.path),
        wanted.piece_bytes,
        wanted.every_s,
    )


def drive(
    scenario: Scenario, level: Level, options: RunOptions, paced: Pace, rate_per_s: float | None, seed: int, slow_s: float = 0.0
) -> Drive:
    """One window. `rate_per_s` is None in the closed loop; `slow_s` is what `slow_from` found.

    Waits come in waves: all connections of a closed loop begin together. So the ramp is longer by any part of a wait, a
    different one in each window, and the waves meet the window's edges at every phase.
    """
    chance = random.Random(seed)
    phase_s = chance.uniform(0.0, max(scenario.waits_s)) if level.loop == "closed" else 0.0
    sustained = level.loop == "open" and not level.beyond
    return Drive(
        seconds=paced.window_s,
        rate_per_s=rate_per_s,
        arrivals=level.arrivals,
        on_s=scenario.on_s,
        off_s=scenario.off_s,
        then_rate_per_s=rate_per_s * level.then_share / level.share
        if level.then_share is not None and level.share and rate_per_s
        else None,
        then_at_s=paced.window_s / 2 if level.then_share is not None else 0.0,
        slow_s=slow_s,
        ramp_s=paced.ramp_s + phase_s,
        drain_s=max(DRAIN_S, 4 * scenario.longest_s),
        timeout_s=scenario.patience_s or TIMEOUT_S,
        give_up=scenario.patience_s is not None,
        keepalive=level.keepalive,
        poll=options.poll,
        seed=seed,
        sustain=sustained,
    )


def seed_of(options: RunOptions, scenario: str, replicate: int, what: str) -> int:
    """The same arrivals for every model of a round, and others for each round."""
    return zlib.crc32(f"{options.seed} {scenario} {replicate} {what}".encode()) % 2**31


def in_proportion(scenario: Scenario, measurement: Measurement) -> float:
    """By how much to correct a closed rate of a mix, had its requests come in exactly the scenario's proportions.

    Windows draw their few long requests by chance, and their goodput with them. Their mean lengths are known far better. In the
    declared proportion they would have come at X · mean(R drawn) / mean(R declared), as connections = X · mean(R) in a closed
    loop (Little 1961).
    """
    load = measurement.load
    classes = {label: one for label, one in load.classes.items() if histogram.total(one.response)}
    weights = {label: sum(r.weight for r in scenario.asked if r.label == label) for label in load.classes}
    if not classes or len(classes) < len(load.classes):  # one kind only, or none came of the rarest: nothing to go by
        return 1.0
    drawn_ns = histogram.mean_ns(histogram.merge(one.response for one in classes.values()))
    declared_ns = sum(weights[label] * histogram.mean_ns(one.response) for label, one in classes.items())
    return drawn_ns / (declared_ns / sum(weights.values())) if declared_ns else 1.0


def slow_from(level: Level, made: Sequence[Measurement]) -> float:
    """From which response time on, in seconds, a request after overload counts as slow: by what the quiet level took."""
    if level.then_share is None:
        return 0.0
    quiet = [one for one in made if one.level.share == level.then_share and one.level.arrivals == level.arrivals]
    both = histogram.merge([load for one in quiet for load in (one.load.response, one.load.censored)])
    return SLOW * histogram.quantile_ns(both, 0.99) / 1e9 if histogram.total(both) else 0.0
