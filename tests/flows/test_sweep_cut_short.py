"""A sweep that has removed only some of the documents of parked text, when the source goes back to that very text."""

import random
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select

from tests.flows.engine import engine_over
from tidings.settings import Settings
from tidings.store import snapshots, sweep
from tidings.store import tables as t
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.syncs.run import run_sync

SECTIONS = 700


def _documents(tx: Tx) -> list[int]:
    """The places of the documents of what is published."""
    visible = (t.versions.c.from_n <= t.data_sources.c.published) & (t.versions.c.to_n > t.data_sources.c.published)
    joined = t.documents.join(t.versions, t.versions.c.n == t.documents.c.version_n).join(t.data_sources, t.data_sources.c.id == t.versions.c.data_source_id)
    return list(tx.execute(select(t.documents.c.ord).select_from(joined).where(visible).order_by(t.documents.c.ord)).scalars())


async def test_text_that_is_half_swept_is_not_used_again(database: Database, settings: Settings, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    long = "\n\n".join(f"# Part {n}\n\n{' '.join(f'word{random.randrange(10**6)}' for _ in range(150))}" for n in range(SECTIONS))
    async with engine_over(database, settings, page.parent) as engine:
        page.write_text("# Short\n\nJust this.\n")
        assert (await engine.sync()).state == "succeeded"
        page.write_text(long)
        refused = await run_sync(replace(engine.work, allowance=lambda _plan: 0), await engine.claim())
        assert refused.code == "over_plan_limit"  # what it had staged is put aside by the next one
        page.write_text("# Short\n\nSomething else.\n")
        assert (await engine.sync()).state == "succeeded"

        assert await database.write(sweep.parked_versions) == sweep.BATCH
        page.write_text(long)
        again = await engine.sync()

        assert again.results is not None
        assert again.results.total_documents > 2 * sweep.BATCH
        stored = await database.read(_documents)
        assert stored == list(range(again.results.total_documents))
        size = (await database.read(snapshots.sizes, [engine.data_source]))[engine.data_source]
        assert size.documents == again.results.total_documents
        while await database.write(sweep.parked_versions):
            pass
