"""Requests over connections of our own: HTTP/1.1 on asyncio and httptools."""

import asyncio
import ssl
from collections.abc import Mapping
from socket import socket
from time import monotonic

from tidings.outbound.answer import Answer, Journey
from tidings.outbound.connection import Connection
from tidings.outbound.kept import Deadlines, Kept
from tidings.outbound.request import Route, header_lines
from tidings.outbound.seam import Seam
from tidings.outbound.tls import end_of, verifying

LONGEST_HANDSHAKE = 86_400  # asyncio wants a bound of its own; the deadline comes first


class Http1:
    """A transport: one request at a time on each connection, connections kept and used again."""

    def __init__(self, seam: Seam, tls: ssl.SSLContext | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._seam = seam
        self._tls = tls or verifying()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._kept = Kept(self._loop)
        self._deadlines = Deadlines(self._loop)

    async def aclose(self) -> None:
        """Closes every connection that is not in use."""
        self._kept.close()
        await asyncio.sleep(0)  # for the sockets to be closed

    async def post(self, route: Route, headers: Mapping[str, str], body: bytes, seconds: float, journey: Journey) -> Answer:
        """The answer to a POST. Raises OSError, Malformed or ValueError (see `failures`) where there is none."""
        request = f"{route.opening}{len(body)}\r\n{header_lines(headers)}\r\n".encode("latin-1") + body
        deadline = journey.began + seconds
        connection = self._kept.take(route.endpoint)
        while True:
            kept = connection is not None
            if connection is None:
                async with asyncio.timeout(deadline - monotonic()):
                    connection = await self._opened(await self._seam.dial(route.target, deadline, journey), route, journey)
            self._deadlines.watch(connection, deadline)
            try:
                return await connection.exchange(request, journey)
            except ConnectionError:
                if not kept or connection.heard:
                    raise
            except BaseException:
                connection.close()
                raise
            finally:
                self._deadlines.forget(connection)
                self._kept.put(connection)
            connection = None  # the other side was just closing it: nothing was answered, so the same attempt goes over a new one

    async def _opened(self, sock: socket, route: Route, journey: Journey) -> Connection:
        """A connection over a connected socket, its TLS handshake done."""
        connection = Connection(self._loop, route.endpoint, journey.address, self._kept.forget)
        if route.target.scheme == "http":
            await self._loop.create_connection(lambda: connection, sock=sock)
            return connection
        journey.phase, since = "tls", monotonic()
        transport, _ = await self._loop.create_connection(
            lambda: connection, sock=sock, ssl=self._tls, server_hostname=route.target.host, ssl_handshake_timeout=LONGEST_HANDSHAKE
        )
        journey.passed("tls", since)
        connection.tls = transport.get_extra_info("ssl_object").version()
        connection.certificate_until = end_of(transport.get_extra_info("peercert"))
        return connection
