"""The door for clients that open their own connections: an HTTP proxy on loopback that dials through the guard. Only who knows its URL is served.

`CONNECT` is relayed byte for byte; a plain request (`GET http://...`) is one per connection. What the guard refuses is a 403, what can't be reached a 502:
the sentence is in the body and, since clients show no more of a failed `CONNECT` than that, in the status line, where `told_by_proxy` finds it.
"""

import asyncio
import re
import secrets
import socket
from base64 import b64encode
from contextlib import suppress
from time import monotonic
from typing import Self
from urllib.parse import urlsplit

import h11

from tidings.errors import RefusedAddress, RequestFailed, Unanswered
from tidings.outbound.answer import Journey
from tidings.outbound.failures import causes, failed
from tidings.outbound.guard import Target, check_url
from tidings.outbound.seam import Seam

USER = "tidings"
CONNECTIONS = 256  # at once
DIAL_SECONDS = 30
HEAD_SECONDS = 15
IDLE_SECONDS = 120  # without a byte in either direction; a git server thinks for a while before it sends
HEAD_BYTES = 64 * 1024
PIECE = 64 * 1024
MARK = "(Tidings)"

OF_ONE_HOP = frozenset((b"connection", b"expect", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"upgrade"))
_TOLD = re.compile(rf"(403|502)[^()]{{0,30}}{re.escape(MARK)} ([^\r\n]+?\.)(?=['\"]|$| for url)", re.MULTILINE)


class Proxy:
    """A proxy that listens. `url` holds the credential: give it to clients of this process alone, and to no log.

    An error of aiohttp has it in its text: say what `told_by_proxy` finds in an error, or the kind of the error.
    """

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._secret = secrets.token_urlsafe(32)
        self._credential = b"Basic " + b64encode(f"{USER}:{self._secret}".encode())
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def start(self) -> Self:
        """Listens on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        """`http://user:secret@127.0.0.1:port`."""
        return f"http://{USER}:{self._secret}@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def aclose(self) -> None:
        """Ends every connection."""
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(_Side(reader, writer, h11.SERVER)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: "_Side") -> None:
        try:
            # whoever breaks off, on either side, wants no answer; the other side learns of it by the end of its connection
            with suppress(OSError, h11.ProtocolError):
                await self._answer(client)
        finally:
            client.writer.transport.abort() if client.broken else client.writer.close()

    async def _answer(self, client: "_Side") -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            request = await client.event()
        if not isinstance(request, h11.Request):
            return
        given = next((value for name, value in request.headers if name == b"proxy-authorization"), b"")
        if not secrets.compare_digest(given, self._credential):
            await client.refuse(407, "This proxy serves its own process only.", ("Proxy-Authenticate", 'Basic realm="tidings"'))
            return
        if len(self._serving) > CONNECTIONS:
            await client.refuse(503, f"There are {CONNECTIONS} connections under way already.")
            return
        try:
            target, sock = await self._dial(request)
        except Unanswered as error:
            await client.refuse(403 if isinstance(error, RefusedAddress) else 502, str(error))
            return
        server = _Side(*await asyncio.open_connection(sock=sock), h11.CLIENT)
        try:
            async with asyncio.timeout(IDLE_SECONDS) as idle:
                client.idle = server.idle = idle
                await (_tunnel(client, server) if request.method == b"CONNECT" else _exchange(client, server, request, target))
        except BaseException:
            client.broken = True  # a half answer must not pass for a whole one
            raise
        finally:
            server.writer.transport.abort()

    async def _dial(self, request: h11.Request) -> tuple[Target, socket.socket]:
        """Where a request leads, and a socket connected to it."""
        wanted = request.target.decode("ascii", "replace")
        target = check_url(f"https://{wanted}" if request.method == b"CONNECT" else wanted)
        journey = Journey()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                return target, await self._seam.dial(target, monotonic() + DIAL_SECONDS, journey)
        except OSError as error:
            raise failed(target, error, journey.phase, DIAL_SECONDS) from error


class _Side:
    """One of the two connections, and how far it is with its request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.reader, self.writer = reader, writer
        self.http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self.idle: asyncio.Timeout | None = None
        self.broken = False

    async def read(self) -> bytes:
        """What comes next; nothing at the end."""
        data = await self.reader.read(PIECE)
        if self.idle is not None:
            self.idle.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS)
        return data

    async def write(self, data: bytes | None) -> None:
        """Sends it, and waits while the other side is slower than we are."""
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """The next piece of the message that comes. Raises h11.RemoteProtocolError where it is none."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # h11 has no narrower type for it
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self.read())

    async def send(self, event: h11.Event) -> None:
        """Sends a piece of a message."""
        await self.write(self.http.send(event))

    async def refuse(self, status: int, sentence: str, *headers: tuple[str, str]) -> None:
        """Answers with this sentence; the connection ends behind it."""
        body = sentence.encode()
        reason = f"{MARK} {sentence}".encode("ascii", "replace")
        told = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close"), *headers]
        await self.send(h11.Response(status_code=status, headers=told, reason=reason))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        self.writer.write_eof()
        async with asyncio.timeout(HEAD_SECONDS):  # were it closed with bytes unread, the client might be reset before it has read the answer
            while await self.read():
                pass


async def _tunnel(client: _Side, server: _Side) -> None:
    """Relays bytes both ways, until both sides have ended."""
    await client.send(h11.Response(status_code=200, headers=[], reason=b"Connected"))
    early, _ = client.http.trailing_data
    await server.write(early)
    async with asyncio.TaskGroup() as both:
        both.create_task(_pump(client, server))
        both.create_task(_pump(server, client))


async def _pump(source: _Side, sink: _Side) -> None:
    with suppress(OSError):  # one of them is gone: that is its end
        while data := await source.read():
            await sink.write(data)
    with suppress(OSError):
        sink.writer.write_eof()


async def _exchange(client: _Side, server: _Side, request: h11.Request, target: Target) -> None:
    """One request and its answer, without what concerns one connection only."""
    host = urlsplit(target.url).netloc
    headers = [(b"Host", host.encode()), *((name, value) for name, value in _passed_on(request.headers) if name.lower() != b"host")]
    await server.send(h11.Request(method=request.method, target=target.path, headers=headers))
    while isinstance(piece := await client.event(), h11.Data):
        await server.send(piece)
    if not isinstance(piece, h11.EndOfMessage):
        raise ConnectionResetError
    await server.send(h11.EndOfMessage())
    while isinstance(answer := await server.event(), h11.InformationalResponse):
        pass
    if not isinstance(answer, h11.Response):
        raise ConnectionResetError
    await client.send(h11.Response(status_code=answer.status_code, headers=_passed_on(answer.headers), reason=answer.reason))
    while isinstance(piece := await server.event(), h11.Data):
        await client.send(piece)
    await client.send(h11.EndOfMessage())


def _passed_on(headers: h11._headers.Headers) -> list[tuple[bytes, bytes]]:
    return [*((name, value) for name, value in headers.raw_items() if name.lower() not in OF_ONE_HOP), (b"Connection", b"close")]


def told_by_proxy(error: BaseException) -> RefusedAddress | RequestFailed | None:
    """What the proxy said, if that is what a client's error came from: the guard's refusal, or why nothing was reached. None for any other error."""
    return next((told for one in causes(error) if (told := told_in(str(one)))), None)


def told_in(text: str) -> RefusedAddress | RequestFailed | None:
    """The same in a status line, or a text that quotes one."""
    told = _TOLD.search(text)
    if told is None:
        return None
    return RefusedAddress(told[2]) if told[1] == "403" else RequestFailed(told[2], code="connect")
