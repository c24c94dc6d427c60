"""Mappings of trigger hooks: where the body of a call names rows."""

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from tidings.errors import FieldError, Invalid
from tidings.model.webhooks import RowMapping
from tidings.store import webhooks
from tidings.web.api.calling import Db, Owner
from tidings.web.api.shapes import Input, PathId, Shape
from tidings.web.api.syncs import TargetsShape, shape_of_targets
from tidings.web.call_bodies import LARGEST_BODY
from tidings.webhooks.mapping import LONGEST_EXPRESSION, MOST_EXPRESSIONS, check_mapping, map_body

router = APIRouter(prefix="/api/v1", tags=["Webhooks"])

Expression = Annotated[str, Field(min_length=1, max_length=LONGEST_EXPRESSION)]
Expressions = Expression | Annotated[list[Expression], Field(max_length=MOST_EXPRESSIONS)]


class MappingInput(Input):
    """JSONPath expressions (RFC 9535), such as `$.entry.path` or `$.entries[*].url`, that lead to keys and URLs of rows."""

    keys: Expressions = Field(default_factory=list)
    urls: Expressions = Field(default_factory=list)

    def mapping(self) -> RowMapping:
        """As the room of webhooks takes it."""
        keys, urls = ((one,) if isinstance(one, str) else tuple(one) for one in (self.keys, self.urls))
        return RowMapping(keys, urls)


class MappingShape(Shape):
    """JSONPath expressions that lead to keys and URLs of rows."""

    keys: list[str]
    urls: list[str]


class TrialInput(Input):
    """A body to try a mapping on."""

    body: str = Field(max_length=LARGEST_BODY, description="What a caller would send, as text.")
    mapping: MappingInput | None = Field(None, description="The mapping to try; the webhook's own where it is left out.")


class TrialShape(Shape):
    """Which rows a body names."""

    targets: TargetsShape | None = Field(description="null: the whole data source would be synced.")
    sentence: str


@router.post("/webhooks/{webhook_id}/mapping/try", summary="Try a mapping")
async def try_mapping(webhook_id: PathId, body: TrialInput, caller: Owner, db: Db) -> TrialShape:
    """Which rows a trigger hook's mapping, or another one, finds in a body. Nothing is synced."""
    hook = await db.read(webhooks.get, caller.workspace_id, webhook_id)
    mapping = hook.mapping if body.mapping is None else body.mapping.mapping()
    if mapping is None:
        raise Invalid(FieldError("mapping", "This webhook has no mapping. Name the one to try."))
    check_mapping(mapping)
    mapped = await asyncio.to_thread(map_body, mapping, body.body.encode(errors="replace"))
    return TrialShape(targets=None if mapped.targets is None else shape_of_targets(mapped.targets), sentence=mapped.sentence)
