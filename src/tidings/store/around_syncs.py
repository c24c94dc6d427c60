"""What stands around a sync, for people: the calls that asked for it, the hooks that were told of it, the refs that it is found by."""

from dataclasses import dataclass

from sqlalchemy import select

from tidings.clock import Micros
from tidings.model.syncs import State, Sync
from tidings.model.trigger_calls import TriggerCall
from tidings.model.webhooks import DeliveryState, HookType
from tidings.store import trigger_log
from tidings.store.tables import data_sources, deliveries, sync_refs, syncs, webhooks
from tidings.store.tables import trigger_log as calls
from tidings.store.transactions import Tx

LOOKED_AT = 2_000  # syncs with one ref


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


@dataclass(frozen=True, slots=True)
class SyncName:
    """A sync as it is named where several are."""

    id: str
    source: str
    state: State
    queued_at: Micros


def with_ref(tx: Tx, workspace_id: str, ref: str, *, limit: int) -> tuple[SyncName, ...]:
    """The syncs of a workspace that carry a ref, the newest first: among the newest ones of all workspaces, so that a ref that everybody uses costs no more."""
    newest = select(sync_refs.c.sync_id).where(sync_refs.c.ref == ref).order_by(sync_refs.c.sync_id.desc()).limit(LOOKED_AT).subquery()
    query = select(syncs.c.id, data_sources.c.name, syncs.c.state, syncs.c.queued_at).join(newest, newest.c.sync_id == syncs.c.id)
    mine = query.join(data_sources, data_sources.c.id == syncs.c.data_source_id).where(syncs.c.workspace_id == workspace_id)
    return tuple(SyncName(*row) for row in tx.execute(mine.order_by(syncs.c.id.desc()).limit(limit)))


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
