"""On the page of a trigger hook: where the body of a call names the rows to sync, and what that finds in a body that is pasted."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidings.errors import FieldError, Invalid, NotFound
from tidings.model.webhooks import RowMapping
from tidings.web.pages.calling import House, Owner, WebhookId
from tidings.web.pages.forms import Form
from tidings.web.pages.render import go
from tidings.web.pages.webhook import Opened, hook_of, shown, typed
from tidings.webhooks import hooks
from tidings.webhooks.mapping import MOST_EXPRESSIONS, Mapped, check_mapping, map_body

router = APIRouter()

# UTF-16 units of a body that is tried, which browsers count. The field takes one more: they cut what is longer, and say nothing of it.
LONGEST_TRIED = 60_000
TOO_LONG = (
    f"This is longer than the {LONGEST_TRIED:,} characters that can be tried here, and may have been cut off. Leave out of it what the mapping does not "
    "look at, or try all of it by the API: POST /api/v1/webhooks/{id}/mapping/try."
)


@router.post("/app/webhooks/{webhook_id}/mapping")
async def change(request: Request, webhook_id: WebhookId, visitor: Owner, house: House) -> Response:
    """Keeps a mapping, or none where nothing is typed; the button `try` only shows what it finds in the body."""
    hook = await hook_of(house, visitor, webhook_id)
    if hook.type != "sync_trigger":
        raise NotFound("Only a sync trigger is called, so only one has a mapping.")
    form = await typed(request, house, hook)
    if form.errors:
        return await shown(request, visitor, house, hook, Opened(form=form), 422)
    try:
        mapping = _mapping(form)
        if "try" in form.values:
            return await shown(request, visitor, house, hook, Opened(form=form, tried=await _tried(mapping, form["body"])))
        await hooks.change(house.db, house.secretbox, house.outbound, visitor.workspace_id, hook.id, {"mapping": mapping})
    except Invalid as error:
        return await shown(request, visitor, house, hook, Opened(form=_refused(form, error)), 422)
    said = "The mapping was removed: each call syncs the whole data source." if mapping is None else "The mapping is kept, and counts from the next call on."
    return go(request, f"/app/webhooks/{hook.id}#mapping", said=said)


async def _tried(mapping: RowMapping | None, body: str) -> Mapped:
    """What a mapping makes of a body. Invalid."""
    if mapping is None:
        raise Invalid(FieldError("mapping.keys.0", "There is nothing to try yet. Write down where the body names a row, such as $.entry.path."))
    check_mapping(mapping)
    if len(body.encode("utf-16-le", errors="replace")) > 2 * LONGEST_TRIED:
        raise Invalid(FieldError("body", TOO_LONG))
    return await asyncio.to_thread(map_body, mapping, body.encode(errors="replace"))


def _mapping(form: Form) -> RowMapping | None:
    """What was typed, an expression a line; None where nothing was. Invalid."""
    keys, urls = (tuple(line.strip() for line in form[name].splitlines() if line.strip()) for name in ("keys", "urls"))
    if len(keys) + len(urls) > MOST_EXPRESSIONS:
        raise Invalid(FieldError("mapping.keys", f"These are {len(keys) + len(urls)} expressions; {MOST_EXPRESSIONS} is the most, of keys and URLs together."))
    return RowMapping(keys, urls) if keys or urls else None


def _refused(form: Form, error: Invalid) -> Form:
    """The form with each sentence at the field that it is about."""
    said: dict[str, str] = {}
    for problem in error.errors:
        field, *line = problem.field.removeprefix("mapping.").split(".")
        sentence = f"Line {int(line[0]) + 1}: {problem.message}" if line and form[field].strip() else problem.message
        said[field] = f"{said[field]} {sentence}" if field in said else sentence
    return Form(form.values, said)
