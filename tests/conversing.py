"""A server of test conversations: `python tests/conversing.py MODEL CONVERSATION [PORT]`, ready line and signals as ever.

`steps` takes commands, a line each, and asks for the step that the command names; `relay` passes bytes on to PORT, both ways.
What two connections need to meet (an eventfd, pipes) is made before the model may fork.
"""

import importlib
import json
import os
import socket
import sys
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from servers._listening import open_listener, raise_descriptor_limit
from servers._options import Options
from servers._steps import CLIENT, Conversation, Offer, Offload, Receive, Send, Step, Wait
from servers._stopping import Stop

BELL = os.eventfd(0, os.EFD_NONBLOCK)
GATE_OUT, GATE_IN = os.pipe()  # reading it blocks
CLOSED_OUT, CLOSED_IN = os.pipe()
PIECE = bytes(65536)

Command = Generator[Step, Any, bytes]


def steps() -> Conversation:
    try:
        while lines := (yield Receive(30.0)):
            for line in lines.splitlines():
                word, _, argument = line.partition(b" ")
                answer = yield from COMMANDS[word](argument)
                yield Send(answer + b"\n")
    finally:
        os.write(CLOSED_IN, b"x")


def echo(argument: bytes) -> Command:
    yield from ()
    return argument


def wait(seconds: bytes) -> Command:
    ready = yield Wait(timeout_s=float(seconds))
    return b"%r" % (ready,)


def wait_for_bell(_: bytes) -> Command:
    readable, writable = yield Wait(readable=(BELL,), timeout_s=30.0)
    os.eventfd_read(BELL)
    return b"%r" % ((readable == [BELL], list(writable)),)


def ring(_: bytes) -> Command:
    yield from ()
    os.eventfd_write(BELL, 1)
    return b"rung"


def wait_for_bell_or_client(_: bytes) -> Command:
    readable, _writable = yield Wait(readable=(CLIENT, BELL), timeout_s=30.0)
    if CLIENT not in readable:
        os.eventfd_read(BELL)
        return b"bell"
    return b"client said %r" % (yield Receive(30.0))


def wait_for_early_client(_: bytes) -> Command:
    """Whatever comes during the first wait must be readable in the second one, and there to be received."""
    yield Send(b"say something\n")
    yield Wait(readable=(BELL,), timeout_s=30.0)
    os.eventfd_read(BELL)
    readable, _writable = yield Wait(readable=(CLIENT,), timeout_s=30.0)
    return b"%r then %r" % (readable == [CLIENT], (yield Receive(30.0)))


def poll(_: bytes) -> Command:
    """A Wait with no time at all still has to look."""
    os.eventfd_write(BELL, 1)
    readable, _writable = yield Wait(readable=(BELL,), timeout_s=0.0)
    os.eventfd_read(BELL)
    nothing = yield Wait(readable=(BELL,), timeout_s=0.0)
    return b"%r %r" % (readable == [BELL], [list(each) for each in nothing])


def time_out(_: bytes) -> Command:
    try:
        yield Receive(0.2)
    except TimeoutError:
        return b"timed out"
    return b"received"


def offload(_: bytes) -> Command:
    """Blocks until another connection opens the gate."""
    return (yield Offload(partial(os.read, GATE_OUT, 4)))


def open_gate(_: bytes) -> Command:
    yield from ()
    os.write(GATE_IN, b"open")
    return b"opened"


def offload_failure(_: bytes) -> Command:
    try:
        yield Offload(partial(int, "x"))
    except ValueError as failure:
        return b"caught " + str(failure).encode()
    return b"nothing"


def offer_all(_: bytes) -> Command:
    """Fill the connection, wait until there is room, and tell how much went before."""
    accepted = 0
    while (took := (yield Offer(PIECE))) > 0:
        accepted += took
    _readable, writable = yield Wait(writable=(CLIENT,), timeout_s=30.0)
    return b"\n%d bytes, then %r" % (accepted, writable == [CLIENT])


def wrong_step(_: bytes) -> Command:
    try:
        yield 42  # type: ignore[misc]
    except TypeError as failure:
        return str(failure).encode()
    return b"nothing"


def bug(_: bytes) -> Command:
    yield from ()
    raise ZeroDivisionError("a bug in a conversation")


COMMANDS: dict[bytes, Callable[[bytes], Command]] = {
    name.encode(): command
    for name, command in list(globals().items())
    if callable(command) and getattr(command, "__annotations__", {}).get("return") is Command
}


def relay(port: int) -> Conversation:
    """Both ways, with back-pressure: no more is read from one side than the other has taken."""
    upstream = socket.create_connection(("127.0.0.1", port))
    upstream.setblocking(False)
    other = upstream.fileno()
    to_upstream = to_client = b""
    client_open = upstream_open = True
    told = False  # that the client sends no more
    try:
        while client_open or upstream_open or to_client:
            readable = [CLIENT] * (client_open and not to_upstream) + [other] * (upstream_open and not to_client)
            writable = [CLIENT] * bool(to_client) + [other] * bool(to_upstream)
            can_read, can_write = yield Wait(readable, writable, 30.0)
            if not can_read and not can_write:
                raise TimeoutError
            if CLIENT in can_write:
                to_client = to_client[(yield Offer(to_client)) :]
            if other in can_write:
                to_upstream = to_upstream[upstream.send(to_upstream) :]
            if CLIENT in can_read:
                to_upstream = yield Receive(30.0)
                client_open = bool(to_upstream)
            if other in can_read:
                to_client = upstream.recv(65536)
                upstream_open = bool(to_client)
            if not client_open and not to_upstream and not told:
                told = True
                upstream.shutdown(socket.SHUT_WR)
    finally:
        upstream.close()


def main(model: str, conversation: str, port: str = "0") -> None:
    converse = {"steps": steps, "relay": partial(relay, int(port))}[conversation]
    raise_descriptor_limit()
    stop = Stop()
    stop.install()
    listener = open_listener("127.0.0.1", 0, 128)
    print(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid(), "model": model, "max_connections": 0}), flush=True)
    importlib.import_module(f"servers.{model}").serve(listener, converse, Options(linger_s=0.2, workers=4), stop)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
