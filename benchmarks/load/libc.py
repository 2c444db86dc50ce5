"""The system calls of the load engine, called by name from compiled code.

numba resolves an ExternalFunction by its symbol in the running process, so libc needs no loading and compiled code stays
cacheable (a ctypes pointer would not). Only functions with a fixed number of arguments are here: calling a variadic one
(fcntl, ioctl) this way is undefined on arm64.
"""

import platform
import socket
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.types import ExternalFunction
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of the engine: without the global lock, kept in the cache, and without numba's reference counts.

    Arrays given to a compiled function are counted atomically at every call it makes: 9% of the engine's profile went there.
    All arrays belong to Python and outlive the call, so nothing need be counted; in return, no array can be made in there.
    """
    return cast(Function, njit(nogil=True, cache=True, _nrt=False)(function))


i32, isize, usize = types.int32, types.intp, types.uintp

socket_: Any = ExternalFunction("socket", i32(i32, i32, i32))
setsockopt: Any = ExternalFunction("setsockopt", i32(i32, i32, i32, usize, i32))
getsockopt: Any = ExternalFunction("getsockopt", i32(i32, i32, i32, usize, usize))
connect: Any = ExternalFunction("connect", i32(i32, usize, i32))
send: Any = ExternalFunction("send", isize(i32, usize, usize, i32))
recv: Any = ExternalFunction("recv", isize(i32, usize, usize, i32))
close: Any = ExternalFunction("close", i32(i32))
shutdown: Any = ExternalFunction("shutdown", i32(i32, i32))
epoll_ctl: Any = ExternalFunction("epoll_ctl", i32(i32, i32, i32, usize))
epoll_wait: Any = ExternalFunction("epoll_wait", i32(i32, usize, i32, i32))
clock_gettime: Any = ExternalFunction("clock_gettime", i32(i32, usize))
getrusage: Any = ExternalFunction("getrusage", i32(i32, usize))
memcmp: Any = ExternalFunction("memcmp", i32(usize, usize, usize))
memcpy: Any = ExternalFunction("memcpy", usize(usize, usize, usize))
_errno_location: Any = ExternalFunction("__errno_location", usize())

# struct epoll_event is packed on x86-64 and naturally aligned elsewhere: 3 or 4 words, the data's low word at 1 or 2.
EVENT_WORDS = 3 if platform.machine() == "x86_64" else 4
EVENT_DATA = 1 if platform.machine() == "x86_64" else 2

EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLET = 0x1, 0x4, 0x8, 0x10, 0x2000, -0x80000000
EPOLL_CTL_ADD = 1
MSG_NOSIGNAL, MSG_PEEK = int(socket.MSG_NOSIGNAL), int(socket.MSG_PEEK)
SOCKET_TYPE = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
IPPROTO_TCP, TCP_NODELAY = int(socket.IPPROTO_TCP), int(socket.TCP_NODELAY)
SOL_SOCKET, SO_ERROR, SO_RCVBUF = int(socket.SOL_SOCKET), int(socket.SO_ERROR), int(socket.SO_RCVBUF)
CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME = 1, 3
SHUT_WR = int(socket.SHUT_WR)
RUSAGE_THREAD = 1
RUSAGE_WORDS, RUSAGE_FAULTS, RUSAGE_VOLUNTARY, RUSAGE_INVOLUNTARY = 18, 8, 16, 17  # of struct rusage, in longs


@intrinsic  # type: ignore[untyped-decorator]
def _load_i32(typing_context: Any, address: Any) -> Any:
    """The 32-bit integer at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(32).as_pointer()))

    return types.int32(types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_acquire(typing_context: Any, array: Any, index: Any) -> Any:
    """An element of an int64 array, read so that what another core stored before it is seen too."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_element(context, builder, signature, arguments), "acquire", 8)

    return types.int64(array, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_release(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Store into an int64 array so that another core that reads it sees all that came before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _element(context, builder, signature, arguments)
        word = context.cast(builder, arguments[2], signature.args[2], types.int64)
        builder.store_atomic(word, place, "release", 8)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


def _element(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The pointer to an array's element, for the two functions above."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return cgutils.get_item_pointer(context, builder, signature.args[0], array, [index], wraparound=False)


@intrinsic  # type: ignore[untyped-decorator]
def leading_zeros(typing_context: Any, value: Any) -> Any:
    """How many of the 64 bits are zero above the highest one that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@compiled
def errno() -> int:
    """The error of the last system call of this thread."""
    return _load_i32(_errno_location())  # type: ignore[no-any-return]


@compiled
def read_clock(clock: int, pair: Any) -> int:
    """A clock in ns. `pair` is a scratch array of two int64; 0 for a clock that is gone, such as a dead process's."""
    if clock_gettime(clock, pair.ctypes.data) != 0:
        return 0
    return pair[0] * 1_000_000_000 + pair[1]  # type: ignore[no-any-return]


@compiled
def now(pair: Any) -> int:
    """CLOCK_MONOTONIC in ns, read in user space by the vDSO."""
    clock_gettime(CLOCK_MONOTONIC, pair.ctypes.data)
    return pair[0] * 1_000_000_000 + pair[1]  # type: ignore[no-any-return]


def process_clocks(pid: int) -> tuple[int, int, int]:
    """The ids of a process's CPU clocks: the exact total, and the tick-sampled user time and total (user plus system).

    The total is the scheduler's, in ns; the split is sampled at each timer tick, so the user part is total × user / sampled.
    Source: MAKE_PROCESS_CPUCLOCK in include/linux/posix-timers.h; clock_getcpuclockid(3).
    """
    profiling, virtual, scheduler = 0, 1, 2
    base = ~pid << 3
    return base | scheduler, base | virtual, base | profiling


def socket_address(host: str, port: int) -> tuple[int, np.ndarray[Any, np.dtype[np.uint8]]]:
    """The address family and the bytes of struct sockaddr for a numeric IPv4 or IPv6 host. Raises OSError for any other."""
    if ":" in host:
        packed = (
            socket.AF_INET6.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes(4) + socket.inet_pton(socket.AF_INET6, host)
        )
        return int(socket.AF_INET6), np.frombuffer(packed + bytes(4), np.uint8).copy()
    packed = socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, host) + bytes(8)
    return int(socket.AF_INET), np.frombuffer(packed, np.uint8).copy()
