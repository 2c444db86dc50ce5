"""Every model survives what the rules about faults do to it, in smaller numbers; and servers that do not are found out."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live import MODELS, ROOT

from benchmarks import launch
from benchmarks.conformance import suite
from benchmarks.conformance.rule import Outcome
from benchmarks.conformance.rules import faults
from benchmarks.conformance.subjects import Model

RULES = {rule.name: rule for rule in faults.rules(resets_in_all=80, heads=40, idles=200, floods=300)}
ALONE = ("descriptors", "beyond-limit", "flood", "gone-meanwhile", "never-readers", "slow-readers", "slow-writers")
TOGETHER = tuple(name for name in RULES if name not in ALONE)  # quick, and of one mind about settings


def outcomes(model: str, names: tuple[str, ...]) -> list[Outcome]:
    """What comes of these rules on one server."""
    rules = [RULES[name] for name in names]
    with Model(model).running(rules[0].settings) as running:
        return [suite.test(running, rule) for rule in rules]


# ---------------------------------------------------------------- ours


@pytest.mark.parametrize("model", MODELS)
def test_survives(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most rules wait most of the time, so all are asked at once."""
    monkeypatch.setattr(faults, "LOOKS_S", 0.5)
    groups = [*((name,) for name in ALONE), TOGETHER]
    with ThreadPoolExecutor(len(groups)) as pool:
        found = [outcome for some in pool.map(lambda names: outcomes(model, names), groups) for outcome in some]
    assert [outcome for outcome in found if outcome.verdict != "kept"] == []


def test_rules_that_share_a_server_here_agree_about_it() -> None:
    assert {RULES[name].settings for name in TOGETHER} == {faults.LONG}


# ---------------------------------------------------------------- servers that do not survive

# Models of one fault each, made of ours. What they leave behind is looked for not quite so long here.
EPOLL = """
import os, socket
from servers import _listening, _readiness, epoll_loop
from servers._readiness import Loop
from servers._waiting import NOTHING

def was_reset(talk):
    return talk.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\\7"  # TCP_CLOSE
"""
BROKEN = {
    "leaks_descriptors": (
        "resets-in-bodies",
        r"holds \d+ descriptors, \d+ before, ",
        EPOLL
        + """
class Leaking(Loop):
    def finish(self, talk):
        if was_reset(talk):
            os.dup(talk.descriptor)
        super().finish(talk)

epoll_loop.Loop = Leaking
serve = epoll_loop.serve
""",
    ),
    "leaks_memory": (
        "resets-in-answers",
        r"holds [\d.]+ MiB of memory, [\d.]+ before",
        EPOLL
        + """
left = []

class Leaking(Loop):
    def finish(self, talk):
        if was_reset(talk):
            left.append(b"x" * 1_000_000)
        super().finish(talk)

epoll_loop.Loop = Leaking
serve = epoll_loop.serve
""",
    ),
    "leaks_threads": (
        "resets-late",
        r"holds \d+ threads, \d+ before",
        """
import threading
from servers import thread_per_connection
from servers._blocking import BlockingTalk

class Leaking(BlockingTalk):
    __slots__ = ()

    def run(self, conversation, send_s):
        super().run(conversation, send_s)
        threading.Event().wait()

thread_per_connection.BlockingTalk = Leaking
serve = thread_per_connection.serve
""",
    ),
    "says_so": (
        "resets-early",
        "said on stderr: .*ConnectionResetError",
        EPOLL
        + """
class Saying(Loop):
    def finish(self, talk):
        if was_reset(talk):
            _readiness.report(ConnectionResetError())
        super().finish(talk)

epoll_loop.Loop = Saying
serve = epoll_loop.serve
""",
    ),
    "spins_without_descriptors": (
        "descriptors",
        r"did not sleep for [\d.]+ s within [\d.]+ s without descriptors",
        EPOLL
        + """
class Spinning(_listening.Door):
    open = True

    def accept(self):
        try:
            return self.listener.accept()[0]
        except OSError:
            return None

_readiness.Door = Spinning
serve = epoll_loop.serve
""",
    ),
    "spins_for_those_who_left": (
        "gone-meanwhile",
        r"did not sleep for [\d.]+ s within [\d.]+ s while clients waited",
        EPOLL
        + """
class Spinning(Loop):
    def event(self, talk, descriptor, seen):
        mask, talk.mask = talk.mask, 0
        super().event(talk, descriptor, seen)  # cannot forget the client, as it believes to look for nothing
        talk.mask = talk.mask or mask

epoll_loop.Loop = Spinning
serve = epoll_loop.serve
""",
    ),
    "buffers_all": (
        "slow-readers",
        r"has grown by [\d.]+ MiB for 8 clients that do not read",
        """
from servers import asyncio_protocol
from servers._asyncio_host import AsyncTalk

class Buffering(asyncio_protocol.Client):
    __slots__ = ()

    def begin(self, transport):
        super().begin(transport)
        transport.set_write_buffer_limits(1 << 30)

asyncio_protocol.Client = Buffering
serve = asyncio_protocol.serve
""",
    ),
    "waits_for_ever": (
        "never-readers",
        r"still holds 8 descriptors after [\d.]+ s for 8 clients that it gives 1 s to read",
        EPOLL
        + """
class Patient(_readiness.Deadlines):
    def overdue(self, talks, send_s):
        super().overdue(talks, send_s)
        return []

_readiness.Deadlines = Patient
serve = epoll_loop.serve
""",
    ),
    "ends_with_the_client": (
        "half-closed-large",
        "ended the connection inside a body",
        """
from servers import asyncio_protocol

class Ending(asyncio_protocol.Client):
    __slots__ = ()

    def eof_received(self):
        super().eof_received()
        self.transport.abort()
        return True

asyncio_protocol.Client = Ending
serve = asyncio_protocol.serve
""",
    ),
    "has_no_limit": (
        "beyond-limit",
        "served 4 more while it held the 8 connections",
        EPOLL
        + """
from dataclasses import replace

def serve(listener, converse, options, stop):
    epoll_loop.serve(listener, converse, replace(options, connections=1000), stop)
""",
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """What came of each one's rule, all asked at once."""
    folder: Path = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "servers", folder / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (_, _, source) in BROKEN.items():
        (folder / "servers" / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(BROKEN)) as pool:
        patch.setattr(launch, "_ROOT", folder)
        patch.setattr(faults, "LEAVES_S", 1.0)
        asked = {name: pool.submit(outcomes, name, (rule,)) for name, (rule, _, _) in BROKEN.items()}
        yield {name: some.result()[0] for name, some in asked.items()}


@pytest.mark.parametrize("name", BROKEN)
def test_is_found_out(name: str, found: dict[str, Outcome]) -> None:
    assert found[name].verdict == "broken"
    assert re.search(BROKEN[name][1], found[name].saw, re.DOTALL), found[name].saw
