"""Workers that die as they are told: `python tests/working.py CASE`, ready line and signals as ever.

There are three, and each says on stdout that it is born and on which seat.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable

from servers._options import Options
from servers._stopping import Stop
from servers._workers import Workers

COUNT = 3
TROUBLES = 5  # until the worker of `recovers` has none
TROUBLE_OUT, TROUBLE_IN = os.pipe2(os.O_NONBLOCK)


def live(_seat: int) -> None:
    """Wait for the stop."""
    waiting = select.poll()
    waiting.register(stop.fileno(), select.POLLIN)
    waiting.poll()


def raises(_seat: int) -> None:
    raise RuntimeError("no such upstream")


def is_killed(_seat: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leaves(_seat: int) -> None:
    """Return at once, as if the stop were requested."""


def first_raises(seat: int) -> None:
    (live if seat else raises)(seat)


def recovers(seat: int) -> None:
    try:
        os.read(TROUBLE_OUT, 1)
    except BlockingIOError:
        live(seat)
    raise RuntimeError("in trouble")


def never_stops(_seat: int) -> None:
    while True:
        select.select([], [], [])


def main(case: str) -> None:
    work: Callable[[int], None] = globals()[case]

    def born(seat: int) -> None:
        os.write(1, b"%d\n" % seat)
        work(seat)

    os.write(TROUBLE_IN, bytes(TROUBLES))
    stop.install()
    print(json.dumps({"port": 0, "pid": os.getpid(), "model": case, "max_connections": COUNT}), flush=True)
    workers = Workers(born, COUNT, stop)
    workers.keep()
    workers.dismiss(Options(linger_s=0.2, drain_s=0.5))
    os._exit(0)


if __name__ == "__main__":
    stop = Stop()
    main(*sys.argv[1:])
