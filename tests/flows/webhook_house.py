"""A workspace with a bot and a data source, a receiver on loopback, and ways to end syncs: what the tests of hooks need."""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from aiohttp import web
from sqlalchemy import select, update

from tests.flows.commands import ENDS_WITHIN
from tests.ports import end
from tidings import clock
from tidings.model.bots import DataSource
from tidings.model.ids import new_id
from tidings.model.syncs import Sync
from tidings.model.webhooks import Delivery, Hook
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import bots, data_sources, syncs, workspaces
from tidings.store import deliveries as stored
from tidings.store.database import Database
from tidings.store.tables import syncs as syncs_table
from tidings.store.transactions import Tx
from tidings.webhooks import deliveries, hooks
from tidings.webhooks.announce import announce
from tidings.webhooks.hooks import HookInput
from tidings.webhooks.signing import parse_signing_secret, verify
from tidings.worker.dispatch_loop import dispatch


def word() -> str:
    """A random name."""
    return f"Näme {secrets.token_hex(4)}"


@dataclass
class House:
    """One bot of one workspace, and what it takes to work with its hooks."""

    db: Database
    settings: Settings
    box: SecretBox
    outbound: Outbound
    workspace_id: str
    bot_id: str
    bot_name: str
    source: DataSource
    dice: random.Random = field(default_factory=random.Random)

    async def add_source(self) -> DataSource:
        source = DataSource(new_id(), self.workspace_id, self.bot_id, word(), "folder", {}, paused=False, created_at=clock.now())
        await self.db.write(data_sources.create, source)
        return source

    async def trigger_hook(self, **more: Any) -> Hook:
        return await self.hook("sync_trigger", **{"data_source_id": self.source.id, **more})

    async def hook(self, kind: Any = "sync_success", **more: Any) -> Hook:
        return await hooks.create(self.db, self.box, self.outbound, self.workspace_id, self.bot_id, HookInput(kind, **more))

    async def change(self, hook: Hook, **change: Any) -> Hook:
        return await hooks.change(self.db, self.box, self.outbound, self.workspace_id, hook.id, change)  # type: ignore[arg-type]

    async def look(self, hook: Hook) -> Hook:
        return await hooks.read(self.db, self.box, self.workspace_id, hook.id)

    async def end_sync(self, *, source: DataSource | None = None, refs: tuple[str, ...] = (), state: str = "succeeded", **values: Any) -> Sync:
        """Queues a sync and ends it at once, announced as the engine does it: in the transaction that ends it."""
        return await self.db.write(self._end, source or self.source, refs, state, values)

    def _end(self, tx: Tx, source: DataSource, refs: tuple[str, ...], state: str, values: dict[str, Any]) -> Sync:
        sync_id = syncs.request(tx, source.id, "api", refs=refs).sync_id
        now = clock.now()
        if state == "succeeded":
            modified, unmodified = self.dice.randrange(10**6), self.dice.randrange(10**6)
            figures = {
                "totalTokens": self.dice.randrange(10**9),
                "modifiedRows": modified,
                "totalDocuments": self.dice.randrange(10**6),
                "unmodifiedRows": unmodified,
                "totalDataSourceRows": modified + unmodified,
            }
            values = {"results": figures, **values}
        elif state == "failed":
            values = {"code": "source_unreachable", "reason": f"Unreachable {secrets.token_hex(4)}", **values}
        ended = update(syncs_table).where(syncs_table.c.id == sync_id).values(state=state, started_at=now - 5, finished_at=now, **values)
        tx.execute(ended)
        sync = syncs.get(tx, self.workspace_id, sync_id)
        announce(tx, sync)
        tx.wake("ended")
        return sync

    async def deliveries(self, hook: Hook | None = None) -> list[Delivery]:
        """With their attempts, in the order in which they were made."""
        found = await self.db.read(stored.page, self.workspace_id, webhook_id=None if hook is None else hook.id, limit=200, cursor=None)
        return [await deliveries.read(self.db, self.box, self.workspace_id, one.id) for one in reversed(found.items)]

    async def only_delivery(self, hook: Hook | None = None) -> Delivery:
        (one,) = await self.deliveries(hook)
        return one

    async def until(self, fits: Callable[[list[Delivery]], bool], seconds: float = ENDS_WITHIN) -> list[Delivery]:
        """Waits until the deliveries are as they should be."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self.deliveries()
                if fits(found):
                    return found
                await asyncio.sleep(0.02)

    async def until_all(self, state: str, count: int = 1) -> list[Delivery]:
        return await self.until(lambda found: len(found) == count and all(one.state == state for one in found))

    async def wake(self) -> None:
        """After the clock was set: the dispatcher looks again."""
        await self.db.write(lambda tx: tx.wake("deliveries"))

    @contextlib.asynccontextmanager
    async def dispatching(self, **settings: Any) -> AsyncIterator[asyncio.Event]:
        """A dispatcher, as long as the block lasts; then it is stopped cleanly."""
        stop = asyncio.Event()
        changed = self.settings.model_copy(update=settings)
        task = asyncio.create_task(dispatch(self.db, changed, self.box, self.outbound, new_id(), stop))
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.wait_for(task, ENDS_WITHIN)

    async def until_queued(self, seconds: float = ENDS_WITHIN) -> str:
        """The id of the queued sync, once there is one."""
        async with asyncio.timeout(seconds):
            while True:
                for row in await self.queued():
                    return str(row.id)
                await asyncio.sleep(0.01)

    async def queued(self) -> list[Any]:
        def read(tx: Tx) -> list[Any]:
            return list(tx.execute(select(syncs_table.c.id, syncs_table.c.merged).where(syncs_table.c.state == "queued")).all())

        return await self.db.read(read)


@contextlib.asynccontextmanager
async def open_house(db: Database, settings: Settings) -> AsyncIterator[House]:
    """A house whose outgoing requests may reach loopback."""
    allowed = settings.model_copy(update={"allowed_networks": (ip_network("127.0.0.0/8"),)})
    outbound = Outbound(allowed.allowed_networks)
    name = word()
    try:
        workspace_id = await db.write(workspaces.create, word(), "unlimited")
        bot = await db.write(bots.create, workspace_id, name)
        source = DataSource(new_id(), workspace_id, bot.id, word(), "folder", {}, paused=False, created_at=clock.now())
        await db.write(data_sources.create, source)
        yield House(db, allowed, SecretBox([secrets.token_bytes(32)]), outbound, workspace_id, bot.id, name, source)
    finally:
        await outbound.aclose()
        clock.set_source(None)


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes


@dataclass
class Receiver:
    """Answers 200, or whatever `answer` says of a request."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Callable[[Got], Any] = lambda _got: web.Response(text="thanks")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        got = Got(request.path, {name.lower(): value for name, value in request.headers.items()}, await request.read())
        self.got.append(got)
        self.arrived.set()
        answer = self.answer(got)
        given: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return given

    async def until(self, count: int, seconds: float = ENDS_WITHIN) -> list[Got]:
        async with asyncio.timeout(seconds):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.got


def knowing(*known: str) -> Callable[[Got], web.Response]:
    """The answer of a receiver that knows these secrets: 401 to all else."""

    def answer(got: Got) -> web.Response:
        wrong = verify([parse_signing_secret(secret) for secret in known], got.headers, got.body, clock.now())
        return web.Response(status=200 if wrong is None else 401)

    return answer


@contextlib.asynccontextmanager
async def open_receiver(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on loopback; on a free port, unless one is named."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await end(runner)


class Travel:
    """The clock, to be set forward."""

    def __init__(self) -> None:
        self._ahead = 0
        clock.set_source(lambda: time.time_ns() // 1000 + self._ahead)

    def forward(self, seconds: float) -> None:
        self._ahead += int(seconds * clock.SECOND)
