"""Two workers share the tests (`make test`): one takes those that drive real servers, the other all that only compute.

Servers and load have cores of their own, so live tests keep out of each other's way by being on one worker.
"""

from pathlib import Path

import pytest

LIVE = (
    "check",
    "clients",
    "conformance",
    "doctor",
    "faults",
    "launch",
    "load",
    "load_facts",
    "load_process",
    "model_faults",
    "models",
    "new",
    "peers",
    "proxies",
    "resume",
    "run",
    "seeds",
    "selfbench",
    "system_calls",
    "visit",
    "workers",
)


def pytest_itemcollected(item):
    name = Path(item.path).stem.removeprefix("test_")
    item.add_marker(pytest.mark.xdist_group("live" if name in LIVE else name))
