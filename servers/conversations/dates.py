"""The last lines of every response head: Date, and Connection where it has something to say.

Formatting a date costs several microseconds, so it is done once a second and shared by all conversations of a process.
"""

import time
from collections.abc import Callable
from email.utils import formatdate


class LastLines:
    """Date and Connection, ready to send, good until `stale_at` on the caller's monotonic clock.

    `clock` is the wall clock, in seconds since 1970. Threads may refresh at the same moment: each then writes the same lines.
    """

    __slots__ = ("_clock", "close", "keep_alive", "plain", "stale_at")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.stale_at = float("-inf")
        self.plain = self.keep_alive = self.close = b""

    def refresh(self, now_s: float) -> None:
        """Write the lines anew; `now_s` is the time on the clock that `stale_at` is compared with."""
        wall_s = self._clock()
        date = f"Date: {formatdate(wall_s, usegmt=True)}\r\n".encode("ascii")
        self.plain = date + b"\r\n"
        self.keep_alive = date + b"Connection: keep-alive\r\n\r\n"  # HTTP/1.0 clients want to be told
        self.close = date + b"Connection: close\r\n\r\n"
        self.stale_at = now_s + 1 - wall_s % 1
