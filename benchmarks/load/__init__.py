"""The load engine: Python compiled by numba over libc, stronger than the servers it measures.

Read it in this order: `libc` (the system calls), `recorder` (histograms), `reader` (responses, validated), `state` (what a
thread knows), `connections` (opened, put off, lost), `edges` (of the window, and what is due in it), `exchange` (a request and
its response), `background` (connections that are no part of the load), `loop` (closed and open loops over epoll), `targets`
(what a load is), `lanes` (a thread's share of it), `engine` (all threads), `outcome` (what they counted), `process` and
`remote` (the same in a pinned process of its own), `steadiness` (when warm-up is over), `command` (`servebench load`).

numba keeps compiled functions in files, but it does not notice when a function that another one calls has changed. So the
cache has a folder for each state of the sources that hold compiled functions: beside them, or where these are somebody else's
in the user's cache, or where there is none in a temporary folder.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

COMPILING = "compiling the load engine: once, about a minute"


def is_compiled() -> bool:
    """Whether there is compiled code for these sources."""
    return any(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbi"))


def _cache_folder() -> Path:
    """Where the compiled code for exactly these sources is kept: the first place of one's own that can be written to."""
    name = _name()
    places = list(_places())
    return next((place / name for place in places if _is_ours(place / name)), places[-1] / name)


def _places() -> Iterator[Path]:
    yield Path(__file__).parent / "__pycache__"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "servebench"
    yield Path(tempfile.gettempdir()) / f"servebench-{os.getuid()}"


def _is_ours(folder: Path) -> bool:
    """Whether files can be kept in it that nobody else could have put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = os.getuid()
        return os.access(folder, os.W_OK | os.X_OK) and folder.stat().st_uid == folder.parent.stat().st_uid == own
    except OSError:
        return False


def _name() -> str:
    """A name for exactly these sources."""
    here = Path(__file__).parent
    texts = [path.read_bytes() for path in [*sorted(here.glob("*.py")), here.parent / "histogram.py"]]
    compiled, buckets = [text for text in texts[:-1] if b"\n@compiled" in text], texts[-1]
    digest = hashlib.sha256(b"".join([*compiled, buckets])).hexdigest()[:16]
    return f"compiled-{digest}"


os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_folder()))
