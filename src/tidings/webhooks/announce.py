"""The end of a sync, or the end of a promise, becomes an event and its deliveries, in the transaction that brings it about (product rule 11)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidings import clock
from tidings.clock import Micros
from tidings.model.bots import DataSource
from tidings.model.ids import new_id
from tidings.model.syncs import Sync
from tidings.model.webhooks import Event, EventType, HookType
from tidings.store import deliveries, events
from tidings.store.deliveries import Recipient
from tidings.store.transactions import Tx
from tidings.webhooks.payloads import body, event_data, event_of, frozen_headers, stale_data

DISABLED = "The hook is disabled; this is kept until it is enabled."
OTHER_SOURCE = "The hook takes the events of another data source only, so it was not told of this one."
DRAINING = "Waits behind deliveries that were kept while the hook was disabled."


@dataclass(frozen=True, slots=True)
class _News:
    """What is to be told, and of what."""

    workspace_id: str
    bot_id: str
    data_source_id: str
    sync_id: str | None
    event: EventType
    data: Mapping[str, Any]
    headers: Mapping[str, str]


def announce(tx: Tx, sync: Sync) -> None:
    """Records that a sync succeeded or failed, and what is owed to each hook that wants to know; a cancelled one is told to nobody."""
    if sync.state == "cancelled":
        return
    data = event_data(sync, *events.names(tx, sync.bot_id, sync.data_source_id))
    _announce(tx, _News(sync.workspace_id, sync.bot_id, sync.data_source_id, sync.id, event_of(sync), data, frozen_headers(sync)))


def announce_stale(tx: Tx, source: DataSource, reason: str) -> None:
    """Records that no sync of a data source has succeeded for longer than was promised: a failure that has no sync."""
    data = stale_data(source.bot_id, source.id, reason, *events.names(tx, source.bot_id, source.id))
    _announce(tx, _News(source.workspace_id, source.bot_id, source.id, None, "sync.failure", data, {"Tidings-Event": "sync.failure"}))


def _announce(tx: Tx, news: _News) -> None:
    """The body is frozen here; target, custom headers and secrets are taken at each attempt."""
    at = clock.now()
    event = events.add(tx, news.workspace_id, news.event, at, news.data)
    hook_type: HookType = "sync_success" if news.event == "sync.success" else "sync_failure"
    recipients = deliveries.next_in_sequence(tx, news.bot_id, news.data_source_id, hook_type)
    deliveries.add(tx, [_owed(news, event, recipient, at) for recipient in recipients])
    passed_over = deliveries.not_wanting(tx, news.bot_id, news.data_source_id, hook_type)
    deliveries.add(tx, [_passed_over(news, event, webhook_id, at) for webhook_id in passed_over])
    for recipient in recipients:
        if recipient.keep_held == "latest" and _held(recipient) is not None:
            deliveries.keep_latest(tx, recipient.webhook_id)
    if recipients:
        tx.wake("deliveries")
    tx.wake("events")


def _held(recipient: Recipient) -> str | None:
    """Why a delivery waits: the hook is disabled, or still sends what was kept meanwhile."""
    return DISABLED if not recipient.enabled else DRAINING if recipient.draining else None


def _owed(news: _News, event: Event, recipient: Recipient, at: Micros) -> dict[str, Any]:
    """One delivery."""
    held = _held(recipient)
    return _members(news, event, recipient.webhook_id, at) | {
        "sequence": recipient.sequence,
        "state": "pending" if held is None else "held",
        "reason": held,
        "headers": dict(news.headers),
        "body": body(recipient.envelope, event.type, at, event.data),
        "next_attempt_at": at if held is None else None,
    }


def _passed_over(news: _News, event: Event, webhook_id: str, at: Micros) -> dict[str, Any]:
    """A row that says why a hook was not told (product rule 17). It has no place in the hook's sequence: nothing was owed."""
    return _members(news, event, webhook_id, at) | {"state": "discarded", "reason": OTHER_SOURCE, "headers": {}, "ended_at": at}


def _members(news: _News, event: Event, webhook_id: str, at: Micros) -> dict[str, Any]:
    return {
        "id": new_id(),
        "workspace_id": news.workspace_id,
        "webhook_id": webhook_id,
        "event_id": event.id,
        "event": event.type,
        "data_source_id": news.data_source_id,
        "sync_id": news.sync_id,
        "created_at": at,
    }
