"""urllib3 for the libraries that are built on it: HTTPS alone, through the guarded proxy, a few tries for what can be repeated."""

from typing import Any

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers, parse_url

from tidings.outbound.client import Outbound

CONNECT_SECONDS = 30
SILENCE_SECONDS = 60  # between two pieces of an answer
LONGEST_PAUSE = 30  # seconds that Retry-After is followed

PoolError = HTTPError  # whatever goes wrong below


async def pool_of(outbound: Outbound) -> urllib3.ProxyManager:
    """A pool of connections for one source; `clear` closes it. It follows redirects to HTTPS only, and tells no other origin what it was told."""
    proxy = (await outbound.proxy()).url
    return _HttpsPool(
        proxy,
        proxy_headers=make_headers(proxy_basic_auth=parse_url(proxy).auth),
        ssl_context=outbound.tls,
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
        retries=urllib3.Retry(
            total=5,
            connect=2,
            redirect=3,
            status=2,
            other=0,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            raise_on_status=False,
            retry_after_max=LONGEST_PAUSE,
        ),
    )


class _HttpsPool(urllib3.ProxyManager):
    """It would leave HTTPS where a redirect says so."""

    def urlopen(  # type: ignore[override]  # as PoolManager has it, which is not as its own base has it
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> urllib3.BaseHTTPResponse:
        """As the library's, for HTTPS."""
        if not url.startswith("https://"):
            raise urllib3.exceptions.LocationValueError("It leads to an address without TLS.")
        response = super().urlopen(method, url, redirect, **options)
        if response.status >= 400:  # nobody reads what else it says
            response.close()
        return response
