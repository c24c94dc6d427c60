"""Data sources: their settings, and how they stand."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, insert, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.bots import Cursor, DataSource, DataSourceView, SourceName, state_of
from tidings.model.freshness import stale
from tidings.model.pages import Page
from tidings.model.schedules import Plan, schedule_of
from tidings.model.syncs import Sync
from tidings.store import syncs as syncs_of
from tidings.store.cursors import id_in
from tidings.store.tables import data_sources, rows, snapshots, syncs
from tidings.store.transactions import AnyRow, Tx

# How the latest sync that came to an end by itself ended. Syncs of a data source run one after the other, so the newest id is the latest.
LAST_OUTCOME = (
    select(syncs.c.state)
    .where(syncs.c.data_source_id == data_sources.c.id, syncs.c.state.in_(("succeeded", "failed")), ~syncs.c.dry_run)
    .order_by(syncs.c.id.desc())
    .limit(1)
    .correlate(data_sources)
    .scalar_subquery()
)
# Why the first of its rows that could not be brought up to date could not.
FIRST_ERROR = (
    select(rows.c.error)
    .where(rows.c.data_source_id == data_sources.c.id, rows.c.error.is_not(None))
    .order_by(rows.c.n)
    .limit(1)
    .correlate(data_sources)
    .scalar_subquery()
)
_VIEWS = (
    select(
        data_sources,
        LAST_OUTCOME.label("last_outcome"),
        FIRST_ERROR.label("first_error"),
        func.coalesce(snapshots.c.rows, 0).label("rows"),
        func.coalesce(snapshots.c.documents, 0).label("documents"),
        func.coalesce(snapshots.c.tokens, 0).label("tokens"),
    )
    .select_from(
        data_sources.outerjoin(snapshots, and_(snapshots.c.data_source_id == data_sources.c.id, snapshots.c.n == data_sources.c.published)),
    )
    .where(data_sources.c.deleted_at.is_(None))
)


def create(tx: Tx, data_source: DataSource) -> None:
    """Keeps a new data source; what is secret in its config is sealed already."""
    tx.execute(
        insert(data_sources).values(
            id=data_source.id,
            workspace_id=data_source.workspace_id,
            bot_id=data_source.bot_id,
            name=data_source.name,
            type=data_source.type,
            config=dict(data_source.config),
            paused=data_source.paused,
            created_at=data_source.created_at,
        )
    )


def get(tx: Tx, workspace_id: str, data_source_id: str, *, lock: bool = False) -> DataSource:
    """One data source of a workspace; with `lock`, it stays as it is until the end of the transaction. NotFound."""
    query = select(data_sources).where(data_sources.c.id == data_source_id, data_sources.c.workspace_id == workspace_id, data_sources.c.deleted_at.is_(None))
    found = tx.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise _not_found()
    return _data_source(found)


def lock_if_free(tx: Tx, data_source_id: str) -> DataSource | None:
    """A data source, which stays as it is until the end of the transaction; None where it is gone, or somebody else has it locked."""
    living = (data_sources.c.id == data_source_id) & data_sources.c.deleted_at.is_(None)
    found = tx.execute(select(data_sources).where(living).with_for_update(key_share=True, skip_locked=True)).one_or_none()
    return None if found is None else _data_source(found)


def workspace_of(tx: Tx, data_source_id: str) -> str:
    """The workspace of a data source: for the operator's commands, never for a caller of the API. NotFound."""
    found = tx.execute(select(data_sources.c.workspace_id).where(data_sources.c.id == data_source_id, data_sources.c.deleted_at.is_(None))).scalar_one_or_none()
    if found is None:
        raise _not_found()
    return str(found)


def view(tx: Tx, workspace_id: str, data_source_id: str) -> DataSourceView:
    """One data source with how it stands. NotFound."""
    found = tx.execute(_VIEWS.where(data_sources.c.id == data_source_id, data_sources.c.workspace_id == workspace_id)).all()
    if not found:
        raise _not_found()
    return _views(tx, found)[0]


def page(tx: Tx, bot_id: str, *, limit: int, cursor: str | None) -> Page[DataSourceView]:
    """The data sources of a bot, the oldest first."""
    query = _VIEWS.where(data_sources.c.bot_id == bot_id).order_by(data_sources.c.id).limit(limit + 1)
    if cursor is not None:
        query = query.where(data_sources.c.id > id_in(cursor))
    found = tx.execute(query).all()
    return Page(_views(tx, found[:limit]), found[limit - 1].id if len(found) > limit else None)


def names(tx: Tx, bot_id: str, *, like: str = "", ids: Collection[str] = (), limit: int) -> list[SourceName]:
    """The first data sources of a bot in the order in which they were made; those whose names hold a text, or with these ids."""
    query = select(data_sources.c.id, data_sources.c.name, data_sources.c.type).where(data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None))
    if like:
        query = query.where(func.lower(data_sources.c.name).contains(like.lower(), autoescape=True))
    if ids:
        query = query.where(data_sources.c.id.in_(ids))
    return [SourceName(*row) for row in tx.execute(query.order_by(data_sources.c.id).limit(limit))]


def called(tx: Tx, bot_id: str, name: str) -> list[str]:
    """The data sources of a bot that have this name, two at most."""
    query = select(data_sources.c.id).where(data_sources.c.bot_id == bot_id, data_sources.c.deleted_at.is_(None), data_sources.c.name == name)
    return list(tx.execute(query.limit(2)).scalars())


def synced_at(tx: Tx, data_source_id: str) -> Micros | None:
    """When the last sync of all of a data source succeeded; None where none has."""
    return tx.execute(select(data_sources.c.synced_at).where(data_sources.c.id == data_source_id)).scalar_one_or_none()


def change(tx: Tx, data_source_id: str, *, name: str, config: Mapping[str, Any], paused: bool) -> None:
    """Writes what can be changed of a data source."""
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(name=name, config=dict(config), paused=paused))


def cursor(tx: Tx, data_source_id: str, mark: str) -> str | None:
    """Where the next listing can go on under the settings of this mark; None: at the beginning."""
    return tx.execute(select(data_sources.c.cursor).where(data_sources.c.id == data_source_id, data_sources.c.cursor_mark == mark)).scalar_one_or_none()


def keep_cursor(tx: Tx, data_source_id: str, kept: Cursor) -> None:
    """Writes down where the next listing goes on; in the transaction that publishes what was listed up to there."""
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(cursor=kept.at, cursor_mark=kept.mark))


def forget_cursor(tx: Tx, data_source_id: str) -> None:
    """The next sync lists from the beginning: for whoever publishes something older than what was listed up to the cursor."""
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(cursor=None, cursor_mark=None))


def delete(tx: Tx, data_source_id: str) -> None:
    """Puts a tombstone on a data source."""
    tx.execute(update(data_sources).where(data_sources.c.id == data_source_id).values(deleted_at=clock.now()))


def deleted_among(tx: Tx, data_source_ids: Sequence[str]) -> list[str]:
    """Which of these have a tombstone."""
    mine = data_sources.c.id.in_(data_source_ids)
    return list(tx.execute(select(data_sources.c.id).where(mine, data_sources.c.deleted_at.is_not(None))).scalars())


def _not_found() -> NotFound:
    return NotFound("There is no data source with this id. `GET /api/v1/bots/{id}/data-sources` lists those of a bot.")


def _views(tx: Tx, found: Sequence[AnyRow]) -> tuple[DataSourceView, ...]:
    at = clock.now()
    last = syncs_of.last_of(tx, [row.id for row in found])
    going = syncs_of.going_of(tx, [row.id for row in found if row.fresh_until is not None and row.fresh_until <= at])
    return tuple(_view(row, last.get(row.id), going.get(row.id), at) for row in found)


def _view(row: AnyRow, last: Sync | None, going: Sync | None, at: Micros) -> DataSourceView:
    data_source = _data_source(row)
    state = state_of(paused=row.paused, last_outcome=row.last_outcome)
    return DataSourceView(
        data_source=data_source,
        state=state,
        last_sync=last,
        rows=row.rows,
        documents=row.documents,
        tokens=row.tokens,
        stale=stale(data_source.plan, paused=row.paused, last=last, going=going, at=at),
        unread=row.first_error if state == "ok" and not row.rows else None,
    )


def _data_source(row: AnyRow) -> DataSource:
    schedule = schedule_of(row.schedule)
    plan = None
    if schedule is not None:
        plan = Plan(schedule, row.schedule_since, row.next_run_at, row.fresh_until, row.stale_since, row.planned_at)
    return DataSource(row.id, row.workspace_id, row.bot_id, row.name, row.type, row.config, row.paused, row.created_at, plan)
