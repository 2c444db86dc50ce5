"""The load engine: Python compiled by numba over libc, stronger than the servers it measures.

Read it in this order: `libc` (the system calls), `recorder` (histograms), `reader` (responses, validated), `state` (what a
thread knows), `connections` (opened, put off, lost), `edges` (of the window, and what is due in it), `exchange` (a request and
its response), `background` (connections that are no part of the load), `loop` (closed and open loops over epoll), `targets`
(what a load is), `lanes` (a thread's share of it), `engine` (all threads), `outcome` (what they counted), `process` and
`remote` (the same in a pinned process of its own), `steadiness` (when warm-up is over), `command` (`servebench load`).

numba keeps compiled functions in files, but it does not notice when a function that another one calls has changed. So the
cache has a folder for each state of the sources that hold compiled functions.
"""

import hashlib
import os
from pathlib import Path


def _cache_folder() -> Path:
    """Where the compiled code for exactly these sources is kept."""
    here = Path(__file__).parent
    texts = [path.read_bytes() for path in [*sorted(here.glob("*.py")), here.parent / "histogram.py"]]
    compiled, buckets = [text for text in texts[:-1] if b"\n@compiled" in text], texts[-1]
    digest = hashlib.sha256(b"".join([*compiled, buckets])).hexdigest()[:16]
    return here / "__pycache__" / f"compiled-{digest}"


os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_folder()))
