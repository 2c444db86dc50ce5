"""What the HTTP conversation costs in instructions, which no weather moves: hello after hello, driven by hand, no socket.

    export PYTHONHASHSEED=0 PYTHONPATH=.
    valgrind --tool=callgrind --callgrind-out-file=/dev/null .venv/bin/python tests/driving.py 1000
    valgrind --tool=callgrind --callgrind-out-file=/dev/null .venv/bin/python tests/driving.py 11000

The difference of the two counts, divided by 10,000, is one request. With PYTHONPATH at another checkout it is that one's.
"""

import sys

from servers.conversations.app import respond
from servers.conversations.http1 import Limits, http1

HELLO = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"


class Stop:
    """Never requested."""

    requested = False

    def fileno(self) -> int:
        return -1


def main(requests: int) -> None:
    conversation = http1(respond, Stop(), Limits(), lambda: 1000.0)
    next(conversation)
    for _ in range(requests):
        assert b"Hello" in conversation.send(HELLO).data
        conversation.send(None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
