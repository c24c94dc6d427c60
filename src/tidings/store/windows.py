"""Syncs that wait for the window of their data source."""

from sqlalchemy import BigInteger, Boolean, Text, bindparam, literal_column, select, true, update

from tidings import clock
from tidings.model.planning import opening
from tidings.model.schedules import schedule_of
from tidings.store.tables import data_sources, syncs
from tidings.store.transactions import Hot, Tx

_SCHEDULE = Hot(select(data_sources.c.schedule).where(data_sources.c.id == bindparam("source", type_=Text)))
_HOLD_BACK = Hot(update(syncs).where(syncs.c.id == bindparam("sync", type_=Text)).values(not_before=bindparam("until", type_=BigInteger)))
_IGNORE = Hot(
    update(syncs)
    .where(syncs.c.id == bindparam("sync", type_=Text), syncs.c.dry_run == bindparam("dry", type_=Boolean))
    .values(ignores_window=true(), not_before=literal_column("NULL"))
)


def hold_back(tx: Tx, sync_id: str, data_source_id: str) -> bool:
    """Has a queued sync wait where the window of its data source is closed; whether it is."""
    ((schedule,),) = tx.hot(_SCHEDULE, source=data_source_id)
    kept = schedule_of(schedule)
    until = None if kept is None else opening(kept, clock.now())
    if until is not None:
        tx.hot(_HOLD_BACK, sync=sync_id, until=until)
    return until is not None


def ignore(tx: Tx, sync_id: str, *, dry_run: bool) -> None:
    """Has a queued sync start whatever the window says; who wants a dry one hurries no real one."""
    tx.hot(_IGNORE, sync=sync_id, dry=dry_run)
    tx.wake("syncs")


def look_again(tx: Tx, data_source_id: str) -> None:
    """After the schedule was changed: what is queued waits for the window that there is now, if for any."""
    queued = (syncs.c.data_source_id == data_source_id) & (syncs.c.state == "queued") & ~syncs.c.ignores_window
    sync_id = tx.execute(update(syncs).where(queued).values(not_before=None).returning(syncs.c.id)).scalar_one_or_none()
    if sync_id is not None and not hold_back(tx, sync_id, data_source_id):
        tx.wake("syncs")
