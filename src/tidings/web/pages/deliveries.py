"""Deliveries: what became of each event at each webhook, found by whatever one has in hand; one of them with all its attempts; sent again."""

import re
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from tidings import clock
from tidings.clock import DAY, EPOCH, Micros
from tidings.errors import Conflict, NotFound
from tidings.model.bots import SourceName
from tidings.model.ids import is_id
from tidings.model.webhooks import Attempt, DeliveryView, HookName
from tidings.model.workspaces import Visitor
from tidings.store import around_syncs, syncs
from tidings.store import delivery_views as stored
from tidings.store.around_syncs import SyncName
from tidings.store.delivery_views import Sought
from tidings.store.transactions import Tx
from tidings.web.api.shapes import text_of_query
from tidings.web.live import stream
from tidings.web.masking import for_members
from tidings.web.pages import delivery_words, wire
from tidings.web.pages.calling import House, Member, Owner, id_in_path
from tidings.web.pages.forms import Form
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.webhook_forms import SINCE, recovering
from tidings.web.services import Services
from tidings.webhooks import deliveries
from tidings.webhooks.hooks import certificate_warning

router = APIRouter()

ROOT = "/app/deliveries"
SHOWN = 50
SHOWN_ATTEMPTS = 40
CHOICES = 30  # in each drop-down
FOUND = 10  # data sources that a text finds, webhooks, and syncs
STATES = {
    "pending": "On its way, trying again",
    "delivered": "Delivered",
    "exhausted": "Given up",
    "held": "Held",
    "discarded": "Discarded",
    "unwanted": "Not for the hook",
}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _maybe_id(text: str) -> str:
    if text and not is_id(text):
        raise ValueError("It has to be an id.")
    return text.lower()


MaybeId = Annotated[str, AfterValidator(_maybe_id)]


class Wanted(BaseModel):
    """Which deliveries the list shows. `q`: an id, anything that holds one, the name of a data source, where a webhook leads, or a ref of a sync."""

    q: Annotated[str, AfterValidator(text_of_query), AfterValidator(str.strip), Field(max_length=500)] = ""
    state: Literal["", "pending", "delivered", "exhausted", "held", "discarded", "unwanted"] = ""
    hook: MaybeId = ""
    source: MaybeId = ""
    day: Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")] = ""
    cursor: MaybeId = ""

    @property
    def id_in_q(self) -> str | None:
        """The id in what was pasted."""
        found = _UUID.search(self.q)
        return found[0].lower() if found else None

    @property
    def chosen(self) -> dict[str, str]:
        """The fields that choose something, without the place in the list."""
        return {name: value for name, value in self.model_dump().items() if value and name != "cursor"}

    def address(self, **changes: str) -> str:
        """The address of the list with these fields otherwise."""
        fields = {name: value for name, value in (self.chosen | changes).items() if value}
        return ROOT + (f"?{urlencode(fields)}" if fields else "")

    @property
    def live_address(self) -> str:
        """Where the first page of the list is streamed."""
        return self.address().replace(ROOT, f"{ROOT}/live", 1)

    @property
    def for_any_hook(self) -> bool:
        """Whether events that a hook does not listen to may be what is looked for, so that they follow at the end."""
        return bool(self.q or (self.source and self.state != "discarded"))

    def sought(self) -> Sought:
        """What this asks of the database: without the events that a hook does not listen to."""
        state = "discarded" if self.state == "unwanted" else self.state or None
        since, before = _day(self.day) if self.day else (None, None)
        return Sought(self.hook or None, self.source or None, state=state, wanted=self.state != "unwanted", since=since, before=before)


Asked = Annotated[Wanted, Query()]


@router.get(ROOT)
async def page(request: Request, visitor: Member, house: House, wanted: Asked) -> Response:
    """The deliveries of the workspace, newest first; from what names one thing, straight to it."""
    address = await house.db.read(_leads, visitor, wanted) if wanted.q else None
    if address is not None:
        return go(request, address)
    return render(request, "deliveries/list.html", **await house.db.read(_listed, visitor, wanted), **await house.db.read(_choices, visitor, wanted))


@router.get(f"{ROOT}/live")
async def live(request: Request, visitor: Member, house: House, wanted: Asked) -> Response:
    """The same, whenever it changes."""

    async def look() -> str:
        return fragment(request, "deliveries/rows.html", **await house.db.read(_listed, visitor, wanted))

    return await stream(request, ("deliveries", "ended"), look)


@router.get(f"{ROOT}/{{delivery_id}}")
async def one(request: Request, delivery_id: str, visitor: Member, house: House, attempt: Annotated[int | None, Query(ge=1, le=10**6)] = None) -> Response:
    """One delivery: what became of it and why, what was sent, what came back."""
    return render(request, "deliveries/one.html", **await _one(house, visitor, id_in_path(delivery_id), attempt))


@router.get(f"{ROOT}/{{delivery_id}}/live")
async def one_live(request: Request, delivery_id: str, visitor: Member, house: House, attempt: Annotated[int | None, Query(ge=1, le=10**6)] = None) -> Response:
    """The same, whenever it changes."""

    async def look() -> str:
        return fragment(request, "deliveries/standing.html", **await _one(house, visitor, id_in_path(delivery_id), attempt))

    return await stream(request, ("deliveries",), look)


@router.get(f"{ROOT}/{{delivery_id}}/payload")
async def payload(delivery_id: str, visitor: Member, house: House) -> Response:
    """The body as it is sent, byte by byte."""
    found = await _read(house, visitor, id_in_path(delivery_id))
    if found.delivery.body is None:
        raise NotFound("The payload of this delivery is not kept any more.")
    named = {"Content-Disposition": f'attachment; filename="{found.delivery.id}.json"', "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return Response(found.delivery.body, media_type="application/json", headers=named)


@router.post(f"{ROOT}/{{delivery_id}}/redeliver")
async def redeliver(request: Request, delivery_id: str, visitor: Owner, house: House) -> Response:
    """Sends one again; the page then shows its attempts as they are made."""
    place = f"{ROOT}/{id_in_path(delivery_id)}"
    await _read(house, visitor, id_in_path(delivery_id))
    try:
        await deliveries.redeliver(house.db, visitor.workspace_id, id_in_path(delivery_id))
    except Conflict as error:
        return go(request, place, said=str(error), kind="bad")
    return go(request, place, said="It is sent again.")


def _leads(tx: Tx, visitor: Visitor, wanted: Wanted) -> str | None:
    """Where what was pasted leads by itself; None where it names several deliveries, or nothing."""
    found = wanted.id_in_q
    thing = stored.what_is(tx, visitor.workspace_id, found) if found else None
    if thing == "delivery":
        return f"{ROOT}/{found}"
    if found and thing == "webhook":
        hook = stored.hook_name(tx, visitor.workspace_id, found)
        trigger = hook is not None and hook.type == "sync_trigger"  # it owes nobody anything: what there is to find are its calls
        return f"/app/webhooks/{found}#calls" if trigger else wanted.address(q="", hook=found)
    if found and thing == "data source":
        return wanted.address(q="", source=found)
    if thing is not None:
        return None
    sources, hooks, carrying = _named_like(tx, visitor, wanted, limit=2)
    addresses = [wanted.address(q="", source=each.id) for each in sources] + [wanted.address(q="", hook=each.id) for each in hooks]
    addresses += [wanted.address(q=each.id) for each in carrying]
    return addresses[0] if len(addresses) == 1 else None


def _named_like(tx: Tx, visitor: Visitor, wanted: Wanted, limit: int) -> tuple[list[SourceName], list[HookName], tuple[SyncName, ...]]:
    """The data sources whose names hold what was typed, the webhooks whose targets do (members are told no targets, so they find none by them), and the
    syncs that carry it as a ref."""
    workspace_id = visitor.workspace_id
    hooks = stored.hook_names(tx, workspace_id, like=wanted.q, limit=limit) if visitor.may_act_as("owner") else []
    return stored.source_names(tx, workspace_id, like=wanted.q, limit=limit), hooks, around_syncs.with_ref(tx, workspace_id, wanted.q, limit=limit)


def _listed(tx: Tx, visitor: Visitor, wanted: Wanted) -> dict[str, Any]:
    """A page of the list. Where something was pasted that leads nowhere, why; where it names several data sources or webhooks, those."""
    found: dict[str, Any] = {
        "wanted": wanted,
        "owner": visitor.may_act_as("owner"),
        "words": delivery_words,
        "set_up": None,
        "sources_found": (),
        "hooks_found": (),
        "syncs_found": (),
    }
    found["nothing"] = delivery_words.UNTOLD.get("".join(wanted.chosen))
    sought = wanted.sought()
    if wanted.q:
        id_ = wanted.id_in_q
        thing = stored.what_is(tx, visitor.workspace_id, id_) if id_ else None
        if thing not in {"event", "sync"}:
            sources, hooks, carrying = _named_like(tx, visitor, wanted, limit=FOUND)
            named = {"sources_found": sources, "hooks_found": hooks, "syncs_found": carrying}
            return found | named | {"items": (), "next_cursor": None, "nothing": _unknown(id_)}
        sought = replace(sought, event_id=id_) if thing == "event" else replace(sought, sync_id=id_)
        if thing == "sync" and id_ and wanted.chosen.keys() == {"q"}:  # with more chosen, there may be others
            sync = syncs.get(tx, visitor.workspace_id, id_)
            found["nothing"] = delivery_words.untold(sync)
            found["set_up"] = f"/app/bots/{sync.bot_id}/webhooks"
    page = stored.page(tx, visitor.workspace_id, sought, limit=SHOWN, cursor=wanted.cursor or None)
    items = page.items
    if wanted.for_any_hook and sought.wanted and page.next_cursor is None:
        items += stored.page(tx, visitor.workspace_id, replace(sought, wanted=False), limit=SHOWN, cursor=None).items
    return found | {"items": items, "next_cursor": page.next_cursor}


def _unknown(id_: str | None) -> str:
    if id_ is None:
        return (
            "No data source has a name like that, no webhook leads there, and no sync carries it as a ref. "
            "Paste a webhook-id, the id of a sync, delivery, webhook or data source, a trigger URL or a whole ref; or type a part of a name."
        )
    return "Nothing in this workspace has this id. Check that it is whole, and that it is from this Tidings; what is older than the retention may be gone."


def _choices(tx: Tx, visitor: Visitor, wanted: Wanted) -> dict[str, Any]:
    """What can be chosen, and what is. Of long lists only the first; others are found by pasting an id or typing a name."""
    hooks = {hook.id: hook for hook in stored.hook_names(tx, visitor.workspace_id, limit=CHOICES)}
    sources = {source.id: source for source in stored.source_names(tx, visitor.workspace_id, limit=CHOICES)}
    hook, source = hooks.get(wanted.hook), sources.get(wanted.source)
    if wanted.hook and hook is None:
        hook = stored.hook_name(tx, visitor.workspace_id, wanted.hook)
        if hook is None:
            raise NotFound("There is no such webhook. It may have been deleted long ago.")
    if wanted.source and source is None:
        source = stored.source_name(tx, visitor.workspace_id, wanted.source)
        if source is None:
            raise NotFound("There is no such data source.")
    hooks |= {hook.id: hook} if hook else {}
    sources |= {source.id: source} if source else {}
    return {
        "hooks": hooks.values(),
        "sources": sources.values(),
        "hook": hook,
        "source": source,
        "states": STATES,
        "most": CHOICES,
        "since": SINCE,
        "form": Form(recovering(hook.failing_since if hook else None)),
    }


async def _read(house: Services, visitor: Visitor, delivery_id: str) -> DeliveryView:
    """A delivery with its attempts and names, as far as the visitor may see it. NotFound."""
    try:
        delivery = await deliveries.read(house.db, house.secretbox, visitor.workspace_id, delivery_id)
    except NotFound:
        raise NotFound("There is no such delivery. It may be older than what is kept, or the address is misspelled.") from None
    shown = delivery if visitor.may_act_as("owner") else for_members(delivery)
    return (await house.db.read(stored.views, (shown,)))[0]


async def _one(house: Services, visitor: Visitor, delivery_id: str, number: int | None) -> dict[str, Any]:
    """What the page of a delivery shows; `number`: of the attempt that stands open, None for the latest."""
    view = await _read(house, visitor, delivery_id)
    delivery, owner = view.delivery, visitor.may_act_as("owner")
    attempts = delivery.attempts[: -SHOWN_ATTEMPTS - 1 : -1]
    opened = next((each for each in delivery.attempts if each.number == number), attempts[0] if attempts else None)
    sendable = delivery.body is not None and not delivery.unwanted and not view.hook.deleted
    return {
        "view": view,
        "owner": owner,
        "words": delivery_words,
        "wire": wire,
        "told": delivery_words.told(view),
        "attempts": attempts,
        "opened": opened,
        "number": number,
        "warning": _warning(attempts),
        "curl": wire.as_curl(delivery.url, opened.request_headers if opened else delivery.headers, delivery.body)
        if owner and sendable and delivery.url and delivery.body and len(delivery.body) <= wire.LONGEST
        else None,
        "may_redeliver": owner and sendable and delivery.state != "pending" and view.hook.enabled,
    }


def _warning(attempts: tuple[Attempt, ...]) -> str | None:
    """What the newest attempt that saw a certificate says of it."""
    seen = next((attempt.certificate_until for attempt in attempts if attempt.certificate_until is not None), None)
    return certificate_warning(seen, clock.now())


def _day(text: str) -> tuple[Micros, Micros]:
    """A UTC day, from its first to the first instant of the next. NotFound."""
    try:
        since = (date.fromisoformat(text) - EPOCH.date()).days * DAY
    except ValueError:
        raise NotFound("There is no such day. Choose another.") from None
    return since, since + DAY
