"""Rows: what is stored of a data source."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.bots.data_sources import request_sync
from tidings.model.syncs import Requested
from tidings.store import data_sources, quarantine, rows
from tidings.store.rows import RowState, RowView
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, Owner, Reader
from tidings.web.api.data_sources import RequestedShape, shape_of_requested
from tidings.web.api.shapes import Id, Listed, Paging, PathId, Shape, Text, Time, listed, maybe_time_of

router = APIRouter(prefix="/api/v1", tags=["Rows"])


class RowsQuery(Paging):
    """Which rows."""

    q: Text | None = Field(None, description="Part of the key or title.")
    state: RowState | None = Field(None, description="`failed`: the last attempt to bring the row up to date failed.")


class RowShape(Shape):
    """One row. One that could never be read has an error and no documents."""

    id: Id
    key: str
    title: str | None
    url: str | None
    tokens: int
    documents: int
    updated_at: Time | None
    error: str | None = Field(description="Why the last attempt to bring the row up to date failed.")
    quarantined: bool = Field(description="Its new text is held back, until it is approved or becomes another one.")


class RowTextShape(RowShape):
    """One row with its text."""

    text: str


@router.get("/data-sources/{data_source_id}/rows", summary="List the rows of a data source")
async def list_rows(data_source_id: PathId, query: Annotated[RowsQuery, Query()], caller: Reader, db: Db) -> Listed[RowShape]:
    """The rows of the published snapshot, and those that failed."""

    def page(tx: Tx) -> Listed[RowShape]:
        data_sources.get(tx, caller.workspace_id, data_source_id)
        found = rows.page(tx, data_source_id, q=query.q, state=query.state, limit=query.limit, cursor=query.cursor)
        return listed(found, lambda row: RowShape(**_members(row)))

    return await db.read(page)


@router.get("/rows/{row_id}", summary="One row with its text")
async def get_row(row_id: PathId, caller: Reader, db: Db) -> RowTextShape:
    """One row with the text that was extracted from it."""
    row = await db.read(rows.get, caller.workspace_id, row_id)
    return RowTextShape(**_members(row), text=row.text or "")


@router.post("/rows/{row_id}/approve", status_code=202, summary="Approve the text of a row that is held back")
async def approve_row(row_id: PathId, caller: Owner, db: Db) -> RequestedShape:
    """Lets the row's new text through, whatever it is by then, and starts a sync. 409 when nothing of it is held back, or its data source is paused."""

    def approve(tx: Tx) -> Requested:
        return request_sync(tx, caller.workspace_id, quarantine.approve(tx, caller.workspace_id, row_id), "api")

    return shape_of_requested(await db.write(approve))


def _members(row: RowView) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "title": row.title,
        "url": row.url,
        "tokens": row.tokens,
        "documents": row.documents,
        "updated_at": maybe_time_of(row.updated_at),
        "error": row.error,
        "quarantined": row.quarantined,
    }
