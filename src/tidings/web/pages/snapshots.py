"""The kept snapshots of a data source: listed, two compared, and the way back to one."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tidings.errors import Conflict
from tidings.store import bots as bots_stored
from tidings.store import data_sources as sources_stored
from tidings.store import history
from tidings.store.transactions import Tx
from tidings.web.pages.calling import House, Member, Owner, SourceId
from tidings.web.pages.render import go, render

router = APIRouter()

SHOWN = 20  # snapshots on one page
SHOWN_ROWS = 50  # rows of a comparison
SHOWN_UNDONE = 10  # rows that are named where a rollback is asked for
CHOICES = 100  # snapshots that can be chosen to be compared

Cursor = Annotated[str | None, Query(max_length=200)]
Number = Annotated[int, Path(ge=1, le=2**53)]


class Compared(BaseModel):
    """Which two snapshots, and which of the rows that differ."""

    before: Annotated[int | None, Field(ge=1, le=2**53)] = None
    after: Annotated[int | None, Field(ge=1, le=2**53)] = None
    kind: Literal["", "added", "changed", "removed"] = ""
    cursor: Annotated[str | None, Field(max_length=200)] = None


@router.get("/app/data-sources/{data_source_id}/snapshots")
async def listed(request: Request, data_source_id: SourceId, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The kept snapshots."""

    def read(tx: Tx) -> dict[str, Any]:
        return _around(tx, visitor.workspace_id, data_source_id) | {"page": history.page(tx, data_source_id, limit=SHOWN, cursor=cursor)}

    return render(request, "snapshots/list.html", cursor=cursor, **await house.db.read(read))


@router.get("/app/data-sources/{data_source_id}/snapshots/compare")
async def compare(request: Request, data_source_id: SourceId, visitor: Member, house: House, wanted: Annotated[Compared, Query()]) -> Response:
    """The rows that are not the same in two of them: the last two, unless others are named."""

    def read(tx: Tx) -> dict[str, Any]:
        shown = _around(tx, visitor.workspace_id, data_source_id)
        kept = history.page(tx, data_source_id, limit=CHOICES, cursor=None).items
        after = wanted.after or (kept[0].number if kept else None)
        before = wanted.before or next((one.number for one in kept if after is not None and one.number < after), after)
        found = history.compare(tx, data_source_id, before, after, kind=wanted.kind or None, limit=SHOWN_ROWS, cursor=wanted.cursor)
        return shown | {"kept": kept, "before": before, "after": after, "found": found}

    return render(request, "snapshots/compare.html", wanted=wanted, **await house.db.read(read))


@router.get("/app/data-sources/{data_source_id}/snapshots/{number}/roll-back")
async def ask_to_roll_back(request: Request, data_source_id: SourceId, number: Number, visitor: Owner, house: House) -> Response:
    """Says what a rollback changes."""

    def read(tx: Tx) -> dict[str, Any]:
        shown = _around(tx, visitor.workspace_id, data_source_id)
        now = history.page(tx, data_source_id, limit=1, cursor=None).items
        to = history.one(tx, data_source_id, number)
        return shown | {"now": now[0], "to": to, "undone": history.compare(tx, data_source_id, now[0].number, number, limit=SHOWN_UNDONE, cursor=None)}

    return render(request, "snapshots/roll_back.html", **await house.db.read(read))


@router.post("/app/data-sources/{data_source_id}/snapshots/{number}/roll-back")
async def roll_back(request: Request, data_source_id: SourceId, number: Number, visitor: Owner, house: House) -> Response:
    """Publishes it again, and pauses the data source."""
    here = f"/app/data-sources/{data_source_id}/snapshots"
    try:
        await house.db.write(history.roll_back, visitor.workspace_id, data_source_id, number)
    except Conflict as error:
        return go(request, here, said=str(error), kind="bad")
    return go(request, here, said=f"The bot knows again what snapshot {number} holds. The data source is paused.")


def _around(tx: Tx, workspace_id: str, data_source_id: str) -> dict[str, Any]:
    source = sources_stored.get(tx, workspace_id, data_source_id)
    return {"source": source, "bot": bots_stored.get(tx, workspace_id, source.bot_id)}
