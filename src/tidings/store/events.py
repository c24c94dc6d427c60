"""What happened, in order of commit: the feed of a workspace, and that of one hook."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Integer, Row, Select, bindparam, delete, insert, select, tuple_, update

from tidings.clock import Micros
from tidings.errors import Gone, NotFound
from tidings.model.ids import new_id
from tidings.model.pages import Page
from tidings.model.webhooks import Event, EventType
from tidings.store.tables import bots, data_sources, deliveries, events, webhooks, workspaces
from tidings.store.transactions import Hot, Tx

_PRUNED = "Events from there on were pruned (TIDINGS_RETENTION_DAYS). Leave `after` out to begin with the oldest that is kept."


def add(tx: Tx, workspace_id: str, event: EventType, at: Micros, data: Mapping[str, Any]) -> Event:
    """Records an event. Its number is raised on the workspace's row, so numbers have no gaps and the order of commits."""
    raised = update(workspaces).where(workspaces.c.id == workspace_id).values(event_seq=workspaces.c.event_seq + 1).returning(workspaces.c.event_seq)
    happened = Event(tx.execute(raised).scalar_one(), new_id(), event, at, data)
    tx.execute(insert(events).values(workspace_id=workspace_id, seq=happened.seq, id=happened.id, type=event, at=at, data=data))
    return happened


def names(tx: Tx, bot_id: str, data_source_id: str) -> tuple[str, str]:
    """(bot, data source): what goes out as their names."""
    bot = tx.execute(select(bots.c.name).where(bots.c.id == bot_id)).scalar_one_or_none()
    source = tx.execute(select(data_sources.c.name).where(data_sources.c.id == data_source_id)).scalar_one_or_none()
    return bot or "", source or ""


def page(tx: Tx, workspace_id: str, *, after: int | None, limit: int) -> Page[Event]:
    """The events of a workspace behind number `after`, oldest first; None: from the oldest that is kept. Gone where some of them were pruned."""
    query = select(events).where(events.c.workspace_id == workspace_id).order_by(events.c.seq)
    if after is not None:
        query = query.where(events.c.seq > after)
    items = _events(tx, query, limit)
    if after is not None and (not items or items[0].seq > after + 1):
        counted = tx.execute(select(workspaces.c.event_seq).where(workspaces.c.id == workspace_id)).scalar_one_or_none() or 0
        if counted > after:
            raise Gone(_PRUNED)
    return _page(items, limit)


def hook_page(tx: Tx, workspace_id: str, webhook_id: str, *, after: int | None, limit: int) -> Page[Event]:
    """The events of one hook, numbered by its own sequence, whatever became of their deliveries. NotFound, Gone."""
    counted = tx.execute(
        select(webhooks.c.sequence).where(webhooks.c.id == webhook_id, webhooks.c.workspace_id == workspace_id, webhooks.c.deleted_at.is_(None))
    ).scalar_one_or_none()
    if counted is None:
        raise NotFound("There is no webhook with this id. `GET /api/v1/bots/{id}/webhooks` lists those of a bot.")
    query = (
        select(deliveries.c.sequence.label("seq"), events.c.id, events.c.type, events.c.at, events.c.data)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(deliveries.c.webhook_id == webhook_id, deliveries.c.sequence.is_not(None))
        .order_by(deliveries.c.sequence)
    )
    if after is not None:
        query = query.where(deliveries.c.sequence > after)
    items = _events(tx, query, limit)
    if after is not None and counted > after and (not items or items[0].seq > after + 1):
        raise Gone(_PRUNED)
    return _page(items, limit)


_PRUNE = Hot(
    delete(events).where(
        tuple_(events.c.workspace_id, events.c.seq).in_(
            select(events.c.workspace_id, events.c.seq)
            .where(events.c.at < bindparam("before", type_=BigInteger))
            .order_by(events.c.at)
            .limit(bindparam("most", type_=Integer))
        )
    )
)


def prune(tx: Tx, before: Micros, limit: int) -> int:
    """Forgets events from before an instant; how many, at most `limit`."""
    return tx.hot_count(_PRUNE, before=before, most=limit)


def _events(tx: Tx, query: Select[Any], limit: int) -> tuple[Event, ...]:
    return tuple(_event(row) for row in tx.execute(query.limit(limit + 1)))


def _event(row: Row[Any]) -> Event:
    return Event(row.seq, row.id, row.type, row.at, row.data)


def _page(items: tuple[Event, ...], limit: int) -> Page[Event]:
    return Page(items[:limit], str(items[limit - 1].seq) if len(items) > limit else None)
