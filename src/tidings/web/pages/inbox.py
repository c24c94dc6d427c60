"""Inboxes: addresses that take webhooks, what is posted to them as it comes, one message, and what the first visit sees of all that."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from tidings.errors import Conflict, FieldError, Invalid
from tidings.model.inboxes import Inbox, Message
from tidings.model.workspaces import Visitor
from tidings.store import bots, data_sources, syncs, webhooks
from tidings.store import inboxes as stored
from tidings.store.transactions import Tx
from tidings.web.live import stream
from tidings.web.pages.calling import House, Member, Owner, id_in_path
from tidings.web.pages.delivery_words import named
from tidings.web.pages.forms import Form, merged, sent
from tidings.web.pages.render import fragment, go, render
from tidings.web.pages.wire import as_read, status_line
from tidings.web.services import Services
from tidings.webhooks import inboxes

router = APIRouter()

PLACE = "/app/inbox"
SHOWN = 25  # messages on one page
SIGNALS = ("inbox", "syncs", "ended")


def _id(inbox_id: Annotated[str, Path()]) -> str:
    return id_in_path(inbox_id)


InboxId = Annotated[str, Depends(_id)]
Cursor = Annotated[str | None, Field(max_length=200)]


@router.get(PLACE)
async def overview(request: Request, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """The inboxes of the workspace, and what was posted to all of them."""
    return await _overview(request, visitor, house, Form(), cursor=cursor)


@router.get(f"{PLACE}/live")
async def overview_live(request: Request, visitor: Member, house: House) -> Response:
    """The same, whenever something is posted."""

    async def look() -> str:
        return fragment(request, "inbox/overview_live.html", **await _all(visitor, house, None))

    return await stream(request, SIGNALS[:1], look)


@router.post(PLACE)
async def create(request: Request, visitor: Owner, house: House) -> Response:
    """Makes an inbox."""
    form = sent(request)
    try:
        made = await inboxes.create(house.db, visitor.workspace_id, form["name"])
    except Invalid as error:
        return await _overview(request, visitor, house, form.refused(error), 422)
    except Conflict as error:
        return await _overview(request, visitor, house, form.refused(Invalid(FieldError("name", str(error)))), 409)
    return go(request, f"{PLACE}/{made.id}", said=f"{made.name} was created.")


@router.get(f"{PLACE}/{{inbox_id}}")
async def one(request: Request, inbox_id: InboxId, visitor: Member, house: House, cursor: Cursor = None) -> Response:
    """One inbox."""
    return await _one(request, visitor, house, inbox_id, cursor=cursor)


@router.get(f"{PLACE}/{{inbox_id}}/live")
async def one_live(request: Request, inbox_id: InboxId, visitor: Member, house: House) -> Response:
    """What was posted there, and what the first visit sees, whenever it changes."""

    async def look() -> str:
        return fragment(request, "inbox/live.html", **await house.db.read(_read, visitor.workspace_id, inbox_id, None))

    return await stream(request, SIGNALS, look)


@router.post(f"{PLACE}/{{inbox_id}}")
async def change(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Another name, another answer."""
    form = merged(sent(request), _filled(await house.db.read(stored.get, visitor.workspace_id, inbox_id)))
    try:
        form.check()
        await inboxes.change(house.db, visitor.workspace_id, inbox_id, form["name"], form["answer"])
    except Invalid as error:
        return await _one(request, visitor, house, inbox_id, 422, form=form.refused(error))
    return go(request, f"{PLACE}/{inbox_id}", said="The inbox was updated.")


@router.post(f"{PLACE}/{{inbox_id}}/guide")
async def end_guide(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Explains the first visit no more."""
    await house.db.write(stored.change, visitor.workspace_id, inbox_id, guided=False)
    return go(request, f"{PLACE}/{inbox_id}")


@router.get(f"{PLACE}/{{inbox_id}}/empty")
async def ask_to_empty(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Asks before an inbox is emptied, where no script shows the dialog."""
    return render(request, "inbox/ask.html", inbox=await house.db.read(stored.get, visitor.workspace_id, inbox_id), what="empty")


@router.post(f"{PLACE}/{{inbox_id}}/empty")
async def empty(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Deletes all messages of an inbox."""
    await house.db.write(stored.empty, visitor.workspace_id, inbox_id)
    return go(request, f"{PLACE}/{inbox_id}", said="The inbox is empty.")


@router.get(f"{PLACE}/{{inbox_id}}/delete")
async def ask_to_delete(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Asks before an inbox is deleted, where no script shows the dialog."""
    return render(request, "inbox/ask.html", inbox=await house.db.read(stored.get, visitor.workspace_id, inbox_id), what="delete")


@router.post(f"{PLACE}/{{inbox_id}}/delete")
async def delete(request: Request, inbox_id: InboxId, visitor: Owner, house: House) -> Response:
    """Deletes an inbox with its messages."""
    inbox = await house.db.read(stored.get, visitor.workspace_id, inbox_id)
    await house.db.write(stored.remove, visitor.workspace_id, inbox_id)
    return go(request, PLACE, said=f"{inbox.name} was deleted.")


@router.get(f"{PLACE}/{{inbox_id}}/messages/{{message_id}}")
async def message(request: Request, inbox_id: InboxId, message_id: str, visitor: Member, house: House) -> Response:
    """One message."""

    def read(tx: Tx) -> dict[str, Any]:
        found = stored.message(tx, visitor.workspace_id, inbox_id, id_in_path(message_id))
        hook = webhooks.find(tx, visitor.workspace_id, found.webhook_id) if found.webhook_id else None
        bot = None if hook is None else bots.get(tx, visitor.workspace_id, hook.bot_id)
        return {"inbox": stored.get(tx, visitor.workspace_id, inbox_id), "message": found, "hook": hook, "bot": bot}

    shown = await house.db.read(read)
    body, hook = (shown["message"].body or b"").decode(errors="replace"), shown["hook"]
    name = None if hook is None else named(hook.id, hook.type, None)  # targets may hold secrets
    return render(request, "inbox/message.html", body=as_read(body), plain=body, status_line=status_line, hook_name=name, **shown)


@router.get(f"{PLACE}/{{inbox_id}}/messages/{{message_id}}/body")
async def message_body(inbox_id: InboxId, message_id: str, visitor: Member, house: House) -> Response:
    """The body as it was posted, byte by byte, as a file: whoever has the address of the inbox wrote it."""
    found = await house.db.read(stored.message, visitor.workspace_id, inbox_id, id_in_path(message_id))
    named = {"Content-Disposition": f'attachment; filename="{found.id}.txt"', "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return Response(found.body, media_type="application/octet-stream", headers=named)


async def _overview(request: Request, visitor: Visitor, house: Services, form: Form, status: int = 200, *, cursor: str | None = None) -> Response:
    shown = await _all(visitor, house, cursor)
    return render(request, "inbox/overview.html", status, form=form, **shown)


async def _all(visitor: Visitor, house: Services, cursor: str | None) -> dict[str, Any]:
    def read(tx: Tx) -> dict[str, Any]:
        page = stored.messages(tx, visitor.workspace_id, None, limit=SHOWN, cursor=cursor)
        return {"views": stored.all_of(tx, visitor.workspace_id), "page": page, "cursor": cursor}

    shown = await house.db.read(read)
    return shown | {"names": {view.inbox.id: view.inbox.name for view in shown["views"]}, "base_url": house.base_url}


async def _one(
    request: Request, visitor: Visitor, house: Services, inbox_id: str, status: int = 200, *, cursor: str | None = None, form: Form | None = None
) -> Response:
    """The page of an inbox. Members are not told its address."""
    shown = await house.db.read(_read, visitor.workspace_id, inbox_id, cursor)
    inbox: Inbox = shown["inbox"]
    filled = _filled(inbox)
    answers = [(str(answer), status_line(answer)) for answer in inboxes.ANSWERS]
    return render(
        request, "inbox/one.html", status, form=form or Form(filled), present=filled, answers=answers, address=f"{house.base_url}{inbox.path}", **shown
    )


def _filled(inbox: Inbox) -> dict[str, str]:
    return {"name": inbox.name, "answer": str(inbox.answer)}


def _read(tx: Tx, workspace_id: str, inbox_id: str, cursor: str | None) -> dict[str, Any]:
    inbox = stored.get(tx, workspace_id, inbox_id)
    page = stored.messages(tx, workspace_id, inbox_id, limit=SHOWN, cursor=cursor)
    shown = {"inbox": inbox, "page": page, "cursor": cursor, "names": {}, "guide": None}
    return shown if not inbox.guided or inbox.bot_id is None or cursor else shown | {"guide": _guide(tx, workspace_id, inbox.bot_id, page.items)}


def _guide(tx: Tx, workspace_id: str, bot_id: str, posted: Sequence[Message]) -> dict[str, Any]:
    """How the example bot stands: its data source, the sync of it that has not ended, the first message that told of one."""
    told = next((each for each in reversed(posted) if each.webhook_id), None)
    sources = data_sources.page(tx, bot_id, limit=1, cursor=None).items
    view = sources[0] if sources else None
    going = syncs.going_of(tx, [view.data_source.id]) if view else {}
    return {"bot": bots.get(tx, workspace_id, bot_id), "view": view, "going": next(iter(going.values()), None), "told": told}
