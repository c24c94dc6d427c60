"""A worker that was taken over, and stages what its successor has staged already: it is told that it lost its lease, not of a broken database."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.flows.engine import engine_over
from tidings.errors import LeaseLost
from tidings.model.verdicts import Stored, StoredDocument
from tidings.settings import Settings
from tidings.store import known, leases, staging
from tidings.store import tables as t
from tidings.store.database import Database


async def test_a_batch_that_the_successor_has_staged_is_refused_as_a_lost_lease(database: Database, settings: Settings, tmp_path: Path) -> None:
    async with engine_over(database, settings, tmp_path) as engine:
        first = await engine.claim()
        ours = await database.write(known.begin, first)
        await database.write(leases.give_back, first, -1)
        second = await database.write(leases.claim, "another", 60_000_000)
        assert second is not None
        assert (second.sync_id, second.takeovers) == (first.sync_id, 1)
        theirs = await database.write(known.begin, second)
        verdict = Stored("page.md", None, "hash", "text hash", "print", None, "Page", None, 2, (StoredDocument("Page", "Some text", 2),))
        await database.write(staging.settle, theirs, [verdict])
        with pytest.raises(LeaseLost):
            await database.write(staging.settle, ours, [verdict])
        assert await database.read(lambda tx: tx.execute(select(func.count()).select_from(t.versions)).scalar_one()) == 1
