"""Requests through aiohttp: what connectors read, whose answers are large; and deliveries, where `TIDINGS_HTTP_CLIENT` chooses it."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tidings.outbound.answer import Answer, Got, Journey, kept_headers
from tidings.outbound.body import Body
from tidings.outbound.excerpt import Excerpt
from tidings.outbound.failures import Malformed
from tidings.outbound.guard import Target
from tidings.outbound.kept import IDLE_CONNECTIONS, KEEP_ALIVE_SECONDS
from tidings.outbound.request import Route, header_lines
from tidings.outbound.seam import Seam
from tidings.outbound.tls import end_of

# aiohttp adds none of its own, so that what is recorded of a request is what was sent.
OK = 200
NO_HEADERS_ADDED = ("User-Agent", "Accept", "Accept-Encoding")

ClientTrouble = aiohttp.ClientError  # whatever goes wrong below a library that is built on aiohttp

AnswerT = TypeVar("AnswerT")

_under_way: ContextVar[tuple[Target, Journey]] = ContextVar("under_way")


class ThroughAiohttp:
    """A transport like `Http1`."""

    def __init__(self, seam: Seam, tls: ssl.SSLContext | None) -> None:
        self._seam = seam
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                resolver=_CheckedResolver(seam),
                socket_factory=self._socket,
                use_dns_cache=False,
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ssl=tls or True,
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=16 * 1024,
            skip_auto_headers=NO_HEADERS_ADDED,
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._session.close()

    async def post(self, route: Route, headers: Mapping[str, str], body: bytes, seconds: float, journey: Journey) -> Answer:
        """The answer to a POST. Raises OSError, Malformed or ValueError (see `failures`) where there is none."""
        header_lines(headers)
        return await self._asked(route.target, seconds, journey, lambda: self._post(route.target, headers, body, journey))

    async def get(self, target: Target, headers: Mapping[str, str], journey: Journey, *, limit: int, seconds: float, method: str, body: bytes) -> Got:
        """The answer to a method that reads, its body at most `limit` bytes. Raises RequestFailed where it is larger, else as `post` does."""
        header_lines(headers)
        return await self._asked(target, seconds, journey, lambda: self._get(target, headers, journey, limit=limit, method=method, asked=body))

    async def _asked(self, target: Target, seconds: float, journey: Journey, exchange: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        _under_way.set((target, journey))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        return await exchange()
                    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                        if journey.dialled or journey.phase != "answer":
                            raise
                        # a kept connection that the other side was just closing: nothing was answered, so the same attempt goes over another one
        except aiohttp.ClientError as error:
            raise _plain(error) from error

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes, journey: Journey) -> Answer:
        journey.phase = "send"
        response = await self._session.post(_url(target), data=body, headers=headers, allow_redirects=False)
        try:
            journey.passed("firstByte", journey.sent)
            journey.phase = "body"
            excerpt = Excerpt(response.headers.get("Content-Encoding", ""))
            content = response.content
            while (chunk := await content.readany()) and excerpt.feed(chunk):
                pass
        finally:
            response.close()  # the connection is kept only where the body came to its end before
        return journey.answered(response.status, response.raw_headers, excerpt.body, excerpt.truncated)

    async def _get(self, target: Target, headers: Mapping[str, str], journey: Journey, *, limit: int, method: str, asked: bytes) -> Got:
        journey.phase = "send"
        response = await self._session.request(method, _url(target), data=asked or None, headers=headers, allow_redirects=False)
        try:
            journey.phase = "body"
            body = Body(response.headers.get("Content-Encoding", "") if response.status == OK else "", limit)
            while chunk := await response.content.readany():
                body.feed(chunk)
            return Got(response.status, kept_headers(response.raw_headers), body.whole())
        finally:
            response.close()

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        address, port = info[4][:2]
        return self._seam.socket(address, port, _under_way.get()[1], info[2])


class _Connector(aiohttp.TCPConnector):
    """Tells each request where it went, and keeps the number of idle connections within bounds (aiohttp knows only their age)."""

    _dialled = 0

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        _, journey = _under_way.get()
        since = monotonic()
        connection = await super().connect(req, traces, timeout)
        journey.phase, journey.sent = "answer", monotonic()
        if connection.transport is not None:
            _describe(connection.transport, journey)
        if journey.dialled:
            journey.passed("connect", since + journey.phases.get("lookup", 0) / 1e3)  # with the TLS handshake: aiohttp does not tell them apart
            self._dialled += 1
            if self._dialled % 64 == 0:
                self._close_idle()
        return connection

    def _close_idle(self) -> None:
        """Closes the connections that have been idle for longest, so that thousands of endpoints do not use up the process's files."""
        idle = [(since, protocol) for kept in self._conns.values() for protocol, since in kept]
        for _, protocol in sorted(idle, key=lambda pair: pair[0])[: max(0, len(idle) - IDLE_CONNECTIONS)]:
            protocol.close()  # aiohttp drops what is closed when it comes upon it


class _CheckedResolver(AbstractResolver):
    """Hands aiohttp the checked addresses; it dials these and no others."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:  # noqa: ARG002
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in await self._seam.checked_addresses(*_under_way.get())
        ]

    async def close(self) -> None:
        pass


def _describe(transport: asyncio.Transport, journey: Journey) -> None:
    peer, tls = transport.get_extra_info("peername"), transport.get_extra_info("ssl_object")
    if peer:
        journey.address = peer[0]
    if tls is not None:
        journey.tls, journey.certificate_until = tls.version(), end_of(transport.get_extra_info("peercert"))


def _plain(error: aiohttp.ClientError) -> Exception:
    """What aiohttp came upon, in the terms of `failures`."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return error.certificate_error
        case aiohttp.ClientConnectorError():
            return error.os_error
        case aiohttp.ClientResponseError():
            return Malformed(error.message.partition("\n")[0].rstrip(": "))  # what follows quotes the answer
        case aiohttp.InvalidURL():
            return error
        case _:
            return ConnectionError(str(error))


@lru_cache(maxsize=4096)
def _url(target: Target) -> URL:
    """What is dialled, built from the checked parts and not parsed a second time by other rules."""
    return URL(target.url, encoded=True)
