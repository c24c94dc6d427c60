"""The feed of events."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.model.pages import Page
from tidings.model.webhooks import Event
from tidings.store import events
from tidings.store.syncs import number_of
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, House, Reader
from tidings.web.api.shapes import Id, Listed, Paging, Reference, Shape, Time, Wait, listed, time_of
from tidings.web.api.waiting import held_back

router = APIRouter(prefix="/api/v1", tags=["Events"])


class EventsQuery(Paging):
    """Which events."""

    after: Annotated[int | None, Field(ge=0, le=2**63 - 1, description="The `seq` of the last event that is known already.")] = None
    webhook_id: Annotated[Reference | None, Field(description="Only what this webhook was to be told; `seq` is its `Tidings-Sequence` then.")] = None
    wait: Wait = 0.0


class EventShape(Shape):
    """A thing that happened."""

    seq: int
    id: Id
    type: Literal["sync.success", "sync.failure"]
    timestamp: Time
    data: dict[str, Any] = Field(description="The `data` of the standard envelope.")


@router.get("/events", summary="What happened")
async def list_events(query: Annotated[EventsQuery, Query()], caller: Reader, db: Db, house: House) -> Listed[EventShape]:
    """The events behind `after` in order of commit, the oldest first. With `wait`, as soon as there are any. 410 where some of them were pruned."""
    after = query.after if query.cursor is None else number_of(query.cursor)

    def page(tx: Tx) -> Page[Event]:
        if query.webhook_id is None:
            return events.page(tx, caller.workspace_id, after=after, limit=query.limit)
        return events.hook_page(tx, caller.workspace_id, query.webhook_id, after=after, limit=query.limit)

    async def look() -> Page[Event]:
        return await db.read(page)

    return listed(await held_back(house, db, "events", query.wait, look=look, enough=lambda found: bool(found.items)), _shape)


def _shape(event: Event) -> EventShape:
    return EventShape(seq=event.seq, id=event.id, type=event.type, timestamp=time_of(event.at), data=dict(event.data))
