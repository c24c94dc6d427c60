"""Hooks and their secrets, sealed as they lie in the database; how they fare; who disabled them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Row, Text, bindparam, delete, insert, literal_column, or_, select, tuple_, update

from tidings import clock
from tidings.clock import Micros
from tidings.errors import NotFound
from tidings.model.activity import Activity, ActivityKind
from tidings.model.pages import Page
from tidings.model.webhooks import DisabledBy, Envelope, HookType, KeepHeld, Rotation, RowMapping
from tidings.store import activity, deliveries, webhook_keys
from tidings.store.attempts import PROBE_EVERY
from tidings.store.cursors import id_in
from tidings.store.tables import webhook_secrets, webhooks
from tidings.store.transactions import Hot, Tx
from tidings.store.webhook_keys import StoredKey


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """One secret of a hook: the present one, or the former one until `expires_at`."""

    sealed: str
    mac: bytes
    created_at: Micros
    expires_at: Micros | None


@dataclass(frozen=True, slots=True)
class StoredHook:
    """A hook as it lies in the database. `headers`: a JSON object, sealed. `secrets`: those that count now, the present one first."""

    id: str
    workspace_id: str
    bot_id: str
    data_source_id: str | None
    type: HookType
    enabled: bool
    disabled_by: DisabledBy | None
    disabled_at: Micros | None
    post_only: bool
    mapping: RowMapping | None
    target_url: str | None
    endpoint: str | None
    envelope: Envelope | None
    keep_held: KeepHeld
    certificate_until: Micros | None
    headers: str | None
    draining: bool
    failing_since: Micros | None
    created_at: Micros
    last_used_at: Micros | None
    last_used_address: str | None
    last_used_agent: str | None
    rotation: Rotation | None
    secrets: tuple[StoredSecret, ...] = ()
    key: StoredKey | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a hook's deliveries have fared."""

    hook_id: str
    enabled: bool
    disabled_by: DisabledBy | None
    failing_since: Micros | None
    last_used_at: Micros | None
    certificate_until: Micros | None
    rotation: Rotation | None


def add(tx: Tx, **values: Any) -> None:
    """Writes down a hook; `values` by the names of the columns."""
    tx.execute(insert(webhooks).values(values))


def get(tx: Tx, workspace_id: str, hook_id: str, *, lock: bool = False) -> StoredHook:
    """One hook of a workspace; with `lock`, nobody changes it before the end of the transaction. NotFound."""
    query = select(webhooks).where(webhooks.c.id == hook_id, webhooks.c.workspace_id == workspace_id, webhooks.c.deleted_at.is_(None))
    row = tx.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    if row is None:
        raise NotFound("There is no webhook with this id. `GET /api/v1/bots/{id}/webhooks` lists those of a bot.")
    return _hooks(tx, [row])[0]


def find(tx: Tx, workspace_id: str, hook_id: str) -> StoredHook | None:
    """The same, None where it was deleted."""
    try:
        return get(tx, workspace_id, hook_id)
    except NotFound:
        return None


def page(tx: Tx, bot_id: str, *, limit: int, cursor: str | None) -> Page[StoredHook]:
    """The hooks of a bot, the oldest first."""
    order = (webhooks.c.created_at, webhooks.c.id)
    query = select(webhooks).where(webhooks.c.bot_id == bot_id, webhooks.c.deleted_at.is_(None)).order_by(*order).limit(limit + 1)
    if cursor is not None:
        last = webhooks.alias("last")
        query = query.where(tuple_(*order) > select(last.c.created_at, last.c.id).where(last.c.id == id_in(cursor)).scalar_subquery())
    found = tx.execute(query).all()
    return Page(tuple(_hooks(tx, found[:limit])), found[limit - 1].id if len(found) > limit else None)


def ending_in(tx: Tx, workspace_id: str, ending: str, limit: int) -> list[StoredHook]:
    """The hooks of a workspace whose targets end so, the newest first."""
    living = (webhooks.c.workspace_id == workspace_id, webhooks.c.deleted_at.is_(None), webhooks.c.target_url.endswith(ending, autoescape=True))
    found = tx.execute(select(webhooks).where(*living).order_by(webhooks.c.created_at.desc(), webhooks.c.id).limit(limit)).all()
    return _hooks(tx, found)


def change(tx: Tx, hook_id: str, **values: Any) -> None:
    """Changes a hook whose row is locked; `values` by the names of the columns."""
    tx.execute(update(webhooks).where(webhooks.c.id == hook_id).values(**values))


def put_secret(tx: Tx, hook_id: str, mac: bytes, sealed: str, *, same: Sequence[bytes], overlap: Micros) -> bool:
    """Makes a secret the present one; False where it is that already. The one before it counts for `overlap` more, any older one no more.
    `same`: the macs of this secret under every key."""
    now = clock.now()
    of_hook = webhook_secrets.c.webhook_id == hook_id
    present = tx.execute(select(webhook_secrets.c.mac).where(of_hook, webhook_secrets.c.expires_at.is_(None))).scalars().all()
    if any(bytes(one) in same for one in present):
        return False
    tx.execute(delete(webhook_secrets).where(of_hook, or_(webhook_secrets.c.expires_at.is_not(None), webhook_secrets.c.mac.in_(list(same)))))
    if overlap > 0:
        tx.execute(update(webhook_secrets).where(of_hook).values(expires_at=now + overlap))
    else:
        tx.execute(delete(webhook_secrets).where(of_hook))
    tx.execute(insert(webhook_secrets).values(webhook_id=hook_id, mac=mac, sealed=sealed, created_at=now))
    return True


def rotated(tx: Tx, hook_id: str, rotation: Rotation) -> None:
    """Remembers how deliveries have fared since the present secret joined; the row of the hook is locked."""
    since, delivered, failed, proven = rotation.since, rotation.delivered_at, rotation.failed_at, rotation.proven_at
    change(tx, hook_id, secret_since=since, secret_delivered_at=delivered, secret_failed_at=failed, secret_proven_at=proven)


def remove(tx: Tx, workspace_id: str, hook_id: str) -> None:
    """Puts a tombstone on a hook. NotFound."""
    get(tx, workspace_id, hook_id, lock=True)
    change(tx, hook_id, deleted_at=clock.now(), draining=False, probe_at=None)
    webhook_keys.retire(tx, [hook_id])
    tx.wake("deliveries")  # what was owed to it is given up there, in batches


def disable(tx: Tx, hook_id: str, by: DisabledBy, reason: str) -> None:
    """Disables a hook whose row is locked, and keeps what is pending for it: the first batch now, the rest by the dispatcher."""
    probe_at = clock.now() + PROBE_EVERY if by == "failing" else None
    change(tx, hook_id, enabled=False, disabled_by=by, disabled_at=clock.now(), draining=False, probe_at=probe_at)
    deliveries.hold(tx, hook_id, reason)
    tx.wake("deliveries")


def enable(tx: Tx, hook_id: str) -> None:
    """Enables a hook whose row is locked. What is held goes out first, in order; what comes meanwhile waits behind it."""
    change(tx, hook_id, enabled=True, disabled_by=None, disabled_at=None, failing_since=None, probe_at=None, draining=deliveries.has_held(tx, hook_id))
    tx.wake("deliveries")


def tell(tx: Tx, hook_id: str, kind: ActivityKind, done: str) -> None:
    """Writes down what became of a hook, for people; `done`: the end of the sentence, such as `was made.`"""
    hook = tx.execute(select(webhooks).where(webhooks.c.id == hook_id)).one()
    named = "A trigger URL" if hook.endpoint is None else f"The webhook to {hook.endpoint.partition('://')[2]}"
    activity.add(tx, hook.workspace_id, Activity(clock.now(), kind, f"{named} {done}", hook.bot_id, hook.data_source_id, webhook_id=hook.id))


_hook = bindparam("hook", type_=Text)
_ROTATION = (webhooks.c.secret_since, webhooks.c.secret_delivered_at, webhooks.c.secret_failed_at, webhooks.c.secret_proven_at)
_HEALTH = Hot(
    select(*(webhooks.c[name] for name in ("id", "enabled", "disabled_by", "failing_since", "last_used_at", "certificate_until")), *_ROTATION)
    .where(webhooks.c.id == _hook, webhooks.c.deleted_at.is_(None))
    .with_for_update(key_share=True)
)
_FARED = Hot(
    update(webhooks)
    .where(webhooks.c.id == _hook)
    .values(
        failing_since=bindparam("since", type_=BigInteger),
        last_used_at=bindparam("used", type_=BigInteger),
        certificate_until=bindparam("certificate", type_=BigInteger),
    )
)


def health(tx: Tx, hook_id: str) -> Health | None:
    """How a hook fares, its row locked; None where it was deleted."""
    for id_, enabled, by, since, used, certificate, *rotation in tx.hot(_HEALTH, hook=hook_id):
        return Health(id_, bool(enabled), by, since, used, certificate, _rotation(*rotation))
    return None


def fared(tx: Tx, hook_id: str, failing_since: Micros | None, last_used_at: Micros | None, certificate_until: Micros | None) -> None:
    """Remembers how a hook fares."""
    tx.hot(_FARED, hook=hook_id, since=failing_since, used=last_used_at, certificate=certificate_until)


def prune_secrets(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets former secrets that stopped counting before an instant; how many, at most `limit`."""
    old = select(webhook_secrets.c.webhook_id, webhook_secrets.c.mac).where(webhook_secrets.c.expires_at < before).limit(limit)
    found = tx.execute(old).all()
    for hook_id, mac in found:
        tx.execute(delete(webhook_secrets).where(webhook_secrets.c.webhook_id == hook_id, webhook_secrets.c.mac == mac))
    return len(found)


def _hooks(tx: Tx, rows: Sequence[Row[Any]]) -> list[StoredHook]:
    ids = [row.id for row in rows]
    counting = (
        select(webhook_secrets)
        .where(webhook_secrets.c.webhook_id.in_(ids), or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > clock.now()))
        .order_by(webhook_secrets.c.expires_at.is_not(None), literal_column("created_at").desc())
    )
    secrets: dict[str, tuple[StoredSecret, ...]] = {}
    for one in tx.execute(counting):
        secrets[one.webhook_id] = (*secrets.get(one.webhook_id, ()), StoredSecret(one.sealed, one.mac, one.created_at, one.expires_at))
    keys = webhook_keys.present(tx, [row.id for row in rows if row.type != "sync_trigger"])
    return [_stored(row, secrets.get(row.id, ()), keys.get(row.id)) for row in rows]


def _rotation(since: Micros | None, delivered_at: Micros | None, failed_at: Micros | None, proven_at: Micros | None) -> Rotation | None:
    return None if since is None else Rotation(since, delivered_at, failed_at, proven_at)


def _stored(row: Row[Any], secrets: tuple[StoredSecret, ...], key: StoredKey | None) -> StoredHook:
    return StoredHook(
        id=row.id,
        workspace_id=row.workspace_id,
        bot_id=row.bot_id,
        data_source_id=row.data_source_id,
        type=row.type,
        enabled=row.enabled,
        disabled_by=row.disabled_by,
        disabled_at=row.disabled_at,
        post_only=row.post_only,
        mapping=RowMapping.unpacked(row.mapping),
        target_url=row.target_url,
        endpoint=row.endpoint,
        envelope=row.envelope,
        keep_held=row.keep_held,
        certificate_until=row.certificate_until,
        headers=row.headers,
        draining=row.draining,
        failing_since=row.failing_since,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        last_used_address=row.last_used_address,
        last_used_agent=row.last_used_agent,
        rotation=_rotation(row.secret_since, row.secret_delivered_at, row.secret_failed_at, row.secret_proven_at),
        secrets=secrets,
        key=key,
    )
