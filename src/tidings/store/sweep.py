"""Removing what nobody can see any more, in batches that are short enough for others not to notice.

Each function removes one batch and answers how much that was; run it until it answers 0.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select, update

from tidings.clock import Micros
from tidings.store.tables import PARKED, changes, data_sources, documents, idempotency_keys, rows, snapshots, syncs, trigger_calls, versions
from tidings.store.transactions import Tx

BATCH = 200


def old_versions(tx: Tx, keep: int) -> int:
    """Versions that no kept snapshot shows (the last `keep` of each data source), and all those of deleted ones."""
    _old_snapshots(tx, keep)
    oldest = select(func.min(snapshots.c.n)).where(snapshots.c.data_source_id == data_sources.c.id).correlate(data_sources).scalar_subquery()
    out_of_sight = or_(versions.c.to_n <= oldest, data_sources.c.deleted_at.is_not(None))
    return _delete_versions(tx, select(versions.c.n).join(data_sources, data_sources.c.id == versions.c.data_source_id).where(out_of_sight).limit(BATCH))


def parked_versions(tx: Tx) -> int:
    """Parked versions of a data source whose latest sync of all of it was published and which has none running: no retry will ask for them."""
    running = exists().where(syncs.c.data_source_id == data_sources.c.id, syncs.c.state == "running").correlate(data_sources)
    latest = (
        select(and_(syncs.c.state == "succeeded", ~syncs.c.dry_run))
        .where(syncs.c.data_source_id == data_sources.c.id, syncs.c.state.in_(("succeeded", "failed", "cancelled")), syncs.c.targets.is_(None))
        .order_by(syncs.c.id.desc())
        .limit(1)
        .correlate(data_sources)
        .scalar_subquery()
    )
    parked = exists().where(versions.c.data_source_id == data_sources.c.id, versions.c.from_n == PARKED).correlate(data_sources)
    source = tx.execute(select(data_sources.c.id).where(parked, ~running, latest).limit(1)).scalar_one_or_none()
    if source is None:
        return 0
    tx.execute(select(data_sources.c.id).where(data_sources.c.id == source).with_for_update())
    if tx.execute(select(exists().where(syncs.c.data_source_id == source, syncs.c.state == "running"))).scalar():
        return 0
    return _delete_versions(tx, select(versions.c.n).where(versions.c.data_source_id == source, versions.c.from_n == PARKED).limit(BATCH))


def empty_rows(tx: Tx) -> int:
    """Rows that have no version left and no error to tell, of data sources that no sync is working on."""
    busy = exists().where(syncs.c.data_source_id == rows.c.data_source_id, syncs.c.state == "running")
    used = exists().where(versions.c.row_n == rows.c.n)
    kept = data_sources.c.deleted_at.is_(None)
    query = select(rows.c.n).join(data_sources, data_sources.c.id == rows.c.data_source_id)
    gone = query.where(~used, or_(rows.c.error.is_(None), ~kept), ~busy).limit(BATCH)
    return _delete(tx, rows, rows.c.n, gone)


def old_manifests(tx: Tx, before: Micros) -> int:
    """The manifests of syncs that ended before an instant."""
    gone = select(changes.c.n).join(syncs, syncs.c.id == changes.c.sync_id).where(syncs.c.finished_at < before).limit(BATCH)
    return _delete(tx, changes, changes.c.n, gone)


def old_calls(tx: Tx, calls_before: Micros, answers_before: Micros) -> int:
    """Trigger calls that no rate looks at any more, and answers kept for repeats that can't come any more."""
    calls = tx.execute(delete(trigger_calls).where(trigger_calls.c.n.in_(select(trigger_calls.c.n).where(trigger_calls.c.at < calls_before).limit(BATCH))))
    answers = tx.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < answers_before))
    return int(calls.rowcount + answers.rowcount)


def _old_snapshots(tx: Tx, keep: int) -> None:
    current = select(data_sources.c.published).where(data_sources.c.id == snapshots.c.data_source_id).correlate(snapshots).scalar_subquery()
    old = snapshots.c.n <= current - keep
    sources = select(data_sources.c.id).where(data_sources.c.id.in_(select(snapshots.c.data_source_id).where(old))).order_by(data_sources.c.id).limit(BATCH)
    # Under their locks: a rollback to such a snapshot comes before, and it is not old any more, or after, and finds it gone.
    locked = list(tx.execute(sources.with_for_update()).scalars())
    if locked:
        tx.execute(delete(snapshots).where(snapshots.c.data_source_id.in_(locked), old))


def _delete_versions(tx: Tx, gone: Select[Any]) -> int:
    """Documents first, and no more of them than make a short write: a version goes when its last document has gone."""
    numbers = list(tx.execute(gone).scalars())
    if not numbers:
        return 0
    pieces = select(documents.c.n).where(documents.c.version_n.in_(numbers)).limit(BATCH)
    deleted = _delete(tx, documents, documents.c.n, pieces)
    if deleted == BATCH:
        # Before the rest goes, a sync may look for parked text: it must not find what has lost some of its documents.
        tx.execute(update(versions).where(versions.c.n.in_(numbers)).values(content_hash="", fingerprint=""))
        return deleted
    return deleted + int(tx.execute(delete(versions).where(versions.c.n.in_(numbers))).rowcount)


def _delete(tx: Tx, table: Table, key: ColumnElement[Any], gone: Select[Any]) -> int:
    numbers = list(tx.execute(gone).scalars())
    return int(tx.execute(delete(table).where(key.in_(numbers))).rowcount) if numbers else 0
