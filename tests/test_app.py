"""The routes: statuses, methods, bodies. Handlers are called as the codec calls them; nobody sleeps."""

import hashlib
import json
import math
import random
import statistics
import time
import zlib
from typing import Any

import pytest

from servers._steps import Offload, Step, Wait
from servers.conversations import app
from servers.conversations.messages import Request, Response, Streamed


def ask(
    target: str, method: str = "GET", body: bytes = b"", offload: bool = False, **fields: str
) -> tuple[Response | Streamed, list[Step]]:
    """The answer, and the steps it took. Offloaded functions are called only with `offload`."""
    named = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    request = Request(method, target.encode(), 1, {b"host": b"a", **named})
    request.body = body
    answer: Any = app.respond(request)
    steps: list[Step] = []
    if not isinstance(answer, Response | Streamed):
        try:
            step = next(answer)
            while True:
                steps.append(step)
                found = step.function() if offload and isinstance(step, Offload) else None
                step = answer.send(((), ()) if isinstance(step, Wait) else found)
        except StopIteration as stop:
            answer = stop.value
    return answer, steps


def status(answer: Response | Streamed) -> int:
    return int(answer.head.split(b" ")[1])


def fields(answer: Response | Streamed) -> dict[str, str]:
    return dict(line.lower().split(": ", 1) for line in answer.head.decode().split("\r\n")[1:-1])


def said(answer: Response | Streamed) -> Any:
    assert fields(answer)["content-type"] == "application/json"
    return json.loads(answer.body)


# ---------------------------------------------------------------- routes


@pytest.mark.parametrize("target", ["/hello", "/hello?x=1", "http://a/hello", "/%68ello"])
def test_hello(target: str) -> None:
    answer, steps = ask(target)
    assert (status(answer), answer.body, steps) == (200, b"Hello, World!", [])
    assert fields(answer)["content-type"].startswith("text/plain")


@pytest.mark.parametrize("ms", [0, 10, 60_000])
def test_wait_asks_for_time_and_nothing_else(ms: int) -> None:
    answer, steps = ask(f"/wait/{ms}")
    assert said(answer) == {"waited_ms": ms}
    (step,) = steps
    assert isinstance(step, Wait)
    assert (step.readable, step.writable, step.timeout_s) == ((), (), ms / 1000)


def test_offload_hands_its_sleep_over(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(app.time, "sleep", slept.append)
    answer, steps = ask("/offload/20")
    assert said(answer) == {"offloaded_ms": 20}
    (step,) = steps
    assert isinstance(step, Offload)
    assert slept == []
    step.function()
    assert slept == [0.02]


def test_block_sleeps_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(app.time, "sleep", slept.append)
    answer, steps = ask("/block/20")
    assert (said(answer), slept, steps) == ({"blocked_ms": 20}, [0.02], [])


@pytest.mark.parametrize(("units", "checksum"), [(0, 1), (1, pow(75, 25_000, 65537)), (3, pow(75, 75_000, 65537))])
def test_cpu_does_all_of_its_work(units: int, checksum: int) -> None:
    answer, steps = ask(f"/cpu/{units}")
    assert said(answer) == {"units": units, "checksum": checksum}
    assert steps == []


def test_work_waits_and_then_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    monkeypatch.setattr(app, "spend", spent.append)
    answer, steps = ask("/work?wait_us=50000&cpu_us=1000")
    assert said(answer) == {"wait_us": 50_000, "cpu_us": 1000}
    (step,) = steps
    assert isinstance(step, Wait)
    assert (step.readable, step.writable, step.timeout_s) == ((), (), 0.05)
    assert spent == [1000]


@pytest.mark.parametrize("query", ["", "?", "?cpu_us=0", "?wait_us=0", "?wait_us=0&cpu_us=0"])
def test_work_is_nothing_unless_it_is_said(query: str) -> None:
    answer, steps = ask(f"/work{query}")
    assert said(answer) == {"wait_us": 0, "cpu_us": 0}
    assert steps == []


@pytest.mark.parametrize("query", ["cpu_us=7000", "cpu_us=7000&wait_us=0", "%63pu_us=7000"])
def test_work_that_only_computes_is_done_at_once_and_takes_so_much_cpu(query: str) -> None:
    before_ns = time.thread_time_ns()
    answer, steps = ask(f"/work?{query}")
    assert time.thread_time_ns() - before_ns >= 7e6
    assert said(answer) == {"wait_us": 0, "cpu_us": 7000}
    assert steps == []


def test_time_without_the_core_is_not_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = iter(range(0, 10_000_000, 400_000)), []
    monkeypatch.setattr(app.time, "thread_time_ns", lambda: next(clock))
    monkeypatch.setattr(app, "compute", calls.append)
    app.spend(1000)
    assert len(calls) == 2  # looks at 0.4, 0.8 and 1.2 ms


def test_work_of_random_length_has_the_mean_it_was_asked_for_and_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    monkeypatch.setattr(app, "spend", spent.append)
    random.seed(1)
    waits, answers = [], set()
    for _ in range(4000):
        answer, (step,) = ask("/work?mean_wait_us=20000&mean_cpu_us=5000")
        assert isinstance(step, Wait)
        waits.append(step.timeout_s or 0.0)
        answers.add((answer.head, answer.body))
    assert len(answers) == 1
    assert said(answer) == {"mean_wait_us": 20_000, "mean_cpu_us": 5000}
    for lengths, mean in ((waits, 0.02), (spent, 5000)):
        assert statistics.fmean(lengths) == pytest.approx(mean, rel=0.08)
        assert statistics.stdev(lengths) == pytest.approx(mean, rel=0.12)  # exponential: as large as the mean
        assert statistics.median(lengths) == pytest.approx(mean * math.log(2), rel=0.12)


def test_random_work_is_cut_at_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "expovariate", lambda _rate: 1e12)
    _, (step,) = ask("/work?mean_wait_us=1")
    assert isinstance(step, Wait)
    assert step.timeout_s == 60.0


REFUSED = [
    *("wait_us=60000001", "cpu_us=60000001", "cpu_us=-1", "cpu_us=1.5", "cpu_us=", "cpu_us", "cpu_us=%D9%A3", "mean_cpu_us=x"),
    *("cpu_us=1&cpu_us=1", "cpu_us=1&mean_cpu_us=1", "wait_us=1&mean_wait_us=2", "turns=1", "cpu_us=1&x"),
]


@pytest.mark.parametrize("query", [*REFUSED, "cpu_us=" + "9" * 5000])
def test_work_that_nobody_can_do_is_refused(query: str) -> None:
    answer, steps = ask(f"/work?{query}")
    assert said(answer)["status"] == status(answer) == 400
    assert steps == []


@pytest.mark.parametrize("kib", [0, 1, 8192])
def test_digest_is_offloaded_and_right(kib: int) -> None:
    answer, steps = ask(f"/digest/{kib}", offload=True)
    assert said(answer) == {"kib": kib, "sha256": hashlib.sha256(bytes(range(256)) * 4 * kib).hexdigest()}
    assert [type(step) for step in steps] == [Offload]
    assert status(ask("/digest/8193")[0]) == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 100])
def test_sink_says_what_it_was_sent(method: str, body: bytes) -> None:
    answer, steps = ask("/sink", method, body)
    assert (status(answer), steps) == (200, [])
    assert said(answer) == {"bytes": len(body), "crc32": zlib.crc32(body)}


@pytest.mark.parametrize(("target", "most"), [("/sink", 1 << 30), ("/sink?x", 1 << 30), ("/%73ink", 1 << 30), ("/echo", 0)])
def test_which_bodies_are_taken_in_pieces(target: str, most: int) -> None:
    assert [app.in_pieces(Request(method, target.encode(), 1, {})) for method in ("POST", "PUT", "GET")] == [most, most, 0]


@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 1000])
def test_echo(body: bytes) -> None:
    answer, _ = ask("/echo", "POST", body)
    assert (status(answer), answer.body) == (200, body)
    assert fields(answer)["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("declared", ["application/json", "text/plain; charset=utf-8", "image/svg+xml"])
def test_echo_keeps_the_type(declared: str) -> None:
    answer, _ = ask("/echo", "POST", b"{}", content_type=declared)
    assert fields(answer)["content-type"] == declared


@pytest.mark.parametrize("declared", ["%d", "a", "a/b\tc", "text/html; x=%s", "a/" + "b" * 999, "ä/ö"])
def test_echo_distrusts_odd_types(declared: str) -> None:
    answer, _ = ask("/echo", "POST", b"{}", content_type=declared)
    assert fields(answer)["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("n", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_bytes_come_in_pieces(n: int) -> None:
    answer, _ = ask(f"/bytes/{n}")
    assert isinstance(answer, Streamed)
    assert fields(answer)["content-length"] == str(n)
    pieces = list(answer.pieces)
    assert all(0 < len(piece) <= 65_536 for piece in pieces)
    assert zlib.crc32(b"".join(pieces)) == zlib.crc32((bytes(range(256)) * (n // 256 + 1))[:n])


def test_many_bytes_cost_no_memory_beforehand() -> None:
    answer, _ = ask(f"/bytes/{app.BYTES_MOST}")
    assert isinstance(answer, Streamed)
    assert len(next(iter(answer.pieces))) == 65_536


# ---------------------------------------------------------------- methods, limits and unknown places

GETTABLE = ["/hello", "/work?wait_us=1&cpu_us=1", "/wait/1", "/cpu/1", "/bytes/1", "/digest/1", "/offload/0", "/block/0"]


@pytest.mark.parametrize("target", GETTABLE)
def test_head_has_the_head_of_get(target: str) -> None:
    assert ask(target, "HEAD", offload=True)[0].head == ask(target, offload=True)[0].head


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("target", GETTABLE)
def test_other_methods_are_405_with_allow(target: str, method: str) -> None:
    answer, steps = ask(target, method)
    assert said(answer)["status"] == status(answer) == 405
    assert fields(answer)["allow"] == "get, head, options"
    assert steps == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_echo_is_for_post_only(method: str) -> None:
    answer, _ = ask("/echo", method)
    assert status(answer) == 405
    assert fields(answer)["allow"] == "options, post"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_sink_is_for_post_and_put_only(method: str) -> None:
    answer, _ = ask("/sink", method)
    assert status(answer) == 405
    assert fields(answer)["allow"] == "options, post, put"


@pytest.mark.parametrize(
    ("target", "allow"), [("/echo", "options, post"), ("/sink", "options, post, put"), ("*", "get, head, options, post, put")]
)
def test_options_says_what_is_allowed(target: str, allow: str) -> None:
    answer, _ = ask(target, "OPTIONS")
    assert (status(answer), answer.body) == (200, b"")
    assert fields(answer)["allow"] == allow
    assert fields(answer)["content-length"] == "0"


@pytest.mark.parametrize("target", GETTABLE)
def test_options_does_not_do_the_work(target: str) -> None:
    answer, steps = ask(target, "OPTIONS")
    assert (status(answer), fields(answer)["allow"], steps) == (200, "get, head, options", [])


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/hell", "/hello/", "/hello/1", "/HELLO", "/echo/1", "/wait", "/wait/", "/wait/1/2", "/work/1"),
        *("/wait/x", "/wait/-1", "/wait/1.5", "/cpu/1_0", "/cpu/%31%20", "/cpu/%D9%A3", "/cpu/%C2%B2"),
        *("/wait/60001", "/wait/" + "9" * 5000, "/cpu/10001", "/bytes/1073741825"),
    ],
)
def test_not_found(target: str) -> None:
    answer, steps = ask(target)
    assert said(answer)["status"] == status(answer) == 404
    assert steps == []


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_unknown_place_has_no_methods(method: str) -> None:
    assert status(ask("/nowhere", method)[0]) == 404


def test_errors_repeat_paths_safely() -> None:
    answer, _ = ask('/"\r\n%0d%0a<')
    assert said(answer)["detail"] == 'there is nothing at /"\r\n\r\n<'
    assert answer.head.count(b"\r\n") == 3


def test_what_is_mounted_gets_everything_below_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOUNTED", {})
    app.mount("/things", lambda request: Response(200, request.path.encode()))
    assert [ask(target, "PUT")[0].body for target in ("/things", "/things/a/b")] == [b"/things", b"/things/a/b"]
    assert status(ask("/thing")[0]) == status(ask("/x/things")[0]) == 404
    assert fields(ask("*", "OPTIONS")[0])["allow"] == "delete, get, head, options, post, put"
