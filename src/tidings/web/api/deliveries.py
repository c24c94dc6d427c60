"""Deliveries: what became of each event at each webhook."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from tidings.model.webhooks import Attempt, Delivery, DeliveryState, EventType
from tidings.store import deliveries as stored
from tidings.store import webhooks
from tidings.store.transactions import Tx
from tidings.web.api.calling import Db, House, Owner, Reader
from tidings.web.api.shapes import Id, Listed, Paging, PathId, Shape, Time, listed, maybe_time_of, time_of
from tidings.web.masking import for_members
from tidings.webhooks import deliveries

router = APIRouter(prefix="/api/v1", tags=["Deliveries"])


class DeliveriesQuery(Paging):
    """Which deliveries."""

    state: DeliveryState | None = None


class DeliveryShape(Shape):
    """One event owed to one webhook."""

    id: Id
    webhook_id: Id
    event_id: Id
    event: EventType
    sync_id: Id | None
    sequence: int | None = Field(description="null on tests, and where the hook listens to another data source only.")
    test: bool
    state: DeliveryState
    reason: str | None
    attempt_count: int
    next_attempt_at: Time | None
    created_at: Time


class RequestShape(Shape):
    """The request as the next attempt makes it, or the last one made it."""

    url: str | None = Field(description="Masked for members.")
    headers: dict[str, str] = Field(description="Secrets are masked.")
    body: str | None = Field(description="null once it was pruned.")


class PhasesShape(Shape):
    """How long each phase of an attempt took, in milliseconds; null where it did not take place: a kept connection needs no lookup."""

    lookup: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float


class AttemptShape(Shape):
    """One POST."""

    number: int
    at: Time
    status: int | None = Field(description="null where there was no answer.")
    duration_ms: int
    error: str | None = Field(description="What went wrong, and what to do.")
    address: str | None = Field(description="The address that was dialled.")
    phases: PhasesShape | None = Field(description="null on attempts of a version that did not measure them.")
    tls: str | None = Field(description="The version, where there was TLS.")
    certificate_until: Time | None = Field(description="Until when the endpoint's certificate is valid.")
    request_headers: dict[str, str] = Field(description="Secrets are masked.")
    response_headers: dict[str, str] | None = Field(description="The first 16 KiB; where there were more, a member `…` says so.")
    response_body: str | None = Field(description="At most 16 KiB.")


class DeliveryDetailShape(DeliveryShape):
    """One delivery with its request and attempts."""

    request: RequestShape
    attempts: list[AttemptShape]


@router.get("/deliveries", summary="List deliveries")
async def list_deliveries(query: Annotated[DeliveriesQuery, Query()], caller: Reader, db: Db) -> Listed[DeliveryShape]:
    """The deliveries of the workspace, newest first."""
    return listed(await db.read(stored.page, caller.workspace_id, state=query.state, limit=query.limit, cursor=query.cursor), _shape)


@router.get("/webhooks/{webhook_id}/deliveries", summary="List the deliveries of a webhook")
async def list_webhook_deliveries(webhook_id: PathId, query: Annotated[DeliveriesQuery, Query()], caller: Reader, db: Db) -> Listed[DeliveryShape]:
    """The deliveries of one webhook, newest first."""

    def page(tx: Tx) -> Listed[DeliveryShape]:
        webhooks.get(tx, caller.workspace_id, webhook_id)
        found = stored.page(tx, caller.workspace_id, webhook_id=webhook_id, state=query.state, limit=query.limit, cursor=query.cursor)
        return listed(found, _shape)

    return await db.read(page)


@router.get("/deliveries/{delivery_id}", summary="One delivery")
async def get_delivery(delivery_id: PathId, caller: Reader, db: Db, house: House) -> DeliveryDetailShape:
    """One delivery with its request and every attempt."""
    return _detail(await deliveries.read(db, house.secretbox, caller.workspace_id, delivery_id), masked=not caller.may_act_as("owner"))


@router.post("/deliveries/{delivery_id}/redeliver", status_code=202, summary="Send a delivery again")
async def redeliver(delivery_id: PathId, caller: Owner, db: Db, house: House) -> DeliveryDetailShape:
    """Starts the retry schedule anew; attempt numbers go on. 409 if it is pending, its payload was pruned, or its webhook is disabled."""
    await deliveries.redeliver(db, caller.workspace_id, delivery_id)
    return _detail(await deliveries.read(db, house.secretbox, caller.workspace_id, delivery_id), masked=False)


def _members(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "event_id": delivery.event_id,
        "event": delivery.event,
        "sync_id": delivery.sync_id,
        "sequence": delivery.sequence,
        "test": delivery.test,
        "state": delivery.state,
        "reason": delivery.reason,
        "attempt_count": delivery.attempt_count,
        "next_attempt_at": maybe_time_of(delivery.next_attempt_at),
        "created_at": time_of(delivery.created_at),
    }


def _shape(delivery: Delivery) -> DeliveryShape:
    return DeliveryShape(**_members(delivery))


def _detail(delivery: Delivery, *, masked: bool) -> DeliveryDetailShape:
    shown = for_members(delivery) if masked else delivery
    request = RequestShape(url=shown.url, headers=dict(shown.headers), body=shown.body)
    return DeliveryDetailShape(**_members(shown), request=request, attempts=[_attempt(attempt) for attempt in shown.attempts])


def _attempt(attempt: Attempt) -> AttemptShape:
    return AttemptShape(
        number=attempt.number,
        at=time_of(attempt.at),
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        error=attempt.error,
        address=attempt.address,
        phases=None if attempt.phases is None else PhasesShape.model_validate(attempt.phases),
        tls=attempt.tls,
        certificate_until=maybe_time_of(attempt.certificate_until),
        request_headers=dict(attempt.request_headers),
        response_headers=None if attempt.response_headers is None else dict(attempt.response_headers),
        response_body=attempt.response_body,
    )
