"""Who is examined: how a server is started with the settings that a rule wants, and what can be seen of it while it runs."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from typing import Protocol

import psutil

from benchmarks.conformance.rule import Settings
from benchmarks.conformance.wire import PATIENCE_S, Client
from benchmarks.launch import Server

HOST = "127.0.0.1"
FLAGS = {  # of `python -m servers`
    "head_s": "--head-timeout",
    "body_s": "--body-timeout",
    "idle_s": "--keepalive-idle",
    "send_s": "--send-timeout",
    "linger_s": "--linger",
    "drain_s": "--drain",
    "keepalive_requests": "--keepalive-requests",
    "connections": "--connections",
    "workers": "--workers",
    "threads": "--threads",
}


class Running(Protocol):
    """A running server."""

    name: str
    ours: bool  # one of the project's models
    port: int
    pid: int
    settings: Settings
    max_connections: int | None  # conversations at once, as it declares; None: nobody knows

    def connect(self, patience_s: float = PATIENCE_S) -> Client:
        """A new connection to it."""

    def family(self) -> list[psutil.Process]:
        """Its living processes, the first one first."""

    def signal(self, signum: int = signal.SIGTERM) -> None:
        """Send a signal to the first of its processes."""

    def status(self, within_s: float) -> int | None:
        """Wait for its end; the exit status, None when it goes on for longer."""

    def said(self) -> str:
        """The end of its stderr so far."""


class Subject(Protocol):
    """A server that can be started, again and again."""

    name: str
    ours: bool

    def running(self, settings: Settings) -> AbstractContextManager[Running]:
        """Started with these settings; at the end of the block whatever is left of it is killed. Raises LaunchError."""


class Process:
    """What all running servers have in common: a process, its children, a port."""

    def __init__(self, name: str, ours: bool, port: int, pid: int, settings: Settings, max_connections: int | None) -> None:
        self.name, self.ours, self.port, self.pid, self.settings = name, ours, port, pid, settings
        self.max_connections = max_connections

    def connect(self, patience_s: float = PATIENCE_S) -> Client:
        """See Running."""
        return Client(HOST, self.port, patience_s)

    def family(self) -> list[psutil.Process]:
        """See Running."""
        try:
            first = psutil.Process(self.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def signal(self, signum: int = signal.SIGTERM) -> None:
        """See Running."""
        os.kill(self.pid, signum)


class RunningModel(Process):
    """One of `servers/`, running."""

    def __init__(self, name: str, server: Server, settings: Settings) -> None:
        facts = server.facts
        super().__init__(name, True, facts.port, facts.pid, settings, facts.max_connections)
        self._server = server

    def status(self, within_s: float) -> int | None:
        """See Running."""
        return self._server.wait(within_s)

    def said(self) -> str:
        """See Running."""
        return self._server.stderr()


class Model:
    """One of `servers/`."""

    ours = True

    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def running(self, settings: Settings) -> Iterator[RunningModel]:
        """See Subject."""
        given = {each.name: getattr(settings, each.name) for each in fields(settings)}
        options = [word for name, value in given.items() if value is not None for word in (FLAGS[name], str(value))]
        server = Server(self.name, sorted(os.sched_getaffinity(0)), options)
        try:
            yield RunningModel(self.name, server, settings)
        finally:
            server.kill()
