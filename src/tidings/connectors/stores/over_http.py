"""Stores that are asked over HTTP through the door: what they share."""

from collections.abc import Mapping
from urllib.parse import quote

from tidings.connectors.base import MEGABYTE, SourceContext
from tidings.connectors.stores.base import Store
from tidings.connectors.stores.places import Place
from tidings.connectors.web import Page, Web, row_error
from tidings.errors import RefusedAddress, Unanswered

LISTING_BYTES = 32 * MEGABYTE  # of one answer that lists files


class HttpStore(Store):
    """A store at `place.endpoint`. `headers` go with each request to that origin, and to no other."""

    def __init__(self, place: Place, context: SourceContext, headers: Mapping[str, str] | None = None) -> None:
        self.place = place
        self._web = Web(context, headers, self.at_once)

    async def ask(self, url: str, limit: int, method: str = "GET", body: bytes = b"") -> Page:
        """A whole answer of success. Raises as a store does."""
        try:
            page = await self._web.ask(url, limit=limit, method=method, body=body)
        except RefusedAddress as error:
            raise PermissionError(str(error)) from error
        except Unanswered as error:
            raise row_error(error) if error.code == "too_large" else ConnectionError(str(error)) from error
        match page.status:
            case 200 | 207:
                return page
            case 404 | 410:
                raise FileNotFoundError
            case 403 | 429 if page.headers.get("x-ratelimit-remaining") == "0":
                raise PermissionError(f"It answers {page.status}: its limit of requests is used up. Sync again later; with a token there may be more.")
            case 401 | 403 | 407:
                raise PermissionError(f"It answers {page.status}: these credentials, or none, are not enough.")
        raise ConnectionError(f"It answers {page.status}.")


def quoted(path: str) -> str:
    """A path as it stands in a URL."""
    return quote(path, safe="/", errors="surrogateescape")
