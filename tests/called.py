"""Commands called in this process, as the command line calls them: starting an interpreter for each would take longer."""

import signal
from dataclasses import dataclass

import pytest

from benchmarks import cli

BAD_USE = 2


@dataclass(frozen=True)
class Called:
    """What came of it."""

    status: object
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it, on one line."""
        return " ".join((self.out + self.err).split())


def call(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Called:
    """Run a command. Fails the test when the exit status is another."""
    before = signal.getsignal(signal.SIGTERM)
    capsys.readouterr()
    try:
        found: object = cli.main(arguments)
    except SystemExit as end:  # argparse's way
        found = end.code
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr()
    assert found == status, said.out + said.err
    assert "Traceback" not in said.err
    return Called(found, said.out, said.err)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that is badly used says on stderr."""
    return call(capsys, *arguments, status=BAD_USE).err
