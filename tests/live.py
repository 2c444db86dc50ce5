"""Servers as other programs see them: started by a command, known by their ready line, reached by sockets and signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).parent.parent
MODELS = sorted(file.stem for file in (ROOT / "servers").glob("[!_]*.py"))
PATIENCE_S = 30.0  # for what must happen; nothing here takes it unless it is broken

HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"


@dataclass
class Server:
    """A running server and what it said."""

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    port: int
    max_connections: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self, host: str = "127.0.0.1") -> "Client":
        return Client(socket.create_connection((host, self.port), PATIENCE_S))

    def stop(self, signum: int = signal.SIGTERM) -> None:
        self.process.send_signal(signum)

    def status(self) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(PATIENCE_S)

    def said(self) -> str:
        """Everything on stderr so far."""
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def family(self) -> list[psutil.Process]:
        """Its processes, the first one first."""
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


class Client:
    """A client that speaks a little HTTP, or lines."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> bool:
        """Receive once; False at the end of the stream."""
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def rest(self) -> bytes:
        """All that comes until the end of the stream."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def until(self, mark: bytes) -> bytes:
        """All up to this mark and the mark itself."""
        while mark not in self.buffer:
            assert self.more(), f"the stream ended: {self.buffer[-200:]!r}"
        before, _, self.buffer = self.buffer.partition(mark)
        return before + mark

    def ask(self, line: bytes) -> bytes:
        """A command of `conversing.steps` and its answer."""
        self.send(line + b"\n")
        return self.until(b"\n").rstrip()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One HTTP response: status, header fields in lower case, body."""
        head = self.until(b"\r\n\r\n").decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        size = int(fields["content-length"])
        while len(self.buffer) < size:
            assert self.more(), "the stream ended inside a body"
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return int(head[0].split()[1]), fields, body

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """One whole exchange."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return self.answer()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()


@contextmanager
def running(*command: str) -> Iterator[Server]:
    """A server from its ready line to the end of the block, where it is killed if it still lives."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                stderr.seek(0)
                raise AssertionError(f"no ready line; stderr: {stderr.read().decode()}")
            ready = json.loads(line)
            assert ready["pid"] == process.pid
            yield Server(process, stderr, ready["port"], ready["max_connections"])
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.kill()
            for child in family:
                try:
                    child.kill()
                except psutil.NoSuchProcess:
                    pass
            process.wait()
            process.stdout.close()


def serving(model: str, *options: str) -> AbstractContextManager[Server]:
    """`python -m servers MODEL --port 0 …`."""
    return running("-m", "servers", model, "--port", "0", *options)


def conversing(model: str, conversation: str, *arguments: str) -> AbstractContextManager[Server]:
    """A model with a conversation of `conversing.py`."""
    return running("tests/conversing.py", model, conversation, *arguments)
