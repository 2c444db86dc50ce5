"""The plain epoll loop that a user would write: httptools and no steps, serving hello alone; beside `epoll_loop`."""

import select
import socket

from benchmarks.controls._wire import RECEIVE_BYTES, Client, main

_ACCEPTS_PER_TURN = 64


def serve(listener: socket.socket) -> None:
    """One thread, level-triggered: whoever is ready is read, and answered at once."""
    listener.setblocking(False)
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    door = listener.fileno()
    clients: dict[int, tuple[socket.socket, Client]] = {}
    unsent: dict[int, bytes] = {}

    def close(descriptor: int) -> None:
        unsent.pop(descriptor, None)
        clients.pop(descriptor)[0].close()  # which takes it off the poller, too: epoll(7)

    def send(descriptor: int, data: bytes) -> None:
        """Send what fits; the rest when there is room, and nothing is read from that client before."""
        connection, client = clients[descriptor]
        sent = connection.send(data)
        if sent < len(data):
            if descriptor not in unsent:
                poller.modify(descriptor, select.EPOLLOUT)
            unsent[descriptor] = data[sent:]
        elif client.closing:
            close(descriptor)
        elif unsent.pop(descriptor, None) is not None:
            poller.modify(descriptor, select.EPOLLIN)

    while True:
        for descriptor, seen in poller.poll():
            if descriptor == door:
                _admit(listener, poller, clients)
                continue
            try:
                if seen & select.EPOLLOUT:
                    send(descriptor, unsent[descriptor])
                elif data := clients[descriptor][0].recv(RECEIVE_BYTES):
                    if answers := clients[descriptor][1].feed(data):
                        send(descriptor, answers)
                else:
                    close(descriptor)
            except BlockingIOError:
                continue
            except OSError:
                close(descriptor)


def _admit(listener: socket.socket, poller: select.epoll, clients: dict[int, tuple[socket.socket, Client]]) -> None:
    """Let in whoever has queued, a number at a time."""
    for _ in range(_ACCEPTS_PER_TURN):
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        clients[connection.fileno()] = connection, Client()
        poller.register(connection.fileno(), select.EPOLLIN)


if __name__ == "__main__":
    main("direct_epoll", serve)
