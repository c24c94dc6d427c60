"""One sync: what happened, what asked for it, what it did row by row, whom it told; and what one may do about it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from tidings import clock
from tidings.bots.data_sources import request_sync
from tidings.errors import Conflict, Gone, NotFound, TooLarge
from tidings.model.syncs import Change, ChangeKind, Requested, Sync
from tidings.store import approvals, around_syncs, manifest
from tidings.store import bots as bots_stored
from tidings.store import data_sources as sources_stored
from tidings.store import syncs as stored
from tidings.store.around_syncs import Told
from tidings.store.transactions import Tx
from tidings.syncs.text_diff import diff_of_change
from tidings.web.api.shapes import text_of_query
from tidings.web.live import stream
from tidings.web.pages import delivery_words, sync_story
from tidings.web.pages.calling import House, Member, Owner, SourceId, id_in_path
from tidings.web.pages.diffs import Cut, lines_of
from tidings.web.pages.render import fragment, go, render
from tidings.web.services import Services

router = APIRouter()

SHOWN = 50  # lines of the manifest on one page
SHOWN_CALLS = 10
SHOWN_DELIVERIES = 20
SHOWN_APPROVED = 10  # rows that are named where an approval is asked for
SETTLES = 60 * clock.SECOND  # what is written down about a sync is there that long after its end
PAUSED = "Its data source is paused, so it starts no syncs. Resume it first."

# What the manifest can be narrowed down to: the value in the address, and its name.
KINDS = (("", "All"), ("added", "Added"), ("changed", "Changed"), ("removed", "Removed"), ("failed", "Failed"), ("held-back", "Held back"))


class Wanted(BaseModel):
    """Which lines of the manifest."""

    q: Annotated[str, AfterValidator(text_of_query), Field(max_length=200)] = ""  # part of the key or title
    kind: Literal["", "added", "changed", "removed", "failed", "held-back"] = ""
    cursor: Annotated[str | None, Field(max_length=200)] = None

    @property
    def narrow(self) -> bool:
        """Whether these are not the first of all."""
        return bool(self.q or self.kind or self.cursor)


def _id(sync_id: Annotated[str, Path()]) -> str:
    return id_in_path(sync_id)


SyncId = Annotated[str, Depends(_id)]
Number = Annotated[int, Path(ge=0, le=2**53)]


@router.get("/app/syncs/{sync_id}")
async def one(request: Request, sync_id: SyncId, visitor: Member, house: House, wanted: Annotated[Wanted, Query()]) -> Response:
    """One sync."""

    def read(tx: Tx) -> dict[str, Any]:
        found = _standing(tx, visitor.workspace_id, sync_id) | {"changes": _changes(tx, sync_id, wanted)}
        return found | {"bot": bots_stored.get(tx, visitor.workspace_id, found["sync"].bot_id)}

    shown = await house.db.read(read)
    return render(request, "syncs/one.html", wanted=wanted, kinds=KINDS, live=_may_change(shown["sync"], shown["told"]), **shown)


@router.get("/app/syncs/{sync_id}/live")
async def one_live(request: Request, sync_id: SyncId, visitor: Member, house: House) -> Response:
    """How it stands, whenever that changes."""

    async def look() -> str:
        return fragment(request, "syncs/standing.html", **await house.db.read(_standing, visitor.workspace_id, sync_id))

    return await stream(request, ("ended", "syncs", "deliveries"), look)


@router.get("/app/syncs/{sync_id}/changes/live")
async def changes_live(request: Request, sync_id: SyncId, visitor: Member, house: House) -> Response:
    """The first lines of its manifest, whenever they change."""

    def read(tx: Tx) -> dict[str, Any]:
        sync = stored.get(tx, visitor.workspace_id, sync_id)
        sources_stored.get(tx, visitor.workspace_id, sync.data_source_id)  # a sync is there for a while after its data source was deleted
        return {"sync": sync, "changes": _changes(tx, sync_id, Wanted()), "wanted": Wanted()}

    async def look() -> str:
        return fragment(request, "syncs/changes.html", **await house.db.read(read))

    return await stream(request, ("ended",), look)


@router.get("/app/syncs/{sync_id}/changes/{n}")
async def change(request: Request, sync_id: SyncId, n: Number, visitor: Member, house: House, whole: bool = False) -> Response:  # noqa: FBT001, FBT002, PLR0917
    """What it did to one row, and how its text changed; `whole`: however long that is."""

    def read(tx: Tx) -> dict[str, Any]:
        sync = stored.get(tx, visitor.workspace_id, sync_id)
        return _around(tx, sync) | {"change": manifest.line(tx, sync_id, n)}

    shown = await house.db.read(read)
    cut, why_not = await _diff(house, sync_id, shown["change"], whole=whole)
    return render(request, "syncs/change.html", cut=cut, why_not=why_not, **shown)


@router.post("/app/syncs/{sync_id}/cancel")
async def cancel(request: Request, sync_id: SyncId, visitor: Owner, house: House) -> Response:
    """Ends it before its end."""
    try:
        await house.db.write(stored.cancel, visitor.workspace_id, sync_id)
    except Conflict as error:
        return _to(request, sync_id, str(error), "bad")
    return _to(request, sync_id, "The sync was cancelled; nothing of it is shown to anybody.")


@router.post("/app/syncs/{sync_id}/again")
async def again(request: Request, sync_id: SyncId, visitor: Member, house: House) -> Response:
    """Asks for another sync, of the whole data source."""

    def request_(tx: Tx) -> Requested:
        return request_sync(tx, visitor.workspace_id, stored.get(tx, visitor.workspace_id, sync_id).data_source_id, "manual")

    try:
        requested = await house.db.write(request_)
    except Conflict:
        return _to(request, sync_id, PAUSED, "bad")
    return _to_requested(request, requested)


@router.post("/app/syncs/{sync_id}/start")
async def start(request: Request, sync_id: SyncId, visitor: Member, house: House) -> Response:
    """Has it start, although it waits for the window of its data source."""

    def hurry(tx: Tx) -> bool:
        sync = stored.get(tx, visitor.workspace_id, sync_id)
        if sync.state == "queued":
            request_sync(tx, visitor.workspace_id, sync.data_source_id, "manual", targets=sync.targets, dry_run=sync.dry_run, ignore_window=True)
        return sync.state == "queued"

    try:
        waited = await house.db.write(hurry)
    except Conflict:
        return _to(request, sync_id, PAUSED, "bad")
    return _to(request, sync_id, "It starts as soon as a worker is free." if waited else "It waits for nothing any more.")


@router.get("/app/syncs/{sync_id}/approve")
async def ask_to_approve(request: Request, sync_id: SyncId, visitor: Owner, house: House) -> Response:
    """Says what an approval lets happen."""

    def read(tx: Tx) -> dict[str, Any]:
        sync = stored.get(tx, visitor.workspace_id, sync_id)
        removed = manifest.page(tx, sync_id, kind="removed", limit=SHOWN_APPROVED, cursor=None)
        return _around(tx, sync) | {
            "wanted": approvals.wanted(tx, sync.data_source_id) == sync_id,
            "removed": removed if sync.code == "removal_guard" else None,
            "held_back": manifest.page(tx, sync_id, held_back=True, limit=SHOWN_APPROVED, cursor=None),
        }

    return render(request, "syncs/approve.html", **await house.db.read(read))


@router.post("/app/syncs/{sync_id}/approve")
async def approve(request: Request, sync_id: SyncId, visitor: Owner, house: House) -> Response:
    """Approves what it lists as removed and as held back, and asks for the sync that does it."""

    def request_(tx: Tx) -> Requested | None:
        sync = stored.get(tx, visitor.workspace_id, sync_id)
        if approvals.wanted(tx, sync.data_source_id) != sync_id:
            return None
        return request_sync(tx, visitor.workspace_id, sync.data_source_id, "manual", approve_removals=True)

    try:
        requested = await house.db.write(request_)
    except Conflict:
        return _to(request, sync_id, PAUSED, "bad")
    if requested is None:
        return _to(request, sync_id, "There is nothing of this sync to approve any more: a later one has other figures.", "bad")
    return _to_requested(request, requested, "It is approved, and a sync is queued that does it.")


@router.post("/app/data-sources/{data_source_id}/dry-run")
async def dry_run(request: Request, data_source_id: SourceId, visitor: Member, house: House) -> Response:
    """Asks what a sync would change, and leads to the answer."""
    try:
        requested = await house.db.write(request_sync, visitor.workspace_id, data_source_id, "manual", dry_run=True)
    except Conflict:
        return go(request, f"/app/data-sources/{data_source_id}", said=PAUSED, kind="bad")
    return _to_requested(request, requested, "Tidings looks what a sync would change.")


def _to_requested(request: Request, requested: Requested, said: str = "A sync is queued.") -> Response:
    return _to(request, requested.sync_id, said if requested.state == "queued" else "This sync was queued already; it will bring everything.")


def _to(request: Request, sync_id: str, said: str, kind: str = "good") -> Response:
    return go(request, f"/app/syncs/{sync_id}", said=said, kind=kind)


def _around(tx: Tx, sync: Sync) -> dict[str, Any]:
    """A sync, its data source, its bot."""
    return {"sync": sync, "source": sources_stored.get(tx, sync.workspace_id, sync.data_source_id), "bot": bots_stored.get(tx, sync.workspace_id, sync.bot_id)}


def _standing(tx: Tx, workspace_id: str, sync_id: str) -> dict[str, Any]:
    """How it stands, and what stands around it."""
    sync = stored.get(tx, workspace_id, sync_id)
    now = clock.now()
    going = stored.going_of(tx, [sync.data_source_id]).get(sync.data_source_id) if sync.state == "queued" else None
    return {
        "sync": sync,
        "source": sources_stored.get(tx, workspace_id, sync.data_source_id),
        "told": around_syncs.told(tx, sync, limit=SHOWN_DELIVERIES),
        "words": delivery_words,
        "calls": around_syncs.calls_for(tx, sync, limit=SHOWN_CALLS),
        "before": going if going is not None and going.state == "running" else None,
        "window": sync.waits_until(now),
        "phases": sync_story.phases(sync, now),
        "pace": sync_story.pace(sync, now),
        "sentence": sync_story.told(sync) if sync.ended else None,
        "asked": sync_story.asked(sync),
        "approvable": _waits_for_approval(sync) and approvals.wanted(tx, sync.data_source_id) == sync_id,
    }


def _may_change(sync: Sync, told: Sequence[Told]) -> bool:
    """Whether more is to come: its end, attempts of webhooks, or the calls that asked for it, which are written down behind it."""
    return sync.finished_at is None or clock.now() - sync.finished_at < SETTLES or any(one.state == "pending" for one in told)


def _waits_for_approval(sync: Sync) -> bool:
    return sync.ended and (sync.code == "removal_guard" or sync.counts.held_back > 0)


def _changes(tx: Tx, sync_id: str, wanted: Wanted) -> Any:
    held_back = wanted.kind == "held-back"
    kinds: dict[str, ChangeKind] = {"added": "added", "changed": "changed", "removed": "removed", "failed": "failed", "held-back": "failed"}
    return manifest.page(tx, sync_id, kind=kinds.get(wanted.kind), held_back=held_back, q=wanted.q or None, limit=SHOWN, cursor=wanted.cursor)


async def _diff(house: Services, sync_id: str, change: Change, *, whole: bool) -> tuple[Cut | None, str | None]:
    """The diff of a change; or why there is none."""
    if change.kind == "failed":
        return None, None
    try:
        diff = await diff_of_change(house.db, sync_id, change.n)
    except (Gone, NotFound):
        return None, "The text of this change is not kept any more. It is kept for as long as the snapshots that show it."
    except TooLarge:
        return None, "The text of this row is too long to compare."
    return lines_of(diff, whole=whole), None
