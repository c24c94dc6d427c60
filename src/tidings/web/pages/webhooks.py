"""The Webhooks tab of a bot: its trigger URLs, and the addresses that are told how syncs went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from tidings import clock
from tidings.clock import DAY, SECOND
from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.bots import DataSource
from tidings.model.ids import is_id
from tidings.model.pages import Page
from tidings.model.webhooks import Delivery, Hook, HookType
from tidings.model.workspaces import Visitor
from tidings.settings import MASK
from tidings.store import bots, data_sources
from tidings.store import deliveries as stored_deliveries
from tidings.web.live import stream
from tidings.web.pages.bots import TABS
from tidings.web.pages.calling import BotId, House, Member, Owner, id_in_path
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import fragment, go, render
from tidings.web.services import Services
from tidings.webhooks import deliveries, hooks
from tidings.webhooks.hooks import HookChange, HookInput
from tidings.webhooks.signing import new_signing_secret
from tidings.webhooks.trigger_secret import new_trigger_secret

router = APIRouter()

SHOWN = 100  # hooks on one page
CHOICES = 200  # data sources in a drop-down
LONGEST_URL, LONGEST_SECRET = 2048, 512  # characters, as the API takes them


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of hook, as its card says it. `mood`: the colour of its badge."""

    type: HookType
    name: str
    icon: str
    mood: str
    sentence: str


KINDS = (
    Kind("sync_trigger", "Sync trigger", "zap", "", "A secret URL. A GET or POST to it syncs one data source."),
    Kind("sync_success", "Sync success", "circle-check", "good", "A POST to your URL each time a data source was synced."),
    Kind("sync_failure", "Sync failure", "triangle-alert", "bad", "A POST to your URL when a data source could not be synced."),
)
OVERLAPS = (("0", "At once"), ("3600", "After an hour"), ("86400", "After a day"), (str(7 * DAY // SECOND), "After 7 days"))


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


@router.post("/app/bots/{bot_id}/webhooks")
async def create(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Makes a hook; its form then stands open, with its URL or a test to send."""
    form = sent(request)
    kind = next((kind for kind in KINDS if kind.type == form["type"]), None)
    if kind is None:
        raise NotFound("There is no such kind of webhook. Load the page again, and choose one.")
    try:
        _check_lengths(form)
        given = HookInput(kind.type, _source(form), target_url=None if kind.type == "sync_trigger" else form["targetUrl"])
        hook = await hooks.create(house.db, house.secretbox, house.outbound, visitor.workspace_id, bot_id, given)
    except Invalid as error:
        return await _page(request, bot_id, visitor, house, Open(setup=kind.type, form=form.refused(error)), 422)
    return go(request, _address(bot_id, hook.id), said=f"{kind.name} is set up.")


@router.post("/app/bots/{bot_id}/webhooks/explain")
async def explain(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """What the guard says of a target while it is typed."""
    await house.db.read(bots.get, visitor.workspace_id, bot_id)
    url = sent(request)["targetUrl"][:LONGEST_URL]
    said = await house.outbound.explain(url) if url else None
    return HTMLResponse(fragment(request, "bots/webhook_target.html", said=said))


@router.post("/app/bots/{bot_id}/webhooks/{hook_id}")
async def change(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Updates a hook; the button `generate` only fills in another secret."""
    hook, form = await _hook(house, visitor, bot_id, hook_id), sent(request)
    if "generate" in form.values:
        secret = new_trigger_secret() if hook.type == "sync_trigger" else new_signing_secret()
        return await _page(request, bot_id, visitor, house, Open(hook_id=hook.id, form=Form({**form.values, "secret": secret}), generated=True))
    try:
        await hooks.change(house.db, house.secretbox, house.outbound, visitor.workspace_id, hook.id, _changes(hook, form))
    except Invalid as error:
        return await _page(request, bot_id, visitor, house, Open(hook_id=hook.id, form=form.refused(error)), 422)
    fresh = form["secret"] != hook.secret
    what = "URL" if hook.type == "sync_trigger" else "secret"
    return go(request, _address(bot_id, hook.id), said=f"There is a new {what}: use it from now on." if fresh else "The webhook was updated.")


@router.post("/app/bots/{bot_id}/webhooks/{hook_id}/enabled")
async def switch(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Enables or disables a hook."""
    hook, enabled = await _hook(house, visitor, bot_id, hook_id), sent(request)["enabled"] == "yes"
    await hooks.change(house.db, house.secretbox, house.outbound, visitor.workspace_id, hook.id, {"enabled": enabled})
    if hook.type == "sync_trigger":
        said = "The trigger URL works again." if enabled else "The trigger URL starts no sync until you enable it again."
    else:
        said = (
            "The webhook is enabled; what was held is sent now." if enabled else "The webhook is disabled; what it is owed is held until you enable it again."
        )
    return go(request, f"/app/bots/{bot_id}/webhooks#hook-{hook.id}", said=said)


@router.post("/app/bots/{bot_id}/webhooks/{hook_id}/test")
async def send_test(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Sends sample figures; the page then shows what the receiver answered."""
    hook = await _hook(house, visitor, bot_id, hook_id)
    delivery_id = await deliveries.send_test(house.db, visitor.workspace_id, hook.id, None)
    return go(request, _address(bot_id, hook.id, f"&test={delivery_id}"))


@router.get("/app/bots/{bot_id}/webhooks/{hook_id}/tests/{delivery_id}/live")
async def live_test(request: Request, bot_id: BotId, hook_id: str, delivery_id: str, visitor: Owner, house: House) -> Response:  # noqa: PLR0917
    """The answer to a test, as soon as it is there."""
    hook = await _hook(house, visitor, bot_id, hook_id)
    await _test(house, visitor, hook, id_in_path(delivery_id))

    async def look() -> str:
        return fragment(request, "bots/webhook_test.html", test=await _test(house, visitor, hook, id_in_path(delivery_id)))

    return stream(request, ("deliveries",), look)


@router.get("/app/bots/{bot_id}/webhooks/{hook_id}/delete")
async def ask_to_delete(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Asks before a hook is deleted, where no script shows the dialog."""
    hook = await _hook(house, visitor, bot_id, hook_id)
    bot = await house.db.read(bots.get, visitor.workspace_id, bot_id)
    return render(request, "bots/webhook_delete.html", bot=bot, opened=hook, title=_title(hook))


@router.post("/app/bots/{bot_id}/webhooks/{hook_id}/delete")
async def delete(request: Request, bot_id: BotId, hook_id: str, visitor: Owner, house: House) -> Response:
    """Deletes a hook."""
    hook = await _hook(house, visitor, bot_id, hook_id)
    await hooks.delete(house.db, visitor.workspace_id, hook.id)
    return go(request, f"/app/bots/{bot_id}/webhooks", said=f"{_title(hook)} was deleted.")


async def _page(  # noqa: PLR0917
    request: Request, bot_id: str, visitor: Visitor, house: Services, opened: Open, status: int = 200, *, cursor: str | None = None
) -> Response:
    """The tab. To members nothing stands open, and no address of a hook is told."""
    owner = visitor.may_act_as("owner")
    bot = await house.db.read(bots.get, visitor.workspace_id, bot_id)
    page = await hooks.page(house.db, house.secretbox, visitor.workspace_id, bot_id, limit=SHOWN, cursor=cursor)
    views = await house.db.read(data_sources.page, bot_id, limit=CHOICES, cursor=None)
    sources = {view.data_source.id: view.data_source for view in views.items}
    hook = await _hook(house, visitor, bot_id, opened.hook_id) if owner and opened.hook_id else None
    if hook is not None and all(one.id != hook.id for one in page.items):
        page = Page((*page.items, hook), page.next_cursor)
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
        names={one.id: (_shown(one) if owner else MASK) for one in page.items},
        sources=sources,
        setup=opened.setup if owner else None,
        opened=hook,
        title=None if hook is None else _title(hook),
        form=_filled(hook, opened.setup, opened.form, sources),
        bare=opened.bare,
        generated=opened.generated,
        former_ends=hook.overlap_until if hook and hook.overlap_until and hook.overlap_until > clock.now() else None,
        address=None if hook is None or hook.type != "sync_trigger" else house.base_url + hook.trigger_path,
        masked=None if hook is None else house.base_url + hook.trigger_path.removesuffix(hook.secret) + MASK,
        test=None if hook is None or opened.test is None else await _test(house, visitor, hook, opened.test),
    )


async def _hook(house: Services, visitor: Visitor, bot_id: str, hook_id: str) -> Hook:
    """A hook of this bot. NotFound."""
    hook = await hooks.read(house.db, house.secretbox, visitor.workspace_id, id_in_path(hook_id))
    if hook.bot_id != bot_id:
        raise NotFound("This bot has no such webhook. It may have been deleted.")
    return hook


async def _test(house: Services, visitor: Visitor, hook: Hook, delivery_id: str) -> Delivery:
    """A delivery of a hook, with its attempts. NotFound."""
    delivery = await house.db.read(stored_deliveries.get, visitor.workspace_id, delivery_id)
    if delivery.webhook_id != hook.id:
        raise NotFound("This webhook has no such delivery.")
    return delivery


def _filled(hook: Hook | None, setup: str | None, form: Form, sources: Mapping[str, DataSource]) -> Form:
    """What was typed; where nothing was, what there is."""
    if form.values:
        return form
    if hook is None:
        return Form({"dataSourceId": next(iter(sources)) if setup == "sync_trigger" and len(sources) == 1 else ""})
    return Form(
        {
            "dataSourceId": hook.data_source_id or "",
            "targetUrl": hook.target_url or "",
            "secret": hook.secret,
            "overlap": "0",
            "postOnly": "yes" if hook.post_only else "",
        }
    )


def _changes(hook: Hook, form: Form) -> HookChange:
    """What the form says otherwise than the hook. Invalid."""
    _check_lengths(form)
    found: HookChange = {}
    if _source(form) != hook.data_source_id:
        found["data_source_id"] = _source(form)
    if hook.type == "sync_trigger":
        found["post_only"] = form["postOnly"] == "yes"
    elif form["targetUrl"] != hook.target_url:
        found["target_url"] = form["targetUrl"]
    if form["secret"] != hook.secret:
        if form["overlap"] not in dict(OVERLAPS):
            raise Invalid(FieldError("overlapSeconds", "Choose one of the times."))
        found["secret"] = form["secret"]
        found["overlap_seconds"] = int(form["overlap"])
    return found


def _check_lengths(form: Form) -> None:
    for name, longest in (("targetUrl", LONGEST_URL), ("secret", LONGEST_SECRET)):
        if len(form[name]) > longest:
            raise Invalid(FieldError(name, f"It has {len(form[name])} characters; {longest} is the most."))


def _source(form: Form) -> str | None:
    """The data source that was chosen; None for any. Invalid."""
    chosen = form["dataSourceId"]
    if chosen and not is_id(chosen):
        raise Invalid(FieldError("dataSourceId", "This is no data source of this bot. Choose one of the list."))
    return chosen.lower() or None


def _shown(hook: Hook) -> str:
    """A hook in a list of its kind: where it sends, or its URL without the secret."""
    return hook.target_url or f"…/hooks/{hook.id[:8]}…/{MASK}"


def _title(hook: Hook) -> str:
    """`Sync trigger 38362dae`: how a hook is named where it is to be deleted. Targets may hold secrets, so they are not in it."""
    name = next(kind.name for kind in KINDS if kind.type == hook.type)
    return f"{name} {hook.id[:8]}"


def _address(bot_id: str, hook_id: str, more: str = "") -> str:
    """The page with a hook that stands open."""
    return f"/app/bots/{bot_id}/webhooks?hook={hook_id}{more}#hook-{hook_id}"
