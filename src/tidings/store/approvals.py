"""What waits for somebody's word: removals that a guard stopped, and texts that were held back."""

from sqlalchemy import select, update

from tidings import clock
from tidings.store.tables import changes, rows, syncs
from tidings.store.transactions import Tx


def give(tx: Tx, data_source_id: str, sync_id: str, *, dry_run: bool) -> None:
    """Has a queued sync carry out what the latest one listed as removed or held back that a guard stopped, or that held anything back."""
    stopped = _latest(tx, data_source_id)
    if stopped is None:
        return
    tx.execute(update(syncs).where(syncs.c.id == sync_id, syncs.c.dry_run == dry_run).values(approves=stopped))
    if not dry_run:
        held_back = select(changes.c.row_n).where(changes.c.sync_id == stopped, changes.c.quarantined)
        tx.execute(update(rows).where(rows.c.n.in_(held_back)).values(approved_at=clock.now()))


def wanted(tx: Tx, data_source_id: str) -> str | None:
    """The sync whose list an approval given now would cover; None where nothing waits for one: a later sync of the whole source succeeded without."""
    stopped = _latest(tx, data_source_id)
    if stopped is None:
        return None
    after = (syncs.c.data_source_id == data_source_id, syncs.c.id > stopped)
    settled = select(syncs.c.id).where(*after, syncs.c.state == "succeeded", ~syncs.c.dry_run, syncs.c.targets.is_(None)).limit(1)
    return None if tx.execute(settled).first() is not None else stopped


def _latest(tx: Tx, data_source_id: str) -> str | None:
    stopped_or_held_back = (syncs.c.code == "removal_guard") | (syncs.c.quarantined > 0)
    query = select(syncs.c.id).where(syncs.c.data_source_id == data_source_id, stopped_or_held_back)
    found: str | None = tx.execute(query.order_by(syncs.c.id.desc()).limit(1)).scalar_one_or_none()
    return found
