"""A connection's life outside its requests: opened, set free and taken, put off, taken leave of, lost, used again.

Opening never waits: it ends as an event of epoll, or as an error right away. Sockets are registered once, edge-triggered for
both directions, so a connection costs one epoll_ctl in its life. One that fails pauses before it is opened again, so that a
server that is down costs no busy loop of refusals.
"""

from typing import Any

from benchmarks.load import libc
from benchmarks.load.libc import compiled, now
from benchmarks.load.state import (
    BUFFER_BYTES,
    CLOSED,
    CONNECT_FAILED,
    CONNECT_TIMEOUT,
    CONNECTING,
    L_CONNECTING,
    L_FAILED,
    MAX_EVENTS,
    PAUSED,
    READY,
    REFUSED,
    THINKING,
    blame,
    charge,
    count_stray,
    put_on_wire,
)

_PAUSE_NS = 10_000_000  # before a connection that failed is opened again
EAGAIN, EINPROGRESS, ECONNREFUSED, ETIMEDOUT = 11, 115, 111, 110


@compiled
def shut(c: Any) -> None:
    """Close the connection's socket, if it has one."""
    if c.fd >= 0:
        libc.close(c.fd)
        c.fd = -1


@compiled
def retire(e: Any, c: Any, retired: Any) -> None:
    """Take leave of a connection whose last response has come: the server, who said that it ends, shall close it first.

    Whoever closes first keeps the port in TIME_WAIT for a minute. A client that does so runs out of ports, and long before
    that the kernel spends its time looking for a free one.
    """
    if e.retired_count == len(retired):
        libc.close(c.fd)
    else:
        retired[e.retired_count] = c.fd
        e.retired_count += 1
    c.fd = -1


@compiled
def bury(e: Any, fd: int, retired: Any) -> None:
    """A retired connection's event: the server has closed it."""
    for i in range(e.retired_count):
        if retired[i] == fd:
            e.retired_count -= 1
            retired[i] = retired[e.retired_count]
            libc.close(fd)
            return


@compiled
def set_free(e: Any, k: int, connections: Any, ring: Any) -> None:
    """Append a connection to the ring of free ones (open loop). The ring's length is a power of two, at least twice theirs.

    An entry counts only as long as the connection says that it stands there: one that was closed in the ring and opened again
    has a new place at the end, so the first in the ring is always the one that has been free for the longest time.
    """
    if e.ring_count == len(ring):
        _close_ranks(e, connections, ring)
    place = e.ring_head + e.ring_count
    ring[place & (len(ring) - 1)] = k
    connections[k].ringed = place
    e.ring_count += 1


@compiled
def _close_ranks(e: Any, connections: Any, ring: Any) -> None:
    """Remove the entries that no longer count."""
    kept = 0
    for i in range(e.ring_count):
        k = ring[(e.ring_head + i) & (len(ring) - 1)]
        if connections[k].ringed == e.ring_head + i:
            ring[(e.ring_head + kept) & (len(ring) - 1)] = k
            connections[k].ringed = e.ring_head + kept
            kept += 1
    e.ring_count = kept


@compiled
def take_free(e: Any, connections: Any, ring: Any) -> int:
    """Take the connection that has been free for the longest time, or -1."""
    while e.ring_count > 0:
        place = e.ring_head
        k = ring[place & (len(ring) - 1)]
        e.ring_head += 1
        e.ring_count -= 1
        if connections[k].ringed == place:
            connections[k].ringed = 0
            return k  # type: ignore[no-any-return]
    return -1


@compiled
def renew(e: Any, connections: Any, buffer: Any) -> None:
    """Before a run: only connections that are free and silent go on. Those with a response still to come, or the end of stream
    already there, are closed, so that nothing of an earlier run is taken for an answer in this one."""
    for k in range(len(connections)):
        c = connections[k]
        free = c.fd >= 0 and (c.state == READY or c.state == THINKING)
        if free and libc.recv(c.fd, buffer.ctypes.data, 1, 0) < 0 and libc.errno() == EAGAIN:
            c.state = READY
            e.kept += 1
        else:
            shut(c)
            c.state = CLOSED
        c.ringed, c.owes, c.after = 0, 0, 0


@compiled
def _is_ended(c: Any, buffer: Any) -> bool:
    """Read what there is and drop it; whether the server has closed its end."""
    while True:
        count = libc.recv(c.fd, buffer.ctypes.data, BUFFER_BYTES, 0)
        if count <= 0:
            return count == 0 or libc.errno() != EAGAIN


@compiled
def hang_up(e: Any, connections: Any, retired: Any, buffer: Any, events: Any, pair: Any, deadline_ns: int) -> None:
    """Close every connection: send a FIN, and wait until the deadline for the server's own, which says that it has noticed."""
    left = 0
    for k in range(len(connections)):
        c = connections[k]
        if c.fd >= 0:
            libc.shutdown(c.fd, libc.SHUT_WR)
            left += 1
    for k in range(len(connections)):
        if connections[k].fd >= 0 and _is_ended(connections[k], buffer):
            shut(connections[k])
            left -= 1
    while left > 0 and now(pair) < deadline_ns:
        found = libc.epoll_wait(e.epoll, events.ctypes.data, MAX_EVENTS, 1)
        for i in range(found):
            c = connections[events[i * libc.EVENT_WORDS + libc.EVENT_DATA]]
            fd = events[i * libc.EVENT_WORDS + libc.EVENT_DATA + 1]
            if c.fd != fd:
                bury(e, fd, retired)
            elif _is_ended(c, buffer):
                shut(c)
                left -= 1
    for k in range(len(connections)):
        shut(connections[k])
        connections[k].state = CLOSED


@compiled
def put_off(e: Any, k: int, connections: Any, later: Any, delay_ns: int, state: int, t: int) -> None:
    """Let a connection rest. Pauses and think times are each of one length, and a run has one kind or short pauses."""
    connections[k].state = state
    connections[k].due_ns = t + delay_ns
    at = e.later_count
    # Kept in order of due time: almost always the new one is the last.
    while at > 0 and connections[later[(e.later_head + at - 1) % len(later)]].due_ns > t + delay_ns:
        later[(e.later_head + at) % len(later)] = later[(e.later_head + at - 1) % len(later)]
        at -= 1
    later[(e.later_head + at) % len(later)] = k
    e.later_count += 1


@compiled
def connect(e: Any, k: int, connections: Any, t: int) -> int:
    """Open a connection, without waiting: 0, or the errno of what failed at once."""
    c = connections[k]
    c.since_ns = t
    c.state = CONNECTING
    e.connecting += 1
    fd = libc.socket_(e.family, libc.SOCKET_TYPE, 0)
    if fd < 0:
        return libc.errno()
    c.fd = fd
    e.words[0] = 1
    libc.setsockopt(fd, libc.IPPROTO_TCP, libc.TCP_NODELAY, e.words_at, 4)
    if libc.connect(fd, e.address, e.address_bytes) != 0:
        error = libc.errno()
        if error != EINPROGRESS:
            return error
    e.words[0] = libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLRDHUP | libc.EPOLLET
    e.words[libc.EVENT_DATA] = k
    e.words[libc.EVENT_DATA + 1] = fd
    if libc.epoll_ctl(e.epoll, libc.EPOLL_CTL_ADD, fd, e.words_at) != 0:
        return libc.errno()
    return 0


@compiled
def connect_failed(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, number: int, t: int
) -> None:
    """A connection could not be opened: say why, and try again after a pause. The request it was for is lost with it."""
    c = connections[k]
    charge(e, c, L_CONNECTING, ledger, t)
    shut(c)
    e.connecting -= 1
    e.error_number = number
    kind = REFUSED if number == ECONNREFUSED else CONNECT_TIMEOUT if number == ETIMEDOUT else CONNECT_FAILED
    if c.owes:
        blame(e, c, kind, exchanges, errors, series, t)
    else:
        count_stray(e, kind, errors, series, t)
    c.owes = 0
    put_off(e, k, connections, later, _PAUSE_NS, PAUSED, t)


@compiled
def request_failed(
    e: Any, k: int, connections: Any, later: Any, ledger: Any, exchanges: Any, errors: Any, series: Any, kind: int, t: int
) -> None:
    """The request under way failed and takes its connection with it."""
    c = connections[k]
    charge(e, c, L_FAILED, ledger, t)
    shut(c)
    put_on_wire(e, -1, t)
    blame(e, c, kind, exchanges, errors, series, t)
    put_off(e, k, connections, later, _PAUSE_NS, PAUSED, t)
