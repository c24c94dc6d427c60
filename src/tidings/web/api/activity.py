"""What happened in a workspace."""

from typing import Annotated

from fastapi import APIRouter, Query

from tidings.model.activity import Activity, ActivityKind
from tidings.store import activity
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, Reader
from tidings.web.api.shapes import Id, Listed, Paging, Shape, Time, listed, time_of

router = APIRouter(prefix="/api/v1", tags=["Workspace"])


class ActivityShape(Shape):
    """One thing that happened, with the ids of what it is about."""

    at: Time
    kind: ActivityKind
    sentence: str
    bot_id: Id | None
    data_source_id: Id | None
    sync_id: Id | None
    webhook_id: Id | None


@router.get("/activity", summary="List what happened in the workspace")
async def list_activity(paging: Annotated[Paging, Query()], caller: Reader, db: Db) -> Listed[ActivityShape]:
    """What happened beside syncs, calls of trigger hooks and deliveries, which have lists of their own; newest first, for `TIDINGS_RETENTION_DAYS`."""

    def page(tx: Tx) -> Listed[ActivityShape]:
        return listed(activity.page(tx, caller.workspace_id, limit=paging.limit, cursor=paging.cursor), _shape)

    return await db.read(page)


def _shape(happened: Activity) -> ActivityShape:
    return ActivityShape(
        at=time_of(happened.at),
        kind=happened.kind,
        sentence=happened.sentence,
        bot_id=happened.bot_id,
        data_source_id=happened.data_source_id,
        sync_id=happened.sync_id,
        webhook_id=happened.webhook_id,
    )
