"""One row: how it stands, what it says, what syncs did to it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings.bots.data_sources import request_sync
from tidings.errors import Conflict, NotFound
from tidings.model.syncs import Requested
from tidings.store import bots as bots_stored
from tidings.store import data_sources as sources_stored
from tidings.store import quarantine
from tidings.store import rows as stored
from tidings.store.rows import RowView
from tidings.store.transactions import Tx
from tidings.web.pages.calling import House, Member, Owner, SourceId, id_in_path
from tidings.web.pages.render import go, render

router = APIRouter()

SHOWN = 10  # documents on one page
SYNCS_BACK = 100  # the syncs that are asked what they did to a row

Cursor = Annotated[str | None, Query(max_length=200)]


@router.get("/app/data-sources/{data_source_id}/rows/{row_id}")
async def one(request: Request, data_source_id: SourceId, row_id: str, visitor: Member, house: House, cursor: Cursor = None) -> Response:  # noqa: PLR0917
    """One row with its text, document by document."""

    def read(tx: Tx) -> dict[str, Any]:
        source = sources_stored.get(tx, visitor.workspace_id, data_source_id)
        row = _row(tx, visitor.workspace_id, data_source_id, row_id)
        return {
            "row": row,
            "source": source,
            "bot": bots_stored.get(tx, visitor.workspace_id, source.bot_id),
            "pieces": stored.pieces(tx, row, limit=SHOWN, cursor=cursor),
            "past": stored.past(tx, row, syncs_back=SYNCS_BACK),
        }

    return render(request, "rows/one.html", cursor=cursor, syncs_back=SYNCS_BACK, **await house.db.read(read))


@router.post("/app/data-sources/{data_source_id}/rows/{row_id}/approve")
async def approve(request: Request, data_source_id: SourceId, row_id: str, visitor: Owner, house: House) -> Response:
    """Lets the text through that is held back, and asks for the sync that brings it."""
    here = f"/app/data-sources/{data_source_id}/rows/{id_in_path(row_id)}"

    def request_(tx: Tx) -> Requested | None:
        row = _row(tx, visitor.workspace_id, data_source_id, row_id)
        return request_sync(tx, visitor.workspace_id, quarantine.approve(tx, visitor.workspace_id, row.id), "manual") if row.quarantined else None

    try:
        requested = await house.db.write(request_)
    except Conflict:
        return go(request, here, said="Its data source is paused, so it starts no syncs. Resume it first.", kind="bad")
    if requested is None:
        return go(request, here, said="No text of this row is held back any more.")
    return go(request, f"/app/syncs/{requested.sync_id}", said="It is approved, and a sync is queued that brings the new text.")


def _row(tx: Tx, workspace_id: str, data_source_id: str, row_id: str) -> RowView:
    """A row of this data source. NotFound."""
    row = stored.find(tx, workspace_id, id_in_path(row_id))
    if row.data_source_id != data_source_id:
        raise NotFound("There is no such row in this data source. It may have been removed at its source.")
    return row
