"""Many clients at once: all connect, all say the same, and what becomes of each is known.

One poller and no threads: five thousand connections cost the examiner a second, and none of its calls waits for longer than it
was told to. What is said must fit into a socket's buffer, a request does.
"""

import collections
import errno
import re
import resource
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Literal

from benchmarks.conformance.rule import Unfit

# of a client: on its way, connected, has its answer; the server ended or reset the connection before that, or let nobody in
Fate = Literal["connecting", "waiting", "answered", "ended", "reset", "refused"]

DESCRIPTORS_RESERVED = 200  # of this process: for everything but crowds
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


def room_for(wanted: int) -> int:
    """How many of the wanted clients this process can be, its limit of descriptors raised as far as it may.

    Raises Unfit when that is not even a tenth of them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, wanted + DESCRIPTORS_RESERVED)
    if soft < min(hard, wanted + DESCRIPTORS_RESERVED):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = min(wanted, hard - DESCRIPTORS_RESERVED)
    if room < wanted / 10:
        raise Unfit(f"{wanted} clients need as many descriptors, and this process may open {hard} (ulimit -n)")
    return room


class Member:
    """One of them. `heard` is the answer so far, the last one if there were several."""

    __slots__ = ("fate", "heard", "open", "socket", "unsaid")

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.fate: Fate = "connecting"
        self.open = True  # the server has not ended the connection
        self.heard = bytearray()
        self.unsaid = b""

    @property
    def status(self) -> int:
        """Of its answer; 0 without one."""
        line = bytes(self.heard[:12])
        return int(line[9:12]) if self.fate == "answered" and line[9:12].isdigit() else 0


class Crowd:
    """Clients of the server at this port of 127.0.0.1, all connecting from the start; at the end of the block they leave."""

    def __init__(self, port: int, size: int) -> None:
        self.members = []
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Member] = {}
        try:
            for _ in range(size):
                member = Member()
                self.members.append(member)
                self._by_descriptor[member.socket.fileno()] = member
                failed = member.socket.connect_ex(("127.0.0.1", port))
                self._poll.register(member.socket, select.EPOLLIN | select.EPOLLOUT)
                if failed not in (0, errno.EINPROGRESS):
                    self._end(member, "refused")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ what they do

    def join(self, within_s: float) -> collections.Counter[Fate]:
        """Wait until all are connected, or have been refused."""
        return self._until(lambda member: member.fate != "connecting", within_s)

    def say(self, data: bytes) -> None:
        """Each one sends this: those still on their way as soon as they are connected."""
        for member in self.members:
            if not member.open:
                continue
            member.heard.clear()
            if member.fate == "connecting":
                member.unsaid += data
            else:
                member.fate = "waiting"
                self._send(member, data)

    def hear(self, within_s: float) -> collections.Counter[Fate]:
        """Wait until each one has a whole answer, or never will have."""
        return self._until(lambda member: member.fate not in ("connecting", "waiting"), within_s)

    def see_off(self, within_s: float) -> int:
        """Wait until the server has ended all connections; how many it has not."""
        self._until(lambda member: not member.open, within_s)
        return sum(member.open for member in self.members)

    def close(self) -> None:
        """Leave."""
        self._poll.close()
        for member in self.members:
            member.socket.close()

    def reset(self) -> None:
        """Leave with RST."""
        for member in self.members:
            member.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # ------------------------------------------------------------ what becomes of them

    def fates(self) -> collections.Counter[Fate]:
        """How many have met with what."""
        return collections.Counter(member.fate for member in self.members)

    def statuses(self) -> collections.Counter[int]:
        """Of the answers, how many had which status."""
        return collections.Counter(member.status for member in self.members if member.fate == "answered")

    def _until(self, done: Callable[[Member], bool], within_s: float) -> collections.Counter[Fate]:
        ends_s = time.monotonic() + within_s
        left = {descriptor for descriptor, member in self._by_descriptor.items() if not done(member)}
        looked = False  # at least once, however short the time
        while left and ((patience_s := ends_s - time.monotonic()) > 0 or not looked):
            looked = True
            for descriptor, bits in self._poll.poll(max(0.0, patience_s), len(self.members)):
                member = self._by_descriptor[descriptor]
                if member.fate == "connecting":
                    self._connect(member)
                if bits & ~select.EPOLLOUT and member.open:
                    self._receive(member)
                if done(member):
                    left.discard(descriptor)
        return self.fates()

    def _connect(self, member: Member) -> None:
        if member.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._end(member, "refused")
            return
        self._poll.modify(member.socket, select.EPOLLIN)
        member.fate = "waiting"
        if member.unsaid:
            self._send(member, member.unsaid)

    def _send(self, member: Member, data: bytes) -> None:
        try:
            assert member.socket.send(data) == len(data), "more was said than fits"
        except OSError:
            pass  # what has become of the connection is received

    def _receive(self, member: Member) -> None:
        try:
            data = member.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            self._end(member, "reset")
            return
        member.heard += data
        if not data:
            self._end(member, "answered" if _until_the_end(member.heard) else "ended")
        elif member.fate == "waiting" and _whole(member.heard):
            member.fate = "answered"

    def _end(self, member: Member, fate: Fate) -> None:
        """The connection is over; what has been answered before stays so."""
        self._poll.unregister(member.socket)
        member.open = False
        if member.fate != "answered":
            member.fate = fate


def _whole(heard: bytes | bytearray) -> bool:
    """Whether this is a whole response that says its length (RFC 9112, 6.3)."""
    end = heard.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = heard[: end + 2]
    if length := _LENGTH.search(head):
        return len(heard) >= end + 4 + int(length[1])
    return bool(_CHUNKED.search(head)) and heard.endswith(b"0\r\n\r\n")


def _until_the_end(heard: bytes | bytearray) -> bool:
    """Whether this is a whole response, now that the stream has ended: one that gives no length goes to here."""
    end = heard.find(b"\r\n\r\n")
    return end >= 0 and (_whole(heard) or not (_LENGTH.search(heard[: end + 2]) or _CHUNKED.search(heard[: end + 2])))
