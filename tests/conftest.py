"""Three workers share the tests (`make test`): one takes those that measure, one those that ask servers, one all that compute.

Server and load of a measurement have a core each, so such tests keep out of each other's way by being on one worker. Those that
only ask what servers do mostly wait for them, and time nothing.
"""

from pathlib import Path

import pytest

MEASURING = (
    "check", "doctor", "faults", "launch", "load", "load_facts", "load_process", "new", "resume", "run", "selfbench", "visit",
)  # fmt: skip
SERVING = (
    "clients", "conformance", "model_faults", "models", "peers", "proxies", "seeds", "system_calls", "workers",
)  # fmt: skip


def pytest_itemcollected(item):
    name = Path(item.path).stem.removeprefix("test_")
    group = "measuring" if name in MEASURING else "serving" if name in SERVING else name
    item.add_marker(pytest.mark.xdist_group(group))
