"""A command that is badly used, called in this process: starting an interpreter for each would take longer than all else."""

import signal

import pytest

from benchmarks import cli


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says on stderr. Fails the test unless its exit status is that of bad use."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        status: object = cli.main(arguments)
    except SystemExit as end:  # argparse's way
        status = end.code
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr()
    assert status == 2, said.out + said.err
    return said.err
