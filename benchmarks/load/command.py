"""`servebench load URL`: the load engine alone, for any HTTP server that is yours."""

import argparse
import base64
import http.client
import ipaddress
import os
import re
import resource
import signal
import socket
import sys
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import histogram
from benchmarks.amounts import duration, percent, rate
from benchmarks.load import COMPILING, is_compiled
from benchmarks.nouns import Histogram, LoadResult

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_HISTOGRAMS = ("response", "service", "send_lag", "own_lag", "connect")
_OF_OPEN_LOOP = ("send_lag", "own_lag")
_WIDE = 78  # columns of a terminal that has room for all times
_PREFLIGHT_S = 5.0
_LONGEST_S = 3600.0
_DESCRIPTORS_RESERVED = 64  # what is open besides the connections
_STOPPING = (signal.SIGINT, signal.SIGTERM)
SEED_MOST = 10**12  # a lane's is a thousand times as large, in 64 bits
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


class Refused(ValueError):
    """What was asked for can't be done; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `servebench load`."""
    parser.add_argument("url", help="http://127.0.0.1:8080/path; only loopback unless you say that the target is yours")
    parser.add_argument("--connections", type=int, default=64, metavar="N", help="connections (64)")
    parser.add_argument(
        "--rate", type=float, metavar="R", help="open loop: requests due per second; without it the loop is closed"
    )
    parser.add_argument(
        "--arrivals", choices=("constant", "poisson", "onoff"), default="poisson",
        help="of the open loop (poisson); onoff: poisson in bursts, see --on and --off",
    )  # fmt: skip
    parser.add_argument("--on", type=float, default=0.1, metavar="S", help="onoff: seconds with arrivals (0.1),")
    parser.add_argument("--off", type=float, default=0.4, metavar="S", help="and without (0.4); --rate is the mean of both")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="the window (10)")
    parser.add_argument("--ramp", type=float, default=0.0, metavar="S", help="seconds of load before it, not counted (0)")
    parser.add_argument(
        "--think", type=float, default=0.0, metavar="S", help="closed loop: seconds between answer and next request (0)"
    )
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for an answer (10)")
    parser.add_argument(
        "--drain", type=float, default=1.0, metavar="S", help="seconds after the window for what is under way (1)"
    )
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--keepalive", dest="keepalive", action="store_true", default=True, help="keep connections (the default)")
    keep.add_argument("--no-keepalive", dest="keepalive", action="store_false", help="a new connection for each request")
    parser.add_argument(
        "--poll", choices=("busy", "sleep"), default="busy", help="busy: never sleep, so the server pays for no wake-up"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="T", help="driver threads (1)")
    parser.add_argument("--cpus", default="", metavar="LIST", help="pin the driver threads to these CPUs, as in 1 or 2,3")
    parser.add_argument("--method", default="GET", help="GET")
    parser.add_argument("--body", default="", help="request body, or @FILE")
    parser.add_argument("--any-body", action="store_true", help="do not compare bodies; each answer may differ")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals (1)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--this-target-is-mine", action="store_true", help="allow a target outside 127.0.0.0/8 and ::1")


def command(options: argparse.Namespace) -> int:
    """Run the load and print what was seen. Returns 0, 1 when nothing was answered, or 128 and the number of the signal, SIGINT
    or SIGTERM, that ended it early. Raises Refused.
    """
    _check(options)
    from benchmarks.load.engine import Session, compile_all
    from benchmarks.load.targets import Drive, Target, request_bytes

    url = _parts(options.url)
    host, port = resolve(options.url, options.this_target_is_mine)
    where, fields = url.netloc.rpartition("@")[2], _credentials(url)
    body = _body(options.body)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    status, expected, trouble = _preflight(host, port, where, path, options.method, body, fields)
    target = Target(
        host, port, request_bytes(where, path, options.method, body, options.keepalive, fields), status,
        None if options.any_body else expected, bodiless=options.method == "HEAD",
    )  # fmt: skip
    if not is_compiled():
        print(f"servebench: {COMPILING}", file=sys.stderr, flush=True)
    compile_all()
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - options.connections - _DESCRIPTORS_RESERVED
    retained = min(options.connections, room)
    with Session(target, options.connections, options.threads, _cpus(options.cpus), retained=retained) as session:
        stopped: list[int] = []

        def stop(number: int, _frame: object) -> None:
            stopped.append(number)
            session.stop()

        before = [signal.signal(number, stop) for number in _STOPPING]
        refused = session.open() if options.keepalive else {}
        result = session.run(
            Drive(
                seconds=options.seconds,
                rate_per_s=options.rate,
                arrivals=options.arrivals,
                think_s=options.think,
                ramp_s=options.ramp,
                drain_s=options.drain,
                timeout_s=options.timeout,
                keepalive=options.keepalive,
                poll=options.poll,
                seed=options.seed,
                on_s=options.on,
                off_s=options.off,
            )
        )
    for number, handler in zip(_STOPPING, before, strict=True):
        signal.signal(number, handler)
    for kind, count in refused.items():
        result.errors[kind] = result.errors.get(kind, 0) + count
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(as_plain(result)), indent=1).decode())
    else:
        show(result, told(options.url), Console())
    if trouble and not result.completed:
        print(f"servebench load: {trouble}", file=sys.stderr)
    return 128 + stopped[0] if stopped else 0 if result.completed else 1


def resolve(address: str, mine: bool = False) -> tuple[str, int]:
    """The numeric host and port of a URL. Raises Refused for what is no HTTP URL, and for a target that is not loopback."""
    url = _parts(address)
    if url.scheme != "http" or not url.hostname:
        raise Refused(f"{told(address)!r} is not an http:// URL with a host, such as http://127.0.0.1:8080/hello")
    try:
        port = 80 if url.port is None else url.port
        if not port:
            raise ValueError("nobody can listen on port 0")
        found = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise Refused(f"{told(address)!r} can't be resolved: {error}") from None
    addresses = sorted({str(entry[4][0]) for entry in found}, key=lambda text: (":" in text, text))
    if not mine and not all(ipaddress.ip_address(text).is_loopback for text in addresses):
        raise Refused(
            f"{url.hostname} is {addresses[0]}, which is not this machine's loopback. A load test of somebody else's server "
            "is an attack; if this one is yours, say so with --this-target-is-mine"
        )
    return addresses[0], port


def _parts(address: str) -> SplitResult:
    """The parts of a URL. Raises Refused for what is none; one is of printable ASCII alone (RFC 3986, section 2)."""
    if strange := next((letter for letter in address if not "!" <= letter <= "~"), ""):
        raise Refused(f"{told(address)!r} holds {strange!r}, which a URL can't; write it as {quote(strange)}")
    try:
        return urlsplit(address)
    except ValueError as error:
        raise Refused(f"{told(address)!r} is no URL: {error}; write one such as http://127.0.0.1:8080/hello") from None


def told(address: str) -> str:
    """A URL as it may be shown: without a user's name and password."""
    scheme, slashes, rest = address.partition("://")
    authority = rest.partition("/")[0]
    return scheme + slashes + rest.removeprefix(authority.rpartition("@")[0] + "@") if "@" in authority else address


def _credentials(url: SplitResult) -> tuple[tuple[str, str], ...]:
    """The Authorization field that a URL's user and password make (RFC 7617)."""
    if url.username is None:
        return ()
    both = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return (("Authorization", f"Basic {base64.b64encode(both.encode()).decode()}"),)


def as_plain(result: LoadResult) -> dict[str, Any]:
    """The result as JSON shows it: counts, and each histogram as its percentiles in ns.

    `response_ns` covers every request intended in the window that did not fail, those never answered with their age at the end.
    `waited` and `own_lag_ns` part the send lag of an open loop: arrivals that found no free connection, which is the server's
    doing, and the lag that was left when one was free, which is this program's. `crossing` is Little's law, see `nouns`.
    """
    plain: dict[str, Any] = {
        "completed": result.completed,
        "in_flight": result.in_flight,
        "drained": result.drained,
        "unfinished": result.unfinished,
        "errors": result.errors,
        "seconds": result.seconds,
        "rate_per_s": result.completed / result.seconds,
        "offered_per_s": result.offered_per_s,
        "intended": result.intended,
        "connections": result.connections,
        "connections_opened": result.connections_opened,
        "waited": result.waited,
        "unsent": result.unsent,
        "free_at_end": result.free_at_end,
        "busy_fraction": result.busy_fraction,
        "fallbacks": result.fallbacks,
    }
    for name in _HISTOGRAMS:
        plain[f"{name}_ns"] = _percentiles(_whole(result, name))
    plain["per_connection"] = result.per_connection
    plain["passed_over"] = result.passed_over
    plain["series"] = msgspec.to_builtins(result.series)
    plain["gaps_ns"] = result.gaps
    plain["gaps_lost"] = result.gaps_lost
    plain["ledger"] = msgspec.to_builtins(result.ledger)
    plain["crossing"] = msgspec.to_builtins(result.crossing)
    plain["classes"] = {
        label: {
            "intended": one.intended,
            "completed": one.completed,
            "errors": one.errors,
            "response_ns": _percentiles(histogram.merge([one.response, one.censored])),
            "service_ns": _percentiles(one.service),
        }
        for label, one in result.classes.items()
    }
    plain["background"] = result.background
    plain["engine"] = msgspec.to_builtins(result.cost)
    return plain


def show(result: LoadResult, url: str, console: Console) -> None:
    """The result for people."""
    loop = "closed loop" if result.offered_per_s is None else f"open loop, {rate(result.offered_per_s)} offered"
    console.print(Text.assemble("\n", (url, "bold"), f"  {result.connections} connections, {loop}, {result.seconds:.2f} s"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", min_width=8)
    columns = ("mean", *_QUANTILES, "max") if console.width >= _WIDE else ("p50", "p99", "max")  # no number is cut
    for column in (*columns, "count"):
        table.add_column(column, justify="right", min_width=7, no_wrap=True)
    for name in _HISTOGRAMS:
        found = _percentiles(_whole(result, name))
        if found["count"] and not (name in _OF_OPEN_LOOP and result.offered_per_s is None):
            times = [duration(found[column]) for column in columns]
            table.add_row(name.replace("_", " "), *times, f"{found['count']:,}")
    console.print(table)
    console.print(
        f"[bold]{rate(result.completed / result.seconds)}[/] completed ({result.completed:,}), {result.in_flight:,} in flight "
        f"at the end, {result.unfinished:,} never answered; {result.connections_opened:,} connections opened; engine "
        f"{percent(result.busy_fraction)} busy",
        highlight=False,
    )
    if result.waited:
        console.print(
            f"{percent(result.waited / result.intended)} of the requests found no free connection when they were due; that "
            "wait is in their response time",
            highlight=False,
        )
    if result.errors:
        console.print(
            "errors: " + ", ".join(f"{kind} {count:,}" for kind, count in result.errors.items()), style="red", highlight=False
        )
    if result.busy_fraction > 0.85 and result.offered_per_s is None:
        console.print("The engine was close to saturation: this may be its own limit, not the server's.", style="yellow")


def _whole(result: LoadResult, name: str) -> Histogram:
    """A histogram; the response times together with the ages of what was never answered."""
    if name == "response":
        return histogram.merge([result.response, result.censored])
    found = getattr(result, name)
    assert isinstance(found, Histogram)
    return found


def _percentiles(found: Histogram) -> dict[str, float]:
    shown: dict[str, float] = {"mean": histogram.mean_ns(found)}
    shown.update({name: histogram.quantile_ns(found, q) for name, q in _QUANTILES.items()})
    return {**shown, "max": found.max_ns, "count": histogram.total(found)}


def _check(options: argparse.Namespace) -> None:
    """Raises Refused for numbers that make no load."""
    limits = {"connections": (1, 1_000_000), "threads": (1, 1024)}
    for name, (low, high) in limits.items():
        if not low <= getattr(options, name) <= high:
            raise Refused(f"--{name} {getattr(options, name)} is not from {low} to {high:,}")
    for name in ("seconds", "timeout", "on"):
        if not 0 < getattr(options, name) <= _LONGEST_S:
            raise Refused(f"--{name} {getattr(options, name):g} is not above 0 and at most {_LONGEST_S:.0f}")
    for name in ("ramp", "think", "drain", "off"):
        if not 0 <= getattr(options, name) <= _LONGEST_S:
            raise Refused(f"--{name} {getattr(options, name):g} is not from 0 to {_LONGEST_S:.0f}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if options.connections + _DESCRIPTORS_RESERVED > hard:
        raise Refused(
            f"--connections {options.connections:,} needs more than the {hard:,} descriptors this process may open (ulimit -Hn)"
        )
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not 0 <= options.seed <= SEED_MOST:
        raise Refused(f"--seed {options.seed} is not from 0 to {SEED_MOST:,}")
    if not _METHOD.fullmatch(options.method):
        raise Refused(f"--method {options.method!r} is no method: one is of letters, digits and a few signs, such as GET")
    if options.rate is not None and not 0 < options.rate <= 10_000_000:
        raise Refused(f"--rate {options.rate:g} is not above 0 and at most ten million a second")
    if options.rate is None and options.arrivals == "onoff":
        raise Refused("--arrivals onoff belongs to the open loop: say with --rate how many requests are due per second")
    if options.rate is not None and options.think:
        raise Refused("--think belongs to the closed loop; with --rate the arrivals say when requests are due")


def _cpus(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        cpus = tuple(int(cpu) for cpu in text.split(","))
    except ValueError:
        raise Refused(f"--cpus {text!r} is not a list of CPU numbers such as 1 or 2,3") from None
    if strange := set(cpus) - os.sched_getaffinity(0):
        raise Refused(f"--cpus: CPU {min(strange)} is not one that this process may use ({sorted(os.sched_getaffinity(0))})")
    return cpus


def _body(text: str) -> bytes:
    if not text.startswith("@"):
        return os.fsencode(text)  # bytes that are no UTF-8 are sent as they are
    try:
        with open(text[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise Refused(f"--body {text}: {error.strerror}") from None


def _preflight(
    host: str, port: int, netloc: str, path: str, method: str, body: bytes, fields: tuple[tuple[str, str], ...] = ()
) -> tuple[int, bytes | None, str]:
    """One request before the load: the status and body to expect. If it fails, 200 and any body, and what went wrong."""
    connection = http.client.HTTPConnection(host, port, timeout=_PREFLIGHT_S)
    try:
        connection.request(method, path, body or None, {"Host": netloc, **dict(fields)})
        response = connection.getresponse()
        found = response.read()
        return (response.status, found, "") if response.status < 300 else (200, None, f"the target answers {response.status}")
    except (OSError, http.client.HTTPException) as error:
        return 200, None, f"{netloc} does not answer: {getattr(error, 'strerror', None) or error or type(error).__name__}"
    finally:
        connection.close()
