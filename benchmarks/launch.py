"""From a name to a live server, or its stderr.

The server is started pinned to its cores, in a session of its own, and its readiness is a line on its stdout; nothing here
waits by sleeping. Linux kills it if the harness dies (PR_SET_PDEATHSIG), so that no run leaves a server behind.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import msgspec

from benchmarks.nouns import ServerFacts

READY_WITHIN_S = 15.0
STOPPED_WITHIN_S = 12.0
_STDERR_BYTES = 8000
_ROOT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LaunchError(RuntimeError):
    """The server did not get ready. `stderr` is the end of what it said."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


class ReadyLine(msgspec.Struct, frozen=True):
    """What a server says on stdout once it accepts."""

    port: int
    pid: int
    model: str
    max_connections: int
    keepalive_requests: int = 0
    keepalive_idle_s: float = 0.0
    given: dict[str, int] = {}  # how many of what it works with: workers, threads; msgspec copies it


def compile_servers(pythons: Iterable[str], folder: Path = _ROOT) -> None:
    """Write the bytecode of all that servers are made of, for these interpreters; where it can't be written they do without.

    A server that compiles its own sources when it starts has another heap than one that reads them compiled, and its first
    clients may be served at another pace: `cold_start` was seen to differ by nothing else.
    """
    rooms = [str(room) for room in (folder / "servers", folder / "benchmarks" / "controls") if room.is_dir()]
    for python in pythons:
        subprocess.run([python, "-m", "compileall", "-q", *rooms], stdout=subprocess.DEVNULL, cwd=folder, check=False)


class Server:
    """A live server. Use it as a context manager: it is stopped at the end, by its pid."""

    def __init__(
        self,
        model: str,
        cpus: Sequence[int],
        settings: Sequence[str] = (),
        folder: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        python: str = "",
        module: str = "",
        wait: bool = True,
    ) -> None:
        """Start it and wait for the ready line, or with `wait` False leave that to `wait_ready`. Raises LaunchError.

        `settings` are options of the server and `environment` variables on top of the harness's own. `python` is another
        interpreter (a relative path begins at this checkout), `module` what is run instead of a model, `folder` another
        checkout, whose server it shall be.
        """
        what = [module] if module else ["servers", model]
        command = [python or sys.executable, "-m", *what, "--port", "0", *settings]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop()
        self._stopping = False
        self.facts = ServerFacts(0, 0, 0, [python or "python", *command[1:]], 0.0, None, None)  # until it is ready
        self._begins, self._command, self._environment = time.monotonic(), [python or "python", *command[1:]], environment
        parent = os.getpid()

        def settle() -> None:
            os.sched_setaffinity(0, set(cpus))
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died in between
                os._exit(1)

        try:
            self._process = subprocess.Popen(
                [str(_ROOT / command[0]), *command[1:]],
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                stdin=subprocess.DEVNULL,
                cwd=folder or _ROOT,  # not where the user stands: modules that lie there are the user's own
                env={**os.environ, **environment} if environment else None,
                start_new_session=True,
                preexec_fn=settle,
            )
        except OSError as error:
            self._stderr.close()
            raise LaunchError(f"{command[0]} can't be run: {error.strerror}", "") from None
        self.facts = ServerFacts(  # as far as they are known before it is ready
            pid=self._process.pid,
            port=0,
            max_connections=0,
            command=[python or "python", *command[1:]],
            ready_s=0.0,
            stop_s=None,
            exit_status=None,
            environment=dict(environment or {}),
        )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for the ready line of a server that was started without. Raises LaunchError."""
        try:
            ready = self._wait_ready()
        except BaseException:
            self._kill()
            raise
        self.facts = replace(
            self.facts,
            pid=ready.pid,
            port=ready.port,
            max_connections=ready.max_connections,
            ready_s=time.monotonic() - self._begins,
            keepalive_requests=ready.keepalive_requests,
            keepalive_idle_s=ready.keepalive_idle_s,
            given=ready.given,
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stderr(self) -> str:
        """The end of what it has said on stderr."""
        if self._stderr.closed:
            return self.facts.stderr
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(size - _STDERR_BYTES, 0))
        return self._stderr.read().decode(errors="replace").strip()

    def begin_stop(self) -> None:
        """SIGTERM, without waiting: of many servers, each drains while the others do."""
        if not self._stopping and not self._stderr.closed and self._process.poll() is None:
            self._stopping = True
            self._process.terminate()

    def stop(self) -> ServerFacts:
        """SIGTERM, and SIGKILL for the whole session if it does not drain in time. Returns the facts, completed."""
        if self._stderr.closed:  # it was stopped before, or never got ready
            return self.facts
        begins = time.monotonic()
        stopped: float | None = None
        if self._process.poll() is None:
            self.begin_stop()
            try:
                self._process.wait(STOPPED_WITHIN_S)
                stopped = time.monotonic() - begins
            except subprocess.TimeoutExpired:
                pass
        said = self.stderr()
        self._kill()
        self.facts = replace(self.facts, stop_s=stopped, exit_status=self._process.returncode, stderr=said)
        return self.facts

    def ended(self) -> int | None:
        """Its exit status if it has ended by itself, else None."""
        return self._process.poll()

    def wait(self, within_s: float) -> int | None:
        """Wait for its end; its exit status, None when it goes on for longer."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once, with whatever it has started in its session."""
        if not self._stderr.closed:
            self._kill()

    def _wait_ready(self) -> ReadyLine:
        assert self._process.stdout is not None
        waiting = select.poll()
        waiting.register(self._process.stdout, select.POLLIN)
        ends, line = time.monotonic() + READY_WITHIN_S, b""
        while not line.endswith(b"\n"):
            left = ends - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise LaunchError(f"no ready line within {READY_WITHIN_S:.0f} s", self.stderr())
            piece = os.read(self._process.stdout.fileno(), 4096)
            if not piece:
                status = self._process.wait()
                raise LaunchError(f"it ended with status {status} before it was ready", self.stderr())
            line += piece
        try:
            return msgspec.json.decode(line, type=ReadyLine)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise LaunchError(f"its ready line is not what it should be ({error}): {line[:200]!r}", self.stderr()) from None

    def _kill(self) -> None:
        """End whatever is left of the session it was started in, and let go of the files."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()
