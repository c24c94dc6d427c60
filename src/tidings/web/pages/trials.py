"""Trying the settings of a data source out, out of the form that they are typed into; one that nobody waits for any more is given up."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from tidings.bots.trying import Trial, try_out
from tidings.connectors.base import Connector
from tidings.errors import Invalid, TooMany
from tidings.model.workspaces import Visitor
from tidings.web.pages.config_forms import Field, at_fields, config_of, names_of
from tidings.web.pages.forms import Form
from tidings.web.services import Services

T = TypeVar("T")


def is_trial(form: Form) -> bool:
    """Whether the button was pressed that tries, not the one that keeps."""
    return form["do"] == "try"


def by_script(request: Request) -> bool:
    """Whether a script takes what it needs out of the answer: then credentials stay in their fields, which no page ever sends back."""
    return "hx-request" in request.headers


async def tried(
    request: Request,
    *,
    house: Services,
    visitor: Visitor,
    connector: Connector[Any],
    fields: Sequence[Field],
    form: Form,
    data_source_id: str | None = None,
) -> tuple[Form, Trial | None]:
    """The form with what is wrong with it, else what was found."""
    looking = try_out(
        house.db,
        house.settings,
        house.secretbox,
        house.outbound,
        workspace_id=visitor.workspace_id,
        kind=connector.kind,
        config=config_of(fields, form),
        data_source_id=data_source_id,
    )
    try:
        return form, await _while_awaited(request, house, looking)
    except Invalid as error:
        return form.refused(at_fields(error, names_of(fields))), None
    except TooMany as error:
        return form, Trial((), more=False, reason=str(error))


async def _while_awaited(request: Request, house: Services, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; None where whoever asked has left meanwhile, or Tidings stops."""
    task, left, stopping = asyncio.ensure_future(work), asyncio.ensure_future(_left(request)), asyncio.ensure_future(house.stopping.wait())
    try:
        await asyncio.wait({task, left, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, left, stopping):
            one.cancel()
        await asyncio.gather(task, left, stopping, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
