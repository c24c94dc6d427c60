"""Very many calls of one trigger URL while syncs run: product rule 1, for each of them.

BURST_SECONDS says for how long (a second without it).
"""

import asyncio
import os
import secrets
from pathlib import Path

from sqlalchemy import func, select

from tests.flows.engine import engine_over
from tests.flows.test_syncs import fill
from tests.flows.trigger_web import Web
from tests.flows.webhook_house import House
from tidings import clock
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import data_sources, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.worker.sync_loop import run_syncs

PER_SECOND, CALLERS = 1_000, 20
CALLS = PER_SECOND * int(os.environ.get("BURST_SECONDS", "1"))


def under_way(tx: Tx) -> dict[str, int]:
    """How many syncs run, and how many are queued."""
    query = select(t.syncs.c.state, func.count().label("syncs")).where(t.syncs.c.state.in_(("running", "queued"))).group_by(t.syncs.c.state)
    return {row.state: row.syncs for row in tx.execute(query)}


async def test_a_sync_begins_after_each_of_a_thousand_calls_a_second(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 20)
    async with engine_over(database, settings, folder) as engine:
        source = await database.read(data_sources.get, engine.workspace, engine.data_source)
        outbound, box = Outbound(settings.allowed_networks), SecretBox([secrets.token_bytes(32)])
        house = House(database, settings, box, outbound, engine.workspace, engine.bot, "B", source)
        hook, web = await house.trigger_hook(), Web(house)
        stop, left, calls = asyncio.Event(), iter(range(CALLS)), list[tuple[int, str, str]]()
        seen: list[dict[str, int]] = []

        began = asyncio.get_running_loop().time()

        async def call() -> None:
            for number in left:
                await asyncio.sleep(began + number / PER_SECOND - asyncio.get_running_loop().time())
                at = clock.now()
                calls.append((at, *(await web(hook.trigger_path)).sync))

        async def watch() -> None:
            called = False
            while not (called and not seen[-1]):
                called = stop.is_set()  # before the look, so that what was queued last is in it
                seen.append(await database.read(under_way))
                await asyncio.sleep(0.005)

        over = asyncio.Event()
        running, watching = asyncio.create_task(run_syncs(engine.work, "test", over)), asyncio.create_task(watch())
        await asyncio.gather(*(call() for _ in range(CALLERS)))
        stop.set()
        async with asyncio.timeout(60):
            await watching
        over.set()
        await running
        ended = {one.id: one for one in (await database.read(syncs.page, engine.data_source, limit=CALLS, cursor=None)).items}
        assert len(calls) == CALLS
        assert len(ended) == sum(state == "queued" for _, _, state in calls) > 1
        assert all(one.state == "succeeded" for one in ended.values())
        assert all((ended[sync_id].started_at or 0) >= at for at, sync_id, _ in calls)
        assert any(counts.get("running") for counts in seen)
        assert all(max(counts.values(), default=0) <= 1 for counts in seen)
        await web.urls.aclose()
