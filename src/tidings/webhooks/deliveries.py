"""Deliveries as people deal with them: looked at, tested, sent again one by one or in bulk."""

from dataclasses import replace
from typing import Any

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Conflict, FieldError, Invalid
from tidings.model.ids import new_id
from tidings.model.webhooks import Delivery, EventType
from tidings.secretbox import SecretBox
from tidings.store import deliveries, webhooks
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.store.webhooks import StoredHook
from tidings.webhooks.custom_headers import masked, unpacked
from tidings.webhooks.deliver import fixed_headers
from tidings.webhooks.payloads import body, sample

NO_TARGET = "A trigger hook sends nothing, so there is nothing to test or to send again."


async def read(db: Database, box: SecretBox, workspace_id: str, delivery_id: str) -> Delivery:
    """One delivery with its attempts, and the request as its next attempt would make it: `url`, `headers` (custom ones masked), `body`. NotFound."""
    delivery, hook = await db.read(_read, workspace_id, delivery_id)
    if hook is None:
        return delivery
    custom = {} if hook.headers is None else masked(unpacked(box.open(hook.headers, "webhooks", hook.id, "headers")))
    return replace(delivery, url=hook.target_url, headers=custom | fixed_headers(delivery.event_id, delivery.headers, delivery.sequence))


async def send_test(db: Database, workspace_id: str, hook_id: str, event: EventType | None) -> str:
    """Sends the sample figures to a hook, once, also to a disabled one; the id of the delivery. NotFound, Invalid."""
    return await db.write(_send_test, workspace_id, hook_id, event)


async def redeliver(db: Database, workspace_id: str, delivery_id: str) -> None:
    """Sends one again. NotFound, Conflict."""
    await db.write(deliveries.redeliver, workspace_id, delivery_id)


async def recover(db: Database, workspace_id: str, hook_id: str, since: Micros) -> int:
    """Sends again all that is exhausted, held or discarded and was made since an instant; how many. In batches, so that
    nothing else waits for it. NotFound, Invalid, Conflict."""
    count, behind = await db.write(_recover, workspace_id, hook_id, since, 0)
    total = count
    while count:
        count, behind = await db.write(_recover, workspace_id, hook_id, since, behind)
        total += count
    return total


def _read(tx: Tx, workspace_id: str, delivery_id: str) -> tuple[Delivery, StoredHook | None]:
    delivery = deliveries.get(tx, workspace_id, delivery_id)
    return delivery, webhooks.find(tx, workspace_id, delivery.webhook_id)


def _send_test(tx: Tx, workspace_id: str, hook_id: str, event: EventType | None) -> str:
    hook = webhooks.get(tx, workspace_id, hook_id)
    if hook.type == "sync_trigger":
        raise Invalid(FieldError("event", NO_TARGET))
    made = sample_delivery(hook, event)
    deliveries.add(tx, [made])
    tx.wake("deliveries")
    delivery_id: str = made["id"]
    return delivery_id


def sample_delivery(hook: StoredHook, event: EventType | None = None) -> dict[str, Any]:
    """A test of an outgoing hook, due now, by the names of the columns. `event`: None for the hook's own."""
    kind: EventType = event or ("sync.success" if hook.type == "sync_success" else "sync.failure")
    at = clock.now()
    return {
        "id": new_id(),
        "workspace_id": hook.workspace_id,
        "webhook_id": hook.id,
        "event_id": new_id(),
        "event": kind,
        "test": True,
        "state": "pending",
        "headers": {"Tidings-Event": kind, "Tidings-Test": "true"},
        "body": body(hook.envelope, kind, at, sample(kind, {"botId": hook.bot_id, "dataSourceId": hook.data_source_id}, at)),
        "next_attempt_at": at,
        "created_at": at,
    }


def _recover(tx: Tx, workspace_id: str, hook_id: str, since: Micros, behind: int) -> tuple[int, int]:
    hook = webhooks.get(tx, workspace_id, hook_id)
    if hook.type == "sync_trigger":
        raise Invalid(FieldError("since", NO_TARGET))
    if not hook.enabled:
        raise Conflict("The hook is disabled. Enable it first; what was held is sent then.")
    return deliveries.recover(tx, hook_id, since, behind)
