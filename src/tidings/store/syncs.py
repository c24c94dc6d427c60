"""Syncs as others ask for them and look at them: request (merge or queue), read, cancel."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Text, bindparam, case, false, literal_column, null, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite's compiler takes its ON CONFLICT just the same

from tidings import clock
from tidings.errors import Conflict, FieldError, Invalid, NotFound
from tidings.model.ids import new_id
from tidings.model.pages import Page
from tidings.model.syncs import Counts, Progress, Requested, Results, State, Sync, SyncWarning, TriggeredBy
from tidings.model.targets import Targets
from tidings.store import approvals, windows
from tidings.store.tables import data_sources, sync_refs, syncs
from tidings.store.transactions import AnyRow, Hot, HotRows, Tx

# A request makes a queued dry run real, without the approval that was meant to be tried, and without the hurry.
_REAL: dict[str, Any] = {
    "approves": case((syncs.c.dry_run, null()), else_=syncs.c.approves),
    "ignores_window": case((syncs.c.dry_run, false()), else_=syncs.c.ignores_window),
    "dry_run": false(),
}
# The condition is looked at again after a wait for the row's lock: a sync that was claimed meanwhile takes no more in.
# Constants are written out: for a bound one SQLite plans the partial index anew at every call (25 us against 8).
_MERGED = (
    update(syncs)
    .where(syncs.c.data_source_id == bindparam("source", type_=Text), syncs.c.state == literal_column("'queued'"))
    .values(merged=syncs.c.merged + literal_column("1"))
)
_MERGE_DRY = Hot(_MERGED.values(targets=null()).returning(syncs.c.data_source_id, syncs.c.id))
_MERGE = Hot(_MERGED.values(targets=null(), **_REAL).returning(syncs.c.data_source_id, syncs.c.id))
_MERGE_TARGETS_DRY = Hot(_MERGED.returning(syncs.c.id, syncs.c.targets))
_MERGE_TARGETS = Hot(_MERGED.values(**_REAL).returning(syncs.c.id, syncs.c.targets))
_MERGE_ALL = HotRows(
    {"source": Text(), "times": BigInteger()},
    lambda given: (
        update(syncs)
        .where(syncs.c.data_source_id == given.c.source, syncs.c.state == literal_column("'queued'"))
        .values(merged=syncs.c.merged + given.c.times, targets=null(), **_REAL)
        .returning(syncs.c.data_source_id, syncs.c.id)
    ),
)
_QUEUE = Hot(
    insert(syncs)
    .from_select(
        ["id", "workspace_id", "bot_id", "data_source_id", "state", "triggered_by", "force", "dry_run", "targets", "queued_at"],
        select(
            bindparam("id", type_=Text),
            data_sources.c.workspace_id,
            data_sources.c.bot_id,
            data_sources.c.id,
            bindparam("state", "queued", type_=Text),
            bindparam("by", type_=Text),
            false(),
            bindparam("dry", type_=Boolean),
            bindparam("only", type_=Text),
            bindparam("at", type_=BigInteger),
        ).where(data_sources.c.id == bindparam("source", type_=Text)),
    )
    .on_conflict_do_nothing()
    .returning(syncs.c.id)
)
_TARGET = Hot(update(syncs).where(syncs.c.id == bindparam("sync", type_=Text)).values(targets=bindparam("only", type_=Text)))
_FORCE = Hot(update(syncs).where(syncs.c.id == bindparam("sync", type_=Text)).values(force=bindparam("force", value=True, type_=Boolean)))
_ADD_REF = Hot(insert(sync_refs).values(sync_id=bindparam("sync", type_=Text), ref=bindparam("ref", type_=Text)).on_conflict_do_nothing())


def request(
    tx: Tx,
    data_source_id: str,
    triggered_by: TriggeredBy,
    *,
    refs: Sequence[str] = (),
    force: bool = False,
    approve_removals: bool = False,
    targets: Targets | None = None,
    dry_run: bool = False,
    ignore_window: bool = False,
) -> Requested:
    """Queues a sync of a data source, or merges into the one that is queued (product rule 1). Requests add up: refs and `targets` are
    joined, `force`, an approval and `ignore_window` stay, the whole source (None) wins, and who wants it real goes before who wants it
    dry. Whether the source is paused or deleted is for the caller to look at.

    `approve_removals` approves what the latest sync that a guard stopped, or that held texts back, lists as removed and as quarantined, and nothing
    else. With `dry_run` it counts for a dry run only.
    """
    only = targets if targets is not None and targets.fit() else None
    requested = _merge_or_queue(tx, data_source_id, triggered_by, only, dry_run=dry_run)
    if force:
        tx.hot(_FORCE, sync=requested.sync_id)
    if ignore_window:
        windows.ignore(tx, requested.sync_id, dry_run=dry_run)
    if approve_removals:
        approvals.give(tx, data_source_id, requested.sync_id, dry_run=dry_run)
    add_refs(tx, requested.sync_id, refs)
    return requested


def add_refs(tx: Tx, sync_id: str, refs: Iterable[str]) -> None:
    """Joins what callers name to what a sync carries already."""
    for ref in refs:
        tx.hot(_ADD_REF, sync=sync_id, ref=ref)


def merge(tx: Tx, data_source_ids: Sequence[str]) -> dict[str, str]:
    """Merges requests for all of these data sources into their queued syncs, where there are any: those, by data source. One that comes several times
    counts as often. Nobody has to look whether a data source is deleted meanwhile: whoever deletes it cancels its queued sync, before this or after."""
    if len(data_source_ids) == 1:
        return dict(tx.hot(_MERGE, source=data_source_ids[0]))
    times = sorted(Counter(data_source_ids).items())  # in order: two at once meet the rows in the same one
    return dict(tx.hot_rows(_MERGE_ALL, [{"source": source, "times": n} for source, n in times]))


def _merge_or_queue(tx: Tx, data_source_id: str, triggered_by: TriggeredBy, targets: Targets | None, *, dry_run: bool) -> Requested:
    only = None if targets is None else targets.packed()
    for _ in range(10):  # between two statements a queued sync can be claimed, or another be queued: then once more
        merged = _merge(tx, data_source_id, targets, dry_run=dry_run)
        if merged is not None:
            return Requested(merged, "merged")
        queued = tx.hot(_QUEUE, id=new_id(), source=data_source_id, by=triggered_by, dry=dry_run, only=only, at=clock.now())
        if queued:
            windows.hold_back(tx, queued[0][0], data_source_id)
            tx.wake("syncs")
            return Requested(queued[0][0], "queued")
    raise Conflict("Many requests for a sync of this data source came at once. Try again.")


def _merge(tx: Tx, data_source_id: str, targets: Targets | None, *, dry_run: bool) -> str | None:
    """Merges a request into the queued sync, if there is one: its id. Targets are added to those of the sync, unless it is about the whole source, as
    it is with too many of them."""
    if targets is None:
        found = tx.hot(_MERGE_DRY if dry_run else _MERGE, source=data_source_id)
        return str(found[0][1]) if found else None
    for sync_id, packed in tx.hot(_MERGE_TARGETS_DRY if dry_run else _MERGE_TARGETS, source=data_source_id):
        present = Targets.unpacked(packed)
        if present is not None:
            joined = present.joined(targets)
            tx.hot(_TARGET, sync=sync_id, only=joined.packed() if joined.fit() else None)
        return str(sync_id)
    return None


def get(tx: Tx, workspace_id: str, sync_id: str) -> Sync:
    """One sync of a workspace. NotFound."""
    found = tx.execute(select(syncs).where(syncs.c.id == sync_id, syncs.c.workspace_id == workspace_id)).one_or_none()
    if found is None:
        raise NotFound("There is no sync with this id. Syncs are listed under their data source.")
    return _syncs(tx, [found])[0]


def page(tx: Tx, data_source_id: str, *, state: State | None = None, limit: int, cursor: str | None) -> Page[Sync]:
    """The syncs of a data source, newest first."""
    query = select(syncs).where(syncs.c.data_source_id == data_source_id).order_by(syncs.c.id.desc()).limit(limit + 1)
    if state is not None:
        query = query.where(syncs.c.state == state)
    if cursor is not None:
        query = query.where(syncs.c.id < cursor)
    found = tx.execute(query).all()
    return Page(tuple(_syncs(tx, found[:limit])), found[limit - 1].id if len(found) > limit else None)


def last_of(tx: Tx, data_source_ids: Sequence[str]) -> dict[str, Sync]:
    """The latest ended sync, but for dry runs, of each data source that has one."""
    newest = (
        select(syncs.c.id)
        .where(syncs.c.data_source_id == data_sources.c.id, syncs.c.state.in_(("succeeded", "failed", "cancelled")), ~syncs.c.dry_run)
        .order_by(syncs.c.id.desc())
        .limit(1)
        .correlate(data_sources)
        .scalar_subquery()
    )
    found = tx.execute(select(syncs).where(syncs.c.id.in_(select(newest).where(data_sources.c.id.in_(data_source_ids))))).all()
    return {sync.data_source_id: sync for sync in _syncs(tx, found)}


def going_of(tx: Tx, data_source_ids: Sequence[str]) -> dict[str, Sync]:
    """The sync that is running for each of these data sources, else the one that is queued."""
    open_ = syncs.c.data_source_id.in_(data_source_ids) & syncs.c.state.in_(("queued", "running"))
    found = tx.execute(select(syncs).where(open_).order_by(syncs.c.state)).all()
    return {sync.data_source_id: sync for sync in _syncs(tx, found)}  # "running" comes behind "queued"


def cancel(tx: Tx, workspace_id: str, sync_id: str) -> None:
    """Ends a sync that has not ended; who runs it finds its lease lost and writes nothing more. Conflict, NotFound."""
    cancelled = tx.execute(
        update(syncs)
        .where(syncs.c.id == sync_id, syncs.c.workspace_id == workspace_id, syncs.c.state.in_(("queued", "running")))
        .values(state="cancelled", finished_at=clock.now(), lease_until=None)
    )
    if cancelled.rowcount == 0:
        state = get(tx, workspace_id, sync_id).state
        raise Conflict(f"This sync has ended already: it {_ENDINGS[state]}. There is nothing to cancel.")
    _told_that_one_ended(tx)


def cancel_all(tx: Tx, data_source_ids: Sequence[str]) -> None:
    """Cancels whatever is queued or running for these data sources."""
    tx.execute(
        update(syncs)
        .where(syncs.c.data_source_id.in_(data_source_ids), syncs.c.state.in_(("queued", "running")))
        .values(state="cancelled", finished_at=clock.now(), lease_until=None)
    )
    _told_that_one_ended(tx)


def number_of(cursor: str) -> int:
    """The number in a cursor of ours. Invalid on `cursor`."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Invalid(FieldError("cursor", "This is no cursor of ours. Send back the nextCursor of the page before."))
    return int(cursor)


def refs_of(tx: Tx, sync_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The distinct refs of each sync, in the order in which they came."""
    found: dict[str, tuple[str, ...]] = {}
    for sync_id, ref in tx.execute(select(sync_refs.c.sync_id, sync_refs.c.ref).where(sync_refs.c.sync_id.in_(sync_ids)).order_by(sync_refs.c.n)):
        found[sync_id] = (*found.get(sync_id, ()), ref)
    return found


def results_json(results: Results) -> dict[str, int]:
    """Results as they are stored and sent, in the order of the contract (section 3)."""
    return {
        "totalTokens": results.total_tokens,
        "modifiedRows": results.modified_rows,
        "totalDocuments": results.total_documents,
        "unmodifiedRows": results.unmodified_rows,
        "totalDataSourceRows": results.total_data_source_rows,
    }


_ENDINGS: dict[State, str] = {"succeeded": "succeeded", "failed": "failed", "cancelled": "was cancelled"}


def _told_that_one_ended(tx: Tx) -> None:
    tx.wake("ended")
    tx.wake("syncs")  # the follow-up of what has ended can run now


def _syncs(tx: Tx, found: Sequence[AnyRow]) -> list[Sync]:
    refs = refs_of(tx, [row.id for row in found]) if found else {}
    return [_sync(row, refs.get(row.id, ())) for row in found]


def _sync(row: AnyRow, refs: tuple[str, ...]) -> Sync:
    kept = row.results
    results = None
    if kept is not None:
        results = Results(kept["totalTokens"], kept["modifiedRows"], kept["totalDocuments"], kept["unmodifiedRows"], kept["totalDataSourceRows"])
    return Sync(
        id=row.id,
        workspace_id=row.workspace_id,
        bot_id=row.bot_id,
        data_source_id=row.data_source_id,
        state=row.state,
        triggered_by=row.triggered_by,
        dry_run=row.dry_run,
        refs=refs,
        targets=Targets.unpacked(row.targets),
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=Progress(**row.progress) if row.progress else Progress(),
        counts=Counts(row.added, row.changed, row.removed, row.failed, row.quarantined),
        results=results,
        code=row.code,
        reason=row.reason,
        not_before=row.not_before,
        warnings=tuple(SyncWarning(**warning) for warning in row.warnings or ()),
        merged=row.merged,
    )
