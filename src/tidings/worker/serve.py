"""Which loops run in a worker, and how they stop."""

import asyncio
from functools import partial
from pathlib import Path

from tidings import clock
from tidings.connectors.home import drop_all, owners
from tidings.connectors.uploads import sweep_uploads
from tidings.knowledge.search import search_every
from tidings.model.workspaces import allowance_of
from tidings.outbound import Outbound
from tidings.secretbox import SecretBox
from tidings.settings import Settings
from tidings.store import data_sources, leases
from tidings.store import deliveries as delivery_store
from tidings.store.database import Database
from tidings.syncs.open_source import open_source
from tidings.syncs.run import Work
from tidings.text.pool import TextPool
from tidings.webhooks.announce import announce, announce_stale
from tidings.webhooks.retention import prune
from tidings.worker.dispatch_loop import dispatch
from tidings.worker.dispatchers import owner, run_dispatchers
from tidings.worker.housekeeping import keep_house
from tidings.worker.schedule import keep_schedules
from tidings.worker.sync_loop import run_syncs


async def run_worker(db: Database, settings: Settings, box: SecretBox, outbound: Outbound, stop: asyncio.Event, *, alone: bool, dispatchers: int = 1) -> None:
    """Runs syncs, schedules, deliveries and housekeeping until `stop`, and then until what is under way is put down safely.

    `alone`: no other process works on this database (SQLite), so whatever is leased was left by one that died.
    `dispatchers`: one is a loop of this process, several are processes of their own.
    """
    if alone:
        await db.write(leases.void)
        await db.write(delivery_store.void_leases)
    await _sweep_files(db, settings.home)
    name = owner()
    pool = TextPool()
    try:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(run_syncs(_work(db, settings, box, outbound, pool), name, stop))
            loops.create_task(
                dispatch(db, settings, box, outbound, name, stop)
                if dispatchers == 1
                else run_dispatchers((settings, outbound.own, outbound.inboxes), dispatchers, stop)
            )
            loops.create_task(keep_schedules(db, announce_stale, stop))
            loops.create_task(keep_house(db, settings, prune, stop))
    finally:
        await pool.aclose()


async def _sweep_files(db: Database, home: Path) -> None:
    """Deletes what uploads left that a crash cut short, and what lies here for data sources that were deleted just before one."""
    await sweep_uploads(home)
    for data_source_id in await db.read(data_sources.deleted_among, await owners(home)):
        await drop_all(home, data_source_id)


def _work(db: Database, settings: Settings, box: SecretBox, outbound: Outbound, pool: TextPool) -> Work:
    return Work(
        db=db,
        pool=pool,
        open_source=partial(open_source, db, settings, box, outbound),
        allowance=lambda plan: allowance_of(plan, settings.plans, settings.default_plan),
        announce=announce,
        search=search_every,
        lease=int(settings.lease_seconds * clock.SECOND),
        limit=int(settings.sync_hours * 3600) * clock.SECOND,
        removal_share=settings.removal_guard,
    )
