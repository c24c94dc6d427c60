"""A small Notion on loopback: the answers, lists, errors and rules that its public API documentation (version 2025-09-03) describes, as far as we ask."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.ports import end

TOKEN = "ntn_of_the_tests"
LONG_AGO = "2025-01-01T10:{:02}:00.000Z"


def id_of(name: str) -> str:
    """The id of whatever is called so."""
    return str(uuid5(NAMESPACE_URL, name))


def text(content: str, href: str | None = None, **marks: bool) -> dict[str, Any]:
    """A piece of rich text."""
    link = {"url": href} if href else None
    return {"type": "text", "text": {"content": content, "link": link}, "annotations": marks, "plain_text": content, "href": href}


def block(kind: str, *children: Mapping[str, Any], name: str | None = None, **content: Any) -> dict[str, Any]:
    """A block; `children` are in it. A text may be given for rich text."""
    said = {member: [text(value)] if member in {"rich_text", "caption"} and isinstance(value, str) else value for member, value in content.items()}
    return {"object": "block", "type": kind, kind: said, "children": list(children), **({"id": id_of(name)} if name else {})}


def paragraph(content: str) -> dict[str, Any]:
    """The most usual block."""
    return block("paragraph", rich_text=content)


@dataclass
class Notion:
    """What there is, by id, and what was asked: (method, path) each."""

    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of databases; Notion calls them data sources
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    inside: dict[str, list[str]] = field(default_factory=dict)  # what is in a page or block
    hidden: set[str] = field(default_factory=set)  # not shared
    broken: set[str] = field(default_factory=set)  # whose blocks Notion fails to give
    token: str = TOKEN
    down: bool = False
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # what the next requests are answered with
    most: int = 100  # items of an answer
    lists: dict[str, Any] = field(default_factory=dict)  # members of lists that it gives in the place of the right ones
    let_through: int | None = None  # contents; who asks for another one waits
    waiting: int = 0
    asked: list[str] = field(default_factory=list)
    edits: Counter[str] = field(default_factory=Counter)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def put(self, name: str, *blocks: Mapping[str, Any], parent: Mapping[str, Any] | None = None, **properties: Any) -> str:
        """Makes or edits a page; its id."""
        page_id = id_of(name)
        self.edits[page_id] += 1
        self.pages[page_id] = {
            "object": "page",
            "id": page_id,
            "parent": parent or {"type": "workspace", "workspace": True},
            "last_edited_time": LONG_AGO.format(self.edits[page_id]),
            "archived": False,
            "in_trash": False,
            "url": f"https://www.notion.so/{page_id.replace('-', '')}",
            "properties": {"Name": {"id": "title", "type": "title", "title": [text(name)]}, **properties},
        }
        self._fill(page_id, {"type": "page_id", "page_id": page_id}, blocks)
        return page_id

    def put_part(self, name: str, database: str, parent: Mapping[str, Any]) -> str:
        """Makes one part of a database; its id."""
        of = {"type": "database_id", "database_id": id_of(database)}
        self.parts[id_of(name)] = {"object": "data_source", "id": id_of(name), "parent": of, "database_parent": parent, "in_trash": False}
        return id_of(name)

    def _fill(self, parent_id: str, parent: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> None:
        self.inside[parent_id] = []
        for number, one in enumerate(blocks):
            block_id = one.get("id") or id_of(f"{parent_id}/{number}")
            self.blocks[block_id] = {**one, "id": block_id, "parent": parent, "has_children": bool(one["children"])}
            self.inside[parent_id].append(block_id)
            self._fill(block_id, {"type": "block_id", "block_id": block_id}, one["children"])

    # answers ------------------------------------------------------------------------------------------------------------------------------

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.down:
            assert request.transport is not None
            request.transport.abort()
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return web.json_response({"object": "error", "status": status, "code": "rate_limited", "message": "Slow down."}, status=status, headers=headers)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, "unauthorized", "API token is invalid.")
        if not request.headers.get("Notion-Version"):
            return error(400, "missing_version", "Notion-Version header is required.")
        assert "proxy-authorization" not in request.headers
        response: web.StreamResponse = await handler(request)
        return response

    async def page(self, request: web.Request) -> web.Response:
        return self._one(self.pages, request)

    async def one_block(self, request: web.Request) -> web.Response:
        return self._one(self.blocks, request)

    async def database(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        parts = [{"id": part["id"], "name": "Part"} for part in self.parts.values() if part["parent"]["database_id"] == wanted]
        return web.json_response({"object": "database", "id": wanted, "in_trash": False, "data_sources": parts}) if parts else _not_found(wanted)

    async def query(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        if wanted not in self.parts:
            return _not_found(wanted)
        return self._listed([page for page in self._shown() if page["parent"].get("data_source_id") == wanted], await request.json())

    async def search(self, request: web.Request) -> web.Response:
        return self._listed([*self._shown(), *self.parts.values()], await request.json())

    async def children(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        if wanted not in self.inside or wanted in self.hidden:
            return _not_found(wanted)
        if wanted in self.broken:
            return error(500, "internal_server_error", "Something went wrong.")
        if self.let_through is not None and wanted in self.pages:
            self.let_through -= 1
            if self.let_through < 0:
                self.waiting += 1
                await self.released.wait()
                self.waiting -= 1
        blocks = [{member: value for member, value in self.blocks[each].items() if member != "children"} for each in self.inside[wanted]]
        return self._listed(blocks, request.query)

    def _shown(self) -> list[dict[str, Any]]:
        return [page for page_id, page in self.pages.items() if page_id not in self.hidden and not page["in_trash"]]

    def _one(self, things: Mapping[str, Mapping[str, Any]], request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        if wanted not in things or wanted in self.hidden:
            return _not_found(wanted)
        return web.json_response({member: value for member, value in things[wanted].items() if member != "children"})

    def _listed(self, things: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]) -> web.Response:
        if int(asked.get("page_size", 100)) > 100:
            return error(400, "validation_error", "page_size should be at most 100.")
        start = int(asked.get("start_cursor", 0))
        end = start + min(int(asked.get("page_size", 100)), self.most)
        more = end < len(things)
        return web.json_response({"object": "list", "results": things[start:end], "has_more": more, "next_cursor": str(end) if more else None, **self.lists})


def error(status: int, code: str, message: str) -> web.Response:
    """An error as Notion gives it."""
    return web.json_response({"object": "error", "status": status, "code": code, "message": message}, status=status)


def _not_found(wanted: str) -> web.Response:
    return error(404, "object_not_found", f"Could not find object with ID: {wanted}. Make sure it is shared with your integration.")


@asynccontextmanager
async def notion_server() -> AsyncIterator[Notion]:
    """An empty one, on a free port."""
    notion = Notion()
    app = web.Application(middlewares=[notion.gate])
    app.router.add_get("/v1/pages/{id}", notion.page)
    app.router.add_get("/v1/databases/{id}", notion.database)
    app.router.add_post("/v1/data_sources/{id}/query", notion.query)
    app.router.add_post("/v1/search", notion.search)
    app.router.add_get("/v1/blocks/{id}", notion.one_block)
    app.router.add_get("/v1/blocks/{id}/children", notion.children)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    notion.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield notion
    finally:
        await end(runner)
