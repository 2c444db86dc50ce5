"""A copy of the project to write models into, and its commands as a user calls them there."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

CARELESS = '''"""Answers hello to whatever comes: no request is ever refused."""

import select
import socket
import threading

OK = (
    b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain; charset=utf-8\\r\\nContent-Length: 13\\r\\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\\r\\n\\r\\nHello, World!"
)


def serve(listener, converse, options, stop):
    """Serve until the stop, and drop whoever is there."""

    def hold(client: socket.socket) -> None:
        with client:
            try:
                while client.recv(65536):
                    client.sendall(OK)
            except OSError:
                pass

    while stop.fileno() not in select.select([stop.fileno(), listener], [], [])[0]:
        client, _ = listener.accept()
        threading.Thread(target=hold, args=(client,), daemon=True).start()
'''


def copied(folder: Path) -> Path:
    """A copy of both rooms, with whatever is compiled already.

    numba keeps what it compiled in a folder named after the path of the source; under its new name it is found again.
    """
    for room in ("benchmarks", "servers"):
        shutil.copytree(ROOT / room, folder / room)
    source = folder / "benchmarks" / "load"
    for kept in source.glob(f"__pycache__/*/load_{hashlib.sha1(bytes(ROOT / 'benchmarks' / 'load')).hexdigest()}"):
        kept.rename(kept.with_name(f"load_{hashlib.sha1(bytes(source)).hexdigest()}"))
    return folder


def environment(folder: Path) -> dict[str, str]:
    """That of a command of the copy: it finds the copy's modules, and the cache of its engine rather than this process's."""
    found = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "140"}
    found.pop("NUMBA_CACHE_DIR", None)
    return found


def servebench(folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Run a command of the copy in it; its stdout and stderr. Fails the test when the exit status is another."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=180,
        env=environment(folder),
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr
