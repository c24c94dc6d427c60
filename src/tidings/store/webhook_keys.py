"""Ed25519 keys of hooks: the present one of each hook that signs so, and former ones for as long as receivers may still ask for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, or_, select, update

from tidings import clock
from tidings.clock import DAY, Micros
from tidings.model.webhooks import PublicKey
from tidings.store.tables import webhook_keys
from tidings.store.transactions import Tx

LISTED_FOR: Micros = 7 * DAY  # a key that signs no more can still be looked up for so long
MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it lies in the database, its private part sealed."""

    public: PublicKey
    sealed: str


def add(tx: Tx, hook_id: str, key: StoredKey) -> None:
    """Makes a key the present one of a hook that has none."""
    tx.execute(insert(webhook_keys).values(id=key.public.kid, webhook_id=hook_id, public=key.public.raw, sealed=key.sealed, created_at=clock.now()))


def present(tx: Tx, hook_ids: Sequence[str]) -> dict[str, StoredKey]:
    """The present keys by hook."""
    if not hook_ids:
        return {}
    rows = tx.execute(select(webhook_keys).where(webhook_keys.c.webhook_id.in_(hook_ids), webhook_keys.c.expires_at.is_(None)))
    return {row.webhook_id: StoredKey(PublicKey(row.id, bytes(row.public)), row.sealed) for row in rows}


def retire(tx: Tx, hook_ids: Sequence[str]) -> None:
    """Ends the present keys of hooks: the private part is forgotten, the public one is listed for a week more."""
    present_ones = (webhook_keys.c.webhook_id.in_(hook_ids), webhook_keys.c.expires_at.is_(None))
    tx.execute(update(webhook_keys).where(*present_ones).values(sealed="", expires_at=clock.now() + LISTED_FOR))


def listed(tx: Tx, kid: str | None) -> list[PublicKey]:
    """The public parts that receivers may verify with, in the order of their ids, at most 1000; or the one of this id."""
    query = select(webhook_keys.c.id, webhook_keys.c.public).where(or_(webhook_keys.c.expires_at.is_(None), webhook_keys.c.expires_at > clock.now()))
    if kid is not None:
        query = query.where(webhook_keys.c.id == kid)
    return [PublicKey(row.id, bytes(row.public)) for row in tx.execute(query.order_by(webhook_keys.c.id).limit(MOST_LISTED))]


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets keys that are listed no more since an instant; how many, at most `limit`."""
    old = select(webhook_keys.c.id).where(webhook_keys.c.expires_at < before).limit(limit)
    return tx.execute(delete(webhook_keys).where(webhook_keys.c.id.in_(old))).rowcount
