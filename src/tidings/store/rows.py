"""The rows of a data source as readers see them: the published snapshot, and rows that failed."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Select, and_, or_, select

from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.pages import Page
from tidings.model.syncs import ChangeKind, State
from tidings.store.syncs import number_of
from tidings.store.tables import changes, data_sources, documents, rows, syncs, versions
from tidings.store.transactions import AnyRow, Tx

RowState = Literal["ok", "failed"]


@dataclass(frozen=True, slots=True)
class RowView:
    """One row. One that could never be read has an error and no documents. `text` only where one row was asked for with it; `n` and `version` are the
    numbers of the row and of its visible version."""

    id: str
    data_source_id: str
    key: str
    title: str | None
    url: str | None
    tokens: int
    documents: int
    updated_at: Micros | None
    error: str | None
    quarantined: bool = False
    text: str | None = None
    n: int = 0
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A document of a row."""

    ord: int
    heading: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Past:
    """What a sync did to a row: the line of its manifest, and when it asked for the row."""

    sync_id: str
    n: int
    kind: ChangeKind
    quarantined: bool
    reason: str | None
    dry_run: bool
    state: State
    at: Micros


def page(tx: Tx, data_source_id: str, *, q: str | None = None, state: RowState | None = None, limit: int, cursor: str | None) -> Page[RowView]:
    """Rows in the order in which they were first seen. `q`: part of the key or title; `state`: `failed` have an error."""
    query = _visible().where(rows.c.data_source_id == data_source_id).order_by(rows.c.n).limit(limit + 1)
    if q:
        query = query.where(or_(rows.c.key.icontains(q, autoescape=True), versions.c.title.icontains(q, autoescape=True)))
    if state is not None:
        query = query.where(rows.c.error.is_not(None) if state == "failed" else rows.c.error.is_(None))
    if cursor is not None:
        query = query.where(rows.c.n > number_of(cursor))
    found = tx.execute(query).all()
    return Page(tuple(_view(row) for row in found[:limit]), str(found[limit - 1].n) if len(found) > limit else None)


def get(tx: Tx, workspace_id: str, row_id: str) -> RowView:
    """One row with its text. NotFound."""
    found = find(tx, workspace_id, row_id)
    texts = tx.execute(select(documents.c.text).where(documents.c.version_n == found.version).order_by(documents.c.ord)).scalars()
    return replace(found, text="\n\n".join(texts))


def find(tx: Tx, workspace_id: str, row_id: str) -> RowView:
    """One row without its text. NotFound."""
    query = _visible().where(rows.c.id == row_id, data_sources.c.workspace_id == workspace_id, data_sources.c.deleted_at.is_(None))
    found = tx.execute(query).one_or_none()
    if found is None:
        raise NotFound("There is no row with this id. It may have been removed at its source.")
    return _view(found)


def pieces(tx: Tx, row: RowView, *, limit: int, cursor: str | None) -> Page[Piece]:
    """The documents of a row's visible version, in their order."""
    query = select(documents).where(documents.c.version_n == row.version).order_by(documents.c.ord).limit(limit + 1)
    if cursor is not None:
        query = query.where(documents.c.ord > number_of(cursor))
    found = tx.execute(query).all()
    items = tuple(Piece(one.ord, one.heading, one.text, one.tokens) for one in found[:limit])
    return Page(items, str(items[-1].ord) if len(found) > limit else None)


def past(tx: Tx, row: RowView, *, syncs_back: int) -> tuple[Past, ...]:
    """What the latest syncs of its data source did to a row, the last one first."""
    latest = select(syncs).where(syncs.c.data_source_id == row.data_source_id).order_by(syncs.c.id.desc()).limit(syncs_back).subquery()
    query = (
        select(latest.c.id, latest.c.dry_run, latest.c.state, latest.c.queued_at, changes.c.n, changes.c.kind, changes.c.quarantined, changes.c.reason)
        .join(changes, and_(changes.c.sync_id == latest.c.id, changes.c.row_n == row.n, changes.c.key == row.key))
        .order_by(latest.c.id.desc())
    )
    return tuple(Past(one.id, one.n, one.kind, one.quarantined, one.reason, one.dry_run, one.state, one.queued_at) for one in tx.execute(query))


def _visible() -> Select[Any]:
    """Rows beside their visible version; `published` and the versions are read in one statement, so one snapshot is seen."""
    visible = and_(versions.c.row_n == rows.c.n, versions.c.from_n <= data_sources.c.published, versions.c.to_n > data_sources.c.published)
    return (
        select(
            rows.c.n,
            rows.c.id,
            rows.c.data_source_id,
            rows.c.key,
            rows.c.error,
            rows.c.error_at,
            rows.c.quarantined,
            versions.c.n.label("version_n"),
            versions.c.title,
            versions.c.url,
            versions.c.tokens,
            versions.c.documents,
            versions.c.created_at,
        )
        .select_from(rows.join(data_sources, data_sources.c.id == rows.c.data_source_id).outerjoin(versions, visible))
        .where(or_(versions.c.n.is_not(None), rows.c.error.is_not(None)))
    )


def _view(row: AnyRow) -> RowView:
    return RowView(
        id=row.id,
        data_source_id=row.data_source_id,
        key=row.key,
        title=row.title,
        url=row.url,
        tokens=row.tokens or 0,
        documents=row.documents or 0,
        updated_at=row.created_at if row.created_at is not None else row.error_at,
        error=row.error,
        quarantined=row.quarantined is not None,
        n=row.n,
        version=row.version_n,
    )
