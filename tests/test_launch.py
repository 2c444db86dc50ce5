"""Launching, verifying and sampling real servers: every model of the catalogue."""

import contextlib
import os
import resource
import signal
import socket
import struct
import sys
import textwrap
import time
from dataclasses import replace

import factories
import psutil
import pytest

from benchmarks import catalogue, launch, sample
from benchmarks.launch import LaunchError, Server, compile_servers
from benchmarks.questions import Request, Scenario
from benchmarks.verify import VerifyError, same, verify

MODELS = [entry.name for entry in catalogue.models()]
CPUS = sorted(os.sched_getaffinity(0))
HELLO = catalogue.scenario("hello")
SCENARIOS = {entry.name: catalogue.scenario(entry.name) for entry in catalogue.scenarios()}
ASKED = list({(one.request, one.mix, one.prepare): name for name, one in reversed(SCENARIOS.items())}.values())
LOAD = factories.trial("epoll_loop", "hello").measurements[0].load


@pytest.fixture(scope="module", params=MODELS)
def server(request):
    with Server(request.param, CPUS[:1]) as server:
        yield server


def test_every_model_is_launched_pinned_and_says_what_it_holds(server):
    assert server.facts.max_connections >= 1
    for pid in sample.tree(server.facts.pid):
        assert psutil.Process(pid).cpu_affinity() == CPUS[:1]


@pytest.mark.parametrize("name", ASKED)
def test_every_model_gives_every_scenario_its_answer(server, name):
    answer = verify("127.0.0.1", server.facts.port, SCENARIOS[name])
    _digests.setdefault(name, answer.digest)
    same(answer, _digests[name], "this model")


_digests: dict[str, str] = {}


def test_counters_grow_with_work_and_holdings_are_a_process_trees(server):
    pids = sample.rested_tree(server.facts.pid)  # whoever was forked for a client of another test has gone
    before = sample.counters(pids)
    for _ in range(3):
        verify("127.0.0.1", server.facts.port, HELLO)
    after, held = sample.counters(sample.tree(server.facts.pid)), sample.holdings(pids)
    assert after.voluntary_switches >= before.voluntary_switches
    assert sum(after.clocks_ns.values()) + after.buried_ns > sum(before.clocks_ns.values()) + before.buried_ns
    assert after.minor_faults >= before.minor_faults
    assert held.processes == len(pids)
    assert held.rss_bytes >= held.uss_bytes > 1_000_000
    assert held.threads >= held.processes
    assert held.descriptors > 3


def test_servers_are_compiled_before_they_are_compared(tmp_path):
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "mine.py").write_text('"""Mine."""\n')
    compile_servers([sys.executable], tmp_path)
    assert [path.name.partition(".")[0] for path in (tmp_path / "servers" / "__pycache__").iterdir()] == ["mine"]


def test_a_tree_is_read_when_its_processes_for_connections_are_there():
    with Server("fork_per_connection", CPUS[:1]) as server, contextlib.ExitStack() as stack:
        before = len(sample.rested_tree(server.facts.pid))
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.facts.port)))
        assert len(sample.rested_tree(server.facts.pid, within_s=60.0)) == before + 40


def test_a_process_that_has_ended_holds_nothing():
    gone = (2**22 - 1,)
    assert sample.holdings(gone).processes == 0
    assert sample.counters(gone) == sample.Counters(0, 0, 0)


@pytest.fixture
def affinity():
    """Leaves this process the CPUs that it had."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("affinity")
@pytest.mark.parametrize("others", [0, 1])
def test_the_harness_is_ours_only_where_it_has_no_other_cpus_to_run_on(others):
    if len(CPUS) <= others:
        pytest.skip("there is one CPU")
    os.sched_setaffinity(0, CPUS[: 1 + others])
    before, ends = sample.usage(CPUS[:1]), time.process_time() + 0.3
    while time.process_time() < ends:
        pass
    used = sample.outside(before, sample.usage(CPUS[:1]))
    assert used is not None
    assert (used.ours_ns >= 0.3e9) is (not others)


def test_a_server_is_given_settings_variables_and_another_interpreter(broken, monkeypatch):
    broken("""
        import json, os, sys
        given = {"flag": int(sys.argv[-1]), "level": int(os.environ["SERVEBENCH_LEVEL"]), "mine": int(os.environ["MINE"])}
        ready = {"port": 1, "pid": os.getpid(), "model": sys.executable, "max_connections": 1, "given": given}
        print(json.dumps(ready), flush=True)
    """)
    monkeypatch.setenv("MINE", "5")
    with Server("any", CPUS[:1], ["--flag", "3"], environment={"SERVEBENCH_LEVEL": "4"}, python=sys.executable) as server:
        assert server.facts.given == {"flag": 3, "level": 4, "mine": 5}
    assert server.facts.environment == {"SERVEBENCH_LEVEL": "4"}
    assert server.facts.command == [sys.executable, "-m", "servers", "any", "--port", "0", "--flag", "3"]


def test_another_module_is_run_instead_of_a_model():
    with Server("epoll_loop", CPUS[:1], module="benchmarks.controls.direct_epoll") as server:
        assert server.facts.command[1:3] == ["-m", "benchmarks.controls.direct_epoll"]
        verify("127.0.0.1", server.facts.port, HELLO)
    assert (server.facts.exit_status, server.facts.stderr) == (0, "")


def test_an_interpreter_that_is_not_there_is_a_failure():
    with pytest.raises(LaunchError, match="nowhere/python can't be run: No such file"):
        Server("epoll_loop", CPUS[:1], python=".venv-pythons/nowhere/python")


@pytest.mark.parametrize("model", ["epoll_loop", "prefork"])
def test_garbage_collections_are_read_from_the_accounts_of_all_processes(model, tmp_path):
    with Server(model, CPUS[:1], ["--gc-account", str(tmp_path)]) as server:
        pids = sample.tree(server.facts.pid)
        verify("127.0.0.1", server.facts.port, HELLO)
        assert set(sample.collections(tmp_path)) >= set(pids)
        (tmp_path / str(pids[0])).write_bytes(struct.pack("=5Q", 3, 2, 1, 9_000, 8_000))
        sample.forget_longest(tmp_path)
        before = sample.counters(pids, tmp_path)
        assert before.collections[pids[0]] == sample.Collections((3, 2, 1), 9_000, 0)
        (tmp_path / str(pids[0])).write_bytes(struct.pack("=5Q", 5, 2, 1, 9_700, 400))
        (tmp_path / "1").write_bytes(struct.pack("=5Q", 1, 1, 1, 30, 20))  # of a process that was born and has died
        cost = sample.bill(before, sample.counters(pids, tmp_path), sample.holdings(pids), [LOAD])
    assert (cost.collections, cost.pause_ns, cost.longest_pause_ns) == ((3, 1, 1), 730, 400)


def test_a_process_with_anothers_number_is_not_taken_for_it():
    before = sample.Counters(0, 0, 0, {7: sample.Collections((9, 9, 9), 900, 100)})
    after = sample.Counters(0, 0, 0, {7: sample.Collections((1, 0, 0), 50, 50)})
    cost = sample.bill(before, after, sample.holdings(()), [LOAD])
    assert (cost.collections, cost.pause_ns, cost.longest_pause_ns) == ((1, 0, 0), 50, 50)


def test_nobody_counts_collections_without_an_account():
    cost = sample.bill(sample.counters(()), sample.counters(()), sample.holdings(()), [LOAD])
    assert (cost.collections, cost.pause_ns) == ((), 0)


def test_the_memory_of_sockets_is_the_kernels_own_count():
    assert (sample.socket_bytes() or 0) % os.sysconf("SC_PAGE_SIZE") == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_stopped_server_leaves_nothing_behind(model):
    with Server(model, CPUS[:1]) as server:
        processes = [psutil.Process(pid) for pid in sample.tree(server.facts.pid)]
    assert server.facts.exit_status == 0
    assert server.facts.stop_s is not None
    assert server.facts.stderr == ""
    assert not psutil.wait_procs(processes, timeout=5)[1]


def test_the_bill_has_processes_that_came_and_went():
    """One lived from edge to edge, and was watched; one came and stayed, one was there and went, one came and went."""
    before = sample.Counters(0, 0, 0, buried_ns=1_000, clocks_ns={1: 50_000, 2: 7_000})
    after = sample.Counters(0, 0, 0, buried_ns=1_000 + 9_000 + 4_000, clocks_ns={1: 80_000, 3: 6_000})
    load = replace(LOAD, server_cpu_ns=30_000, server_user_ns=10_000, completed=50, all_requests=100)
    bill = sample.bill(before, after, sample.Holdings(0, 0, 0, 0, 0), [load])
    assert bill.cpu_user_ns + bill.cpu_system_ns == 30_000 + (2_000 + 4_000 + 6_000) // 2


def test_servers_die_with_the_harness():
    """Kill a harness with SIGKILL while it has a server of several processes."""
    script = textwrap.dedent(f"""
        import time
        from benchmarks.launch import Server
        server = Server("prefork", [{CPUS[0]}])
        print(server.facts.pid, flush=True)
        time.sleep(60)
    """)
    harness = psutil.Popen([sys.executable, "-c", script], stdout=-1, cwd=catalogue.ROOT)
    server = psutil.Process(int(harness.stdout.readline()))
    family = [server, *server.children(recursive=True)]
    harness.kill()
    harness.wait()
    harness.stdout.close()
    assert not psutil.wait_procs(family, timeout=10)[1]


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Puts a `servers` package of its own in the place of the real one; gives a function that writes its main."""

    def write(main: str) -> None:
        package = tmp_path / "servers"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(textwrap.dedent(main))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(launch, "_ROOT", tmp_path)

    return write


def test_a_server_that_does_not_start_is_a_failure_with_its_stderr(broken):
    broken("import sys; sys.exit('no such thing')")
    with pytest.raises(LaunchError, match="ended with status 1 before it was ready") as caught:
        Server("any", CPUS[:1])
    assert "no such thing" in caught.value.stderr


def test_a_ready_line_that_is_none_is_a_failure(broken):
    broken("print('hello', flush=True); import time; time.sleep(30)")
    with pytest.raises(LaunchError, match="ready line"):
        Server("any", CPUS[:1])


def test_a_server_that_will_not_stop_is_killed(broken, monkeypatch):
    monkeypatch.setattr("benchmarks.launch.STOPPED_WITHIN_S", 0.3)
    broken("""
        import json, os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(json.dumps({"port": 1, "pid": os.getpid(), "model": "any", "max_connections": 1}), flush=True)
        time.sleep(60)
    """)
    with Server("any", CPUS[:1]) as server:
        pass
    assert server.facts.stop_s is None
    assert server.facts.exit_status == -signal.SIGKILL


def wrong(**changes) -> Scenario:
    return Scenario(request=Request(**{"path": "/hello", **changes}), closed=(1,), open_shares=(), open_rates_per_s=())


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (wrong(path="/nowhere"), "answered 404, not 200"),
        (wrong(expect_body=b"Goodbye"), r"answered b'Hello, World!', not b'Goodbye'"),
        (wrong(method="POST"), "answered 4"),
    ],
)
def test_a_wrong_answer_is_found_before_any_timing(server, scenario, told):
    with pytest.raises(VerifyError, match=told):
        verify("127.0.0.1", server.facts.port, scenario)


def test_an_answer_before_its_wait_is_over_is_found(server):
    from dataclasses import replace

    with pytest.raises(VerifyError, match="before the 500 ms of waiting were over"):
        verify("127.0.0.1", server.facts.port, replace(HELLO, wait_s=0.5))


def test_other_bytes_than_the_other_models_are_found(server):
    with pytest.raises(VerifyError, match="other bytes than the models before it"):
        same(verify("127.0.0.1", server.facts.port, HELLO), "0" * 64, "this model")


def test_a_server_that_is_gone_is_found():
    begins = time.monotonic()
    with pytest.raises(VerifyError, match="Refused"):
        verify("127.0.0.1", 1, HELLO)
    assert time.monotonic() - begins < 10


def test_a_harness_with_thousands_of_descriptors_starts_servers():
    """select(2) knows no descriptor above 1023, and a crowd of clients is in the same process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    crowd = [os.dup(0) for _ in range(1100)]
    try:
        with Server("epoll_loop", CPUS) as server:
            assert server.facts.port > 0
    finally:
        for descriptor in crowd:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_servers_are_started_and_stopped_together():
    servers = [Server(model, CPUS[:1], wait=False) for model in ("epoll_loop", "prefork", "thread_per_connection")]
    try:
        for server in servers:
            server.wait_ready()
        assert len({server.facts.port for server in servers}) == 3
        for server in servers:
            server.begin_stop()
    finally:
        told = [server.stop() for server in servers]
    assert [facts.exit_status for facts in told] == [0, 0, 0]


def test_a_server_that_was_not_waited_for_is_stopped_all_the_same(broken):
    broken("import time; time.sleep(60)")
    server = Server("any", CPUS[:1], wait=False)
    assert server.stop().exit_status == -signal.SIGTERM
    assert server.stop().port == 0


def test_one_that_does_not_get_ready_is_told_when_it_is_waited_for(broken):
    broken("raise SystemExit('no such thing')")
    server = Server("any", CPUS[:1], wait=False)
    with pytest.raises(LaunchError, match="before it was ready"):
        server.wait_ready()
    server.stop()  # whoever stops all need not know


def test_beside_others_nobody_knows_what_memory_is_a_servers_own():
    assert sample.holdings((os.getpid(),), alone=False).uss_bytes is None
