"""HTTP clients for libraries that bring none of their own choosing: led through the guard, within bounds, their errors ours.

What goes wrong between us and a server is a RefusedAddress or a RequestFailed, raised through the library; an answer is the library's business, whatever
its status.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

import httpx
import requests
from requests.adapters import HTTPAdapter

from tidings.errors import RequestFailed
from tidings.outbound.client import Outbound
from tidings.outbound.failures import causes, failed, place, too_late
from tidings.outbound.guard import check_url
from tidings.outbound.proxy import told_by_proxy, told_in

ANSWER_BYTES = 32 << 20
SECONDS = 30.0  # for each step of a request
LONGEST = 120.0  # seconds, for an answer as a whole
REDIRECTS = 10
PIECE = 64 * 1024

OpenSession = Callable[[Outbound], Awaitable[requests.Session]]


async def httpx_client(outbound: Outbound) -> httpx.AsyncClient:
    """A client for one source; close it with `aclose`. An answer has at most 32 MiB."""
    return httpx.AsyncClient(transport=_Transport(outbound, (await outbound.proxy()).url), timeout=SECONDS, trust_env=False)


async def requests_session(outbound: Outbound) -> requests.Session:
    """A session for one source, for threads, one at a time; close it with `close`. An answer has at most 32 MiB, and takes at most 2 minutes."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = REDIRECTS
    session.proxies = dict.fromkeys(("http", "https"), (await outbound.proxy()).url)
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter(outbound.tls))
    return session


class _Transport(httpx.AsyncHTTPTransport):
    """Asks for bodies as they are: one that is packed could grow beyond any bound once httpx unpacks it."""

    def __init__(self, outbound: Outbound, proxy: str) -> None:
        super().__init__(verify=outbound.tls, proxy=proxy, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        url = str(request.url)
        with _told(url):
            response = await super().handle_async_request(request)
        if told := told_in(f"{response.status_code} {response.reason_phrase}"):
            await response.aclose()
            raise told
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise RequestFailed(f"{place(check_url(url))} packed its answer although it was asked not to.")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(url, response.stream)
        return response


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, url: str, stream: httpx.AsyncByteStream) -> None:
        self._url, self._stream = url, stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        ends, room = monotonic() + LONGEST, ANSWER_BYTES
        with _told(self._url):
            async for piece in self._stream:
                room -= len(piece)
                _check_bounds(self._url, room, ends)
                yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class GuardedAdapter(HTTPAdapter):
    """What a session of `requests_session` sends its requests by."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__()

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As the library's; with our trust in authorities."""
        return super().proxy_manager_for(proxy, ssl_context=self._tls, **options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context checks certificates; the library would add authorities of its own to it."""

    def send(  # noqa: PLR0917 - the library's signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002
        timeout: Any = None,  # noqa: ARG002
        verify: Any = True,  # noqa: FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """As the library's; within bounds, and with the whole body."""
        url = request.url or ""
        with _told(url):
            response = super().send(request, True, SECONDS, verify, cert, dict(proxies or {}))  # noqa: FBT003 - by position, as the library has it
            if told := told_in(f"{response.status_code} {response.reason}"):
                response.close()
                raise told
            ends, content = monotonic() + LONGEST, bytearray()
            for piece in response.iter_content(PIECE):
                content += piece
                _check_bounds(url, ANSWER_BYTES - len(content), ends)
        response._content = bytes(content)  # noqa: SLF001 - where the library keeps a body; it offers no bound
        return response


def _check_bounds(url: str, room: int, ends: float) -> None:
    if room < 0:
        raise RequestFailed(f"{place(check_url(url))} answered with more than {ANSWER_BYTES >> 20} MiB, which is more than Tidings reads.")
    if monotonic() > ends:
        raise too_late(check_url(url), LONGEST, "body")


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What httpx, requests and urllib3 came upon, as an error of ours."""
    try:
        yield
    except (httpx.TransportError, requests.RequestException) as error:
        if told := told_by_proxy(error):
            raise told from error
        target = check_url(url)
        if isinstance(error, httpx.TimeoutException | requests.Timeout):
            raise too_late(target, SECONDS, "answer") from error
        tls = next((one for one in causes(error) if isinstance(one, ssl.SSLError)), None)
        raise failed(target, tls or ConnectionResetError(), "tls" if tls else "answer", SECONDS) from error
