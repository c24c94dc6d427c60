"""Everything that happened in the workspace, newest first, as it happens."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import HTMLResponse, Response

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
CHOICES = 100  # bots in a drop-down; of more, so many are offered as one types
LONGEST_BOT = 200  # characters of a name
CARRYING = 50  # syncs with one ref
WHATS = (("", "Everything"), ("sync", "Syncs"), ("call", "Calls of trigger URLs"), ("delivery", "Deliveries"), ("change", "Changes and warnings"))


class Sought(BaseModel):
    """Which happenings the page shows."""

    what: Literal["", "sync", "call", "delivery", "change"] = ""
    bot: Annotated[str, AfterValidator(text_of_query), AfterValidator(str.strip), Field(max_length=LONGEST_BOT)] = ""  # its id, or its name
    until: Annotated[str, Field(max_length=10)] = ""  # a UTC day, to its end
    ref: Annotated[str, AfterValidator(text_of_query), AfterValidator(str.strip), Field(max_length=200)] = ""  # or the id of a sync
    cursor: Annotated[str | None, Field(max_length=200)] = None

    @property
    def narrowed(self) -> bool:
        """Whether something is left out."""
        return bool(self.what or self.bot or self.until or self.ref)


@dataclass(frozen=True, slots=True)
class Choice:
    """The first bots, whether there are `more`, and the one that is chosen; or those that the name which was typed may mean."""

    offered: tuple[Bot, ...]
    more: bool
    chosen: Bot | None = None
    meant: tuple[Bot, ...] | None = None


@router.get("/app/activity")
async def show(request: Request, visitor: Member, house: House, sought: Annotated[Sought, Query()]) -> Response:
    """What happened."""

    def read(tx: Tx) -> tuple[Choice, Sought, Page[Happening]]:
        choice = _choice(tx, visitor.workspace_id, sought.bot)
        exact = sought.model_copy(update={"bot": choice.chosen.id if choice.chosen else sought.bot})
        return choice, exact, Page((), None) if choice.meant is not None else _page(tx, visitor.workspace_id, exact)

    choice, exact, page = await house.db.read(read)
    return render(request, "activity/page.html", page=page, choice=choice, sought=exact, whats=WHATS)


@router.get("/app/activity/bots")
async def offer(
    request: Request,
    visitor: Member,
    house: House,
    like: Annotated[str, AfterValidator(text_of_query), Query(max_length=LONGEST_BOT, alias="bot")] = "",
) -> Response:
    """The names of bots that hold what was typed so far."""
    found = await house.db.read(bots.page, visitor.workspace_id, limit=CHOICES, cursor=None, like=like.strip())
    return HTMLResponse(fragment(request, "names_offered.html", offered=found.items))


@router.get("/app/activity/live")
async def live(request: Request, visitor: Member, house: House, sought: Annotated[Sought, Query()]) -> Response:
    """The same, whenever something happens."""

    async def look() -> str:
        page = await house.db.read(_page, visitor.workspace_id, sought)
        return fragment(request, "activity/list.html", page=page, sought=sought)

    return await stream(request, ("syncs", "ended", "deliveries"), look)


def _choice(tx: Tx, workspace_id: str, typed: str) -> Choice:
    """NotFound where there is no bot with an id like that."""
    first = bots.page(tx, workspace_id, limit=CHOICES, cursor=None)
    offered, more = first.items, first.next_cursor is not None
    if not typed:
        return Choice(offered, more)
    if is_id(typed):
        return Choice(offered, more, bots.get(tx, workspace_id, typed.lower()))
    found = bots.called(tx, workspace_id, typed, limit=CHOICES) or bots.page(tx, workspace_id, limit=CHOICES, cursor=None, like=typed).items
    return Choice(offered, more, found[0]) if len(found) == 1 else Choice(offered, more, meant=found)


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
