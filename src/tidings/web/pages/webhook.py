"""The page of one webhook: how it stands, its deliveries or calls, its settings, and what its receiver or caller needs."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings import clock
from tidings.errors import Conflict, Invalid, NotFound
from tidings.model.webhooks import Attempt, Delivery, Hook
from tidings.model.workspaces import Visitor
from tidings.settings import MASK
from tidings.store import bots, data_sources, delivery_views, trigger_log
from tidings.store import deliveries as stored_deliveries
from tidings.store.delivery_views import Sought
from tidings.store.transactions import Tx
from tidings.web.live import stream
from tidings.web.pages import delivery_words
from tidings.web.pages.calling import House, Member, Owner, WebhookId, id_in_path
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.receivers import VARIABLE, receivers_of
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.source_choice import by_name, choice_of
from tidings.web.pages.webhook_forms import OVERLAPS, SINCE, agreed, changes, filled, header_lines, kind_of, new_secret, recover_since, refused, title_of
from tidings.web.pages.words import plural
from tidings.web.services import Services
from tidings.webhooks import deliveries, hooks, keys
from tidings.webhooks.check import Check, check, verdict_of
from tidings.webhooks.mapping import Mapped

router = APIRouter()

SHOWN = 20  # deliveries
SHOWN_CALLS = 20

OptionalText = Annotated[str | None, Query(max_length=100)]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a request adds to the page. `form`: what was typed into one of its forms; `bare`: secrets are shown; `generated`: the secret in the form
    is not kept yet; `test`: the id of a test's delivery; `found`: of a self-test; `problem`: why there was none; `tried`: what a mapping made of a body;
    `before`: a cursor of the calls."""

    form: Form | None = None
    bare: bool = False
    generated: bool = False
    test: str | None = None
    found: tuple[Check, ...] = ()
    problem: str | None = None
    tried: Mapped | None = None
    before: str | None = None


@router.get("/app/webhooks/{webhook_id}")
async def one(  # noqa: PLR0917
    request: Request, webhook_id: WebhookId, visitor: Member, house: House, show: OptionalText = None, test: OptionalText = None, before: OptionalText = None
) -> Response:
    """One webhook."""
    opened = Opened(bare=show is not None, test=None if test is None else id_in_path(test), before=before)
    return await shown(request, visitor, house, await hook_of(house, visitor, webhook_id), opened)


@router.get("/app/webhooks/{webhook_id}/live")
async def live(request: Request, webhook_id: WebhookId, visitor: Member, house: House) -> Response:
    """How it stands, and its deliveries or calls, whenever that changes."""

    async def look() -> str:
        hook = await hook_of(house, visitor, webhook_id)
        return fragment(request, "webhooks/standing.html", **await house.db.read(_standing, hook), owner=visitor.may_act_as("owner"))

    return await stream(request, ("deliveries",), look)


@router.get("/app/webhooks/{webhook_id}/calls/live")
async def calls_live(request: Request, webhook_id: WebhookId, visitor: Member, house: House) -> Response:
    """The latest calls of a trigger hook, whenever there are more."""

    async def look() -> str:
        hook = await hook_of(house, visitor, webhook_id)
        return fragment(request, "webhooks/calls.html", **await house.db.read(_calls, hook, None))

    return await stream(request, (), look)


@router.post("/app/webhooks/{webhook_id}")
async def change(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Updates a webhook; the button `generate` only fills in another secret."""
    hook = await hook_of(house, visitor, webhook_id)
    form = await typed(request, house, hook)
    if "generate" in form.values:
        return await shown(request, visitor, house, hook, Opened(form=Form({**form.values, "secret": new_secret(hook)}), generated=True))
    try:
        said = await changed(house, visitor, hook, form)
    except Invalid as error:
        return await shown(request, visitor, house, hook, Opened(form=refused(form, hook.type, error)), 422)
    return go(request, f"/app/webhooks/{hook.id}#settings", said=said)


@router.post("/app/webhooks/{webhook_id}/enabled")
async def switch(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Enables or disables a webhook, what was held is sent or dropped; then to its page, or `from` the tab back there."""
    hook, form = await hook_of(house, visitor, webhook_id), sent(request)
    enabled, drop = form.chosen("enabled", ("yes", "no")) == "yes", form["held"] == "drop"
    wanted: hooks.HookChange = {"enabled": enabled, "held": "drop"} if enabled and drop else {"enabled": enabled}
    await hooks.change(house.db, house.secretbox, house.outbound, visitor.workspace_id, hook.id, wanted)
    if hook.type == "sync_trigger":
        said = "The trigger URL works again." if enabled else "The trigger URL starts no sync until you enable it again."
    elif enabled and hook.enabled:  # from a page that stood open meanwhile
        said = "The webhook had been enabled already, so nothing was changed."
    elif enabled:
        said = "The webhook is enabled; what was held was dropped." if drop else "The webhook is enabled; what was held is sent now."
    else:
        said = "The webhook is disabled; what it is owed is held until you enable it again."
    return go(request, f"/app/bots/{hook.bot_id}/webhooks#hook-{hook.id}" if form["from"] == "tab" else f"/app/webhooks/{hook.id}", said=said)


@router.post("/app/webhooks/{webhook_id}/test")
async def send_test(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Sends sample figures; the page, or the tab that it was sent `from`, then shows what the receiver answered."""
    hook = await hook_of(house, visitor, webhook_id)
    test = await deliveries.send_test(house.db, visitor.workspace_id, hook.id, None)
    tab = f"/app/bots/{hook.bot_id}/webhooks?hook={hook.id}&test={test}#hook-{hook.id}"
    return go(request, tab if sent(request)["from"] == "tab" else f"/app/webhooks/{hook.id}?test={test}#test")


@router.get("/app/webhooks/{webhook_id}/tests/{delivery_id}/live")
async def live_test(request: Request, webhook_id: WebhookId, delivery_id: str, visitor: Owner, house: House) -> Response:
    """The answer to a test, as soon as it is there."""

    async def look() -> str:
        hook = await hook_of(house, visitor, webhook_id)
        return fragment(request, "webhooks/test.html", test=await test_of(house, hook, id_in_path(delivery_id)))

    return await stream(request, ("deliveries",), look)


@router.post("/app/webhooks/{webhook_id}/check")
async def check_receiver(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Sends the receiver what it should accept and what it should refuse, and shows what it did."""
    hook = await hook_of(house, visitor, webhook_id)
    try:
        found = await check(house.db, house.secretbox, house.outbound, house.settings.delivery_timeout, visitor.workspace_id, hook.id)
    except Conflict as error:
        return await shown(request, visitor, house, hook, Opened(problem=str(error)))
    hook = await hook_of(house, visitor, webhook_id)  # slow receivers take a minute or more: it may be another one by now, or gone
    return await shown(request, visitor, house, hook, Opened(found=found))


@router.post("/app/webhooks/{webhook_id}/recover")
async def recover(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Sends again what was not delivered; then to its page, or `from` the list of deliveries back there."""
    hook, form = await hook_of(house, visitor, webhook_id), sent(request)
    back = f"/app/deliveries?hook={hook.id}" if form["from"] == "list" else None
    failing = hook.failing_since
    try:
        since = recover_since(None if failing is None else await house.db.read(stored_deliveries.first_of_failing, hook.id, failing), form)
        count = await deliveries.recover(house.db, visitor.workspace_id, hook.id, since)
    except Invalid as error:
        if back is not None:
            return go(request, back, said=error.errors[0].message, kind="bad")
        return await shown(request, visitor, house, hook, Opened(form=form.refused(error)), 422)
    said = f"{plural(count, 'delivery is', 'deliveries are')} sent again, the oldest first."
    if not count:
        said = "Nothing was given up, held or discarded since then, so there is nothing to send again."
    return go(request, back or f"/app/webhooks/{hook.id}", said=said)


@router.get("/app/webhooks/{webhook_id}/delete")
async def ask_to_delete(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Asks before a webhook is deleted, where no script shows the dialog."""
    hook = await hook_of(house, visitor, webhook_id)
    bot = await house.db.read(bots.get, visitor.workspace_id, hook.bot_id)
    return render(request, "webhooks/delete.html", bot=bot, hook=hook, title=title_of(hook))


@router.post("/app/webhooks/{webhook_id}/delete")
async def delete(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Deletes a webhook."""
    hook = await hook_of(house, visitor, webhook_id)
    await hooks.delete(house.db, visitor.workspace_id, hook.id)
    return go(request, f"/app/bots/{hook.bot_id}/webhooks", said=f"{title_of(hook)} was deleted.")


async def hook_of(house: Services, visitor: Visitor, hook_id: str, bot_id: str | None = None) -> Hook:
    """A hook, of this bot if one is named. NotFound."""
    try:
        hook = await hooks.read(house.db, house.secretbox, visitor.workspace_id, hook_id)
    except NotFound:
        hook = None
    if hook is None or bot_id not in {None, hook.bot_id}:
        raise NotFound("There is no such webhook. It may have been deleted.")
    return hook


async def test_of(house: Services, hook: Hook, delivery_id: str) -> Delivery:
    """A delivery of a hook, with its attempts. NotFound."""
    delivery = await house.db.read(stored_deliveries.get, hook.workspace_id, delivery_id)
    if delivery.webhook_id != hook.id:
        raise NotFound("This webhook has no such delivery.")
    return delivery


async def typed(request: Request, house: Services, hook: Hook) -> Form:
    """What was typed into a form about a hook; what nobody typed into is as it is now. Invalid."""
    form = await by_name(house, hook.bot_id, sent(request), hook.data_source_id)
    found = await house.db.read(data_sources.names, hook.bot_id, ids=[hook.data_source_id], limit=1) if hook.data_source_id else []
    return agreed(hook, form, found[0].name if found else "Any of this bot's")


async def changed(house: Services, visitor: Visitor, hook: Hook, form: Form) -> str:
    """Carries out what the form says otherwise than the hook, and says so. Invalid."""
    form.check()
    await hooks.change(house.db, house.secretbox, house.outbound, visitor.workspace_id, hook.id, changes(hook, form))
    if form["secret"] == hook.secret:
        return "The webhook was updated."
    return f"There is a new {'URL' if hook.type == 'sync_trigger' else 'secret'}: use it from now on."


async def shown(  # noqa: PLR0917
    request: Request, visitor: Visitor, house: Services, hook: Hook, opened: Opened, status: int = 200
) -> Response:
    """The page. Members are told no secret, no address of a receiver, and get no forms."""
    owner = visitor.may_act_as("owner")
    form = opened.form or filled(hook)
    if "secret" not in form.values:  # another form of the page was sent
        form = Form({**filled(hook).values, **form.values}, form.errors)
    return render(
        request,
        "webhooks/trigger.html" if hook.type == "sync_trigger" else "webhooks/outgoing.html",
        status,
        **await house.db.read(_read, hook, form, opened.before),
        owner=owner,
        title=title_of(hook),
        form=form,
        present=filled(hook).values,
        lines=header_lines(form),
        overlaps=OVERLAPS,
        since=SINCE,
        bare=opened.bare,
        generated=opened.generated,
        former_ends=hook.overlap_until,
        found=opened.found,
        verdict=verdict_of(opened.found) if opened.found else None,
        problem=opened.problem,
        tried=opened.tried,
        test=await test_of(house, hook, opened.test) if owner and opened.test else None,
        receivers=receivers_of(hook) if owner and hook.target_url else (),
        variable=VARIABLE,
        public_key=None if hook.key is None else keys.shown(hook.key),
        timeout=f"{house.settings.delivery_timeout:g}",
        **urls_of(house, hook),
    )


def urls_of(house: Services, hook: Hook) -> dict[str, str | None]:
    """The trigger URL of a hook, and the same without its secret."""
    if hook.type != "sync_trigger":
        return {"address": None, "masked": None}
    address = house.base_url + hook.trigger_path
    return {"address": address, "masked": address.removesuffix(hook.secret) + MASK}


def _calls(tx: Tx, hook: Hook, before: str | None) -> dict[str, Any]:
    return {"calls": trigger_log.page(tx, hook.id, limit=SHOWN_CALLS, cursor=before), "before": before}


def _read(tx: Tx, hook: Hook, form: Form, before: str | None) -> dict[str, Any]:
    choice = choice_of(tx, hook.bot_id, [hook.data_source_id, form["dataSourceId"] or None])
    return _standing(tx, hook) | _calls(tx, hook, before) | {"bot": bots.get(tx, hook.workspace_id, hook.bot_id), "choice": choice}


def _standing(tx: Tx, hook: Hook) -> dict[str, Any]:
    """How a hook stands. `gone`: its data source was deleted."""
    source = None
    if hook.data_source_id is not None:
        try:
            source = data_sources.get(tx, hook.workspace_id, hook.data_source_id)
        except NotFound:
            source = None
    found: dict[str, Any] = {"hook": hook, "kind": kind_of(hook), "source": source, "gone": source is None and hook.data_source_id is not None}
    if hook.type == "sync_trigger":
        return found
    # Without what it was not to be told of: a bot with many data sources would leave no place for what was sent.
    views = delivery_views.page(tx, hook.workspace_id, Sought(hook.id, wanted=True), limit=SHOWN, cursor=None).items
    latest = [view.delivery for view in views]
    held = not hook.enabled and stored_deliveries.has_held(tx, hook.id)
    trouble = (
        None if hook.failing_since is None else next((each for each in latest if each.attempt_count and not each.test and each.state != "delivered"), None)
    )
    last: Attempt | None = None
    if trouble is not None:  # whose attempts may be older than what is kept
        last = next(reversed(stored_deliveries.get(tx, hook.workspace_id, trouble.id).attempts), None)
    warning = hooks.warning(hook, clock.now())
    return found | {"latest_deliveries": latest, "held": held, "trouble": trouble, "last": last, "warning": warning, "words": delivery_words}
