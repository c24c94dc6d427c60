"""Nothing is done twice that need not be: after a kill, after a failure, by a worker that takes over."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from tests.flows.engine import LEASE, Engine, engine_over
from tests.flows.source_of_texts import AskedTexts, Texts
from tidings import clock, metrics
from tidings.model.syncs import Sync
from tidings.settings import Settings
from tidings.store import known, leases, staging, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.syncs.run import run_sync
from tidings.worker import sync_loop

ROWS = 1_000
KILLED_AT = 900


def fetched(texts: Texts) -> list[str]:
    """The keys that were fetched, in order."""
    return [key for keys in texts.asked for key in keys]


async def settled(database: Database) -> int:
    """How many rows the syncs of this database have settled."""
    return len(await database.read(lambda tx: tx.execute(t.changes.select()).all()))


async def taken_over(engine: Engine) -> Sync:
    """What becomes of a sync whose worker is gone."""
    held = None
    while held is None:  # a last write of the one that is gone holds the row for a moment
        await engine.db.write(leases.void)
        held = await engine.db.write(leases.claim, "next", LEASE)
    return await run_sync(engine.work, held)


async def test_a_sync_killed_at_90_percent_fetches_the_rest(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"row {n}": f"This is what row {n} says." for n in range(ROWS)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        running = asyncio.create_task(run_sync(engine.work, await engine.claim()))
        while await settled(database) < KILLED_AT:
            assert not running.done()
            await asyncio.sleep(0.005)
        running.cancel()  # nothing is handed over, as with a kill: only what is committed is left
        await asyncio.gather(running, return_exceptions=True)
        done = len(fetched(texts))
        ended = await taken_over(engine)
        assert (ended.state, ended.counts.added, ended.results is not None) == ("succeeded", ROWS, True)
        assert set(fetched(texts)) == set(texts.texts)
        twice = len(fetched(texts)) - ROWS
        assert twice <= ROWS // 20
        assert len(fetched(texts)) - done <= ROWS - KILLED_AT + ROWS // 20


@pytest.mark.parametrize("kind", [Texts, AskedTexts])
async def test_a_failed_sync_retried_fetches_nothing_again(database: Database, settings: Settings, home: Path, kind: type[Texts]) -> None:
    texts = kind({f"old {n}": f"Old text {n}." for n in range(20)})
    limits = [10_000]
    async with engine_over(database, settings, home, open_source=texts.open, allowance=lambda _plan: limits[0]) as engine:
        await engine.sync()
        texts.asked.clear()
        texts.texts = {f"row {n}": f"Text {n}." for n in range(50)}
        assert (await engine.sync()).code == "removal_guard"
        assert sorted(fetched(texts)) == sorted(texts.texts)
        texts.texts["row new"] = "One more."
        ended = await engine.sync(approve_removals=True)
        assert (ended.state, ended.counts.added, ended.counts.removed) == ("succeeded", 51, 20)
        assert fetched(texts)[50:] == ["row new"]
        texts.texts["row new"] = "Another text."
        limits[0] = 0
        assert (await engine.sync()).code == "over_plan_limit"
        texts.texts["row new"] = "One more."  # back to what is published, which is not what was staged last
        assert (await engine.sync()).counts.changed == 0


@pytest.mark.parametrize("approved", [True, False])
async def test_removals_staged_by_a_worker_that_died_do_not_open_the_door_to_more(
    database: Database, settings: Settings, home: Path, *, approved: bool
) -> None:
    texts = Texts({f"row {n}": f"This is what row {n} says." for n in range(60)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        all_rows, texts.texts = await engine.rows(), {f"row {n}": f"This is what row {n} says." for n in range(40)}
        if approved:
            assert (await engine.sync()).code == "removal_guard"
        held = await engine.claim(approve_removals=approved)
        begun = await database.write(known.begin, held)
        gone = [(n, key) for n, key in await database.read(known.visible_rows, begun, 0, 1_000) if key not in texts.texts]
        await database.write(staging.remove, begun, gone[:9])  # and there it was killed
        if approved:  # the source is as it was: what was approved goes on
            ended = await taken_over(engine)
            assert (ended.state, ended.counts.removed, set(await engine.rows())) == ("succeeded", 20, set(texts.texts))
            return
        texts.texts = {}
        stopped = await taken_over(engine)
        assert stopped.code == "removal_guard"
        assert (stopped.reason or "").startswith("The source lists no rows any more, while the published snapshot has 60 rows.")
        assert await engine.changes(stopped) == dict.fromkeys(all_rows, "removed")
        assert await engine.rows() == all_rows


async def test_removals_that_a_guard_stopped_are_judged_anew_where_its_worker_died(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"row {n}": f"This is what row {n} says." for n in range(60)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts_before, texts.texts = texts.texts, {f"row {n}": f"This is what row {n} says." for n in range(30)}
        held = await engine.claim()
        begun = await database.write(known.begin, held)
        gone = [(n, key) for n, key in await database.read(known.visible_rows, begun, 0, 1_000) if key not in texts.texts]
        await database.write(staging.list_removals, begun, gone[:15])  # and there it was killed: the other half alone would be few enough
        stopped = await taken_over(engine)
        assert "would remove 30 of 60 rows" in (stopped.reason or "")
        assert await engine.changes(stopped) == {key: "removed" for _, key in gone}

        held = await engine.claim()
        begun = await database.write(known.begin, held)
        await database.write(staging.list_removals, begun, gone)
        texts.texts = texts_before
        ended = await taken_over(engine)
        assert (ended.state, await engine.changes(ended), len(await engine.rows())) == ("succeeded", {}, 60)


async def test_a_worker_that_vanished_is_replaced_within_a_minute(database: Database, settings: Settings, home: Path) -> None:
    """By the default settings: a lease runs out, and the next look of another worker finds that."""
    assert settings.lease_seconds + sync_loop.POLL_SECONDS <= 60
    texts = Texts({"a": "One."})
    short = clock.SECOND // 2
    async with engine_over(database, settings, home, open_source=texts.open, lease=short) as engine:
        asked = await database.write(syncs.request, engine.data_source, "api")
        vanished = await database.write(leases.claim, "vanished", short)
        assert vanished is not None
        stop = asyncio.Event()
        worker = asyncio.create_task(sync_loop.run_syncs(engine.work, "next", stop))
        ended = database.listen("ended")
        while not (sync := await database.read(syncs.get, engine.workspace, asked.sync_id)).ended:
            assert not worker.done()
            await ended.wait(1)
        assert sync.state == "succeeded"
        stop.set()
        await worker


async def test_a_worker_outlives_what_it_can_make_nothing_of(database: Database, settings: Settings, home: Path) -> None:
    """A schedule that nobody can read, for one: the others of its process, which deliver and answer, have nothing to do with that."""
    texts = Texts({"a": "One."})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        asked = await database.write(syncs.request, engine.data_source, "api")
        mine = update(t.data_sources).where(t.data_sources.c.id == engine.data_source)
        await database.write(lambda tx: tx.execute(mine.values(schedule="{")))
        stop = asyncio.Event()
        with capture_logs() as told:
            worker = asyncio.create_task(sync_loop.run_syncs(engine.work, "test", stop))
            while not any("no sync can be claimed" in one["event"] for one in told):
                assert not worker.done()
                await asyncio.sleep(0.02)
        await database.write(lambda tx: tx.execute(mine.values(schedule=None)))
        ended = database.listen("ended")
        while not (sync := await database.read(syncs.get, engine.workspace, asked.sync_id)).ended:
            assert not worker.done()
            await ended.wait(1)
        stop.set()
        await worker
    assert sync.state == "succeeded"
    counted = {sample.labels["kind"] for family in metrics.registry.collect() if family.name == "tidings_rows" for sample in family.samples}
    assert counted == {"added", "changed", "removed", "unchanged", "failed"}
