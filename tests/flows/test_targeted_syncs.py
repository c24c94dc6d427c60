"""Syncs of some rows: those and no others are brought up to date, whatever else has changed, and nothing that somebody asked for is lost."""

import random
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.flows.engine import LEASE, Engine, engine_over
from tests.flows.test_syncs import fill, found
from tidings.model.syncs import Sync
from tidings.model.targets import MOST, Targets
from tidings.settings import Settings
from tidings.store import leases, syncs
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.syncs.run import run_sync


def of(*keys: str) -> Targets:
    return Targets(keys)


def figures(sync: Sync) -> tuple[int, int, int]:
    """(modified, unmodified, all) rows."""
    assert sync.results is not None, sync.reason
    return sync.results.modified_rows, sync.results.unmodified_rows, sync.results.total_data_source_rows


async def queued(engine: Engine) -> Sync:
    (sync,) = (await engine.db.read(syncs.page, engine.data_source, state="queued", limit=10, cursor=None)).items
    return sync


async def test_only_the_rows_that_are_asked_for_change(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder, count = tmp_path / "docs", random.randrange(8, 20)
    markers = fill(folder, count)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        edited, left, gone, kept = random.sample(list(markers), 4)
        for key in (edited, left):
            (folder / key).write_text(f"Anew: sapphire {key}")
        for key in (gone, kept):
            (folder / key).unlink()
        (folder / "new.md").write_text("Ruby.")
        (folder / "newer.md").write_text("Topaz.")
        sync = await engine.sync(targets=of(edited, gone, "new.md", "never there.md"))
        assert figures(sync) == (2, count - 2, count)
        assert await engine.changes(sync) == {edited: "changed", "new.md": "added", gone: "removed"}
        assert sync.targets == of(edited, gone, "new.md", "never there.md")
        assert (sync.progress.rows_seen, sync.progress.rows_done) == (2, 2)
        assert await found(database, engine.bot, "topaz") == []
        assert await found(database, engine.bot, markers[left]) == [left]
        assert await found(database, engine.bot, markers[kept]) == [kept]
        assert await found(database, engine.bot, markers[gone]) == []
        whole = await engine.sync()
        assert await engine.changes(whole) == {left: "changed", "newer.md": "added", kept: "removed"}
        assert whole.targets is None


async def test_requests_add_up_and_the_whole_source_wins(database: Database, settings: Settings, tmp_path: Path) -> None:
    async with engine_over(database, settings, tmp_path) as engine:

        async def ask(targets: Targets | None) -> Targets | None:
            await database.write(syncs.request, engine.data_source, "hook", targets=targets)
            return (await queued(engine)).targets

        assert await ask(of("a", "b")) == of("a", "b")
        assert await ask(Targets(("b", "c"), ("https://a.example/",))) == Targets(("a", "b", "c"), ("https://a.example/",))
        assert len(await ask(of(*map(str, range(MOST - 4)))) or ()) == MOST
        assert await ask(of("one too many")) is None
        assert await ask(of("d")) is None
        await database.write(syncs.cancel, engine.workspace, (await queued(engine)).id)
        assert await ask(of("a")) == of("a")
        assert await ask(None) is None
        await database.write(syncs.cancel, engine.workspace, (await queued(engine)).id)
        assert await ask(of("a")) == of("a")
        await database.write(lambda tx: syncs.merge(tx, [engine.data_source, engine.data_source]))
        assert (await queued(engine)).targets is None


async def test_what_the_sync_before_left_to_do_is_done_as_well(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    first, second, third = fill(folder, 3)
    async with engine_over(database, settings, folder) as engine:
        assert figures(await engine.sync(targets=of(first))) == (3, 0, 3)  # nothing has ever been synced
        for key in (first, second):
            (folder / key).write_text("Anew.")
        folder.rename(tmp_path / "away")
        assert (await engine.sync(targets=of(first))).code == "source_unreachable"
        (tmp_path / "away").rename(folder)
        after = await engine.sync(targets=of(third))
        assert await engine.changes(after) == {first: "changed", second: "changed"}
        assert after.targets is None

        (folder / first).write_text("Once more.")
        held = await engine.claim(targets=of(first))
        await database.write(syncs.cancel, engine.workspace, held.sync_id)
        assert await engine.changes(await engine.sync(targets=of(third))) == {first: "changed"}

        (folder / second).write_text("Once more.")
        missed = await engine.sync(targets=of(third))
        await database.write(lambda tx: tx.execute(update(t.syncs).where(t.syncs.c.id == missed.id).values(unfetched=1)))
        assert await engine.changes(await engine.sync(targets=of(third))) == {second: "changed"}


async def test_what_names_no_row_brings_the_whole_source(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    first, *_ = fill(folder, 3)
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        for targets in (of("docs/" + first), of("/" + first), Targets((first,), ("https://a.example/",)), of("never there.md")):
            marker = f"marker{random.randrange(10**9)}"
            (folder / first).write_text(marker)
            sync = await engine.sync(targets=targets)
            assert sync.targets is None
            assert figures(sync) == (1, 2, 3)
            assert await found(database, engine.bot, marker) == [first]


async def test_the_guard_stops_removals_of_rows_that_were_asked_for(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    keys = list(fill(folder, 30))
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        for key in keys[:11]:
            (folder / key).unlink()
        stopped = await engine.sync(targets=of(*keys[:11]))
        assert stopped.code == "removal_guard"
        assert "11 of 30 rows" in (stopped.reason or "")
        assert len(await engine.rows()) == 30
        approved = await engine.sync(targets=of(keys[0]), approve_removals=True)
        assert figures(approved) == (0, 19, 19)


async def test_the_last_rows_are_not_removed_without_asking(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    key, *_ = fill(folder, 1)
    (folder / "picture.bin").write_bytes(b"\0")
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        (folder / key).unlink()
        assert (await engine.sync(targets=of(key))).code == "removal_guard"


async def test_a_row_that_had_no_text_and_is_gone_leaves_no_error(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    fill(folder, 2)
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7 but nothing that a reader understands")
    async with engine_over(database, settings, folder) as engine:
        await engine.sync()
        assert (await engine.rows())["scan.pdf"].error is not None
        (folder / "scan.pdf").unlink()
        assert figures(await engine.sync(targets=of("scan.pdf"))) == (0, 2, 2)
        assert "scan.pdf" not in await engine.rows()


async def test_a_targeted_sync_that_is_taken_over_stays_one(database: Database, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    first, second, third = fill(folder, 3)
    dying = [False]

    def announce(_tx: Tx, _sync: Sync) -> None:
        if dying[0]:
            raise RuntimeError

    async with engine_over(database, settings, folder, announce=announce) as engine:
        await engine.sync()
        (folder / first).unlink()
        for key in (second, third):
            (folder / key).write_text("Anew.")
        dying[0] = True
        with pytest.raises(RuntimeError):
            await engine.sync(targets=of(first, second))
        dying[0] = False
        await database.write(leases.void)
        again = await database.write(leases.claim, "another", LEASE)
        assert again is not None
        assert (again.targets, again.target_n) == (of(first, second), 2)
        sync = await run_sync(engine.work, again)
        assert figures(sync) == (1, 1, 2)
        assert await engine.changes(sync) == {first: "removed", second: "changed"}
