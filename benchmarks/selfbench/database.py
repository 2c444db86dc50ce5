"""A PostgreSQL of one's own: a new cluster in a temporary folder, on a socket in that folder, gone without a trace at the end.

    with postgresql() as url:
        ...                      # python -m servers MODEL --database URL

Nothing but what that URL names can reach it: it listens on no port. It is PostgreSQL as installed, `fsync` and all, but for the
number of connections. Should this process die, the kernel ends it (PR_SET_PDEATHSIG).
"""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.selfbench.peers import Missing

CONNECTIONS = 200
USER = "postgres"  # whom Debian's package makes; PostgreSQL refuses to be run by root
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0
_AGAIN_S = 0.05
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def program(name: str) -> str:
    """Where a program of PostgreSQL is: Debian keeps them apart by version, the newest is taken. Raises Missing."""
    beside = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4].partition(".")[0]))
    found = beside[-1] if beside else shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed: apt-get install postgresql")
    return found


@contextmanager
def postgresql() -> Iterator[str]:
    """A running server; gives the URL of an empty database. Raises Missing, and RuntimeError if it does not start."""
    initdb, postgres, is_ready = program("initdb"), program("postgres"), program("pg_isready")
    as_user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="servebench-postgresql-"))
    try:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        data = folder / "data"
        made = [initdb, "--pgdata", str(data), "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        done = subprocess.run([*made, "--no-sync"], capture_output=True, text=True, cwd=folder, **as_user)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "max_connections": CONNECTIONS}
        command = [postgres, "-D", str(data), *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]
        with open(folder / "log", "w+b") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, preexec_fn=_die_with_us, **as_user)
            try:
                _wait_until_ready([is_ready, "--host", str(folder), "--quiet"], server, folder / "log")
                yield f"postgresql://{USER}@/{USER}?host={folder}"
            finally:
                stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End it, its clients' connections too ("fast"), and at once ("immediate") if that takes too long."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait()


def _unprivileged() -> dict[str, Any]:
    """How a process is to be started so that it is not root's. Raises Missing if there is nobody else."""
    if os.geteuid():
        return {}
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        raise Missing(f"PostgreSQL is not run by root, and there is no user {USER}: apt-get install postgresql") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_us() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    os.setsid()  # Ctrl-C is not for it


def _wait_until_ready(ask: list[str], server: "subprocess.Popen[bytes]", log: Path) -> None:
    """It says nothing on its stdout, so it is asked."""
    ends = time.monotonic() + READY_WITHIN_S
    while subprocess.run(ask).returncode:
        if server.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:].strip()}")
        time.sleep(_AGAIN_S)
