"""Workers are killed while they start what is due by schedule: each run starts once, each broken promise is told once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from tests.faults.house import dice
from tests.store.test_leases import make_sources
from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.model.schedules import Schedule
from tidings.settings import Settings
from tidings.store import plans, tables
from tidings.store.database import Database
from tidings.store.transactions import Tx

HOUR = 3600 * SECOND
SOURCES = 120
KILLS = 3
WORKER = """
import asyncio
from tidings.settings import load_settings
from tidings.store.database import open_database
from tidings.webhooks.announce import announce_stale
from tidings.worker.schedule import keep_schedules

asyncio.run(keep_schedules(open_database(load_settings()), announce_stale, asyncio.Event()))
"""


@contextmanager
def working(settings: Settings, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that keep schedules; killed at the end."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "TIDINGS_HOME": str(settings.home)}
    environment |= {"TIDINGS_DATABASE_URL": settings.database_url} if settings.database_url else {}
    workers = [subprocess.Popen([sys.executable, "-c", WORKER], env=environment) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()


async def until(database: Database, started: float) -> None:
    """Waits until so many syncs were started."""

    def count(tx: Tx) -> int:
        return int(tx.execute(select(func.count()).select_from(tables.syncs)).scalar_one())

    async with asyncio.timeout(120):
        while True:
            if await database.read(count) >= started:
                return
            await asyncio.sleep(0.005)


async def test_workers_that_are_killed_start_each_run_once(database: Database, settings: Settings) -> None:
    chance = dice()
    sources = await make_sources(database, SOURCES)
    yesterday = clock.now() - DAY
    clock.set_source(lambda: yesterday)
    try:
        for source in sources:
            await database.write(plans.make, source, Schedule(every=HOUR, fresh_within=2 * HOUR))
    finally:
        clock.set_source(None)
    at_once = 2 if settings.database_url else 1  # on SQLite one process owns the file
    for kill in range(KILLS):
        with working(settings, at_once):
            await until(database, (kill + chance.random()) * SOURCES / KILLS)
    with working(settings, at_once):
        await until(database, SOURCES)

    def judge(tx: Tx) -> None:
        begun = tx.execute(select(tables.syncs.c.data_source_id, tables.syncs.c.triggered_by, tables.syncs.c.merged)).all()
        assert sorted(tuple(row) for row in begun) == [(source, "schedule", 0) for source in sorted(sources)]
        told = [event["dataSourceId"] for event in tx.execute(select(tables.events.c.data)).scalars()]
        assert sorted(told) == sorted(sources)
        for next_run_at, stale_since in tx.execute(select(tables.data_sources.c.next_run_at, tables.data_sources.c.stale_since)):
            assert clock.now() - HOUR < next_run_at <= clock.now() + HOUR
            assert stale_since == yesterday + 2 * HOUR

    await database.read(judge)
