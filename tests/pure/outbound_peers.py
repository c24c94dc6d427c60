"""Peers on loopback that answer as they are told, well or badly, and a record of every connection that this process tries."""

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from ssl import SSLContext
from typing import Any

from tidings.outbound import Outbound

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LOOPBACK = (ip_network("127.0.0.0/8"),)
Doors = Callable[..., Outbound]

_records: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        for record in _records:
            record.append(arguments[1][0])


sys.addaudithook(_note)


@contextmanager
def connects() -> Iterator[list[str]]:
    """Every address that this process tries to connect to, in order."""
    record: list[str] = []
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)


class Peer:
    """A server that counts connections and keeps the requests it has read."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.open = 0
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await self.handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone, as some tests want it
        finally:
            self.open -= 1
            writer.transport.abort()

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """One whole request, headers and body, also kept in `requests`."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        return request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@asynccontextmanager
async def peer(
    answer: bytes | Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: SSLContext | None = None, port: int = 0
) -> AsyncIterator[Peer]:
    """A peer on 127.0.0.1 that gives every request this answer, or does as this function says with each connection."""

    async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(answer, bytes)
        while True:
            await found.read(reader)
            writer.write(answer)
            await writer.drain()
            if b"Connection: close" in answer:
                return

    async def told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert not isinstance(answer, bytes)
        await answer(found, reader, writer)

    found = Peer(always if isinstance(answer, bytes) else told)
    tasks: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(found.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", port, ssl=tls, limit=2**20)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def until(true: Callable[[], bool]) -> None:
    """Waits for what happens on the other side of a socket."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
