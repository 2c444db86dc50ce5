"""The plain thread for each connection that a user would write: httptools and no steps; beside `thread_per_connection`."""

import socket
import threading

from benchmarks.controls._wire import RECEIVE_BYTES, Client, main


def serve(listener: socket.socket) -> None:
    """A thread for whoever comes."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection,), daemon=True).start()


def _talk(connection: socket.socket) -> None:
    client = Client()
    try:
        with connection:
            while not client.closing and (data := connection.recv(RECEIVE_BYTES)):
                if answers := client.feed(data):
                    connection.sendall(answers)
    except OSError:
        return


if __name__ == "__main__":
    main("direct_threads", serve)
