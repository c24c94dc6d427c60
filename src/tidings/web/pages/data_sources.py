"""The data sources of a bot, and the page of one: how it stands, its syncs, its rows."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from tidings import clock
from tidings.bots import data_sources
from tidings.bots.data_sources import DataSourceChange
from tidings.errors import Conflict
from tidings.store import approvals, rows, syncs
from tidings.store import bots as bots_stored
from tidings.store import data_sources as stored
from tidings.store.cursors import id_in
from tidings.store.transactions import Tx
from tidings.web.api.shapes import text_of_query
from tidings.web.live import stream
from tidings.web.pages.bots import TABS
from tidings.web.pages.calling import BotId, House, Member, Owner, SourceId, id_in_path
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.schedule_forms import in_words

router = APIRouter()

SHOWN = 50  # data sources, and rows, on one page
SHOWN_SYNCS = 10

Cursor = Annotated[str | None, Field(max_length=200)]


class Wanted(BaseModel):
    """Which rows, and which syncs, the page of a data source shows."""

    q: Annotated[str, AfterValidator(text_of_query), Field(max_length=200)] = ""  # part of the key or title
    state: Literal["", "ok", "failed"] = ""
    cursor: Cursor = None  # of the rows
    before: Cursor = None  # a cursor of the syncs


@router.get("/app/bots/{bot_id}/data-sources")
async def of_bot(request: Request, bot_id: BotId, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The data sources of a bot."""
    shown = await house.db.read(_of_bot, visitor.workspace_id, bot_id, cursor)
    return render(request, "data_sources/list.html", tabs=TABS, cursor=cursor, **shown)


@router.get("/app/bots/{bot_id}/data-sources/live")
async def of_bot_live(request: Request, bot_id: BotId, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The same, whenever it changes."""

    async def look() -> str:
        return fragment(request, "data_sources/table.html", **await house.db.read(_of_bot, visitor.workspace_id, bot_id, cursor))

    return await stream(request, ("ended", "syncs"), look)


@router.get("/app/data-sources/{data_source_id}")
async def one(request: Request, data_source_id: SourceId, visitor: Member, house: House, wanted: Annotated[Wanted, Query()]) -> Response:
    """One data source."""

    def read(tx: Tx) -> dict[str, Any]:
        found = _one(tx, visitor.workspace_id, data_source_id, wanted.before) | _rows(tx, visitor.workspace_id, data_source_id, wanted)
        return found | {"bot": bots_stored.get(tx, visitor.workspace_id, found["source"].bot_id)}

    return render(request, "data_sources/one.html", **await house.db.read(read))


@router.get("/app/data-sources/{data_source_id}/live")
async def one_live(request: Request, data_source_id: SourceId, visitor: Member, house: House, before: Cursor = None) -> Response:
    """How it stands and its syncs, whenever that changes."""

    async def look() -> str:
        return fragment(request, "data_sources/standing.html", **await house.db.read(_one, visitor.workspace_id, data_source_id, before))

    return await stream(request, ("ended", "syncs"), look)


@router.get("/app/data-sources/{data_source_id}/rows/live")
async def rows_live(request: Request, data_source_id: SourceId, visitor: Member, house: House) -> Response:
    """The first of its rows, whenever they change."""

    async def look() -> str:
        return fragment(request, "data_sources/rows.html", **await house.db.read(_rows, visitor.workspace_id, data_source_id, Wanted()))

    return await stream(request, ("ended",), look)


@router.post("/app/data-sources/{data_source_id}/sync")
async def sync_now(request: Request, data_source_id: SourceId, visitor: Member, house: House) -> Response:
    """Asks for a sync."""
    try:
        requested = await house.db.write(data_sources.request_sync, visitor.workspace_id, data_source_id, "manual")
    except Conflict:
        return _back(request, data_source_id, "It is paused, so it starts no syncs. Resume it first.", "bad")
    return _back(request, data_source_id, "A sync is queued." if requested.state == "queued" else "A sync was queued already; it will bring everything.")


@router.post("/app/data-sources/{data_source_id}/syncs/{sync_id}/cancel")
async def cancel(request: Request, data_source_id: SourceId, sync_id: str, visitor: Owner, house: House) -> Response:
    """Ends a sync that has not ended."""
    try:
        await house.db.write(syncs.cancel, visitor.workspace_id, id_in_path(sync_id))
    except Conflict as error:
        return _back(request, data_source_id, str(error), "bad")
    return _back(request, data_source_id, "The sync was cancelled; nothing of it is shown to anybody.")


@router.post("/app/data-sources/{data_source_id}/pause")
async def pause(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Has it start no more syncs."""
    return await _paused(request, data_source_id, visitor, house, paused=True)


@router.post("/app/data-sources/{data_source_id}/resume")
async def resume(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Has it start syncs again."""
    return await _paused(request, data_source_id, visitor, house, paused=False)


@router.get("/app/data-sources/{data_source_id}/delete")
async def ask_to_delete(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Asks before a data source is deleted, where no script shows the dialog."""

    def read(tx: Tx) -> dict[str, Any]:
        source = stored.get(tx, visitor.workspace_id, data_source_id)
        return {"source": source, "bot": bots_stored.get(tx, visitor.workspace_id, source.bot_id)}

    return render(request, "data_sources/delete.html", **await house.db.read(read))


@router.post("/app/data-sources/{data_source_id}/delete")
async def delete(request: Request, data_source_id: SourceId, visitor: Owner, house: House) -> Response:
    """Deletes a data source with its rows."""
    source = await house.db.read(stored.get, visitor.workspace_id, data_source_id)
    await data_sources.delete(house.db, house.settings, visitor.workspace_id, data_source_id)
    return go(request, f"/app/bots/{source.bot_id}/data-sources", said=f"{source.name} was deleted.")


async def _paused(request: Request, data_source_id: str, visitor: Owner, house: House, *, paused: bool) -> Response:
    place = {"workspace_id": visitor.workspace_id, "data_source_id": data_source_id}
    await data_sources.change(house.db, house.settings, house.secretbox, house.outbound, **place, wanted=DataSourceChange(paused=paused))
    return _back(request, data_source_id, "It is paused: it starts no syncs until it is resumed." if paused else "It is resumed.")


def _back(request: Request, data_source_id: str, said: str, kind: str = "good") -> Response:
    return go(request, f"/app/data-sources/{data_source_id}", said=said, kind=kind)


def _of_bot(tx: Tx, workspace_id: str, bot_id: str, cursor: str | None) -> dict[str, Any]:
    """Its data sources, the syncs of them that have not ended."""
    bot = bots_stored.get(tx, workspace_id, bot_id)
    page = stored.page(tx, bot_id, limit=SHOWN, cursor=cursor)
    return {"bot": bot, "page": page, "going": syncs.going_of(tx, [view.data_source.id for view in page.items])}


def _one(tx: Tx, workspace_id: str, data_source_id: str, before: str | None) -> dict[str, Any]:
    """How it stands, the sync that has not ended, and a page of its syncs."""
    view = stored.view(tx, workspace_id, data_source_id)
    page = syncs.page(tx, data_source_id, limit=SHOWN_SYNCS, cursor=None if before is None else id_in(before))
    going = syncs.going_of(tx, [data_source_id]).get(data_source_id)
    source, waits = view.data_source, None if going is None else going.waits_until(clock.now())
    last = view.last_sync
    guarded = last is not None and (last.code == "removal_guard" or last.counts.held_back > 0)
    times = in_words(None if source.plan is None else source.plan.schedule)
    return {
        "view": view,
        "source": source,
        "syncs": page,
        "before": before,
        "going": going,
        "waits": waits,
        "waits_for_word": approvals.wanted(tx, data_source_id) if guarded else None,
        "times": times,
        "synced_at": stored.synced_at(tx, source.id),
    }


def _rows(tx: Tx, workspace_id: str, data_source_id: str, wanted: Wanted) -> dict[str, Any]:
    stored.get(tx, workspace_id, data_source_id)
    found = rows.page(tx, data_source_id, q=wanted.q or None, state=wanted.state or None, limit=SHOWN, cursor=wanted.cursor)
    return {"rows": found, "wanted": wanted}
