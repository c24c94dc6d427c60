"""The demo's HTTP client: one request after the other to the server on this machine."""

import asyncio
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from tidings.errors import TidingsError

TIMEOUT_SECONDS = 20


class Client:
    """Speaks to `url` with an API key."""

    def __init__(self, url: str, key: str) -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def api(self, method: str, path: str, body: object = None) -> Any:
        """What a route of the API answers. TidingsError with what it says where it refuses."""
        content = None if body is None else json.dumps(body)
        status, _, answer = await asyncio.to_thread(self._exchange, method, f"/api/v1{path}", content, self._headers)
        if status >= 400:
            raise TidingsError(f"{method} {path} was answered with {status}: {answer.get('detail', answer)}")
        return answer

    async def get(self, url: str) -> tuple[str, Any]:
        """Calls a trigger URL: (id of the sync, the answer). TidingsError."""
        status, sync_id, answer = await asyncio.to_thread(self._exchange, "GET", urlsplit(url).path, None, {})
        if status != 200:
            raise TidingsError(f"The trigger URL was answered with {status}: {answer}")
        return sync_id, answer

    def _exchange(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str, Any]:
        connection = http.client.HTTPConnection(self._place, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Tidings-Sync-Id", ""), json.loads(response.read() or b"null")
        except OSError as error:
            raise TidingsError(f"The demo's server does not answer: {error}. Run the demo again.") from error
        finally:
            connection.close()
