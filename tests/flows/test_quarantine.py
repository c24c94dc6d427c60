"""Texts that all but vanish, or become the same: held back, told of, approved, and never published before."""

import asyncio
import random
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.flows.engine import LEASE, Engine, engine_over
from tests.flows.source_of_texts import AskedTexts, Texts
from tidings import clock
from tidings.errors import Conflict
from tidings.knowledge import search
from tidings.model.syncs import Sync
from tidings.settings import Settings
from tidings.store import activity, leases, manifest, quarantine, usage
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.known import Staging
from tidings.syncs.guard import SAME_TEXT, SAME_TEXT_OTHERS
from tidings.syncs.run import run_sync

WALL = "# Sign in\n\nPlease sign in to go on reading this page of our documentation."


def prose(n: int, words: int = 120) -> str:
    """A text of about so many tokens that no other row has."""
    return f"# Page {n}\n\nThis is page {n}. " + " ".join(random.choices(["alder", "birch", "cedar", "docks", "elder"], k=words))


def pages(count: int, *, versions: bool = True) -> Texts:
    """So many rows."""
    return Texts({f"page {n}": prose(n) for n in range(count)}, versions=versions)


async def texts_of(engine: Engine) -> dict[str, str]:
    """What readers see: the first line of each row's text."""
    stored = await engine.rows()
    return {key: row.title or "" for key, row in stored.items()}


async def quarantined(engine: Engine, sync: Sync) -> set[str]:
    """The rows that a sync lists as held back."""
    page = await engine.db.read(manifest.page, sync.id, kind="failed", limit=1000, cursor=None)
    assert all(change.reason and change.tokens == 0 for change in page.items)
    return {change.key for change in page.items if change.quarantined}


@pytest.mark.parametrize("versions", [True, False])
async def test_a_text_that_all_but_vanishes_is_held_back_until_it_is_approved(database: Database, settings: Settings, home: Path, *, versions: bool) -> None:
    texts = pages(5, versions=versions)
    texts.texts["small"] = "A few words, of which there are not many."
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts.texts |= {"page 2": "# Gone\n\nNot here.", "small": "Less."}
        for _ in range(2):  # it stays so, and is told each time
            ended = await engine.sync()
            assert (ended.state, ended.counts.changed + ended.counts.failed) == ("succeeded", 2 if not _ else 1)
            assert await quarantined(engine, ended) == {"page 2"}
            (warning,) = ended.warnings
            assert (warning.code, warning.message.startswith("The new text of 1 row was held back")) == ("quarantined", True)
        row = (await engine.rows())["page 2"]
        assert (row.title, row.quarantined) == ("Page 2", True)
        assert "shrank from" in (row.error or "")
        told = (await database.read(activity.page, engine.workspace, limit=10, cursor=None)).items
        assert [(one.kind, one.sync_id) for one in told][:1] == [("sync_warning", ended.id)]

        assert await database.write(quarantine.approve, engine.workspace, row.id) == engine.data_source
        ended = await engine.sync()
        assert (ended.counts.changed, ended.counts.failed, ended.warnings) == (1, 0, ())
        assert (await texts_of(engine))["page 2"] == "Gone"
        with pytest.raises(Conflict):
            await database.write(quarantine.approve, engine.workspace, row.id)

        texts.texts["page 2"] = prose(2)
        assert (await engine.sync()).counts.changed == 1
        texts.texts["page 2"] = "# Gone again\n\nNot here."
        assert await quarantined(engine, await engine.sync()) == {"page 2"}  # the approval was for once


async def test_a_source_that_recovers_is_forgiven(database: Database, settings: Settings, home: Path) -> None:
    texts = pages(3)
    before = texts.texts["page 1"]
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts.texts["page 1"] = "Nothing."
        assert (await engine.sync()).counts.failed == 1
        texts.texts["page 1"] = before
        ended = await engine.sync()
        assert (ended.counts.failed, ended.warnings) == (0, ())
        assert not any(row.error or row.quarantined for row in (await engine.rows()).values())

        texts.texts["page 1"] = "Nothing."
        assert (await engine.sync()).counts.failed == 1
        await database.write(quarantine.approve, engine.workspace, (await engine.rows())["page 1"].id)
        texts.texts["page 1"] = before
        await engine.sync()
        texts.texts["page 1"] = "Nothing."
        assert (await engine.sync()).counts.failed == 1  # what was approved was another text, which nobody has seen


@pytest.mark.parametrize("versions", [True, False])
async def test_rows_that_become_the_same_are_taken_back(database: Database, settings: Settings, home: Path, *, versions: bool) -> None:
    # Short rows: that they shrank is not what gives them away.
    texts = Texts({f"page {n}": f"# Page {n}\n\nOnly this is said on page {n}." for n in range(40)}, versions=versions)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        month = clock.month(clock.now())
        charged = await database.read(usage.of_month, engine.workspace, month)
        walled = {f"page {n}" for n in random.sample(range(40), 7)}
        texts.texts |= dict.fromkeys(walled, WALL)
        texts.texts["new"] = WALL  # a new row has no version that could stay
        other = next(key for key in texts.texts if key not in walled and key != "new")
        texts.texts[other] = f"# {other}\n\nThis has changed."
        ended = await engine.sync()
        assert (ended.state, ended.counts.added, ended.counts.changed, ended.counts.failed) == ("succeeded", 1, 1, 7)
        assert ended.results is not None
        assert await quarantined(engine, ended) == walled
        stored = await engine.rows()
        assert {key for key, row in stored.items() if row.quarantined} == walled
        assert all(row.title == key.title() for key, row in stored.items() if key in walled)
        assert ended.results.total_tokens == sum(stored[key].tokens for key in ("new", other))
        assert await database.read(usage.of_month, engine.workspace, month) == charged + ended.results.total_tokens
        assert ended.results.total_documents == sum(row.documents for row in stored.values())
        assert [hit.title for hit in await database.read(search.search, engine.bot, "sign", 50)] == ["Sign in"]

        texts.texts["page 40"] = "# Page 40\n\nAs it was."
        await engine.sync()
        late = next(key for key in texts.texts if key not in walled and key not in {"new", other})
        texts.texts[late] = WALL  # one more, long after the others
        ended = await engine.sync()
        assert await quarantined(engine, ended) == walled | {late}

        ended = await engine.sync(approve_removals=True)
        assert (ended.counts.changed, ended.counts.failed, ended.warnings) == (8, 0, ())
        assert sum(title == "Sign in" for title in (await texts_of(engine)).values()) == 9


async def test_few_that_become_the_same_and_many_that_were_the_same_are_let_through(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"page {n}": "Alike." if n < 12 else f"This is page {n}." for n in range(20)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts.texts |= {f"page {n}": "Alike, and changed." for n in range(12)}
        texts.texts |= {f"page {n}": "Moved." for n in range(12, 16)}
        ended = await engine.sync()
        assert (ended.counts.changed, ended.counts.failed) == (16, 0)


async def test_above_the_share_the_sync_fails_and_one_call_approves(database: Database, settings: Settings, home: Path) -> None:
    texts = pages(40)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        before = await texts_of(engine)
        walled = {f"page {n}" for n in range(13)}
        texts.texts |= dict.fromkeys(walled, WALL)
        stopped = await engine.sync()
        assert (stopped.state, stopped.code) == ("failed", "removal_guard")
        assert "The text of 13 of 40 rows" in (stopped.reason or "")
        assert await quarantined(engine, stopped) == walled
        assert await texts_of(engine) == before

        texts.texts |= dict.fromkeys([f"page {n}" for n in range(13, 39)], WALL)
        stopped = await engine.sync(approve_removals=True)  # 26 more than were approved
        assert stopped.code == "removal_guard"
        assert len(await quarantined(engine, stopped)) == 26
        ended = await engine.sync(approve_removals=True)
        assert (ended.state, ended.counts.changed, ended.counts.failed) == ("succeeded", 39, 0)
        assert (await engine.sync()).warnings == ()


@pytest.mark.parametrize("kind", [Texts, AskedTexts])
async def test_what_was_staged_and_held_back_is_not_let_through_later(database: Database, settings: Settings, home: Path, kind: type[Texts]) -> None:
    texts = kind({f"page {n}": f"# Page {n}\n\nOnly this is said on page {n}." for n in range(40)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        before, texts_before = await texts_of(engine), dict(texts.texts)
        texts.texts |= {f"page {n}": WALL for n in range(13)}
        assert (await engine.sync()).code == "removal_guard"
        texts.texts |= {f"page {n}": texts_before[f"page {n}"] for n in range(10)}  # of three, nothing tells by themselves that they became the same
        ended = await engine.sync()
        assert (ended.state, await quarantined(engine, ended)) == ("succeeded", {"page 10", "page 11", "page 12"})
        assert await texts_of(engine) == before


async def test_one_approval_covers_both_what_would_go_and_what_is_held_back(database: Database, settings: Settings, home: Path) -> None:
    texts = pages(60)
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        before = await texts_of(engine)
        gone, walled = {f"page {n}" for n in range(20)}, {f"page {n}" for n in range(20, 40)}
        texts.texts = {key: WALL if key in walled else text for key, text in texts.texts.items() if key not in gone}
        stopped = await engine.sync()
        assert (stopped.state, stopped.code) == ("failed", "removal_guard")
        assert "would remove 20 of 60 rows" in (stopped.reason or "")
        assert "The text of 20 of 60 rows" in (stopped.reason or "")
        assert await engine.changes(stopped) == dict.fromkeys(gone, "removed") | dict.fromkeys(walled, "failed")
        assert await quarantined(engine, stopped) == walled
        assert await texts_of(engine) == before
        ended = await engine.sync(approve_removals=True)
        assert (ended.state, ended.counts.removed, ended.counts.changed, ended.counts.failed) == ("succeeded", 20, 20, 0)


async def test_a_sync_killed_while_it_takes_back_goes_on_with_it(database: Database, settings: Settings, home: Path) -> None:
    texts = Texts({f"page {n}": f"# Page {n}\n\nOnly this is said on page {n}." for n in range(500)})
    async with engine_over(database, settings, home, open_source=texts.open) as engine:
        await engine.sync()
        texts.texts |= {f"page {n}": WALL for n in range(120)}
        held = await engine.claim()
        texts.hangs = "list"
        running = asyncio.create_task(run_sync(engine.work, held))
        while await database.read(lambda tx: tx.execute(select(t.syncs.c.changed).where(t.syncs.c.id == held.sync_id)).scalar_one()) < 120:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        texts.hangs = None
        staging = Staging(held, 1)
        (shared,) = await database.read(quarantine.shared_texts, staging, SAME_TEXT_OTHERS)
        assert await database.write(quarantine.hold_back, staging, shared, SAME_TEXT) == quarantine.BATCH  # and there it was killed
        await database.write(leases.void)
        taken = await database.write(leases.claim, "next", LEASE)
        assert taken is not None
        ended = await run_sync(engine.work, taken)
        assert (ended.state, ended.counts.changed, ended.counts.failed) == ("succeeded", 0, 120)
        assert len(ended.warnings) == 1
        assert ended.results is not None
        assert (ended.results.total_tokens, ended.results.modified_rows, ended.results.total_data_source_rows) == (0, 0, 500)
