"""Dry runs: they tell what a sync would come to, and nobody can see afterwards that they were."""

from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from tests.flows.engine import Engine, engine_over
from tests.flows.source_of_texts import Texts
from tidings.settings import Settings
from tidings.store import data_sources, history, leases, sweep, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.syncs.run import run_sync


def texts_of(count: int) -> Texts:
    """`count` rows, each with a text of its own."""
    return Texts({f"row {n}": f"This is what row {n} says." for n in range(count)})


async def all_that_others_see(engine: Engine) -> list[Any]:
    """Rows with their errors, snapshots, how the data source stands, usage, events, cursor."""

    def look(tx: Tx) -> list[Any]:
        view = data_sources.view(tx, engine.workspace, engine.data_source)
        counted = [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in (t.events, t.deliveries)]
        used = tx.execute(select(t.usage.c.storage_tokens)).scalars().all()
        cursor = tx.execute(select(t.data_sources.c.cursor, t.data_sources.c.cursor_mark, t.data_sources.c.published)).one()
        return [view, counted, used, tuple(cursor), history.page(tx, engine.data_source, limit=100, cursor=None)]

    return [await engine.rows(), *await engine.db.read(look)]


async def test_a_dry_run_tells_and_does_nothing(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(12)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts.texts |= {"row 1": "Another text.", "new": "A new one.", "newer": "One more."}
        del texts.texts["row 2"]
        before = await all_that_others_see(engine)
        dry = await engine.sync(dry_run=True)
        assert (dry.state, dry.dry_run, dry.counts.added, dry.counts.changed, dry.counts.removed) == ("succeeded", True, 2, 1, 1)
        assert await all_that_others_see(engine) == before
        told = await engine.changes(dry)
        real = await engine.sync()
        assert (real.results, real.counts, await engine.changes(real)) == (dry.results, dry.counts, told)
        assert dry.results is not None
        assert dry.results.total_tokens > 0
        assert not real.dry_run
        assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(t.versions)).scalar_one()) == 12 + 3  # no text was made twice


async def test_failed_rows_are_told_and_not_written_down(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.md").write_text("A good one.")
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        (folder / "bad.pdf").write_bytes(b"%PDF-1.7 but nothing that a reader understands")
        before = await all_that_others_see(engine)
        dry = await engine.sync(dry_run=True)
        assert (dry.counts.failed, await engine.changes(dry)) == (1, {"bad.pdf": "failed"})
        assert await all_that_others_see(engine) == before
        await engine.sync()
        (folder / "bad.pdf").unlink()
        before = await all_that_others_see(engine)
        await engine.sync(dry_run=True)
        assert await all_that_others_see(engine) == before  # the error of a row that is not listed any more stays as well


async def test_what_would_stop_a_sync_is_told_without_a_webhook(database: Database, settings: Settings, home: Path) -> None:
    texts, limits = texts_of(20), [1_000]
    async with engine_over(database, settings, home, open_source=texts.open, allowance=lambda _plan: limits[0]) as engine:
        await engine.sync()
        limits[0] = 0
        texts.texts["new"] = "One more."
        before = await all_that_others_see(engine)
        over = await engine.sync(dry_run=True)
        assert (over.state, over.code, over.reason) == ("failed", "over_plan_limit", "Over plan storage token limit, please upgrade plan")
        texts.texts.clear()
        texts.texts["row 1"] = "This is what row 1 says."
        stopped = await engine.sync(dry_run=True)
        assert (stopped.state, stopped.code) == ("failed", "removal_guard")
        assert list((await engine.changes(stopped)).values()) == ["removed"] * 19
        assert (await engine.sync(dry_run=True, approve_removals=True)).counts.removed == 19
        assert await all_that_others_see(engine) == before
        assert (await engine.sync(approve_removals=True)).counts.removed == 19  # what a dry run listed can be approved


async def test_a_real_request_makes_a_queued_dry_run_real(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(3)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        dry = await database.write(syncs.request, engine.data_source, "api", dry_run=True)
        assert (await database.read(syncs.get, engine.workspace, dry.sync_id)).dry_run
        assert (await database.write(syncs.request, engine.data_source, "api", dry_run=True)).state == "merged"
        assert (await database.read(syncs.get, engine.workspace, dry.sync_id)).dry_run
        assert await database.write(syncs.merge, [engine.data_source]) == {engine.data_source: dry.sync_id}  # as a call of a trigger URL does
        assert (await engine.claim(dry_run=True)).dry_run is False
        for merge in ([engine.data_source], [engine.data_source, "another"]):
            await database.write(syncs.cancel_all, [engine.data_source])
            queued = await database.write(syncs.request, engine.data_source, "api", dry_run=True)
            await database.write(syncs.merge, merge)
            assert not (await database.read(syncs.get, engine.workspace, queued.sync_id)).dry_run


async def test_an_approval_that_was_to_be_tried_approves_nothing_real(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(20)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        kept = dict(texts.texts)
        texts.texts = {"row 1": kept["row 1"]}
        assert (await engine.sync()).code == "removal_guard"
        asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"dry_run": True, "approve_removals": True}, {}),
            ({}, {"dry_run": True, "approve_removals": True}),
        ]
        for first, second in asked:
            await database.write(syncs.request, engine.data_source, "api", **first)
            assert (await engine.sync(**second)).code == "removal_guard"
        await database.write(syncs.request, engine.data_source, "api", dry_run=True)
        assert (await engine.sync(approve_removals=True)).counts.removed == 19


async def test_what_a_dry_run_staged_waits_for_the_next_real_sync(database: Database, settings: Settings, home: Path) -> None:
    texts = texts_of(4)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        held = await engine.claim(dry_run=True)
        await database.write(leases.hand_over, held)  # another worker goes on with it, as dry as it was
        taken = await database.write(leases.claim, "next", engine.work.lease)
        assert taken is not None
        assert (await run_sync(engine.work, taken)).dry_run
        assert await engine.rows() == {}
        await engine.sync(dry_run=True)
        assert await database.write(sweep.parked_versions) == 0
        numbers = await database.read(lambda tx: set(tx.execute(select(t.versions.c.n)).scalars()))
        assert (await engine.sync()).counts.added == 4
        assert await database.read(lambda tx: set(tx.execute(select(t.versions.c.n)).scalars())) == numbers
