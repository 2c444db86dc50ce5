"""A thread per connection: straight-line code; the kernel chooses who runs.

The oldest concurrent server there is. Each conversation has a stack to wait on, so a step is a blocking call and nothing is
ever turned inside out. What it costs: a thread's start for each connection, a context switch for each wait, memory for each
stack, and in CPython the global lock: one thread runs Python at a time, and a thread that computes keeps it for up to
`sys.getswitchinterval()` (5 ms) while others wait. When thousands go on at once they mostly ask for that lock: 5,000 that end
together may keep two cores busy for 5 to 25 s.

Offload is simply a call here: a thread that blocks stops nobody else.
"""

import socket
import threading
from functools import partial

from servers._blocking import BlockingTalk, release_idle
from servers._conversing import end
from servers._listening import Door
from servers._options import Options
from servers._steps import Conversation, Converse, Stopping


def serve(listener: socket.socket, converse: Converse, options: Options, stop: Stopping) -> None:
    """Serve until the stop, then drain. The threads are daemons: those still busy after that die with the process."""
    talks: set[BlockingTalk] = set()
    door = Door(listener, talks, options.connections)

    def hold(talk: BlockingTalk, conversation: Conversation) -> None:
        try:
            talk.run(conversation, options.send_s)
        finally:
            talks.discard(talk)
            door.left()

    for client in door.clients(stop, options, partial(release_idle, talks)):
        talk, conversation = BlockingTalk(client), converse()
        talks.add(talk)
        try:
            threading.Thread(target=hold, args=(talk, conversation), daemon=True).start()
        except RuntimeError:  # no more threads to be had: refuse this client, and pause as for descriptors
            talks.discard(talk)
            end(conversation)
            client.close()
            door.pause()
