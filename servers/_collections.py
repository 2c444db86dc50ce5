"""Garbage collections, counted where somebody else can read them: `FOLDER/<pid>`, a little file of each process.

A collection stops all threads of its process, and no load generator sees whose fault that was. So each process of the server
keeps an account, forked ones from their birth on. It is written in place, in shared memory: no system call, and whoever looks
reads it at any time, after the process's death, too. The file has 40 bytes, struct format "=5Q", native byte order:

    offset  0   collections of generation 0
            8   of generation 1
           16   of generation 2
           24   nanoseconds that all of them took
           32   nanoseconds that the longest took

Each number is written at once; one collection changes three of them, one after the other.
"""

import errno
import gc
import mmap
import os
import sys
import time

FORMAT = "=5Q"
SIZE_BYTES = 40
TOTAL, LONGEST = 3, 4  # places, behind those of the generations


class Account:
    """The account of this process, and of those that will be forked from it: each begins its own."""

    def __init__(self, folder: str) -> None:
        """Begin to count. Raises OSError when no file can be made in the folder, or the interpreter tells of no collections."""
        if not hasattr(gc, "callbacks"):
            raise OSError(errno.ENOTSUP, f"{sys.implementation.name} does not tell of its collections")
        self._folder = folder
        self._began_ns = 0
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        gc.callbacks.append(self._note)

    def _begin(self) -> None:
        with open(os.path.join(self._folder, str(os.getpid())), "w+b") as file:
            file.truncate(SIZE_BYTES)
            self._numbers = memoryview(mmap.mmap(file.fileno(), SIZE_BYTES)).cast("Q")

    def _note(self, phase: str, about: dict[str, int]) -> None:
        """Called by the collector; it holds the GIL from one call to the other, but for finalizers that let go of it."""
        if phase == "start":
            self._began_ns = time.monotonic_ns()
            return
        took_ns = time.monotonic_ns() - self._began_ns
        numbers = self._numbers
        numbers[about["generation"]] += 1
        numbers[TOTAL] += took_ns
        if took_ns > numbers[LONGEST]:
            numbers[LONGEST] = took_ns
