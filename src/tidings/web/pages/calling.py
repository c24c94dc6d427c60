"""Who looks at a page, and what its route needs of the house."""

from typing import Annotated

from fastapi import Depends, Path, Request

from tidings.errors import Forbidden, NotFound
from tidings.model.ids import is_id
from tidings.model.workspaces import Visitor
from tidings.web.services import Services


class SignInFirst(Exception):
    """Nobody has signed in here."""


def admitted(request: Request) -> None:
    """Every route depends on this: raises what the gate found wrong."""
    if request.state.refused is not None:
        raise request.state.refused


def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


def _member(request: Request) -> Visitor:
    visitor: Visitor | None = request.state.visitor
    if visitor is None:
        raise SignInFirst
    return visitor


def _owner(visitor: Annotated[Visitor, Depends(_member)]) -> Visitor:
    if not visitor.may_act_as("owner"):
        raise Forbidden("Only owners of this workspace may do this. Ask one of them.")
    return visitor


def _id(bot_id: Annotated[str, Path()]) -> str:
    return id_in_path(bot_id)


def _source_id(data_source_id: Annotated[str, Path()]) -> str:
    return id_in_path(data_source_id)


def _webhook_id(webhook_id: Annotated[str, Path()]) -> str:
    return id_in_path(webhook_id)


def id_in_path(text: str) -> str:
    """An id out of an address. NotFound where it is spelled like none."""
    if not is_id(text):
        raise NotFound("There is nothing at this address.")
    return text.lower()


House = Annotated[Services, Depends(_services)]
# Everybody who has signed in may do this.
Member = Annotated[Visitor, Depends(_member)]
# Owners may do this.
Owner = Annotated[Visitor, Depends(_owner)]
# The same, where a route does not need to know who it is: `dependencies=[for_owners]`.
for_owners = Depends(_owner)
# The bot that an address names, in `{bot_id}`.
BotId = Annotated[str, Depends(_id)]
# The data source that an address names, in `{data_source_id}`.
SourceId = Annotated[str, Depends(_source_id)]
# The webhook that an address names, in `{webhook_id}`.
WebhookId = Annotated[str, Depends(_webhook_id)]
