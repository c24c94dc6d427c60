"""Who calls, and what a route needs of the house."""

from typing import Annotated

from fastapi import Depends, Request

from tidings.errors import Forbidden
from tidings.model.workspaces import Caller
from tidings.store.database import Database
from tidings.web.services import Services


def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


def _db(request: Request) -> Database:
    db: Database = request.state.db
    return db


def _reader(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _owner(caller: Annotated[Caller, Depends(_reader)]) -> Caller:
    if not caller.may_act_as("owner"):
        raise Forbidden("This API key is a member's: it reads and starts syncs. Use an owner's key for this.")
    return caller


House = Annotated[Services, Depends(_services)]
# The database of this request: with an Idempotency-Key, one that notes the request's effect.
Db = Annotated[Database, Depends(_db)]
# Every key may do this.
Reader = Annotated[Caller, Depends(_reader)]
# Keys of owners and operators may do this.
Owner = Annotated[Caller, Depends(_owner)]
