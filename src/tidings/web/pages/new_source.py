"""A new data source: its kind, then its settings, which can be tried out before it is added."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tidings.bots import data_sources
from tidings.bots.data_sources import NewDataSource
from tidings.bots.files import TYPE as UPLOADS
from tidings.bots.trying import Trial
from tidings.connectors import registry
from tidings.connectors.base import Connector
from tidings.errors import Invalid, NotFound
from tidings.model.bots import Bot
from tidings.store import bots as bots_stored
from tidings.web.pages.calling import BotId, House, Owner
from tidings.web.pages.config_forms import at_fields, blank, config_of, fields_of, names_of
from tidings.web.pages.forms import Form, sent
from tidings.web.pages.render import go, render
from tidings.web.pages.trials import by_script, is_trial, tried

router = APIRouter()


@router.get("/app/bots/{bot_id}/data-sources/new")
async def ask(request: Request, bot_id: BotId, visitor: Owner, house: House, type: Annotated[str, Query(max_length=50)] = "") -> Response:  # noqa: A002 - the address says so
    """Asks for the kind of a new data source, then for its settings."""
    bot = await house.db.read(bots_stored.get, visitor.workspace_id, bot_id)
    if not type:
        return render(request, "data_sources/kinds.html", bot=bot, kinds=registry.kinds())
    connector = _connector(type)
    return _form(request, 200, bot, connector, Form({"name": connector.title, **blank(fields_of(connector))}))


@router.post("/app/bots/{bot_id}/data-sources/new")
async def create(request: Request, bot_id: BotId, visitor: Owner, house: House) -> Response:
    """Makes a data source, its first sync queued; or tries its settings out, and makes nothing."""
    form = sent(request)
    bot = await house.db.read(bots_stored.get, visitor.workspace_id, bot_id)
    connector = _connector(form["type"])
    fields = fields_of(connector)
    form = Form({**blank(fields), **form.values})
    if is_trial(form):
        form, trial = await tried(request, house=house, visitor=visitor, connector=connector, fields=fields, form=form)
        return _form(request, 200, bot, connector, form, trial=trial)
    new = NewDataSource(form["name"], connector.kind, config_of(fields, form))
    try:
        made = await data_sources.create(house.db, house.settings, house.secretbox, house.outbound, workspace_id=visitor.workspace_id, bot_id=bot_id, new=new)
    except Invalid as error:
        return _form(request, 422, bot, connector, form.refused(at_fields(error, {"name", *names_of(fields)})))
    there = f"/app/data-sources/{made.data_source.id}"
    if connector.kind == UPLOADS:
        return go(request, f"{there}/files", said=f"{made.data_source.name} is there. Upload its first files.")
    return go(request, there, said=f"{made.data_source.name} is there, and its first sync is queued.")


def _connector(kind: str) -> Connector[Any]:
    try:
        return registry.connector(kind)
    except Invalid:
        raise NotFound("There is no such type of data source here.") from None


def _form(request: Request, status: int, bot: Bot, connector: Connector[Any], form: Form, *, trial: Trial | None = None) -> Response:
    fields = fields_of(connector)
    shown = ("name", *names_of(fields))
    return render(
        request,
        "data_sources/new.html",
        status,
        bot=bot,
        connector=connector,
        fields=fields,
        form=form,
        shown=shown,
        trial=trial,
        former={},
        scripted=by_script(request),
    )
