"""Each question of the list of deliveries goes through an index that fits it, so that long lists stay quick."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tidings.model.ids import new_id
from tidings.settings import load_settings
from tidings.store import around_syncs, delivery_views
from tidings.store.database import open_database
from tidings.store.delivery_views import Sought

A = new_id()


@pytest.mark.parametrize(
    ("sought", "index"),
    [
        (Sought(wanted=True), "ix_deliveries_workspace_id_id (workspace_id=?"),
        (Sought(wanted=True, since=10**15, before=2 * 10**15), "ix_deliveries_workspace_id_id (workspace_id=? AND id>? AND id<?"),
        (Sought(state="exhausted", wanted=True), "undelivered_of_workspace (workspace_id=? AND state=?"),
        (Sought(webhook_id=A, wanted=True), "ix_deliveries_webhook_id_id (webhook_id=?"),
        (Sought(webhook_id=A, state="held"), "undelivered (webhook_id=? AND state=?"),
        (Sought(data_source_id=A), "ix_deliveries_data_source_id_id (data_source_id=?"),
        (Sought(sync_id=A), "ix_deliveries_sync_id (sync_id=?"),
        (Sought(event_id=A), "ix_deliveries_event_id (event_id=?"),
    ],
)
async def test_sqlite_takes_the_index_that_fits(sought: Sought, index: str, home: Path) -> None:
    with contextlib.closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        asked: list[tuple[str, Any]] = []
        event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, parameters, *_: asked.append((statement, parameters)))
        await database.read(delivery_views.page, new_id(), sought, limit=50, cursor=None)
        statement, parameters = next(each for each in asked if "FROM deliveries" in each[0])
        with database.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert f"USING INDEX {index}" in plan[0][-1]


async def test_syncs_are_found_by_a_ref_through_its_index(home: Path) -> None:
    with contextlib.closing(open_database(load_settings(home=home))) as database:
        database.migrate()
        asked: list[tuple[str, Any]] = []
        event.listen(database.engine, "before_cursor_execute", lambda _c, _k, statement, parameters, *_: asked.append((statement, parameters)))
        assert await database.read(around_syncs.with_ref, new_id(), "deploy-7", limit=10) == ()
        statement, parameters = next(each for each in asked if "sync_refs" in each[0])
        with database.engine.connect() as connection:
            plan = " ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
    assert "USING COVERING INDEX ix_sync_refs_ref_sync_id (ref=?" in plan
    assert "SCAN syncs" not in plan
