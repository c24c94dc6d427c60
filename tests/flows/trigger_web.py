"""Calls of trigger URLs, straight into the endpoint."""

import asyncio
import json
from typing import Any

from tests.flows.webhook_house import House
from tidings.store.database import Database
from tidings.web.trigger_urls import TriggerUrls

ALWAYS = {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
SUCCESS = b'{"success": true}'


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def sync(self) -> tuple[str, str]:
        return self.headers["tidings-sync-id"], self.headers["tidings-sync-state"]

    @property
    def reason(self) -> str | None:
        found: str | None = json.loads(self.body).get("reason")
        return found

    def is_refusal(self, status: int) -> bool:
        told = json.loads(self.body)
        return self.status == status and told["success"] is False and bool(told["reason"]) and list(told) == ["success", "reason"]


class Web:
    """Calls trigger URLs as a server does."""

    def __init__(self, house: House, rate: int = 0, db: Database | None = None) -> None:
        self.stopping = asyncio.Event()
        self.urls = TriggerUrls(db or house.db, house.box, rate, self.stopping)

    async def __call__(
        self,
        path: str | bytes,
        method: str = "GET",
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        pieces: tuple[bytes, ...] = (b"",),
        address: str | None = None,
    ) -> Answer:
        raw = path if isinstance(path, bytes) else path.encode()
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": raw.decode(errors="replace"),
            "raw_path": raw,
            "query_string": query.encode(),
            "client": None if address is None else (address, 4711),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        if pieces != (b"",) and "content-length" not in (headers or {}):
            scope["headers"].append((b"transfer-encoding", b"chunked"))
        left = list(pieces)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.urls(scope, receive, send)
        start, *rest = sent
        body = b"".join(message["body"] for message in rest)
        answered = {name.decode(): value.decode() for name, value in start["headers"]}
        assert int(answered["content-length"]) == len(body)
        assert ALWAYS.items() <= answered.items()
        assert answered["content-type"] == "application/json"
        return Answer(start["status"], answered, body)
