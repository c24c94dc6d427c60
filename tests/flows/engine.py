"""A data source of any kind on a real database, and syncs of it run by hand: the worker without its loop."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from tests.nursery import NURSERY
from tidings import clock
from tidings.connectors import registry
from tidings.connectors.base import Connector
from tidings.knowledge.search import search_every
from tidings.model import credentials
from tidings.model.ids import new_id
from tidings.model.syncs import Sync
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox, load_or_create_secret_key
from tidings.settings import Settings
from tidings.store import leases, manifest, rows, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.leases import Held
from tidings.store.rows import RowView
from tidings.store.transactions import Tx
from tidings.syncs.open_source import open_source
from tidings.syncs.run import Work, run_sync
from tidings.text.pool import TextPool
from tidings.webhooks.announce import announce

LEASE = 30 * clock.SECOND
LET_GO = 60  # seconds, which only end a test that would hang: a sync that is cancelled takes two where nothing else runs


@dataclass
class Engine:
    """One data source, and the work that brings it up to date."""

    db: Database
    work: Work
    workspace: str = field(default_factory=new_id)
    bot: str = field(default_factory=new_id)
    data_source: str = field(default_factory=new_id)

    async def claim(self, **asked: Any) -> Held:
        """Requests a sync and takes it."""
        await self.db.write(syncs.request, self.data_source, "api", **asked)
        held = await self.db.write(leases.claim, "test", self.work.lease)
        assert held is not None
        return held

    async def sync(self, **asked: Any) -> Sync:
        """Requests a sync and runs it to its end."""
        return await run_sync(self.work, await self.claim(**asked))

    async def rows(self) -> dict[str, RowView]:
        """All rows by key."""
        page = await self.db.read(rows.page, self.data_source, limit=1000, cursor=None)
        return {row.key: row for row in page.items}

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Changes the settings of the data source; secrets are none among them."""
        await self.db.write(lambda tx: tx.execute(update(t.data_sources).where(t.data_sources.c.id == self.data_source).values(config=dict(config))))

    async def changes(self, sync: Sync) -> dict[str, str]:
        """The manifest of a sync: kind by key."""
        page = await self.db.read(manifest.page, sync.id, limit=1000, cursor=None)
        return {change.key: change.kind for change in page.items}


def age(folder: Path, seconds: float = 100) -> None:
    """Makes all files look untouched for a while. Their time of change can't be set, so this waits until it is past too."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (time.time() - seconds,) * 2)
    time.sleep(2.1)


@asynccontextmanager
async def engine_over(db: Database, settings: Settings, folder: Path, **limits: Any) -> AsyncIterator[Engine]:
    """An engine over `folder`; `limits` replace those of the work."""
    settings = settings.model_copy(update={"local_roots": (folder,)})
    async with engine_of(db, settings, registry.connector("folder"), {"path": str(folder)}, **limits) as engine:
        yield engine


@asynccontextmanager
async def engine_of(
    db: Database,
    settings: Settings,
    connector: Connector[Any],
    config: Mapping[str, Any],
    *,
    data_source: str | None = None,
    tls: ssl.SSLContext | None = None,
    **limits: Any,
) -> AsyncIterator[Engine]:
    """An engine over a data source with this config; `limits` replace those of the work, `tls` says whom to trust."""
    pool = TextPool(nursery=NURSERY)
    box = SecretBox(load_or_create_secret_key(settings.home, None))
    outbound = Outbound(settings.allowed_networks, tls=tls)
    given: dict[str, Any] = {
        "open_source": lambda held: open_source(db, settings, box, outbound, held, find=lambda _kind: connector),
        "allowance": lambda _plan: None,
        "announce": announce,
        "search": search_every,
        "lease": LEASE,
        "limit": 3600 * clock.SECOND,
        "removal_share": 0.3,
    }
    engine = Engine(db, Work(db=db, pool=pool, **{**given, **limits}), data_source=data_source or new_id())
    sealed = credentials.sealed(box, engine.data_source, config, connector.secret_fields)

    def make(tx: Tx) -> None:
        tx.execute(insert(t.workspaces).values(id=engine.workspace, name="W", plan="unlimited", created_at=1))
        tx.execute(insert(t.bots).values(id=engine.bot, workspace_id=engine.workspace, name="Testing bot", created_at=1))
        tx.execute(
            insert(t.data_sources).values(
                id=engine.data_source,
                workspace_id=engine.workspace,
                bot_id=engine.bot,
                name="Data source one",
                type=connector.kind,
                config=sealed,
                created_at=1,
            )
        )

    await db.write(make)
    try:
        yield engine
    finally:
        await asyncio.shield(pool.aclose())
        await outbound.aclose()
