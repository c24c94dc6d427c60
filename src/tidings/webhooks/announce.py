"""The end of a sync becomes an event and its deliveries, in the transaction that ends it (product rule 11)."""

from typing import Any

from tidings import clock
from tidings.clock import Micros
from tidings.model.ids import new_id
from tidings.model.syncs import Sync
from tidings.model.webhooks import Event, HookType
from tidings.store import deliveries, events
from tidings.store.deliveries import Recipient
from tidings.store.transactions import Tx
from tidings.webhooks.payloads import body, event_data, event_of, frozen_headers

DISABLED = "The hook is disabled; this is kept until it is enabled."
OTHER_SOURCE = "The hook takes the events of another data source only, so it was not told of this one."
DRAINING = "Waits behind deliveries that were kept while the hook was disabled."


def announce(tx: Tx, sync: Sync) -> None:
    """Records that a sync succeeded or failed, and what is owed to each hook that wants to know; a cancelled one is told to nobody.

    The body is frozen here; target, custom headers and secrets are taken at each attempt.
    """
    if sync.state == "cancelled":
        return
    at = clock.now()
    event = events.add(tx, sync.workspace_id, event_of(sync), at, event_data(sync, *events.names(tx, sync)))
    hook_type: HookType = "sync_success" if sync.state == "succeeded" else "sync_failure"
    recipients = deliveries.next_in_sequence(tx, sync.bot_id, sync.data_source_id, hook_type)
    deliveries.add(tx, [_owed(sync, event, recipient, at) for recipient in recipients])
    passed_over = deliveries.not_wanting(tx, sync.bot_id, sync.data_source_id, hook_type)
    deliveries.add(tx, [_passed_over(sync, event, webhook_id, at) for webhook_id in passed_over])
    for recipient in recipients:
        if recipient.keep_held == "latest" and _held(recipient) is not None:
            deliveries.keep_latest(tx, recipient.webhook_id)
    if recipients:
        tx.wake("deliveries")
    tx.wake("events")


def _held(recipient: Recipient) -> str | None:
    """Why a delivery waits: the hook is disabled, or still sends what was kept meanwhile."""
    return DISABLED if not recipient.enabled else DRAINING if recipient.draining else None


def _owed(sync: Sync, event: Event, recipient: Recipient, at: Micros) -> dict[str, Any]:
    """One delivery."""
    held = _held(recipient)
    return _members(sync, event, recipient.webhook_id, at) | {
        "sequence": recipient.sequence,
        "state": "pending" if held is None else "held",
        "reason": held,
        "headers": frozen_headers(sync),
        "body": body(recipient.envelope, event.type, at, event.data),
        "next_attempt_at": at if held is None else None,
    }


def _passed_over(sync: Sync, event: Event, webhook_id: str, at: Micros) -> dict[str, Any]:
    """A row that says why a hook was not told (product rule 17). It has no place in the hook's sequence: nothing was owed."""
    return _members(sync, event, webhook_id, at) | {"state": "discarded", "reason": OTHER_SOURCE, "headers": {}, "ended_at": at}


def _members(sync: Sync, event: Event, webhook_id: str, at: Micros) -> dict[str, Any]:
    return {
        "id": new_id(),
        "workspace_id": sync.workspace_id,
        "webhook_id": webhook_id,
        "event_id": event.id,
        "event": event.type,
        "sync_id": sync.id,
        "created_at": at,
    }
