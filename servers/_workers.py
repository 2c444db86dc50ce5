"""Processes that do the same work: hired by a parent that serves nobody, replaced when they die, dismissed at the stop.

Each worker has a seat. When it dies, whoever killed it, the seat is taken again at once. But a worker that dies at birth would
do so again, and a parent that forks as fast as it can is worse than none: then the seat stays empty for a while, twice as long
each time. Only that seat: the parent never sleeps, it waits for deaths, the stop and the next hire together (pidfd_open(2)).

Workers that die by an exception leave their last words in a pipe, and the parent says them once for all. They do not outlive
the parent (`_forking.py`).
"""

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from servers._forking import fork
from servers._options import Options
from servers._stopping import Drain, Stop

CHILDHOOD_S = 1.0  # who dies before has died at birth
PAUSE_S, PAUSE_MOST_S = 0.05, 3.0  # until the next hire, after the first death at birth and after many
MANY = 3  # deaths at birth in a row, on one seat: time to say so
SILENCE_S = 60.0  # between two words on the same matter
WORDS_BYTES = 4000  # fewer than PIPE_BUF: written as a whole, or not at all (pipe(7))


def share(whole: int, parts: int, number: int) -> int:
    """What one of several workers gets of a limit, from number 0 on: all of them together get the whole."""
    return whole // parts + (number < whole % parts)


@dataclass(slots=True)
class Seat:
    """A place for one worker."""

    number: int
    pid: int = 0  # of its worker; 0: it is empty
    process: int = -1  # a descriptor of the same, readable at its death
    taken_at_s: float = 0.0
    empty_until_s: float = 0.0
    deaths_at_birth: int = 0  # in a row
    pause_s: float = 0.0  # after the last of them


class Workers:
    """`count` processes, each of which calls `work(number)`, from 0 on: a successor gets the number of its predecessor.

    The stop is passed on as a SIGTERM to each, which finds `stop` requested in its own process; then `work` shall return.
    """

    def __init__(self, work: Callable[[int], object], count: int, stop: Stop) -> None:
        self._work, self._stop = work, stop
        self._seats = [Seat(number) for number in range(count)]
        self._ear, self._mouth = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._silent_until_s: dict[str, float] = {}

    def keep(self) -> None:
        """Keep all seats taken until the stop, and pass it on."""
        while True:
            for seat in self._seats:
                if not seat.pid and time.monotonic() >= seat.empty_until_s:
                    self._hire(seat)
            if self._stop.requested:  # looked at with all hands on board: somebody has to serve those who are queued already
                break
            hire_at_s = min((seat.empty_until_s for seat in self._seats if not seat.pid), default=None)
            for seat in self._dead(None if hire_at_s is None else max(0.0, hire_at_s - time.monotonic()), self._stop):
                self._judge(seat, self._bury(seat))
        for seat in self._taken():
            os.kill(seat.pid, signal.SIGTERM)

    def dismiss(self, options: Options) -> None:
        """After the stop: wait for the workers to drain, and end those that take too long."""
        timetable = Drain(options)
        while self._taken() and (left_s := timetable.end_at_s - time.monotonic()) > 0:
            for seat in self._dead(left_s):
                self._bury(seat)
        for seat in self._taken():
            os.kill(seat.pid, signal.SIGKILL)
            self._bury(seat)

    # ------------------------------------------------------------ birth

    def _hire(self, seat: Seat) -> None:
        """Fork, if there are processes and descriptors to be had."""
        seat.taken_at_s = time.monotonic()
        try:
            seat.pid = fork(lambda: self._live(seat), self._stop)
            seat.process = os.pidfd_open(seat.pid)
        except OSError as failure:
            if seat.pid:
                os.kill(seat.pid, signal.SIGKILL)
                os.waitpid(seat.pid, 0)
                seat.pid = 0
            self._judge(seat, f"not even to be started ({failure.strerror})")

    def _live(self, seat: Seat) -> None:
        """The life of a worker, in its own process."""
        try:
            for other in self._taken():
                os.close(other.process)
            self._work(seat.number)
        except BaseException as failure:
            words = "".join(traceback.format_exception(failure)).encode()
            os.write(self._mouth, words[-WORDS_BYTES:] + b"\0")
            os._exit(1)

    # ------------------------------------------------------------ death

    def _taken(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.pid]

    def _dead(self, timeout_s: float | None, stop: Stop | None = None) -> list[Seat]:
        """Wait until workers die, the time is up or the stop is requested; returns the seats of the dead."""
        waiting = select.poll()
        for descriptor in (*(seat.process for seat in self._taken()), *((stop.fileno(),) if stop else ())):
            waiting.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll(None if timeout_s is None else timeout_s * 1000)}
        return [seat for seat in self._taken() if seat.process in ready]

    def _bury(self, seat: Seat) -> str:
        """Take note of a dead worker, so that the kernel may forget it; returns what became of it."""
        _, status = os.waitpid(seat.pid, 0)
        os.close(seat.process)
        seat.pid, seat.process = 0, -1
        code = os.waitstatus_to_exitcode(status)
        return f"killed by signal {-code}" if code < 0 else f"ended with status {code}"

    def _judge(self, seat: Seat, fate: str) -> None:
        """Decide when the seat is to be taken again, and whether that is worth a word."""
        now_s = time.monotonic()
        if words := self._last_words():
            self._say("words", words)
        if now_s - seat.taken_at_s >= CHILDHOOD_S:
            seat.deaths_at_birth, seat.pause_s = 0, 0.0
            return
        seat.deaths_at_birth += 1
        seat.pause_s = min(max(PAUSE_S, 2 * seat.pause_s), PAUSE_MOST_S)
        seat.empty_until_s = now_s + seat.pause_s
        if seat.deaths_at_birth >= MANY:
            self._say(
                "deaths",
                f"servers: workers die at birth, {seat.deaths_at_birth} in a row on seat {seat.number} (the last one {fate}): "
                f"clients may wait in vain. Others are tried every {PAUSE_MOST_S:g} s at most; what ends them is said above "
                "or in the kernel's log: mend that, and start the server again.\n",
            )

    def _say(self, matter: str, words: str) -> None:
        """On stderr; but workers that keep dying have the same to say each time."""
        now_s = time.monotonic()
        if now_s >= self._silent_until_s.get(matter, 0.0):
            self._silent_until_s[matter] = now_s + SILENCE_S
            sys.stderr.write(words)
            sys.stderr.flush()

    def _last_words(self) -> str:
        """What the dead have left, the first of them only."""
        try:
            return os.read(self._ear, 1 << 16).partition(b"\0")[0].decode(errors="replace")
        except BlockingIOError:
            return ""
