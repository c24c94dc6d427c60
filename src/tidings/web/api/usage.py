"""What was charged, and for what."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tidings import clock
from tidings.store import usage
from tidings.store.usage import Share
from tidings.web.api.calling import Db, Reader
from tidings.web.api.shapes import Id, Shape
from tidings.web.api.shapes import Query as QueryShape

router = APIRouter(prefix="/api/v1", tags=["Workspace"])


class UsageQuery(QueryShape):
    """Which month."""

    month: str | None = Field(None, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="A UTC month; by default the present one.", examples=["2026-11"])


class DayShape(Shape):
    """What was charged on one UTC day."""

    day: str = Field(examples=["2026-11-22"])
    storage_tokens: int


class BotShareShape(Shape):
    """What was charged for one bot."""

    bot_id: Id
    bot: str
    deleted: bool
    storage_tokens: int


class DataSourceShareShape(Shape):
    """What was charged for one data source."""

    data_source_id: Id
    data_source: str
    bot_id: Id
    deleted: bool
    storage_tokens: int


class UsageByShape(Shape):
    """What was charged in a month: the same sum three times over. Days without a charge are left out; the largest shares come first."""

    month: str = Field(description="A UTC month.", examples=["2026-11"])
    storage_tokens: int
    by_day: list[DayShape]
    by_bot: list[BotShareShape]
    by_data_source: list[DataSourceShareShape]


@router.get("/usage", summary="What was charged, by day, bot and data source")
async def get_usage(query: Annotated[UsageQuery, Query()], caller: Reader, db: Db) -> UsageByShape:
    """The storage tokens that the workspace was charged in a month. What was deleted keeps its share, under its name."""
    month = query.month or clock.month(clock.now())
    found = await db.read(usage.shares, caller.workspace_id, month)
    return UsageByShape(
        month=month,
        storage_tokens=found.tokens,
        by_day=[DayShape(day=day, storage_tokens=tokens) for day, tokens in found.by_day],
        by_bot=[BotShareShape(bot_id=one.id, bot=one.name, deleted=one.deleted, storage_tokens=one.tokens) for one in found.by_bot],
        by_data_source=[_shape(one) for one in found.by_data_source],
    )


def _shape(one: Share) -> DataSourceShareShape:
    return DataSourceShareShape(data_source_id=one.id, data_source=one.name, bot_id=one.bot_id, deleted=one.deleted, storage_tokens=one.tokens)
