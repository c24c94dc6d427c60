"""The end of a sync, in one transaction: publish, charge, finish, announce. Publishing is one row, whatever the size."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from tidings import clock
from tidings.model.bots import Cursor
from tidings.model.syncs import FailureCode, Progress, Results, Sync, SyncWarning
from tidings.store import data_sources as source_store
from tidings.store import plans, usage
from tidings.store import syncs as sync_store
from tidings.store.known import Staging
from tidings.store.leases import Held, lost
from tidings.store.tables import data_sources, snapshots, syncs
from tidings.store.transactions import AnyRow, Tx
from tidings.store.usage import Allowance
from tidings.store.warnings import warn

# Writes an ended sync's event and deliveries, in the transaction that ends it.
Announce = Callable[[Tx, Sync], None]

OVER_PLAN = "Over plan storage token limit, please upgrade plan"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sync failed: a code for programs, a sentence for people."""

    code: FailureCode
    reason: str


@dataclass(frozen=True, slots=True)
class Size:
    """What a snapshot holds."""

    rows: int = 0
    documents: int = 0
    tokens: int = 0


def sizes(tx: Tx, data_source_ids: list[str]) -> dict[str, Size]:
    """The size of the published snapshot of each data source that has one."""
    query = (
        select(snapshots.c.data_source_id, snapshots.c.rows, snapshots.c.documents, snapshots.c.tokens)
        .join(data_sources, (data_sources.c.id == snapshots.c.data_source_id) & (data_sources.c.published == snapshots.c.n))
        .where(snapshots.c.data_source_id.in_(data_source_ids))
    )
    return {source: Size(rows, documents, tokens) for source, rows, documents, tokens in tx.execute(query)}


def publish(
    tx: Tx, staging: Staging, progress: Progress, allowance: Allowance, announce: Announce, *, cursor: Cursor | None, warnings: Sequence[SyncWarning] = ()
) -> Sync:
    """Makes what was staged visible, charges it and ends the sync; or, where the plan does not allow it, ends it failed and
    charges nothing. A dry run ends the same way, but nothing becomes visible or is charged. `cursor` is kept if no row
    failed, so that a failed one is listed again; None where nothing was listed. The sync as it ended. LeaseLost."""
    held = staging.held
    tx.execute(select(data_sources.c.id).where(data_sources.c.id == held.data_source_id).with_for_update())
    run = _held_row(tx, held)
    if run.charge > 0 and not usage.charge(tx, held, run.charge, allowance):
        return _end(tx, held, progress, announce, state="failed", code="over_plan_limit", reason=OVER_PLAN)
    before = sizes(tx, [held.data_source_id]).get(held.data_source_id, Size())
    after = Size(before.rows + run.added - run.removed, before.documents + run.documents_delta, before.tokens + run.tokens_delta)
    modified = run.added + run.changed
    if not held.dry_run and (modified or run.removed):
        tx.execute(update(data_sources).where(data_sources.c.id == held.data_source_id).values(published=staging.target))
        tx.execute(
            insert(snapshots).values(
                data_source_id=held.data_source_id,
                n=staging.target,
                sync_id=held.sync_id,
                rows=after.rows,
                documents=after.documents,
                tokens=after.tokens,
                published_at=clock.now(),
            )
        )
    if cursor is not None and not held.dry_run:
        plans.succeeded(tx, held.data_source_id)
    if cursor is not None and not held.dry_run and run.failed == 0:
        source_store.keep_cursor(tx, held.data_source_id, cursor)
    if warnings:
        warn(tx, held, warnings)
    results = Results(run.charge, modified, after.documents, after.rows - modified, after.rows)
    return _end(tx, held, progress, announce, state="succeeded", results=sync_store.results_json(results))


def fail(tx: Tx, held: Held, failure: Failure, progress: Progress, announce: Announce) -> Sync:
    """Ends a sync failed; what it staged is never seen. The sync as it ended. LeaseLost."""
    _held_row(tx, held)
    return _end(tx, held, progress, announce, state="failed", code=failure.code, reason=failure.reason)


def _held_row(tx: Tx, held: Held) -> AnyRow:
    mine = (syncs.c.id == held.sync_id) & (syncs.c.fence == held.fence) & (syncs.c.state == "running")
    run = tx.execute(select(syncs).where(mine).with_for_update()).one_or_none()
    if run is None:
        raise lost()
    return run


def _end(tx: Tx, held: Held, progress: Progress, announce: Announce, **values: Any) -> Sync:
    ended = {"finished_at": clock.now(), "lease_until": None, "owner": None, "progress": asdict(replace(progress, phase="ended"))}
    tx.execute(update(syncs).where(syncs.c.id == held.sync_id).values(**ended, **values))
    sync = sync_store.get(tx, held.workspace_id, held.sync_id)
    if not held.dry_run:
        announce(tx, sync)
    tx.wake("ended")
    tx.wake("syncs")  # a follow-up that waited for this one can run now
    return sync
