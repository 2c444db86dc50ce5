"""The same bytes through every model's socket: what comes back is what the conversation says when it is driven by hand.

The pieces of a stream may reach a server in one read or in several, so its answers must be those of one of these ways to cut
it. Everything is sent in batches, as many connections at once as a small server holds.
"""

import itertools
import re
import socket
import time
from collections.abc import Iterator

import pytest
import seeds
from live import MODELS, PATIENCE_S, Server, serving
from talking import talk

from servers.conversations import app
from servers.conversations.app import respond

AT_ONCE = 16
PAUSE_S = 0.002  # between the pieces of a batch, so that some of them are received as they were cut
DATE = re.compile(rb"Date: [^\r\n]*")
Cut = tuple[bytes, ...]


def ways_to_cut(stream: bytes) -> Iterator[Cut]:
    """Whole, in halves, and in three at odd places: within the request line, and near the end."""
    yield (stream,)
    yield tuple(seeds.split(stream, [len(stream) // 2]))
    yield tuple(seeds.split(stream, [7, len(stream) - 3]))


STREAMS = [cut for stream in (*seeds.ALL, *seeds.some_bitten(60)) if stream for cut in ways_to_cut(stream)]


def undated(sent: bytes) -> bytes:
    return DATE.sub(b"Date: -", sent)


def by_hand(pieces: Cut) -> set[bytes]:
    """What is said, for each way in which pieces may have been joined on their way."""
    found = set()
    for joined in itertools.product((False, True), repeat=len(pieces) - 1):
        reads = [pieces[0]]
        for piece, with_last in zip(pieces[1:], joined, strict=True):
            if with_last:
                reads[-1] += piece
            else:
                reads.append(piece)
        found.add(undated(talk(*reads, app=respond).sent))
    return found


@pytest.fixture(scope="module")
def expected() -> list[set[bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app._MOUNTED, "/items", respond)  # as in a server: `OPTIONS *` tells its methods
        return [by_hand(pieces) for pieces in STREAMS]


def all_of(client: socket.socket) -> bytes:
    """What comes until the end, or until a reset: a server that has refused need not read on."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def exchange(server: Server, batch: list[Cut]) -> list[bytes]:
    """Send a batch, piece by piece, each on a connection of its own, and read what comes."""
    clients = [socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) for _ in batch]
    try:
        for client in clients:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pieces in itertools.zip_longest(*batch):
            for client, piece in zip(clients, pieces, strict=True):
                try:
                    client.sendall(piece or b"")
                except OSError:
                    pass  # refused already, and closed
            time.sleep(PAUSE_S)
        for client in clients:
            try:
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        return [all_of(client) for client in clients]
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("model", MODELS)
def test_sockets_make_no_difference(model: str, expected: list[set[bytes]]) -> None:
    with serving(model, "--workers", str(AT_ONCE), "--threads", str(AT_ONCE)) as server:
        for begin in range(0, len(STREAMS), AT_ONCE):
            batch = STREAMS[begin : begin + AT_ONCE]
            for pieces, wanted, received in zip(batch, expected[begin:], exchange(server, batch), strict=False):
                assert undated(received) in wanted, pieces
        assert server.said() == ""
