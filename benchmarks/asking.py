"""From a level of a scenario to what the load engine is told: exchanges, companions, and how it is driven."""

from collections.abc import Sequence

from benchmarks import histogram
from benchmarks.load.targets import Companions, Drive, Exchange, Target, request_bytes
from benchmarks.nouns import RunOptions, Window
from benchmarks.plan import DRAIN_S, ramp_s, window_s
from benchmarks.questions import Beside, Level, Request, Scenario
from benchmarks.verify import Answer, requests_of

HOST = "127.0.0.1"
TIMEOUT_S = 10.0
SLOW = 2.0  # times the 99th percentile of the quiet level: after overload, who is slower has not recovered


def target(scenario: Scenario, port: int, answer: Answer, keepalive: bool = True) -> Target:
    """Where the load goes, with all that the scenario asks and what must come back."""
    pairs = zip(requests_of(scenario), answer.bodies, strict=True)
    return Target(HOST, port, tuple(_exchange(request, port, body, keepalive) for request, body in pairs))


def warming(scenario: Scenario, port: int) -> Target:
    """The same for warm-up: the scenario's own request alone, whatever its body."""
    return Target(HOST, port, (_exchange(scenario.request, port, None, True),))


def _exchange(request: Request, port: int, body: bytes | None, keepalive: bool) -> Exchange:
    said = request_bytes(f"{HOST}:{port}", request.path, request.method, request.payload, keepalive, request.fields)
    return Exchange(
        said,
        request.expect_status,
        None if request.any_body else body,
        bodiless=request.method == "HEAD",
        weight=request.weight,
        label=request.label,
        also_status=request.also_status,
    )


def companions(beside: Beside | None, port: int, room: int) -> Companions | None:
    """Those beside a level, if there are any. Of silent ones no more are opened than the model has `room` for: all others
    would wait in the kernel's queue, and the level with them."""
    if beside is None:
        return None
    count = min(beside.count, room) if beside.kind == "idle" else beside.count
    if count < 1:
        return None
    return Companions(
        count,
        "idle" if beside.kind == "idle" else "slow_request" if beside.kind == "slow requests" else "slow_read",
        request_bytes(f"{HOST}:{port}", beside.path),
        beside.piece_bytes,
        beside.every_s,
    )


def drive(
    scenario: Scenario,
    level: Level,
    options: RunOptions,
    peak_per_s: float,
    new: int,
    windows: Sequence[Window],
) -> Drive:
    """One window. `new`: how many of its connections have just been opened; `peak_per_s` is what an open level's share is of;
    `windows` are those before it in the visit."""
    seconds = window_s(scenario, level, options)
    rate_per_s = level.rate_per_s or (level.share or 0.0) * peak_per_s if level.loop == "open" else None
    return Drive(
        seconds=seconds,
        rate_per_s=rate_per_s,
        arrivals=level.arrivals,
        on_s=scenario.on_s,
        off_s=scenario.off_s,
        then_rate_per_s=level.then_share * peak_per_s if level.then_share is not None else None,
        then_at_s=seconds / 2 if level.then_share is not None else 0.0,
        slow_s=_slow_s(level, windows),
        ramp_s=ramp_s(scenario, new, level.beside),
        drain_s=DRAIN_S,
        timeout_s=scenario.patience_s or TIMEOUT_S,
        give_up=scenario.patience_s is not None,
        keepalive=level.keepalive,
        poll=options.poll,
    )


def peak_per_s(scenario: Scenario, windows: Sequence[Window]) -> float:
    """What shares are of: the best goodput of the closed windows so far, requests a second; 0.0 if there was none.

    A window of a mix draws its few long requests by chance: 15 of 300, give or take 4, and its goodput with them. Their mean
    lengths are known far better. In the declared proportion they would have come at X · mean(R drawn) / mean(R declared),
    as connections = X · mean(R) in a closed loop (Little 1961).
    """
    return max((_in_proportion(scenario, w) for w in windows if w.level.loop == "closed"), default=0.0)


def _in_proportion(scenario: Scenario, window: Window) -> float:
    """The goodput of a closed window, had its requests come in the scenario's proportions."""
    load = window.load
    goodput = load.completed / load.seconds
    classes = {label: one for label, one in load.classes.items() if histogram.total(one.response)}
    weights = {label: sum(r.weight for r in requests_of(scenario) if r.label == label) for label in load.classes}
    if not classes or len(classes) < len(load.classes):  # one kind only, or none came of the rarest: nothing to go by
        return goodput
    drawn_ns = histogram.mean_ns(histogram.merge(one.response for one in classes.values()))
    declared_ns = sum(weights[label] * histogram.mean_ns(one.response) for label, one in classes.items())
    return goodput * drawn_ns / (declared_ns / sum(weights.values())) if declared_ns else goodput


def _slow_s(level: Level, windows: Sequence[Window]) -> float:
    """From which response time on a request after overload counts as slow: by what the quiet level of this visit took."""
    if level.then_share is None:
        return 0.0
    quiet = [w for w in windows if w.level.share == level.then_share and w.level.arrivals == level.arrivals]
    both = histogram.merge([load for w in quiet for load in (w.load.response, w.load.censored)])
    return SLOW * histogram.quantile_ns(both, 0.99) / 1e9 if histogram.total(both) else 0.0
