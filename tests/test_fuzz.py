"""The fuzz target for a few seconds: nothing new is expected to be found, but it must go on working (see fuzzing.py)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 3


def test_a_few_seconds_of_fuzzing_find_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed: pip install 'servebench[fuzz]' (CPython 3.11)")
    target = Path(__file__).with_name("fuzzing.py")
    done = subprocess.run(
        [sys.executable, str(target), str(SECONDS)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=SECONDS + 120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    units = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert units is not None
    assert int(units[1]) > 300  # more than the seeds alone
