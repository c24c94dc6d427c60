"""What is owed to hooks, as they and the API see it: made, listed, held, drained, sent again. Attempts are claimed in `attempts`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, Row, Text, and_, bindparam, delete, func, insert, literal_column, or_, select, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import Conflict, NotFound
from tidings.model.pages import Page
from tidings.model.webhooks import Attempt, Delivery, DeliveryState, Envelope, HookType, KeepHeld
from tidings.store.cursors import id_in
from tidings.store.tables import attempts, deliveries, syncs, webhooks
from tidings.store.transactions import Hot, Tx

SUPERSEDED = "A later success of the same data source was held as well, and this hook keeps the latest one only."
DELETED = "The hook was deleted before this was sent."
BATCH = 500  # deliveries moved in one transaction, so that nobody waits long behind it

# Written out, not bound: SQLite plans by a partial index only for a condition that it can read.
_STATES: dict[str, Any] = {state: literal_column(f"'{state}'") for state in get_args(DeliveryState)}
PENDING, HELD = _STATES["pending"], _STATES["held"]
_LISTED = tuple(column for column in deliveries.c if column.name not in {"headers", "body"})
UNWANTED = and_(deliveries.c.sequence.is_(None), ~deliveries.c.test)  # the row says only that, and why, the hook was not told


@dataclass(frozen=True, slots=True)
class Recipient:
    """A hook that is told of an event, its row locked, and the number that the event gets there."""

    webhook_id: str
    envelope: Envelope | None
    enabled: bool
    draining: bool
    keep_held: KeepHeld
    sequence: int


def next_in_sequence(tx: Tx, bot_id: str, data_source_id: str, hook_type: HookType) -> list[Recipient]:
    """The hooks that want to know, locked in the order of their ids; the sequence of each is raised by one."""
    wanting = (
        select(webhooks.c.id, webhooks.c.envelope, webhooks.c.enabled, webhooks.c.draining, webhooks.c.keep_held, webhooks.c.sequence)
        .where(*_of_type(bot_id, hook_type), or_(webhooks.c.data_source_id.is_(None), webhooks.c.data_source_id == data_source_id))
        .order_by(webhooks.c.id)
        .with_for_update(key_share=True)
    )
    hooks = tx.execute(wanting).all()
    if not hooks:
        return []
    for start in range(0, len(hooks), BATCH):
        some = [hook.id for hook in hooks[start : start + BATCH]]
        tx.execute(update(webhooks).where(webhooks.c.id.in_(some)).values(sequence=webhooks.c.sequence + 1))
    return [Recipient(hook.id, hook.envelope, hook.enabled, hook.draining, hook.keep_held, hook.sequence + 1) for hook in hooks]


def not_wanting(tx: Tx, bot_id: str, data_source_id: str, hook_type: HookType) -> Sequence[str]:
    """The ids of the hooks of this type that listen to another data source only."""
    return tx.execute(select(webhooks.c.id).where(*_of_type(bot_id, hook_type), webhooks.c.data_source_id != data_source_id)).scalars().all()


def _of_type(bot_id: str, hook_type: HookType) -> tuple[ColumnElement[bool], ...]:
    return webhooks.c.bot_id == bot_id, webhooks.c.type == hook_type, webhooks.c.deleted_at.is_(None)


def add(tx: Tx, made: Sequence[Mapping[str, Any]]) -> None:
    """Writes down deliveries, each by the names of the columns, the same ones for all."""
    if made:
        tx.execute(insert(deliveries), [dict(one) for one in made])


def get(tx: Tx, workspace_id: str, delivery_id: str) -> Delivery:
    """One delivery with its frozen headers, body and attempts. NotFound."""
    row = tx.execute(select(deliveries).where(deliveries.c.id == delivery_id, deliveries.c.workspace_id == workspace_id)).one_or_none()
    if row is None:
        raise NotFound("There is no delivery with this id. `GET /api/v1/deliveries` lists them.")
    made = tx.execute(select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.number))
    return _delivery(row, headers=row.headers, body=row.body, attempts=tuple(_attempt(one) for one in made))


def page(
    tx: Tx,
    workspace_id: str,
    *,
    webhook_id: str | None = None,
    state: DeliveryState | None = None,
    which: Sequence[ColumnElement[bool]] = (),
    narrow: bool = False,
    limit: int,
    cursor: str | None,
) -> Page[Delivery]:
    """Deliveries of a workspace or of one of its hooks, newest first, without what they hold. `which`: only those for which all
    of this holds; `narrow`: those are few."""
    # An expression where there is something narrower: SQLite, which has no statistics, would walk all of the workspace, since that is in order already.
    walked = tx.dialect == "postgresql" or (webhook_id is None and not narrow)
    of_workspace = deliveries.c.workspace_id if walked else deliveries.c.workspace_id + ""
    query = select(*_LISTED).where(of_workspace == workspace_id, *which).order_by(deliveries.c.id.desc()).limit(limit + 1)
    if webhook_id is not None:
        query = query.where(deliveries.c.webhook_id == webhook_id)
    if state is not None:
        query = query.where(deliveries.c.state == _STATES[state])
    if state is not None and state != "delivered":
        query = query.where(deliveries.c.state != _STATES["delivered"])  # what the partial indexes say
    if cursor is not None:
        query = query.where(deliveries.c.id < id_in(cursor))
    found = tx.execute(query).all()
    return Page(tuple(_delivery(row) for row in found[:limit]), found[limit - 1].id if len(found) > limit else None)


def hold(tx: Tx, webhook_id: str, reason: str) -> int:
    """Keeps what is pending for a hook that was disabled, but for test deliveries; how many, at most BATCH."""
    return _move(tx, webhook_id, and_(deliveries.c.state == PENDING, ~deliveries.c.test), state="held", reason=reason, next_attempt_at=None)


def discard(tx: Tx, webhook_id: str, reason: str, *, of: DeliveryState = "held") -> int:
    """Gives up what is in this state; how many, at most BATCH."""
    return _move(tx, webhook_id, deliveries.c.state == _STATES[of], state="discarded", reason=reason, next_attempt_at=None, ended_at=clock.now())


def keep_latest(tx: Tx, webhook_id: str) -> int:
    """Gives up what is held for a hook where a later success of the same data source is held as well; how many, at most BATCH."""
    newer = func.row_number().over(partition_by=syncs.c.data_source_id, order_by=deliveries.c.sequence.desc())
    held = (
        select(deliveries.c.id, newer.label("newer"))
        .join(syncs, syncs.c.id == deliveries.c.sync_id)
        .where(deliveries.c.webhook_id == webhook_id, deliveries.c.state == HELD, deliveries.c.event == "sync.success")
        .subquery()
    )
    return _move(tx, webhook_id, deliveries.c.id.in_(select(held.c.id).where(held.c.newer > 1)), state="discarded", reason=SUPERSEDED, ended_at=clock.now())


def drain(tx: Tx, webhook_id: str, *, limit: int) -> int:
    """Makes the oldest of what is held due, in its order; the schedule starts anew. How many; 0: nothing is held any more."""
    held = select(deliveries.c.id).where(deliveries.c.webhook_id == webhook_id, deliveries.c.state == HELD).order_by(deliveries.c.sequence).limit(limit)
    ids = tx.execute(held).scalars().all()
    _make_due(tx, ids)
    return len(ids)


def has_held(tx: Tx, webhook_id: str) -> bool:
    """Whether anything is held for a hook."""
    return tx.execute(select(deliveries.c.id).where(deliveries.c.webhook_id == webhook_id, deliveries.c.state == HELD).limit(1)).first() is not None


def redeliver(tx: Tx, workspace_id: str, delivery_id: str) -> None:
    """Sends one again, whatever became of it: the schedule starts anew, attempt numbers go on. NotFound, Conflict."""
    which = and_(deliveries.c.id == delivery_id, deliveries.c.workspace_id == workspace_id)
    row = tx.execute(
        select(deliveries.c.state, deliveries.c.body.is_(None).label("pruned"), UNWANTED.label("unwanted"), webhooks.c.enabled, webhooks.c.deleted_at)
        .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
        .where(which)
        .with_for_update(of=deliveries)
    ).one_or_none()
    if row is None:
        raise NotFound("There is no delivery with this id. `GET /api/v1/deliveries` lists them.")
    if row.unwanted:
        raise Conflict("The hook takes the events of another data source only, so this one was never owed to it. Change the hook's data source to get them.")
    if row.deleted_at is not None:
        raise Conflict("The hook of this delivery was deleted, so there is nowhere to send it.")
    if row.state == "pending":
        raise Conflict("This delivery is pending: it is sent when its next attempt is due.")
    if row.pruned:
        raise Conflict("The payload of this delivery was pruned (TIDINGS_RETENTION_DAYS), so there is nothing to send.")
    if not row.enabled:
        raise Conflict("The hook of this delivery is disabled. Enable it first; what was held is sent then.")
    _make_due(tx, [delivery_id])


def first_of_failing(tx: Tx, webhook_id: str, failing_since: Micros) -> Micros:
    """When the delivery was made with whose attempt a hook began to fail; the instant of the attempt where that is not kept any more."""
    first = select(deliveries.c.created_at).join(attempts, attempts.c.delivery_id == deliveries.c.id)
    found = tx.execute(first.where(attempts.c.at == failing_since, deliveries.c.webhook_id == webhook_id).order_by(deliveries.c.created_at).limit(1))
    return int(found.scalar_one_or_none() or failing_since)


def recover(tx: Tx, webhook_id: str, since: Micros, after: int) -> tuple[int, int]:
    """Sends again what was made since an instant and is exhausted, held or discarded, the oldest first, behind number `after`
    in the hook's sequence. (how many, at most BATCH; the last number among them)"""
    lost = (
        select(deliveries.c.id, deliveries.c.sequence)
        .where(
            deliveries.c.webhook_id == webhook_id,
            deliveries.c.state != _STATES["delivered"],
            deliveries.c.state.in_(("exhausted", "held", "discarded")),
            deliveries.c.created_at >= since,
            deliveries.c.sequence > after,
            deliveries.c.body.is_not(None),
        )
        .order_by(deliveries.c.sequence)
        .limit(BATCH)
        .with_for_update()
    )
    found = tx.execute(lost).all()
    _make_due(tx, [row.id for row in found], bulk=True)
    return len(found), found[-1].sequence if found else after


def void_leases(tx: Tx) -> None:
    """Ends every lease: for the start of the one process that owns a SQLite file, when no holder can be alive."""
    tx.execute(
        update(deliveries)
        .where(or_(deliveries.c.state == PENDING, deliveries.c.state == HELD), deliveries.c.lease_until.is_not(None))
        .values(lease_until=None, owner=None)
    )
    tx.wake("deliveries")


_PRUNE = Hot(
    update(deliveries)
    .where(
        deliveries.c.id.in_(
            select(deliveries.c.id)
            .where(deliveries.c.body.is_not(None), deliveries.c.ended_at.is_not(None), deliveries.c.ended_at < bindparam("before", type_=BigInteger))
            .order_by(deliveries.c.ended_at)
            .limit(bindparam("most", type_=Integer))
        )
    )
    .values(body=None)
)
_PRUNE_UNWANTED = Hot(
    delete(deliveries).where(
        deliveries.c.id.in_(
            select(deliveries.c.id).where(UNWANTED, deliveries.c.created_at < bindparam("before", type_=BigInteger)).limit(bindparam("most", type_=Integer))
        )
    )
)


_GIVE_UP = Hot(
    update(deliveries)
    .where(
        deliveries.c.id.in_(
            select(deliveries.c.id)
            .where(deliveries.c.state == HELD, deliveries.c.webhook_id.in_(select(webhooks.c.id).where(webhooks.c.deleted_at.is_not(None))))
            .limit(bindparam("most", type_=Integer))
        )
    )
    .values(state=_STATES["discarded"], reason=bindparam("why", DELETED, type_=Text), ended_at=bindparam("at", type_=BigInteger))
)


def give_up_of_deleted(tx: Tx, at: Micros, limit: int) -> int:
    """Gives up what is held for hooks that were deleted since; how many, at most `limit`. What is pending for them, the next claim gives up."""
    return tx.hot_count(_GIVE_UP, at=at, most=limit)


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets the bodies of what ended before an instant (the row stays and says what became of it); how many, at most `limit`."""
    return tx.hot_count(_PRUNE, before=before, most=limit)


def prune_unwanted(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets the rows of hooks that were not told of an event from before an instant; how many, at most `limit`."""
    return tx.hot_count(_PRUNE_UNWANTED, before=before, most=limit)


_DUE_AGAIN = Hot(
    update(deliveries)
    .where(deliveries.c.id == bindparam("id_", type_=Text))
    .values(state=PENDING, reason=None, step=0, bulk=bindparam("bulk", type_=Boolean), next_attempt_at=bindparam("due", type_=BigInteger), ended_at=None)
)


def _make_due(tx: Tx, ids: Sequence[str], *, bulk: bool = False) -> None:
    """Starts the schedule anew. A microsecond apart, so that due order is that of the ids, and none is later than now."""
    due = clock.now() - len(ids)
    tx.hot_many(_DUE_AGAIN, [{"id_": delivery_id, "bulk": bulk, "due": due + place} for place, delivery_id in enumerate(ids)])
    if ids:
        tx.wake("deliveries")


def _move(tx: Tx, webhook_id: str, which: Any, **values: Any) -> int:
    some = select(deliveries.c.id).where(deliveries.c.webhook_id == webhook_id, which).order_by(deliveries.c.id).limit(BATCH)
    ids = tx.execute(some.with_for_update()).scalars().all()
    if ids:
        tx.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))
    return len(ids)


def _delivery(row: Row[Any], **more: Any) -> Delivery:
    return Delivery(
        id=row.id,
        workspace_id=row.workspace_id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        event=row.event,
        data_source_id=row.data_source_id,
        sync_id=row.sync_id,
        sequence=row.sequence,
        test=row.test,
        state=row.state,
        reason=row.reason,
        attempt_count=row.attempt_count,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
        **more,
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        at=row.at,
        status=row.status,
        duration_ms=row.duration_ms,
        error=row.error,
        address=row.address,
        phases=row.phases,
        tls=row.tls,
        certificate_until=row.certificate_until,
        request_headers=row.request_headers,
        response_headers=row.response_headers,
        response_body=row.response_body,
    )
