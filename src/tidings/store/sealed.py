"""Everything that is sealed in the database, gone through when the secret key was lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from tidings.model.webhooks import HookType
from tidings.store.tables import bots, data_sources, idempotency_keys, webhook_keys, webhook_secrets, webhooks
from tidings.store.transactions import Tx


@dataclass(frozen=True, slots=True)
class SealedHook:
    """What is sealed of a hook: its present secret, the former ones by their MAC, its headers, its Ed25519 key as (id, sealed)."""

    id: str
    bot: str
    type: HookType
    secret: str | None
    former: tuple[tuple[bytes, str], ...]
    headers: str | None
    key: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class SealedSource:
    """A data source with its config as it is stored."""

    id: str
    bot: str
    name: str
    type: str
    config: dict[str, Any]


def hooks(tx: Tx) -> Iterator[SealedHook]:
    """The hooks of all workspaces."""
    secrets: dict[str, list[Any]] = {}
    for row in tx.execute(select(webhook_secrets)):
        secrets.setdefault(row.webhook_id, []).append(row)
    keys = {row.webhook_id: (row.id, row.sealed) for row in tx.execute(select(webhook_keys).where(webhook_keys.c.expires_at.is_(None)))}
    query = select(webhooks, bots.c.name.label("bot")).join(bots, bots.c.id == webhooks.c.bot_id).where(webhooks.c.deleted_at.is_(None))
    for row in tx.execute(query.order_by(webhooks.c.id)).all():
        mine = secrets.get(row.id, [])
        present = next((one.sealed for one in mine if one.expires_at is None), None)
        former = tuple((bytes(one.mac), one.sealed) for one in mine if one.expires_at is not None)
        yield SealedHook(row.id, row.bot, row.type, present, former, row.headers, keys.get(row.id))


def sources(tx: Tx) -> Iterator[SealedSource]:
    """The data sources of all workspaces."""
    query = select(data_sources, bots.c.name.label("bot")).join(bots, bots.c.id == data_sources.c.bot_id).where(data_sources.c.deleted_at.is_(None))
    for row in tx.execute(query.order_by(data_sources.c.id)):
        yield SealedSource(row.id, row.bot, row.name, row.type, row.config)


def forget_former(tx: Tx, hook_id: str, mac: bytes) -> None:
    """Ends the overlap of a former secret."""
    tx.execute(delete(webhook_secrets).where(webhook_secrets.c.webhook_id == hook_id, webhook_secrets.c.mac == mac))


def forget_answers(tx: Tx) -> None:
    """Forgets the answers that are kept for repeats with an Idempotency-Key."""
    tx.execute(delete(idempotency_keys))
