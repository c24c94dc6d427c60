"""The Webhooks tab of a bot: its trigger URLs, and the addresses that are told how syncs went."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from tidings.errors import Invalid, NotFound
from tidings.model.pages import Page
from tidings.model.webhooks import Hook
from tidings.model.workspaces import Visitor
from tidings.settings import MASK
from tidings.store import bots
from tidings.web.live import stream
from tidings.web.pages.bots import TABS
from tidings.web.pages.calling import BotId, House, Member, Owner, id_in_path
from tidings.web.pages.delivery_words import shortened
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.source_choice import Choice, by_name, choice_of
from tidings.web.pages.webhook import changed, hook_of, test_of, typed, urls_of
from tidings.web.pages.webhook_forms import KINDS, LONGEST_URL, OVERLAPS, check_lengths, chosen_source, filled, new_secret, refused, title_of
from tidings.web.services import Services
from tidings.webhooks import hooks
from tidings.webhooks.hooks import HookInput

router = APIRouter()

SHOWN = 25  # hooks on one page, and
LONGEST_SHOWN = 200  # characters of each target, which keeps it below 60 KB; the form of a hook has all of it


@dataclass(frozen=True, slots=True)
class Open:
    """What stands open on the page: the form of a new hook of the kind `setup`, or the hook `hook_id`. `bare`: its secret is shown;
    `generated`: the secret in the form is not kept yet; `test`: the delivery of a test."""

    setup: str | None = None
    hook_id: str | None = None
    form: Form = field(default_factory=Form)
    bare: bool = False
    generated: bool = False
    test: str | None = None


@router.get("/app/bots/{bot_id}/webhooks")
async def tab(  # noqa: PLR0917
    request: Request,
    bot_id: BotId,
    visitor: Member,
    house: House,
    cursor: Annotated[str | None, Query()] = None,
    setup: Annotated[str | None, Query()] = None,
    hook: Annotated[str | None, Query()] = None,
    show: Annotated[str | None, Query()] = None,
    test: Annotated[str | None, Query()] = None,
) -> Response:
    """The hooks of a bot by their kinds; `setup` or `hook` opens a form in place."""
    opened = Open(setup, None if hook is None else id_in_path(hook), bare=show is not None, test=None if test is None else id_in_path(test))
    return await _page(request, bot_id, visitor, house, opened, cursor=cursor)


@router.get("/app/bots/{bot_id}/webhooks/live")
async def tab_live(request: Request, bot_id: BotId, visitor: Member, house: House, cursor: Annotated[str | None, Query()] = None) -> Response:
    """When each of them was last used and how it does, whenever that changes."""

    async def look() -> str:
        page = await hooks.page(house.db, house.secretbox, visitor.workspace_id, bot_id, limit=SHOWN, cursor=cursor)
        return fragment(request, "bots/webhooks_live.html", page=page)

    return await stream(request, ("ended", "syncs"), look)


@router.post("/app/bots/{bot_id}/webhooks")
async def create(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Makes a hook; its form then stands open, with its URL or a test to send."""
    form = await by_name(house, bot_id, sent(request))
    kind = next((kind for kind in KINDS if kind.type == form["type"]), None)
    if kind is None:
        raise NotFound("There is no such kind of webhook. Load the page again, and choose one.")
    try:
        form.check()
        check_lengths(form)
        given = HookInput(kind.type, chosen_source(form), target_url=None if kind.type == "sync_trigger" else form["targetUrl"])
        hook = await hooks.create(house.db, house.secretbox, house.outbound, visitor.workspace_id, bot_id, given)
    except Invalid as error:
        return await _page(request, bot_id, visitor, house, Open(setup=kind.type, form=refused(form, kind.type, error)), 422)
    return go(request, _address(bot_id, hook.id), said=f"{kind.name} is set up.")


@router.post("/app/bots/{bot_id}/webhooks/explain")
async def explain(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """What the guard says of a target while it is typed."""
    await house.db.read(bots.get, visitor.workspace_id, bot_id)
    url = sent(request)["targetUrl"][:LONGEST_URL]
    said = await house.outbound.explain(url) if url else None
    return HTMLResponse(fragment(request, "webhooks/target.html", said=said))


@router.post("/app/bots/{bot_id}/webhooks/{hook_id}")
async def change(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Updates a hook; the button `generate` only fills in another secret."""
    hook = await hook_of(house, visitor, id_in_path(hook_id), bot_id)
    form = await typed(request, house, hook)
    if "generate" in form.values:
        form = Form({**form.values, "secret": new_secret(hook)})
        return await _page(request, bot_id, visitor, house, Open(hook_id=hook.id, form=form, generated=True))
    try:
        said = await changed(house, visitor, hook, form)
    except Invalid as error:
        return await _page(request, bot_id, visitor, house, Open(hook_id=hook.id, form=refused(form, hook.type, error)), 422)
    return go(request, _address(bot_id, hook.id), said=said)


async def _page(  # noqa: PLR0917
    request: Request, bot_id: str, visitor: Visitor, house: Services, opened: Open, status: int = 200, *, cursor: str | None = None
) -> Response:
    """The tab. To members nothing stands open, and no address of a hook is told."""
    owner = visitor.may_act_as("owner")
    bot = await house.db.read(bots.get, visitor.workspace_id, bot_id)
    page = await hooks.page(house.db, house.secretbox, visitor.workspace_id, bot_id, limit=SHOWN, cursor=cursor)
    hook = await hook_of(house, visitor, opened.hook_id, bot_id) if owner and opened.hook_id else None
    if hook is not None and all(one.id != hook.id for one in page.items):
        page = Page((*page.items, hook), page.next_cursor)
    choice = await house.db.read(choice_of, bot_id, [*(one.data_source_id for one in page.items), opened.form["dataSourceId"] or None])
    return render(
        request,
        "bots/webhooks.html",
        status,
        bot=bot,
        tabs=TABS,
        kinds=KINDS,
        overlaps=OVERLAPS,
        owner=owner,
        page=page,
        cursor=cursor,
        names={one.id: (_shown(one) if owner else title_of(one)) for one in page.items},
        choice=choice,
        setup=opened.setup if owner else None,
        opened=hook,
        present=filled(hook).values if hook else {},
        form=_filled(hook, opened.setup, opened.form, choice),
        bare=opened.bare,
        generated=opened.generated,
        former_ends=None if hook is None else hook.overlap_until,
        requests_url=house.settings.requests_url,
        test=None if hook is None or opened.test is None else await test_of(house, hook, opened.test),
        **({} if hook is None else urls_of(house, hook)),
    )


def _filled(hook: Hook | None, setup: str | None, form: Form, choice: Choice) -> Form:
    """What was typed; where nothing was, what there is."""
    if form.values:
        return form
    if hook is None:
        return Form({"dataSourceId": choice.offered[0].id if setup == "sync_trigger" and len(choice.offered) == 1 else ""})
    return filled(hook)


def _shown(hook: Hook) -> str:
    """A hook in a list of its kind: where it sends, or its URL without the secret."""
    return shortened(hook.target_url, LONGEST_SHOWN) if hook.target_url else f"…/hooks/{hook.id[:8]}…/{MASK}"


def _address(bot_id: str, hook_id: str) -> str:
    """The page with a hook that stands open."""
    return f"/app/bots/{bot_id}/webhooks?hook={hook_id}#hook-{hook_id}"
