"""A child process that does one thing and ends: with a stop of its own, and not for long without its parent.

After fork(2) both go on in the same code, with the same open descriptors and the same handlers of signals. So signals wait
until the child has a request of its own to note them in; Ctrl-C, which reaches the whole group, is left to the parent, which
passes it on; and the child never returns into the parent's code. A SIGTERM to a whole group (`timeout`, systemd) reaches the
child twice, by itself and through its parent: that is one stop. Should the parent die, as it does at a second stop, the kernel
tells the child (PR_SET_PDEATHSIG, prctl(2)), and it stops, at once if it was stopping. It is told by a signal of its own: a
second SIGTERM would merge with a first one that the child has not handled yet (signal(7)).
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from servers._stopping import Stop

PARENT_DIED = signal.SIGUSR2
SIGNALS = (signal.SIGTERM, signal.SIGINT, PARENT_DIED)
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def fork(live: Callable[[], object], stop: Stop) -> int:
    """A child that calls `live` and ends with 0, or with 1 if that raises; returns its number.

    A SIGTERM requests `stop` in its process, and so does the parent's death; then `live` shall return. Raises OSError when no
    more processes are to be had.
    """
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _live(live, stop, parent)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _live(live: Callable[[], object], stop: Stop, parent: int) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGTERM, stop.request_once)
        signal.signal(PARENT_DIED, stop.request_once)
        _LIBC.prctl(PR_SET_PDEATHSIG, PARENT_DIED)
        if os.getppid() != parent:  # it died in between
            os._exit(0)
        stop.renew()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        live()
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)
