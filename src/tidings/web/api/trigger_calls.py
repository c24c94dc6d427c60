"""Who called a trigger hook, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.model.trigger_calls import TriggerCall
from tidings.store import trigger_log, webhooks
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, Reader
from tidings.web.api.shapes import Id, Listed, Paging, PathId, Shape, Time, listed, time_of

router = APIRouter(prefix="/api/v1", tags=["Webhooks"])


class TriggerCallShape(Shape):
    """One call of a trigger hook."""

    at: Time
    method: str
    address: str | None = Field(description="The caller's; behind the proxies of `TIDINGS_TRUSTED_PROXIES`, the one that they tell.")
    agent: str | None = Field(description="The caller's User-Agent, at most 200 characters.")
    status: int
    accepted: bool
    reason: str | None = Field(description="Why it was refused.")
    sync_id: Id | None = Field(description="The sync that it asked for; null where it was refused.")
    merged: bool = Field(description="Whether that sync was queued already.")
    mapped: str | None = Field(description="Which rows the hook's mapping found in the body, in a sentence; null without a mapping or a body.")


@router.get("/webhooks/{webhook_id}/calls", summary="List the calls of a trigger hook")
async def list_calls(webhook_id: PathId, paging: Annotated[Paging, Query()], caller: Reader, db: Db) -> Listed[TriggerCallShape]:
    """The last 50 accepted and the last 50 refused calls of at most 7 days, newest first; each is there about a second after it came.
    Calls with a wrong secret are among the refused ones. An outgoing webhook has none."""

    def page(tx: Tx) -> Listed[TriggerCallShape]:
        webhooks.get(tx, caller.workspace_id, webhook_id)
        return listed(trigger_log.page(tx, webhook_id, limit=paging.limit, cursor=paging.cursor), _shape)

    return await db.read(page)


def _shape(call: TriggerCall) -> TriggerCallShape:
    return TriggerCallShape(
        at=time_of(call.at),
        method=call.caller.method,
        address=call.caller.address,
        agent=call.caller.agent,
        status=call.status,
        accepted=call.accepted,
        reason=call.reason,
        sync_id=call.sync_id,
        merged=call.merged,
        mapped=call.mapped,
    )
