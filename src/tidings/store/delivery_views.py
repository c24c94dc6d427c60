"""Deliveries as people look for them: by hook, data source, sync, event, state and time, each with the names of what it is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, select

from tidings.clock import Micros
from tidings.model.bots import SourceName
from tidings.model.ids import first_id_of
from tidings.model.pages import Page
from tidings.model.webhooks import Delivery, DeliveryState, DeliveryView, HookName
from tidings.store import deliveries as stored
from tidings.store.deliveries import UNWANTED
from tidings.store.tables import bots, data_sources, deliveries, syncs, webhooks
from tidings.store.transactions import AnyRow, Tx

Thing = Literal["delivery", "sync", "webhook", "data source", "event"]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which deliveries; None: whichever. `wanted`: those that the hook was to be told of, or not to be; made within `since` and `before`."""

    webhook_id: str | None = None
    data_source_id: str | None = None
    sync_id: str | None = None
    event_id: str | None = None
    state: DeliveryState | None = None
    wanted: bool | None = None
    since: Micros | None = None
    before: Micros | None = None


def page(tx: Tx, workspace_id: str, sought: Sought, *, limit: int, cursor: str | None) -> Page[DeliveryView]:
    """Deliveries of a workspace, newest first."""
    exact = {name: getattr(sought, name) for name in ("data_source_id", "sync_id", "event_id")}
    which: list[ColumnElement[bool]] = [deliveries.c[name] == value for name, value in exact.items() if value is not None]
    narrow = bool(which)
    if sought.wanted is not None:
        which.append(~UNWANTED if sought.wanted else UNWANTED)
    if sought.since is not None:
        which.append(deliveries.c.id >= first_id_of(sought.since))
    if sought.before is not None:
        which.append(deliveries.c.id < first_id_of(sought.before))
    found = stored.page(tx, workspace_id, webhook_id=sought.webhook_id, state=sought.state, which=which, narrow=narrow, limit=limit, cursor=cursor)
    return Page(views(tx, found.items), found.next_cursor)


def views(tx: Tx, found: Sequence[Delivery]) -> tuple[DeliveryView, ...]:
    """These deliveries with the names of what they are about, also of what was deleted."""
    hooks = {row.id: _hook(row) for row in tx.execute(_HOOKS.where(webhooks.c.id.in_({one.webhook_id for one in found})))}
    wanted = {one.data_source_id for one in found if one.data_source_id is not None}
    sources = {row.id: _source(row) for row in tx.execute(select(data_sources).where(data_sources.c.id.in_(wanted)))}
    return tuple(DeliveryView(one, hooks[one.webhook_id], sources.get(one.data_source_id or "")) for one in found)


def hook_names(tx: Tx, workspace_id: str, *, like: str = "", limit: int) -> list[HookName]:
    """The outgoing hooks of a workspace whose target URLs hold a text, bot by bot, the first ones."""
    living = (bots.c.workspace_id == workspace_id, bots.c.deleted_at.is_(None), webhooks.c.deleted_at.is_(None), webhooks.c.type != "sync_trigger")
    query = _HOOKS.where(*living)
    if like:
        query = query.where(func.lower(webhooks.c.target_url).contains(like.lower(), autoescape=True))
    return [_hook(row) for row in tx.execute(query.order_by(bots.c.id, webhooks.c.id).limit(limit))]


def hook_name(tx: Tx, workspace_id: str, hook_id: str) -> HookName | None:
    """One hook, also one that was deleted; None where there is none."""
    row = tx.execute(_HOOKS.where(webhooks.c.id == hook_id, webhooks.c.workspace_id == workspace_id)).one_or_none()
    return None if row is None else _hook(row)


def source_names(tx: Tx, workspace_id: str, *, like: str = "", limit: int) -> list[SourceName]:
    """The data sources of a workspace whose names hold a text, bot by bot, the first ones."""
    living = and_(bots.c.workspace_id == workspace_id, bots.c.deleted_at.is_(None), data_sources.c.deleted_at.is_(None))
    query = select(data_sources).join(bots, bots.c.id == data_sources.c.bot_id).where(living)
    if like:
        query = query.where(func.lower(data_sources.c.name).contains(like.lower(), autoescape=True))
    return [_source(row) for row in tx.execute(query.order_by(bots.c.id, data_sources.c.id).limit(limit))]


def source_name(tx: Tx, workspace_id: str, data_source_id: str) -> SourceName | None:
    """One data source, also one that was deleted; None where there is none."""
    row = tx.execute(select(data_sources).where(data_sources.c.id == data_source_id, data_sources.c.workspace_id == workspace_id)).one_or_none()
    return None if row is None else _source(row)


def what_is(tx: Tx, workspace_id: str, id_: str) -> Thing | None:
    """What an id of a workspace is the id of; None where deliveries have nothing to do with it."""
    things: tuple[tuple[Thing, ColumnElement[str], ColumnElement[str]], ...] = (
        ("delivery", deliveries.c.id, deliveries.c.workspace_id),
        ("event", deliveries.c.event_id, deliveries.c.workspace_id),
        ("sync", syncs.c.id, syncs.c.workspace_id),
        ("webhook", webhooks.c.id, webhooks.c.workspace_id),
        ("data source", data_sources.c.id, data_sources.c.workspace_id),
    )
    for thing, its_id, of in things:
        if tx.execute(select(its_id).where(its_id == id_, of == workspace_id).limit(1)).first() is not None:
            return thing
    return None


_NAMED = ("id", "bot_id", "type", "target_url", "data_source_id", "enabled", "disabled_by", "draining", "failing_since", "deleted_at")
_HOOKS = select(*(webhooks.c[name] for name in _NAMED), bots.c.name.label("bot")).join(bots, bots.c.id == webhooks.c.bot_id)


def _hook(row: AnyRow) -> HookName:
    return HookName(
        id=row.id,
        bot_id=row.bot_id,
        bot=row.bot,
        type=row.type,
        target_url=row.target_url,
        data_source_id=row.data_source_id,
        enabled=row.enabled,
        disabled_by=row.disabled_by,
        draining=row.draining,
        failing_since=row.failing_since,
        deleted=row.deleted_at is not None,
    )


def _source(row: AnyRow) -> SourceName:
    return SourceName(row.id, row.name, row.type, row.deleted_at is not None)
