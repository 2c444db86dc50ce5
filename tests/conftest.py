"""Three workers share the tests (`make test`): one takes those that measure, the others those that ask servers or compute.

Server and load of a measurement have a core each, so such tests keep out of each other's way by being on one worker. Those that
only ask what servers do mostly wait for them, and time nothing; they are parted by the model that they ask.
"""

import signal
import zlib
from pathlib import Path

import pytest

MEASURING = (
    "advise", "check", "doctor", "elsewhere", "faults", "gate", "load", "load_arrivals", "load_background", "load_command",
    "load_exchanges", "load_facts", "load_probes", "load_process", "load_windows", "new", "replicate", "resume", "run",
    "selfbench",
)  # fmt: skip
SERVING = (
    "clients", "conformance", "durability", "items", "launch", "model_faults", "models", "peers", "proxies", "seeds",
    "system_calls", "workers",
)  # fmt: skip
ASKED = ("model", "server", "steps")  # parameters that are a model's name
ASKERS = 2


def pytest_configure():
    """Tests interrupt what they start. A shell's background jobs ignore that, and so would all that is started by one."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item):
    name = Path(item.path).stem.removeprefix("test_")
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if name in MEASURING:
        group = "measuring"
    elif name in SERVING:
        asked = next((params[key] for key in ASKED if key in params), name)
        group = f"serving {zlib.crc32(str(asked).encode()) % ASKERS}"
    else:
        group = f"{name} {params['chart'].name}" if "chart" in params else name
    item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def unexamined(monkeypatch):
    """Lets runs of this process believe that all models keep the rules: holding them to these takes longer than a tiny run."""
    from benchmarks.conformance import suite
    from benchmarks.conformance.rule import Report

    monkeypatch.setattr(suite, "examine", lambda subject, *_, **__: Report(subject.name, [], [], 0.0))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Groups that are not heeded would go unnoticed: all would pass, slowly, and sometimes not."""
    if getattr(config.option, "loadgroup", False):
        assert all("@" in item.nodeid for item in items), "pytest and pytest-xdist don't agree about groups"
