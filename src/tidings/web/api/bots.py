"""Bots."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.bots import bots
from tidings.model.bots import Bot
from tidings.store import bots as stored
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.shapes import Id, Input, Listed, Name, Paging, PathId, Shape, Time, listed, time_of

router = APIRouter(prefix="/api/v1", tags=["Bots"])


class BotInput(Input):
    """A new bot."""

    name: Name


class BotChange(Input):
    """What can be changed of a bot."""

    name: Name = Field(default_factory=str)


class BotShape(Shape):
    """A bot."""

    id: Id
    name: str
    created_at: Time


@router.post("/bots", status_code=201, summary="Create a bot")
async def create_bot(body: BotInput, caller: Owner, db: Db) -> BotShape:
    """A new bot of the workspace."""
    return _shape(await db.write(stored.create, caller.workspace_id, body.name))


@router.get("/bots", summary="List bots")
async def list_bots(paging: Annotated[Paging, Query()], caller: Reader, db: Db) -> Listed[BotShape]:
    """The bots of the workspace, the oldest first."""
    return listed(await db.read(stored.page, caller.workspace_id, limit=paging.limit, cursor=paging.cursor), _shape)


@router.get("/bots/{bot_id}", summary="One bot")
async def get_bot(bot_id: PathId, caller: Reader, db: Db) -> BotShape:
    """One bot."""
    return _shape(await db.read(stored.get, caller.workspace_id, bot_id))


@router.patch("/bots/{bot_id}", summary="Rename a bot")
async def change_bot(bot_id: PathId, body: BotChange, caller: Owner, db: Db) -> BotShape:
    """Changes the members that are named."""
    if "name" in body.model_fields_set:
        return _shape(await db.write(stored.rename, caller.workspace_id, bot_id, body.name))
    return _shape(await db.read(stored.get, caller.workspace_id, bot_id))


@router.delete("/bots/{bot_id}", status_code=204, summary="Delete a bot")
async def delete_bot(bot_id: PathId, caller: Owner, db: Db, house: House) -> None:
    """Deletes a bot with its data sources and webhooks. What is queued or running for it is cancelled; its trigger URLs answer 404."""
    await bots.delete(db, house.settings, caller.workspace_id, bot_id)


def _shape(bot: Bot) -> BotShape:
    return BotShape(id=bot.id, name=bot.name, created_at=time_of(bot.created_at))
