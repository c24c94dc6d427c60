"""What stands around a sync, for people: the calls that asked for it, and the hooks that were told of it."""

from dataclasses import dataclass

from sqlalchemy import select

from tidings.clock import Micros
from tidings.model.syncs import Sync
from tidings.model.trigger_calls import TriggerCall
from tidings.model.webhooks import DeliveryState, HookType
from tidings.store import trigger_log
from tidings.store.tables import deliveries, webhooks
from tidings.store.tables import trigger_log as calls
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery that a sync caused, and its hook. `target_url` may hold secrets."""

    id: str
    webhook_id: str
    hook_type: HookType
    target_url: str
    state: DeliveryState
    reason: str | None
    attempts: int
    next_attempt_at: Micros | None
    ended_at: Micros | None


def calls_for(tx: Tx, sync: Sync, *, limit: int) -> tuple[TriggerCall, ...]:
    """The calls of trigger hooks that this sync carries, the first one first, as far as they are kept."""
    query = select(calls).join(webhooks, webhooks.c.id == calls.c.webhook_id).where(webhooks.c.bot_id == sync.bot_id, calls.c.sync_id == sync.id)
    return tuple(map(trigger_log.call_of, tx.execute(query.order_by(calls.c.n).limit(limit))))


def told(tx: Tx, sync: Sync, *, limit: int) -> tuple[Told, ...]:
    """The deliveries of a sync's end, without those hooks that listen to another data source."""
    query = (
        select(deliveries, webhooks.c.type, webhooks.c.target_url)
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(deliveries.c.sync_id == sync.id, deliveries.c.workspace_id == sync.workspace_id, deliveries.c.sequence.is_not(None))
        .order_by(deliveries.c.id)
        .limit(limit)
    )
    return tuple(
        Told(one.id, one.webhook_id, one.type, one.target_url, one.state, one.reason, one.attempt_count, one.next_attempt_at, one.ended_at)
        for one in tx.execute(query)
    )
