"""How a server learns that it shall stop, and the timetable of its end.

A signal handler may do very little, and threads, loops and forks all wait for descriptors anyway: so a signal writes a byte
into a pipe that nobody ever reads, and the pipe stays readable for everybody, for ever (D. J. Bernstein's self-pipe).

The byte is written by the interpreter's own handler in C (`signal.set_wakeup_fd`). Python's handlers run between bytecodes, so
one alone could come too late: after the last look at `requested`, before the system call that then waits for ever.
"""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from servers._options import Options


class Stop:
    """The request to stop. `requested` is for conversations, which say `Connection: close`; `fileno()` is for models.

    `then` is called in the signal handler, for a model that has nobody to wait for the descriptor.
    """

    def __init__(self) -> None:
        self.requested = False
        self._heard: set[int] = set()
        self.alone = True
        self.then: Callable[[], object] = lambda: None
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """A descriptor that becomes readable at the request and stays so: wait for it, never read it."""
        return self._reader

    def request(self, signum: int, _frame: FrameType | None = None) -> None:
        """The signal handler: the first signal asks for a graceful end, the second one ends the process at once."""
        if self.requested:
            os._exit(128 + signum)
        self.requested = True
        os.write(self._writer, b"!")
        self.then()

    def request_once(self, signum: int, frame: FrameType | None = None) -> None:
        """The handler of signals that may come several times for one stop: only a signal of another kind is a second one."""
        if signum not in self._heard:
            self._heard.add(signum)
            self.request(signum, frame)

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT. Only the main thread may call this, and no other signal may have a handler yet."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self.request)
        signal.signal(signal.SIGINT, self.request)

    def renew(self) -> None:
        """In a forked child: a request and a pipe of its own, so that stopping one worker does not stop them all."""
        os.close(self._reader)
        os.close(self._writer)
        self.requested, self.alone = False, False
        self._heard.clear()
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)


class Drain:
    """The timetable of a graceful end, counted from now.

    Until `release_at_s` open connections are served as ever, so that no request already on its way is lost; from then on
    those with nothing under way are released; at `end_at_s` the rest is cut. Both are times of `time.monotonic`.
    """

    def __init__(self, options: Options) -> None:
        now_s = time.monotonic()
        self.release_at_s = now_s + options.linger_s
        self.end_at_s = now_s + max(options.drain_s, options.linger_s)

    def releasing(self, now_s: float) -> bool:
        """Whether idle connections are to be released."""
        return now_s >= self.release_at_s
