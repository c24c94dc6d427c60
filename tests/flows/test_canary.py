"""After a publication, a sample of what changed is looked up through search."""

import asyncio
import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.flows.engine import engine_over
from tests.flows.source_of_texts import Texts
from tidings.errors import Unavailable
from tidings.knowledge.search import search_every
from tidings.settings import Settings
from tidings.store import activity, canary, syncs
from tidings.store.database import Database
from tidings.store.search import Hit
from tidings.store.transactions import Tx
from tidings.syncs.canary import look_up_changes, rare_words
from tidings.syncs.run import run_sync
from tidings.worker.sync_loop import run_syncs


def pages(count: int) -> Texts:
    """Rows that share most of their words."""
    return Texts({f"page {n}": f"# Chapter {chr(97 + n % 26) * 9}{chr(97 + n // 26) * 5}\n\nThis is what the page says, as others do." for n in range(count)})


LOSE_ON_POSTGRESQL = (
    "ALTER TABLE documents ALTER COLUMN words DROP EXPRESSION",
    "UPDATE documents SET words = '' WHERE version_n = (SELECT v.n FROM versions v JOIN rows r ON r.n = v.row_n WHERE r.key = 'page 1')",
)
LOSE_ON_SQLITE = (
    """
    INSERT INTO documents_text (documents_text, rowid, heading, text, scope) SELECT 'delete', n, heading, text, scope FROM documents
    WHERE version_n = (SELECT v.n FROM versions v JOIN rows r ON r.n = v.row_n WHERE r.key = 'page 1')
    """,
)


def lose(tx: Tx) -> None:
    """Damages the full-text index: one row is not in it any more."""
    for statement in LOSE_ON_SQLITE if tx.dialect == "sqlite" else LOSE_ON_POSTGRESQL:
        tx.execute(text(statement))


async def test_what_search_finds_is_no_warning(database: Database, settings: Settings, home: Path) -> None:
    texts = pages(120)
    texts.texts |= {"empty words": "1 2 3 a b c", "same 1": "The very same sentence.", "same 2": "The very same sentence."}
    asked: list[str] = []

    def count(tx: Tx, bot_id: str, q: str, limit: int) -> Sequence[Hit]:
        asked.append(q)
        return search_every(tx, bot_id, q, limit)

    async with engine_over(database, settings, home, open_source=texts.open, search=count) as engine:
        requested = await database.write(syncs.request, engine.data_source, "api")
        stop = asyncio.Event()
        loop = asyncio.create_task(run_syncs(engine.work, "test", stop))
        while len(asked) < 40:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        stop.set()
        await loop
        sync = await database.read(syncs.get, engine.workspace, requested.sync_id)
        assert (sync.state, sync.warnings) == ("succeeded", ())
        numbers = await database.read(canary.sample, sync.id, 50)
        assert 40 <= len(numbers) <= 50
        assert max(numbers) - min(numbers) > 100
        assert len(await database.read(canary.sample, sync.id, 1000)) == 123


async def test_a_row_that_search_does_not_find_is_named(database: Database, settings: Settings, home: Path) -> None:
    async with engine_over(database, settings, home, open_source=pages(20).open) as engine:
        held = await engine.claim()
        sync = await run_sync(engine.work, held)
        await database.write(lose)
        await look_up_changes(database, search_every, held, sync)
        (warning,) = (await database.read(syncs.get, engine.workspace, sync.id)).warnings
        assert warning.code == "not_found_by_search"
        assert "page 1," in warning.message
        (told,) = (await database.read(activity.page, engine.workspace, limit=10, cursor=None)).items
        assert (told.kind, told.sentence, told.sync_id) == ("sync_warning", warning.message, sync.id)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_the_guide_says_makes_the_index_anew(database: Database, settings: Settings, home: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "what-is-held-back.md").read_text(encoding="utf-8")
    ((file, statement),) = re.findall(r'^sqlite3 "\$TIDINGS_HOME/(.+?)" "(.+)"$', guide, re.MULTILINE)
    async with engine_over(database, settings, home, open_source=pages(20).open) as engine:
        held = await engine.claim()
        sync = await run_sync(engine.work, held)
        await database.write(lose)
        with closing(sqlite3.connect(settings.home / file)) as db, db:
            db.execute(statement)
        await look_up_changes(database, search_every, held, sync)
        assert (await database.read(syncs.get, engine.workspace, sync.id)).warnings == ()


async def test_words_without_a_meaning_of_their_own_are_not_missed(database: Database, settings: Settings, home: Path) -> None:
    async with engine_over(database, settings, home, open_source=Texts({"there": "There will, more"}).open) as engine:
        held = await engine.claim()
        sync = await run_sync(engine.work, held)
        assert len(await database.read(canary.sample, sync.id, 50)) == 1
        await look_up_changes(database, search_every, held, sync)
        assert (await database.read(syncs.get, engine.workspace, sync.id)).warnings == ()


async def test_a_search_that_fails_is_told(database: Database, settings: Settings, home: Path) -> None:
    def broken(_tx: Tx, _bot_id: str, _q: str, _limit: int) -> Sequence[Hit]:
        raise Unavailable("The index is away.")

    async with engine_over(database, settings, home, open_source=pages(3).open) as engine:
        held = await engine.claim()
        sync = await run_sync(engine.work, held)
        await look_up_changes(database, broken, held, sync)
        (warning,) = (await database.read(syncs.get, engine.workspace, sync.id)).warnings
        assert (warning.code, " looked at. The index is away. Search " in warning.message) == ("not_looked_up", True)


def test_words_that_databases_may_see_differently_are_not_looked_for() -> None:
    assert rare_words("see https://example.com/elaborate, state-of-the-art or user@example.org, don't, snake_case, 2026, abc") == ""
    words = random.sample(["alder", "birches", "cedar", "documentation"], 4)
    assert rare_words(", ".join(words)).split()[0] == "documentation"
    assert len(rare_words(" ".join("word" + chr(97 + n) for n in range(20))).split()) == 6
