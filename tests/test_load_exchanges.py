"""Several requests in one load: drawn in the same sequence for every server, each judged and measured by itself."""

import socket
import time

import msgspec
import pytest
from answering import OK, answer, choosing, drive, serving
from test_load_facts import holds

from benchmarks import histogram
from benchmarks.load.command import as_plain
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive, Exchange, Target, request_bytes
from benchmarks.nouns import LoadResult


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling takes longer than the timeouts below."""
    compile_all()


ANSWERS = {"/hello": answer(b"Hello"), "/cpu": answer(b"a heavy one"), "/gone": answer(b"", "404 Not Found")}


def exchange(path: str, body: bytes | None, **more) -> Exchange:
    return Exchange(request_bytes("test", path), body=body, label=path[1:], **more)


HELLO, CPU = exchange("/hello", b"Hello", weight=0.75), exchange("/cpu", b"a heavy one", weight=0.25)

UNNAMED = (Exchange(HELLO.request, body=b"Hello"), Exchange(CPU.request, body=b"a heavy one"))


def mixed(port: int, exchanges=(HELLO, CPU), connections: int = 4, **plan) -> tuple[LoadResult, list[int]]:
    """The result, and the exchanges of the window in the order in which they were due."""
    with Session(Target("127.0.0.1", port, exchanges), connections, trace=100_000) as session:
        session.open()
        load = session.run(Drive(**{"seconds": 0.3, "drain_s": 2.0, "poll": "sleep", **plan}))
        traced = session.traced()
    return load, [int(row[4]) for row in sorted(traced.tolist(), key=lambda row: row[1])]


def parts_make_the_whole(load: LoadResult) -> None:
    """The classes' counts and histograms add up to those of the load."""
    parts = load.classes.values()
    for count in ("intended", "completed"):
        assert sum(getattr(part, count) for part in parts) == getattr(load, count)
    for name in ("response", "service", "censored"):
        assert histogram.merge(getattr(part, name) for part in parts) == getattr(load, name)


def test_the_sequence_is_the_seeds_whatever_the_server_does():
    """The slow one answers 4 at a time, so most arrivals wait, some for the drain; and on other connections."""
    plan = {"rate_per_s": 300, "drain_s": 10.0}
    with serving(choosing(ANSWERS)) as quick, serving(choosing(ANSWERS, 0.02)) as slow:
        fast, first = mixed(quick, seed=5, **plan)
        late, again = mixed(slow, seed=5, **plan)
        _, other = mixed(quick, seed=6, **plan)
    assert late.waited > fast.waited
    assert abs(len(first) - len(again)) <= 10  # the last are due at the very end, or after it: by when the window ended
    shared = min(len(first), len(again))
    assert first[:shared] == again[:shared]
    assert shared > 60
    assert other[:50] != first[:50]


def test_a_closed_loop_draws_in_the_order_of_its_requests():
    with serving(choosing(ANSWERS, 0.001)) as port:
        orders = [mixed(port, connections=1, seed=3)[1] for _ in range(2)]
    shared = min(map(len, orders))
    assert orders[0][:shared] == orders[1][:shared]
    assert {0, 1} == set(orders[0])


@pytest.mark.parametrize("plan", [{}, {"rate_per_s": 400}, {"rate_per_s": 4000, "timeout_s": 0.05, "drain_s": 0.05}])
def test_the_classes_add_up_to_the_whole(plan):
    with serving(choosing(ANSWERS, 0.01)) as port:
        load, _ = mixed(port, **plan)
    assert list(load.classes) == ["hello", "cpu"]
    parts_make_the_whole(load)
    holds(load)
    assert all(part.completed > 0 for part in load.classes.values())
    told = as_plain(load)["classes"]
    assert [told[label]["completed"] for label in ("hello", "cpu")] == [part.completed for part in load.classes.values()]
    assert sum(one["response_ns"]["count"] for one in told.values()) == as_plain(load)["response_ns"]["count"]
    assert load.errors == {}


def test_the_shares_are_the_weights():
    many = tuple(exchange(f"/{number}", b"Hello", weight=number + 1) for number in range(20))
    with serving(choosing({f"/{number}": answer(b"Hello") for number in range(20)})) as port:
        load, order = mixed(port, many, connections=32, rate_per_s=3000, seconds=1.0)
    assert load.errors == {}
    assert len(load.classes) == 20
    for number, part in enumerate(load.classes.values()):
        share = (number + 1) / 210
        deviation = (len(order) * share * (1 - share)) ** 0.5
        assert abs(part.intended - len(order) * share) < 5 * deviation + 1


def test_a_wrong_answer_is_an_error_of_its_own_class():
    with serving(choosing(ANSWERS | {"/cpu": answer(b"a heavy One")})) as port:
        load, _ = mixed(port)
    assert list(load.errors) == ["wrong_body"]
    assert load.classes["cpu"].errors == load.errors["wrong_body"] > 0
    assert load.classes["cpu"].completed == 0
    assert load.classes["hello"].errors == 0 < load.classes["hello"].completed
    parts_make_the_whole(load)
    holds(load)


def test_the_answer_to_another_class_is_wrong_even_if_its_bytes_are_known():
    """The quick comparison is with the last right answer of the same exchange."""
    with serving(choosing(ANSWERS | {"/cpu": ANSWERS["/hello"]})) as port:
        load, _ = mixed(port)
    assert load.classes["cpu"].errors == load.errors["wrong_body"] > 0
    assert load.classes["hello"].errors == 0


def test_known_answers_of_every_class_take_the_quick_way():
    with serving(choosing(ANSWERS)) as port:
        load, _ = mixed(port, rate_per_s=400)
    assert load.completed > 20
    assert load.fallbacks <= 8  # once for each, but for answers that came in pieces


def test_a_second_status_may_be_right_and_a_third_is_not():
    delete = exchange("/gone", b"", expect_status=204, also_status=404)
    strict = exchange("/gone", b"", expect_status=204)
    with serving(choosing(ANSWERS)) as port:
        good, _ = mixed(port, (delete, HELLO))
        bad, _ = mixed(port, (strict, HELLO))
    assert good.errors == {}
    assert good.classes["gone"].completed > 0
    assert bad.classes["gone"].errors == bad.errors["status_4xx"] > 0


def test_one_label_makes_no_classes():
    with serving(choosing(ANSWERS)) as port:
        load, order = mixed(port, UNNAMED)
    assert load.classes == {}
    assert load.errors == {}
    assert {0, 1} == set(order)


def test_16_mib_go_out_in_as_many_writes_as_it_takes():
    body = bytes(range(256)) * 65536
    heard: list[bytes] = []
    upload = Exchange(request_bytes("test", "/hello", "POST", body), body=b"Hello")
    with serving(choosing(ANSWERS, heard=heard)) as port:
        load, _ = mixed(port, (upload,), connections=2, seconds=0.2, drain_s=20.0, timeout_s=30.0)
    assert load.errors == {}
    assert load.completed + load.drained == load.intended >= 2
    assert all(one == body for one in heard)
    holds(load)


def test_an_answer_before_the_request_was_sent_ends_the_connection():
    """What is left of the body would be taken for the next request."""
    firsts: list[bytes] = []

    def hasty(connection: socket.socket) -> None:
        firsts.append(connection.recv(1000)[:16])
        connection.sendall(OK)
        time.sleep(0.05)

    upload = Exchange(request_bytes("test", "/hello", "POST", bytes(1 << 24)), body=b"Hello, World!")
    with serving(hasty) as port:
        load, _ = mixed(port, (upload,), connections=2, seconds=0.2, drain_s=0.1)
    assert load.completed > 2
    assert load.connections_opened > 2
    assert set(firsts) == {b"POST /hello HTTP"}
    holds(load)


def test_a_connection_that_ends_without_an_answer_is_no_answer():
    """Before any answer was right there are no bytes to compare with: none at all are not the same as those."""

    def mute(connection: socket.socket) -> None:
        connection.recv(65536)

    with serving(mute) as port:
        load = drive(port)
    assert load.completed == 0
    assert load.errors["closed_early"] > 0


def test_a_target_of_one_request_is_made_of_it_and_goes_through_json():
    short = Target("127.0.0.1", 80, b"GET", 204, b"", bodiless=True)
    assert short == Target("127.0.0.1", 80, (Exchange(b"GET", 204, b"", bodiless=True),))
    both = Target("127.0.0.1", 80, (HELLO, CPU))
    for target in (short, both):
        assert msgspec.json.decode(msgspec.json.encode(target), type=Target) == target


@pytest.mark.parametrize("exchanges", [(), (Exchange(b""),), (Exchange(b"GET", weight=0.0),)])
def test_what_makes_no_load_is_refused(exchanges):
    with pytest.raises(ValueError, match="at least one exchange"):
        Session(Target("127.0.0.1", 80, exchanges), 1)
