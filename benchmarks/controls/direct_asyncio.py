"""The plain asyncio protocol that a user would write: httptools and no steps; beside `asyncio_protocol`."""

import asyncio
import socket

from benchmarks.controls._wire import Client, main


class _Talk(asyncio.Protocol):
    """One client; asyncio buffers what the kernel does not take."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.client = Client()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if answers := self.client.feed(data):
            self.transport.write(answers)
        if self.client.closing:
            self.transport.close()

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.client.closing:
            self.transport.resume_reading()


def serve(listener: socket.socket) -> None:
    """One loop for all."""
    asyncio.run(_serve(listener))


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Talk, sock=listener, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    main("direct_asyncio", serve)
