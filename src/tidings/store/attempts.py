"""Due work of the outgoing side: deliveries claimed under a fenced lease, hook by hook; leases renewed and ended.

Hooks are visited in turn, each giving what there is room for, so that no backlog hides another hook's deliveries, however long it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from tidings import clock
from tidings.clock import Micros
from tidings.store import deliveries as owed
from tidings.store.deliveries import HELD, PENDING
from tidings.store.leases import lease_now
from tidings.store.tables import deliveries, webhook_keys, webhook_secrets, webhooks
from tidings.store.transactions import Hot, HotRows, Tx

VISITED = 128  # hooks looked at in one claim
DRAINED = 64  # held deliveries made due at a time
PROBE_EVERY: Micros = 3600 * clock.SECOND

DISABLED = "The hook is disabled; this is kept until it is enabled."


@dataclass(frozen=True, slots=True)
class Target:
    """A hook as it stood when it was read: where to send, what to add, what to sign with. All that is secret is sealed."""

    webhook_id: str
    enabled: bool
    endpoint: str
    target_url: str
    headers: str | None
    secrets: tuple[str, ...]
    key: tuple[str, str] | None = None  # of the Ed25519 key: its id, its private part
    secret_since: Micros | None = None  # when the newest secret joined; None for the first one


@dataclass(frozen=True, slots=True)
class Claimed:
    """One delivery that this process holds. `serial`: of its hook, one at a time; `probe`: held, and tried to see whether the endpoint is well;
    `failing`: its hook has failed since its last success."""

    id: str
    fence: int
    webhook_id: str
    endpoint: str
    event_id: str
    sequence: int | None
    test: bool
    headers: dict[str, str]
    body: str
    attempt_count: int
    step: int
    serial: bool = False
    probe: bool = False
    failing: bool = False


class Rooms(Protocol):
    """How much may be claimed, in all and of a hook; told what was taken."""

    left: int

    def of(self, hook_id: str, endpoint: str, *, failing: bool) -> int:
        """How many more of a hook, 0 or more, not over `left`."""

    def take(self, hook_id: str, endpoint: str, count: int, *, failing: bool) -> None:
        """So many were taken."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim brought. `cursor`: the hook to go on behind, None once all were visited; `next_at`: when more is due."""

    taken: list[Claimed] = field(default_factory=list)
    targets: dict[str, Target] = field(default_factory=dict)
    cursor: str | None = None
    next_at: Micros | None = None


_hook = bindparam("hook", type_=Text)
_now = bindparam("now", type_=BigInteger)
_at = bindparam("at", type_=BigInteger)
_id = bindparam("id", type_=Text)
_fence = bindparam("held_fence", type_=BigInteger)
_free = or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < _at)
_HOOK = (webhooks.c.id, webhooks.c.enabled, webhooks.c.draining, webhooks.c.endpoint, webhooks.c.deleted_at, webhooks.c.failing_since)


def _visit() -> Hot:
    """The hooks with something pending, in the order of their ids, each found by one step through the index."""

    def step(behind: Any) -> Any:
        return select(func.min(deliveries.c.webhook_id)).where(deliveries.c.state == PENDING, deliveries.c.webhook_id > behind).scalar_subquery()

    seen = select(step(bindparam("cursor", type_=Text)).label("id"), literal_column("1").label("n")).cte("seen", recursive=True)
    seen = seen.union_all(select(step(seen.c.id), seen.c.n + literal_column("1")).where(seen.c.id.is_not(None), seen.c.n < literal_column(str(VISITED))))
    return Hot(select(*_HOOK).join(seen, seen.c.id == webhooks.c.id))


_VISIT = _visit()
_newest = (
    select(deliveries.c.webhook_id)
    .where(deliveries.c.state == PENDING, deliveries.c.next_attempt_at <= _now)
    .order_by(deliveries.c.next_attempt_at.desc())
    .limit(literal_column(str(VISITED)))
    .subquery()
)
_NEWEST = Hot(select(*_HOOK).where(webhooks.c.id.in_(select(_newest.c.webhook_id))))
_DRAINING = Hot(select(*_HOOK).where(literal_column("draining"), webhooks.c.enabled, webhooks.c.deleted_at.is_(None)).limit(literal_column(str(VISITED))))
_PROBED = Hot(
    select(webhooks.c.id, webhooks.c.endpoint)
    .where(webhooks.c.probe_at.is_not(None), webhooks.c.probe_at <= _now, ~webhooks.c.enabled, webhooks.c.deleted_at.is_(None))
    .limit(literal_column("32"))
    .with_for_update(skip_locked=True, key_share=True)
)
_PROBE_LATER = Hot(update(webhooks).where(webhooks.c.id == _hook).values(probe_at=bindparam("later", type_=BigInteger)))
_UNDRAIN = Hot(update(webhooks).where(webhooks.c.id == _hook).values(draining=literal_column("false")))
_LOCK_DRAINING = Hot(select(webhooks.c.keep_held).where(webhooks.c.id == _hook).with_for_update(skip_locked=True, key_share=True))
_LOCK_DISABLED = Hot(select(webhooks.c.id).where(webhooks.c.id == _hook, ~webhooks.c.enabled).with_for_update(skip_locked=True, key_share=True))
_ONE: ColumnElement[int] = literal_column("1")
_PENDING_OF_HOOK = select(_ONE).where(deliveries.c.webhook_id == _hook, deliveries.c.state == PENDING).limit(_ONE)
_LEASED = Hot(_PENDING_OF_HOOK.where(deliveries.c.lease_until >= _at))
_ANY_DUE = Hot(_PENDING_OF_HOOK.where(deliveries.c.next_attempt_at <= _now))
_NEXT = Hot(select(func.min(deliveries.c.next_attempt_at)).where(deliveries.c.state == PENDING, deliveries.c.next_attempt_at > _now))
_NEXT_PROBE = Hot(select(func.min(webhooks.c.probe_at)).where(webhooks.c.probe_at > _now))


def _take(which: Any, order: Any) -> Hot:
    some = (
        select(deliveries.c.id)
        .where(deliveries.c.webhook_id == _hook, which, _free)
        .order_by(*order)
        .limit(bindparam("room", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("some")
    )
    return Hot(
        update(deliveries)
        .where(deliveries.c.id.in_(select(some.c.id)))
        .values(owner=bindparam("by", type_=Text), fence=deliveries.c.fence + literal_column("1"), lease_until=bindparam("until", type_=BigInteger))
        .returning(
            deliveries.c.id,
            deliveries.c.fence,
            deliveries.c.event_id,
            deliveries.c.sequence,
            deliveries.c.test,
            deliveries.c.headers,
            deliveries.c.body,
            deliveries.c.attempt_count,
            deliveries.c.step,
            deliveries.c.next_attempt_at,
        )
    )


_due = and_(deliveries.c.state == PENDING, deliveries.c.bulk == bindparam("bulk", type_=Boolean), deliveries.c.next_attempt_at <= _now)
_in_order = (deliveries.c.next_attempt_at, deliveries.c.sequence)
_TAKE = _take(_due, _in_order)
_TAKE_TESTS = _take(and_(_due, deliveries.c.test), _in_order)
_TAKE_HELD = _take(deliveries.c.state == HELD, (deliveries.c.sequence,))

_TARGET = Hot(
    select(*(webhooks.c[name] for name in ("id", "enabled", "endpoint", "target_url", "headers", "secret_since")), webhook_keys.c.id, webhook_keys.c.sealed)
    .outerjoin(webhook_keys, and_(webhook_keys.c.webhook_id == webhooks.c.id, webhook_keys.c.expires_at.is_(None)))
    .where(webhooks.c.id == _hook)
)
_SECRETS = Hot(
    select(webhook_secrets.c.sealed)
    .where(webhook_secrets.c.webhook_id == _hook, or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > _now))
    .order_by(webhook_secrets.c.created_at.desc())
)
# What was settled or let go of since it was asked for has no lease that could be longer.
_RENEW = HotRows(
    {"id": Text(), "fence": BigInteger(), "until": BigInteger()},
    lambda given: (
        update(deliveries)
        .where(deliveries.c.id == given.c.id, deliveries.c.fence == given.c.fence, deliveries.c.lease_until.is_not(None))
        .values(lease_until=given.c.until)
        .returning(deliveries.c.id)
    ),
)
_RELEASE = Hot(
    update(deliveries)
    .where(deliveries.c.id == _id, deliveries.c.fence == _fence)
    .values(
        lease_until=None,
        owner=None,
        reason=func.coalesce(bindparam("reason", type_=Text), deliveries.c.reason),
        next_attempt_at=case((deliveries.c.state == PENDING, func.coalesce(bindparam("due", type_=BigInteger), deliveries.c.next_attempt_at))),
    )
)


def claim(tx: Tx, owner: str, lease: Micros, *, cursor: str, rooms: Callable[[], Rooms]) -> Claim:
    """Takes due deliveries, for whom and as many as there is room for; visits hooks behind `cursor` ("" for the first). `rooms` is called
    once for each run of the transaction.

    An expired lease is taken over under the next fence.
    """
    now, at = clock.now(), lease_now(tx)
    claim_ = Claim()
    by = {"by": owner, "at": at, "until": at + lease}
    room = rooms()
    turn = {row[0]: row for row in sorted(tx.hot(_VISIT, cursor=cursor))}
    visited = list(turn)
    behind = visited[-1] if len(visited) >= VISITED else None
    turn |= {row[0]: row for row in tx.hot(_NEWEST, now=now)} | {row[0]: row for row in tx.hot(_DRAINING)}
    last, first = cursor, True
    share = max(1, room.left // max(1, len(turn)))
    while turn and room.left > 0:  # a share for each, then what is left over for those that have more
        more = {}
        for hook_id, row in turn.items():
            _, enabled, draining, endpoint, _, failing_since = row
            failing = failing_since is not None
            if room.left <= 0:
                behind = last if first and hook_id in visited else behind  # the others have their turn in the next claim
                break
            free = min(room.of(hook_id, endpoint or "", failing=failing), share)
            if not _may_send(tx, row, now, at) or free <= 0:
                continue
            rows = _take_due(tx, hook_id, free, now=now, enabled=bool(enabled), **by)
            _add(tx, claim_, (hook_id, endpoint), rows, serial=bool(enabled and draining), failing=failing)
            room.take(hook_id, endpoint, len(rows), failing=failing)
            last = hook_id
            if len(rows) == share and not draining:
                more[hook_id] = row
        turn, share, first = more, room.left, False
    for hook_id, endpoint in tx.hot(_PROBED, now=now):
        if room.of(hook_id, endpoint, failing=True) > 0:  # else it is looked at again in the next claim
            tx.hot(_PROBE_LATER, hook=hook_id, later=now + PROBE_EVERY)
            _add(tx, claim_, (hook_id, endpoint), tx.hot(_TAKE_HELD, hook=hook_id, room=1, **by), probe=True, failing=True)
    due = [row[0] for hot in (_NEXT, _NEXT_PROBE) for row in tx.hot(hot, now=now) if row[0] is not None]
    return Claim(claim_.taken, claim_.targets, behind, min(due, default=None))


def _take_due(tx: Tx, hook_id: str, room: int, *, enabled: bool, **values: Any) -> list[tuple[Any, ...]]:
    """What is due of a hook, at most `room`: what is live first, then what is sent again in bulk. Only the tests of a disabled one."""
    if not enabled:
        return tx.hot(_TAKE_TESTS, hook=hook_id, room=room, bulk=False, **values)
    rows = tx.hot(_TAKE, hook=hook_id, room=room, bulk=False, **values)
    return rows + tx.hot(_TAKE, hook=hook_id, room=room - len(rows), bulk=True, **values) if len(rows) < room else rows


def _may_send(tx: Tx, row: Sequence[Any], now: Micros, at: Micros) -> bool:
    """Whether anything of a hook may be taken now. What is owed to one that was deleted is given up, to a disabled one is held."""
    hook_id, enabled, draining, _, deleted_at, _ = row
    if deleted_at is not None:
        owed.discard(tx, hook_id, owed.DELETED, of="pending")
        return False
    if not enabled:
        if tx.hot(_LOCK_DISABLED, hook=hook_id):  # else it is being enabled: what were held behind its back would never be sent
            owed.hold(tx, hook_id, DISABLED)
        return True  # its tests
    return not draining or _may_drain(tx, hook_id, at, now)


def _may_drain(tx: Tx, hook_id: str, at: Micros, now: Micros) -> bool:
    """Whether more of a draining hook may be taken now: one at a time goes out, so nobody else may hold any. Makes the next
    ones due; a hook with nothing left to drain is like any other from then on."""
    locked = tx.hot(_LOCK_DRAINING, hook=hook_id)
    if not locked or tx.hot(_LEASED, hook=hook_id, at=at):
        return False
    if tx.hot(_ANY_DUE, hook=hook_id, now=now):
        return True
    if locked[0][0] == "latest" and owed.keep_latest(tx, hook_id) == owed.BATCH:
        tx.wake("deliveries")  # there may be more to give up before the first is sent
        return False
    if owed.drain(tx, hook_id, limit=DRAINED) == 0:
        tx.hot(_UNDRAIN, hook=hook_id)
    return True


def _add(tx: Tx, claim_: Claim, of: tuple[str, str], rows: Iterable[Sequence[Any]], *, serial: bool = False, **about: bool) -> None:
    """Adds what was taken `of` (hook, endpoint), in the order in which it is due. `about`: members of each Claimed."""
    hook_id, endpoint = of
    for id_, fence, event_id, sequence, test, headers, body, count, step, _ in sorted(rows, key=lambda row: (row[9] or 0, row[3] or 0)):
        frozen = headers if isinstance(headers, dict) else orjson.loads(headers)
        claim_.taken.append(
            Claimed(id_, fence, hook_id, endpoint, event_id, sequence, bool(test), frozen, body or "", count, step, serial=serial and not test, **about)
        )
        if hook_id not in claim_.targets:
            found = target(tx, hook_id, clock.now())
            if found is not None:
                claim_.targets[hook_id] = found


def target(tx: Tx, hook_id: str, now: Micros) -> Target | None:
    """A hook as it stands now, with the secrets that count now, the newest first."""
    for id_, enabled, endpoint, url, headers, since, kid, private in tx.hot(_TARGET, hook=hook_id):
        secrets = tuple(row[0] for row in tx.hot(_SECRETS, hook=hook_id, now=now))  # behind the row: never older than its `secret_since`
        return Target(id_, bool(enabled), endpoint, url, headers, secrets, None if kid is None else (kid, private), since)
    return None


def renew(tx: Tx, held: Sequence[tuple[str, int]], lease: Micros) -> set[str]:
    """Extends the leases of (delivery, fence); the deliveries whose lease it still was."""
    until = lease_now(tx) + lease
    return {row[0] for row in tx.hot_rows(_RENEW, [{"id": id_, "fence": fence, "until": until} for id_, fence in sorted(held)])}


def release(tx: Tx, held: Sequence[tuple[str, int]], *, due: Micros | None = None, reason: str | None = None) -> None:
    """Lets go of (delivery, fence), so that anybody may take them; `due`: not before then, and why."""
    tx.hot_many(_RELEASE, [{"id": id_, "held_fence": fence, "due": due, "reason": reason} for id_, fence in sorted(held)])
    tx.wake("deliveries")
