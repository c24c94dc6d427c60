"""Syncs: how far they are, what came of them, row by row."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from tidings import clock
from tidings.model.syncs import Change, ChangeKind, State, Sync, TriggeredBy, WarningCode
from tidings.model.targets import Targets
from tidings.store import data_sources, manifest, syncs
from tidings.store.cursors import id_in
from tidings.store.transactions import Tx
from tidings.syncs.text_diff import diff_of_change
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.shapes import Id, Listed, Paging, PathId, Shape, Time, Wait, listed, maybe_time_of, time_of
from tidings.web.api.shapes import Query as QueryShape
from tidings.web.api.waiting import held_back

WAITING = "Its data source syncs within a window only, which is closed at present. Ask for the sync with ignoreWindow to have it start now."

router = APIRouter(prefix="/api/v1", tags=["Syncs"])

SHOWN_TARGETS = 50  # keys, and as many URLs


class SyncsQuery(Paging):
    """Which syncs."""

    state: State | None = None


class WaitQuery(QueryShape):
    """How long to wait."""

    wait: Wait = 0.0


class ChangesQuery(Paging):
    """Which lines of the manifest."""

    kind: ChangeKind | None = None


class ProgressShape(Shape):
    """How far a sync is."""

    phase: str
    rows_seen: int
    rows_done: int
    rows_failed: int
    rows_total: int | None = Field(description="null until the source is listed.")


class CountsShape(Shape):
    """Rows by what the sync did to them."""

    added: int
    changed: int
    removed: int
    failed: int


class TargetsShape(Shape):
    """The rows that a sync is about; of very many of them, some."""

    keys: list[str]
    urls: list[str]
    total: int = Field(description="How many keys and URLs there are in all.")


class ResultsShape(Shape):
    """What the success webhook tells."""

    total_tokens: int = Field(description="Storage tokens that this sync charged.")
    modified_rows: int
    total_documents: int
    unmodified_rows: int
    total_data_source_rows: int


class WarningShape(Shape):
    """What is to be looked at, although the sync succeeded."""

    code: WarningCode
    message: str


class SyncShape(Shape):
    """One sync."""

    id: Id
    data_source_id: Id
    bot_id: Id
    state: State
    triggered_by: TriggeredBy
    dry_run: bool = Field(description="Whether it only tells what a sync would do: `counts`, `results`, `code` and `reason` are what it would come to.")
    refs: list[str]
    targets: TargetsShape | None = Field(description="The rows that it is about; null: all of the data source.")
    queued_at: Time
    started_at: Time | None
    finished_at: Time | None
    progress: ProgressShape
    counts: CountsShape
    results: ResultsShape | None = Field(description="When it succeeded.")
    code: (
        Literal["over_plan_limit", "source_unreachable", "source_rejected", "too_many_failed_rows", "removal_guard", "timeout", "internal", "stale"] | None
    ) = Field(description="When it failed: why, for programs.")
    reason: str | None = Field(description="When it failed: why, and what to do.")
    waiting_until: Time | None = Field(description="When the window opens that it waits for.")
    waiting_reason: str | None = Field(description="Why it waits, and how it need not.")
    warnings: list[WarningShape] = Field(description="When it succeeded: what is to be looked at nevertheless.")


class ChangeShape(Shape):
    """One line of a sync's manifest."""

    n: int = Field(description="Its number, by which its diff is asked for.")
    row_id: Id | None = Field(description="null where the row is not stored any more.")
    key: str
    title: str | None
    kind: ChangeKind
    tokens: int = Field(description="Storage tokens that it charges.")
    hash_before: str | None = Field(description="Of the bytes at the source, as that of `hashAfter`.")
    hash_after: str | None
    reason: str | None = Field(description="Of a failed row.")
    quarantined: bool = Field(description="Of a failed row: its new text is held back until it is approved.")


class DiffShape(Shape):
    """How a text changed."""

    diff: str = Field(description='In the format of `diff -u`; "" where only the title changed.')


@router.get("/data-sources/{data_source_id}/syncs", summary="List the syncs of a data source", tags=["Data sources"])
async def list_syncs(data_source_id: PathId, query: Annotated[SyncsQuery, Query()], caller: Reader, db: Db) -> Listed[SyncShape]:
    """The syncs of a data source, newest first."""

    def page(tx: Tx) -> Listed[SyncShape]:
        data_sources.get(tx, caller.workspace_id, data_source_id)
        cursor = None if query.cursor is None else id_in(query.cursor)
        return listed(syncs.page(tx, data_source_id, state=query.state, limit=query.limit, cursor=cursor), shape_of_sync)

    return await db.read(page)


@router.get("/syncs/{sync_id}", summary="One sync")
async def get_sync(sync_id: PathId, query: Annotated[WaitQuery, Query()], caller: Reader, db: Db, house: House) -> SyncShape:
    """One sync. With `wait`, as soon as it has ended, or as it is after so many seconds."""

    async def look() -> Sync:
        return await db.read(syncs.get, caller.workspace_id, sync_id)

    return shape_of_sync(await held_back(house, db, "ended", query.wait, look=look, enough=lambda sync: sync.ended))


@router.post("/syncs/{sync_id}/cancel", status_code=202, summary="Cancel a sync")
async def cancel_sync(sync_id: PathId, caller: Owner, db: Db) -> SyncShape:
    """Cancels a sync: nothing of it is published, no webhook is sent. 409 when it has ended."""

    def cancel(tx: Tx) -> Sync:
        syncs.cancel(tx, caller.workspace_id, sync_id)
        return syncs.get(tx, caller.workspace_id, sync_id)

    return shape_of_sync(await db.write(cancel))


@router.get("/syncs/{sync_id}/changes", summary="What a sync did, row by row")
async def list_changes(sync_id: PathId, query: Annotated[ChangesQuery, Query()], caller: Reader, db: Db) -> Listed[ChangeShape]:
    """The manifest of a sync: the rows it added, changed and removed, and those that failed."""

    def page(tx: Tx) -> Listed[ChangeShape]:
        syncs.get(tx, caller.workspace_id, sync_id)
        return listed(manifest.page(tx, sync_id, kind=query.kind, limit=query.limit, cursor=query.cursor), _shape_of_change)

    return await db.read(page)


@router.get("/syncs/{sync_id}/changes/{n}/diff", summary="How the text of a row changed")
async def diff_change(sync_id: PathId, n: Annotated[int, Path(ge=0, le=2**53)], caller: Reader, db: Db) -> DiffShape:
    """The text of a row before and after a change, compared line by line. A failed sync and a dry run have changes that nobody saw; these too. 410 where a
    text is not kept any more, 413 where it is too long to compare."""
    await db.read(syncs.get, caller.workspace_id, sync_id)
    return DiffShape(diff=await diff_of_change(db, sync_id, n))


def shape_of_sync(sync: Sync) -> SyncShape:
    """A sync as an answer."""
    progress, counts, results = sync.progress, sync.counts, sync.results
    waiting = sync.waits_until(clock.now())
    return SyncShape(
        id=sync.id,
        data_source_id=sync.data_source_id,
        bot_id=sync.bot_id,
        state=sync.state,
        triggered_by=sync.triggered_by,
        dry_run=sync.dry_run,
        refs=list(sync.refs),
        targets=None if sync.targets is None else shape_of_targets(sync.targets),
        queued_at=time_of(sync.queued_at),
        started_at=maybe_time_of(sync.started_at),
        finished_at=maybe_time_of(sync.finished_at),
        progress=ProgressShape(
            phase=progress.phase,
            rows_seen=progress.rows_seen,
            rows_done=progress.rows_done,
            rows_failed=progress.rows_failed,
            rows_total=progress.rows_total,
        ),
        counts=CountsShape(added=counts.added, changed=counts.changed, removed=counts.removed, failed=counts.failed),
        results=None
        if results is None
        else ResultsShape(
            total_tokens=results.total_tokens,
            modified_rows=results.modified_rows,
            total_documents=results.total_documents,
            unmodified_rows=results.unmodified_rows,
            total_data_source_rows=results.total_data_source_rows,
        ),
        code=sync.code,
        reason=sync.reason,
        waiting_until=maybe_time_of(waiting),
        waiting_reason=None if waiting is None else WAITING,
        warnings=[WarningShape(code=warning.code, message=warning.message) for warning in sync.warnings],
    )


def shape_of_targets(targets: Targets) -> TargetsShape:
    """Targets as an answer."""
    return TargetsShape(keys=list(targets.keys[:SHOWN_TARGETS]), urls=list(targets.urls[:SHOWN_TARGETS]), total=len(targets))


def _shape_of_change(change: Change) -> ChangeShape:
    return ChangeShape(
        n=change.n,
        row_id=change.row_id,
        key=change.key,
        title=change.title,
        kind=change.kind,
        tokens=change.tokens,
        hash_before=change.hash_before,
        hash_after=change.hash_after,
        reason=change.reason,
        quarantined=change.quarantined,
    )
