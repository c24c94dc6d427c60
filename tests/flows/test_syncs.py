"""Syncs of real folders on real databases: what is published, what is not, and what is said about it."""

import asyncio
import os
import random
import secrets
import sys
from pathlib import Path

import pytest
from sqlalchemy import Table, func, select, update

from tests.flows.engine import LEASE, LET_GO, age, engine_over
from tidings import clock
from tidings.errors import LeaseLost
from tidings.knowledge import search
from tidings.settings import Settings
from tidings.store import leases, manifest, rows, sweep, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.syncs.run import run_sync


def fill(folder: Path, count: int) -> dict[str, str]:
    """`count` Markdown files with a word each that is in no other; key -> word."""
    folder.mkdir(exist_ok=True)
    markers = {f"page {n}.md": f"marker{secrets.token_hex(6)}" for n in range(count)}
    for key, marker in markers.items():
        (folder / key).write_text(f"# {key}\n\nThis page speaks of {marker}, and at {random.randrange(10**6)} others.\n")
    return markers


def count_of(tx: Tx, table: Table) -> int:
    """How many rows a table has."""
    return int(tx.execute(select(func.count()).select_from(table)).scalar_one())


async def found(engine_db: Database, bot: str, word: str) -> list[str]:
    """Titles of what a search for `word` finds."""
    return [hit.title for hit in await engine_db.read(search.search, bot, word, 10)]


async def test_first_sync_second_sync_and_an_edit(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder, count = tmp_path / "docs", random.randrange(12, 20)
    markers = fill(folder, count)
    age(folder)
    async with engine_over(database, settings, folder) as engine:
        first = await engine.sync()
        assert (first.state, first.results is not None) == ("succeeded", True)
        assert first.results is not None
        assert (first.results.modified_rows, first.results.unmodified_rows, first.results.total_data_source_rows) == (count, 0, count)
        stored = await engine.rows()
        assert first.results.total_tokens == sum(row.tokens for row in stored.values()) > 0
        assert first.results.total_documents == sum(row.documents for row in stored.values())

        opened: list[str] = []
        watching = True
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if watching and event == "open" and str(folder) in str(args[0]) else None)
        second = await engine.sync()
        watching = False
        assert second.results is not None
        assert (second.results.modified_rows, second.results.unmodified_rows, second.results.total_tokens) == (0, count, 0)
        assert opened == []

        key = random.choice(list(markers))
        (folder / key).write_text("# Anew\n\nNow it speaks of something else entirely.")
        gone = random.choice([other for other in markers if other != key])
        (folder / gone).unlink()
        third = await engine.sync()
        assert third.results is not None
        assert (third.results.modified_rows, third.results.unmodified_rows) == (1, count - 2)
        assert await engine.changes(third) == {key: "changed", gone: "removed"}
        assert third.results.total_tokens == (await engine.rows())[key].tokens
        assert await found(database, engine.bot, markers[key]) == []
        assert await found(database, engine.bot, markers[gone]) == []
        assert await found(database, engine.bot, "entirely") == ["Anew"]
        assert {row.id for row in (await engine.rows()).values()} <= {row.id for row in stored.values()}


async def test_force_extracts_again_and_identical_text_stays_unmodified(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 5)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        forced = await engine.sync(force=True)
        assert forced.results is not None
        assert (forced.results.modified_rows, forced.results.total_tokens) == (0, 0)


async def test_over_plan_publishes_nothing_and_charges_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    markers = fill(folder, 3)
    limits = [0]
    async with engine_over(database, settings, folder, allowance=lambda _plan: limits[0]) as engine:
        failed = await engine.sync()
        assert (failed.state, failed.code, failed.reason) == ("failed", "over_plan_limit", "Over plan storage token limit, please upgrade plan")
        assert await engine.rows() == {}
        assert await found(database, engine.bot, next(iter(markers.values()))) == []
        would_cost = sum(row.tokens for row in (await database.read(manifest.page, failed.id, limit=10, cursor=None)).items)
        limits[0] = would_cost  # meeting the limit exactly is fine
        again = await engine.sync()
        assert again.results is not None
        assert again.results.total_tokens == would_cost
        assert await database.read(count_of, t.versions) == 3  # the text that the failed sync staged was used


async def test_the_removal_guard_and_its_approval(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    markers = fill(folder, 20)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        for key in list(markers)[:11]:
            (folder / key).unlink()
        stopped = await engine.sync()
        assert stopped.code == "removal_guard"
        assert stopped.reason is not None
        assert "11 of 20 rows" in stopped.reason
        assert sum(kind == "removed" for kind in (await engine.changes(stopped)).values()) == 11
        assert len(await engine.rows()) == 20
        assert (await engine.sync()).code == "removal_guard"  # nobody has approved it
        approved = await engine.sync(approve_removals=True)
        assert approved.results is not None
        assert approved.results.total_data_source_rows == 9
        assert (await engine.sync()).state == "succeeded"


async def test_an_approval_covers_the_listed_removals_and_no_others(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    markers = fill(folder, 40)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        keys = list(markers)
        for key in keys[:13]:
            (folder / key).unlink()
        assert (await engine.sync()).code == "removal_guard"
        for key in keys[13:27]:
            (folder / key).unlink()
        assert (await engine.sync(approve_removals=True)).code == "removal_guard"  # 14 more than were approved
        assert len(await engine.rows()) == 40


async def test_an_empty_listing_over_a_snapshot_is_always_stopped(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (key,) = fill(folder, 1)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        (folder / key).unlink()
        assert (await engine.sync()).code == "removal_guard"
        assert list(await engine.rows()) == [key]


async def test_a_missing_root_fails_the_sync_and_removes_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 2)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        folder.rename(tmp_path / "elsewhere")
        failed = await engine.sync()
        assert (failed.state, failed.code) == ("failed", "source_unreachable")
        assert len(await engine.rows()) == 2


async def test_a_row_without_text_is_named_and_does_not_fail_the_sync(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    markers = fill(folder, 6)
    broken = random.choice(list(markers))
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7 but nothing that a reader understands")
    age(folder)
    async with engine_over(database, settings, folder) as engine:
        sync = await engine.sync()
        assert sync.results is not None
        assert sync.results.total_data_source_rows == 6  # what could never be read is not in the snapshot
        stored = await engine.rows()
        reason = stored["scan.pdf"].error
        assert reason is not None
        assert stored["scan.pdf"].documents == 0
        assert (await engine.changes(sync))["scan.pdf"] == "failed"
        (folder / broken).write_bytes(secrets.token_bytes(64) + b"\0" * 64)
        after = await engine.sync()
        assert after.state == "succeeded"
        assert after.counts.failed == 2
        kept = (await engine.rows())[broken]
        assert kept.error is not None
        assert kept.documents > 0  # its last good version stays
        assert await found(database, engine.bot, markers[broken]) == [broken]
        (folder / broken).write_text("Mended.")
        (folder / "scan.pdf").unlink()
        mended = await engine.sync()
        assert mended.counts.failed == 0
        assert all(row.error is None for row in (await engine.rows()).values())


async def test_a_cancelled_sync_writes_nothing_more(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 3)
    async with engine_over(database, settings, folder) as engine:
        held = await engine.claim()
        await database.write(syncs.cancel, engine.workspace, held.sync_id)
        with pytest.raises(LeaseLost):
            await run_sync(engine.work, held)
        assert await engine.rows() == {}
        assert (await database.read(syncs.get, engine.workspace, held.sync_id)).state == "cancelled"
        assert (await engine.sync()).state == "succeeded"


async def test_cancelling_stops_a_sync_that_runs(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 400)
    async with engine_over(database, settings, folder) as engine:
        held = await engine.claim()
        running = asyncio.create_task(run_sync(engine.work, held))
        while not (await database.read(lambda tx: tx.execute(select(t.syncs.c.added)).scalar_one())):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await database.write(syncs.cancel, engine.workspace, held.sync_id)
        async with asyncio.timeout(LET_GO):
            with pytest.raises(LeaseLost):
                await running


async def test_a_sync_that_kills_its_workers_is_given_up(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 1)
    async with engine_over(database, settings, folder) as engine:
        held = await engine.claim()
        for _ in range(6):
            await database.write(leases.void)
            taken = await database.write(leases.claim, "next", LEASE)
            assert taken is not None
            assert taken.sync_id == held.sync_id
            held = taken
        ended = await run_sync(engine.work, held)
        assert (ended.state, ended.code) == ("failed", "internal")


async def test_a_sync_over_its_time_fails_with_timeout(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 1)
    async with engine_over(database, settings, folder, limit=0) as engine:
        ended = await engine.sync()
        assert (ended.state, ended.code) == ("failed", "timeout")


async def test_a_follow_up_waits_for_the_running_sync(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 1)
    async with engine_over(database, settings, folder) as engine:
        held = await engine.claim()
        one = await database.write(syncs.request, engine.data_source, "hook", refs=["a", "b"])
        two = await database.write(syncs.request, engine.data_source, "hook", refs=["b", "c"])
        assert (one.state, two.state, one.sync_id == two.sync_id) == ("queued", "merged", True)
        assert await database.write(leases.claim, "other", LEASE) is None
        assert (await run_sync(engine.work, held)).refs == ()
        follow_up = await database.write(leases.claim, "other", LEASE)
        assert follow_up is not None
        assert (await run_sync(engine.work, follow_up)).refs == ("a", "b", "c")


async def test_a_paused_source_keeps_its_queued_sync(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 1)
    async with engine_over(database, settings, folder) as engine:
        await database.write(syncs.request, engine.data_source, "api")
        await database.write(lambda tx: tx.execute(update(t.data_sources).values(paused=True)))
        assert await database.write(leases.claim, "w", LEASE) is None
        await database.write(lambda tx: tx.execute(update(t.data_sources).values(paused=False)))
        assert await database.write(leases.claim, "w", LEASE) is not None


async def test_a_long_document_is_staged_in_pieces(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    words = [secrets.token_hex(4) for _ in range(40_000)]
    (folder / "long.txt").write_text("\n\n".join(" ".join(words[n : n + 20]) for n in range(0, len(words), 20)))
    async with engine_over(database, settings, folder) as engine:
        sync = await engine.sync()
        assert sync.results is not None
        assert sync.results.total_documents > 150
        (row,) = (await engine.rows()).values()
        text = (await database.read(rows.get, engine.workspace, row.id)).text
        assert text is not None
        assert text.split() == words
        assert await found(database, engine.bot, words[-1]) == ["long.txt"]


async def test_sweeping_keeps_the_last_snapshots_only(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    async with engine_over(database, settings, folder) as engine:
        for edition in range(5):
            (folder / "page.md").write_text(f"Edition {edition}.")
            assert (await engine.sync()).state == "succeeded"
        while await database.write(sweep.old_versions, 2):
            pass
        assert [await database.read(count_of, table) for table in (t.snapshots, t.versions, t.documents)] == [2, 2, 2]
        assert await found(database, engine.bot, "edition 4") == ["page.md"]


async def test_a_vanished_time_of_change_does_not_hide_an_edit(database: Database, settings: Settings, tmp_path: Path) -> None:
    """The same size and the same time of modification, within the grain of the clock: the bytes are hashed again."""
    folder = tmp_path / "docs"
    folder.mkdir()
    page = folder / "page.md"
    page.write_text("first word")
    stamp = page.stat()
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        page.write_text("other word")
        os.utime(page, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        sync = await engine.sync()
        assert sync.counts.changed == 1
    assert clock.now() > 0
