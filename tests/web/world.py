"""A house with two workspaces, served in this process, and clients that speak to it with a key each."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import insert, select, update
from sqlalchemy import text as sql
from starlette.types import ASGIApp

from tidings import clock
from tidings.model.ids import new_id
from tidings.model.workspaces import Role
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings, load_settings
from tidings.store import events, tables, workspaces
from tidings.store.database import open_database
from tidings.store.transactions import Tx
from tidings.web.server import create_app
from tidings.web.services import Services
from tidings.workspaces import keys


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of one workspace, with a key of one role."""

    workspace_id: str
    client: httpx.AsyncClient

    async def __call__(self, method: str, path: str, expect: int | None = None, **more: Any) -> httpx.Response:
        """One request, `path` below `/api/v1` unless it is one of another place; with `expect`, the status that it has to have."""
        url = path if path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/openapi", "/docs", "/.well-known")) else f"/api/v1{path}"
        answer = await self.client.request(method, url, **more)
        assert expect is None or answer.status_code == expect, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    async def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What a POST made."""
        found: dict[str, Any] = (await self("POST", path, 201, json=body)).json()
        return found


@dataclass(frozen=True, slots=True)
class World:
    """`operator`, `owner` and `member` belong to one workspace, `stranger` owns another, `nobody` has no key."""

    services: Services
    app: ASGIApp
    operator: Caller
    owner: Caller
    member: Caller
    stranger: Caller
    nobody: Caller

    async def with_row(self, data_source_id: str, text: str, *, error: str | None = None) -> str:
        """Publishes one more row of a data source; its id."""
        return await self.services.db.write(_publish, data_source_id, text, error)

    async def with_change(self, sync_id: str, row_id: str) -> int:
        """Adds a line to the manifest of a sync, which says that it added a row; its number."""
        return await self.services.db.write(_change, sync_id, row_id)

    async def ended_sync(self, data_source_id: str, state: str = "succeeded", **values: Any) -> str:
        """Has the queued sync of a data source end; its id."""
        return await self.services.db.write(_end, data_source_id, state, values)

    async def event(self, caller: Caller, data: dict[str, Any]) -> int:
        """Records an event; its number."""

        def add(tx: Tx) -> int:
            seq = events.add(tx, caller.workspace_id, "sync.success", clock.now(), data).seq
            tx.wake("events")
            return seq

        return await self.services.db.write(add)


@contextlib.asynccontextmanager
async def opened(settings: Settings, **changes: Any) -> AsyncIterator[World]:
    """A world over the database that the settings name."""
    settings = settings.model_copy(update=changes)
    db = open_database(settings)
    outbound = Outbound(settings.allowed_networks)
    services = Services(db, settings, SecretBox([secrets.token_bytes(32)]), outbound, "http://tidings.example")
    app = create_app(services)
    workspace_id = await db.write(workspaces.create, "First", settings.default_plan)
    other_id = await db.write(workspaces.create, "Second", settings.default_plan)

    async with contextlib.AsyncExitStack() as stack:

        async def caller(of: str, key: str | None) -> Caller:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
            client = httpx.AsyncClient(transport=transport, base_url="http://tidings.example", headers=headers, timeout=60)
            return Caller(of, await stack.enter_async_context(client))

        async def key_of(of: str, role: Role) -> str:
            return (await keys.create(db, of, role, role))[1]

        yield World(
            services=services,
            app=app,
            operator=await caller(workspace_id, await key_of(workspace_id, "operator")),
            owner=await caller(workspace_id, await key_of(workspace_id, "owner")),
            member=await caller(workspace_id, await key_of(workspace_id, "member")),
            stranger=await caller(other_id, await key_of(other_id, "owner")),
            nobody=await caller("", None),
        )
    await outbound.aclose()
    db.close()


def settings_in(settings: Settings) -> Settings:
    """The same with a local root, so that folders can be data sources."""
    root = settings.home / "docs"
    root.mkdir(exist_ok=True)
    (root / "a.md").write_text("# A\n\nSome text.")
    return load_settings(home=settings.home, database_url=settings.database_url, local_roots=(root,))


def _publish(tx: Tx, data_source_id: str, text: str, error: str | None) -> str:
    source = tables.data_sources
    number = tx.execute(update(source).where(source.c.id == data_source_id).values(published=source.c.published + 1).returning(source.c.published)).scalar_one()
    row_id = new_id()
    row = {"id": row_id, "data_source_id": data_source_id, "key": f"{row_id}.md", "key_hash": row_id.encode(), "error": error}
    row_n = tx.execute(insert(tables.rows).values(row).returning(tables.rows.c.n)).scalar_one()
    version = {"from_n": number, "to_n": tables.FOREVER, "content_hash": "c", "text_hash": "t", "fingerprint": "f"}
    version_n = tx.execute(
        insert(tables.versions)
        .values(row_n=row_n, data_source_id=data_source_id, title=f"Title {row_id}", tokens=3, documents=1, created_at=clock.now(), **version)
        .returning(tables.versions.c.n)
    ).scalar_one()
    document = {"id": new_id(), "version_n": version_n, "scope": data_source_id.replace("-", ""), "ord": 0, "heading": "", "text": text, "tokens": 3}
    document_n = tx.execute(insert(tables.documents).values(document).returning(tables.documents.c.n)).scalar_one()
    if tx.dialect == "sqlite":
        entry = "INSERT INTO documents_text (rowid, heading, text, scope) SELECT n, heading, text, scope FROM documents WHERE n = :n"
        tx.execute(sql(entry), {"n": document_n})
    size = {"rows": number, "documents": number, "tokens": 3 * number}
    tx.execute(insert(tables.snapshots).values(data_source_id=data_source_id, n=number, sync_id=new_id(), published_at=clock.now(), **size))
    return row_id


def _change(tx: Tx, sync_id: str, row_id: str) -> int:
    rows, versions = tables.rows, tables.versions
    query = select(rows.c.n, rows.c.key, versions.c.n).join(versions, versions.c.row_n == rows.c.n).where(rows.c.id == row_id)
    row_n, key, version_n = tx.execute(query).one()
    line = {"sync_id": sync_id, "row_n": row_n, "key": key, "kind": "added", "tokens": 3, "hash_after": "c", "version_after": version_n}
    return int(tx.execute(insert(tables.changes).values(line).returning(tables.changes.c.n)).scalar_one())


def _end(tx: Tx, data_source_id: str, state: str, values: dict[str, Any]) -> str:
    syncs = tables.syncs
    ended: str = tx.execute(
        update(syncs)
        .where(syncs.c.data_source_id == data_source_id, syncs.c.state == "queued")
        .values(state=state, started_at=clock.now(), finished_at=clock.now(), **values)
        .returning(syncs.c.id)
    ).scalar_one()
    tx.wake("ended")
    return ended


def fields_of(answer: httpx.Response) -> list[str]:
    """The fields that a problem document names."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    return [error["field"] for error in problem.get("errors", [])]


async def a_bot(caller: Caller) -> str:
    """A new bot; its id."""
    found: str = (await caller.made("/bots", {"name": f"Bot {secrets.token_hex(3)}"}))["id"]
    return found


async def a_folder(world: World, caller: Caller, bot_id: str, **more: Any) -> dict[str, Any]:
    """A new data source over the local root."""
    body = {"name": f"Docs {secrets.token_hex(3)}", "type": "folder", "config": {"path": str(world.services.settings.local_roots[0])}, **more}
    return await caller.made(f"/bots/{bot_id}/data-sources", body)
