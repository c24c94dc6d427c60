"""What tests of schedules do to a data source of a house: give it a schedule, have time pass, have its syncs succeed or fail."""

from typing import Any

from sqlalchemy import select

from tests.flows.webhook_house import House
from tidings import clock
from tidings.bots.data_sources import DataSourceChange, change
from tidings.model.bots import Cursor, DataSource, DataSourceView
from tidings.model.schedules import Plan, Schedule
from tidings.model.syncs import Progress, Sync
from tidings.store import data_sources, known, leases, snapshots, syncs, tables
from tidings.store.leases import Held
from tidings.store.snapshots import Failure
from tidings.store.transactions import Tx
from tidings.webhooks.announce import announce, announce_stale
from tidings.worker.schedule import attend_due

LEASE = 30 * clock.SECOND


async def changed(house: House, source: DataSource | None = None, **wanted: Any) -> DataSourceView:
    """Changes a data source as the API does."""
    of = source or house.source
    place = {"workspace_id": house.workspace_id, "data_source_id": of.id}
    return await change(house.db, house.settings, house.box, house.outbound, **place, wanted=DataSourceChange(**wanted))


async def scheduled(house: House, source: DataSource | None = None, **schedule: Any) -> Plan:
    """Gives a data source a schedule; its plan."""
    plan = (await changed(house, source, schedule=Schedule(**schedule))).data_source.plan
    assert plan is not None
    return plan


async def look(house: House, source: DataSource | None = None) -> DataSourceView:
    return await house.db.read(data_sources.view, house.workspace_id, (source or house.source).id)


async def plan_of(house: House, source: DataSource | None = None) -> Plan:
    plan = (await look(house, source)).data_source.plan
    assert plan is not None
    return plan


async def attended(house: House) -> None:
    """One round of the worker's loop."""
    await attend_due(house.db, announce_stale)


async def syncs_of(house: House, source: DataSource | None = None) -> list[Sync]:
    page = await house.db.read(syncs.page, (source or house.source).id, limit=200, cursor=None)
    return list(page.items)


async def asked(house: House, **how: Any) -> Sync:
    """A sync that was asked for."""
    requested = await house.db.write(syncs.request, house.source.id, "hook", **how)
    return await house.db.read(syncs.get, house.workspace_id, requested.sync_id)


async def claimed(house: House, lease: clock.Micros = LEASE) -> Held | None:
    return await house.db.write(leases.claim, "worker", lease)


async def succeed(house: House, *, whole: bool = True) -> Sync:
    """Has the queued sync run and find nothing new; `whole`: in all of the data source."""

    def run(tx: Tx) -> Sync:
        held = leases.claim(tx, "worker", LEASE)
        assert held is not None
        return snapshots.publish(tx, known.begin(tx, held), Progress(), lambda _plan: None, announce, cursor=Cursor(None, "") if whole else None)

    return await house.db.write(run)


async def fail(house: House, reason: str) -> Sync:
    """Has the queued sync run and fail."""

    def run(tx: Tx) -> Sync:
        held = leases.claim(tx, "worker", LEASE)
        assert held is not None
        return snapshots.fail(tx, held, Failure("source_unreachable", reason), Progress(), announce)

    return await house.db.write(run)


async def activity_of(house: House) -> list[Any]:
    return await house.db.read(lambda tx: list(tx.execute(select(tables.activity).order_by(tables.activity.c.n)).all()))
