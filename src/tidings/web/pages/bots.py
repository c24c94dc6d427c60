"""The bots as cards, a new one, and the settings of one."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings.bots import bots
from tidings.errors import Invalid
from tidings.model.names import cleaned_name
from tidings.store import bots as stored
from tidings.store import overview
from tidings.web.live import stream
from tidings.web.pages.calling import BotId, House, Member, Owner, for_owners
from tidings.web.pages.forms import Form, merged, sent
from tidings.web.pages.render import fragment, go, render

router = APIRouter()

SHOWN = 24  # bots on one page
TABS = (
    ("data-sources", "Data sources"),
    ("webhooks", "Webhooks"),
    ("search", "Search"),
    ("settings", "Settings"),
)  # the pages of a bot: the end of the address, the name

Cursor = Annotated[str | None, Query()]


@router.get("/app/bots")
async def cards(request: Request, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The bots of the workspace."""
    page = await house.db.read(overview.page, visitor.workspace_id, limit=SHOWN, cursor=cursor)
    return render(request, "bots/list.html", page=page, cursor=cursor)


@router.get("/app/bots/live")
async def live(request: Request, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The cards, whenever they change."""

    async def look() -> str:
        page = await house.db.read(overview.page, visitor.workspace_id, limit=SHOWN, cursor=cursor)
        return fragment(request, "bots/cards.html", page=page)

    return await stream(request, ("ended", "syncs"), look)


@router.get("/app/bots/new", dependencies=[for_owners])
async def ask(request: Request) -> Response:
    """Asks for the name of a new bot."""
    return render(request, "bots/new.html", form=Form())


@router.post("/app/bots/new")
async def create(request: Request, visitor: Owner, house: House) -> Response:
    """Makes a bot."""
    form = sent(request)
    try:
        bot = await house.db.write(stored.create, visitor.workspace_id, cleaned_name(form["name"]))
    except Invalid as error:
        return render(request, "bots/new.html", 422, form=form.refused(error))
    return go(request, f"/app/bots/{bot.id}", said=f"{bot.name} was created.")


@router.get("/app/bots/{bot_id}")
async def first_tab(request: Request, bot_id: BotId, visitor: Member, house: House) -> Response:
    """The first of the bot's pages."""
    await house.db.read(stored.get, visitor.workspace_id, bot_id)
    return go(request, f"/app/bots/{bot_id}/{TABS[0][0]}")


@router.get("/app/bots/{bot_id}/settings")
async def settings(request: Request, bot_id: BotId, visitor: Member, house: House) -> Response:
    """A bot's name, and the end of it."""
    bot = await house.db.read(stored.get, visitor.workspace_id, bot_id)
    return render(request, "bots/settings.html", bot=bot, tabs=TABS, form=Form({"name": bot.name}))


@router.post("/app/bots/{bot_id}/settings")
async def rename(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Gives a bot another name."""
    bot = await house.db.read(stored.get, visitor.workspace_id, bot_id)
    form = merged(sent(request), {"name": bot.name})
    try:
        form.check()
        await house.db.write(stored.rename, visitor.workspace_id, bot_id, cleaned_name(form["name"]))
    except Invalid as error:
        return render(request, "bots/settings.html", 422, bot=bot, tabs=TABS, form=form.refused(error))
    return go(request, f"/app/bots/{bot_id}/settings", said="The name was changed.")


@router.get("/app/bots/{bot_id}/delete")
async def ask_to_delete(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Asks before a bot is deleted, where no script shows the dialog."""
    return render(request, "bots/delete.html", bot=await house.db.read(stored.get, visitor.workspace_id, bot_id))


@router.post("/app/bots/{bot_id}/delete")
async def delete(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Deletes a bot with all that hangs on it."""
    bot = await house.db.read(stored.get, visitor.workspace_id, bot_id)
    await bots.delete(house.db, house.settings, visitor.workspace_id, bot_id)
    return go(request, "/app/bots", said=f"{bot.name} was deleted.")
