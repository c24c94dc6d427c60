"""The last calls of each trigger hook, for people. Nothing follows from them: what was accepted is durable in its sync."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, Text, bindparam, delete, func, insert, select

from tidings.clock import Micros
from tidings.model.pages import Page
from tidings.model.trigger_calls import Caller, TriggerCall
from tidings.store.syncs import number_of
from tidings.store.tables import trigger_log, webhooks
from tidings.store.transactions import AnyRow, Hot, Tx

KEPT = 50  # accepted calls of each hook, and as many refused ones: however many are refused, they push out no accepted one

_of_hook = trigger_log.c.webhook_id == bindparam("hook", type_=Text)
_of_kind = trigger_log.c.reason.is_(None) == bindparam("accepted", type_=Boolean)
_newest = select(trigger_log.c.n).where(_of_hook, _of_kind).order_by(trigger_log.c.n.desc()).limit(KEPT).subquery()
_FORGET = Hot(delete(trigger_log).where(_of_hook, _of_kind, trigger_log.c.n < select(func.min(_newest.c.n)).scalar_subquery()))


def add(tx: Tx, calls: Sequence[TriggerCall]) -> None:
    """Writes down the calls of those hooks that there are, and forgets older ones of theirs: the newest KEPT of either kind stay."""
    ids = {call.webhook_id for call in calls}
    query = select(webhooks.c.id).where(webhooks.c.id.in_(ids), webhooks.c.type == "sync_trigger", webhooks.c.deleted_at.is_(None))
    hooks = set(tx.execute(query).scalars())
    of_hooks = [call for call in calls if call.webhook_id in hooks]
    if of_hooks:
        tx.execute(insert(trigger_log), [_values(call) for call in of_hooks])
        tx.hot_many(_FORGET, [{"hook": hook, "accepted": accepted} for hook, accepted in {(call.webhook_id, call.accepted) for call in of_hooks}])


def page(tx: Tx, webhook_id: str, *, limit: int, cursor: str | None) -> Page[TriggerCall]:
    """The calls of a hook, newest first."""
    query = select(trigger_log).where(trigger_log.c.webhook_id == webhook_id).order_by(trigger_log.c.n.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(trigger_log.c.n < number_of(cursor))
    found = tx.execute(query).all()
    return Page(tuple(map(call_of, found[:limit])), str(found[limit - 1].n) if len(found) > limit else None)


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets calls from before an instant; how many, at most `limit`."""
    old = select(trigger_log.c.n).where(trigger_log.c.at < before).limit(limit)
    return tx.execute(delete(trigger_log).where(trigger_log.c.n.in_(old))).rowcount


def call_of(row: AnyRow) -> TriggerCall:
    """A call as it lies in the database."""
    caller = Caller(row.method, row.address, row.agent)
    return TriggerCall(row.webhook_id, row.at, caller, row.status, row.reason, row.sync_id, row.merged, row.mapped)


def _values(call: TriggerCall) -> dict[str, Any]:
    return {
        "webhook_id": call.webhook_id,
        "at": call.at,
        "method": call.caller.method,
        "address": call.caller.address,
        "agent": call.caller.agent,
        "status": call.status,
        "reason": call.reason,
        "sync_id": call.sync_id,
        "merged": call.merged,
        "mapped": call.mapped,
    }
