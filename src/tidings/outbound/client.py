"""Requests over long-lived connections, each within one deadline, its answer within bounds."""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound.excerpt import Excerpt
from tidings.outbound.failures import failed, too_late
from tidings.outbound.guard import Network, Target, check_address, check_url
from tidings.outbound.names import Lookup, Names, system_lookup

KEEP_ALIVE_SECONDS = 90
IDLE_CONNECTIONS = 256
KEPT_HEADER_BYTES = 16 * 1024
EXPLAIN_SECONDS = 10

# aiohttp adds none of its own, so that what is recorded of a request is what was sent.
NO_HEADERS_ADDED = ("User-Agent", "Accept", "Accept-Encoding")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `headers` by lower-case name, `body` at most 16 KiB after decompression, the time in milliseconds, the address dialled."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    duration_ms: int
    address: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the guard says of a URL. `refused` tells its own no from a name that leads nowhere at the moment."""

    allowed: bool
    reason: str | None
    addresses: tuple[str, ...]
    refused: bool


class Trip:
    """How far one request has come; filled in by those whom it passes."""

    __slots__ = ("address", "dialled", "phase")

    def __init__(self) -> None:
        self.phase = "send"  # then lookup, connect, answer, body; a kept connection goes straight to answer
        self.dialled = False
        self.address = ""


_trip: ContextVar[Trip] = ContextVar("trip")


class Outbound:
    """The door. Open it in the running loop, keep it for as long as the process lives, close it with `aclose`.

    It bounds no number of requests: whoever calls does. Connections are kept and used again; no cookies, redirects, proxies or netrc.
    """

    def __init__(self, allowed: Sequence[Network] = (), *, lookup: Lookup = system_lookup, tls: ssl.SSLContext | None = None) -> None:
        self._allowed = tuple(allowed)
        self._names = Names(lookup)
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                resolver=_CheckedResolver(self._checked_addresses),
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
        await self._names.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:  # noqa: ASYNC109 - it ends as a RequestFailed
        """The answer to a POST, whatever its status. `timeout`: seconds for everything, from looking up the name to the last byte of the body.

        Raises RefusedAddress where the guard refuses, RequestFailed where no whole answer came.
        """
        target = check_url(url)
        trip = Trip()
        _trip.set(trip)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return await self._exchange(target, headers, body, trip, started)
                    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                        if trip.dialled or trip.phase != "answer":
                            raise
                        # a kept connection that the other side was just closing: nothing was answered, so the same attempt goes over another one
        except TimeoutError:
            raise too_late(target, timeout, trip.phase) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise failed(target, error, trip.phase) from error

    async def explain(self, url: str) -> Explanation:
        """What would become of a request to `url`. Resolves, never connects."""
        addresses: tuple[str, ...] = ()
        try:
            target = check_url(url)
            async with asyncio.timeout(EXPLAIN_SECONDS):
                addresses = (str(target.address),) if target.address is not None else tuple(await self._names.addresses(target.host))
            for address in addresses:
                check_address(address, self._allowed, target.host)
        except RefusedAddress as error:
            return Explanation(allowed=False, reason=str(error), addresses=addresses, refused=True)
        except RequestFailed as error:
            return Explanation(allowed=False, reason=str(error), addresses=addresses, refused=False)
        except TimeoutError:
            return Explanation(allowed=False, reason=str(too_late(target, EXPLAIN_SECONDS, "lookup")), addresses=addresses, refused=False)
        return Explanation(allowed=True, reason=None, addresses=addresses, refused=False)

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes, trip: Trip, started: float) -> Answer:
        trip.phase = "send"
        response = await self._session.post(_url(target), data=body, headers=headers, allow_redirects=False)
        try:
            trip.phase = "body"
            excerpt = Excerpt(response.headers.get("Content-Encoding", ""))
            content = response.content
            while (chunk := await content.readany()) and excerpt.feed(chunk):
                pass
        finally:
            response.close()  # the connection is kept only where the body came to its end before
        duration = time.perf_counter() - started
        return Answer(response.status, _kept_headers(response.raw_headers), excerpt.body, excerpt.truncated, round(duration * 1000), trip.address)

    async def _checked_addresses(self, host: str) -> Sequence[str]:
        """The addresses of a name, all of them found to be allowed: where one is special, the whole name is refused."""
        _trip.get().phase = "lookup"
        addresses = await self._names.addresses(host)
        for address in addresses:
            check_address(address, self._allowed, host)
        return addresses

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for the very address that is about to be connected; every connect passes here, so here the guard has the last word."""
        family, kind, protocol, _, address = info
        check_address(address[0], self._allowed)
        trip = _trip.get()
        trip.phase, trip.dialled = "connect", True
        return socket.socket(family=family, type=kind, proto=protocol)


class _Connector(aiohttp.TCPConnector):
    """Tells each request where it went, and keeps the number of idle connections within bounds (aiohttp knows only their age)."""

    _dialled = 0

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        connection = await super().connect(req, traces, timeout)
        trip = _trip.get()
        trip.phase = "answer"
        peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
        trip.address = peer[0] if peer else ""
        if trip.dialled:
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

    def __init__(self, addresses: Any) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:  # noqa: ARG002
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in await self._addresses(host)
        ]

    async def close(self) -> None:
        pass


@lru_cache(maxsize=4096)
def _url(target: Target) -> URL:
    """What is dialled, built from the checked parts and not parsed a second time by other rules."""
    return URL(target.url, encoded=True)


def _kept_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers of an answer as text, repeated ones joined by commas (RFC 9110, section 5.3), the first 16 KiB of them."""
    kept: dict[str, str] = {}
    room = KEPT_HEADER_BYTES
    for raw_name, raw_value in raw:
        room -= len(raw_name) + len(raw_value)
        if room < 0:
            break
        name, value = raw_name.decode(errors="replace").lower(), raw_value.decode(errors="replace")
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept
