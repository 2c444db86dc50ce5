"""The measuring of the measuring: what other tools say, the queue behind a freeze, and the server that knows the truth."""

import os
import socket
import time
from dataclasses import replace

import factories
import numpy as np
import pytest
from rich.console import Console

from benchmarks import histogram, record
from benchmarks.comparison import Row, Told
from benchmarks.launch import Server
from benchmarks.load.engine import Session, compile_all
from benchmarks.load.targets import Drive
from benchmarks.nouns import Trial
from benchmarks.questions import Level
from benchmarks.selfbench import __main__ as command
from benchmarks.selfbench import aa, fidelity, field, planted, stall, tools, versions
from benchmarks.selfbench.truth import HEAVY, PACK, RESPONSE, pack_of, truth
from benchmarks.stats.difference import Difference
from tests.live import PATIENCE_S

SERVER_CPU, DRIVER_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
GET = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"

# ---------------------------------------------------------------- what other tools say, as they said it

WRK = """\
Running 2s test @ http://127.0.0.1:44903/hello
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.35ms    4.67ms  24.64ms   87.23%
    Req/Sec    80.00k     3.68k   87.13k    60.00%
  Latency Distribution
     50%  143.00us
     75%    1.63ms
     90%    9.98ms
     99%   19.23ms
  159214 requests in 2.00s, 11.84MB read
Requests/sec:  79593.03
Transfer/sec:      5.92MB
"""
WRK_404 = """\
     99%    3.93ms
  38636 requests in 1.00s, 11.35MB read
  Non-2xx or 3xx responses: 38636
Requests/sec:  38601.03
"""
WRK2 = """\
Running 12s test @ http://127.0.0.1:45359/hello
  1 threads and 64 connections
  Thread calibration: mean lat.: 1.473ms, rate sampling interval: 10ms
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.51ms    2.81ms  37.54ms   95.55%
    Req/Sec    21.16k     2.26k   41.44k    85.54%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%    0.87ms
 75.000%    1.32ms
 90.000%    2.36ms
 99.000%   17.81ms
 99.900%   23.45ms
 99.990%   34.53ms
 99.999%   37.57ms
100.000%   37.57ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       0.121     0.000000            1         1.00
      37.567     1.000000        33624          inf
#[Mean    =        1.512, StdDeviation   =        2.810]
#[Max     =       37.536, Total count    =        33624]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------
  236869 requests in 12.00s, 17.62MB read
Requests/sec:  19737.40
Transfer/sec:      1.47MB
"""
HEY = """\

Summary:
  Total:\t2.0200 secs
  Slowest:\t0.0251 secs
  Fastest:\t0.0001 secs
  Average:\t0.0006 secs
  Requests/sec:\t57572.1975
  
  Total data:\t1511809 bytes
  Size/request:\t13 bytes

Response time histogram:
  0.000 [1]\t|
  0.003 [113939]\t|■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■
  0.025 [25]\t|


Latency distribution:
  10% in 0.0001 secs
  50% in 0.0002 secs
  90% in 0.0006 secs
  95% in 0.0021 secs
  99% in 0.0047 secs

Details (average, fastest, slowest):
  DNS+dialup:\t0.0000 secs, 0.0001 secs, 0.0251 secs
  resp wait:\t0.0005 secs, 0.0001 secs, 0.0251 secs

Status code distribution:
  [200]\t116293 responses



"""  # noqa: W293
HEY_REFUSED = """\
Summary:
  Total:\t0.0005 secs

Status code distribution:

Error distribution:
  [8]\tGet "http://127.0.0.1:9/none": dial tcp 127.0.0.1:9: connect: connection refused
"""
H2LOAD = """\
finished in 2.00s, 78258.00 req/s, 5.82MB/s
requests: 156516 total, 156548 started, 156516 done, 156516 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 156516 2xx, 0 3xx, 0 4xx, 0 5xx
                     min         max         mean         sd        +/- sd
time for request:      108us     23.77ms       407us      1.60ms    92.78%
"""
H2LOAD_LOG = "1795385165389077\t200\t298\n1795385165389073\t200\t326\n1795385165389070\t200\t332\n"


def test_the_report_of_wrk():
    told = tools.read_wrk(WRK, "")
    assert (told.requests, told.seconds) == (159214, 2.0)
    assert told.percentiles_ns == pytest.approx({0.5: 143e3, 0.9: 9.98e6, 0.99: 19.23e6})


def test_the_report_of_wrk2_has_the_percentile_that_wrk_has_not():
    told = tools.read_wrk(WRK2, "")
    assert (told.requests, told.seconds) == (236869, 12.0)
    assert told.percentiles_ns == pytest.approx({0.5: 0.87e6, 0.9: 2.36e6, 0.99: 17.81e6, 0.999: 23.45e6})


def test_the_report_of_hey():
    told = tools.read_hey(HEY, "")
    assert (told.requests, told.seconds) == (116293, 2.02)
    assert told.percentiles_ns == pytest.approx({0.5: 0.2e6, 0.9: 0.6e6, 0.99: 4.7e6})


def test_the_report_of_h2load_and_its_log():
    told = tools.read_h2load(H2LOAD, H2LOAD_LOG)
    assert (told.requests, told.seconds) == (156516, 2.0)
    assert told.percentiles_ns[0.5] == 326e3
    assert tools.read_h2load(H2LOAD, "").percentiles_ns == {}


@pytest.mark.parametrize(
    ("read", "report", "said"),
    [
        (tools.read_wrk, WRK_404, "Non-2xx or 3xx responses: 38636"),
        (tools.read_wrk, "", "no number of requests"),
        (tools.read_wrk, WRK.replace("143.00us", "143.00ks"), "'143.00ks' is no time"),
        (tools.read_hey, HEY_REFUSED, "connection refused"),
        (tools.read_hey, HEY.replace("[200]", "[404]"), "the statuses 404"),
        (tools.read_h2load, H2LOAD.replace("0 failed", "7 failed"), "7 failed"),
        (tools.read_h2load, "finished", "no count of requests"),
    ],
)
def test_a_run_with_errors_is_no_measurement(read, report, said):
    with pytest.raises(ValueError, match=said):
        read(report, "")


def test_a_tool_that_is_not_there_is_left_out_with_the_way_to_get_it():
    absent = tools.Tool("no-such-generator", "no-such-generator {url}", tools.read_wrk, "", package="generators")
    assert tools.missing(absent) == "no-such-generator is not installed: apt-get install generators"


@pytest.mark.parametrize(
    "tool", [tool for tool in tools.TOOLS if not tool.opens and not tools.missing(tool)], ids=lambda t: t.name
)
def test_a_tool_that_is_there_is_understood(tool):
    hold_us = 2_000
    with truth(SERVER_CPU, ((1.0, hold_us),)) as server:
        spent, told = tools.run(tool, server.port, DRIVER_CPU, connections=4, seconds=1, log=True)
        assert 0 < spent.requests <= len(server.rows())
    assert spent.cpu_s > 0
    assert told[0.5] >= hold_us * 1000 - 50_000  # hey rounds to 0.1 ms
    assert told[0.5] <= told[0.99]
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    with pytest.raises(RuntimeError, match=f"{tool.name} failed"):
        tools.run(tool, nobody, DRIVER_CPU, connections=2, seconds=1)


# ---------------------------------------------------------------- the queue behind a freeze


def test_a_queue_that_is_never_frozen_only_waits_for_those_before_it():
    due = np.array([0, 100, 105, 300])
    assert stall.expected_ns(due, 10, (10_000, 20_000)).tolist() == [10, 10, 15, 10]


def test_a_freeze_delays_all_that_came_meanwhile_and_what_came_behind_them():
    due = np.array([995, 1000, 1500, 1999, 2005, 2100])
    # The first was begun before and is finished; the others begin when the server is back, one after the other.
    assert stall.expected_ns(due, 10, (1000, 2000)).tolist() == [10, 1010, 520, 31, 35, 10]


def test_the_order_in_which_the_answers_came_is_no_matter():
    due = np.array([1500, 995, 1000])
    assert stall.expected_ns(due, 10, (1000, 2000)).tolist() == [10, 1010, 520]


def test_only_the_part_of_a_pause_inside_the_stretch_counts_and_short_ones_do_not():
    gaps = [(0, 90_000), (900_000, 200_000), (2_000_000, 300_000), (9_000_000, 500_000)]
    assert stall.pauses_ns(gaps, 1_000_000, 9_100_000) == 100_000 + 300_000 + 100_000


# ---------------------------------------------------------------- the server that knows the truth


def test_the_holds_are_dealt_in_exact_shares_and_the_same_each_time():
    pack = pack_of(HEAVY)
    assert len(pack) == PACK
    for share, us in HEAVY:
        assert abs(int((pack == us * 1000).sum()) - share * PACK) <= 1
    assert [int(np.quantile(pack, q)) for q in tools.QUANTILES] == [100_000, 100_000, 2_000_000, 20_000_000]
    assert (pack == pack_of(HEAVY)).all()
    assert (pack[: PACK // 2] == 2_000_000).any()  # shuffled
    assert pack_of(()).tolist() == [0]


def receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = connection.recv(65536)
        assert piece, "the server ended the connection"
        received += piece
    return received


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def test_each_answer_is_held_for_as_long_as_its_number_says():
    mix = ((0.5, 200), (0.5, 3_000))
    pack, count = pack_of(mix), 200
    with truth(SERVER_CPU, mix) as server, connect(server.port) as client:
        for _ in range(count):
            client.sendall(GET)
            assert receive(client, len(RESPONSE)) == RESPONSE
        rows = server.rows()
        assert (rows[:, 0] == client.getsockname()[1]).all()
    late_ns = rows[:, 2] - rows[:, 1] - pack[:count]
    assert late_ns.min() >= 0
    for hold_ns in (200_000, 3_000_000):
        assert late_ns[pack[:count] == hold_ns].min() < 1_000_000  # it spins: on time but when its core was taken away


def test_a_request_is_over_at_its_empty_line_however_it_is_cut():
    with truth(SERVER_CPU) as server, connect(server.port) as client:
        for cut in range(1, len(GET)):
            client.sendall(GET[:cut])
            client.sendall(GET[cut:])
            assert receive(client, len(RESPONSE)) == RESPONSE
        client.sendall(GET[:-2])
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE_S)
        client.sendall(GET[-2:] + GET + GET)
        assert receive(client, 3 * len(RESPONSE)) == 3 * RESPONSE
        assert len(server.rows()) == len(GET) - 1 + 3


def test_an_answer_held_for_someone_who_has_gone_is_not_given_to_who_came_after():
    with truth(SERVER_CPU, ((1.0, 300_000),)) as server:
        with connect(server.port) as leaver:
            leaver.sendall(GET)
            time.sleep(0.05)
        with connect(server.port) as client:
            sent_ns = time.monotonic_ns()
            client.sendall(GET)
            assert receive(client, len(RESPONSE)) == RESPONSE
            assert server.rows()[:, 0].tolist() == [client.getsockname()[1]]
            assert server.rows()[0, 1] >= sent_ns
            assert server.rows()[0, 2] - server.rows()[0, 1] >= 300_000_000


def test_the_log_begins_anew_and_says_when_it_is_full():
    with truth(SERVER_CPU) as server, connect(server.port) as client:
        client.sendall(GET)
        receive(client, len(RESPONSE))
        server.forget()
        assert len(server.rows()) == 0
        with pytest.raises(RuntimeError, match="has not been frozen"):
            server.frozen()
        server._log = server._log[:4]
        client.sendall(GET)
        receive(client, len(RESPONSE))
        with pytest.raises(RuntimeError, match="log is full after 1 responses"):
            server.rows()


# ---------------------------------------------------------------- the engine against it


def longest_ns(gaps: list[tuple[int, int]]) -> int:
    return max((length for _, length in gaps), default=0)


def test_the_open_loop_tells_of_the_whole_queue_behind_a_freeze():
    compile_all()
    plan = Drive(seconds=2.0, ramp_s=0.1, rate_per_s=2_000, drain_s=PATIENCE_S)
    with truth(SERVER_CPU) as server:
        with Session(fidelity.target_of(server), 16, cpus=(DRIVER_CPU,), trace=10_000) as session:
            session.open()
            server.freeze(time.monotonic_ns() + 600_000_000, stall.FREEZE_NS)
            load = session.run(plan)
            traced = session.traced()
        rows, frozen = server.rows(), server.frozen()
    assert frozen[1] - frozen[0] >= stall.FREEZE_NS
    assert load.errors == {}
    assert len(traced) == load.intended
    # No machine is faster than one that serves a request in a microsecond; the truth says how slow this one was.
    least = stall.expected_ns(traced[:, 1], 1_000, frozen)
    true = fidelity.matched(traced, rows)[:, 2] - traced[:, 1]
    for q in (0.5, 0.95, 0.99, 0.999, 1.0):
        told = histogram.quantile_ns(load.response, q)
        assert told >= np.quantile(least, q, method="lower"), q
        assert told >= np.quantile(true, q, method="lower"), q
        assert told <= np.quantile(true, q, method="higher") * 1.001 + 3 * longest_ns(load.gaps) + 20_000_000, q
    assert histogram.quantile_ns(load.response, 0.99) > stall.FREEZE_NS / 2


def test_the_closed_loop_does_not_pretend_to():
    compile_all()
    connections = 8
    with truth(SERVER_CPU) as server:
        with Session(fidelity.target_of(server), connections, cpus=(DRIVER_CPU,), trace=1_000_000) as session:
            session.open()
            server.freeze(time.monotonic_ns() + 600_000_000, stall.FREEZE_NS)
            load = session.run(Drive(seconds=1.5, ramp_s=0.1, drain_s=PATIENCE_S))
            traced = session.traced()
        begins, ends = server.frozen()
    middle = (begins + ends) // 2
    over = traced[(traced[:, 2] < middle) & (traced[:, 3] > middle)]
    assert len(over) == len(np.unique(over[:, 0])) == connections
    slow = int((traced[:, 3] - traced[:, 1] >= stall.FREEZE_NS / 2).sum())
    assert slow >= connections
    assert abs(stall.slow_ones(load) - slow) <= 1  # a bucket's width
    assert histogram.total(load.response) == len(traced) == load.intended  # none that was not made


def test_requests_near_a_pause_of_the_engine_are_set_aside():
    # port, intended, sent, end; and port, arrived, left
    traced = np.array([[7, 1_000, 1_000, 9_000], [7, 20_000, 20_000, 900_000], [7, 950_000, 950_000, 960_000]])
    rows = np.array([[7, 2_000, 8_000], [7, 21_000, 25_000], [7, 951_000, 955_000]])
    plan = Drive(seconds=0.001, drain_s=0.001)
    with socket.create_server(("127.0.0.1", 0)) as silent, Session(fidelity.Target(*silent.getsockname(), b"-"), 1) as session:
        session.open()
        load = session.run(plan)
    found = fidelity.nearness(traced, rows, replace(load, gaps=[(100_000, 700_000)]), 0)
    assert found.masked == pytest.approx(1 / 3)
    assert not found.quiet
    assert found.clear_us[0.5] == pytest.approx((9.0, 6.0))
    assert found.whole_us[0.5] == pytest.approx((10.0, 5.0))
    with pytest.raises(ValueError, match="does not fit the requests from port 7"):
        fidelity.matched(traced, rows[:2])


# ---------------------------------------------------------------- equals, and what was planted


def test_copies_are_compared_in_disjoint_pairs():
    names = [f"epoll_loop~copy {number}" for number in range(6)]

    def trial(name: str, number: int) -> Trial:
        return factories.trial(name, "hello", number, [factories.measurement(name, "hello", Level("closed", 16), number)])

    records = [factories.record("hello", number, [trial(name, number) for name in names]) for number in range(3)]
    rows = aa.compared(Told(factories.run(models=tuple(names), scenarios=("hello",)), "hello", records), names)
    assert [row.model for row in rows] == names[::2]
    assert all(row.judged for row in rows)
    calls = aa.counted(rows)
    assert calls.asked == 3
    assert calls.called <= 1


def test_from_3_to_18_of_200_equals_are_called_different_by_chance():
    assert aa.expected(200) == (3, 18)
    low, high = aa.expected(20)
    assert (low, high) == (0, 4)
    assert aa.expected(0) == (0, 0)


def test_a_run_without_an_aa_arm_cannot_be_asked(tmp_path, capsys):
    record.write(tmp_path / "run" / "run.json", factories.run())
    record.write(
        tmp_path / "run" / "records" / "hello-0.json", factories.record("hello", 0, [factories.trial("prefork", "hello")])
    )
    console = Console(width=120)
    assert not aa.measure(console, 0, 0, str(tmp_path / "run"))
    assert not aa.measure(console, 0, 0, str(tmp_path / "nowhere"))
    said = " ".join(capsys.readouterr().out.split())
    assert "has no A/A arm; make a run with --aa MODEL" in said
    assert "there is no run" in said


@pytest.mark.parametrize(
    ("known", "turns"),
    [
        ({12: 0.02}, 18),
        ({12: 0.02, 18: 0.0255}, 21),
        ({10: -0.001}, 20),
        ({20: 0.0299, 19: 0.02}, 21),  # it has been tried, and is a little too little
    ],
)
def test_turns_are_calibrated_in_proportion(known, turns):
    assert planted.next_turns(known) == turns


def test_a_copy_of_the_servers_turns_before_each_send_and_serves(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    with planted.copied(tmp_path / "copy", 7, 2) as folder:
        text = (folder / "servers" / planted.FILE).read_text()
        assert text.count("for _ in range(7):\n        pass\n") == 2
        with Server("epoll_loop", [cpu], folder=folder) as server, connect(server.facts.port) as client:
            client.sendall(GET)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert not folder.exists()


def test_a_server_that_sends_in_another_way_is_not_planted_in(tmp_path, monkeypatch):
    monkeypatch.setattr(planted, "BEFORE", "    nobody writes this\n")
    with pytest.raises(planted.Unplanted, match="does not send as it did"), planted.copied(tmp_path / "copy", 7, 1):
        pass
    assert not (tmp_path / "copy").exists()


def test_a_pair_is_slower_by_significance_and_the_same_within_the_margin():
    def pair(ratio: float, error: float) -> planted.Pair:
        step = Difference(float(np.log(ratio)), error, 9)
        row = Row("hello", "closed 16", "epoll_loop", "rate", True, 1.0, ratio, step.estimate(), step)
        return planted.Pair(row, row)

    slower = pair(0.97, 0.005)
    assert (slower.slower, slower.same) == (True, False)
    assert slower.more == pytest.approx(0.031, abs=0.001)
    assert (pair(1.001, 0.005).slower, pair(1.001, 0.005).same) == (False, True)
    assert not pair(0.97, 0.03).slower
    assert not pair(1.03, 0.005).slower


# ---------------------------------------------------------------- the command


def test_a_question_that_is_not_there(capsys):
    assert command.main(["fidelty"]) == 2
    assert "there is no 'fidelty'; there are: cost, floors, crowd, fidelity, stall, field" in capsys.readouterr().err


def test_a_tool_that_fails_is_said_and_left_out(capsys):
    def fails() -> None:
        raise RuntimeError("hey failed: connection refused")

    made = field._in_turn(Console(width=120), 2, {"engine": lambda: 1, "hey": fails, "wrk": lambda: 2})
    assert made == {"engine": [1, 1], "wrk": [2, 2]}
    assert capsys.readouterr().out.count("hey is left out: hey failed: connection refused") == 1


def test_a_pace_counts_the_cpu_of_all_of_a_servers_processes():
    for model in ("epoll_loop", "prefork"):
        found = versions.pace(model, min(os.sched_getaffinity(0)))
        assert found.rate_per_s > 0
        assert found.cpu_us > 1  # a parent that only waits would have next to nothing


def test_another_checkout_must_be_one(tmp_path):
    with pytest.raises(versions.NoCheckout, match="no checkout of servebench is there"):
        versions.measure(Console(), 0, 0, str(tmp_path))
