"""Everything that happened in the workspace, newest first, as it happens."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from tidings import clock
from tidings.clock import DAY, Micros
from tidings.model.bots import Bot
from tidings.model.happenings import Happening
from tidings.model.ids import is_id
from tidings.model.pages import Page
from tidings.store import around_syncs, bots, happenings
from tidings.store.transactions import Tx
from tidings.web.api.shapes import text_of_query
from tidings.web.live import stream
from tidings.web.pages.calling import House, Member
from tidings.web.pages.render import fragment, render

router = APIRouter()

SHOWN = 50
CHOICES = 200  # bots in a drop-down
CARRYING = 50  # syncs with one ref
WHATS = (("", "Everything"), ("sync", "Syncs"), ("call", "Calls of trigger URLs"), ("delivery", "Deliveries"), ("change", "Changes and warnings"))


class Sought(BaseModel):
    """Which happenings the page shows."""

    what: Literal["", "sync", "call", "delivery", "change"] = ""
    bot: Annotated[str, Field(max_length=36)] = ""
    until: Annotated[str, Field(max_length=10)] = ""  # a UTC day, to its end
    ref: Annotated[str, AfterValidator(text_of_query), AfterValidator(str.strip), Field(max_length=200)] = ""  # or the id of a sync
    cursor: Annotated[str | None, Field(max_length=200)] = None

    @property
    def narrowed(self) -> bool:
        """Whether something is left out."""
        return bool(self.what or self.bot or self.until or self.ref)


@router.get("/app/activity")
async def show(request: Request, visitor: Member, house: House, sought: Annotated[Sought, Query()]) -> Response:
    """What happened."""

    def read(tx: Tx) -> tuple[Page[Happening], tuple[Bot, ...]]:
        return _page(tx, visitor.workspace_id, sought), bots.page(tx, visitor.workspace_id, limit=CHOICES, cursor=None).items

    page, choices = await house.db.read(read)
    return render(request, "activity/page.html", page=page, choices=choices, sought=sought, whats=WHATS)


@router.get("/app/activity/live")
async def live(request: Request, visitor: Member, house: House, sought: Annotated[Sought, Query()]) -> Response:
    """The same, whenever something happens."""

    async def look() -> str:
        page = await house.db.read(_page, visitor.workspace_id, sought)
        return fragment(request, "activity/list.html", page=page, sought=sought)

    return await stream(request, ("syncs", "ended", "deliveries"), look)


def _page(tx: Tx, workspace_id: str, sought: Sought) -> Page[Happening]:
    bot = bots.get(tx, workspace_id, sought.bot).id if is_id(sought.bot) else None
    wanted = happenings.Wanted(workspace_id, sought.what or None, bot, _end_of(sought.until), _syncs(tx, workspace_id, sought.ref))
    return happenings.page(tx, wanted, limit=SHOWN, cursor=sought.cursor)


def _syncs(tx: Tx, workspace_id: str, ref: str) -> tuple[str, ...] | None:
    """The syncs that carry a ref, or the one whose id it is."""
    if not ref:
        return None
    return (ref.lower(),) if is_id(ref) else tuple(sync.id for sync in around_syncs.with_ref(tx, workspace_id, ref, limit=CARRYING))


def _end_of(day: str) -> Micros | None:
    """The end of a day that a browser sends; None of anything else."""
    try:
        return clock.parse_rfc3339(f"{day}T00:00:00Z") + DAY
    except (ValueError, OverflowError):
        return None
