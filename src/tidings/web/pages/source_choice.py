"""Choosing a data source of a bot in a form: from a drop-down, or by its name where there are too many for one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import HTMLResponse, Response

from tidings.model.bots import SourceName
from tidings.model.ids import is_id
from tidings.store import bots, data_sources
from tidings.store.transactions import Tx
from tidings.web.api.shapes import text_of_query
from tidings.web.pages.calling import BotId, House, Owner
from tidings.web.pages.forms import Form
from tidings.web.pages.render import fragment
from tidings.web.pages.webhook_forms import LONGEST_SOURCE, too_long
from tidings.web.services import Services

router = APIRouter()

CHOICES = 100  # data sources in a drop-down; of more, so many are offered as one types


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be chosen: the first data sources of a bot, `many` where there are more; `named`: by their ids, also those that the page names besides."""

    offered: tuple[SourceName, ...]
    many: bool
    named: dict[str, SourceName]


def choice_of(tx: Tx, bot_id: str, named: Iterable[str | None] = ()) -> Choice:
    """The data sources of a bot; `named`: ids that the page names."""
    found = data_sources.names(tx, bot_id, limit=CHOICES + 1)
    known = {each.id: each for each in found}
    missing = {each for each in named if each is not None} - known.keys()
    known |= {each.id: each for each in data_sources.names(tx, bot_id, ids=missing, limit=len(missing))} if missing else {}
    return Choice(tuple(found[:CHOICES]), len(found) > CHOICES, known)


async def by_name(house: Services, bot_id: str, form: Form, present: str | None = None) -> Form:
    """The form with the id of the data source in place of the name, or id, that was typed into it, `present` where that has this name; as it is where
    it asks for no name. What is wrong with the name is told at its field."""
    if "dataSourceName" not in form.values:
        return form
    typed = form["dataSourceName"].strip()
    if len(typed) > LONGEST_SOURCE:
        return Form(form.values, {"dataSourceId": too_long(typed, LONGEST_SOURCE)})

    def read(tx: Tx) -> list[str]:
        kept = data_sources.names(tx, bot_id, ids=[present], limit=1) if present else []
        return [each.id for each in kept if each.name == typed] or data_sources.called(tx, bot_id, typed)

    found = await house.db.read(read) if typed and not is_id(typed) else [typed]
    if not found:
        return Form(form.values, {"dataSourceId": "No data source of this bot has this name. Choose one that is offered as you type."})
    if len(found) > 1:
        return Form(form.values, {"dataSourceId": "Several data sources have this name. Give one another name, or write the id of the one that you mean."})
    return Form({**{name: text for name, text in form.values.items() if name != "dataSourceName"}, "dataSourceId": found[0]})


@router.get("/app/bots/{bot_id}/webhooks/sources")
async def offer(
    request: Request,
    bot_id: BotId,
    visitor: Owner,
    house: House,
    like: Annotated[str, AfterValidator(text_of_query), Query(max_length=LONGEST_SOURCE, alias="dataSourceName")] = "",
) -> Response:
    """The names that hold what was typed so far."""

    def read(tx: Tx) -> list[SourceName]:
        bots.get(tx, visitor.workspace_id, bot_id)
        return data_sources.names(tx, bot_id, like=like.strip(), limit=CHOICES)

    return HTMLResponse(fragment(request, "names_offered.html", offered=await house.db.read(read)))
