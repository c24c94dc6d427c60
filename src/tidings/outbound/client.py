"""The door: requests, each within one deadline, its answer within bounds, and why one would be refused."""

import asyncio
import socket
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Literal

from tidings.errors import RefusedAddress, RequestFailed
from tidings.outbound.answer import Answer, Got, Journey
from tidings.outbound.body import ENCODINGS
from tidings.outbound.failures import Malformed, failed, too_late
from tidings.outbound.guard import Network, Target, check_url
from tidings.outbound.http1 import Http1
from tidings.outbound.names import Lookup, system_lookup
from tidings.outbound.own import Place
from tidings.outbound.proxy import Proxy
from tidings.outbound.request import route_to
from tidings.outbound.seam import Seam
from tidings.outbound.through_aiohttp import ThroughAiohttp
from tidings.outbound.tls import verifying

EXPLAIN_SECONDS = 10

Client = Literal["own", "aiohttp"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the guard says of a URL. `refused` tells its own no from a name that leads nowhere at the moment."""

    allowed: bool
    reason: str | None
    addresses: tuple[str, ...]
    refused: bool


class Outbound:
    """The door. Open it in the running loop, keep it for as long as the process lives, close it with `aclose`.

    It bounds no number of requests: whoever calls does. Connections are kept and used again; no cookies, redirects, proxies or netrc.
    `own` says where we ourselves are reached (`own_places`), whither nothing is sent but POSTs to `inboxes` (`inboxes_at`).
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        own: Collection[Place] = (),
        inboxes: str | None = None,
        client: Client = "own",
        lookup: Lookup = system_lookup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.own = frozenset(own)
        self.tls = tls or verifying()
        self.inboxes = inboxes
        self._seam = Seam(allowed, self.own, inboxes, lookup)
        self._proxy: Proxy | None = None
        self._starting = asyncio.Lock()
        self._transport = (Http1 if client == "own" else ThroughAiohttp)(self._seam, self.tls)
        self._reading: ThroughAiohttp | None = None  # opened by the first GET: a dispatcher sends none

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._proxy is not None:
            await self._proxy.aclose()
        if self._reading is not None:
            await self._reading.aclose()
        await self._transport.aclose()
        await self._seam.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:  # noqa: ASYNC109 - it ends as a RequestFailed
        """The answer to a POST, whatever its status. `timeout`: seconds for everything, from looking up the name to the last byte of the body.

        Raises RefusedAddress where the guard refuses, RequestFailed where no whole answer came; both tell how far the request came.
        """
        route, journey = route_to(url), Journey()
        with _told(route.target, journey, timeout):
            journey.inbox = self._seam.admit(route.target)
            return await self._transport.post(route, headers, body, timeout, journey)

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        limit: int,
        timeout: float,  # noqa: ASYNC109 - as `post` has it
        method: str = "GET",
        body: bytes = b"",
    ) -> Got:
        """The answer to a GET, or to another `method` that only reads, whatever its status, a redirect too: whoever follows asks again, and the guard is
        asked again. `timeout` as for `post`.

        Raises as `post` does, and RequestFailed with the code `too_large` where the body has more than `limit` bytes, decompressed or on the wire; it is
        not read any further then.
        """
        target, journey = check_url(url), Journey()
        self._reading = self._reading or ThroughAiohttp(self._seam, self.tls)
        with _told(target, journey, timeout):
            return await self._reading.get(target, {"Accept-Encoding": ENCODINGS, **headers}, journey, limit=limit, seconds=timeout, method=method, body=body)

    async def proxy(self) -> Proxy:
        """The door for clients that open their own connections, open for as long as this one is."""
        async with self._starting:
            if self._proxy is None:
                self._proxy = await Proxy(self._seam).start()
        return self._proxy

    async def dial(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109 - it ends as a RequestFailed
        """A socket connected to an address of `host` that the guard lets pass, for a client that speaks a protocol of its own. `timeout` in seconds.

        Raises RefusedAddress, RequestFailed.
        """
        target = replace(check_url(f"https://{f'[{host}]' if ':' in host else host}"), port=port)
        journey = Journey()
        with _told(target, journey, timeout):
            async with asyncio.timeout(timeout):
                return await self._seam.dial(target, monotonic() + timeout, journey)

    async def explain(self, url: str) -> Explanation:
        """What would become of a request to `url`. Resolves, never connects."""
        addresses: tuple[str, ...] = ()
        try:
            target = check_url(url)
            inbox = self._seam.admit(target)
            async with asyncio.timeout(EXPLAIN_SECONDS):
                addresses = tuple(await self._seam.addresses(target, inbox=inbox))
            for address in addresses:
                self._seam.check(address, target.port, target.host, inbox=inbox)
        except RefusedAddress as error:
            return Explanation(allowed=False, reason=str(error), addresses=addresses, refused=True)
        except RequestFailed as error:
            return Explanation(allowed=False, reason=str(error), addresses=addresses, refused=False)
        except TimeoutError:
            return Explanation(allowed=False, reason=str(too_late(target, EXPLAIN_SECONDS, "lookup")), addresses=addresses, refused=False)
        return Explanation(allowed=True, reason=None, addresses=addresses, refused=False)


@contextmanager
def _told(target: Target, journey: Journey, seconds: float) -> Iterator[None]:
    """What goes wrong inside comes out as a sentence that knows the journey."""
    try:
        yield
    except (RefusedAddress, RequestFailed) as error:
        raise journey.told_by(error) from None
    except (OSError, Malformed, ValueError) as error:
        raise journey.told_by(failed(target, error, journey.phase, seconds)) from error
